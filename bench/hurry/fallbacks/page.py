"""A fallback that returns the page without a model."""

from ballast.contracts import RunRequest
from ballast.playbook import fallback
from ballast.playbook.fallback import Script

from ..tools.slow_page import slow_page


@fallback(intent="page")
def page(_: RunRequest) -> Script:
    """Fetch the page at once."""
    text: str = yield slow_page.call(seconds=0)
    return f"In short: {text}"
