"""The Converse double refuses by a model's card."""

import base64
import copy
import re
from datetime import date
from itertools import product
from typing import Any

import pytest

from ballast.models.card import ModelCard
from ballast.models.card_file import CardFile
from ballast.models.catalog import Catalog
from ballast.money.prices import CLASSES
from ballast.playbook.inference import Inference
from localcloud.converse import ModelError, Reply, Strict
from localcloud.converse.asked import Asked
from localcloud.converse.cache_rules import CACHE_RULES
from localcloud.converse.card_rules import CARD_RULES
from localcloud.converse.field_rules import FIELD_RULES
from localcloud.converse.rules import refused
from localcloud.converse.schema_rules import SCHEMA_RULES
from tests.unit.localcloud.test_converse_rules import (
    LEGAL,
    PDF,
    PNG,
    RESULT,
    TOOL,
    USE,
    Change,
    both,
    changed,
    drop,
    last,
    put,
    turn,
)

HAIKU = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
SONNET = "us.anthropic.claude-sonnet-4-6"
SONNET_3_7 = "us.anthropic.claude-3-7-sonnet-20250219-v1:0"
NOVA = "eu.amazon.nova-pro-v1:0"
_PRICE = {"version": "1"} | dict.fromkeys(CLASSES, 1)
_WHOLE: dict[str, Any] = {
    "context_window": 100_000,
    "max_output": 4_000,
    "tools": True,
    "temperature": True,
    "top_p": True,
    "temperature_with_top_p": True,
    "result_status": True,
    "text_beside_results": True,
    "tool_schema": {"root_keys": None, "refs": True, "additional_properties": True},
    "prefill": True,
    "prices": [_PRICE],
}


def cards(vendor: str = "Acme", **facts: Any) -> Catalog:
    """Return a catalog in which ``acme.m-v1`` takes everything but what ``facts`` take away."""
    own = {"acme.m-v1": {**_WHOLE, "name": "M", **facts}}
    return Catalog(CardFile(vendor=vendor, as_of=date(2026, 11, 29), models=own))


def point(ttl: str | None = None) -> dict[str, Any]:
    return {"cachePoint": {"type": "default"} | ({"ttl": ttl} if ttl else {})}


def thinks(**fields: Any) -> Change:
    return put({"thinking": fields}, "additionalModelRequestFields")


def reasoning(signature: str | None = "sig") -> dict[str, Any]:
    text = {"text": "Hm."} | ({} if signature is None else {"signature": signature})
    return {"reasoningContent": {"reasoningText": text}}


_SAID = "The model returned the following errors: "
_ANSWER = ("messages", 2, "content", 0, "toolResult")
_SCHEMA = ("toolConfig", "tools", 0, "toolSpec", "inputSchema", "json")
_BUDGET = {
    "budget": {"least": 1024, "additional_fields": {"thinking": {"type": "enabled", "budget_tokens": "$budget"}}},
    "given_back": "must",
    "forbids": ["temperature", "top_p", "forced_tool_choice"],
}
_EFFORT = {
    "levels": {"low": [], "high": ["max_tokens"]},
    "additional_fields": {"reasoningConfig": {"type": "enabled", "effort": "$effort"}},
}
_ROOM = put(4000, "inferenceConfig", "maxTokens")
_COOL = both(_ROOM, drop("inferenceConfig", "temperature"))
_CACHE = {"places": ["tools", "system", "messages"], "least_tokens": 1024, "ttls": ["5m", "1h"]}


def _one(name: str, **schema: Any) -> dict[str, Any]:
    """Return the closed schema of an object with one property."""
    return {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}


_STRICT = {"strict": True, "inputSchema": {"json": _one("b", type="string")}}


def _off(form: str, effort: str) -> Change:
    """Turn thinking off in that form, beside a level of effort, for a model that takes no temperature."""
    fields = {"thinking": {"type": form}, "output_config": {"effort": effort}}
    return both(put(fields, "additionalModelRequestFields"), drop("inferenceConfig", "temperature"))


#: By rule: the model (or the facts of a card), a change that it refuses, and the message.
REFUSED: list[tuple[str, str | dict[str, Any], Change, str]] = [
    ("Converse serves the model", {"converse_api": False}, put(1, "inferenceConfig", "maxTokens"), "not supported"),
    (
        "the profile exists",
        "ca.anthropic.claude-3-5-sonnet-20240620-v1:0",
        put(1, "inferenceConfig", "maxTokens"),
        "The provided model identifier is invalid.",
    ),
    (
        "a profile is needed",
        {"prices": [{**_PRICE, "regions": {"us": 100}}]},
        put(1, "inferenceConfig", "maxTokens"),
        "Invocation of model ID acme.m-v1 with on-demand throughput isn’t supported. Retry your request with the ID or "
        "ARN of an inference profile that contains this model.",
    ),
    ("service tier", HAIKU, put({"type": "flex"}, "serviceTier"), "The service tier flex is not supported"),
    ("service tier", "us.amazon.nova-premier-v1:0", put({"type": "flex"}, "serviceTier"), "tier flex is not supported"),
    (
        "a profile is needed",
        HAIKU.removeprefix("eu."),
        put(1, "inferenceConfig", "maxTokens"),
        "on-demand throughput isn’t supported",
    ),
    ("system messages", {"system": False}, put(1, "inferenceConfig", "maxTokens"), "doesn't support system messages"),
    ("tool use", {"tools": False}, put(1, "inferenceConfig", "maxTokens"), "This model doesn't support tool use."),
    (
        "tool choice",
        {},
        put({"any": {}}, "toolConfig", "toolChoice"),
        "This model doesn't support the toolConfig.toolChoice.any field. "
        "Remove toolConfig.toolChoice.any and try again.",
    ),
    (
        "text beside results",
        {"text_beside_results": False},
        last({"text": "Hurry."}),
        "messages.2.content: Conversation blocks and tool result blocks cannot be provided in the same turn.",
    ),
    (
        "order of calls and results",
        HAIKU,
        put([{"text": "I look."}, {"toolUse": USE}, {"text": "Wait."}], "messages", 1, "content"),
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1.",
    ),
    (
        "order of calls and results",
        HAIKU,
        put([{"text": "Here:"}, {"toolResult": RESULT}], "messages", 2, "content"),
        "messages.2: `tool_use` ids were found without `tool_result` blocks immediately after: t1.",
    ),
    ("status of a result", {"result_status": False}, put("error", *_ANSWER, "status"), "messages.2.content.0"),
    (
        "json in a result",
        {"result_json": False},
        put([{"json": {"x": 2}}], *_ANSWER, "content"),
        "json content at messages.2.content.0",
    ),
    ("images and documents", "us.amazon.nova-micro-v1:0", last({"image": PNG}), "doesn't support images"),
    (
        "images and documents",
        {"images": {"formats": ["png"], "most": 1, "most_bytes": 100}},
        last({"image": {**PNG, "format": "webp"}}),
        "no image of the format webp",
    ),
    (
        "images and documents",
        {"images": {"formats": ["png"], "most": 1, "most_bytes": 100}},
        last({"image": PNG}, {"image": PNG}),
        "has 2 images; this model takes 1",
    ),
    (
        "images and documents",
        {"images": {"formats": ["png"], "most": 1, "most_bytes": 4}},
        last({"image": PNG}),
        "more than 4 bytes",
    ),
    (
        "images and documents",
        NOVA,
        both(put([{"document": PDF}], *_ANSWER, "content"), last({"text": "See."})),
        "no document in a tool result",
    ),
    (
        "strict tools",
        {},
        put(True, "toolConfig", "tools", 0, "toolSpec", "strict"),
        "Remove toolConfig.tools.0.toolSpec.strict and try again.",
    ),
    (
        "forms at a schema's root",
        HAIKU,
        put({"type": "object", "anyOf": [{"required": ["a"]}]}, *_SCHEMA),
        f"{_SAID}tools.0.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level",
    ),
    *(
        (
            "schemas of strict tools",
            {"strict_tools": True},
            both(
                put(True, "toolConfig", "tools", 0, "toolSpec", "strict"),
                put(schema, "toolConfig", "tools", 0, "toolSpec", "inputSchema", "json"),
            ),
            f"{_SAID}{said}",
        )
        for schema, said in (
            ({"type": "object"}, "tools.0.custom: For 'object' type, 'additionalProperties' must be explicitly set"),
            (_one("b", type="integer", minimum=1), "tools.0.custom: For 'integer' type, properties minimum are not"),
            (_one("b", type="array", items={"type": "string"}, minItems=2), "tools.0.custom: For 'array' type, 'minI"),
            (_one("b", oneOf=[{"type": "string"}]), "tools.0.custom: Schema type 'oneOf' is not supported"),
            (_one("b", description="Anything."), "tools.0.custom: Schema must have a type"),
            ({**_one("b", type="string"), "properties": {f"b{n}": {"type": "string"} for n in range(25)}}, "Schemas "),
            (
                {**_one("b", **{"$ref": "#/$defs/B"}), "$defs": {"B": _one("b", **{"$ref": "#/$defs/B"})}},
                "tools.0.custom: Circular reference",
            ),
        )
    ),
    (
        "schemas of strict tools",
        {"strict_tools": True},
        put(
            [{"toolSpec": {**_STRICT, "name": f"t{n}"}} for n in range(21)],
            "toolConfig",
            "tools",
        ),
        f"{_SAID}Too many strict tools (21). The maximum number of strict tools supported is 20.",
    ),
    (
        "schema of an answer",
        {"structured_output": True},
        put(
            {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": '{"type": "object"}'}}}},
            "outputConfig",
        ),
        "'additionalProperties' must be explicitly set to false",
    ),
    (
        "structured output",
        {},
        put(
            {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{}"}}}},
            "outputConfig",
        ),
        "outputConfig.textFormat",
    ),
    (
        "changes of tools",
        {},
        last({"toolRemoval": {"tool": {"type": "tool", "name": "look_up"}}}),
        "toolRemoval",
    ),
    (
        "maximum of output",
        {},
        put(4_001, "inferenceConfig", "maxTokens"),
        "The maximum tokens you requested exceeds the model limit of 4000. "
        "Try again with a maximum tokens value that is lower than 4000.",
    ),
    (
        "prompt caching",
        {},
        put([{"text": "Be brief."}, point()], "system"),
        "You invoked an unsupported model or your request did not allow prompt caching. "
        "See the documentation for more information.",
    ),
    (
        "a cache point's place",
        NOVA,
        both(put(0.5, "inferenceConfig", "temperature"), put([{"toolSpec": TOOL}, point()], "toolConfig", "tools")),
        f"{_SAID}Malformed input request: #/toolConfig/tools/0: extraneous key [cachePoint] is not permitted, "
        "please reformat your input and try again.",
    ),
    (
        "a cache point's place",
        {"cache": {**_CACHE, "after_results": False}},
        last(point()),
        "#/messages/2/content/0: extraneous key [cachePoint] is not permitted",
    ),
    (
        "a cache point's place",
        NOVA,
        last(point()),
        f"{_SAID}Malformed input request: #/messages/2/content/0: extraneous key [cachePoint] is not permitted, "
        "please reformat your input and try again.",
    ),
    (
        "a cache point's place",
        NOVA,
        put([{"text": "I look."}, {"toolUse": USE}, point()], "messages", 1, "content"),
        "#/messages/1/content/1: extraneous key [cachePoint] is not permitted",
    ),
    (
        "a cache point's place",
        NOVA,
        last({"text": "Go on."}, {"image": PNG}, point(), point()),
        "#/messages/2/content/2: extraneous key [cachePoint] is not permitted",
    ),
    (
        "number of cache points",
        HAIKU,
        both(
            put([{"text": "a"}, point(), {"text": "b"}, point()], "system"),
            put([{"toolSpec": TOOL}, point()], "toolConfig", "tools"),
            last(point(), {"text": "x"}, point()),
        ),
        f"{_SAID}A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    (
        "lifetime of a cache point",
        "us.anthropic.claude-3-5-haiku-20241022-v1:0",
        put([{"text": "a"}, point("1h")], "system"),
        "no cache point with a ttl of 1h",
    ),
    (
        "order of lifetimes",
        HAIKU,
        both(put([{"text": "a"}, point()], "system"), last(point("1h"))),
        f"{_SAID}messages.2.content.0.cache_control.ttl: a ttl='1h' cache_control block must not come after a "
        "ttl='5m' cache_control block. Note that blocks are processed in the following order: `tools`, `system`, "
        "`messages`.",
    ),
    ("a cache point after content", HAIKU, put([point(), {"text": "a"}], "system"), "#/system/0"),
    (
        "a cache point after a text document",
        HAIKU,
        last({"text": "See:"}, {"document": {**PDF, "format": "txt"}}, point()),
        f"{_SAID}messages.2.content.3.type: Field required",
    ),
    (
        "keys of a schema",
        NOVA,
        both(put({}, *_SCHEMA, "$defs"), put("T", *_SCHEMA, "title")),
        f"{_SAID}Malformed input request: "
        "#/toolConfig/tools/0/toolSpec/inputSchema/json: extraneous key [$defs] is not permitted"
        "#/toolConfig/tools/0/toolSpec/inputSchema/json: extraneous key [title] is not permitted"
        ", please reformat your input and try again.",
    ),
    (
        "keywords of a schema",
        NOVA,
        put({"a": {"$ref": "#/x"}, "b": {"items": {"additionalProperties": False}}}, *_SCHEMA, "properties"),
        "unsupported keywords: $ref, additionalProperties",
    ),
    ("a tool's name", {"tool_name": "^[a-z]+$"}, put(1, "inferenceConfig", "maxTokens"), "look_up does not match"),
    (
        "temperature and top_p",
        {"temperature": False},
        put(1, "inferenceConfig", "temperature"),
        f"{_SAID}`temperature` is deprecated for this model.",
    ),
    (
        "temperature and top_p",
        {"top_p": False},
        put(1, "inferenceConfig", "topP"),
        f"{_SAID}`top_p` is deprecated for this model.",
    ),
    (
        "temperature and top_p",
        HAIKU,
        put(0.5, "inferenceConfig", "topP"),
        f"{_SAID}`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
    ),
    (
        "the model's own fields",
        HAIKU,
        put({"foo": 1}, "additionalModelRequestFields"),
        f"{_SAID}foo: Extra inputs are not permitted",
    ),
    (
        "the model's own fields",
        SONNET,
        put({"output_config": {"effort": "bogus"}}, "additionalModelRequestFields"),
        f"{_SAID}output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
    ),
    (
        "the model's own fields",
        HAIKU,
        put({"top_k": "5"}, "additionalModelRequestFields"),
        "top_k: Input should be a valid int",
    ),
    (
        "the model's own fields",
        NOVA,
        put({"foo": 1}, "additionalModelRequestFields"),
        "#: extraneous key [foo] is not permitted",
    ),
    (
        "the model's own fields",
        "us.amazon.nova-2-lite-v1:0",
        put({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "bogus"}}, "additionalModelRequestFields"),
        "#/reasoningConfig/maxReasoningEffort: is not a valid enum value",
    ),
    ("form of thinking", {}, thinks(type="enabled", budget_tokens=1024), "thinking: Extra inputs are not permitted"),
    ("form of thinking", HAIKU, thinks(type="adaptive"), "adaptive thinking is not supported on this model"),
    (
        "form of thinking",
        {"thinking": {"adaptive": {"additional_fields": {"thinking": {"type": "adaptive"}}}}},
        thinks(type="enabled", budget_tokens=1024),
        f'{_SAID}"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
        '"output_config.effort" to control thinking behavior.',
    ),
    (
        "form of thinking",
        "us.anthropic.claude-fable-5",
        both(thinks(type="disabled"), drop("inferenceConfig", "temperature")),
        f'{_SAID}"thinking.type.disabled" is not supported for this model.',
    ),
    ("form of thinking", "us.anthropic.claude-sonnet-5-5", _off("disabled", "low"), '"thinking.type.disabled" is not'),
    ("form of thinking", "us.anthropic.claude-opus-5", _off("between_tools", "low"), "Input tag 'between_tools' found"),
    (
        "effort without thinking",
        "us.anthropic.claude-opus-5",
        _off("disabled", "xhigh"),
        f"{_SAID}output_config.effort",
    ),
    ("effort without thinking", "us.anthropic.claude-haiku-5-5", _off("disabled", "max"), "max is not supported while"),
    ("effort without thinking", "us.anthropic.claude-sonnet-5-5", _off("between_tools", "max"), "max is not supported"),
    (
        "budget of thinking",
        HAIKU,
        both(_COOL, thinks(type="enabled", budget_tokens=1023)),
        f"{_SAID}thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ),
    (
        "budget of thinking",
        HAIKU,
        both(_COOL, thinks(type="enabled", budget_tokens=4000)),
        "`max_tokens` must be greater than `thinking.budget_tokens`.",
    ),
    (
        "while it thinks",
        HAIKU,
        both(_ROOM, thinks(type="enabled", budget_tokens=1024)),
        "`temperature` may only be set to 1 when thinking is enabled.",
    ),
    (
        "while it thinks",
        HAIKU,
        both(_COOL, put(0.9, "inferenceConfig", "topP"), thinks(type="enabled", budget_tokens=1024)),
        "`top_p` must be greater than or equal to 0.95",
    ),
    (
        "while it thinks",
        HAIKU,
        both(_COOL, put({"any": {}}, "toolConfig", "toolChoice"), thinks(type="enabled", budget_tokens=1024)),
        f"{_SAID}Thinking may not be enabled when tool_choice forces tool use.",
    ),
    (
        "while it thinks",
        {"thinking": {"effort": _EFFORT}},
        put({"reasoningConfig": {"type": "enabled", "effort": "high"}}, "additionalModelRequestFields"),
        "maxTokens must be unset",
    ),
    (
        "while it thinks",
        {"thinking": {**_BUDGET, "forbids": ["prefill"], "given_back": "may"}},
        both(_ROOM, thinks(type="enabled", budget_tokens=1024), turn("assistant", {"text": "It"})),
        "prefill while it thinks",
    ),
    (
        "reasoning is taken",
        {},
        put([reasoning(), {"toolUse": USE}], "messages", 1, "content"),
        "messages.1.content.0: this model doesn't take reasoningContent blocks",
    ),
    (
        "reasoning of Claude",
        HAIKU,
        put([reasoning(None), {"toolUse": USE}], "messages", 1, "content"),
        f"{_SAID}messages.1.content.0.thinking.signature: Field required",
    ),
    (
        "reasoning of another model",
        {"thinking": {"given_back": "may"}},
        put([reasoning(""), {"toolUse": USE}], "messages", 1, "content"),
        "messages.1.content.0: the signature is not one of this model",
    ),
    (
        "own reasoning comes first",
        HAIKU,
        both(_COOL, thinks(type="enabled", budget_tokens=1024)),
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`.",
    ),
    (
        "prefill",
        SONNET,
        turn("assistant", {"text": "It is"}),
        f"{_SAID}This model does not support assistant message prefill. The conversation must end with a user message.",
    ),
    (
        "context window of Claude",
        HAIKU,
        last({"text": "x" * 900_000}),
        " tokens > 200000 maximum",
    ),
    (
        "context window with the reply",
        SONNET_3_7,
        both(put(8_000, "inferenceConfig", "maxTokens"), last({"text": "x" * 780_000})),
        f"{_SAID}input length and `max_tokens` exceed context limit: ",
    ),
    ("context window", {}, last({"text": "x" * 500_000}), "Input is too long for requested model."),
]


@pytest.mark.parametrize(
    ("rule", "model", "change", "says"), REFUSED, ids=[f"{n}-{r[0]}" for n, r in enumerate(REFUSED)]
)
def test_what_a_model_does_not_take_is_refused(
    rule: str, model: str | dict[str, Any], change: Change, says: str
) -> None:
    models, model_id = (cards(**model), "acme.m-v1") if isinstance(model, dict) else (Catalog(), model)

    refusal = refused(changed(change), model_id, models)

    assert refusal is not None
    assert refusal.rule.name == rule
    assert says in refusal.message
    assert refusal.message.startswith(_SAID) is refusal.rule.by_model
    assert refusal.rule.code == ("AccessDeniedException" if rule == "prompt caching" else "ValidationException")


def test_each_rule_has_a_request_that_breaks_it_and_a_source() -> None:
    assert {rule for rule, *_ in REFUSED} | {"a call's id", "reasoning keeps its prefix"} == {
        rule.name for rule in (*CARD_RULES, *FIELD_RULES, *SCHEMA_RULES, *CACHE_RULES)
    }
    for rule in (*CARD_RULES, *FIELD_RULES, *SCHEMA_RULES, *CACHE_RULES):
        assert re.search(r"(docs\.aws\.amazon|platform\.claude)\.com/|[\w.-]+/[\w.-]+#\d+", rule.source), rule.name


@pytest.mark.parametrize("vendor", ["Mistral", "Acme"])
def test_the_id_of_a_call_is_refused_where_the_model_wants_another(vendor: str) -> None:
    models = cards(vendor, tool_use_id="^[a-zA-Z0-9]{9}$")

    refusal = refused(LEGAL, "acme.m-v1", models)
    fits = {"messages": [LEGAL["messages"][0], *_with_id("abcdef123")]}

    assert refusal is not None
    assert "Tool call id was t1 but must" in refusal.message
    assert refused(LEGAL | fits, "acme.m-v1", models) is None


def _with_id(own: str) -> list[dict[str, Any]]:
    asks = {"role": "assistant", "content": [{"toolUse": {**USE, "toolUseId": own}}]}
    return [asks, {"role": "user", "content": [{"toolResult": {**RESULT, "toolUseId": own}}]}]


@pytest.mark.parametrize("model_id", [HAIKU, SONNET, NOVA, "anthropic.claude-3-5-sonnet-20240620-v1:0"])
def test_a_request_of_the_agents_form_is_taken(model_id: str) -> None:
    assert refused(LEGAL, model_id) is None


TAKEN: list[tuple[str, Change]] = [
    (HAIKU, both(put([{"text": "a"}, point("1h")], "system"), last(point()))),
    (HAIKU, both(put([{"toolSpec": TOOL}, point()], "toolConfig", "tools"), last(point()))),
    (HAIKU, put({"$defs": {}, "title": "T", "additionalProperties": False, "type": "object"}, *_SCHEMA)),
    (HAIKU, put([reasoning(), {"toolUse": USE}], "messages", 1, "content")),
    (
        HAIKU,
        both(
            _COOL,
            thinks(type="enabled", budget_tokens=1024),
            put([reasoning(), {"toolUse": USE}], "messages", 1, "content"),
        ),
    ),
    (HAIKU, thinks(type="disabled")),
    (HAIKU, last({"text": "See:"}, {"document": PDF}, point())),
    (SONNET, both(_COOL, thinks(type="adaptive"))),
    (NOVA, both(put([{"text": "a"}, point()], "system"), last({"text": "Go on."}, point()))),
    (HAIKU, both(put(8_000, "inferenceConfig", "maxTokens"), last({"text": "x" * 780_000}))),
    (SONNET_3_7, both(put(1_000, "inferenceConfig", "maxTokens"), last({"text": "x" * 780_000}))),
    (HAIKU, turn("user", {"text": "Well?"})),
    (SONNET, turn("user", {"text": "Well?"})),
    (NOVA, put({"title": {"type": "string"}, "$defs": {"type": "string"}}, *_SCHEMA, "properties")),
]


@pytest.mark.parametrize(("model_id", "change"), TAKEN)
def test_what_a_model_takes_is_taken(model_id: str, change: Change) -> None:
    refusal = refused(changed(change), model_id)

    assert refusal is None, refusal


@pytest.mark.parametrize("model_id", [NOVA, SONNET_3_7, "anthropic.claude-3-5-sonnet-20240620-v1:0", "acme.m-v1"])
def test_messages_of_one_role_in_a_row_are_refused_where_nobody_has_seen_them_taken(model_id: str) -> None:
    models = cards() if model_id.startswith("acme.") else None
    refusal = refused(changed(turn("user", {"text": "Well?"})), model_id, models)

    assert refusal is not None
    assert refusal.rule.name == "roles alternate"


@pytest.mark.parametrize("cut", [{"text": "Well?"}, {"toolResult": RESULT}])
def test_a_call_is_answered_in_the_very_next_message_also_where_two_of_one_role_are_taken(cut: Any) -> None:
    request = changed(both(put([{"text": "Wait."}], "messages", 2, "content"), turn("user", cut)))

    refusal = refused(request, HAIKU)

    assert refusal is not None
    assert refusal.rule.name == "each call is answered"


def test_a_lower_level_of_effort_forbids_nothing() -> None:
    request = changed(put({"reasoningConfig": {"type": "enabled", "effort": "low"}}, "additionalModelRequestFields"))

    assert refused(request, "acme.m-v1", cards(thinking={"effort": _EFFORT})) is None


def test_a_model_without_a_card_is_held_to_the_service_alone() -> None:
    assert refused(changed(last(point())), "stability.new-v1:0") is None
    assert refused(changed(drop("toolConfig")), "stability.new-v1:0") is not None


class Thinks:
    """Answers with reasoning that carries ``signature``."""

    signature = "of the first"

    def reply(self, request: Any, model_id: str, /) -> Reply:
        content = [reasoning(self.signature), {"text": "Done."}]
        return Reply({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn"})


@pytest.mark.parametrize(
    ("other", "says"), [(SONNET, "Invalid `signature` in `thinking` block"), ("acme.m-v1", "not one of this model")]
)
def test_the_reasoning_of_one_model_is_refused_by_another(other: str, says: str) -> None:
    double = Strict(Thinks(), models=cards(thinking={"given_back": "may"}))
    made = double.reply(LEGAL, HAIKU).body["output"]["message"]
    later = copy.deepcopy(LEGAL)
    later["messages"] += [made, {"role": "user", "content": [{"text": "And?"}]}]

    assert double.reply(later, HAIKU.replace("eu.", "global.")).body["stopReason"] == "end_turn"
    with pytest.raises(ModelError, match=re.escape(says)):
        double.reply(later, other)


class Reasons:
    """Answers with reasoning that has a signature of its own each time."""

    made = 0

    def reply(self, request: Any, model_id: str, /) -> Reply:
        self.made += 1
        content = [reasoning(f"sig{self.made}"), {"text": "So."}, reasoning(f"late{self.made}"), {"text": "Done."}]
        return Reply({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn"})


def talk(double: Strict, turns: int, model: str) -> dict[str, Any]:
    """Return the request after ``turns`` replies; each was sent back as it came."""
    request = changed(put({"maxTokens": 100}, "inferenceConfig"))
    for _ in range(turns):
        said = double.reply(request, model).body["output"]["message"]
        request["messages"] += [copy.deepcopy(said), {"role": "user", "content": [{"text": "And?"}]}]
    return request


FABLE = "us.anthropic.claude-fable-5-1"
BOUND: dict[str, tuple[Change, int | None]] = {
    "as it came": (lambda one: None, None),
    "a cache point more": (last(point()), None),
    "without the first": (lambda one: one["messages"][3]["content"].pop(0), None),
    "without any": (
        lambda one: [m.update(content=[b for b in m["content"] if "text" in b]) for m in one["messages"][3::2]],
        None,
    ),
    "another system prompt": (put([{"text": "Be long."}], "system"), 3),
    "another tool": (put("Look.", "toolConfig", "tools", 0, "toolSpec", "description"), 3),
    "another message": (put([{"text": "Where?"}], "messages", 0, "content"), 3),
    "another text before it": (put({"text": "No."}, "messages", 3, "content", 1), 3),
    "a gap": (lambda one: one["messages"][3]["content"].pop(2), 5),
}


@pytest.mark.parametrize("case", BOUND)
@pytest.mark.parametrize("model", [FABLE, SONNET])
def test_bound_reasoning_is_refused_behind_anything_else_than_what_stood_before_it(case: str, model: str) -> None:
    change, at = BOUND[case]
    double = Strict(Reasons())
    request = talk(double, 2, model)

    change(request)

    if at is None or model == SONNET:  # whose reasoning is not bound
        assert double.reply(request, model)
    else:
        with pytest.raises(ModelError, match=rf"messages\.{at}\.content\.\d: Invalid `signature` in `thinking` block"):
            double.reply(request, model)


def test_bound_reasoning_that_was_left_out_cannot_come_back() -> None:
    double = Strict(Reasons())
    request = talk(double, 1, FABLE)
    whole = copy.deepcopy(request)
    request["messages"][3]["content"] = [block for block in request["messages"][3]["content"] if "text" in block]
    said = double.reply(request, FABLE).body["output"]["message"]
    more = [said, {"role": "user", "content": [{"text": "And?"}]}]

    assert double.reply({**request, "messages": request["messages"] + more}, FABLE)
    with pytest.raises(ModelError, match=r"messages\.5\.content\.0: Invalid"):
        double.reply({**whole, "messages": whole["messages"] + more}, FABLE)


def _forms(card: ModelCard) -> list[dict[str, Any]]:
    """Return every form of thinking that the card can have sent."""
    thinks = card.thinking
    if thinks is None:
        return []
    forms = [one.given(budget=2_000) for one in (thinks.budget, thinks.adaptive, thinks.off) if one is not None]
    forms += [thinks.effort.given(effort=level) for level in thinks.effort.levels] if thinks.effort else []
    return [one.additional_fields for one in forms]


_SETTINGS = ("temperature and top_p", "form of thinking", "effort without thinking", "budget of thinking")
_ASKED_BY_SETTINGS = [
    rule for rule in (*CARD_RULES, *FIELD_RULES) if rule.name in (*_SETTINGS, "while it thinks") or rule in FIELD_RULES
]


@pytest.mark.parametrize("card", [one for one in Catalog().cards() if one.converse_api], ids=lambda one: one.id)
def test_each_pair_of_settings_makes_a_request_that_the_model_takes(card: ModelCard) -> None:
    levels = [None, "nonsense", *(card.thinking.effort.levels if card.thinking and card.thinking.effort else ())]
    thinkings: tuple[Any, ...] = (None, False, "adaptive", 2_000)

    for thinking, effort, top_p in product(thinkings, levels, (None, "0.5")):
        inference = Inference.model_validate({"thinking": thinking, "effort": effort, "top_p": top_p}, strict=False)
        taken = inference.taken_by(card)
        sampling = {"temperature": taken.temperature, "topP": taken.top_p}
        request = {
            "messages": [{"role": "user", "content": [{"text": "Hello."}]}],
            "inferenceConfig": {"maxTokens": 1_000 + taken.thinking_tokens}
            | {name: float(value) for name, value in sampling.items() if value is not None},
            "additionalModelRequestFields": dict(taken.additional_fields),
            "outputConfig": dict(taken.output_config),
        }
        asked = Asked(request, card.id, card)

        assert [said for rule in _ASKED_BY_SETTINGS for said in rule.check(asked)] == [], (thinking, effort)
        if thinking is False and "thinking" not in taken.refused:
            assert taken.thinking_tokens == 0, effort
            assert not asked.thinking, effort
        if effort is not None and "effort" not in taken.refused:
            assert f"'{effort}'" in str((taken.additional_fields, taken.output_config)), thinking


def test_the_fields_that_shipped_cards_send_are_known() -> None:
    [rule] = FIELD_RULES
    models = Catalog().cards()

    sent = [(card, fields) for card in models for fields in _forms(card)]
    refusals = [
        said
        for card, fields in sent
        for said in rule.check(Asked({"additionalModelRequestFields": fields}, card.id, card))
    ]

    assert len(sent) > 50
    assert refusals == []


@pytest.mark.parametrize(
    ("model", "fields", "says"),
    [
        (
            "us.meta.llama4-scout-17b-instruct-v1:0",
            {"top_k": 5},
            "Malformed input request: #: extraneous key [top_k] is not permitted, please reformat your input and try "
            "again.",
        ),
        ("cohere.command-r-v1:0", {"k": 0.5, "seed": 1, "return_prompt": True}, ""),
        ("cohere.command-r-v1:0", {"k": True}, "#/k: is not a valid enum value"),
        ("us.openai.gpt-6-sol", {"reasoning": {"effort": "max"}, "presence_penalty": 1}, ""),
        ("us.openai.gpt-6-sol", {"reasoning": {"effort": "much"}}, "reasoning.effort: Input should be 'none', "),
        ("us.openai.gpt-6-sol", {"thinking": {}}, "Unknown parameter: 'thinking'."),
        ("google.gemma-3-27b-it", {"seed": "1"}, "seed: Input should be a valid int"),
        ("google.gemma-3-27b-it", {"frequency_penalty": "1"}, "Input should be a valid number"),
    ],
)
def test_another_vendors_own_fields_are_checked(model: str, fields: dict[str, Any], says: str) -> None:
    [rule] = FIELD_RULES

    said = list(rule.check(Asked({"additionalModelRequestFields": fields}, model, Catalog().card(model))))

    assert len(said) == bool(says)
    assert says in "".join(said)


def test_each_vendor_of_a_shipped_card_has_a_schema_for_its_own_fields() -> None:
    [rule] = FIELD_RULES

    for card in Catalog().cards():
        assert list(rule.check(Asked({"additionalModelRequestFields": {"foo": 1}}, card.id, card))), card.vendor


@pytest.mark.parametrize("size", [4, 5, 6])
def test_a_file_of_exactly_the_most_bytes_is_taken(size: int) -> None:
    image = {"format": "png", "source": {"bytes": base64.b64encode(b"x" * size).decode()}}
    [rule] = [one for one in CARD_RULES if one.name == "images and documents"]

    def said(most: int) -> list[str]:
        card = cards(images={"formats": ["png"], "most": 1, "most_bytes": most}).card("acme.m-v1")
        return list(rule.check(Asked(changed(last({"image": image})), "acme.m-v1", card)))

    assert said(size) == []
    assert said(size - 1) == [f"messages.2.content.1: the image has more than {size - 1} bytes."]
