"""An answer may name values of the run and their sums; ordinary sentences are not checked."""

from typing import Any

import pytest

from ballast.contracts import Answer
from ballast.validation import Source, fit_schema, unknown_values
from ballast.validation.sources import json_leaves

KNOWN = (
    Source("request", True, json_leaves("Please refund order O-1003. I paid 40 dollars. It weighs 7 kg.")),
    Source(
        "0001.call.1",
        True,
        json_leaves({"order_id": "O-1003", "total_usd": "59.90", "paid": 84.5, "lines": [{"count": 3}]}),
    ),
    Source("0001.call.2", False, json_leaves({"excerpt": "Shipping costs $4.90 and is free above 75 USD."})),
)
IDS = [r"\bO-[0-9]{4,6}\b", r"\bR-[A-Z0-9]{4}\b"]


def complaints(text: str, *own_words: str, data: Any = None) -> tuple[str, ...]:
    return unknown_values(Answer(text=text, data=data), KNOWN, own_words, IDS)


@pytest.mark.parametrize(
    "text",
    [
        "Your order O-1003 cost 59.90 USD.",
        "We refund $40, in 3 to 5 days.",
        "It takes 2 days, until 2026-11-25, at 10:30, in 14 of 15 cases, and 30 % of people like it.",
        "Call +1 555 0101 or visit us at 12 Wharf Street, 04101 Portland.",
        "You get 40,00 € back.",
        "Shipping is 4.90 USD, and free above $75.",
        "Two such orders are 119.80 USD.",  # 59.90 + 59.90
        "Together that is $99.90.",  # 59.90 + 40
        "That leaves 19.90 USD.",  # 59.90 - 40
        "With shipping: USD 64.80.",  # 59.90 + 4.90
        "You have paid 84.50 USD.",
        "A credit of -40 USD.",
        "We sell 250 tents of 5 pounds each.",
        "Order o-1003 is on its way.",
    ],
)
def test_what_is_known_may_be_said(text: str) -> None:
    assert complaints(text) == ()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("We refund 45.00 USD.", ["the amount 45.00 usd"]),
        ("We refund $41 and 40 dollars.", ["the amount $41"]),
        ("You get €400 back.", ["the amount €400"]),
        ("You get ４１ USD back.", ["the amount 41 usd"]),
        ("That makes 159.80 USD.", ["the amount 159.80 usd"]),  # 59.90 + 59.90 + 40: three terms
        ("Your order is O-1004.", ["O-1004"]),
        ("Your refund R-AB12 of 45 USD", ["the amount 45 usd", "R-AB12"]),
        ("$7.01 for 7 kg", ["the amount $7.01"]),
    ],
)
def test_what_nobody_has_named_is_complained_of(text: str, names: list[str]) -> None:
    assert list(complaints(text)) == names


def test_the_playbooks_own_words_are_known_amounts_and_no_known_ids() -> None:
    assert complaints("Above 100.00 USD a person decides.", "Above 100.00 USD a person approves.") == ()
    assert complaints("It is like O-9999.", "An id such as O-9999.") == ("O-9999",)


def test_the_datas_texts_are_looked_at_too() -> None:
    assert complaints("Done.", data={"lines": [{"say": "45 USD for O-1004"}]}) == ("the amount 45 usd", "O-1004")


def test_there_are_only_so_many_complaints() -> None:
    found = complaints(" ".join(f"O-{number}" for number in range(2000, 2020)))

    assert len(found) == 7
    assert found[-1] == "and 14 more"


SCHEMA = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"enum": ["paid"]}, "text": {"type": "string"}},
}


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ('{"status": "paid", "text": "It is paid."}', "It is paid."),
        (' {"status": "paid"}\n', '{"status": "paid"}'),
        ('```json\n{"status": "paid", "text": "Paid."}\n```', "Paid."),
        ('{"status": "paid", "text": " "}', '{"status": "paid", "text": " "}'),
    ],
)
def test_the_data_is_taken_from_the_text(text: str, sent: str) -> None:
    read = fit_schema(Answer(text=text), SCHEMA)

    assert read.complaints == ()
    assert (read.answer.text, (read.answer.data or {})["status"]) == (sent, "paid")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("It is paid.", "it is not JSON"),
        ('Here: {"status": "paid"}', "it is not JSON"),
        ('{"status": "paid"} Anything else?', "text after the JSON"),
        ('{"status": "paid", "status": "lost"}', "a key occurs twice"),
        ('["paid"]', "not an object"),
        ('{"status": NaN}', "it is not JSON"),
        ('{"status": "lost"}', "status: must be one of 'paid'"),
        ("{}", "status: is required"),
    ],
)
def test_what_does_not_fit_is_said(text: str, says: str) -> None:
    assert says in fit_schema(Answer(text=text), SCHEMA).complaints[0]


def test_a_scripts_own_data_is_checked_and_its_text_left_alone() -> None:
    good, bad = Answer(text="Paid.", data={"status": "paid"}), Answer(text="Paid.", data={"status": "lost"})

    assert fit_schema(good, SCHEMA).answer == good
    assert fit_schema(bad, SCHEMA).complaints == ("status: must be one of 'paid'",)


def test_without_a_schema_any_answer_fits() -> None:
    assert fit_schema(Answer(text="{"), None).complaints == ()
