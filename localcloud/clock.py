"""The local cloud's clock: real time, or virtual time that passes only while every thread waits.

Executions, handlers, retries, timeouts and deliveries ask one ``Clock``. With ``VirtualClock`` a test plays hours in
milliseconds, and a slow machine changes nothing: time stands still while any thread has work to do. ``virtual_time``
makes botocore, Powertools and our own modules follow it.

::

    thread A   works ─────────▶ waits until 12:05 ┐
    thread B   works ──▶ waits until 12:01 ───────┤ all wait: it is 12:01, and B goes on
    the test   works ─▶ waits for the run's end ──┘
"""

from __future__ import annotations

import datetime as datetimes
import heapq
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Protocol
from weakref import WeakSet

from ballast.runtime import utc_now
from localcloud.moto_seams.replaced import replaced
from localcloud.stdout import not_of_a_handler

#: The time at which a virtual clock starts.
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

#: Real seconds without progress of virtual time after which a thread is reported as stuck.
_STUCK_S = 120.0
#: Real seconds between two checks of a waiting thread for threads that died.
_LOOK_S = 0.25


class Signal(Protocol):
    """``threading.Event`` on the clock's time."""

    def set(self) -> None:
        """Wake all who wait."""

    def is_set(self) -> bool:
        """Return whether it is set."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, at most ``timeout`` seconds; return whether it is."""

    def wait_for(self, thread: threading.Thread, timeout: float) -> bool:
        """As ``wait``, for a signal that ``thread`` sets; at most as long as it lives."""


class Clock(Protocol):
    """A clock that tells the time and waits."""

    def __call__(self) -> datetime:
        """Return the time, with a zone."""

    def monotonic(self) -> float:
        """Return seconds since a fixed moment."""

    def signal(self) -> Signal:
        """Return a signal that is not set."""

    def pause(self, seconds: float, until: Signal | None = None) -> None:
        """Let ``seconds`` pass, or less if ``until`` is set in the meantime."""

    def thread(self, work: Callable[[], None], name: str) -> threading.Thread:
        """Start a daemon thread that the clock knows."""


class WallClock:
    """Real time, in which a test or a demo shortens the waits before retries.

    now    the time of the functions and of ``$millis()``
    sleep  waits before retries instead of the clock. The rest of such a wait is skipped: it counts as passed, so that
           leases and circuits end after as many retries as on AWS. Waits for people and time limits stay real
    """

    def __init__(self, now: Callable[[], datetime] = utc_now, sleep: Callable[[float], None] | None = None) -> None:
        self._now, self._sleep = now, sleep
        self._skipped, self._skipping = timedelta(), threading.Lock()

    @property
    def skips(self) -> bool:
        """Whether it may run ahead of real time."""
        return self._sleep is not None

    def __call__(self) -> datetime:
        """See ``Clock``."""
        return self._now() + self._skipped

    def monotonic(self) -> float:
        """See ``Clock``."""
        return time.monotonic()

    def signal(self) -> Signal:
        """See ``Clock``."""
        return _WallSignal()

    def pause(self, seconds: float, until: Signal | None = None) -> None:
        """See ``Clock``."""
        if self._sleep is not None:
            over = self() + timedelta(seconds=seconds)
            self._sleep(seconds)
            with self._skipping:  # of two that wait at the same time, one has skipped for both
                self._skipped += max(timedelta(), over - self())
        elif until is not None:
            until.wait(seconds)
        else:
            time.sleep(seconds)

    def thread(self, work: Callable[[], None], name: str) -> threading.Thread:
        """See ``Clock``."""
        thread = not_of_a_handler(threading.Thread(target=work, name=name, daemon=True))
        thread.start()
        return thread


class _WallSignal(threading.Event):
    def wait_for(self, thread: threading.Thread, timeout: float) -> bool:
        until = time.monotonic() + timeout
        while not self.wait(max(0.0, min(_LOOK_S, until - time.monotonic()))):
            if time.monotonic() >= until or not thread.is_alive():
                return self.is_set()
        return True


class StandsStill(RuntimeError):
    """Virtual time cannot advance: all threads wait and nothing is due, or a thread never returns."""


class VirtualClock:
    """Time that jumps to the next moment that a thread waits for, once all known threads wait.

    It knows the thread that made it, those of ``thread()``, and each that has ever waited on it, until it dies. A
    thread that waits for anything else (a socket, a lock) counts as working. Raises ``StandsStill`` in
    a thread whose wait can never end.
    """

    def __init__(self, at: datetime = NOON) -> None:
        self._start, self._passed = at, 0.0
        self._lock = threading.RLock()
        self._working: set[threading.Thread] = {threading.current_thread()}
        self._starting: set[threading.Thread] = set()
        #: Those that have done their work. Python may still say that one is alive.
        self._ended: WeakSet[threading.Thread] = WeakSet()
        self._waiting: set[_Waiter] = set()
        self._due: list[tuple[float, int, _Waiter]] = []
        self._numbers = itertools.count()

    def __call__(self) -> datetime:
        """See ``Clock``."""
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """See ``Clock``."""
        return self._passed

    def signal(self) -> Signal:
        """See ``Clock``."""
        return _VirtualSignal(self)

    def pause(self, seconds: float, until: Signal | None = None) -> None:
        """See ``Clock``."""
        (until or self.signal()).wait(max(0.0, seconds))

    def thread(self, work: Callable[[], None], name: str) -> threading.Thread:
        """See ``Clock``."""

        def tracked() -> None:
            try:
                work()
            finally:
                with self._lock:
                    self._working.discard(thread)
                    self._ended.add(thread)
                    # Before time moves: who waits for a signal of this thread gets none, and its time is not up.
                    for waiter in [one for one in self._waiting if one.setter is thread]:
                        self._wake(waiter)
                    self._move()

        thread = not_of_a_handler(threading.Thread(target=tracked, name=name, daemon=True))
        with self._lock:
            self._working.add(thread)
            self._starting.add(thread)  # until it runs, Python says that it is not alive
        thread.start()
        with self._lock:
            self._starting.discard(thread)
        return thread

    def _wait(self, signal: _VirtualSignal, timeout: float | None, setter: threading.Thread | None = None) -> bool:
        me = threading.current_thread()
        with self._lock:
            if signal.set_:
                return True
            waiter = _Waiter(me, setter)
            signal.waiters.add(waiter)
            if timeout is not None:
                heapq.heappush(self._due, (self._passed + timeout, next(self._numbers), waiter))
            self._waiting.add(waiter)
            self._working.discard(me)
            if setter in self._ended:
                self._wake(waiter)
            self._move()
        stuck, stood_at = time.monotonic() + _STUCK_S, self._passed
        while not waiter.woken.wait(_LOOK_S):
            with self._lock:
                self._working = {one for one in self._working if one.is_alive() or one in self._starting}
                if setter is not None and not setter.is_alive():
                    self._wake(waiter)
                    break
                self._move()
                if waiter.woken.is_set():
                    break
                if self._passed != stood_at:
                    stuck, stood_at = time.monotonic() + _STUCK_S, self._passed
                self._complain(waiter, signal, time.monotonic() > stuck)
        if setter is not None and setter in self._ended:
            setter.join()  # in real time: its work is done, and the caller may ask whether it is alive
        with self._lock:
            signal.waiters.discard(waiter)
            return signal.set_

    def _move(self) -> None:
        """If no thread works, advance to the next moment that a thread waits for."""
        while not self._working and self._due:
            at, _, waiter = heapq.heappop(self._due)
            if waiter in self._waiting:
                self._passed = max(self._passed, at)
                self._wake(waiter)

    def _wake(self, waiter: _Waiter) -> None:
        if waiter in self._waiting:
            self._waiting.discard(waiter)
            self._working.add(waiter.thread)
            waiter.woken.set()

    def _complain(self, waiter: _Waiter, signal: _VirtualSignal, stuck: bool) -> None:
        if not self._working and not self._due:
            problem = "everybody waits, and nothing is due"
        elif stuck:
            names = ", ".join(sorted(thread.name for thread in self._working))
            problem = f"for {_STUCK_S:.0f} s of real time these threads have not come back: {names}"
        else:
            return
        self._wake(waiter)
        signal.waiters.discard(waiter)
        raise StandsStill(f"Virtual time stands still at {self():%Y-%m-%d %H:%M:%S}: {problem}.")


class _Waiter:
    """One wait of one thread; ``setter`` is the thread that should end it, if only one can."""

    def __init__(self, thread: threading.Thread, setter: threading.Thread | None) -> None:
        self.thread, self.setter = thread, setter
        self.woken = threading.Event()


class _VirtualSignal:
    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.set_ = False
        self.waiters: set[_Waiter] = set()

    def set(self) -> None:
        with self._clock._lock:
            self.set_ = True
            for waiter in self.waiters:
                self._clock._wake(waiter)

    def is_set(self) -> bool:
        return self.set_

    def wait(self, timeout: float | None = None) -> bool:
        return self._clock._wait(self, timeout)

    def wait_for(self, thread: threading.Thread, timeout: float) -> bool:
        return self._clock._wait(self, timeout, thread)

    def __repr__(self) -> str:
        return f"<signal, {'set' if self.set_ else 'not set'}>"


def as_clock(given: Any) -> Clock:
    """Return a ``Clock`` unchanged; make a ``WallClock`` of a function that returns the time."""
    return given if hasattr(given, "pause") else WallClock(given)


class Time(Protocol):
    """The part of a clock that ``virtual_time`` uses."""

    def __call__(self) -> datetime:
        """Return the time."""

    def pause(self, seconds: float) -> None:
        """Let ``seconds`` pass."""


#: Modules that read the time through a module-level name for ``datetime`` or ``time``.
ASK = ("aws_lambda_powertools.", "ballast.", "functions.")


@contextmanager
def virtual_time(clock: Time) -> Iterator[None]:
    """Let botocore's backoff, Powertools' leases, our own waits and the state machine's ``$millis()`` follow ``clock``.

    Relies on the modules of ``ASK`` being imported, and on ``botocore.endpoint`` sleeping through its global ``time``.
    """
    import botocore.endpoint
    from jsonata.timebox import Timebox

    def seconds() -> float:
        return clock().timestamp()

    stands_for: dict[int, Any] = {
        id(datetimes): _datetimes(clock),
        id(time): _like(time, sleep=clock.pause, time=seconds, monotonic=seconds),
    }
    with ExitStack() as stack:
        stack.enter_context(
            replaced(Timebox, "current_milli_time", staticmethod(lambda: int(clock().timestamp() * 1000)))
        )
        stack.enter_context(replaced(botocore.endpoint, "time", _like(time, sleep=clock.pause)))
        for name, loaded in list(sys.modules.items()):
            if name.startswith(ASK):
                for attribute, value in list(vars(loaded).items()):
                    if id(value) in stands_for:
                        stack.enter_context(replaced(loaded, attribute, stands_for[id(value)]))
        yield


@contextmanager
def lease_time(clock: Callable[[], datetime]) -> Iterator[None]:
    """Let Powertools' leases of writes and its circuits follow ``clock``."""
    import aws_lambda_powertools.utilities.circuit_breaker.persistence
    import aws_lambda_powertools.utilities.idempotency.persistence.dynamodb  # noqa: F401

    with ExitStack() as stack:
        for name, loaded in list(sys.modules.items()):
            if name.startswith("aws_lambda_powertools.utilities.") and vars(loaded).get("dt") is datetimes:
                stack.enter_context(replaced(loaded, "dt", _datetimes(clock)))
        yield


def forget_circuits() -> None:
    """Forget the failures that Powertools counts in this process, as the end of a function's process does."""
    counted = sys.modules.get("aws_lambda_powertools.utilities.circuit_breaker.base")
    if counted is not None:
        with counted._COUNTERS_LOCK:
            for kept in (counted._LOCAL_FAILURES, counted._LOCAL_SUCCESSES, counted._LAST_OBSERVED_STATE):
                kept.clear()


def _datetimes(clock: Callable[[], datetime]) -> SimpleNamespace:
    """Return the module ``datetime`` with the time of ``clock``."""

    class Datetime(datetimes.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetimes.datetime.fromtimestamp(clock().timestamp(), tz)

    return _like(datetimes, datetime=Datetime)


def _like(module: Any, **instead: Any) -> SimpleNamespace:
    return SimpleNamespace(**{name: getattr(module, name) for name in dir(module)} | instead)
