"""What a person must know to decide, in a few lines of plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ballast.contracts import CallTools, Effects
from ballast.contracts.wire import canonical
from ballast.log.events import PlanDecided
from ballast.money.amounts import dollars

if TYPE_CHECKING:
    from ballast.folds.calls import CallState
    from ballast.run import Run

#: The newest calls say most; older ones are in the log.
_SHOWN_CALLS = 12
_SHOWN_CHARS = 400
#: What became of what was written so far; where nothing was there is nothing to say.
_EFFECTS = {
    Effects.FROZEN: "what was written stands, or may stand",
    Effects.UNDONE: "what was written is undone",
}


def summary(run: Run, reason: str) -> str:
    """Return the request, why a person is asked, what was done so far, and what it cost.

    Its text is untrusted where it quotes the request, the model or a tool.
    """
    opened, used = run.opening, run.usage
    request = opened.request
    why = run.why_it_stopped
    lines = [
        f"Reason: {reason}.",
        *([f"The agent was stopped by: {why}."] if why and why != reason else []),
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
