"""Check a run's log in the tables of a cloud, local or deployed, against the run's lease."""

from __future__ import annotations

from datetime import datetime

from ballast.log.evidence import Anchor, Verdict, check
from ballast.log.run_log import RunLog
from ballast.money.windows import LEASE
from ballast.table import Table


def verdict_on(log: RunLog, budgets: Table, run_id: str, now: datetime) -> Verdict | None:
    """Return the verdict on the run's log; None if there is neither a log nor a lease. Raises ``RetryLater``."""
    events, broken = log.examine(run_id)
    anchor = anchor_of(budgets, run_id)
    if not events and not broken and (anchor is None or not anchor.settled):
        return None
    return check(events, broken=broken, anchor=anchor, now=now)


def anchor_of(budgets: Table, run_id: str) -> Anchor | None:
    """Return what the run's lease says of its end; None if it has no lease, or the lease has expired."""
    found = budgets.get({"account": LEASE, "window": run_id})
    if found is None:
        return None
    return Anchor(
        settled=found.get("status") == "settled",
        sha256=found.get("log_sha256"),
        corrections=found.get("corrections", 0),
        corrected=found.get("corrected"),
    )
