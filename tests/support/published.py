"""Compare a published output with that of a new run."""

from __future__ import annotations

import re

_TIME = re.compile(r"\d[\d.,]* (ms|s|m|min)\b")
_RULE = re.compile(r"─{3,}")
_NUMBER = re.compile(r"[\d][\d.,]*")


def masked(text: str) -> list[str]:
    """Return the lines without what varies between runs: times, and the rule that fills the line after one."""
    return [_RULE.sub("───", _TIME.sub("N s", line)).rstrip() for line in text.splitlines()]


def shapes(text: str) -> set[str]:
    """Return the shapes of a table's lines: words and columns without the numbers."""
    return {" ".join(_NUMBER.sub("#", line).split()) for line in text.splitlines() if line.strip()}
