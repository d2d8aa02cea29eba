"""Commands in the documents exist, and repeatable figures equal those of a run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from bench import hot_window
from bench.publish import ROOT, blocks, documents, published
from cli.parser import parser
from localcloud.scenarios import names

_MODULE = re.compile(r"python3? -m (bench[\w.]*|tests[\w.]*)((?: --[\w-]+(?: [^-`\s]\S*)?)*)")
_MAKE = re.compile(r"(?:^|`|\$ )make ([a-z][\w-]*)", re.MULTILINE)
_BALLAST = re.compile(r"^\.venv/bin/ballast (.+?)(?:  +#.*)?$", re.MULTILINE)
#: Of a simulation by seed these rows take a moment, the others seconds.
_FEW = (10, 25, 50)


def texts() -> str:
    return "\n".join(document.read_text(encoding="utf-8") for document in documents())


def test_every_module_that_a_document_runs_is_there_and_knows_its_options() -> None:
    commands = set(_MODULE.findall(texts()))

    assert len(commands) > 10
    for module, options in commands:
        spec = importlib.util.find_spec(module)
        assert spec is not None, module
        assert spec.origin is not None, module
        run = Path(spec.origin).with_name("__main__.py") if spec.submodule_search_locations else Path(spec.origin)
        source = run.read_text(encoding="utf-8")
        for option in re.findall(r"--[\w-]+", options):
            assert f'"{option}"' in source, f"{module} has no {option}"


def test_every_target_that_a_document_makes_is_there() -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    made = set(_MAKE.findall(texts()))

    assert {"demo", "test", "bench", "faults"} <= made
    assert made <= targets


def test_the_readme_counts_the_scenarios_that_there_are() -> None:
    count = re.search(r"another of the (\w+) scenarios", (ROOT / "README.md").read_text(encoding="utf-8"))

    assert count is not None
    assert count[1] == {7: "seven", 8: "eight", 9: "nine", 10: "ten"}[len(names())]


def test_the_readme_asks_for_the_python_that_the_project_does() -> None:
    asked = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    assert asked is not None
    named = set(re.findall(r"Python (3\.\d+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert asked[1] in named
    assert named <= {asked[1], "3.13"}  # Lambda's


def test_every_command_of_the_readme_can_be_typed() -> None:
    typed = _BALLAST.findall((ROOT / "README.md").read_text(encoding="utf-8"))

    assert len(typed) >= 6
    for line in typed:
        words = re.findall(r'"[^"]*"|\S+', line)
        if words == ["--help"]:
            continue
        parser().parse_args([word.strip('"') for word in words])


def test_every_bench_is_published_once() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    benches = re.search(r"^BENCHES := (.+)$", makefile, re.MULTILINE)
    commands = [block.command for document in documents() for block in blocks(document)]
    shown = [command for command in commands if " -m bench." in command]

    assert benches is not None
    # The recorded runs of bench.loops are not in the project; tests/unit/test_recorded_runs.py has its tables.
    assert {command.split()[2] for command in shown} == {f"bench.{name}" for name in benches[1].split()} - {
        "bench.loops",
        "bench.cold_import",  # not published since it measures built artifacts; docs/performance.md says so
    }
    assert len(shown) == len(set(shown))
    assert all(published(command).output.strip() for command in shown)


def test_every_table_of_performance_is_the_output_of_a_command() -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")

    assert page.count("```console\n$ python -m bench.") == page.count("```") / 2 > 0
    assert "\n|" not in page


def test_the_simulated_conflicts_are_those_of_a_run() -> None:
    shown = published("python -m bench.hot_window --table conflicts").output.splitlines()
    played = "\n".join(hot_window.conflicts(10, 0.01, 1, rates=_FEW)).splitlines()

    assert shown[: len(played)] == played
    assert [int(line[:6]) for line in shown[len(played) - len(_FEW) :]] == list(hot_window.RATES)


def test_the_simulated_leasing_is_that_of_a_run() -> None:
    shown = published("python -m bench.hot_window --table leasing").output.splitlines()

    assert shown == "\n".join(hot_window.leasing(1)).splitlines()
