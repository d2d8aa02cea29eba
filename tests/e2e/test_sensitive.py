"""Planted secrets reach the model and the tools, and no other place that outlives the run.

Left out on purpose: what a caller sends in (the request queue, the execution's input) and the business's own tables.
"""

import json
import shutil
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ballast.contracts import RunRequest
from ballast.errors import PlaybookInvalid
from ballast.folds.conversation import prompt_digest, rebuild
from ballast.log.event import Event
from ballast.log.events import ModelRequested
from ballast.log.run_log import RunLog
from ballast.log.seal import Seal, split
from ballast.masking import MASK
from ballast.playbook import load_playbook
from ballast.run import Run
from ballast.runtime import Runtime
from localcloud.clock import WallClock
from localcloud.cloud import LocalCloud
from localcloud.converse.server import ConverseServer
from localcloud.converse.source import CallableModel, Reply, said, turns_taken
from localcloud.gateway import serve
from localcloud.gateway.identity import operator
from tests.e2e.served import ask
from tests.support.timelines import timeline

VAULT = Path(__file__).parent / "vault"
TAX_NUMBER, PIN, CARD = "078-05-1120", "93571-55", "4111 1111 1111 1111"
SECRETS = (TAX_NUMBER, PIN, CARD)

Content = list[dict[str, Any]]


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": "c", "name": tool, "input": arguments}}


#: What the model says, turn by turn; it repeats the secrets in its own words.
SAYS: list[Content | str] = [
    [call("look_into", name="Ann")],
    [{"text": f"The pin {PIN} fits."}, call("keep_card", card_number=CARD, note="broken")],
    [call("keep_card", card_number=CARD, note="ask")],
    f"Card {CARD} is kept for {TAX_NUMBER}; the pin is {PIN}.",
]


def answer(request: Mapping[str, Any], model_id: str) -> Reply:
    step = SAYS[turns_taken(request)]
    return said([{"text": step}], "end_turn", request) if isinstance(step, str) else said(step, "tool_use", request)


@dataclass
class Played:
    """A run with secrets in it, ended, and everywhere that something of it was left."""

    cloud: LocalCloud
    run_id: str
    model: CallableModel
    sinks: dict[str, str]
    events: tuple[Event, ...]
    waiting: dict[str, Any]


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    """Play it with each function in its own role, and a person who approves over HTTP."""
    model = CallableModel(answer)
    with (
        ConverseServer(model) as double,
        LocalCloud(VAULT, double.url, enforce_iam=True, clock=WallClock(sleep=lambda _: None)) as cloud,
        serve(cloud, authorizer=operator("ann")) as served,
    ):
        heard(cloud)
        reply_to = cloud.session.client("sqs").create_queue(QueueName="ballast-reply-default--vault")["QueueUrl"]
        request = RunRequest(
            request_id="vault", text="Keep my card.", context={"tax_number": TAX_NUMBER}, reply_to=reply_to
        )
        cloud.start(request)
        waiting = asked(served)
        told = [tool(served, "list_waiting"), tool(served, "get_run", run_id=request.run_id)]
        shown = ask(served, "GET", f"/escalations/{waiting['escalation_id']}")[1]
        approval = {"approve": True} | ({"binding": shown["binding"]} if shown.get("binding") else {})
        assert ask(served, "POST", f"/escalations/{waiting['escalation_id']}", approval)[0] == 200
        execution = cloud.wait(request.run_id, 600)
        assert execution.output["status"] == "answered", execution
        events = cloud.events(request.run_id)
        sinks = {
            "http run": json.dumps(ask(served, "GET", f"/runs/{request.run_id}")[1]),
            "http events": json.dumps(ask(served, "GET", f"/runs/{request.run_id}/events?limit=200")[1]),
            "http escalation": json.dumps([waiting, shown]),
            "mcp waiting": json.dumps(told),
            "mcp run": json.dumps(tool(served, "get_run", run_id=request.run_id)),
            "mcp events": json.dumps(tool(served, "list_events", run_id=request.run_id, limit=50)),
            "trace": timeline(events).to_json(),
            "saved_runs": json.dumps([event.model_dump(mode="json") for event in events]),
            "functions' output": "".join(text for _, text in cloud._functions.logs),
            **{f"queue {name}": text for name, text in messages(cloud).items()},
            **{f"table {name}": text for name, text in tables(cloud).items()},
            "bucket": payloads(cloud),
        }
        yield Played(cloud, request.run_id, model, sinks, events, waiting)


def tool(served: Any, name: str, **arguments: Any) -> Any:
    """Return what a tool of the MCP server says."""
    params = {"name": name, "arguments": arguments}
    return ask(served, "POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})[1]


def asked(served: Any) -> dict[str, Any]:
    """Return the escalation, once there is one."""
    for _ in range(20_000):
        found = ask(served, "GET", "/escalations")[1]
        if found.get("escalations"):
            return dict(found["escalations"][0])
        time.sleep(0.05)
    raise AssertionError(found)


def heard(cloud: LocalCloud) -> None:
    """Let a queue hear every event of ours."""
    events = cloud.session.client("events")
    cloud.session.client("sqs").create_queue(QueueName="heard")
    events.put_rule(Name="hear", EventPattern=json.dumps({"source": ["ballast"]}))
    target = {"Id": "heard", "Arn": "arn:aws:sqs:eu-west-1:123456789012:heard"}
    events.put_targets(Rule="hear", Targets=[target])


def messages(cloud: LocalCloud) -> dict[str, str]:
    """Return what is in every queue."""
    sqs, found = cloud.session.client("sqs"), {}
    for url in sqs.list_queues()["QueueUrls"]:
        got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        found[url.rsplit("/", 1)[-1]] = json.dumps(got.get("Messages", []))
    return found


def tables(cloud: LocalCloud) -> dict[str, str]:
    """Return what is in every table but the business's, unpacked."""
    dynamodb, found = cloud.session.client("dynamodb"), {}
    business = {cloud.physical_id(name) for name in ("OrdersTable", "CustomersTable", "RefundsTable")}
    for name in set(dynamodb.list_tables()["TableNames"]) - business:
        items = dynamodb.scan(TableName=name)["Items"]
        packed = [zlib.decompress(bytes(item["packed"]["B"])).decode() for item in items if "packed" in item]
        found[name] = json.dumps(items, default=str, ensure_ascii=False) + "".join(packed)
    return found


def payloads(cloud: LocalCloud) -> str:
    """Return what is in the bucket, unpacked."""
    s3, bucket = cloud.session.client("s3"), cloud.physical_id("PayloadBucket")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return "".join(zlib.decompress(s3.get_object(Bucket=bucket, Key=key)["Body"].read()).decode() for key in keys)


def test_the_model_and_the_tool_got_the_secrets(played: Played) -> None:
    sent = json.dumps(played.model.requests)
    table = played.cloud.physical_id("OrdersTable")
    key = {"order_id": {"S": f"card#{played.run_id}"}}

    assert all(secret in sent for secret in SECRETS)
    assert played.cloud.session.client("dynamodb").get_item(TableName=table, Key=key)["Item"]["card"] == {"S": CARD}


def test_no_sink_has_a_secret(played: Played) -> None:
    leaks = {(sink, secret) for sink, text in played.sinks.items() for secret in SECRETS if secret in text}

    assert leaks == set()


def test_the_sinks_are_not_merely_empty(played: Played) -> None:
    silent = {sink for sink, text in played.sinks.items() if played.run_id not in text}

    assert {
        "http run",
        "http events",
        "http escalation",
        "mcp waiting",
        "mcp run",
        "mcp events",
        "trace",
        "saved_runs",
        "queue heard",
    }.isdisjoint(silent)
    assert MASK in played.sinks["http events"]
    assert MASK in played.sinks["mcp events"]
    assert MASK in played.sinks["mcp waiting"]
    assert MASK in played.sinks["queue ballast-reply-default--vault"]
    assert MASK in json.dumps(played.waiting) + played.sinks["http escalation"]
    assert any("RunLog" in sink and "$sealed" in text for sink, text in played.sinks.items())


def test_who_may_open_them_reads_the_log_as_it_was_and_its_digests_hold_for_everybody(played: Played) -> None:
    runtime = played.cloud.runtime("AgentFunction")
    whole = RunLog.of(runtime, Seal.of(runtime, load_playbook(VAULT))).read(played.run_id)

    assert all(secret in json.dumps([event.body for event in whole]) for secret in SECRETS)
    assert [event.digest for event in whole] == [event.digest for event in played.events]
    for events in (whole, played.events):
        run = Run.of(events).as_shown
        assert run.facts(ModelRequested)
        for asked in run.facts(ModelRequested):
            assert prompt_digest(run, rebuild(run, asked), asked.inference) == asked.prompt_sha256


def test_a_sealed_value_that_was_exchanged_for_another_is_noticed(played: Played) -> None:
    runtime = played.cloud.runtime("AgentFunction")
    seal = Seal.of(runtime, load_playbook(VAULT))
    assert seal is not None
    body = {"tool": "keep_card", "arguments": {"card_number": CARD}}
    mine, theirs = (seal.closed(played.run_id, body, seal.secrets(body)) for _ in range(2))
    mixed = dict(zip(mine["$sealed"], theirs["$sealed"].values(), strict=True))

    with pytest.raises(ValueError, match="exchanged"):
        split(mine | {"$sealed": mixed})


@pytest.mark.parametrize("function", ["SettleFunction", "OpenEscalationFunction", "AdmitFunction", "ApiFunction"])
def test_who_has_no_right_to_open_them_cannot(played: Played, function: str) -> None:
    runtime = played.cloud.runtime(function)
    environ = {**runtime.environ, "SENSITIVE_KEY_ARN": played.cloud.physical_id("SensitiveKey")}
    curious = Runtime({**environ, "RETENTION_DAYS": "41"}, session=runtime._session)

    with pytest.raises(ClientError, match="AccessDenied"):
        RunLog.of(curious, Seal.of(curious, load_playbook(VAULT))).read(played.run_id)


def test_arguments_that_are_masked_for_good_are_refused_when_the_playbook_is_loaded(tmp_path: Path) -> None:
    folder = shutil.copytree(VAULT, tmp_path / "odd_vault", ignore=shutil.ignore_patterns("__pycache__"))
    agent = folder / "agent.yaml"
    agent.write_text(agent.read_text().replace("policy: encrypt", "policy: mask"))

    with pytest.raises(PlaybookInvalid, match=r"keep_card.*sensitive.policy"):
        load_playbook(folder)
