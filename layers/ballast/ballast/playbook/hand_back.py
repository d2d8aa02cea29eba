"""Check that an agent can be asked with what a run holds, before a person hands the run to it. Pure.

Of a hand-over between agents the agent itself composes the next attempt. Who takes people's answers composes none, and
estimates it::

    request, files ────────┐
    record of the calls ───┼─▶ first prompt of the other agent ─▶ files? window? limits? ─▶ why not │ None
    the person's words ────┘

The agent checks again before it asks. The spend breaker and the run's time forbid the same to each agent.
"""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

from ballast.contracts import HandOver
from ballast.contracts.decision import LIMITS
from ballast.contracts.wire import canonical
from ballast.errors import ModelRefused, RuleViolation, SettingInvalid
from ballast.log.event import Event
from ballast.log.events import EscalationAnswered, LeaseExtended
from ballast.models.catalog import FOLLOWS_REGION
from ballast.money import Reservation
from ballast.playbook.agents import in_charge, limits_now
from ballast.playbook.first_prompt import first_attempt, why_not_in_window

if TYPE_CHECKING:
    from ballast.playbook.load import Playbook
    from ballast.run import Run


def why_not_handed_back(
    playbook: Playbook, run: Run, answered: EscalationAnswered, *, on: date, model_id: str = ""
) -> str | None:
    """Return why no model of the agent can be asked to which a person hands ``run``; None if one can.

    playbook  as the stack's region has it
    answered  the person's answer, not recorded yet
    on        the day on which the models must have prices, and be served
    model_id  replaces the playbook's models; "" does not

    None as well for the agent that is in charge already. A result's files are not counted: what a model does not take
    of them, it is told of in words.
    """
    decision = answered.decision
    if not isinstance(decision, HandOver) or decision.agent is None:
        return None
    after = run.with_event(*(_event(run, one) for one in _recorded(answered, decision)))
    if not after.agent_changes or after.agent_changes[-1].turn != answered.turn:
        return None
    try:
        taker = in_charge(playbook, after, answered.turn + 1)
    except RuleViolation as nobody:
        return str(nobody)
    agent, intent, turn = taker.agent, run.opening.request.intent, answered.turn + 1
    first = [model_id or agent.model_at(intent, turn), *([agent.second_model] if agent.second_model else [])]
    whys = [_why_not_asked(taker, after, model, decision.guidance, on) for model in dict.fromkeys(first)]
    if None not in whys:
        return whys[0]
    later = () if model_id or not run.opening.attachments else agent.models_for(intent, from_turn=turn)
    return next((why for one in later if (why := _why_not_shown(taker, after, one, None))), None)


def _recorded(answered: EscalationAnswered, decision: HandOver) -> list[EscalationAnswered | LeaseExtended]:
    """Return what the log will have of the answer; the budget that it adds, as if there was room for it."""
    added = decision.add_budget_microusd
    return [answered, *([LeaseExtended(turn=answered.turn, microusd=added)] if added else [])]


def _event(run: Run, fact: EscalationAnswered | LeaseExtended) -> Event:
    return Event(run_id=run.run_id, seq=fact.seq, at="", body=json.loads(canonical(fact.body)))


def _why_not_shown(taker: Playbook, run: Run, model: str, on: date | None) -> str | None:
    try:
        return taker.why_not_asked(model, run.opening.attachments, on=on)
    except (ModelRefused, SettingInvalid) as refused:
        return str(refused)


def _why_not_asked(taker: Playbook, run: Run, model: str, guidance: str, on: date) -> str | None:
    """Return why that model of the agent in charge of ``taker`` cannot be asked next; None if it can."""
    if model.startswith(FOLLOWS_REGION):
        return f"{model}: no form of the model is known to be served in the stack's region."
    if why := _why_not_shown(taker, run, model, on):
        return why
    opening, limits = run.opening, limits_now(run, taker)
    try:
        taker.check_model(model, on=on)
        card = taker.models.card(model)
        price = taker.models.price(model, on=on).worst(taker.agent.service_tier)
        found, _, estimate, _ = first_attempt(
            taker,
            opening.request,
            limits,
            price,
            card,
            opening.attachments,
            record=[guidance, *_record(run)],
            tokens_so_far=run.counts.tokens,
            charged_microusd=run.usage.charged_microusd,
        )
    except (ModelRefused, SettingInvalid) as refused:
        return str(refused)
    taken = taker.agent.inference.taken_by(card)
    if why := why_not_in_window(card, estimate, limits, taken):
        return f"{model} {why}."
    if isinstance(found, Reservation):
        return None
    return f"its next attempt would pass limits.{LIMITS.get(found, found.value)}."


def _record(run: Run) -> list[Any]:
    """Return what the agent is told of the calls so far."""
    return [[one.call.tool, one.as_admitted.arguments, one.message or one.result] for one in run.calls]
