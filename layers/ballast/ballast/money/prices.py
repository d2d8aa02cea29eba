"""Dated price tables. A model or tier without a price is refused before the call.

::

    PriceBook ── at(moment) ──▶ PriceTable ── price(model, tier) ──▶ Price ── cost(tokens) ──▶ micro-dollars

A table also lists a model's inference profiles by geography; ``region.MODEL`` is the profile of the stack's region. The
worst case of an attempt, and the largest reservation that a run can afford, are computed from a price.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from ballast.contracts.service_tier import ServiceTier
from ballast.contracts.wire import Wire, complaints
from ballast.errors import ModelRefused, SettingInvalid

PRICES_FILE = Path(__file__).with_name("prices.yaml")
_TOKENS_PER_PRICE = 1_000_000
#: With fewer output tokens an attempt is not worth the cost of its prompt.
LEAST_USEFUL_TOKENS = 64
_PROFILE = re.compile(r"^(us|us-gov|eu|apac|jp|au|ca|sa|global|region)\.")
#: Prefix of a model id: use the profile of the stack's geography.
FOLLOWS_REGION = "region."
#: Geographies of the profiles that a region can call, by the prefix of its name. A model uses the first one it has.
_GEOGRAPHIES = {
    "us-gov-": ("us-gov",),
    "us-iso": (),
    "cn-": (),
    "us-": ("us", "global"),
    "ca-": ("ca", "us", "global"),
    "eu-": ("eu", "global"),
    "ap-northeast-1": ("jp", "apac", "global"),
    "ap-northeast-3": ("jp", "apac", "global"),
    "ap-southeast-2": ("au", "apac", "global"),
    "ap-southeast-4": ("au", "apac", "global"),
    "ap-": ("apac", "global"),
    "sa-": ("sa", "global"),
    "": ("global",),
}

Rate = Annotated[int, Field(ge=0)]
Percent = Annotated[int, Field(ge=1, le=1_000)]
Geography = Annotated[str, Field(pattern=r"^(us|us-gov|eu|apac|jp|au|ca|sa|global)$")]


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


class Price(Wire):
    """Micro-dollars per million tokens."""

    input: Rate
    output: Rate
    cache_read: Rate
    cache_write_5m: Rate
    cache_write_1h: Rate

    def cost(self, tokens: TokenCounts) -> int:
        """Return the cost of ``tokens`` in micro-dollars, rounded up."""
        total: int = sum(getattr(tokens, name) * getattr(self, name) for name in Price.model_fields)
        return -(-total // _TOKENS_PER_PRICE)

    def worst_input_cost(self, tokens: int) -> int:
        """Return the cost of ``tokens`` input tokens in the most expensive class."""
        return -(-tokens * self.promised[0] // _TOKENS_PER_PRICE)

    @property
    def promised(self) -> tuple[int, int, int]:
        """Rates of the most expensive input class, plain input, and output. Reservations use the first and last."""
        dearest = max(self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h)
        return dearest, self.input, self.output

    def times(self, percent: int) -> "Price":
        """Return ``percent`` hundredths of each rate, rounded up."""
        return Price(**{name: -(-getattr(self, name) * percent // 100) for name in Price.model_fields})


class ModelPrice(Price):
    """A model's price.

    tiers     prices of its other service tiers: a percentage of this price, or a separate price
    profiles  its inference profiles by geography, with their price as a percentage of this price
    """

    tiers: dict[ServiceTier, Percent | Price] = Field(default_factory=dict)
    profiles: dict[Geography, Percent] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _default_is_the_price_itself(self) -> Self:
        if ServiceTier.DEFAULT in self.tiers:
            raise ValueError("tiers: default is the price itself; leave it out")
        return self

    def by_tier(self, percent: int = 100) -> dict[ServiceTier, Price]:
        """Return ``percent`` hundredths of the price of each tier that the model has."""
        own = Price(**{name: getattr(self, name) for name in Price.model_fields}).times(percent)
        others = {
            tier: own.times(made) if isinstance(made, int) else made.times(percent) for tier, made in self.tiers.items()
        }
        return {ServiceTier.DEFAULT: own} | others

    def percent(self, geography: str) -> int:
        """Return the percentage for the profile of that geography; the highest one if it is not listed."""
        return self.profiles.get(geography, max(self.profiles.values(), default=100))


class PriceTable(Wire):
    """All known prices from one day on, and the version, which is recorded with each charge."""

    version: str = Field(min_length=1)
    valid_from: Annotated[date, Field(strict=False)] = date.min
    models: dict[str, ModelPrice]

    def price(self, model_id: str, tier: ServiceTier = ServiceTier.DEFAULT) -> Price:
        """Return the price of ``model_id`` in that tier. Raises ``ModelRefused``, which names the file to edit."""
        tiers = self._tiers(model_id)
        if tier not in tiers:
            raise ModelRefused(
                f"No price for the service tier {tier.value!r} of the model {model_id!r} in version {self.version} of "
                f"the price table, so it is not called. Add it under the model's `tiers:` in {_WHERE}, or correct "
                "`service_tier:` in agent.yaml."
            )
        return tiers[tier]

    def worst(self, model_id: str, tier: ServiceTier = ServiceTier.DEFAULT) -> Price:
        """Return the highest price of a request for ``tier``: Bedrock may serve it in the default tier.

        Raises ``ModelRefused``.
        """
        return _highest([self.price(model_id, tier), self.price(model_id)])

    def served(self, model_id: str, tier: str) -> Price:
        """Return the price of a completion that was served in ``tier``; for an unknown tier, the highest of all.

        Raises ``ModelRefused`` if the model has no price.
        """
        tiers = self._tiers(model_id)
        known = next((price for name, price in tiers.items() if name == tier), None)
        return known or _highest(list(tiers.values()))

    def knows(self, model_id: str) -> bool:
        """Return whether the model has a price."""
        try:
            return bool(self._tiers(model_id))
        except ModelRefused:
            return False

    def is_cheaper(self, one: str, other: str, tier: ServiceTier = ServiceTier.DEFAULT) -> bool:
        """Return whether ``one`` has no higher rate than ``other``, and at least one lower rate.

        Compares the rates of reservations (the most expensive input class, and output) and of plain input.
        Raises ``ModelRefused`` if one of them has no price.
        """
        mine, others = self.worst(one, tier).promised, self.worst(other, tier).promised
        return mine != others and all(rate <= theirs for rate, theirs in zip(mine, others, strict=True))

    def in_region(self, model_id: str, region: str) -> str:
        """Return the id to call in ``region``: ``region.MODEL`` becomes the profile of the region's geography.

        A model without a profile there is called by its own id; any other id is returned unchanged.
        """
        if not model_id.startswith(FOLLOWS_REGION):
            return model_id
        model = model_id.removeprefix(FOLLOWS_REGION)
        has = self.models[model].profiles if model in self.models else {}
        reaches = next(found for beginning, found in _GEOGRAPHIES.items() if region.startswith(beginning))
        return next((f"{geography}.{model}" for geography in reaches if geography in has), model)

    def _tiers(self, model_id: str) -> dict[ServiceTier, Price]:
        if model_id in self.models:
            return self.models[model_id].by_tier()
        profile = _PROFILE.match(model_id)
        if profile is not None and (model := model_id[profile.end() :]) in self.models:
            return self.models[model].by_tier(self.models[model].percent(profile[1]))
        raise ModelRefused(
            f"No price for the model {model_id!r} in version {self.version} of the price table, so it is not called. "
            f"Add it to {_WHERE}, or correct `model:` in agent.yaml."
        )


class PriceBook(Wire):
    """The price tables, oldest first."""

    tables: Annotated[tuple[PriceTable, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        days = [table.valid_from for table in self.tables]
        if days != sorted(set(days)):
            raise ValueError("tables: each must be valid from a later day than the one before")
        if len({table.version for table in self.tables}) < len(self.tables):
            raise ValueError("tables: each needs a version of its own")
        return self

    def at(self, moment: datetime) -> PriceTable:
        """Return the table that is valid at ``moment`` (aware). Raises ``ModelRefused`` before the first one."""
        today = moment.date()
        valid = [table for table in self.tables if table.valid_from <= today]
        if not valid:
            raise ModelRefused(f"No price table is valid on {today} yet, so no model is called. Add one to {_WHERE}.")
        return valid[-1]

    def of(self, version: str) -> PriceTable:
        """Return the table of ``version``, which a charge in the log names. Raises ``SettingInvalid``."""
        for table in self.tables:
            if table.version == version:
                return table
        raise SettingInvalid(f"{_WHERE} has no table of version {version!r}. Put it back: never remove a used table.")


_WHERE = f"ballast/money/{PRICES_FILE.name} in layers/ballast"


def _highest(prices: list[Price]) -> Price:
    return Price(**{name: max(getattr(price, name) for price in prices) for name in Price.model_fields})


@cache
def load_prices(file: Path = PRICES_FILE) -> PriceBook:
    """Read the tables. Raises ``SettingInvalid``, which names the file and the field."""
    import json

    import yaml

    try:
        # This trusted file is read at every cold start: libyaml's safe loader takes 1 ms, Python's 19.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        data = yaml.load(file.read_text(encoding="utf-8"), loader)  # noqa: S506
        return PriceBook.model_validate_json(json.dumps(data, default=str))
    except ValidationError as problem:
        raise SettingInvalid(f"{file}: {complaints(problem)}.") from None
    except (OSError, yaml.YAMLError, TypeError, ValueError) as problem:
        raise SettingInvalid(f"{file}: {problem}.") from None


@dataclass(frozen=True)
class Reservation:
    """The highest cost of one attempt, in micro-dollars, and its ``maxTokens``."""

    microusd: int
    max_tokens: int


def affordable(price: Price, *, input_bound: int, max_tokens: int, left_microusd: int) -> Reservation | None:
    """Return the largest reservation within ``left_microusd``; None if it would allow too few output tokens.

    ``input_bound`` is an upper bound of the prompt's tokens. ``max_tokens`` is the turn's limit; the reservation has
    fewer tokens if ``left_microusd`` does not pay for all.
    """
    rest = left_microusd - price.worst_input_cost(input_bound)
    if rest < 0:
        return None
    # ``cost`` rounds up, so the division here must round down.
    tokens = max_tokens if price.output == 0 else min(max_tokens, rest * 1_000_000 // price.output)
    if tokens < min(LEAST_USEFUL_TOKENS, max_tokens):
        return None
    return Reservation(worst_cost(price, input_bound=input_bound, max_tokens=tokens), max_tokens=tokens)


def worst_cost(price: Price, *, input_bound: int, max_tokens: int) -> int:
    """Return the highest cost of an attempt, in micro-dollars."""
    return price.worst_input_cost(input_bound) + -(-max_tokens * price.output // 1_000_000)
