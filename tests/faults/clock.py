"""Virtual time of the fault matrix: no case waits, and every lease, deadline and backoff has its full length."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import cached_property

from localcloud.clock import ASK, NOON


class Clock:
    """Stands still until it is told: whoever would wait moves it on."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    @property
    def millis(self) -> int:
        """Milliseconds since 1970."""
        return int(self.now.timestamp() * 1000)

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.now += timedelta(seconds=seconds)

    pause = advance


def let_go_of_locks() -> None:
    """Let a property that is computed once be computed by one process while another one stands still in it.

    Before Python 3.12 ``cached_property`` holds a lock for it, and here all processes are threads of this one.
    """
    for name, loaded in list(sys.modules.items()):
        if name.startswith(ASK):
            for kind in [value for value in vars(loaded).values() if isinstance(value, type)]:
                for value in vars(kind).values():
                    if isinstance(value, cached_property):
                        value.__dict__["lock"] = nullcontext()
