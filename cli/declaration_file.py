"""The text of a declaration file: written for a person to review, compared with a server, and pinned anew in place."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from ballast.contracts.wire import canonical, sha256
from ballast.errors import InvalidInput, PlaybookInvalid
from ballast.models.tool_schema import in_order
from ballast.playbook.servers.checks import checked_declaration, data_of, places_of_a_key, read_declaration
from ballast.playbook.servers.declaration import Call, Declaration, pin
from ballast.playbook.servers.schema import SchemaRefused, normalized, paths_of
from ballast.playbook.servers.tools import declared_tools, tools_of, usual_name

_WIDTH = 110
#: Names that YAML reads as themselves, and words that it reads as something else.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
#: Converse's limit for the name of a tool.
_MAX_NAME = 64
_HEAD = """\
# Tools from elsewhere, written by `ballast import`. Yours to read, correct and review: what the server says of itself
# is a hint. `pinned` is what you have reviewed; a change of it, here or there, is refused until it is pinned anew.
"""
_UNDO = "undo: {tool: A_TOOL, arguments: {NAME: {result: /id}}}"


@dataclass(frozen=True)
class ImportedTool:
    """A tool as its server says it.

    more     is declared besides
    notes    comments above it
    dropped  optional parts of its operation that no call sends, in words
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    effect: str
    call: Call | None = None
    more: tuple[tuple[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    output: Mapping[str, Any] | None = None
    dropped: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The hash under which it is pinned."""
        return pin(self.name, self.description, self.schema, self.call, self.output)

    @property
    def pinned(self) -> dict[str, Any]:
        """What is pinned of it."""
        made: dict[str, Any] = {"sha256": self.digest, "description": self.description, "schema": dict(self.schema)}
        made |= {"output": dict(self.output)} if self.output is not None else {}
        return made | ({"call": self.call.said()} if self.call else {})


@dataclass(frozen=True)
class Imported:
    """What was found: the server's part of the declaration, its tools, and what cannot be one, with the reason."""

    server: Mapping[str, Any]
    tools: tuple[ImportedTool, ...]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ``InvalidInput`` where a name is that of two tools: nobody could say which one is called."""
        names = [tool.name for tool in self.tools]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise InvalidInput(f"The source has two tools named {twice[:80]!r}. Ask its owner to rename one of them.")

    def only(self, names: Sequence[str]) -> Imported:
        """Return it with these tools. Raises ``InvalidInput`` for one that is not there."""
        known = {tool.name: tool for tool in self.tools}
        if missing := next((name for name in names if name not in known), None):
            raise InvalidInput(f"--only: there is no tool {missing}. The server has: {', '.join(known)}.")
        return replace(self, tools=tuple(known[name] for name in names), left_out=())


def written(file: Path, found: Imported) -> tuple[str, list[str]]:
    """Return the text of a new declaration, and the tools that cannot be declared, each with the reason."""
    fit, left_out = _that_load(file, found)
    if not fit:
        raise InvalidInput(f"{file}: would have no tool.{''.join(f' {line}.' for line in left_out[:3])}")
    notes = (f"  # {one_line(note)}" for note in found.notes)
    head = [_HEAD, "server:", *notes, _indented(_dumped(found.server), 2), "tools:"]
    text = "\n".join([*head, *(_tool_text(tool, found.server) for tool in fit)]) + "\n"
    _check_says(file, text, {"server": dict(found.server), "tools": {tool.name: _declared(tool) for tool in fit}})
    return text, left_out


def added(file: Path, found: Imported) -> tuple[str, list[str]]:
    """Return the text of a declaration with these tools at its end. Raises ``InvalidInput`` for one that it has."""
    known = read_declaration(file).tools
    before = data_of(file, file.read_text(encoding="utf-8"))
    if twice := next((tool.name for tool in found.tools if tool.name in known), None):
        raise InvalidInput(f"{file}: has {twice} already. Accept a change of it with --pin {twice}.")
    fit, left_out = _that_load(file, found)
    text = file.read_text(encoding="utf-8").rstrip("\n")
    made = "\n".join([text, *(_tool_text(tool, found.server) for tool in fit)]) + "\n"
    _check_says(file, made, before | {"tools": before["tools"] | {tool.name: _declared(tool) for tool in fit}})
    return made, left_out


def one_line(text: str) -> str:
    """Return a text of which a server may have written a part as one line of printable ASCII.

    So it ends no comment, and steers no terminal.
    """
    return re.sub(r"[^\x20-\x7e]", lambda char: ascii(char[0])[1:-1], text)


def _check_says(file: Path, text: str, meant: Any) -> None:
    """Raise ``InvalidInput`` where a declaration's text, read back, is another one than was meant, or does not load."""
    try:
        data = data_of(file, text)
        same = canonical(data) == canonical(meant)
        list(tools_of(file, checked_declaration(file, data)))
    except PlaybookInvalid as refused:
        raise InvalidInput(f"{file}: was not written, because it would not load: {one_line(str(refused))}") from None
    if not same:
        raise InvalidInput(
            f"{file}: was not written, because YAML does not read it as it was meant. What the server says of its "
            "tools may be made to do that: ask its owner, or name the tools that you want with --only."
        )


def _that_load(file: Path, found: Imported) -> tuple[list[ImportedTool], list[str]]:
    fit, left_out = [], []
    taken = {one.name for one in declared_tools(file.parent, tell=lambda _: None)}
    for tool in found.tools:
        tool = _described(_with_a_name(file, tool, taken))  # noqa: PLW2901  the same tool
        data = {"server": dict(found.server), "tools": {tool.name: _declared(tool)}}
        try:
            taken.update(one.name for one in tools_of(file, checked_declaration(file, data)))
        except PlaybookInvalid as refused:
            left_out.append(f"{tool.name}: {str(refused).partition(f'tools.{tool.name}.')[2] or refused}")
        else:
            fit.append(tool)
    return fit, left_out


def _described(tool: ImportedTool) -> ImportedTool:
    """Return a tool of which its server says nothing as one that no model is offered, with a text to fill in."""
    if tool.description.strip():
        return tool
    to_fill_in = f"TO FILL IN: what {tool.name} does, and when to use it."
    note = "The server does not say what it does. Write its description; then remove `offered: false`."
    more = (("description", to_fill_in), ("offered", False), *tool.more)
    return replace(tool, more=more, notes=(note, *tool.notes))


def _with_a_name(file: Path, tool: ImportedTool, taken: Collection[str]) -> ImportedTool:
    """Return the tool with a ``name`` of its own where the usual one is another tool's, or too long for a model."""
    name = f"{file.stem}_{tool.name}"
    if len(name) <= _MAX_NAME and usual_name(file.stem, tool.name) not in taken:
        return tool
    short = f"{name[: _MAX_NAME - 7]}_{sha256(tool.name)[:6]}"
    return replace(tool, more=(("name", re.sub(r"[^A-Za-z0-9_-]+", "_", short)), *tool.more))


def _declared(tool: ImportedTool) -> dict[str, Any]:
    asked = {"approval": {"if": "always"}} if tool.effect == "write" else {"outward": True}
    return {"effect": tool.effect, **asked, **dict(tool.more), "pinned": tool.pinned}


def _tool_text(tool: ImportedTool, server: Mapping[str, Any]) -> str:
    declared = _declared(tool)
    pinned = declared.pop("pinned")
    notes = [*tool.notes, *(f"No call sends this optional part: {part}." for part in tool.dropped)]
    if tool.effect == "write":
        has_key = "key" in declared
        notes += _of_a_write(server, has_key=has_key)
    placed = [name for name, where in tool.call.where.items() if where == "path"] if tool.call else []
    if placed:
        notes.append(f"slashes: [{placed[-1]}]    # where a slash may be in that argument of the path")
    try:
        paths = [path for path in paths_of(normalized(tool.schema)) if not path.endswith("*")]
    except SchemaRefused:
        paths = []
    if paths:
        notes.append("marks: for each, grounded (it must occur in the run), free_text, or sensitive:")
        notes += [f"  {line}" for line in _filled(paths)]
    lines = [f"  {_key_text(tool.name)}:"]
    lines += [f"    # {one_line(note)}".rstrip() for note in notes]
    lines.append(_indented(_dumped(declared), 4))
    lines.append(_pinned_text(pinned))
    return "\n".join(lines)


def _of_a_write(server: Mapping[str, Any], *, has_key: bool) -> Iterator[str]:
    """Yield what a write may declare for the case that its answer is lost: lines that load once they are filled in."""
    verify = "verify: {tool: A_READ, arguments: {NAME: {%s}}, found: /items/0}    # %s"
    if not has_key:
        usual, *others = places_of_a_key(str(server.get("kind")), over_http=server.get("url") is not None)
        yield "Without a key or a verify, a lost answer is unknown, and goes to a person."
        yield f"key: {usual}" + (f"    # or {', or '.join(others)}" if others else "")
    yield verify % ("key: true", "by the key" if has_key else "only with the line above: it asks by the key")
    if not has_key:
        yield verify % ("argument: /NAME", "without a key: it asks by an argument")
    yield _UNDO


def _key_text(name: str) -> str:
    """Return a name as the key of a YAML mapping."""
    return name if _PLAIN.fullmatch(name) and name.lower() not in _WORDS else json.dumps(name)


def _pinned_text(pinned: Mapping[str, Any]) -> str:
    return _indented(_dumped({"pinned": dict(pinned)}), 4)


def _filled(words: Iterable[str]) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + len(word) > _WIDTH - 20:
            yield line
            line = ""
        line = f"{line} {word}".strip()
    yield line


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, so that a person can read them; no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write each value out."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> Any:
    block = "\n" in text and not re.search(r"[ \t]\n|^\s|\s$|[^\x09\x0a\x20-\x7e\xa0-\ud7ff\ue000-\ufffd]", text)
    escaped = re.search("[\x85\u2028\u2029]", text)  # which YAML reads as a line's end
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if escaped else "|" if block else None)


_Dumper.add_representer(str, _text)


def _dumped(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH).rstrip("\n")


def _indented(text: str, spaces: int) -> str:
    return "\n".join(f"{' ' * spaces}{line}" if line else "" for line in text.split("\n"))


def differences(file: Path, found: Imported) -> list[str]:
    """Return what a server says now and what was pinned, line by line; nothing if they are the same."""
    declaration, now = _declaration(file), {tool.name: tool for tool in found.tools}
    lines: list[str] = []
    for name, declared in declaration.tools.items():
        tool = now.get(name)
        if tool is None:
            lines.append(f"{name}: is pinned, and the server does not have it any more.")
        elif tool.digest != declared.pinned.sha256:
            before, after = (_compared(one) for one in (declared.pinned.said(), tool.pinned))
            lines.append(f"{name}: has changed. Read the change; accept it with --pin {name}.")
            diff = difflib.unified_diff(before.split("\n"), after.split("\n"), "pinned", "now", lineterm="", n=2)
            lines += [f"  {ascii(line)[1:-1]}" for line in diff]
    return lines


def _compared(pinned: Mapping[str, Any]) -> str:
    """Return what is pinned but for its hash, with the names of each object sorted."""
    return _dumped(in_order({key: value for key, value in pinned.items() if key != "sha256"}))


def _declaration(file: Path) -> Declaration:
    """Return a declaration, also one whose hash is not that of what it pins: that is what is compared or mended."""
    data: Any = data_of(file, file.read_text(encoding="utf-8"))
    if isinstance(data, dict) and isinstance(data.get("tools"), dict):
        for name, tool in data["tools"].items():
            if isinstance(tool, dict) and isinstance(pinned := tool.get("pinned"), dict):
                call = Call.model_validate(pinned["call"]) if pinned.get("call") else None
                right = pin(
                    str(name),
                    str(pinned.get("description", "")),
                    pinned.get("schema") or {},
                    call,
                    pinned.get("output"),
                )
                if pinned.get("sha256") != right:
                    data["tools"][name] = tool | {"pinned": pinned | {"sha256": right}}
    return checked_declaration(file, data)


def pinned_anew(file: Path, found: Imported, tools: Sequence[str]) -> str:
    """Return the text of a declaration with what is pinned of these tools replaced, and nothing else.

    Raises ``InvalidInput`` for a tool that is not there, or a file that is not laid out as it was written.
    """
    declaration, now = _declaration(file), {tool.name: tool for tool in found.tools}
    text = file.read_text(encoding="utf-8")
    for name in tools:
        if name not in declaration.tools or name not in now:
            raise InvalidInput(f"--pin: {name} is not both in {file} and at the server.")
        text = _replaced(file, text, name, now[name])
    meant = data_of(file, file.read_text(encoding="utf-8"))
    for name in tools:
        meant["tools"][name]["pinned"] = now[name].pinned
    if canonical(data_of(file, text)) != canonical(meant):
        raise InvalidInput(f"{file}: is not laid out as `ballast import` writes it. Write `pinned` by hand.")
    list(tools_of(file, checked_declaration(file, data_of(file, text))))
    return text


def _replaced(file: Path, text: str, name: str, tool: ImportedTool) -> str:
    lines = text.split("\n")
    words = "|".join(re.escape(one) for one in (name, f"'{name}'", f'"{name}"', json.dumps(name)))
    head = re.compile(rf"^(\s+)({words}):\s*(#.*)?$")
    for start, line in enumerate(lines):
        found = head.match(line)
        if not found:
            continue
        end = _end_of(lines, start, len(found[1]))
        for at in range(start + 1, end):
            inner = re.match(r"^(\s+)pinned:", lines[at])
            if inner:
                block = _indented(_dumped({"pinned": tool.pinned}), len(inner[1])).split("\n")
                return "\n".join([*lines[:at], *block, *lines[_end_of(lines, at, len(inner[1])) :]])
    raise InvalidInput(f"{file}: is not laid out as `ballast import` writes it. Write `pinned` of {name} by hand.")


def _end_of(lines: Sequence[str], start: int, indent: int) -> int:
    """Return the line after a block: the next one that is not indented further."""
    end = start + 1
    last = end
    while end < len(lines):
        line = lines[end]
        if line.strip():
            if len(line) - len(line.lstrip()) <= indent:
                break
            last = end + 1
        end += 1
    return last
