"""What a run cost: what its log counts, and what an operator says instead. The one place that says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ballast.contracts.notice import Corrected
from ballast.contracts.wire import without_surrogates
from ballast.errors import LogCorrupt
from ballast.log.event import Event
from ballast.log.events import RunCorrected, RunEnded
from ballast.money.amounts import dollars

if TYPE_CHECKING:
    from ballast.run import Run

#: An operator may say no more of a charge, in micro-dollars, and of who and why, in characters.
_MOST, _BY, _REASON = 10**15, 256, 500


@dataclass(frozen=True)
class Correction:
    """What ``run.corrected`` says: what the run cost, and had been charged before, in micro-dollars; by whom, and why.

    It says so in the log, which others can write, too: shown beside what the log counts, never instead of it.
    """

    charged_microusd: int
    was_microusd: int
    by: str
    reason: str
    at: str

    @property
    def told(self) -> Corrected:
        """The correction as it is told to others."""
        cost = dollars(self.charged_microusd)
        return Corrected(
            cost_usd=cost,
            by=without_surrogates(self.by),
            reason=without_surrogates(self.reason),
            at=without_surrogates(self.at),
        )


@dataclass(frozen=True)
class Cost:
    """What a run cost, in micro-dollars: as its log counts it, reservations without an outcome in full; as corrected.

    Once the run has ended it is what its ending says; what came late is in the books, and in a correction.
    """

    counted_microusd: int
    corrected: Correction | None = None

    @property
    def last_microusd(self) -> int:
        """What an operator says that it cost, else what the log counts."""
        return self.counted_microusd if self.corrected is None else self.corrected.charged_microusd


def cost(run: Run) -> Cost:
    """Return what the run cost so far. Raises ``LogCorrupt`` where the log does not say it in whole numbers."""
    ended = run.fact(RunEnded)
    if ended is None:
        return Cost(run.usage.charged_microusd, corrected(run))
    return Cost(ended.spent_microusd + ended.reserved_microusd, corrected(run))


def corrected(run: Run) -> Correction | None:
    """Return the newest correction, None where there is none. What has another form than an order's is none."""
    found = [event for event in run if event.name == RunCorrected.NAME]
    newest = (correction_of(event) for event in sorted(found, key=lambda event: event.index, reverse=True))
    return next((one for one in newest if one is not None), None)


def correction_of(event: Event) -> Correction | None:
    """Return what ``run.corrected`` says; None where no order of an operator reads so."""
    try:
        said = event.fact
    except LogCorrupt:
        return None
    if not isinstance(said, RunCorrected) or "reason" not in said.model_fields_set or said.charged_microusd > _MOST:
        return None
    if not 0 < len(said.by) <= _BY or len(said.reason) > _REASON:
        return None
    return Correction(said.charged_microusd, said.was_microusd, said.by, said.reason, event.at)
