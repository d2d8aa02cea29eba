"""What a person must know to decide, in a few lines of plain text."""

from collections.abc import Sequence

from ballast.contracts import CallTools, Effects
from ballast.contracts.wire import canonical
from ballast.folds.calls import CallState, calls, proposals
from ballast.folds.effects import effects
from ballast.folds.opening import opening
from ballast.folds.succession import why_it_stopped
from ballast.folds.usage import usage
from ballast.log.event import Event
from ballast.money.amounts import dollars

#: The newest calls say most; older ones are in the log.
_SHOWN_CALLS = 12
_SHOWN_CHARS = 400
#: What became of what was written so far; where nothing was there is nothing to say.
_EFFECTS = {
    Effects.FROZEN: "what was written stands, or may stand",
    Effects.UNDONE: "what was written is undone",
}


def summary(events: Sequence[Event], reason: str) -> str:
    """Return the request, why a person is asked, what was done so far, and what it cost.

    Its text is untrusted where it quotes the request, the model or a tool.
    """
    opened, used = opening(events), usage(events)
    request = opened.request
    why = why_it_stopped(events)
    lines = [
        f"Reason: {reason}.",
        *([f"The agent was stopped by: {why}."] if why and why != reason else []),
        *([f"Effects: {_EFFECTS[stands]}."] if (stands := effects(events, "waiting")) in _EFFECTS else []),
        f"Request ({request.intent or 'no intent'}): {_short(request.text)}",
    ]
    if request.context:
        lines.append(f"Facts from the caller: {_short(canonical(request.context))}")
    made = calls(events)
    if len(made) > _SHOWN_CALLS:
        lines.append(f"Calls: {len(made)}, the last {_SHOWN_CALLS}:")
    lines += [_line(state) for state in made[-_SHOWN_CALLS:]]
    notes = [event.body["note"] for event in events if event.body.get("note")]
    lines += [f"Note: {_short(note)}" for note in notes[-2:]]
    lines.append(
        f"Used: {used.turns} turns, {len(made)} calls, "
        f"${dollars(used.charged_microusd)} of ${dollars(opened.cost_ceiling_microusd)}."
    )
    return "\n".join(lines)


def proposed(events: Sequence[Event]) -> dict[str, object] | None:
    """Return the newest decision that calls tools and was not carried out, as JSON, if there is one."""
    states = calls(events)
    for turn in sorted(proposals(events), reverse=True):
        made = proposals(events)[turn]
        if isinstance(made.decision, CallTools):
            waiting = any(state.turn == turn and not state.ended for state in states)
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
