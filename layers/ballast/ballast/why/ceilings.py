"""The limit that stopped the agent: whose it is, what it allows, what was used, what is kept back or would have come.

One form for all limits: ``(limits.turns of agent.yaml: 3 allowed, 3 used)``, ``(limits.deadline_s of the request: 12 s
allowed, 7 s of them for the agent, since the last 5 s are kept for the planners after it; 7.7 s used)``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ballast.contracts import Planner
from ballast.contracts.decision import LIMITS
from ballast.contracts.timeline import LimitReached, Timeline, Turn
from ballast.folds.usage import Counts
from ballast.log.event import GARBLED
from ballast.log.events import PlanDecided, RunOpened
from ballast.money.amounts import dollars
from ballast.run import Run
from ballast.timeline import amount_of
from ballast.values import dataclass
from ballast.why.words import named


def limit_of(reason: str) -> str:
    """Return the limit's name in ``Limits``; "" if the reason is no limit."""
    return next((name for stop, name in LIMITS.items() if stop == reason), "")


def ceilings(run: Run, made: Timeline, limits: Mapping[str, Any]) -> dict[int, str]:
    """Return the limits that ended the agent's part, in words in brackets, by the turn.

    What the agent compared is in its decision, with whose limit it was. ``limits``, as admitted, stand in for it in
    a log of an earlier version, and where the workflow itself ended the agent's part.
    """
    found: dict[int, str] = {}
    for turn in made.turns:
        limit = limit_of(turn.pivot.reason) if turn.pivot and turn.pivot.giver == Planner.AGENT else ""
        if not limit:
            continue
        told = [one for one in (turn.decided.reached if turn.decided else ()) if one.limit == limit]
        allowed = limits.get(limit)
        if not told and (not isinstance(allowed, int) or isinstance(allowed, bool)):
            continue
        try:
            said = [_words(run, made, turn, _of_decision(one)) for one in told]
            said = said or [
                _words(run, made, turn, _Limit(limit, f"limits.{limit}", int(allowed or 0), recorded=False))
            ]
        except GARBLED:  # what was used is unknown
            places = [(place(one), one.allowed) for one in told] or [(f"limits.{limit}", int(allowed or 0))]
            said = [f"{place}: {amount_of(limit, most)} allowed" for place, most in places]
        found[turn.turn] = f" ({'; '.join(said)})"
    return found


@dataclass(frozen=True)
class _Limit:
    """A limit that ended the agent's part.

    place     its key and its file, for a sentence
    agent     the agent whose own it is; "" if it is the run's
    used      what was used of it; None if it is not recorded
    recorded  whether the decision has it
    """

    name: str
    place: str
    allowed: int
    agent: str = ""
    used: int | None = None
    recorded: bool = True


def _of_decision(one: LimitReached) -> _Limit:
    return _Limit(one.limit, place(one), one.allowed, one.agent, one.used)


def place(one: LimitReached) -> str:
    """Return where somebody sets the limit: ``limits.turns of agents/billing.yaml``."""
    key = named(one.key, 120) or f"limits.{one.limit}"
    return f"{key} of {named(one.file, 120)}" if one.file else f"{key} of the request" if one.key else key


def _words(run: Run, made: Timeline, turn: Turn, limit: _Limit) -> str:
    if limit.name == "cost_microusd":
        return _cost(made, turn, limit)
    if limit.name == "deadline_s":
        return _deadline(run, turn, limit)
    used, rest, explains = _used(run.before(turn.turn).counts, turn, limit, made)
    by = f" by the agent {named(limit.agent, 80)}" if limit.agent and limit.used is not None else ""
    said = f"{limit.place}: {limit.allowed:,} allowed, {used}{by}{', ' if rest else ''}{rest}"
    if not explains and not limit.recorded and turn.by_agent and turn.by_agent != made.agent:
        said += f"; the agent {named(turn.by_agent, 80)} may have a lower limit of its own"
    return said


def _used(counts: Counts, turn: Turn, limit: _Limit, made: Timeline) -> tuple[str, str, bool]:
    """Return what was used, what would have come next, and whether that explains why the agent was stopped."""
    allowed = limit.allowed
    asked = _asked_for(turn)
    wanted = sum(asked.values())
    more = f"the next reply asked for {wanted:,} more" if wanted else ""

    def had(counted: int) -> int:
        return counted if limit.used is None else limit.used

    match limit.name:
        case "turns":
            used = had(counts.turns)
            return f"{used:,} used", "", used >= allowed
        case "tool_calls":
            used = had(counts.tool_calls)
            return f"{used:,} used", more, used + wanted > allowed
        case "calls_per_tool":
            after = Counter(counts.calls)
            after.update(asked)
            name = max(after, key=lambda one: after[one], default="")
            more = f"the next reply asked for {asked[name]:,} more" if asked[name] else ""
            return f"{counts.calls.get(name, 0):,} of {named(name) or 'a tool'} used", more, after[name] > allowed
        case "refused_calls":
            used = had(counts.refused_calls)
            return f"{used:,} refused", "", used > allowed
        case "repeated_calls":
            used = had(counts.repeated_calls)
            again = f"the next reply asked for {wanted:,} calls, repeated ones among them" if wanted else ""
            return f"{used:,} used", again, used + wanted > allowed
        case "tokens_per_turn":
            cut = max((one.output_tokens for one in turn.attempts), default=0)
            return f"{cut:,} used", "the rest of the reply would have come next", True
        case "input_tokens_per_turn":
            read = (one.prompt_tokens for at in reversed(made.turns) for one in reversed(at.attempts))
            newest = next((tokens for tokens in read if tokens > 0), 0)
            return f"{newest:,} used by the newest prompt", "the next one could have more than that limit", True
    used = had(counts.tokens)
    left = max(0, allowed - used)
    rest = f"the next prompt and its reply could have more than the {left:,} that are left"
    return f"{used:,} used", rest, True


def _asked_for(turn: Turn) -> Counter[str]:
    """Return the calls that the turn's last reply asked for and that were not made, by tool."""
    replies = [one for one in turn.attempts if one.state == "responded"]
    pieces = replies[-1].completion if replies and not turn.calls else ()
    return Counter(one.text.partition(" ")[0] for one in pieces if one.kind == "tool_use")


def _cost(made: Timeline, turn: Turn, limit: _Limit) -> str:
    ceiling = limit.allowed if limit.recorded else turn.cost_ceiling_microusd or made.ceilings.cost_microusd or 0
    used = turn.spent_microusd + turn.reserved_microusd if limit.used is None else limit.used
    by = f" by the agent {named(limit.agent, 80)}" if limit.agent else ""
    left = max(0, ceiling - used)
    return (
        f"{limit.place}: ${dollars(ceiling)} allowed, ${dollars(used)} used{by}, "
        f"the next attempt could cost more than the ${dollars(left)} that is left"
    )


def _deadline(run: Run, turn: Turn, limit: _Limit) -> str:
    allowed = limit.allowed
    opened, opening = run.fact(RunOpened), run.before(turn.turn).opening
    stopped = run.event(PlanDecided.key(turn.turn))
    at = datetime.fromisoformat(stopped.at if stopped else turn.at).timestamp() * 1000
    anew = opened is not None and opening.deadline_ms != opened.deadline_ms  # each answer of a person renews it
    begun = opening.deadline_ms - allowed * 1000 if anew else datetime.fromisoformat(run[0].at).timestamp() * 1000
    whole = round((opening.deadline_ms - begun) / 1000)
    kept = round((opening.deadline_ms - opening.agent_until_ms) / 1000)
    shorter = f" (its caller waits no longer than {whole:,} s)" if 0 < whole < allowed - 1 else ""
    since = " since a person answered" if anew else ""
    own = ""
    if kept > 0:
        agents = f"{max(0, whole - kept):,} s of them for the agent"
        own = f", {agents}, since the last {kept:,} s are kept for the planners after it"
    used = f"{max(0, at - begun) / 1000:,.1f} s used{since}"
    return f"{limit.place}: {allowed:,} s allowed{shorter}{own}{';' if own else ','} {used}"
