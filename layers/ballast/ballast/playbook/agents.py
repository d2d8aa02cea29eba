"""Several agents in one playbook: which one is in charge of a run, what it may do, and how it hands over. Pure.

::

    the request's agent ─ hand_over(agent, note) ─▶ HandOver(to=agent, agent=…) in the log ─▶ the next turn is its turn
                              └ not allowed: a call that the gate refuses, with the reason

Agent and executor compute from the log who is in charge, by the same rules: a hand-over in the log that the playbook
does not allow puts nobody in charge.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError

from ballast.contracts import ExitReason, HandOver, Limits, Planner, ToolCall
from ballast.contracts.decision import LIMITS
from ballast.contracts.wire import Name, Wire, text_or_length
from ballast.errors import PlaybookInvalid, RuleViolation
from ballast.log.events import LimitReached, RunOpened
from ballast.playbook.agent import AgentConfig, agent_file
from ballast.playbook.declaration import Effect

if TYPE_CHECKING:
    from ballast.playbook.load import Playbook
    from ballast.run import Run

#: The name of Ballast's own tool, offered only to an agent with ``hand_over_to``.
HAND_OVER = "hand_over"
#: From which agent to which one a run was handed over.
Pairs = Set[tuple[str, str]]


def agents_problems(playbook: Playbook, *, whole: bool) -> Iterator[PlaybookInvalid]:
    """Yield what is wrong with the tools and intents that the agents name.

    Unless ``whole``, a tool may be missing because its file could not be read.
    """
    path, tools, agents = playbook.folder, playbook.tools, playbook.agents
    if HAND_OVER in tools and any(one.hand_over_to for one in agents.values()):
        yield PlaybookInvalid(
            f"{path / 'tools'}: the name {HAND_OVER} is Ballast's own where an agent has `hand_over_to`. Rename that "
            "tool."
        )
    for agent in agents.values():
        where = agent_file(path, playbook.agent, agent.name)
        for tool in agent.tools or ():
            if not tools[tool].offered if tool in tools else whole:
                offered = ", ".join(made.name for made in tools.values() if made.offered)
                yield PlaybookInvalid(f"{where}: tools: names {tool}, which no agent can be offered. Tools: {offered}.")
        for name, known in agent.intents.items():
            for tool in known.writes or ():
                if tools[tool].effect is not Effect.WRITE if tool in tools else whole:
                    writing = ", ".join(made.name for made in tools.values() if made.effect is Effect.WRITE) or "none"
                    yield PlaybookInvalid(
                        f"{where}: intents.{name}.writes: names {tool}, which is not a tool that writes. "
                        f"Tools that write: {writing}."
                    )
    for intent in () if unread_agents(playbook) else playbook.fallbacks:
        if not any(intent in agent.intents for agent in agents.values()):
            yield PlaybookInvalid(
                f"{path / 'agent.yaml'}: intents: lacks {intent}, which a fallback serves. Add it under `intents:`."
            )


def unread_agents(playbook: Playbook) -> set[str]:
    """Return the agents of ``agents/`` that could not be read: what they have, nobody knows."""
    return {file.stem for file in (playbook.folder / "agents").glob("*.yaml")} - {*playbook.agents}


class HandingOver(Wire):
    """The arguments of ``hand_over``."""

    agent: Name
    note: Annotated[str, Field(min_length=1, max_length=2_000)]


def targets(playbook: Playbook, intent: str | None) -> dict[str, str]:
    """Return the agents to which the agent of ``playbook`` may hand over a request of that intent, and when.

    Only an agent that knows the intent is among them: another one would have no rules for it.
    """
    named = playbook.agent.hand_over_to.items()
    return {name: when for name, when in named if name in playbook.others and playbook.others[name].knows(intent)}


def hand_over_spec(playbook: Playbook, intent: str | None) -> dict[str, Any] | None:
    """Return the declaration of ``hand_over`` for requests of that intent; None if nobody can take over."""
    may = targets(playbook, intent)
    if not may:
        return None
    properties = {
        "agent": {"type": "string", "enum": sorted(may)},
        "note": {"type": "string", "minLength": 1, "maxLength": 2_000},
    }
    schema = {"type": "object", "properties": properties, "required": ["agent", "note"], "additionalProperties": False}
    when = "".join(f"\n- {name}: {' '.join(words.split())}" for name, words in sorted(may.items()))
    return {
        "toolSpec": {
            "name": HAND_OVER,
            "description": (
                "Hand the whole request over to another agent, which goes on in your place. It reads the request, what "
                "was done so far, and your note. It must be the only call of its turn, and you can hand over to each "
                f"agent once. The agents:{when}"
            ),
            "inputSchema": {"json": schema},
        }
    }


def why_no_hand_over(playbook: Playbook, taker: str, intent: str | None, made: Pairs) -> str | None:
    """Return why the agent of ``playbook`` may not hand over to ``taker``; None if it may.

    made  the hand-overs since the run was opened, or since a person last handed it back
    """
    may = targets(playbook, intent)
    if taker not in may:
        return (
            f"{HAND_OVER}: there is no agent {text_or_length(taker, 80)!r} that takes this request over from you. "
            f"Agents: {', '.join(sorted(may)) or '(none)'}."
        )
    if (playbook.agent.name, taker) in made:
        return (
            f"{HAND_OVER}: you have handed this request over to {taker} before. Go on with what it did, or answer and "
            "say what is missing."
        )
    return None


def hand_over_refusal(playbook: Playbook, call: ToolCall, intent: str | None, unasked: str | None = None) -> str:
    """Return why the gate refuses that call of ``hand_over``: none of them is a call that can be executed.

    unasked  why no model of the agent that it names could be asked
    """
    form = '{"agent": "…", "note": "…"} in at most 2000 characters of plain words, without reasoning in them'
    arguments = call.arguments if isinstance(call.arguments, dict) else {}
    taker = arguments.get("agent")
    why = why_no_hand_over(playbook, taker, intent, frozenset()) if isinstance(taker, str) else None
    if why is None and unasked:
        return (
            f"{HAND_OVER}: {taker} cannot go on with this request: {unasked} Go on yourself, or answer and say what is "
            "missing."
        )
    if why is None and hand_over_of(call) is not None:
        return (
            f"{HAND_OVER}: you have handed this request over to {taker} before, or it must be the only call of its "
            "turn, or its note must be plain words, without reasoning in them."
        )
    return why or f"{HAND_OVER} must be the only call of its turn, with {form}."


def hand_over_of(call: ToolCall) -> HandingOver | None:
    """Return the arguments of a call of ``hand_over``; None for any other call, and for wrong arguments."""
    if call.tool != HAND_OVER:
        return None
    try:
        return HandingOver.model_validate(call.arguments)
    except ValidationError:
        return None


def to_agent(sent: HandingOver) -> HandOver:
    """Return the decision that hands over to that agent. Its note is the words of a model: they vouch for nothing."""
    return HandOver(to=Planner.AGENT, reason=ExitReason.ANOTHER_AGENT, guidance=sent.note, agent=sent.agent)


def hand_overs(run: Run) -> Pairs:
    """Return the agents' hand-overs since the opening, or since a person last handed back to the agent."""
    granted = run.opening.granted_turn
    return {(one.giver, one.taker) for one in run.agent_changes if one.by is Planner.AGENT and one.turn > granted}


# Who is in charge


def in_charge(playbook: Playbook, run: Run, turn: int) -> Playbook:
    """Return the playbook as the agent in charge of ``turn`` has it.

    Raises ``RuleViolation`` if nobody is: the playbook has no such agent (any more), or the log has a hand-over that
    the playbook does not allow. A playbook with one agent is returned as it is, whatever name the log has.
    """
    if not playbook.others:
        return playbook
    made, intent, granted = of_request(playbook, run), run.opening.request.intent, [one.turn for one in run.grants]
    pairs: set[tuple[str, str]] = set()
    since = 0
    for change in run.agent_changes:
        if change.turn >= turn:
            break
        newest = max((one for one in granted if one <= change.turn), default=0)
        if newest != since:
            pairs, since = set(), newest
        if change.by is Planner.AGENT:
            if why := why_no_hand_over(made, change.taker, intent, pairs):
                raise RuleViolation(f"Turn {change.turn}: {why}")
            pairs.add((change.giver, change.taker))
        made = handed(made, change.taker, intent)
    return made


def handed(playbook: Playbook, taker: str, intent: str | None) -> Playbook:
    """Return the playbook after its agent has handed over to ``taker``. Raises ``RuleViolation`` if nobody takes it."""
    config = playbook.others.get(taker)
    if config is None or not config.knows(intent):
        raise RuleViolation(
            f"The playbook has no agent {text_or_length(taker, 80)!r} that takes a request of the intent {intent!r}. "
            f"Agents: {', '.join(sorted(name for name, one in playbook.agents.items() if one.knows(intent)))}."
        )
    return playbook.as_agent(config.going_on_from(playbook.agent, intent))


def of_request(playbook: Playbook, run: Run) -> Playbook:
    """Return the playbook as the agent has it that the request named. Raises ``RuleViolation`` if there is none."""
    opened = run.fact(RunOpened)
    name = opened.agent if opened is not None else ""
    if not playbook.others or name in ("", playbook.agent.name):
        return playbook
    config = playbook.others.get(name)
    if config is None:
        raise RuleViolation(f"The playbook has no agent {text_or_length(name, 80)!r}, which the request named.")
    return playbook.as_agent(config)


def requested_agent(playbook: Playbook, run: Run) -> Playbook:
    """Return ``of_request``; the playbook itself if the agent is gone: the deterministic planners can still go on."""
    try:
        return of_request(playbook, run)
    except RuleViolation:
        return playbook


def limits_now(run: Run, playbook: Playbook) -> Limits:
    """Return the limits of the next turn: the run's, and those of the agent of ``playbook`` if it was handed the run.

    They count what the whole run used. An agent's own limits count its own turns, so what others used is added. The
    ceiling includes people's grants. Deadlines and files stay as they were admitted.
    """
    limits = _of_run(run)
    bounds = _own_bounds(run, playbook).items()
    return limits.model_copy(update={name: min(getattr(limits, name), most) for name, most in bounds})


def limits_reached(run: Run, playbook: Playbook, reason: ExitReason) -> tuple[LimitReached, ...]:
    """Return the limits of ``limits_now`` that forbid the agent of ``playbook`` to go on: one, or two alike.

    Empty if the reason is no limit. Whoever lets the agent go on has to raise all of them.
    """
    name = LIMITS.get(reason, "")
    if not name:
        return ()
    of_run, own = getattr(_of_run(run), name), _own_bounds(run, playbook).get(name)
    agent, intent, found = playbook.agent, run.opening.request.intent, []
    if own is None or of_run <= own:
        found.append(LimitReached(limit=name, allowed=of_run, **_used(run, None, name), **_set_by(run, playbook, name)))
    if own is not None and own <= of_run:
        before = _counted_apart(run, agent.name).get(name, 0)
        place = {"file": _file(playbook, agent.name), "key": _key(agent, intent, name)}
        used = _used(run, agent.name, name)
        found.append(LimitReached(limit=name, allowed=own - before, **used, agent=agent.name, **place))
    return tuple(found)


def _of_run(run: Run) -> Limits:
    """Return the limits of the whole run, with people's grants."""
    opened = run.opening
    return opened.limits.model_copy(update={"cost_microusd": opened.cost_ceiling_microusd})


def _own_bounds(run: Run, playbook: Playbook) -> dict[str, int]:
    """Return an agent's own limits as bounds of what the whole run used; empty if no agent handed the run over."""
    if not run.agent_changes:
        return {}
    own, others = playbook.agent.limits_for(run.opening.request.intent), _counted_apart(run, playbook.agent.name)
    grants = sum(one.leased_microusd for one in run.grants)
    names = (*_APART, "calls_per_tool", "repeated_calls", "tokens_per_turn", "input_tokens_per_turn")
    bounds = {name: getattr(own, name) + others.get(name, 0) for name in names}
    return bounds | {"cost_microusd": bounds["cost_microusd"] + grants}


#: The limits of which an agent's own count its own turns.
_APART = ("turns", "tool_calls", "refused_calls", "tokens_per_run", "cost_microusd")


def _counted_apart(run: Run, agent: str) -> dict[str, int]:
    """Return what other agents used of those limits."""
    of_all, mine = _all_used(run, None), _all_used(run, agent)
    return {name: of_all[name] - mine[name] for name in _APART}


def _all_used(run: Run, agent: str | None) -> dict[str, int]:
    """Return what an agent used, or the whole run, by the name of the limit."""
    used = run.used_by(agent) if agent is not None else None
    counts, charged = (used.counts, used.charged_microusd) if used else (run.counts, run.usage.charged_microusd)
    return {
        "turns": counts.turns,
        "tool_calls": counts.tool_calls,
        "refused_calls": counts.refused_calls,
        "tokens_per_run": counts.tokens,
        "cost_microusd": charged,
    }


def _used(run: Run, agent: str | None, name: str) -> dict[str, int]:
    if name == "repeated_calls":
        return {"used": run.counts.repeated_calls}
    return {"used": _all_used(run, agent)[name]} if name in _APART else {}


def _set_by(run: Run, playbook: Playbook, name: str) -> dict[str, str]:
    """Return the file and the key of one of the run's limits; what does not explain its value now is left out."""
    opened = run.opening
    admitted, request = getattr(opened.limits, name), opened.request
    if request.limits is not None and getattr(request.limits, name, None) == admitted:
        return {"key": f"limits.{name}"}
    fact = run.fact(RunOpened)
    agent = playbook.agents.get(fact.agent if fact is not None and fact.agent else playbook.agent.name)
    if agent is None or getattr(agent.limits_for(request.intent), name) != admitted:
        return {}
    return {"file": _file(playbook, agent.name), "key": _key(agent, request.intent, name)}


def _key(agent: AgentConfig, intent: str | None, name: str) -> str:
    """Return the key of an agent's file that has the limit."""
    known = agent.intents.get(intent) if intent else None
    narrowed = known is not None and known.limits is not None and getattr(known.limits, name, None) is not None
    return f"intents.{intent}.limits.{name}" if narrowed else f"limits.{name}"


def _file(playbook: Playbook, agent: str) -> str:
    """Return the agent's file, as a path in the playbook."""
    file = playbook.folder / "agents" / f"{agent}.yaml"
    return f"agents/{agent}.yaml" if playbook.others and file.is_file() else "agent.yaml"
