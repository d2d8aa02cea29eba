"""The spend breaker with IAM enforced: tripped in the middle of a run, closed, and overridden by a grant."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from cli import main
from cli.deployed_stack import on_stack
from cli.exits import Exit
from cli.parser import parser
from localcloud.clock import WallClock
from localcloud.cloud import ROOT, LocalCloud
from localcloud.converse.server import ConverseServer
from localcloud.converse.source import CallableModel, Reply, said, turns_taken
from localcloud.deploy import STACK
from localcloud.gateway import Served, serve
from localcloud.gateway.identity import member_of, operator
from tests.e2e.served import ask

PLAYBOOK = ROOT / "tests" / "workflow" / "playbook"


class Model:
    """Raises the counter that the request names, once, and says so. ``when_asked`` happens while it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.when_asked: Any = lambda: None

    def __call__(self, request: Mapping[str, Any], model_id: str) -> Reply:
        name = request["messages"][0]["content"][0]["text"]
        self.asked.append(name)
        self.when_asked()
        if turns_taken(request) == 0:
            call = {"toolUse": {"toolUseId": "t", "name": "raise_by", "input": {"name": name, "by": 1}}}
            return said([call], "tool_use", request)
        return said([{"text": f"{name} is raised."}], "end_turn", request)


@pytest.fixture(scope="module")
def up() -> Iterator[tuple[LocalCloud, Served, Model]]:
    model = Model()
    with (
        ConverseServer(CallableModel(model)) as double,
        LocalCloud(PLAYBOOK, double.url, enforce_iam=True, clock=WallClock(sleep=lambda _: None)) as cloud,
        serve(cloud, authorizer=operator("ann")) as served,
    ):
        yield cloud, served, model


@pytest.fixture(autouse=True)
def closed_afterwards(up: tuple[LocalCloud, Served, Model]) -> Iterator[None]:
    yield
    up[2].when_asked = lambda: None
    for tenant in (None, "acme"):
        ask(up[1], "POST", "/breaker", {"mode": "normal", "tenant": tenant})


def value_of(cloud: LocalCloud, name: str) -> int:
    table = cloud.physical_id("OrdersTable")
    found = cloud.session.client("dynamodb").get_item(TableName=table, Key={"order_id": {"S": name}})
    return int(found.get("Item", {}).get("value", {"N": "0"})["N"])


def seen(served: Served, run_id: str, status: str) -> dict[str, Any]:
    """Return the run once it has that status."""
    for _ in range(20_000):
        run = ask(served, "GET", f"/runs/{run_id}")[1]
        if run.get("status") == status:
            return dict(run)
        time.sleep(0.02)
    raise AssertionError(run)


def eventually(served: Served, mode: str) -> dict[str, Any]:
    """Return what the breaker holds once it has that mode: events take a moment."""
    for _ in range(20_000):
        holds = ask(served, "GET", "/breaker")[1]
        if holds["mode"] == mode:
            return dict(holds)
        time.sleep(0.02)
    raise AssertionError(holds)


class Session:
    """The local cloud's session as a user's; its Lambda invokes the handlers, which moto's does not."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud, self.region_name = cloud, cloud.session.region_name

    def client(self, service: str, **_: Any) -> Any:
        return self if service == "lambda" else self._cloud.session.client(service)

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's
        return {"Payload": io.BytesIO(json.dumps(self._cloud.invoke(FunctionName, json.loads(Payload))).encode())}


def on(cloud: LocalCloud, *words: str) -> int:
    session: Any = Session(cloud)
    return on_stack(parser().parse_args(["--stack", STACK, *words]), session)


def test_a_run_that_was_stopped_half_way_is_paused_and_goes_on_with_more_budget_and_nothing_happens_twice(
    up: tuple[LocalCloud, Served, Model], capsys: pytest.CaptureFixture[str]
) -> None:
    cloud, served, model = up
    model.when_asked = lambda: on(cloud, "breaker", "--mode", "stopped", "--reason", "it burns")
    run_id = ask(served, "POST", "/runs", {"text": "jam"})[1]["run_id"]

    waits = seen(served, run_id, "waiting")
    assert waits["reason"] == "breaker_stopped"
    assert (model.asked, value_of(cloud, "jam")) == (["jam"], 1)
    model.when_asked = lambda: None
    granted = ("--back-to-agent", "--guidance", "Finish it.", "--add-budget", "0.05")
    assert on(cloud, "answer", waits["escalation_id"], *granted) == Exit.OK

    assert seen(served, run_id, "answered")["answer"] == "jam is raised."
    assert (model.asked, value_of(cloud, "jam")) == (["jam", "jam"], 1)
    assert ask(served, "GET", "/breaker")[1]["reason"] == "it burns"  # it held all the time


def test_while_it_is_stopped_no_run_starts_and_it_costs_nothing(up: tuple[LocalCloud, Served, Model]) -> None:
    _cloud, served, model = up
    before = len(model.asked)
    ask(served, "POST", "/breaker", {"mode": "stopped"})

    run_id = ask(served, "POST", "/runs", {"text": "tea"})[1]["run_id"]

    refused = seen(served, run_id, "refused")
    assert (refused["reason"], refused["cost_usd"]) == ("BreakerStopped", "0.00")
    assert "new request_id" in refused["message"]
    assert len(model.asked) == before


def test_an_alarm_trips_it_through_its_rule(up: tuple[LocalCloud, Served, Model]) -> None:
    cloud, served, model = up
    before = len(model.asked)
    detail = {"alarmName": f"{STACK}-BurnRateFastAlarm", "state": {"value": "ALARM", "reason": "It burns."}}
    cloud.session.client("events").put_events(
        Entries=[
            {
                "Source": "aws.cloudwatch",
                "DetailType": "CloudWatch Alarm State Change",
                "Detail": json.dumps(detail),
            }
        ]
    )

    holds = eventually(served, "fallback_only")
    assert (holds["mode"], holds["by"], holds["reason"]) == ("fallback_only", f"{STACK}-BurnRateFastAlarm", "It burns.")
    run_id = ask(
        served, "POST", "/runs", {"text": "tea", "intent": "count", "context": {"name": "tea"}}, {"Prefer": "wait=20"}
    )[1]["run_id"]
    assert seen(served, run_id, "answered")["by"] == "fallback"
    assert len(model.asked) == before
    assert '"BreakerMode"' in cloud.logs("TripFunction")


def test_the_look_every_minute_has_the_rights_that_it_needs(up: tuple[LocalCloud, Served, Model]) -> None:
    cloud, served, _model = up
    alarms, name = cloud.session.client("cloudwatch"), f"{STACK}-HourlyCostAlarm"
    alarms.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="It burns.")

    cloud.invoke("TripFunction", {"detail-type": "Scheduled Event"})

    assert ask(served, "GET", "/breaker")[1]["mode"] == "cheaper"
    alarms.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="It is over.")


def test_a_tenants_breaker_is_the_tenants(up: tuple[LocalCloud, Served, Model]) -> None:
    cloud, served, _model = up
    assert on(cloud, "breaker", "--mode", "stopped", "--tenant", "acme", "--for", "30") == Exit.OK

    with serve(cloud, authorizer=member_of("acme", "bob", "tenant")) as acmes:
        assert ask(acmes, "GET", "/breaker")[1]["mode"] == "stopped"
        assert ask(acmes, "POST", "/breaker", {"mode": "normal"})[0] == 403
        run_id = ask(acmes, "POST", "/runs", {"text": "ale"})[1]["run_id"]
        assert seen(acmes, run_id, "refused")["reason"] == "BreakerStopped"
    run_id = ask(served, "POST", "/runs", {"text": "rum"})[1]["run_id"]
    assert seen(served, run_id, "answered")


# The command


def test_the_command_shows_and_sets_what_up_serves(
    up: tuple[LocalCloud, Served, Model], capsys: pytest.CaptureFixture[str]
) -> None:
    port = str(up[1].port)

    for words in (
        ["--mode", "stopped", "--reason", "a loop"],
        ["--mode", "cheaper", "--tenant", "acme", "--for", "30"],
        [],
        ["--tenant", "globex"],
        ["--mode", "normal"],
    ):
        assert main(["breaker", "--port", port, *words]) == Exit.OK
    printed = capsys.readouterr().out

    assert printed.count(f"Of the `ballast up` at http://127.0.0.1:{port}:") == 5
    assert printed.count("breaker: stopped: no run starts") == 4
    assert printed.count("  by 123456789012:user/ballast-operator/ann: a loop") == 4
    assert "until somebody changes it" in printed
    assert "tenant acme: cheaper: the agent uses the playbook's cheaper model" in printed
    assert printed.count("breaker: normal: everything runs as the playbook says") == 1


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--for", "5"], "--mode"),
        (["--reason", "x"], "--mode"),
        (["--mode", "stopped", "--for", "0"], "for_minutes"),
        (["--mode", "stopped", "--tenant", "a b"], "tenant"),
        (["--tenant", "a b"], "tenant"),
        (["--port", "1"], "ballast up"),
    ],
)
def test_what_is_wrong_is_named(
    up: tuple[LocalCloud, Served, Model], words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    port = [] if "--port" in words else ["--port", str(up[1].port)]

    assert main(["breaker", *port, *words]) == Exit.USAGE

    assert named in capsys.readouterr().err
    assert ask(up[1], "GET", "/breaker")[1]["mode"] == "normal"
