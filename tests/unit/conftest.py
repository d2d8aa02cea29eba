"""Unit tests are pure: no moto, no sockets, no processes, no files changed but in a temporary folder.

What breaks the rule says so by name, and where the test belongs instead. The rule holds while a file is collected, for
fixtures of every scope, for threads, and for what a test does and then hides in an ``except``.
"""

from __future__ import annotations

import builtins
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3  # noqa: F401 - as it is loaded it opens a port to see whether there is IPv6

#: What Python tells its audit hooks, and what is wrong with it here.
_FORBIDDEN = {
    "socket.connect": "opens a connection",
    "socket.bind": "opens a port",
    "socket.sendto": "sends a datagram",
    "socket.sendmsg": "sends a datagram",
    "socket.getaddrinfo": "asks for an address",
    "socket.gethostbyname": "asks for an address",
    "subprocess.Popen": "starts a process",
    "os.exec": "starts a process",
    "os.fork": "starts a process",
    "os.forkpty": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.spawn": "starts a process",
    "os.startfile": "starts a process",
    "os.system": "starts a process",
    "pty.spawn": "starts a process",
}
#: Events that change the file system: which of their arguments are paths, and which are the folders those start from.
_CHANGES = {
    "os.mkdir": ((0, 2),),
    "os.rmdir": ((0, 1),),
    "os.remove": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
    "shutil.rmtree": ((0, 1),),
    "sqlite3.connect": ((0, None),),
}
_WHERE = "Its place is tests/functions, tests/workflow or tests/e2e (docs/testing.md)."
_HERE = Path(__file__).parent
_PYTHONS_OWN = ("__pycache__", ".hypothesis", ".pytest_cache")


class NotPure(RuntimeError):
    """A unit test did what unit tests do not do."""


class _Guard:
    """An audit hook cannot be taken out again: it asks whether something of tests/unit runs."""

    running: str | None = None
    refused: list[NotPure]
    added = False

    @classmethod
    @contextmanager
    def watching(cls, what: str) -> Iterator[None]:
        if not cls.added:
            cls.added = True
            sys.addaudithook(cls.hook)
        cls.running, cls.refused = what, []
        imports, builtins.__import__ = builtins.__import__, cls.importing(builtins.__import__)
        try:
            yield
        finally:
            cls.running, builtins.__import__ = None, imports

    @classmethod
    def answer_for(cls) -> None:
        """Raise what was refused and then hidden."""
        if cls.refused:
            raise cls.refused.pop()

    @classmethod
    def importing(cls, imports: Callable[..., Any]) -> Callable[..., Any]:
        """Return Python's import, which tells no hook of a module that is loaded already."""

        def look(name: str, *rest: Any, **others: Any) -> Any:
            if name.partition(".")[0] == "moto":
                cls.refuse("imports moto")
            return imports(name, *rest, **others)

        return look

    @classmethod
    def hook(cls, event: str, arguments: tuple[Any, ...]) -> None:
        if cls.running is None:
            return
        if event in _FORBIDDEN:
            cls.refuse(_FORBIDDEN[event])
        elif event == "import" and arguments[0].partition(".")[0] == "moto":
            cls.refuse("imports moto")
        elif event == "open" and _writes(arguments) and not _is_free(arguments[0]):
            cls.refuse(f"writes {arguments[0]}")
        elif event in _CHANGES:
            for path, folder in _CHANGES[event]:
                if (folder is None or arguments[folder] in (None, -1)) and not _is_free(arguments[path]):
                    cls.refuse(f"changes {arguments[path]}")

    @classmethod
    def refuse(cls, what: str) -> None:
        refusal = NotPure(f"{cls.running} {what}, and tests/unit is pure. {_WHERE}")
        cls.refused.append(refusal)
        raise refusal


def _writes(arguments: tuple[Any, ...]) -> bool:
    _path, _mode, flags = arguments
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))


def _is_free(path: Any) -> bool:
    """Say whether a unit test may change what is there: a descriptor that it has, memory, a temporary folder."""
    if not isinstance(path, str | bytes | os.PathLike) or path == ":memory:":
        return True
    absolute = Path(os.path.abspath(os.fsdecode(path)))
    if any(part in absolute.parts for part in _PYTHONS_OWN):
        return True
    return absolute.is_relative_to(tempfile.gettempdir()) or absolute.is_relative_to("/dev")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Watch a file while it is imported."""
    if not isinstance(collector, pytest.Module):
        return (yield)
    with _Guard.watching(collector.nodeid):
        report = yield
        if _Guard.refused:
            report.outcome, report.longrepr = "failed", str(_Guard.refused[0])
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool, bool]:
    """Watch a test with its fixtures, those of its file too."""
    if not item.path.is_relative_to(_HERE):  # pytest asks every conftest.py for every test
        return (yield)
    with _Guard.watching(item.nodeid):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    """Fail a test that hid a refusal, its fixtures' too."""
    result = yield
    _Guard.answer_for()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None]:
    """Fail a test whose fixtures hid one at their end."""
    _Guard.refused.clear()
    result = yield
    _Guard.answer_for()
    return result
