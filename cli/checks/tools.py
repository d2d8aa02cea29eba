"""Findings about tools and fallbacks: what their declarations mean when something fails."""

import dis
from collections.abc import Iterator
from dataclasses import replace

from ballast.playbook import Effect, Playbook, Tool, undeclared_arguments
from ballast.playbook.declaration import OnRollback
from ballast.playbook.servers.checks import places_of_a_key
from ballast.playbook.servers.tools import RemoteCall
from cli.checks import Finding, at, by_agent
from cli.checks.hand_overs import can_be_called, shut_out
from cli.checks.servers import servers


def tools(playbook: Playbook, *, whole: bool = True) -> Iterator[Finding]:
    """Yield what the declarations of tools, fallbacks and intents leave open.

    Unless ``whole``, a file could not be imported: nobody knows whether it has a fallback, or a tool with an undo.
    """
    yield from _unmarked(playbook)
    for tool in playbook.tools.values():
        if tool.effect is Effect.WRITE:
            yield from _of_write(playbook, tool, whole=whole)
        if tool.limits.timeout_s is None and tool.effect is Effect.WRITE:
            yield Finding(
                "hint",
                at(playbook, tool.name),
                f"{tool.name}: limits.timeout_s",
                "An attempt may take as long as the Lambda has, 60 seconds.",
                "Write limits: {timeout_s: 20}."
                if isinstance(tool.function, RemoteCall)
                else "Write limits=CallLimits(timeout_s=20), and give an HTTP client less.",
            )
    for file, one in by_agent(playbook):
        yield from _intents(one, file, whole=whole)
    yield from shut_out(playbook)
    yield from servers(playbook)


def _unmarked(playbook: Playbook) -> Iterator[Finding]:
    for path in undeclared_arguments(playbook):
        name, _, argument = path.partition(".")
        writes = playbook.tools[name].effect is Effect.WRITE
        remedy = "Mark it Grounded (an id, an amount: it must occur in the run) or FreeText (the model's own words)."
        field = path
        if isinstance(call := playbook.tools[name].function, RemoteCall):
            place = "/" + argument.replace(".", "/")
            field = f"tools.{call.remote_name}.marks"
            remedy = (
                f"Write marks: {{{place}: grounded}} (an id, an amount: it must occur in the run) or "
                f"{{{place}: free_text}} (the model's own words)."
            )
        yield Finding(
            "warning" if writes else "hint",
            at(playbook, name),
            field,
            f"The argument {argument} is unmarked: the model may invent its value"
            + (", and the write acts on it." if writes else "."),
            remedy,
        )


def _is_wanted(playbook: Playbook, tool: str) -> bool:
    """Return whether an agent's file names the tool."""
    return any(
        tool in (agent.tools or ()) or any(tool in (intent.writes or ()) for intent in agent.intents.values())
        for agent in playbook.agents.values()
    )


def _attributes_of_the_result(tool: Tool) -> list[str]:
    """Return the attributes that ``undo_arguments`` reads of its second parameter, and no JSON value has."""
    code = getattr(tool.undo_arguments, "__code__", None)
    if code is None or code.co_argcount < 2 or isinstance(tool.function, RemoteCall):
        return []
    result, found, before = code.co_varnames[1], list[str](), ""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD") and before == result:
            found.append(str(step.argval))
        loads = step.opname.startswith(("LOAD_FAST", "LOAD_DEREF"))
        # Python 3.13 loads two at once; the attribute is read of the second one.
        before = str(step.argval[-1] if isinstance(step.argval, tuple) else step.argval) if loads else ""
    json_has = {name for kind in (dict, list, str) for name in dir(kind)}
    return [name for name in dict.fromkeys(found) if name not in json_has]


def _of_write(playbook: Playbook, tool: Tool, *, whole: bool) -> Iterator[Finding]:
    call = tool.function if isinstance(tool.function, RemoteCall) else None
    for found in _of_any_write(playbook, tool, whole=whole):
        name, _, setting = found.field.partition(": ")
        if call is None or name != tool.name or setting not in _IN_YAML:
            yield found if call is None else _in_yaml(found)
        else:
            key, remedy = _IN_YAML[setting]
            server = call.server.declared
            places = places_of_a_key(server.kind, over_http=getattr(server, "url", None) is not None)
            remedy = remedy.replace("{places}", " or ".join(places))
            yield _in_yaml(replace(found, field=f"tools.{call.remote_name}.{key}", remedy=remedy or found.remedy))


#: Words of ``@tool`` and ``Write``, and those of a file of ``servers/``.
_WORDS = {
    "neither verify nor honours_key": "neither verify, key nor idempotent",
    "offered=False": "offered: false",
    'on_rollback="keep"': "on_rollback: keep",
}


def _in_yaml(found: Finding) -> Finding:
    """Return a finding in the words of a file of ``servers/``."""
    for python, yaml in _WORDS.items():
        found = replace(found, problem=found.problem.replace(python, yaml), remedy=found.remedy.replace(python, yaml))
    return found


#: The settings of a write, as a file of ``servers/`` has them, and what to write there; "": the same remedy.
_IN_YAML = {
    "effect": (
        "key",
        "Write key: {places} if the server counts a key once, idempotent: true if the same call twice "
        "has the effect of one, or verify: {tool: …, arguments: …, found: …} with a read that finds the effect.",
    ),
    "offered": ("offered", ""),
    "effect.undo": (
        "undo",
        "Write undo: {tool: …, arguments: …} with the tool that undoes it, or on_rollback: keep if its effect is right "
        "however the run ends.",
    ),
    "effect.moves_key": ("moves.customer", "Write customer: /… under moves: the argument that names the customer."),
}


def _ways(tool: Tool) -> str:
    return "verify, key nor idempotent" if isinstance(tool.function, RemoteCall) else "verify nor honours_key"


def _of_any_write(playbook: Playbook, tool: Tool, *, whole: bool) -> Iterator[Finding]:
    file = at(playbook, tool.name)
    if not tool.policy.resolvable:
        yield Finding(
            "warning",
            file,
            f"{tool.name}: effect",
            "It has neither verify nor honours_key: after a crash or a timeout its effect is unknown, and a person "
            "must look, each time.",
            "Declare honours_key=True if a second call under ctx.idempotency_key has no second effect "
            "(ctx.write_once), or a verify that finds the effect.",
        )
    undoes = playbook.is_undo(tool.name)
    if undoes and tool.offered and not _is_wanted(playbook, tool.name):
        yield Finding(
            "hint",
            file,
            f"{tool.name}: offered",
            "It is an undo, and the agent may call it as well: it costs tokens in every prompt.",
            "Write offered=False. If the agent should call it by itself, name it under tools: or under writes: of an "
            "intent in the agent's file.",
        )
    for attribute in _attributes_of_the_result(tool):
        yield Finding(
            "error",
            file,
            f"{tool.name}: effect.undo_arguments",
            f"It reads result.{attribute}, and the result is JSON here, also where the tool returns a model: no call "
            "would have an undo.",
            f'Write result["{attribute}"].',
        )
    # Where another tool names an undo that does not exist, it may mean this one: loading has told it.
    known = whole and all(one.undo is None or one.undo in playbook.tools for one in playbook.tools.values())
    by_agents = tool.offered and _is_wanted(playbook, tool.name)  # an undo, too, if they call it by themselves
    if tool.undo is None and tool.policy.on_rollback is None and (by_agents or not undoes) and known:
        yield Finding(
            "warning",
            file,
            f"{tool.name}: effect.undo",
            "It has no undo: when a run fails after it, nothing of the run is undone, and a person decides.",
            'Name the tool that undoes it, or say on_rollback="keep" if its effect is right however the run ends.',
        )
    elif _undo_freezes(playbook, tool):
        yield Finding(
            "warning",
            file,
            f"{tool.name}: effect.undo",
            f"Its undo {tool.undo} has neither {_ways(playbook.tools.get(str(tool.undo), tool))}: no rollback starts "
            "it, a person decides.",
            f"Give {tool.undo} one of them.",
        )
    if tool.moves is not None and tool.moves.key is None:
        yield Finding(
            "hint",
            file,
            f"{tool.name}: effect.moves_key",
            "It moves money of no customer: the ceiling of each customer does not count it.",
            "Add moves_key=lambda args, ctx: … with the customer's id.",
        )
    having = [one for one in playbook.agents.values() if one.tools is None or tool.name in one.tools]
    listed = any(known.writes is None or tool.name in known.writes for one in having for known in one.intents.values())
    if tool.offered and having and all(one.intents for one in having) and not listed:
        yield Finding(
            "hint",
            file,
            f"{tool.name}: offered",
            "No intent lists it under `writes`: the agent may call it only in a request without an intent.",
            "List it under an intent, or write offered=False.",
        )


def _undo_freezes(playbook: Playbook, tool: Tool) -> bool:
    """Return whether the tool's undo is a write that no rollback starts. Loading tells one that is none."""
    undo = playbook.tools.get(tool.undo or "")
    return undo is not None and undo.effect is Effect.WRITE and playbook.on_rollback(tool) is OnRollback.FREEZE


def _intents(playbook: Playbook, file: str, *, whole: bool) -> Iterator[Finding]:
    """Yield what the intents of the playbook's agent leave open."""
    writes = any(tool.effect is Effect.WRITE for tool in playbook.offered(None))
    if not playbook.agent.intents:
        yield Finding(
            "hint",
            file,
            "intents",
            "There are no intents: no fallback can take over, and every request may use every write.",
            "List the kinds of requests, each with the tools that may write for it.",
        )
    for name, known in playbook.agent.intents.items():
        if known.writes is None and writes:
            yield Finding(
                "hint",
                file,
                f"intents.{name}.writes",
                "The agent may propose every write for this intent, whatever a text in the run may say.",
                "List the tools, or [] for none.",
            )
        unseen = [tool for tool in known.writes or () if not playbook.agent.offers(tool)]
        if unseen := [tool for tool in unseen if not can_be_called(playbook, tool, name)]:
            others = (
                f", and no agent to which it hands over may call it for {name}" if playbook.agent.hand_over_to else ""
            )
            yield Finding(
                "warning",
                file,
                f"intents.{name}.writes",
                f"{playbook.agent.name} is not offered {', '.join(unseen)} (`tools` lacks it){others}: no run of this "
                "agent can call it.",
                f"Add it to tools:, or take it out of intents.{name}.writes.",
            )
        if name not in playbook.fallbacks and whole:
            yield Finding(
                "hint",
                file,
                f"intents.{name}",
                "It has no fallback: when the agent cannot answer, a person does.",
                f'Write fallbacks/{name}.py with @fallback(intent="{name}"), if the task has a known solution.',
            )
