"""Bounds of size and depth, and texts that are not one JSON object."""

from typing import Any

import pytest

from ballast.validation import too_large, why_no_object
from ballast.validation.schema import depth


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize(("value", "levels"), [(1, 0), ("x", 0), ({}, 1), ([], 1), ({"a": [1, {}]}, 3), (nested(9), 9)])
def test_depth_counts_objects_and_lists(value: Any, levels: int) -> None:
    assert depth(value, 64) == levels


def test_the_limits_are_inclusive() -> None:
    assert too_large("x" * 8, max_bytes=10) is None
    assert too_large(nested(16), max_bytes=1_000, max_depth=16) is None
    assert "11 bytes" in str(too_large("x" * 9, max_bytes=10))
    assert "16 levels" in str(too_large(nested(17), max_bytes=1_000, max_depth=16))


@pytest.mark.parametrize(
    ("text", "size"), [("x" * 12, 14), ("ж" * 6, 14), ("漢" * 4, 14), ("😀" * 3, 14), ("\ud800", 5)]
)
def test_bytes_are_those_of_utf_8_in_every_script(text: str, size: int) -> None:
    assert too_large(text, max_bytes=size) is None
    assert f"{size} bytes" in str(too_large(text, max_bytes=size - 1))


def test_a_very_deep_value_is_not_walked_to_its_end() -> None:
    assert "levels" in str(too_large(nested(100_000), max_bytes=10))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ('{"a": 1} x', "after"),
        ('{"a": 1, "a": 2}', "twice"),
        ("1", "not an object"),
        ('{"a": NaN}', "not JSON"),
    ],
)
def test_why_text_is_no_object(text: str, why: str) -> None:
    assert why in (why_no_object(text) or "")


def test_one_object_is_one() -> None:
    assert why_no_object(' {"a": {"a": 1}} ') is None
