"""The tour names code that exists: each ``Class.method``, function and folder, in the file of its stop."""

import re
from pathlib import Path

import pytest

from functions.executor.executor import RULES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")

#: What the text of each stop names, and the files in which it is defined.
STOPS = {
    "1 · Start": ("functions/front/start.py",),
    "2 · Admit": ("functions/lifecycle/admit.py",),
    "3 · The agent's turn": (
        "functions/agent/agent.py",
        "functions/agent/ask.py",
        "functions/agent/decision.py",
        "functions/agent/reply.py",
        "layers/ballast/ballast/log/run_log.py",
    ),
    "4 · The executor": (
        "functions/executor/executor.py",
        "functions/executor/effect.py",
        "functions/executor/rules.py",
        "functions/executor/moves.py",
        "functions/executor/approval.py",
        "functions/executor/undo.py",
    ),
    "5 · Settle": ("functions/lifecycle/settle.py",),
}


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("title", STOPS)
def test_what_a_stop_names_is_defined_in_its_files(title: str) -> None:
    text = section(title)
    code = "\n".join((ROOT / file).read_text(encoding="utf-8") for file in STOPS[title])
    named = [name for found in re.findall(r"`([\w.]+)`", text) for name in found.split(".") if "." not in name]
    known = [
        name for name in named if not re.search(rf"(def|class) {name}\b|^{name}\b|\b{name} = ", code, re.MULTILINE)
    ]

    assert text
    assert [name for name in known if not _is_no_definition(name)] == []


def test_the_rules_of_the_executor_are_listed_in_their_order_with_their_files() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([\w/.]+)` \|", section("4 · The executor"), re.MULTILINE)

    assert [rule for rule, _ in rows] == [rule.__name__ for rule in RULES]
    assert [file for _, file in rows] == [f"{rule.__module__.replace('.', '/')}.py" for rule in RULES]


def test_the_stops_are_in_the_order_of_the_run() -> None:
    files = re.findall(r"^\| \d \| `([\w/.]+)`", PAGE, re.MULTILINE)

    assert [title for title in STOPS if f"## {title}\n" not in PAGE] == []
    assert sorted(STOPS, key=PAGE.index) == list(STOPS)
    assert files == [of[0] for of in STOPS.values()]


def _is_no_definition(name: str) -> bool:
    """Say whether the name is an event's, a type's of a contract, or the log's own word."""
    return name.isdigit() or name in {
        "run",
        "model",
        "call",
        "opened",
        "requested",
        "responded",
        "intended",
        "settled",
    } | {"ended", "RunRequest", "log"}


def test_every_folder_that_is_named_exists() -> None:
    folders = re.findall(r"`((?:[\w-]+/)+[\w-]+)`", PAGE)

    assert folders
    assert [folder for folder in folders if not (ROOT / folder).exists()] == []
