"""The rules about what lies between two attempts at a call: time, other calls, other keys, and answers that mislead.

::

    later     A ─ an hour, a day, the longest life of a run ─▶ A again, verify, undo
    between   A ─ A under another key, other writes ─▶ A again, verify, undo
    keys      A ─▶ A under keys that are nearly the same: each acts anew
    overwrites  A ─ another changes what A has changed ─▶ A again
    stale     A ─▶ A again, verify: reads that are not strongly consistent answer what was there before
    aws       A, where AWS answers an error after the effect, or before it (aws_answers.py)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import process_time
from typing import Any

from ballast.contracts.wire import canonical
from ballast.errors import SchemaViolation
from ballast.log.run_log import LONGEST_RUN_DAYS
from cli.certify.aws_answers import PLAYS, REFUSALS, Play, aws_answers
from cli.certify.other_calls import (
    ELSEWHERE,
    OUTSIDE,
    keys_of_runs,
    many_keys,
    near_keys,
    new_texts,
    next_call,
    room_for_keys,
    taken_away,
)
from cli.certify.report import Finding
from cli.certify.rig import MARKER, End, Fault, Rig, Sample, Seen, differences
from localcloud.moto_seams.dynamodb import changed_places, eventual_reads_answer_from, put_one_back
from localcloud.sessions import REGION

#: Waits between two attempts, in seconds and in words. The longest is a run's life, which the state machine's
#: TimeoutSeconds ends: within it an approval may be asked for again, and a rollback come.
WAITS: tuple[tuple[float, str], ...] = (
    (3_600.0, "an hour"),
    (129_600.0, "a day and a half"),
    (LONGEST_RUN_DAYS * 86_400.0, f"{LONGEST_RUN_DAYS} days, the longest life of a run,"),
)
#: Seconds between calls that follow each other.
_SOON_S = 97.0
#: Most other writes of a scenario between two attempts; most requests at which AWS misleads; most items put back.
_MOST_OTHERS, _MOST_REQUESTS, _MOST_ITEMS = 2, 4, 6
#: Most calls of a tool in one store: each may do as much as all before it together.
_MOST_AT_ONCE, _FEW_CALLS = 12, 5
#: Most calls of other runs between two attempts, and the seconds of this process that they may take.
_MOST_CALLS, _CROWD_S = 60, 2.0
#: Keys that must be told apart: of a million, hardly two may be the same.
_ROOM = 2**40

_KEEP_KEY = "Use ctx.write_once, which keeps every key with its effect; else leave honours_key out."
_WHOLE_KEY = "Keep the whole ctx.idempotency_key, as it is, and nothing else, as what tells one call from another."


@dataclass(frozen=True)
class Honest:
    """One honest attempt, and what its ``Trial`` knows.

    end, base, done  how it ended; what stood before and after it
    others           other writes of its scenario
    undo             from a result and a key to the call that undoes it; None without an undo
    ask              asks its ``verify``; None without one
    ends_by_verify   whether a second attempt ended in doubt, and verify finds the first one's effect
    not_restored     what the undo has not restored, given what stands after it, before it, and without the call
    resolve          what is wrong after an attempt that a fault ended
    """

    rig: Rig
    sample: Sample
    end: End
    base: Seen
    done: Seen
    others: Sequence[Sample]
    undo: Callable[[Any, str], Sample] | None
    ask: Callable[..., Any] | None
    ends_by_verify: Callable[[End, float], bool]
    not_restored: Callable[[Seen, Seen, Seen], str]
    resolve: Callable[[Any], Finding | None]


class Broken(Exception):
    """Ends a rule: what was seen, and the remedy."""

    def __init__(self, seen: str, remedy: str) -> None:
        super().__init__(seen)
        self.seen, self.remedy = seen, remedy


class Sequences:
    """The rules of this module for one write that has had its effect. ``findings`` may be read once."""

    def __init__(self, honest: Honest) -> None:
        self._h, self._rig, self._sample = honest, honest.rig, honest.sample
        self._key = honest.sample.context.idempotency_key
        self._honours = honest.sample.tool.policy.honours_key
        self._tool = honest.sample.tool
        self._state = False

    def findings(self) -> Iterator[Finding]:
        """Try the rules, up to the first that is broken; yield what each says."""
        said = "It declares neither honours_key, nor verify, nor an undo."
        tells = self._honours or self._h.ask is not None
        or_undo = tells or self._h.undo is not None
        tried: Sequence[tuple[str, Callable[[], str] | str]] = (
            ("later", self._later if or_undo else said),
            ("between", self._between if or_undo else said),
            ("keys", self._keys if tells else said),
            ("overwrites", self._overwrites if self._honours else "It declares no honours_key."),
            ("stale", self._stale if tells else said),
            ("aws", self._aws if self._changes else "It asks AWS for no change."),
        )
        for rule, how in tried:
            finding = self._of(rule, how)
            yield finding
            if finding.state == "broken":
                return

    def _of(self, rule: str, tried: Callable[[], str] | str) -> Finding:
        name, scenario = self._tool.name, self._sample.scenario
        if isinstance(tried, str):
            return Finding(name, rule, "not tried", scenario, tried)
        try:
            return Finding(name, rule, "held", scenario, tried())
        except Broken as problem:
            return Finding(name, rule, "broken", scenario, problem.seen, problem.remedy)

    def _begin(self) -> Seen:
        """Make the call in fresh tables, and return what stands then."""
        self._rig.fresh(self._sample.before)
        self._rig.attempt(self._sample)
        return self._rig.seen()

    # Time

    def _later(self) -> str:
        rig, sample = self._rig, self._sample
        self._begin()
        for number, (later_s, words) in enumerate(WAITS):
            rig.time_passes(sample, later_s)
            stood = rig.seen()
            when = f"{words[0].upper()}{words[1:]} after the effect"
            self._found(when, "Find the effect however old it is: nothing found means that it did not happen.",
                        later_s=later_s)  # fmt: skip
            self._once(stood, when, later_s=later_s, draw=20 + number, remedy=(
                "Keep a key at least as long as a run may live, and without a time to live that is shorter. Where a "
                "service forgets it sooner, leave honours_key out and declare verify, which looks for the effect."
            ))  # fmt: skip
        if self._h.undo is not None and self._undone_after(WAITS[-1][0]):
            later_s, words = next(wait for wait in WAITS if self._undone_after(wait[0]))
            raise Broken(
                f"The undo {words} after the effect: {self._undone_after(later_s)}.",
                "A rollback may come as late as a run lives. Undo it then too, or declare no undo: a person decides.",
            )
        return ""

    def _undone_after(self, later_s: float) -> str:
        """Return what is wrong with the undo after that time; "" for nothing."""
        assert self._h.undo is not None
        rig = self._rig
        rig.fresh(self._sample.before)
        rig.time_passes(self._sample, later_s)
        base = rig.seen()
        self._begin()
        rig.time_passes(self._sample, later_s)
        done = rig.seen()
        end = rig.attempt(self._h.undo(self._h.end.result, self._key), later_s=later_s)
        return f"it {_told(end)}" if end.how != "ok" else self._h.not_restored(rig.seen(), done, base)

    # Other calls

    def _between(self) -> str:
        rig, sample, another = self._rig, self._sample, next_call(self._key)
        self._begin()
        found = self._h.ask(key=another) if self._h.ask is not None else None
        self._state = found is not None and found.found
        rig.attempt(sample, key=another, draw=30)
        where = f"After another call of {self._tool.name}"
        self._still(where, 31)
        others = self._others()
        if others:
            for one in others:
                rig.attempt(one)
            names = ", ".join(dict.fromkeys(one.tool.name for one in others))
            self._still(f"After other calls, {self._tool.name} and {names}", 32, state=self._state)
        if self._h.undo is not None:
            self._undone_alone([replace(sample, context=replace(sample.context, idempotency_key=another))])
            for one in others:
                self._undone_alone([one])
        return ""

    def _overwrites(self) -> str:
        """Let another change what the call has changed, and attempt the call again: that change must stay.

        What differs under another key is how the call knows itself, and nobody else changes it.
        """
        rig, sample = self._rig, self._sample
        rig.fresh(sample.before)
        rig.attempt(sample, key=next_call(self._key))
        another, done = rig.seen(), self._begin()
        for table, items in done.items():
            base, others = self._h.base.get(table, {}), another.get(table, {})
            names = [name for name in {**base, **items} if items.get(name) != base.get(name) != others.get(name)]
            for name in names[:_MOST_ITEMS] if table in rig.tables else ():
                item = _with_parts_of(base.get(name), items.get(name), others.get(name))
                if MARKER in name or self._key in name or item == items.get(name):
                    continue
                self._begin()
                rig.put(table, name, item)
                self._once_in_store(rig.seen(), f"After another changed {name} of {table}")
        return ""

    def _once_in_store(self, stood: Seen, when: str) -> None:
        self._rig.attempt(self._sample, later_s=_SOON_S, draw=34)
        if second := differences(stood, self._rig.seen()):
            raise Broken(
                f"{when}, a second attempt under its key changed it again: {second}.",
                "To set something twice is not once where another has set it in between: keep the key with the effect, "
                "in one transaction (ctx.write_once), or leave honours_key out.",
            )

    def _still(self, where: str, draw: int, *, state: bool = False) -> None:
        """Try the call's own key and verify. ``state``: what verify finds may have changed by right."""
        stood = self._rig.seen()
        if not state:
            self._found(where, "Read what the tool keeps under each ctx.idempotency_key, not under the last one alone.")
        self._once(stood, where, later_s=_SOON_S, draw=draw, remedy=_KEEP_KEY)

    def _others(self) -> list[Sample]:
        """Return a few other writes of the scenario, those of the same tool first; not what undoes this one."""
        made = {one.context.idempotency_key for one in self._sample.before}
        chosen = []
        for one in sorted(self._h.others, key=lambda one: one.tool.name != self._tool.name):
            key = one.context.idempotency_key
            if key == self._key or one.tool.name == self._tool.undo:
                continue
            if key in made:  # it stands already: made once more, as another call
                key = f"{key}9"
            chosen.append(Sample(one.scenario, one.tool, one.args, replace(one.context, idempotency_key=key)))
        return chosen[:_MOST_OTHERS]

    def _undone_alone(self, others: Sequence[Sample]) -> None:
        """Undo the call after others: what they did must stay."""
        assert self._h.undo is not None
        rig, first = self._rig, self._h.undo(self._h.end.result, self._key)
        done = self._begin()
        rig.attempt(first, later_s=_SOON_S)
        undone = rig.seen()
        self._begin()
        ends = [rig.attempt(one, draw=33) for one in others]
        both = rig.seen()
        if not differences(done, both):
            return
        end, now = rig.attempt(first, later_s=_SOON_S), rig.seen()
        names, remedy = ", ".join(one.tool.name for one in others), f"{first.tool.name} takes back what its call did, "
        remedy += "and nothing else: add the opposite instead of setting what was there before."
        if end.how != "ok":
            if changed := differences(both, now):
                raise Broken(f"After {names} the undo said {_told(end)}, and yet: {changed}.", remedy)
            return
        lost = taken_away(done, both, now, undone, self._rig.traces)
        if lost:
            raise Broken(f"Undone after another call of {names}, it took that one's effect away: {lost}.", remedy)
        if others[0].tool.name == self._tool.name and ends[0].how == "ok" and others[0].args == self._sample.args:
            last = rig.attempt(self._h.undo(ends[0].result, others[0].context.idempotency_key), later_s=2 * _SOON_S)
            if last.how == "ok" and (wrong := self._h.not_restored(rig.seen(), both, self._h.base)):
                raise Broken(f"After two calls and the undo of both, this is not as before: {wrong}.", remedy)

    # Other keys

    def _keys(self) -> str:
        rig, sample = self._rig, self._sample
        stood = self._begin()
        names = (name for items in stood.values() for name in items)
        whole = any(self._key in text for text in (*names, *self._h.end.wire, *self._h.end.given))
        keys = list(dict.fromkeys(near_keys(self._key) if whole else many_keys(self._key)))
        if self._h.ask is not None and not self._h.ask(key=next_call(self._key)).found:
            for key in keys:
                if (said := self._h.ask(key=key)).found or said.problem:
                    seen = f"Its key was {self._key}. Asked under {key}, verify {said.problem or 'found its effect'}."
                    raise Broken(seen, _WHOLE_KEY)
        if not self._honours:
            self._among_many()
            return ""
        made = []
        for number, key in enumerate(keys):
            if number and number % _MOST_AT_ONCE == 0:
                self._remembered(stood, number)
                stood = self._begin()
            end = rig.attempt(sample, key=key, later_s=number, draw=40 + number)
            now = rig.seen()
            if end.how == "ok":
                if end.wire and end.wire == self._h.end.wire and self._tool.policy.replays:  # else it sends no key
                    raise Broken(f"Under the keys {self._key} and {key} it sent the same request.", _WHOLE_KEY)
                if not _anew(stood, now, key):
                    return self._state_of(key)
                made.append(new_texts(stood, now))
            stood = now
        self._remembered(stood, len(keys))
        if not whole and (room := room_for_keys(made)) is not None and room[0] < _ROOM:
            seen = (
                f"What it keeps tells at most {room[0]:,} keys apart, such as {_short(room[1])}: two will be the same."
            )
            raise Broken(seen, f"{_WHOLE_KEY} A hash of it is as good with 16 hexadecimals or more.")
        self._among_many()
        return ""

    def _among_many(self) -> None:
        """Let as many calls of other runs come between two attempts as a run may make, and as many before a call.

        Once for a tool in one cloud, and not further where each call takes longer than the one before it.
        """
        rig, sample, name = self._rig, self._sample, self._tool.name
        if name in rig.crowded or self._state:
            return
        rig.crowded.add(name)
        self._begin()
        count, began_s = min(rig.most_calls, _MOST_CALLS), process_time()
        for number, key in enumerate(keys_of_runs(self._key, count)):
            if rig.attempt(sample, key=key, draw=100 + number).how != "ok" or process_time() - began_s > _CROWD_S:
                return
        after = f"After {count} calls of {name} in other runs"
        self._found(after, _KEEP_KEY)
        self._once(rig.seen(), after, later_s=_SOON_S, draw=38, remedy=_KEEP_KEY)
        key = next_call(self._key)
        end = rig.attempt(sample, key=key, draw=37)
        if self._h.ask is not None and end.how == "ok":
            said = self._h.ask(key=key)
            if said.problem or not said.found:
                seen = f"{after}, verify {said.problem or 'found nothing'} of another one."
                raise Broken(seen, "Look for it by its key, or through all pages: not among the first or the last.")

    def _remembered(self, stood: Seen, calls: int) -> None:
        """Attempt the call again, and verify it, after the last of ``calls`` under other keys."""
        if (count := calls % _MOST_AT_ONCE or _MOST_AT_ONCE) < min(calls, _FEW_CALLS):
            return
        after = f"After {count} calls of {self._tool.name} under other keys"
        if self._h.ask is not None and not self._h.ask(key=f"{self._key}-none").found:
            self._found(after, _KEEP_KEY)
        self._once(stood, after, later_s=_SOON_S, draw=39, remedy=_KEEP_KEY)

    def _state_of(self, key: str) -> str:
        """Return what the certificate says of a call that did nothing more under another key.

        It brings about a state if it does so wherever a part of that state is missing.
        """
        rig, sample = self._rig, self._sample
        seen = f"Its key was {self._key}. Under {key} it said that it was done, and did nothing"
        remedy = f"{_WHOLE_KEY} Where there is nothing more to do, raise ToolFailed: it is so already."
        done = self._begin()
        if self._h.undo is not None:
            end = rig.attempt(sample, key=key, draw=70)
            if end.how == "ok":
                rig.attempt(self._h.undo(end.result, key), later_s=_SOON_S)
                if lost := differences(_without(done, key), _without(rig.seen(), key)):
                    raise Broken(f"{seen}; and its undo takes the first call's effect away: {lost}.", remedy)
        sent_alone = not any(
            differences({p: self._h.base.get(p, {})}, {p: done.get(p, {})}) for p in done if p != ELSEWHERE
        )
        if sent_alone and self._tool.policy.replays:  # else it sends no key, so the same call is the same request
            raise Broken(f"{seen}: nothing was sent.", remedy)
        rig.fresh(sample.before)
        base = rig.held()
        rig.attempt(sample)
        after = rig.held()
        places = [(table, at) for table in base for at in changed_places(base[table], after[table])]
        for table, at in places[:_MOST_ITEMS]:
            self._begin()
            item = dict(_places_by_key(rig, table, at, after)) | dict(_places_by_key(rig, table, at, base))
            name = next(iter(item))
            if self._key in name:
                continue
            put_one_back(REGION, table, at, base[table])
            before = rig.seen()[table].get(name)
            rig.attempt(sample, key=key, draw=71)
            if rig.seen()[table].get(name) == before:
                raise Broken(f"{seen}, also where {table} {name} was as before the first call.", remedy)
        self._of_other_arguments()
        return "The same call under another key does nothing more: it brings about a state."

    def _of_other_arguments(self) -> None:
        """Make the scenario's calls with other arguments after the call: a result says that they were made."""
        rig, other_key = self._rig, next_call(self._key)
        same = [one for one in self._h.others if one.tool.name == self._tool.name and one.args != self._sample.args]
        for one in same[:_MOST_OTHERS]:
            rig.fresh(self._sample.before)
            if rig.attempt(one, key=other_key, draw=72).how != "ok":
                continue
            asked = self._in_tables(rig.seen())
            stood = self._begin()
            end, now = rig.attempt(one, key=other_key, draw=72), rig.seen()
            wrong = differences(asked, self._in_tables(now))
            if end.how == "ok" and wrong and not _anew(stood, now, other_key):
                seen = f"After this call, the one with {_short(one.tool.form.write(one.args))} said that it was done,"
                remedy = "Say that it is done only if it is so with these arguments; else raise ToolFailed."
                raise Broken(f"{seen} and did nothing. Alone it leaves something else: {wrong}.", remedy)

    def _in_tables(self, seen: Seen) -> Seen:
        """Return the items that are not kept under a key of a call."""
        mine, other = self._key, next_call(self._key)
        tables = {place: items for place, items in seen.items() if place in self._rig.tables}
        return _without(_without(tables, mine), other)

    # Reads that are not strongly consistent

    def _stale(self) -> str:
        rig, sample = self._rig, self._sample
        rig.fresh(sample.before)
        old = rig.held()
        rig.attempt(sample)
        stood, remedy = rig.seen(), "Read with ConsistentRead=True by the table's own key: an index is always behind."
        with eventual_reads_answer_from(REGION, old) as answered:
            where = "Where a read that is not strongly consistent answers what was there before the effect"
            self._found(where, remedy)
            self._once(stood, where, later_s=_SOON_S, draw=80, remedy=remedy)
        if not answered:
            return ""
        for fault in (Fault(at, "after") for at, name in enumerate(self._h.end.requests[:40]) if name in self._changes):
            rig.fresh(sample.before)
            if rig.attempt(sample, fault=fault).how != "died":
                continue
            with eventual_reads_answer_from(REGION, old):
                problem = self._h.resolve(fault)
            if problem is not None:
                raise Broken(f"{where}: {problem.seen}", remedy)
        return ""

    # AWS

    @property
    def _changes(self) -> frozenset[str]:
        return frozenset(self._h.end.changes)

    def _aws(self) -> str:
        rig, sample = self._rig, self._sample
        asked = [name for name in self._h.end.requests if not name.startswith("outside.")]
        at = [number for number, name in enumerate(asked) if name in self._changes][:_MOST_REQUESTS]
        plays = [Play(number, kind) for number in at for kind in PLAYS]
        plays += [Play(number, kind) for number in range(1, min(len(asked), _MOST_REQUESTS + 1)) for kind in REFUSALS]
        for play in plays:
            rig.fresh(sample.before)
            with rig.under(play), aws_answers(play, rig.executed) as played:
                end = rig.attempt(sample)
            if not played.times:
                continue
            now = rig.seen()
            if end.how in ("failed", "again") and (changed := differences(self._h.base, now)):
                raise Broken(
                    f"{play}. It said that nothing was done ({_told(end)}), and yet: {changed}.",
                    "An error of the last try, or of a later request, says nothing of what was before it: look for the "
                    "effect under the key before a refusal (ctx.write_once does), or let the error pass: it is doubt.",
                )
            repeats = self._honours or self._h.ask is not None  # else a service may name it anew each time
            differs = differences(self._h.done, now) or (_other(self._h.end, end) if repeats else "")
            if end.how == "ok" and (other := differs):
                raise Broken(
                    f"{play}. It returned a result, and this differs: {other}.",
                    "Make a request that may come twice (a condition on the key, ctx.write_once, a client with "
                    'Config(retries={"total_max_attempts": 1}) and a variant of its own), and let errors pass. Read in '
                    "an answer of 200 what was not processed (UnprocessedItems, Failed, FailedEntryCount, "
                    "FunctionError).",
                )
            if end.how == "raised" and self._tool.policy.resolvable:
                problem = self._h.resolve(play)
                if problem is not None:
                    raise Broken(problem.seen, problem.remedy)
        return ""

    # What every rule asks

    def _once(self, stood: Seen, when: str, *, later_s: float, draw: int, remedy: str) -> None:
        """Attempt the call again under its key, if it honours it: no effect, the same answer."""
        if not self._honours:
            return
        again = self._rig.attempt(self._sample, later_s=later_s, draw=draw)
        if second := differences(stood, self._rig.seen()):
            raise Broken(f"{when}, a second attempt under its key had a second effect: {second}.", remedy)
        if (other := _other(self._h.end, again)) and not self._h.ends_by_verify(again, later_s):
            raise Broken(f"{when}, a second attempt under its key answered otherwise: {other}.", remedy)

    def _found(self, when: str, remedy: str, *, later_s: float = 0) -> None:
        """Ask ``verify``, if there is one: it finds the effect with its result."""
        if self._h.ask is None:
            return
        said = self._h.ask(later_s=later_s)
        if said.problem or not said.found:
            raise Broken(f"{when}, verify {said.problem or 'found nothing'}.", remedy)
        if canonical(said.result) != canonical(self._h.end.result):
            told = f"{_short(self._h.end.result)}, and verify {_short(said.result)}"
            raise Broken(f"{when}, the tool had returned {told}.", remedy)


def _with_parts_of(base: Any, item: Any, other: Any) -> dict[str, Any] | None:
    """Return an item as ``base`` has it, with those attributes that differ between ``item`` and ``other``."""
    if item is None:
        return dict(base)
    own = {name: value for name, value in item.items() if (other or {}).get(name) != value}
    if base is None and not own:
        return None
    return {**(base or item), **own}


def _anew(stood: Seen, now: Seen, key: str) -> bool:
    """Whether something has changed beside the items that are kept under the key itself."""
    return bool(differences(_without(stood, key), _without(now, key)))


def _without(seen: Seen, key: str) -> Seen:
    return {place: {name: item for name, item in items.items() if place in (ELSEWHERE, OUTSIDE) or key not in name}
            for place, items in seen.items()}  # fmt: skip


def _places_by_key(rig: Rig, table: str, at: Any, held: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    key, part = at
    within = held[table].get(key)
    item = within.get(part) if part is not None and within is not None else within
    if item is not None:
        yield rig.key_of(table, item), item


# Words


def _other(one: End, other: End) -> str:
    return "" if one.said == other.said else f"{_told(one)}, and then {_told(other)}"


def _told(end: End) -> str:
    word = {"ok": "returned", "failed": "ToolFailed", "again": "RetryLater"}.get(end.how, end.how)
    return f"{word} {_short(end.said[1])}"


def _short(value: Any) -> str:
    try:
        text = value if isinstance(value, str) else str(canonical(value))
    except (SchemaViolation, TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 120 else f"{text[:119]}…"
