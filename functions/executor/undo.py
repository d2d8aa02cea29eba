"""The undo of a call: named before the effect, made from its result, and claimed by the one call that undoes it.

::

    the rollback's call ─ is the recorded undo of a write that happened and still stands ─▶ claimed ─▶ acts
                        └ is anything else ─▶ NotVouched; a person looks
    another planner's call ─ undoes such a write ─▶ claimed ─▶ acts, and the write's money goes back to its windows
                           └ undoes none ─▶ acts as any other call, and gives nothing back

The undo of an effect is the one that the executor recorded with it. The rollback may propose nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ballast.contracts import Planner, ToolCall
from ballast.edge import note
from ballast.errors import NotVouched
from ballast.log.events import NO_UNDO
from ballast.masking import error_text
from ballast.playbook import Effect
from ballast.playbook.rules import ends_the_process
from functions.executor.attempt import Attempt
from functions.executor.record import CallOutcome, Done, Position, UndoFacts


def recorded_undo(attempt: Attempt) -> CallOutcome | None:
    """Let the rollback's call go on if it is the recorded undo of an effect of the run.

    Raises ``NotVouched``: an event in the log, in the rollback's name, is not enough.
    """
    if attempt.state.planner is not Planner.ROLLBACK:
        return None
    records = attempt.earlier_writes
    stuck = [one.at for one in records.values() if _freezes(records, one)]
    if stuck:
        turn, index = stuck[0]
        raise NotVouched(f"A person must judge what turn {turn}, call {index} did. Nothing more is undone.")
    if _effect(attempt) is None:
        raise NotVouched(
            f"The executor has no record of an effect of this run that still stands and that this call of "
            f"{attempt.tool.name} undoes. A person must look; an operator may make the call."
        )
    return None


def claimed(attempt: Attempt) -> CallOutcome | None:
    """Claim the effect that the call undoes, so that nothing else undoes it. The last rule."""
    tool = attempt.tool
    if tool.effect is not Effect.WRITE or not attempt.playbook.is_undo(tool.name):
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


def planned_undo(attempt: Attempt) -> ToolCall | None:
    """Return the undo as far as it is known before the effect: at least its tool."""
    tool = attempt.tool
    if tool.undo is None:
        return None
    if tool.undo_arguments:
        return ToolCall(tool=tool.undo, arguments={})
    arguments = _own(attempt)
    try:
        return _undo(attempt, arguments)
    except BaseException as defect:
        if ends_the_process(defect):
            raise
        # Its outcome says so.
        return ToolCall(tool=tool.undo, arguments=arguments)


def with_undo(attempt: Attempt, outcome: CallOutcome) -> CallOutcome:
    """Return the outcome with the undo of the effect, which is recorded with it."""
    tool = attempt.tool
    if outcome.undo_made:
        return outcome
    if tool.undo is None or outcome.status != "ok":
        return replace(outcome, undo_made=True)
    make = tool.undo_arguments or (lambda _args, _result: _own(attempt))
    try:
        undo = _undo(attempt, dict(make(attempt.args, outcome.result)))
        return replace(outcome, undo=undo, undo_made=True)
    except BaseException as defect:
        if ends_the_process(defect):
            raise
        note(defect)
        # The effect stands and must be recorded. The gate will refuse its intended undo, and a person looks.
        message = f"{NO_UNDO.format(tool.undo)}{type(defect).__name__}: {error_text(defect)}"
        return replace(outcome, undo_made=True, message=attempt.cut(message))


def undo_facts(attempt: Attempt) -> UndoFacts:
    """Return the part of a write's record that a later undo needs."""
    tool = attempt.tool
    # A person's decision is kept, and an undo is not undone.
    stays = attempt.state.planner in (Planner.PERSON, Planner.ROLLBACK)
    on_rollback = "keep" if stays else str(attempt.playbook.on_rollback(tool))
    back = tool.moves is not None and tool.moves.back
    return UndoFacts(on_rollback, back, attempt.undoes[-1] if attempt.undoes else None)


def _effect(attempt: Attempt) -> Done | None:
    """Return the effect that the call undoes: the one it has claimed, the one the rollback names, or the newest."""
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
    """Say whether a call has undone it or may have undone it."""
    by = records.get(one.undone_by) if one.undone_by is not None else None
    return one.undone_by is not None and (by is None or by.status not in ("failed", "denied", "refused"))


def _freezes(records: Mapping[Position, Done], one: Done) -> bool:
    if one.status == "unknown":
        return True
    return one.status == "ok" and one.on_rollback == "freeze" and not _is_undone(records, one)


def _own(attempt: Attempt) -> dict[str, Any]:
    """Return the call's own arguments, in their form."""
    return attempt.tool.form.write(attempt.args)


def _undo(attempt: Attempt, arguments: Mapping[str, Any]) -> ToolCall:
    """Return the call of the undo. Raises ``SchemaViolation`` where its tool does not take these arguments."""
    undo = attempt.playbook.tools[str(attempt.tool.undo)]
    call = undo.call(**arguments)
    return call.model_copy(update={"call_id": call.call_id})  # the log has said so from the first, though it is empty
