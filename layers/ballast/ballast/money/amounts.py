"""Convert amounts of US dollars between text and integer micro-dollars."""

import re

from ballast.errors import InvalidInput

MICRO = 1_000_000
#: Not parsed as a Decimal, which would round beyond 28 digits.
_AMOUNT = re.compile(r"\$?(?P<whole>[0-9]{1,12})(?:\.(?P<decimals>[0-9]{1,6}))?")


def micro_dollars(text: str, *, what: str = "amount") -> int:
    """Return ``"1.25"`` as 1250000; never rounds. Raises ``InvalidInput``, which names ``what``."""
    amount = _AMOUNT.fullmatch(text.strip())
    if amount is None:
        raise InvalidInput(
            f"{what}: {text[:40]!r} is not an amount in US dollars. Write it like 1.25: "
            "zero or more, with at most six decimals."
        )
    return int(amount["whole"]) * MICRO + int((amount["decimals"] or "").ljust(6, "0"))


def dollars(microusd: int) -> str:
    """Return 1250000 as ``"1.25"``: exact, at least two and at most six decimals."""
    whole, rest = divmod(abs(microusd), MICRO)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if microusd < 0 else ''}{whole}.{decimals}"
