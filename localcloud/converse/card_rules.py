"""Rules by a model's card: parameters, thinking, reasoning, tools and results, files, sizes.

A model without a card is held to the service's rules alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ballast.models.card import Asked as Parts
from ballast.models.card import ModelCard
from localcloud.converse.asked import Asked, Rule, card_rule, decoded_size, place_of, signature_of
from localcloud.converse.cache import canonical_bytes, tokens_in, tokens_of

_API = "docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_"
_GUIDE = "docs.aws.amazon.com/bedrock/latest/userguide/"
_THINKING = f"{_GUIDE}claude-messages-extended-thinking.html"
_BINDING = (
    f"{_GUIDE}claude-messages-thinking-block-binding.html, "
    "platform.claude.com/docs/en/build-with-claude/preserved-thinking/prefix-checks"
)
_FEATURES = f"{_GUIDE}conversation-inference-supported-models-features.html"
_CLAUDE_DOCS = "Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"


# The model as such


def _not_served(_: Asked, card: ModelCard) -> Iterator[str]:
    if not card.converse_api:
        yield "The model is not supported by the Converse operation."


def _no_such_profile(asked: Asked, card: ModelCard) -> Iterator[str]:
    if card.families and asked.family != "in-region" and asked.family not in card.families:
        yield "The provided model identifier is invalid."


def _profile_needed(asked: Asked, card: ModelCard) -> Iterator[str]:
    in_region = asked.family == "in-region" and not asked.model_id.startswith("arn:")
    if in_region and card.families and "in-region" not in card.families:
        yield (
            f"Invocation of model ID {asked.model_id} with on-demand throughput isn’t supported. "
            "Retry your request with the ID or ARN of an inference profile that contains this model."
        )


def _service_tier(asked: Asked, card: ModelCard) -> Iterator[str]:
    tier = (asked.request.get("serviceTier") or {}).get("type", "default")
    if card.prices and tier not in ("default", *card.prices[-1].tiers):
        yield f"The service tier {tier} is not supported for this model. Remove serviceTier and try again."


def _no_system(asked: Asked, card: ModelCard) -> Iterator[str]:
    if asked.request.get("system") and not card.system:
        yield (
            "This model doesn't support system messages. Try again without a system message or use a model that "
            "supports system messages."
        )


def _no_prefill(asked: Asked, card: ModelCard) -> Iterator[str]:
    if asked.messages[-1]["role"] == "assistant" and not card.prefill:
        yield "This model does not support assistant message prefill. The conversation must end with a user message."


# Parameters


def _parameters(asked: Asked, card: ModelCard) -> Iterator[str]:
    for name, field, takes in (("temperature", "temperature", card.temperature), ("top_p", "topP", card.top_p)):
        if field in asked.inference and not takes:
            yield f"`{name}` is deprecated for this model."
    if {"temperature", "topP"} <= asked.inference.keys() and not card.temperature_with_top_p:
        yield "`temperature` and `top_p` cannot both be specified for this model. Please use only one."


def _max_output(asked: Asked, card: ModelCard) -> Iterator[str]:
    if asked.inference.get("maxTokens", 0) > card.max_output:
        most = card.max_output
        yield (
            f"The maximum tokens you requested exceeds the model limit of {most}. "
            f"Try again with a maximum tokens value that is lower than {most}."
        )


def _context_of_claude(asked: Asked, card: ModelCard) -> Iterator[str]:
    if card.vendor == "Anthropic" and (tokens := _tokens(asked)) > card.context_window:
        yield f"prompt is too long: {tokens} tokens > {card.context_window} maximum"


def _context_with_reply(asked: Asked, card: ModelCard) -> Iterator[str]:
    if card.vendor != "Anthropic" or card.max_tokens_over_window:
        return
    tokens, most = _tokens(asked), asked.inference.get("maxTokens", 0)
    if tokens + most > card.context_window:
        yield (
            f"input length and `max_tokens` exceed context limit: {tokens} + {most} > {card.context_window}, "
            "decrease input length or `max_tokens` and try again"
        )


def _context(asked: Asked, card: ModelCard) -> Iterator[str]:
    if card.vendor != "Anthropic" and _tokens(asked) > card.context_window:
        yield "Input is too long for requested model."


def _tokens(asked: Asked) -> int:
    parts = [asked.request.get(name) for name in ("system", "toolConfig")]
    return sum(tokens_of(canonical_bytes(part)) for part in parts if part) + sum(
        tokens_in(block) for _, _, block in asked.blocks
    )


def _structured_output(asked: Asked, card: ModelCard) -> Iterator[str]:
    if "textFormat" in (asked.request.get("outputConfig") or {}) and not card.structured_output:
        field = "outputConfig.textFormat"
        yield f"This model doesn't support the {field} field. Remove {field} and try again."


# Thinking


def _thinking_form(asked: Asked, card: ModelCard) -> Iterator[str]:
    sent, form = (asked.request.get("additionalModelRequestFields") or {}).get("thinking"), card.thinking
    kind = sent.get("type") if isinstance(sent, dict) else None
    off = form.off.additional_fields.get("thinking", {}).get("type") if form is not None and form.off else None
    if kind == "between_tools" != off:
        yield "thinking: Input tag 'between_tools' found using 'type' does not match any of the expected tags"
    elif kind == "disabled" and form is not None and form.default != "no" and off != kind:
        yield '"thinking.type.disabled" is not supported for this model.'
    elif not asked.thinking or kind == off:
        return
    elif form is None or (form.budget is None and form.adaptive is None):
        yield "thinking: Extra inputs are not permitted"
    elif kind == "enabled" and form.budget is None:
        yield (
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
            '"output_config.effort" to control thinking behavior.'
        )
    elif kind == "adaptive" and form.adaptive is None:
        yield "adaptive thinking is not supported on this model"


def _effort_without_thinking(asked: Asked, card: ModelCard) -> Iterator[str]:
    form = card.thinking
    if form is None or form.off is None or form.effort is None or not _is_sent(asked, form.off.given()):
        return
    for level in form.off.not_with:
        if _is_sent(asked, form.effort.given(effort=level)):
            yield f"output_config.effort: {level} is not supported while thinking is off. Use a lower level."


def _thinking_budget(asked: Asked, card: ModelCard) -> Iterator[str]:
    if asked.thinking.get("type") != "enabled" or card.thinking is None or card.thinking.budget is None:
        return
    least, budget = card.thinking.budget.least, asked.thinking.get("budget_tokens", 0)
    if budget < least:
        yield f"thinking.enabled.budget_tokens: Input should be greater than or equal to {least}"
    elif budget >= asked.inference.get("maxTokens", card.max_output):
        yield (
            "`max_tokens` must be greater than `thinking.budget_tokens`. "
            f"{_CLAUDE_DOCS}#max-tokens-and-context-window-size"
        )


def _forbidden_while_thinking(asked: Asked, card: ModelCard) -> Iterator[str]:
    forbids = set(_forbidden(asked, card))
    if "temperature" in forbids and asked.inference.get("temperature", 1) != 1:
        yield (
            "`temperature` may only be set to 1 when thinking is enabled. "
            f"{_CLAUDE_DOCS}#important-considerations-when-using-extended-thinking"
        )
    if "top_p" in forbids and asked.inference.get("topP", 1) < 0.95:
        yield "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled."
    if "max_tokens" in forbids and "maxTokens" in asked.inference:
        yield "maxTokens must be unset at this level of effort."
    if "forced_tool_choice" in forbids and asked.tool_choice.keys() & {"any", "tool"}:
        yield "Thinking may not be enabled when tool_choice forces tool use."
    if "prefill" in forbids and asked.messages[-1]["role"] == "assistant":
        yield "This model does not support assistant message prefill while it thinks."


def _forbidden(asked: Asked, card: ModelCard) -> Iterator[str]:
    """Yield what the model refuses while it thinks as this request asks it to."""
    form = card.thinking
    if form is None:
        return
    off = form.off is not None and not form.off.still_thinks and _is_sent(asked, form.off.given())
    thinks = bool(asked.thinking) or form.default == "always" or (form.default == "yes" and not off)
    for level, forbids in (form.effort.levels if form.effort is not None else {}).items():
        if form.effort is not None and _is_sent(asked, form.effort.given(effort=level)):
            # Where thinking is asked for in another way, a level alone does not ask for it.
            thinks = thinks or (form.budget is None and form.adaptive is None)
            yield from forbids
    if thinks:
        yield from form.forbids


def _is_sent(asked: Asked, parts: Parts) -> bool:
    """Return whether the request has all of those parts of a card."""
    sent = (asked.request.get("additionalModelRequestFields") or {}, asked.request.get("outputConfig") or {})
    wanted = (parts.additional_fields, parts.output_config)
    return any(wanted) and all(map(_holds, sent, wanted))


def _holds(sent: Any, wanted: Any) -> bool:
    """Return whether every field of ``wanted`` is in ``sent``, at any depth."""
    if isinstance(wanted, dict):
        return isinstance(sent, dict) and all(name in sent and _holds(sent[name], one) for name, one in wanted.items())
    return bool(sent == wanted)


def _own_reasoning_first(asked: Asked, card: ModelCard) -> Iterator[str]:
    """Yield the last turn of calls, if it lacks the reasoning before them, which a thinking Claude must get back."""
    must = card.thinking is not None and card.thinking.given_back == "must" and asked.thinking.get("type") == "enabled"
    turns = [at for at, message in enumerate(asked.messages) if message["role"] == "assistant"]
    if not must or not turns:
        return
    content = asked.messages[turns[-1]]["content"]
    if any("toolUse" in block for block in content) and "reasoningContent" not in content[0]:
        kind = "tool_use" if "toolUse" in content[0] else "text"
        yield (
            f"messages.{turns[-1]}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{kind}`. "
            "When `thinking` is enabled, a final `assistant` message must start with a thinking block."
        )


def _reasoning(asked: Asked) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for place, _, block in asked.blocks:
        if "reasoningContent" in block:
            yield place, block["reasoningContent"].get("reasoningText", {})


def _no_reasoning(asked: Asked, card: ModelCard) -> Iterator[str]:
    for place, _ in _reasoning(asked):
        if card.thinking is None or card.thinking.given_back == "refused":
            yield f"{place}: this model doesn't take reasoningContent blocks. Remove the block and try again."


def _reasoning_of_claude(asked: Asked, card: ModelCard) -> Iterator[str]:
    if card.vendor != "Anthropic":
        return
    for place, text in _reasoning(asked):
        signature = str(text.get("signature") or "")
        if text and not signature:
            yield f"{place}.thinking.signature: Field required"
        elif text and asked.issued.get(signature, card.id) != card.id:
            yield f"{place}: Invalid `signature` in `thinking` block"


def _bound_reasoning(asked: Asked, card: ModelCard) -> Iterator[str]:
    """Yield reasoning behind something else than what stood before it, or behind other reasoning.

    The first reasoning of a request may have lost what came before it.
    """
    if card.thinking is None or not card.thinking.bound:
        return
    for at, message in enumerate(asked.messages):
        for index, block in enumerate(message["content"]):
            made_at = asked.behind.get(signature_of(block) or "")
            if made_at is None:
                continue
            part = {**message, "content": message["content"][:index]}
            before, last = place_of(asked.request, [*asked.messages[:at], part])
            if not any(before == then and last in (None, reasoning) for then, reasoning in made_at):
                kind = "thinking" if "reasoningText" in block["reasoningContent"] else "redacted_thinking"
                yield (
                    f"messages.{at}.content.{index}: Invalid `signature` in `{kind}` block. The block is bound to a "
                    "different conversation. Remove the block, or set "
                    '`thinking.block_binding.prefix_mismatch_behavior` to "drop_block".'
                )


def _foreign_reasoning(asked: Asked, card: ModelCard) -> Iterator[str]:
    if card.vendor == "Anthropic":
        return
    for place, text in _reasoning(asked):
        if asked.issued.get(text.get("signature", ""), card.id) != card.id or text.get("signature") == "":
            yield f"{place}: the signature is not one of this model."


# Tools and results


def _no_tools(asked: Asked, card: ModelCard) -> Iterator[str]:
    if asked.tools and not card.tools:
        yield "This model doesn't support tool use."


def _tool_choice(asked: Asked, card: ModelCard) -> Iterator[str]:
    for choice in asked.tool_choice:
        if choice not in card.tool_choice:
            field = f"toolConfig.toolChoice.{choice}"
            yield f"This model doesn't support the {field} field. Remove {field} and try again."


def _tool_names(asked: Asked, card: ModelCard) -> Iterator[str]:
    for at, spec in asked.specs:
        if not re.search(card.tool_name, spec["name"]):
            yield f"toolConfig.tools.{at}.toolSpec.name: {spec['name']} does not match {card.tool_name}"


def _call_ids(asked: Asked, card: ModelCard) -> Iterator[str]:
    for _, _, use in asked.calls:
        own = use["toolUseId"]
        if not re.search(card.tool_use_id, own):
            if card.vendor == "Mistral":
                yield f"Tool call id was {own} but must be a-z, A-Z, 0-9, with a length of 9."
            else:
                yield f"Tool call id was {own} but must match {card.tool_use_id}"


def _strict_tools(asked: Asked, card: ModelCard) -> Iterator[str]:
    for at, spec in asked.specs:
        if spec.get("strict") and not card.strict_tools:
            field = f"toolConfig.tools.{at}.toolSpec.strict"
            yield f"This model doesn't support the {field} field. Remove {field} and try again."


def _text_beside_results(asked: Asked, card: ModelCard) -> Iterator[str]:
    if card.text_beside_results:
        return
    for at, message in enumerate(asked.messages):
        kinds = {kind for block in message["content"] for kind in block if kind != "cachePoint"}
        if message["role"] == "user" and "toolResult" in kinds and len(kinds) > 1:
            yield (
                f"messages.{at}.content: Conversation blocks and tool result blocks cannot be provided "
                "in the same turn."
            )


def _claudes_order(asked: Asked, card: ModelCard) -> Iterator[str]:
    """Yield calls that are not last in Claude's message, and results that are not first in the user's."""
    if card.vendor != "Anthropic":
        return
    for at, message in enumerate(asked.messages):
        blocks = [block for block in message["content"] if "cachePoint" not in block]
        calls = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
        answered = {block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block}
        first = next((number for number, block in enumerate(blocks) if "toolUse" in block), len(blocks))
        late = message["role"] == "user" and _gap_before_results(blocks)
        if late or (not answered and any("text" in block for block in blocks[first:])):
            ids = ", ".join(asked.called[at - 1] if late and at else calls)
            yield (
                f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {ids}. Each "
                "`tool_use` block must have a corresponding `tool_result` block in the next message."
            )


def _gap_before_results(blocks: Sequence[Mapping[str, Any]]) -> bool:
    is_result = ["toolResult" in block for block in blocks]
    return is_result != sorted(is_result, reverse=True)


def _status(asked: Asked, card: ModelCard) -> Iterator[str]:
    for place, _, result in asked.results:
        if "status" in result and not card.result_status:
            yield f"This model doesn't support the status field at {place}.toolResult. Remove status and try again."


def _json_results(asked: Asked, card: ModelCard) -> Iterator[str]:
    for place, _, result in asked.results:
        if not card.result_json and any("json" in part for part in result["content"]):
            yield f"This model doesn't support json content at {place}.toolResult. Provide text and try again."


def _tool_changes(asked: Asked, card: ModelCard) -> Iterator[str]:
    for place, role, block in asked.blocks:
        if ("toolAddition" in block or "toolRemoval" in block) and (role == "assistant" or not card.tool_changes):
            yield f"This model doesn't support toolAddition and toolRemoval blocks ({place})."


# Images and documents


def _media(asked: Asked, card: ModelCard) -> Iterator[str]:
    for kind, takes in (("image", card.images), ("document", card.documents)):
        files = asked.files[kind]
        if files and takes is None:
            yield f"This model doesn't support {kind}s. Remove the {kind} at {files[0][0]} and try again."
        elif takes is not None:
            for place, _, file in files:
                if file.get("format", takes.formats[0]) not in takes.formats:
                    yield f"{place}: this model takes no {kind} of the format {file['format']}."
                if ".toolResult" in place and not takes.in_results:
                    yield f"{place}: this model takes no {kind} in a tool result."
                if decoded_size(file["source"].get("bytes", "")) > takes.most_bytes:
                    yield f"{place}: the {kind} has more than {takes.most_bytes} bytes."
            if len(files) > takes.most:
                yield f"The request has {len(files)} {kind}s; this model takes {takes.most}."


_OURS: Mapping[str, Any] = {"words": "described"}
_MODEL: Mapping[str, Any] = {"by_model": True}

CARD_RULES: tuple[Rule, ...] = (
    card_rule("Converse serves the model", _FEATURES, _not_served, **_OURS),
    card_rule("the profile exists", f"{_GUIDE}inference-profiles-support.html; recorded exchange 11", _no_such_profile),
    card_rule("a profile is needed", "Laisky/one-api#77, logancyang/obsidian-copilot#2472", _profile_needed),
    card_rule("service tier", f"{_GUIDE}service-tiers-inference.html", _service_tier, **_OURS),
    card_rule("system messages", _FEATURES, _no_system, **_OURS),
    card_rule("tool use", "langchain-ai/langchain-aws#447, danny-avila/LibreChat#6304", _no_tools),
    card_rule("tool choice", "strands-agents/harness-sdk#1241", _tool_choice),
    card_rule(
        "text beside results", "langchain-ai/langchain-aws#141, strands-agents/harness-sdk#1223", _text_beside_results
    ),
    card_rule(
        "order of calls and results",
        "BerriAI/litellm#24361, V1ki/dsh-plugin-subscriptions#22",
        _claudes_order,
        **_MODEL,
    ),
    card_rule("status of a result", "strands-agents/harness-sdk#554", _status, **_OURS),
    card_rule("json in a result", f"{_API}ToolResultContentBlock.html", _json_results, **_OURS),
    card_rule("images and documents", _FEATURES, _media, **_OURS),
    card_rule("strict tools", f"{_API}ToolSpecification.html", _strict_tools, **_OURS),
    card_rule("structured output", f"{_API}OutputConfig.html", _structured_output, **_OURS),
    card_rule("changes of tools", f"{_API}ContentBlock.html", _tool_changes, **_OURS),
    card_rule("maximum of output", "sigoden/aichat#813, RooCodeInc/Roo-Code#248", _max_output),
    card_rule("a tool's name", f"{_API}ToolSpecification.html", _tool_names, **_OURS, **_MODEL),
    card_rule("a call's id", "anomalyco/opencode#48843, vercel/ai#11802", _call_ids, **_MODEL),
    card_rule("temperature and top_p", "cline/cline#10572, BerriAI/litellm#15070", _parameters, **_MODEL),
    card_rule("form of thinking", "tinovyatkin/amazon-bedrock-copilot-chat#526", _thinking_form, **_MODEL),
    card_rule(
        "effort without thinking",
        "BerriAI/litellm#35211, pydantic/pydantic-ai#7991",
        _effort_without_thinking,
        **_OURS,
        **_MODEL,
    ),
    card_rule(
        "budget of thinking",
        "danny-avila/LibreChat#8346, liuw1535/antigravity2api-nodejs#149",
        _thinking_budget,
        **_MODEL,
    ),
    card_rule("while it thinks", "MartialBE/one-hub#529, can1357/oh-my-pi#341", _forbidden_while_thinking, **_MODEL),
    card_rule("reasoning is taken", f"{_API}ReasoningContentBlock.html", _no_reasoning, **_OURS, **_MODEL),
    card_rule("reasoning of Claude", "can1357/oh-my-pi#10486, openclaw/openclaw#88020", _reasoning_of_claude, **_MODEL),
    card_rule("reasoning keeps its prefix", _BINDING, _bound_reasoning, **_MODEL),
    card_rule("reasoning of another model", "maximhq/bifrost#6942", _foreign_reasoning, **_OURS, **_MODEL),
    card_rule("own reasoning comes first", _THINKING, _own_reasoning_first, **_OURS, **_MODEL),
    card_rule("prefill", "anomalyco/opencode#29760, XiaomiMiMo/MiMo-Code#1702", _no_prefill, **_MODEL),
    card_rule("context window of Claude", "daisuke-awaji/moca#254", _context_of_claude, **_MODEL),
    card_rule(
        "context window with the reply",
        "RooCodeInc/Roo-Code#3713, platform.claude.com/docs/en/build-with-claude/context-windows",
        _context_with_reply,
        **_MODEL,
    ),
    card_rule("context window", "aws-samples/bedrock-chat#95", _context),
)
