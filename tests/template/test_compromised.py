"""The table of compromised roles in docs/threats.md agrees with the table of the walls."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.template.walls import EXECUTOR, MAY, Row

PAGE = (Path(__file__).parents[2] / "docs" / "threats.md").read_text(encoding="utf-8")
WRITES = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}


def actions(row: Row, resource: str) -> set[str]:
    """Return what a role may do with what begins with ``resource``."""
    return {one for name, allowed in row.items() if name.startswith(resource) for one in allowed.split()}


def runs(row: Row) -> str:
    """Return what a role may do with executions."""
    allowed = {one for granted in row.values() for one in granted.split()}
    words = {"start": "states:StartExecution", "stop": "states:StopExecution"}
    return ", ".join(word for word, action in words.items() if action in allowed) or "–"


def yes(holds: Callable[[Row], object]) -> Callable[[Row], str]:
    """Return what the page says where ``holds``."""
    return lambda row: "yes" if holds(row) else "–"


COLUMNS: dict[str, Callable[[Row], str]] = {
    "write over the log": yes(lambda row: "dynamodb:PutItem" in actions(row, "RunLogTable")),
    "open sealed values": yes(lambda row: "kms:Decrypt" in actions(row, "SensitiveKey")),
    "sign an answer": yes(lambda row: "kms:GenerateMac" in actions(row, "AnswerKey")),
    "change an escalation": yes(lambda row: WRITES & actions(row, "EscalationsTable")),
    # No row names what is the business's own: the wall around it lets the executor in, and nobody else.
    "business's tables": yes(lambda row: row is MAY[EXECUTOR]),
    "moves": yes(lambda row: WRITES & actions(row, "MovesTable")),
    "budgets, leases": yes(lambda row: WRITES & actions(row, "BudgetsTable")),
    "runs": runs,
    "model": yes(lambda row: "bedrock:InvokeModel" in actions(row, "")),
}


def cells(line: str) -> list[str]:
    """Return the cells of a table's line."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def table(beginning: str) -> Iterator[list[str]]:
    """Yield the rows of the table of the page whose first line begins so."""
    lines = iter(PAGE[PAGE.index(beginning) :].splitlines())
    yield cells(next(lines))
    next(lines)
    for line in lines:
        if not line.startswith("|"):
            return
        yield cells(line)


def said() -> dict[str, dict[str, str]]:
    """Return by function what the page says of it."""
    head, *rows = table("| functions | write over the log")
    assert head == ["functions", *COLUMNS]
    return {f"{name}Function": dict(zip(COLUMNS, row[1:], strict=True)) for row in rows for name in row[0].split(", ")}


def test_every_function_is_in_one_row() -> None:
    names = [name for row in list(table("| functions | write over the log"))[1:] for name in row[0].split(", ")]

    assert sorted(names) == sorted(name.removesuffix("Function") for name in MAY)


@pytest.mark.parametrize("name", sorted(MAY))
def test_the_page_says_what_its_role_has(name: str) -> None:
    assert said()[name] == {column: of(MAY[name]) for column, of in COLUMNS.items()}


def test_what_follows_is_said_of_every_function() -> None:
    named = {name for row in list(table("| function | can | cannot"))[1:] for name in row[0].split(", ")}

    assert {name.removesuffix("Function") for name in MAY} <= named
