"""The events of a run: one frozen model for each kind, and the envelope in which the log keeps it.

An event's key follows from its model, so a writer names no key and a reader no field by hand::

    log.record(run_id, CallRefused(turn=3, index=1, tool="refund", error="…", message="…"))
    for refused in facts(events, CallRefused): refused.turn, refused.message

    0000.run.opened │ refused                     RunOpened, RunRefused
    0003.model.requested                          ModelRequested    attempt 1; 0003.model.2.requested: attempt 2
    0003.model.failed                             ModelFailed       likewise
    0003.model.responded                          ModelResponded    one a turn, whichever attempt brought it
    0003.plan.decided                             PlanDecided       by a planner without a completion
    0003.call.1.intended │ reserved │ settled …   CallIntended, CallReserved, CallSettled, CallRefused
    0003.call.1.doubted │ doubted.2               CallDoubted       one for each attempt that ended in doubt
    0003.call.1.approval_needed │ … .2            ApprovalNeeded, ApprovalRequested, ApprovalAnswered, ApprovalVoid
    0003.call.1.approval_given.1.2                ApprovalGiven     round 1, the second person
    0004.escalation.opened │ answered │ announced EscalationOpened, EscalationAnswered, EscalationAnnounced
    0004.lease.extended                           LeaseExtended
    9999.run.ended │ settled │ announced …        RunEnded, RunSettled, RunCorrected, RunAnnounced, RunReplied

A model has the fields that Ballast reads or writes today. A field that another version wrote is kept: reading and
writing a body again gives the same body. What is absent stays absent. Imports ``ballast.contracts``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, PlainSerializer, PlainValidator, Strict

from ballast.contracts.decision import Decision, Effects, Planner, ToolCall, recorded_decision
from ballast.contracts.task import LAST_TURN, HandedOver
from ballast.contracts.wire import canonical
from ballast.log.keys import Key


def _decision(value: Any) -> Any:
    return value if isinstance(value, BaseModel) else recorded_decision(value)


def _call(value: Any) -> Any:
    return value if isinstance(value, ToolCall) else ToolCall.model_validate(value, strict=False)


def _cut(value: Any) -> Any:
    return value if isinstance(value, HandedOver) else HandedOver.model_validate(value, strict=False)


def _whole(value: BaseModel) -> Any:
    return value.model_dump(mode="json", by_alias=True)


def _given(value: BaseModel) -> Any:
    return value.model_dump(mode="json", by_alias=True, exclude_unset=True)


#: A whole number: no bool, no text of digits, no float.
Int = Annotated[int, Strict()]
#: Any text, also one with a lone surrogate, which a model may write.
Str = InstanceOf[str]
Bool = Annotated[bool, Strict()]
#: An amount: whole millionths, 0 or more. A negative amount would make room in a window, and fractions do not add up.
Micro = Annotated[int, Strict(), Field(ge=0)]
_Json = dict[str, Any]
# Read by JSON's rules, and written as they were given.
_Decided = Annotated[Decision, PlainValidator(_decision), PlainSerializer(_whole)]
_Call = Annotated[ToolCall, PlainValidator(_call), PlainSerializer(_given)]
_Cut = Annotated[HandedOver, PlainValidator(_cut), PlainSerializer(_whole)]


class Part(BaseModel):
    """A value inside an event's body."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)


class Fact(Part):
    """What an event says. Its position is in its key, the rest in its body."""

    NAME: ClassVar[str]
    #: The fields that are the position, and no part of the body.
    AT: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def read(cls, key: Key, body: Mapping[str, Any]) -> Fact:
        """Return the fact of ``body`` under ``key``. Raises ``ValidationError``, ``LogCorrupt``."""
        return cls.model_validate({**body, **{name: getattr(key, name) for name in cls.AT}})

    @classmethod
    def key(cls, *at: int) -> str:
        """Return the key at that position: turn, then index, round and number as far as the model has them."""
        raise NotImplementedError

    @property
    def seq(self) -> str:
        """The key."""
        return self.key(*(getattr(self, name) for name in self.AT))

    @property
    def body(self) -> dict[str, Any]:
        """The body as JSON: what was given, and nothing else. Any text is taken, also one that is no Unicode."""
        given = self.model_dump(by_alias=True, exclude_unset=True, exclude=set(self.AT))
        body: dict[str, Any] = json.loads(canonical(given))
        return body


class _OfRun(Fact):
    _TURN: ClassVar[int] = LAST_TURN

    @classmethod
    def key(cls, *_at: int) -> str:
        return f"{cls._TURN:04d}.{cls.NAME}"


class _OfTurn(Fact):
    AT: ClassVar[tuple[str, ...]] = ("turn",)
    turn: int

    @classmethod
    def key(cls, *at: int) -> str:
        return f"{at[0]:04d}.{cls.NAME}"


class OfCall(Fact):
    """A fact about one call."""

    AT: ClassVar[tuple[str, ...]] = ("turn", "index")
    turn: int
    index: int

    @property
    def at(self) -> tuple[int, int]:
        """The call's position: turn and index."""
        return self.turn, self.index

    @classmethod
    def key(cls, *at: int) -> str:
        return f"{at[0]:04d}.call.{at[1]}.{cls.NAME.partition('.')[2]}"


class _OfRound(OfCall):
    AT: ClassVar[tuple[str, ...]] = ("turn", "index", "round")
    round: int = 1

    @classmethod
    def key(cls, *at: int) -> str:
        seq = super().key(*at)
        return seq if len(at) < 3 or at[2] == 1 else f"{seq}.{at[2]}"


# ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────────


class RunOpened(_OfRun):
    """The run was admitted.

    request                      as it was sent, with the agent's name
    limits                       as admitted
    lease                        the money of the run; None in a log from before there were leases
    agent_until_ms, deadline_ms  epoch milliseconds
    requested_by                 who asked, where the front door knew
    """

    NAME = "run.opened"
    _TURN = 0
    request: _Json
    request_sha256: Str | None = None
    limits: _Json
    agent: Str = ""
    model: Str = ""
    agent_until_ms: Int
    deadline_ms: Int
    lease: _Json | None = None
    requested_by: Str | None = None


class RunRefused(_OfRun):
    """The run was not admitted. ``reason`` is an error's name, ``opens_at`` when there is room again (ISO 8601)."""

    NAME = "run.refused"
    _TURN = 0
    request: _Json | None = None
    request_sha256: Str | None = None
    reason: Str
    message: Str
    opens_at: Str | None = None


class Evidence(Part):
    """What an ending vouches for; see ``ballast.log.evidence``."""

    sha256: Str | None = None
    events: Str | None = None
    since: Str | None = None
    unsigned: Str = ""
    keys: Str = ""
    marks: Str = ""


class RunEnded(_OfRun):
    """The run ended, whatever ended it.

    by           the planner whose answer it is
    degraded     it was not the agent that answered
    effects      none, kept, undone or frozen
    answer_turn  the turn of the answer
    """

    NAME = "run.ended"
    status: Str
    by: Planner | None = None
    degraded: Bool = False
    spent_microusd: Micro
    reserved_microusd: Micro
    effects: Effects | None = None
    reason: Str | None = None
    answer: Str | None = None
    answer_turn: Int | None = Field(default=None, alias="turn")
    evidence: _Json | None = None


class RunSettled(_OfRun):
    """The lease was settled. ``beyond_microusd``: what the log claims above it, and nobody is charged for."""

    NAME = "run.settled"
    leased_microusd: Micro
    charged_microusd: Micro
    returned_microusd: Micro
    beyond_microusd: Micro = 0
    evidence: _Json | None = None


class RunCorrected(_OfRun):
    """An operator corrected the charge; ``number`` counts from 1."""

    NAME = "run.corrected"
    AT: ClassVar[tuple[str, ...]] = ("number",)
    number: int = 1
    was_microusd: Micro
    charged_microusd: Micro
    by: Str
    reason: Str = ""

    @classmethod
    def read(cls, key: Key, body: Mapping[str, Any]) -> Fact:
        return cls.model_validate({**body, "number": key.index})

    @classmethod
    def key(cls, *at: int) -> str:
        return f"{LAST_TURN}.run.corrected" if at[0] == 1 else f"{LAST_TURN}.run.{at[0]}.corrected"


class RunAnnounced(_OfRun):
    """An event told others how the run ended."""

    NAME = "run.announced"
    event_id: Str
    detail_type: Str


class RunReplied(_OfRun):
    """The caller's queue was told how the run ended. ``error``: why it was not."""

    NAME = "run.replied"
    event_id: Str
    reply_to: Str
    error: Str | None = None


# ── the model ────────────────────────────────────────────────────────────────────────────────────────────────────


def _attempt_key(kind: type[Fact], turn: int, attempt: int = 1) -> str:
    step = kind.NAME.partition(".")[2]
    return f"{turn:04d}.model.{step}" if attempt == 1 else f"{turn:04d}.model.{attempt}.{step}"


def _read_attempt(kind: type[Fact], key: Key, body: Mapping[str, Any]) -> Fact:
    """Return the fact of an attempt, whose number stands in its key and in its body."""
    if body.get("attempt", key.index) != key.index:
        raise ValueError(f"attempt: its key says {key.index}")
    return kind.model_validate({"attempt": key.index, **body, "turn": key.turn})


class LoopSignal(Part):
    """A signal that the agent repeats itself, at one call; see ``ballast.folds.loops``."""

    index: Int
    step: Str
    kind: Str
    count: Int
    same_as: tuple[Int, Int]
    answer: Bool


class ModelRequested(_OfTurn):
    """A model is about to be asked: the reservation, and what is new in the prompt.

    after, covers    the completion that the prompt continues; the events that it tells of for the first time
    system, tools    only where they are others than before
    prompt_sha256    of the exact prompt, its inference settings and every event that it covers
    prompt_bound     tokens that the prompt can have at most; ``sent_bytes``: bytes of its texts
    invocation       tells the attempt from a concurrent one
    """

    NAME = "model.requested"
    attempt: Int
    after: Str | None = None
    covers: tuple[Str, ...] = ()
    messages: tuple[Any, ...] = ()
    system: Any = None
    tools: Any = None
    model: Str = Field(default="", alias="gen_ai.request.model")
    max_tokens: Int = Field(default=0, alias="gen_ai.request.max_tokens")
    temperature: Str | None = Field(default=None, alias="gen_ai.request.temperature")
    prompt_bound: Int | None = Field(default=None, alias="input_tokens_bound")
    sent_bytes: Int = 0
    reserved_microusd: Micro
    price_version: Str = ""
    service_tier: Str | None = None
    prompt_sha256: Str = ""
    loop_signals: tuple[LoopSignal, ...] = Field(default=(), alias="despair")
    passed_over: dict[Str, Str] = Field(default_factory=dict)
    invocation: Str | None = None

    @classmethod
    def read(cls, key: Key, body: Mapping[str, Any]) -> Fact:
        return _read_attempt(cls, key, body)

    @classmethod
    def key(cls, *at: int) -> str:
        return _attempt_key(cls, *at)

    @property
    def seq(self) -> str:
        return self.key(self.turn, self.attempt)

    @property
    def inference(self) -> dict[str, Any]:
        """What the prompt's digest covers beside the prompt."""
        return {"model": self.model, "max_tokens": self.max_tokens, "temperature": self.temperature}


class Charged(_OfTurn):
    """What an attempt cost, and the tokens that this is computed from; None where no usage is believed."""

    attempt: Int
    cost_microusd: Micro
    model: Str = Field(default="", alias="gen_ai.request.model")
    price_version: Str = ""
    service_tier: Str | None = None
    input_tokens: Int | None = Field(default=None, alias="gen_ai.usage.input_tokens")
    output_tokens: Int | None = Field(default=None, alias="gen_ai.usage.output_tokens")
    cache_read_tokens: Int | None = Field(default=None, alias="gen_ai.usage.cache_read.input_tokens")
    cache_write_tokens: Int | None = Field(default=None, alias="gen_ai.usage.cache_creation.input_tokens")
    #: Of those written, the ones that are kept for an hour; there is no convention for them.
    cache_write_1h_tokens: Int | None = Field(default=None, alias="ballast.usage.cache_creation_1h.input_tokens")
    usage_disbelieved: Str | None = None
    latency_ms: Int | None = None
    exit_reason: Str | None = None

    @property
    def tokens(self) -> int:
        """All tokens that were charged."""
        parts = (self.input_tokens, self.output_tokens, self.cache_read_tokens, self.cache_write_tokens)
        return sum(part or 0 for part in parts)


class ModelResponded(Charged):
    """The turn's completion, and what was decided by it. ``refused_answer``: why its answer was not sent."""

    NAME = "model.responded"
    message: _Json | None = None
    stop_reason: Str | None = None
    decision: _Decided
    parallel: Bool = False
    loop_signals: tuple[LoopSignal, ...] = Field(default=(), alias="despair")
    refused_answer: tuple[Str, ...] | None = None


class ModelFailed(Charged):
    """An attempt that brought no completion, or one that came too late."""

    NAME = "model.failed"
    error: Str = ""

    @classmethod
    def read(cls, key: Key, body: Mapping[str, Any]) -> Fact:
        return _read_attempt(cls, key, body)

    @classmethod
    def key(cls, *at: int) -> str:
        return _attempt_key(cls, *at)

    @property
    def seq(self) -> str:
        return self.key(self.turn, self.attempt)


# ── planners and people ──────────────────────────────────────────────────────────────────────────────────────────


class BreakerHeld(Part):
    """The spend breaker that stopped the agent, and the time up to which a person's grant passes it."""

    mode: Str
    by: Str | None = None
    reason: Str | None = None
    at: Str


class PlanDecided(_OfTurn):
    """A planner's decision without a completion.

    handed_over  the workflow itself took the planner before this one out of charge
    undoes       turn and index of the effect that a rollback's call takes back
    breaker      where the spend breaker decided
    """

    NAME = "plan.decided"
    planner: Planner
    decision: _Decided
    parallel: Bool = False
    note: Str | None = None
    handed_over: _Cut | None = None
    undoes: tuple[Int, Int] | None = None
    breaker: BreakerHeld | None = None


class EscalationOpened(_OfTurn):
    """People, or the requester (``kind`` question), were told that the run waits. ``answer_by``: ISO 8601."""

    NAME = "escalation.opened"
    escalation_id: Str
    kind: Str | None = None
    reason: Str = ""
    summary: Str = ""
    proposed_decision: Any = None
    answer_by: Str | None = None
    may_not_answer: tuple[Str, ...] = ()
    handed_over: _Cut | None = None


class EscalationAnswered(_OfTurn):
    """A person's decision, signed. ``agent_until_ms`` and ``deadline_ms`` renew the run's time."""

    NAME = "escalation.answered"
    escalation_id: Str | None = None
    kind: Str | None = None
    by: Str | None = None
    role: Str | None = None
    decision: _Decided
    agent_until_ms: Int | None = None
    deadline_ms: Int | None = None


class EscalationAnnounced(_OfTurn):
    """An event told others that the run waits for people."""

    NAME = "escalation.announced"
    event_id: Str
    detail_type: Str = ""


class LeaseExtended(_OfTurn):
    """The budget that a person added in that turn was taken from the windows."""

    NAME = "lease.extended"
    microusd: Micro
    hour: Str | None = None
    day: Str | None = None


# ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Moves(Part):
    """What a call moves of the business's own money, in micro-units. ``back``: its undo gives it back."""

    micro: Micro
    unit: Str | None = None
    customer: Str | None = None
    hour: Str
    day: Str
    back: Bool


class Reserves(OfCall):
    """A fact that sets money aside for a call of a tool that costs."""

    reserved_microusd: Micro = 0


class CallIntended(Reserves):
    """The call is about to be executed: its one form, its key, what would undo it and what a rollback does."""

    NAME = "call.intended"
    tool: Str
    arguments: Any = None
    effect: Str
    planner: Planner | None = None
    idempotency_key: Str | None = None
    undo: _Call | None = None
    invocation: Str | None = None
    approval: _Json | None = None
    grounded: _Json | None = None
    tainted: _Json | None = None
    derived: _Json | None = None
    moves: Moves | None = None
    repeat: Str | None = None
    on_rollback: Str | None = None


class CallReserved(Reserves):
    """Money was reserved again, for the second attempt at a read that costs."""

    NAME = "call.reserved"
    tool: Str | None = None
    invocation: Str | None = None


class CallDoubted(_OfRound):
    """An attempt ended in doubt.

    ran       the error was the tool's own; else of what was asked afterwards
    nothing   the tool said that nothing was done ("done"), or that it begins again after that ("begins")
    until_ms  when its lease ends, epoch milliseconds; 0 where it kept it until then
    """

    NAME = "call.doubted"
    tool: Str | None = None
    message: Str
    ran: Bool
    invocation: Str | None = None
    nothing: Str | None = None
    until_ms: Int | None = None


class LeftOut(Part):
    """A result that was too large to be recorded."""

    bytes: Int
    sha256: Str


class CallSettled(OfCall):
    """The call's outcome: ok, failed, denied or unknown.

    undo         the call that undoes the effect
    repeat_of    turn and index of the call whose recorded result this one got; it had no effect of its own
    notice       what the model is told beside the result
    unanswered   what follows where nobody answered
    defect       the message is that of an error and of no outcome of the business
    """

    NAME = "call.settled"
    tool: Str | None = None
    status: Str
    result: Any = None
    message: Str = ""
    undo: _Call | None = None
    notice: Str = ""
    repeat_of: tuple[Int, Int] | None = None
    unanswered: Str | None = None
    defect: Bool = False
    left_out: LeftOut | None = None
    latency_ms: Int | None = None
    cost_microusd: Micro | None = None


class CallRefused(OfCall):
    """The call did not pass the gate or a rule; it reached no tool. ``error`` is the name of the error."""

    NAME = "call.refused"
    tool: Str | None = None
    arguments: Any = None
    error: Str = ""
    message: Str


class ApprovalNeeded(_OfRound):
    """Why people are asked, and what their answer is bound to. ``parked``: they have the long time."""

    NAME = "call.approval_needed"
    tool: Str | None = None
    arguments: Any = None
    proposed_sha256: Str | None = None
    why: tuple[Str, ...] = ()
    approvals: Int = 1
    approvers: Str | None = None
    binding: _Json | None = None
    parked: Bool = False


class ApprovalRequested(_OfRound):
    """People were told. ``binding``: the hash of what their answer is bound to."""

    NAME = "call.approval_requested"
    escalation_id: Str | None = None
    kind: Str = "approval"
    reason: Str = ""
    summary: Str = ""
    proposed_decision: Any = None
    answer_by: Str | None = None
    may_not_answer: tuple[Str, ...] = ()
    why: tuple[Str, ...] = ()
    approvals_needed: Int = 1
    approvers: Str | None = None
    binding: Str | None = None
    handed_over: _Cut | None = None


class ApprovalGiven(_OfRound):
    """One of several people approved, or changed the arguments (``changed``); ``number`` counts the answers."""

    NAME = "call.approval_given"
    AT: ClassVar[tuple[str, ...]] = ("turn", "index", "round", "number")
    number: int
    escalation_id: Str | None = None
    by: Str
    comment: Str = ""
    given: Int = 0
    needed: Int = 1
    binding: Str | None = None
    changed: Bool = False
    arguments: Any = None

    @property
    def changes_arguments(self) -> bool:
        """Whether this answer changed the arguments, and to what is known."""
        return self.changed and "arguments" in self.model_fields_set

    @classmethod
    def key(cls, *at: int) -> str:
        return f"{at[0]:04d}.call.{at[1]}.approval_given.{at[2]}.{at[3]}"


class Approved(Part):
    """One person's approval."""

    by: Str
    at: Str | None = None
    comment: Str = ""
    group: Str | None = None


class ApprovalAnswered(_OfRound):
    """The answer that decides: a person's, signed. ``approve`` is None where nobody answered in time.

    arguments    as a person changed them; absent where nobody did
    call_sha256  the call that people saw
    """

    NAME = "call.approval_answered"
    escalation_id: Str | None = None
    approve: Bool | None
    by: Str | None = None
    comment: Str = ""
    approvals: tuple[Approved, ...] = ()
    binding: Any = None
    call_sha256: Str | None = None
    arguments: Any = None
    shown: Str | None = None
    agent_until_ms: Int | None = None
    deadline_ms: Int | None = None

    @property
    def changes_arguments(self) -> bool:
        """Whether a person changed the arguments."""
        return "arguments" in self.model_fields_set


class ApprovalVoid(_OfRound):
    """An approval that no longer holds: what had moved when the call was about to act, and what it is bound to now."""

    NAME = "call.approval_void"
    tool: Str | None = None
    moved: tuple[Str, ...] = ()
    binding: _Json | None = None


class Other(Fact):
    """An event of a kind that this version does not know."""

    NAME = ""


_KINDS: tuple[type[Fact], ...] = (
    RunOpened,
    RunRefused,
    RunEnded,
    RunSettled,
    RunCorrected,
    RunAnnounced,
    RunReplied,
    ModelRequested,
    ModelResponded,
    ModelFailed,
    PlanDecided,
    EscalationOpened,
    EscalationAnswered,
    EscalationAnnounced,
    LeaseExtended,
    CallIntended,
    CallReserved,
    CallDoubted,
    CallSettled,
    CallRefused,
    ApprovalNeeded,
    ApprovalRequested,
    ApprovalGiven,
    ApprovalAnswered,
    ApprovalVoid,
)
KINDS: Mapping[str, type[Fact]] = {kind.NAME: kind for kind in _KINDS}
