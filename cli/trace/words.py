"""Amounts, durations and counts as people read them."""

from ballast.money.amounts import dollars


def usd(microusd: int) -> str:
    """Return micro-dollars as ``$0.0123``: exact."""
    amount = dollars(microusd)
    return f"-${amount[1:]}" if amount.startswith("-") else f"${amount}"


def span(ms: int | None) -> str:
    """Return a duration in ms as a person says it: ``340 ms``, ``2.1 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if ms is None:
        return ""
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def count(number: int, noun: str) -> str:
    """Return ``1 turn``, ``2 turns``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
