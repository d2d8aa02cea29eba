"""The values of one attempt at a call: the call, the attempt, and the run that its rules read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from ballast.contracts import ExecuteTask, Planner, RunRequest
from ballast.contracts.wire import canonical, sha256
from ballast.errors import RuleViolation
from ballast.folds.approvals import ApprovalRound
from ballast.folds.calls import CallState
from ballast.folds.opening import Opening
from ballast.log.event import Event
from ballast.log.events import ApprovalNeeded, CallDoubted, CallIntended, CallReserved, Fact
from ballast.log.run_log import RunLog
from ballast.playbook import Effect, Playbook, RunSoFar, Tool, ToolContext
from ballast.playbook.rules import MovedSoFar
from ballast.run import Run
from ballast.validation import Grounding, ground, opening_sources, run_sources
from ballast.values import dataclass
from functions.executor.record import Done, Position, Recorded

if TYPE_CHECKING:
    from functions.executor.moves import Moving

FactT = TypeVar("FactT", bound=Fact)
#: The longest life of an attempt whose ``call.doubted`` does not say it: the executor's timeout in template.yaml.
_LIVED_MS = 60_000
#: Planners whose values need no source: an undo is made from the recorded effect.
_NEED_NO_GROUND = (Planner.ROLLBACK,)


class History:
    """The run of one task, as its turn and as a whole, each read once.

    A plain read tool needs ``turn`` alone, so its call costs the same in a long run. A rule that is a fold over the run
    (repeats, grounding) reads ``run``, and only for the tools that need it.
    """

    def __init__(
        self,
        turn: Callable[[], Run],
        run: Callable[[], Run],
        unsigned: Callable[[], tuple[Event, ...]] = tuple,
    ) -> None:
        self._read_turn, self._read_run, self._read_unsigned = turn, run, unsigned

    @classmethod
    def of(cls, log: RunLog, task: ExecuteTask) -> History:
        """Return the history that ``log`` has of the task's run."""
        return cls(
            lambda: log.read_turn(task.run_id, task.turn),
            lambda: log.follow(task.run_id, task.turn),
            lambda: tuple(event for event in log.unsigned(task.run_id) if event.turn == task.turn),
        )

    @cached_property
    def turn(self) -> Run:
        """The run's opening and the events of the task's turn."""
        return self._read_turn()

    @property
    def unsigned(self) -> tuple[Event, ...]:
        """The turn's events that claim to be a person's and are not signed; ``turn`` is without them."""
        return self._read_unsigned() if self.turn else ()

    @cached_property
    def run(self) -> Run:
        """The run, strongly consistent; see ``RunLog.follow``. Not older than ``turn``."""
        return self._read_run()

    @property
    def opening(self) -> Opening:
        """The run's opening, with the deadlines as its turn renewed them."""
        return self.turn.opening

    def add(self, event: Event) -> None:
        """Add an event that this attempt has recorded in the task's turn."""
        if event.seq not in self.turn.by_seq:
            self.turn = self.turn.with_event(event)
        self.renew()

    def read_again(self) -> None:
        """Read the task's turn again at its next use: another attempt may have written since."""
        vars(self).pop("turn", None)
        self.renew()

    def renew(self) -> None:
        """Read the whole run again at its next use."""
        vars(self).pop("run", None)

    def call(self, turn: int, index: int) -> CallState | None:
        """Return the call at that position of the task's turn, or None where nobody proposed it."""
        return self.turn.call(turn, index)

    def so_far(self, task: ExecuteTask, windows: MovedSoFar | None = None) -> RunSoFar:
        """Return the run before the task's call, for a rule of its tool; ``windows``: the amounts moved by all runs."""
        return RunSoFar.before(self.run, task.turn, task.index, windows)


@dataclass(frozen=True)
class ProposedCall:
    """A call as the log has it, before the gate.

    task     its coordinates
    state    its state in the log
    history  the run
    tool     its tool; None where the playbook has no tool of that name
    context  the Lambda context: its request id is the attempt's id, its remaining time is the lease
    """

    task: ExecuteTask
    state: CallState
    history: History
    tool: Tool | None
    context: Any

    @property
    def at(self) -> Position:
        """Its position: turn and index."""
        return self.task.turn, self.task.index

    @property
    def begun_as_a_write(self) -> bool:
        """Whether an attempt has begun it as a write: then only its resolution can say that nothing was done."""
        return self.state.status == "intended" and self.state.effect == Effect.WRITE


@dataclass(frozen=True)
class Doubt:
    """A recorded ``call.doubted``: an attempt that ended with an error.

    message   the error's text
    ran       whether the tool's run raised it; if not, a later check did, by ``verify`` or by the tool
    until_ms  its requests may still arrive until then, in milliseconds since 1970; 0 if it kept its lease until then
    """

    message: str
    ran: bool
    until_ms: int


@dataclass(frozen=True)
class Attempt:
    """A call that has passed the gate.

    task      its coordinates
    state     its state in the log, with the arguments in their one form
    tool, args  the tool and its validated arguments
    history   the run that the rules read
    context   the tool's context
    moving    the business's own money that it moves
    recorded  the executor's own records
    append    writes a fact of this run to the log; the first fact under its key stands
    disbelieve  reports a forged event of the log, and excludes it from the run
    cut       cuts the text of an error to the length that is recorded
    undoes    the position of the effect that it has claimed to undo; empty for most calls
    """

    task: ExecuteTask
    state: CallState
    tool: Tool
    args: BaseModel
    history: History
    playbook: Playbook
    context: ToolContext
    moving: Moving
    recorded: Recorded
    append: Callable[[Fact], Event]
    disbelieve: Callable[[Event], None]
    cut: Callable[[str], str]
    undoes: list[Position] = field(default_factory=list)

    @property
    def request(self) -> RunRequest:
        """The run's request."""
        return self.history.opening.request

    @cached_property
    def grounding(self) -> Grounding:
        """The sources of the values of its arguments; the run is read only if a value needs it.

        Values without a mark are checked where untrusted text could do harm through them.
        """
        unmarked = self.tool.taint != "allow" and (self.playbook.may_read_untrusted or self._has_files)
        if self.state.planner in _NEED_NO_GROUND or not (self.tool.has_grounded or unmarked):
            return Grounding()
        trust_text, tools = self.playbook.agent.trust_text, self.playbook.tools
        opening = opening_sources(self.request, trust_text=trust_text)
        return ground(
            self.args,
            opening,
            lambda: run_sources(
                self.history.run, tools, before_turn=self.task.turn, trust_text=trust_text, opening=opening
            ),
            unmarked=unmarked,
        )

    @property
    def _has_files(self) -> bool:
        return bool(self.history.run.before(self.task.turn).attachments)

    @property
    def at(self) -> Position:
        """Its position: turn and index."""
        return self.task.turn, self.task.index

    @cached_property
    def earlier_writes(self) -> Mapping[Position, Done]:
        """The executor's records of the run's writes before this call, by position.

        The positions come from the keys of the log, which nobody can remove; the content under a key is not used.
        """
        calls = {(event.turn, event.index) for event in self.history.run if event.name.startswith("call.")}
        return self.recorded.of(self.task.run_id, {at for at in calls if at < self.at})

    def so_far(self) -> RunSoFar:
        """Return the run before this call, with the amounts moved if the tool moves money."""
        return self.history.so_far(self.task, self.moving.so_far())

    @property
    def now(self) -> datetime:
        """The time of this attempt, UTC."""
        return self.context.now

    @property
    def cost_microusd(self) -> int | None:
        """Its worst cost, None for a tool that costs nothing. Raises ``RuleViolation`` where the tool cannot tell.

        An earlier attempt's reservation stands, whatever the tool would say now, as soon as the history has it.
        """
        intended = self.history.turn.fact(CallIntended, *self.at)
        if intended is None:
            return self._declared_microusd
        return intended.reserved_microusd if "reserved_microusd" in intended.model_fields_set else None

    @cached_property
    def _declared_microusd(self) -> int | None:
        return self.tool.worst_cost(self.args, self.request)

    @property
    def rounds(self) -> tuple[ApprovalRound, ...]:
        """The rounds of asking people about the call, oldest first."""
        return self.history.turn.approvals(*self.at)

    @property
    def is_with_people(self) -> bool:
        """Whether people are being asked about the call, or have rejected it."""
        rounds = self.rounds
        return bool(rounds) and (rounds[-1].answer is None or not rounds[-1].answer.approve)

    @property
    def idempotency_key(self) -> str:
        """The effect's key: run, turn, position. It is the same for every attempt at this call."""
        return self.context.idempotency_key

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """The earlier attempts at this call that ended in doubt, in their order."""
        return tuple(
            Doubt(doubted.message, doubted.ran, _until_ms(doubted, event.at))
            for event, doubted in self._tries
            if doubted.nothing is None
        )

    @property
    def nothing(self) -> str | None:
        """The last earlier attempt's message if every earlier attempt said that it did nothing; else None.

        The log has "begins" and "done" for each such attempt, and only "done" for the first. An attempt that died in
        between has left only "begins", and nobody knows what it did.
        """
        said = [doubted.nothing for _, doubted in self._tries]
        if not said or said != (["done", "begins"] * len(said))[: len(said)] or said[-1] != "done":
            return None
        return self._tries[-1][1].message

    @property
    def _tries(self) -> tuple[tuple[Event, CallDoubted], ...]:
        events = [event for event in self.history.turn if event.name == CallDoubted.NAME]
        tries = zip(events, self.history.turn.facts(CallDoubted), strict=True)
        return tuple((event, doubted) for event, doubted in tries if doubted.at == self.at)

    def record_doubt(
        self, invocation: str, until_ms: int, message: str, ran: bool, gives_back: bool, nothing: str | None = None
    ) -> None:
        """Record that this attempt ended in doubt or, by ``nothing``, that it "begins" or has "done" nothing.

        ``until_ms``: the end of its lease, recorded if the attempt ``gives_back`` the lease before that.
        """
        doubted = CallDoubted(
            turn=self.task.turn,
            index=self.task.index,
            round=len(self._tries) + 1,
            tool=self.tool.name,
            message=message,
            ran=ran,
            invocation=invocation,
        )
        how = {"nothing": nothing} if nothing else {"until_ms": until_ms if gives_back else 0}
        self.record(doubted.model_copy(update=how))

    @property
    def as_proposed(self) -> Attempt:
        """The same attempt, as if the call had not begun."""
        begun = (CallIntended.NAME, CallReserved.NAME, CallDoubted.NAME)
        turn = self.history.turn.only(lambda one: (one.turn, one.index) != self.at or one.name not in begun)
        state = turn.call(*self.at) or self.state
        return replace(self, state=state, history=History(lambda: turn, lambda: self.history.run))

    def was_shown(self, call_sha256: str, *, changed: bool) -> bool:
        """Say whether the call with that hash, which people were shown, is the call that would be executed.

        People see the form that was recorded when they were asked, masked. ``changed``: they changed the arguments,
        and saw the arguments before the change.
        """
        call = self._shown.proposed or self._shown.call
        needed = self._needed(self.history.turn)
        if needed is not None and "proposed_sha256" in needed.model_fields_set:
            masked = self._needed(self.history.turn.as_shown)
            call = call.model_copy(update={"arguments": masked.arguments if masked is not None else None})
            if not changed and needed.arguments != self.state.call.arguments:
                return False
        return call_sha256 == sha256(canonical(call.model_dump(mode="json")))

    def _needed(self, turn: Run) -> ApprovalNeeded | None:
        """Return the last approval that people were asked for."""
        return next((one for one in reversed(turn.facts(ApprovalNeeded)) if one.at == self.at), None)

    @property
    def proposed_sha256(self) -> str:
        """The hash of the arguments as they were proposed, masked."""
        return sha256(canonical(self._shown.call.arguments))

    @property
    def call_sha256(self) -> str:
        """The hash of the call as it would be executed, masked: no secret can be guessed from it."""
        return sha256(canonical(self._shown.call.model_dump(mode="json")))

    @property
    def _shown(self) -> CallState:
        return self.history.turn.as_shown.call(*self.at) or self.state

    def record(self, fact: FactT) -> FactT:
        """Append to the log, return the recorded fact, and add it to the history."""
        event = self.append(fact)
        self.history.add(event)
        recorded = event.fact
        assert isinstance(recorded, type(fact))
        return recorded


def _until_ms(doubted: CallDoubted, at: str) -> int:
    if doubted.until_ms is not None:
        return doubted.until_ms
    return int(datetime.fromisoformat(at).timestamp() * 1000) + _LIVED_MS


def in_form(tool: Tool, args: BaseModel, state: CallState) -> CallState:
    """Return the state with the call as it would be executed: with the arguments in their one form.

    Raises ``RuleViolation`` where the call has begun with other arguments or with another effect of its tool: the
    playbook has changed since.
    """
    if state.status == "intended" and state.effect is not None and state.effect != tool.effect:
        raise RuleViolation(f"{tool.name}: its effect was {state.effect} when it was begun, and is {tool.effect} now.")
    call = state.call.model_copy(update={"arguments": tool.form.write(args)})
    begun = state.admitted if state.status == "intended" else None
    if begun is not None and begun.arguments not in (call.arguments, state.call.arguments):
        fields = differing(begun.arguments, call.arguments)
        raise RuleViolation(f"{tool.name}: {fields}: its arguments are read differently now than when it was begun.")
    return replace(state, call=call)


def differing(one: Any, other: Any) -> str:
    """Return the names of the fields that differ; "(whole)" where one of them is no object, or no field differs."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return "(whole)"
    return ", ".join(sorted(name for name in {*one, *other} if one.get(name) != other.get(name))) or "(whole)"
