"""The dated price table. An unknown model has no price and is refused before the call."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from ballast.contracts.wire import Wire, complaints
from ballast.errors import ModelRefused, SettingInvalid

PRICES_FILE = Path(__file__).with_name("prices.yaml")
_TOKENS_PER_PRICE = 1_000_000
_PROFILE = re.compile(r"^(?:us|us-gov|eu|apac|jp|au|ca|sa|global)\.")

Rate = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class TokenCounts:
    """Tokens of one completion, by the class that they are charged under."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


class Price(Wire):
    """Micro-dollars per million tokens."""

    input: Rate
    output: Rate
    cache_read: Rate
    cache_write: Rate

    def cost(self, tokens: TokenCounts) -> int:
        """Return what ``tokens`` cost in micro-dollars, rounded up: never undercharged."""
        total = (
            tokens.input * self.input
            + tokens.output * self.output
            + tokens.cache_read * self.cache_read
            + tokens.cache_write * self.cache_write
        )
        return -(-total // _TOKENS_PER_PRICE)

    def worst_input_cost(self, tokens: int) -> int:
        """Return the cost of ``tokens`` input tokens in their dearest class."""
        return -(-tokens * max(self.input, self.cache_write, self.cache_read) // _TOKENS_PER_PRICE)


class PriceTable(Wire):
    """All known prices and the version that is recorded with each charge."""

    version: str = Field(min_length=1)
    models: dict[str, Price]

    def price(self, model_id: str) -> Price:
        """Return the price of ``model_id``. Raises ``ModelRefused`` naming the file to edit."""
        for name in (model_id, _PROFILE.sub("", model_id)):
            if name in self.models:
                return self.models[name]
        raise ModelRefused(
            f"No price for the model {model_id!r} in version {self.version} of the price table, so it is not called. "
            f"Add it to ballast/money/{PRICES_FILE.name} in layers/ballast, or correct `model:` in agent.yaml."
        )


@cache
def load_prices(file: Path = PRICES_FILE) -> PriceTable:
    """Read the table. Raises ``SettingInvalid`` naming the file and the field."""
    import json

    import yaml

    try:
        return PriceTable.model_validate_json(json.dumps(yaml.safe_load(file.read_text(encoding="utf-8")), default=str))
    except ValidationError as problem:
        raise SettingInvalid(f"{file}: {complaints(problem)}.") from None
    except (OSError, yaml.YAMLError, TypeError, ValueError) as problem:
        raise SettingInvalid(f"{file}: {problem}.") from None
