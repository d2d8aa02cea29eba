"""The agent asks the requester; the run waits, and continues with the reply in the conversation."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ballast.contracts import RunRequest
from localcloud.cloud import ROOT, LocalCloud
from localcloud.converse.server import ConverseServer
from localcloud.converse.source import CallableModel, Reply, said, turns_taken
from tests.functions.http import ACME, GLOBEX, event
from tests.support.tables_in_memory import Tables

PLAYBOOK = ROOT / "tests" / "workflow" / "playbook"


def asks_once(request: Mapping[str, Any], model_id: str) -> Reply:
    """Ask, and then say what the reply was."""
    call = {"toolUse": {"toolUseId": "q", "name": "ask_requester", "input": {"question": "Which counter?"}}}
    if request["messages"][0]["content"][0]["text"] == "both at once":
        other = {"toolUse": {"toolUseId": "r", "name": "read", "input": {"name": "x"}}}
        results = request["messages"][-1]["content"]
        if turns_taken(request) == 0:
            return said([call, other], "tool_use", request)
        return said([{"text": json.dumps([result["toolResult"]["status"] for result in results])}], "end_turn", request)
    if turns_taken(request) == 0:
        return said([call], "tool_use", request)
    result = request["messages"][-1]["content"][0]["toolResult"]
    return said([{"text": f"{result['status']}: {result['content'][0]['text']}"}], "end_turn", request)


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with (
        ConverseServer(CallableModel(asks_once)) as model,
        LocalCloud(playbook=PLAYBOOK, model_endpoint_url=model.url, enforce_iam=True, dynamodb=Tables()) as opened,
    ):
        yield opened


def call(cloud: LocalCloud, function: str, *request: Any, **more: Any) -> tuple[int, Any]:
    response = cloud.invoke(function, event(*request, **more))
    return response["statusCode"], json.loads(response["body"])


def start(cloud: LocalCloud, key: str) -> str:
    """Start a run as ACME, and return its id."""
    _, run = call(
        cloud, "ApiFunction", "POST", "/runs", who=ACME, body={"text": "Count."}, headers={"idempotency-key": key}
    )
    return str(run["run_id"])


def waiting(cloud: LocalCloud, run_id: str) -> dict[str, Any]:
    """Return the run as the API shows it, once it waits."""
    for _ in range(20_000):
        status, run = call(cloud, "ApiFunction", "GET", f"/runs/{run_id}", who=ACME)
        if status == 200 and run["status"] == "waiting":
            return dict(run)
        time.sleep(0.02)
    raise AssertionError(f"{run_id} does not wait")


def ending(cloud: LocalCloud, run_id: str) -> dict[str, Any]:
    """Return what the log says of the run's end."""
    return next(one.body for one in cloud.events(run_id) if one.name == "run.ended")


def test_the_reply_reaches_the_model_as_the_result_of_its_call(cloud: LocalCloud) -> None:
    run_id = start(cloud, "ask")
    shown = waiting(cloud, run_id)

    status, taken = call(cloud, "PeopleApiFunction", "POST", f"/runs/{run_id}/messages", who=ACME, body={"text": "A."})

    assert shown["question"] == "Which counter?"
    assert (status, taken.get("run_id")) == (202, run_id), taken
    assert cloud.wait(run_id, 600).output["by"] == "agent"
    assert ending(cloud, run_id)["answer"] == "success: A."


def test_only_the_tenant_of_the_run_may_reply_and_only_while_it_asks(cloud: LocalCloud) -> None:
    run_id = start(cloud, "ask-again")
    waiting(cloud, run_id)
    path, body = f"/runs/{run_id}/messages", {"text": "A."}

    foreign = call(cloud, "PeopleApiFunction", "POST", path, who=GLOBEX, body=body)
    own = call(cloud, "PeopleApiFunction", "POST", path, who=ACME, body=body)
    cloud.wait(run_id, 600)
    late = call(cloud, "PeopleApiFunction", "POST", path, who=ACME, body={"text": "B."})

    assert (foreign[0], own[0], late[0]) == (404, 202, 409)


def test_people_cannot_answer_in_the_requesters_place(cloud: LocalCloud) -> None:
    run_id = start(cloud, "ask-people")
    escalation = waiting(cloud, run_id)["escalation_id"]
    answer = {"decision": {"kind": "answer", "text": "By hand."}}

    status, _ = call(cloud, "PeopleApiFunction", "POST", f"/escalations/{escalation}", who=ACME, body=answer)

    assert status == 422
    cloud.stop(run_id)


def test_a_question_beside_another_call_is_refused_and_the_other_call_is_executed(cloud: LocalCloud) -> None:
    run_id = cloud.start(RunRequest(request_id="both", text="both at once", tenant="acme"))

    cloud.wait(run_id, 600)

    assert ending(cloud, run_id)["answer"] == '["error", "success"]'
