"""Changes that a process makes to its machine and to itself, out of sight of tables and doubles, as audit hooks tell.

A file that was written and is gone again is no effect. What a process changes in itself, such as a variable of its
environment, the next call in it would find and another process would not.
"""

from __future__ import annotations

import atexit
import decimal
import fcntl
import gc
import io
import locale
import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from cli.certify.threads import of_attempt

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: Events that change something on the machine or start something, in words. Files have rules of their own.
_CHANGES = {
    "os.system": "starts another program",
    "os.exec": "starts another program",
    "os.fork": "forks its process",
    "os.forkpty": "forks its process",
    "os.posix_spawn": "starts another program",
    "os.spawn": "starts another program",
    "os.startfile": "starts another program",
    "subprocess.Popen": "starts another program",
    "pty.spawn": "starts another program",
    "webbrowser.open": "opens a browser",
    "os.kill": "sends a signal",
    "os.killpg": "sends a signal",
    "signal.pthread_kill": "sends a signal",
    "syslog.syslog": "writes to the system's log",
    "socket.sendto": "sends a datagram",
    "socket.sendmsg": "sends a datagram",
    "socket.bind": "listens to an address",
    "ctypes.dlopen": "loads a C library",
}
#: Events that change a file or folder, each with the places of its paths among what is told.
_OF_FILES = {
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.link": (0, 1),
    "os.symlink": (0, 1),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.utime": (0,),
    "os.setxattr": (0,),
    "os.removexattr": (0,),
    "tempfile.mkdtemp": (0,),
    "tempfile.mkstemp": (0,),
    "sqlite3.connect": (0,),
}
#: Those that are heard in a process that does more than play: a stand-in may listen there.
_ITS_OWN = {"open", "os.system", "os.fork", "os.posix_spawn", "os.spawn", "subprocess.Popen", "os.kill", *_OF_FILES}
#: Code that works for the local cloud where a tool asks it.
_OF_THE_CLOUD = ("/localcloud/", "/moto/", "/cli/certify/")
_NOBODYS = {os.devnull, "/dev/tty", "/dev/stdout", "/dev/stderr", ":memory:", ""}


@dataclass
class Heard:
    """What was heard while it was listened.

    ``folder``: that of the playbook, in a process that does more than play: then only what its code does in an attempt.
    """

    changes: list[str] = field(default_factory=list)
    written: dict[str, bool] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    on: bool = False
    folder: str = ""

    def clear(self) -> None:
        """Forget all of it."""
        self.changes, self.written, self.before, self.after = [], {}, {}, {}

    def note(self, event: str, given: tuple[Any, ...]) -> None:
        """Note an audit event."""
        if self.folder and not (event in _ITS_OWN and of_attempt() and _is_its_own(self.folder)):
            return
        if event == "open":
            path, mode, flags = given
            writes = any(sign in mode for sign in "wax+") if isinstance(mode, str) else bool((flags or 0) & _WRITES)
            if writes and not (isinstance(path, str | bytes) and os.path.isdir(path)):  # of a file without a name
                self._wrote(path)
        elif event in _OF_FILES:
            for at in _OF_FILES[event]:
                self._wrote(given[at] if at < len(given) else None)
        elif event in _CHANGES and not (event == "ctypes.dlopen" and given[0] is None):
            self.changes.append(f"{_CHANGES[event]} ({_short(given)})" if given else _CHANGES[event])

    def _wrote(self, path: Any) -> None:
        if isinstance(path, int) or path is None:
            return  # an open file, which was opened by its name before
        name = os.path.abspath(os.fsdecode(path)) if os.fsdecode(path) not in _NOBODYS else ""
        if self.folder and "__pycache__" in name:
            return
        if name and name not in _NOBODYS and name not in self.written:
            self.written[name] = os.path.lexists(name)

    def hidden(self) -> list[str]:
        """Return what it changed on its machine and left so, as the end of "It …"."""
        left = [
            f"writes the file {name}" if os.path.lexists(name) else f"removes the file {name}"
            for name, was_there in self.written.items()
            if was_there or os.path.lexists(name)
        ]
        return [*left, *dict.fromkeys(self.changes)]

    def process(self) -> list[str]:
        """Return what it changed in its process and left so, likewise."""
        names = sorted({*self.before, *self.after})
        return [f"changes {name} in its process" for name in names if self.before.get(name) != self.after.get(name)]


class OpenFiles:
    """Files that are open for writing: no event tells what is written to them."""

    def __init__(self) -> None:
        self._files = {fd: name for fd in range(3, 256) if (name := _writable(fd)) is not None}
        self._buffers = [one for one in gc.get_objects() if issubclass(type(one), io.IOBase) and _has_buffer(one)]
        self._were = self._states()

    def written(self) -> list[str]:
        """Return what was written since, as the end of "It …"."""
        for one in self._buffers:
            with suppress(OSError, ValueError):
                one.flush()
        now = self._states()
        changed = [self._files[fd] for fd, state in self._were.items() if now.get(fd) != state]
        return [f"writes the file {name}, which was opened as its module was imported" for name in changed]

    def _states(self) -> dict[int, tuple[int, int]]:
        found = {}
        for fd in self._files:
            with suppress(OSError):
                found[fd] = (os.fstat(fd).st_size, os.fstat(fd).st_mtime_ns)
        return found


def _writable(fd: int) -> str | None:
    """Return the name of a file that is open for writing, None for anything else."""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode) or fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            return None
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return f"of descriptor {fd}" if _is_open(fd) else None


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _has_buffer(file: Any) -> bool:
    try:
        return not file.closed and bool(file.writable()) and file.fileno() > 2
    except (OSError, ValueError):
        return False


def exit_functions_forgotten() -> None:
    """Forget what is to run when this process ends: that of another one."""
    atexit._clear()


def ended(folder: str) -> list[str]:
    """Run what was registered for the end of the process, as its end would; return what goes on, as "It …" ends."""
    atexit._run_exitfuncs()
    found = []
    for one in threading.enumerate():
        code = getattr(getattr(one, "_target", None) or type(one).run, "__code__", None)
        if one is not threading.current_thread() and code is not None and code.co_filename.startswith(folder):
            one.join(_LEFT_S)
            if one.is_alive():
                found.append("leaves a thread at work, which its machine stops")
    return found


#: Seconds for which a thread that a call has left is waited for.
_LEFT_S = 1.0
_LISTENING: list[Heard] = []
_HOOKED: list[bool] = []


def _hook(event: str, given: tuple[Any, ...]) -> None:
    if _LISTENING and _LISTENING[-1].on:
        with suppress(ValueError, TypeError, IndexError):
            _LISTENING[-1].note(event, given)


@contextmanager
def listening(heard: Heard) -> Iterator[None]:
    """Within the block, note what the whole process does: it must do nothing but this."""
    if not _HOOKED:
        _HOOKED.append(True)
        sys.addaudithook(_hook)
    heard.before = _of_the_process()
    _LISTENING.append(heard)
    heard.on = True
    try:
        yield
    finally:
        heard.on = False
        _LISTENING.remove(heard)
        heard.after = _of_the_process()


_SIGNALS = (signal.SIGALRM, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def _of_the_process() -> dict[str, str]:
    """Return what the next call in the process would find, by its name in words."""
    mask = os.umask(0o22)
    os.umask(mask)
    found = {f"the variable {name}": value for name, value in os.environ.items()}
    try:
        folder = os.getcwd()
    except OSError:
        folder = "none"
    context = decimal.getcontext()
    return found | {
        "its current folder": folder,
        "its umask": str(mask),
        "the locale": locale.setlocale(locale.LC_ALL),
        "the time zone": f"{time.tzname} {time.timezone}",
        "sys.path": repr(sys.path),
        "sys.argv": repr(sys.argv),
        "its handlers of signals": repr([signal.getsignal(one) for one in _SIGNALS]),
        "its alarm": "set" if signal.getitimer(signal.ITIMER_REAL)[0] else "none",
        "the limit of recursion": str(sys.getrecursionlimit()),
        "the default timeout of sockets": str(socket.getdefaulttimeout()),
        "decimal's context": f"{context.prec} {context.rounding} {context.Emax} {context.Emin}",
    }


def _is_its_own(folder: str) -> bool:
    """Whether code of a folder does it, and not the local cloud that it asks."""
    frame: FrameType | None = sys._getframe(3)  # of who made the event
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(folder):
            return True
        if any(one in file for one in _OF_THE_CLOUD):
            return False
        frame = frame.f_back
    return False


def _short(given: tuple[Any, ...]) -> str:
    text = " ".join(str(one) for one in given[:2] if isinstance(one, str | bytes | list | tuple))
    return text[:80] or "…"
