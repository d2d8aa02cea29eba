"""What the charges of one run, or of several, amount to: one value, for a screen and for machines. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ballast.contracts.timeline import Correction, Timeline
from ballast.errors import LogCorrupt
from ballast.log.event import GARBLED, Event
from ballast.run import Run
from cli.cost.charges import Charge, charges
from cli.cost.sums import Sum, by_tool, summed, total


@dataclass(frozen=True)
class Explanation:
    """Where the money of some runs went; amounts in micro-dollars.

    ceiling   what they were admitted with and what people added
    running   how many of them have not ended: their rest is still leased
    saved     what loops that were stopped would have burned by their limits; no part of any sum
    corrected  what operators say that some of them cost instead, by run; no part of any sum
    """

    runs: tuple[str, ...]
    charges: tuple[Charge, ...]
    ceiling: int
    running: int
    saved: int
    corrected: Mapping[str, Correction] = field(default_factory=dict)

    @property
    def as_corrected(self) -> int:
        """What they cost with those that were corrected at what operators say."""
        others = sum(one.charged for one in self.charges if one.run_id not in self.corrected)
        return others + sum(one.charged_microusd for one in self.corrected.values())

    @property
    def total(self) -> Sum:
        """The sum of all charges."""
        return total(self.charges)

    @property
    def unspent(self) -> int:
        """What of the ceilings was not charged: given back when the runs ended, or still leased."""
        return self.ceiling - self.total.charged

    def tables(self) -> dict[str, list[Sum]]:
        """Return the sums by what they are grouped under. Each table has the same total."""
        one_run = len(self.runs) == 1
        tables: dict[str, list[Sum]] = {}
        if one_run:
            tables["turn"] = sorted(
                summed(self.charges, lambda charge: str(charge.turn)), key=lambda one: int(one.name)
            )
        else:
            tables["tenant"] = summed(self.charges, lambda charge: charge.tenant)
            tables["run"] = summed(self.charges, lambda charge: charge.run_id)
        tables["tool"] = by_tool(self.charges)
        tables["planner"] = summed(self.charges, lambda charge: charge.planner)
        tables["model or paid tool"] = summed(self.charges, lambda charge: charge.name)
        return tables

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "runs": list(self.runs),
            "running": self.running,
            "ceiling_microusd": self.ceiling,
            "reserved_microusd": self.total.reserved,
            "charged_microusd": self.total.charged,
            "returned_microusd": self.total.reserved - self.total.charged,
            "unspent_microusd": self.unspent,
            "saved_microusd": self.saved,
            "as_corrected_microusd": self.as_corrected,
            "corrected": {run_id: one.model_dump() for run_id, one in self.corrected.items()},
            "by": {name: [asdict(one) for one in sums] for name, sums in self.tables().items()},
            "charges": [asdict(charge) for charge in self.charges],
        }


def _of_one(run: Run) -> tuple[Timeline, Sequence[Charge], int]:
    """Return a run's story, its charges and its ceiling.

    A story leaves out what cannot be read, and a sum would hide that: where it is about money, this raises.
    """
    _ = run.usage
    made = run.timeline()
    if run.is_open:
        return made, charges(made), run.opening.cost_ceiling_microusd
    if run.has_ended:
        _ = run.request
        return made, charges(made), 0
    return made, (), 0


def explained(logs: Iterable[Sequence[Event]], left_out: dict[str, str] | None = None) -> Explanation:
    """Explain the runs of these logs.

    With ``left_out`` a run with an event that Ballast does not write, as whoever may write the log can, is named there,
    and hides no other.
    """
    runs: list[str] = []
    found: list[Charge] = []
    said: dict[str, Correction] = {}
    ceiling = running = spared = 0
    for events in logs:
        run_id = events[0].run_id
        try:
            run = Run.of(events)
            made, charged, leased = _of_one(run)
        except (LogCorrupt, *GARBLED) as problem:
            if left_out is None:
                raise
            left_out[run_id] = type(problem).__name__
            continue
        runs.append(run_id)
        found += charged
        running += not run.has_ended
        ceiling += leased
        spared += made.money.saved_microusd
        if made.corrected is not None:
            said[run_id] = made.corrected
    return Explanation(tuple(runs), tuple(found), ceiling, running, spared, said)
