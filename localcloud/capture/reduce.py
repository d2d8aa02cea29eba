"""The smallest case that still shows a defect: turns, then calls within a turn, then answers and doubles. Pure."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ballast.contracts.wire import canonical
from localcloud.capture.case import Case

One = TypeVar("One")


class NoMoreTries(Exception):
    """The bound of tries is reached."""


def ddmin(parts: Sequence[One], holds: Callable[[Sequence[One]], bool]) -> list[One]:
    """Return a part of ``parts`` from which nothing can be left out, for which ``holds`` as for the whole.

    Zeller's and Hildebrandt's ddmin, with the empty list tried first: complements of ever smaller pieces are tried
    until leaving out any single part makes the property fail. ``holds(parts)`` must be true, and is not asked again.
    """
    kept = list(parts)
    if not kept or holds([]):
        return []
    pieces = 2
    while len(kept) > 1:
        size = -(-len(kept) // pieces)
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            if rest and holds(rest):
                kept, pieces = rest, max(pieces - 1, 2)
                break
        else:
            if size == 1:
                break
            pieces = min(pieces * 2, len(kept))
    return kept


#: A candidate, to whether it still shows the defect.
Shows = Callable[[Case], bool]
#: Told after each try: the number of the try, and the best case so far.
Tell = Callable[[int, Case], None]


class Reduction:
    """Shrinks one case. ``best`` is the smallest case so far that shows the defect; ``tries`` counts the plays."""

    def __init__(self, case: Case, shows: Shows, *, most: int, tell: Tell = lambda _number, _best: None) -> None:
        self.best, self.tries, self.is_cut_short = case, 0, False
        self._shows, self._most, self._tell = shows, most, tell
        self._known: dict[str, bool] = {}

    def run(self) -> Case:
        """Return the smallest case that was found; also where the tries are used up, or at Ctrl-C."""
        try:
            self._steps()
            self._calls()
            self._fields()
        except (NoMoreTries, KeyboardInterrupt):
            self.is_cut_short = True
        return self.best

    def _holds(self, case: Case) -> bool:
        key = canonical([case.document({}, ""), list(case.turns)])
        if key not in self._known:
            if self.tries >= self._most:
                raise NoMoreTries
            self.tries += 1
            self._known[key] = self._shows(case)
            if self._known[key]:
                self.best = case
            self._tell(self.tries, self.best)
        return self._known[key]

    def _steps(self) -> None:
        base = self.best
        ddmin(base.steps, lambda kept: bool(kept) and self._holds(replace(base, steps=tuple(kept))))

    def _calls(self) -> None:
        for at in range(len(self.best.steps)):
            base = self.best
            calls = base.steps[at].get("call", ())
            if len(calls) > 1:

                def fewer(kept: Sequence[Any], at: int = at, base: Case = base) -> bool:
                    steps = [*base.steps]
                    steps[at] = {**steps[at], "call": list(kept)}
                    return bool(kept) and self._holds(replace(base, steps=tuple(steps)))

                ddmin(calls, fewer)

    def _fields(self) -> None:
        """Leave out what the defect does not need: all at once if it needs none.

        The request stays whole: by intent, tenant, agent, limits, sender and facts a fix may decide otherwise.
        """
        base = self.best
        counted = [("usage", 0)] if any("usage" in step for step in base.steps) else []
        people = [("people", at) for at in range(len(base.people))]
        tools = [("tools", at) for at in range(len(base.tools))]
        ddmin([*counted, *people, *tools], lambda kept: self._holds(_with_fields(base, {*kept})))


def _with_fields(base: Case, kept: Container[tuple[str, int]]) -> Case:
    """Return the case with those of its optional parts only: a part's name, and which of several it is."""
    steps = base.steps
    if ("usage", 0) not in kept:
        steps = tuple({name: value for name, value in step.items() if name != "usage"} for step in steps)
    people = tuple(one for at, one in enumerate(base.people) if ("people", at) in kept)
    tools = tuple(one for at, one in enumerate(base.tools) if ("tools", at) in kept)
    return replace(base, steps=steps, people=people, tools=tools)
