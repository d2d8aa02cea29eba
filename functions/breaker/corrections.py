"""Correct the charge of a settled run by an operator's command (``ballast budget --correct``).

::

    lease (the command, its number) and windows, one transaction ── 9999.run.corrected (0.05, by whom, why), a copy
                                                                └ dies here: the same command again, or the next one,
                                                                  finds this one in the lease, and copies it first

The lease is authoritative, because only functions with the right to the budgets table write there. The log has a copy
for its readers. Any other event in the copy's place is forged: it is reported and never carried out.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated, Any

from pydantic import Field

from ballast.budget_items import BudgetsTableSettings, changed, check_charge, corrected, key_of, lease_of
from ballast.contracts.task import RunId
from ballast.contracts.wire import Wire
from ballast.errors import InvalidInput, LogCorrupt, RetryLater
from ballast.log.events import RunCorrected
from ballast.log.run_log import RunLog
from ballast.metrics import metric_line
from ballast.money.amounts import dollars
from ballast.money.lease import Corrected, Lease, correction
from ballast.money.windows import LEASE
from ballast.runtime import Runtime
from ballast.table import Table
from ballast.values import dataclass

_ATTEMPTS = 5
#: Number of keys that are tried for the copy in the log; forged events may occupy the first ones.
_KEYS = 20
#: The lease is the run's ceiling, so a charge above this multiple of it is a typing error.
MOST_OF_LEASE = 10


class Correction(Wire):
    """The real total cost of a run in micro-dollars, the operator and the reason.

    above_lease  confirms that a charge above the run's lease is intended
    """

    run_id: RunId
    charged_microusd: Annotated[int, Field(ge=0, le=10**15)]
    by: Annotated[str, Field(min_length=1, max_length=256)]
    reason: Annotated[str, Field(max_length=500)] = ""
    above_lease: bool = False


@dataclass(frozen=True)
class Corrections:
    """Corrects settlements: in the run's lease, in the lease's windows, and then in the log."""

    log: RunLog
    table: Table
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> Corrections:
        return cls(runtime.get(RunLog.of), BudgetsTableSettings.of(runtime).table(runtime), runtime)

    def correct(self, wanted: Correction) -> dict[str, Any]:
        """Carry out the correction once, and return the run with its old and its new charge.

        Raises ``InvalidInput`` if the run is not settled or the amount is implausible, and ``RetryLater``.
        """
        for _ in range(_ATTEMPTS):
            lease = self._settled(wanted.run_id)
            _check(wanted, lease)
            self._copy(lease)  # the last command may have died before its copy
            was = lease.charged_microusd
            shown = {"run_id": wanted.run_id, "was_microusd": was, "charged_microusd": wanted.charged_microusd}
            if was == wanted.charged_microusd:
                return shown
            command = Corrected(was, wanted.charged_microusd, wanted.by, wanted.reason)
            if self.write(lease, command):
                self._copy(replace(lease, corrections=lease.corrections + 1, corrected=command))
                return shown
        raise RetryLater(f"The lease of {wanted.run_id} keeps changing; try again.")

    def write(self, lease: Lease, command: Corrected) -> bool:
        """Write the new charge to the lease and to its windows that are still there, in one transaction.

        Return whether it was written; False if the lease has changed since it was read. Raises ``RetryLater``.
        """
        check_charge(command.charged_microusd, command.charged_microusd)  # an operator may exceed the lease
        changes = [changed(one) for one in correction(lease, command.charged_microusd)]
        return self.table.transact_with(corrected(lease, command), changes)

    def _copy(self, lease: Lease) -> None:
        """Write the lease's last command to the log, once, under the first key that is free or has it already."""
        if lease.corrected is None:
            return
        command = asdict(lease.corrected)
        for number in range(lease.corrections, lease.corrections + _KEYS):
            copy = RunCorrected(number=number, **command)
            try:
                if self.log.record(lease.run_id, copy).body == command:
                    return
            except LogCorrupt:
                pass  # an event that cannot be read is no copy either
            why = "is not the correction that the run's lease has"
            fields = {"run_id": lease.run_id, "seq": copy.seq, "why": why}
            self.runtime.emit(metric_line({"LogsUnfit": 1}, fields=fields))

    def _settled(self, run_id: str) -> Lease:
        found = self.table.get(key_of(LEASE, run_id))
        lease = None if found is None else lease_of(found)
        if lease is None or not lease.parts:
            raise InvalidInput(f"correct: {run_id} has no lease: no such run was admitted, or TTL has removed it.")
        if lease.held:
            raise InvalidInput(f"correct: {run_id} is not settled yet. Correct it once it has ended and is settled.")
        return lease


def _check(wanted: Correction, lease: Lease) -> None:
    """Raise ``InvalidInput`` for a charge that looks like a typing error and would fill the windows."""
    leased = lease.leased_microusd
    if wanted.charged_microusd <= leased:
        return
    said = f"correct.charged_microusd: ${dollars(wanted.charged_microusd)} is"
    if wanted.charged_microusd > MOST_OF_LEASE * leased:
        raise InvalidInput(
            f"{said} more than {MOST_OF_LEASE} times what {wanted.run_id} leased (${dollars(leased)}). "
            "It was not charged. If it is intended, lower a limit of the windows instead: `ballast budget --day`."
        )
    if not wanted.above_lease:
        raise InvalidInput(
            f"{said} more than {wanted.run_id} leased (${dollars(leased)}): it takes room from other runs. "
            "If it is intended, say so: `--above-lease` (above_lease: true)."
        )
