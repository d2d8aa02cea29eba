"""Calls on behalf of the requester: their token reaches the server that wants it, and nothing else."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ballast.log.events import RunOpened
from cli.saved_runs import SavedRuns
from localcloud.clock import WallClock
from localcloud.cloud import ROOT, LocalCloud
from localcloud.converse.source import CallableModel, said
from localcloud.template import HttpRoute
from tests.functions.http import event
from tests.support.remote_desk import KEY, Desk, declare, desk_server, tools

PLAYBOOK = ROOT / "tests" / "workflow" / "playbook"
PERSON = "arn:aws:iam::123456789012:user/ballast-operator/"
ASKED: list[Any] = []


def model(request: Any, _: str) -> Any:
    """Create a ticket at the desk, read at the CRM, then answer; or ask the bank, whose call needs an approval."""
    ASKED.append(request)
    turn = sum(message["role"] == "assistant" for message in request["messages"])
    text = request["messages"][0]["content"][0]["text"].split("\n")[0]
    calls = [("desk_create", {"text": text}), ("crm_find", {"key": "x"})]
    calls = [("bank_create", {"text": text})] if text.startswith("pay") else calls
    if turn < len(calls):
        name, arguments = calls[turn]
        return said([{"toolUse": {"toolUseId": f"t-{turn}", "name": name, "input": arguments}}], "tool_use", request)
    return said([{"text": "Done."}], "end_turn", request)


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with Desk() as opened:
        yield opened


@pytest.fixture(scope="module")
def crm() -> Iterator[Desk]:
    with Desk() as opened:
        yield opened


@pytest.fixture(scope="module")
def cloud(desk: Desk, crm: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    playbook: Path = tmp_path_factory.mktemp("layer") / "itdesk"
    shutil.copytree(PLAYBOOK, playbook, ignore=shutil.ignore_patterns("__pycache__"))
    amount = {"approval": {"if": {"argument": "/text", "above": 0}}}  # a text is no number: a person looks
    approved = tools({**KEY, **amount})
    for name, server, declared in (("desk", desk, tools(KEY)), ("crm", crm, tools()), ("bank", desk, approved)):
        credential = {"kind": "requester", "name": "crm" if name == "crm" else "desk"}
        declare(playbook, name, desk_server(url=server.url, credential=credential), declared)
    clock = WallClock(sleep=lambda _: None)
    with LocalCloud(playbook, model=CallableModel(model), enforce_iam=True, clock=clock) as opened:
        yield opened


def route_of(cloud: LocalCloud, method: str, path: str) -> HttpRoute:
    routes = {route.key: route for route in cloud.routes}
    return routes.get(f"ANY {path}", routes["$default"])


def ask(cloud: LocalCloud, method: str, path: str, who: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Send a request as ``who`` the way API Gateway does; return its status and its body."""
    kind = "/escalations/{escalation_id}" if path.startswith("/escalations/") else path
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answered = cloud.invoke(
        route_of(cloud, method, kind).function, event(method, path, who=PERSON + who, body=body, headers=sent)
    )
    return answered["statusCode"], json.loads(answered["body"])


def start(cloud: LocalCloud, who: str, text: str, tokens: str) -> str:
    status, run = ask(cloud, "POST", "/runs", who, {"text": text}, x_on_behalf_of=tokens)
    assert status == 202, run
    return str(run["run_id"])


def kept(cloud: LocalCloud) -> list[str]:
    """Return the runs whose tokens are kept."""
    found = cloud.session.client("dynamodb").scan(TableName=cloud.physical_id("RequesterTokensTable"))
    return [item["run_id"]["S"] for item in found["Items"]]


def test_two_requesters_act_each_with_their_own_tokens_side_by_side(cloud: LocalCloud, desk: Desk, crm: Desk) -> None:
    tokens = {who: f"desk=Bearer desk-of-{who}, crm=Bearer crm-of-{who}" for who in ("ann", "lee", "mia")}
    desk.lets_in = {f"Bearer desk-of-{who}" for who in tokens}
    crm.lets_in = {f"Bearer crm-of-{who}" for who in tokens}
    before = len(desk.seen), len(crm.seen)

    runs = {who: start(cloud, who, f"I am {who}", sent) for who, sent in tokens.items()}
    ended = {who: cloud.wait(run_id, 120).output["status"] for who, run_id in runs.items()}

    assert set(ended.values()) == {"answered"}
    for who, run_id in runs.items():
        assert [one.status for one in cloud.events(run_id).calls] == ["ok", "ok"], who
    used = {(one["body"]["text"], one["headers"]["Authorization"]) for one in desk.seen[before[0] :]}
    assert used == {(f"I am {who}", f"Bearer desk-of-{who}") for who in tokens}
    assert sorted(one["headers"]["Authorization"] for one in crm.seen[before[1] :]) == sorted(crm.lets_in)
    assert kept(cloud) == []


def test_the_token_is_in_no_sink(
    cloud: LocalCloud, desk: Desk, crm: Desk, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    canary, other = "c4n4ry/+~tok3n==", "crm-c4n4ry.x.y"
    desk.lets_in, crm.lets_in = {f"Bearer {canary}"}, set()
    printed: list[str] = []
    cloud.printed.append(lambda *said: printed.append(repr(said)))
    messages: list[str] = []
    cloud.message_sent.append(lambda queue, body: messages.append(body))
    tables: list[Any] = []
    invoked: list[Any] = []

    def look(function: str, payload: Any, *_: Any) -> None:
        if function != "ApiFunction":
            invoked.append((function, payload, *_))
        tables.extend(
            cloud.session.client("dynamodb").scan(TableName=cloud.physical_id(name))["Items"] for name in TABLES
        )

    cloud.after_invoke.append(look)
    desk.trouble.append("lost")
    run_id = start(cloud, "ann", "canary", f"desk=Bearer {canary}, crm=Bearer {other}")
    cloud.wait(run_id, 120)
    cloud.after_invoke.remove(look)

    statuses = [(one.call.tool, one.status) for one in cloud.events(run_id).calls]
    assert statuses == [("desk_create", "ok"), ("crm_find", "failed")]  # the CRM refuses, and quotes the token
    assert desk.seen[-1]["headers"]["Authorization"] == f"Bearer {canary}"
    saved = SavedRuns(tmp_path)
    saved.save(run_id, "canary", cloud.events(run_id))
    shown = [ask(cloud, "GET", f"/runs/{run_id}{part}", "ann")[1] for part in ("", "/events", "/timeline")]
    everything = {
        "execution": cloud.history(run_id),
        "its input": cloud.session.client("stepfunctions").describe_execution(executionArn=arn_of(cloud, run_id)),
        "log": [one.body for one in cloud.events(run_id)],
        "functions' output and metrics": printed,
        "what functions got and gave": invoked,
        "messages": messages,
        "tables": tables,
        "the API": shown,
        "prompts": ASKED,
        "saved runs": [file.read_text() for file in tmp_path.rglob("*") if file.is_file()],
        "this process": capfd.readouterr(),
        "trace": cloud.events(run_id).timeline().to_json(),
    }
    assert printed
    assert any("requester-tokens" in name or run_id in str(items) for name in TABLES for items in tables)
    for where, what in everything.items():
        text = repr(what)
        for secret in (canary, other):
            for spelling in (secret, base64.b64encode(secret.encode()).decode(), json.dumps(secret)[1:-1]):
                assert spelling not in text, where


TABLES = ("RequesterTokensTable", "RunLogTable", "IdempotencyTable", "BudgetsTable", "EscalationsTable", "MovesTable")


def arn_of(cloud: LocalCloud, run_id: str) -> str:
    return cloud.physical_id("AgentStateMachine").replace(":stateMachine:", ":execution:") + f":{run_id}"


def test_the_log_the_trace_and_the_api_say_on_whose_behalf(cloud: LocalCloud, desk: Desk, crm: Desk) -> None:
    desk.lets_in = crm.lets_in = None
    run_id = start(cloud, "ann", "told", "desk=Bearer a, crm=Bearer b")
    cloud.wait(run_id, 120)

    opened = cloud.events(run_id).fact(RunOpened)

    assert opened is not None
    assert opened.on_behalf == ["desk", "crm"]
    timeline = ask(cloud, "GET", f"/runs/{run_id}/timeline", "ann")[1]
    assert (timeline["requested_by"], timeline["on_behalf"]) == (opened.requested_by, ["desk", "crm"])
    assert "ballast-operator/ann" in timeline["requested_by"]


def waiting(cloud: LocalCloud, run_id: str) -> str:
    """Return the escalation that the run waits for."""
    for _ in range(20_000):
        _, run = ask(cloud, "GET", f"/runs/{run_id}", "ann")
        if run["status"] == "waiting":
            return str(run["escalation_id"])
        assert cloud.status(run_id) == "RUNNING", run
        time.sleep(0.01)
    raise AssertionError(run_id)


def test_an_approved_call_runs_with_the_requesters_token_whoever_approves(cloud: LocalCloud, desk: Desk) -> None:
    desk.lets_in = {"Bearer of-ann"}
    run_id = start(cloud, "ann", "pay", "desk=Bearer of-ann")
    escalation = waiting(cloud, run_id)
    assert kept(cloud) == [run_id]

    assert (
        ask(cloud, "POST", f"/escalations/{escalation}", "lee", {"approve": True}, x_on_behalf_of="Bearer of-lee")[0]
        == 200
    )
    cloud.wait(run_id, 120)

    (call,) = cloud.events(run_id).calls
    assert (call.call.tool, call.status) == ("bank_create", "ok")
    assert desk.seen[-1]["headers"]["Authorization"] == "Bearer of-ann"
    assert kept(cloud) == []


def test_a_fresh_token_of_the_same_caller_replaces_one_that_is_refused(cloud: LocalCloud, desk: Desk) -> None:
    desk.lets_in = {"Bearer fresh"}
    body, key = {"text": "pay later"}, {"idempotency_key": "later"}
    _, run = ask(cloud, "POST", "/runs", "ann", body, **key, x_on_behalf_of="desk=Bearer stale")
    escalation = waiting(cloud, run["run_id"])

    assert ask(cloud, "POST", "/runs", "lee", body, **key, x_on_behalf_of="desk=Bearer of-lee")[0] == 409
    assert ask(cloud, "POST", "/runs", "ann", body, **key, x_on_behalf_of="crm=Bearer fresh")[0] == 409
    assert ask(cloud, "POST", "/runs", "ann", body, **key, x_on_behalf_of="desk=Bearer fresh")[0] == 202
    assert ask(cloud, "POST", f"/escalations/{escalation}", "lee", {"approve": True})[0] == 200
    cloud.wait(run["run_id"], 120)

    assert [one.status for one in cloud.events(run["run_id"]).calls] == ["ok"]
    assert desk.seen[-1]["headers"]["Authorization"] == "Bearer fresh"
    assert ask(cloud, "POST", "/runs", "ann", body, **key, x_on_behalf_of="desk=Bearer more")[0] == 202
    assert kept(cloud) == []  # nobody would use it any more


def test_a_run_that_is_stopped_or_refused_keeps_no_token(cloud: LocalCloud, desk: Desk) -> None:
    stopped = start(cloud, "ann", "pay, and stop", "desk=Bearer a")
    waiting(cloud, stopped)
    assert ask(cloud, "POST", f"/runs/{stopped}/cancel", "ann")[0] == 202
    cloud.wait(stopped, 120)
    _, refused = ask(
        cloud, "POST", "/runs", "ann", {"text": "x", "intent": "no-such-intent"}, x_on_behalf_of="desk=Bearer a"
    )
    cloud.wait(refused["run_id"], 120)

    assert ask(cloud, "GET", f"/runs/{refused['run_id']}", "ann")[1]["status"] == "refused"
    assert kept(cloud) == []
