"""Which effects of a run stand, what repeats them, what a rollback must do about them, how they ended.

An effect stands from its intent until another call has undone it. An undo is an effect itself, which
the same effect once more takes back: cancel, reinstate, cancel leaves one cancellation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ballast.contracts import Effects, ExitReason, HandOver, Planner, ToolCall
from ballast.folds.calls import CallState, as_sent
from ballast.folds.sameness import Identity, asks_the_same, identity
from ballast.log.events import RunEnded

if TYPE_CHECKING:
    from ballast.run import Run

Position = tuple[int, int]
#: Begun, and nobody knows whether it happened.
UNKNOWN = ("unknown", "intended")


@dataclass(frozen=True)
class Standing:
    """The writes that stand, in the order of the work.

    undoing  the positions of those that undid another one
    """

    writes: tuple[CallState, ...]
    undoing: frozenset[Position]

    @property
    def effects(self) -> tuple[CallState, ...]:
        """The writes that did something new; an undo that happened is none."""
        return tuple(state for state in self.writes if position(state) not in self.undoing)


def position(state: CallState) -> Position:
    """Return the turn and the index of a call."""
    return state.position


def standing(run: Run, same: Identity = identity) -> Standing:
    """Return the writes that happened, or may have, and were not undone since. ``same`` tells equal calls."""
    marked = {turn: made.undoes for turn, made in run.proposals.items() if made.undoes}
    same = _once_each(same)
    writes: list[CallState] = []
    undoing: set[Position] = set()
    for state in run.committed:
        if state.status == "ok":
            undone = _undone_by(state, writes, marked.get(state.turn), same)
            if undone is not None:
                writes.remove(undone)
                undoing.add(position(state))
            taken_back = _taken_back_by(state, writes, same)
            if taken_back is not None:
                writes.remove(taken_back)
        writes.append(state)
    return Standing(tuple(writes), frozenset(undoing))


def _once_each(same: Identity) -> Identity:
    """Return ``same``, asked once about each call."""
    known: dict[int, str] = {}

    def asked(call: ToolCall) -> str:
        if id(call) not in known:
            known[id(call)] = same(call)
        return known[id(call)]

    return asked


def _undone_by(
    state: CallState, writes: Sequence[CallState], marked: Position | None, same: Identity
) -> CallState | None:
    """Return the effect that ``state`` undid: the one that the rollback names, or the newest with that undo."""
    if marked is not None and state.planner is Planner.ROLLBACK:
        return _newest(writes, lambda one: position(one) == marked)
    does = same(state.as_admitted)
    return _newest(writes, lambda one: one.undo is not None and same(one.undo) == does)


def _taken_back_by(state: CallState, writes: Sequence[CallState], same: Identity) -> CallState | None:
    """Return the undo that ``state`` made void by having its effect once more."""
    if state.undo is None:
        return None
    undo = same(state.undo)
    return _newest(writes, lambda one: same(one.as_admitted) == undo)


def _newest(writes: Sequence[CallState], fits: Callable[[CallState], bool]) -> CallState | None:
    return next((one for one in reversed(writes) if one.status == "ok" and fits(one)), None)


def earlier(run: Run, at: Position, call: ToolCall, same: Identity = identity) -> CallState | None:
    """Return the call before ``at`` that ``call`` repeats, or None.

    One whose effect is unknown comes first, since nothing may be done about it; else the newest.
    A read is repeated by the same read; an effect that was undone, by nothing.
    """
    turn, index = at
    here = (event for event in run.turn(turn).events if not event.name.startswith("call.") or event.index < index)
    before = run.before(turn).with_event(*here)
    reads = [state for state in before.calls if state.effect == "read" and state.status == "ok"]
    stand, sent = (*reads, *standing(before, same).writes), as_sent(run, at, call)
    found = [state for state in stand if asks_the_same(call, sent, state.as_admitted, state.call, same)]
    return max(found, key=lambda state: (state.status in UNKNOWN, position(state)), default=None)


def _disposition(state: CallState) -> str:
    """Return what a rollback does about the effect, as it was recorded before it."""
    if state.planner is Planner.HUMAN:
        return "keep"  # a person decided on it
    return state.on_rollback or ("undo" if state.undo else "keep")


def to_undo(run: Run) -> tuple[CallState, ...]:
    """Return the effects with a recorded undo that nobody undid yet, newest first.

    The rollback's own writes are not among them: an undo is not undone. Neither is what was tried to
    be undone and could not be.
    """
    tried = {made.undoes for made in run.proposals.values() if made.undoes and _ended(run, made.turn)}
    return tuple(
        state
        for state in reversed(run.standing.effects)
        if state.planner is not Planner.ROLLBACK
        and state.status == "ok"
        and state.undo is not None
        and _disposition(state) == "undo"
        and position(state) not in tried
    )


def _ended(run: Run, turn: int) -> bool:
    undo = run.call(turn, 1)
    if undo is None:
        raise LookupError(f"turn {turn} undoes a call and has none")
    return undo.ended


def frozen(run: Run) -> tuple[CallState, ...]:
    """Return the effects that stop a rollback: unknown ones, and those that the playbook leaves to a person."""
    stand = run.standing
    unknown = [state for state in stand.writes if state.status in UNKNOWN]
    left_to_people = [
        state
        for state in stand.effects
        if state.status == "ok" and state.planner is not Planner.ROLLBACK and _disposition(state) == "freeze"
    ]
    return tuple(sorted((*unknown, *left_to_people), key=position))


def effects(run: Run, status: str) -> Effects:
    """Return how the effects of a run that ends with ``status`` ended.

    Only an answer keeps them: where a run breaks off nobody chose what stands.
    """
    stand = run.standing
    if any(state.status in UNKNOWN for state in stand.writes):
        return Effects.FROZEN
    if not stand.effects:
        return Effects.UNDONE if run.committed else Effects.NONE
    gave_up = status != "answered" or _last_rollback(run) in (
        ExitReason.EFFECT_FROZEN,
        ExitReason.ROLLBACK_INCOMPLETE,
    )
    return Effects.FROZEN if gave_up else Effects.KEPT


def ended_effects(run: Run) -> Effects | None:
    """Return how the effects ended by ``run.ended``; None where there is none, or it does not say.

    A run may be cut while a write begins: then the ending was written by who did not see it yet.
    """
    ended = run.ending
    if not isinstance(ended, RunEnded) or ended.effects is None:
        return None
    if ended.status != "answered" and effects(run, ended.status) is Effects.FROZEN:
        return Effects.FROZEN
    return ended.effects


def _last_rollback(run: Run) -> ExitReason | None:
    """Return why the rollback last gave the run away."""
    over = [
        made.decision.reason
        for _, made in sorted(run.proposals.items())
        if made.planner is Planner.ROLLBACK and isinstance(made.decision, HandOver)
    ]
    return over[-1] if over else None
