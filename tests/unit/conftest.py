"""Unit tests are pure: no moto, no sockets, no processes, no files changed but in a temporary folder.

What breaks the rule says so by name, and where the test belongs instead. The rule holds while a file is collected, for
fixtures of every scope, for threads, and for what a test does and then hides in an ``except``.
"""

from __future__ import annotations

import builtins
import importlib
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
    "socket.__new__": "opens a socket",
    "socket.getaddrinfo": "asks for an address",
    "socket.gethostbyname": "asks for an address",
    "socket.gethostbyaddr": "asks for an address",
    "socket.getnameinfo": "asks for an address",
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
#: What a C library is asked for by who goes round Python; that it is loaded says nothing: ``import ctypes`` does.
_BEHIND_PYTHON = {"system", "popen", "fork", "vfork", "execv", "execve", "execvp", "posix_spawn", "socket", "open"}
#: Events that change the file system: which of their arguments are paths, and which are the folders those start from.
_CHANGES = {
    "os.mkdir": ((0, 2),),
    "os.rmdir": ((0, 1),),
    "os.remove": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((0, 2), (1, 3)),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
    "os.setxattr": ((0, None),),
    "shutil.rmtree": ((0, 1),),
    "sqlite3.connect": ((0, None),),
}
_WHERE = "Its place is tests/functions, tests/workflow or tests/e2e (docs/testing.md)."
_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_TEMPORARY = Path(os.path.realpath(tempfile.gettempdir()))
#: What Python, hypothesis and pytest keep for themselves.
_THEIR_OWN = (_ROOT / ".hypothesis", _ROOT / ".pytest_cache")


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
        imports, by_name = builtins.__import__, importlib.import_module
        builtins.__import__, importlib.import_module = cls.importing(imports), cls.importing(by_name)
        try:
            yield
        finally:
            cls.running, builtins.__import__, importlib.import_module = None, imports, by_name

    @classmethod
    def importing(cls, imports: Callable[..., Any]) -> Callable[..., Any]:
        """Return Python's import, which tells no hook of a module that is loaded already."""

        def look(name: str, *rest: Any, **others: Any) -> Any:
            if name.partition(".")[0] == "moto":
                cls.refuse("imports moto")
            if name.startswith("popen_"):  # multiprocessing's, whose way to start a process tells no hook
                cls.refuse("starts a process")
            return imports(name, *rest, **others)

        return look

    @classmethod
    def hook(cls, event: str, arguments: tuple[Any, ...]) -> None:
        if cls.running is None:
            return
        if event in _FORBIDDEN:
            cls.refuse(_FORBIDDEN[event])
        elif event == "ctypes.dlsym" and arguments[1] in _BEHIND_PYTHON:
            cls.refuse(f"calls C's {arguments[1]}")
        elif event == "import" and arguments[0].partition(".")[0] == "moto":
            cls.refuse("imports moto")
        elif event == "open" and _writes(arguments) and not _is_free(arguments[0]):
            cls.refuse(f"writes {arguments[0]}")
        elif event in _CHANGES:
            for path, folder in _CHANGES[event]:
                within = None if folder is None else arguments[folder]
                if not _is_free(arguments[path], within):
                    cls.refuse(f"changes {arguments[path]}")

    @classmethod
    def refuse(cls, what: str) -> None:
        refusal = NotPure(f"{cls.running} {what}, and tests/unit is pure. {_WHERE}")
        cls.refused.append(refusal)
        raise refusal


def _writes(arguments: tuple[Any, ...]) -> bool:
    _path, _mode, flags = arguments
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))


def _is_free(path: Any, within: int | None = None) -> bool:
    """Say whether a unit test may change what is there: a descriptor that it has, memory, a temporary folder.

    Links are followed. ``within`` is the descriptor of the folder that the path starts from, if it has one.
    """
    if not isinstance(path, str | bytes | os.PathLike) or path == ":memory:":
        return True
    start = os.getcwd() if within in (None, -1) else os.path.realpath(f"/dev/fd/{within}")
    real = Path(os.path.realpath(os.path.join(start, os.fsdecode(path))))
    bytecode = real.name == "__pycache__" or (real.parent.name == "__pycache__" and ".pyc" in real.name)
    if bytecode or any(real.is_relative_to(own) for own in _THEIR_OWN):
        return True
    temporary = real.is_relative_to(_TEMPORARY) and not real.is_relative_to(_ROOT)
    return temporary or real.is_relative_to("/dev")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Watch a file while it is imported."""
    if not collector.path.is_relative_to(_HERE):
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


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that hid a refusal: in an ``except``, a skip, an expected failure, or in a fixture's end."""
    report = yield
    if item.path.is_relative_to(_HERE) and _Guard.refused:
        hidden = str(_Guard.refused[0])
        _Guard.refused.clear()
        if report.outcome != "failed":
            report.outcome, report.longrepr = "failed", hidden
            vars(report).pop("wasxfail", None)
    return report
