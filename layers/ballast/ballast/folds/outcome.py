"""What others are told of a run: that it waits for a person, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ballast.contracts import notice
from ballast.contracts.notice import MAX_ANSWER_BYTES, Outcome, RunAnswered, RunEscalated, RunFailed, event_id
from ballast.contracts.wire import canonical, without_surrogates
from ballast.log.events import EscalationAnnounced, EscalationOpened, RunEnded, RunRefused
from ballast.money.amounts import dollars

if TYPE_CHECKING:
    from ballast.run import Run


def outcome(run: Run) -> Outcome | None:
    """Return the notice of how the run ended, None while it goes on. Raises ``LogCorrupt``."""
    ended = run.ending
    if ended is None:
        return None
    about = _about(run, ended)
    if isinstance(ended, RunRefused):
        return notice.RunRefused(
            **about, reason=ended.reason, message=without_surrogates(ended.message), opens_at=ended.opens_at
        )
    came_to = run.cost
    about |= {
        "by": ended.by,
        "degraded": ended.degraded,
        "effects": run.ended_effects,
        "cost_usd": dollars(came_to.counted_microusd),
        "corrected": came_to.corrected.told if came_to.corrected else None,
    }
    if ended.status != "answered":
        return RunFailed(**about | {"status": ended.status, "reason": ended.reason})
    if ended.answer is not None and len(canonical(ended.answer)) > MAX_ANSWER_BYTES:
        return RunAnswered(**about, answer_in_log=True)
    return RunAnswered(**about, answer=None if ended.answer is None else without_surrogates(ended.answer))


def to_announce(run: Run) -> tuple[tuple[str, RunEscalated], ...]:
    """Return the escalations of which nobody was told, each with the key that marks it as told."""
    told = {one.turn for one in run.facts(EscalationAnnounced)}
    return tuple(
        (EscalationAnnounced.key(opened.turn), _escalated(run, opened))
        for opened in run.facts(EscalationOpened)
        if opened.turn not in told and opened.kind == "escalation"
    )


def _escalated(run: Run, opened: EscalationOpened) -> RunEscalated:
    asked = {"escalation_id": opened.escalation_id, "reason": opened.reason, "answer_by": opened.answer_by}
    return RunEscalated(**_about(run, opened) | asked)


def _about(run: Run, fact: EscalationOpened | RunEnded | RunRefused) -> dict[str, Any]:
    event = run.by_seq[fact.seq]
    return {
        "event_id": event_id(event.run_id, event.seq),
        "run_id": event.run_id,
        "request_id": run.request.request_id,
        "tenant": run.request.tenant,
        "at": event.at,
    }
