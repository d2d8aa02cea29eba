"""The tests that docs/findings-held.md names exist."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "findings-held.md").read_text(encoding="utf-8")
_NAMED = re.compile(r"`(?:(?P<file>[a-z_/0-9]+\.py))?(?:::(?P<test>test_\w+))?`")


def named() -> list[tuple[str, str]]:
    """Return each file and test that the page names; ``::test_x`` alone is of the file before it."""
    found, file = [], ""
    for match in _NAMED.finditer(PAGE):
        if match["file"] or match["test"]:
            file = match["file"] or file
            found.append((file, match["test"] or ""))
    return found


def test_it_names_some() -> None:
    assert len(named()) > 40


@pytest.mark.parametrize(("file", "test"), sorted(set(named())))
def test_what_it_names_is_there(file: str, test: str) -> None:
    text = (TESTS / file).read_text(encoding="utf-8")

    assert not test or f"def {test}(" in text


#: What the findings number: each has a row of the index, also where that says that it belongs elsewhere.
NUMBERS = (
    *(f"reports {number}" for number in (*range(1, 17), *range(25, 29))),
    *(f"models F{number}" for number in range(1, 14)),
    *(f"security M{number}" for number in range(1, 6)),
    *(f"security L{number}" for number in range(1, 11)),
    *(f"security H{number}" for number in range(1, 5)),
    *(f"deploy {number}" for number in range(1, 13)),
    *(f"effects {number}" for number in ("1", "2", "3.1", "3.2", "4", "5", "6")),
    *(f"newcomer 1.{number}" for number in range(1, 7)),
    *(f"newcomer 2.{number}" for number in range(1, 16)),
    *(f"newcomer {number}" for number in (3, 4, 5, 6)),
)


def indexed() -> set[str]:
    """Return the numbers that the index has a row for."""
    found: set[str] = set()
    index = PAGE.partition("## Where each number is")[2]
    for row in re.findall(r"^\| (\w+) ([^|,]+(?:, [A-Z]?[0-9.]+)*)[^|]*\| [^|]+ \|$", index, re.MULTILINE):
        document, numbers = row
        for part in numbers.split(", "):
            ends = part.split(" to ")
            whole = range(int(ends[0]), int(ends[1]) + 1) if len(ends) == 2 else ends
            found |= {f"{document} {number}".strip() for number in whole}
    return found


@pytest.mark.parametrize("number", NUMBERS)
def test_every_number_of_the_findings_has_a_row(number: str) -> None:
    assert number in indexed()


def test_every_section_that_the_index_names_is_there() -> None:
    index = PAGE.partition("## Where each number is")[2]
    sections = set(re.findall(r"^## (.+)$", PAGE, re.MULTILINE))
    for place in re.findall(r"^\| [^|]+ \| ([^|]+) \|$", index, re.MULTILINE)[1:]:
        if place.startswith(("not", "held already", "the question")):
            continue
        named = [section for section in sections if section in place]
        assert named, place
