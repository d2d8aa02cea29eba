"""Correct what a run was settled at, by an operator's word (``ballast budget --correct``).

::

    lease (the order, its number) and windows, one transaction ── 9999.run.corrected (0.05, by whom, why), a copy
                                                              └ dies here: the same order again, or the next one,
                                                                finds the order in the lease, and copies it first

The lease decides: only the functions of money write there. The log has a copy for those who read it; what stands in
its place and is no copy was put there by somebody else, is reported and never carried out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from ballast.contracts.task import RunId
from ballast.contracts.wire import Wire
from ballast.errors import InvalidInput, LogCorrupt, RetryLater
from ballast.log.events import RunCorrected
from ballast.log.run_log import RunLog
from ballast.money.amounts import dollars
from ballast.money.lease import Corrected, Lease
from ballast.runtime import Runtime
from functions.lifecycle.books import Books
from functions.lifecycle.metrics import log_unfit

_ATTEMPTS = 5
#: So many keys of the log are tried for the copy; that there is something in each is somebody's doing.
_KEYS = 20
#: No run costs more of its lease, which holds all that it could: it is a typing error.
MOST_OF_LEASE = 10


class Correction(Wire):
    """What a run really cost, all in all, in micro-dollars; who says so, and why.

    above_lease  it is more than was leased for the run: yes, this is meant
    """

    run_id: RunId
    charged_microusd: Annotated[int, Field(ge=0, le=10**15)]
    by: Annotated[str, Field(min_length=1, max_length=256)]
    reason: Annotated[str, Field(max_length=500)] = ""
    above_lease: bool = False


@dataclass(frozen=True)
class Corrections:
    """Corrects settlements: in the run's lease, in the windows that it was taken from, and then in its log."""

    log: RunLog
    books: Books
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> Corrections:
        """Put it together; once per runtime."""
        return cls(runtime.get(RunLog.of), runtime.get(Books.of), runtime)

    def correct(self, wanted: Correction) -> dict[str, Any]:
        """Carry it out, once, and return the run, what it was charged and what it is now.

        Raises ``InvalidInput`` where the run was not settled or cannot have cost that, and ``RetryLater``.
        """
        for _ in range(_ATTEMPTS):
            lease = self._settled(wanted.run_id)
            _check(wanted, lease)
            self._copy(lease)  # whoever ordered it may have died before that
            was = lease.charged_microusd
            shown = {"run_id": wanted.run_id, "was_microusd": was, "charged_microusd": wanted.charged_microusd}
            if was == wanted.charged_microusd:
                return shown
            order = Corrected(was, wanted.charged_microusd, wanted.by, wanted.reason)
            if self.books.correct(lease, order):
                self._copy(replace(lease, corrections=lease.corrections + 1, corrected=order))
                return shown
        raise RetryLater(f"The lease of {wanted.run_id} keeps changing; try again.")

    def _copy(self, lease: Lease) -> None:
        """Write the lease's last order to the log, once, in the first place that is its own or free."""
        if lease.corrected is None:
            return
        order = asdict(lease.corrected)
        for number in range(lease.corrections, lease.corrections + _KEYS):
            copy = RunCorrected(number=number, **order)
            try:
                if self.log.record(lease.run_id, copy).body == order:
                    return
            except LogCorrupt:
                pass  # what is there cannot be read, and so is no copy either
            self.runtime.emit(log_unfit(lease.run_id, copy.seq, "is not the correction that the run's lease has"))

    def _settled(self, run_id: str) -> Lease:
        lease = self.books.find(run_id)
        if lease is None or not lease.parts:
            raise InvalidInput(f"correct: {run_id} has no lease: no such run was admitted, or it was forgotten by now.")
        if lease.held:
            raise InvalidInput(f"correct: {run_id} is not settled yet. Correct it once it has ended and is settled.")
        return lease


def _check(wanted: Correction, lease: Lease) -> None:
    """Refuse what a slip of the finger would close the windows with. Raises ``InvalidInput``."""
    leased = lease.leased_microusd
    if wanted.charged_microusd <= leased:
        return
    said = f"correct.charged_microusd: ${dollars(wanted.charged_microusd)} is"
    if wanted.charged_microusd > MOST_OF_LEASE * leased:
        raise InvalidInput(
            f"{said} more than {MOST_OF_LEASE} times what {wanted.run_id} leased (${dollars(leased)}). "
            "It is not taken. If it is no slip, lower a limit of the windows instead: `ballast budget --day`."
        )
    if not wanted.above_lease:
        raise InvalidInput(
            f"{said} more than {wanted.run_id} leased (${dollars(leased)}): it takes room from other runs. "
            "If it is meant, say so: `--above-lease` (above_lease: true)."
        )
