"""The support desk behind the real handlers: its tables, its articles, and a model that says what a test says."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ballast.errors import ApprovalRequired
from ballast.playbook import load_playbook
from tests.functions.cloud import client
from tests.functions.endpoint import Endpoint, calls, says
from tests.functions.stack import Stack

FOLDER = Path(__file__).resolve().parents[2] / "layers" / "playbook" / "playbook"
TABLES = {"CUSTOMERS_TABLE": "customers", "ORDERS_TABLE": "orders", "REFUNDS_TABLE": "refunds"}
_KEYS = {
    "customers": ("customer_id", "by_email", "email"),
    "orders": ("order_id", "by_customer", "customer_id"),
    "refunds": ("refund_id", None, None),
}

#: A tool and its arguments.
Call = tuple[str, dict[str, Any]]


def create_tables() -> None:
    """Create the shop's tables, empty."""
    for table, (key, index, attribute) in _KEYS.items():
        more: dict[str, Any] = {
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": index,
                    "KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ]
        }
        client("dynamodb").create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in (key, attribute) if name],
            **(more if index else {}),
        )


@dataclass
class Desk:
    """One shop, and runs at it."""

    stack: Stack
    model: Endpoint
    today: date

    @classmethod
    def of(cls, stack: Stack, model: Endpoint) -> Desk:
        """Point the functions at the support desk's playbook, and fill its shop."""
        for environ in stack.environs.values():
            if "PLAYBOOK_DIR" in environ:
                environ["PLAYBOOK_DIR"] = str(FOLDER)
        stack.environs["executor"] |= TABLES
        desk = cls(stack, model, stack.clock().date())
        desk.restock()
        return desk

    def restock(self) -> None:
        """Put the shop's records back as they were."""
        store = _module("store")

        def fill() -> None:
            store.seed_store(client("dynamodb"), TABLES, today=self.today, customers=5, orders=10)

        self.stack.cloud.fill(fill, *_KEYS)

    def note(self, order_id: str, text: str) -> None:
        """Let the customer have written ``text`` at the checkout."""
        self._change("orders", "order_id", order_id, "customer_note", text)

    def about(self, customer_id: str, text: str) -> None:
        """Let the desk's notes about the customer say ``text``."""
        self._change("customers", "customer_id", customer_id, "notes", text)

    def plant(self, table: str, key: str, path: str, text: str) -> None:
        """Let a record say ``text`` at ``path``, such as "address.street" or "lines.0.name"."""
        found = client("dynamodb").get_item(TableName=table, Key={_KEYS[table][0]: {"S": key}})["Item"]
        *steps, last = path.split(".")
        inner: Any = found
        for step in steps:
            value = inner[int(step)] if isinstance(inner, list) else inner[step]
            inner = value.get("M") or value["L"]
        inner[last] = {"S": text}
        client("dynamodb").put_item(TableName=table, Item=found)

    def _change(self, table: str, key: str, value: str, attribute: str, text: str) -> None:
        client("dynamodb").update_item(
            TableName=table,
            Key={key: {"S": value}},
            UpdateExpression="SET #a = :text",
            ExpressionAttributeNames={"#a": attribute},
            ExpressionAttributeValues={":text": {"S": text}},
        )

    def records(self) -> dict[str, Any]:
        """Return the shop's records by id, without the markers of writes."""
        found = {}
        for table, (key, *_) in _KEYS.items():
            for item in client("dynamodb").scan(TableName=table)["Items"]:
                found[item[key]["S"]] = item
        return {key: item for key, item in found.items() if not key.startswith("marker#")}

    def run(self, text: str, *turns: list[Call], context: Mapping[str, Any] | None = None, **fields: Any) -> Ran:
        """Let a model make the calls of ``turns``, one list a turn, and then answer; return what came of each call."""
        made = [calls(*({"name": tool, "input": arguments} for tool, arguments in turn)) for turn in turns]
        self.model.will(*made, says("Done."))
        run_id = self.stack.open(agent="support", text=text, context=dict(context or {}), **fields)
        statuses: list[list[str]] = []
        for number, turn in enumerate(turns, start=1):
            self.stack.plan(run_id, number)
            statuses.append([self._execute(run_id, number, index) for index in range(1, len(turn) + 1)])
        return Ran(self, run_id, statuses)

    def _execute(self, run_id: str, turn: int, index: int) -> str:
        try:
            return self.stack.execute(run_id, turn, index)
        except ApprovalRequired:
            return "asked"


@dataclass(frozen=True)
class Ran:
    """What came of a run's calls: the status of each, by turn; ``asked`` where a person must approve."""

    desk: Desk
    run_id: str
    statuses: list[list[str]]

    @property
    def last(self) -> str:
        """What came of the last call."""
        return self.statuses[-1][-1]

    def error(self, turn: int, index: int = 1) -> str:
        """Return why a call was refused, by name."""
        return str(self.desk.stack.body(self.run_id, f"{turn:04d}.call.{index}.refused")["error"])

    def message(self, turn: int, index: int = 1) -> str:
        """Return what the model was told of a refusal."""
        return str(self.desk.stack.body(self.run_id, f"{turn:04d}.call.{index}.refused")["message"])


def _module(name: str) -> Any:
    """Import a module of the support desk. Its package has an alias where another ``playbook`` was loaded before."""
    package, _, _ = load_playbook(FOLDER).tools["search_docs"].function.__module__.partition(".")
    return importlib.import_module(f"{package}.{name}")


def articles(folder: Path) -> Callable[[], None]:
    """Let search_docs search the files of ``folder`` from now on; return what puts its own back."""
    module = _module("tools.search_docs")
    before = module.KNOWLEDGE

    def use(this: Path) -> None:
        module.KNOWLEDGE = this
        module._library.cache_clear()

    use(folder)
    return lambda: use(before)
