"""Sums over compared runs: by result, intent and tenant, and the thresholds of ``--fail-if``. Pure; money is exact."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ballast.errors import InvalidInput
from ballast.money.amounts import MICRO, dollars
from localcloud.replay.what_if import Compared, Result

_THRESHOLD = re.compile(r"\s*([a-z_]+)\s*(>=|<=|>|<)\s*([+-]?\d{1,12}(?:\.\d{1,6})?)\s*(%?)\s*")


@dataclass(frozen=True)
class Sums:
    """Some runs together. A run that is not concluded counts in no sum but ``runs``.

    recorded_microusd  what they were charged
    low, high          bounds of what they would have been charged; equal if all are known
    turns_saved        agent turns that would not have been, of the runs known to their end
    fewer, more        writes that would not have happened, or only now, of those runs
    people_more        people asked more often; below 0: less often
    """

    runs: int
    concluded: int
    recorded_microusd: int
    low: int
    high: int
    turns_saved: int
    fewer: int
    more: int
    people_more: int
    waits: int

    @classmethod
    def of(cls, rows: Iterable[Compared]) -> Sums:
        """Return the sums of ``rows``."""
        every = list(rows)
        known = [row for row in every if row.result is not Result.NOT_CONCLUDED]
        return cls(
            runs=len(every),
            concluded=len(known),
            recorded_microusd=sum(row.recorded.cost_microusd for row in known),
            low=sum(row.low for row in known),
            high=sum(row.high for row in known),
            turns_saved=sum(row.turns_saved for row in known),
            fewer=sum(len(row.fewer) for row in known),
            more=sum(len(row.more) for row in known),
            people_more=sum(row.people_more for row in known),
            waits=sum(row.waits for row in known),
        )

    @property
    def counted(self) -> str:
        """How many runs the sums are of, and of how many if some are not concluded."""
        return str(self.runs) if self.concluded == self.runs else f"{self.concluded} of {self.runs}"

    @property
    def is_exact(self) -> bool:
        """Whether the cost is known."""
        return self.low == self.high

    @property
    def more_permille(self) -> tuple[int, int] | None:
        """How much more it costs, at least and at most, in thousandths of the charge; None if that was nothing."""
        if self.recorded_microusd == 0:
            return None
        was = self.recorded_microusd
        return _rounded(1_000 * (self.low - was), was), _rounded(1_000 * (self.high - was), was)


def _rounded(over: int, under: int) -> int:
    """Return the quotient, rounded half away from zero."""
    sign = -1 if over < 0 else 1
    return sign * ((2 * abs(over) + under) // (2 * under))


def groups(rows: Sequence[Compared], by: Callable[[Compared], str]) -> dict[str, list[Compared]]:
    """Return the rows by a name, most runs first."""
    counts = Counter(by(row) for row in rows)
    return {name: [row for row in rows if by(row) == name] for name, _ in counts.most_common()}


def by_result(rows: Sequence[Compared]) -> dict[str, list[Compared]]:
    """Return the rows by their result, in the order of ``Result``; a result without a run is left out."""
    found = {one.value: [row for row in rows if row.result is one] for one in Result}
    return {name: some for name, some in found.items() if some}


# In words


def money(sums: Sums) -> str:
    """Return the candidate's cost, or its bounds."""
    return dollars(sums.high) if sums.is_exact else f"{dollars(sums.low)} to {dollars(sums.high)}"


def signed(number: int) -> str:
    """Return the number with its sign; 0 without one."""
    return f"{number:+d}" if number else "0"


def in_words(rows: Sequence[Compared]) -> str:
    """Return the result in a few sentences."""
    sums = Sums.of(rows)
    said = [f"{sums.runs} runs, {sums.concluded} of them concluded."]
    if sums.more_permille is not None:
        least, most = (f"{number / 10:+.1f} %" for number in sums.more_permille)
        said.append(f"Cost: {least}." if sums.is_exact else f"Cost: between {least} and {most}.")
    unknown = sum(row.low != row.high for row in rows)
    if unknown:
        said.append(f"{unknown} runs have bounds: the record does not say what they would have cost.")
    if sums.waits:
        said.append(f"{sums.waits} runs would have waited for a person; what the person says is not known.")
    if asked := sum(row.asked > 0 for row in rows):
        said.append(f"{asked} runs were answered by a real model: one sample each.")
    if otherwise := [row for row in rows if row.made_otherwise]:
        names = ", ".join(sorted({name for row in otherwise for name in row.made_otherwise}))
        said.append(
            f"{len(otherwise)} runs were made with another version of what the baseline is ({names}): the change is "
            "compared with this baseline, and not with what ran."
        )
    if sums.concluded < sums.runs:
        said.append(
            f"{sums.runs - sums.concluded} are not concluded: they have no ending yet, or their baseline does not come "
            "out as recorded (`ballast replay` shows why)."
        )
    return " ".join(said)


# Thresholds


@dataclass(frozen=True)
class Threshold:
    """One ``--fail-if``: a number of the result, and what it may not be."""

    text: str
    name: str
    sign: str
    value: Decimal
    percent: bool

    @classmethod
    def read(cls, text: str) -> Threshold:
        """Return the threshold that ``text`` says. Raises ``InvalidInput``, which names the numbers."""
        found = _THRESHOLD.fullmatch(text)
        if found is None or found[1] not in NUMBERS:
            raise InvalidInput(
                f'--fail-if {text!r}: write a number, > or <, and a value, such as "cost>+5%" or "people>0". '
                f"Numbers: {', '.join(NUMBERS)}."
            )
        return cls(text.strip(), found[1], found[2], Decimal(found[3]), bool(found[4]))

    def not_judged(self, rows: Sequence[Compared]) -> int:
        """Return how many runs the number leaves out, because they are not known, or not to their end."""
        if self.name == "cost":
            return sum(row.result is Result.NOT_CONCLUDED for row in rows)
        return sum(not row.result.is_exact for row in rows) if self.name in _OF_WHOLE_RUNS else 0

    def is_met(self, rows: Sequence[Compared]) -> bool:
        """Whether the result is what it may not be."""
        number, whole = NUMBERS[self.name](rows, Sums.of(rows))
        if self.name in _BOUNDED and self.sign in ("<", "<="):
            number, whole = _BOUNDED[self.name](rows, Sums.of(rows))
        if self.percent:
            if whole == 0:
                return number > 0 and self.sign in (">", ">=")
            is_now, may_be = Decimal(number) * 100, self.value * whole
        else:
            is_now, may_be = Decimal(number), self.value * (MICRO if self.name in _MONEY else 1)
        return {">": is_now > may_be, ">=": is_now >= may_be, "<": is_now < may_be, "<=": is_now <= may_be}[self.sign]


@dataclass(frozen=True)
class Verdict:
    """What a threshold says of the runs; ``not_judged``: how many of them it knows nothing of."""

    text: str
    met: bool
    not_judged: int

    def __str__(self) -> str:
        said = f"Fails: {self.text}" if self.met else f"Holds not: {self.text}"
        return f"{said}; {self.not_judged} runs could not be judged" if self.not_judged else said


#: Is added to the thresholds that are typed: a gate that has not seen a run must not let it pass.
_ALL_CONCLUDED = "not_concluded>0"


def verdicts(thresholds: Sequence[Threshold], rows: Sequence[Compared]) -> list[Verdict]:
    """Return what each threshold says. A run that is not concluded fails, unless a threshold names how many may be."""
    if not thresholds or not rows:
        return []
    asked = list(thresholds)
    if all(one.name != "not_concluded" for one in asked):
        asked.append(Threshold.read(_ALL_CONCLUDED))
    return [Verdict(one.text, one.is_met(rows), one.not_judged(rows)) for one in asked]


Number = Callable[[Sequence[Compared], Sums], tuple[int, int]]


def _runs(result: Result) -> Number:
    return lambda rows, sums: (sum(row.result is result for row in rows), sums.runs)


def _answered(rows: Sequence[Compared], _: Sums) -> tuple[int, int]:
    known = [row for row in rows if row.result.is_exact]
    before = sum(row.recorded.status == "answered" for row in known)
    return sum(row.candidate.status == "answered" for row in known) - before, before


#: The numbers of ``--fail-if``: the change, and what a percentage is of. Where a number has bounds, the higher one.
NUMBERS: Mapping[str, Number] = {
    "cost": lambda rows, sums: (sums.high - sums.recorded_microusd, sums.recorded_microusd),
    "people": lambda rows, sums: (sums.people_more, sum(row.recorded.people for row in rows)),
    "answered": _answered,
    "fewer_effects": lambda rows, sums: (sums.fewer, sum(len(row.recorded.writes) for row in rows)),
    "more_effects": lambda rows, sums: (sums.more, sum(len(row.recorded.writes) for row in rows)),
    "same": _runs(Result.SAME),
    "different": _runs(Result.DIFFERENT),
    "stopped_earlier": _runs(Result.STOPPED_EARLIER),
    "censored": _runs(Result.CENSORED),
    "off_the_record": _runs(Result.OFF_THE_RECORD),
    "not_concluded": _runs(Result.NOT_CONCLUDED),
}
#: The lower bound of a number that has two: a threshold is judged by the bound at which it fails.
_BOUNDED: Mapping[str, Number] = {
    "cost": lambda rows, sums: (sums.low - sums.recorded_microusd, sums.recorded_microusd),
}
_MONEY = ("cost",)
_OF_WHOLE_RUNS = ("people", "answered", "fewer_effects", "more_effects")


# For machines


def as_json(rows: Sequence[Compared], changes: Mapping[str, Any], judged: Sequence[Verdict]) -> dict[str, Any]:
    """Return the whole result as plain JSON: money in micro-dollars, integers."""
    return {
        "version": 1,
        "changes": dict(changes),
        "all": _sums(rows),
        "by_result": {name: _sums(some) for name, some in by_result(rows).items()},
        "by_intent": {name: _sums(some) for name, some in groups(rows, lambda row: row.intent).items()},
        "by_tenant": {name: _sums(some) for name, some in groups(rows, lambda row: row.tenant).items()},
        "failed": [one.text for one in judged if one.met],
        "thresholds": [dict(vars(one)) for one in judged],
        "runs": [_row(row) for row in rows],
    }


def _sums(rows: Sequence[Compared]) -> dict[str, Any]:
    return {**vars(Sums.of(rows)), "run_ids": [row.run_id for row in rows]}


def _row(row: Compared) -> dict[str, Any]:
    told = {**vars(row), "result": row.result.value}
    told |= {"recorded": dict(vars(row.recorded)), "candidate": dict(vars(row.candidate))}
    told["turns_saved"], told["people_more"] = row.turns_saved, row.people_more
    return told
