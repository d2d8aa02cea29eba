"""Planted sensitive values reach no sink, however rules, tools and the model repeat them.

Left out on purpose: what a caller sends in (the request queue, the execution's input) and the business's own tables.
"""

import json
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ballast.contracts import RunRequest
from ballast.masking import MASK
from localcloud.clock import VirtualClock
from localcloud.cloud import LocalCloud
from localcloud.converse.source import CallableModel, Reply, said, turns_taken
from localcloud.gateway import serve
from localcloud.gateway.identity import operator
from tests.e2e.served import ask
from tests.e2e.test_sensitive import call, heard, payloads, tables
from tests.support.planted import PLANTED

PLAYBOOK = Path(__file__).parent / "planted"
HOW = ["well", "failed", "defect", "outage", "verify", "rule", "validate", "refuse", "precondition", "ask"]

_GROUPS = st.tuples(st.text("0123456789", min_size=12, max_size=16), st.sampled_from([" ", "-", ""])).map(
    lambda made: made[1].join(made[0][at : at + 4] for at in range(0, len(made[0]), 4))
)
_WORDS = st.tuples(st.text("abcdefghijkäöß日", min_size=5, max_size=8), st.text("\"\\'\n\t%/😀<>{} ", max_size=4)).map(
    lambda made: f"{made[0][:4]}{made[1]}{made[0][4:]}qz"
)
VALUES = st.one_of(_GROUPS, _WORDS).filter(lambda value: len(set(value)) > 5)
SHORT = st.text("abcxyz019", min_size=1, max_size=3)
_NUMBER = count(1)


@dataclass(repr=False)
class World:
    """A cloud, its server, and what the model says in which run."""

    cloud: LocalCloud
    served: Any
    says: dict[str, list[Any]]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    says: dict[str, list[Any]] = {}

    def model(request: Any, _: str) -> Reply:
        steps = says[request["messages"][0]["content"][0]["text"]]
        step = steps[min(turns_taken(request), len(steps) - 1)]
        return (
            said([{"text": step}], "end_turn", request) if isinstance(step, str) else said([step], "tool_use", request)
        )

    with (
        LocalCloud(PLAYBOOK, model=CallableModel(model), clock=VirtualClock(), enforce_iam=True) as cloud,
        serve(cloud, authorizer=operator("ann")) as served,
    ):
        heard(cloud)
        cloud.session.client("sqs").create_queue(QueueName="ballast-reply-planted")
        yield World(cloud, served, says)


@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(tax=VALUES, told=VALUES, found=VALUES, short=SHORT, how=st.sampled_from(HOW))
def test_no_sink_has_a_planted_value(world: World, tax: str, told: str, found: str, short: str, how: str) -> None:
    name = f"run-{next(_NUMBER)}"
    PLANTED[name] = {"secret": found, "short": short, "number": 7, "again": f"again {found}"}
    repeated = " / ".join(
        [tax, told, found, told.replace(" ", ""), regrouped(found), json.dumps([told, found]), urllib.parse.quote(tax)]
    )
    world.says[name] = [call("look", about="x"), call("keep", secret=told, how=how), f"It is {repeated}."]
    reply_to = world.cloud.session.client("sqs").get_queue_url(QueueName="ballast-reply-planted")["QueueUrl"]
    request = RunRequest(request_id=name, text=name, context={"tax": tax}, reply_to=reply_to)

    world.cloud.start(request)
    execution = world.cloud.wait(request.run_id, 600)

    sinks = left_by(world, request.run_id)
    assert execution.output is not None, execution
    assert MASK in sinks["http events"]
    leaks = {(sink, value) for sink, text in sinks.items() for value in (tax, told, found) if is_in(value, text)}
    assert leaks == set()
    assert short_ones(json.loads(sinks["http events"]), "short", short) == []
    assert short_ones(json.loads(sinks["http events"]), "number", 7) == []
    assert f'"short": "{short}"' not in sinks["functions' output"] + sinks["http events"].replace("\\", "")


@pytest.mark.sampled(2)
@pytest.mark.parametrize("common", [0, 1, True, "0", "1", "true", "ok", "answered", "keep", "agent", "0003", "answer"])
def test_a_run_goes_and_costs_the_same_whatever_is_sensitive(world: World, common: Any) -> None:
    name = f"run-{next(_NUMBER)}"
    PLANTED[name] = {"secret": str(common), "short": str(common), "number": 1, "again": "x"}
    world.says[name] = [call("look", about="x"), call("keep", secret=str(common), how="well"), "Done."]

    run_id = world.cloud.start(RunRequest(request_id=name, text=name, context={"tax": common}))
    execution = world.cloud.wait(run_id, 600)

    events = world.cloud.events(run_id)
    shown = ask(world.served, "GET", f"/runs/{run_id}")
    assert (execution.output or {})["status"] == "answered", execution
    assert (shown[0], shown[1]["status"], shown[1]["answer"]) == (200, "answered", "Done.")
    assert [event.name for event in events if event.name.startswith("call.")] == [
        "call.settled",
        *("call.intended", "call.settled"),
    ]
    charged = [event.body["cost_microusd"] for event in events if event.name == "model.responded"]
    assert len(charged) == 3
    assert all(isinstance(one, int) for one in charged)
    opened = next(event for event in events if event.name == "run.opened")
    assert opened.body["request"]["context"] == {"tax": MASK}
    assert opened.body["limits"]["turns"] == 6


def is_in(value: str, text: str) -> bool:
    """Say whether the letters and digits of the value, in one of its escapes, stand together in the text."""
    spelt = {value, json.dumps(value), json.dumps(json.dumps(value)), repr(value), urllib.parse.quote(value)}
    there = bare(text)
    return any(bare(one) in there for one in spelt)


def regrouped(value: str) -> str:
    """Return a number in other groups; another value as it is."""
    digits = "".join(filter(str.isdigit, value))
    return "-".join(digits[at : at + 3] for at in range(0, len(digits), 3)) if digits else value


def bare(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()


def short_ones(value: Any, field: str, marked: Any) -> list[Any]:
    """Return the places where the field still has its value."""
    if isinstance(value, dict):
        here = [value] if value.get(field) == marked else []
        return here + [found for inner in value.values() for found in short_ones(inner, field, marked)]
    return [found for inner in value for found in short_ones(inner, field, marked)] if isinstance(value, list) else []


def left_by(world: World, run_id: str) -> dict[str, str]:
    """Return everywhere that something of the runs so far was left, and forget what was printed."""
    cloud, served = world.cloud, world.served
    # What the caller sent goes in as it is, to Admit.
    passed = {"ExecutionStarted", "ExecutionSucceeded"}
    history = [event for event in cloud.history(run_id) if event["type"] not in passed]
    history = [event for event in history if '"context"' not in json.dumps(event, default=str).replace("\\", "")]
    waiting = ask(served, "GET", "/escalations")[1]
    shown = [ask(served, "GET", f"/escalations/{one['escalation_id']}")[1] for one in waiting["escalations"]]
    sinks = {
        "http run": json.dumps(ask(served, "GET", f"/runs/{run_id}")[1]),
        "http runs": json.dumps(ask(served, "GET", "/runs")[1]),
        "http events": json.dumps(ask(served, "GET", f"/runs/{run_id}/events?limit=200")[1]),
        "http escalations": json.dumps([waiting, shown]),
        "execution's history": json.dumps(history, default=str),
        "functions' output": "".join(text for _, text in list(cloud._functions.logs)),
        "saved_runs": json.dumps([event.model_dump(mode="json") for event in cloud.events(run_id)]),
        **{f"queue {name}": text for name, text in taken(cloud).items()},
        **{f"table {name}": text for name, text in tables(cloud).items()},
        "bucket": payloads(cloud),
    }
    cloud._functions.logs.clear()
    return sinks


def taken(cloud: LocalCloud) -> dict[str, str]:
    """Take what is in every queue."""
    sqs, found = cloud.session.client("sqs"), {}
    for url in sqs.list_queues()["QueueUrls"]:
        bodies = []
        while got := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get(
            "Messages"
        ):
            bodies += got
            for one in got:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        found[url.rsplit("/", 1)[-1]] = json.dumps(bodies)
    return found
