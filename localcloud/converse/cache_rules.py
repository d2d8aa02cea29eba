"""Rules for cache points, by a model's card: where they stand, how many, in which order they live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ballast.models.card import ModelCard
from localcloud.converse.asked import Asked, Rule, card_rule

_API = "docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_"


def _no_cache(asked: Asked, card: ModelCard) -> Iterator[str]:
    if card.cache is None and asked.points:
        yield (
            "You invoked an unsupported model or your request did not allow prompt caching. "
            "See the documentation for more information."
        )


def _places(asked: Asked, card: ModelCard) -> Iterator[str]:
    if card.cache is None:
        return
    for part, pointer, _, before, _ in asked.points:
        anywhere = part != "messages" or card.cache.after_results
        if part in card.cache.places and (anywhere or _after_text(asked, pointer)):
            continue
        # Nova reads a point as a key of the block before it, and names that block.
        where = f"{pointer.rpartition('/')[0]}/{max(0, before - 1)}"
        yield (
            f"Malformed input request: {where}: extraneous key [cachePoint] is not permitted, "
            "please reformat your input and try again."
        )


def _after_text(asked: Asked, pointer: str) -> bool:
    """Say whether a point in a message follows a text, or nothing: another rule refuses the latter."""
    _, _, at, _, index = pointer.split("/")
    blocks = [block for block in asked.messages[int(at)]["content"][: int(index)] if "cachePoint" not in block]
    return not blocks or "text" in blocks[-1]


def _too_many(asked: Asked, card: ModelCard) -> Iterator[str]:
    count = len(asked.points)
    if card.cache is not None and count > card.cache.most_points:
        yield f"A maximum of {card.cache.most_points} blocks with cache_control may be provided. Found {count}."


def _lifetimes(asked: Asked, card: ModelCard) -> Iterator[str]:
    for _, pointer, _, _, point in asked.points:
        if card.cache is not None and point.get("ttl", card.cache.ttls[0]) not in card.cache.ttls:
            yield f"{pointer}: this model takes no cache point with a ttl of {point['ttl']}."


def _order_of_lifetimes(asked: Asked, _: ModelCard) -> Iterator[str]:
    short = False
    for _part, _pointer, place, _before, point in asked.points:
        if point.get("ttl") == "1h" and short:
            yield (
                f"{place}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' "
                "cache_control block. Note that blocks are processed in the following order: `tools`, `system`, "
                "`messages`."
            )
        short = short or point.get("ttl", "5m") == "5m"


def _after_nothing(asked: Asked, _: ModelCard) -> Iterator[str]:
    for _part, pointer, _place, before, _point in asked.points:
        if before == 0:
            yield f"{pointer}: a cachePoint must come after the content that it caches."


def _after_text_document(asked: Asked, card: ModelCard) -> Iterator[str]:
    for at, message in enumerate(asked.messages):
        for index, block in enumerate(message["content"][1:], start=1):
            document = message["content"][index - 1].get("document", {})
            if "cachePoint" in block and card.vendor == "Anthropic" and document.get("format", "pdf") != "pdf":
                yield f"messages.{at}.content.{index}.type: Field required"


_OURS: Mapping[str, Any] = {"words": "described"}
_MODEL: Mapping[str, Any] = {"by_model": True}

CACHE_RULES: tuple[Rule, ...] = (
    card_rule(
        "prompt caching", "BerriAI/litellm#39210, posit-dev/positron#12142", _no_cache, code="AccessDeniedException"
    ),
    card_rule(
        "a cache point's place",
        "aws-samples/bedrock-engineer#71, zeroclaw-labs/zeroclaw#8720, danny-avila/LibreChat#13838",
        _places,
        **_MODEL,
    ),
    card_rule("number of cache points", "VicBilibily/GCMP#83", _too_many, **_MODEL),
    card_rule("lifetime of a cache point", f"{_API}CachePointBlock.html", _lifetimes, **_OURS),
    card_rule("order of lifetimes", "Portkey-AI/gateway#1762", _order_of_lifetimes, **_MODEL),
    card_rule("a cache point after content", "strands-agents/harness-sdk#3677", _after_nothing, **_OURS, **_MODEL),
    card_rule("a cache point after a text document", "pizza-bot-app/pizza-bot#6", _after_text_document, **_MODEL),
)
