"""The example playbook on a shop's tables, called as the executor calls it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ballast.contracts import RunRequest
from ballast.playbook import ToolContext, load_playbook

FOLDER = Path(__file__).resolve().parents[3] / "layers" / "playbook" / "playbook"
TODAY = date(2025, 6, 2)
ENVIRON = {"CUSTOMERS_TABLE": "customers", "ORDERS_TABLE": "orders", "REFUNDS_TABLE": "refunds"}
# As in template.yaml: table, key, index and the attribute that it is on.
TABLES = (
    ("customers", "customer_id", "by_email", "email"),
    ("orders", "order_id", "by_customer", "customer_id"),
    ("refunds", "refund_id", None, None),
)

PLAYBOOK = load_playbook(FOLDER)

NO_CONTEXT = RunRequest(request_id="r-1", text="Hello")


@dataclass(frozen=True)
class Desk:
    """The playbook's tools on a shop of its own."""

    client: Any
    request: RunRequest = NO_CONTEXT

    def with_context(self, **context: Any) -> Desk:
        """Return the same desk, for a request whose caller vouches for ``context``."""
        return replace(self, request=RunRequest(request_id="r-1", text="Hello", context=context))

    def through(self, client: Any) -> Desk:
        """Return the same desk, with another client in front of the same tables."""
        return replace(self, client=client)

    def run(self, tool: str, *, key: str = "run-1.0001.1", **arguments: Any) -> Any:
        """Run a tool as the executor does; return its result as JSON."""
        made = PLAYBOOK.tools[tool]
        args = made.arguments.model_validate_json(json.dumps(arguments))
        context = ToolContext(
            run_id="run-1",
            turn=1,
            index=1,
            idempotency_key=key,
            request=self.request,
            now=datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC),
            environ=ENVIRON,
            client=lambda _: self.client,
        )
        return made.dump(made(args, context))

    def items(self, table: str) -> dict[str, dict[str, Any]]:
        """Return what is in the table, markers included, as DynamoDB has it, by key."""
        key = {name: key for name, key, _, _ in TABLES}[table]
        return {item[key]["S"]: item for item in self.client.scan(TableName=table)["Items"]}

    def records(self) -> dict[str, dict[str, Any]]:
        """Return all records of the shop by id, without the markers."""
        everything = {key: item for name, *_ in TABLES for key, item in self.items(name).items()}
        return {key: item for key, item in everything.items() if not key.startswith("marker#")}
