"""Rules for ``additionalModelRequestFields``, by a vendor's own schema: the fields that it knows, and their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ballast.models.card import ModelCard
from localcloud.converse.asked import Asked, Rule, card_rule

_NOVA_THINKING = "docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html"
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
}


def _own_fields(asked: Asked, card: ModelCard) -> Iterator[str]:
    given = asked.request.get("additionalModelRequestFields") or {}
    for path, allowed in _unknown_fields(given, _FIELDS.get(card.vendor, {})) if card.vendor in _FIELDS else ():
        if card.vendor == "Amazon":
            said = f"extraneous key [{path[-1]}] is not permitted" if allowed is None else "is not a valid enum value"
            at = path[:-1] if allowed is None else path
            yield f"Malformed input request: {'/'.join(['#', *at])}: {said}, please reformat your input and try again."
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
        elif not isinstance(value, allowed) or isinstance(value, bool):
            yield at, f"a valid {allowed.__name__}"


FIELD_RULES: tuple[Rule, ...] = (
    card_rule(
        "the model's own fields",
        f"tinovyatkin/amazon-bedrock-copilot-chat#526; {_NOVA_THINKING}",
        _own_fields,
        words="described",
        by_model=True,
    ),
)
