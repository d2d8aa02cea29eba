"""Several faults of all kinds in one run, drawn while it is played."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError

from ballast.contracts.decision import STOP_REASONS
from localcloud.converse.source import Reply
from tests.faults.kinds import errors_of
from tests.faults.people import OTHERWISE
from tests.faults.plan import Plan
from tests.faults.wire import Invocation, LambdaDied, Perform, Request, error_of
from tests.faults.world import InvokeFailed, World

#: How likely each place is to get a fault, until the run has had as many as were drawn for it.
AT_A_REQUEST, AT_AN_INVOCATION, AT_A_DELIVERY, AT_AN_ANSWER, AT_A_TURN = 0.04, 0.08, 0.2, 0.3, 0.1
MOST = 6
_CUT = ("Lambda.ServiceException", "Lambda.TooManyRequestsException", "Lambda.Unknown", "Broken")
#: Seconds for which a service answers nobody.
_OUTAGES_S = (2, 8, 120)


class Mix(Plan):
    """As many faults as ``draw`` says, wherever it says. ``injected`` names those that happened."""

    def __init__(self, draw: Random) -> None:
        self._jitter = Random()
        self._jitter.setstate(draw.getstate())  # a source of its own: what else is drawn stays as it was
        self._draw, self._left = draw, draw.randint(1, MOST)
        self.injected: list[str] = []
        self._down: dict[str, float] = {}
        self._late: list[Callable[[], object]] = []
        self._inside = 0

    def _now(self, likely: float) -> bool:
        return self._left > 0 and self._draw.random() < likely

    def _inject(self, what: str, where: str) -> None:
        self._left -= 1
        self.injected.append(f"{what}: {where}")

    # At a request

    def requesting(
        self, world: World, invocation: Invocation, request: Request, prepared: AWSPreparedRequest, perform: Perform
    ) -> AWSResponse:
        if world.clock().timestamp() < self._down.get(request.service, 0.0):
            return error_of(prepared, *errors_of(request.service)[1])
        if request.sent > 1 or not self._now(AT_A_REQUEST):
            return perform()
        kinds: dict[str, Callable[..., AWSResponse]] = {
            "dies before": self._dies_before,
            "dies after": self._dies_after,
            "answer lost, sent again": self._answer_lost,
            "service error": self._service_error,
            "outage": self._outage,
            "overtaken": self._overtaken,
        }
        if request.changes_something:
            kinds["times out"] = self._times_out
        kind = self._draw.choice(sorted(kinds))
        self._inject(kind, f"{invocation.function.removesuffix('Function')} {request.label}")
        return kinds[kind](world, invocation, request, prepared, perform)

    def _dies_before(self, *_: Any) -> AWSResponse:
        raise LambdaDied("Runtime.ExitError")

    def _dies_after(self, _world: World, _invocation: Any, _request: Any, _prepared: Any, perform: Perform) -> Any:
        perform()
        raise LambdaDied("Lambda.Unknown")

    def _times_out(self, world: World, invocation: Invocation, _request: Any, _prepared: Any, perform: Perform) -> Any:
        perform()
        world.clock.advance(max(0.0, invocation.deadline - world.clock().timestamp()) + 0.1)
        raise LambdaDied("Sandbox.Timedout")

    def _answer_lost(self, _world: World, _invocation: Any, _request: Any, prepared: Any, perform: Perform) -> Any:
        perform()
        raise ConnectionClosedError(endpoint_url=prepared.url)

    def _service_error(self, _world: World, _invocation: Any, request: Request, prepared: Any, _perform: Any) -> Any:
        return error_of(prepared, *self._draw.choice(errors_of(request.service)))

    def _outage(self, world: World, _invocation: Any, request: Request, prepared: Any, _perform: Any) -> Any:
        self._down[request.service] = world.clock().timestamp() + self._draw.choice(_OUTAGES_S)
        return error_of(prepared, *errors_of(request.service)[1])

    def _overtaken(self, world: World, invocation: Invocation, _request: Any, _prepared: Any, perform: Perform) -> Any:
        if self._inside == 0:  # one inside another is enough
            self._inside += 1
            with suppress(InvokeFailed):
                world.run(replace(invocation, number=0, requests=[]))
            self._inside -= 1
        return perform()

    # Elsewhere

    def invoking(self, world: World, invocation: Invocation, run: Callable[[], Any]) -> Any:
        if not self._now(AT_AN_INVOCATION):
            return run()
        kind = self._draw.choice(("not invoked", "result lost", "invoked twice", "invoked again at the end"))
        self._inject(kind, f"{invocation.function.removesuffix('Function')} ({invocation.state})")
        again = replace(invocation, number=0, requests=[])
        if kind == "not invoked":
            raise InvokeFailed(self._draw.choice(_CUT), "injected")
        if kind == "invoked again at the end":
            self._late.append(lambda: world.run(again))
            return run()
        result = run()
        if kind == "result lost":
            raise InvokeFailed("Lambda.SdkClientException", "the connection broke")
        with suppress(InvokeFailed):
            result = world.run(again)
        return result

    def delivering(self, world: World, number: int, what: str, deliver: Callable[[], None]) -> None:
        deliver()
        if self._now(AT_A_DELIVERY):
            late = self._draw.random() < 0.5
            self._inject("delivered late again" if late else "delivered twice", what)
            if late:
                self._late.append(deliver)
            else:
                deliver()

    def answering(self, world: World, number: int, answer: Callable[..., None]) -> None:
        if not self._now(AT_AN_ANSWER):
            return answer()
        how = self._draw.choice(("twice", "otherwise", "late", "never"))
        self._inject(f"answered {how}", f"answer {number}")
        if how in ("twice", "otherwise"):
            answer()
            answer(OTHERWISE if how == "otherwise" else None)
        elif how == "late":
            self._late.append(answer)
        return None

    def jitter(self) -> float:
        return self._jitter.random()

    def replying(self, world: World, turn: int, reply: Reply) -> Reply:
        if not self._now(AT_A_TURN):
            return reply
        reason = self._draw.choice(sorted(STOP_REASONS))
        self._inject("stop reason", f"turn {turn}: {reason}")
        return Reply({**reply.body, "stopReason": reason}, reply.wait_s)

    def ending(self, world: World) -> None:
        self._left = 0
        while self._late:
            with suppress(InvokeFailed):
                self._late.pop(0)()
