"""Comparing values takes time in proportion to the length of the text.

Where one of these grew with the square of its text it would take minutes or hours, and pytest's timeout ends it.
"""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.validation.values import Kind, Leaf, SearchValue
from ballast.validation.words import _DIGITS_GAP, _ID_GAP, _TEXT_GAP, Token, _separated, normalize, occurs, tokens

#: What a result may have.
SIZE = 128 * 1024 - 200
#: name: what is looked for, how it is compared, in what, and whether it is there.
TEXTS: dict[str, tuple[Any, Kind | None, str, bool]] = {
    "an e-mail behind letters": ("x@y.zz", None, "a" * SIZE + " @ x@y.zz", True),
    "an e-mail behind many @": ("x@y.zz", None, "a@" * (SIZE // 2) + " x@y.zz", True),
    "an e-mail behind dots": ("x@y.zz", None, "a." * (SIZE // 2) + "@ x@y.zzz", False),
    "a phone behind digits": ("+15550100200", None, "1 " * (SIZE // 2) + "1a +1 555 0100 200", True),
    "a phone behind slashes": ("15550100200", Kind.PHONE, "1/" * (SIZE // 2) + "1_ 15550100200", True),
    "a phone behind brackets": ("15550100200", Kind.PHONE, "(1)" * (SIZE // 3) + "x 15550100201", False),
    "an amount behind commas": (Decimal(40), None, "1,1" * (SIZE // 3) + " $40", True),
    "an amount behind spaces": (Decimal(40), None, "1 " * (SIZE // 2) + " $40", True),
    "an amount behind signs": (Decimal(40), None, "$-" * (SIZE // 2) + "$41", False),
    "a number of a million digits": (Decimal("1E+999999"), None, "refund 40", False),
    "a number far below one": (Decimal("1E-999999"), None, "refund 40", False),
    "words that repeat": (("a " * 2_000).strip() + " b", Kind.TEXT, "a " * (SIZE // 2) + "b", True),
    "words that nearly repeat": (("a " * 30_000).strip() + " b", Kind.TEXT, "a " * (SIZE // 2), False),
    "words behind other gaps": ("a_b " * 9_999 + "c", Kind.TEXT, ("a_b " * 9_998 + "a-b;;;;; ") * 2, False),
    "digits that repeat": ("7 " * 9_999 + "8", Kind.TEXT, "7 " * (SIZE // 2), False),
    "a code in groups": ("DE89370400440532013000", Kind.TEXT, "DE89 3704 0044 0532 " * (SIZE // 20), False),
    "a URL behind dots": ("https://shop.example/x", None, "a." * (SIZE // 2) + " shop.example/x", True),
    "a URL behind schemes": ("https://shop.example/x", None, "http://" * (SIZE // 7), False),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("case", TEXTS)
def test_a_long_text_is_read_once(case: str) -> None:
    wanted, kind, text, there = TEXTS[case]

    assert SearchValue.of(wanted, kind).occurs_in(Leaf(text)) is there


def one_after_the_other(wanted: tuple[Token, ...], text: tuple[Token, ...]) -> bool:
    """Look at each place of ``text`` by itself: the plain rule, which takes long where words repeat."""
    spaced = any(char.isspace() for token in wanted[1:] for char in token.gap)

    def same(at: int, theirs: Token) -> bool:
        mine = wanted[at]
        if mine.text != theirs.text or mine.gap == theirs.gap:
            return mine.text == theirs.text
        if spaced:
            return _TEXT_GAP.fullmatch(theirs.gap) is not None and mine.gap != ""
        if mine.kind == wanted[at - 1].kind == "d":
            return all(_DIGITS_GAP.fullmatch(gap) for gap in (mine.gap, theirs.gap))
        return _ID_GAP.fullmatch(theirs.gap) is not None

    for start in range(len(text) - len(wanted) + 1):
        end = start + len(wanted)
        whole = (start == 0 or _separated(text[start - 1], text[start])) and (
            end == len(text) or _separated(text[end - 1], text[end])
        )
        inside = (same(at, text[start + at]) for at in range(1, len(wanted)))
        if text[start].text == wanted[0].text and whole and all(inside):
            return True
    return False


WORDS = st.sampled_from(["a", "b", "o", "1", "2", "10", "\u0e2d", "\u65e5", "\u00e9"])
GAPS = st.sampled_from(["", *"-._/:@#'\n\u2014\u2013 ", " - ", ", ", "--", "  "])


def texts(most: int) -> st.SearchStrategy[str]:
    """Return texts of up to ``most`` words from a small alphabet, so that they repeat."""
    pairs = st.lists(st.tuples(WORDS, GAPS), min_size=1, max_size=most)
    return pairs.map(lambda made: "".join(word + gap for word, gap in made))


@settings(max_examples=200)
@given(wanted=texts(4), before=texts(6), after=texts(6), with_it=st.booleans())
def test_all_places_at_once_are_judged_as_one_after_the_other(
    wanted: str, before: str, after: str, with_it: bool
) -> None:
    mine, theirs = tokens(normalize(wanted)), tokens(normalize(before + (wanted if with_it else "") + after))

    assert occurs(mine, theirs) is one_after_the_other(mine, theirs)
