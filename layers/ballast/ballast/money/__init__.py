"""Prices, reservations and amounts. Integers of micro-dollars (millionths of a US dollar) only."""

from ballast.money.amounts import dollars, micro_dollars
from ballast.money.prices import ModelPrice, Price, PriceBook, PriceTable, TokenCounts, load_prices
from ballast.money.reservation import LEAST_USEFUL_TOKENS, Reservation, affordable, worst_cost

__all__ = [
    "LEAST_USEFUL_TOKENS",
    "ModelPrice",
    "Price",
    "PriceBook",
    "PriceTable",
    "Reservation",
    "TokenCounts",
    "affordable",
    "dollars",
    "load_prices",
    "micro_dollars",
    "worst_cost",
]
