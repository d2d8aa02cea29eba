"""Which model is asked next in a turn, and how long to wait before. Pure.

::

    the playbook's model (or what the spend breaker allows) ──away──▶ again, after a pause ──away──▶
    second_model ──away──▶ again, after a pause ──away──▶ hand over

A model is passed over while its circuit is open, and where there is no time left to wait for it.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ballast.contracts import ExitReason
from ballast.contracts.service_tier import ServiceTier
from ballast.errors import ModelRefused
from ballast.log.events import ModelFailed, ModelRequested
from ballast.money import PriceTable
from ballast.run import Run

#: Attempts at one turn, by all models together, each with its own reservation.
MAX_ATTEMPTS = 4
#: Nobody holds a Lambda longer than this for a model that says when to come again.
MAX_PAUSE_S = 20
#: Less than this is no time for a model call.
LEAST_CALL_S = 1


@dataclass(frozen=True)
class Attempts:
    """What was tried in a turn so far.

    tried   attempts by model, those without an outcome included
    reason, error   of the newest one that failed; None where none did
    """

    tried: Mapping[str, int]
    reason: ExitReason | None = None
    error: str | None = None

    @classmethod
    def of(cls, run: Run, turn: int) -> "Attempts":
        """Return what the run's log says of ``turn``."""
        here = Run(run.turn(turn).events)
        tried, failed = Counter(asked.model for asked in here.facts(ModelRequested)), here.facts(ModelFailed)
        if not failed:
            return cls(tried)
        return cls(tried, ExitReason(failed[-1].exit_reason or ""), failed[-1].error)

    @property
    def number(self) -> int:
        """How many there were."""
        return sum(self.tried.values())


def candidates(
    model: str, second: str | None, *, prices: PriceTable, tier: ServiceTier, saving: bool
) -> tuple[str, ...]:
    """Return the models that may be asked, in order.

    ``saving``: the spend breaker asks for a cheaper model than usual; then the second one may not cost more.
    """
    if second is None or second == model:
        return (model,)
    if saving and not _costs_no_more(second, model, prices, tier):
        return (model,)
    return (model, second)


def _costs_no_more(one: str, other: str, prices: PriceTable, tier: ServiceTier) -> bool:
    try:
        return prices.is_cheaper(one, other, tier) or prices.worst(one, tier) == prices.worst(other, tier)
    except ModelRefused:
        return False  # it could not be asked anyway


def next_model(models: Sequence[str], attempts: Attempts, passed_over: Collection[str]) -> str | None:
    """Return the model of the next attempt, or None where the agent gives up."""
    if attempts.number >= MAX_ATTEMPTS:
        return None
    each = MAX_ATTEMPTS // len(models)
    return next((one for one in models if one not in passed_over and attempts.tried.get(one, 0) < each), None)


def pause_s(attempts: Attempts, retry_after_s: float | None, *, left_s: float) -> float | None:
    """Return the seconds to wait here before the same model is asked again; None where the time left is too short.

    Without a ``retry_after_s`` the workflow waits: up to 1, 2, 4 … seconds, by its Retry.
    """
    wait_s = 2 ** (attempts.number - 1) if retry_after_s is None else retry_after_s
    if wait_s > MAX_PAUSE_S or wait_s + LEAST_CALL_S > left_s:
        return None
    return 0 if retry_after_s is None else retry_after_s


def call_s(*, left_s: float, more_to_ask: bool) -> float:
    """Return how long a call may take: what is left, or half of it where another model could still be asked."""
    return max(LEAST_CALL_S, left_s / 2 if more_to_ask else left_s)
