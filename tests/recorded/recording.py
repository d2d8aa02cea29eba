"""A recorded run: the items of its log as DynamoDB had them, and what it takes to read them.

::

    runs/NAME.json           the recording: items, payloads, lease, escalations, the secrets of both keys
    runs/NAME.expected.json  what the version that recorded it read there (``tests.recorded.readings``)

Binary attributes are base64, as on DynamoDB's wire. The keys are a test's own (``tests.support.sealing_key``).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RUNS = Path(__file__).resolve().parent / "runs"
_EXPECTED = ".expected.json"
#: So many levels of a file have an entry a line, where it would be longer than this.
_DEPTH, _WIDTH = 5, 120

Item = dict[str, Any]


@dataclass(frozen=True)
class Recording:
    """One run as it was left.

    about        one sentence: what happens in it
    playbook     folder of the playbook that it ran with, below the repository's root
    read_at      ISO 8601; the time at which the expected readings were made
    keys         the secrets of the two KMS keys, in hex: ``signing`` and ``sealing``
    items        the run's items in the run log's table
    payloads     the S3 objects to which these point, by key
    lease        the run's item in the budgets table; None where it has none
    escalations  the run's items in the escalations table, without the task token
    """

    name: str
    about: str
    run_id: str
    tenant: str
    playbook: str
    read_at: str
    keys: Mapping[str, str]
    items: tuple[Item, ...]
    payloads: Mapping[str, bytes]
    lease: Item | None
    escalations: tuple[Item, ...]

    @property
    def now(self) -> datetime:
        """The time at which it is read."""
        return datetime.fromisoformat(self.read_at)

    def as_text(self) -> str:
        """Return it as the text of its file."""
        return _lines(asdict(self))


def names() -> list[str]:
    """Return the names of all recordings."""
    return sorted(file.name.removesuffix(_EXPECTED) for file in RUNS.glob(f"*{_EXPECTED}"))


def load(name: str) -> Recording:
    """Return a recording."""
    content: dict[str, Any] = json.loads((RUNS / f"{name}.json").read_text(encoding="utf-8"))
    content["payloads"] = {key: base64.b64decode(text) for key, text in content["payloads"].items()}
    for several in ("items", "escalations"):
        content[several] = tuple(map(_from_wire, content[several]))
    return Recording(**content)


def expected(name: str) -> dict[str, Any]:
    """Return what was read in a recording by the version that made it."""
    read: dict[str, Any] = json.loads((RUNS / f"{name}{_EXPECTED}").read_text(encoding="utf-8"))
    return read


def save(recording: Recording, readings: Mapping[str, Any]) -> None:
    """Write both files of a recording."""
    RUNS.mkdir(exist_ok=True)
    (RUNS / f"{recording.name}.json").write_text(recording.as_text(), encoding="utf-8")
    (RUNS / f"{recording.name}{_EXPECTED}").write_text(_lines(readings), encoding="utf-8")


def _lines(value: Any, depth: int = 0) -> str:
    """Return JSON with an entry a line in its outer levels, for whoever compares two of them."""
    text = json.dumps(value, ensure_ascii=False, default=_base64)
    if depth == _DEPTH or not value or not isinstance(value, dict | list | tuple) or len(text) <= _WIDTH:
        return text
    inner = (
        [f"{json.dumps(name, ensure_ascii=False)}: " for name in value]
        if isinstance(value, dict)
        else [""] * len(value)
    )
    entries = value.values() if isinstance(value, dict) else value
    lines = ",\n".join(f"{name}{_lines(one, depth + 1)}" for name, one in zip(inner, entries, strict=True))
    return f"{{\n{lines}\n}}" if isinstance(value, dict) else f"[\n{lines}\n]"


def _base64(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    raise TypeError(f"{type(value).__name__} is no part of a recording")


def _from_wire(item: Item) -> Item:
    return {
        name: {kind: base64.b64decode(one) if kind == "B" else one for kind, one in value.items()}
        for name, value in item.items()
    }
