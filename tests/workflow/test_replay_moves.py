"""Room for moved money, and a model that refuses: what a replay takes from the record, and what it does not."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ballast.log.exported import ExportedRun
from localcloud.cloud import PLAYBOOK
from localcloud.replay.lane import Lane, Replayed
from localcloud.replay.machine import Machine
from localcloud.replay.recorded import RecordedRun
from localcloud.replay.what_if import Compared, compared
from tests.support.recorded_runs import recorded_runs

RUNS = ("no-access", "moves", "moves-again")
#: Both refunds are of 10.00 USD, for the same customer.
TIGHT = {"customer": {"hour": "15.00", "day": "15.00"}, "on_full": "ask"}
SECOND = "region.amazon.nova-pro-v1:0"


def desk(folder: Path, moves: Mapping[str, Any]) -> Path:
    shutil.copytree(PLAYBOOK, folder / "playbook")
    file = folder / "playbook" / "agent.yaml"
    agent = yaml.safe_load(file.read_text(encoding="utf-8"))
    agent["second_model"] = SECOND
    agent["moves"] = {**agent["moves"], **moves}
    file.write_text(yaml.safe_dump(agent), encoding="utf-8")
    return folder / "playbook"


def recorded_at(playbook: Path) -> dict[str, RecordedRun]:
    return {one.source: one for one in recorded_runs(playbook, only=RUNS)}


def replayed(playbook: Path, runs: Mapping[str, RecordedRun]) -> dict[str, Replayed]:
    with Machine(Lane.baseline(playbook)) as machine:
        return {name: machine.play(run) for name, run in runs.items()}


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return desk(tmp_path_factory.mktemp("tight"), TIGHT)


@pytest.fixture(scope="module")
def runs(tight: Path) -> dict[str, RecordedRun]:
    return recorded_at(tight)


def names(run: RecordedRun) -> list[str]:
    return [one.name for one in run.events]


def what_if(playbook: Path, runs: Mapping[str, RecordedRun], changes: Mapping[str, Any]) -> dict[str, Compared]:
    baseline = Lane.baseline(playbook)
    candidate = replace(baseline, name="candidate", changes=changes, goes_on=True)
    given = (ExportedRun(one.run_id, one.events.events, one.source) for one in runs.values())
    return {one.source: one for one in compared(baseline, candidate, given, workers=1)}


def test_a_window_that_other_runs_filled_and_a_refusing_model_replay_as_recorded(
    tight: Path, runs: dict[str, RecordedRun]
) -> None:
    again = runs["moves-again"]
    assert "call.approval_needed" in names(again)  # other runs had filled the window, and a person was asked
    assert any(one.body.get("error") == "MoveRefused" for one in again.events)
    assert names(runs["no-access"]).count("model.requested") > names(runs["no-access"]).count("model.responded")

    played = replayed(tight, runs)

    assert {name: (str(one.difference), one.notes) for name, one in played.items() if not one.is_same} == {}
    assert [note for one in played.values() for note in one.notes] == []  # and no death is invented


def test_a_ceiling_that_an_operator_had_raised_is_taken_from_the_record_and_told(
    runs: dict[str, RecordedRun], tmp_path: Path
) -> None:
    lower = desk(tmp_path, {"run": "5.00"})

    played = replayed(lower, {"moves": runs["moves"]})["moves"]

    assert played.is_same
    assert any("an operator's ceiling gave call 1 of turn 2 room" in note for note in played.notes)


@pytest.mark.parametrize(
    ("changes", "moves", "again"),
    [
        ({"moves.run": "5.00"}, "stopped earlier", "off the record"),
        ({"moves.customer.hour": "500.00"}, "same", "off the record"),
        ({"moves.tenant.day": "12.00"}, "off the record", "off the record"),
        ({"moves.on_full": "refuse"}, "same", "off the record"),
    ],
)
def test_a_changed_ceiling_is_exact_only_where_the_run_alone_decides(
    tight: Path, runs: dict[str, RecordedRun], changes: dict[str, Any], moves: str, again: str
) -> None:
    told = what_if(tight, {name: runs[name] for name in RUNS[1:]}, changes)

    assert (told["moves"].result.value, told["moves-again"].result.value) == (moves, again)
