"""What others are told of a run: that it waits for a person, and how it ended."""

from collections.abc import Sequence
from typing import Any

from ballast.contracts import Event, RunRequest
from ballast.contracts.event import escalation_seq
from ballast.contracts.notice import (
    MAX_ANSWER_BYTES,
    Outcome,
    RunAnswered,
    RunEscalated,
    RunFailed,
    RunRefused,
    event_id,
)
from ballast.contracts.wire import canonical, parse
from ballast.errors import LogCorrupt
from ballast.folds.cost import cost
from ballast.folds.effects import ended_effects
from ballast.folds.opening import ending
from ballast.money.amounts import dollars


def outcome(events: Sequence[Event]) -> Outcome | None:
    """Return the notice of how the run ended, None while it goes on. Raises ``LogCorrupt``."""
    ended = ending(events)
    if ended is None:
        return None
    request = requested(events)
    about: dict[str, Any] = {
        "event_id": event_id(ended.run_id, ended.seq),
        "run_id": ended.run_id,
        "request_id": request.request_id,
        "tenant": request.tenant,
        "at": ended.at,
    }
    body = ended.body
    if ended.name == "run.refused":
        return RunRefused(
            **about, reason=body["reason"], message=_plain(body["message"]), opens_at=body.get("opens_at")
        )
    came_to = cost(events)
    about |= {
        "by": body["by"],
        "degraded": body["degraded"],
        "effects": ended_effects(events, body),
        "cost_usd": dollars(came_to.counted_microusd),
        "corrected": came_to.corrected.told if came_to.corrected else None,
    }
    if body["status"] != "answered":
        return RunFailed(**about, status=body["status"], reason=body.get("reason"))
    answer = body.get("answer")
    if answer is not None and len(canonical(answer)) > MAX_ANSWER_BYTES:
        return RunAnswered(**about, answer_in_log=True)
    return RunAnswered(**about, answer=None if answer is None else _plain(answer))


def to_announce(events: Sequence[Event]) -> tuple[tuple[str, RunEscalated], ...]:
    """Return the escalations of which nobody was told, each with the key that marks it as told."""
    told = {event.turn for event in events if event.name == "escalation.announced"}
    opened = {
        event.turn: event
        for event in events
        if event.name == "escalation.opened" and event.turn not in told and event.body.get("kind") == "escalation"
    }
    return tuple((escalation_seq(turn, "announced"), _escalated(events, event)) for turn, event in opened.items())


def _escalated(events: Sequence[Event], opened: Event) -> RunEscalated:
    request = requested(events)
    return RunEscalated(
        event_id=event_id(opened.run_id, opened.seq),
        run_id=opened.run_id,
        request_id=request.request_id,
        tenant=request.tenant,
        at=opened.at,
        escalation_id=opened.body["escalation_id"],
        reason=opened.body["reason"],
        answer_by=opened.body["answer_by"],
    )


def requested(events: Sequence[Event]) -> RunRequest:
    """Return what was asked for, whether it was admitted or not. Raises ``LogCorrupt``."""
    first = next((event for event in events if event.name in ("run.opened", "run.refused")), None)
    if first is None:
        raise LogCorrupt("The log has neither 0000.run.opened nor 0000.run.refused: it is incomplete.")
    return parse(RunRequest, first.body.get("request"), what="request", error=LogCorrupt)


def _plain(text: str) -> str:
    """Return ``text`` without lone surrogates, which a model may write and no other parser takes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
