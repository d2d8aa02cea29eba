"""A run's log checked where it is: in the table and bucket of a cloud, against the lease in another table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ballast.aws_errors import consequences
from ballast.log.evidence import Anchor, Verdict, check
from ballast.log.run_log import RunLog
from ballast.money.windows import LEASE


def verdict_on(log: RunLog, dynamodb: Any, budgets_table: str, run_id: str, now: datetime) -> Verdict | None:
    """Return the verdict on the run's log; None where there is neither a log nor a lease. Raises ``RetryLater``."""
    events, broken = log.examine(run_id)
    anchor = anchor_of(dynamodb, budgets_table, run_id)
    if not events and not broken and (anchor is None or not anchor.settled):
        return None
    return check(events, broken=broken, anchor=anchor, now=now)


def anchor_of(dynamodb: Any, budgets_table: str, run_id: str) -> Anchor | None:
    """Return what the run's lease says of its end; None where it has none, or where it was forgotten."""
    with consequences(f"Table {budgets_table} (BUDGETS_TABLE)"):
        key = {"account": {"S": LEASE}, "window": {"S": run_id}}
        found = dynamodb.get_item(TableName=budgets_table, Key=key, ConsistentRead=True).get("Item")
    if found is None:
        return None
    order = found.get("corrected", {}).get("M")
    return Anchor(
        settled=found.get("status", {}).get("S") == "settled",
        sha256=found.get("log_sha256", {}).get("S"),
        corrections=int(found.get("corrections", {}).get("N", 0)),
        corrected=None if order is None else {name: _plain(value) for name, value in order.items()},
    )


def _plain(value: dict[str, Any]) -> int | str:
    return int(value["N"]) if "N" in value else str(value["S"])


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
