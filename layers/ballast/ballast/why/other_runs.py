"""Causes that other runs meet too: the spend breaker, open circuits, no model to ask, a defect of the fallback.

A report has no clock, so it says when this run met it and where to look, never that it is so now.
"""

from __future__ import annotations

from collections.abc import Iterator

from ballast.contracts import Planner
from ballast.contracts.timeline import Call, Timeline, Turn
from ballast.why.attempts import not_asked
from ballast.why.feedback import open_complaints
from ballast.why.words import clock, named, tool

#: Reasons of a hand-over that the spend breaker has.
BREAKER = ("breaker_open", "breaker_stopped")
#: Errors of refused calls that follow from what the script proposed, and from no budget, person or earlier call.
_OF_THE_SCRIPT = (
    *("UnknownTool", "MalformedArguments", "SchemaViolation", "TooLarge", "RuleViolation", "Ungrounded", "Tainted"),
    "NotVouched",
)


def shared_with_other_runs(made: Timeline) -> Iterator[str]:
    """Yield what this run met and other runs meet too: whether it is still so, the log cannot say.

    Where a command shows it, it is named; the log has only the time at which this run met it.
    """
    if stopped := next((one for one in reversed(made.turns) if _is_held(one)), None):
        held = stopped.decided.breaker if stopped.decided else None
        mode = f" at {named(held.mode, 40)}" if held and held.mode else " on"
        by = f" ({named(held.by, 60)} set it)" if held and held.by else ""
        yield (
            f"see with `ballast breaker` whether the spend breaker is still{mode}{by}, since when and until when: "
            f"{_met(stopped.at)} it stopped this run, and it stops others too"
        )
    elif made.reason == "BreakerStopped":
        yield (
            "see with `ballast breaker` whether the spend breaker still lets no run start, since when and until when: "
            f"{_met(made.opened_at)} it refused this one, and it refuses others too"
        )
    for name, turn in open_circuits(made).items():
        yield (
            f"see whether {named(name, 64)} still fails: its circuit was open {_met(turn.at)}, and until an attempt "
            "succeeds the calls of other runs to it fail at once too"
        )
    for model, turn in open_models(made).items():
        yield (
            f"see whether the model {named(model, 80)} still fails: its circuit was open {_met(turn.at)}, and until an "
            "attempt succeeds other runs do without it too"
        )
    for turn in made.turns[-1:] if made.status == "open" else made.turns:
        pivot = turn.pivot
        if pivot and pivot.reason == "model_unavailable" and pivot.giver == Planner.AGENT and not turn.attempts:
            yield f"see whether models can be asked again: {_met(turn.at)} none could, and other runs meet that too"
            return


def _is_held(turn: Turn) -> bool:
    reason = turn.pivot.reason if turn.pivot else turn.decided.reason if turn.decided else ""
    return reason in BREAKER and turn.planner == Planner.AGENT


def open_circuits(made: Timeline) -> dict[str, Turn]:
    """Return the services whose circuit was open, each with the last turn of which a call was not made for it.

    Without those that this run reached later with the same tool.
    """
    found: dict[str, Turn] = {}
    of_tool: dict[str, str] = {}
    for turn in made.turns:
        for call in turn.calls:
            if call.circuit:
                found[call.circuit], of_tool[call.tool] = turn, call.circuit
            elif call.outcome == "ok" and not call.repeats:
                found.pop(of_tool.get(call.tool, ""), None)
    return found


def open_models(made: Timeline) -> dict[str, Turn]:
    """Return the models that were passed over for their open circuit, each with the last turn in which they were.

    Without those that replied to this run later.
    """
    found = {
        model: turn for turn, _, model, why in not_asked(made) if why.startswith(f"The circuit of {model} is open")
    }
    replied = {one.model: turn.turn for turn in made.turns for one in turn.attempts if one.state == "responded"}
    return {model: turn for model, turn in found.items() if replied.get(model, 0) <= turn.turn}


def _met(at: str) -> str:
    return f"at {clock(at)}" if at else "when this run met it"


def fallback_failed(made: Timeline) -> bool:
    """Whether the script itself raised an error."""
    return any(
        turn.pivot and turn.pivot.giver == Planner.FALLBACK and turn.pivot.reason == "fallback_failed"
        for turn in made.turns
    )


def by_server(made: Timeline) -> dict[str, list[tuple[int, Call]]]:
    """Return the calls that a server answered otherwise than it was pinned, by the server's name."""
    found: dict[str, list[tuple[int, Call]]] = {}
    for turn in made.turns:
        for call in turn.calls:
            if call.unlike is not None:
                found.setdefault(call.unlike.server, []).append((turn.turn, call))
    return found


def mends(made: Timeline) -> Iterator[str]:
    """Yield what to mend in the playbook, since the next runs like this one will meet it alike."""
    for server in by_server(made):
        yield f"pin the tools of the server {named(server)} anew: it answers otherwise than they were pinned"
    script = f"the fallback's script for {named(made.intent, 60) or 'the intent'}"
    if fallback_failed(made):
        yield f"mend {script}: it fails alike for the next runs like this one"
    refused = {
        tool(call): None
        for turn in made.turns
        for call in turn.calls
        if turn.planner == Planner.FALLBACK and call.outcome == "refused" and call.error in _OF_THE_SCRIPT
    }
    for name in refused:
        yield f"mend {script}: its call of {name} was refused, and is refused alike for the next runs like this one"


def defect(made: Timeline) -> str:
    """Return in words the defect of agent, tools or scripts that the run shows; "" if it shows none worth a test.

    What a provider, a breaker, a window or people did is no defect of the playbook, and no test repeats it.
    """
    if made.unreadable or made.status in ("open", "waiting", "refused"):
        return ""
    if open_complaints(made):
        return "somebody says that it was wrong"
    if by_server(made):
        return ""  # the server is what has changed
    if fallback_failed(made) or any(mends(made)):
        return "the fallback's own code failed"
    reasons = {turn.pivot.reason for turn in made.turns if turn.pivot and turn.pivot.giver == Planner.AGENT}
    if reasons.intersection(("loop", "refused_call_limit", "repeated_call_limit")):
        return "the agent repeated itself or was refused again and again"
    if reasons.intersection(("answer_invalid", "empty_answer")):
        return "the agent found no answer that may be sent"
    if reasons.intersection(_OF_ITS_WORK) and made.by != Planner.AGENT:
        return "the agent did not get to an answer within its limits"
    return ""


#: Limits of what an agent does, without those that people's or a provider's time uses up.
_OF_ITS_WORK = ("turn_limit", "tool_call_limit", "tool_limit", "cost_limit", "token_limit", "run_token_limit")
