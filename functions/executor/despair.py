"""Obey what the planner recorded about an agent that goes round in circles. A step of the executor; pure."""

from ballast.errors import ToolForbidden
from ballast.folds.despair import Rung, refusal, verdict_on
from ballast.playbook import Effect
from functions.executor.attempt import Attempt
from functions.executor.call_outcome import CallOutcome


def not_in_circles(attempt: Attempt) -> CallOutcome | None:
    """Return the recorded answer of a read that is made again; None where the call may go on.

    Raises ``ToolForbidden``. Only a read that was answered is answered from the log: what came of a failure may be
    different now, and whether a write may be repeated is its tool's own policy.
    """
    turn = attempt.history.turn
    sign = verdict_on(turn, attempt.at)
    # An attempt that crashed goes on as it began. What was written in this turn, before this call, may have
    # changed what it asks for; the decision was made before.
    if sign is None or attempt.state.status == "intended" or turn.committed:
        return None
    if sign.rung is Rung.FORBID:
        raise ToolForbidden(refusal(attempt.tool.name, sign))
    if not sign.answer or attempt.tool.effect is not Effect.READ:
        return None
    earlier = attempt.history.run.call(*sign.same_as)
    if earlier is None or earlier.status != "ok":
        return None
    return CallOutcome("ok", result=earlier.result, repeat_of=sign.same_as, undo_made=True)
