"""What is asked next, and whom: limits, the spend breaker, the models, the reservation.

::

    limit? ─▶ spend breaker? ─▶ is a model left? ─▶ can it be afforded? ─▶ Next
      └───────────┴──────────────────┴────────────────────┴──────────────▶ GiveUp
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from ballast.breaker import Breakers
from ballast.contracts import ExitReason
from ballast.contracts.history import HistoryUsed
from ballast.errors import ModelRefused
from ballast.folds import approval_given_up, counts, opening, usage
from ballast.folds.despair import Despair, Rung
from ballast.log.event import Event
from ballast.money import PriceBook
from ballast.playbook import Playbook
from functions.planner.despair import circles
from functions.planner.limits import limit_reached
from functions.planner.models import Attempts, candidates, next_model
from functions.planner.request import compose
from functions.planner.spending import held, passed, permitted


@dataclass(frozen=True)
class Next:
    """The next attempt: the model that is asked, all that could be, and the body of ``model.requested``."""

    model: str
    models: tuple[str, ...]
    body: dict[str, Any]


@dataclass(frozen=True)
class GiveUp:
    """Nothing is asked; ``more`` is recorded with the hand-over."""

    reason: ExitReason
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """Chooses; ``model_id`` is the model where nothing speaks against it.

    shown  returns the body of an event of a run, by the run's id, as everybody may see it
    """

    breakers: Breakers
    prices: PriceBook
    playbook: Playbook
    model_id: str
    clock: Callable[[], datetime]
    shown: Callable[[str, dict[str, Any]], dict[str, Any]]

    def next(
        self, events: Sequence[Event], turn: int, passed_over: Mapping[str, str], history: HistoryUsed
    ) -> Next | GiveUp:
        """Return the next attempt at ``turn``; ``passed_over`` says which models are not asked, and why."""
        opened, attempts, now = opening(events), Attempts.of(events, turn), self.clock()
        reason = limit_reached(
            opened,
            usage(events),
            counts(events),
            new_turn=attempts.number == 0,
            now_ms=int(now.timestamp() * 1000),
        )
        if reason is ExitReason.DEADLINE and attempts.reason is ExitReason.MODEL_TIMEOUT:
            # The call was cut because the time was up: one moment, and the workflow, which cuts too, names the model.
            reason = ExitReason.MODEL_TIMEOUT
        if approval_given_up(events, turn - 1):
            reason = ExitReason.APPROVAL_UNANSWERED
        if reason is None and not history.agent_has_room():
            reason = ExitReason.HISTORY_LIMIT
        found = circles(events, self.playbook)
        if reason is None and found.rung is Rung.LOOP:
            reason = ExitReason.LOOP
        if reason is not None:
            return GiveUp(reason)
        force = self.breakers.in_force(opened.request.tenant, run_id=events[0].run_id, passed=passed(events))
        try:
            model = permitted(force, self.playbook.agent, self.model_id, self.prices.at(now))
            if isinstance(model, ExitReason):
                return GiveUp(model, held(force, now))
            return self._afford(events, attempts, model, passed_over, found)
        except ModelRefused as refused:
            return GiveUp(ExitReason.MODEL_REFUSED, {"note": str(refused)})

    def _afford(
        self,
        events: Sequence[Event],
        attempts: Attempts,
        model: str,
        passed_over: Mapping[str, str],
        found: Despair,
    ) -> Next | GiveUp:
        agent, prices = self.playbook.agent, self.prices.at(self.clock())
        saving = model != self.model_id
        models = candidates(model, agent.second_model, prices=prices, tier=agent.service_tier, saving=saving)
        chosen = next_model(models, attempts, passed_over)
        if chosen is None:
            notes = [*passed_over.values(), *filter(None, [attempts.error])]
            reason = attempts.reason or ExitReason.MODEL_UNAVAILABLE
            return GiveUp(reason, {"note": "; ".join(notes)} if notes else {})
        number = attempts.number + 1
        body = compose(
            events,
            attempt=number,
            model_id=chosen,
            playbook=self.playbook,
            prices=prices,
            found=found,
            shown=partial(self.shown, events[0].run_id),
        )
        if isinstance(body, ExitReason):
            return GiveUp(body)
        if passed_over:
            body["passed_over"] = dict(passed_over)
        return Next(chosen, tuple(one for one in models if one not in passed_over), body)
