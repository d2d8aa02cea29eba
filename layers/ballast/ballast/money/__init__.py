"""Prices, reservations and amounts, in integer micro-dollars (millionths of a US dollar)."""

from ballast.money.amounts import dollars, micro_dollars
from ballast.money.prices import (
    LEAST_USEFUL_TOKENS,
    ModelPrice,
    Price,
    Reservation,
    TokenCounts,
    affordable,
    worst_cost,
)

__all__ = [
    "LEAST_USEFUL_TOKENS",
    "ModelPrice",
    "Price",
    "Reservation",
    "TokenCounts",
    "affordable",
    "dollars",
    "micro_dollars",
    "worst_cost",
]
