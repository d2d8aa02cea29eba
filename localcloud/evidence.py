"""A run's log checked where it is: in the table and bucket of a cloud, against the lease in another table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ballast.log.evidence import Anchor, Verdict, check
from ballast.log.run_log import RunLog
from ballast.money.windows import LEASE
from ballast.table import Table


def verdict_on(log: RunLog, budgets: Table, run_id: str, now: datetime) -> Verdict | None:
    """Return the verdict on the run's log; None where there is neither a log nor a lease. Raises ``RetryLater``."""
    events, broken = log.examine(run_id)
    anchor = anchor_of(budgets, run_id)
    if not events and not broken and (anchor is None or not anchor.settled):
        return None
    return check(events, broken=broken, anchor=anchor, now=now)


def anchor_of(budgets: Table, run_id: str) -> Anchor | None:
    """Return what the run's lease says of its end; None where it has none, or where it was forgotten."""
    found = budgets.get({"account": LEASE, "window": run_id})
    if found is None:
        return None
    return Anchor(
        settled=found.get("status") == "settled",
        sha256=found.get("log_sha256"),
        corrections=found.get("corrections", 0),
        corrected=found.get("corrected"),
    )


def executions_since(states: Any, state_machine_arn: str, since: datetime) -> Iterator[str]:
    """Yield the ids of the runs whose executions were started since then, newest first. Asks nothing of the log."""
    query: dict[str, Any] = {"stateMachineArn": state_machine_arn}
    while True:
        page = states.list_executions(**query)
        for execution in page["executions"]:
            if execution["startDate"].astimezone(UTC) < since.astimezone(UTC):
                return
            yield execution["name"]
        if "nextToken" not in page:
            return
        query["nextToken"] = page["nextToken"]
