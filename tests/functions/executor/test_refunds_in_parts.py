"""The desk's refunds: parts of a sum meet the approval that the sum meets, in one run and over several."""

import pytest

from tests.functions import desk as shop
from tests.functions.desk import Call, Desk, Ran
from tests.functions.endpoint import Endpoint
from tests.functions.moves import adds_up, window
from tests.functions.stack import Stack

#: 480.00 of O-1004, as an agent paid it without a person before there was a ceiling.
PARTS = ("100.00", "99.99", "99.98", "99.97", "80.06")
TEXT = f"Please refund O-1004, all of it: 480.00 USD, that is {' USD, '.join(PARTS)} USD."


@pytest.fixture(scope="module", autouse=True)
def tables(cloud: object) -> None:
    shop.create_tables()


@pytest.fixture
def desk(stack: Stack, model: Endpoint) -> Desk:
    return Desk.of(stack, model)


def refund(amount: str, order_id: str = "O-1004") -> Call:
    return "refund_order", {"order_id": order_id, "amount_usd": amount, "reason": "damaged"}


def played(desk: Desk, *turns: list[Call], text: str = TEXT) -> Ran:
    """Let the model of a run of its own make these calls."""
    desk.model.renew()
    return desk.run(text, *turns)


def refunded(desk: Desk) -> int:
    """Return the cents that left without a person."""
    return sum(int(item["amount_cents"]["N"]) for key, item in desk.records().items() if key.startswith("R-"))


@pytest.mark.parametrize("one_turn", [True, False])
def test_parts_in_one_run_ask_as_the_whole_does(desk: Desk, one_turn: bool) -> None:
    before = refunded(desk)
    turns = [[refund(part) for part in PARTS]] if one_turn else [[refund(part)] for part in PARTS]

    whole = played(desk, [refund("480.00")])
    parts = played(desk, *turns)

    assert whole.last == "asked"
    assert [status for turn in parts.statuses for status in turn] == ["ok", "asked", "asked", "asked", "asked"]
    assert refunded(desk) - before == 100_00
    adds_up(desk.stack, parts.run_id)


def test_parts_over_runs_ask_as_the_whole_does(desk: Desk) -> None:
    before = refunded(desk)

    ran = [played(desk, [refund(part)]) for part in PARTS]

    assert [one.last for one in ran] == ["ok", "asked", "asked", "asked", "asked"]
    assert refunded(desk) - before == 100_00
    why = desk.stack.body(ran[1].run_id, "0001.call.1.approval_needed")["why"]
    assert why == ["99.99 USD, with 100.00 USD refunded to the customer today, is above 100.00 USD"]


def test_many_small_parts_ask_once_they_are_a_hundred(desk: Desk) -> None:
    amounts = [f"{cents / 100:.2f}" for cents in range(900, 930)]

    ran = [played(desk, [refund(amount)], text=f"Refund {amount} USD of O-1004.") for amount in amounts]

    assert [one.last for one in ran] == ["ok"] * 11 + ["asked"] * 19
    assert window("account") <= 100
