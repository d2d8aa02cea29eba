"""The facts that fallbacks take from a request."""

from decimal import Decimal
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.playbook import GiveUp
from playbook.facts import order_meant, vouched_amount


def asked(text: str = "Hello", **context: Any) -> RunRequest:
    return RunRequest(request_id="r", text=text, context=context)


def test_the_context_comes_before_the_text() -> None:
    assert order_meant(asked("Where is O-2002?", order_id="O-1001")) == "O-1001"


@pytest.mark.parametrize(
    "text",
    [
        "Where is O-1001?",
        "o-1001 please",
        "(O-1001)",
        "my order:O-1001.",
        "O-1001, yes O-1001, the one I wrote about: o-1001",
        "订单O-1001在哪里？",
    ],
)
def test_an_order_that_the_text_names_once_or_more_is_meant(text: str) -> None:
    assert order_meant(asked(text)) == "O-1001"


@pytest.mark.parametrize(
    "text",
    [
        "Where is my order?",
        "O-12",
        "O-1234567",
        "FOO-1001",
        "NO-1001",
        "O-1001-7",
        "AO-1001",
        "X-O-1001",
        "O-1001a",
        "O-١٠٠١",
        "O_1001",
    ],
)
def test_what_only_looks_like_an_order_number_is_none(text: str) -> None:
    with pytest.raises(GiveUp, match="Neither the context nor the text names an order"):
        order_meant(asked(text))


def test_two_orders_in_the_text_are_not_guessed_at() -> None:
    with pytest.raises(GiveUp, match=r"names 2 orders \(O-1001, O-1002\)"):
        order_meant(asked("Cancel O-1002, not O-1001!"))


@pytest.mark.parametrize("order_id", ["1001", "", 1001, ["O-1001"], "O-1001 ", "o-1001"])
def test_a_vouched_order_that_is_none_is_not_replaced_by_the_text(order_id: Any) -> None:
    with pytest.raises(GiveUp, match=r"context\.order_id"):
        order_meant(asked("O-1001", order_id=order_id))


def test_an_amount_is_vouched_for_as_text() -> None:
    assert vouched_amount(asked(amount_usd="40.00")) == Decimal("40.00")
    assert vouched_amount(asked("40.00")) is None


@pytest.mark.parametrize("amount", [40, 40.5, "40", "forty", "-1.00", True])
def test_a_vouched_amount_of_another_form_goes_to_a_person(amount: Any) -> None:
    with pytest.raises(GiveUp, match=r"context\.amount_usd"):
        vouched_amount(asked(amount_usd=amount))
