"""How an output that is published is compared with one of a run."""

from __future__ import annotations

import re

_TIME = re.compile(r"\d[\d.,]* (ms|s|m|min)\b")
_RULE = re.compile(r"─{3,}")
_NUMBER = re.compile(r"[\d][\d.,]*")


def masked(text: str) -> list[str]:
    """Return the lines without what really varies from run to run: times, and the rule that fills a line after one."""
    return [_RULE.sub("───", _TIME.sub("N s", line)).rstrip() for line in text.splitlines()]


def shapes(text: str) -> set[str]:
    """Return the shapes of a table's lines: their words and columns, whatever the numbers are."""
    return {" ".join(_NUMBER.sub("#", line).split()) for line in text.splitlines() if line.strip()}
