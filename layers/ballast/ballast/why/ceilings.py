"""The limit that stopped the agent: what it allows, what was used, and what is kept back or would have come next.

One form for all limits: ``(limits.turns: 3 allowed, 3 used)``, ``(limits.deadline_s: 12 s allowed, 7 s of them for the
agent, since the last 5 s are kept for the planners after it; 7.7 s used)``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ballast.contracts import Planner
from ballast.contracts.decision import LIMITS
from ballast.contracts.timeline import Timeline, Turn
from ballast.folds.usage import Counts
from ballast.log.event import GARBLED
from ballast.log.events import PlanDecided, RunOpened
from ballast.money.amounts import dollars
from ballast.run import Run
from ballast.why.words import named


def limit_of(reason: str) -> str:
    """Return the limit's name in ``Limits``; "" if the reason is no limit."""
    return next((name for stop, name in LIMITS.items() if stop == reason), "")


def ceilings(run: Run, made: Timeline, limits: Mapping[str, Any]) -> dict[int, str]:
    """Return the limits that ended the agent's part, in words in brackets, by the turn; ``limits`` as admitted."""
    found: dict[int, str] = {}
    for turn in made.turns:
        limit = limit_of(turn.pivot.reason) if turn.pivot and turn.pivot.giver == Planner.AGENT else ""
        allowed = limits.get(limit)
        if not limit or not isinstance(allowed, int) or isinstance(allowed, bool):
            continue
        try:
            found[turn.turn] = f" ({_words(run, made, turn, limit, allowed)})"
        except GARBLED:  # what was used is unknown
            found[turn.turn] = f" (limits.{limit}: {allowed:,} allowed)"
    return found


def _words(run: Run, made: Timeline, turn: Turn, limit: str, allowed: int) -> str:
    if limit == "cost_microusd":
        return _cost(made, turn, allowed)
    if limit == "deadline_s":
        return _deadline(run, turn, allowed)
    used, rest, explains = _used(run.before(turn.turn).counts, turn, limit, allowed, made)
    said = f"limits.{limit}: {allowed:,} allowed, {used}{', ' if rest else ''}{rest}"
    if not explains and turn.by_agent and turn.by_agent != made.agent:
        said += f"; the agent {named(turn.by_agent, 80)} may have a lower limit of its own"
    return said


def _used(counts: Counts, turn: Turn, limit: str, allowed: int, made: Timeline) -> tuple[str, str, bool]:
    """Return what was used, what would have come next, and whether that explains why the agent was stopped."""
    asked = _asked_for(turn)
    wanted = sum(asked.values())
    more = f"the next reply asked for {wanted:,} more" if wanted else ""
    match limit:
        case "turns":
            return f"{counts.turns:,} used", "", counts.turns >= allowed
        case "tool_calls":
            return f"{counts.tool_calls:,} used", more, counts.tool_calls + wanted > allowed
        case "calls_per_tool":
            after = Counter(counts.calls)
            after.update(asked)
            name = max(after, key=lambda one: after[one], default="")
            more = f"the next reply asked for {asked[name]:,} more" if asked[name] else ""
            return f"{counts.calls.get(name, 0):,} of {named(name) or 'a tool'} used", more, after[name] > allowed
        case "refused_calls":
            return f"{counts.refused_calls:,} refused", "", counts.refused_calls > allowed
        case "repeated_calls":
            again = f"the next reply asked for {wanted:,} calls, repeated ones among them" if wanted else ""
            return f"{counts.repeated_calls:,} used", again, counts.repeated_calls + wanted > allowed
        case "tokens_per_turn":
            cut = max((one.output_tokens for one in turn.attempts), default=0)
            return f"{cut:,} used", "the rest of the reply would have come next", True
        case "input_tokens_per_turn":
            read = (one.prompt_tokens for at in reversed(made.turns) for one in reversed(at.attempts))
            newest = next((tokens for tokens in read if tokens > 0), 0)
            return f"{newest:,} used by the newest prompt", "the next one could have more than that limit", True
    left = max(0, allowed - counts.tokens)
    rest = f"the next prompt and its reply could have more than the {left:,} that are left"
    return f"{counts.tokens:,} used", rest, True


def _asked_for(turn: Turn) -> Counter[str]:
    """Return the calls that the turn's last reply asked for and that were not made, by tool."""
    replies = [one for one in turn.attempts if one.state == "responded"]
    pieces = replies[-1].completion if replies and not turn.calls else ()
    return Counter(one.text.partition(" ")[0] for one in pieces if one.kind == "tool_use")


def _cost(made: Timeline, turn: Turn, allowed: int) -> str:
    ceiling = turn.cost_ceiling_microusd or made.ceilings.cost_microusd or allowed
    used = turn.spent_microusd + turn.reserved_microusd
    left = max(0, ceiling - used)
    return (
        f"limits.cost_microusd: ${dollars(ceiling)} allowed, ${dollars(used)} used, "
        f"the next attempt could cost more than the ${dollars(left)} that is left"
    )


def _deadline(run: Run, turn: Turn, allowed: int) -> str:
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
    return f"limits.deadline_s: {allowed:,} s allowed{shorter}{own}{';' if own else ','} {used}"
