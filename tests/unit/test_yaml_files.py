"""YAML files: what the build parsed is read as it is; without it, the file itself."""

import json
import runpy
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from ballast.yaml_files import NotJson, NotYaml, as_built, parse, parse_text, parsed_path, read_yaml

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "packaging" / "parse_yaml.py"
LAYER = {"support/agent.yaml": "name: yes\nday: 2026-01-31\n", "support/models.yaml": "off: yes\nx: true\n"}
AGENTS = {"agents/billing.yaml": "cache: off", "support/agents/billing.yaml": "ask_requester: on"}


def layer(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def parse_layer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the build's step on ``folder``, with the Python part of this environment's PyYAML."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(Path(yaml.__file__).parents[1]), str(folder)])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "yaml_files", raising=False)
    runpy.run_path(str(SCRIPT), run_name="__main__")


def test_what_the_build_parsed_is_what_the_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = layer(tmp_path, LAYER | {"agent.yaml": "name: root", "ballast/models/vendors/a.yaml": "a: no"})
    files = sorted(folder.rglob("*.yaml"))
    before = [read_yaml(file) for file in files]

    parse_layer(folder, monkeypatch)

    parsed = [parsed_path(file) for file in files]
    assert [json.loads(file.read_text())["content"] for file in parsed] == before
    assert before == [{"name": "root"}, {"a": "no"}, {"name": True, "day": "2026-01-31"}, {"off": "yes", "x": True}]
    with monkeypatch.context() as lambdas:
        lambdas.setitem(sys.modules, "yaml", None)
        assert [read_yaml(file) for file in files] == before


@pytest.mark.parametrize("planted", ['{"name": "planted"}', '{"sha256": "0", "content": {"name": "x"}}', "[", "[]"])
def test_what_was_parsed_from_another_text_does_not_count(tmp_path: Path, planted: str) -> None:
    file = layer(tmp_path, {"agent.yaml": "name: root", "__pycache__/agent.yaml.json": planted}) / "agent.yaml"

    assert read_yaml(file) == {"name": "root"}

    parsed_path(file).write_text(as_built(file))
    file.write_text("name: another")
    assert read_yaml(file) == {"name": "another"}


def test_the_files_of_other_agents_are_parsed_as_agent_yaml_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = layer(tmp_path, LAYER | AGENTS | {"agent.yaml": "name: root"})

    parse_layer(folder, monkeypatch)

    parsed = [json.loads(parsed_path(folder / name).read_text())["content"] for name in AGENTS]
    assert parsed == [{"cache": False}, {"ask_requester": True}] == [read_yaml(folder / name) for name in AGENTS]


def test_a_file_that_is_not_yaml_fails_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = layer(tmp_path, LAYER | {"support/agent.yaml": "name: [support\nmodel: x"})

    with pytest.raises(SystemExit, match=r"support/agent\.yaml: is not YAML at line 2, column 6: .*\.$"):
        parse_layer(folder, monkeypatch)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("a: [1\nb: 2", NotYaml, "is not YAML at line 2, column 2"),
        ("a: 2026-02-30", NotYaml, "is not YAML: day"),
        ("[" * 600, NotYaml, "is not YAML"),
        ("2026-01-31: a", NotJson, "holds a value that JSON does not have"),
        ("&a [*a]", NotJson, "holds a value that JSON does not have"),
    ],
)
@pytest.mark.parametrize("name", ["agent.yaml", "models.yaml"])
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, text: str, error: type[Exception], says: str) -> None:
    file = layer(tmp_path, {name: text}) / name

    with pytest.raises(error, match=says):
        read_yaml(file)


def test_aliases_of_aliases_are_counted_before_they_are_written_out(tmp_path: Path) -> None:
    rows = ["a: &a [x, x]"]
    rows += [f"{name}: &{name} [*{before}, *{before}]" for before, name in pairwise("abcdefghijklmnopqrstuvwxyz")]
    merged = [row.replace("[x, x]", "{k: 1}").replace("[", "{<<: [").replace("]", "]}") for row in rows]

    for text in (rows, merged):
        file = layer(tmp_path, {"models.yaml": "\n".join(text)}) / "models.yaml"
        with pytest.raises(NotYaml, match="more than 1000000 values, with those that its aliases repeat"):
            read_yaml(file)
    assert json.loads(parse_text("a: &a [1, 2]\nb: [*a, *a]", words=False)) == {"a": [1, 2], "b": [[1, 2], [1, 2]]}


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_yaml(tmp_path / "agent.yaml")


def test_the_platforms_files_mean_the_same_to_both_parsers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The build has PyYAML's Python part only, which runs on any machine; here it is libyaml."""
    files = [*(ROOT / "layers").rglob("*.yaml")]
    by_libyaml = [parse(file) for file in files]

    monkeypatch.delattr(yaml, "CSafeLoader")
    parse.__globals__["_loader"].cache_clear()
    by_python = [parse(file) for file in files]
    parse.__globals__["_loader"].cache_clear()

    assert by_python == by_libyaml
    assert len(files) > 15
