"""The rule ``overlap``: a call loses nothing and doubles nothing while others are at work.

::

    A ─ before a request of A that changes something, a second attempt under its key, whole ─ A goes on
    A ─ before such a request, another program changes the same items elsewhere ─ A goes on
    A ─ another program changes the same items elsewhere ─ the undo of A

The second attempt is made in another process, so that no lock of this one keeps it back. It is what a request that
arrives late is: its attempt's lease is over, and the executor has made another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from cli.certify.elsewhere import Away
from cli.certify.report import Finding
from cli.certify.rig import MARKER, Seen, differences
from cli.certify.sequences import Broken, Honest

#: Most requests of a call before which others are at work.
_MOST_REQUESTS = 4
_SOON_S = 97.0
#: An attribute that only another program knows.
_OTHERS = "written_by_another_program"
_CONDITION = (
    "What was looked at before may be otherwise when the request arrives: let the request itself say so, with a "
    "condition on the key (ctx.write_once), or give the key to the service."
)
_ONE_BY_ONE = (
    "Change attributes one by one (UpdateExpression), or put an item on the condition that it is as it was read; an "
    "undo takes back what its call did, and nothing else."
)


@dataclass(frozen=True)
class _Changed:
    """An item as another program has left it. ``own``: its attributes that the call leaves as they are, if alone."""

    before: Mapping[str, Any]
    now: Mapping[str, Any]
    own: frozenset[str]

    def lost(self, item: Any) -> str:
        """Return which of the other program's changes are lost; "" if most are there."""
        if not isinstance(item, dict):
            return ""
        gone = sorted(name for name in self.own if item.get(name) == self.before.get(name) != self.now.get(name))
        forgotten = _OTHERS not in item
        if len(gone) < len(self.own) or not (forgotten or len(gone) > 1):
            return ""
        name = next(iter(gone), _OTHERS)
        return f"{name}, which it had set to {self.now.get(name)}, is {item.get(name, 'gone')}"


class Overlaps:
    """The rule for one write that has had its effect."""

    def __init__(self, honest: Honest) -> None:
        self._h, self._rig, self._sample, self._tool = honest, honest.rig, honest.sample, honest.sample.tool

    def finding(self) -> Finding:
        """Try it."""
        name, scenario = self._tool.name, self._sample.scenario
        try:
            if self._tool.policy.honours_key:
                self._twice_at_once()
            self._beside_another()
            if self._h.undo is not None:
                self._undone_after_another()
        except Broken as problem:
            return Finding(name, "overlap", "broken", scenario, problem.seen, problem.remedy)
        except Away as problem:
            remedy = "Let the call end, in any process."
            return Finding(name, "overlap", "not tried", scenario, str(problem), remedy, True)
        return Finding(name, "overlap", "held", scenario)

    # A second attempt

    def _held_back(self) -> list[int]:
        """Return the numbers of the requests that change something, from 0."""
        end = self._h.end
        quiet = ("outside.GET", "outside.HEAD")
        sends = [at for at, name in enumerate(end.requests) if name.startswith("outside.") and name not in quiet]
        return sorted({*end.changed_at, *sends})[:_MOST_REQUESTS]

    def _twice_at_once(self) -> None:
        rig, sample = self._rig, self._sample
        if rig.away is None:
            return
        for at in self._held_back():
            rig.fresh(sample.before)
            rig.attempt(sample, meanwhile=(at, lambda: rig.play_away(sample, draw=1)))
            now = rig.seen()
            if (second := differences(self._h.done, now)) and differences(self._of_the_second(), now):
                seen = f"Request {at + 1} arrived after a second attempt under its key had ended, and had a second "
                raise Broken(f"{seen}effect: {second}.", _CONDITION)

    def _of_the_second(self) -> Seen:
        """Return what stands after the second attempt alone: it draws other numbers than the first."""
        self._rig.fresh(self._sample.before)
        self._rig.attempt(self._sample, draw=1)
        return self._rig.seen()

    # Another program

    def _shared(self) -> Iterator[tuple[str, str]]:
        """Yield the table and the name of each item that was there before the call, and that the call changes."""
        for table in sorted(self._rig.tables):
            base, done = self._h.base.get(table, {}), self._h.done.get(table, {})
            for name in base:
                if MARKER not in name and base[name] != done.get(name) and isinstance(done.get(name), dict):
                    yield table, name

    def _beside_another(self) -> None:
        rig, shared = self._rig, list(self._shared())
        requests = self._h.end.requests
        for at in (one for one in self._held_back() if shared and requests[one].startswith("dynamodb.")):
            for others in (_all_of_it, _but_what_it_changes):
                made: dict[tuple[str, str], _Changed] = {}
                rig.fresh(self._sample.before)
                end = rig.attempt(self._sample, meanwhile=(at, partial(self._write, others, made)))
                if end.how == "ok":
                    self._nothing_lost(made, f"Another program changed an item before request {at + 1} arrived")

    def _undone_after_another(self) -> None:
        assert self._h.undo is not None
        rig, undoing = self._rig, self._h.undo(self._h.end.result, self._sample.context.idempotency_key)
        for others in (_all_of_it, _but_what_it_changes):
            made: dict[tuple[str, str], _Changed] = {}
            rig.fresh(self._sample.before)
            rig.attempt(self._sample)
            self._write(others, made)
            if made and rig.attempt(undoing, later_s=_SOON_S).how == "ok":
                self._nothing_lost(made, f"Another program changed an item before {undoing.tool.name}")

    def _write(self, others: Callable[[str], bool], made: dict[tuple[str, str], _Changed]) -> None:
        """Change the items as another program does: what the call leaves as it is, and ``others`` of the rest."""
        now = self._rig.seen()
        for table, name in self._shared():
            item, base, done = now[table].get(name), self._h.base[table][name], self._h.done[table][name]
            if not isinstance(item, dict):
                continue
            keys = self._rig.keys_of_table(table)
            other = {at: _otherwise(value) for at, value in item.items() if at not in keys}
            own = {at for at, value in other.items() if value != item[at] and base.get(at) == done.get(at) == item[at]}
            taken = {at: value for at, value in other.items() if at in own or others(next(iter(item[at])))}
            written = {**item, **taken, _OTHERS: {"S": "yes"}}
            made[table, name] = _Changed(item, written, frozenset(own))
            self._rig.put(table, name, written)

    def _nothing_lost(self, made: Mapping[tuple[str, str], _Changed], when: str) -> None:
        now = self._rig.seen()
        for (table, name), changed in made.items():
            if lost := changed.lost(now[table].get(name)):
                raise Broken(f"{when}, and its change of {table} {name} is lost: {lost}.", _ONE_BY_ONE)


def _all_of_it(_: str) -> bool:
    return True


def _but_what_it_changes(kind: str) -> bool:
    """Say whether another changes an attribute of that type: a number may be the item's version."""
    return kind == "N"


def _otherwise(value: Any) -> Any:
    """Return another value of an attribute; the same where it is none that can be changed."""
    if set(value) == {"N"}:
        return {"N": str(Decimal(value["N"]) + 1)}
    return {"S": f"{value['S']}?"} if set(value) == {"S"} else value
