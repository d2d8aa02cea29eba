"""The arithmetic of prices: the cost of tokens, the worst case of an attempt, the largest reservation. Pure.

``ballast.models`` knows what a model costs.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import Field

from ballast.contracts.service_tier import ServiceTier
from ballast.contracts.wire import Wire
from ballast.errors import ModelRefused
from ballast.values import dataclass

_TOKENS_PER_PRICE = 1_000_000
#: With fewer output tokens an attempt is not worth the cost of its prompt.
LEAST_USEFUL_TOKENS = 64

Rate = Annotated[int, Field(ge=0)]
#: The classes of usage, each with a rate.
CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
#: No prompt has so many tokens.
_ANY_LENGTH = 10**15


@dataclass(frozen=True)
class TokenCounts:
    """Tokens of one completion, by price class.

    Cache writes have two classes: a lifetime of five minutes (the default), or of an hour.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    @property
    def cache_write(self) -> int:
        """Tokens written to the cache, of either lifetime."""
        return self.cache_write_5m + self.cache_write_1h

    @property
    def prompt(self) -> int:
        """Tokens of the whole prompt, cached or not."""
        return self.input + self.cache_read + self.cache_write

    @property
    def uncached(self) -> "TokenCounts":
        """The same tokens as they are counted without a cache."""
        return TokenCounts(input=self.prompt, output=self.output)


class LongPrompt(Wire):
    """What a prompt of more than ``over`` tokens, cached or not, costs: percentages, all its tokens included.

    input   of the classes of the prompt
    output  of the output
    """

    over: Annotated[int, Field(ge=1)]
    input: Annotated[int, Field(ge=100, le=10_000)]
    output: Annotated[int, Field(ge=100, le=10_000)]


class Price(Wire):
    """Micro-dollars per million tokens (3000000 = $3 per million tokens).

    long_prompt  None if a prompt costs the same at any length
    """

    input: Rate
    output: Rate
    cache_read: Rate
    cache_write_5m: Rate
    cache_write_1h: Rate
    long_prompt: LongPrompt | None = None

    def cost(self, tokens: TokenCounts) -> int:
        """Return the cost of ``tokens`` in micro-dollars, rounded up."""
        price = self.of_prompt(tokens.prompt)
        total: int = sum(getattr(tokens, name) * getattr(price, name) for name in CLASSES)
        return -(-total // _TOKENS_PER_PRICE)

    def of_prompt(self, tokens: int) -> "Price":
        """Return the price of a request whose prompt has that many tokens."""
        dearer = self.long_prompt
        if dearer is None or tokens <= dearer.over:
            return self
        percent = {name: dearer.output if name == "output" else dearer.input for name in CLASSES}
        return Price(**{name: -(-getattr(self, name) * percent[name] // 100) for name in CLASSES})

    def worst_input_cost(self, tokens: int) -> int:
        """Return the cost of ``tokens`` input tokens in the most expensive class."""
        return -(-tokens * self.of_prompt(tokens).promised[0] // _TOKENS_PER_PRICE)

    @property
    def promised(self) -> tuple[int, int, int]:
        """Rates of the most expensive input class, plain input, and output. Reservations use the first and last."""
        dearest = max(self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h)
        return dearest, self.input, self.output

    def cached_for(self, ttl: str | None) -> "Price":
        """Return the price by which a prompt is reserved whose cache points have the lifetime ``ttl``.

        None: it has no points. What the attempt cannot use costs nothing, so it is not the most expensive class.
        """
        possible = ("input", "output", *(("cache_read", f"cache_write_{ttl}") if ttl else ()))
        return self.model_copy(update=dict.fromkeys(set(CLASSES).difference(possible), 0))

    def times(self, percent: int) -> "Price":
        """Return ``percent`` hundredths of each rate, rounded up."""
        return self.model_copy(update={name: -(-getattr(self, name) * percent // 100) for name in CLASSES})


def highest(prices: Iterable[Price]) -> Price:
    """Return a price that costs no less than any of ``prices``, for a prompt of any length."""
    made = list(prices)
    rates = {name: max(getattr(price, name) for price in made) for name in CLASSES}
    long = [price.long_prompt for price in made if price.long_prompt is not None]
    if not long:
        return Price(**rates)
    dearest = {name: max(getattr(one, name) for one in long) for name in ("input", "output")}
    return Price(**rates, long_prompt=LongPrompt(over=min(one.over for one in long), **dearest))


@dataclass(frozen=True)
class ModelPrice:
    """What one model id costs in each of its service tiers.

    version  of the price, recorded with each charge
    """

    model_id: str
    version: str
    tiers: Mapping[ServiceTier, Price]

    def price(self, tier: ServiceTier = ServiceTier.DEFAULT) -> Price:
        """Return the price in that tier. Raises ``ModelRefused``, which says what to add."""
        if tier not in self.tiers:
            raise ModelRefused(
                f"No price for the service tier {tier.value!r} of the model {self.model_id!r} in version {self.version}"
                f" of its prices, so it is not called. It has: {', '.join(self.tiers)}. Correct `service_tier:` in "
                "agent.yaml, or add a price with that tier under `tiers:` to the playbook's models.yaml."
            )
        return self.tiers[tier]

    def worst(self, tier: ServiceTier = ServiceTier.DEFAULT) -> Price:
        """Return the highest price of a request for ``tier``: the provider may serve it in the default tier.

        Raises ``ModelRefused``.
        """
        return highest([self.price(tier), self.price()])

    def served(self, tier: str) -> Price:
        """Return the price of a completion that was served in ``tier``; for an unknown tier, the highest of all."""
        known = next((price for name, price in self.tiers.items() if name == tier), None)
        return known or highest(self.tiers.values())

    def is_cheaper_than(self, other: "ModelPrice", tier: ServiceTier = ServiceTier.DEFAULT) -> bool:
        """Return whether it has no higher rate than ``other``, and at least one lower rate.

        Compares the rates of reservations (the most expensive input class, and output) and of plain input, of short
        and of long prompts. Raises ``ModelRefused`` if one of them has no price for ``tier``.
        """
        mine, others = (
            (*price.promised, *price.of_prompt(_ANY_LENGTH).promised) for price in (self.worst(tier), other.worst(tier))
        )
        return mine != others and all(rate <= theirs for rate, theirs in zip(mine, others, strict=True))


@dataclass(frozen=True)
class Reservation:
    """The highest cost of one attempt, in micro-dollars, and its ``maxTokens``."""

    microusd: int
    max_tokens: int


def affordable(
    price: Price, *, input_bound: int, max_tokens: int, left_microusd: int, least: int = LEAST_USEFUL_TOKENS
) -> Reservation | None:
    """Return the largest reservation within ``left_microusd``; None if it has fewer than ``least`` output tokens.

    ``input_bound`` is an upper bound of the prompt's tokens. ``max_tokens`` is the turn's limit; the reservation has
    fewer tokens if ``left_microusd`` does not pay for all.
    """
    rest = left_microusd - price.worst_input_cost(input_bound)
    if rest < 0:
        return None
    output = price.of_prompt(input_bound).output
    # ``cost`` rounds up, so the division here must round down.
    tokens = max_tokens if output == 0 else min(max_tokens, rest * _TOKENS_PER_PRICE // output)
    if tokens < min(least, max_tokens):
        return None
    return Reservation(worst_cost(price, input_bound=input_bound, max_tokens=tokens), max_tokens=tokens)


def worst_cost(price: Price, *, input_bound: int, max_tokens: int) -> int:
    """Return the highest cost of an attempt, in micro-dollars."""
    output = price.of_prompt(input_bound).output
    return price.worst_input_cost(input_bound) + -(-max_tokens * output // _TOKENS_PER_PRICE)
