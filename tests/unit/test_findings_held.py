"""docs/findings-held.md names tests that there are."""

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
