"""The events of a run: one frozen model for each kind.

An event's key follows from its model, so writers and readers use no literal keys or field names::

    log.record(run_id, CallRefused(turn=3, index=1, tool="refund", error="…", message="…"))
    for refused in facts(events, CallRefused): refused.turn, refused.message

    0000.run.opened │ refused                     RunOpened, RunRefused
    0003.model.requested                          ModelRequested    attempt 1; 0003.model.2.requested: attempt 2
    0003.model.failed                             ModelFailed       the same
    0003.model.responded                          ModelResponded    one a turn, from any attempt
    0003.plan.decided                             PlanDecided       by fallback, rollback or agent, no completion
    0003.call.1.intended │ reserved │ settled …   CallIntended, CallReserved, CallSettled, CallRefused
    0003.call.1.doubted │ doubted.2               CallDoubted       one for each attempt in doubt
    0003.call.1.approval_needed │ … .2            ApprovalNeeded, ApprovalRequested, ApprovalAnswered, ApprovalVoid
    0003.call.1.approval_given.1.2                ApprovalGiven     round 1, the second person
    0004.escalation.opened │ answered │ announced EscalationOpened, EscalationAnswered, EscalationAnnounced
    0004.lease.extended                           LeaseExtended
    9999.run.ended │ settled │ announced …        RunEnded, RunSettled, RunCorrected, RunAnnounced, RunReplied
    9999.run.feedback │ run.2.feedback            RunFeedback       what people say of it afterwards
    9999.run.move_settled │ run.2.move_settled    RunMoveSettled    what an operator found of an unknown effect

A model has the fields that Ballast reads or writes today. Fields of another version are kept: reading and writing a
body gives the same body. An absent field stays absent. Imports ``ballast.contracts``.
"""

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


#: An integer: no bool, no float, no text of digits.
Int = Annotated[int, Strict()]
#: Any text, also with a lone surrogate: models write them.
Str = InstanceOf[str]
Bool = Annotated[bool, Strict()]
#: An amount: integer millionths, 0 or more. A negative amount would make room in a window.
Micro = Annotated[int, Strict(), Field(ge=0)]
_Json = dict[str, Any]
# Read by JSON's rules, and written unchanged.
_Decided = Annotated[Decision, PlainValidator(_decision), PlainSerializer(_whole)]
_Call = Annotated[ToolCall, PlainValidator(_call), PlainSerializer(_given)]
_Cut = Annotated[HandedOver, PlainValidator(_cut), PlainSerializer(_whole)]


class Part(BaseModel):
    """A value inside an event's body."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, defer_build=True)


class Fact(Part):
    """The content of an event. Its position is in the key, the other fields are in the body."""

    NAME: ClassVar[str]
    #: The fields of the position; they are not in the body.
    AT: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def read(cls, key: Key, body: Mapping[str, Any]) -> "Fact":
        """Return the fact of ``body`` and ``key``. Raises ``ValidationError``, ``LogCorrupt``."""
        return cls.model_validate({**body, **{name: getattr(key, name) for name in cls.AT}})

    @classmethod
    def key(cls, *at: int) -> str:
        """Return the key at a position: the turn, then index, round and number if the model has them."""
        raise NotImplementedError

    @property
    def seq(self) -> str:
        """The key."""
        return self.key(*(getattr(self, name) for name in self.AT))

    @property
    def body(self) -> dict[str, Any]:
        """The body as JSON: only the fields that were given. Any text is accepted, also with lone surrogates."""
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
    lease                        the money of the run; None in a log from before leases existed
    agent_until_ms, deadline_ms  epoch milliseconds
    requested_by                 the requester's identity, if the caller was authenticated
    attachments                  the request's files as they were found and checked (``Kept``)
    on_behalf                    names of the tokens that the requester brought
    made_of                      short digests of what ran: playbook, agent, cards, code; absent in older events
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
    attachments: list[_Json] = Field(default_factory=list)
    on_behalf: list[Str] = Field(default_factory=list)
    made_of: dict[Str, Str] = Field(default_factory=dict)


class RunRefused(_OfRun):
    """The run was not admitted. ``reason`` is an error's name; there is room again at ``opens_at`` (ISO 8601)."""

    NAME = "run.refused"
    _TURN = 0
    request: _Json | None = None
    request_sha256: Str | None = None
    reason: Str
    message: Str
    opens_at: Str | None = None


class Evidence(Part):
    """The digest of the events that an ending vouches for; see ``ballast.log.evidence``."""

    sha256: Str | None = None
    events: Str | None = None
    since: Str | None = None
    unsigned: Str = ""
    keys: Str = ""
    marks: Str = ""


class RunEnded(_OfRun):
    """The run ended, for any reason.

    by           the planner that answered
    degraded     the answer is not the agent's
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
    """The lease was settled. ``beyond_microusd``: cost in the log above the lease; nobody is charged for it."""

    NAME = "run.settled"
    leased_microusd: Micro
    charged_microusd: Micro
    returned_microusd: Micro
    beyond_microusd: Micro = 0
    evidence: _Json | None = None


class _Numbered(_OfRun):
    """What may happen to a run more than once; ``number`` counts from 1."""

    AT: ClassVar[tuple[str, ...]] = ("number",)
    number: int = 1

    @classmethod
    def read(cls, key: Key, body: Mapping[str, Any]) -> "Fact":
        return cls.model_validate({**body, "number": key.index})

    @classmethod
    def key(cls, *at: int) -> str:
        of, word = cls.NAME.split(".")
        return f"{LAST_TURN}.{of}.{word}" if at[0] == 1 else f"{LAST_TURN}.{of}.{at[0]}.{word}"


class RunCorrected(_Numbered):
    """An operator corrected the charge; ``number`` counts from 1."""

    NAME = "run.corrected"
    was_microusd: Micro
    charged_microusd: Micro
    by: Str
    reason: Str = ""


class RunMoveSettled(_Numbered):
    """An operator found out whether a call of unknown effect moved the business's own money; ``number`` counts from 1.

    A copy, also written before the run's end: the call's reservation has the original.

    call      its turn and index
    happened  its money moved
    """

    NAME = "run.move_settled"
    call: tuple[Int, Int]
    happened: Bool
    by: Str = ""


class RunFeedback(_Numbered):
    """A person says whether the run did right; ``number`` counts from 1.

    verdict  right or wrong
    by       the person as they were identified; ``role``: by which right they spoke
    note     untrusted text
    """

    NAME = "run.feedback"
    verdict: Str
    by: Str
    role: Str = ""
    note: Str = ""


class RunAnnounced(_OfRun):
    """The event about the run's end was sent."""

    NAME = "run.announced"
    event_id: Str
    detail_type: Str


class RunReplied(_OfRun):
    """The run's outcome was sent to the caller's queue. ``error``: why it could not be sent."""

    NAME = "run.replied"
    event_id: Str
    reply_to: Str
    error: Str | None = None


# ── the model ────────────────────────────────────────────────────────────────────────────────────────────────────


def _attempt_key(kind: type[Fact], turn: int, attempt: int = 1) -> str:
    step = kind.NAME.partition(".")[2]
    return f"{turn:04d}.model.{step}" if attempt == 1 else f"{turn:04d}.model.{attempt}.{step}"


def _read_attempt(kind: type[Fact], key: Key, body: Mapping[str, Any]) -> "Fact":
    """Return the fact of an attempt. Its number is in the key and in the body."""
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


class SentAs(Part):
    """The form in which a prompt is sent to its model. With it, the request of any turn can be made again.

    An absent field has the meaning that it had before there was this value: everything is sent as it is recorded.

    card, as_of      base id of the model's card, and the day of its facts
    system           takes a system prompt; else it stands before the first message
    text_beside_results, result_status, result_json    what its tool results may be like
    after_results    whether a cache point may stand right after a tool result; if not, a message of results ends with
                     a text
    own_reasoning    whether the reasoning of this model, and of no other, is sent back; absent: all is
    bound_reasoning  whether that reasoning goes back only after exactly what stood before it
    prefix           digest of what stands before the reply, sensitive values masked, where its reasoning is bound to it
    wide_ids         whether the ids of calls have nine characters
    top_p, additional_fields, output_config            settings of the request
    guardrail        Bedrock's: {"id": …, "version": …}
    cache_points     parts of the request that end with a cache point (tools, system, messages.0); absent: the model
                     takes none, or an older version asked it
    cache_ttl        lifetime of these points
    """

    card: Str = ""
    as_of: Str = ""
    system: Bool = True
    text_beside_results: Bool = True
    result_status: Bool = True
    result_json: Bool = True
    after_results: Bool = True
    own_reasoning: Bool | None = None
    bound_reasoning: Bool = False
    prefix: Str | None = None
    wide_ids: Bool = False
    top_p: Str | None = Field(default=None, alias="gen_ai.request.top_p")
    additional_fields: _Json = Field(default_factory=dict)
    output_config: _Json = Field(default_factory=dict)
    guardrail: dict[Str, Str] | None = None
    cache_points: tuple[Str, ...] | None = None
    cache_ttl: Str | None = None


class ModelRequested(_OfTurn):
    """A model is about to be asked: the reservation, and what is new in the prompt.

    after, covers    the completion that the prompt continues; the events that are new in the prompt
    system, tools    only if they differ from the earlier request's
    prompt_sha256    of the exact prompt, its inference settings and every event that it covers
    tools            in the model's dialect, as they are sent; null: none
    temperature      absent or null: none is sent
    prompt_bound     upper bound of the prompt's tokens; ``sent_bytes``: bytes of its texts
    sent_as          the form and settings of the request; absent in older events
    invocation       distinguishes the attempt from a concurrent one
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
    sent_as: SentAs = SentAs.model_construct()  # builds no validator at import
    prompt_sha256: Str = ""
    loop_signals: tuple[LoopSignal, ...] = Field(default=(), alias="despair")
    passed_over: dict[Str, Str] = Field(default_factory=dict)
    invocation: Str | None = None

    @classmethod
    def read(cls, key: Key, body: Mapping[str, Any]) -> "Fact":
        return _read_attempt(cls, key, body)

    @classmethod
    def key(cls, *at: int) -> str:
        return _attempt_key(cls, *at)

    @property
    def seq(self) -> str:
        return self.key(self.turn, self.attempt)

    @property
    def inference(self) -> dict[str, Any]:
        """The settings of the request, which the prompt's digest covers too."""
        settings = {"model": self.model, "max_tokens": self.max_tokens, "temperature": self.temperature}
        if "sent_as" in self.model_fields_set:
            settings["sent_as"] = self.sent_as.model_dump(by_alias=True, exclude_unset=True)
        return settings


class Charged(_OfTurn):
    """The cost of an attempt, and its tokens; None if the reported usage is missing or not accepted.

    cache_saved_microusd  what the same tokens would have cost as plain input, less ``cost_microusd``: negative where
                          writing to the cache cost more than reading it saved; absent if no token was cached
    """

    attempt: Int
    cost_microusd: Micro
    model: Str = Field(default="", alias="gen_ai.request.model")
    price_version: Str = ""
    service_tier: Str | None = None
    input_tokens: Int | None = Field(default=None, alias="gen_ai.usage.input_tokens")
    output_tokens: Int | None = Field(default=None, alias="gen_ai.usage.output_tokens")
    cache_read_tokens: Int | None = Field(default=None, alias="gen_ai.usage.cache_read.input_tokens")
    cache_write_tokens: Int | None = Field(default=None, alias="gen_ai.usage.cache_creation.input_tokens")
    #: The tokens written to the one-hour cache, out of all tokens written; no convention names them.
    cache_write_1h_tokens: Int | None = Field(default=None, alias="ballast.usage.cache_creation_1h.input_tokens")
    cache_saved_microusd: Int | None = None
    usage_disbelieved: Str | None = None
    latency_ms: Int | None = None
    exit_reason: Str | None = None

    @property
    def tokens(self) -> int:
        """All tokens that were charged."""
        parts = (self.input_tokens, self.output_tokens, self.cache_read_tokens, self.cache_write_tokens)
        return sum(part or 0 for part in parts)


class LimitReached(Part):
    """A limit that ended the agent's part.

    limit    its name in ``Limits``
    allowed  its value, with the budget that people added; what other agents used is not part of an agent's own
    used     what was used of it; None where the log says it better
    agent    the agent whose own limit it is: it counts that agent's own turns. None: the run's, which counts all turns
    file     its file in the playbook, ``agents/billing.yaml``; None if the request or an earlier playbook set it
    key      its place in the file or in the request: ``intents.refund.limits.turns``
    """

    limit: Str
    allowed: Int
    used: Int | None = None
    agent: Str | None = None
    file: Str | None = None
    key: Str = ""


class ModelResponded(Charged):
    """The turn's completion and its decision.

    reached            the limits that its calls would have passed
    refused_answer     why its answer was not sent
    refused_hand_over  why no model of the agent that it names could be asked: its ``hand_over`` is a call to be refused
    """

    NAME = "model.responded"
    message: _Json | None = None
    stop_reason: Str | None = None
    decision: _Decided
    parallel: Bool = False
    loop_signals: tuple[LoopSignal, ...] = Field(default=(), alias="despair")
    reached: tuple[LimitReached, ...] = ()
    refused_answer: tuple[Str, ...] | None = None
    refused_hand_over: Str | None = None


class ModelFailed(Charged):
    """An attempt without a completion, or with one that came too late."""

    NAME = "model.failed"
    error: Str = ""

    @classmethod
    def read(cls, key: Key, body: Mapping[str, Any]) -> "Fact":
        return _read_attempt(cls, key, body)

    @classmethod
    def key(cls, *at: int) -> str:
        return _attempt_key(cls, *at)

    @property
    def seq(self) -> str:
        return self.key(self.turn, self.attempt)


# ── planners and people ──────────────────────────────────────────────────────────────────────────────────────────


class BreakerHeld(Part):
    """The spend breaker that stopped the agent. A person's grant bypasses it until a given time."""

    mode: Str
    by: Str | None = None
    reason: Str | None = None
    at: Str


class PlanDecided(_OfTurn):
    """A decision without a completion.

    handed_over  the planner that the workflow itself replaced before this turn
    undoes       turn and index of the effect that a rollback's call undoes
    breaker      the spend breaker, if it caused the decision
    reached      the limits that caused it
    """

    NAME = "plan.decided"
    planner: Planner
    decision: _Decided
    parallel: Bool = False
    note: Str | None = None
    handed_over: _Cut | None = None
    undoes: tuple[Int, Int] | None = None
    breaker: BreakerHeld | None = None
    reached: tuple[LimitReached, ...] = ()


class EscalationOpened(_OfTurn):
    """People, or the requester (kind ``question``), were asked; the run waits. ``answer_by``: ISO 8601."""

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
    """A person's signed decision. ``agent_until_ms`` and ``deadline_ms`` renew the run's time."""

    NAME = "escalation.answered"
    escalation_id: Str | None = None
    kind: Str | None = None
    by: Str | None = None
    role: Str | None = None
    decision: _Decided
    agent_until_ms: Int | None = None
    deadline_ms: Int | None = None


class EscalationAnnounced(_OfTurn):
    """The event that the run waits for people was sent."""

    NAME = "escalation.announced"
    event_id: Str
    detail_type: Str = ""


class LeaseExtended(_OfTurn):
    """The budget that a person added in that turn was leased from the windows."""

    NAME = "lease.extended"
    microusd: Micro
    hour: Str | None = None
    day: Str | None = None


# ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Moves(Part):
    """The business's own money that a call moves, in micro-units. ``back``: the call's undo returns it."""

    micro: Micro
    unit: Str | None = None
    customer: Str | None = None
    hour: Str
    day: Str
    back: Bool


class Reserves(OfCall):
    """A fact that reserves money for a call of a tool that costs money."""

    reserved_microusd: Micro = 0


class CallIntended(Reserves):
    """The call is about to be executed: its normalized arguments, its idempotency key, its undo and rollback rule.

    A read that costs nothing has none, unless people approved it: its ``call.settled`` says it all.

    looked  what ``verify`` found before: nothing, something, or no answer; absent where it was not asked
    """

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
    looked: Str | None = None


class CallReserved(Reserves):
    """Money was reserved again, for the second attempt at a read that costs money."""

    NAME = "call.reserved"
    tool: Str | None = None
    invocation: Str | None = None


class CallDoubted(_OfRound):
    """An attempt ended in doubt.

    ran       the error was the tool's own; otherwise the error of a later check
    nothing   the tool reported that nothing was done ("done"), or then began again ("begins")
    until_ms  when the attempt's lease ends, epoch milliseconds; 0 if the attempt held it to its end
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


#: The beginning of the message of an effect that has no undo, because its arguments could not be made.
NO_UNDO = "Its undo {} could not be made: "


class Unlike(Part):
    """A server whose tool, or its answer, is not as ``servers/NAME.yaml`` pinned it. ``kind``: of the server."""

    server: Str
    kind: Str
    tool: Str


class CallSettled(OfCall):
    """The call's outcome: ok, failed, denied or unknown.

    undo         the call that undoes the effect
    repeat_of    turn and index of the earlier call whose recorded result this one got; it had no effect of its own
    notice       a remark for the model, sent with the result
    unanswered   the tool's rule for an approval that nobody answered
    defect       the message is an error's, not an outcome of the business
    circuit      the downstream whose circuit was open: the tool was not run
    unlike       the server that answered otherwise than it was pinned, also where ``verify`` found the effect
    attachments  the files that came with the result (``Kept``)
    effect       "read" where the tool ran without a ``call.intended``: the arguments and their sources are here then
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
    circuit: Str | None = None
    unlike: Unlike | None = None
    left_out: LeftOut | None = None
    latency_ms: Int | None = None
    cost_microusd: Micro | None = None
    effect: Str | None = None
    arguments: Any = None
    grounded: _Json | None = None
    tainted: _Json | None = None
    derived: _Json | None = None
    attachments: list[_Json] = Field(default_factory=list)


class CallRefused(OfCall):
    """The gate or a rule refused the call, before it reached the tool. ``error`` is the name of the error.

    sourceless  the paths of the arguments whose values have no source, or none that is trusted
    """

    NAME = "call.refused"
    tool: Str | None = None
    arguments: Any = None
    error: Str = ""
    message: Str
    sourceless: tuple[Str, ...] | None = None


class ApprovalNeeded(_OfRound):
    """The reason to ask people, and what their answer is bound to. ``parked``: people have the long time."""

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
    """People were asked. ``binding``: the hash that their answer is bound to."""

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
        """Whether this answer changed the arguments, and the log has the new ones."""
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
    """The final answer, signed by a person. ``approve`` is None if nobody answered in time.

    arguments    as a person changed them; absent if nobody did
    call_sha256  hash of the call that people saw
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
    """An approval that is no longer valid: what had changed before the call could act, and the new binding."""

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
    RunMoveSettled,
    RunFeedback,
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
