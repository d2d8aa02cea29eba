"""The machine that plays recorded runs: the template's handlers and state machine, with the oracle at their edges.

One machine serves one lane, for any number of runs, one after the other. Everything that a handler builds once (its
playbook, its clients) is built once here too. A machine replaces a few names while it is open (``_Seams``), so a
process can have one at a time.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import ModuleType, TracebackType
from typing import Any, Self

import yaml

from ballast import errors
from ballast.attachments.store import Attachments
from ballast.breaker_reader import Breakers
from ballast.errors import AttemptInProgress, LogCorrupt, ProcessEnds
from ballast.log.event import GARBLED
from ballast.log.run_log import RunLog
from ballast.money import TokenCounts
from ballast.moves_table import MovesTable
from ballast.playbook import Playbook, Tool, ToolFailed, load_playbook
from ballast.playbook.load import playbook_in
from ballast.runtime import Runtime
from ballast.table import Put, Table, Update
from localcloud.clock import NOON
from localcloud.functions import Function, Handler, imported_handler
from localcloud.moto_seams.jsonata import jsonata_clock
from localcloud.moto_seams.replaced import replaced
from localcloud.replay.book import Book, Died, Diverged, RecordEnds, ReplayedLog
from localcloud.replay.lane import Difference, Ending, Lane, Replayed
from localcloud.replay.oracle import Failed, Oracle, Ran, amounts_moved, further, reply_of
from localcloud.replay.recorded import RecordedRun, is_persons
from localcloud.replay.sealed import SealedForm
from localcloud.replay.tables import MemoryTable, Tables
from localcloud.stepfunctions.states import Execution, Interpreter, StateFailed, Stopped, check
from localcloud.template import load_template

#: Written after the ending, by people, by an operator, or by work that nobody waited for.
_AFTERWARDS = ("model.responded", "model.failed", "run.corrected", "run.feedback")
#: Invocations of one run; more of them mean that the replay goes round in circles.
_MOST_INVOCATIONS = 20_000
_SUBSTITUTED = re.compile(r"\$\{(\w+?)(?:Arn)?\}")
_ROOM_USD = "1000000000"


class _Circles(ProcessEnds):
    """The replay does not come to an end."""


class Machine:
    """Plays runs in one lane, as a context manager. ``template``: the stack's."""

    def __init__(self, lane: Lane, template: Any = None) -> None:
        from localcloud.cloud import ROOT

        self.lane = lane
        self._template = template or ROOT / "template.yaml"
        self._stack = ExitStack()
        self.log, self.tables = ReplayedLog(), Tables()
        self.book: Book
        self.oracle: Oracle
        self._invocation: _Invocation | None = None
        self._forms: dict[str, SealedForm] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._build(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _build(self, stack: ExitStack) -> None:
        from localcloud.moto_seams.imports import import_moto

        import_moto()  # its interpreter reads the references of a JSONata expression
        resources = load_template(self._template)["Resources"]
        definition = _definition(self._template.parent / resources["AgentStateMachine"]["Properties"]["DefinitionUri"])
        check(definition)
        self._interpreter = Interpreter(definition, _Workflow(self), lambda: 0.0)
        folder = playbook_in(self.lane.playbook)
        self.playbook = self.lane.changed(load_playbook(folder))
        played = replace(self.playbook, tools={name: self._played(one) for name, one in self.playbook.tools.items()})
        self._functions = {}
        for name in set(re.findall(r"\b[A-Z]\w+Function\b", json.dumps(definition))) | {"SettleFunction"}:
            self._functions[name] = _Deployed.of(name, resources[name]["Properties"], self)
        stack.enter_context(jsonata_clock(lambda: self.book.now))
        seams = _Seams(self, stack)
        for one in self._functions.values():
            seams.of_module(one.module, lambda *_, **__: played)
        seams.of_the_layer()

    # One run

    def play(self, recorded: RecordedRun) -> Replayed:
        """Play ``recorded`` and return what became of it.

        What other runs had moved of the business's money is in no event. Where a reason to ask a person names such an
        amount, the run is played again with it.
        """
        moved: dict[tuple[int, int], int] = {}
        played = self._play(recorded, moved)
        for at, amount in amounts_moved(recorded, played):
            if played.is_same or self.lane.goes_on:
                break
            again = self._play(recorded, moved | {at: amount})
            if further(again, played, at):
                moved[at], played = amount, again
        return played

    def _play(self, recorded: RecordedRun, moved: Mapping[tuple[int, int], int]) -> Replayed:
        self.book = self.log.book = Book(recorded)
        self.oracle = Oracle(self.book, moved)
        self.tables.clear()
        self._count = 0
        for form in self._forms.values():
            form.begin(recorded.events if self.book.is_sealed else None)
        for one in self._functions.values():
            one.forget()
        try:
            difference = self._played_whole(recorded)
        except Diverged as diverged:
            difference = diverged.difference
        except RecordEnds as ends:
            self.book.note(str(ends))
            difference = None
        except (LookupError, LogCorrupt, _Circles, *GARBLED) as problem:
            self.book.note(f"it cannot be replayed: {type(problem).__name__}: {problem}")
            return self._result(recorded, None, Ending.NOT_REPLAYED)
        ending = Ending.SAME if difference is None else Ending.DIFFERENT
        return self._result(recorded, difference, ending)

    def _result(self, recorded: RecordedRun, difference: Difference | None, ending: Ending) -> Replayed:
        book = self.book
        return Replayed(
            run_id=recorded.run_id,
            events=book.run,
            ending=ending,
            difference=difference,
            checked=len(book.checked),
            put_in=len(book.put_in),
            unchecked=dict(book.unchecked),
            notes=tuple(book.notes),
        )

    def _played_whole(self, recorded: RecordedRun) -> Difference | None:
        request, how = self.oracle.request()
        execution = Execution(f"arn:replay:{recorded.run_id}", recorded.run_id, {"request": request, **how})
        self._interpreter.run(execution)
        if execution.status != "SUCCEEDED":
            self._settle_from_outside(recorded, execution)
        self._put_in_late()
        return self.book.missing()

    def _settle_from_outside(self, recorded: RecordedRun, execution: Execution) -> None:
        """Let the rule about the execution's status settle the run, as the record says that it ended."""
        ended = recorded.ended
        status = ended.status.upper() if ended is not None else ""
        if status not in ("ABORTED", "TIMED_OUT", "FAILED"):
            status = "FAILED"
        detail = {"name": execution.name, "status": status}
        event = {"detail-type": "Step Functions Execution Status Change", "detail": detail}
        for _ in range(3):
            try:
                self.invoke("SettleFunction", event)
                return
            except StateFailed:
                continue

    def _put_in_late(self) -> None:
        """Put in what people and processes wrote after the ending."""
        for event in self.book.left:
            if is_persons(event) or event.name in _AFTERWARDS:
                self.book.put(event)

    # Functions

    def invoke(self, name: str, payload: Any) -> Any:
        """Invoke a function once. Raises ``StateFailed`` under the name that Step Functions gets."""
        function = self._functions[name]
        self._count += 1
        if self._count > _MOST_INVOCATIONS:
            raise _Circles(f"more than {_MOST_INVOCATIONS} invocations")
        self._invocation = invocation = _Invocation.of(self, name, payload, self._count)
        invocation.begin(self)
        context = _Context(function, invocation.request_id, self.book)
        try:
            result = function.handler(json.loads(json.dumps(payload)), context, runtime=function.runtime)
            return json.loads(json.dumps(result, allow_nan=False))
        except Died as died:
            raise StateFailed(died.error, "the process is gone") from None
        except Exception as problem:
            told = {"errorMessage": str(problem), "errorType": type(problem).__name__}
            raise StateFailed(type(problem).__name__, json.dumps(told)) from problem

    # Tools

    def _played(self, tool: Tool) -> Tool:
        """Return the tool with what reads or changes anything answered from the record."""
        approval, moves = tool.approval, tool.moves
        if approval.precondition is not None:
            approval = replace(approval, precondition=self._precondition)
        if moves is not None and moves.key is not None:
            moves = replace(moves, key=self._moves_key)
        limits = replace(tool.limits, timeout_s=None) if tool.limits.timeout_s is not None else tool.limits
        made = replace(tool, approval=approval, moves=moves, circuit=None, limits=limits)
        if tool.marks_arguments or tool.undo is not None or self.playbook.is_undo(tool.name):
            vars(made)["form"] = self._forms[tool.name] = SealedForm(tool.name, tool.arguments, tool.form)
        return made

    def _precondition(self, args: Any, context: Any) -> Any:
        self._raise_what_is_not_there((context.turn, context.index))
        return self.oracle.precondition((context.turn, context.index))

    def _moves_key(self, args: Any, context: Any) -> str:
        self._raise_what_is_not_there((context.turn, context.index))
        return self.oracle.customer((context.turn, context.index)) or "customer#unknown"

    def hidden(self, args: Any) -> frozenset[str]:
        """Return the paths of the masked values among a call's arguments."""
        return frozenset().union(*(form.hidden(args) for form in self._forms.values()))

    def _raise_what_is_not_there(self, at: tuple[int, int]) -> None:
        message = self.oracle.failed_before(at)
        if message is not None:
            raise ToolFailed(message)


def _definition(path: Any) -> Mapping[str, Any]:
    """Return the state machine, with the functions' logical ids as their ARNs."""
    text = _SUBSTITUTED.sub(r"\1", path.read_text(encoding="utf-8").replace("${Partition}", "aws"))
    read: Mapping[str, Any] = yaml.safe_load(text)
    return read


@dataclass
class _Deployed:
    """A function of the machine: its handler, as the template names it, and its runtime."""

    name: str
    handler: Handler
    module: ModuleType
    timeout_s: int
    runtime: Runtime

    @classmethod
    def of(cls, name: str, properties: Mapping[str, Any], machine: Machine) -> _Deployed:
        environ = {key: _text(value) for key, value in properties["Environment"]["Variables"].items()}
        environ |= {"AWS_REGION": machine.lane.region, "STACK_NAME": "replay", "MODEL_CIRCUITS_TABLE": "circuits"}
        environ |= {key: value for key, value in _SETTINGS.items() if key in environ}
        found = Function(name, name, name, properties["Handler"], environ, "", properties.get("Timeout", 30), 512)
        handler = imported_handler(found)
        runtime = Runtime(
            environ,
            session=_Services(machine),
            clock=lambda: machine.book.now,
            stdout=io.StringIO(),
        )
        module = sys.modules[properties["Handler"].rpartition(".")[0]]
        return cls(name, handler, module, found.timeout_s, runtime)

    def forget(self) -> None:
        """Drop what was printed."""
        stdout = self.runtime._stdout
        if isinstance(stdout, io.StringIO):
            stdout.seek(0)
            stdout.truncate()


#: Settings that the template leaves to its parameters, or that only other runs can exhaust.
_SETTINGS = {
    **{f"{whose}_{window}_USD": _ROOM_USD for whose in ("TENANT", "ACCOUNT") for window in ("HOUR", "DAY")},
    "TENANT_RUNS": "1000000",
    "ACCOUNT_RUNS": "1000000",
    "ADMISSION_WAIT_S": "0",
    "REQUIRE_CERTIFICATE": "false",
    "RETENTION_DAYS": "0",
    "MODEL_ID": "",
    "MODEL_ENDPOINT_URL": "",
    "TOOLS_ENVIRONMENT": "",
    "REPLY_QUEUE_PREFIX": "ballast-reply-",
}


def _text(value: Any) -> str:
    match value:
        case {"Ref": str(name)}:
            return name
        case {"Fn::GetAtt": [str(name), *_]}:
            return name
        case str() | int():
            return str(value)
    return ""


class _Context:
    """Lambda's second argument, on the replay's clock."""

    memory_limit_in_mb, function_version = "512", "$LATEST"

    def __init__(self, function: _Deployed, request_id: str, book: Book) -> None:
        self.function_name = self.invoked_function_arn = function.name
        self.log_group_name = self.log_stream_name = function.name
        self.aws_request_id = request_id
        self._book, self._deadline = book, book.now + timedelta(seconds=function.timeout_s)

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is cut."""
        return max(0, int((self._deadline - self._book.now).total_seconds() * 1000))


@dataclass
class _Invocation:
    """One invocation: what of the record it is about, and its id."""

    function: str
    payload: Any
    turn: int | None
    index: int | None
    request_id: str

    @classmethod
    def of(cls, machine: Machine, name: str, payload: Any, number: int) -> _Invocation:
        turn, index = payload.get("turn"), payload.get("index")
        made = cls(name, payload, turn, index, f"replay-{number}")
        of_mine = machine.book.ahead(lambda one: made.writes(one) and "invocation" in one.body)
        if of_mine is not None:
            made.request_id = str(of_mine.body["invocation"])
        return made

    def writes(self, event: Any) -> bool:
        """Whether this invocation may have written the event."""
        if is_persons(event):
            return False
        match self.function:
            case "AdmitFunction":
                return bool(event.name in ("run.opened", "run.refused"))
            case "AgentFunction" | "FallbackFunction" | "RollbackFunction":
                return bool(event.turn == self.turn and event.name.startswith(("model.", "plan.")))
            case "ExecutorFunction":
                mine = (event.turn, event.index) == (self.turn, self.index)
                return bool(mine and event.name.startswith("call.") and event.name != "call.approval_requested")
            case "OpenEscalationFunction":
                names = ("escalation.opened", "call.approval_requested")
                return bool(event.turn == self.turn and event.name in names)
            case "ExtendFunction":
                return bool(event.turn == self.turn and event.name == "lease.extended")
        return bool(event.name.startswith("run.") and event.turn)

    def begin(self, machine: Machine) -> None:
        """Set the clock, and fail where the record shows that the invocation failed."""
        book, oracle = machine.book, machine.oracle
        ahead = book.ahead(self.writes)
        if ahead is not None:
            book.wait_until(ahead)
            self._before_the_deadline(machine, ahead)
            self._at_the_reading(machine, ahead)
        if self.function == "ExecutorFunction" and self.turn is not None and self.index is not None:
            given_up = oracle.given_up((self.turn, self.index))
            if given_up is not None and "given_up" not in self.payload:
                raise given_up
            if ahead is None and (failed := oracle.executor_failed(self.turn)) is not None:
                raise failed
        if ahead is None and self.function in ("AgentFunction", "FallbackFunction", "RollbackFunction"):
            assert self.turn is not None
            if (cut := oracle.taken_over(self.turn) or oracle.stopped()) is not None:
                raise cut
        elif ahead is None and self.function != "SettleFunction" and (stopped := oracle.stopped()) is not None:
            raise stopped

    @staticmethod
    def _before_the_deadline(machine: Machine, ahead: Any) -> None:
        """A model was asked, so the agent's time was not over when the agent looked."""
        book = machine.book
        if ahead.name != "model.requested" or not book.run.is_open:
            return
        until = datetime.fromtimestamp((book.run.opening.agent_until_ms - 1) / 1000, tz=book.now.tzinfo)
        book.now = min(book.now, until)

    @staticmethod
    def _at_the_reading(machine: Machine, ahead: Any) -> None:
        """Nobody answered: the executor's own table has that event too, with the same reading of the clock."""
        until_ms = ahead.body.get("deadline_ms")
        if ahead.name == "call.approval_answered" and until_ms is not None and machine.book.run.is_open:
            began_s = until_ms / 1000 - machine.book.run.opening.limits.deadline_s
            machine.book.now = datetime.fromtimestamp(began_s, tz=machine.book.now.tzinfo)


class _Workflow:
    """The environment of the state machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine, self._now = machine, NOON

    def now(self) -> datetime:
        """The time at which the state was entered: the record says what took too long, and not this clock."""
        return self._now

    def entered(self, state: str) -> None:
        self._now = self._machine.book.now

    def pause(self, seconds: float) -> None:
        self._machine.book.pause(seconds)

    def side_by_side(self, work: Sequence[Callable[[], Any]], at_once: int) -> list[Any]:
        return [one() for one in work]

    def token(self, execution: Execution) -> str:
        execution.tokens += 1
        return f"token-{execution.tokens}"

    def invoke(self, function_arn: str, payload: Any, state: str, timeout_s: float) -> Any:
        if "task_token" in payload:
            self._machine.oracle.waiting[payload["task_token"]] = payload
        return self._machine.invoke(function_arn, payload)

    def wait(self, token: str, timeout_s: float) -> Any:
        try:
            return self._machine.oracle.answer(token)
        except Stopped:
            self._machine.book.note("the execution was stopped while it waited for a person")
            raise

    def answered(self, token: str) -> Any:
        return None


class _Services:
    """A session whose clients take what the functions send: events, messages, files."""

    region_name: str

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.region_name = machine.lane.region

    def client(self, service: str, **_: Any) -> Any:
        """Return a client of ``service``: itself."""
        return self

    def put_events(self, **sent: Any) -> Mapping[str, Any]:
        """Take events."""
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "replay"}]}

    def send_message(self, **sent: Any) -> Mapping[str, Any]:
        """Take a message. A reply fails where the record says so."""
        replied = self._machine.book.recorded.by_seq.get("9999.run.replied")
        if "ballast-reply" in sent["QueueUrl"] and replied is not None and replied.body.get("error"):
            raise errors.SettingInvalid("as recorded")
        return {}


class _Once:
    """At most one run of an effect under its key, in the form in which Powertools records it."""

    def __init__(self, machine: Machine, table: MemoryTable) -> None:
        self._machine, self._table = machine, table

    def run(self, key: str, effect: Callable[[], dict[str, Any]], context: Any) -> dict[str, Any]:
        """As ``Once.run`` of the executor."""
        now_ms = int(self._machine.book.now.timestamp() * 1000)
        place = {"id": f"call#{hashlib.sha256(json.dumps(key).encode()).hexdigest()}"}
        there = self._table.get(place)
        if there is not None and there["status"] == "COMPLETED":
            found: dict[str, Any] = json.loads(there["data"])
            return found
        if there is not None and there["in_progress_expiry"] > now_ms:
            raise AttemptInProgress(f"{key}: another attempt at this call has not ended; try again.")
        lease = {"status": "INPROGRESS", "in_progress_expiry": now_ms + context.get_remaining_time_in_millis()}
        self._table.write(Put({**place, **lease}))
        try:
            outcome = effect()
        except ProcessEnds:
            raise
        except Exception:
            self._table.delete(place)
            raise
        done = {"status": "COMPLETED", "data": json.dumps(outcome)}
        self._table.write(Update(place, set=done))
        return outcome


@dataclass(frozen=True)
class _Asked:
    """A tool that is about to run, or a ``verify`` that is about to be asked."""

    tool: Tool
    context: Any

    @property
    def at(self) -> tuple[int, int]:
        """The position of the call."""
        return self.context.turn, self.context.index


class _Downstreams:
    """What the tools reach: nothing."""

    def ready(self, tool: Tool, args: Any, context: Any) -> _Asked:
        """Return what ``run_tool`` takes."""
        return _Asked(tool, context)


class _Seams:
    """The names that are replaced while a machine is open. A name that is gone raises ``SeamBroken``."""

    def __init__(self, machine: Machine, stack: ExitStack) -> None:
        self._machine, self._stack = machine, stack

    def _put(self, owner: Any, name: str, value: Any) -> None:
        self._stack.enter_context(replaced(owner, name, value))

    def of_the_layer(self) -> None:
        """The log, the tables, the breaker, the moves: one for all functions."""
        machine = self._machine
        self._put(RunLog, "of", classmethod(lambda cls, *_, **__: machine.log))
        self._put(Table, "of", classmethod(lambda cls, runtime, name, variable: machine.tables.table(name, variable)))
        self._put(Breakers, "current_mode", lambda *_, **__: self._mode())
        reserve = vars(MovesTable)["reserve"]

        def reserved(table: MovesTable, move: Any, by: str, ceilings: Any) -> Any:
            refused = machine.oracle.refused_move((move.turn, move.index))
            if refused is not None:
                raise refused
            return reserve(table, move, by, ceilings)

        counted = vars(MovesTable)["moved"]

        def moved(table: MovesTable, move: Any) -> dict[tuple[str, str], int]:
            others = machine.oracle.moved_by_others((move.turn, move.index))
            own = move.places[0]
            return {place: micro + (others if place != own else 0) for place, micro in counted(table, move).items()}

        self._put(MovesTable, "reserve", reserved)
        self._put(MovesTable, "moved", moved)
        self._put(Attachments, "checked", lambda store, tenant, run_id, one: self._file(one))

    def _mode(self) -> Any:
        machine, invocation = self._machine, self._machine._invocation
        turn = invocation.turn if invocation is not None and invocation.function == "AgentFunction" else None
        return machine.oracle.mode(machine.playbook.in_region(machine.lane.region), turn)

    def _file(self, one: Any) -> Any:
        from ballast.folds.calls import kept_files

        opened = self._machine.book.recorded.opened
        known = kept_files(opened.attachments) if opened is not None else ()
        return next(kept for kept in known if kept.name == one.name)

    def of_module(self, module: ModuleType, load: Callable[..., Playbook]) -> None:
        """Replace what the module of a handler uses."""
        names = vars(module)
        if "load_playbook" in names:
            self._put(module, "load_playbook", load)
        if "Converse" in names:
            self._of_the_agent(module)
        if "Once" in names:
            self._of_the_executor(module)
        if "Leases" in names:
            self._of_leases(module)

    def _of_leases(self, module: ModuleType) -> None:
        machine = self._machine
        kind = vars(module)["Leases"]
        lease, extend = (vars(kind)[name] for name in ("lease", "extend"))

        def leased(leases: Any, request: Any, microusd: int, **how: Any) -> Any:
            refused = machine.oracle.admission()
            if refused is not None:
                error, message, opens_at = refused
                raise getattr(errors, error)(message, opens_at=opens_at)
            return lease(leases, request, microusd, **how)

        def extended(leases: Any, held: Any, turn: int, microusd: int) -> Any:
            error = machine.oracle.extension(turn)
            if error is not None:
                raise getattr(errors, error)("as recorded")
            return extend(leases, held, turn, microusd)

        if lease.__name__ == "lease":  # two functions have it
            self._put(kind, "lease", leased)
            self._put(kind, "extend", extended)

    def _of_the_agent(self, module: ModuleType) -> None:
        machine = self._machine
        converse = sys.modules[vars(module)["Converse"].__module__]
        agent = sys.modules[vars(module)["Agent"].__module__]
        read = vars(agent)["read_completion"]
        failure, circuit_open = vars(converse)["ModelFailure"], vars(converse)["CircuitOpen"]
        usage_of = vars(sys.modules[read.__module__])["ReadUsage"]

        class Model:
            @classmethod
            def of(cls, _runtime: Runtime, **_: Any) -> Model:
                return cls()

            def reply(self, request: Any, *, within_s: float) -> Any:
                invocation = machine._invocation
                assert invocation is not None
                assert invocation.turn is not None
                asked = machine.book.run.turn(invocation.turn)
                attempt = sum(event.name == "model.requested" for event in asked.events)
                found = machine.oracle.completion(invocation.turn, attempt)
                if isinstance(found, Failed):
                    raise failure(found.reason, found.again, found.charged, found.detail, found.retry_after_s)
                return found

        class Circuits:
            @classmethod
            def of(cls, _runtime: Runtime, _table: str) -> Circuits:
                return cls()

            def call(self, model_id: str, ask: Callable[[], Any]) -> Any:
                invocation = machine._invocation
                assert invocation is not None
                assert invocation.turn is not None
                if machine.oracle.circuit_is_open(invocation.turn, model_id):
                    raise circuit_open(f"The circuit of {model_id} is open: it failed 5 times in a row.")
                return ask()

        def read_completion(event: Any, turn: int) -> Any:
            completion = read(reply_of(event), turn)
            fact = event.fact
            tokens = None
            if fact.input_tokens is not None:
                hour = fact.cache_write_1h_tokens or 0
                tokens = TokenCounts(
                    input=fact.input_tokens,
                    output=fact.output_tokens or 0,
                    cache_read=fact.cache_read_tokens or 0,
                    cache_write_5m=(fact.cache_write_tokens or 0) - hour,
                    cache_write_1h=hour,
                )
            return replace(completion, usage=usage_of(tokens))

        self._put(module, "Converse", Model)
        self._put(module, "Circuits", Circuits)
        self._put(module, "sleep", lambda seconds: None)
        self._put(agent, "read_completion", read_completion)
        self._put(agent, "with_content", lambda request, contents: request)

    def _of_the_executor(self, module: ModuleType) -> None:
        machine = self._machine
        effects = sys.modules[vars(module)["Effects"].__module__]
        outcome, doubt, nothing = (vars(effects)[name] for name in ("CallOutcome", "InDoubt", "NothingDone"))

        class Once:
            @classmethod
            def of(cls, _runtime: Runtime, table_name: str) -> _Once:
                return _Once(machine, machine.tables.table(table_name, "IDEMPOTENCY_TABLE"))

        class Downstreams:
            @classmethod
            def of(cls, _runtime: Runtime, _table: str) -> _Downstreams:
                return _Downstreams()

        def ended(ran: Ran) -> Any:
            match ran.kind:
                case "doubt" | "answered":
                    return doubt(ran.message, answered=ran.kind == "answered", cause=None)
                case "nothing":
                    return nothing(ran.message, cause=errors.RetryLater(ran.message))
            settled = ran.settled
            assert settled is not None
            told = settled.model_fields_set
            return outcome(
                settled.status,
                result=settled.result,
                message=settled.message if "message" in told else None,
                notice=settled.notice if "notice" in told else None,
                defect=settled.defect,
                left_out=settled.left_out,
                attachments=tuple(settled.attachments),
            )

        def run_tool(tool: Tool, asked: _Asked, _cut: Any) -> Any:
            ran = machine.oracle.run_of(asked.at, tool.name, writes=tool.effect == "write")
            bill = asked.context.bill
            bill.begun = True
            if ran.settled is not None and ran.settled.cost_microusd is not None:
                bill.reported = ran.settled.cost_microusd
            return ended(ran)

        def found(_tool: Tool, verify: Any, _cut: Any) -> Any:
            ran = machine.oracle.verified(verify.__self__.attempt.at)
            return None if ran is None else ended(ran)

        attempt = sys.modules[vars(module)["History"].__module__]
        ground = vars(attempt)["ground"]

        def grounded(args: Any, *sources: Any, **how: Any) -> Any:
            found = ground(args, *sources, **how)
            invocation, hidden = machine._invocation, machine.hidden(args)
            if not hidden or invocation is None or invocation.turn is None or invocation.index is None:
                return found
            return machine.oracle.grounding((invocation.turn, invocation.index), found, hidden)

        self._put(attempt, "ground", grounded)
        moves = sys.modules[vars(module)["MovesStore"].__module__]
        # ``_moves_key`` gives the account itself, as it is recorded.
        self._put(moves, "of_customer", lambda tenant, key: key)
        self._put(module, "Once", Once)
        self._put(module, "Downstreams", Downstreams)
        self._put(effects, "run_tool", run_tool)
        self._put(effects, "found", found)
