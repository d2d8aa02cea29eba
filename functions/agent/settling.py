"""What an attempt is charged once its outcome is known. Pure.

::

    model.requested  reserved_microusd, price_version, service_tier     the promise, and the bound of every charge
    model.responded  what is believed of the usage, by the tier that it was served in; never above the reservation
                     the reservation, where no usage can be believed
    model.failed     the reservation, where the provider may have charged; else nothing
"""

from typing import Any

from ballast.contracts.service_tier import ServiceTier
from ballast.log.events import Charged, ModelRequested
from ballast.money import Price, PriceBook, PriceTable, TokenCounts
from functions.agent.completion import Completion
from functions.agent.reported import weighed


def settled(requested: ModelRequested, completion: Completion, prices: PriceBook) -> Charged:
    """Return the charge for ``completion``: cost, prices, tokens, tier.

    The table of prices is the one that the attempt was reserved by. What the usage says and cannot be right is in
    ``usage_disbelieved``.
    """
    tier = completion.tier or ServiceTier.DEFAULT.value
    usage, reserved = weighed(completion.usage, requested), requested.reserved_microusd
    why, cost = [usage.why] if usage.why else [], reserved
    if usage.tokens is not None:
        price, known = _price(prices.of(requested.price_version), requested, tier)
        cost = price.cost(usage.tokens)
        if not known or cost > reserved:
            why.append("served in a tier that was not asked for")
        cost = min(cost, reserved)
    disbelieved = {"usage_disbelieved": "; ".join(why)} if why else {}
    return _charge(requested, cost, service_tier=tier, **_used(usage.tokens), **disbelieved)


def _price(table: PriceTable, requested: ModelRequested, tier: str) -> tuple[Price, bool]:
    """Return the price of a completion served in ``tier``, and whether it can be: asked for, or the default.

    A tier that is known and was not asked for is charged as what was.
    """
    model, asked = requested.model, requested.service_tier
    if asked is None or tier in (asked, ServiceTier.DEFAULT) or tier not in list(ServiceTier):
        return table.served(model, tier), True
    return table.worst(model, ServiceTier(asked)), False


def failed(requested: ModelRequested, *, charged: bool) -> Charged:
    """Return the charge for an attempt without a completion."""
    return _charge(requested, requested.reserved_microusd if charged else 0)


def given(charge: Charged) -> dict[str, Any]:
    """Return the fields of ``charge`` that were given: what the attempt's outcome is built from."""
    return {name: getattr(charge, name) for name in charge.model_fields_set}


def _charge(requested: ModelRequested, cost_microusd: int, **more: Any) -> Charged:
    return Charged(
        turn=requested.turn,
        attempt=requested.attempt,
        model=requested.model,
        cost_microusd=cost_microusd,
        price_version=requested.price_version,
        **more,
    )


def _used(tokens: TokenCounts | None) -> dict[str, int]:
    if tokens is None:
        return {}
    long_lived = {"cache_write_1h_tokens": tokens.cache_write_1h} if tokens.cache_write_1h else {}
    return {
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "cache_read_tokens": tokens.cache_read,
        "cache_write_tokens": tokens.cache_write,
    } | long_lived
