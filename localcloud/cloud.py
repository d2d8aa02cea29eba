"""The local cloud: the template deployed into moto, with the state machine and the handlers in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from pathlib import Path
from threading import Lock
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from ballast.contracts import RunRequest
from ballast.contracts.wire import beyond_doubles, canonical
from ballast.models.catalog import Catalog
from ballast.playbook.load import playbook_in
from ballast.run import Run
from ballast.runtime import Runtime, utc_now
from ballast.table import Table
from localcloud.clock import Clock, VirtualClock, WallClock, as_clock, forget_circuits, lease_time, virtual_time
from localcloud.converse.server import answer_inline
from localcloud.converse.source import Source
from localcloud.converse.strict import Strict
from localcloud.functions import (
    AfterHook,
    Function,
    FunctionError,
    Functions,
    Handler,
    Hook,
    Printed,
    ServiceFault,
    imported_handler,
)
from localcloud.gc_paused import gc_paused
from localcloud.sessions import ACCOUNT, REGION, DynamoDB, Gate, Keys, LocalSession, Models, users_bedrock
from localcloud.stdout import stdout_restored
from localcloud.stepfunctions.engine import Engine
from localcloud.stepfunctions.executions import Execution, Executions
from localcloud.template import HttpRoute, TemplateInvalid

if TYPE_CHECKING:
    from ballast.escalations import ShownEscalations
    from ballast.log.evidence import Verdict
    from ballast.log.run_log import RunLog

__all__ = ["Execution", "FunctionError", "LocalCloud", "ServiceFault"]

ROOT = Path(__file__).resolve().parent.parent
PLAYBOOK = ROOT / "layers" / "playbook" / "playbook"
_STATE_MACHINE = "AgentStateMachine"


class LocalCloud:
    """A local cloud as a context manager. A process can have one at a time, because moto is global.

    playbook            folder that replaces the playbook's layer, with the business.yaml and the stand-ins of its
                        project if it has them
    model_endpoint_url  a Converse double for the functions with a model; None leaves Bedrock's endpoint
    model               a model that answers in this process, without an endpoint and on the cloud's clock
    enforce_iam         give each function only the rights of its role, as on AWS; False allows everything
    allow_bedrock       real Bedrock, with the user's credentials (and at the user's cost)
    clock               the time of functions, executions and deliveries; a plain function returns the time, and
                        waits are then real
    parameters          the template's
    handler_of          loads a function's handler; from the working tree by default
    dynamodb            answers DynamoDB's requests in place of moto's
    beside              names of further stacks of the template in the same account; their names prefix what is
                        theirs: ``other.RunLogTable``, ``other.ConsumeFunction``
    """

    _open: LocalCloud | None = None

    def __init__(
        self,
        playbook: Path | None = None,
        model_endpoint_url: str | None = None,
        enforce_iam: bool = True,
        *,
        model: Source | None = None,
        allow_bedrock: bool = False,
        clock: Clock | Callable[[], datetime] = utc_now,
        parameters: Mapping[str, str] | None = None,
        template: Path = ROOT / "template.yaml",
        handler_of: Callable[[Function], Handler] = imported_handler,
        dynamodb: DynamoDB | None = None,
        beside: Sequence[str] = (),
    ) -> None:
        folder = playbook or PLAYBOOK
        self.playbook = folder
        self._overrides = {"PLAYBOOK_DIR": str(folder.resolve())}
        if model_endpoint_url is not None:
            self._overrides["MODEL_ENDPOINT_URL"] = model_endpoint_url
        self._enforce_iam = enforce_iam
        self._allow_bedrock = allow_bedrock
        self._clock = as_clock(clock)
        self._model: Strict | None = None
        if model is not None:
            cards = Catalog.of_playbook(playbook_in(folder))
            self._model = Strict.of(model, models=cards, clock=self._clock)
        self.parameters = parameters or {}
        self._template = template
        self._handler_of = handler_of
        self._dynamodb = dynamodb
        self._beside = beside
        self._stack = ExitStack()
        self._runtimes: dict[str, Runtime] = {}
        self._reader: Runtime | None = None
        self._making_runtimes = Lock()
        #: The module of the project's stand-ins, while the cloud is open; None if it has none.
        self.stand_ins: ModuleType | None = None
        #: Called with each message sent to a queue (the queue's name, the body); the message stays in the queue.
        self.message_sent: list[Callable[[str, str], None]] = []
        #: Called with the id of each run whose execution has ended, once its event was delivered.
        self.run_ended: list[Callable[[str], None]] = []
        #: Called with the output of an invocation; see ``Functions.printed``.
        self.printed: list[Printed] = []
        #: Called before and after each handler; their exceptions count as the handler's.
        self.before_invoke: list[Hook] = []
        self.after_invoke: list[AfterHook] = []

    def __enter__(self) -> Self:
        if LocalCloud._open is not None:
            raise RuntimeError("A local cloud is open already; moto has room for one in a process.")
        LocalCloud._open = self
        with ExitStack() as stack:
            stack.callback(setattr, LocalCloud, "_open", None)
            with gc_paused():
                self._build(stack)
            self._stack = stack.pop_all()
        return self

    def _build(self, stack: ExitStack) -> None:
        from localcloud.moto_seams.imports import import_moto

        import_moto()
        from localcloud.deploy import deploy
        from localcloud.event_sources import EventSources, Streams, event_sources
        from localcloud.moto_cloud import moto_cloud
        from localcloud.moto_seams.interpreter import reflect
        from localcloud.stand_ins import StandInFunctions, standing_in

        bedrock = users_bedrock() if self._allow_bedrock else None
        # A model in this process answers before anything is sent.
        to_bedrock = bedrock is not None or self._model is not None
        gate = Gate(allow_bedrock=to_bedrock)
        models = Models()
        functions = Functions(
            {}, self.runtime, self.before_invoke, self.after_invoke, clock=self._clock, handler_of=self._handler_of
        )
        functions.printed = self.printed
        executions = Executions(self._clock, self.run_ended)
        engine = Engine(functions.invoke, self._clock, lambda run: executions.ended(reflect(run)))
        stack.enter_context(stdout_restored())
        streams = Streams((), functions, self._clock)
        stack.enter_context(moto_cloud(engine, executions, self._clock, to_bedrock, streams, self._sent))
        self.session = LocalSession(Keys(), gate, models=models)
        playbook = Path(self._overrides["PLAYBOOK_DIR"])
        self.stand_ins, of_tools = stack.enter_context(standing_in(playbook))
        of_lambda = StandInFunctions(self.stand_ins, playbook)
        given = (self.session, self._template, self.parameters, self._overrides)
        today = self._clock().date()
        self._deployment = deploy(*given, of_tools=of_tools, today=today)
        for name in self._beside:
            more = deploy(*given, stack=name, of_tools=of_tools, today=today)
            self._deployment = self._deployment.beside(more, name)
        functions.all = self._deployment.functions
        streams.sources = self._deployment.streams
        if isinstance(self._clock, VirtualClock):
            functions.load()
            stack.enter_context(virtual_time(self._clock))
        elif isinstance(self._clock, WallClock) and self._clock.skips:
            stack.enter_context(lease_time(self._clock))
        sources = event_sources(self.session, functions)
        keys: Mapping[str, Keys] = {}
        if self._enforce_iam:
            from localcloud.principals import ADMIN, enforced, guard_models, guard_tables

            keys = stack.enter_context(enforced(self.session, functions, engine))
            self.session = LocalSession(keys[ADMIN], gate, models=models)
        if self._dynamodb is not None:
            from localcloud.moto_seams.dynamodb import deployed

            self._dynamodb.take(deployed(ACCOUNT, REGION), streams.written)
            self.session = LocalSession(keys[ADMIN] if keys else Keys(), gate, models=models)
            self._dynamodb.answer(self.session)

        def session_of(function: Function) -> LocalSession:
            session = LocalSession(keys.get(function.logical_id, Keys()), gate, models=models, bedrock=bedrock)
            if self._model is not None:
                answer_inline(session, self._model, self._clock)
            if "TOOLS_ENVIRONMENT" in function.environ:
                of_lambda.answer(session, function, checked=self._enforce_iam)
            if self._enforce_iam:
                guard_models(session, function.role_arn)
                if self._dynamodb is not None:
                    guard_tables(session, function.role_arn)
            if self._dynamodb is not None:
                self._dynamodb.answer(session)
            return session

        self._session_of = streams.session_of = session_of
        self._functions, self._executions, self._engine = functions, executions, engine
        self._check_definition()
        others = [self.physical_id(f"{name}.{_STATE_MACHINE}") for name in self._beside]
        executions.connect(self.session, self.physical_id(_STATE_MACHINE), functions, others)
        self._sources = EventSources(sources, self.session, functions, session_of, streams)
        stack.callback(self._close, gate)

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _close(self, gate: Gate) -> None:
        self._executions.stop_all()
        gate.closed = True
        self._executions.join(timeout_s=0.2)
        self._engine.join(timeout_s=0.2)

    def _check_definition(self) -> None:
        """Refuse an unsupported state machine now, not in the middle of a run."""
        states = self.session.client("stepfunctions")
        found = states.describe_state_machine(stateMachineArn=self.physical_id(_STATE_MACHINE))
        try:
            self._engine.accept(found["definition"])
        except NotImplementedError as problem:
            raise TemplateInvalid(f"{self._template}: {problem}.") from None

    @property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs."""
        return self._deployment.outputs

    @property
    def routes(self) -> tuple[HttpRoute, ...]:
        """The HTTP API's routes."""
        return self._deployment.routes

    def physical_id(self, logical_id: str) -> str:
        """Return the physical id of a resource of the template: a table's name, a queue's URL, an ARN."""
        try:
            return self._deployment.physical_ids[logical_id]
        except KeyError:
            raise KeyError(f"The stack has no {logical_id}.") from None

    def table(self, logical_id: str) -> Table:
        """Return a table of the stack, with all rights."""
        name = self.physical_id(logical_id)
        return Table(self.session.client("dynamodb"), name, f"Table {name}")

    def environ(self, function: str) -> dict[str, str]:
        """Return a function's environment variables: the template's, with the local overrides."""
        return dict(self._functions.find(function).environ)

    def module_of(self, function: str) -> ModuleType:
        """Return the module with the function's handler."""
        found = self._functions.find(function)
        self._handler_of(found)
        return sys.modules[found.handler.rpartition(".")[0]]

    def load(self) -> None:
        """Import every function's handler now, so that the first invocations need not."""
        self._functions.load()

    def memory_mb(self, function: str) -> int:
        """Return the size of the function, in megabytes."""
        return self._functions.find(function).memory_mb

    def runtime(self, function: str) -> Runtime:
        """Return the ``Runtime`` of the function's handler."""
        found = self._functions.find(function)
        with self._making_runtimes:
            if found.logical_id not in self._runtimes:
                session = self._session_of(found)
                self._runtimes[found.logical_id] = Runtime(found.environ, session=session, clock=self._clock)
            return self._runtimes[found.logical_id]

    def end_process(self, function: str) -> None:
        """Let the function begin anew at its next invocation, without the circuits, sessions and tokens of before."""
        with self._making_runtimes:
            self._runtimes.pop(self._functions.find(function).logical_id, None)
        forget_circuits()

    def invoke(self, function: str, payload: Mapping[str, Any]) -> Any:
        """Invoke a function by its logical id and return its result.

        Raises ``FunctionError`` when the handler raised.
        """
        body, error = self.invoke_raw(function, json.dumps(payload).encode())
        result = json.loads(body)
        if error is not None:
            raise FunctionError(result["errorType"], result["errorMessage"], result.get("stackTrace", []))
        return result

    def invoke_raw(self, function: str, payload: bytes) -> tuple[bytes, str | None]:
        """Invoke a function, also by its name or ARN, as Lambda does; return the response and its ``FunctionError``.

        Raises ``ClientError`` if Lambda itself would refuse.
        """
        return self._functions.invoke(function, payload)

    def start(self, request: RunRequest, requested_by: str | None = None) -> str:
        """Start a run through the front door and return its id. Raises ``FunctionError``.

        ``requested_by``: who sends it, as the HTTP API records its caller. None, as where a function is invoked: nobody
        knows.
        """
        if requested_by is None:
            run_id: str = self.invoke("StartFunction", request.model_dump(mode="json"))["run_id"]
            return run_id
        if (where := beyond_doubles(request.context, "context")) is not None:
            raise FunctionError("InvalidInput", f"{where}: is a number whose digits are not kept. Send it as text.", [])
        sent = {"request": request.model_dump(mode="json"), "when_full": "refuse", "requested_by": requested_by}
        machine = self.physical_id(_STATE_MACHINE)
        self.runtime("StartFunction").client("stepfunctions").start_execution(
            stateMachineArn=machine, name=request.run_id, input=canonical(sent)
        )
        return request.run_id

    def wait(self, run_id: str, timeout_s: float) -> Execution:
        """Return the run's execution once it has ended and its event was delivered, or tried to be.

        Raises ``TimeoutError`` after ``timeout_s``, ``LookupError`` for an unknown run.
        """
        return self._executions.wait(run_id, timeout_s)

    def pump(self) -> int:
        """Deliver what waits in the queues and streams that feed functions; return how many records were handled.

        Records that failed before are delivered again, as if their visibility timeout had passed.
        """
        return self._sources.pump()

    def polling(self) -> AbstractContextManager[None]:
        """Within the block, poll the queues and streams that feed functions, as Lambda does."""
        return self._sources.polling()

    def ticking(self) -> AbstractContextManager[None]:
        """Within the block, invoke the functions of scheduled rules when they are due."""
        from localcloud.event_bus import schedules, ticking

        return ticking(schedules(self.session), self._functions)

    def status(self, run_id: str) -> str:
        """Return RUNNING until ``wait`` would return, then the execution's status."""
        return self._executions.status(run_id)

    @property
    def invocations(self) -> int:
        """The number of ended invocations: while it stays the same, no run has changed."""
        return self._functions.ended

    def _sent(self, queue: str, body: str) -> None:
        for told in self.message_sent:
            told(queue, body)

    def logs(self, function: str) -> str:
        """Return the function's recent output including metrics, as its log group has it."""
        logical_id = self._functions.find(function).logical_id
        return "".join(text for printed_by, text in list(self._functions.logs) if printed_by == logical_id)

    def stop(self, run_id: str) -> None:
        """Abort the run's execution, as an operator would."""
        self._executions.stop(run_id)

    def transitions(self, run_id: str) -> list[tuple[str, str]]:
        """Return the (from, to) pairs of states of the run; see ``localcloud.stepfunctions.executions.transitions``."""
        from localcloud.stepfunctions.executions import transitions

        return transitions(self.history(run_id))

    def history(self, run_id: str) -> list[dict[str, Any]]:
        """Return the execution's history, as GetExecutionHistory does."""
        return self._executions.history(run_id)

    def events(self, run_id: str) -> Run:
        """Return the run's log."""
        return self._log().read(run_id)

    def escalations(self) -> ShownEscalations:
        """Return the stack's escalations as people see them."""
        from ballast.escalations import ShownEscalations

        return ShownEscalations(self._log(), self.table("EscalationsTable"), self._clock)

    def verdict(self, run_id: str) -> Verdict | None:
        """Return the verdict on the run's log; None if it has none."""
        from localcloud.evidence import verdict_on

        return verdict_on(self._log(), self.table("BudgetsTable"), run_id, self._clock())

    def _log(self) -> RunLog:
        """Return a log that remembers nothing, over clients that are kept: who follows a run reads every moment."""
        from ballast.log.run_log import RunLog

        with self._making_runtimes:
            if (reader := self._reader) is None:
                tables = {"RUN_LOG_TABLE": "RunLogTable", "PAYLOAD_BUCKET": "PayloadBucket"}
                environ = {name: self.physical_id(logical_id) for name, logical_id in tables.items()}
                reader = self._reader = Runtime(environ, session=self.session, clock=self._clock)
        return RunLog.of(reader)
