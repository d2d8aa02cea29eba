"""What the spend breaker makes of the next model attempt: which model, or why none. Pure.

A run that the breaker handed to a person passes it once that person hands it back with more budget:
what held when it was handed over stops it no longer; what trips later does.
"""

from datetime import datetime

from ballast.contracts import ExitReason, HandOver, Planner
from ballast.errors import ModelRefused
from ballast.log.events import BreakerHeld, EscalationAnswered, LeaseExtended, PlanDecided, RunOpened
from ballast.money import PriceTable
from ballast.money.breaker import CurrentMode, Mode
from ballast.playbook.agent import AgentConfig
from ballast.run import Run


def permitted(current: CurrentMode, agent: AgentConfig, model_id: str, prices: PriceTable) -> str | ExitReason:
    """Return the model that may be asked, ``model_id`` or the playbook's cheaper one, or the reason to hand over.

    A cheaper one that is not cheaper by ``prices`` is none: ``model_id`` may be another than the playbook's.
    """
    if current.mode is Mode.STOPPED:
        return ExitReason.BREAKER_STOPPED
    if current.mode is Mode.FALLBACK_ONLY:
        return ExitReason.BREAKER_OPEN
    if current.mode is Mode.CHEAPER and agent.cheaper_model is not None:
        try:
            saves = prices.is_cheaper(agent.cheaper_model, model_id, agent.service_tier)
        except ModelRefused:
            saves = False
        return agent.cheaper_model if saves else model_id
    return model_id


def asks_a_person(reason: ExitReason, agent: AgentConfig) -> bool:
    """Say whether a run pauses for people with all that it did so far, instead of its rollback and fallback."""
    return reason is ExitReason.BREAKER_STOPPED or (reason is ExitReason.COST_LIMIT and agent.out_of_budget == "ask")


def held(current: CurrentMode, now: datetime) -> BreakerHeld:
    """Return what is recorded with a hand-over: what held, and the time up to which a person's grant passes it."""
    # Whoever tripped it may have a clock that is ahead of this one.
    seen = max(now, current.since or now)
    return BreakerHeld(mode=current.mode.value, by=current.by, reason=current.reason, at=seen.isoformat())


def passed(run: Run) -> datetime | None:
    """Return the time whose breaker a person let this run pass; None where nobody did.

    Like the ceiling it follows the lease: added budget that no window had room for grants nothing.
    """
    opened = run.fact(RunOpened)
    leases = opened is not None and opened.lease is not None
    extended = {one.turn for one in run.facts(LeaseExtended)}
    handed_over = granted = None
    for event in run.named(PlanDecided, EscalationAnswered):
        match event.fact:
            case PlanDecided(breaker=BreakerHeld(at=at)):
                handed_over = datetime.fromisoformat(at)
            case EscalationAnswered(decision=HandOver(to=Planner.AGENT) as back) as answered:
                adds = answered.kind != "question" and back.add_budget_microusd > 0
                if adds and handed_over is not None and (not leases or answered.turn in extended):
                    granted = handed_over
    return granted
