"""Decisions: the planners, what they may propose, and the reasons of a hand-over or an end. Closed unions and enums."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)

from ballast.contracts.wire import Json, Name, Text, Wire, complaints, validated
from ballast.errors import InvalidInput, LogCorrupt


class Planner(StrEnum):
    """The planners. Only ``AGENT`` asks a model; a planner proposes and never acts.

    ``REQUESTER`` is the sender of the request: a hand-over to the requester is a clarification, and the
    reply goes back to the agent.
    """

    AGENT = "agent"
    FALLBACK = "fallback"
    ROLLBACK = "rollback"
    PERSON = "human"  # its name on disk and in HTTP
    HUMAN = PERSON  # the former name, for one version: playbooks use it
    REQUESTER = "requester"


class Effects(StrEnum):
    """How the effects of a run ended.

    none    the run never wrote
    kept    the effects remain, and the answer builds on them
    undone  all effects were undone
    frozen  an effect is unknown, could not be undone or must not be undone, or the run was cut off: a person decides
    """

    NONE = "none"
    KEPT = "kept"
    UNDONE = "undone"
    FROZEN = "frozen"


class ExitReason(StrEnum):
    """The reason of a completion or of a hand-over.

    The first nine are Bedrock Converse's own stop reasons, under their own names
    (API reference of ``Converse``, response field ``stopReason``).
    """

    # The model ended its turn.
    END_TURN = "end_turn"
    TOOL_USE = "tool_use"
    MAX_TOKENS = "max_tokens"
    STOP_SEQUENCE = "stop_sequence"
    GUARDRAIL_INTERVENED = "guardrail_intervened"
    CONTENT_FILTERED = "content_filtered"
    MALFORMED_MODEL_OUTPUT = "malformed_model_output"
    MALFORMED_TOOL_USE = "malformed_tool_use"
    MODEL_CONTEXT_WINDOW_EXCEEDED = "model_context_window_exceeded"

    # A limit was reached. The agent stops before the call that would exceed it.
    TURN_LIMIT = "turn_limit"
    TOOL_CALL_LIMIT = "tool_call_limit"
    TOOL_LIMIT = "tool_limit"
    REFUSED_CALL_LIMIT = "refused_call_limit"
    REPEATED_CALL_LIMIT = "repeated_call_limit"
    TOKEN_LIMIT = "token_limit"  # noqa: S105  no password
    RUN_TOKEN_LIMIT = "run_token_limit"  # noqa: S105  nor this
    COST_LIMIT = "cost_limit"
    DEADLINE = "deadline"

    # The workflow's execution has no room for more steps: Step Functions ends it at 25,000 events.
    HISTORY_LIMIT = "history_limit"

    # The spend breaker allows no model call: the fallback, the rollback or a person continues.
    BREAKER_OPEN = "breaker_open"
    BREAKER_STOPPED = "breaker_stopped"

    # The agent repeated itself after a notice and a ban.
    LOOP = "loop"

    # The model could not be reached, or not in time.
    MODEL_TIMEOUT = "model_timeout"
    MODEL_THROTTLED = "model_throttled"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_REFUSED = "model_refused"

    # The model's reply was unusable.
    EMPTY_ANSWER = "empty_answer"

    # The answer was refused twice: it has the wrong form, or it names unknown facts.
    ANSWER_INVALID = "answer_invalid"

    # A deterministic planner ended, or could not go on.
    ROLLED_BACK = "rolled_back"
    ROLLBACK_INCOMPLETE = "rollback_incomplete"
    EFFECT_FROZEN = "effect_frozen"
    EFFECTS_KEPT = "effects_kept"
    NO_FALLBACK = "no_fallback"
    FALLBACK_GAVE_UP = "fallback_gave_up"
    FALLBACK_FAILED = "fallback_failed"

    # A part of Ballast failed, or a person decided.
    PLANNER_FAILED = "planner_failed"
    EXECUTOR_FAILED = "executor_failed"
    EFFECT_UNKNOWN = "effect_unknown"
    GUIDANCE = "guidance"

    # A person added budget, and it could not be leased.
    WINDOW_FULL = "window_full"
    LEASE_FAILED = "lease_failed"

    # The agent asks the requester; nobody replied in time.
    QUESTION = "question"
    REQUESTER_SILENT = "requester_silent"

    # The agent hands over to another agent of the playbook; the one in charge is not in the playbook.
    ANOTHER_AGENT = "another_agent"
    NO_AGENT = "no_agent"

    # Nobody answered a request for approval in time, and the tool's rule is to hand over.
    APPROVAL_UNANSWERED = "approval_unanswered"


#: Converse's ``stopReason`` values; anything else is ``MALFORMED_MODEL_OUTPUT``.
STOP_REASONS: frozenset[str] = frozenset(list(ExitReason)[:9])

#: The limit of each exit reason, by its name in ``Limits``. The metric ``LimitsReached`` uses these names.
LIMITS: Mapping[ExitReason, str] = {
    ExitReason.TURN_LIMIT: "turns",
    ExitReason.TOOL_CALL_LIMIT: "tool_calls",
    ExitReason.TOOL_LIMIT: "calls_per_tool",
    ExitReason.REFUSED_CALL_LIMIT: "refused_calls",
    ExitReason.REPEATED_CALL_LIMIT: "repeated_calls",
    ExitReason.MAX_TOKENS: "tokens_per_turn",
    ExitReason.TOKEN_LIMIT: "input_tokens_per_turn",
    ExitReason.RUN_TOKEN_LIMIT: "tokens_per_run",
    ExitReason.COST_LIMIT: "cost_microusd",
    ExitReason.DEADLINE: "deadline_s",
}


def from_stop_reason(stop_reason: object) -> ExitReason:
    """Return the exit reason of Converse's ``stopReason``; Claude's own ``refusal`` is filtered content."""
    if stop_reason == "refusal":
        return ExitReason.CONTENT_FILTERED
    if isinstance(stop_reason, str) and stop_reason in STOP_REASONS:
        return ExitReason(stop_reason)
    return ExitReason.MALFORMED_MODEL_OUTPUT


#: A turn with more calls is malformed, whichever planner proposed it.
MAX_CALLS_A_TURN = 50


class ToolCall(Wire):
    """One proposed call. Its identity is its position in the turn, never ``call_id``.

    ``arguments`` is what the planner sent: an object if it was well formed, otherwise
    anything, so that the executor can refuse it by name. ``call_id`` is the model's own id;
    it may be empty or repeated and serves only to address the tool result.
    """

    tool: str = Field(max_length=256)
    arguments: Json = Field(default_factory=dict)
    call_id: str = ""


class CallTools(Wire):
    """Execute these calls, in this order, and plan again."""

    kind: Literal["call_tools"] = "call_tools"
    calls: tuple[ToolCall, ...] = Field(min_length=1, max_length=MAX_CALLS_A_TURN)


class Answer(Wire):
    """End the run with this text. ``confidence`` lies in 0..1; ``data`` is for machines."""

    kind: Literal["answer"] = "answer"
    text: Text
    confidence: Annotated[Decimal, Field(ge=0, le=1, strict=False)] | None = None
    data: dict[str, Json] | None = None


class HandOver(Wire):
    """Let another planner go on, or another agent of the playbook. Only a person adds budget.

    guidance  a person's words to the agent, the agent's question to the requester, or its note to another agent
    agent     with ``to`` agent: the agent that goes on; None for the one that was in charge last
    """

    kind: Literal["hand_over"] = "hand_over"
    to: Planner
    reason: ExitReason
    guidance: str = ""
    add_budget_microusd: int = Field(default=0, ge=0)
    agent: Name | None = None

    @model_validator(mode="after")
    def _of_the_agent(self) -> Self:
        if self.agent is not None and self.to is not Planner.AGENT:
            raise ValueError("agent: names an agent, and `to` is not agent. Leave it out, or hand over to the agent")
        return self

    @model_serializer(mode="wrap")
    def _without_none(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out ``agent`` where there is none: older functions and logs do not know the field."""
        made: dict[str, Any] = whole(self)
        if self.agent is None:
            made.pop("agent", None)
        return made


Decision = Annotated[CallTools | Answer | HandOver, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[CallTools | Answer | HandOver] = TypeAdapter(Decision, config=ConfigDict(defer_build=True))


def parse_decision(data: Any) -> CallTools | Answer | HandOver:
    """Return JSON ``data`` as a decision. Raises ``InvalidInput``, which names the field."""
    hint = (
        ' Send {"kind": "answer", "text": …}, {"kind": "call_tools", "calls": […]} '
        'or {"kind": "hand_over", "to": …, "reason": …}.'
    )
    return validated(_ADAPTER.validate_json, data, what="Decision", error=InvalidInput, hint=hint)


def recorded_decision(data: Any) -> CallTools | Answer | HandOver:
    """Return a decision from the log; it was checked when it was made.

    Unlike ``parse_decision`` it accepts a lone surrogate in a call's arguments: models write
    them, and they must not make the log unreadable. The executor refuses them.
    Raises ``LogCorrupt``.
    """
    try:
        return _ADAPTER.validate_python(data, strict=False)
    except ValidationError as problem:
        raise LogCorrupt(f"A recorded decision is not valid: {complaints(problem)}.") from None
