"""Whether a person must approve a call, and what they said. A step of the executor; pure."""

from ballast.errors import ApprovalRequired
from functions.executor.attempt import Attempt, Outcome
from functions.executor.repeat import asks_again


def approved(attempt: Attempt) -> Outcome | None:
    """Return the denial of a call that may not act; None where it may. Raises ``ApprovalRequired``."""
    tool, state = attempt.tool, attempt.state
    if state.status == "intended" or state.approval is True:
        return None
    by_rule = tool.approve_if is not None and tool.approve_if(attempt.args, attempt.request)
    if not by_rule and not asks_again(attempt):
        return None
    if state.approval is False:
        return _denied(f"A person rejected it. {state.message}".strip())
    if attempt.task.unanswered:
        return _denied("It needs a person's approval, and nobody answered in time.")
    raise ApprovalRequired(f"{tool.name} needs a person's approval.")


def _denied(message: str) -> Outcome:
    return {"status": "denied", "message": message, "undo": None}
