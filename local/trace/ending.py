"""How a run ended, in one sentence."""

from collections.abc import Sequence

from local.trace.timeline import Status, Turn
from local.trace.words import count, meaning, planner_name


def ending(status: Status, by: str, reason: str, turns: Sequence[Turn], message: str = "") -> str:
    """Return the sentence. ``message`` is what a refusal said."""
    why = f": {meaning(reason)}" if reason else ""
    match status:
        case "answered":
            return _answered(by, turns)
        case "unanswered":
            return f"Nobody answered in time{why}."
        case "refused":
            return f"Not admitted, nothing was spent: {message or meaning(reason) or 'the log does not say why'}"
        case "failed":
            return f"Ended without an answer{why}. This is a defect in Ballast: page someone."
        case "aborted":
            return f"Aborted by somebody{why}."
        case "timed_out":
            return f"The whole execution timed out{why}."
        case "waiting":
            return _waiting(turns[-1])
        case _:
            return f"No ending in the log: it still runs, or was cut off in turn {turns[-1].turn if turns else 0}."


def _answered(by: str, turns: Sequence[Turn]) -> str:
    person = _person(turns)
    after = f"answered after {count(len(turns), 'turn')}"
    if by == "human" and person:
        sentence = f"{person}, a person, {after}"
    else:
        name = planner_name(by) or "somebody"
        sentence = f"{name[:1].upper()}{name[1:]} {after}"
    first = next((turn.pivot for turn in turns if turn.pivot), None)
    if by != "agent" and first:
        return f"{sentence}, because {planner_name(first.giver)} was stopped: {meaning(first.reason)}."
    return f"{sentence}, with the help of {person}." if by == "agent" and person else f"{sentence}."


def _person(turns: Sequence[Turn]) -> str:
    """Return who of the people answered last."""
    asked = [turn.escalation for turn in turns if turn.escalation and turn.planner == "human"]
    return next((escalation.by for escalation in reversed(asked) if escalation.by), "")


def _waiting(turn: Turn) -> str:
    asked = turn.escalation.escalation_id if turn.escalation else ""
    if turn.planner == "requester":
        return f"Waits for the requester: a reply to the agent's question is wanted (escalation {asked or 'unknown'})."
    what = "a decision"
    for call in turn.calls:
        if call.outcome == "waiting" and call.approval:
            asked, what = call.approval.escalation_id, f"an approval of {call.tool}"
    return f"Waits for a person: {what} is wanted (escalation {asked or 'unknown'})."
