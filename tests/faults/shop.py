"""The expected content of the shop's tables after a run, by its log: money, stock and customers.

A model of the desk's tools, written a second time on purpose: it knows nothing of the tools' code, of markers or of
transactions. A new write of the desk needs an entry in ``_EFFECTS`` here.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from ballast.folds.calls import CallState

_READ = TypeDeserializer().deserialize
Item = dict[str, Any]


_UNNAMED = "unknown "
#: Table by logical id → attribute of ``Shop``, partition key.
TABLES = {
    "CustomersTable": ("customers", "customer_id"),
    "OrdersTable": ("orders", "order_id"),
    "RefundsTable": ("refunds", "refund_id"),
}


@dataclass
class Shop:
    """The three tables by key, without the tools' markers."""

    customers: dict[str, Item] = field(default_factory=dict)
    orders: dict[str, Item] = field(default_factory=dict)
    refunds: dict[str, Item] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Mapping[str, Iterable[Mapping[str, Any]]]) -> Shop:
        """Read it from the items of each table (by logical id), as DynamoDB has them."""
        made = cls()
        for table, (name, key) in TABLES.items():
            for raw in items[table]:
                item = {attribute: _READ(value) for attribute, value in raw.items()}
                if not item[key].startswith("marker#"):
                    getattr(made, name)[item[key]] = item
        return made

    def copy(self) -> Shop:
        """Return another one that is the same."""
        return copy.deepcopy(self)

    def apply(self, call: CallState, *, on: str) -> None:
        """Let a write that happened happen here, on the day ``on`` (ISO 8601)."""
        known = set(self.refunds)
        _EFFECTS[call.call.tool](self, call)
        for refund_id in self.refunds.keys() - known:
            self.refunds[refund_id]["issued_on"] = on

    def differences(self, found: Shop) -> list[str]:
        """Return where ``found`` is not as this. A refund whose id nobody heard is told by what it is."""
        self._find_unnamed(found)
        wrong = []
        for name, _ in TABLES.values():
            mine, its = getattr(self, name), getattr(found, name)
            for key in sorted(mine | its):
                if mine.get(key) != its.get(key):
                    wrong.append(f"{name} {key}: {_apart(mine.get(key), its.get(key))}")
        return wrong

    def contradictions(self) -> list[str]:
        """Return the orders whose refunds do not add up to what they have refunded."""
        issued: Counter[str] = Counter()
        for refund in self.refunds.values():
            issued[refund["order_id"]] += int(refund["amount_cents"]) if refund["status"] == "issued" else 0
        return [
            f"{key} has refunded {order['refunded_cents']} cents, its refunds are {issued[key]}"
            for key, order in self.orders.items()
            if order["refunded_cents"] != issued[key]
        ]

    def _find_unnamed(self, found: Shop) -> None:
        for unnamed in [key for key in self.refunds if key.startswith(_UNNAMED)]:
            refund = self.refunds[unnamed]
            new = sorted(set(found.refunds) - set(self.refunds))
            named = next((key for key in new if refund | {"refund_id": key} == found.refunds[key]), None)
            if named is not None:
                self.refunds[named] = self.refunds.pop(unnamed) | {"refund_id": named}

    @property
    def stands(self) -> dict[str, Any]:
        """What a customer or the bank would notice: it is the same again after an undo, versions and traces are not."""
        issued = {key: one["amount_cents"] for key, one in self.refunds.items() if one["status"] == "issued"}
        orders = {key: (one["status"], one["refunded_cents"]) for key, one in self.orders.items()}
        people = {key: {**one, "version": None} for key, one in self.customers.items()}
        return {"refunds": issued, "orders": orders, "customers": people}

    @property
    def refunded_cents(self) -> int:
        """What the bank will pay out."""
        return sum(int(refund["amount_cents"]) for refund in self.refunds.values() if refund["status"] == "issued")

    @property
    def units_sold(self) -> int:
        """What has left the stock, or will."""
        gone = [order for order in self.orders.values() if order["status"] not in ("cancelled", "returned")]
        return sum(int(line["quantity"]) for order in gone for line in order["lines"])


def _apart(expected: Item | None, found: Item | None) -> str:
    if expected is None or found is None:
        return "is not there" if found is None else "should not be there"
    names = [name for name in sorted(expected | found) if expected.get(name) != found.get(name)]
    return ", ".join(f"{name} is {found.get(name)!r}, not {expected.get(name)!r}" for name in names)


def _asked(call: CallState) -> dict[str, Any]:
    asked = call.call.arguments
    assert isinstance(asked, dict), f"{call.call} had an effect"
    return asked


def _cancel(shop: Shop, call: CallState) -> None:
    order = shop.orders[_asked(call)["order_id"]]
    order["cancelled_from"], order["status"] = order["status"], "cancelled"


def _reinstate(shop: Shop, call: CallState) -> None:
    order = shop.orders[_asked(call)["order_id"]]
    order["status"] = order["cancelled_from"]


def _refund(shop: Shop, call: CallState) -> None:
    arguments, order = _asked(call), shop.orders[_asked(call)["order_id"]]
    cents = _cents(arguments["amount_usd"])
    order["refunded_cents"] += cents
    # Of an effect that is unknown nobody returned an id.
    refund_id = call.result["refund_id"] if isinstance(call.result, dict) else f"{_UNNAMED}{call.turn}.{call.index}"
    shop.refunds[refund_id] = {
        "refund_id": refund_id,
        "order_id": order["order_id"],
        "customer_id": order["customer_id"],
        "amount_cents": cents,
        "reason": arguments.get("reason", "other"),
        "status": "issued",
    }


def _cancel_refund(shop: Shop, call: CallState) -> None:
    refund = shop.refunds[_asked(call)["refund_id"]]
    refund["status"] = "cancelled"
    shop.orders[refund["order_id"]]["refunded_cents"] -= refund["amount_cents"]


def _customer(shop: Shop, call: CallState) -> None:
    customer = shop.customers[_asked(call)["customer_id"]]
    named = _asked(call).get("previous", _asked(call))
    customer.update({name: value for name, value in named.items() if name in customer and value is not None})
    customer["version"] += 1


def _cents(amount: Any) -> int:
    whole, _, part = str(amount).partition(".")
    return int(whole) * 100 + int((part + "00")[:2])


_EFFECTS: dict[str, Callable[[Shop, CallState], None]] = {
    "cancel_order": _cancel,
    "reinstate_order": _reinstate,
    "refund_order": _refund,
    "cancel_refund": _cancel_refund,
    "update_customer": _customer,
    "restore_customer": _customer,
}
