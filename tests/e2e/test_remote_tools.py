"""A run in the local cloud that calls tools of an HTTP server, through the template's own workflow and rights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.log.events import CallIntended
from ballast.run import Run
from localcloud.cloud import ROOT, LocalCloud
from localcloud.converse.source import CallableModel, said
from localcloud.replay.lane import Lane
from localcloud.replay.machine import Machine
from localcloud.replay.recorded import RecordedRun
from tests.support.remote_desk import CREATE, KEY, Desk, declare, desk_server, pinned, tools

PLAYBOOK = ROOT / "tests" / "workflow" / "playbook"
ASKED: list[dict[str, Any]] = []
FOLDER: list[Path] = []


def model(request: Any, _: str) -> Any:
    """Find, then create, then answer."""
    ASKED.append(request)
    turn = sum(message["role"] == "assistant" for message in request["messages"])
    calls = [("desk_find", {"key": "x"}), ("desk_create", {"text": "no power"})]
    if "no light" in json.dumps(request["messages"][0]):
        calls = [("desk_open", {"text": "no light"})]
    if turn < len(calls):
        name, arguments = calls[turn]
        use = {"toolUse": {"toolUseId": f"t-{turn}", "name": name, "input": arguments}}
        return said([use], "tool_use", request)
    return said([{"text": "There is a ticket."}], "end_turn", request)


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with Desk() as opened:
        yield opened


@pytest.fixture(scope="module")
def cloud(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    playbook: Path = tmp_path_factory.mktemp("layer") / "itdesk"
    shutil.copytree(PLAYBOOK, playbook, ignore=shutil.ignore_patterns("__pycache__"))
    by_text = {"tool": "desk_find", "arguments": {"key": {"argument": "/text"}}, "found": "/items/0"}
    opens = {"effect": "write", "marks": {"/text": "free_text"}, "verify": by_text}
    opens |= {"pinned": pinned("open", CREATE, {"method": "POST", "path": "/tickets"})}
    declare(playbook, "desk", desk_server(url=desk.url), tools(KEY, open=opens))
    with LocalCloud(playbook, model=CallableModel(model), enforce_iam=True) as opened:
        FOLDER.append(playbook)
        yield opened


def run(cloud: LocalCloud, request_id: str, text: str = "No power in the office: no power.") -> Run:
    run_id = cloud.start(RunRequest(request_id=request_id, text=text))
    cloud.wait(run_id, 120)
    return cloud.events(run_id)


def test_a_run_calls_the_tools_of_a_server_once_even_if_an_answer_is_lost(cloud: LocalCloud, desk: Desk) -> None:
    desk.trouble.append("lost")

    ended = run(cloud, "r-1")

    assert [(one.call.tool, one.status) for one in ended.calls] == [("desk_find", "ok"), ("desk_create", "ok")]
    assert [one["text"] for one in desk.tickets] == ["no power"]
    offered = {one["toolSpec"]["name"] for one in ASKED[-1]["toolConfig"]["tools"]}
    assert {"desk_find", "desk_create", "desk_close"} <= offered
    assert "no power" in json.dumps(ASKED[-1]["messages"])


def test_a_verify_that_looks_before_finds_what_is_new_and_its_record_replays(cloud: LocalCloud, desk: Desk) -> None:
    desk.trouble.append("lost")
    desk.seen.clear()

    ended = run(cloud, "r-2", "There is no light.")

    assert [(one.call.tool, one.status) for one in ended.calls] == [("desk_open", "ok")]
    assert [one["method"] for one in desk.seen] == ["GET", "POST", "GET"]
    intended = ended.fact(CallIntended, 1, 1)
    assert intended is not None
    assert intended.looked == "nothing"
    desk.seen.clear()
    with Machine(Lane.baseline(FOLDER[-1])) as machine:
        played = machine.play(RecordedRun.of(list(ended), "r-2"))
    assert (played.is_same, desk.seen) == (True, []), str(played.difference)
