"""A fallback that answers with the counter's value."""

from ballast.contracts import RunRequest
from ballast.playbook import fallback
from ballast.playbook.fallback import Script

from ..tools.counter import read


@fallback(intent="count")
def count(request: RunRequest) -> Script:
    """Read and say."""
    found = yield read.call(name=str(request.context["name"]))
    return f"The counter is at {found['value']}."
