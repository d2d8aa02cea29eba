"""Formats of the same value match; different values never do."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.validation import Kind
from ballast.validation.values import Leaf, SearchValue
from ballast.validation.words import normalize, tokens

CENTS = st.integers(min_value=1, max_value=10**9)
IDS = st.from_regex(r"\A[A-Z]{1,3}[0-9]{3,8}\Z")
SEPARATORS = st.sampled_from(["", "-", " ", "_", "–", "#", " - "])
#: What stands around a value in a sentence, with nothing in it that could be a part of the value.
AROUND = st.sampled_from([("", ""), ("Refund ", " please."), ("(", ")"), ("«", "»"), ("so: ", "!"), ("退款", "谢谢")])


def western(cents: int, thousands: str, decimal: str) -> str:
    whole = f"{cents // 100:,}".replace(",", thousands)
    return f"{whole}{decimal}{cents % 100:02d}"


FORMATS = st.sampled_from([(",", "."), (".", ","), ("'", "."), (" ", ","), ("", "."), ("", ",")])
CURRENCY = st.sampled_from(
    [("$", ""), ("US$ ", ""), ("€", ""), ("", " €"), ("", " USD"), ("EUR ", ""), ("", "-dollar")]
)


@given(CENTS, FORMATS, CURRENCY, AROUND)
def test_an_amount_is_found_in_every_format(
    cents: int, marks: tuple[str, str], currency: tuple[str, str], around: tuple[str, str]
) -> None:
    text = f"{around[0]}{currency[0]}{western(cents, *marks)}{currency[1]}{around[1]}"

    assert SearchValue.of(Decimal(cents) / 100).occurs_in(Leaf(text))


@given(CENTS, CENTS, FORMATS, CURRENCY)
def test_another_amount_is_never_found(
    mine: int, theirs: int, marks: tuple[str, str], currency: tuple[str, str]
) -> None:
    text = f"{currency[0]}{western(theirs, *marks)}{currency[1]}"

    assert SearchValue.of(Decimal(mine) / 100).occurs_in(Leaf(text)) is (mine == theirs)


@given(CENTS, CENTS)
def test_json_numbers_are_compared_exactly(mine: int, theirs: int) -> None:
    assert SearchValue.of(Decimal(mine) / 100).occurs_in(Leaf.of(theirs / 100, "paid")) is (mine == theirs)


def spelled(draw: st.DrawFn, value: str) -> str:
    """Write an id as somebody else would: another case, other separators between letters and digits."""
    letters, digits = value.rstrip("0123456789"), value.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    cased = draw(st.sampled_from([letters, letters.lower(), letters.title()]))
    wide = draw(st.booleans())
    written = f"{cased}{draw(SEPARATORS)}{digits}"
    return "".join(chr(ord(char) + 0xFEE0) if wide and char.isalnum() else char for char in written)


@st.composite
def ids_as_written(draw: st.DrawFn) -> tuple[str, str]:
    value = draw(IDS)
    return value, spelled(draw, value)


@given(ids_as_written(), SEPARATORS, AROUND)
def test_an_id_is_found_in_every_spelling(written: tuple[str, str], separator: str, around: tuple[str, str]) -> None:
    value, text = written
    letters = value.rstrip("0123456789")
    ours = f"{letters}{separator}{value.removeprefix(letters)}"

    assert SearchValue.of(ours, Kind.TEXT).occurs_in(Leaf(f"{around[0]}{text}{around[1]}"))


@given(IDS, ids_as_written())
def test_another_id_is_never_found(mine: str, written: tuple[str, str]) -> None:
    theirs, text = written

    assert SearchValue.of(mine, Kind.TEXT).occurs_in(Leaf(f"my {text}.")) is (mine == theirs)


@given(IDS, st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=3), st.booleans())
def test_a_part_of_a_longer_id_is_never_found(value: str, more: str, before: bool) -> None:
    longer = more + value if before else value + more

    assert not SearchValue.of(value, Kind.TEXT).occurs_in(Leaf(f"see {longer}, please"))


PHONES = st.text("123456789", min_size=7, max_size=13)


@given(PHONES, PHONES, st.data())
def test_phone_numbers_are_equal_where_their_digits_are(mine: str, theirs: str, data: st.DataObject) -> None:
    written = theirs[0] + "".join(data.draw(st.sampled_from(["", " ", "-", "."])) + digit for digit in theirs[1:])
    prefix = data.draw(st.sampled_from(["+", "00"]))

    assert SearchValue.of(f"+{mine}").occurs_in(Leaf(f"tel. {prefix}{written};")) is (mine == theirs)


LOCALS = st.from_regex(r"\A[a-z][a-z0-9._+-]{0,8}[a-z0-9]\Z")


@given(LOCALS, LOCALS, st.booleans())
def test_emails_are_equal_where_they_are_whole(mine: str, theirs: str, upper: bool) -> None:
    text = f"{theirs}@example.com"

    found = SearchValue.of(f"{mine}@example.com").occurs_in(Leaf(f"to <{text.upper() if upper else text}>."))

    assert found is (mine == theirs)


@given(st.text())
@settings(max_examples=100)
def test_any_text_can_be_read_and_holds_itself(text: str) -> None:
    leaf = Leaf(text)
    known = (leaf.tokens, leaf.numbers, leaf.emails, leaf.phones)

    assert all(isinstance(found, tuple | frozenset) for found in known)
    assert SearchValue.of(text, Kind.TEXT).occurs_in(leaf) is (leaf.tokens != ())


@given(st.text())
@settings(max_examples=100)
def test_evening_a_text_twice_is_evening_it_once(text: str) -> None:
    assert tokens(normalize(normalize(text))) == tokens(normalize(text))
