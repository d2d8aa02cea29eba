"""Findings about limits that no run can keep, and the worst cost of a run."""

from collections.abc import Iterator
from datetime import date

from ballast.contracts import Limits, LimitsPatch, RunRequest
from ballast.errors import BallastError
from ballast.playbook import Playbook
from ballast.playbook.first_prompt import why_no_attempt
from cli.checks import Finding, at, by_agent


def limits(playbook: Playbook, today: date) -> Iterator[Finding]:
    """Yield limits of each agent that contradict each other, or the tools."""
    for file, one in by_agent(playbook):
        if not _broken(one):  # loading has told it
            yield from _of_agent(one, file, today)


def _of_agent(playbook: Playbook, file: str, today: date) -> Iterator[Finding]:
    agent = playbook.agent
    for intent in (None, *agent.intents):
        bounds, where = agent.limits_for(intent), f"intents.{intent}.limits" if intent else "limits"
        if why := _no_attempt(playbook, intent, bounds, today):
            yield Finding(
                "error",
                file,
                where,
                f"No run can ask the model even once: {why}",
                "Raise that limit, shorten the instructions and the tools' descriptions, or name a cheaper model.",
            )
        yield from _within(playbook, bounds, file, where, intent)
    slowest = max((tool.limits.timeout_s or 0 for tool in playbook.tools.values()), default=0)
    if playbook.fallbacks and slowest > agent.limits.fallback_reserve_s:
        yield Finding(
            "hint",
            file,
            "limits.fallback_reserve_s",
            f"A fallback has {agent.limits.fallback_reserve_s} s when the agent has used up its time, and one tool may "
            f"take {slowest:g} s.",
            "Reserve more, if callers wait that long.",
        )


def _broken(playbook: Playbook) -> bool:
    """Return whether an intent's limits are above the agent's."""
    try:
        for intent in playbook.agent.intents:
            playbook.agent.limits_for(intent)
    except BallastError:
        return True
    return False


def _no_attempt(playbook: Playbook, intent: str | None, bounds: Limits, today: date) -> str | None:
    """Return why the first attempt of a short request does not fit; None if it does."""
    agent, model = playbook.agent, playbook.agent.model_at(intent, 1)
    patch = LimitsPatch(
        input_tokens_per_turn=bounds.input_tokens_per_turn,
        tokens_per_run=bounds.tokens_per_run,
        cost_microusd=bounds.cost_microusd,
    )
    request = RunRequest(request_id="check", agent=agent.name, intent=intent, text="Please.", limits=patch)
    try:
        price = playbook.models.price(model, on=today).worst(agent.service_tier)
        why = why_no_attempt(playbook, request, bounds, price, playbook.models.card(model))
    except BallastError:
        return None  # the model is what is wrong, and that is told
    return why and why.removeprefix("request: ").partition(". ")[0] + "."


def _within(playbook: Playbook, bounds: Limits, file: str, where: str, intent: str | None) -> Iterator[Finding]:
    agent_s = bounds.deadline_s - bounds.fallback_reserve_s
    for tool in playbook.tools.values():
        allowed = playbook.agent.may_write(tool.name, intent) or tool.effect.value == "read"
        if tool.limits.timeout_s is not None and allowed and tool.offered and tool.limits.timeout_s >= agent_s:
            yield Finding(
                "warning",
                at(playbook, tool.name),
                f"{tool.name}: limits.timeout_s",
                f"One attempt may take {tool.limits.timeout_s:g} s, and the agent has {agent_s} s ({where}.deadline_s "
                "less fallback_reserve_s).",
                "Give the tool less time, or the run more.",
            )
    if bounds.turns == 1 and bounds.tool_calls > 0 and playbook.offered(intent):
        yield Finding(
            "warning",
            file,
            f"{where}.turns",
            "With one turn the agent can call tools, and cannot answer afterwards.",
            "Write 2 or more.",
        )
    if bounds.turns * bounds.tokens_per_turn > bounds.tokens_per_run:
        yield Finding(
            "warning",
            file,
            f"{where}.tokens_per_run",
            f"{bounds.turns} turns of {bounds.tokens_per_turn} output tokens are more than {bounds.tokens_per_run} for "
            "the whole run, before any prompt.",
            "Raise tokens_per_run, or allow fewer turns.",
        )


def worst_costs(playbook: Playbook) -> dict[str, int]:
    """Return the ceiling of a run's cost in micro-dollars, by agent and intent (``Checked``)."""
    costs: dict[str, int] = {}
    for _, one in by_agent(playbook):
        agent, other = one.agent, one.agent.name != playbook.agent.name
        costs[agent.name if other else ""] = agent.limits.cost_microusd
        for intent in () if _broken(one) else agent.intents:
            costs[f"{agent.name}.{intent}" if other else intent] = agent.limits_for(intent).cost_microusd
    return costs
