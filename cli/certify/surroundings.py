"""The surroundings of a tool, set by the rig: the clock and randomness that it could read, and its connections.

The wall clock stands still for the whole process, in C and in every library too (``time_machine``), and so for the
doubles in it: the ``Date`` of an answer follows the attempt. It moves when the playbook's own modules, or the libraries
that they call, sleep. Randomness is drawn from a number, so that one attempt twice differs only by what its process
remembers. An audit hook notes connections.
"""

from __future__ import annotations

import datetime as datetimes
import http.client
import os
import random
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType, ModuleType, SimpleNamespace
from typing import Any

import time_machine

from cli.certify.threads import of_attempt, serves
from localcloud.moto_seams.replaced import replaced
from localcloud.stand_ins import FILE


@dataclass
class Around:
    """What an attempt did with its surroundings.

    sleeps    seconds that each thread has slept
    began_s   when it began, by a clock that stands still while this process works
    peers     (address, seconds that its socket waits) of each connection
    patience  (client in words, seconds that it waits), where a client's own settings tell
    passes    lets that many seconds go by
    """

    sleeps: dict[int, float] = field(default_factory=dict)
    began_s: float = 0.0
    peers: list[tuple[str, float | None]] = field(default_factory=list)
    patience: list[tuple[str, float | None]] = field(default_factory=list)
    passes: Callable[[float], None] = lambda _: None

    @property
    def slept_s(self) -> float:
        """The seconds of the thread that has slept longest: threads sleep side by side."""
        return max(self.sleeps.values(), default=0.0)

    @property
    def waited_s(self) -> float:
        """The seconds of a real clock, so far, in which this process did not work."""
        return _real_s() - time.process_time() - self.began_s

    def sleeps_for(self, length: float) -> None:
        """Note a sleep of the present thread, and let the time go by."""
        length, thread = max(0.0, length), threading.get_ident()
        self.sleeps[thread] = self.sleeps.get(thread, 0.0) + length
        self.passes(length)


_real_s = time.monotonic
_urandom = os.urandom
#: Seconds from one time to the next, so that all of them are at each hour of each weekday, in each month and two years.
EACH_HOUR_S = (53 * 3600.0,) * 168
_NAMELESS = datetimes.timezone(datetimes.timedelta(hours=1))
_WATCHING: list[Around] = []
_HOOKED: list[bool] = []


#: Sockets of HTTP clients other than ``http.client``, by the files that open them.
_KEPT: weakref.WeakSet[socket.socket] = weakref.WeakSet()
_KEEP = ("/httpcore/", "/aiohttp/")
#: Seconds for which a sleep of a library lets other threads work.
_NAP_S = 0.002
#: A library that sleeps between its own tries, which its settings bound: not the tool's sleep.
_SLEEPS_FOR_ITSELF = ("/botocore/endpoint.py", "/ballast/table.py")


def _audit(event: str, given: tuple[Any, ...]) -> None:
    if event != "socket.connect" or _is_of_a_stand_in():
        return
    if _WATCHING:
        _WATCHING[-1].peers.append((str(given[1]), given[0].gettimeout()))
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if any(one in frame.f_code.co_filename for one in _KEEP):
            _KEPT.add(given[0])
            return
        frame = frame.f_back


def _is_of_a_stand_in() -> bool:
    """Say whether a stand-in opens the connection that is opened here: what it asks is no request of the tool."""
    if of_attempt():
        return False
    if serves(threading.current_thread()):
        return True
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.endswith(f"{os.sep}{FILE}"):
            return True
        frame = frame.f_back
    return False


def waits_on(connection: http.client.HTTPConnection) -> None:
    """Note the peer of a connection over which a request is sent, which may have been kept, and how long it waits."""
    with suppress(OSError, AttributeError):
        peer = str(connection.sock.getpeername()), connection.sock.gettimeout()
        if _WATCHING and peer not in _WATCHING[-1].peers:
            _WATCHING[-1].peers.append(peer)


@contextmanager
def connections_counted() -> Iterator[Callable[[], None]]:
    """Within the block, know the connections that clients keep. Yield a function that closes them.

    A client opens another one then, as it must where its server has closed the one that it kept.
    """
    known: weakref.WeakSet[http.client.HTTPConnection] = weakref.WeakSet()

    def putrequest(self: Any, *given: Any, **options: Any) -> None:
        known.add(self)
        put(self, *given, **options)

    def close() -> None:
        for one in list(known):
            one.close()
        for kept in list(_KEPT):
            with suppress(OSError):
                kept.shutdown(socket.SHUT_RDWR)

    with replaced(http.client.HTTPConnection, "putrequest", putrequest) as put:
        yield close


class Surroundings:
    """Sets the surroundings of the modules of ``package``."""

    def __init__(self, package: str) -> None:
        self._package = package
        if not _HOOKED:
            _HOOKED.append(True)
            sys.addaudithook(_audit)

    @contextmanager
    def of(self, now: datetimes.datetime, draw: int) -> Iterator[Around]:
        """Within the block it is ``now``, and randomness follows from ``draw``."""
        around, mine = Around(), threading.current_thread()

        gone = [0.0]

        def seconds() -> float:
            return now.timestamp() + gone[0]

        def passes(length: float) -> None:
            gone[0] += length
            travelled.shift(length)

        def library_sleep(length: float) -> None:
            if not of_attempt():
                really(length)
                return
            if not sys._getframe(1).f_code.co_filename.endswith(_SLEEPS_FOR_ITSELF):
                around.sleeps_for(length)
            really(min(max(0.0, length), _NAP_S))

        around.passes = passes
        really = time.sleep

        stands_for = _stand_ins(seconds, around.sleeps_for)
        urandom, drawn = os.urandom, random.Random(draw)  # noqa: S311 - it must be the same again

        def bytes_drawn(count: int) -> bytes:
            for tell in _TELLING:
                tell("randomness, os.urandom()")
            return drawn.randbytes(count) if threading.current_thread() is mine else urandom(count)

        stands_for[id(_urandom)] = bytes_drawn

        state = random.getstate()
        with wall_clock_at(now) as travelled, ExitStack() as stack:
            stack.callback(random.setstate, state)
            stack.enter_context(replaced(os, "urandom", bytes_drawn))
            stack.enter_context(replaced(random, "_urandom", bytes_drawn))
            for module in self._modules():
                for name, value in list(vars(module).items()):
                    if id(value) in stands_for:
                        stack.enter_context(replaced(module, name, stands_for[id(value)]))
            stack.enter_context(replaced(time, "sleep", library_sleep))
            stack.enter_context(_httpx_watched(around))
            random.seed(draw)
            _WATCHING.append(around)
            stack.callback(_WATCHING.remove, around)
            around.began_s = _real_s() - time.process_time()
            yield around

    def _modules(self) -> list[ModuleType]:
        inside = f"{self._package}."
        return [one for name, one in list(sys.modules.items()) if name == self._package or name.startswith(inside)]


@contextmanager
def _httpx_watched(around: Around) -> Iterator[None]:
    """Within the block, note how long each request of ``httpx`` waits: its sockets do not tell where a loop waits."""
    httpx = sys.modules.get("httpx")

    def noted(send: Callable[..., Any]) -> Callable[..., Any]:
        def sent(self: Any, request: Any, *given: Any, **options: Any) -> Any:
            limits = request.extensions.get("timeout", {})
            around.patience += [("httpx", limits.get(name)) for name in ("connect", "read")]
            return send(self, request, *given, **options)

        return sent

    with ExitStack() as stack:
        for kind in (httpx.Client, httpx.AsyncClient) if httpx is not None else ():
            stack.enter_context(replaced(kind, "send", noted(vars(kind)["send"])))
        yield


@contextmanager
def services_draw(seed: str) -> Iterator[None]:
    """Within the block, what services draw follows from ``seed``: ids of the local cloud, and of stand-ins here."""
    drawn = random.Random(seed)  # noqa: S311 - it must be the same again
    if "moto" in sys.modules:
        from moto.moto_api._internal import mock_random

        mock_random.seed(seed)

    def urandom(count: int) -> bytes:
        return drawn.randbytes(count) if serves(threading.current_thread()) else _urandom(count)

    with replaced(os, "urandom", urandom), replaced(random, "_urandom", urandom):
        yield


#: Who is told of what was asked for.
_TELLING: list[Callable[[str], None]] = []


@contextmanager
def telling(tell: Callable[[str], None]) -> Iterator[None]:
    """Within the block, tell of each clock that is asked for the date, and of each draw, also by code in C.

    Clocks tell where ``wall_clock_at`` has set them: ``time_machine`` lets them all ask ``Traveller.time_ns``.
    """

    def time_ns(self: Any) -> int:
        tell("the clock, through code in C")
        return int(before(self))

    _TELLING.append(tell)
    try:
        with replaced(time_machine.Traveller, "time_ns", time_ns) as before:
            yield
    finally:
        _TELLING.remove(tell)


def wall_clock_at(now: datetimes.datetime) -> Any:
    """Let every clock that tells the date tell ``now`` and stand still within a ``with`` block, in this process.

    Clocks that count from a beginning of their own (``time.monotonic``) go on: waits of the standard library need them.
    """
    # It sets the machine's zone too, if it knows the name of ``now``'s.
    return time_machine.travel(now.astimezone(_NAMELESS), tick=False)


def _stand_ins(seconds: Any, sleep: Any) -> dict[int, Any]:
    """Return what replaces sleep, and the clocks that go on, in a module, by the identity of what it replaces."""
    clocks = dict.fromkeys(("monotonic", "perf_counter"), seconds)
    clocks |= {f"{name}_ns": lambda: int(seconds() * 1_000_000_000) for name in list(clocks)}
    made = {id(getattr(time, name)): function for name, function in clocks.items()} | {id(time.sleep): sleep}
    return made | {id(time): _like(time, sleep=sleep, **clocks)}


def _like(module: ModuleType, **instead: Any) -> SimpleNamespace:
    return SimpleNamespace(**{name: getattr(module, name) for name in dir(module)} | instead)
