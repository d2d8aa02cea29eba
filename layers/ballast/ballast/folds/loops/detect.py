"""Detect loops: fold a run's calls into signals, and the signals into rungs of the ladder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING

from ballast.contracts import Planner, ToolCall
from ballast.folds.append_only import PersistentDict
from ballast.folds.calls import Identity, identity
from ballast.folds.loops.ladder import Kind, Ladder, Rung, Signal, rung_of, rung_of_spiral
from ballast.folds.loops.signals import Cycles, Errors, Position, Repeats, Results, Searches, Writes
from ballast.folds.loops.similarity import Search, error_class, search_of, target_of
from ballast.log.events import ApprovalAnswered, EscalationAnswered
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.folds.calls import CallState
    from ballast.run import Run, Turn

Target = Callable[[ToolCall], Search | None]
#: The error that the executor records for a call of a forbidden tool.
FORBIDDEN = "ToolForbidden"
#: Of two signals at one call with the same rung, the more specific one is used.
_PRECEDENCE = {Kind.CYCLE: 3, Kind.SAME_CALL: 2, Kind.NEAR_EQUAL: 1, Kind.SPIRAL: 0, Kind.OTHER_WORDS: -1}
#: Errors of a call's form: no write changes them.
_LASTING = frozenset({"UnknownTool", "MalformedArguments", "SchemaViolation"})


@dataclass(frozen=True)
class Loops:
    """The loops in a run.

    rung       the highest rung since the last write; at ``LOOP`` the agent hands over
    signals    by (turn, index) of the call; calls without a signal are left out
    forbidden  the tools that may not be called now, each with its signal
    loop       the call at which the agent ignored the last ban
    """

    rung: Rung
    signals: Mapping[Position, Signal]
    forbidden: Mapping[str, Signal]
    loop: Position | None


def detect(
    run: Run,
    *,
    polled: Collection[str] = (),
    same: Identity = identity,
    target: Target = target_of,
    remember: Hashable = None,
) -> Loops:
    """Return the loops in the run.

    polled    tools that may be called with the same arguments any number of times
    same      the identity of a call
    target    the subject of a write (``rest``) and its words; None for any other call
    remember  the name under which the run keeps the fold's value; a name implies ``polled``, ``same`` and ``target``
    """
    detector = _detector(run, _Detector(frozenset(polled), same, target), remember)
    return Loops(detector.ladder.rung, detector.signals, detector.ladder.forbidden, detector.ladder.loop)


def detect_proposed(
    run: Run,
    turn: int,
    proposed: Sequence[ToolCall],
    *,
    polled: Collection[str] = (),
    same: Identity = identity,
    target: Target = target_of,
    remember: Hashable = None,
) -> Mapping[int, Signal]:
    """Return the signals at the calls that the agent proposes in ``turn``, by index from 1.

    ``run`` is the run before them; the rest is as in ``detect``. Calls without a signal are left out.
    """
    detector = _detector(run, _Detector(frozenset(polled), same, target), remember).forked()
    signals = {index: detector.propose((turn, index), call) for index, call in enumerate(proposed, start=1)}
    return {index: signal for index, signal in signals.items() if signal is not None}


def _detector(run: Run, detector: _Detector, remember: Hashable) -> _Detector:
    if remember is not None:
        return run.over_turns(remember, detector, _after)
    for turn in run.turns.values():
        detector = _after(detector, turn)
    return detector


def _after(before: _Detector, turn: Turn) -> _Detector:
    """Return the detector after one more turn.

    A person's answer resets the counts: the agent has new information, and time has passed.
    """
    detector = before.forked()
    if EscalationAnswered.NAME in turn.by_name:
        detector = _Detector(detector.polled, detector.same, detector.target, signals=detector.signals)
    for state in turn.calls:
        if state.planner is Planner.AGENT:
            detector.propose(state.position, state.call)
    if turn.calls and ApprovalAnswered.NAME in turn.by_name:
        detector.repeats.age()
    # Outcomes count once the turn is complete: until then they have no order.
    if all(state.ended for state in turn.calls):
        for state in turn.calls:
            detector.settle(state)
    return detector


@dataclass
class _Detector:
    """The counts and the ladder since a person's last answer."""

    polled: frozenset[str]
    same: Identity
    target: Target
    signals: PersistentDict[Position, Signal] = field(default_factory=PersistentDict)
    asked: PersistentDict[Position, tuple[str, Search | None]] = field(default_factory=PersistentDict)
    #: Shared by all copies: the identity of a call never changes.
    keys: dict[str, str] = field(default_factory=dict)
    ladder: Ladder = field(default_factory=Ladder)
    repeats: Repeats = field(default_factory=Repeats)
    cycles: Cycles = field(default_factory=Cycles)
    searches: Searches = field(default_factory=Searches)
    errors: Errors = field(default_factory=Errors)
    results: Results = field(default_factory=Results)
    writes: Writes = field(default_factory=Writes)

    def forked(self) -> _Detector:
        """Return an independent copy."""
        return replace(
            self,
            ladder=self.ladder.forked(),
            repeats=self.repeats.forked(),
            cycles=self.cycles.forked(),
            searches=self.searches.forked(),
            errors=self.errors.forked(),
            results=self.results.forked(),
            writes=self.writes.forked(),
        )

    def _key(self, call: ToolCall) -> str:
        """Return the identity of a call. Equal arguments are one call, even if a validator changes them each time."""
        sent = identity(call)
        if sent not in self.keys:
            self.keys[sent] = self.same(call)
        return self.keys[sent]

    def propose(self, at: Position, call: ToolCall) -> Signal | None:
        """Count a proposed call, and return its signal; None if it has none."""
        if call.tool in self.polled:
            return None
        key, search = self._key(call), search_of(call)
        self.asked = self.asked.with_more({at: (key, search)})
        same = self.repeats.see(key, at)
        lap = self.cycles.see(key, call.tool, at)
        near = self.searches.see(search, at) if search else None
        found = [Signal(Kind.SAME_CALL, rung_of(Kind.SAME_CALL, same.count), same.count, same.answered or same.first)]
        if lap:
            found.append(Signal(Kind.CYCLE, rung_of(Kind.CYCLE, lap.laps + (not lap.writes)), lap.laps + 1, lap.first))
        if near:
            found.append(Signal(Kind.NEAR_EQUAL, rung_of(Kind.NEAR_EQUAL, near.count), near.count, near.first))
        alike = 0
        if again := self.writes.see(self.target(call)):
            written, alike = again
            kind, rung = rung_of_spiral(written.count, alike)
            found.append(Signal(kind, rung, alike if kind is Kind.SPIRAL else written.count, written.first))
        signal = max(found, key=lambda one: (one.rung, _PRECEDENCE[one.kind]))
        if signal.kind is Kind.SAME_CALL:
            signal = replace(signal, answer=same.answered is not None)
        why = self.ladder.refusal_of(
            call.tool, at, repeats=same.count > 1 or alike > 1 or (near is not None and near.count > 1)
        )
        if why:
            return self._noted(at, replace(why, rung=Rung.FORBID, answer=False))
        if signal.kind is Kind.OTHER_WORDS:  # it forbids nothing, so it is not a warning for other signals
            return self._noted(at, signal)
        in_cycle = lap if signal.kind is Kind.CYCLE else None
        besides, lasts = (in_cycle.tools, in_cycle.writes) if in_cycle else ((), signal.kind is Kind.SPIRAL)
        return self._noted(at, self.ladder.climb(call.tool, at[0], signal, besides=besides, lasts=lasts))

    def settle(self, state: CallState) -> None:
        """Count the outcome of a call, of any planner."""
        at, tool = (state.turn, state.index), state.call.tool
        wrote = state.effect == "write" and state.status in ("ok", "unknown")
        watched = state.planner is Planner.AGENT and tool not in self.polled
        if wrote and watched and state.repeat_of is None:
            self.writes.happened(self.target(state.call), at)
        if watched and state.error != FORBIDDEN:
            self._learn(state, at, tool, wrote=wrote)
        if wrote:
            self._written()

    def _learn(self, state: CallState, at: Position, tool: str, *, wrote: bool) -> None:
        key, search = self.asked[at]
        failed = state.status in ("failed", "refused")
        kind = error_class(state.error, state.message) if failed else ""
        self.cycles.settle(at, (state.status, kind or state.result), wrote=wrote)
        if failed:
            lasting = state.error in _LASTING
            row = self.errors.see(tool, kind, at, lasting=lasting)
            self._after(Kind.SAME_ERROR, row.count, row.first, at, tool, lasts=lasting)
        elif state.status == "ok":
            self.errors.succeed(tool)
            if state.effect == "read":  # not one that was answered from the log
                self.repeats.answer(key, at)
                row = self.results.see(tool, key, state.result, at, searches=search is not None)
                self._after(Kind.UNCHANGED, row.count, row.first, at, tool, lasts=False)

    def _after(self, kind: Kind, count: int, first: Position, at: Position, tool: str, *, lasts: bool) -> None:
        signal = Signal(kind, rung_of(kind, count), count, first)
        self._noted(at, self.ladder.climb(tool, at[0], signal, lasts=lasts))

    def _noted(self, at: Position, signal: Signal) -> Signal | None:
        if signal.rung is Rung.NONE:
            return None
        known = self.signals.get(at)
        if known is None or known.rung < signal.rung:
            self.signals = self.signals.with_more({at: signal})
        return signal

    def _written(self) -> None:
        self.repeats, self.searches, self.results = Repeats(), Searches(), Results()
        self.errors.written()
        self.ladder.written()
