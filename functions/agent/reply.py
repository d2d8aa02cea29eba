"""Read one Converse reply: its message, usage and decision. Pure.

The reply is untrusted. Whatever it holds, the result is one ``Completion``: a decision, or a named reason for the
lack of one.
"""

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ballast.contracts import Answer, CallTools, ExitReason, ToolCall
from ballast.contracts.decision import MAX_CALLS_A_TURN, from_stop_reason
from ballast.contracts.wire import MAX_DEPTH, without_surrogates
from ballast.models.tool_schema import in_order
from ballast.money import TokenCounts
from ballast.values import dataclass
from functions.agent.reasoning_in_text import visible_text
from functions.agent.text import shows_something, text_of
from functions.agent.usage import ReadUsage, read_usage, tier_of

#: Blocks, and characters as JSON, that a reply may have: twenty times the longest output of any model.
MAX_BLOCKS, MAX_REPLY_CHARS = 1_000, 4 * 1024 * 1024
#: Characters that Bedrock refuses in a tool's name when a message is sent back.
_ILLEGAL_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_BYTES = "$bytes"
#: Fields that hold JSON of any shape, so never bytes: a call's arguments, a tool's schema or result.
_DOCUMENTS = ("input", "json")
#: botocore's name for a block of a kind that it does not know; it refuses to send one.
UNKNOWN_BLOCK = "SDK_UNKNOWN_MEMBER"

#: Stop reasons of a reply that decides something: its content says what. Models on Bedrock make calls and say that they
#: are done, or answer and say that they call. Any other reason forbids it: a reply that was cut at its limit of tokens
#: may hold half a call that looks whole.
_DECIDES = (ExitReason.TOOL_USE, ExitReason.END_TURN, ExitReason.STOP_SEQUENCE)
#: Stop reasons that explain an empty reply; asking again would bring the same.
_SAYS_WHY = (
    ExitReason.GUARDRAIL_INTERVENED,
    ExitReason.CONTENT_FILTERED,
    ExitReason.MODEL_CONTEXT_WINDOW_EXCEEDED,
)


@dataclass(frozen=True)
class Completion:
    """One reply, interpreted.

    message   the assistant message as it is recorded; what of it goes back, ``functions.agent.request`` says
    usage     the usage that it reports, as far as its own content does not contradict it
    tier      the service tier that it reports; None if it reports none
    decision  None if ``reason`` asks for a hand-over
    nothing   true if it has neither calls nor words, reasoning aside, and its stop reason does not explain that
    written   true if it has any text, reasoning included
    tag       the tag of its reasoning, if it has nothing else
    """

    message: dict[str, Any]
    stop_reason: str
    reason: ExitReason
    usage: ReadUsage
    tier: str | None
    decision: CallTools | Answer | None
    nothing: bool = False
    written: bool = False
    tag: str | None = None

    @property
    def tokens(self) -> TokenCounts | None:
        """The tokens used; None if the reply has no usage that can be right."""
        return self.usage.tokens


def read_completion(reply: Mapping[str, Any], turn: int) -> Completion:
    """Interpret a Converse reply. Never raises: anything else than a reply becomes malformed output."""
    stop_reason = reply.get("stopReason")
    reason = from_stop_reason(stop_reason)
    output = reply.get("output")
    message = output.get("message") if isinstance(output, Mapping) else None
    is_reply = isinstance(message, Mapping) or stop_reason is not None
    content = message.get("content") if isinstance(message, Mapping) else None
    blocks = [block for block in content if isinstance(block, Mapping)] if isinstance(content, Sequence) else []
    proposed = _client_calls(blocks) if len(blocks) <= MAX_BLOCKS else []
    content = _recordable(blocks, proposed, turn) if len(blocks) <= MAX_BLOCKS else None
    written = "" if content is None or proposed else without_surrogates(text_of(blocks))
    visible = visible_text(written)
    text = visible.text if shows_something(visible.text) else ""
    decision, because = _decide(reason, text, proposed) if content is not None else (None, _too_large(reason))
    return Completion(
        message={"role": "assistant", "content": content or [{"text": "(not recorded: too large for a reply)"}]},
        stop_reason=without_surrogates(str(stop_reason)[:64]),
        reason=because,
        usage=read_usage(reply.get("usage"), blocks, guarded=reason is ExitReason.GUARDRAIL_INTERVENED),
        tier=tier_of(reply),
        decision=decision,
        nothing=content is not None and not (proposed or text) and is_reply and reason not in _SAYS_WHY,
        written=bool(written),
        tag=None if text else visible.tag,
    )


def _decide(
    reason: ExitReason, text: str, proposed: Sequence[Mapping[str, Any]]
) -> tuple[CallTools | Answer | None, ExitReason]:
    if reason not in _DECIDES:
        return None, reason
    if not proposed:
        if not text:
            return None, ExitReason.EMPTY_ANSWER
        return Answer(text=text), ExitReason.END_TURN if reason is ExitReason.TOOL_USE else reason
    if len(proposed) > MAX_CALLS_A_TURN:
        return None, ExitReason.MALFORMED_TOOL_USE
    try:
        return CallTools(calls=tuple(_call(use) for use in proposed)), ExitReason.TOOL_USE
    except ValidationError:
        return None, ExitReason.MALFORMED_TOOL_USE


def _too_large(reason: ExitReason) -> ExitReason:
    """Return the reason for a reply that is too large to read: its stop reason's own, if that explains a failure."""
    return ExitReason.MALFORMED_MODEL_OUTPUT if reason in _DECIDES else reason


def _call(use: Mapping[str, Any]) -> ToolCall:
    """Return a proposed call. No tool has a name that is too long or no text: the gate refuses it by that name."""
    return ToolCall(
        tool=without_surrogates(str(use.get("name") or ""))[:256],
        arguments=_jsonable(use.get("input", {})),
        call_id=without_surrogates(str(use.get("toolUseId", "")))[:256],
    )


def _client_calls(blocks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the calls that the executor has to make.

    The provider itself executes a server-side tool: call and result stand in one assistant message, under a name
    that was never offered.
    """
    answered = _answered(blocks)
    return [
        block["toolUse"]
        for position, block in enumerate(blocks)
        if isinstance(block.get("toolUse"), Mapping)
        and block["toolUse"].get("type") != "server_tool_use"
        and position not in answered
    ]


def _answered(blocks: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Return the calls that have their result in the same message: position of the call to that of its result."""
    pairs: dict[int, int] = {}
    for at, block in enumerate(blocks):
        result = block.get("toolResult")
        if not isinstance(result, Mapping):
            continue
        for before in range(at):
            use = blocks[before].get("toolUse")
            same_id = isinstance(use, Mapping) and use.get("toolUseId") == result.get("toolUseId")
            if same_id and before not in pairs:
                pairs[before] = at
                break
    return pairs


def call_id(turn: int, index: int) -> str:
    """Return the id under which the call at that position is sent back.

    Converse wants ids that are unique in a conversation, and real models repeat and omit theirs.
    """
    return f"t{turn:04d}c{index}"


def _recordable(
    blocks: Sequence[Mapping[str, Any]], proposed: Sequence[Mapping[str, Any]], turn: int
) -> list[dict[str, Any]] | None:
    """Return the content as it is recorded; None if it is too large."""
    recorded: list[dict[str, Any]] = []
    answered = _answered(blocks)
    server_ids = {at: f"t{turn:04d}s{before + 1}" for before, at in answered.items()}
    for at, block in enumerate(blocks):
        use, result = block.get("toolUse"), block.get("toolResult")
        position = next((index for index, one in enumerate(proposed, start=1) if one is use), None)
        if isinstance(use, Mapping):
            key = call_id(turn, position) if position else f"t{turn:04d}s{at + 1}"
            recorded.append({"toolUse": _legal_call(use, key)})
        elif isinstance(result, Mapping):
            if at in server_ids:  # a result without its call is illegal
                recorded.append({"toolResult": _jsonable(result) | {"toolUseId": server_ids[at]}})
        elif UNKNOWN_BLOCK not in block and ("text" not in block or has_text(block)):  # no blank text either
            recorded.append(_jsonable(block))
        elif any("reasoningContent" in later for later in blocks[at:]):  # which may be bound to what stood before it
            recorded.append({"text": ""})
    # A lone surrogate is legal in JSON, but cannot be sent as text.
    text = without_surrogates(json.dumps(recorded, ensure_ascii=False))
    if len(text) > MAX_REPLY_CHARS:
        return None
    legal: list[dict[str, Any]] = json.loads(text)
    # Some models refuse a message of reasoning alone.
    return legal if any("reasoningContent" not in block for block in legal) else [*legal, {"text": "(nothing)"}]


def _legal_call(use: Mapping[str, Any], key: str) -> dict[str, Any]:
    arguments = _jsonable(use.get("input", {}))
    legal = arguments if isinstance(arguments, dict) else {"not_an_object": arguments}
    name = _ILLEGAL_NAME.sub("_", str(use.get("name") or "unnamed"))[:64]
    server_side = {"type": use["type"]} if use.get("type") == "server_tool_use" else {}
    return {"toolUseId": key, "name": name, "input": legal, **server_side}


def has_text(block: Mapping[str, Any]) -> bool:
    """Say whether the ``text`` of a block has more than white space."""
    return isinstance(block.get("text"), str) and bool(block["text"].strip())


def _jsonable(value: Any, depth: int = 0) -> Any:
    """Return ``value`` as JSON: bytes (redacted reasoning) wrapped, NaN and infinities as text.

    A value nested too deep to be read again is cut; every contract refuses the rest.
    """
    if depth > 2 * MAX_DEPTH:
        return None
    if isinstance(value, bytes | bytearray):
        return {_BYTES: base64.b64encode(bytes(value)).decode("ascii")}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _jsonable(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(inner, depth + 1) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def sendable(value: Any) -> Any:
    """Return a recorded message with its bytes unwrapped, as boto3 sends it.

    Names are sorted, as the log keeps them: a prompt cache finds a message only by the same bytes.
    """
    if isinstance(value, Mapping):
        if set(value) == {_BYTES}:
            return base64.b64decode(value[_BYTES])
        return {key: in_order(value[key]) if key in _DOCUMENTS else sendable(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [sendable(inner) for inner in value]
    return value
