"""Readings: what a person sees in a text, however it is written."""

from time import process_time

import pytest

from ballast.masking import MASK
from ballast.secret_scan.readings import is_seen, may_say, plain, says


@pytest.mark.parametrize(
    "text",
    [
        "We will <b>refund</b> you.",
        "We will<br>refund you.",
        "We will [refund](https://example.com/a) you.",
        "We will&nbsp;refund&#32;you.",
        "W\u0435 will r\u0435fund you.",
        "We will re\u0301fund you.",
        "We will re-\n  fund you.",
        "We will “refund” you.",
        "We will «refund» 'you'.",
        "We\n- will refund you.",
        "> We will\n> refund you.",
        "We will r e f u n d you.",
        "We will%20refund you.",
        "| We will | refund | you |",
        "\uff37e will re\u00adfund you.",
    ],
)
def test_a_phrase_is_found_as_a_reader_sees_it(text: str) -> None:
    assert says(text, "we will refund you")
    assert not says(text, "we will not refund you")


@pytest.mark.parametrize(
    ("text", "phrase", "said"),
    [
        ("We won’t.", "won't", True),
        ("We won't.", "won’t", True),
        ("İade", "iade", True),
        ("iade", "İADE", True),
        ("STRASSE", "straße", True),
        ("a well-\nknown one", "well-known", True),
        ("say <script>", "<script>", True),
        ("an alert", "<b>alert</b>", False),  # a phrase's markup is meant
        ("We refund.", "1. refund", False),
        ("as well as", "we'll", False),
        ("It is so.", "*", False),
    ],
)
def test_apostrophes_case_and_signs_of_a_phrase(text: str, phrase: str, said: bool) -> None:
    assert says(text, phrase) is said


def test_a_phrase_that_nobody_sees_is_told() -> None:
    assert [is_seen(one) for one in ("\u200b", "\u2800\u0301", " \n", "\u3164")] == [False] * 4
    assert all(map(is_seen, ("*", "❤️", "退", "'")))
    assert plain("**It**  is\u200b\n“so”.") == "it is so."


@pytest.mark.parametrize(
    ("shown", "text", "may"),
    [
        ("It is so.", "it  is so.", True),
        ("It is so.", "It is.", False),
        (f"Sent to {MASK}, {MASK} and me.", "Sent to a@b.example, Lee and me.", True),
        (f"Sent to {MASK}, {MASK} and me.", "Sent to a@b.example and me.", False),
        (f"Sent to {MASK}.", "Not sent to Lee.", False),
        (f"Sent to {MASK}.", "Sent to Lee. Twice", False),
        (f"aa{MASK}aa", "aaa", False),
    ],
)
def test_a_mask_stands_for_any_words(shown: str, text: str, may: bool) -> None:
    assert may_say(shown, text) is may


@pytest.mark.sampled(4)
@pytest.mark.parametrize("part", ["<!--", "[", "[a](", "<b ", "- ", "a ", "a-\n", "&amp;", "%25", "'a"])
def test_a_hostile_text_is_read_quickly(part: str) -> None:
    begun = process_time()
    says(part * (20_000 // len(part)), "refund")
    assert process_time() - begun < 5
