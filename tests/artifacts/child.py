"""Lambda's runtime around one built function: a Python process without any file of the source tree.

Standard input has a line of JSON about the function, then one an invocation; each is answered by a line on
standard output, the first once the handler was imported. At the end of the input comes a last line: what the
process loaded, opened and talked to.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

_STARTS_A_PROCESS = {"subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "pty.spawn"}


class Context:
    """What Lambda passes to a handler beside the event."""

    def __init__(self, said: Mapping[str, Any], until: float) -> None:
        vars(self).update(said)
        self._until = until

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function's timeout, 0 once it has passed."""
        return max(0, int((self._until - time.monotonic()) * 1000))


class Seen:
    """An audit hook that keeps what the process took from outside. ``python``: where the standard library is."""

    def __init__(self, python: list[str]) -> None:
        self.python = python
        self.opened: set[str] = set()
        self.written: set[str] = set()
        self.compiled: set[str] = set()
        self.connected: set[str] = set()
        self.started: set[str] = set()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes):
            path = os.path.join(os.getcwd(), os.fsdecode(arguments[0]))
            self.opened.add(path)
            if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self.written.add(path)
        elif event == "compile" and str(arguments[1]).endswith(".py"):
            self.compiled.add(str(arguments[1]))
        elif event == "socket.connect":
            self.connected.add(str(arguments[1][0] if isinstance(arguments[1], tuple) else arguments[1]))
        elif event in _STARTS_A_PROCESS:
            self.started.add(f"{event} {arguments[0] if arguments else ''}")

    def report(self) -> dict[str, Any]:
        """Return all of it, as JSON."""
        loaded = {name: vars(module).get("__file__") for name, module in list(sys.modules.items())}
        return {
            "python": list(map(os.path.realpath, self.python)),
            "modules": {name: os.path.realpath(file) for name, file in loaded.items() if file},
            "opened": sorted(map(os.path.realpath, self.opened)),
            "written": sorted(map(os.path.realpath, self.written)),
            "compiled": sorted(map(os.path.realpath, self.compiled)),
            "connected": sorted(self.connected),
            "started": sorted(self.started),
            "peak_mb": peak_mb(),
        }


def peak_mb() -> float:
    """Return the most megabytes that this process has had in memory; 0 where the system does not say it."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        return 0


def answer(handler: Callable[..., Any], said: Mapping[str, Any]) -> str:
    """Return what Lambda sends back for one invocation."""
    try:
        context = Context(said["context"], time.monotonic() + said["remaining_ms"] / 1000)
        # Lambda sends back JSON; what is none is the handler's error.
        return json.dumps({"result": handler(said["event"], context)}, allow_nan=False)
    except BaseException as problem:
        return failure(problem)


def failure(problem: BaseException) -> str:
    """Return how an error is reported, with its traceback."""
    trace = "".join(traceback.format_exception(problem))
    return json.dumps({"error": type(problem).__name__, "message": str(problem), "trace": trace})


def main() -> None:
    """Be the process of one function."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a handler prints is a log and no answer
    function = json.loads(sys.stdin.readline())
    seen = Seen(sys.path[:])
    sys.path[:0] = function["path"]
    module, _, name = function["handler"].rpartition(".")
    sys.addaudithook(seen)
    try:
        handler: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except BaseException as problem:
        print(failure(problem), file=answers)
        return
    print(json.dumps({"result": "imported"}), file=answers)
    for line in sys.stdin:
        print(answer(handler, json.loads(line)), file=answers)
    print(json.dumps(seen.report()), file=answers)


if __name__ == "__main__":
    main()
