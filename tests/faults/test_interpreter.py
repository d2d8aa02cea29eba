"""The fault matrix and the local cloud play the same runs through the same states to the same end."""

from collections.abc import Mapping
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.playbook import load_playbook
from ballast.runtime import utc_now
from localcloud.clock import VirtualClock
from localcloud.cloud import PLAYBOOK, LocalCloud
from localcloud.converse.script import ScriptModel
from localcloud.converse.source import Reply
from localcloud.project import seed_store
from tests.faults.play import play
from tests.faults.scenarios import BY_NAME, Scenario
from tests.faults.world import World
from tests.support.sampling import sampled
from tests.support.tables_in_memory import Tables

#: Those without a wait of hours, without an operator, and without what only the desk of this folder may do.
ALL = (
    "reads only",
    "two writes",
    "gives up half way",
    "approved",
    "rejected",
    "guided by a person",
    "a person acts",
    "the model is away",
    "not admitted",
)
#: One of each way to end; the first only reads.
FEW = ("reads only", "two writes", "gives up half way", "guided by a person", "not admitted")
NAMES = sampled(ALL, FEW)
#: How a run went: the states that it entered, its status and its output.
Way = tuple[list[str], str, Any]


class Scripts:
    """All scenarios' scripts: the one whose text the conversation begins with."""

    def __init__(self) -> None:
        self._scripts = {BY_NAME[name].name: ScriptModel.of(BY_NAME[name].says) for name in NAMES if BY_NAME[name].says}

    def reply(self, request: Mapping[str, Any], model_id: str, /) -> Reply:
        said = request["messages"][0]["content"][0]["text"]
        return self._scripts[said.split("[", 1)[1].split("]", 1)[0]].reply(request, model_id)


def _named(scenario: Scenario) -> RunRequest:
    """Its request, with its name in the text: several scenarios ask for the same."""
    request = dict(scenario.request) | {"reply_to": None}
    return RunRequest.model_validate(request | {"text": f"[{scenario.name}] {scenario.text}"})


@pytest.fixture(scope="module")
def in_the_local_cloud() -> dict[str, Way]:
    load_playbook(PLAYBOOK)  # its folder is no place where Python looks by itself
    clock = VirtualClock(utc_now())
    with LocalCloud(model=Scripts(), clock=clock, dynamodb=Tables()) as cloud:
        _seed(cloud)
        left = {_named(BY_NAME[name]).run_id: list(BY_NAME[name].answers) for name in NAMES}

        def answer(function: str, payload: dict[str, Any], result: Any) -> None:
            if function == "OpenEscalationFunction" and left.get(payload["run_id"]):
                said = {"escalation_id": result["escalation_id"], "by": "ann", **left[payload["run_id"]].pop(0)}

                def act() -> None:
                    clock.pause(1)
                    cloud.invoke("AnswerEscalationFunction", said)

                clock.thread(act, "a person")

        cloud.after_invoke.append(answer)
        # Two at once, of which at most one writes: the shop is made new before the others alone.
        runs = {name: cloud.start(_named(BY_NAME[name])) for name in NAMES[:2]}
        ways = {name: _way(cloud, run_id) for name, run_id in runs.items()}
        for name in NAMES[2:]:  # one after the other: several of them want the same order
            _seed(cloud)
            ways[name] = _way(cloud, cloud.start(_named(BY_NAME[name])))
    # The cloud is closed: a process has room for one, and the world is another.
    return ways


def _way(cloud: LocalCloud, run_id: str) -> Way:
    ended = cloud.wait(run_id, 24 * 3600)
    entered = [event for event in cloud.history(run_id) if event["type"].endswith("StateEntered")]
    return [event["stateEnteredEventDetails"]["name"] for event in entered], ended.status, ended.output


def _seed(cloud: LocalCloud) -> None:
    """Make the shop new, and today one on which nothing was moved."""
    seed_store(cloud, load_playbook(PLAYBOOK), 1, {"customers": 5, "orders": 10})
    dynamodb, moves = cloud.session.client("dynamodb"), cloud.physical_id("MovesTable")
    for item in dynamodb.scan(TableName=moves)["Items"]:
        dynamodb.delete_item(TableName=moves, Key={name: item[name] for name in ("account", "window")})


def test_the_same_runs_go_the_same_way(in_the_local_cloud: dict[str, Way], world: World) -> None:
    for name, (states, status, output) in in_the_local_cloud.items():
        execution = play(world, BY_NAME[name]).execution

        assert execution is not None
        without_id = dict(output) | {"run_id": BY_NAME[name].run_id} if "run_id" in output else output
        assert (execution.visited, execution.status, execution.output) == (states, status, without_id), name
