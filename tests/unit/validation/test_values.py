"""Spellings of one value match; different values do not, however similar."""

from decimal import Decimal
from typing import Any

import pytest

from ballast.validation import Kind
from ballast.validation.values import Leaf, SearchValue


def occurs(value: Any, text: Any, kind: Kind | None = None) -> bool:
    return SearchValue.of(value, kind).occurs_in(Leaf.of(text))


@pytest.mark.parametrize(
    "text",
    [
        "O-1001",
        "o-1001",
        "Where is o1001?",
        "order O 1001, please",
        "order O – 1001.",
        "O–1001 (the tent)",
        "my O-1001's gone",
        "https://shop.example/orders/O-1001?tab=2",
        "订单O-1001已发货",
        "O-1001을 환불해 주세요",
        "Ｏ－１００１",  # full width
        "O-10\u200b01",  # a zero-width space
        "O\u00ad-1001",  # a soft hyphen
        "O-١٠٠١",  # Arabic digits
        "O#1001",
        "re: O_1001",
    ],
)
def test_an_id_is_found_in_any_spelling(text: str) -> None:
    assert occurs("O-1001", text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("O-100", "O-1001"),
        ("O-1001", "O-100"),
        ("O-1001", "O-10010"),
        ("O-1001", "XO-1001"),
        ("O-1001", "O-1001-2"),
        ("O-1001", "O-1001.2"),
        ("O-1001", "O-10 01"),
        ("O-1001", "O-10-01"),
        ("O-1001", "O. 1001 people"),
        ("O-1001", "1001"),
        ("O-1001", "O-01001"),
        ("O-1001", "О-1001"),  # a Cyrillic O
        ("O-1001", "0-1001"),  # a zero
        ("O-1001", "O-1001\u0338"),  # struck through
        ("1001", "O-1001"),
        ("1001", "1,001"),
        ("1001", "10.01"),
        ("O-1001", ""),
        ("O-1001", "O-1002 and O-1003"),
    ],
)
def test_another_id_is_not_that_id(value: str, text: str) -> None:
    assert not occurs(value, text)


FORTY = [
    "40",
    "40.00",
    "$40",
    "40 USD",
    "USD 40",
    "40 dollars",
    "a 40-dollar refund",
    "€40,-",
    "40,00 €",
    "US$40.0",
    "40원",
]
MANY = [
    "1,234.50",
    "1234.5",
    "1.234,50",
    "1'234.50",
    "1’234.50",
    "1 234,50",
    "1\u00a0234,50",
    "1\u202f234,50 EUR",
    "$1,234.50",
    "１２３４.５０",
]


@pytest.mark.parametrize(
    ("value", "texts"), [("40.00", FORTY), ("1234.50", MANY), ("1234567", ["12,34,567", "1.234.567"])]
)
def test_a_number_is_found_in_any_format(value: str, texts: list[str]) -> None:
    number = SearchValue.of(Decimal(value), Kind.NUMBER)
    assert [text for text in texts if not number.occurs_in(Leaf(f"Pay me {text} now."))] == []


@pytest.mark.parametrize("text", ["40¢", "40 ¢", "¢40", "40 cents", "40¢ each"])
def test_cents_are_not_that_many_dollars(text: str) -> None:
    assert not occurs(Decimal(40), f"Pay me {text} now.")
    assert occurs(40, f"Pay me {text} now.", Kind.NUMBER)


@pytest.mark.parametrize("text", FORTY)
def test_only_with_a_currency_it_is_an_amount(text: str) -> None:
    assert occurs(Decimal(40), f"Pay me {text} now.") is (text not in ("40", "40.00"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("4", "40"),
        ("40", "4"),
        ("40", "400"),
        ("40", "140"),
        ("40", "40.50"),
        ("40", "0.40"),
        ("40", "1,040"),
        ("40", "40,000"),
        ("1234.5", "1,234,50"),
        ("40", "-40"),
        ("40", "O-40"),
        ("40", "v40"),
        ("40", "40%"),
        ("40", "40 percent"),
        ("40", "40k"),
        ("2", "2 million"),
        ("40", "10:40"),
        ("25", "2026-11-25"),
        ("25", "25.11.2026"),
        ("11", "11/25/2026"),
        ("555", "+1 555 0101"),
        ("40", "maria40@example.com"),
        ("40", "192.168.40.1"),
        ("40", "id_40"),
        ("40", "forty"),
    ],
)
def test_another_number_is_not_that_amount(value: str, text: str) -> None:
    assert not occurs(Decimal(value), text)


@pytest.mark.parametrize("number", [40, 40.0, Decimal("40.00"), "40.00"])
def test_a_number_of_json_is_an_amount_where_its_field_says_so(number: Any) -> None:
    assert SearchValue.of(Decimal("40")).occurs_in(Leaf.of(number, "total"))
    assert not SearchValue.of(Decimal("4")).occurs_in(Leaf.of(number, "total"))
    assert not occurs(Decimal("40"), number)
    assert occurs(40, number)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.234 pieces", "1234"),
        ("1,234 pieces", "1234"),
        ("1.234", "1.234"),
        ("0.125 kg", "0.125"),
        ("1234,567", "1234.567"),
    ],
)
def test_three_digits_after_the_only_separator_are_thousands_unless_a_program_wrote_them(text: str, value: str) -> None:
    assert Leaf(text).numbers == {Decimal(value)}


@pytest.mark.parametrize(
    ("value", "text", "found"),
    [
        ("maria.silva@example.com", "Write to Maria.Silva@Example.COM.", True),
        ("maria.silva@example.com", "<mailto:maria.silva@example.com>", True),
        ("silva@example.com", "maria.silva@example.com", False),
        ("maria@example.com", "maria@example.com.evil.test", False),
        ("maria@example.co", "maria@example.com", False),
        ("maria@example.com", "mаria@example.com", False),  # a Cyrillic a
        ("maria@example.com", "maria+shop@example.com", False),
        ("maria@example.com", "maria @ example.com", False),
    ],
)
def test_an_email_is_found_whole(value: str, text: str, found: bool) -> None:
    assert occurs(value, text) is found


@pytest.mark.parametrize(
    ("value", "text", "found"),
    [
        ("+1 555 0101", "Call +1 (555) 01-01 now", True),
        ("+1 555 0101", "0015550101", True),
        ("+1 555 0101", "15550101", True),
        ("+46 8 555 010 03", "+46-8-555.010.03", True),
        ("+1 555 0101", "+1 555 01012", False),
        ("+1 555 0101", "+1 555 0101 22", False),
        ("+1 555 0101", "+2 555 0101", False),
        ("+46 8 555 010 03", "08 555 010 03", False),  # whose country it is, nobody said
    ],
)
def test_a_phone_number_is_its_digits(value: str, text: str, found: bool) -> None:
    assert occurs(value, text) is found


@pytest.mark.parametrize(
    ("value", "text", "found"),
    [
        ("5 Pier Road", "I have moved to 5 Pier Road in Portland", True),
        ("5 Pier Road", "5 pier\nroad, Portland", True),
        ("5 Pier Road", "15 Pier Road", False),
        ("5 Pier Road", "5 Pier Roads", False),
        ("5 Pier Road", "5 Road Pier", False),
        ("5 Pier Road", "Pier 5, Road", False),
        ("南京路5号", "我搬到上海市南京路5号", True),
        ("南京路5号", "我搬到上海市南京路50号", False),
        ("04101", "Portland, ME 04101", True),
        ("4101", "04101", False),
        ("Zoë", "ZOË", True),
        ("Zoe", "Zoë", False),
    ],
)
def test_words_are_found_whole_and_in_order(value: str, text: str, found: bool) -> None:
    assert occurs(value, text) is found


def test_the_kind_that_the_field_names_decides() -> None:
    assert occurs("40.00", "$40", Kind.AMOUNT)
    assert not occurs("40.00", "$40", Kind.TEXT)
    assert occurs("12345678", "1234 5678", Kind.PHONE)
    assert not occurs("12345678", "1234 5678", Kind.TEXT)
