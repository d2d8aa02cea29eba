"""Whether a call repeats an earlier one of its run. A step of the executor; a fold over the whole log."""

from ballast.contracts import Planner
from ballast.errors import RepeatRefused
from ballast.folds.calls import CallState
from ballast.folds.effects import UNKNOWN
from ballast.folds.rejections import Rejection
from ballast.playbook import Effect, Repeat
from functions.executor.attempt import Attempt
from functions.executor.call_outcome import CallOutcome


def not_repeated(attempt: Attempt) -> CallOutcome | None:
    """Return the recorded result where the call repeats one that may act only once; None where it may act.

    Raises ``RepeatRefused`` where the earlier one is unknown: only a person may propose it again then.
    """
    before = _repeated(attempt)
    if before is None:
        return None
    where = f"turn {before.turn}, call {before.index}"
    if before.status in UNKNOWN:
        if attempt.state.planner is Planner.HUMAN:
            return None
        raise RepeatRefused(
            f"{attempt.tool.name} was called with the same arguments before ({where}), and nobody knows whether that "
            "happened. It is not repeated; a person must look."
        )
    if attempt.tool.policy.repeat is Repeat.ASK:
        return None  # ``approved`` asks
    return CallOutcome(
        "ok",
        result=before.result,
        undo_made=True,
        repeat_of=before.position,
        notice=f"Not executed again: this is the recorded result of the same call before ({where}).",
    )


def asks_again(attempt: Attempt) -> bool:
    """Say whether a person must approve the call because it was made before; another one where a person proposes it."""
    if attempt.tool.policy.repeat is not Repeat.ASK:
        return False
    return _repeated(attempt) is not None


def last_rejection(attempt: Attempt) -> Rejection | None:
    """Return the rejection of the same call earlier in the run; None where there is none, or a yes since.

    A read that nobody is ever asked about costs no look at the run. The rollback undoes what happened.
    """
    tool = attempt.tool
    plain = tool.effect is Effect.READ and tool.taint == "allow" and tool.approval.if_ is None
    if attempt.state.planner is Planner.ROLLBACK or (plain and attempt.cost_microusd is None and tool.moves is None):
        return None
    return attempt.history.run.rejected_before(attempt.at, attempt.state.call, attempt.playbook.identity)


def _repeated(attempt: Attempt) -> CallState | None:
    """Return the call that this one repeats. The rollback undoes each effect by itself: it repeats nothing.

    Also of a call that has begun: it repeats what it repeated then, and its intention could have been forged.
    """
    free = attempt.tool.policy.repeat is Repeat.ALLOW or attempt.state.planner is Planner.ROLLBACK
    if free:
        return None
    return attempt.history.run.earlier(attempt.at, attempt.state.call, attempt.playbook.identity)
