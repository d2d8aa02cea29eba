"""Let the libraries that functions use follow the local cloud's clock where it is not the wall's."""

from __future__ import annotations

import datetime as real
import sys
import time as real_time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Protocol

from localcloud.moto_seams.replaced import replaced


class Time(Protocol):
    """A clock, as far as it is asked for here."""

    def __call__(self) -> datetime:
        """Return the time."""

    def pause(self, seconds: float) -> None:
        """Let so many seconds pass."""


#: Whose modules ask for the time through a module-level name for ``datetime`` or ``time``.
ASK = ("aws_lambda_powertools.", "ballast.", "functions.")


@contextmanager
def virtual_time(clock: Time) -> Iterator[None]:
    """Let botocore's backoff, Powertools' leases, our own waits and the state machine's ``$millis()`` follow ``clock``.

    Relies on the modules of ``ASK`` being imported, and on ``botocore.endpoint`` sleeping through its global ``time``.
    """
    import botocore.endpoint
    from jsonata.timebox import Timebox

    class Datetime(real.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return real.datetime.fromtimestamp(clock().timestamp(), tz)

    def seconds() -> float:
        return clock().timestamp()

    stands_for: dict[int, Any] = {
        id(real): _like(real, datetime=Datetime),
        id(real_time): _like(real_time, sleep=clock.pause, time=seconds, monotonic=seconds),
    }
    with ExitStack() as stack:
        stack.enter_context(
            replaced(Timebox, "current_milli_time", staticmethod(lambda: int(clock().timestamp() * 1000)))
        )
        stack.enter_context(replaced(botocore.endpoint, "time", _like(real_time, sleep=clock.pause)))
        for name, loaded in list(sys.modules.items()):
            if name.startswith(ASK):
                for attribute, value in list(vars(loaded).items()):
                    if id(value) in stands_for:
                        stack.enter_context(replaced(loaded, attribute, stands_for[id(value)]))
        yield


def _like(module: Any, **instead: Any) -> SimpleNamespace:
    return SimpleNamespace(**{name: getattr(module, name) for name in dir(module)} | instead)
