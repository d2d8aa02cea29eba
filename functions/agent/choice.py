"""What is asked next, and whom: limits, the spend breaker, the models, the reservation.

::

    limit? ─▶ spend breaker? ─▶ is a model left? ─▶ can it be afforded? ─▶ Next
      └───────────┴──────────────────┴────────────────────┴──────────────▶ GiveUp
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from ballast.breaker import Breakers
from ballast.contracts import ExitReason
from ballast.contracts.limits import HistoryUsed
from ballast.errors import ModelRefused
from ballast.folds.loops import Loops, Rung
from ballast.log.events import BreakerHeld, ModelRequested
from ballast.money import PriceBook
from ballast.playbook import Playbook
from ballast.run import Run
from functions.agent.despair import circles
from functions.agent.limits import limit_reached
from functions.agent.models import Attempts, candidates, next_model
from functions.agent.request import compose
from functions.agent.spending import held, passed, permitted


@dataclass(frozen=True)
class Next:
    """The next attempt, and the models that could be asked for it: the one that is, among others."""

    requested: ModelRequested
    models: tuple[str, ...]


@dataclass(frozen=True)
class GiveUp:
    """Nothing is asked; the note, and the breaker that held, are recorded with the hand-over."""

    reason: ExitReason
    note: str | None = None
    breaker: BreakerHeld | None = None


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

    def next(self, run: Run, turn: int, passed_over: Mapping[str, str], history: HistoryUsed) -> Next | GiveUp:
        """Return the next attempt at ``turn``; ``passed_over`` says which models are not asked, and why."""
        opened, attempts, now = run.opening, Attempts.of(run, turn), self.clock()
        reason = limit_reached(
            opened,
            run.usage,
            run.counts,
            new_turn=attempts.number == 0,
            now_ms=int(now.timestamp() * 1000),
        )
        if reason is ExitReason.DEADLINE and attempts.reason is ExitReason.MODEL_TIMEOUT:
            # The call was cut because the time was up: one moment, and the workflow, which cuts too, names the model.
            reason = ExitReason.MODEL_TIMEOUT
        if run.approval_given_up(turn - 1):
            reason = ExitReason.APPROVAL_UNANSWERED
        if reason is None and not history.agent_has_room():
            reason = ExitReason.HISTORY_LIMIT
        found = circles(run, self.playbook)
        if reason is None and found.rung is Rung.LOOP:
            reason = ExitReason.LOOP
        if reason is not None:
            return GiveUp(reason)
        force = self.breakers.in_force(opened.request.tenant, run_id=run.run_id, passed=passed(run))
        try:
            model = permitted(force, self.playbook.agent, self.model_id, self.prices.at(now))
            if isinstance(model, ExitReason):
                return GiveUp(model, breaker=held(force, now))
            return self._afford(run, turn, attempts, model, passed_over, found)
        except ModelRefused as refused:
            return GiveUp(ExitReason.MODEL_REFUSED, note=str(refused))

    def _afford(
        self,
        run: Run,
        turn: int,
        attempts: Attempts,
        model: str,
        passed_over: Mapping[str, str],
        found: Loops,
    ) -> Next | GiveUp:
        agent, prices = self.playbook.agent, self.prices.at(self.clock())
        saving = model != self.model_id
        models = candidates(model, agent.second_model, prices=prices, tier=agent.service_tier, saving=saving)
        chosen = next_model(models, attempts, passed_over)
        if chosen is None:
            notes = [*passed_over.values(), *filter(None, [attempts.error])]
            reason = attempts.reason or ExitReason.MODEL_UNAVAILABLE
            return GiveUp(reason, note="; ".join(notes) if notes else None)
        requested = compose(
            run,
            turn,
            attempt=attempts.number + 1,
            model_id=chosen,
            playbook=self.playbook,
            prices=prices,
            found=found,
            shown=partial(self.shown, run.run_id),
        )
        if isinstance(requested, ExitReason):
            return GiveUp(requested)
        if passed_over:
            requested = requested.model_copy(update={"passed_over": dict(passed_over)})
        return Next(requested, tuple(one for one in models if one not in passed_over))
