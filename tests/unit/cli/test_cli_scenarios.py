"""Scenarios as data: complete and readable; every difference of an ending is reported."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts.timeline import Call, Timeline, Turn
from ballast.errors import InvalidInput
from cli import main
from cli.saved_runs import SavedRuns
from cli.scenario_runs import Played
from cli.screen import Screen
from localcloud.converse import ScriptModel
from localcloud.scenarios import Scenario, find, names, scenario, unmet

ENDED = Timeline(run_id="run-x", status="answered", ending="", by="human", degraded=True, reason="turn_limit")


def as_expected(table: str, key: dict[str, str]) -> dict[str, Any]:
    wanted = find("rollback").expect.store
    return next(dict(item.attributes) for item in wanted if (item.table, item.key) == (table, key))


@pytest.mark.parametrize("name", names())
def test_each_scenario_and_its_script_can_be_read(name: str) -> None:
    assert find(name).request.request_id == f"demo-{name}"
    assert ScriptModel.read(find(name).script)


def test_a_run_that_ended_as_expected_has_nothing_unmet() -> None:
    assert unmet(find("rollback"), ENDED, as_expected) == []


def test_each_difference_is_a_sentence_of_its_own() -> None:
    refused = Turn(
        turn=1,
        planner="agent",
        calls=(
            Call(index=1, tool="x", outcome="refused", error="UnknownTool"),
            Call(index=2, tool="y", outcome="ok"),
            Call(index=3, tool="z", outcome="failed", message="It broke."),
        ),
    )
    ended = ENDED.model_copy(
        update={"status": "failed", "by": "", "degraded": False, "reason": "deadline", "turns": (refused,)}
    )
    found = {"OrdersTable": {"status": "cancelled"}}

    wrong = unmet(find("rollback"), ended, lambda table, key: found.get(table))

    assert wrong == [
        "status: expected 'answered', was 'failed'",
        "by: expected 'human', was ''",
        "degraded: expected True, was False",
        "reason: expected 'turn_limit', was 'deadline'",
        "refused calls: expected [], was ['UnknownTool']",
        "failed calls: expected [], was ['z']",
        "  z: It broke.",
        "store: OrdersTable O-1002: status expected 'paid', was 'cancelled'",
        "store: OrdersTable O-1002: refunded_cents expected 0, was None",
        "store: CustomersTable C-1001: is not there",
    ]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("- a list", "is empty, or no mapping"),
        ("description: [", "is not YAML"),
        ("description: x\nrequest: {intent: refund}\nexpect: {status: answered}", "request.text: Field required"),
        ("description: x\nrequest: {request_id: r, text: Hi}\nexpect: {status: fine}", "expect.status"),
        ("descriptoin: x", "descriptoin: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_scenario_names_its_file_and_field(
    content: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenario, "FOLDER", tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "scenario.yaml").write_text(content)

    with pytest.raises(InvalidInput, match=complaint) as refused:
        find("mine")

    assert str(tmp_path / "mine" / "scenario.yaml") in str(refused.value)


def play_with(wrong: dict[str, list[str]]) -> Callable[..., Played]:
    """Stand in for the run itself: scenarios that end as ``wrong`` says, by name."""

    def play(chosen: Scenario, *, screen: Screen, saved_runs: SavedRuns) -> Played:
        ended = Timeline(
            run_id="run-x", status="answered", ending="", by=chosen.expect.by or "", reason=chosen.expect.reason
        )
        return Played(chosen, ended, wrong.get(chosen.name, []))

    return play


def test_all_scenarios_end_in_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("cli.commands.demo.play", play_with({}))

    assert main(["demo", "all"]) == 0

    table = capsys.readouterr().out.splitlines()[-len(names()) - 1 :]
    assert table[0].split() == ["scenario", "expected", "end", "actual", "end", "ok"]
    assert [line.split()[0] for line in table[1:]] == names()
    assert all(line.endswith("yes") for line in table[1:])


@pytest.mark.parametrize("chosen", ["all", "loop"])
def test_a_scenario_that_ended_otherwise_is_named_with_exit_code_1(
    chosen: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.commands.demo.play", play_with({"loop": ["by: expected 'fallback', was 'agent'"]}))

    assert main(["demo", chosen]) == 1

    assert "loop: not as expected: by: expected 'fallback', was 'agent'" in capsys.readouterr().out
