"""A project's ``samconfig.toml``: the parameters of the template, in each form that `sam` takes.

Imports nothing of Ballast: the build uses it alone.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

FILE = "samconfig.toml"
_FOLDER, _BUSINESS = "PlaybookFolder", "BusinessTemplate"
#: Settings of all commands of an environment.
_ALL = "global"
#: ``Name=value`` or ``ParameterKey=Name,ParameterValue=value``; a value with spaces is in quotes.
_PAIR = re.compile(
    r"""\s*(?:ParameterKey=(?P<key>[^,\s]+),\s*ParameterValue=|(?P<name>[^\s=,"']+)=)"""
    r"""(?P<value>"(?:\\.|[^"\\])*"|'[^']*'|(?:\\.|[^\s"\\])*)(?=\s|$)""",
    re.DOTALL,
)


class Settings(NamedTuple):
    """What one command of `sam` is told in one environment.

    parameters     of the template
    region         "" if none is named
    template_file  "" if none is named
    """

    environment: str
    command: str
    parameters: dict[str, str]
    region: str
    template_file: str


class NamedTemplate(NamedTuple):
    """A business template that `sam` is told to deploy. ``where``: by which setting; ``value``: as it is written."""

    where: str
    value: str
    file: Path


def settings_in(samconfig: Path) -> list[Settings]:
    """Return the settings of each command and environment. Raises ``OSError`` and ``ValueError``.

    The settings of all commands are one of their own, ``global``, and part of each other one.
    """
    import tomllib  # not in Lambda

    document = tomllib.loads(samconfig.read_text(encoding="utf-8"))
    found = []
    for environment, commands in document.items():
        if not isinstance(commands, Mapping):
            continue
        of_all = _parameters_of(commands.get(_ALL))
        for command, one in commands.items():
            own = of_all | _parameters_of(one)
            try:
                given = overrides(own.get("parameter_overrides", ""))
            except ValueError as problem:
                raise ValueError(f"{environment}.{command}.parameters: {problem}") from None
            region, template = str(own.get("region", "")), str(own.get("template_file", own.get("template", "")))
            found.append(Settings(environment, command, given, region, template))
    return found


def overrides(written: Any) -> dict[str, str]:
    """Return the template's parameters of ``parameter_overrides``: a text, a list or a table. Raises ``ValueError``."""
    if isinstance(written, Mapping):
        return {str(name).strip("\"'"): _text(value) for name, value in written.items()}
    if isinstance(written, list):
        return {name: value for one in written for name, value in overrides(one).items()}
    found, at, text = {}, 0, str(written).strip()
    while at < len(text):
        pair = _PAIR.match(text, at)
        if pair is None:
            raise ValueError(
                f"parameter_overrides: {text[at : at + 60].strip()!r} is no NAME=VALUE. Quote a value that has spaces: "
                'NAME="a b".'
            )
        found[pair["key"] or pair["name"]] = _unquoted(pair["value"])
        at = pair.end()
    return found


def named_templates(project: Path) -> list[NamedTemplate]:
    """Return each business template that the project's settings name. Raises ``OSError`` and ``ValueError``.

    Both paths are relative to the platform's template, so the one says where the other is in the project: in a copy of
    it as well, such as a build has.
    """
    if not (project / FILE).is_file():
        return []
    found = settings_in(project / FILE)
    folders = {one.environment: one.parameters[_FOLDER] for one in found if _FOLDER in one.parameters}
    places = {one.environment: one.template_file for one in found if one.template_file}
    named: dict[tuple[str, Path], NamedTemplate] = {}
    for one in found:
        value = one.parameters.get(_BUSINESS)
        if value is None:
            continue
        folder = one.parameters.get(_FOLDER) or folders.get(one.environment) or folders.get("default")
        if folder is not None and os.path.isabs(folder) == os.path.isabs(value):
            file = project / os.path.relpath(value, folder)
        else:
            place = one.template_file or places.get(one.environment) or places.get("default") or "template.yaml"
            file = Path(os.path.normpath((project / place).parent / value))
        named.setdefault((value, file), NamedTemplate(f"{one.environment}.{one.command}.parameters", value, file))
    return list(named.values())


def requires(project: Path, parameter: str, value: str) -> bool:
    """Return whether any settings give the template's parameter that value. Raises ``OSError`` and ``ValueError``."""
    if not (project / FILE).is_file():
        return False
    return any(one.parameters.get(parameter, "").strip() == value for one in settings_in(project / FILE))


def _parameters_of(command: Any) -> dict[str, Any]:
    given = command.get("parameters", {}) if isinstance(command, Mapping) else {}
    if not isinstance(given, Mapping):
        raise ValueError("parameters: must be a table.")
    return dict(given)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(_text, value)) if isinstance(value, list) else str(value).strip("\"'")


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
