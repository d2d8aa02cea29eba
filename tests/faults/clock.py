"""Virtual time: no case ever waits, and every lease, deadline and backoff is as long as it says."""

from __future__ import annotations

import datetime as real
import sys
import time as real_time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from local.moto_seams.replaced import replaced

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """Stands still until it is told."""

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


#: Whose modules ask for the time through a module-level name for ``datetime`` or ``time``.
_ASK = ("aws_lambda_powertools.", "ballast.", "functions.")


@contextmanager
def virtual_time(clock: Clock) -> Iterator[None]:
    """Let botocore's backoff, Powertools' leases, our own waits and the state machine's ``$millis()`` follow ``clock``.

    Relies on the modules of ``_ASK`` being imported, and on ``botocore.endpoint`` sleeping through its global ``time``.
    """
    import botocore.endpoint
    from jsonata.timebox import Timebox

    class Datetime(real.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return real.datetime.fromtimestamp(clock().timestamp(), tz)

    def seconds() -> float:
        return clock().timestamp()

    stands_for: dict[int, Any] = {
        id(real): _like(real, datetime=Datetime),
        id(real_time): _like(real_time, sleep=clock.advance, time=seconds, monotonic=seconds),
    }
    with ExitStack() as stack:
        stack.enter_context(replaced(Timebox, "current_milli_time", staticmethod(lambda: clock.millis)))
        stack.enter_context(replaced(botocore.endpoint, "time", _like(real_time, sleep=clock.advance)))
        for name, loaded in list(sys.modules.items()):
            if name.startswith(_ASK):
                for attribute, value in list(vars(loaded).items()):
                    if id(value) in stands_for:
                        stack.enter_context(replaced(loaded, attribute, stands_for[id(value)]))
        yield


def _like(module: Any, **instead: Any) -> SimpleNamespace:
    return SimpleNamespace(**{name: getattr(module, name) for name in dir(module)} | instead)


def let_go_of_locks() -> None:
    """Let a property that is computed once be computed by one process while another one stands still in it.

    Before Python 3.12 ``cached_property`` holds a lock for it, and here all processes are threads of this one.
    """
    for name, loaded in list(sys.modules.items()):
        if name.startswith(_ASK):
            for kind in [value for value in vars(loaded).values() if isinstance(value, type)]:
                for value in vars(kind).values():
                    if isinstance(value, cached_property):
                        value.__dict__["lock"] = nullcontext()
