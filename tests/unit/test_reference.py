"""The reference of a playbook names every key with its default, and the schemas for editors take what loading takes."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel, ValidationError

from ballast.contracts import Limits
from ballast.errors import PlaybookInvalid
from ballast.playbook import ToolContext
from ballast.playbook.agent import OF_THE_STACK, AgentConfig, Guardrail, Intent, ModelFor, Sensitivity, read_agents
from ballast.playbook.inference import Caching, Inference
from ballast.playbook.money_rules import MovesConfig
from ballast.playbook.servers.checks import read_declaration
from localcloud import schemas
from localcloud.converse.script import Call, Script, Step
from localcloud.editor_schemas import meanings, models
from localcloud.scenarios.people import Answer
from localcloud.scenarios.scenario import Expected, ExpectedEffect, Item, Scenario

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "playbook.md").read_text(encoding="utf-8")
TESTS_PAGE = (ROOT / "docs" / "testing-your-playbook.md").read_text(encoding="utf-8")
SCHEMAS = {name.removesuffix(".schema.json"): json.loads((ROOT / "docs" / name).read_text()) for name in (
    "agent.schema.json", "other-agent.schema.json", "servers.schema.json", "scenario.schema.json", "script.schema.json",
)}  # fmt: skip
#: The headings of a model's tables.
TABLES: list[tuple[type[BaseModel], list[str]]] = [
    (
        AgentConfig,
        [
            "### Who it is and what it is told",
            "### Its models",
            "### Ceilings, money and people",
            "### What is trusted",
        ],
    ),
    (Limits, ["### limits"]),
    (Intent, ["### intents"]),
    (ModelFor, ["### model_for"]),
    (Inference, ["### inference"]),
    (Caching, ["### cache"]),
    (Guardrail, ["### guardrail"]),
    (MovesConfig, ["### moves"]),
    (Sensitivity, ["### sensitive"]),
]


def section(heading: str, page: str = PAGE) -> str:
    """Return what stands under a heading, up to the next one."""
    _, found, rest = page.partition(f"\n{heading}\n")
    assert found, heading
    return re.split(r"^##+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)", cell)


def written(value: Any) -> set[str]:
    """Return how a default may be written in a table."""
    if value is None:
        return {"null"}
    if isinstance(value, bool):
        return {f"`{str(value).lower()}`"}
    if isinstance(value, dict) and value and all(isinstance(one, str) for one in value.values()):
        return {", ".join(f"`{one}`" for one in value.values())}
    if value in ([], {}):
        return {"none"}
    if isinstance(value, dict):
        return {"see below", "`on`"}
    return {f"`{value}`", '`""`'} if value == "" else {f"`{value}`"}


@pytest.mark.parametrize(("model", "headings"), TABLES, ids=lambda one: getattr(one, "__name__", ""))
def test_every_key_has_a_row_with_its_default(model: type[BaseModel], headings: list[str]) -> None:
    found = {row[0].strip("`"): row for heading in headings for row in rows(section(heading))}
    defaults = model.model_construct().model_dump(mode="json", warnings=False)

    assert set(found) == set(model.model_fields)
    for name, field in model.model_fields.items():
        default = found[name][2].partition(":")[0]
        expected = {"required"} if field.is_required() else written(defaults[name])
        assert default in expected, f"{name}: {default}, not {expected}"
        assert len(found[name][3]) > 10


def test_every_model_of_an_agents_file_has_a_table() -> None:
    inner = {"CustomerCeilings", "TenantCeilings", "AllCeilings", "LimitsPatch"}  # rows of moves, and limits

    assert {model.__name__ for model, _ in TABLES} | inner == set(models(AgentConfig))


def test_every_field_and_method_of_the_context_has_a_row() -> None:
    text = section("## The context of a tool")
    fields, methods = text.split("| method |")

    told = {name for row in rows(fields) for name in names(row[0])}
    called = {name: row[0] for row in rows(methods) for name in names(row[0])[:1]}

    public = {name for name in vars(ToolContext) if not name.startswith("_")}
    assert told == set(ToolContext.__dataclass_fields__)
    assert set(called) == public - set(ToolContext.__dataclass_fields__)
    for name, row in called.items():
        if callable(getattr(ToolContext, name)):
            given = list(inspect.signature(getattr(ToolContext, name)).parameters.values())[1:]
            shown = [f"{one.name}=" if one.kind is one.KEYWORD_ONLY else one.name for one in given]
            assert row == f"`{name}({', '.join(shown)})`"


def test_every_parameter_of_seed_store_has_a_row() -> None:
    text = section("### Seeding the tables")

    given = re.search(r"def seed_store\((.*?)\) -> None:", text)

    assert given is not None
    assert [name for row in rows(text) for name in names(row[0])] == re.findall(r"(\w+):", given[1])


@pytest.mark.parametrize("model", [Scenario, Answer, Item, Expected, ExpectedEffect, Step, Call, Script])
def test_every_key_of_scenarios_and_scripts_is_on_their_page(model: type[BaseModel]) -> None:
    lines = section("## Scenarios", TESTS_PAGE).splitlines()
    told = [line for line, after in zip(lines, [*lines[1:], ""], strict=True) if not after.startswith("|---")]
    tables = " ".join(line for line in told if line.startswith("|"))
    said = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", tables)))) | {"turns"}  # it heads a table

    assert set(model.model_fields) - {"name"} <= said


AGENTS = [
    *sorted(ROOT.glob("layers/**/agent.yaml")),
    *sorted(ROOT.glob("scaffold/*/agent.yaml")),
    *sorted(ROOT.glob("examples/*/*/agent.yaml")),
    *sorted(ROOT.glob("tests/**/agent.yaml")),
    *sorted(ROOT.glob("bench/**/agent.yaml")),
]


def valid(schema: str, data: Any) -> bool:
    return jsonschema.Draft202012Validator(SCHEMAS[schema]).is_valid(data)


@pytest.mark.parametrize("file", AGENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_an_agents_file_that_loads_is_valid_for_an_editor(file: Path) -> None:
    try:
        read_agents(file.parent)
    except PlaybookInvalid:
        pytest.skip("It is one that does not load.")

    assert valid("agent", yaml.safe_load(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("kind", ["scenario", "script"])
def test_the_files_of_scenarios_are_valid_for_an_editor(kind: str) -> None:
    files = [*ROOT.glob(f"localcloud/scenarios/*/{kind}.yaml"), *ROOT.glob(f"scaffold/**/{kind}.yaml")]
    files += ROOT.glob(f"examples/**/{kind}.yaml")

    assert len(files) > 12
    assert [file for file in files if not valid(kind, yaml.safe_load(file.read_text(encoding="utf-8")))] == []


def test_a_declaration_is_valid_for_an_editor_and_a_wrong_one_is_not() -> None:
    file = ROOT / "examples" / "itdesk" / "itdesk" / "servers" / "idp.yaml"
    read_declaration(file)
    data = yaml.safe_load(file.read_text(encoding="utf-8"))

    assert valid("servers", data)
    assert not valid("servers", {**data, "server": {**data["server"], "kind": "soap"}})
    assert not valid("servers", {**data, "server": {**data["server"], "credential": {"kind": "requester"}}})
    data["tools"]["resetPassword"]["efect"] = "write"
    assert not valid("servers", data)


LEAST = {"name": "desk", "model": "m", "instructions": "Help."}
#: (what is written beside the least, whether it loads)
WRITTEN = [
    *((change, True) for change in (
        {}, {"cache": False}, {"cache": True}, {"cache": {"ttl": "5m"}}, {"temperature": 0.5},
        {"inference": {"thinking": False}}, {"inference": {"thinking": 0}}, {"inference": {"thinking": "adaptive"}},
        {"moves": {"run": "12.50", "all": {"hour": 5}}}, {"max_grant_usd": "1.5"}, {"max_grant_usd": 1},
        {"guardrail": {"id": "abc", "version": "DRAFT"}}, {"intents": {"a": {"writes": []}}},
        {"model_for": [{"model": "m", "from_turn": 2}]}, {"limits": {"turns": 3}}, {"sensitive": {"policy": "mask"}},
    )),
    *((change, False) for change in (
        {"nmae": "x"}, {"cache": "never"}, {"cache": None}, {"cache": 1}, {"limits": {"turns": "3"}},
        {"limits": {"turns": 0}}, {"limits": {"rounds": 3}}, {"inference": {"temperature": 2}},
        {"inference": {"thinking": -1}}, {"moves": {"run": 12.5}}, {"moves": {"run": "a lot"}},
        {"moves": {"currency": "euro"}}, {"moves": {"all": {"week": "5"}}}, {"on_unanswered": "wait"},
        {"intents": {"a b": {}}}, {"intents": {"a": {"writes": "all"}}}, {"answer_ids": "O-[0-9]+"},
        {"guardrail": {"id": "abc"}}, {"trust_text": "yes"}, {"approval_timeout_s": 0}, {"tools": [3]},
        {"model": ""}, {"service_tier": "cheap"}, {"hand_over_to": {"x": ""}}, {"name": "a b"},
    )),
]  # fmt: skip


@pytest.mark.parametrize(("change", "loads"), WRITTEN, ids=json.dumps)
def test_a_schema_says_what_loading_says(change: dict[str, Any], loads: bool, tmp_path: Path) -> None:
    data = {**LEAST, **change}
    (tmp_path / "agent.yaml").write_text(yaml.safe_dump(data))

    try:
        read_agents(tmp_path)
        loaded = True
    except PlaybookInvalid:
        loaded = False

    assert loaded is loads
    assert valid("agent", data) is loads


def test_another_agents_file_has_neither_a_name_nor_the_rules_of_the_stack() -> None:
    schema = SCHEMAS["other-agent"]

    assert set(schema["properties"]) == set(AgentConfig.model_fields) - OF_THE_STACK | {"temperature"}
    assert valid("other-agent", {"model": "m", "instructions": "Help."})
    assert not valid("other-agent", {"model": "m", "instructions": "Help.", "trust_text": True})


@pytest.mark.parametrize(
    ("change", "parses"),
    [
        ({}, True),
        ({"people": [{"by": "rae", "approve": True}]}, True),
        ({"expect": {"status": "answered", "effects": ["a", {"tool": "b"}], "moved": "5"}}, True),
        ({"expect": {"status": "answered", "moved": 0.5}}, False),
        ({"expect": {"status": "done"}}, False),
        ({"request": {"text": "x", "intnt": "y"}}, False),
        ({"description": ""}, False),
    ],
)
def test_a_scenarios_schema_says_what_reading_says(change: dict[str, Any], parses: bool) -> None:
    data = {"description": "One.", "request": {"text": "x"}, "expect": {"status": "answered"}, **change}
    filled = {"name": "one", **data, "request": {"request_id": "one", **data["request"]}}
    try:
        Scenario.model_validate_json(json.dumps(filled))
        parsed = True
    except ValidationError:
        parsed = False

    assert parsed is parses
    assert valid("scenario", data) is parses


def test_an_editor_is_told_what_a_key_means() -> None:
    properties = SCHEMAS["agent"]["properties"]

    assert properties["trust_text"]["description"].startswith("whether the request's text vouches")
    assert properties["moves"]["default"]["all"] == {"hour": "2000.00", "day": "10000.00"}
    undescribed = [name for name, one in properties.items() if "description" not in one]
    assert undescribed == []
    assert set(meanings(Limits)) == set(Limits.model_fields)


def test_the_schemas_are_what_the_models_say() -> None:
    assert schemas.main(["--check"]) == 0


def test_a_schema_for_editors_that_differs_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(schemas, "EDITORS", tmp_path)
    assert schemas.main([]) == 0
    (tmp_path / "agent.schema.json").write_text("{}")
    (tmp_path / "forgotten.schema.json").write_text("{}")
    capsys.readouterr()

    assert schemas.main(["--check"]) == 1

    assert capsys.readouterr().err.count("python -m localcloud.schemas") == 2
