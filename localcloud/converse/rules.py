"""Rules for what Bedrock refuses in a Converse request, each with a name, a source and Bedrock's words.

::

    request ─▶ form ─▶ model's id ─▶ conversation ─▶ tools ─▶ files ─▶ what the model's card does not have ─▶ taken
                 └────────┴──────────────┴────────────┴─────────┴────────────────────┴─▶ Refusal

Bedrock reports the first breach, so the order of the rules is part of them. ``python -m localcloud.converse.rules``
prints them all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ballast.models.catalog import Catalog
from localcloud.converse.asked import Asked, Place, Rule
from localcloud.converse.cache_rules import CACHE_RULES
from localcloud.converse.card_rules import CARD_RULES
from localcloud.converse.field_rules import FIELD_RULES
from localcloud.converse.schema_rules import SCHEMA_RULES
from localcloud.converse.service_rules import SERVICE_RULES

RULES: tuple[Rule, ...] = (*SERVICE_RULES, *CARD_RULES, *FIELD_RULES, *SCHEMA_RULES, *CACHE_RULES)
_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Refusal:
    """A refused request: the rule, and Bedrock's message."""

    rule: Rule
    message: str


def refused(
    request: Mapping[str, Any],
    model_id: str,
    models: Catalog | None = None,
    issued: Mapping[str, str] = _NOTHING,
    behind: Mapping[str, Collection[Place]] = _NOTHING,
) -> Refusal | None:
    """Return the first rule that ``request`` breaks, with Bedrock's message; None for a request that it takes.

    models  the cards; the platform's own by default
    issued  signatures of reasoning that models returned, each with its model's base id
    behind  the same signatures, each with the places at which it was returned
    """
    models = models or platform_models()
    asked = Asked(request, model_id, models.card(model_id) if models.knows(model_id) else None, issued, behind)
    for rule in RULES:
        for message in rule.check(asked):
            return Refusal(rule, f"The model returned the following errors: {message}" if rule.by_model else message)
    return None


@cache
def platform_models() -> Catalog:
    """Return the cards that Ballast has itself."""
    return Catalog()


if __name__ == "__main__":
    for _rule in RULES:
        print(f"{_rule.name:45} {_rule.code:23} {_rule.words:9} {_rule.source}")
