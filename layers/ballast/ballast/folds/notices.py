"""Notices: the events about a run for other systems, and the summary for the person who decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ballast.contracts import CallTools, Effects, notice
from ballast.contracts.notice import MAX_ANSWER_BYTES, Outcome, RunAnswered, RunEscalated, RunFailed, event_id
from ballast.contracts.wire import canonical, without_surrogates
from ballast.log.events import EscalationAnnounced, EscalationOpened, PlanDecided, RunEnded, RunRefused
from ballast.money.amounts import dollars

if TYPE_CHECKING:
    from ballast.folds.calls import CallState
    from ballast.run import Run


def outcome(run: Run) -> Outcome | None:
    """Return the notice of the run's end; None while it goes on. Raises ``LogCorrupt``."""
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
    """Return the escalations that are not announced yet, each with the key of its announcement."""
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
    event = run.at(fact.seq)
    return {
        "event_id": event_id(event.run_id, event.seq),
        "run_id": event.run_id,
        "request_id": run.request.request_id,
        "tenant": run.request.tenant,
        "at": event.at,
    }


#: Calls in the summary: the newest ones matter most, and the log has the others.
_SHOWN_CALLS = 12
_SHOWN_CHARS = 400
#: The effects so far, in words; a run without effects has no line.
_EFFECTS = {
    Effects.FROZEN: "what was written stands, or may stand",
    Effects.UNDONE: "what was written is undone",
}


def summary(run: Run, reason: str) -> str:
    """Return the request, the reason of the escalation, the calls so far, and their cost.

    Its text is untrusted where it quotes the request, the model or a tool.
    """
    opened, used = run.opening, run.usage
    request = opened.request
    why = run.why_it_stopped
    lines = [
        f"Reason: {reason}.",
        *([f"The agent was stopped by: {why}."] if why and why != reason else []),
        *([f"Agents: {_agents(run)}."] if run.agent_changes else []),
        *([f"Effects: {_EFFECTS[stands]}."] if (stands := run.effects("waiting")) in _EFFECTS else []),
        f"Request ({request.intent or 'no intent'}): {_short(request.text)}",
    ]
    if request.context:
        lines.append(f"Facts from the caller: {_short(canonical(request.context))}")
    made = run.calls
    if len(made) > _SHOWN_CALLS:
        lines.append(f"Calls: {len(made)}, the last {_SHOWN_CALLS}:")
    lines += [_line(state) for state in made[-_SHOWN_CALLS:]]
    notes = [decided.note for decided in run.facts(PlanDecided) if decided.note]
    lines += [f"Note: {_short(note)}" for note in notes[-2:]]
    lines.append(
        f"Used: {used.turns} turns, {len(made)} calls, "
        f"${dollars(used.charged_microusd)} of ${dollars(opened.cost_ceiling_microusd)}."
    )
    return "\n".join(lines)


def _agents(run: Run) -> str:
    changes = run.agent_changes
    return ", then ".join([changes[0].giver, *(f"{one.taker} after turn {one.turn}" for one in changes)])


def proposed(run: Run) -> dict[str, object] | None:
    """Return the newest decision that calls tools and was not carried out, as JSON, if there is one."""
    for turn in sorted(run.proposals, reverse=True):
        made = run.proposals[turn]
        if isinstance(made.decision, CallTools):
            waiting = any(state.turn == turn and not state.ended for state in run.calls)
            return made.decision.model_dump(mode="json") if waiting else None
    return None


def _line(state: CallState) -> str:
    effect = " (write)" if state.effect == "write" else ""
    outcome = _short(canonical(state.result)) if state.status == "ok" else _short(state.message)
    if state.status == "intended" and state.effect == "write":
        outcome = "It was begun, and nobody knows whether it happened."
    arguments = _short(canonical(state.as_admitted.arguments))
    return f"- turn {state.turn}, {state.planner}: {state.call.tool}{effect} {arguments}: {state.status}. {outcome}"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN_CHARS else flat[: _SHOWN_CHARS - 1] + "…"
