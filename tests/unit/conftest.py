"""Unit tests are pure: no moto, no sockets, no processes, no files written but in a temporary folder.

What breaks the rule says so by name, and where the test belongs instead.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

#: What Python tells its audit hooks, and what is wrong with it here.
_FORBIDDEN = {
    "socket.connect": "opens a connection",
    "socket.bind": "opens a port",
    "socket.getaddrinfo": "asks for an address",
    "subprocess.Popen": "starts a process",
    "os.exec": "starts a process",
    "os.fork": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.system": "starts a process",
}
_WHERE = "Its place is tests/functions, tests/workflow or tests/e2e (docs/testing.md)."
_PYTHONS_OWN = ("__pycache__", ".hypothesis", ".pytest_cache")


class NotPure(RuntimeError):
    """A unit test did what unit tests do not do."""


class _Guard:
    """An audit hook cannot be taken out again: it is asked only while a unit test runs."""

    running: str | None = None
    added = False

    @classmethod
    def hook(cls, event: str, arguments: tuple[Any, ...]) -> None:
        if cls.running is None:
            return
        if event in _FORBIDDEN:
            cls.refuse(_FORBIDDEN[event])
        elif event == "import" and arguments[0].partition(".")[0] == "moto":
            cls.refuse("imports moto")
        elif event == "open" and _writes(arguments) and not _is_temporary(arguments[0]):
            cls.refuse(f"writes {arguments[0]}")

    @classmethod
    def refuse(cls, what: str) -> None:
        raise NotPure(f"{cls.running} {what}, and tests/unit is pure. {_WHERE}")


def _writes(arguments: tuple[Any, ...]) -> bool:
    path, _mode, flags = arguments
    return isinstance(path, str | bytes | os.PathLike) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _is_temporary(path: Any) -> bool:
    absolute = Path(os.path.abspath(os.fsdecode(path)))
    if any(part in absolute.parts for part in _PYTHONS_OWN):
        return True
    return absolute.is_relative_to(tempfile.gettempdir()) or absolute.is_relative_to("/dev")


@pytest.fixture(autouse=True)
def _pure(request: pytest.FixtureRequest) -> Iterator[None]:
    if not _Guard.added:
        _Guard.added = True
        sys.addaudithook(_Guard.hook)
    _Guard.running = request.node.nodeid
    yield
    _Guard.running = None
