"""A run's entries, sorted into turns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from ballast.contracts.task import LAST_TURN
from ballast.log.event import Event
from local.trace.attempts import attempts
from local.trace.calls import calls
from local.trace.circles import noticed
from local.trace.reading import between, mapping, number, text
from local.trace.timeline import Decided, Escalation, Pivot, Turn

#: They are asked; nobody puts them in charge of the turns that follow.
_ASKED = ("human", "requester")


def turns(events: Sequence[Event], opened_at: str, cost_ceiling_microusd: int | None) -> tuple[Turn, ...]:
    """Return the turns in order. ``events`` are sorted; a turn without entries is there as well, empty."""
    grouped = {number: list(found) for number, found in groupby(events, key=lambda event: event.turn)}
    numbers = [found for found in grouped if 0 < found < LAST_TURN]
    circles = noticed(events)
    bare = [_turn(n, grouped.get(n, []), opened_at, circles) for n in range(1, max(numbers, default=0) + 1)]
    taken_from = [_handed_over(grouped.get(turn.turn + 1, [])) for turn in bare]
    return _summed(_with_planners(bare, taken_from), cost_ceiling_microusd)


def _turn(number: int, events: Sequence[Event], opened_at: str, circles: Mapping[tuple[int, int], str]) -> Turn:
    decision, decided, undoes = _decision(events)
    return Turn(
        turn=number,
        planner=_planner(events),
        at_ms=between(opened_at, events[0].at) if events else None,
        attempts=attempts(events),
        escalation=_escalation(events),
        decided=decided,
        calls=tuple(
            replace(call, circles=circles.get((number, call.index), ""))
            for call in calls(decision.get("calls"), events, undoes)
        ),
    )


def _decision(events: Iterable[Event]) -> tuple[Mapping[str, Any], Decided | None, Any]:
    """Return the decision that counts: a person's before a planner's before a completion's."""
    found: dict[str, Event] = {event.name: event for event in events if mapping(event.body, "decision")}
    for name in ("escalation.answered", "plan.decided", "model.responded"):
        if name in found:
            body = found[name].body
            decision = mapping(body, "decision")
            decided = Decided(
                kind=text(decision, "kind"),
                text=text(decision, "text"),
                to=text(decision, "to"),
                reason=text(decision, "reason"),
                guidance=text(decision, "guidance"),
                add_budget_microusd=number(decision, "add_budget_microusd"),
                note=text(body, "note"),
                parallel=body.get("parallel") is True,
            )
            return decision, decided, body.get("undoes")
    return {}, None, None


def _planner(events: Sequence[Event]) -> str:
    """Return who was in charge, as far as the turn itself says; else an empty string."""
    for event in events:
        if event.name.startswith("escalation."):
            return "requester" if event.body.get("kind") == "question" else "human"
        if text(event.body, "planner"):
            return text(event.body, "planner")
    return "agent" if any(event.name.startswith("model.") for event in events) else ""


def _escalation(events: Iterable[Event]) -> Escalation | None:
    named = {event.name: event.body for event in events if event.name.startswith("escalation.")}
    opened, answered = named.get("escalation.opened", {}), named.get("escalation.answered", {})
    if not named:
        return None
    return Escalation(
        escalation_id=text(opened, "escalation_id") or text(answered, "escalation_id"),
        reason=text(opened, "reason"),
        summary=text(opened, "summary"),
        proposed=opened.get("proposed"),
        by=text(answered, "by"),
    )


def _handed_over(events: Iterable[Event]) -> Mapping[str, Any]:
    """Return what a turn's entries say about who was in charge before, and why no longer."""
    for event in events:
        if mapping(event.body, "handed_over"):
            return mapping(event.body, "handed_over")
    return {}


def _with_planners(bare: Sequence[Turn], taken_from: Sequence[Mapping[str, Any]]) -> list[Turn]:
    """Name the planner of every turn and the hand-over after it, also where the planner died silently."""
    named: list[Turn] = []
    in_charge = "agent"
    for position, turn in enumerate(bare):
        before = taken_from[position]
        planner = turn.planner or text(before, "from") or in_charge
        after = bare[position + 1].planner if position + 1 < len(bare) else ""
        pivot, decided = None, turn.decided
        if decided is not None and decided.kind == "hand_over":
            pivot = Pivot(giver=planner, taker=decided.to, reason=decided.reason)
        elif before and after:
            giver = text(before, "from") or planner
            pivot = Pivot(giver=giver, taker=after, reason=text(before, "reason"), error=text(before, "error"))
        in_charge = pivot.taker if pivot else (in_charge if planner in _ASKED else planner)
        named.append(replace(turn, planner=planner, pivot=pivot))
    return named


def _summed(named: Iterable[Turn], ceiling: int | None) -> tuple[Turn, ...]:
    """Add up money, tokens and calls from turn to turn; a person's grant raises the ceiling."""
    summed: list[Turn] = []
    spent = reserved = read = written = proposed = 0
    for turn in named:
        spent += sum(attempt.cost_microusd for attempt in turn.attempts)
        reserved += sum(attempt.reserved_microusd for attempt in turn.attempts if attempt.state == "open")
        read += sum(attempt.input_tokens for attempt in turn.attempts)
        written += sum(attempt.output_tokens for attempt in turn.attempts)
        proposed += len(turn.calls)
        if ceiling is not None and turn.planner == "human" and turn.decided and turn.decided.to == "agent":
            ceiling += turn.decided.add_budget_microusd
        summed.append(
            replace(
                turn,
                spent_microusd=spent,
                reserved_microusd=reserved,
                cost_ceiling_microusd=ceiling,
                input_tokens=read,
                output_tokens=written,
                tool_calls=proposed,
            )
        )
    return tuple(summed)
