"""Effects: the writes in force, their repeats, the undos of a rollback, and the money that writes moved.

An effect is in force from its intent until another call undoes it. An undo is also an effect, and repeating the first
call cancels it: cancel, reinstate, cancel leaves one cancellation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Literal

from ballast.contracts import Effects, ExitReason, HandOver, Planner, ToolCall
from ballast.folds.append_only import PersistentDict
from ballast.folds.calls import CallState, Identity, as_sent, identity
from ballast.log.events import CallIntended, RunEnded
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.run import Run, Turn


Position = tuple[int, int]
#: Statuses of a write that may have happened.
UNKNOWN = ("unknown", "intended")


@dataclass(frozen=True)
class Standing:
    """The writes in force, in the order of the work.

    undoing  the positions of those that undid another write
    """

    writes: tuple[CallState, ...]
    undoing: frozenset[Position]

    @property
    def effects(self) -> tuple[CallState, ...]:
        """The writes that did not undo another write."""
        return tuple(state for state in self.writes if state.position not in self.undoing)


def standing(run: Run, same: Identity = identity) -> Standing:
    """Return the writes that happened, or may have happened, and are not undone. ``same``: identity of calls."""
    stands = _standing(run, same)
    return Standing(tuple(stands.writes.values()), stands.undoing)


def _standing(run: Run, same: Identity = identity) -> _Stands:
    return run.over_turns(("standing", same), _Stands(same), _Stands.after)


@dataclass(frozen=True)
class _Stands:
    """The writes in force after some turns, by position, with indexes.

    undone_by   writes that happened, by the identity of the call that undoes them, oldest first
    asking      writes that happened, by the identity of their call
    asked       all writes, by the keys of their call
    undoable    writes that a rollback undoes
    stopping    writes that stop a rollback
    """

    same: Identity
    writes: Mapping[Position, CallState] = field(default_factory=dict)
    undoing: frozenset[Position] = frozenset()
    undone_by: PersistentDict[str, tuple[Position, ...]] = field(default_factory=PersistentDict)
    asking: PersistentDict[str, tuple[Position, ...]] = field(default_factory=PersistentDict)
    asked: PersistentDict[_Key, tuple[Position, ...]] = field(default_factory=PersistentDict)
    undoable: Mapping[Position, CallState] = field(default_factory=dict)
    stopping: Mapping[Position, CallState] = field(default_factory=dict)

    def after(self, turn: Turn) -> _Stands:
        """Return the writes in force after one more turn."""
        stands = self
        for state in turn.committed:
            stands = stands._with(state, turn.proposal.undoes if turn.proposal is not None else None)
        return stands

    def _with(self, state: CallState, marked: Position | None) -> _Stands:
        at, ok = state.position, state.status == "ok"
        does = self.same(state.as_admitted) if ok else ""
        undo = self.same(state.undo) if ok and state.undo is not None else None
        stands = self
        if ok:
            # The undone effect: the one that the rollback names, or the newest with that undo.
            by_rollback = marked is not None and state.planner is Planner.ROLLBACK
            undone = self._named(marked) if by_rollback else self._newest(self.undone_by.get(does, ()))
            if undone is not None:
                stands = replace(stands._without(undone), undoing=stands.undoing | {at})
            # The earlier undo that this write cancels, because it repeats the undone effect.
            taken_back = stands._newest(stands.asking.get(undo, ())) if undo is not None else None
            if taken_back is not None:
                stands = stands._without(taken_back)
        is_undo = at in stands.undoing
        return replace(
            stands,
            writes={**stands.writes, at: state},
            asking=_adding(stands.asking, does, at) if ok else stands.asking,
            asked=stands.asked.with_more({key: (*stands.asked.get(key, ()), at) for key in _keys(state, self.same)}),
            undone_by=_adding(stands.undone_by, undo, at) if undo is not None else stands.undone_by,
            undoable={**stands.undoable, at: state} if not is_undo and _is_undoable(state) else stands.undoable,
            stopping={**stands.stopping, at: state} if _stops(state, is_undo=is_undo) else stands.stopping,
        )

    def _named(self, at: Position | None) -> Position | None:
        return at if at is not None and at in self.writes and self.writes[at].status == "ok" else None

    def _newest(self, candidates: Sequence[Position]) -> Position | None:
        return next((at for at in reversed(candidates) if at in self.writes), None)

    def _without(self, at: Position) -> _Stands:
        writes, undoable, stopping = (_but(some, at) for some in (self.writes, self.undoable, self.stopping))
        return replace(self, writes=writes, undoable=undoable, stopping=stopping)


def _but(states: Mapping[Position, CallState], at: Position) -> Mapping[Position, CallState]:
    left = dict(states)
    left.pop(at, None)
    return left


_Found = PersistentDict[str, tuple[Position, ...]]


def _adding(found: _Found, key: str, at: Position) -> _Found:
    return found.with_more({key: (*found.get(key, ()), at)})


def _is_undoable(state: CallState) -> bool:
    by_rollback = state.planner is Planner.ROLLBACK
    return not by_rollback and state.status == "ok" and state.undo is not None and _disposition(state) == "undo"


def _stops(state: CallState, *, is_undo: bool) -> bool:
    if state.status in UNKNOWN:
        return True
    by_rollback = state.planner is Planner.ROLLBACK
    return not is_undo and not by_rollback and state.status == "ok" and _disposition(state) == "freeze"


def earlier(run: Run, at: Position, call: ToolCall, same: Identity = identity) -> CallState | None:
    """Return the call before ``at`` that ``call`` repeats; None if there is none.

    Of several, one with an unknown effect is returned, since it blocks the repeat; else the newest. An undone effect
    may be repeated.
    """
    turn, index = at
    here = (event for event in run.turn(turn).events if not event.name.startswith("call.") or event.index < index)
    before = run.before(turn).with_event(*here)
    stands, reads = _standing(before, same), _reads(before, same)
    found: list[CallState] = []
    for key in ((_READ, same(call)), (_SENT, identity(as_sent(run, at, call)))):
        found += [stands.writes[one] for one in stands.asked.get(key, ()) if one in stands.writes]
        found += [reads[key]] if key in reads else []
    return max(found, key=lambda state: (state.status in UNKNOWN, state.position), default=None)


#: The two identities of a call: of its normalized form, and of the form that was sent.
_Key = tuple[str, str]
_READ, _SENT = "read", "sent"


def _keys(state: CallState, same: Identity) -> frozenset[_Key]:
    """Return the keys of a call. Calls that ask for the same share a key, see ``asks_the_same``."""
    sent = {(_SENT, identity(state.as_admitted)), (_SENT, identity(state.call))}
    return frozenset({(_READ, same(state.as_admitted)), *sent})


def _reads(run: Run, same: Identity) -> PersistentDict[_Key, CallState]:
    """Return the newest answered read under each key."""

    def after(before: PersistentDict[_Key, CallState], turn: Turn) -> PersistentDict[_Key, CallState]:
        for state in turn.calls:
            if state.effect == "read" and state.status == "ok":
                before = before.with_more(dict.fromkeys(_keys(state, same), state))
        return before

    return run.over_turns(("reads", same), PersistentDict(), after)


def _disposition(state: CallState) -> str:
    """Return the rollback's rule for the effect: undo, keep or freeze; recorded before the effect."""
    if state.planner is Planner.PERSON:
        return "keep"  # a person decided on it
    return state.on_rollback or ("undo" if state.undo else "keep")


def to_undo(run: Run) -> tuple[CallState, ...]:
    """Return the effects with a recorded undo that are not undone yet, newest first.

    The rollback's own writes are left out, since an undo is not undone. So is an effect whose undo failed.
    """
    tried = run.gathered("tried undos", _tried)
    left = reversed(tuple(_standing(run).undoable.values()))
    return tuple(state for state in left if state.position not in tried) if tried else tuple(left)


def _tried(turn: Turn) -> Iterable[Position]:
    made = turn.proposal
    if made is None or not made.undoes:
        return ()
    undo = next((state for state in turn.calls if state.index == 1), None)
    if undo is None:
        raise LookupError(f"turn {turn.number} undoes a call and has none")
    return (made.undoes,) if undo.ended else ()


def frozen(run: Run) -> tuple[CallState, ...]:
    """Return the effects that stop a rollback: unknown ones, and those that a person must decide on."""
    return tuple(_standing(run).stopping.values())


def effects(run: Run, status: str) -> Effects:
    """Return the state of the effects of a run that ends with ``status``.

    Only an answer keeps effects: if a run is cut off, nobody has decided about its effects.
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
    """Return the state of the effects according to ``run.ended``; None if the event or its field is missing.

    If a run is cut off while a write begins, its ending may not include that write.
    """
    ended = run.ending
    if not isinstance(ended, RunEnded) or ended.effects is None:
        return None
    if ended.status != "answered" and effects(run, ended.status) is Effects.FROZEN:
        return Effects.FROZEN
    return ended.effects


def _last_rollback(run: Run) -> ExitReason | None:
    """Return the reason of the rollback's last hand-over."""
    over = [
        made.decision.reason
        for _, made in sorted(run.proposals.items())
        if made.planner is Planner.ROLLBACK and isinstance(made.decision, HandOver)
    ]
    return over[-1] if over else None


Became = Literal["held", "kept", "returned", "undone"]


@dataclass(frozen=True)
class Moved:
    """One call that moves money. Amounts in micro-units; ``customer`` is an account, not the customer's name."""

    turn: int
    index: int
    micro: int
    customer: str | None
    hour: str
    day: str
    became: Became

    @property
    def counts(self) -> bool:
        """Whether the windows count it."""
        return self.became in ("held", "kept")


def moves(run: Run) -> tuple[Moved, ...]:
    """Return the moves that were begun, in the order of the log."""
    begun = {intended.at: intended.moves for intended in run.facts(CallIntended) if intended.moves is not None}
    if not begun:
        return ()
    stand = {state.position for state in run.standing.writes}
    found = []
    for at, move in begun.items():
        state = run.call(*at)
        became: Became = "held"
        if state is not None and state.status in ("failed", "denied", "refused"):
            became = "returned"
        elif state is not None and state.status == "ok":
            became = "undone" if move.back and at not in stand else "kept"
        found.append(Moved(*at, move.micro, move.customer, move.hour, move.day, became))
    return tuple(found)
