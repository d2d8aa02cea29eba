"""Converse replies of many families of models, made from their documentation and from public reports.

Each family has its own habits: the ids of its calls, how it reasons, what it says beside a call, the counts it reports.
``REPLIES`` has a row for each form that a family is documented to give, with the source and the outcome that our agent
must come to. No recording of Bedrock is behind them; ``test_recorded_replies.py`` has those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_API = "docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_"
_GUIDE = "docs.aws.amazon.com/bedrock/latest/userguide/"
_NOVA = "docs.aws.amazon.com/nova/latest/"


@dataclass(frozen=True)
class Family:
    """A family of models on Bedrock.

    ids       ids of its calls, in the form that it makes them
    thinks    how it reasons: signed blocks, plain blocks, redacted blocks, tags in its text, or not at all
    speaks    what it says beside a call; "" for nothing
    calls     whether it takes tools
    counts    counts of its usage beside input, output and total
    """

    name: str
    model: str
    source: str
    ids: tuple[str, ...] = ("tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "tooluse_Yh1wqGq2S5CTPyLmIr2ahw")
    thinks: str = ""
    speaks: str = ""
    calls: bool = True
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Documented:
    """A reply, its source, and the outcome of our agent."""

    name: str
    source: str
    outcome: str
    status: int
    body: Mapping[str, Any]
    error: str = ""


FAMILIES: tuple[Family, ...] = (
    Family("Claude 3", "anthropic.claude-3-haiku-20240307-v1:0", f"{_GUIDE}tool-use-inference-call.html"),
    Family(
        "Claude 4.5",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        f"{_GUIDE}claude-messages-extended-thinking.html",
        thinks="signed",
        speaks="I look that up.",
        counts={"cacheReadInputTokens": 0, "cacheWriteInputTokens": 1_200},
    ),
    Family(
        "Claude 5",
        "global.anthropic.claude-opus-5",
        f"{_GUIDE}claude-messages-adaptive-thinking.html",
        ids=("toolu_bdrk_01A09q90qw90lq917835lq9", "toolu_bdrk_01B19q90qw90lq917835lq0"),
        thinks="signed",
        counts={"cacheReadInputTokens": 1_200, "cacheWriteInputTokens": 0},
    ),
    Family(
        "Nova 1",
        "us.amazon.nova-pro-v1:0",
        f"{_NOVA}userguide/tool-use.html",
        thinks="tags",
        counts={"cacheReadInputTokens": 0, "cacheWriteInputTokens": 0},
    ),
    Family("Nova 2", "us.amazon.nova-2-lite-v1:0", f"{_NOVA}nova2-userguide/extended-thinking.html", thinks="plain"),
    Family("Llama 3", "us.meta.llama3-3-70b-instruct-v1:0", f"{_GUIDE}model-parameters-meta.html"),
    Family("Llama 4", "us.meta.llama4-maverick-17b-instruct-v1:0", "strands-agents/harness-sdk#1223"),
    Family(
        "Mistral Large",
        "mistral.mistral-large-2407-v1:0",
        "anomalyco/opencode#48843",
        ids=("D681PevKs", "a1B2c3D4e"),
    ),
    Family("Ministral", "mistral.ministral-3-14b-instruct", "vercel/ai#11802", ids=("abcdefghi", "abcdefghj")),
    Family("Magistral", "mistral.magistral-small-2509", f"{_GUIDE}model-parameters-mistral.html", thinks="plain"),
    Family(
        "gpt-oss",
        "openai.gpt-oss-120b-1:0",
        "strands-agents/harness-sdk#644",
        ids=("call_5f8c0e6a", "call_5f8c0e6b"),
        thinks="plain",
    ),
    Family("GPT", "openai.gpt-5.6", "maximhq/bifrost#6942", thinks="redacted", counts={"cacheReadInputTokens": 4_993}),
    Family("DeepSeek R1", "us.deepseek.r1-v1:0", "langchain-ai/langchain-aws#447", thinks="plain", calls=False),
    Family("DeepSeek V3", "deepseek.v3-v1:0", "langchain-ai/langchain-aws#688", ids=("call_00_a", "call_01_b")),
    Family("Qwen 3", "qwen.qwen3-235b-a22b-2507-v1:0", f"{_GUIDE}model-parameters-qwen.html"),
    Family(
        "Kimi K2",
        "moonshot.kimi-k2-thinking",
        f"{_GUIDE}model-parameters-moonshot.html",
        ids=("functions.get_weather:0", "functions.get_weather:1"),
        thinks="plain",
    ),
    Family("Grok", "xai.grok-4-6", f"{_GUIDE}models-supported.html", ids=("call_68049191", "call_68049192")),
    Family("Command R", "cohere.command-r-plus-v1:0", f"{_GUIDE}model-parameters-cohere-command-r-plus.html"),
    Family("Jamba", "ai21.jamba-1-5-large-v1:0", f"{_GUIDE}model-parameters-jamba.html"),
    Family("Palmyra", "us.writer.palmyra-x5-v1:0", "strands-agents/harness-sdk#554", ids=("chatcmpl-tool-1", "ct-2")),
    Family("MiniMax", "minimax.minimax-m2", "maximhq/bifrost#6942", thinks="plain", ids=("call_function_a1", "b2")),
    Family("GLM", "zai.glm-5", "earendil-works/pi#8279", ids=("call_7712", "call_7713"), thinks="plain"),
    Family("Nemotron", "nvidia.nemotron-super-3-120b", "BerriAI/litellm#39210", ids=("chatcmpl-t1", "chatcmpl-t2")),
    Family("Gemma", "google.gemma-3-27b-it", f"{_GUIDE}models-supported.html", calls=False),
    Family("Titan", "amazon.titan-text-premier-v1:0", f"{_GUIDE}model-parameters-titan-text.html", calls=False),
)


def _text(text: str) -> dict[str, Any]:
    return {"text": text}


def _call(own: str, city: str = "Seattle") -> dict[str, Any]:
    return {"toolUse": {"toolUseId": own, "name": "get_weather", "input": {"city": city}}}


def _thought(kind: str) -> list[dict[str, Any]]:
    """Return the reasoning of a family as the blocks before its words."""
    if kind == "signed":
        text = {"text": "The customer asks for the weather.", "signature": "EpACCkYICxgCKkBx5fHr"}
        return [{"reasoningContent": {"reasoningText": text}}]
    if kind == "plain":
        return [{"reasoningContent": {"reasoningText": {"text": "The customer asks for the weather."}}}]
    if kind == "redacted":
        return [{"reasoningContent": {"redactedContent": "c2VjcmV0"}}]
    return []


def _reply(stop: str, *content: Any, usage: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    counts = {"inputTokens": 700, "outputTokens": 60, "totalTokens": 760} if usage is None else usage
    message = {"role": "assistant", "content": list(content)}
    return {"output": {"message": message}, "stopReason": stop, "usage": counts, "metrics": {"latencyMs": 912}, **more}


def _of_family(family: Family) -> Iterator[Documented]:
    """Yield the forms that every family gives: an answer, one call, two at once, and a reply that was cut off."""
    usage = {"inputTokens": 700, "outputTokens": 60, **family.counts}
    usage["totalTokens"] = sum(usage.values())
    thought = _thought(family.thinks)
    said = "It is 15 degrees in Seattle."
    if family.thinks == "tags":
        said = f"<thinking>The customer asks for the weather.</thinking>\n{said}"

    def row(name: str, outcome: str, stop: str, *content: Any) -> Documented:
        body = _reply(stop, *thought, *content, usage=usage)
        return Documented(f"{family.name}: {name}", family.source, outcome, 200, body)

    yield row("an answer", "answer", "end_turn", _text(said))
    yield row("cut off", "hand_over: max_tokens", "max_tokens", _text("It is 15 deg"))
    if family.calls:
        beside = [_text(family.speaks)] if family.speaks else []
        yield row("one call", "call_tools × 1", "tool_use", *beside, _call(family.ids[0]))
        two = (_call(family.ids[0]), _call(family.ids[1], "San Francisco"))
        yield row("two calls at once", "call_tools × 2", "tool_use", *beside, *two)


_STOPS = f"{_API}Converse.html"
_WEATHER = "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q"
_CITED = {
    "citationsContent": {
        "content": [{"text": "It is 15 degrees in Seattle."}],
        "citations": [{"title": "Weather", "location": {"documentChar": {"documentIndex": 0, "start": 0, "end": 20}}}],
    }
}
_SERVER_USE = {"toolUseId": "srv_1", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}
_SERVER_RESULT = {"toolUseId": "srv_1", "content": [{"text": "15 degrees"}], "status": "success", "type": "nova"}
_TRACE: dict[str, Any] = {"guardrail": {"inputAssessment": {"gr1": {"topicPolicy": {"topics": []}}}}}


def _forms() -> Iterator[Documented]:
    """Yield the forms that single pages and reports describe."""

    def row(name: str, source: str, outcome: str, body: Mapping[str, Any]) -> Documented:
        return Documented(name, source, outcome, 200, body)

    yield row("stop sequence", _STOPS, "answer", _reply("stop_sequence", _text("It is 15 degrees.")))
    yield row("guardrail", _STOPS, "hand_over: guardrail_intervened", _reply("guardrail_intervened", _text("Sorry.")))
    yield row(
        "guardrail with its trace",
        f"{_API}ConverseTrace.html",
        "hand_over: guardrail_intervened",
        _reply("guardrail_intervened", _text("Sorry, I cannot."), trace=_TRACE),
    )
    yield row("content filter", _STOPS, "hand_over: content_filtered", _reply("content_filtered"))
    yield row(
        "context window", _STOPS, "hand_over: model_context_window_exceeded", _reply("model_context_window_exceeded")
    )
    yield row("malformed output", _STOPS, "hand_over: empty_answer", _reply("malformed_model_output"))
    yield row("malformed call", _STOPS, "hand_over: malformed_tool_use", _reply("malformed_tool_use", _text("I call")))
    yield row("a stop reason of tomorrow", _STOPS, "hand_over: malformed_model_output", _reply("paused", _text("…")))
    yield row("cited text", f"{_API}CitationsContentBlock.html", "answer", _reply("end_turn", _CITED))
    yield row("cited and plain text", "boto/botocore#3525", "answer", _reply("end_turn", _text("So: "), _CITED))
    yield row(
        "Nova's own tool",
        f"{_NOVA}nova2-userguide/web-grounding.html",
        "answer",
        _reply("end_turn", {"toolUse": _SERVER_USE}, {"toolResult": _SERVER_RESULT}, _text("It is 15 degrees.")),
    )
    yield row(
        "gpt-oss: a call under end_turn",
        "strands-agents/harness-sdk#644, strands-agents/harness-sdk#767",
        "call_tools × 1",
        _reply("end_turn", _call("call_5f8c0e6a")),
    )
    yield row(
        "Sonnet: a call under end_turn",
        "strands-agents/harness-sdk#1810",
        "call_tools × 1",
        _reply("end_turn", _text("I look."), _call(_WEATHER)),
    )
    yield row(
        "text under tool_use",
        "strands-agents/harness-sdk#767",
        "answer",
        _reply("tool_use", _text("Done.")),
    )
    yield row("an empty end", "earendil-works/pi#4210", "hand_over: empty_answer", _reply("end_turn"))
    yield row(
        "reasoning alone",
        "openclaw/openclaw#82460",
        "hand_over: empty_answer",
        _reply("end_turn", *_thought("signed")),
    )
    yield row("a call cut off by max_tokens", _STOPS, "hand_over: max_tokens", _reply("max_tokens", _call(_WEATHER)))
    yield row(
        "reasoning cut off by max_tokens",
        f"{_GUIDE}claude-messages-extended-thinking.html",
        "hand_over: empty_answer",
        _reply("max_tokens", *_thought("signed")),
    )
    yield row(
        "the same call twice",
        "NousResearch/hermes-agent#108584",
        "call_tools × 2",
        _reply("tool_use", _call("tooluse_A"), _call("tooluse_B")),
    )
    yield row(
        "two calls of one id",
        "BerriAI/litellm#20049",
        "call_tools × 2",
        _reply("tool_use", _call("tooluse_A"), _call("tooluse_A", "Paris")),
    )
    yield row("a call without an id", "run-llama/llama_index#22775", "call_tools × 1", _reply("tool_use", _call("")))
    yield row(
        "arguments that are a text",
        "vercel/ai#19023",
        "call_tools × 1",
        _reply("tool_use", {"toolUse": {"toolUseId": _WEATHER, "name": "get_weather", "input": '{"city": "Sea'}}),
    )
    yield row(
        "arguments that are null",
        "LibreChat-AI/agents#370",
        "call_tools × 1",
        _reply("tool_use", {"toolUse": {"toolUseId": _WEATHER, "name": "get_weather", "input": None}}),
    )
    yield row(
        "cache counts by lifetime",
        f"{_API}TokenUsage.html",
        "answer",
        _reply(
            "end_turn",
            _text("15."),
            usage={
                "inputTokens": 20,
                "outputTokens": 5,
                "totalTokens": 2_325,
                "cacheReadInputTokens": 0,
                "cacheWriteInputTokens": 2_300,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 2_000}, {"ttl": "5m", "inputTokens": 300}],
            },
        ),
    )
    yield row(
        "a service tier",
        f"{_API}ServiceTier.html",
        "answer",
        _reply("end_turn", _text("15 degrees."), serviceTier={"type": "default"}),
    )
    yield row(
        "a latency",
        f"{_API}PerformanceConfiguration.html",
        "answer",
        _reply("end_turn", _text("15 degrees."), performanceConfig={"latency": "optimized"}),
    )
    yield row(
        "own fields",
        _STOPS,
        "answer",
        _reply("end_turn", _text("15 degrees."), additionalModelResponseFields={"stop_sequence": None}),
    )
    yield row(
        "no usage",
        "recorded exchange 15",
        "answer",
        {k: v for k, v in _reply("end_turn", _text("15 degrees.")).items() if k != "usage"},
    )
    yield row(
        "a picture",
        f"{_API}ContentBlock.html",
        "answer",
        _reply("end_turn", {"image": {"format": "png", "source": {"bytes": "iVBORw0="}}}, _text("See.")),
    )
    yield row(
        "a blank text before the answer",
        "recorded exchange 15",
        "answer",
        _reply("end_turn", _text(""), _text("15 degrees.")),
    )


def _error(code: str, status: int, message: str, outcome: str, source: str) -> Documented:
    return Documented(
        f"{code}: {message[:60]}", source, f"hand_over: {outcome}", status, {"message": message}, error=code
    )


_ERRORS = f"{_GUIDE}troubleshooting-api-error-codes.html"
_TOO_LONG = "model_context_window_exceeded"


def _errors() -> Iterator[Documented]:
    """Yield errors that are not tried again: what Bedrock and the models behind it say."""
    said = "The model returned the following errors: "
    for message, outcome, source in (
        (f"{said}prompt is too long: 200049 tokens > 200000 maximum", _TOO_LONG, "daisuke-awaji/moca#254"),
        ("Input is too long for requested model.", _TOO_LONG, "aws-samples/bedrock-chat#95"),
        (f"{said}`temperature` is deprecated for this model.", "model_refused", "cline/cline#10572"),
        ("This model doesn't support tool use.", "model_refused", "langchain-ai/langchain-aws#447"),
        ("The provided model identifier is invalid.", "model_refused", "recorded exchange 11"),
        (
            f"{said}messages.39.content.0: Invalid signature in thinking block",
            "model_refused",
            "openclaw/openclaw#88020",
        ),
        (
            f"{said}A maximum of 4 blocks with cache_control may be provided. Found 5.",
            "model_refused",
            "VicBilibily/GCMP#83",
        ),
        (
            "The maximum tokens you requested exceeds the model limit of 4096. "
            "Try again with a maximum tokens value that is lower than 4096.",
            "model_refused",
            "sigoden/aichat#813",
        ),
    ):
        yield _error("ValidationException", 400, message, outcome, source)
    denied = "You invoked an unsupported model or your request did not allow prompt caching."
    yield _error("AccessDeniedException", 403, denied, "model_refused", "BerriAI/litellm#39210")
    yield _error("ResourceNotFoundException", 404, "Could not resolve the foundation model.", "model_refused", _ERRORS)


REPLIES: tuple[Documented, ...] = (*(row for family in FAMILIES for row in _of_family(family)), *_forms(), *_errors())
