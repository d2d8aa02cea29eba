"""Functions' output and tracebacks: kept in one file per run, and shown with ``--verbose``.

::

    .ballast/logs/RUN.log          of functions that work for a run, with its tools, rules and fallbacks
    .ballast/logs/functions.log    of all other invocations

Output arrives when the invocation has ended, with the values masked that the function knows to be sensitive.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from ballast.runtime import utc_now
from cli.saved_runs import private_folder
from cli.screen import Screen
from cli.trace.text import clean

_RUN_ID = re.compile(r"run-[a-z2-7]{24}")
#: The most that one file takes, whatever a tool prints.
_MOST_BYTES = 5_000_000


class FunctionOutput:
    """Receives functions' output; append it to ``LocalCloud.printed``. Called from many threads.

    home     the state folder
    verbose  also show the output on the screen
    now      the time
    """

    def __init__(
        self, home: Path, screen: Screen, *, verbose: bool = False, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._home, self._screen, self._verbose, self._now = home, screen, verbose, now
        self._one_at_a_time = Lock()

    def __call__(self, function: str, event: Any, text: str) -> None:
        """Keep and show the output of one invocation, without metrics."""
        found = [clean(line, lines=False) for line in lines(text)]
        if not found:
            return
        name = function.removesuffix("Function")
        with self._one_at_a_time:
            self._keep(self.file(_run_of(event)), f"{self._now():%H:%M:%SZ} {name}", found)
            if self._verbose:
                for line in found:
                    self._screen.line(f"  {name:<8}  {line}", "dim")

    def file(self, run_id: str | None) -> Path:
        """Return the file for a run's functions, or for functions that work for no run."""
        return self._home / "logs" / f"{run_id or 'functions'}.log"

    def _keep(self, file: Path, head: str, found: list[str]) -> None:
        private_folder(self._home)
        private_folder(file.parent)
        if file.exists() and file.stat().st_size > _MOST_BYTES:
            return
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.writelines(f"{head}  {line}\n" for line in found)


def lines(text: str) -> Iterator[str]:
    """Yield a function's output for a person: no metrics, and tracebacks line by line."""
    for line in text.splitlines():
        told = _json(line)
        if told is None:
            if line.strip():
                yield line
        elif "_aws" not in told:
            trace = told.get("trace")
            yield from trace.splitlines() if isinstance(trace, str) else [line]


def _json(line: str) -> Mapping[str, Any] | None:
    try:
        told = json.loads(line) if line.startswith("{") else None
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _run_of(event: Any) -> str | None:
    """Return the run that the function's event names, or None."""
    run_id = event.get("run_id") if isinstance(event, Mapping) else None
    return run_id if isinstance(run_id, str) and _RUN_ID.fullmatch(run_id) else None
