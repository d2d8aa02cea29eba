"""Findings about servers: commands, callers' tokens, values that a result does not have, a verify without a key."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ballast.errors import PlaybookInvalid
from ballast.on_behalf import HEADER
from ballast.playbook import Playbook, Tool
from ballast.playbook.servers.checks import read_declaration
from ballast.playbook.servers.declaration import Above, LambdaServer, McpServer, token_name
from ballast.playbook.servers.schema import SchemaRefused, normalized, paths_of, pointer
from ballast.playbook.servers.tools import RemoteCall
from cli.checks import Finding, at


def servers(playbook: Playbook) -> Iterator[Finding]:
    """Yield what the declarations of servers say and no call can do."""
    yield from _tokens(playbook)
    yield from _stdio(playbook)
    for tool in playbook.tools.values():
        if isinstance(tool.function, RemoteCall):
            yield from _values(playbook, tool, tool.function)
            yield from _older(playbook, tool, tool.function)
            yield from _unsent(playbook, tool, tool.function)
            yield from _no_number(playbook, tool, tool.function)


def _unsent(playbook: Playbook, tool: Tool, call: RemoteCall) -> Iterator[Finding]:
    """Yield the header for a key that an operation requires and nothing sends, and another one than the pinned."""
    declared, server = call.declared, call.server.declared
    wanted = declared.pinned.call.key if declared.pinned.call is not None else None
    if wanted is None or isinstance(server, LambdaServer):
        return
    own = declared.key.header if declared.key is not None else None
    if own is not None and own.lower() != wanted.header.lower():
        yield Finding(
            "warning",
            at(playbook, tool.name),
            f"tools.{call.remote_name}.key",
            f"It sends the key as {own}, and the pinned operation takes it as {wanted.header}: a server that does not "
            "know the header counts no call once, and a repeated one has a second effect.",
            f"Write key: {{header: {wanted.header}}}, as pinned.call.key has it.",
        )
        return
    if not wanted.required:
        return
    sent = {name.lower() for name in (*server.headers, declared.key.header if declared.key else None) if name}
    if wanted.header.lower() not in sent:
        yield Finding(
            "warning",
            at(playbook, tool.name),
            f"tools.{call.remote_name}.key",
            f"The operation requires the header {wanted.header}, and no call sends it: the server will refuse each.",
            f"Write key: {{header: {wanted.header}}}.",
        )


def _no_number(playbook: Playbook, tool: Tool, call: RemoteCall) -> Iterator[Finding]:
    """Yield an approval above a number whose argument is none: each call with it asks."""
    rule = call.declared.approval.if_ if call.declared.approval is not None else None
    if not isinstance(rule, Above):
        return
    part: Any = tool.schema
    for step in pointer(rule.argument):
        part = part.get("properties", {}).get(step) if isinstance(part, Mapping) else None
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind in ("string", "boolean", "object", "array"):
        yield Finding(
            "warning",
            at(playbook, tool.name),
            f"tools.{call.remote_name}.approval.if",
            f"{rule.argument} is of the type {kind}, which is no number to compare with {rule.above:g}: a person is "
            "asked about each call.",
            "Name an argument that is a number, or write if: always.",
        )


def _older(playbook: Playbook, tool: Tool, call: RemoteCall) -> Iterator[Finding]:
    """Yield a ``verify`` that cannot tell the call's effect from another one."""
    if tool.policy.look_before:
        asks_by_key = any(one.key for one in call.declared.verify.arguments.values()) if call.declared.verify else False
        how = "does not compare the key with what it finds" if asks_by_key else "does not ask by the call's key"
        yield Finding(
            "warning",
            at(playbook, tool.name),
            f"tools.{call.remote_name}.verify",
            f"It {how}: what another makes at the same time is taken for this call's, and a rollback may undo it. Its "
            "read is made before each call as well; where it finds something then, a lost answer goes to a person.",
            "Send a key (key: {argument: …} or {header: …}) that the server keeps with what it makes, ask by it "
            "(arguments: {NAME: {key: true}}), and leave matched: false out.",
        )


def _values(playbook: Playbook, tool: Tool, call: RemoteCall) -> Iterator[Finding]:
    """Yield the values that ``verify`` and ``undo`` take of a result, and its pinned schema does not name."""
    verify, undo = call.declared.verify, call.declared.undo
    taken: list[tuple[str, Tool, str, str]] = []
    if verify is not None and verify.found is not None and verify.tool in playbook.tools:
        lost = "no answer would prove an effect, and a person decides, each time"
        taken.append(("verify.found", playbook.tools[verify.tool], verify.found, lost))
    for name, source in (undo.arguments or {}).items() if undo is not None else ():
        if source.result is not None:
            taken.append((f"undo.arguments.{name}", tool, source.result, "no call would have an undo"))
    for field, of, path, then in taken:
        known = _paths(of)
        if known and not _leads(known, pointer(path)):
            yield Finding(
                "warning",
                at(playbook, tool.name),
                f"tools.{call.remote_name}.{field}",
                f"The pinned result of {of.name} names no {path}: if none comes, {then}.",
                f"Write one of {', '.join('/' + '/'.join(one) for one in known[:12])}.",
            )


def _paths(tool: Tool) -> list[tuple[str, ...]]:
    """Return the paths of a tool's pinned result; none where it is not known."""
    output = tool.function.declared.pinned.output if isinstance(tool.function, RemoteCall) else None
    if output is None:
        return []
    try:
        return [pointer(one) for one in paths_of(normalized(output, of_object=False))]
    except (SchemaRefused, ValueError):
        return []


def _leads(known: Sequence[tuple[str, ...]], path: tuple[str, ...]) -> bool:
    """Return whether a path leads to a value, or further than the schema says anything."""
    for end, step in enumerate(path):
        inside = {one[end] for one in known if len(one) > end and _fits(one[:end], path[:end])}
        if not inside:
            return True
        if step not in inside and "*" not in inside:
            return False
    return True


def _fits(known: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return all(one in ("*", step) for one, step in zip(known, path, strict=True))


def _stdio(playbook: Playbook) -> Iterator[Finding]:
    """Yield the servers whose tools fail in Lambda, which starts no command."""
    folder = playbook.folder / "servers"
    for file in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
        try:
            server = read_declaration(file).server
        except PlaybookInvalid:
            continue  # loading the playbook says why
        if not isinstance(server, McpServer) or server.stdio is None:
            continue
        names = ", ".join(sorted(made.name for made in playbook.tools.values() if _server_of(made) == file.stem))
        if server.url is None:
            problem = f"Lambda starts no command: deployed, every call of {names} fails."
            remedy = (
                "Run the server where Lambda reaches it over streamable HTTP (a container, a function with a URL, "
                "AgentCore Gateway), and add its url: and credential:. The command then serves your laptop only."
            )
            yield Finding("warning", str(file), "server.stdio", problem, remedy)
        else:
            problem = "Your laptop starts the command, and Lambda calls the url: they may be different versions."
            remedy = f"Compare the url before you deploy: ballast import mcp URL --name {file.stem} --check"
            yield Finding("hint", str(file), "server.stdio", problem, remedy)


def _server_of(tool: Tool) -> str | None:
    return tool.function.server.name if isinstance(tool.function, RemoteCall) else None


def _tokens(playbook: Playbook) -> Iterator[Finding]:
    """Yield what callers must bring, by server."""
    servers = {
        one.function.server.name: one.function.server
        for one in playbook.tools.values()
        if isinstance(one.function, RemoteCall)
    }
    for server in servers.values():
        name = token_name(server.declared)
        if name is not None:
            yield Finding(
                "hint",
                str(playbook.folder / "servers" / f"{server.name}.yaml"),
                "server.credential",
                f"Its calls need the requester's token {name!r}. Runs that are requested by queue, by event or by "
                "StartFunction have none, and their calls fail.",
                f"Let callers send POST /runs with `{HEADER}: {name}=Bearer TOKEN`; on a laptop: ballast run "
                f"--on-behalf-of-env {name}=VARIABLE.",
            )
