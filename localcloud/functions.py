"""The stack's functions, run in this process as Lambda runs them."""

from __future__ import annotations

import importlib
import itertools
import json
import threading
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from botocore.exceptions import ClientError

from ballast.masking import masked_context
from ballast.runtime import Runtime
from localcloud import sandbox
from localcloud.clock import Clock, Signal, WallClock
from localcloud.sandbox import Context, Died, GaveUp, TimedOut, run
from localcloud.stdout import Sink

#: Lambda's limit for a synchronous request and for a response, in bytes.
MAX_PAYLOAD_BYTES = 6 * 1024 * 1024

_OURS = (__file__, sandbox.__file__)

#: If two threads import modules that import each other, one sees a half-imported module. In Lambda each
#: function has its own process.
_IMPORTING = threading.RLock()

Hook = Callable[[str, dict[str, Any]], None]
AfterHook = Callable[[str, dict[str, Any], Any], None]
Handler = Callable[..., Any]
Printed = Callable[[str, Any, str], None]


@dataclass(frozen=True)
class Function:
    """A deployed function.

    logical_id  its name in the template
    name, arn   in the stack
    handler     dotted path, as in the template
    environ     all of its environment variables
    role_arn    the role that it runs with
    timeout_s   its timeout
    dead_letters_arn  the queue for events that it failed to handle
    """

    logical_id: str
    name: str
    arn: str
    handler: str
    environ: Mapping[str, str]
    role_arn: str
    timeout_s: int
    memory_mb: int
    dead_letters_arn: str | None = None


class FunctionError(Exception):
    """A handler raised: ``name`` is the exception's class, ``message`` its text, ``trace`` its traceback."""

    def __init__(self, name: str, message: str, trace: list[str]) -> None:
        super().__init__(f"{name}: {message}")
        self.name, self.message, self.trace = name, message, trace


class ServiceFault(Exception):
    """For hooks: Lambda itself refuses with ``Lambda.<code>``, e.g. ``TooManyRequestsException``."""

    def __init__(self, code: str, message: str = "injected") -> None:
        super().__init__(message)
        self.code = code

    def as_client_error(self) -> ClientError:
        """Return the exception that boto3 raises for it."""
        metadata: Any = {"HTTPStatusCode": 500, "RequestId": "local"}
        return ClientError({"Error": {"Code": self.code, "Message": str(self)}, "ResponseMetadata": metadata}, "Invoke")


def _anybody_may(_role_arn: str, _function_arn: str) -> bool:
    return True


class Reported(Exception):
    """An error of Lambda's runtime, under the name that it reports."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def imported_handler(function: Function) -> Handler:
    """Return the function's handler, imported into this process."""
    module, _, name = function.handler.rpartition(".")
    try:
        with _IMPORTING:
            loaded = importlib.import_module(module)
    except Exception as problem:
        raise Reported("Runtime.ImportModuleError", f"Unable to import module '{module}': {problem}") from problem
    try:
        handler: Handler = getattr(loaded, name)
    except AttributeError:
        raise Reported("Runtime.HandlerNotFound", f"Handler '{name}' missing on module '{module}'") from None
    return handler


@dataclass
class Functions:
    """Invokes functions by logical id, name or ARN.

    runtime_of     returns the ``Runtime`` for a function's handler
    before, after  called around each handler; an exception counts as the handler's
    logs           recent output of handlers: (logical id, text)
    printed        called after an invocation that printed or failed: with the function's logical id, the event
                   and the output, masked by the sensitive values that the function has met
    may_invoke     whether a state machine's role may invoke a function (two ARNs)
    clock          for timeouts
    handler_of     loads a function's handler
    """

    all: Mapping[str, Function]
    runtime_of: Callable[[str], Runtime]
    before: list[Hook] = field(default_factory=list)
    after: list[AfterHook] = field(default_factory=list)
    logs: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=10_000))
    printed: list[Printed] = field(default_factory=list)
    may_invoke: Callable[[str, str], bool] = _anybody_may
    clock: Clock = field(default_factory=WallClock)
    handler_of: Callable[[Function], Handler] = imported_handler
    #: The number of invocations that have ended.
    ended: int = 0
    _count: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    def find(self, function: str) -> Function:
        """Return the function, or raise ``KeyError`` that names the existing ones."""
        for found in self.all.values():
            if function in (found.logical_id, found.name, found.arn) or function.startswith(f"{found.arn}:"):
                return found
        raise KeyError(f"No function {function}. The template has: {', '.join(sorted(self.all))}.")

    def load(self) -> None:
        """Import every function's handler now."""
        for function in self.all.values():
            with suppress(Reported):  # an invocation will report it
                self.handler_of(function)

    def invoke(
        self,
        function: str,
        payload: bytes,
        role_arn: str | None = None,
        within_s: float | None = None,
        waiting: Callable[[Signal], AbstractContextManager[None]] | None = None,
    ) -> tuple[bytes, str | None]:
        """Return the response's payload and its ``FunctionError`` (``None`` if the handler returned).

        role_arn           the state machine's, if one invokes
        within_s, waiting  as in ``sandbox.run``
        Raises ``ClientError`` if Lambda itself would refuse, ``GaveUp`` if ``within_s`` passed first.
        """
        try:
            found = self.find(function)
        except KeyError as problem:
            raise ServiceFault("ResourceNotFoundException", str(problem.args[0])).as_client_error() from None
        if role_arn is not None and not self.may_invoke(role_arn, found.arn):
            words = f"{role_arn} is not authorized to perform: lambda:InvokeFunction on {found.arn}"
            raise ServiceFault("AccessDeniedException", words).as_client_error()
        if len(payload) > MAX_PAYLOAD_BYTES:
            words = f"Request must be smaller than {MAX_PAYLOAD_BYTES} bytes"
            raise ServiceFault("RequestTooLargeException", words).as_client_error()
        request_id, said = str(uuid.uuid4()), list[str]()
        event: Any = None
        try:
            event = json.loads(payload)
            return self._respond(found, event, request_id, within_s, waiting, said.append), None
        except ServiceFault as fault:
            raise fault.as_client_error() from None
        except (GaveUp, KeyboardInterrupt):
            raise  # for the waiting caller; not an error of the handler
        except BaseException as problem:
            report = _as_lambda_reports(problem, found, request_id)
            trace = "".join(report["stackTrace"])
            text = f"[ERROR] {report['errorType']}: {report['errorMessage']}\n{trace}"
            self._log(found, text)
            said.append(text)
            return json.dumps(report).encode(), "Unhandled"
        finally:
            self._tell(found, event, "".join(said))
            self.ended = next(self._count)

    def _tell(self, function: Function, event: Any, text: str) -> None:
        """Pass an invocation's output to the listeners, at its end: only then are all sensitive values known."""
        if not text or not self.printed:
            return
        try:
            masked = self.runtime_of(function.logical_id).masked(text, event)
        except Exception:  # a function that could not be set up has met no sensitive value
            masked = masked_context(text, event)
        for told in list(self.printed):
            told(function.logical_id, event, masked)

    def _log(self, function: Function, text: str) -> None:
        self.logs.append((function.logical_id, text))

    def _respond(
        self,
        function: Function,
        event: Any,
        request_id: str,
        within_s: float | None,
        waiting: Callable[[Signal], AbstractContextManager[None]] | None,
        said: Sink,
    ) -> bytes:
        handler = self.handler_of(function)
        runtime = self.runtime_of(function.logical_id)
        time = self.clock.monotonic
        context = Context(function.name, function.arn, function.memory_mb, function.timeout_s, request_id, time)

        def work() -> Any:
            for hook in self.before:
                hook(function.logical_id, event)
            result = handler(event, context, runtime=runtime)
            for after in self.after:
                after(function.logical_id, event, result)
            return result

        def print_both(text: str) -> None:
            self._log(function, text)
            said(text)

        result = run(
            work,
            function.timeout_s,
            print_both,
            self.clock,
            within_s=within_s,
            waiting=waiting,
        )
        body = marshalled(result)
        if len(body) > MAX_PAYLOAD_BYTES:
            raise Reported(
                "Function.ResponseSizeTooLarge",
                f"Response payload size exceeded maximum allowed payload size ({MAX_PAYLOAD_BYTES} bytes).",
            )
        return body


def marshalled(result: Any) -> bytes:
    """Return what Lambda's runtime makes of a handler's result. Raises ``Reported`` where it is no JSON."""
    try:
        return json.dumps(result, default=_decimal, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise Reported("Runtime.MarshalError", f"Unable to marshal response: {problem}") from None


def _decimal(value: Any) -> Any:
    """Write a ``Decimal`` as a number, as Lambda's runtime does."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _as_lambda_reports(problem: BaseException, function: Function, request_id: str) -> dict[str, Any]:
    name, message = type(problem).__name__, str(problem)
    if isinstance(problem, Reported):
        name = problem.name
    elif isinstance(problem, TimedOut):
        name = "Sandbox.Timedout"
        message = f"RequestId: {request_id} Error: Task timed out after {function.timeout_s:.2f} seconds"
    elif isinstance(problem, Died):
        name, message = "Runtime.ExitError", f"RequestId: {request_id} Error: {message}"
    elif not isinstance(problem, Exception):
        name, message = "Runtime.ExitError", f"RequestId: {request_id} Error: {name}: {message}"
    return {
        "errorMessage": message,
        "errorType": name,
        "requestId": request_id,
        "stackTrace": _frames(problem),
    }


def _frames(problem: BaseException) -> list[str]:
    """Return the traceback as Lambda has it: from the handler on, without its callers."""
    frames = traceback.extract_tb(problem.__traceback__)
    ours = [at for at, frame in enumerate(frames) if frame.filename in _OURS]
    return [
        f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n    {frame.line}\n'
        for frame in frames[ours[-1] + 1 if ours else 0 :]
    ]
