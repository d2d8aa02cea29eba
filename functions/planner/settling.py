"""What an attempt is charged once its outcome is known. Pure.

::

    model.requested  reserved_microusd, price_version, service_tier     the promise, and the bound of every charge
    model.responded  what is believed of the usage, by the tier that it was served in; never above the reservation
                     the reservation, where no usage can be believed
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
from ballast.money import Price, PriceBook, PriceTable, TokenCounts
from functions.planner.completion import Completion
from functions.planner.reported import DISBELIEVED, weighed

MODEL = "gen_ai.request.model"


def settled(requested: Mapping[str, Any], completion: Completion, prices: PriceBook) -> dict[str, Any]:
    """Return the charge for ``completion``, as ``model.responded`` records it: cost, prices, tokens, tier.

    ``requested`` is the body of the attempt's ``model.requested``; its table of prices is used. What the usage says
    and cannot be right is under ``DISBELIEVED``.
    """
    tier = completion.tier or ServiceTier.DEFAULT.value
    usage, reserved = weighed(completion.usage, requested), requested["reserved_microusd"]
    why, cost = [usage.why] if usage.why else [], reserved
    if usage.tokens is not None:
        price, known = _price(prices.of(requested["price_version"]), requested, tier)
        cost = price.cost(usage.tokens)
        if not known or cost > reserved:
            why.append("served in a tier that was not asked for")
        cost = min(cost, reserved)
    told = {DISBELIEVED: "; ".join(why)} if why else {}
    return _charge(requested, cost) | {"service_tier": tier} | _attributes(usage.tokens) | told


def _price(table: PriceTable, requested: Mapping[str, Any], tier: str) -> tuple[Price, bool]:
    """Return the price of a completion served in ``tier``, and whether it can be: asked for, or the default.

    A tier that is known and was not asked for is charged as what was.
    """
    model, asked = requested[MODEL], requested.get("service_tier")
    if asked is None or tier in (asked, ServiceTier.DEFAULT) or tier not in list(ServiceTier):
        return table.served(model, tier), True
    return table.worst(model, ServiceTier(asked)), False


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
