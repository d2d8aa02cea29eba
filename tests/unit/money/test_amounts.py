"""Dollars as text and as micro-dollars: exact in both directions."""

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.errors import InvalidInput
from ballast.money import dollars, micro_dollars

LAYER = Path(__file__).resolve().parents[3] / "layers" / "ballast" / "ballast"
#: Calls are compared as JSON, which has floats; nothing in that module is money.
EXACT = sorted({*(LAYER / "money").glob("*.py"), *(LAYER / "folds").glob("*.py")} - {LAYER / "folds" / "calls.py"})


@settings(max_examples=100)
@given(microusd=st.integers(0, 10**18 - 1))
def test_an_amount_survives_being_written_and_read(microusd: int) -> None:
    assert micro_dollars(dollars(microusd)) == microusd


@pytest.mark.parametrize(
    ("text", "microusd"),
    [("1.25", 1_250_000), ("$1.25", 1_250_000), (" 0.05 ", 50_000), ("3", 3_000_000), ("0", 0), ("0.000001", 1)],
)
def test_an_amount_is_read_to_the_micro_dollar(text: str, microusd: int) -> None:
    assert micro_dollars(text) == microusd


@pytest.mark.parametrize(
    ("microusd", "text"),
    [(0, "0.00"), (1, "0.000001"), (10, "0.00001"), (50_000, "0.05"), (1_250_000, "1.25"), (-1_500_000, "-1.50")],
)
def test_an_amount_is_written_with_two_to_six_decimals(microusd: int, text: str) -> None:
    assert dollars(microusd) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "$", ".", "1.", ".5", "-1", "+1", "-0", "1,25", "1 000", "1_000", "1e3", "0x1", "$$1", "1.25 EUR"),
        *("NaN", "sNaN", "Infinity", "1e999999999", "٣", "1.0000001", "9" * 13, "1" * 100_000, "1.25\n2"),
    ],
)
def test_what_is_no_amount_is_refused_with_an_example_and_the_name_of_the_field(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^--add-budget: .*Write it like 1\.25") as refused:
        micro_dollars(text, what="--add-budget")

    assert len(str(refused.value)) < 250


def floats_in(source: str) -> list[int]:
    """Return the lines that write a float down or make one."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id == "float")
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div))
        or (isinstance(node, ast.Name) and node.id == "round")
    ]


@pytest.mark.parametrize("file", EXACT, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_no_float_is_anywhere_near_the_money(file: Path) -> None:
    assert floats_in(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("source", ["a = 0.5", "a = float('1')", "a = 1 / 3", "a = round(b)", "a: float"])
def test_a_float_would_be_found(source: str) -> None:
    assert floats_in(source) == [1]


def test_there_are_files_to_look_at() -> None:
    assert {"amounts", "prices", "windows", "usage"} <= {file.stem for file in EXACT}
