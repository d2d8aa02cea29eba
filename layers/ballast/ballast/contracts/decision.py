"""What a planner may propose: tool calls, an answer, or a hand-over. A closed union."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from ballast.contracts.exit_reason import ExitReason
from ballast.contracts.planner import Planner
from ballast.contracts.wire import Json, Text, Wire, complaints, validated
from ballast.errors import InvalidInput, LogCorrupt

#: More calls than this in one turn are a malformed turn, whoever proposes them.
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
    """Let another planner go on. ``guidance`` and the budget are a person's, for the agent."""

    kind: Literal["hand_over"] = "hand_over"
    to: Planner
    reason: ExitReason
    guidance: str = ""
    add_budget_microusd: int = Field(default=0, ge=0)


Decision = Annotated[CallTools | Answer | HandOver, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[CallTools | Answer | HandOver] = TypeAdapter(Decision)


def parse_decision(data: Any) -> CallTools | Answer | HandOver:
    """Return JSON ``data`` as a decision, or raise ``InvalidInput`` that names the field."""
    hint = (
        ' Send {"kind": "answer", "text": …}, {"kind": "call_tools", "calls": […]} '
        'or {"kind": "hand_over", "to": …, "reason": …}.'
    )
    return validated(_ADAPTER.validate_json, data, what="Decision", error=InvalidInput, hint=hint)


def recorded_decision(data: Any) -> CallTools | Answer | HandOver:
    """Return a decision that the log holds; it was checked when it was made.

    Other than ``parse_decision`` it takes a lone surrogate in a call's arguments: models write
    them, the executor refuses them by name, and until then they must not make the log unreadable.
    Raises ``LogCorrupt``.
    """
    try:
        return _ADAPTER.validate_python(data, strict=False)
    except ValidationError as problem:
        raise LogCorrupt(f"A recorded decision is not valid: {complaints(problem)}.") from None
