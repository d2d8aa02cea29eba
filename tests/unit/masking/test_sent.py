"""Masking reads what a function can read out of its event: base64, JSON in texts, envelopes, at any depth."""

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.masking import MASK, is_name, masked_context, values_in

CARD = "4111 1111 1111 1111"
BODY = json.dumps({"request_id": "r", "text": "x", "context": {"card": CARD}})


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def nested(depth: int, value: Any) -> Any:
    for _ in range(depth):
        value = {"a": [value]}
    return value


def in_texts(levels: int, value: Any) -> str:
    made = json.dumps(value)
    for _ in range(levels):
        made = json.dumps({"body": made})
    return made


@pytest.mark.parametrize(
    "event",
    [
        {"body": BODY},
        {"body": encoded(BODY), "isBase64Encoded": True},
        {"body": encoded("\ufeff" + BODY), "isBase64Encoded": True},
        {"body": encoded("[" + BODY + "]"), "isBase64Encoded": True},
        {"body": "\ufeff" + BODY},
        {"body": f"\r\n {BODY}"},
        {"body": json.dumps(BODY)},
        {"body": f"[{BODY}]"},
        {"body": BODY[:-1] + ",}"},
        {"body": BODY[:-3]},
        {"body": f"{BODY}\n{BODY}"},
        {"Records": [{"body": BODY}]},
        {"Records": [{"body": json.dumps({"Type": "Notification", "Message": BODY})}]},
        {"Records": [{"body": json.dumps({"detail-type": "Run Requested", "detail": json.loads(BODY)})}]},
        {"Records": [{"body": json.dumps({"Message": json.dumps({"detail": json.loads(BODY)})})}]},
        {"Records": [{"Sns": {"Message": BODY}}]},
        {"Records": [{"kinesis": {"data": encoded(BODY)}}]},
        {"detail": json.loads(BODY)},
        {"detail": {"body": BODY}},
        [BODY],
        {"request": {"context": {"x": json.dumps({"card": CARD})}}},
        {"request": {"context": {"x": json.dumps(json.dumps([CARD]))}}},
        {"request": {"context": {"x": encoded(json.dumps({"card": CARD}))}}},
        {"request": {"context": {CARD: 1}}},
        {"request": {"context": {"x": {CARD: {}}}}},
        {"request": {"context": {"x": json.dumps({CARD: True})}}},
        {"request": {"context": {"x": 4111111111111111}}},
        {"request": {"context": {"x": [[{"a": CARD}]]}}},
        {"request": {"context": nested(60, CARD)}},
        {"request": {"context": nested(180, CARD)}},
        {"request": {"context": nested(180, {CARD: 1})}},
        {"body": json.dumps({"context": nested(90, CARD)})},
        {"body": json.dumps({"context": nested(400, CARD)})},
        {"body": in_texts(4, {"context": {"card": CARD}})},
        {"body": json.dumps({"approve": True, "arguments": {"card": CARD}})},
        {"body": encoded(json.dumps({"arguments": {"card": CARD}})), "isBase64Encoded": True},
    ],
)
def test_what_was_brought_is_masked_however_it_was_packed(event: Any) -> None:
    assert masked_context(f"cannot do with {CARD}", event) == f"cannot do with {MASK}"


@pytest.mark.parametrize(
    "event",
    [
        {"body": encoded("no JSON, at all"), "isBase64Encoded": True},
        {"body": "////", "isBase64Encoded": True},
        {"body": None, "isBase64Encoded": True},
        {"body": encoded("\udcff".encode("utf-8", "surrogatepass").decode("latin-1")), "isBase64Encoded": True},
        {"body": "{"},
        {"body": '"'},
        {"body": "[" * 5_000},
        {"request": {"context": {"order_id": "[draft] cannot do with that", "isBase64Encoded": True}}},
        {"text": BODY[:20]},
        None,
        "x",
    ],
)
def test_what_cannot_be_read_says_nothing(event: Any) -> None:
    assert masked_context("cannot do with that order_id in context", event) == "cannot do with that order_id in context"


def test_a_key_that_names_something_is_no_data() -> None:
    for name in ("order_id", "x", "$read", "detail-type", "lineItems", "address.street", "line2"):
        assert is_name(name)
    for data in (CARD, "Maria Muster", "maria@shop.example", "4111111111111111", "+49170123", "1990-05-17", "", "é"):
        assert not is_name(data)


@given(st.recursive(st.text() | st.integers() | st.none(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)))
def test_each_value_in_a_text_of_json_is_read(value: Any) -> None:
    found = list(values_in(json.dumps([value])))

    left = [value]
    for one in left:
        if isinstance(one, dict | list):
            left.extend(one.values() if isinstance(one, dict) else one)
        elif one is not None:
            assert one in found


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "text",
    [
        '{"' + "\\" * 200_000,
        "{" + '"' * 200_000,
        '{"a":' * 40_000,
        "[" * 200_000,
        '{"context":{"card":' * 10_000,
        json.dumps(["{}"] * 50_000),
        "eyJ" + "A" * 200_000 + "!",
        in_texts(12, {"a": "x" * 20}),
    ],
)
def test_what_is_packed_to_take_long_does_not(text: str) -> None:
    began = time.process_time()

    masked_context("x", {"body": text, "isBase64Encoded": True})
    masked_context("x", {"Records": [{"body": text}]})
    masked_context("x", {"body": encoded(text), "isBase64Encoded": True})

    assert time.process_time() - began < 6
