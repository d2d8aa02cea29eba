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
from ballast.contracts.wire import Name, Wire, text_or_length
from ballast.errors import PlaybookInvalid, RuleViolation
from ballast.log.events import RunOpened
from ballast.playbook.agent import agent_file
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
    opened = run.opening
    limits = opened.limits.model_copy(update={"cost_microusd": opened.cost_ceiling_microusd})
    if not run.agent_changes:
        return limits
    own, all_counts = playbook.agent.limits_for(opened.request.intent), run.counts
    used = run.used_by(playbook.agent.name)
    mine = used.counts
    grants = sum(one.leased_microusd for one in run.grants)
    others_microusd = run.usage.charged_microusd - used.charged_microusd
    bounds = {
        "turns": own.turns + all_counts.turns - mine.turns,
        "tool_calls": own.tool_calls + all_counts.tool_calls - mine.tool_calls,
        "calls_per_tool": own.calls_per_tool,
        "refused_calls": own.refused_calls + all_counts.refused_calls - mine.refused_calls,
        "repeated_calls": own.repeated_calls,
        "tokens_per_turn": own.tokens_per_turn,
        "input_tokens_per_turn": own.input_tokens_per_turn,
        "tokens_per_run": own.tokens_per_run + all_counts.tokens - mine.tokens,
        "cost_microusd": own.cost_microusd + others_microusd + grants,
    }
    return limits.model_copy(update={name: min(getattr(limits, name), most) for name, most in bounds.items()})
