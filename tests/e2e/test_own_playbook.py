"""A playbook of another name is served by every front door, wherever its folder lies in the layer."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.errors import PlaybookInvalid
from ballast.playbook import load_playbook
from localcloud.clock import VirtualClock
from localcloud.cloud import ROOT, LocalCloud
from localcloud.converse.source import CallableModel, said
from tests.functions.http import ACME, event

PLAYBOOK = ROOT / "tests" / "workflow" / "playbook"


def answers(request: Any, _: str) -> Any:
    return said([{"text": "It is seven."}], "end_turn", request)


def itdesk(folder: Path) -> Path:
    """Make a playbook of its own name in ``folder``."""
    shutil.copytree(PLAYBOOK, folder)
    agent = folder / "agent.yaml"
    lines = [line for line in agent.read_text().splitlines() if not line.startswith("name:")]
    agent.write_text("\n".join(["name: itdesk", *lines]))
    return folder


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    layer = tmp_path_factory.mktemp("python")
    itdesk(layer / "itdesk")
    (layer / "pydantic").mkdir()  # a layer holds packages beside the playbook
    with LocalCloud(layer, model=CallableModel(answers), clock=VirtualClock()) as opened:
        yield opened


def ended(cloud: LocalCloud, request_id: str, **fields: Any) -> str:
    """Return how the request's run ended, and whose it was."""
    run_id = RunRequest(request_id=request_id, text="x", **fields).run_id
    until = time.monotonic() + 30
    while not any(event.name in ("run.ended", "run.refused") for event in cloud.events(run_id)):
        assert time.monotonic() < until
        time.sleep(0.02)
    events = cloud.events(run_id)
    agent = events[0].body["request"]["agent"]
    last = next(event for event in events if event.name in ("run.ended", "run.refused"))
    return f"{agent} {last.body.get('status', last.name)}"


def test_a_message_without_an_agent_is_for_the_one_that_is_deployed(cloud: LocalCloud) -> None:
    body = json.dumps({"request_id": "queue", "text": "How many?"})
    cloud.session.client("sqs").send_message(QueueUrl=cloud.physical_id("RunRequestQueue"), MessageBody=body)
    cloud.pump()

    assert ended(cloud, "queue") == "itdesk answered"


def test_so_is_a_request_to_the_function_and_an_event(cloud: LocalCloud) -> None:
    cloud.invoke("StartFunction", {"request_id": "function", "text": "How many?"})
    detail = json.dumps({"request_id": "event", "text": "How many?", "stack": "ballast-local"})
    entry = {"Source": "ballast", "DetailType": "Run Requested", "Detail": detail}
    cloud.session.client("events").put_events(Entries=[entry])
    cloud.pump()

    assert ended(cloud, "function") == "itdesk answered"
    assert ended(cloud, "event") == "itdesk answered"


def test_so_is_a_request_over_http(cloud: LocalCloud) -> None:
    sent = event("POST", "/runs", who=ACME, body={"text": "How many?"}, headers={"prefer": "wait=20"})

    answered = cloud.invoke("ApiFunction", sent)

    run = json.loads(answered["body"])
    assert (answered["statusCode"], run["agent"], run["status"]) == (200, "itdesk", "answered")


@pytest.mark.parametrize("agent", ["itdesk", None])
def test_an_agent_may_be_named_by_its_name(cloud: LocalCloud, agent: str | None) -> None:
    sent = {"request_id": f"named-{agent}", "text": "How many?", "agent": agent}
    cloud.invoke("StartFunction", sent)

    assert ended(cloud, f"named-{agent}") == "itdesk answered"


def test_another_name_is_refused_with_the_one_that_there_is(cloud: LocalCloud) -> None:
    cloud.invoke("StartFunction", {"request_id": "wrong", "text": "How many?", "agent": "support"})

    assert ended(cloud, "wrong") == "support run.refused"
    [refused] = [one for one in cloud.events(RunRequest(request_id="wrong", text="x").run_id) if "refused" in one.seq]
    assert "'itdesk'" in refused.body["message"]


def test_a_repeat_that_names_no_agent_finds_what_an_older_version_started(cloud: LocalCloud) -> None:
    sent = {"request_id": "older", "text": "How many?"}
    old = RunRequest.model_validate(sent | {"agent": "support"})

    assert RunRequest.model_validate(sent).digest == old.digest
    assert RunRequest.model_validate(sent | {"agent": "itdesk"}).digest != old.digest


@pytest.mark.parametrize("layout", ["in a folder of its own", "at the top"])
def test_a_layer_may_hold_the_playbook_under_any_name(tmp_path: Path, layout: str) -> None:
    layer = tmp_path / "python"
    itdesk(layer if layout == "at the top" else layer / "whatever")
    (layer / "yaml").mkdir(exist_ok=True)

    assert load_playbook(layer).agent.name == "itdesk"


def test_two_playbooks_in_a_layer_are_refused_by_name(tmp_path: Path) -> None:
    itdesk(tmp_path / "one")
    itdesk(tmp_path / "two")

    with pytest.raises(PlaybookInvalid, match=r"several playbooks \(one, two\)"):
        load_playbook(tmp_path)


def test_a_folder_without_any_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(PlaybookInvalid, match=r"agent\.yaml: cannot be read"):
        load_playbook(tmp_path)
