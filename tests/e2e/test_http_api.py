"""The HTTP API over the whole stack, with only each role's own rights."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from localcloud.clock import WallClock
from localcloud.cloud import LocalCloud
from localcloud.converse.server import ConverseServer
from localcloud.converse.source import CallableModel, Reply, said
from tests.functions.http import ACME, OPERATOR, event

PLAYBOOK = Path(__file__).parents[1] / "workflow" / "playbook"


def model(request: Mapping[str, Any], model_id: str) -> Reply:
    """Echo what was asked; what it cannot do goes to people."""
    text = request["messages"][0]["content"][0]["text"]
    if text.startswith("Hard"):
        return said([{"text": "…"}], "guardrail_intervened", request)
    return said([{"text": f"You said: {text}"}], "end_turn", request)


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with (
        ConverseServer(CallableModel(model)) as double,
        LocalCloud(PLAYBOOK, double.url, enforce_iam=True, clock=WallClock(sleep=lambda _: None)) as cloud,
    ):
        yield cloud


def ask(cloud: LocalCloud, method: str, path: str, **more: Any) -> tuple[int, Any]:
    """Send a request the way API Gateway would, and return its status and its body's JSON."""
    routes = {route.key: route for route in cloud.routes}
    kind = "/".join("{escalation_id}" if part.startswith("esc-") else part for part in path.split("/"))
    route = routes.get(f"ANY {kind}", routes["$default"])
    answered = cloud.invoke(route.function, event(method, path, **more))
    return answered["statusCode"], json.loads(answered["body"])


def test_a_run_is_started_waited_for_listed_and_read(cloud: LocalCloud) -> None:
    body, headers = {"text": "Hello."}, {"idempotency-key": "e2e", "prefer": "wait=20"}

    status, run = ask(cloud, "POST", "/runs", who=ACME, body=body, headers=headers)

    assert (status, run["status"], run["answer"], run["by"]) == (200, "answered", "You said: Hello.", "agent")
    assert ask(cloud, "POST", "/runs", who=ACME, body=body, headers=headers) == (200, run)
    assert ask(cloud, "GET", f"/runs/{run['run_id']}", who=ACME) == (200, run)
    for query in ({}, {"status": "answered"}):
        status, page = ask(cloud, "GET", "/runs", who=ACME, query=query)
        assert [one["run_id"] for one in page["runs"]] == [run["run_id"]]
    status, log = ask(cloud, "GET", f"/runs/{run['run_id']}/events", who=ACME)
    assert [one["seq"] for one in log["events"]] == [one.seq for one in cloud.events(run["run_id"])]


def waiting(cloud: LocalCloud, run_id: str) -> dict[str, Any]:
    """Return the run, once it waits for people."""
    while True:
        _, run = ask(cloud, "GET", f"/runs/{run_id}")
        if run["status"] == "waiting":
            return dict(run)
        assert cloud.status(run_id) == "RUNNING", run
        time.sleep(0.02)


def test_an_escalation_is_found_and_answered(cloud: LocalCloud) -> None:
    status, run = ask(cloud, "POST", "/runs", body={"text": "Hard."}, headers={"prefer": "wait=1"})
    assert status == 202
    run = waiting(cloud, run["run_id"])

    status, page = ask(cloud, "GET", "/escalations")
    (question,) = [one for one in page["escalations"] if one["run_id"] == run["run_id"]]
    assert question["escalation_id"] == run["escalation_id"]
    path = f"/escalations/{question['escalation_id']}"
    assert ask(cloud, "GET", path)[0] == 200
    assert ask(cloud, "GET", path, who=ACME)[0] == 404
    answer = {"decision": {"kind": "answer", "text": "Easy."}}
    assert ask(cloud, "POST", path, body=answer)[0] == 403  # they asked for the run
    assert ask(cloud, "POST", path, who=OPERATOR.replace("/ann", "/lee"), body=answer)[0] == 200

    cloud.wait(run["run_id"], 600)
    status, run = ask(cloud, "GET", f"/runs/{run['run_id']}")
    assert (run["status"], run["by"], run["answer"]) == ("answered", "human", "Easy.")
    assert cloud.events(run["run_id"])[-1].seq.startswith("9999.")


def test_a_cancelled_run_ends_as_aborted(cloud: LocalCloud) -> None:
    _, run = ask(cloud, "POST", "/runs", body={"text": "Hard, again."})
    waiting(cloud, run["run_id"])

    assert ask(cloud, "POST", f"/runs/{run['run_id']}/cancel", who=OPERATOR)[0] == 202

    cloud.wait(run["run_id"], 600)
    assert ask(cloud, "GET", f"/runs/{run['run_id']}")[1]["status"] == "aborted"
    assert ask(cloud, "POST", f"/runs/{run['run_id']}/cancel")[0] == 409
    assert run["run_id"] in str(ask(cloud, "GET", "/runs", query={"status": "aborted"}))


def test_the_api_has_an_address_and_its_routes_lead_to_its_three_functions(cloud: LocalCloud) -> None:
    assert cloud.outputs["ApiUrl"].startswith("https://")
    assert {route.function for route in cloud.routes} == {"ApiFunction", "PeopleApiFunction", "BudgetApiFunction"}
