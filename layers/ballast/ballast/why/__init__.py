"""The report on why a run ended so, computed from its log alone: no clock, no model.

::

    run.timeline() ─▶ laps ─▶ money ┐
                          └─▶ time  ├─▶ causes ─▶ sentence ┐
                                    └─▶ what to type       ├─▶ Why
    decisions, unknown, sooner ────────────────────────────┘

``contracts.why`` has the form of the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ballast.contracts import Planner
from ballast.contracts.timeline import Timeline
from ballast.contracts.why import Cause, Why
from ballast.log.event import GARBLED
from ballast.log.events import CallIntended, ModelRequested, RunEnded, RunOpened, RunRefused, RunSettled
from ballast.money.amounts import dollars
from ballast.run import Run
from ballast.why.advice import to_type, unknown
from ballast.why.causes import OWN_REASONS, Read, causes, planner_name, quoted, tool
from ballast.why.decisions import decisions
from ballast.why.money import laps, spending
from ballast.why.sooner import Sooner, Stops, from_log
from ballast.why.time import durations

__all__ = ["Sooner", "Stops", "explained", "from_log"]

_ENDED_SO = {
    "unanswered": "The run ended without an answer",
    "failed": "The run failed",
    "aborted": "The run was aborted",
    "timed_out": "The run timed out",
    "refused": "The run was not admitted, and nothing was spent",
    "corrupt": "The run's status cannot be read",
}
#: Causes of cost: an answer did not come because of them.
_OF_COST = frozenset(
    {"attempts_failed", "loop_laps", "cache_misses", "another_agent", "prompt_growth", "tool_failed", "call_doubted"}
    | {"model_passed_over", "prompt_step"}
)
_OF_TIME = "time_"
#: At most so many changed facts of an approval are told.
_FACTS = 4


def explained(run: Run, made: Timeline, *, stack: str = "", sooner: Sooner = from_log) -> Why:
    """Return the report on ``run``, whose timeline is ``made``.

    ``stack``: name of the deployed stack, for the commands to type; "" for the local cloud.
    """
    shown, repeated, limits = run.as_shown, laps(made), _limits(run)
    spent, time = spending(made, repeated), durations(made, shown, repeated)
    stops = sooner(shown, made)
    found = causes(
        Read(made, _refusal(run), limits, repeated, _changed(shown, made), _rewritten(run, made), spent, time)
    )
    said = _outcome(made, found)
    told = tuple(
        one.model_copy(update={"words": _sentence(one.words), "in_sentence": one.words in said}) for one in found
    )
    typed = tuple(to_type(made, found, _moved(shown), stack))
    return Why(
        run_id=made.run_id,
        status=made.status,
        sentence=said,
        causes=told,
        unknown=tuple(unknown(made, _moved(shown), settled=_is_settled(run, made))),
        to_type=tuple({one.command: one for one in reversed(typed)}.values())[::-1],
        cost_microusd=made.spent_microusd + made.reserved_microusd,
        ceiling_microusd=made.ceilings.cost_microusd,
        money=spent.shares,
        duration_ms=made.duration_ms if made.duration_ms is not None and made.duration_ms >= 0 else None,
        time=time,
        sooner=tuple(stops.found),
        sooner_note=stops.note,
        decisions=tuple(decisions(made, limits, repeated)),
    )


def _limits(run: Run) -> Mapping[str, Any]:
    try:
        opened = run.fact(RunOpened)
    except GARBLED:
        return {}
    return opened.limits if opened and isinstance(opened.limits, Mapping) else {}


def _refusal(run: Run) -> str:
    try:
        refused = run.fact(RunRefused)
    except GARBLED:
        return ""
    return refused.message if refused else ""


def _changed(run: Run, made: Timeline) -> dict[tuple[int, int], str]:
    """Return what had changed of the facts that approvals relied on: ``state: at sea, then berthed``."""
    found: dict[tuple[int, int], str] = {}
    for turn in made.turns:
        for call in turn.calls:
            if any("precondition" in one for approval in call.approvals for one in approval.void):
                with suppress(*GARBLED):
                    found[turn.turn, call.index] = _between(run, turn.turn, call.index)
    return found


def _rewritten(run: Run, made: Timeline) -> frozenset[int]:
    """Return the turns of which the agent's instructions or tools were other ones than those it was asked with before.

    An event has them only where they differ from the request before, which may be another agent's.
    """
    agents = {turn.turn: turn.by_agent for turn in made.turns}
    system, tools = None, None
    of_agent: dict[tuple[str, str], Any] = {}
    found = set()
    try:
        for asked in run.facts(ModelRequested):
            system, tools = asked.system or system, asked.tools or tools
            key = agents.get(asked.turn, ""), asked.model
            if of_agent.setdefault(key, (system, tools)) != (system, tools):
                found.add(asked.turn)
            of_agent[key] = system, tools
    except GARBLED:
        return frozenset()
    return frozenset(found)


def _moved(run: Run) -> dict[tuple[int, int], str]:
    """Return what each call moves of the business's own money, in words."""
    try:
        begun = {one.at: one.moves for one in run.facts(CallIntended) if one.moves is not None}
        return {at: f"{dollars(move.micro)} {move.unit or ''}".rstrip() for at, move in begun.items()}
    except GARBLED:
        return {}


def _between(run: Run, turn: int, index: int) -> str:
    for round_ in reversed(run.approvals(turn, index)):
        if round_.void is None or round_.needed is None:
            continue
        before, after = ((bound or {}).get("precondition") for bound in (round_.needed.binding, round_.void.binding))
        if not isinstance(before, Mapping) or not isinstance(after, Mapping):
            return ""
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)][:_FACTS]
        return "; ".join(
            f"{quoted(str(name), 40)}: {quoted(str(before.get(name)), 60)}, then {quoted(str(after.get(name)), 60)}"
            for name in names
        )
    return ""


def _is_settled(run: Run, made: Timeline) -> bool:
    """Whether there is nothing left to settle: no ending yet, no lease, or the settlement is recorded."""
    names = {event.name for event in run}
    return RunEnded.NAME not in names or RunSettled.NAME in names or made.money.leased_microusd is None


def _outcome(made: Timeline, found: tuple[Cause, ...]) -> str:
    """Return the outcome and its first cause in one sentence."""
    said, first = _ended(made), found[0] if found else None
    if first is None:
        return f"{said}."
    of_cost = first.name in _OF_COST or first.name.startswith(_OF_TIME)
    if made.status == "open" or (of_cost and (made.status == "waiting" or made.by == Planner.AGENT)):
        return f"{said}; {first.words}."
    if made.by == Planner.AGENT:
        return f"{said}, although {first.words}."
    more = ""
    if made.status == "waiting":  # the last planner says why people are asked
        more = next((f"; then {one.words}" for one in reversed(found[1:]) if one.name in OWN_REASONS), "")
    elif first.name == "unanswered" and len(found) > 1:
        more = f"; before that, {found[1].words}"
    stands = next((one.words for one in found if one.name == "effects_stand"), "")
    if stands and made.status != "waiting":  # what is left to do, whatever the cause was
        more += f"; {stands}"
    return f"{said}, because {first.words}{more}."


def _ended(made: Timeline) -> str:
    turns = f"after {len(made.turns):,} turn{'' if len(made.turns) == 1 else 's'}"
    match made.status:
        case "answered":
            by = next((one.escalation.by for one in reversed(made.turns) if one.escalation and one.escalation.by), "")
            person = quoted(by, 60) if made.by == Planner.PERSON and by else ""
            who = person or planner_name(made.by) or "somebody"
            instead = " instead of the agent" if made.by not in (Planner.AGENT, "") else ""
            return f"{who[:1].upper()}{who[1:]} answered{instead} {turns}"
        case "waiting":
            return f"The run waits for {_waits_for(made)}"
        case "open":
            return f"The run has no ending: it still runs, or was cut off in turn {len(made.turns)}"
    return _ENDED_SO.get(made.status, made.status)


def _waits_for(made: Timeline) -> str:
    last = made.turns[-1]
    if last.planner == Planner.REQUESTER:
        return "the requester to reply to the agent's question"
    waiting = next((call for call in last.calls if call.outcome == "waiting"), None)
    return f"a person to approve {tool(waiting)}" if waiting else "a person to decide"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith(('.', '…', '?', '!')) else '.'}"
