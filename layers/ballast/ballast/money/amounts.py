"""Dollars as people write them, to and from integer micro-dollars."""

from decimal import Decimal, InvalidOperation

from ballast.errors import InvalidInput

MICRO = 1_000_000


def micro_dollars(text: str, *, what: str = "amount") -> int:
    """Return ``"1.25"`` as 1250000. Raises ``InvalidInput`` naming ``what``; never rounds."""
    try:
        amount = Decimal(text.strip().removeprefix("$")) * MICRO
    except InvalidOperation:
        raise InvalidInput(f"{what}: {text!r} is not an amount in US dollars such as 1.25.") from None
    if not amount.is_finite() or amount < 0 or amount != amount.to_integral_value():
        raise InvalidInput(f"{what}: {text!r} must be zero or more, with at most six decimals.")
    return int(amount)


def dollars(microusd: int) -> str:
    """Return 1250000 as ``"1.25"``: exact, at least two and at most six decimals."""
    whole, rest = divmod(abs(microusd), MICRO)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if microusd < 0 else ''}{whole}.{decimals}"
