"""Obey what the planner recorded about an agent that goes round in circles. A step of the executor; pure."""

from ballast.errors import ToolForbidden
from ballast.folds import committed, find_call
from ballast.folds.despair import Rung, refusal, verdict_on
from ballast.playbook import Effect
from ballast.run import Run
from functions.executor.attempt import Attempt, Outcome


def not_in_circles(attempt: Attempt) -> Outcome | None:
    """Return the recorded answer of a read that is made again; None where the call may go on.

    Raises ``ToolForbidden``. Only a read that was answered is answered from the log: what came of a failure may be
    different now, and whether a write may be repeated is its tool's own policy.
    """
    turn = attempt.history.turn
    sign = verdict_on(Run.of(turn), (attempt.task.turn, attempt.task.index))
    # An attempt that crashed goes on as it began. What was written in this turn, before this call, may have
    # changed what it asks for; the decision was made before.
    if sign is None or attempt.state.status == "intended" or committed(turn):
        return None
    if sign.rung is Rung.FORBID:
        raise ToolForbidden(refusal(attempt.tool.name, sign))
    if not sign.answer or attempt.tool.effect is not Effect.READ:
        return None
    earlier = find_call(attempt.history.run, *sign.same_as)
    if earlier is None or earlier.status != "ok":
        return None
    return {"status": "ok", "result": earlier.result, "repeat_of": list(sign.same_as), "undo": None}
