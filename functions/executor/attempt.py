"""One attempt at one call, and the run that its rules look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
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
from functions.executor.record import Done, Position, Recorded

if TYPE_CHECKING:
    from functions.executor.moving import Moving

FactT = TypeVar("FactT", bound=Fact)
#: So long an attempt lived at most before ``call.doubted`` said how long: the executor's timeout in template.yaml.
_LIVED_MS = 60_000
#: An undo was made of what has happened: it need not find its values.
_NEED_NO_GROUND = (Planner.ROLLBACK,)


class History:
    """The run of one task, read once each.

    A plain read of a tool costs as many bytes however long the run is: only ``turn`` is read. A rule that is a
    fold over the run (repeats, grounding) reads ``run``, and only for the tools that it is about.
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
        """What claims to be a person's in that turn and is not signed: no part of ``turn``."""
        return self._read_unsigned() if self.turn else ()

    @cached_property
    def run(self) -> Run:
        """The run, strongly consistent; see ``RunLog.follow``. Not older than ``turn``."""
        return self._read_run()

    @property
    def opening(self) -> Opening:
        """How the run began, with the deadlines as its turn renewed them."""
        return self.turn.opening

    def add(self, event: Event) -> None:
        """Take note of what this attempt itself has recorded in the task's turn."""
        if event.seq not in self.turn.by_seq:
            self.turn = self.turn.with_event(event)
        self.renew()

    def read_again(self) -> None:
        """Read the task's turn again when it is asked for: another attempt may have written since."""
        vars(self).pop("turn", None)
        self.renew()

    def renew(self) -> None:
        """Read the whole run again when it is asked for."""
        vars(self).pop("run", None)

    def call(self, turn: int, index: int) -> CallState | None:
        """Return the call at that position of the task's turn, or None where nobody proposed it."""
        return self.turn.call(turn, index)

    def so_far(self, task: ExecuteTask, windows: MovedSoFar | None = None) -> RunSoFar:
        """Return the run before the task's call, for a rule of its tool; ``windows``: what was moved by all runs."""
        return RunSoFar.before(self.run, task.turn, task.index, windows)


@dataclass(frozen=True)
class ProposedCall:
    """A call as the log has it, whether or not its gate lets it pass.

    task     its coordinates
    state    what the log says of it so far
    history  the run
    tool     its tool; None where the playbook has none of that name
    context  the Lambda context: its request id tells this attempt from every other one, its time left is the lease
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
        """Whether an attempt was about to act: only what resolves the call can say then that nothing was done."""
        return self.state.status == "intended" and self.state.effect == Effect.WRITE


@dataclass(frozen=True)
class Doubt:
    """An attempt that ended with an error: what is in ``call.doubted``.

    message   the error
    ran       whether that was the tool's own; else it is of what was asked afterwards, ``verify`` or the tool again
    until_ms  until when what it sent may still arrive, milliseconds since 1970; 0 where its lease lasted as long
    """

    message: str
    ran: bool
    until_ms: int


@dataclass(frozen=True)
class Attempt:
    """A call that has passed the gate.

    task      its coordinates
    state     what the log says of it so far
    tool, args  what would be executed
    history   the run that the rules look at
    context   what the tool itself gets besides its arguments
    moving    what it moves of the business's own money
    recorded  what the executor itself recorded of the run's writes
    append    writes a fact of this run to the log; the first one under its key stands
    disbelieve  reports an event of the log that was forged, which is no part of the run from then on
    undoes    the effect that it has claimed to undo; empty for most
    cut       makes what an error says short enough to be recorded
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
        """Where the values of its arguments come from; read only as far as they ask for it.

        Those without a mark are looked at where untrusted text could do harm by them.
        """
        unmarked = self.tool.taint != "allow" and self.playbook.may_read_untrusted
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
    def at(self) -> Position:
        """Its position: turn and index."""
        return self.task.turn, self.task.index

    @cached_property
    def earlier_writes(self) -> Mapping[Position, Done]:
        """What is recorded of the run's writes before this call, by position.

        The log says where there may be some: its keys, which nobody can take away, and not what stands under them.
        """
        calls = {(event.turn, event.index) for event in self.history.run if event.name.startswith("call.")}
        return self.recorded.of(self.task.run_id, {at for at in calls if at < self.at})

    def so_far(self) -> RunSoFar:
        """Return the run before this call, with what was moved where the tool moves something."""
        return self.history.so_far(self.task, self.moving.so_far())

    @property
    def now(self) -> datetime:
        """The time of this attempt, UTC."""
        return self.context.now

    @cached_property
    def cost_microusd(self) -> int | None:
        """What it may cost at most, None where nothing. Raises ``RuleViolation`` where the tool cannot say.

        What an earlier attempt has reserved stands, whatever the tool would say now.
        """
        intended = self.history.turn.fact(CallIntended, *self.at)
        if intended is None:
            return self.tool.worst_cost(self.args, self.request)
        return intended.reserved_microusd if "reserved_microusd" in intended.model_fields_set else None

    @property
    def rounds(self) -> tuple[ApprovalRound, ...]:
        """The rounds of asking people about the call, oldest first."""
        return self.history.turn.approvals(*self.at)

    @property
    def is_with_people(self) -> bool:
        """Whether people are being asked, or said no: that is what becomes of the call."""
        rounds = self.rounds
        return bool(rounds) and (rounds[-1].answer is None or not rounds[-1].answer.approve)

    @property
    def idempotency_key(self) -> str:
        """The effect's identity: run, turn, position. The same for every attempt at this call."""
        return self.context.idempotency_key

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """The attempts at this call before this one that ended in doubt, in their order."""
        return tuple(
            Doubt(doubted.message, doubted.ran, _until_ms(doubted, event.at))
            for event, doubted in self._tries
            if doubted.nothing is None
        )

    @property
    def nothing(self) -> str | None:
        """What the last attempt before this one said, where each of them said that nothing was done; else None.

        The log has each of them but the first as two events: it begins, it has done nothing. Who died between them has
        left the first one alone, and nobody knows what it did.
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
        """Record that this attempt ended in doubt; ``nothing``: that it "begins", or has "done" nothing.

        ``until_ms``: when its lease ends. It is in the log where the attempt ``gives_back`` its lease before that.
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
        """The same attempt as it would be if the call had not been begun."""
        begun = (CallIntended.NAME, CallReserved.NAME, CallDoubted.NAME)
        turn = self.history.turn.only(lambda one: (one.turn, one.index) != self.at or one.name not in begun)
        state = turn.call(*self.at) or self.state
        return replace(self, state=state, history=History(lambda: turn, lambda: self.history.run))

    def was_shown(self, call_sha256: str, *, changed: bool) -> bool:
        """Say whether people who were shown the call with that hash were shown what would be executed.

        They see the form that was recorded with the question, masked. ``changed``: they changed the arguments, and
        were shown what those were before.
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
        """Return what the last question to people said."""
        return next((one for one in reversed(turn.facts(ApprovalNeeded)) if one.at == self.at), None)

    @property
    def proposed_sha256(self) -> str:
        """The hash of the arguments as they were sent, in their masked form: what the form was made of."""
        return sha256(canonical(self._shown.call.arguments))

    @property
    def call_sha256(self) -> str:
        """The hash of the call as it would be executed; of its masked form, so it is no help in guessing a secret."""
        return sha256(canonical(self._shown.call.model_dump(mode="json")))

    @property
    def _shown(self) -> CallState:
        return self.history.turn.as_shown.call(*self.at) or self.state

    def record(self, fact: FactT) -> FactT:
        """Append to the log and return what is recorded, which the history has from then on."""
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
    """Return the state with the call as it would be executed: its arguments in their one form.

    Raises ``RuleViolation`` where a call that was begun was begun with others, or as a tool with another effect: the
    playbook has changed since.
    """
    if state.status == "intended" and state.effect is not None and state.effect != tool.effect:
        raise RuleViolation(f"{tool.name}: its effect was {state.effect} when it was begun, and is {tool.effect} now.")
    call = state.call.model_copy(update={"arguments": tool.form.write(args)})
    begun = state.admitted if state.status == "intended" else None
    if begun is not None and begun.arguments not in (call.arguments, state.call.arguments):
        fields = differing(begun.arguments, call.arguments)
        raise RuleViolation(f"{tool.name}: {fields}: its arguments are read in another way now than when it was begun.")
    return replace(state, call=call)


def differing(one: Any, other: Any) -> str:
    """Return the names that are not the same in two forms; of what is no object, that it is the whole."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return "(whole)"
    return ", ".join(sorted(name for name in {*one, *other} if one.get(name) != other.get(name))) or "(whole)"
