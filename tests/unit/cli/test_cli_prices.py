"""``ballast prices``: cards and prices as people and machines read them, and a check that names every problem."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from ballast.models.catalog import VENDORS, Catalog
from cli import main
from cli.commands.prices import problems
from cli.exits import Exit

NOVA, HAIKU = "amazon.nova-pro-v1:0", "anthropic.claude-haiku-4-5-20251001-v1:0"
ARN = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/desk"
AGENT = f"name: a\nmodel: {NOVA}\ninstructions: Help.\n"
CARD = {"vendor": "Acme", "as_of": "2026-01-01", "context_window": 9, "max_output": 9, "prices": []}


@pytest.fixture
def playbook(tmp_path: Path) -> Path:
    (tmp_path / "agent.yaml").write_text(AGENT, encoding="utf-8")
    return tmp_path


def write(playbook: Path, models: Any) -> None:
    (playbook / "models.yaml").write_text(yaml.safe_dump(models), encoding="utf-8")


def test_every_model_is_listed_with_its_price(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices"]) == Exit.OK

    printed = capsys.readouterr().out
    assert [model for model in Catalog().ids() if f"\n{model}  " not in f"\n{printed}"] == []
    assert "Nova Pro  0.80 in, 3.20 out, cache read 0.20, write 0.80; in-region 120 %" in printed


def test_words_narrow_the_list_by_id_name_and_vendor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices", "AMAZON", "PRO-v1", "--json"]) == Exit.OK
    assert [card["id"] for card in json.loads(capsys.readouterr().out)] == [NOVA]

    assert main(["prices", "no-such-model"]) == Exit.OK
    assert "No model" in capsys.readouterr().out


def test_a_card_shows_its_facts_each_with_the_number_of_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices", "--model", f"eu.{HAIKU}"]) == Exit.OK

    lines = capsys.readouterr().out.splitlines()
    fact = next(line for line in lines if line.startswith("  cache "))
    number = fact.rpartition("[")[2].removesuffix("]").partition(",")[0]
    assert "places tools, system, messages; least_tokens 4096; ttls 5m, 1h" in fact
    source = next(line for line in lines if line.startswith(f"  [{number}] "))
    assert f"  eu.{HAIKU} today: 1.10 in, 5.50 out, cache read 0.11, write 1.375 (1h 2.20)" in lines
    assert any(line.startswith("  version 2026-11-01, from 2025-01-01") for line in lines)

    assert main(["prices", "--model", HAIKU, "--json"]) == Exit.OK
    first = json.loads(capsys.readouterr().out)["sources"]["cache"][0]
    assert first["address"] in source
    assert first["title"] in source


def test_a_card_as_json_has_the_price_of_the_id_that_was_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices", "--model", f"eu.{HAIKU}", "--json"]) == Exit.OK

    card = json.loads(capsys.readouterr().out)
    assert (card["id"], card["price"]["output"]) == (HAIKU, 5_500_000)
    assert card["sources"]["cache"][0]["address"].startswith("https://")


def test_an_unknown_model_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices", "--model", "amazon.nova-pro"]) == Exit.USAGE
    assert f"Similar: {NOVA}" in capsys.readouterr().err


def test_a_folder_that_is_no_playbook_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices", "--playbook", str(tmp_path)]) == Exit.USAGE
    assert "agent.yaml" in capsys.readouterr().err


def test_a_playbooks_cards_and_arns_are_shown(playbook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    price = {"version": "mine", "valid_from": "2026-01-01", "input": 5, "output": 6}
    write(playbook, {"models": {"acme.one": CARD | {"prices": [price]}}, "arns": {ARN: f"eu.{HAIKU}"}})

    assert main(["prices", "acme", "--playbook", str(playbook)]) == Exit.OK
    assert "acme.one  acme.one  0.000005 in, 0.000006 out" in capsys.readouterr().out

    assert main(["prices", "--model", ARN, "--playbook", str(playbook), "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["price"]["output"] == 5_500_000


# Check


def test_the_shipped_cards_have_no_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices", "--check"]) == Exit.OK
    assert "well formed" in capsys.readouterr().out


def test_all_problems_of_a_playbook_are_shown_together(playbook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (playbook / "agent.yaml").write_text(AGENT + "second_model: acme.three\n", encoding="utf-8")
    write(
        playbook,
        {
            "models": {"acme.one": CARD | {"temperatur": True}, NOVA: {"context_window": 0}},
            "arns": {ARN: "acme.four", "desk": NOVA},
        },
    )

    assert main(["prices", "--check", "--playbook", str(playbook)]) == Exit.USAGE

    printed = capsys.readouterr().out
    for named in (
        "models.acme.one: temperatur: Extra",
        f"models.{NOVA}: context_window: ",
        f"arns.{ARN}: No model card for 'acme.four'",
        "arns.desk: is not an ARN",
        "agent.yaml: second_model: No model card for 'acme.three'",
    ):
        assert named in printed


@pytest.mark.parametrize(("day", "served"), [(date(2026, 10, 13), True), (date(2026, 10, 14), False)])
def test_a_model_that_bedrock_has_retired_is_a_problem_unless_the_playbook_says_otherwise(
    playbook: Path, day: date, served: bool
) -> None:
    sonnet = "anthropic.claude-sonnet-4-20250514-v1:0"
    (playbook / "agent.yaml").write_text(AGENT + f"second_model: us.{sonnet}\n", encoding="utf-8")

    found = [one for one in problems(playbook, today=day) if "second_model" in one]

    assert (found == []) is served
    assert (
        served
        or "'us.anthropic.claude-sonnet-4-20250514-v1:0' (Claude Sonnet 4) has been served until 2026-10-14" in found[0]
    )
    write(playbook, {"models": {sonnet: {"retires": None}}})
    assert not [one for one in problems(playbook, today=day) if "second_model" in one]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("models: [", "models.yaml: "),
        ("modells: {}\n", "modells: unknown. A file of cards has"),
        (
            f"models:\n  {NOVA}: {{}}\n  {HAIKU}: {{}}\n  {NOVA}: {{}}\n",
            f"line 4, column 3: the key '{NOVA}' stands twice",
        ),
        (f"models:\n  {NOVA}:\n    tools: true\n    tools: true\n", "line 4, column 5: the key 'tools' stands twice"),
    ],
)
def test_a_broken_file_of_a_playbook_is_named(playbook: Path, content: str, named: str) -> None:
    (playbook / "models.yaml").write_text(content, encoding="utf-8")

    found = list(problems(playbook))

    assert len(found) == 1
    assert named in found[0]


def test_a_broken_agent_yaml_is_a_problem(playbook: Path) -> None:
    (playbook / "agent.yaml").write_text("name: a\n", encoding="utf-8")

    assert [problem for problem in problems(playbook) if "agent.yaml" in problem]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (
            "  amazon.nova-micro-v1:0:",
            "  acme.nova-micro-v1:0:",
            "wrong file: the catalog looks for it in acme",
        ),
        ("    name: Nova Micro", "    name: Nova Micro\n    strict_tools: true", "no source for strict_tools"),
        (
            "    name: Nova Micro",
            f"    also: [{NOVA}]\n    name: Nova Micro",
            f"models.amazon.nova-micro-v1:0.also: {NOVA} is an id of {NOVA}, too",
        ),
    ],
)
def test_a_shipped_card_needs_its_file_its_own_id_and_sources(tmp_path: Path, old: str, new: str, named: str) -> None:
    vendors = tmp_path / "vendors"
    shutil.copytree(VENDORS, vendors)
    text = (vendors / "amazon.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    (vendors / "amazon.yaml").write_text(text.replace(old, new), encoding="utf-8")

    found = list(problems(None, vendors))

    assert len(found) == 1
    assert named in found[0]
