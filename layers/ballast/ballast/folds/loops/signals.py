"""Counters of a run's calls, one for each signal.

Each counter takes the calls one by one, in their order, and compares each with a bounded number of others. Counters
hold persistent mappings, so that a copy (``forked``) is cheap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, replace
from typing import Any

from ballast.contracts.wire import canonical
from ballast.folds.append_only import PersistentDict
from ballast.folds.loops.similarity import Search
from ballast.values import dataclass

#: (turn, index) of a call.
Position = tuple[int, int]

LONGEST_CYCLE = 4
#: Number of the tool's newest searches that a search is compared with.
_COMPARED_SEARCHES = 8
#: Equal results with less JSON than this many characters mean nothing, except for a search.
_TELLING_CHARS = 80


@dataclass(frozen=True)
class Chain:
    """Repeated calls: their number, the first, and one whose recorded answer may be given again."""

    first: Position
    count: int = 1
    answered: Position | None = None

    @property
    def longer(self) -> Chain:
        """The chain with one more call."""
        return replace(self, count=self.count + 1)


@dataclass
class Repeats:
    """Repeats of the same call."""

    _seen: PersistentDict[str, Chain] = field(default_factory=PersistentDict)

    def see(self, key: str, at: Position) -> Chain:
        """Count a proposed call and return its chain."""
        chain = self._seen.get(key)
        chain = Chain(at) if chain is None else chain.longer
        self._seen = self._seen.with_more({key: chain})
        return chain

    def answer(self, key: str, at: Position) -> None:
        """Let the same call be answered with the recorded result of the call at ``at``."""
        if chain := self._seen.get(key):
            self._seen = self._seen.with_more({key: replace(chain, answered=chain.answered or at)})

    def age(self) -> None:
        """Forget the recorded answers: time has passed."""
        self._seen = PersistentDict({key: replace(chain, answered=None) for key, chain in self._seen.items()})

    def forked(self) -> Repeats:
        """Return an independent copy."""
        return Repeats(self._seen)


@dataclass(frozen=True)
class _Step:
    """One call of a cycle; ``outcome`` is None until it is known."""

    key: str
    tool: str
    at: Position
    outcome: Any = None
    wrote: bool = False


@dataclass(frozen=True)
class Lap:
    """A cycle: the laps completed before this call, its first call, its tools, and whether any of them wrote."""

    laps: int
    first: Position
    tools: frozenset[str]
    writes: bool


@dataclass
class Cycles:
    """Cycles: two to four calls, repeated in the same order with the same outcomes.

    Writes do not end a cycle; they may be part of it. From call number ``_since[p]`` on, each call equals the one ``p``
    before it.
    """

    _steps: PersistentDict[int, _Step] = field(default_factory=PersistentDict)
    _number: PersistentDict[Position, int] = field(default_factory=PersistentDict)
    _since: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(2, LONGEST_CYCLE + 1), 0))
    _next: int = 0

    def see(self, key: str, tool: str, at: Position) -> Lap | None:
        """Count a proposed call; return the shortest cycle of at least two laps that it continues, if any."""
        now = self._next
        self._next += 1
        self._steps = self._steps.with_more({now: _Step(key, tool, at)})
        self._number = self._number.with_more({at: now})
        for period, since in self._since.items():
            before = self._steps.get(now - period)
            if before is None or before.key != key:
                self._since[period] = max(since, now - period + 1)
        return next(self._laps(now), None)

    def _laps(self, now: int) -> Iterator[Lap]:
        for period, since in self._since.items():
            laps = (now - since) // period
            if laps < 2:
                continue
            lap = [self._steps[number] for number in range(now - period, now)]
            if len({step.key for step in lap}) > 1:  # else it is the same call
                tools = frozenset(step.tool for step in lap)
                yield Lap(laps, self._steps[since].at, tools, any(step.wrote for step in lap))

    def settle(self, at: Position, outcome: Any, *, wrote: bool) -> None:
        """Record the outcome of a call; an outcome that differs from the lap before ends the cycle."""
        now = self._number[at]
        self._steps = self._steps.with_more({now: replace(self._steps[now], outcome=outcome, wrote=wrote)})
        for period, since in self._since.items():
            before = self._steps.get(now - period)
            if before and before.outcome is not None and outcome is not None and before.outcome != outcome:
                self._since[period] = max(since, now - period + 1)

    def forked(self) -> Cycles:
        """Return an independent copy."""
        return Cycles(self._steps, self._number, dict(self._since), self._next)


#: The newest texts about one thing, each with its chain.
_Said = tuple[tuple[Search, Chain], ...]


def _longer(said: _Said, chain: Chain) -> tuple[_Said, Chain]:
    """Return ``said`` with the chain one call longer wherever it occurs, and the longer chain."""
    longer = chain.longer
    return tuple((search, longer if one is chain else one) for search, one in said), longer


@dataclass
class Searches:
    """Nearly equal searches, by tool and by the call without its free text."""

    _recent: PersistentDict[str, _Said] = field(default_factory=PersistentDict)

    def see(self, search: Search, at: Position) -> Chain:
        """Count a proposed search, and return the chain of the searches that it resembles."""
        recent = self._recent.get(search.rest, ())
        for earlier, chain in reversed(recent):
            if search.resembles(earlier):
                recent, longer = _longer(recent, chain)
                added = ((search, longer),) if search.words != earlier.words else ()
                self._keep(search, (*recent, *added))
                return longer
        chain = Chain(at)
        self._keep(search, (*recent, (search, chain)))
        return chain

    def _keep(self, search: Search, recent: _Said) -> None:
        self._recent = self._recent.with_more({search.rest: recent[-_COMPARED_SEARCHES:]})

    def forked(self) -> Searches:
        """Return an independent copy."""
        return Searches(self._recent)


@dataclass(frozen=True)
class Written:
    """Writes about the same things: all of them, and the newest ones by similar words."""

    all: Chain
    alike: _Said = ()

    def resembling(self, said: Search) -> Chain | None:
        """Return the chain of the writes with similar words; None if there is none."""
        return next((chain for earlier, chain in reversed(self.alike) if said.resembles(earlier)), None)


@dataclass
class Writes:
    """Completed writes of one tool about the same things; other writes in between do not end the chain."""

    _done: PersistentDict[str, Written] = field(default_factory=PersistentDict)

    def see(self, said: Search | None) -> tuple[Chain, int] | None:
        """Return the chain that a proposed call continues, including it, and the number with similar words.

        None if nothing was written about the same things.
        """
        done = self._done.get(said.rest) if said is not None else None
        if said is None or done is None:
            return None
        alike = done.resembling(said)
        return Chain(done.all.first, done.all.count + 1), 1 + (alike.count if alike else 0)

    def happened(self, said: Search | None, at: Position) -> None:
        """Count a write that happened."""
        if said is None:
            return
        done = self._done.get(said.rest)
        done = Written(Chain(at)) if done is None else replace(done, all=done.all.longer)
        alike, chain = done.alike, done.resembling(said)
        if chain is None:
            chain = Chain(at)
        else:
            alike, chain = _longer(alike, chain)
        done = replace(done, alike=(*alike, (said, chain))[-_COMPARED_SEARCHES:])
        self._done = self._done.with_more({said.rest: done})

    def forked(self) -> Writes:
        """Return an independent copy."""
        return Writes(self._done)


@dataclass
class Errors:
    """Errors of one class in a row, by tool. Lasting errors are about the call's form: no write changes them."""

    _rows: dict[str, tuple[str, Chain, bool]] = field(default_factory=dict)

    def see(self, tool: str, kind: str, at: Position, *, lasting: bool) -> Chain:
        """Count an error, and return its chain."""
        known, chain, lasts = self._rows.get(tool, ("", Chain(at), False))
        self._rows[tool] = (kind, chain.longer, lasts) if known == kind else (kind, Chain(at), lasting)
        return self._rows[tool][1]

    def succeed(self, tool: str) -> None:
        """End the row: a call of the tool succeeded."""
        self._rows.pop(tool, None)

    def written(self) -> None:
        """Keep only lasting errors: something was written."""
        self._rows = {tool: row for tool, row in self._rows.items() if row[2]}

    def forked(self) -> Errors:
        """Return an independent copy."""
        return Errors(dict(self._rows))


@dataclass
class Results:
    """Different calls in a row with the same result, by tool."""

    _rows: dict[str, tuple[Any, frozenset[str], Chain]] = field(default_factory=dict)

    def see(self, tool: str, key: str, result: Any, at: Position, *, searches: bool) -> Chain:
        """Count the result of a read, and return its chain; results too short to compare have a count of one."""
        known, keys, chain = self._rows.get(tool, (None, frozenset(), Chain(at)))
        if result in (None, "") or not keys or known != result:
            self._rows[tool] = (result, frozenset((key,)), Chain(at))
        elif key not in keys and (searches or len(canonical(result)) >= _TELLING_CHARS):
            self._rows[tool] = (known, keys | {key}, chain.longer)
        return self._rows[tool][2]

    def forked(self) -> Results:
        """Return an independent copy."""
        return Results(dict(self._rows))
