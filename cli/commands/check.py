"""``ballast check``: all that can be known of a project without a model."""

import json
from argparse import Namespace
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from ballast.errors import InvalidInput
from ballast.money import dollars
from cli.checks import LEVELS, Checked, Finding, checked
from cli.exits import Exit
from cli.own_stdout import print_document
from cli.screen import Screen

_STYLES = {"error": "bold red", "warning": "yellow", "hint": "cyan"}


def check(typed: Namespace) -> int:
    """Check the project; return 0, or 2 if there is an error. Raises ``InvalidInput``."""
    folder = Path(typed.path)
    if not folder.is_dir():
        raise InvalidInput(f"{folder}: no such folder. Name a project, or a folder with agent.yaml.")
    found = checked(folder, today=datetime.now(UTC).date())
    if typed.json:
        print_document(json.dumps(_document(found), indent=2))
    else:
        _show(found, Screen(), folder, hints=not typed.no_hints)
    failed = found.count("error") + (found.count("warning") if typed.strict else 0)
    return Exit.USAGE if failed else Exit.OK


def _document(found: Checked) -> dict[str, object]:
    return {
        "findings": [_in_parts(one) for one in found.findings],
        "worst_cost_microusd": found.worst_cost_microusd,
        "granted_microusd": found.granted_microusd,
    }


def _in_parts(one: Finding) -> dict[str, object]:
    path, line = one.path_and_line
    return {**asdict(one), "file": path, "line": line}


def _show(found: Checked, screen: Screen, folder: Path, *, hints: bool) -> None:
    for level in LEVELS:
        if level == "hint" and not hints:
            continue
        for one in found.findings:
            if one.level == level:
                _show_one(one, screen, folder)
    counts = ", ".join(f"{found.count(level)} {level}{'' if found.count(level) == 1 else 's'}" for level in LEVELS)
    screen.line(counts, "bold red" if found.count("error") else "green")
    if found.worst_cost_microusd:
        _show_costs(found, screen)


def _show_one(one: Finding, screen: Screen, folder: Path) -> None:
    file = one.file.replace(f"{folder.resolve()}/", "")
    screen.line(f"{one.level:8} {file}{f': {one.field}' if one.field else ''}", _STYLES[one.level])
    screen.line(f"         {one.problem}")
    screen.line(f"         {one.remedy}", "dim")


def _show_costs(found: Checked, screen: Screen) -> None:
    costs = found.worst_cost_microusd
    usual = costs[""]
    others = [f"{name} ${dollars(cost)}" for name, cost in costs.items() if cost != usual]
    said = f"Worst cost of a run: ${dollars(usual)} for models and tools"
    if others:
        said += f" ({', '.join(others)})"
    screen.line(f"{said}; reviewers may add ${dollars(found.granted_microusd)}.")
