"""Each built function works in a process that has only what is deployed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.playbook import load_playbook
from ballast.playbook.certificate import FILE
from ballast.runtime import utc_now
from cli.local_stack import SMALL_STORE
from localcloud.clock import WallClock
from localcloud.cloud import PLAYBOOK, LocalCloud
from localcloud.converse import ConverseServer, ModelError, Reply, ScriptModel
from localcloud.deploy import STACK
from localcloud.project import seed_store
from localcloud.sandbox import Context
from localcloud.scenarios import find
from localcloud.template import load_template, to_cloudformation
from tests.artifacts.build import Build
from tests.artifacts.endpoint import Endpoint
from tests.artifacts.lambdas import HandlerFailed, Lambda, Lambdas, Seen
from tests.functions.http import event
from tests.support.certificates import made_up

# The first run on a machine installs the SAM CLI and builds.
pytestmark = pytest.mark.timeout(1800)

ORDER = "Where is my order O-1003, and how do I return it?"
CANCEL = "Please cancel order O-1002."
GRANTED = "How long may I return it?"
LOOK_UP = [
    {"tool": "look_up_order", "arguments": {"order_id": "O-1003"}},
    {"tool": "search_docs", "arguments": {"query": "return an order"}},
]
#: What the model says, by what the run was asked.
SCRIPTS = {
    ORDER: ScriptModel.of([{"call": LOOK_UP}, {"say": "Order O-1003 is with you already."}]),
    CANCEL: ScriptModel.of([{"say": "No.", "stop": "guardrail_intervened"}]),
    GRANTED: ScriptModel.of([{"say": "No.", "stop": "guardrail_intervened"}, {"say": "Thirty days."}]),
    **{find(name).request.text: ScriptModel.read(find(name).script) for name in ("approval", "rollback")},
}
#: boto3's name of a service, where it is not the one of its IAM actions.
CLIENTS = {"states": "stepfunctions", "bedrock": "bedrock-runtime"}


class Model:
    """Every run's model."""

    def reply(self, request: Mapping[str, Any], model_id: str, /) -> Reply:
        asked = json.dumps(request["messages"][0])
        for text, script in SCRIPTS.items():
            if json.dumps(text)[1:-1] in asked:
                return script.reply(request, model_id)
        raise ModelError("ValidationException", f"There is no script for {asked}.")


class Stack:
    """The built template's stack, its functions in processes of their own."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.invoke = cloud.invoke
        self.dynamodb = cloud.session.client("dynamodb")
        self.sqs = cloud.session.client("sqs")
        self.played: set[str] = set()
        self._opened: dict[str, str] = {}
        cloud.after_invoke.append(self._returned)

    def _returned(self, function: str, event: Mapping[str, Any], result: Any) -> None:
        self.played.add(function)
        if function == "OpenEscalationFunction":
            self._opened[event["run_id"]] = result["escalation_id"]

    def ask(self, function: str, method: str, path: str, **more: Any) -> tuple[int, str]:
        """Send an operator's request the way API Gateway would; return status and body."""
        answered = self.invoke(function, event(method, path, **more))
        return answered["statusCode"], answered["body"]

    def question_of(self, run_id: str) -> str:
        """Return the id of the run's escalation, once it is open and people were told."""
        while run_id not in self._opened:
            assert self.cloud.status(run_id) == "RUNNING", self.cloud.events(run_id)
            time.sleep(0.05)
        return self._opened[run_id]

    def ending_of(self, run_id: str) -> Mapping[str, Any]:
        """Return how the run ended, by its log."""
        self.cloud.wait(run_id, 900)
        return self.ended(run_id)

    def ended(self, run_id: str) -> Mapping[str, Any]:
        """Return the log's entry of how the run ended."""
        return next(one.body for one in self.cloud.events(run_id) if one.name == "run.ended")

    def change(self, table: str, key: Mapping[str, str], **values: str) -> None:
        """Set attributes of an item: time that has passed, mostly."""
        self.dynamodb.update_item(
            TableName=self.cloud.physical_id(table),
            Key={name: {"S": value} for name, value in key.items()},
            UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in values),
            ExpressionAttributeValues={f":{name}": {"S": value} for name, value in values.items()},
        )

    def order(self, order_id: str) -> str:
        """Return an order's status in the shop's table."""
        table = self.cloud.physical_id("OrdersTable")
        found = self.dynamodb.get_item(TableName=table, Key={"order_id": {"S": order_id}})
        return str(found["Item"]["status"]["S"])


@contextmanager
def deployed(build: Build, lambdas: Lambdas) -> Iterator[Stack]:
    """Deploy the built template and start a process for each of its functions."""
    in_no_time = WallClock(sleep=lambda _: None)
    with (
        ConverseServer(Model()) as model,
        LocalCloud(
            template=build.template,
            clock=in_no_time,
            parameters={"ModelEndpointUrl": model.url, "LogCopyDays": "1"},
            handler_of=lambdas.handler_of,
            enforce_iam=False,  # their processes have made-up credentials; what they may use is compared below
        ) as cloud,
        Endpoint() as aws,
    ):
        for name in build.functions:
            lambdas.start(name, cloud.environ(name), aws.url)
        seed_store(cloud, load_playbook(PLAYBOOK), 1, SMALL_STORE)
        lambdas.imported()
        yield Stack(cloud)


def play_an_order_status(stack: Stack) -> None:
    """Api, Admit, Planner, Executor, Settle: a run that goes well, and the files that Api serves."""
    body = {"text": ORDER, "intent": "order_status"}
    # respond-async: the run keeps its own time, however busy this machine is.
    headers = {"idempotency-key": "artifacts", "prefer": "wait=25, respond-async"}
    status, text = stack.ask("ApiFunction", "POST", "/runs", body=body, headers=headers)
    run = json.loads(text)
    stack.cloud.wait(run["run_id"], 900)
    status, text = stack.ask("ApiFunction", "GET", f"/runs/{run['run_id']}")
    run = json.loads(text)
    assert (status, run["status"], run["by"], run["degraded"]) == (200, "answered", "agent", False), run
    settled = [one.body for one in stack.cloud.events(run["run_id"]) if one.name == "call.settled"]
    assert [one["status"] for one in settled] == ["ok", "ok"], settled
    for path, begins in (("/console", "<!doctype html>"), ("/console/app.js", "//"), ("/openapi.json", "{")):
        status, text = stack.ask("ApiFunction", "GET", path)
        assert status == 200, path
        assert text.lower().startswith(begins), path


def play_an_approval(stack: Stack) -> None:
    """Queue, OpenEscalation, Remind, PeopleApi: a refund by message that waits for a person, who is reminded."""
    scenario, cloud = find("approval"), stack.cloud
    stack.sqs.send_message(QueueUrl=cloud.outputs["RunRequestQueueUrl"], MessageBody=scenario.request.model_dump_json())
    assert cloud.pump() >= 1
    escalation_id = stack.question_of(scenario.request.run_id)
    assert stack.order("O-1004") == "delivered"

    minute_ago = (utc_now() - timedelta(minutes=1)).isoformat()
    stack.change("EscalationsTable", {"escalation_id": escalation_id}, remind_at=minute_ago, due_at=minute_ago)
    assert stack.invoke("RemindFunction", {}) == {"remind": 1}
    queue = cloud.outputs["EscalationQueueUrl"]
    sent = [json.loads(one["Body"]) for one in _messages(stack.sqs, queue)]
    assert [(one["escalation_id"], one["reminder"]) for one in sent] == [(escalation_id, False), (escalation_id, True)]

    status, text = stack.ask("PeopleApiFunction", "GET", "/escalations")
    (shown,) = json.loads(text)["escalations"]
    assert (status, shown["escalation_id"], shown["status"]) == (200, escalation_id, "open"), text
    path = f"/escalations/{escalation_id}"
    status, text = stack.ask("PeopleApiFunction", "POST", path, body={"approve": True, "comment": "It came back."})
    assert (status, json.loads(text)["status"]) == (200, "answered"), text
    ended = stack.ending_of(scenario.request.run_id)
    assert (ended["status"], ended["by"]) == ("answered", "agent"), ended


def play_a_rollback(stack: Stack) -> None:
    """Intake, Rollback, AnswerEscalation: what was done is undone, and a person answers."""
    scenario = find("rollback")
    request = scenario.request.model_dump(mode="json")
    started = stack.invoke("StartFunction", request)
    assert (started["run_id"], started["started"]) == (scenario.request.run_id, True)
    escalation_id = stack.question_of(started["run_id"])
    undone = [one.body for one in stack.cloud.events(started["run_id"]) if one.body.get("planner") == "rollback"]
    assert sum("undoes" in one for one in undone) == 2, undone
    assert stack.order("O-1002") == "paid"

    answer = {"escalation_id": escalation_id, **scenario.people[0].as_sent}
    assert stack.invoke("AnswerEscalationFunction", answer)["status"] == "answered"
    ended = stack.ending_of(started["run_id"])
    assert (ended["status"], ended["by"]) == ("answered", "human"), ended


def play_a_grant(stack: Stack) -> None:
    """Extend: a person hands the run back to the agent with more money, which is leased."""
    request = RunRequest(request_id="granted", text=GRANTED)
    run_id = stack.cloud.start(request)
    answer = {
        "escalation_id": stack.question_of(run_id),
        "by": "rae",
        "decision": {"kind": "hand_over", "to": "agent", "reason": "guidance", "add_budget_microusd": 10_000},
    }
    assert stack.invoke("AnswerEscalationFunction", answer)["status"] == "answered"
    stack.ending_of(run_id)
    (extended,) = [one for one in stack.cloud.events(run_id) if one.name == "lease.extended"]
    assert extended.body["microusd"] == 10_000, extended


def play_a_fallback(stack: Stack) -> None:
    """Fallback: the model does not want to, and the script cancels the order."""
    request = RunRequest(request_id="fallback", text=CANCEL, intent="cancel_order", context={"order_id": "O-1002"})
    run_id = stack.cloud.start(request)
    ended = stack.ending_of(run_id)
    assert (ended["status"], ended["by"]) == ("answered", "fallback"), ended
    assert stack.order("O-1002") == "cancelled"


def play_a_sweep(stack: Stack) -> None:
    """Admit and Sweep: a run whose execution nobody knows is settled."""
    request = RunRequest(request_id="left-behind", text="Nobody goes on with it.")
    admitted = stack.invoke("AdmitFunction", {"request": request.model_dump(mode="json")})
    assert admitted["run_id"] == request.run_id
    key = {"account": "lease", "window": request.run_id}
    stack.change("BudgetsTable", key, look_at=(utc_now() - timedelta(minutes=1)).isoformat())
    assert stack.invoke("SweepFunction", {}) == {"settled": 1, "running": 0, "failed": 0, "left": 0}
    assert stack.ended(request.run_id)["status"] == "failed"


def play_a_tripped_breaker(stack: Stack) -> None:
    """Trip, BudgetApi, Command: an alarm takes the model away, and an operator gives it back."""
    alarm = f"{STACK}-HourlyCostAlarm"
    stack.cloud.session.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="Fire.")
    assert stack.invoke("TripFunction", {"detail-type": "Scheduled Event"}) == {}
    status, text = stack.ask("BudgetApiFunction", "GET", "/breaker")
    breaker = json.loads(text)
    assert (status, breaker["mode"], breaker["by"], breaker["reason"]) == (200, "cheaper", alarm, "Fire."), text
    status, text = stack.ask("BudgetApiFunction", "POST", "/breaker", body={"mode": "normal"})
    assert (status, json.loads(text)["mode"]) == (200, "normal"), text
    assert stack.invoke("CommandFunction", {"command": "breaker"})["mode"] == "normal"


def play_a_touched_log(stack: Stack) -> None:
    """LogTouched and LogCopy: what was added to the log is copied, and who changes it is reported."""
    run_id = RunRequest(request_id="left-behind", text="Nobody goes on with it.").run_id
    taken = stack.cloud.pump()
    found = stack.cloud.session.client("s3").list_objects_v2(
        Bucket=stack.cloud.physical_id("LogCopyBucket"), Prefix=f"{run_id}/"
    )
    assert found["KeyCount"] == len(stack.cloud.events(run_id)), (taken, found, stack.cloud.logs("LogCopyFunction"))
    stack.change("RunLogTable", {"run_id": run_id, "seq": "0000.run.opened"}, tenant="mallory")
    assert stack.cloud.pump() == 1


def play_a_required_certificate(stack: Stack, build: Build, folder: Path) -> None:
    """Admit: a certificate of the source tree fits the built layer with its bytecode, and no changed one."""
    of_layer = folder / "opt" / "python" / "playbook"
    admit = replace(build.functions["AdmitFunction"], opt=folder / "opt")
    shutil.copytree(build.functions["AdmitFunction"].opt, admit.opt)
    environ = {**stack.cloud.environ("AdmitFunction"), "REQUIRE_CERTIFICATE": "true"}

    def admitted(name: str) -> Mapping[str, Any]:
        request = RunRequest(request_id=name, text=ORDER).model_dump(mode="json")
        with Endpoint() as aws, Lambda(build, admit, environ, aws.url) as started:
            context = Context("AdmitFunction", "arn", 256, 60.0, name, time.monotonic)
            result: Mapping[str, Any] = started.imported().handler({"request": request}, context)
            return result

    (of_layer / FILE).write_text(json.dumps(made_up(load_playbook(PLAYBOOK), utc_now())))
    assert admitted("certified")["run_id"]
    tool = of_layer / "tools" / "refund_order.py"
    tool.write_text(tool.read_text() + "\n# Changed.\n")
    with pytest.raises(HandlerFailed, match="its code has changed"):
        admitted("stale")


def test_every_built_function_does_its_work_with_nothing_but_its_artifact(build: Build, tmp_path: Path) -> None:
    """One test, since all of it needs the processes, and each costs a second of a core."""
    with Lambdas(build) as lambdas, deployed(build, lambdas) as stack:
        play_an_order_status(stack)
        play_an_approval(stack)
        play_a_rollback(stack)
        play_a_grant(stack)
        play_a_fallback(stack)
        play_a_sweep(stack)
        play_a_tripped_breaker(stack)
        play_a_touched_log(stack)
        play_a_required_certificate(stack, build, tmp_path)
        seen = lambdas.end()

    assert stack.played == set(build.functions)
    assert {name: one.outside for name, one in seen.items() if one.outside} == {}
    assert {name: one.compiled for name, one in seen.items() if one.compiled} == {}
    assert clients_without_rights(build, seen) == {}
    # Half of the memory is the playbook's: its tools' packages, and what a run's log and prompts add.
    assert {name: one.peak_mb for name, one in seen.items() if one.peak_mb > memory_mb(build)[name] / 2} == {}
    assert [name for name, one in seen.items() if "bedrock-runtime" in one.clients] == ["AgentFunction"]


def memory_mb(build: Build) -> dict[str, int]:
    """Return each function's memory, as the built template has it."""
    resources = to_cloudformation(load_template(build.template), build.template.parent, {})["Resources"]
    return {name: resources[name]["Properties"]["MemorySize"] for name in build.functions}


def clients_without_rights(build: Build, seen: Mapping[str, Seen]) -> dict[str, frozenset[str]]:
    """Return by function the AWS services that it made clients of, and that its role has no right to."""
    found = {name: one.clients - rights(build)[name] for name, one in seen.items()}
    return {name: clients for name, clients in found.items() if clients}


def rights(build: Build) -> dict[str, set[str]]:
    """Return by function the services of which its role may do anything, by boto3's names."""
    resources = to_cloudformation(load_template(build.template), build.template.parent, {})["Resources"]
    found = {}
    for name in build.functions:
        role = resources[resources[name]["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]
        statements = [one for policy in role["Policies"] for one in policy["PolicyDocument"]["Statement"]]
        actions = [one["Action"] if isinstance(one["Action"], list) else [one["Action"]] for one in statements]
        services = {action.partition(":")[0] for several in actions for action in several}
        found[name] = {CLIENTS.get(service, service) for service in services}
    return found


def _messages(sqs: Any, queue_url: str) -> list[Any]:
    found: list[Any] = []
    while taken := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        found += taken
    return found
