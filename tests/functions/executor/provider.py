"""A payment provider in virtual time, and every error that its client may raise."""

import importlib
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from ballast.contracts import RunRequest, ToolCall
from ballast.folds.calls import CallState
from ballast.playbook import load_playbook
from ballast.run import Run
from bench.tau2.memory import Clock, Functions, virtual_time
from bench.tau2.workflow import Escalated, call_of, executed

PAYMENTS = Path(__file__).parents[1] / "playbooks" / "payments"
#: The executor's time: until then a request of a dead attempt may arrive.
LEASE_S = 60


#: What Step Functions hears of an invocation that Lambda did not begin.
_THROTTLED = type("Lambda.TooManyRequestsException", (Exception,), {})()


class PaymentsSdkError(Exception):
    """What a made-up SDK makes of every error of its transport."""


class SpeechlessError(Exception):
    """Another one, whose text cannot be made."""

    def __str__(self) -> str:
        raise KeyError("message")


class GroupedError(PaymentsSdkError):
    """One with a cause and a text that is no UTF-8."""

    def __init__(self) -> None:
        super().__init__("lost \ud800 it")


MODULES = (
    "requests.exceptions",
    "httpx",
    "urllib3.exceptions",
    "urllib.error",
    "http.client",
    "ssl",
    "socket",
    "botocore.exceptions",
    "boto3.exceptions",
    "builtins",
    "asyncio.exceptions",
    "concurrent.futures",
    __name__,
)
#: They end a process, or a test.
_NOT_RAISED = (KeyboardInterrupt, BaseException)


def errors(module: str) -> tuple[type[BaseException], ...]:
    """Return the exceptions that a module names. Raises ``ImportError``."""
    named = vars(importlib.import_module(module)).values()
    found = [one for one in named if inspect.isclass(one) and issubclass(one, BaseException)]
    return tuple(dict.fromkeys(one for one in found if one not in _NOT_RAISED and not issubclass(one, Warning)))


def raised(kind: type[BaseException]) -> BaseException:
    """Return an exception of that class, whatever its constructor wants."""
    for arguments in ((), ("read timed out",), (1, "read timed out")):
        try:
            return kind(*arguments)
        except Exception:
            continue
    if issubclass(kind, BaseExceptionGroup):
        return kind("several", [TimeoutError("read timed out")])
    return kind.__new__(kind)


@dataclass
class Provider:
    """Carries out a request ``late_s`` after it was sent; the client gives the first ``fails`` of them up after 2 s.

    late_s   None: the request is lost on its way
    by_key   whether it takes a key for one payment
    fails, verify_fails  so many requests end with ``error``
    busy     what the client raises while a request under the same key is under way
    """

    clock: Clock
    error: Callable[[], BaseException]
    late_s: float | None
    by_key: bool
    fails: int = 1
    verify_fails: int = 0
    busy: BaseException | None = None
    sent: list[tuple[datetime, str, str]] = field(default_factory=list)
    paid: list[tuple[str, str]] = field(default_factory=list)

    def pay(self, invoice: str, key: str) -> str:
        """Pay and return the receipt, or raise the client's error."""
        self.arrive()
        if self.busy is not None and any(one == key for _, _, one in self.sent):
            raise self.busy
        fails, self.fails = self.fails > 0, self.fails - 1
        late_s = self.late_s if fails else 0.0
        if late_s is not None:
            self.sent.append((self.clock.now + timedelta(seconds=late_s), invoice, key))
        if fails:
            self.clock.wait_s(2)
            raise self.error()
        self.arrive()
        return f"receipt of {key}"

    def find(self, key: str) -> str | None:
        """Return the receipt."""
        self.arrive()
        if self.verify_fails > 0:
            self.verify_fails -= 1
            raise self.error()
        return f"receipt of {key}" if any(one == key for _, one in self.paid) else None

    def arrive(self) -> None:
        """Carry out what has arrived by now."""
        for request in [one for one in self.sent if one[0] <= self.clock.now]:
            self.sent.remove(request)
            _, invoice, key = request
            if not (self.by_key and any(one == key for _, one in self.paid)):
                self.paid.append((invoice, key))


@dataclass(frozen=True)
class Ended:
    """What came of a run: its log, its calls by it, what was paid in the end, and whether a person was asked."""

    seqs: tuple[str, ...]
    calls: tuple[CallState, ...]
    paid: tuple[tuple[str, str], ...]
    escalated: str | None
    seconds: float

    @property
    def statuses(self) -> list[str]:
        """How its calls ended."""
        return [state.status for state in self.calls]

    @property
    def wrong(self) -> str:
        """What is wrong with it, or ""."""
        keys = [f"{state.turn:04d}.{state.index}" for state in self.calls]
        by_call = [sum(key.endswith(of) for _, key in self.paid) for of in keys]
        if len(self.paid) > 1:
            return f"paid {len(self.paid)} times: {self.statuses}"
        for state, times in zip(self.calls, by_call, strict=True):
            if (state.status == "ok") != bool(times) and state.status not in ("unknown", "intended"):
                return f"{state.status}, and paid {times} times: {state.message}"
            if state.status in ("unknown", "intended") and self.escalated is None:
                return f"{state.status}, and nobody was told"
        return ""


class Desk:
    """The executor in memory, its clock, and an agent that tries again where it is told that nothing happened.

    events  the log of the last run
    """

    def __init__(self, clock: Clock) -> None:
        self.clock, self._functions = clock, Functions(PAYMENTS, clock)
        self.events = Run()
        load_playbook(PAYMENTS)

    def play(
        self,
        tool: str,
        provider: Provider,
        turns: int = 2,
        draw: Callable[[], float] = lambda: 1.0,
        throttled: Collection[int] = (),
    ) -> Ended:
        """Pay by ``tool`` as the workflow does; in another turn again where the call is said to have failed.

        draw       what a backoff is multiplied by
        throttled  the invocations of the executor, from 1, that Lambda does not begin
        """
        numbers = count(1)

        def invoke(event: Mapping[str, Any], **more: Any) -> str:
            if next(numbers) in throttled:
                raise _THROTTLED
            return self._functions.execute(event, **more)

        module: Any = importlib.import_module("payments.tools.pay")
        self._functions.renew()
        started, escalated = self.clock.now, None
        run_id = self._functions.admit(RunRequest(request_id="r-1", agent="payments", text="Pay invoice I-1."))
        module.PROVIDERS.append(provider)
        try:
            for turn in range(1, turns + 1):
                self._functions.propose(run_id, turn, ToolCall(tool=tool, arguments={"invoice": "I-1"}))
                delivered = partial(invoke, call_of(run_id, turn))
                ended = executed(delivered, self.clock.wait_s, run_id=run_id, turn=turn, draw=draw)
                if isinstance(ended, Escalated):
                    escalated = ended.error
                if ended != "failed":
                    break
        finally:
            module.PROVIDERS.pop()
        seconds = (self.clock.now - started).total_seconds()
        self.clock.wait_s(10 * LEASE_S)
        provider.arrive()
        events = self.events = self._functions.events(run_id)
        seqs = tuple(event.seq for event in events)
        return Ended(seqs, events.calls, tuple(provider.paid), escalated, seconds)


@contextmanager
def desk() -> Iterator[Desk]:
    """Open a desk, in virtual time."""
    clock = Clock()
    with virtual_time(clock):
        yield Desk(clock)
