"""Sensitive values are found wherever they stand, replaced, and found again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.contracts.secret import MASK, masked, occurring, opened, sealed, without_tokens

SECRETS = ["4111111111111111", "+49 170 1234567", "42", "12345", "111111"]
TOKENS = {secret: f"\u27e6{number:016x}\u27e7" for number, secret in enumerate(SECRETS)}

_TEXTS = st.lists(st.sampled_from([*SECRETS, " and ", "x", "{}", "é"]), max_size=4).map("".join)
_NUMBERS = st.sampled_from([42, 12345, 7, 1.5, 4111111111111111])
JSON = st.recursive(
    _TEXTS | _NUMBERS | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("4111111111111111", MASK),
        ("card 4111111111111111, please", f"card {MASK}, please"),
        ({"a": ["x", {"b": "+49 170 1234567"}]}, {"a": ["x", {"b": MASK}]}),
        ({"4111111111111111": 1}, {MASK: 1}),
        (12345, MASK),
        ("42", MASK),
        ("42 days", "42 days"),
        (True, True),
        (None, None),
        ('{"pin": "12345"}', f'{{"pin": "{MASK}"}}'),
    ],
)
def test_a_secret_is_masked_wherever_it_stands_and_a_short_one_where_it_stands_alone(value: Any, shown: Any) -> None:
    assert masked(value, SECRETS) == shown


def test_the_longest_secret_wins_where_one_is_a_part_of_another() -> None:
    assert masked("4111111111111111", ["111111", "4111111111111111"]) == MASK


@given(JSON)
def test_what_is_sealed_opens_as_it_was(value: Any) -> None:
    closed = json.loads(json.dumps(sealed(value, TOKENS)))

    assert opened(closed, {token: secret for secret, token in TOKENS.items()}) == json.loads(json.dumps(value))


@given(JSON)
def test_who_may_not_open_sees_what_masking_shows_and_no_secret(value: Any) -> None:
    shown = without_tokens(sealed(value, TOKENS), list(TOKENS.values()))

    assert shown == masked(value, SECRETS)
    assert not [secret for secret in SECRETS if len(secret) > 3 and secret in json.dumps(shown)]


@given(JSON)
def test_what_occurs_is_what_is_replaced(value: Any) -> None:
    closed = json.dumps(sealed(value, TOKENS), ensure_ascii=False)

    assert {secret for secret, token in TOKENS.items() if token in closed} == set(occurring(value, SECRETS))


def test_a_token_that_is_not_known_is_text_like_any_other() -> None:
    assert opened({"a": "\u27e6ffffffffffffffff\u27e7"}, {}) == {"a": "\u27e6ffffffffffffffff\u27e7"}
    assert opened({"$sealed": "no token"}, {TOKENS["42"]: "42"}) == {"$sealed": "no token"}
