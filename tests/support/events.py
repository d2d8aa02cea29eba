"""Lambda events from tests/events."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_EVENTS = Path(__file__).parents[1] / "events"


@cache
def _read(source: str, meaning: str) -> str:
    return (_EVENTS / source / f"{meaning}.json").read_text(encoding="utf-8")


def sample(meaning: str, source: str = "apigateway") -> dict[str, Any]:
    """Return a fresh copy of the event with that name."""
    event: dict[str, Any] = json.loads(_read(source, meaning))
    return event
