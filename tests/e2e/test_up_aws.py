"""``ballast up`` as AWS: other processes send requests and events, and answer escalations, with an AWS SDK."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud.deploy import STACK

ROOT = Path(__file__).resolve().parents[2]
APPROVAL = ROOT / "localcloud" / "scenarios" / "approval" / "script.yaml"
CONSUMER = ROOT / "docs" / "examples" / "escalation_consumer.py"
ENVIRON = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "layers" / "ballast")])}
REFUND = {"text": "Torn.", "intent": "refund", "context": {"order_id": "O-1004", "customer_id": "C-1005"}}
SOON_S = 600.0


class Up:
    """A ``ballast up`` in a process of its own, and clients of its endpoint."""

    def __init__(self, url: str, exported: dict[str, str]) -> None:
        self.url, self.exported = url, exported

    def client(self, service: str) -> Any:
        session = boto3.Session("any", "keys", region_name=self.exported["AWS_DEFAULT_REGION"])
        config = Config(retries={"total_max_attempts": 1})
        return session.client(service, endpoint_url=self.exported["AWS_ENDPOINT_URL"], config=config)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=60) as reply:
            return json.loads(reply.read())

    def outputs(self) -> dict[str, str]:
        stack = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    words = [sys.executable, "-u", "-m", "cli", "up", "--port", "0", "--model", str(APPROVAL)]
    environ = ENVIRON | {"BALLAST_HOME": str(tmp_path_factory.mktemp("home"))}
    with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            printed = ""
            for line in process.stdout:
                printed += line
                if "put-events" in line:
                    break
            url = re.search(r"http://127\.0\.0\.1:\d+", printed)
            assert url
            yield Up(url[0], dict(re.findall(r"(AWS_\w+)=(\S+)", printed)))
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            assert process.wait(SOON_S) == 0
        finally:
            process.kill()


def eventually(found: Callable[[], Any]) -> Any:
    until = time.monotonic() + SOON_S
    while not (result := found()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.1)
    return result


def run_of(up: Up, request_id: str) -> Any:
    return next((run for run in up.get("/runs?limit=50")["runs"] if run.get("request_id") == request_id), None)


def test_a_message_in_the_queue_starts_a_run(up: Up) -> None:
    body = json.dumps({"request_id": "by-message", **REFUND})

    up.client("sqs").send_message(QueueUrl=up.outputs()["RunRequestQueueUrl"], MessageBody=body)

    assert eventually(lambda: run_of(up, "by-message"))


def test_an_event_starts_a_run(up: Up) -> None:
    detail = json.dumps({"stack": STACK, "request_id": "by-event", **REFUND})

    put = up.client("events").put_events(
        Entries=[{"Source": "ballast", "DetailType": "Run Requested", "Detail": detail}]
    )

    assert put["FailedEntryCount"] == 0
    assert eventually(lambda: run_of(up, "by-event"))


@pytest.mark.deep
def test_the_example_consumer_answers_what_people_are_asked(up: Up) -> None:
    body = json.dumps({"request_id": "consumed", **REFUND})
    words = [sys.executable, "-u", str(CONSUMER), "--stack", STACK]
    with subprocess.Popen(words, env=ENVIRON | up.exported, stdout=subprocess.PIPE, text=True) as consumer:
        try:
            up.client("sqs").send_message(QueueUrl=up.outputs()["RunRequestQueueUrl"], MessageBody=body)
            run = eventually(lambda: run_of(up, "consumed"))
            eventually(lambda: up.get(f"/runs/{run['run_id']}")["status"] == "answered")
        finally:
            consumer.kill()

    events = up.get(f"/runs/{run['run_id']}/events?limit=200")["events"]
    assert "escalation-consumer" in json.dumps([event for event in events if "approval" in event["seq"]])


def test_a_functions_own_error_and_a_function_that_is_not_there_come_as_from_lambda(up: Up) -> None:
    functions, name = up.client("lambda"), up.outputs()["AnswerEscalationFunctionName"]

    failed = functions.invoke(FunctionName=name, Payload=json.dumps({"escalation_id": "esc-none", "by": "x"}).encode())

    assert failed["FunctionError"] == "Unhandled"
    assert json.load(failed["Payload"])["errorType"] == "InvalidInput"
    with pytest.raises(ClientError, match="ResourceNotFound"):
        functions.invoke(FunctionName="nobody", Payload=b"{}")
    with pytest.raises(ClientError, match="Invoke"):
        functions.list_functions()
    with pytest.raises(ClientError, match="RequestResponse"):
        functions.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")


def test_what_is_not_given_out_says_so(up: Up) -> None:
    with pytest.raises(ClientError, match="not kms"):
        up.client("kms").list_keys()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Authorization": "Basic YW5uOg=="}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Host": "evil.example"}, 421),
    ],
)
def test_a_page_of_a_stranger_reaches_nothing(up: Up, headers: dict[str, str], status: int) -> None:
    where = up.exported["AWS_ENDPOINT_URL"].removeprefix("http://")
    connection = http.client.HTTPConnection(where, timeout=60)
    connection.request("GET", "/?Action=ListQueues&Version=2012-11-05", headers=headers)

    assert connection.getresponse().status == status
