"""``ballast import``: write, compare and pin the declaration of tools from elsewhere."""

from __future__ import annotations

import json
import os
import re
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ballast.errors import InvalidInput, RetryLater
from ballast.playbook.context import ToolFailed
from ballast.yaml_files import load
from cli.declaration_file import Imported, ImportedTool, added, differences, one_line, pinned_anew, written
from cli.exits import Exit


def import_(typed: Namespace) -> int:
    """Import tools as typed and return the exit code. Raises ``BallastError``."""
    from ballast.playbook.load import playbook_in
    from localcloud.cloud import PLAYBOOK

    if typed.stdio is not None and (typed.kind != "mcp" or typed.source or not typed.stdio):
        raise InvalidInput("--stdio takes the words of an MCP server's command, and stands instead of its URL.")
    if typed.stdio is None and not typed.source:
        raise InvalidInput("Name the source: an MCP server's URL, an OpenAPI document's file, or a Lambda function.")
    playbook = playbook_in(PLAYBOOK if typed.playbook is None else Path(typed.playbook))
    name = typed.name or _name_of(typed)
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name):
        raise InvalidInput(f"The server's name is 1 to 32 small letters, digits and _, not {name!r}. Say --name NAME.")
    file = playbook / "servers" / f"{name}.yaml"
    if (typed.check or typed.pin) and not file.is_file():
        raise InvalidInput(f"{file}: does not exist. Import the tools first, without --check and --pin.")
    found = _imported(typed)
    _tell_left_out(found.left_out)
    if typed.check:
        return _check(file, found)
    if typed.pin:
        return _pin(file, found, typed.pin)
    return _write(file, found, typed.only)


def _name_of(typed: Namespace) -> str:
    if typed.stdio:
        word = Path(typed.stdio[-1]).stem
    elif typed.kind == "mcp":
        word = (urlsplit(typed.source).hostname or "server").split(".")[-2 if "." in typed.source else 0]
    elif typed.kind == "lambda":
        word = typed.source.rpartition(":")[2]
    else:
        word = Path(typed.source).stem
    return re.sub(r"[^a-z0-9]+", "_", word.lower()).strip("_")[:32]


def _imported(typed: Namespace) -> Imported:
    if typed.kind == "openapi":
        from cli.openapi_document import imported

        return imported(Path(typed.source), url=typed.url, private=typed.private)
    return _mcp(typed) if typed.kind == "mcp" else _lambda(typed)


def _mcp(typed: Namespace) -> Imported:
    """Return what an MCP server lists. Raises ``InvalidInput`` where it cannot be asked."""
    import time

    from ballast.playbook.servers.checks import why_no_url
    from ballast.playbook.servers.credentials import Credentials
    from ballast.playbook.servers.declaration import McpServer
    from ballast.playbook.servers.mcp import HttpPeer, Peer, Session
    from ballast.playbook.servers.proof import AnswerLost
    from ballast.playbook.servers.spellings import hidden

    until, headers, tokens = time.monotonic() + 60, {}, list[str]()
    if typed.token_env:
        if not os.environ.get(typed.token_env):
            raise InvalidInput(f"--token-env: the variable {typed.token_env} is not set.")
        tokens = [os.environ[typed.token_env]]
        headers = {"Authorization": f"Bearer {tokens[0]}"}
    peer: Peer
    try:
        if typed.stdio:
            from ballast.playbook.servers.stdio import StdioPeer

            server: dict[str, Any] = {"kind": "mcp", "stdio": list(typed.stdio)}
            peer = StdioPeer(typed.stdio, 4 * 1_048_576)
        else:
            if wrong := why_no_url(typed.source, private=typed.private):
                raise InvalidInput(f"SOURCE {wrong} For a server on this machine or in your network: --private.")
            server = {"kind": "mcp", "url": typed.source, **({"private": True} if typed.private else {})}
            declared = McpServer(kind="mcp", url=typed.source, private=typed.private, reply_bytes=4 * 1_048_576)
            peer = HttpPeer(typed.source, declared, Credentials(None, typed.private), _context(), headers)
        try:
            session = Session(peer, lambda: max(0.01, until - time.monotonic()))
            session.begin()
            listed = list(session.tools())
        finally:
            peer.close()
    except (RetryLater, ToolFailed, AnswerLost) as problem:
        raise InvalidInput(f"The server cannot be asked for its tools. {hidden(str(problem), tokens)}") from None
    said = json.dumps([[one.name, one.description, one.schema, one.output] for one in listed], ensure_ascii=False)
    if hidden(json.loads(said), tokens) != json.loads(said):
        raise InvalidInput("The server repeats your token in what it says of its tools. Nothing was written.")
    tools = []
    for one in listed:
        notes = [
            f"The server says {name}: {json.dumps(value)}." for name, value in one.claims.items() if name != "title"
        ]
        if one.claims.get("readOnlyHint") is True:
            notes.append("If it is true that it changes nothing: effect: read.")
        tools.append(
            ImportedTool(
                one.name, one.description, dict(one.schema), effect="write", notes=tuple(notes), output=one.output
            )
        )
    return Imported(server, tuple(tools))


def _context() -> Any:
    """Return the context of no call: this machine's, without credentials."""
    from datetime import UTC, datetime

    from ballast.contracts import RunRequest
    from ballast.playbook import ToolContext

    request = RunRequest(request_id="import", agent="import", text="List the tools.")
    now = datetime.now(UTC)

    def no_client(*_: Any, **__: Any) -> Any:
        raise InvalidInput("An import has no credentials of AWS.")

    return ToolContext("import", 0, 0, "import", request, now, environ={}, client=no_client)


def _lambda(typed: Namespace) -> Imported:
    """Return the tools of a function, which its author describes in a file. Raises ``InvalidInput``."""
    import yaml

    if not typed.schema:
        raise InvalidInput(
            "--schema: is missing. AWS knows no schema of a function. Write a file with a list of its tools, each with "
            "name, description and inputSchema."
        )
    try:
        said = load(Path(typed.schema).read_text(encoding="utf-8"), yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError) as problem:
        raise InvalidInput(f"{typed.schema}: cannot be read as JSON or YAML ({type(problem).__name__}).") from None
    listed = said["tools"] if isinstance(said, dict) and "name" not in said and "tools" in said else said  # as MCP's
    if not isinstance(listed, dict | list) or (isinstance(listed, dict) and "name" not in listed) or not listed:
        raise InvalidInput(
            f"{typed.schema}: must be a list of tools, each with name, description and inputSchema, or tools: with one."
        )
    tools = []
    for at, one in enumerate(listed if isinstance(listed, list) else [listed]):
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise InvalidInput(f"{typed.schema}: tool {at + 1} has no name.")
        if not isinstance(one.get("inputSchema"), dict):
            raise InvalidInput(f"{typed.schema}: {one['name']} has no inputSchema, a JSON Schema of an object.")
        output = one.get("outputSchema")
        if output is not None and not isinstance(output, dict):
            raise InvalidInput(f"{typed.schema}: {one['name']} has an outputSchema that is no JSON Schema.")
        described = str(one.get("description", ""))
        tools.append(ImportedTool(one["name"], described, one["inputSchema"], effect="write", output=output))
    apart = {"tool_field": _tool_field(tools)} if len(tools) > 1 else {}
    return Imported({"kind": "lambda", "function": typed.source, **apart}, tuple(tools))


def _tool_field(tools: Iterable[ImportedTool]) -> str:
    """Return a name for the field that names the tool, which is no argument of one."""
    taken = {name for tool in tools for name in _property_names(tool.schema)}
    return next(name for name in chain(["tool", "tool_name"], (f"tool_{at}" for at in count(2))) if name not in taken)


def _property_names(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        named = schema.get("properties")
        yield from named if isinstance(named, Mapping) else ()
    for one in schema.values() if isinstance(schema, Mapping) else schema if isinstance(schema, list) else ():
        yield from _property_names(one)


def _write(file: Path, found: Imported, only: list[str]) -> int:
    from localcloud.cloud import ROOT

    if only:
        found = found.only(only)
    if file.is_file():
        if not only:
            raise InvalidInput(
                f"{file}: exists. Compare it with --check, accept a change with --pin TOOL, or add a tool with "
                "--only TOOL."
            )
        text, left_out = added(file, found)
    else:
        text, left_out = written(file, found)
        schema = os.path.relpath(ROOT / "docs" / "servers.schema.json", file.parent.resolve())
        text = f"# yaml-language-server: $schema={Path(schema).as_posix()}\n{text}"
    _tell_left_out([*left_out, *(f"of {one.name}: {part}" for one in found.tools for part in one.dropped)])
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    print(f"{file}: {len(found.tools) - len(left_out)} tools. Read it, and declare effects, keys and marks.")
    if missing := _missing_requirement(file.parent.parent):
        print(missing)
    return Exit.OK


def _tell_left_out(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"left out: {one_line(line)}")


def _missing_requirement(playbook: Path) -> str | None:
    """Return what the playbook's layer lacks to check arguments by JSON Schema; None if it has it."""
    from importlib.metadata import version

    requirements = playbook.parent / "requirements.txt"
    text = requirements.read_text(encoding="utf-8") if requirements.is_file() else ""
    if re.search(r"^jsonschema-rs\b", text, re.MULTILINE):
        return None
    return f"{requirements}: before you deploy, add the line jsonschema-rs=={version('jsonschema-rs')}"


def _check(file: Path, found: Imported) -> int:
    lines = differences(file, found)
    print("\n".join(map(one_line, lines)) or f"{file}: as it was pinned.")
    return Exit.USAGE if lines else Exit.OK


def _pin(file: Path, found: Imported, tools: list[str]) -> int:
    file.write_text(pinned_anew(file, found, tools), encoding="utf-8")
    print(f"{file}: pinned {', '.join(tools)}.")
    return Exit.OK
