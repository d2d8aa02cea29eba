"""A fallback that looks, pays a little, and answers."""

from ballast.contracts import RunRequest
from ballast.playbook import fallback
from ballast.playbook.fallback import Script

from ..tools.till import look, pay


@fallback(intent="refund")
def refund(request: RunRequest) -> Script:
    """Look and pay."""
    name = str(request.context["name"])
    yield look.call(name=name)
    yield pay.call(name=name, amount=3)
    return "A part was paid."
