"""Correct what a run was settled at, by an operator's word (``ballast budget --correct``).

::

    9999.run.settled (charged 0.12) ── 9999.run.corrected (0.05, by whom, why) ── lease and windows, one transaction
                                                       └ dies here: the same order again, or the next one, finds the
                                                         event that the lease does not show yet, and carries it out

Corrections of a run are numbered by its lease, so that each is carried out once and in the order of the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from ballast.contracts.task import RunId
from ballast.contracts.wire import Wire
from ballast.errors import InvalidInput, RetryLater
from ballast.log.keys import corrected_seq
from ballast.log.run_log import RunLog
from ballast.money.lease import Lease
from ballast.runtime import Runtime
from functions.budget.books import Books

_ATTEMPTS = 5


class Correction(Wire):
    """What a run really cost, all in all, in micro-dollars; who says so, and why."""

    run_id: RunId
    charged_microusd: Annotated[int, Field(ge=0, le=10**15)]
    by: Annotated[str, Field(min_length=1, max_length=256)]
    reason: Annotated[str, Field(max_length=500)] = ""


@dataclass(frozen=True)
class Corrections:
    """Corrects settlements: in the run's log, in its lease, and in the windows that it was taken from."""

    log: RunLog
    books: Books

    @classmethod
    def of(cls, runtime: Runtime) -> Corrections:
        """Put it together; once per runtime."""
        return cls(runtime.get(RunLog.of), runtime.get(Books.of))

    def correct(self, wanted: Correction) -> dict[str, Any]:
        """Carry it out, once, and return the run, what it was charged and what it is now.

        Raises ``InvalidInput`` where the run was not settled, and ``RetryLater``.
        """
        for _ in range(_ATTEMPTS):
            lease = self._settled(wanted.run_id)
            was = lease.charged_microusd
            shown = {"run_id": wanted.run_id, "was_microusd": was, "charged_microusd": wanted.charged_microusd}
            if was == wanted.charged_microusd:
                return shown
            said = {"was_microusd": was, **wanted.model_dump(exclude={"run_id"})}
            recorded = self.log.append(wanted.run_id, corrected_seq(lease.corrections + 1), said).body
            # Where somebody died between the two, theirs is carried out first, and then ours.
            done = self.books.correct(lease, recorded["charged_microusd"])
            if done and recorded["charged_microusd"] == wanted.charged_microusd:
                return shown
        raise RetryLater(f"The lease of {wanted.run_id} keeps changing; try again.")

    def _settled(self, run_id: str) -> Lease:
        lease = self.books.find(run_id)
        if lease is None or not lease.parts:
            raise InvalidInput(f"correct: {run_id} has no lease: no such run was admitted, or it was forgotten by now.")
        if lease.held:
            raise InvalidInput(f"correct: {run_id} is not settled yet. Correct it once it has ended and is settled.")
        return lease
