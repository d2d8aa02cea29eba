"""moto's Step Functions: moto keeps the API, names and listings; the local cloud's engine runs executions."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from localcloud.kept import kept
from localcloud.moto_seams.replaced import replaced
from localcloud.stepfunctions.engine import Engine, Run, TokenRefused
from localcloud.stepfunctions.states import Execution, StateFailed


@contextmanager
def executions_run_by(engine: Engine) -> Iterator[None]:
    """Let ``engine`` run executions, stop them, take answers for tokens and return histories.

    Relies on ``Execution.start``, ``.stop`` and ``.to_history_output`` of ``parser.backend.execution`` being all that
    moto's API asks of a running execution, with its attributes ``exec_status``, ``stop_date``, ``output``, ``error``
    and ``cause``; and on the backend's ``send_task_success``, ``send_task_failure`` and ``send_task_heartbeat``. moto's
    own interpreter is slower, keeps real time, takes any number of answers for a token and does not end at a stop.
    """
    from moto.stepfunctions.parser.api import ExecutionStatus
    from moto.stepfunctions.parser.backend import execution as moto_execution
    from moto.stepfunctions.parser.models import StepFunctionsParserBackend

    def start(self: Any) -> None:
        self.exec_status = ExecutionStatus.RUNNING
        made = Execution(arn=self.exec_arn, name=self.name, input=self.input_data)
        machine, self.start_date = self.state_machine, engine.now()
        self.exec_worker = engine.begin(made, machine.definition, machine.arn, self.role_arn, record=self)

    def stop(self: Any, stop_date: Any, error: str | None, cause: str | None) -> None:
        run = engine.stop(self.exec_arn, error, cause)
        if run is not None:  # otherwise it ended long ago
            reflect(run)

    def to_history_output(self: Any) -> Any:
        return {"events": engine.history(self.exec_arn)}

    with (
        replaced(moto_execution.Execution, "start", start),
        replaced(moto_execution.Execution, "stop", stop),
        replaced(moto_execution.Execution, "to_history_output", to_history_output),
        replaced(StepFunctionsParserBackend, "send_task_success", _success(engine)),
        replaced(StepFunctionsParserBackend, "send_task_failure", _failure(engine)),
        replaced(StepFunctionsParserBackend, "send_task_heartbeat", _heartbeat(engine)),
        starts_one_at_a_time(),
    ):
        yield


def reflect(run: Run) -> Any:
    """Copy an execution's state into moto's record; return what DescribeExecution then returns."""
    from moto.stepfunctions.parser.api import ExecutionStatus

    execution, record = run.execution, run.record
    record.exec_status = ExecutionStatus[execution.status]
    record.error, record.cause = execution.error, execution.cause
    record.output = execution.output if execution.status == "SUCCEEDED" else None
    record.stop_date = run.ended_at if execution.status != "RUNNING" else None
    if run.ended_at is not None:
        record.exec_worker = None  # it would keep the whole execution alive
    return record.to_describe_output()


def _success(engine: Engine) -> Callable[..., Any]:
    def send_task_success(self: Any, task_token: str, outcome: str) -> Any:
        result = json.loads(outcome)
        _answered(engine, task_token, lambda: result)

    return send_task_success


def _failure(engine: Engine) -> Callable[..., Any]:
    def send_task_failure(self: Any, task_token: str, error: str | None = None, cause: str | None = None) -> Any:
        def fail() -> Any:
            raise StateFailed(error or "", cause or "")

        _answered(engine, task_token, fail)
        return {}

    return send_task_failure


def _heartbeat(engine: Engine) -> Callable[..., Any]:
    def send_task_heartbeat(self: Any, task_token: str) -> Any:
        if engine.waits(task_token) is None:
            _refuse(over=engine.knows(task_token))

    return send_task_heartbeat


def _answered(engine: Engine, token: str, answer: Callable[[], Any]) -> None:
    try:
        engine.answer(token, answer)
    except TokenRefused as refused:
        _refuse(over=refused.over)


def _refuse(*, over: bool) -> None:
    from moto.stepfunctions.parser.api import InvalidToken, TaskTimedOut

    if over:
        raise TaskTimedOut("Task Timed Out: 'Provided task does not exist anymore'", "TaskTimedOut", 400)
    raise InvalidToken()  # type: ignore[no-untyped-call]


@contextmanager
def starts_one_at_a_time() -> Iterator[None]:
    """Let only one of two simultaneous StartExecution calls with the same name start.

    Relies on ``StepFunctionsParserBackend.start_execution`` looking up the name before it adds the execution.
    """
    from moto.stepfunctions.parser.models import StepFunctionsParserBackend

    one_at_a_time = threading.Lock()

    def start_execution(self: Any, *args: Any, **kwargs: Any) -> Any:
        with one_at_a_time:
            return before(self, *args, **kwargs)

    with replaced(StepFunctionsParserBackend, "start_execution", start_execution) as before:
        yield


@contextmanager
def validated_once() -> Iterator[None]:
    """Validate each definition once (parsing ours takes moto most of a second); that one is valid is kept.

    Relies on ``StepFunctionsParserBackend._validate_definition(definition)`` raising for an invalid one.
    """
    from moto.stepfunctions.parser.models import StepFunctionsParserBackend

    def validate(definition: str) -> None:
        if definition not in _VALID:
            kept("asl", f"{version('moto')} {definition}", lambda: before(definition) or "valid")
            _VALID.add(definition)

    with replaced(StepFunctionsParserBackend, "_validate_definition", staticmethod(validate)) as found:
        before: Callable[[str], str | None] = found.__func__
        yield


_VALID: set[str] = set()
