"""Money is exact, and values survive the tables' encoding."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from playbook.records.table import decode, decode_item, encode, encode_item
from playbook.records.values import Amount, as_text, from_cents, to_cents

AMOUNT: TypeAdapter[Decimal] = TypeAdapter(Amount)
VALUES = st.recursive(
    st.text() | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.integers(min_value=0, max_value=999_999_999))
def test_cents_survive_the_way_through_text_and_json(cents: int) -> None:
    amount = from_cents(cents)

    text = AMOUNT.dump_json(amount)

    assert to_cents(AMOUNT.validate_json(text)) == cents
    assert json.loads(text) == as_text(amount)


@pytest.mark.parametrize(
    "value", [Decimal("40.005"), Decimal("-1"), Decimal("NaN"), Decimal("Infinity"), Decimal(10**7), 40]
)
def test_a_decimal_that_is_no_amount_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="two decimals"):
        AMOUNT.validate_python(value)


@pytest.mark.parametrize("value", [Decimal(40), Decimal("40.0"), Decimal("4E+1"), Decimal("40.000")])
def test_a_decimal_of_whole_cents_is_written_with_two_decimals(value: Decimal) -> None:
    assert as_text(AMOUNT.validate_python(value)) == "40.00"


@given(VALUES)
def test_what_is_encoded_decodes_to_the_same(value: Any) -> None:
    decoded = decode(encode(value))

    assert decoded == value
    assert type(decoded) is type(value)


def test_what_is_none_is_left_out_of_an_item() -> None:
    assert encode_item({"a": 1, "b": None}) == {"a": {"N": "1"}}
    assert decode_item({"a": {"N": "1"}}) == {"a": 1}


@pytest.mark.parametrize("value", [1.5, Decimal("1.5"), b"bytes", {1, 2}])
def test_what_the_tables_do_not_hold_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        encode(value)
