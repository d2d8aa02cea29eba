"""Personal values in a text: found in every spelling and whatever follows; numbers with other check digits stay."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from localcloud.capture.personal import iban_check, luhn, personal_in
from localcloud.capture.stand_ins import StandIns

IBAN, CARD, AMEX = "DE75512108001245126199", "4539148803436467", "371449635398431"
NORWAY = "NO9386011117947"
FOLLOWS = ("", ".", " BIC SSKMDEMM", " SSKMDEMM", " A-1001", " 12/27", " 123", "; exp 12/27 cvc 123", "/1", "\nId 77")
BEFORE = ("", "IBAN ", "card: ", "12/27 ", "No.", "(", "1. ", "卡号", "A-1001 ", '{"x":"')
SEPARATORS = (
    "",
    " ",
    "-",
    ".",
    "/",
    "\u00a0",
    "\u202f",
    "\u2009",
    "\u200b",
    "\u00ad",
    "\u2011",
    "·",
    " - ",
    "_",
    "\\u00a0",
    "%20",
)


def full_width(text: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text)


def grouped(text: str, size: int, separator: str) -> str:
    return separator.join(text[at : at + size] for at in range(0, len(text), size))


@given(
    st.sampled_from((IBAN, NORWAY, CARD, AMEX)),
    st.sampled_from(SEPARATORS),
    st.sampled_from((1, 2, 4, 5)),
    st.sampled_from((str, str.lower, full_width)),
    st.sampled_from(BEFORE),
    st.sampled_from(FOLLOWS),
)
def test_a_number_is_found_in_every_spelling_and_whatever_follows(
    number: str, separator: str, size: int, form: object, before: str, follows: str
) -> None:
    assume(separator or not before.endswith("1"))
    shown = grouped(form(number), size, separator)  # type: ignore[operator]

    found = [one for one in personal_in(f"{before}{shown}{follows}") if one.value.startswith(number)]

    # What follows may make a longer number with valid check digits.
    assert [one.start for one in found] == [len(before)]
    assert found[0].end == len(before) + len(shown) or found[0].value != number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("mia＠gmail.com", "mia@gmail.com"),
        ("Mia.Lang (at) Gmail (dot) com", "mia.lang@gmail.com"),
        ("mia.lang[at]gmail[dot]com", "mia.lang@gmail.com"),
        ("mia @ gmail.com", "mia@gmail.com"),
        ("mia\u200b@gmail.com", "mia@gmail.com"),
        ("mia%40gmail.com", "mia@gmail.com"),
        ("müller@bücher.de", "müller@bücher.de"),
        ("<mailto:mia@gmail.com>", "mia@gmail.com"),
        ("+49-170-1234567", "491701234567"),
        ("+49 (0)170 1234567", "491701234567"),
        ("0049 170 1234567", "491701234567"),
        ("00491701234567", "491701234567"),
        ("(0049) 170/1234567", "491701234567"),
        ("＋４９ 170.1234567", "491701234567"),
        ("+49 170\u00a01234567", "491701234567"),
        ("+1 (415) 867-5309", "14158675309"),
        ("+49 0170 1234567", "4901701234567"),
        ("[+49] 170 1234567", "491701234567"),
        ("Tel+491701234567", "491701234567"),
        ("0049170 1234567", "491701234567"),
        ("tel:+49-170-1234567;ext=1", "491701234567"),
        ("IBANDE75512108001245126199", IBAN),
        ("KontoDE75512108001245126199", IBAN),
        ("DE75 | 5121 | 0800 | 1245 | 1261 | 99", IBAN),
        ("card4539148803436467", CARD),
        ("VISA-4539148803436467", CARD),
        ("mia.lang at gmail dot com", "mia.lang@gmail.com"),
        ("mia.lang(a)gmail。com", "mia.lang@gmail.com"),
        ('"mia lang"@gmail.com', '"mia lang"@gmail.com'),
        ("DE75512108001245126199SSKMDEMM", IBAN),
    ],
)
def test_addresses_and_phone_numbers_are_found_in_every_spelling(text: str, value: str) -> None:
    assert [one.value for one in personal_in(text)] == [value]


#: What stands behind a phone number, on its line or the next one, and is no part of it.
BEHIND_A_PHONE = (
    *("\n20 EUR of I-2001", " 40 EUR", " 40.00 EUR", " 30.11.2026", " 2026-11-30", " 12:30", " 12.50 GBP", " 20 USD"),
    *(" - 2 items", " (2x)", "/40", ", 40 EUR", " I-2001", " 3 nights", "\r\n+2 items", " 5 %", " 7 €", ". 2 items"),
)


@pytest.mark.parametrize("phone", ["+49 170 1234567", "0049 170 1234567", "+44 20 7946 0958", "+1.415.867.2671"])
def test_what_stands_behind_a_phone_number_stays(phone: str) -> None:
    digits = re.sub(r"\D", "", phone).removeprefix("00")
    for behind in BEHIND_A_PHONE:
        assert [(one.shown, one.value) for one in personal_in(f"{phone}{behind}")] == [(phone, digits)], behind


@given(st.from_regex(r"\A[1-9][0-9]{12,18}\Z"), st.sampled_from(BEFORE[:3]))
def test_a_number_whose_check_digit_is_wrong_stays(number: str, before: str) -> None:
    assume(luhn(number[:-1]) != int(number[-1]))

    assert [one for one in personal_in(f"{before}{number}") if one.kind == "card"] == []


@given(st.from_regex(r"\A[A-Z]{2}[0-9]{2}[0-9A-Z]{11,30}\Z"))
def test_an_id_with_other_check_digits_than_an_iban_stays(text: str) -> None:
    known = [length for length in range(15, len(text) + 1) if iban_check(text[:2], text[4:length]) == text[2:4]]
    assume(not known)

    assert personal_in(text) == []


@given(
    st.integers(946_684_800, 2_145_916_800),
    st.sampled_from(
        (
            "%Y-%m-%d %H:%M:%S.%f",
            "%Y%m%d%H%M%S",
            "%Y%m%d %H%M%S",
            "%d.%m.%Y %H:%M",
            "%Y-%m-%dT%H:%M:%SZ",
            "%d/%m/%Y %d/%m/%Y",
            "%d.%m.%y %H:%M:%S",
        )
    ),
)
def test_times_are_no_numbers_of_anybody(stamp: int, form: str) -> None:
    moment = datetime.fromtimestamp(stamp, UTC)

    for text in (moment.strftime(form), str(stamp), f"{stamp}123", f"{stamp}123456", f"{stamp}000000000"):
        assert personal_in(text) == [], text


@given(
    st.lists(st.decimals(0, 9_999_999, places=2), min_size=1, max_size=8),
    st.sampled_from((" ", ", ", "; ", " EUR ", "\n")),
    st.sampled_from(("{:,.2f}", "{:.2f}", "+{:,.2f}", "${:,.2f}")),
)
def test_amounts_are_no_numbers_of_anybody(amounts: list[Decimal], between: str, form: str) -> None:
    assert personal_in(between.join(form.format(one) for one in amounts)) == []


NO_PHONE = (
    *(
        "0034 0434 1610 9404 2557",
        "002-1234567-1234567",
        "+12345678 points",
        "+1 234 567 890 EUR",
        "0.0012 0.0034 0.0056",
    ),
    *(
        "12.00 15.00 20.00",
        "0.00125 0.00250",
        "52.0049 13.40501",
        "+1 2026-11-30",
        "Ref 0049-2026-11-30",
        "+100 +200 +300",
    ),
    *("2026-11-30 13:45:20 +1000 2026-12-01", "Mon Nov 30 13:45:20 +1100 2026", "INV-0045-2026-1130", "+2 12345678"),
)


@pytest.mark.parametrize("text", NO_PHONE)
def test_what_has_no_countrys_form_is_no_phone_number(text: str) -> None:
    assert personal_in(text) == []


@given(
    st.lists(st.integers(1, 99_999), min_size=1, max_size=6),
    st.sampled_from(("O-{}", "A-{}", "INV{}", "#{}", "ORD-2026-{}")),
    st.sampled_from((" ", ", ", "/")),
)
def test_order_ids_are_no_numbers_of_anybody(ids: list[int], form: str, between: str) -> None:
    assert personal_in(between.join(form.format(one) for one in ids)) == []


@pytest.mark.parametrize("code", range(100, 1000, 7))
def test_a_code_behind_a_card_in_one_block_is_no_part_of_it(code: int) -> None:
    assert [one.value for one in personal_in(f"{CARD} {code}")] == [CARD]


def test_an_id_and_the_number_of_an_article_or_a_parcel_are_no_cards() -> None:
    article = next(f"40123456789{two:02d}" for two in range(100) if luhn(f"40123456789{two // 10}") == two % 10)
    for text in (f"O-{CARD}", f"ORD_{CARD}", f"EAN {article}", "at 30112026134525", "react@18.2.x"):
        assert personal_in(text) == [], text
    for text in (f"my card is {article}", f"Kreditkarte: {article}"):
        assert [one.value for one in personal_in(text)] == [article], text


def test_numbers_that_are_no_texts_have_stand_ins_too() -> None:
    stand_ins = StandIns()
    given = {"card": int(CARD), "mobilePhone": 491701234567, "order": 491701234567, "count": 3, "parcel": 4012345678901}

    made = stand_ins.of({**given, "text": f"Card {CARD}"})

    assert [name for name, value in made.items() if name in given and value != given[name]] == ["card", "mobilePhone"]
    assert made["text"] == f"Card {made['card']}"


def test_a_stand_in_has_the_spelling_of_what_it_stands_for() -> None:
    made = StandIns().of(f"{grouped(IBAN.lower(), 4, '-')} SSKMDEMM, {grouped(CARD, 4, '.')} 12/27, 0049 170 1234567")

    assert re.fullmatch(
        r"de\d\d-9000-0000-0000-0000-01 SSKMDEMM, 4000\.0000\.0000\.001\d 12/27, 0049 000 0{6}1", made
    ), made
