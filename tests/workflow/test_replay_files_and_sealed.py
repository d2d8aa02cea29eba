"""Replay and what-if of runs with attachments and with sealed values, as they are exported: content and values gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.log import exported
from ballast.log.exported import ExportedRun
from ballast.masking import MASK
from cli.commands.run import attach, attached_file
from localcloud.clock import VirtualClock
from localcloud.cloud import LocalCloud
from localcloud.converse.source import CallableModel, Reply, said, turns_taken
from localcloud.replay.lane import Lane
from localcloud.replay.machine import Machine
from localcloud.replay.recorded import RecordedRun
from localcloud.replay.what_if import Compared, Result, compared
from tests.support.files import png
from tests.support.tables_in_memory import Tables

VAULT = Path(__file__).parents[1] / "e2e" / "vault"
BASELINE = Lane.baseline(VAULT)
TAX_NUMBER, CARD, PIN = "078-05-1120", "4111 1111 1111 1111", "93571-55"


def reply(request: Mapping[str, Any], _: str) -> Reply:
    """Look Ann up and keep a card in the run that says so, and end."""
    turn, keeps = turns_taken(request), "Keep" in request["messages"][0]["content"][0]["text"]
    calls = [("look_into", {"name": "Ann"}), ("keep_card", {"card_number": CARD, "note": "new"})] if keeps else []
    if turn >= len(calls):
        return said([{"text": f"Card {CARD}: done. The pin is {PIN}." if keeps else "Done."}], "end_turn", request)
    tool, arguments = calls[turn]
    used = {"toolUse": {"toolUseId": f"c{turn}", "name": tool, "input": arguments}}
    return said([used], "tool_use", request)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ExportedRun]:
    """Both runs, as they are read from their exports."""
    folder = tmp_path_factory.mktemp("files")
    files = [str(folder / "a.png"), str(folder / "b.png")]
    for file, content in zip(files, (png(), png(2, 2)), strict=True):
        Path(file).write_bytes(content)
    sent = tuple(one for one, _ in map(attached_file, files))
    sealed = RunRequest(request_id="sealed", text="Keep my card.", context={"tax_number": TAX_NUMBER})
    attached = RunRequest(request_id="files", text="What is this?", attachments=sent)
    found = {}
    with LocalCloud(VAULT, model=CallableModel(reply), clock=VirtualClock(), dynamodb=Tables()) as cloud:
        for request, more in ((sealed, []), (attached, files)):
            attach(cloud, request, more)
            cloud.start(request)
            execution, events = cloud.wait(request.run_id, 600), cloud.events(request.run_id)
            assert execution.output["status"] == "answered", [one.body for one in events]
            text = "\n".join(exported.write(request.run_id, events, title=request.request_id))
            assert not any(one in text for one in (TAX_NUMBER, CARD, PIN))
            (found[request.request_id],) = exported.read_text(text, "x")
    return found


def what_if(run: ExportedRun, **changes: Any) -> Compared:
    candidate = replace(BASELINE, name="candidate", goes_on=True, changes=changes)
    (found,) = compared(BASELINE, candidate, [run], workers=1)
    return found


def test_runs_with_files_and_sealed_values_replay_from_their_exports(
    runs: dict[str, ExportedRun],
) -> None:
    with Machine(BASELINE) as machine:
        played = {name: machine.play(RecordedRun.of(one.events)) for name, one in runs.items()}

    assert {name: str(one.difference) for name, one in played.items() if not one.is_same} == {}
    assert MASK in str([one.shown for one in runs["sealed"].events])
    assert "0000.run.opened request_sha256" in played["sealed"].unchecked
    assert set(played["sealed"].unchecked.values()) == {"sealed"}
    assert played["files"].unchecked == {}


def test_what_if_of_sealed_values_is_exact_up_to_the_stop(runs: dict[str, ExportedRun]) -> None:
    same, stopped = (
        what_if(runs["sealed"], **{"limits.turns": 5}),
        what_if(runs["sealed"], **{"limits.turns": 2}),
    )

    assert (same.result, same.low, same.high) == (Result.SAME, same.recorded.cost_microusd, same.recorded.cost_microusd)
    assert (stopped.result, stopped.candidate.turns, stopped.fewer) == (Result.STOPPED_EARLIER, 2, ())
    assert 0 < stopped.low <= stopped.high < stopped.recorded.cost_microusd
    assert not any(one in repr((same, stopped)) for one in (TAX_NUMBER, CARD, PIN))


def test_what_if_of_files_has_their_count_as_a_limit_and_their_content_in_no_prompt(
    runs: dict[str, ExportedRun],
) -> None:
    refused, other = (
        what_if(runs["files"], **{"limits.attachments": 1}),
        what_if(runs["files"], instructions="Brief."),
    )

    assert (refused.candidate.status, refused.candidate.turns, refused.high) == ("refused", 0, 0)
    assert other.result is Result.OFF_THE_RECORD
    assert "another prompt would be sent (system)" in other.why
