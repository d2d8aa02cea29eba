"""A run in the local cloud that calls tools of an HTTP server, through the template's own workflow and rights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.run import Run
from localcloud.cloud import ROOT, LocalCloud
from localcloud.converse.source import CallableModel, said
from tests.support.remote_desk import KEY, Desk, declare, desk_server, tools

PLAYBOOK = ROOT / "tests" / "workflow" / "playbook"
ASKED: list[dict[str, Any]] = []


def model(request: Any, _: str) -> Any:
    """Find, then create, then answer."""
    ASKED.append(request)
    turn = sum(message["role"] == "assistant" for message in request["messages"])
    calls = [("desk_find", {"key": "x"}), ("desk_create", {"text": "no power"})]
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
    declare(playbook, "desk", desk_server(url=desk.url), tools(KEY))
    with LocalCloud(playbook, model=CallableModel(model), enforce_iam=True) as opened:
        yield opened


def run(cloud: LocalCloud, request_id: str) -> Run:
    run_id = cloud.start(RunRequest(request_id=request_id, text="No power in the office: no power."))
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
