"""The smallest case that still shows a defect: turns, then calls within a turn, then fields of the request. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ballast.contracts.wire import canonical
from localcloud.capture.case import Case
from localcloud.capture.shrink import NoMoreTries, ddmin

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

    def _fewer(self, name: str, parts: Sequence[Any]) -> None:
        """Shrink one list of the case."""
        base = self.best

        def holds(kept: Sequence[Any]) -> bool:
            fields: dict[str, Any] = {name: tuple(kept)}
            return self._holds(replace(base, **fields))

        ddmin(parts, holds)

    def _steps(self) -> None:
        base = self.best
        # A script needs a step; a closing reply is one.
        ddmin(base.steps, lambda kept: bool(kept or base.closing) and self._holds(replace(base, steps=tuple(kept))))

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
        for name in ("usage", "latency_ms"):
            steps = tuple({key: value for key, value in step.items() if key != name} for step in self.best.steps)
            if steps != self.best.steps:
                self._holds(replace(self.best, steps=steps))
        self._fewer("tools", self.best.tools)
        self._fewer("people", self.best.people)
        for name in ("limits", "intent", "tenant", "agent", "context"):
            if name in self.best.request:
                kept = {key: value for key, value in self.best.request.items() if key != name}
                self._holds(replace(self.best, request=kept))
        base = self.best
        for name in ("context", "limits"):
            if len(facts := dict(base.request.get(name, {}))) > 1:

                def fewer(
                    kept: Sequence[str], name: str = name, base: Case = base, facts: dict[str, Any] = facts
                ) -> bool:
                    told = {one: facts[one] for one in kept}
                    return bool(kept) and self._holds(replace(base, request={**base.request, name: told}))

                ddmin(list(facts), fewer)
                base = self.best
