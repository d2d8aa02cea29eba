"""Grant an access without a model: the caller's facts say to whom, to what, and why."""

from ballast.contracts import RunRequest
from ballast.playbook import CallFailed, GiveUp, fallback
from ballast.playbook.fallback import Script

from ..tools.grant_access import grant_access
from ..values import Access


@fallback(intent="access")
def access(request: RunRequest) -> Script:
    """Grant what the facts name. A person approves it where the tool's rule says so."""
    wanted = {name: request.context.get(name) for name in ("account_id", "application", "level")}
    if not all(isinstance(one, str) for one in wanted.values()):
        raise GiveUp("The request's context has no account_id, no application, or no level.")
    try:
        made: Access = yield grant_access.call(**wanted, reason="As the form says.")
    except CallFailed as failed:
        raise GiveUp(f"The access was not granted: {failed.message}") from failed
    return f"{made.account_id} has access to {made.application} now ({made.level})."
