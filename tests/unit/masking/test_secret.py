"""Masking finds and replaces sensitive values anywhere, in every spelling."""

import html
import json
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.masking import MASK, Finder, Secret, masked, masked_context, sealed, unsealed, without_tokens
from ballast.masking.spellings import Automaton

NAMES = frozenset({"keep_card", "card", "amount", "SchemaViolation"})
SECRETS = ["4111111111111111", "+49 170 1234567", "12345", "111111", 'a "b"\\\n', "zoë 😀"]
FINDER = Finder.of([*map(Secret, SECRETS), Secret("7", "pin", "keep_card")], NAMES)

_TEXTS = st.lists(st.sampled_from([*SECRETS, " and ", "x", "{}", "é"]), max_size=4).map("".join)
_NUMBERS = st.sampled_from([42, 12345, 7, 1.5, 4111111111111111])
JSON = st.recursive(
    _TEXTS | _NUMBERS | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS | st.just("pin"), inner, max_size=3),
    max_leaves=8,
)


def in_an_event(value: Any) -> dict[str, Any]:
    return {"tool": "keep_card", "arguments": value, "message": json.dumps(value), "turn": 7}


def test_the_package_shows_what_it_does() -> None:
    finder = Finder.of({Secret("4111 1111 1111 1111", field="card", tool="pay")})

    assert masked({"text": "card 4111-1111-1111-1111"}, finder) == {"text": "card *****"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("DE75512108001245126199", "ＤＥ75512108001245126199"),
        ("DE75512108001245126199", "\\uff24\\uff2575512108001245126199, ＤＥ７５－５１２１－０８００ 1245126199"),
        ("ＤＥ75512108001245126199", "DE75512108001245126199"),
        ("mia.lang@acme.com", "mia．lang＠acme．com"),
        ("Grif\ufb01n Caf\u00e9", "Griffin Cafe\u0301"),
        ("1987-03-14", "１９８７-０３-１４, 14. März ｌ９８７, 14. Ma\u0308rz 1987"),
    ],
)
def test_other_forms_of_the_same_characters_are_the_same_value(value: str, text: str) -> None:
    finder = Finder.of({Secret(value)})

    shown = finder.masked(f"{text}² of 5½")

    assert MASK in shown
    assert shown.endswith("² of 5½")
    assert not any(part in shown for part in ("５１２", "512", "lang", "ｌａｎｇ", "fin", "１９８７-", "rz 1987"))


class Tokens:
    """Gives each spelling a token, and remembers it."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        return self.of.setdefault(text, f"\u27e6{len(self.of):016x}\u27e7")

    @property
    def back(self) -> dict[str, str]:
        return {token: text for text, token in self.of.items()}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("4111111111111111", MASK),
        ("card 4111111111111111, please", f"card {MASK}, please"),
        ({"a": ["x", {"b": "+49 170 1234567"}]}, {"a": ["x", {"b": MASK}]}),
        ({"4111111111111111": 1}, {MASK: 1}),
        (12345, MASK),
        (4111111111111111, MASK),
        ({"pin": 7, "other": 7}, {"pin": MASK, "other": 7}),
        ({"pin": {"a": [7, "7", True]}}, {"pin": {"a": [MASK, MASK, True]}}),
        ("7", "7"),
        (True, True),
        (None, None),
        ('{"code": "12345"}', f'{{"code": "{MASK}"}}'),
    ],
)
def test_in_data_a_secret_is_masked_wherever_it_stands_and_a_short_one_at_its_field(value: Any, shown: Any) -> None:
    assert masked({"arguments": value}, FINDER) == {"arguments": shown}


@pytest.mark.parametrize(
    "common", ["0", "1", "ok", "true", "0003", "answered", "keep_card", "run-abcd", "9999", "agent"]
)
def test_what_is_ballasts_own_stays_as_it_is(common: str) -> None:
    body = {
        "status": "answered",
        "planner": "agent",
        "tool": "keep_card",
        "idempotency_key": "run-abcd.0003.1",
        "attempt": 1,
        "cost_microusd": 9999,
        "ok": True,
        "gen_ai.request.model": "agent-0003-9999",
        "decision": {"kind": "call_tools", "calls": [{"tool": "keep_card", "call_id": "run-abcd0003"}]},
        "limits": {"turns": 1},
    }

    assert masked(body, Finder.of([Secret(common, "pin", "keep_card")], NAMES)) == body


@pytest.mark.parametrize("value", ["0", "1", "ok", "true", "false", "x"])
def test_a_short_value_is_masked_at_its_field_in_json_and_in_text_that_quotes_it(value: str) -> None:
    finder = Finder.of([Secret(value, "pin", "keep_card")], NAMES)
    quoted = json.dumps({"pin": value, "other": value})

    shown = masked({"tool": "keep_card", "result": {"pin": value, "other": value}, "message": quoted}, finder)

    assert shown["result"] == {"pin": MASK, "other": value}
    assert json.loads(shown["message"]) == {"pin": MASK, "other": value}
    assert finder.masked(f"pin='{value}' and {value}") == f"pin='{MASK}' and {value}"


def test_a_short_value_of_one_tool_says_nothing_about_another_tools_field() -> None:
    finder = Finder.of([Secret("ok", "card", "keep_card")], NAMES | {"other_tool"})

    assert masked({"tool": "other_tool", "result": {"card": "ok"}}, finder)["result"] == {"card": "ok"}
    assert masked({"content": [{"json": {"card": "ok"}}]}, finder)["content"] == [{"json": {"card": MASK}}]


SPELT: list[Callable[[str], str]] = [
    str,
    json.dumps,
    lambda text: json.dumps(json.dumps({"a": [text]})),
    lambda text: json.dumps(text, ensure_ascii=False),
    repr,
    ascii,
    lambda text: repr({"a": text}),
    lambda text: json.dumps(repr([text])),
    lambda text: urllib.parse.quote(text, safe="", errors="surrogatepass"),
    lambda text: urllib.parse.quote_plus(text, errors="surrogatepass"),
    lambda text: f"\\{text}\\",
    lambda text: f"C:\\\\{text}%20",
    lambda text: repr(text.encode("utf-8", "surrogatepass")),
    lambda text: json.dumps(str(text.encode("utf-8", "surrogatepass"))),
    html.escape,
]


@pytest.mark.parametrize("spelt", range(len(SPELT)))
@pytest.mark.parametrize("value", ["000\u00ad", "A\u200bB\u200bC", "\u2060x-1", "00\u00c2\u00ad"], ids=ascii)
def test_a_value_of_few_visible_characters_is_found_with_the_invisible_ones(spelt: int, value: str) -> None:
    finder = Finder.of([Secret(value)])

    assert MASK in finder.masked(f"it is {SPELT[spelt](value)}.")
    assert finder.masked("000 ABC x-1 00Â") == "000 ABC x-1 00Â"


@pytest.mark.parametrize("spelt", range(len(SPELT)))
@given(
    st.text(min_size=4, max_size=30).filter(lambda text: len(text.replace("\\", "")) > 3), st.sampled_from(["", "x "])
)
def test_a_value_is_found_in_every_spelling(spelt: int, value: str, before: str) -> None:
    finder = Finder.of([Secret(value)])

    text = before + SPELT[spelt](value)

    assert MASK in finder.masked(text) or not Secret(value).is_searched


@pytest.mark.parametrize(
    ("value", "spelt"),
    [
        ("4111 1111 1111 1111", "4111111111111111"),
        ("4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("4111 1111 1111 1111", "4111.1111.1111/1111"),
        ("4111 1111 1111 1111", "4111\u00a01111\u20111111 1111"),
        ("4111 1111 1111 1111", "4111 \\u00a01111\\n1111-1111"),
        ("4111111111111111", "4111%201111+1111%2D1111"),
        ("4111111111111111", "４１１１ １１１１ １１１１ １１１１"),
        ("+1 555 010 0199", "1-555-010-0199"),
        ("+1 555 010 0199", "+1 (555) 010-0199"),
        ("DE89 3704 0044 0532 0130 00", "de89370400440532013000"),
        ("078-05-1120", "078051120"),
        ("1234.56", "1,234.56"),
    ],
)
def test_a_value_is_found_in_other_groups(value: str, spelt: str) -> None:
    shown = Finder.of([Secret(value)]).masked(f"It is {spelt}, yes.")

    assert not [part for part in ("1111", "555", "3704", "0511", "234", "１１") if part in shown], shown
    assert shown.startswith("It is ")
    assert shown.endswith(", yes.")


@pytest.mark.parametrize(
    ("value", "spelt"),
    [
        ("Mia.Lee@Shop.example", "mia.lee@shop.example"),
        ("Mia.Lee@Shop.example", "MIA.LEE@SHOP.EXAMPLE"),
        ("maria muster", "Maria Muster"),
        ("Hauptstraße", "HAUPTSTRASSE"),
        ("ZOË ÅBERG", "zoë åberg"),
        ("ZOË ÅBERG", "zo\\u00eb %C3%A5berg"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("İzmir Kaya", "İZMİR KAYA"),
        ("Maria Muster ", "Maria Muster"),
        ("\tMaria Muster\n", "maria muster"),
        ("Maria Muster, Hauptweg 12", "MARIA MUS..."),
    ],
)
def test_a_value_is_found_in_any_case_and_without_the_space_around_it(value: str, spelt: str) -> None:
    shown = Finder.of([Secret(value)]).masked(f"<{spelt}>")

    assert shown.removesuffix("...>").removesuffix(">") == f"<{MASK}"


@pytest.mark.parametrize("word", ["True", "ERROR", "Failed", "NULL"])
def test_a_word_of_every_text_is_looked_for_as_it_is_written(word: str) -> None:
    finder = Finder.of([Secret(word)])

    assert finder.masked(f"{word.swapcase()} {word.lower()}") == f"{word.swapcase()} {word.lower()}"


@pytest.mark.parametrize("value", ["new-value", "u0041bcdef", "x41bcdef", "%41bcd", "\\\\\\\\", "tail\\"])
@pytest.mark.parametrize("text", ["CORP\\{}", "CORP\\\\{}", "%{}", "a+{}", "{}\\", "{}41"])
def test_a_value_is_found_next_to_what_may_be_an_escape(value: str, text: str) -> None:
    assert MASK in Finder.of([Secret(value)]).masked(text.format(value))


@pytest.mark.parametrize("text", ["12 34", "1 2 3 4", "12-34", "a1, b2, c3"])
def test_a_short_number_is_not_looked_for_in_other_groups(text: str) -> None:
    assert Finder.of([Secret("1234"), Secret("123")]).masked(text) == text


def test_overlapping_secrets_are_one() -> None:
    assert Finder.of([Secret("abcdef"), Secret("defghi"), Secret("cdef")]).masked("xabcdefghiy") == f"x{MASK}y"


@given(JSON)
def test_what_is_sealed_opens_as_it_was(value: Any) -> None:
    tokens, body = Tokens(), in_an_event(value)

    closed = json.loads(json.dumps(sealed(body, FINDER, tokens)))

    assert unsealed(closed, tokens.back) == json.loads(json.dumps(body))


@given(JSON)
def test_who_may_not_open_sees_what_masking_shows_and_no_secret(value: Any) -> None:
    tokens, body = Tokens(), in_an_event(value)

    shown = without_tokens(sealed(body, FINDER, tokens), list(tokens.back))

    assert shown == masked(body, FINDER)
    assert not [secret for secret in SECRETS if secret in json.dumps(shown) or json.dumps(secret)[1:-1] in str(shown)]


def test_a_token_that_is_not_known_is_text_like_any_other() -> None:
    assert unsealed({"a": "\u27e6ffffffffffffffff\u27e7"}, {}) == {"a": "\u27e6ffffffffffffffff\u27e7"}
    assert unsealed({"$sealed": "no token"}, {"\u27e60\u27e7": "42"}) == {"$sealed": "no token"}


@given(st.lists(st.text("ab", min_size=1, max_size=6), min_size=1, max_size=8), st.text("abc", max_size=60))
def test_the_automaton_finds_what_a_search_for_each_finds(wanted: list[str], text: str) -> None:
    covered = {at for start, end in Automaton.of(wanted).spans(text) for at in range(start, end)}

    slow = {
        at
        for one in wanted
        for start in range(len(text))
        if text.startswith(one, start)
        for at in range(start, start + len(one))
    }
    assert covered == slow


def test_the_time_grows_with_the_text_and_not_with_the_values() -> None:
    hard = Finder.of([Secret("a" * 4_000 + "b"), *(Secret(f"{number} 123456") for number in range(3_000))])
    steps = _processor_s(lambda: hard.masked("a" * 20_000 + "1" * 20_000 + "\\" * 20_000))
    twice = _processor_s(lambda: hard.masked("a" * 40_000 + "1" * 40_000 + "\\" * 40_000))

    assert twice < 8 * max(steps, 0.01)


def _processor_s(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def test_who_does_not_know_what_is_sensitive_hides_what_a_request_brought() -> None:
    event = {"body": json.dumps({"text": "Hello", "context": {"card": "4111 1111 1111 1111", "n": [123456]}})}

    assert masked_context("Hello 4111111111111111 and 123456", event) == f"Hello {MASK} and {MASK}"
    assert masked_context("Hello 7", {"request": {"context": {"a": 7}}}) == "Hello 7"


@pytest.mark.parametrize(
    "spelt",
    [
        *(
            "Anna\u2011Maria M\u00fcller",
            "Anna\u2013Maria M\u00fcller",
            "Anna\u2212Maria M\u00fcller",
            "Anna\uff0dMaria M\u00fcller",
        ),
        *(
            "Anna-\u00adMaria M\u00fcl\u00adler",
            "Anna\u2010Ma\u200bria M\u00fcller",
            "An\\u00adna\\u2011Maria M\\u00fcller",
        ),
    ],
)
def test_a_value_is_found_with_another_dash_and_with_signs_that_nobody_sees(spelt: str) -> None:
    assert Finder.of([Secret("Anna-Maria M\u00fcller")]).masked(f"It is {spelt}, he said.") == "It is *****, he said."


@pytest.mark.parametrize("dash", ["\u2010", "\u2011", "\u2015", "\u2e3a", "\ufe63", "\uff0d", "\u00ad", "\u200b"])
def test_groups_of_a_code_may_stand_beside_any_dash(dash: str) -> None:
    assert Finder.of([Secret("4111111111111111")]).masked(f"x {dash.join(['4111'] + ['1111'] * 3)} y") == "x ***** y"
    assert Finder.of([Secret(f"4111{dash}1111")]).masked("x 4111-1111, 41111111 y") == "x *****, ***** y"
