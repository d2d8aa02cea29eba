"""Read the log as a sequence of calls and led it down the ladder."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ballast.contracts import Event, Planner, ToolCall
from ballast.folds.calls import CallState, calls
from ballast.folds.despair.ladder import Kind, Ladder, Rung, Sign, rung_of, rung_of_spiral
from ballast.folds.despair.memory import Cycles, Errors, Position, Repeats, Results, Searches, Writes
from ballast.folds.despair.resemblance import Search, error_class, search_of, target_of
from ballast.folds.effects import Identity
from ballast.folds.sameness import identity

Target = Callable[[ToolCall], Search | None]
#: What the executor records where it obeyed; such a call had no outcome of its own.
FORBIDDEN = "ToolForbidden"
#: Of two signals at one call that lead as far, the one that says more.
_TELLING = {Kind.CYCLE: 3, Kind.SAME_CALL: 2, Kind.NEAR_EQUAL: 1, Kind.SPIRAL: 0, Kind.OTHER_WORDS: -1}
#: Errors of a call's form: whatever is written, the same call is refused again.
_LASTING = frozenset({"UnknownTool", "MalformedArguments", "SchemaViolation"})


@dataclass(frozen=True)
class Despair:
    """The verdict over a run.

    rung       the lowest one since anything changed; ``LOOP`` asks the agent to hand over
    signs      by (turn, index) of the call; calls without a signal are not there
    forbidden  the tools that may not be called now, and why
    loop       the call at which it was clear that the agent goes round in circles
    """

    rung: Rung
    signs: Mapping[Position, Sign]
    forbidden: Mapping[str, Sign]
    loop: Position | None


def despair(
    events: Sequence[Event],
    *,
    polled: Collection[str] = (),
    same: Identity = identity,
    target: Target = target_of,
) -> Despair:
    """Return the verdict over ``events``.

    polled  tools that may ask the same again and again
    same    tells equal calls
    target  says what a call writes about (``rest``), and in which words: such calls are counted
    """
    watch = _watched(events, polled, same, target)
    return Despair(watch.ladder.rung, watch.signs, watch.ladder.forbidden, watch.ladder.loop)


def verdicts(
    events: Sequence[Event],
    turn: int,
    proposed: Sequence[ToolCall],
    *,
    polled: Collection[str] = (),
    same: Identity = identity,
    target: Target = target_of,
) -> Mapping[int, Sign]:
    """Return what is to be done about the calls that the agent proposes in ``turn``, by position, counted from 1.

    ``events`` is the log before them. Calls without a signal are not there.
    """
    watch = _watched(events, polled, same, target)
    signs = {index: watch.propose((turn, index), call) for index, call in enumerate(proposed, start=1)}
    return {index: sign for index, sign in signs.items() if sign is not None}


def _watched(events: Sequence[Event], polled: Collection[str], same: Identity, target: Target) -> "_Watch":
    """Whatever people answer lets the count begin anew: there is something new to know, and time has passed."""
    by_turn: dict[int, list[CallState]] = {}
    for state in calls(events):
        by_turn.setdefault(state.turn, []).append(state)
    answered = {event.turn for event in events if event.name == "escalation.answered"}
    approved = {event.turn for event in events if event.name == "call.approval_answered"}
    watch = _Watch(frozenset(polled), same, target)
    for turn in sorted(by_turn.keys() | answered):
        if turn in answered:
            watch = _Watch(watch.polled, same, target, signs=watch.signs)
        states = by_turn.get(turn, [])
        for state in states:
            if state.planner is Planner.AGENT:
                watch.propose((turn, state.index), state.call)
        if turn in approved:
            watch.repeats.age()
        # Outcomes count when the turn is complete: they have no order before.
        if all(state.ended for state in states):
            for state in states:
                watch.settle(state)
    return watch


@dataclass
class _Watch:
    """The memories and the ladder since anything was last answered by people."""

    polled: frozenset[str]
    same: Identity
    target: Target
    signs: dict[Position, Sign] = field(default_factory=dict)
    asked: dict[Position, tuple[str, Search | None]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    ladder: Ladder = field(default_factory=Ladder)
    repeats: Repeats = field(default_factory=Repeats)
    cycles: Cycles = field(default_factory=Cycles)
    searches: Searches = field(default_factory=Searches)
    errors: Errors = field(default_factory=Errors)
    results: Results = field(default_factory=Results)
    writes: Writes = field(default_factory=Writes)

    def _key(self, call: ToolCall) -> str:
        """Return what equal calls share. What is sent twice is one call, whatever its tool makes of it each time."""
        sent = identity(call)
        if sent not in self.keys:
            self.keys[sent] = self.same(call)
        return self.keys[sent]

    def propose(self, at: Position, call: ToolCall) -> Sign | None:
        """Take note of a proposed call and return its signal, if it has one."""
        if call.tool in self.polled:
            return None
        key, search = self.asked[at] = self._key(call), search_of(call)
        same = self.repeats.see(key, at)
        lap = self.cycles.see(key, call.tool, at)
        near = self.searches.see(search, at) if search else None
        found = [Sign(Kind.SAME_CALL, rung_of(Kind.SAME_CALL, same.count), same.count, same.answered or same.first)]
        if lap:
            found.append(Sign(Kind.CYCLE, rung_of(Kind.CYCLE, lap.laps + (not lap.writes)), lap.laps + 1, lap.first))
        if near:
            found.append(Sign(Kind.NEAR_EQUAL, rung_of(Kind.NEAR_EQUAL, near.count), near.count, near.first))
        alike = 0
        if again := self.writes.see(self.target(call)):
            written, alike = again
            kind, rung = rung_of_spiral(written.count, alike)
            found.append(Sign(kind, rung, alike if kind is Kind.SPIRAL else written.count, written.first))
        sign = max(found, key=lambda one: (one.rung, _TELLING[one.kind]))
        if sign.kind is Kind.SAME_CALL:
            sign = replace(sign, answer=same.answered is not None)
        why = self.ladder.defy(
            call.tool, at, repeats=same.count > 1 or alike > 1 or (near is not None and near.count > 1)
        )
        if why:
            return self._noted(at, replace(why, rung=Rung.FORBID, answer=False))
        if sign.kind is Kind.OTHER_WORDS:  # it leads nowhere, and is no warning of what another signal leads to
            return self._noted(at, sign)
        in_cycle = lap if sign.kind is Kind.CYCLE else None
        besides, lasts = (in_cycle.tools, in_cycle.writes) if in_cycle else ((), sign.kind is Kind.SPIRAL)
        return self._noted(at, self.ladder.climb(call.tool, at[0], sign, besides=besides, lasts=lasts))

    def settle(self, state: CallState) -> None:
        """Take note of what came of a call, whoever proposed it."""
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
        sign = Sign(kind, rung_of(kind, count), count, first)
        self._noted(at, self.ladder.climb(tool, at[0], sign, lasts=lasts))

    def _noted(self, at: Position, sign: Sign) -> Sign | None:
        if sign.rung is Rung.NONE:
            return None
        known = self.signs.get(at)
        if known is None or known.rung < sign.rung:
            self.signs[at] = sign
        return sign

    def _written(self) -> None:
        self.repeats, self.searches, self.results = Repeats(), Searches(), Results()
        self.errors.written()
        self.ladder.written()
