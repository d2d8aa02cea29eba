"""The kinds of faults. Each is a plan for one case: the place of the fault, and what it does there.

At a request of a handler (``AtRequest``), at an invocation of a function (``AtInvocation``), at a delivery, at a
person's answer, at the model's turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from threading import Event, Thread
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError

from localcloud.converse.source import STATUS, Reply
from tests.faults.oversize import AT_LENGTH
from tests.faults.people import OTHERWISE
from tests.faults.plan import Plan
from tests.faults.wire import Invocation, LambdaDied, Perform, Request, error_of
from tests.faults.world import InvokeFailed, World

#: What a service says when it is asked too often, and when it is broken: (code, HTTP status).
ERRORS: dict[str, tuple[tuple[str, int], ...]] = {
    "dynamodb": (("ProvisionedThroughputExceededException", 400), ("InternalServerError", 500)),
    "s3": (("SlowDown", 503), ("InternalError", 500)),
    "sqs": (("RequestThrottled", 400), ("ServiceUnavailable", 503)),
    "events": (("ThrottlingException", 400), ("InternalException", 500)),
    "bedrock-runtime": tuple(STATUS.items()),
}
#: Longer than the retries of any state, of a client or of EventBridge go on here.
GIVEN_UP_S = 180
#: So often open questions are looked for.
SWEPT_S = 300
_ANY_SERVICE = (("ThrottlingException", 400), ("ServiceUnavailable", 503))


def errors_of(service: str) -> tuple[tuple[str, int], ...]:
    """Return the errors to inject at a service."""
    return ERRORS.get(service, _ANY_SERVICE)


class AtRequest(Plan):
    """Something happens at one request of one invocation."""

    def __init__(self, invocation: int, request: int) -> None:
        self.at, self.happened = (invocation, request), False

    def requesting(
        self, world: World, invocation: Invocation, request: Request, prepared: AWSPreparedRequest, perform: Perform
    ) -> AWSResponse:
        if (invocation.number, request.number) != self.at:
            return perform()
        self.happened = True
        return self.here(world, invocation, request, prepared, perform)

    def here(
        self, world: World, invocation: Invocation, request: Request, prepared: AWSPreparedRequest, perform: Perform
    ) -> AWSResponse:
        """Do it."""
        raise NotImplementedError


class DiesBefore(AtRequest):
    """The process dies before the request leaves it."""

    def here(self, world: World, invocation: Invocation, request: Request, prepared: Any, perform: Perform) -> Any:
        raise LambdaDied("Runtime.ExitError")


class DiesAfter(AtRequest):
    """The request is carried out, and the process dies before it hears of it."""

    def here(self, world: World, invocation: Invocation, request: Request, prepared: Any, perform: Perform) -> Any:
        perform()
        raise LambdaDied("Lambda.Unknown")


class DiesForGood(AtRequest):
    """The request is carried out, the process dies, and Lambda has none in its place for as long as anybody retries."""

    def __init__(self, invocation: int, request: int) -> None:
        super().__init__(invocation, request)
        self._key, self._back = ("", ""), 0.0

    def here(self, world: World, invocation: Invocation, request: Request, prepared: Any, perform: Perform) -> Any:
        perform()
        self._key, self._back = (invocation.function, invocation.state), world.clock().timestamp() + GIVEN_UP_S
        raise LambdaDied("Lambda.Unknown")

    def invoking(self, world: World, invocation: Invocation, run: Callable[[], Any]) -> Any:
        if (invocation.function, invocation.state) == self._key and world.clock().timestamp() < self._back:
            raise InvokeFailed("Lambda.ServiceException", "injected")
        return run()


class TimesOut(AtRequest):
    """The request is carried out, so slowly that Lambda ends the process."""

    def here(self, world: World, invocation: Invocation, request: Request, prepared: Any, perform: Perform) -> Any:
        perform()
        world.clock.advance(max(0.0, invocation.deadline - world.clock().timestamp()) + 0.1)
        raise LambdaDied("Sandbox.Timedout")


class AnswerLost(AtRequest):
    """The request is carried out, the connection breaks, and botocore sends it again."""

    def here(self, world: World, invocation: Invocation, request: Request, prepared: Any, perform: Perform) -> Any:
        response = perform()
        if request.sent == 1:
            raise ConnectionClosedError(endpoint_url=prepared.url)
        return response


class AnswerLostForGood(AtRequest):
    """The request is carried out once, and the handler only ever hears that the connection broke."""

    def here(self, world: World, invocation: Invocation, request: Request, prepared: Any, perform: Perform) -> Any:
        if request.sent == 1:
            perform()
        raise ConnectionClosedError(endpoint_url=prepared.url)


class ServiceSays(AtRequest):
    """The service answers with an error, however often botocore tries."""

    def __init__(self, invocation: int, request: int, code: str, status: int) -> None:
        super().__init__(invocation, request)
        self._error = code, status

    def here(self, world: World, invocation: Invocation, request: Request, prepared: Any, perform: Perform) -> Any:
        return error_of(prepared, *self._error)


class Overtaken(AtRequest):
    """The same event is delivered twice: a second invocation runs from begin to end in the middle of the first."""

    def here(self, world: World, invocation: Invocation, request: Request, prepared: Any, perform: Perform) -> Any:
        if request.sent == 1:
            with suppress(InvokeFailed):
                world.run(replace(invocation, number=0, requests=[]))
        return perform()


class AnsweredEarly(AtRequest):
    """A person answers while their question is still being put; ``dies``: and then it is put again."""

    def __init__(self, invocation: int, request: int, *, dies: bool = False) -> None:
        super().__init__(invocation, request)
        self._dies = dies

    def here(self, world: World, invocation: Invocation, request: Request, prepared: Any, perform: Perform) -> Any:
        if request.sent > 1:
            return perform()
        response = perform()
        world.people()
        if self._dies:
            raise LambdaDied("Runtime.ExitError")
        return response


class AnsweredBetween(DiesAfter):
    """The attempt dies, and a person answers before the workflow tries again: nobody waits by any token then.

    ``attempts``: so many attempts die in a row, and the person answers before the last one's retry.
    """

    def __init__(self, invocation: int, request: int, attempts: int = 1) -> None:
        super().__init__(invocation, request)
        self._left, self._key = attempts, ("", "")

    def here(self, world: World, invocation: Invocation, request: Request, prepared: Any, perform: Perform) -> Any:
        self._key = invocation.function, invocation.state
        return super().here(world, invocation, request, prepared, perform)

    def invoking(self, world: World, invocation: Invocation, run: Callable[[], Any]) -> Any:
        if (invocation.function, invocation.state) != self._key or not self._left:
            return run()
        self._left -= 1
        if self._left:
            raise InvokeFailed("Lambda.SdkClientException", "the connection broke")
        world.people()
        return run()


class Outage(AtRequest):
    """From this request on, its service answers nobody for ``seconds``."""

    def __init__(self, invocation: int, request: int, seconds: float) -> None:
        super().__init__(invocation, request)
        self._seconds, self._until, self._service = seconds, 0.0, ""

    def requesting(
        self, world: World, invocation: Invocation, request: Request, prepared: AWSPreparedRequest, perform: Perform
    ) -> AWSResponse:
        if not self.happened and (invocation.number, request.number) == self.at:
            self.happened, self._service = True, request.service
            self._until = world.clock().timestamp() + self._seconds
        if request.service == self._service and world.clock().timestamp() < self._until:
            return error_of(prepared, *errors_of(request.service)[1])
        return perform()


class FinishesLate(AtRequest):
    """The workflow loses the invocation and goes on; the process does not know, and finishes later.

    It stands still at the request until the retry and its successor have run, unless Lambda would have ended
    it by then. In a thread of its own, which runs only while everybody else waits for it.
    """

    #: So many invocations run before it goes on.
    others = 2

    def __init__(self, invocation: int, request: int) -> None:
        super().__init__(invocation, request)
        self._stands, self._goes_on = Event(), Event()
        self._thread: Thread | None = None
        self._since, self._result = 0, list[Any]()

    def invoking(self, world: World, invocation: Invocation, run: Callable[[], Any]) -> Any:
        if invocation.number != self.at[0]:
            try:
                return run()
            finally:
                self._count()
        self._thread = Thread(target=self._in_thread, args=(run,), daemon=True)
        self._thread.start()
        self._stands.wait(300)
        if not self.happened:
            self._thread.join(300)
            self._thread = None
            return self._returned()
        raise InvokeFailed("Lambda.SdkClientException", "the connection broke")

    def _in_thread(self, run: Callable[[], Any]) -> None:
        try:
            self._result.append(run())
        except BaseException as problem:
            self._result.append(problem)
        finally:
            self._stands.set()

    def _returned(self) -> Any:
        if isinstance(self._result[0], BaseException):
            raise self._result[0]
        return self._result[0]

    def _count(self) -> None:
        self._since += self.happened
        if self._since >= self.others:
            self._finish()

    def _finish(self) -> None:
        if self._thread is not None:
            self._goes_on.set()
            self._thread.join(300)
            assert not self._thread.is_alive(), "it never finished"
            self._thread = None

    def here(self, world: World, invocation: Invocation, request: Request, prepared: Any, perform: Perform) -> Any:
        if not self._goes_on.is_set():
            self._stands.set()
            self._goes_on.wait(300)
        if world.clock().timestamp() > invocation.deadline:
            raise LambdaDied("Sandbox.Timedout")
        return perform()

    def ending(self, world: World) -> None:
        self._finish()


class FinishesBetween(FinishesLate):
    """The same, but it finishes right after its retry: before anything, or anybody, follows that."""

    others = 1


class AtInvocation(Plan):
    """Something happens at one invocation."""

    def __init__(self, invocation: int) -> None:
        self.at, self.happened = invocation, False

    def invoking(self, world: World, invocation: Invocation, run: Callable[[], Any]) -> Any:
        if invocation.number != self.at:
            return self.elsewhere(world, invocation, run)
        self.happened = True
        return self.here(world, invocation, run)

    def elsewhere(self, world: World, invocation: Invocation, run: Callable[[], Any]) -> Any:
        """Another invocation."""
        return run()

    def here(self, world: World, invocation: Invocation, run: Callable[[], Any]) -> Any:
        """Do it."""
        raise NotImplementedError


class NotInvoked(AtInvocation):
    """Lambda itself fails, by a name that the workflow retries; ``times`` in a row."""

    def __init__(self, invocation: int, error: str, times: int = 1) -> None:
        super().__init__(invocation)
        self._error, self._left, self._key = error, times, ("", "")

    def here(self, world: World, invocation: Invocation, run: Callable[[], Any]) -> Any:
        self._key = invocation.function, invocation.state
        return self.elsewhere(world, invocation, run)

    def elsewhere(self, world: World, invocation: Invocation, run: Callable[[], Any]) -> Any:
        if self._left and (invocation.function, invocation.state) == self._key:
            self._left -= 1
            raise InvokeFailed(self._error, "injected")
        return run()


class ResultLost(AtInvocation):
    """The function does its work, and the workflow never hears of it."""

    def here(self, world: World, invocation: Invocation, run: Callable[[], Any]) -> Any:
        run()
        raise InvokeFailed("Lambda.SdkClientException", "the connection broke")


class InvokedTwice(AtInvocation):
    """The same event again, at once; the second result counts."""

    def here(self, world: World, invocation: Invocation, run: Callable[[], Any]) -> Any:
        run()
        return world.run(replace(invocation, number=0, requests=[]))


class InvokedLateAgain(AtInvocation):
    """The same event again, after the successor has run, or when all is over (``at_end``)."""

    def __init__(self, invocation: int, *, at_end: bool = False) -> None:
        super().__init__(invocation)
        self._again: Invocation | None = None
        self._at_end = at_end

    def here(self, world: World, invocation: Invocation, run: Callable[[], Any]) -> Any:
        self._again = replace(invocation, number=0, requests=[])
        return run()

    def elsewhere(self, world: World, invocation: Invocation, run: Callable[[], Any]) -> Any:
        try:
            return run()
        finally:
            if not self._at_end:
                self.ending(world)

    def ending(self, world: World) -> None:
        if self._again is not None:
            again, self._again = self._again, None
            with suppress(InvokeFailed):
                world.run(again)


class DeliveredTwice(Plan):
    """A queue or a rule delivers an event again: at once, or when all is over (``late``)."""

    def __init__(self, number: int, *, late: bool = False) -> None:
        self._number, self._late, self.happened = number, late, False
        self._again: Callable[[], None] | None = None

    def delivering(self, world: World, number: int, what: str, deliver: Callable[[], None]) -> None:
        deliver()
        if number == self._number:
            self.happened = True
            if self._late:
                self._again = deliver
            else:
                deliver()

    def ending(self, world: World) -> None:
        if self._again is not None:
            again, self._again = self._again, None
            again()


class Answered(Plan):
    """A person's answer number so comes ``how``: twice, otherwise (a second, other one), at length, late, or never."""

    def __init__(self, number: int, how: str) -> None:
        self._number, self._how, self.happened = number, how, False
        self._again: Callable[..., None] | None = None

    def answering(self, world: World, number: int, answer: Callable[..., None]) -> None:
        if number != self._number:
            return answer()
        self.happened = True
        if self._how in ("twice", "otherwise"):
            answer()
            answer(OTHERWISE if self._how == "otherwise" else None)
        elif self._how == "at length":
            answer(AT_LENGTH)
        elif self._how == "late":
            self._again = answer
        return None

    def ending(self, world: World) -> None:
        if self._again is not None:
            again, self._again = self._again, None
            again()


class AnsweredInVain(Plan):
    """Whoever gives an answer never gets it on record, and goes away; later another person says something else."""

    def __init__(self, number: int) -> None:
        self._number, self._in_vain, self.happened = number, False, False

    def answering(self, world: World, number: int, answer: Callable[..., None]) -> None:
        if number != self._number:
            return answer()
        self._in_vain = True
        answer()
        self._in_vain = False
        for _ in range(2):
            world.clock.advance(SWEPT_S)
            world.invoke("RemindFunction", {}, "the schedule")
        return answer(OTHERWISE)

    def requesting(
        self, world: World, invocation: Invocation, request: Request, prepared: AWSPreparedRequest, perform: Perform
    ) -> AWSResponse:
        takes_it = self._in_vain and invocation.function in ("PeopleApiFunction", "AnswerEscalationFunction")
        if takes_it and request.label == "dynamodb.PutItem RunLogTable":
            self.happened = True
            raise LambdaDied("Runtime.ExitError")
        return perform()


class ModelSays(Plan):
    """In its turn number so the model says something else."""

    def __init__(self, turn: int, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        self._turn, self._change, self.happened = turn, change, False

    def replying(self, world: World, turn: int, reply: Reply) -> Reply:
        if turn != self._turn:
            return reply
        self.happened = True
        return Reply(self._change(reply.body), reply.wait_s)
