"""Two boxes, and what the payment service has seen."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from ..double import BOOK, PAID, address, listen_elsewhere


def seed_store(client: Any, environ: Mapping[str, str], *, today: date, seed: int) -> None:
    """Write two boxes, and two with a label; forget payments."""
    PAID.clear()
    BOOK.clear()
    for box in ("a", "b"):
        client.put_item(TableName=environ["BOX_TABLE"], Item={"id": {"S": box}, "count": {"N": "10"}})
    label = {"label": {"S": "old"}, "kind": {"S": "round"}}
    for box in ("labelled", "labelled 2"):
        client.put_item(TableName=environ["BOX_TABLE"], Item={"id": {"S": box}, "count": {"N": "7"}, **label})


def seen_outside() -> dict[str, Any]:
    """Return the payments that stand."""
    return {**PAID, "book": BOOK}


def kept() -> tuple[str, int]:
    """Return what another process needs to reach the payment service."""
    return address()


def put_back(kept: tuple[str, int]) -> None:
    """Reach it there."""
    listen_elsewhere(kept)
