"""A document's transcripts: ``$ curl …`` and the expected reply.

``{name}`` stands for a value that is the same everywhere, ``…`` for anything. Of JSON, what is
written must be there; what is not written may.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^```console\n\$ (curl .+?)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True)
class Transcript:
    """One request and its reply, as written. ``body`` is None where none is."""

    method: str
    path: str
    headers: dict[str, str]
    sent: str | None
    status: str
    replied: dict[str, str]
    body: Any


def transcripts(document: Path) -> Iterator[Transcript]:
    """Yield the transcripts in their order."""
    for typed, reply in _BLOCK.findall(document.read_text(encoding="utf-8")):
        words = shlex.split(typed)[1:]
        method, path, sent, headers = "", "", None, {}
        while words:
            match words.pop(0):
                case "-i":
                    pass
                case "-X":
                    method = words.pop(0)
                case "-H":
                    name, _, value = words.pop(0).partition(": ")
                    headers[name] = value
                case "-u":
                    headers["Authorization"] = f"Basic {base64.b64encode(words.pop(0).encode()).decode()}"
                case "--json":
                    sent = words.pop(0)
                case url:
                    path = url.removeprefix("localhost:8787")
                    assert path.startswith("/"), url
        head, _, body = reply.partition("\n\n")
        first, *lines = head.splitlines()
        replied = dict(line.split(": ", 1) for line in lines)
        found = json.loads(body) if body.strip() else None
        status = first.removeprefix("HTTP/1.1 ")
        yield Transcript(method or ("GET" if sent is None else "POST"), path, headers, sent, status, replied, found)


@dataclass
class Known:
    """The values of names, learnt from replies."""

    values: dict[str, str] = field(default_factory=dict)

    def filled(self, text: str) -> str:
        """Return the text with the values of its names."""
        return _NAME.sub(lambda found: self.values[found[1]], text)

    def check(self, written: Any, came: Any, where: str) -> None:
        """Fail unless ``came`` is as written; learn the names that are new."""
        match written:
            case dict():
                assert isinstance(came, dict), where
                for name, value in written.items():
                    assert name in came, f"{where}: no {name} in {sorted(came)}"
                    self.check(value, came[name], f"{where}.{name}")
            case list():
                assert isinstance(came, list), where
                assert len(came) == len(written), f"{where}: {came}"
                for number, value in enumerate(written):
                    self.check(value, came[number], f"{where}.{number}")
            case "…":
                assert came, where
            case str():
                self._check_text(written, came, where)
            case _:
                assert written == came, where

    def _check_text(self, written: str, came: Any, where: str) -> None:
        assert isinstance(came, str), f"{where}: {came}"
        new = [name for name in _NAME.findall(written) if name not in self.values]
        pattern = re.escape(_NAME.sub(lambda found: self.values.get(found[1], found[0]), written))
        for name in new:
            pattern = pattern.replace(re.escape(f"{{{name}}}"), f"(?P<{name}>[a-z0-9-]+)")
        found = re.fullmatch(pattern, came)
        assert found, f"{where}: {came!r} is not {written!r}"
        self.values |= found.groupdict()
