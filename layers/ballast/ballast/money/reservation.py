"""The worst case of one model attempt, and how much of it a run can still afford. Pure."""

from dataclasses import dataclass

from ballast.money.prices import Price

#: Fewer output tokens than this are not worth paying a prompt for.
LEAST_USEFUL_TOKENS = 64


@dataclass(frozen=True)
class Reservation:
    """Micro-dollars that one attempt may cost at most, and the ``maxTokens`` that it is sent with."""

    microusd: int
    max_tokens: int


def affordable(price: Price, *, input_bound: int, max_tokens: int, left_microusd: int) -> Reservation | None:
    """Return the largest reservation within ``left_microusd``, or None where it would be of no use.

    ``input_bound`` is an upper bound of the prompt's tokens; ``max_tokens`` the limit of the
    turn, which is cut to what is left.
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
    """Return what an attempt costs at most, in micro-dollars."""
    return price.worst_input_cost(input_bound) + -(-max_tokens * price.output // 1_000_000)
