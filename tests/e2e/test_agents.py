"""Two agents in the local cloud: one hands the run over to the other, under the rights of the template."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ballast.contracts import RunRequest
from ballast.playbook import load_playbook
from cli.cost.explain import explained
from localcloud.cloud import ROOT, LocalCloud
from localcloud.converse.script import ScriptModel
from localcloud.converse.server import ConverseServer
from localcloud.converse.source import CallableModel, Reply
from localcloud.testing import Gate, LocalDesk, ScriptedModel
from tests.support.tables_in_memory import Tables

PLAYBOOK = ROOT / "tests" / "workflow" / "playbook"
PLAYS = ScriptedModel()
SCRIPT = ScriptModel.of(
    [
        {"call": [{"tool": "read", "arguments": {"name": "x"}}]},
        {"call": [{"tool": "hand_over", "arguments": {"agent": "second", "note": "Count it."}}]},
        {"call": [{"tool": "read", "arguments": {"name": "y"}}]},
        {"say": "Counted."},
    ]
)


def two_agents(folder: Path) -> Path:
    """Write a playbook with two agents, each with its own model, and return its folder."""
    copy = folder / "two_agents"
    shutil.copytree(PLAYBOOK, copy, ignore=shutil.ignore_patterns("__pycache__"))
    first = yaml.safe_load((copy / "agent.yaml").read_text(encoding="utf-8"))
    first |= {"hand_over_to": {"second": "When something is to be counted."}, "tools": ["read"]}
    second = {"model": "amazon.nova-micro-v1:0", "instructions": "You count.", "intents": first.get("intents", {})}
    (copy / "agent.yaml").write_text(yaml.safe_dump(first), encoding="utf-8")
    (copy / "agents").mkdir()
    (copy / "agents" / "second.yaml").write_text(yaml.safe_dump(second), encoding="utf-8")
    return copy


@pytest.fixture(scope="module")
def asked() -> list[tuple[str, Mapping[str, Any]]]:
    """Return the requests that the model gets, with the model's id."""
    return []


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[str, Mapping[str, Any]]]) -> Iterator[LocalCloud]:
    def reply(request: Mapping[str, Any], model_id: str) -> Reply:
        asked.append((model_id, request))
        return PLAYS.reply(request, model_id) if PLAYS._script else SCRIPT.reply(request, model_id)

    playbook = two_agents(tmp_path_factory.mktemp("playbook"))
    with (
        ConverseServer(CallableModel(reply)) as model,
        LocalCloud(playbook=playbook, model_endpoint_url=model.url, enforce_iam=True, dynamodb=Tables()) as opened,
    ):
        yield opened


def test_a_run_is_handed_over_and_answered_by_the_second_agent(
    cloud: LocalCloud, asked: list[tuple[str, Mapping[str, Any]]]
) -> None:
    run_id = cloud.start(RunRequest(request_id="both", text="Count x and y.", tenant="acme"))

    ended = cloud.wait(run_id, 600)

    assert ended.output["by"] == "agent"
    assert [request["requestMetadata"]["agent"] for _, request in asked] == ["support", "support", "second", "second"]
    assert [model for model, _ in asked][2:] == ["amazon.nova-micro-v1:0"] * 2
    run = cloud.events(run_id)
    assert run.ending is not None
    tables = explained([run]).tables()
    assert {one.name for one in tables["agent"]} == {"support", "second"}
    assert sum(one.charged for one in tables["agent"]) == run.usage.charged_microusd
    assert run.timeline().ending == "The agent answered after 4 turns."


def test_the_gate_takes_the_agent_that_is_offered_the_call_and_hands_over_where_a_test_says_so(
    cloud: LocalCloud, asked: list[tuple[str, Mapping[str, Any]]]
) -> None:
    desk = LocalDesk(cloud, load_playbook(cloud.environ("ExecutorFunction")["PLAYBOOK_DIR"]))
    gate, more = Gate(desk, PLAYS), ("raise_by", {"name": "x", "by": 2})
    to_second = ("hand_over", {"agent": "second", "note": "Count it."})
    try:
        assert gate.call(*more).timeline.agent == "second"
        assert gate.call("read", {"name": "x"}).timeline.agent == "support"
        handed = gate.call(*more, after=[("read", {"name": "x"}), to_second])
        assert (handed.status, handed.timeline.turns[1].pivot.to_agent) == ("ok", "second")
        with pytest.raises(AssertionError, match="after: hand_over to 'third' was not carried out: "):
            gate.call(*more, after=[("hand_over", {"agent": "third", "note": "Count it."})])
    finally:
        PLAYS.forget()
