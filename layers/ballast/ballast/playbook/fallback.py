"""The ``@fallback`` decorator: a script for a task with a known solution.

A fallback is a generator function of the request. Each ``yield`` is a proposed tool call; what
comes back is the call's result, or ``CallFailed`` is thrown in. What it returns (a string, an
``Answer`` or a ``HandOver``) ends the run or passes it on. It is replayed from the log at every
step, so it must be a pure function of the request and the results: no clock, no randomness, no I/O.
"""

import inspect
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from ballast.contracts import Answer, HandOver, RunRequest, ToolCall
from ballast.errors import PlaybookInvalid

Script = Generator[ToolCall, Any, str | Answer | HandOver]


class CallFailed(Exception):
    """Thrown into a fallback at its ``yield`` where the call was refused, denied or failed."""

    def __init__(self, tool: str, status: str, message: str) -> None:
        super().__init__(f"{tool} was {status}: {message}")
        self.tool, self.status, self.message = tool, status, message


class GiveUp(Exception):
    """Raised by a fallback that cannot help; a person takes over. Its text is for that person."""


@dataclass(frozen=True)
class Fallback:
    """A script and the intent that it serves."""

    intent: str
    function: Callable[[RunRequest], Script]

    def __call__(self, request: RunRequest) -> Script:
        """Start the script."""
        return self.function(request)


def fallback(*, intent: str) -> Callable[[Callable[[RunRequest], Script]], Fallback]:
    """Make ``function`` the fallback for ``intent``. Raises ``PlaybookInvalid``."""

    def decorate(function: Callable[[RunRequest], Script]) -> Fallback:
        if not inspect.isgeneratorfunction(function):
            raise PlaybookInvalid(
                f"Fallback {function.__name__} ({function.__module__}) must be a generator: "
                "`yield` each tool call and `return` the answer."
            )
        if len(inspect.signature(function).parameters) != 1:
            raise PlaybookInvalid(
                f"Fallback {function.__name__} ({function.__module__}) must be written "
                f"`def {function.__name__}(request: RunRequest)`."
            )
        return Fallback(intent=intent, function=function)

    return decorate
