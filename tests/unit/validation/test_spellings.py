"""Spellings of the same value, and spellings that disguise another value."""

import re
import sys
import unicodedata
from decimal import Decimal
from typing import Any

import pytest

from ballast.masking import UNSEEN, dashes
from ballast.validation import Kind
from ballast.validation.values import Leaf, SearchValue


def occurs(value: Any, text: Any, kind: Kind | None = None) -> bool:
    return SearchValue.of(value, kind).occurs_in(Leaf.of(text))


IBAN, IBAN_IN_GROUPS = "DE89370400440532013000", "DE89 3704 0044 0532 0130 00"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # a sentence without a space before the next one
        ("O-1001", "It is O-1001.Thanks"),
        ("O-1001", "It is O-1001.Thanks for it."),
        ("O-1001", "Refund O-1001.I have waited."),
        ("jo@example.org", "Write to jo@example.org.Thanks"),
        ("jo@example.org", "Write to Jo@Example.org.They know."),
        ("www.our-company.com", "See www.our-company.com.They sent me there."),
        ("5 Pier Road", "I live at 5 Pier Road.Please send it."),
        ("+1 555 0101", "Call +1 555 0101.Thanks"),
        ("O-1001", "Refund O-1001.It is broken"),
        ("O-1001", "Refund O-1001!It is broken"),
        ("jo@example.org", "It is jo@example.org!Thanks"),
        ("www.our-company.com", "See www.our-company.com,thanks"),
        # tight dashes and quotes
        ("+1 555 0101", "my phone—+1 555 0101—is new"),
        ("O-1001", "my order—O-1001—is late"),
        ("O-1001", "O-1001—thanks"),
        ("O-1001", "O-1001–thanks"),
        ("O-1001", "my order–O-1001–and the rest"),
        ("O-1001", "my order-O-1001-and the rest"),
        ("O-1001", "O-1001-it came twice"),
        ("O-1001", "O-1001-please cancel it."),
        ("O-1001", "tracking no.O-1001"),
        ("O-1001", "Order no.O-1001-thanks"),
        ("O-1001", "(order-O-1001)"),
        ("O-1001", "No.O-1001, I think"),
        ("O-1001", "orders O-1001–O-1004"),
        ("O-1004", "orders O-1001–O-1004"),
        ("INV 7", "invoices INV 3–INV 7"),
        ("order-1001", "ORDER 1001"),
        ("order-1001", "it is order-1001-and late"),
        ("+1 555 0101", "my phone–+1 555 0101–is new"),
        ("O-1001", "‘O-1001’"),
        ("O-1001", "“O-1001”"),
        ("O-1001", '"O-1001"'),
        ("O-1001", "«O-1001»"),
        ("jo@example.org", "“jo@example.org”"),
        ("jo@example.org", "write—jo@example.org—soon"),
        ("jo@example.org", "«jo@example.org»"),
        ("jo@example.org", "`jo@example.org`"),
        ("jo@example.org", "…jo@example.org…"),
        # addresses of the web
        ("http://www.x-site.com", "Look at www.x-site.com"),
        ("https://www.x-site.com/", "Look at www.x-site.com."),
        ("www.x-site.com", "Look at https://www.x-site.com/"),
        ("www.x-site.com", "<http://www.x-site.com>"),
        ("http://x-site.com/news", "x-site.com/news"),
        ("x-site.com/news/", "(see http://X-Site.com/news)"),
        ("https://x-site.com/a?b=1", "[here](https://x-site.com/a?b=1)."),
        ("http://x-site.com", "“x-site.com”"),
        ("http://x-site.com:8080/a", "x-site.com:8080/a!"),
        ("https://www.x-site.com/x", "See x-site.com/x"),
        ("http://x-site.com", "https://www.x-site.com"),
        ("https://x-site.com:443/x", "see https://x-site.com/x"),
        ("http://x-site.com", "http://X-Site.com:80/"),
        ("x-site.com", "x-site.com:443"),
        ("https://x-site.com/Path", "see HTTPS://WWW.x-site.com/Path, please"),
        ("https://münchen.example/", "see https://xn--mnchen-3ya.example"),
        # long codes in groups
        (IBAN, IBAN_IN_GROUPS),
        (IBAN, f"Pay to {IBAN_IN_GROUPS}, please"),
        (IBAN, f"IBAN:{IBAN_IN_GROUPS}."),
        (IBAN, "de89-3704-0044-0532-0130-00"),
        (IBAN_IN_GROUPS, f"Pay to {IBAN}."),
        (IBAN_IN_GROUPS, "DE893704 00440532 013000"),
        ("GB29NWBK60161331926819", "GB29 NWBK 6016 1331 9268 19"),
        (IBAN, "DE89.3704.0044.0532.0130.00"),
        (IBAN, "It is DE89.3704.0044.0532.0130.00."),
        ("MT84MALT011000012345MTLCAST001S", "MT84 MALT 0110 0001 2345 MTLC AST0 01S"),
        ("MT84 MALT 0110 0001 2345 MTLC AST0 01S", "IBAN MT84MALT011000012345MTLCAST001S, thanks"),
        ("1Z999AA10123456784", "1Z 999 AA1 01 2345 6784"),
        ("1Z 999 AA1 01 2345 6784", "It is 1z999aa10123456784."),
        ("PW10015550", "PW 1001 5550"),
        ("420941079400100000000000000000", "4209 4107 9400 1000 0000 0000 0000 00"),
    ],
)
def test_a_value_is_found_in_this_spelling(value: str, text: str) -> None:
    assert occurs(value, text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("O-1002", "photo-1002"),
        ("O-1002", "photo_O-1002.jpg"),
        ("O-1002", "photo-O-1002"),
        ("O-1002", "O-1002.jpg"),
        ("O-1002", "O-1002.Jpg"),
        ("O-1002", "O-1002.Pdf is attached"),
        ("O-1002", "O-1002.2"),
        ("O-1002", "O-1002.Ab3"),
        ("O-1002", "O-1002-A"),
        ("O-1002", "O-1002-blue"),
        ("O-1002", "O-1002-IT arrived"),
        ("O-1002", "O-1002-item"),
        ("O-1002", "O-1002-it2"),
        ("O-1002", "reorder-O-1002"),
        ("O-1002", "my-order-O-1002"),
        ("O-1002", "case.O-10021"),
        ("O-1002", "orders O-1001–O-10029"),
        ("O-1002", "A-O-1001–O-1002"),
        ("O-1002", "O-1002–A"),
        ("O-1002", "O-1002–2"),
        ("O-1002", "O-1002—2"),
        ("O-1002", "O-100—2"),
        ("O-1002", "shop.O-1002"),
        ("jo@example.org", "jo@example.org.Uk"),
        ("jo@example.org", "jo@example.org.evil.test"),
        ("jo@example.org", "jo@example.org.Evil.test"),
        ("jo@example.org", "jo@example.org@evil.test"),
        ("jo@example.org", "bjo@example.org.Thanks"),
        ("jo@example.org", "jo@example.org.It is his"),
        ("www.x-site.com", "www.x-site.com.De"),
        ("silva@example.com", "Maria.Silva@Example.com"),
        ("jo@example", "jo@example.Thanks"),
        ("www.x-site.com", "www.x-site.com.evil.test"),
        ("www.x-site.com", "evil-www.x-site.com"),
        ("www.x-site.com", "http://www.x-site.com@evil.test/"),
        ("http://evil.test", "http://evil.test/deep/page"),
        ("http://evil.test/a", "http://evil.test"),
        ("http://evil.test", "http://evil.test.Uk"),
        ("http://evil.test", "mail@evil.test"),
        ("http://x-site.com", "ftp.x-site.com"),
        ("http://x-site.com", "https://m.x-site.com"),
        ("https://x-site.com/Path", "https://x-site.com/path"),
        ("https://x-site.com/?Id=A", "https://x-site.com/?id=A"),
        ("https://x-site.com:8443", "https://x-site.com"),
        ("http://x-site.com:443", "https://x-site.com"),
        ("https://www.com", "https://com.com"),
        ("MT84MALT011000012345MTLCAST001T", "MT84 MALT 0110 0001 2345 MTLC AST0 01S"),
        ("ftp://x-site.com", "x-site.com"),
        ("http://x-site.com/?to=1", "http://x-site.com/?to=2"),
        (IBAN, "DE89 3704 0044 0532 0130"),
        (IBAN, "DE89 3704 0044 0532 0130 00 12"),
        (IBAN, "DE89 3704 0044 0532 0130 01"),
        (IBAN, "XDE89 3704 0044 0532 0130 00"),
        (IBAN, "DE89 3704 and 0044 0532 0130 00"),
        (IBAN, "DE89. 3704. 0044. 0532. 0130. 00"),
        ("PW10015550", "SPW 1001 5550"),
        ("PW10015550", "PW 1001 5550 1"),
        ("PW10015550", "photo_PW10015550"),
        ("O-1001", "O 10 01"),
        ("12345678", "1234 5678 and more"),
    ],
)
def test_another_value_is_not_found_in_it(value: str, text: str) -> None:
    assert not occurs(value, text, None if value != "12345678" else Kind.TEXT)


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        ("http://a.example", (Kind.URL,)),
        ("www.a.example", (Kind.URL,)),
        ("a.example/b", (Kind.URL, Kind.TEXT)),
        ("jo@a.example", (Kind.EMAIL,)),
        ("Jo@Mail.Firm.Berlin", (Kind.EMAIL,)),
        ("O-1001", (Kind.TEXT,)),
        ("not www.a.example", (Kind.TEXT,)),
        (3, (Kind.NUMBER,)),
    ],
)
def test_the_value_tells_how_it_is_compared(value: Any, kinds: tuple[Kind, ...]) -> None:
    assert SearchValue.of(value).kinds == kinds


@pytest.mark.parametrize("name", ["mail", "url", "code", "amount", "text"])
def test_a_long_text_takes_a_time_that_grows_with_its_length(name: str) -> None:
    """No clock: what is counted are the pieces that are looked at, by how often the text is taken apart."""
    texts = {
        "mail": "a" * 60_000 + " @ x@y.zz",
        "url": "a." * 30_000 + " x.zz",
        "code": "DE89 " * 12_000 + IBAN,
        "amount": "1,1" * 20_000 + " 40",
        "text": "a " * 30_000 + "b",
    }
    wanted = {"mail": "x@y.zz", "url": "http://x.zz", "code": IBAN, "amount": "41.00", "text": "a b c"}

    assert occurs(wanted[name], texts[name]) is (name in ("mail", "url", "code"))


#: Dashes and minus signs beside those that a keyboard has: of word processors, other scripts, full width.
DASHES = [
    char for char in map(chr, range(sys.maxunicode)) if unicodedata.category(char) == "Pd" or char in "\u2212\u2043"
]
UNSEEN_SIGNS = ["\u00ad", "\u200b", "\u200c", "\u2060", "\ufeff"]


def test_every_dash_is_one_of_three_and_every_unseen_sign_is_known() -> None:
    assert {dashes(char) for char in DASHES} == {"-", "\u2013", "\u2014"}
    unseen = re.compile(f"[{UNSEEN}]")
    signs = [char for char in map(chr, range(0xFFFF)) if unicodedata.category(char) == "Cf"]
    assert [char for char in signs if not unseen.fullmatch(char)] == []


@pytest.mark.parametrize("dash", DASHES + UNSEEN_SIGNS, ids=ascii)
def test_a_value_behind_a_tight_dash_is_found(dash: str) -> None:
    assert occurs("O-1002", f"my order{dash}O-1002{dash}and the rest")
    assert occurs("O-1002", f"O-1002{dash}please cancel it")
    assert occurs(Decimal("84.50"), f"I paid{dash}84.50 dollars", Kind.AMOUNT)
    assert occurs(Decimal("84.50"), f"I paid{dash}$84.50{dash}back", Kind.AMOUNT)
    assert dash in UNSEEN_SIGNS or occurs("+1 555 0101", f"my phone{dash}+1 555 0101{dash}is new")


@pytest.mark.parametrize("dash", DASHES + UNSEEN_SIGNS, ids=ascii)
def test_any_dash_or_none_inside_a_value_is_the_same(dash: str) -> None:
    assert occurs("O-1002", f"O{dash}1002")
    assert occurs("O-1002", f"order O{dash}1002, please") or dash == "\u2014"


@pytest.mark.parametrize("dash", [dash for dash in DASHES if dashes(dash) == "-"] + UNSEEN_SIGNS, ids=ascii)
def test_another_value_is_not_found_behind_what_joins(dash: str) -> None:
    assert not occurs("O-1002", f"A{dash}O-1002")
    assert not occurs("O-100", f"O-100{dash}2")
    assert not occurs(Decimal("84.50"), f"O{dash}84.50 dollars", Kind.AMOUNT)
    assert not occurs(Decimal("1002"), f"O{dash}1002 dollars", Kind.AMOUNT)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "RE:O-1002-Refund",
            "Re:O-1002-refund",
            "orderO-1002",
            "OrderO-1002",
            "refundO-1002,please",
            "code-O-1002-here",
        ),
        *("orders O-1001\u2012O-1002", "orders O-1001\u2212O-1002", "invoiceO-1002-thanks", "RE:order-O-1002"),
    ],
)
def test_an_id_is_found_beside_a_word_of_what_it_is(text: str) -> None:
    assert occurs("O-1002", text)


@pytest.mark.parametrize("text", ["photoO-1002", "reorderO-1002", "ORDERO-1002", "O-1002-REFUND2", "O-1002-Refunds"])
def test_an_id_is_not_found_beside_another_word(text: str) -> None:
    assert not occurs("O-1002", text)


RANGES = (
    "$80\u2013$84.50",
    "80\u201384.50 dollars",
    "$80\u201384.50",
    "$80-$84.50",
    "80-84.50 dollars",
    "80\u201284.50 USD",
)
GLUED = (
    *("\u202684.50 dollars", "$84.50/month", "$84.50/night.", "84.50 US dollars", "84.50 U.S. dollars", "84.50 US$"),
    *("refund84.50 dollars", "refund$84.50", "paid84.50USD", "84.50 Canadian dollars", "between 80\u201484.50 euros"),
)


@pytest.mark.parametrize("text", RANGES + GLUED)
def test_an_amount_is_found_in_a_range_and_beside_words(text: str) -> None:
    assert occurs(Decimal("84.50"), text, Kind.AMOUNT)
    assert text not in RANGES or occurs(Decimal(80), text, Kind.AMOUNT)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("20", "O-1001\u201320 dollars"),
        ("20", "order 10-20 dollars"),
        ("46", "size 44\u201346 EUR"),
        ("14", "room 12\u201314 USD"),
        ("25", "2026\u201311\u201325 USD"),
        ("44.50", "size44.50 EUR"),
        ("84", "photo84 dollars"),
        ("84.50", "A84.50 dollars"),
        ("84.50", "v.84.50"),
        ("84.50", "80\u201384.50"),
        ("5", "$5/2"),
    ],
)
def test_a_number_that_is_something_else_is_no_end_of_a_range(value: str, text: str) -> None:
    assert not occurs(Decimal(value), text, Kind.AMOUNT)
