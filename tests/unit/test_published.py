"""Commands in the documents exist, and repeatable figures equal those of a run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from bench import cold_import, hot_window, publish
from bench.publish import ROOT, blocks, documents, published, replaced
from cli.parser import parser
from localcloud.scenarios import names
from localcloud.template import load_template
from tests.support.published import masked, shapes

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
        "bench.loops"
    }
    assert len(shown) == len(set(shown))
    assert all(published(command).output.strip() for command in shown)


def test_every_table_of_performance_is_the_output_of_a_command() -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")

    assert page.count("```console\n$ python -m bench.") == page.count("```") / 2 > 0
    assert "\n|" not in page


def test_cold_import_publishes_every_function_of_the_template_within_its_limit() -> None:
    resources = load_template(ROOT / "template.yaml")["Resources"]
    functions = {name for name, one in resources.items() if one["Type"] == "AWS::Serverless::Function"}
    _, *rows = published("python -m bench.cold_import --runs 5").output.splitlines()
    plain = {row.split()[0]: float(row.split()[4]) for row in rows}

    assert plain.keys() == functions
    assert {name: share for name, share in plain.items() if not 0 < share <= cold_import.LIMIT} == {}


def test_the_simulated_conflicts_are_those_of_a_run() -> None:
    shown = published("python -m bench.hot_window --table conflicts").output.splitlines()
    played = "\n".join(hot_window.conflicts(10, 0.01, 1, rates=_FEW)).splitlines()

    assert shown[: len(played)] == played
    assert [int(line[:6]) for line in shown[len(played) - len(_FEW) :]] == list(hot_window.RATES)


def test_the_simulated_leasing_is_that_of_a_run() -> None:
    shown = published("python -m bench.hot_window --table leasing").output.splitlines()

    assert shown == "\n".join(hot_window.leasing(1)).splitlines()


def test_an_output_is_written_to_the_place_of_its_command_and_to_no_other() -> None:
    before = "One.\n```console\n$ a\nold\n```\nTwo.\n```console\n$ b\nkept\n```\n"

    assert replaced(before, "a", "new\nlines\n") == before.replace("old", "new\nlines")


@pytest.mark.parametrize(
    ("printed", "left", "code"), [("new\n", "new", 0), (None, "old", 1)], ids=["measured", "not measured"]
)
def test_a_bench_is_published_only_where_it_measured(
    printed: str | None, left: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, text = tmp_path / "page.md", "```console\n$ python -m bench.{}\n{}\n```\n"
    page.write_text(text.format("one", "old") + text.format("two", "kept"), encoding="utf-8")
    monkeypatch.setattr(publish, "ROOT", tmp_path)
    monkeypatch.setattr(publish, "documents", lambda: [page])
    monkeypatch.setattr(publish, "play", lambda _: printed)

    assert publish.main(["--only", "one"]) == code

    assert page.read_text(encoding="utf-8") == text.format("one", left) + text.format("two", "kept")


def test_only_times_are_masked() -> None:
    assert masked("── turn 4 · at 1.1 s ─────\n  7,304 tokens · took 5 ms") == masked(
        "── turn 4 · at 950 ms ────\n  7,304 tokens · took 12.5 s"
    )
    assert masked("7,304 tokens in") != masked("13,102 tokens in")
    assert masked("$0.009071 of $0.15") != masked("$0.015449 of $0.15")


def test_a_column_that_is_gone_changes_the_shape_and_a_number_does_not() -> None:
    assert shapes(" 1  2.5 x") == shapes("10 12.75 x")
    assert shapes(" 1  2.5 x") != shapes("10 x")
