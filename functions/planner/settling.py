"""What an attempt is charged once its outcome is known. Pure.

::

    model.requested  reserved_microusd, price_version, service_tier     the promise
    model.responded  the usage's cost, by the tier that it was served in   what it came to, even where that is more
                     the reservation, where no usage can be trusted
    model.failed     the reservation, where the provider may have charged; else nothing
"""

from collections.abc import Mapping
from typing import Any

from ballast.contracts.service_tier import ServiceTier
from ballast.folds.usage import (
    CACHE_READ_TOKENS,
    CACHE_WRITE_1H_TOKENS,
    CACHE_WRITE_TOKENS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
)
from ballast.money import PriceBook, TokenCounts
from functions.planner.completion import Completion

MODEL = "gen_ai.request.model"


def settled(requested: Mapping[str, Any], completion: Completion, prices: PriceBook) -> dict[str, Any]:
    """Return the charge for ``completion``, as ``model.responded`` records it: cost, prices, tokens, tier.

    ``requested`` is the body of the attempt's ``model.requested``; its table of prices is used.
    """
    tokens = completion.tokens
    tier = completion.tier or ServiceTier.DEFAULT.value
    table = prices.of(requested["price_version"])
    cost = table.served(requested[MODEL], tier).cost(tokens) if tokens else requested["reserved_microusd"]
    return _charge(requested, cost) | {"service_tier": tier} | _attributes(tokens)


def failed(requested: Mapping[str, Any], *, charged: bool) -> dict[str, Any]:
    """Return the charge for an attempt without a completion, as ``model.failed`` records it."""
    return _charge(requested, requested["reserved_microusd"] if charged else 0)


def _charge(requested: Mapping[str, Any], cost_microusd: int) -> dict[str, Any]:
    return {
        "attempt": requested["attempt"],
        MODEL: requested[MODEL],
        "cost_microusd": cost_microusd,
        "price_version": requested["price_version"],
    }


def _attributes(tokens: TokenCounts | None) -> dict[str, int]:
    if tokens is None:
        return {}
    long_lived = {CACHE_WRITE_1H_TOKENS: tokens.cache_write_1h} if tokens.cache_write_1h else {}
    return {
        INPUT_TOKENS: tokens.input,
        OUTPUT_TOKENS: tokens.output,
        CACHE_READ_TOKENS: tokens.cache_read,
        CACHE_WRITE_TOKENS: tokens.cache_write,
    } | long_lived
