"""moto's Step Functions interpreter: what it calls, how long it waits, how an execution ends."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any, Protocol

from local.moto_seams.replaced import replaced


class Invoke(Protocol):
    """Runs a function in this process, as Lambda's Invoke does."""

    def __call__(self, function: str, payload: bytes, role_arn: str) -> tuple[bytes, str | None]:
        """Return the response's payload and its ``FunctionError``; raise ``ClientError`` where Lambda refuses.

        ``function`` is a name or an ARN; ``role_arn`` is the role of the state machine that asks.
        """


@contextmanager
def lambda_tasks(invoke: Invoke) -> Iterator[None]:
    """Dispatch ``lambda:invoke`` tasks, also those with a task token, to ``invoke``.

    Relies on ``lambda_eval_utils._invoke_lambda_function`` being asked with boto3's parameters
    and giving boto3's response, its payload parsed. moto builds a Lambda client there for every task.
    """
    from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils

    def invoke_function(parameters: dict[str, Any], region: str, state_credentials: Any) -> dict[str, Any]:
        body, error = invoke(parameters["FunctionName"], parameters.get("Payload", b"{}"), state_credentials.role_arn)
        response = {"StatusCode": 200, "ExecutedVersion": "$LATEST", "Payload": json.loads(body)}
        return response if error is None else {**response, "FunctionError": error}

    with replaced(lambda_eval_utils, "_invoke_lambda_function", invoke_function):
        yield


#: Parsed programs by their definition, for the life of the process.
_PROGRAMS: dict[str, Any] = {}


@contextmanager
def definitions_parsed_once() -> Iterator[None]:
    """Parse each definition once per process, not at each StartExecution (40 ms for 20 states).

    Relies on a parsed program keeping no state of an execution: the only thing that moto's
    components ever set after construction is ``EvalComponent.heap_key``, an id made on first use, without
    a lock, under which an execution counts its retries. It becomes the object's own id here.
    """
    from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
    from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

    def parse(definition: str) -> Any:
        if definition not in _PROGRAMS:
            _PROGRAMS[definition] = before(definition)
        return _PROGRAMS[definition]

    with (
        replaced(AmazonStateLanguageParser, "parse", staticmethod(parse)) as before,
        replaced(EvalComponent, "heap_key", property(lambda self: f"component-{id(self)}")),
    ):
        yield


@contextmanager
def retries_sleep(sleep: Callable[[float], None]) -> Iterator[None]:
    """Wait for ``sleep(seconds)`` before a retry.

    Relies on ``retrier_decl`` calling ``time.sleep`` through its own global ``time``.
    """
    from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl

    with replaced(retrier_decl, "time", SimpleNamespace(sleep=sleep)):
        yield


@contextmanager
def execution_ends(ended: Callable[[Any], None]) -> Iterator[None]:
    """Call ``ended(execution)`` once for each execution that reached its end, however it did.

    ``execution`` has moto's ``to_describe_output()``. Relies on
    ``BaseExecutionWorkerCommunication.terminated()`` being called at the end, and mends two things:
    it must not be called again after a stop, when what is left of the execution unwinds.
    """
    from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication

    one_at_a_time = threading.Lock()

    def terminated(self: Any) -> None:
        with one_at_a_time:
            if getattr(self, "_ballast_ended", False):
                return
            self._ballast_ended = True
            before(self)
        ended(self.execution)

    with replaced(BaseExecutionWorkerCommunication, "terminated", terminated) as before:
        yield


@contextmanager
def stops_end_executions() -> Iterator[None]:
    """Make StopExecution end an execution at once, whatever it waits for.

    Relies on ``ExecutionWorker.stop`` and on its ``env``: ``set_stop``, ``event_manager.add_event``
    and the endpoints in ``callback_pool_manager._pool``. moto only marks the execution, so that one which
    waits for a person or a hung task stays RUNNING until that wait is over.
    """
    from moto.stepfunctions.parser.api import ExecutionAbortedEventDetails, HistoryEventType
    from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
    from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

    def stop(self: Any, stop_date: Any, error: str | None, cause: str | None) -> None:
        until = time.monotonic() + 2
        while (self.env is None or self.env.program_state() is None) and time.monotonic() < until:
            time.sleep(0.002)  # it is just starting
        env = self.env
        if env is None or not env.is_running():
            return
        env.set_stop(stop_date=stop_date, cause=cause, error=error)
        details = ExecutionAbortedEventDetails(error=error, cause=cause)
        env.event_manager.add_event(
            context=env.event_history_context,
            event_type=HistoryEventType.ExecutionAborted,
            event_details=EventDetails(executionAbortedEventDetails=details),  # type: ignore[typeddict-item]
        )
        env.event_manager.add_event = lambda *_, **__: 0  # nothing happens after the end
        self._execution_communication.terminated()
        for endpoint in list(env.callback_pool_manager._pool.values()):
            endpoint.interrupt_all()

    with replaced(ExecutionWorker, "stop", stop):
        yield


@contextmanager
def task_tokens_work_once() -> Iterator[None]:
    """Refuse with ``TaskTimedOut`` a second answer for a token, and one after the task or its execution ended.

    Relies on ``CallbackEndpoint._notify_event`` being set once the task has its answer or gave up, and on
    ``_get_executions`` being what is searched for a token, in ``callback_pool_manager._pool``. moto takes
    any number of answers, the last one counts; it knows no token of an ended execution, and stumbles over
    one that is just starting.
    """
    from moto.stepfunctions.parser.api import TaskTimedOut
    from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackEndpoint
    from moto.stepfunctions.parser.models import StepFunctionsParserBackend

    one_at_a_time = threading.Lock()

    def notify(self: Any, outcome: Any) -> None:
        with one_at_a_time:
            if self._notify_event.is_set():
                raise TaskTimedOut("Task Timed Out: 'Provided task does not exist anymore'", "TaskTimedOut", 400)
            before(self, outcome)

    def get_executions(self: Any, execution_status: object = None) -> list[Any]:
        started = [execution for machine in self.state_machines for execution in machine.executions]
        found = [execution for execution in started if execution.exec_worker and execution.exec_worker.env]
        for execution in found:
            if execution.status != "RUNNING":
                # Its last task may not have noticed yet that it gave up: another thread tells it so.
                for endpoint in execution.exec_worker.env.callback_pool_manager._pool.values():
                    endpoint._notify_event.set()
        return found

    with (
        replaced(CallbackEndpoint, "notify", notify) as before,
        replaced(StepFunctionsParserBackend, "_get_executions", get_executions),
    ):
        yield


@contextmanager
def starts_one_at_a_time() -> Iterator[None]:
    """Let only one of two simultaneous StartExecution with the same name start.

    Relies on ``StepFunctionsParserBackend.start_execution`` looking for the name before it adds the execution.
    """
    from moto.stepfunctions.parser.models import StepFunctionsParserBackend

    one_at_a_time = threading.Lock()

    def start_execution(self: Any, *args: Any, **kwargs: Any) -> Any:
        with one_at_a_time:
            return before(self, *args, **kwargs)

    with replaced(StepFunctionsParserBackend, "start_execution", start_execution) as before:
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Keep moto from logging, with whole syntax trees, every error that a Retry or a Catch is there for.

    Relies on the interpreter's loggers being children of ``moto.stepfunctions``.
    """
    logger = logging.getLogger("moto.stepfunctions")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def join_threads(timeout_s: float) -> None:
    """Wait for the interpreter's threads, ``timeout_s`` for each, and forget them.

    Relies on moto keeping every thread in ``stepfunctions.parser.utils.TMP_THREADS``, for ever.
    """
    from moto.stepfunctions.parser.utils import TMP_THREADS

    for thread in list(TMP_THREADS):
        thread.join(timeout_s)
    TMP_THREADS.clear()


@contextmanager
def interpreter(invoke: Invoke, sleep: Callable[[float], None], ended: Callable[[Any], None]) -> Iterator[None]:
    """All seams of the interpreter at once."""
    with ExitStack() as stack:
        for seam in (
            lambda_tasks(invoke),
            definitions_parsed_once(),
            retries_sleep(sleep),
            execution_ends(ended),
            stops_end_executions(),
            task_tokens_work_once(),
            starts_one_at_a_time(),
            quiet(),
        ):
            stack.enter_context(seam)
        yield
