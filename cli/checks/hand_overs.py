"""Findings about the writes of intents after hand-overs: those that a run can call, and those that are shut out."""

from collections.abc import Iterator

from ballast.playbook import AgentConfig, Playbook
from ballast.playbook.agent import agent_file
from cli.checks import Finding


def reached(
    playbook: Playbook, first: AgentConfig, intent: str | None, *, with_write: str | None = None
) -> list[AgentConfig]:
    """Return the agents to which a request of ``first`` with that intent can be handed over, in any number of steps.

    with_write  only by agents that may all propose that write: after a hand-over the writes of each agent before count
    """
    found: dict[str, AgentConfig] = {}
    left = [first]
    while left:
        giver = left.pop()
        if with_write is not None and not giver.may_write(with_write, intent):
            continue
        takers = (playbook.agents.get(name) for name in giver.hand_over_to)  # None: it did not load
        for taker in takers:
            if taker is not None and taker.knows(intent) and taker.name not in found:
                found[taker.name] = taker
                left.append(taker)
    return [one for one in found.values() if with_write is None or one.may_write(with_write, intent)]


def names_no_tool(playbook: Playbook) -> bool:
    """Return whether an agent names a tool that the playbook does not have: loading has told it, and which one is
    meant, nobody knows.
    """
    named = {tool for agent in playbook.agents.values() for tool in agent.tools or ()}
    named |= {tool for agent in playbook.agents.values() for one in agent.intents.values() for tool in one.writes or ()}
    return not named <= {*playbook.tools}


def strangers(playbook: Playbook, giver: AgentConfig, intent: str | None) -> list[AgentConfig]:
    """Return the agents that ``giver`` names to hand over to, and that do not know the intent."""
    named = (playbook.agents.get(name) for name in giver.hand_over_to)
    return [one for one in named if one is not None and not one.knows(intent)]


def can_be_called(playbook: Playbook, tool: str, intent: str | None) -> bool:
    """Return whether a request of the playbook's agent with that intent can lead to a call of that write.

    True also where nobody knows: an agent to which it is handed over did not load.
    """
    first = playbook.agent
    takers = reached(playbook, first, intent, with_write=tool)
    unread = any(name not in playbook.agents for one in (first, *takers) for name in one.hand_over_to)
    return unread or any(one.offers(tool) for one in (first, *takers))


def shut_out(playbook: Playbook) -> Iterator[Finding]:
    """Yield the writes that an agent names for an intent, and another one that hands over to it does not allow.

    The agent can still be the one that a request names. So it is a warning only where a request comes to it by
    hand-overs: it is not the agent of agent.yaml, and no agent that hands over to it allows the write.
    """
    for taker in playbook.agents.values():
        for intent, known in taker.intents.items():
            for tool in known.writes or ():
                made = playbook.tools.get(tool)
                if made is not None and made.offered and taker.offers(tool):
                    yield from _shut_out(playbook, taker, intent, tool)


def _shut_out(playbook: Playbook, taker: AgentConfig, intent: str, tool: str) -> Iterator[Finding]:
    givers = [one for one in playbook.agents.values() if taker.name in one.hand_over_to and one.knows(intent)]
    open_to_it = any(one.may_write(tool, intent) for one in givers)
    for first in playbook.agents.values():
        if first.name == taker.name or not first.knows(intent) or first.may_write(tool, intent):
            continue
        if taker not in reached(playbook, first, intent):
            continue
        is_first = first.name == playbook.agent.name
        yield Finding(
            "warning" if taker.name != playbook.agent.name and (is_first or not open_to_it) else "hint",
            str(agent_file(playbook.folder, playbook.agent, first.name)),
            f"intents.{intent}.writes",
            f"It lacks {tool}, which {taker.name} names for {intent}: after a hand-over the writes of each agent "
            f"before count, so a run that {first.name} hands over to {taker.name} is refused {tool}.",
            f"List {tool} under intents.{intent}.writes of {first.name}, too ({first.name} itself is offered what its "
            f"`tools` lists), or take it out of those of {taker.name}.",
        )
