"""Rules for ``additionalModelRequestFields``, by a vendor's own schema: the fields that it knows, and their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ballast.models.card import ModelCard
from localcloud.converse.asked import Asked, Rule, card_rule

_GUIDE = "docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html"
_NOVA_THINKING = "docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html"
#: Fields of chat completions, for models that Bedrock serves in OpenAI's form. ``float`` is any number.
_CHAT: Mapping[str, Any] = {
    "frequency_penalty": float,
    "presence_penalty": float,
    "logit_bias": dict,
    "logprobs": bool,
    "top_logprobs": int,
    "n": int,
    "seed": int,
    "stop": list,
    "parallel_tool_calls": bool,
    "user": str,
}
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
#: By vendor, what ``additionalModelRequestFields`` may hold: a field's values, the type of any value, or fields in it.
#: Stated apart from the cards, which say what Ballast sends. A vendor that is not here takes any field.
_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "Anthropic": {
        "thinking": {
            "type": ("enabled", "disabled", "adaptive", "between_tools"),
            "budget_tokens": int,
            "display": ("summarized", "omitted"),
        },
        "output_config": {"effort": ("low", "medium", "high", "xhigh", "max")},
        "anthropic_beta": list,
        "top_k": int,
        "stop_sequences": list,
    },
    "Amazon": {
        "reasoningConfig": {"type": ("enabled", "disabled"), "maxReasoningEffort": ("low", "medium", "high")},
        "inferenceConfig": {"topK": int},
    },
    "Cohere": {
        "k": float,
        "p": float,
        "seed": int,
        "preamble": str,
        "frequency_penalty": float,
        "presence_penalty": float,
        "prompt_truncation": ("OFF", "AUTO_PRESERVE_ORDER"),
        "search_queries_only": bool,
        "return_prompt": bool,
        "raw_prompting": bool,
        "documents": list,
        "stop_sequences": list,
    },
    "AI21 Labs": {"n": int, "frequency_penalty": float, "presence_penalty": float, "stop": list},
    "Meta": {},  # all that it takes has a field of Converse's own
    "Mistral": {**_CHAT, "top_k": int, "random_seed": int, "safe_prompt": bool},
    "OpenAI": {**_CHAT, "reasoning_effort": _EFFORTS, "reasoning": {"effort": _EFFORTS, "summary": str}},
    "xAI": {**_CHAT, "reasoning_effort": _EFFORTS, "reasoning": {"effort": _EFFORTS}},
    "DeepSeek": {**_CHAT, "top_k": int, "reasoning_effort": _EFFORTS},
    "Qwen": {**_CHAT, "top_k": int, "reasoning_config": _EFFORTS},
    "Z.AI": {**_CHAT, "top_k": int, "reasoning_effort": _EFFORTS},
    **{name: {**_CHAT, "top_k": int} for name in ("Google", "MiniMax", "Moonshot AI", "NVIDIA", "Writer")},
}
#: Whose fields the service holds to a schema before the model gets them.
_BY_SCHEMA = frozenset({"AI21 Labs", "Amazon", "Cohere", "Meta", "Mistral"})


def _own_fields(asked: Asked, card: ModelCard) -> Iterator[str]:
    given = asked.request.get("additionalModelRequestFields") or {}
    for path, allowed in _unknown_fields(given, _FIELDS[card.vendor]) if card.vendor in _FIELDS else ():
        if card.vendor in _BY_SCHEMA:
            said = f"extraneous key [{path[-1]}] is not permitted" if allowed is None else "is not a valid enum value"
            at = path[:-1] if allowed is None else path
            yield f"Malformed input request: {'/'.join(['#', *at])}: {said}, please reformat your input and try again."
        elif allowed is None and card.vendor == "OpenAI":
            yield f"Unknown parameter: '{'.'.join(path)}'."
        elif allowed is None:
            yield f"{'.'.join(path)}: Extra inputs are not permitted"
        else:
            yield f"{'.'.join(path)}: Input should be {allowed}"


def _unknown_fields(
    given: Mapping[str, Any], known: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str | None]]:
    """Yield the place of each field that is not known, and of each wrong value with what it should be."""
    for name, value in given.items():
        at, allowed = (*path, name), known.get(name)
        if allowed is None:
            yield at, None
        elif isinstance(allowed, Mapping):
            if isinstance(value, Mapping):
                yield from _unknown_fields(value, allowed, at)
            else:
                yield at, "an object"
        elif isinstance(allowed, tuple):
            if value not in allowed:
                yield at, f"{', '.join(repr(one) for one in allowed[:-1])} or {allowed[-1]!r}"
        elif not isinstance(value, int | float if allowed is float else allowed) or (
            isinstance(value, bool) and allowed is not bool
        ):
            yield at, f"a valid {'number' if allowed is float else allowed.__name__}"


FIELD_RULES: tuple[Rule, ...] = (
    card_rule(
        "the model's own fields",
        f"tinovyatkin/amazon-bedrock-copilot-chat#526; {_GUIDE}; {_NOVA_THINKING}",
        _own_fields,
        words="described",
        by_model=True,
    ),
)
