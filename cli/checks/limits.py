"""Findings about limits that no run can keep, and the worst cost of a run."""

from collections.abc import Iterator
from datetime import date

from ballast.contracts import Limits, LimitsPatch, RunRequest
from ballast.errors import BallastError
from ballast.money import dollars
from ballast.playbook import Playbook
from ballast.playbook.agents import targets
from ballast.playbook.first_prompt import why_no_attempt
from ballast.playbook.money_rules import MovesConfig
from cli.checks import Finding, at, by_agent


def limits(playbook: Playbook, today: date, *, whole: bool = True) -> Iterator[Finding]:
    """Yield limits of each agent that contradict each other, or the tools. Unless ``whole``, a tool may be missing."""
    for file, one in by_agent(playbook):
        if not _broken(one):  # loading has told it
            yield from _of_agent(one, file, today)
            yield from _without_effect(one, file)
    yield from _of_the_stack(playbook)
    if whole:
        yield from _never_too_costly(playbook)


def _of_agent(playbook: Playbook, file: str, today: date) -> Iterator[Finding]:
    agent, told = playbook.agent, False
    for intent in (None, *agent.intents):
        own = intent is not None and agent.intents[intent].limits is not None
        # An intent without limits has the agent's: what is wrong with them is told there, and once.
        bounds, where = agent.limits_for(intent), f"intents.{intent}.limits" if own else "limits"
        why = None if told and not own else _no_attempt(playbook, intent, bounds, today)
        told = told or (intent is None and why is not None)
        if why:
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
    # With a reserve that is the whole deadline, no tool has time: loading has told it.
    for tool in playbook.tools.values() if agent_s > 0 else ():
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
    hands_over, offered = bool(targets(playbook, intent)), playbook.offered(intent)
    if bounds.turns == 1 and bounds.tool_calls > 0 and (offered or hands_over):
        said = ["With one turn the agent can call tools, and cannot answer afterwards."] if offered else []
        if hands_over:
            said += ["It is the limit of the whole run: after a hand-over no turn is left."]
        yield Finding("warning", file, f"{where}.turns", " ".join(said), "Write 2 or more.")
    own = intent is None or "tool_calls" in getattr(playbook.agent.intents[intent].limits, "model_fields_set", ())
    if bounds.tool_calls == 0 and (offered or hands_over) and own:
        said = ["The agent is offered tools, and a run that calls one ends (tool_call_limit)."] if offered else []
        if hands_over:
            said += ["A hand-over is a call, too, so nobody takes over."]
        remedy = "Write 1 or more" + (", or `tools: []` and no hand_over_to." if intent is None else ".")
        yield Finding("warning" if hands_over else "hint", file, f"{where}.tool_calls", " ".join(said), remedy)
    patch = playbook.agent.limits if intent is None else playbook.agent.intents[intent].limits
    if "calls_per_tool" in getattr(patch, "model_fields_set", ()) and bounds.calls_per_tool > bounds.tool_calls:
        yield Finding(
            "warning",
            file,
            f"{where}.calls_per_tool",
            f"A run ends with its call {bounds.tool_calls} of all tools (tool_calls), so {bounds.calls_per_tool} calls "
            "of one tool are never reached.",
            f"Write {bounds.tool_calls} or less, or raise tool_calls.",
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


def _without_effect(playbook: Playbook, file: str) -> Iterator[Finding]:
    """Yield settings of an agent that change nothing beside its other ones."""
    agent = playbook.agent
    turns = max(agent.limits_for(intent).turns for intent in (None, *agent.intents))
    for number, other in enumerate(agent.model_for, 1):
        own = max((agent.limits_for(intent).turns for intent in other.intents), default=turns)
        if other.from_turn > own:
            yield Finding(
                "warning",
                file,
                f"model_for.{number}.from_turn",
                f"A run ends after turn {own} (limits.turns), so {other.model} is never asked from turn "
                f"{other.from_turn} on.",
                f"Write {own} or less, or raise limits.turns.",
            )
    if agent.second_model == agent.model and not agent.model_for:
        yield Finding(
            "warning",
            file,
            "second_model",
            "It is `model` itself: while that one is throttled or down, no other one is asked.",
            "Name a model of another provider, or leave it out.",
        )


def _never_too_costly(playbook: Playbook) -> Iterator[Finding]:
    """Yield a cost from which on people must approve, where no call has one as high."""
    most, costs = playbook.agent.approve_over_microusd, [tool.cost_microusd for tool in playbook.tools.values()]
    if most is None or any(callable(one) or (one is not None and one > most) for one in costs):
        return
    highest = max((one for one in costs if isinstance(one, int)), default=None)
    said = f"The highest declared cost of a call is {highest}" if highest is not None else "No tool declares a cost"
    yield Finding(
        "warning",
        str(playbook.folder / "agent.yaml"),
        "approve_over_microusd",
        f"{said}, so nobody is ever asked because of it.",
        "Declare the tools' cost_microusd, or leave it out. Approval(if_=…) of a tool asks for another reason.",
    )


def _of_the_stack(playbook: Playbook) -> Iterator[Finding]:
    """Yield rules of agent.yaml for all agents that say nothing, or of which one makes another one useless."""
    agent, file = playbook.agent, str(playbook.folder / "agent.yaml")
    if agent.answer_ids and not agent.ground_answers:
        yield Finding(
            "hint",
            file,
            "answer_ids",
            "Without `ground_answers: true` no run compares the ids of its answer with what it has seen; only "
            "a scenario with `grounded: true` does.",
            "Write ground_answers: true, or leave answer_ids out.",
        )
    if not playbook.moves_money:
        return
    moves, written = agent.moves, agent.moves.model_fields_set
    for whose in ("customer", "tenant", "all"):
        windows = getattr(moves, whose)
        if whose in written and "hour" in windows.model_fields_set and windows.hour > windows.day:
            yield _useless(file, f"moves.{whose}.hour", windows.hour, f"moves.{whose}.day", windows.day)
    keyed = any(tool.moves is not None and tool.moves.key is not None for tool in playbook.tools.values())
    unkeyed = any(tool.moves is not None and tool.moves.key is None for tool in playbook.tools.values())
    if "run" in written:
        # The windows of customers do not count a tool that names none.
        days = ["tenant.day", "all.day", *(["customer.day"] if keyed and not unkeyed else [])]
        lowest = min(days, key=lambda name: _ceiling(moves, name))
        if moves.run > _ceiling(moves, lowest):
            yield _useless(file, "moves.run", moves.run, f"moves.{lowest}", _ceiling(moves, lowest))
    for narrow, wide in (("customer", "tenant"), ("tenant", "all")):
        for name in ("hour", "day"):
            if narrow not in written or name not in getattr(moves, narrow).model_fields_set:
                continue
            if narrow == "customer" and not keyed:
                continue
            low, high = _ceiling(moves, f"{narrow}.{name}"), _ceiling(moves, f"{wide}.{name}")
            if low > high:
                yield _useless(file, f"moves.{narrow}.{name}", low, f"moves.{wide}.{name}", high)


def _ceiling(moves: MovesConfig, path: str) -> int:
    whose, name = path.split(".")
    return int(getattr(getattr(moves, whose), name))


def _useless(file: str, field: str, most: int, other: str, less: int) -> Finding:
    return Finding(
        "warning",
        file,
        field,
        f"It is {dollars(most)}, and {other} is {dollars(less)}: the lower one is reached first, so this one says "
        "nothing.",
        f"Write {dollars(less)} or less, or raise {other}.",
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
