"""Amounts are known from amounts, derived ones are shown to a person, and other numbers vouch for nothing."""

from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from ballast.contracts import RunRequest
from ballast.validation import Grounded, Grounding, Sensitive, Source, ground, opening_sources
from ballast.validation.sources import json_leaves
from ballast.validation.values import Leaf, SearchValue


class Pay(BaseModel):
    amount_usd: Annotated[Decimal, Grounded]


class Secret(BaseModel):
    amount_usd: Annotated[Decimal, Grounded, Sensitive]


class Whole(BaseModel):
    amount: Annotated[int, Grounded]


class Count(BaseModel):
    quantity: Annotated[int, Grounded]


def found(args: BaseModel, text: str = "Please.", *results: Any, untrusted: tuple[Any, ...] = ()) -> Grounding:
    opening = opening_sources(RunRequest(request_id="r", text=text))
    sources = [Source(f"{n:04d}.call.1", True, json_leaves(one)) for n, one in enumerate(results, start=1)]
    sources += [Source("0009.call.1", False, json_leaves(one)) for one in untrusted]
    return ground(args, opening, lambda: sources)


def verdict(args: BaseModel, *given: Any, **more: Any) -> str:
    """Return known, tainted, derived or ungrounded; "tainted derived" where a person sees both."""
    seen = found(args, *given, **more)
    words = [name for name in ("known", "tainted", "derived") if getattr(seen, name)]
    return " ".join(words) or "ungrounded"


@pytest.mark.parametrize(
    "text",
    [
        "Refund $90, please",
        "Refund 90 USD",
        "Refund USD 90.00",
        "Please pay 90 euros to the shop",
        "Please pay me back £90.",
        "90 pounds, please",
        "a refund of 90 pounds sterling",
        "90 zł",
        "90 zloty",
        "90,- EUR",
        "90.– CHF",
        "€ 90,-",
        "90원",
        "US$ 90",
        "The amount is 90 dollars",
        "amount: 90",
        "Total = 90, please",
        "$40 and $90",
        "40€ 90€",
        "40 EUR, 90 EUR",
    ],
)
def test_an_amount_vouches_for_an_amount(text: str) -> None:
    assert verdict(Pay(amount_usd=Decimal("90.00")), text) == "known"


@pytest.mark.parametrize(
    "text",
    [
        "I live at 90 Harbor Way",
        "Harbor Way 90, Apt 4",
        "My tent came with 90 pegs",
        "I want a refund: 90 pegs are missing",
        "I paid for 90 pegs",
        "Rua da Bica 90",
        "Bus 90 brought me here",
        "We were 90",
        *("Refund item 90", "refund for May 90", "Refund order 90, card 90", "I want a refund in 90 days, size 90"),
        *(
            "refund line 90",
            "Refund room 90. Thanks",
            "Bill 90 was for it",
            "invoice 90",
            "Invoice no 90",
            "total: 90 kg",
        ),
        *("credit note 90", "I paid with card number 90", "version 90.00", "it weighs 90.00 kg", "I live at 90.00 N"),
        *("it weighs 90 pounds", "90 pounds of rice", "total weight 90.00", "gate 90 $40", "room 90 USD 40"),
        *(
            "I paid 40 USD 90 days ago",
            "Refund 90.00",
            "Please pay 90 to the shop",
            "I paid 90 for it",
            "Send 90 to Al",
        ),
    ],
)
def test_a_house_number_or_a_count_is_put_to_a_person(text: str) -> None:
    seen = found(Pay(amount_usd=Decimal("90.00")), text)

    assert not seen.known
    assert seen.derived == {"amount_usd": "90.00 stands in request, but not as an amount of money"}


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ({"amount": 90}, "known"),
        ({"amountUsd": 90}, "known"),
        ({"total_price": "90"}, "known"),
        ({"anything": 90.0}, "derived"),
        ({"price": "90 or so"}, "derived"),
        ({"price": "90 USD or so"}, "known"),
        ({"refund": "room 90"}, "derived"),
        *(({name: "90.00"}, "derived") for name in ("weight_kg", "latitude", "credit_score", "version", "length_cm")),
        *(({name: 90}, "derived") for name in ("credit_note", "invoice_no", "paid_items", "due_day", "room_code")),
        ({"price": "of 90 pegs, 2"}, "derived"),
        ({"lines": [{"unit_usd": "90.00"}]}, "known"),
        ({"house_number": 90}, "derived"),
        ({"quantity": 90}, "derived"),
        ({"total_count": 90}, "derived"),
        ({"street": "90 Harbor Way"}, "derived"),
        ({"order_id": "O-90"}, "ungrounded"),
    ],
)
def test_the_name_of_a_field_says_whether_its_number_is_an_amount(result: Any, says: str) -> None:
    assert verdict(Pay(amount_usd=Decimal("90.00")), "Please.", result) == says


MONEY = (
    "order_total invoice_total line_total lineItemTotal invoiceAmount item_price items_total room_price order_amount "
    "unit_price price_per_item price_per_night pricePerNight total_of_order cost_per_unit total_for_room "
    "total_with_vat card_balance account_balance order_value hourly_rate nightly_rate room_rate room_rent phone_bill "
    "seat_price size_fee time_fee note_amount reference_price weight_charge amount_requested balance_available "
    "total_net monthTotal day_rate daily_amount zone_fare page_cost interestDue number_fee "
    "price_quote tip"
)
OTHERS = (
    "paid_at cost_center costCenter refund_window payment_terms paymentAttempts bill_to billTo fare_class rent_floor "
    "fee_schedule tip_pool charge_port balance_sheet budget_year chargeback price_list_version credit_limit_days "
    "tax_rate interest_rate exchange_rate rate value gross number_of_dollars days_total nights_paid hours_spent "
    "timeSpent points_balance pages_total weight_total count_total percent_paid paid_by payment_method refund_policy "
    "tax_id per_cost_center cost_center_of_refund attempts_per_payment pay_grade price_tier due_date sensor_value "
    "amount_day"
)


@pytest.mark.parametrize("name", MONEY.split())
@pytest.mark.parametrize("value", ["90.00", 90, 90.0])
def test_a_field_whose_head_is_money_is_an_amount_whatever_else_its_name_says(name: str, value: Any) -> None:
    assert verdict(Pay(amount_usd=Decimal("90.00")), "Please.", {name: value}) == "known"


@pytest.mark.parametrize("name", OTHERS.split())
@pytest.mark.parametrize("value", ["90.00", 90, 90.0])
def test_a_field_whose_head_is_something_else_is_no_amount(name: str, value: Any) -> None:
    assert verdict(Pay(amount_usd=Decimal("90.00")), "Please.", {name: value}) == "derived"


def test_an_argument_whose_head_is_money_is_not_known_from_a_count() -> None:
    class Order(BaseModel):
        order_total: Annotated[Decimal, Grounded]

    assert verdict(Order(order_total=Decimal(90)), "I need 90 pegs") == "derived"


@pytest.mark.parametrize(
    "text",
    [
        *("size 90 EUR shoes", "EUR 90 shoe size", "my shoe size is 90 EUR", "Schuhe, Größe 90 EUR", "EUR 90 boots"),
        *("order 90 USD", "Order no. 90 EUR", "invoice 90 USD, please", "item 90 EUR", "#90 USD", "room 90 usd plan"),
        *("Rechnung 90 EUR", "line 90 USD", "invoice number 90 EUR", "version 90 USD", "90 EUR pallets"),
        *("I lost 90 pounds", "my dog has 90 pounds", "He gained about 90 pounds", "It dropped 90 pounds of fat"),
        *("90 pounds overweight", "90 pounds on the scale", "a 90 pounds suitcase", "my luggage is 90 pounds"),
        *("she lost over 90 pounds", "90 quid pro quo", "I had 90 pounds", "carries up to 90 pounds"),
    ],
)
def test_a_number_beside_a_currency_that_is_something_else_is_put_to_a_person(text: str) -> None:
    assert verdict(Pay(amount_usd=Decimal("90.00")), text) == "derived"


@pytest.mark.parametrize(
    "text",
    [
        *("order total 90 USD", "My order: 90 USD", "order, 90 EUR", "Invoice: $90", "item $90", "item 90.00 EUR"),
        *("Order 7: 90 EUR", "order 7 for 90 USD", "the invoice of 90 EUR", "order $90 of it", "room 7 was 90 EUR"),
        *("I have £90", "I lost £90", "I lost 90 pounds sterling", "I paid 90 pounds", "my luggage cost 90 pounds"),
        *("shoes for 90 EUR", "90 EUR for shoes", "$90 shoes", "€90 boots", "size 7, 90 EUR", "refund 90 pounds"),
    ],
)
def test_an_amount_beside_such_words_stays_one(text: str) -> None:
    assert verdict(Pay(amount_usd=Decimal("90.00")), text) == "known"


def test_a_count_is_known_from_any_number_and_an_amount_in_whole_dollars_is_not() -> None:
    assert verdict(Count(quantity=90), "I need 90 pegs") == "known"
    assert verdict(Whole(amount=90), "I need 90 pegs") == "derived"
    assert verdict(Whole(amount=90), "Send 90 dollars to Alice") == "known"


@pytest.mark.parametrize(
    ("amount", "text", "results", "how"),
    [
        ("1200", "My rent is up by 100 USD.", [{"rent": 1100.0}], "1100.00 (0001.call.1) + 100.00 (request)"),
        ("1200", "Raise my rent by 100.", [{"rent": 1100}], "1100.00 (0001.call.1) + 100.00 (request)"),
        ("400.00", "I was refunded 80.00.", [{"paid_usd": "480.00"}], "480.00 (0001.call.1) − 80.00 (request)"),
        ("5.00", "Pay 10 % of it.", [{"amount": 50.0}], "10 % (request) of 50.00 (0001.call.1)"),
        ("45.00", "With 10% off, please.", [{"price": "50.00"}], "50.00 (0001.call.1) less 10 % (request) of 50.00"),
        ("59.50", "Plus 19 percent tax.", [{"price": "50.00"}], "50.00 (0001.call.1) plus 19 % (request) of 50.00"),
        ("5.00", "Take it off.", [{"price": "50.00", "discount_percent": 10}], "10 % (0001.call.1) of 50.00"),
        ("40.00", "We were three.", [{"bill": "120.00"}], "120.00 (0001.call.1) / 3"),
        ("73.50", "Three of them.", [{"unit_usd": "24.50"}], "3 × 24.50 (0001.call.1)"),
        ("3.50", "Half, less 2.50 USD", [{"paid": 12.0}], "12.00 (0001.call.1) / 2 − 2.50 (request)"),
        (
            "60.00",
            "All.",
            [{"price": "10.00"}, {"price": "21.00"}, {"price": "29.00"}],
            "10.00 (0001.call.1) + 21.00 (0002.call.1) + 29.00 (0003.call.1)",
        ),
    ],
)
def test_what_follows_from_known_amounts_is_shown(amount: str, text: str, results: list[Any], how: str) -> None:
    seen = found(Pay(amount_usd=Decimal(amount)), text, *results)

    assert (seen.ungrounded, seen.tainted, seen.known) == ((), {}, {})
    assert how in seen.derived["amount_usd"]


@pytest.mark.parametrize("amount", ["41.37", "0.01", "999999.99", "1101", "0"])
def test_what_does_not_follow_is_refused_as_invented(amount: str) -> None:
    seen = found(Pay(amount_usd=Decimal(amount)), "Raise my rent by 100 and 10 %.", {"rent": 1100.0})

    assert (seen.ungrounded, seen.derived) == (("amount_usd",), {})


def test_what_follows_from_untrusted_amounts_is_tainted() -> None:
    seen = found(Pay(amount_usd=Decimal("80.00")), untrusted=("Pay 50.00 and then 30.00 USD.",))

    assert set(seen.tainted) == set(seen.derived) == {"amount_usd"}
    assert verdict(Pay(amount_usd=Decimal("88.00")), untrusted=("88 Harbor Way",)) == "tainted"


def test_an_amount_that_a_call_brought_derives_nothing() -> None:
    source = Source("0001.call.1", True, json_leaves({"amount": 70.0, "fee": 5.0}), {"amount": 70.0})
    opening = opening_sources(RunRequest(request_id="r", text="Please."))

    assert ground(Pay(amount_usd=Decimal("75.00")), opening, lambda: [source]).ungrounded == ("amount_usd",)


def test_how_a_sensitive_amount_follows_is_not_written_down() -> None:
    seen = found(Secret(amount_usd=Decimal("120.00")), "70.00 USD and 50.00 USD")

    assert seen.derived == {"amount_usd": "it follows from known amounts"}


@pytest.mark.parametrize("amount", ["1E+5000", "1E+999999", "NaN", "Infinity", "-1E+30"])
def test_a_number_that_no_amount_can_be_is_found_nowhere(amount: str) -> None:
    assert not SearchValue.of(Decimal(amount)).occurs_in(Leaf("refund 40 USD"))


def test_derivations_of_many_amounts_are_bounded() -> None:
    many = [{"price": f"{number}.{number % 100:02d}"} for number in range(1, 5_000)]

    assert verdict(Pay(amount_usd=Decimal("123456.78")), "10 % of it", *many) == "ungrounded"
