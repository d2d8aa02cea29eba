"""The machine that plays recorded runs: the template's handlers and state machine, with the oracle at their edges.

One machine serves one lane, for any number of runs, one after the other. Everything that a handler builds once (its
playbook, its clients) is built once here too. A machine replaces a few names while it is open (``seams``), so a
process can have one at a time.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import ModuleType, TracebackType
from typing import Any, Self

from ballast.errors import LogCorrupt, ProcessEnds
from ballast.log.event import GARBLED
from ballast.log.events import CallIntended, RunOpened
from ballast.playbook import Playbook, Tool, ToolFailed, load_playbook
from ballast.playbook.load import playbook_in
from ballast.playbook.made_of import made_of
from ballast.runtime import Runtime
from localcloud.clock import NOON
from localcloud.functions import Function, Handler, imported_handler
from localcloud.moto_seams.jsonata import jsonata_clock
from localcloud.replay.declared_outcomes import Declared
from localcloud.replay.integrity import blamed, unreadable
from localcloud.replay.lane import Difference, Ending, Inferred, Lane, Replayed
from localcloud.replay.oracle import Oracle, amounts_moved, further, wait_of
from localcloud.replay.playing import Died, Diverged, Playing, RecordEnds, ReplayedLog
from localcloud.replay.recorded import RecordedRun, is_persons
from localcloud.replay.sealed import SealedForm
from localcloud.replay.seams import Seams, Services
from localcloud.replay.tables import Tables
from localcloud.stepfunctions.states import Execution, Interpreter, StateFailed, Stopped, check
from localcloud.template import load_template, parsed

#: Written after the ending, by people, by an operator, or by work that nobody waited for.
_AFTERWARDS = (
    *("model.responded", "model.failed", "escalation.announced"),
    *("run.corrected", "run.feedback", "run.move_settled"),
)
#: Invocations of one run; more of them mean that the replay comes to no end.
_MOST_INVOCATIONS = 20_000
#: Deliveries of a call that had been given up: the first one may die half way.
_LATE_DELIVERIES = 3
_SUBSTITUTED = re.compile(r"\$\{(\w+?)(?:Arn)?\}")
_ROOM_USD = "1000000000"


class _Endless(ProcessEnds):
    """The replay does not come to an end."""


class Machine:
    """Plays runs in one lane, as a context manager. ``template``: the stack's."""

    def __init__(self, lane: Lane, template: Any = None) -> None:
        from localcloud.cloud import ROOT

        self.lane = lane
        self._template = template or ROOT / "template.yaml"
        self._stack = ExitStack()
        self.log, self.tables = ReplayedLog(), Tables()
        self.playing: Playing
        self.oracle: Oracle
        self.invocation: Invocation | None = None
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
        self.playbook = self._changed(load_playbook(folder))
        played = replace(self.playbook, tools={name: self._played(one) for name, one in self.playbook.tools.items()})
        self._functions = {}
        for name in set(re.findall(r"\b[A-Z]\w+Function\b", json.dumps(definition))) | {"SettleFunction"}:
            self._functions[name] = _Deployed.of(name, resources[name]["Properties"], self)
        stack.enter_context(jsonata_clock(lambda: self.playing.now))
        seams = Seams(self, stack)
        for one in self._functions.values():
            seams.of_module(one.module, lambda *_, **__: played)
        seams.of_the_layer()

    def _changed(self, playbook: Playbook) -> Playbook:
        return self.lane.changed(playbook)

    # One run

    def play(self, recorded: RecordedRun) -> Replayed:
        """Play ``recorded`` and return what became of it.

        What other runs had moved of the business's money is in no event. Where a reason to ask a person names such an
        amount, the run is played again with it. A record that was changed is not blamed on the machine.
        """
        if (misfit := unreadable(recorded)) is not None:
            return Replayed(recorded.run_id, recorded.events, Ending.DIFFERENT, misfit)
        played = self._played_or_cut(recorded)
        return played if played.is_same or self.lane.goes_on else blamed(recorded, played)

    def _played_or_cut(self, recorded: RecordedRun) -> Replayed:
        if missing := recorded.missing:
            more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
            why = f"{missing[0]} is missing{more}: the run's ending vouches for it. Export the whole run"
            return Replayed(recorded.run_id, recorded.events, Ending.NOT_REPLAYED, notes=(why,))
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
        self.playing = self.log.playing = self._playing_of(recorded)
        self.oracle = self._oracle_of(moved)
        self.tables.clear()
        self._count = 0
        #: What the executor was given for calls that another process, given up by then, began after the run had ended.
        self.given_up: list[Any] = []
        for form in self._forms.values():
            form.begin(recorded.events if self.playing.is_sealed else None)
        for one in self._functions.values():
            one.forget()
        try:
            difference = self._played_whole(recorded)
        except Diverged as diverged:
            difference = diverged.difference
            if difference.seq == RunOpened.key() and (opened := recorded.opened) is not None:
                self.playing.note_made_of(opened.made_of, made_of(self.playbook.in_region(self.lane.region)))
        except RecordEnds as ends:
            self.playing.note(str(ends))
            difference = None
        except (LookupError, LogCorrupt, _Endless, *GARBLED) as problem:
            self.playing.note(f"it cannot be replayed: {type(problem).__name__}: {problem}")
            return self._result(recorded, None, Ending.NOT_REPLAYED)
        ending = Ending.SAME if difference is None else Ending.DIFFERENT
        return self._result(recorded, difference, ending)

    def _playing_of(self, recorded: RecordedRun) -> Playing:
        return Playing(recorded)

    def _oracle_of(self, moved: Mapping[tuple[int, int], int]) -> Oracle:
        return Oracle(self.playing, moved)

    def _result(self, recorded: RecordedRun, difference: Difference | None, ending: Ending) -> Replayed:
        playing = self.playing
        return Replayed(
            run_id=recorded.run_id,
            events=playing.run,
            ending=ending,
            difference=difference,
            checked=len(playing.checked),
            put_in=len(playing.put_in),
            unchecked=dict(playing.unchecked),
            notes=tuple(playing.notes),
            inferred=self._inferred_of(playing),
            made_otherwise=playing.made_otherwise,
        )

    def _inferred_of(self, playing: Playing) -> Inferred:
        return Inferred(
            deaths=dict(playing.died),
            moved=dict(self.oracle.moved),
            waits={wait_of(asked): asked["timeout_s"] for asked in self.oracle.waiting.values()},
            tools={name: Declared.of(tool) for name, tool in self.playbook.tools.items()},
            max_grant_microusd=self.playbook.agent.max_grant_microusd,
            wanted=dict(self.oracle.wanted),
            raised=frozenset(self.oracle.raised),
            leased_microusd=self.oracle.leased_microusd,
        )

    def _played_whole(self, recorded: RecordedRun) -> Difference | None:
        request, how = self.oracle.request()
        if self.oracle.hurry is not None:  # Admit counts the caller's time from when its state was entered
            self.playing.now = self.oracle.hurry.came
        execution = Execution(f"arn:replay:{recorded.run_id}", recorded.run_id, {"request": request, **how})
        self._interpreter.run(execution)
        if execution.status != "SUCCEEDED":
            self._settle_from_outside(recorded, execution)
        self._play_late()
        self._put_in_late()
        return self.playing.missing()

    def _settle_from_outside(self, recorded: RecordedRun, execution: Execution) -> None:
        """Let the rule about the execution's status settle the run, as the record says that it ended."""
        ended = recorded.ended
        status = ended.status.upper() if ended is not None else ""
        if status not in ("ABORTED", "TIMED_OUT", "FAILED"):
            status = "FAILED"
        detail = {"name": execution.name, "status": status}
        event = {"detail-type": "Step Functions Execution Status Change", "detail": detail}
        if ended_at := next((one.at for one in recorded.events if one.name == "run.ended"), ""):
            self.playing.put_due(ended_at)
        for _ in range(3):
            try:
                self.invoke("SettleFunction", event)
                return
            except StateFailed:
                continue

    def _play_late(self) -> None:
        """Let the processes work that the workflow had given up before they began a call, and that ran in the end."""
        for payload in self.given_up:
            at = Invocation.of(self, "ExecutorFunction", payload, self._count)
            for _ in range(_LATE_DELIVERIES):
                mine = {event.seq for event in self.playing.left if at.writes(event)}
                if not mine & self.playing.late:
                    break
                self.playing.late -= mine
                with suppress(StateFailed):
                    self.invoke("ExecutorFunction", payload)
            self.playing.late |= {event.seq for event in self.playing.left if at.writes(event)}

    def _put_in_late(self) -> None:
        """Put in what people and processes wrote after the ending."""
        for event in self.playing.left:
            if is_persons(event) or event.name in _AFTERWARDS or event.seq in self.playing.late:
                self.playing.put(event)

    # Functions

    def invoke(self, name: str, payload: Any) -> Any:
        """Invoke a function once. Raises ``StateFailed`` under the name that Step Functions gets."""
        function = self._functions[name]
        self._count += 1
        if self._count > _MOST_INVOCATIONS:
            raise _Endless(f"more than {_MOST_INVOCATIONS} invocations")
        self.invocation = invocation = Invocation.of(self, name, payload, self._count)
        invocation.begin(self)
        context = _Context(function, invocation.request_id, self.playing)
        try:
            result = function.handler(json.loads(json.dumps(payload)), context, runtime=function.runtime)
            return json.loads(json.dumps(result, allow_nan=False))
        except (StateFailed, Stopped):  # what the record says came of the invocation
            raise
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
    read: Mapping[str, Any] = parsed(text)  # a lane opens a machine for each part of the runs
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
            session=Services(machine),
            clock=lambda: machine.playing.now,
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

    def __init__(self, function: _Deployed, request_id: str, playing: Playing) -> None:
        self.function_name = self.invoked_function_arn = function.name
        self.log_group_name = self.log_stream_name = function.name
        self.aws_request_id = request_id
        self._playing, self._deadline = playing, playing.now + timedelta(seconds=function.timeout_s)

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is cut."""
        return max(0, int((self._deadline - self._playing.now).total_seconds() * 1000))


@dataclass
class Invocation:
    """One invocation: what of the record it is about, and its id."""

    function: str
    payload: Any
    turn: int | None
    index: int | None
    request_id: str

    @classmethod
    def of(cls, machine: Machine, name: str, payload: Any, number: int) -> Invocation:
        turn, index = payload.get("turn"), payload.get("index")
        made = cls(name, payload, turn, index, f"replay-{number}")
        of_mine = machine.playing.ahead(lambda one: made.writes(one) and "invocation" in one.body)
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
        playing, oracle = machine.playing, machine.oracle
        ahead = playing.ahead(self.writes)
        if ahead is not None and playing.is_late(ahead):  # so are the others of that process
            playing.late |= {one.seq for one in playing.left if self.writes(one) and playing.is_late(one)}
            if ahead.name == CallIntended.NAME:
                machine.given_up.append(self.payload)
            ahead = None
        if ahead is not None:
            playing.wait_until(ahead)
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
        elif self.function == "SettleFunction" and "ending" in self.payload:
            if (stopped := oracle.settle_failed(self.payload["ending"])) is not None:
                raise stopped
        elif ahead is None and self.function != "SettleFunction" and (stopped := oracle.stopped()) is not None:
            raise stopped

    @staticmethod
    def _before_the_deadline(machine: Machine, ahead: Any) -> None:
        """A model was asked, so the agent's time was not over when the agent looked."""
        playing = machine.playing
        if ahead.name != "model.requested" or not playing.run.is_open:
            return
        until = datetime.fromtimestamp((playing.agent_until_ms(ahead.turn) - 1) / 1000, tz=playing.now.tzinfo)
        playing.now = min(playing.now, until)

    @staticmethod
    def _at_the_reading(machine: Machine, ahead: Any) -> None:
        """Set the clock as it was read for the deadlines; where nobody answered, the executor's table has it too."""
        if ahead.name == "run.opened" and (hurry := machine.oracle.hurry) is not None:
            machine.playing.now = hurry.now
        until_ms = ahead.body.get("deadline_ms")
        if ahead.name == "call.approval_answered" and until_ms is not None and machine.playing.run.is_open:
            renewed_s = machine.playing.recorded.events.opening.limits.deadline_s
            began = datetime.fromtimestamp(until_ms / 1000 - renewed_s, tz=machine.playing.now.tzinfo)
            machine.playing.now += began - datetime.fromisoformat(ahead.at)


class _Workflow:
    """The environment of the state machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine, self._now = machine, NOON

    def now(self) -> datetime:
        """The time at which the state was entered: the record says what took too long, and not this clock."""
        return self._now

    def entered(self, state: str) -> None:
        self._now = self._machine.playing.now

    def pause(self, seconds: float) -> None:
        self._machine.playing.pause(seconds)

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
            self._machine.playing.note("the execution was stopped while it waited for a person")
            raise

    def answered(self, token: str) -> Any:
        return None
