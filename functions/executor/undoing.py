"""Which effect a call undoes, as the executor itself recorded it; and that the rollback proposes nothing else.

::

    the rollback proposes ─ the recorded undo of a write that happened, and that nothing has undone ─▶ claimed ─▶ acts
                          └ anything else ─▶ NotVouched; a person looks
    anybody else calls what undoes ─ of such a write ─▶ claimed, and its money goes back to the windows
                                   └ of none ─▶ acts as any other call, and gives nothing back
"""

from __future__ import annotations

from collections.abc import Mapping

from ballast.contracts import Planner
from ballast.errors import NotVouched
from ballast.playbook import Effect
from functions.executor.attempt import Attempt
from functions.executor.call_outcome import Aside, CallOutcome, Position
from functions.executor.recorded import Done


def proven(attempt: Attempt) -> CallOutcome | None:
    """Let the rollback go on with what was recorded as the undo of what it did. A step of the executor.

    Raises ``NotVouched``: the log alone, in the rollback's name, lets nothing happen.
    """
    if attempt.state.planner is not Planner.ROLLBACK:
        return None
    records = attempt.earlier_writes
    stuck = [one.at for one in records.values() if _freezes(records, one)]
    if stuck:
        turn, index = stuck[0]
        raise NotVouched(f"What turn {turn}, call {index} did is for a person to judge. Nothing more is undone.")
    if _effect(attempt) is None:
        raise NotVouched(
            f"{attempt.tool.name} is no undo that the executor recorded for an effect of this run that stands. "
            "A person has to look; an operator may call it."
        )
    return None


def claimed(attempt: Attempt) -> CallOutcome | None:
    """Claim the effect that the call undoes, so that nothing else undoes it. The last step."""
    tool = attempt.tool
    if tool.effect is not Effect.WRITE or not attempt.playbook.undoes(tool.name):
        return None
    effect = _effect(attempt)
    if effect is not None:
        before = effect.undone_by if effect.undone_by != attempt.at else None
        if attempt.recorded.claim(attempt.task.run_id, effect.at, attempt.at, instead_of=before):
            attempt.undoes.append(effect.at)
            return None
    if attempt.state.planner is Planner.ROLLBACK:
        raise NotVouched("Another call undoes this effect already. Nothing was done.")
    return None


def aside(attempt: Attempt) -> Aside:
    """Return what is kept with the outcome of a write, for whoever would undo it later."""
    tool = attempt.tool
    # A person decided on it; and an undo is not undone.
    stays = attempt.state.planner in (Planner.HUMAN, Planner.ROLLBACK)
    on_rollback = "keep" if stays else str(attempt.playbook.on_rollback(tool))
    back = tool.moves is not None and tool.moves.back
    return Aside(on_rollback, back, attempt.undoes[-1] if attempt.undoes else None)


def _effect(attempt: Attempt) -> Done | None:
    """Return the effect that the call undoes: the one that it has claimed, that the rollback names, or the newest."""
    here, does, records = attempt.at, attempt.playbook.identity(attempt.state.call), attempt.earlier_writes
    by_rollback = attempt.state.planner is Planner.ROLLBACK
    fit = [
        one
        for _, one in sorted(records.items(), reverse=True)
        if one.status == "ok"
        and one.undo is not None
        and attempt.playbook.identity(one.undo) == does
        and (one.undone_by == here or not _is_undone(records, one))
        and (one.on_rollback == "undo" or not by_rollback)
    ]
    made = attempt.history.turn.proposals.get(attempt.task.turn)
    named = made.undoes if made is not None and by_rollback else None
    return min(fit, key=lambda one: (one.undone_by != here, one.at != named), default=None)


def _is_undone(records: Mapping[Position, Done], one: Done) -> bool:
    """Say whether a call has undone it, or may have."""
    by = records.get(one.undone_by) if one.undone_by is not None else None
    return one.undone_by is not None and (by is None or by.status not in ("failed", "denied", "refused"))


def _freezes(records: Mapping[Position, Done], one: Done) -> bool:
    if one.status == "unknown":
        return True
    return one.status == "ok" and one.on_rollback == "freeze" and not _is_undone(records, one)
