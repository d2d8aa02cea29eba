"""The third wall test: IAM enforced by moto, each handler with the credentials of its role.

The first two are ``tests/unit/test_imports.py`` and ``tests/template/test_walls.py``.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from ballast.contracts import RunRequest
from localcloud.cloud import ROOT, LocalCloud
from localcloud.converse.server import ConverseServer
from localcloud.converse.source import CallableModel, Reply, said, turns_taken
from tests.template import rendered
from tests.template.rendered import of_type
from tests.workflow.playbook.tools.counter import value_of

PLAYBOOK = ROOT / "tests" / "workflow" / "playbook"
PLANNER, EXECUTOR, INTAKE = "AgentFunction", "ExecutorFunction", "StartFunction"
ANSWERS = {"AnswerEscalationFunction", "PeopleApiFunction"}
STARTS = {INTAKE, "ApiFunction", "ConsumeFunction"}
#: moto does not know the one that boto3 chooses, with an account in it.
ENDPOINTS = {"dynamodbstreams": "https://streams.dynamodb.eu-west-1.amazonaws.com"}
DENIED = ("AccessDenied", "AccessDeniedException")

Client = Callable[[str], Any]
Attempt = Callable[[Client, LocalCloud], object]


def put(table: str, **key: str) -> Attempt:
    item = {name: {"S": value} for name, value in key.items()}
    return lambda client, cloud: client("dynamodb").put_item(TableName=cloud.physical_id(table), Item=item)


def get(table: str, **key: str) -> Attempt:
    wanted = {name: {"S": value} for name, value in key.items()}
    return lambda client, cloud: client("dynamodb").get_item(TableName=cloud.physical_id(table), Key=wanted)


def call_a_model(client: Client, cloud: LocalCloud) -> object:
    message = {"role": "user", "content": [{"text": "2"}]}
    return client("bedrock-runtime").converse(modelId="eu.anthropic.claude-haiku-4-5-20251001-v1:0", messages=[message])


def start_a_run(client: Client, cloud: LocalCloud) -> object:
    return client("stepfunctions").start_execution(
        stateMachineArn=cloud.physical_id("AgentStateMachine"), name="never", input="[]"
    )


def answer_a_token(client: Client, cloud: LocalCloud) -> object:
    return client("stepfunctions").send_task_success(taskToken="none", output="{}")


def delete_from_the_log(client: Client, cloud: LocalCloud) -> object:
    key = {"run_id": {"S": "r"}, "seq": {"S": "s"}}
    return client("dynamodb").delete_item(TableName=cloud.physical_id("RunLogTable"), Key=key)


def forget_a_token(client: Client, cloud: LocalCloud) -> object:
    key = {"run_id": {"S": "never"}}
    return client("dynamodb").delete_item(TableName=cloud.physical_id("RequesterTokensTable"), Key=key)


def change_the_log(client: Client, cloud: LocalCloud) -> object:
    return client("dynamodb").update_item(
        TableName=cloud.physical_id("RunLogTable"),
        Key={"run_id": {"S": "r"}, "seq": {"S": "s"}},
        UpdateExpression="SET body = :b",
        ExpressionAttributeValues={":b": {"S": "forged"}},
    )


def sign_an_answer(client: Client, cloud: LocalCloud) -> object:
    key = cloud.physical_id("AnswerKey")
    return client("kms").generate_mac(KeyId=key, MacAlgorithm="HMAC_SHA_256", Message=b"approved")


def verify_an_answer(client: Client, cloud: LocalCloud) -> object:
    asked = {"KeyId": cloud.physical_id("AnswerKey"), "MacAlgorithm": "HMAC_SHA_256", "Message": b"approved"}
    return client("kms").verify_mac(**asked, Mac=b"x" * 32)


def open_a_sealed_value(client: Client, cloud: LocalCloud) -> object:
    key = cloud.physical_id("SensitiveKey")
    sealed = cloud.session.client("kms").encrypt(KeyId=key, Plaintext=b"4111")["CiphertextBlob"]
    return client("kms").decrypt(KeyId=key, CiphertextBlob=sealed)


def change_a_question(client: Client, cloud: LocalCloud) -> object:
    return client("dynamodb").update_item(
        TableName=cloud.physical_id("EscalationsTable"),
        Key={"escalation_id": {"S": "never"}},
        UpdateExpression="SET summary = :s",
        ExpressionAttributeValues={":s": {"S": "forged"}},
    )


def read_the_log(client: Client, cloud: LocalCloud) -> object:
    return client("dynamodb").query(
        TableName=cloud.physical_id("RunLogTable"),
        KeyConditionExpression="run_id = :r",
        ExpressionAttributeValues={":r": {"S": "never"}},
    )


def stop_a_run(client: Client, cloud: LocalCloud) -> object:
    machine = cloud.physical_id("AgentStateMachine")
    return client("stepfunctions").stop_execution(
        executionArn=machine.replace(":stateMachine:", ":execution:") + ":never"
    )


def put_into(bucket: str, key: str) -> Attempt:
    return lambda client, cloud: client("s3").put_object(Bucket=cloud.physical_id(bucket), Key=key, Body=b"forged")


def delete_a_payload(client: Client, cloud: LocalCloud) -> object:
    return client("s3").delete_object(Bucket=cloud.physical_id("PayloadBucket"), Key="payloads/x")


def read_the_stream(client: Client, cloud: LocalCloud) -> object:
    table = cloud.session.client("dynamodb").describe_table(TableName=cloud.physical_id("RunLogTable"))["Table"]
    streams = client("dynamodbstreams")
    return streams.describe_stream(StreamArn=table["LatestStreamArn"])


#: What is tried, and who alone may do it.
SETTLES = {"SettleFunction", "SweepFunction"}
#: Extend has no PutItem: it changes leases and windows that are there.
BUDGET = {"AdmitFunction", *SETTLES, "TripFunction", "BudgetApiFunction", "CommandFunction"}
PLANNERS = {PLANNER, "FallbackFunction", "RollbackFunction"}
ASKS = {"OpenEscalationFunction", "RemindFunction", *ANSWERS}
#: PutItem cannot be bound to its condition, so who may append may overwrite.
WRITES = {
    *PLANNERS,
    EXECUTOR,
    "AdmitFunction",
    "ExtendFunction",
    *SETTLES,
    *ANSWERS,
    "OpenEscalationFunction",
    "CommandFunction",
}
ATTEMPTS: dict[str, tuple[Attempt, set[str]]] = {
    "call a model": (call_a_model, {PLANNER}),
    "read the business's orders": (get("OrdersTable", order_id="o"), {EXECUTOR}),
    "read the business's customers": (get("CustomersTable", customer_id="c"), {EXECUTOR}),
    "forge an effect's record": (put("IdempotencyTable", id="x"), {EXECUTOR}),
    "start a run": (start_a_run, STARTS),
    "answer a task token": (answer_a_token, ASKS),
    "write a budget": (put("BudgetsTable", account="a", window="w"), BUDGET),
    "sign a person's answer": (sign_an_answer, ANSWERS),
    "verify a person's answer": (verify_an_answer, {EXECUTOR, "ExtendFunction", *SETTLES, *ASKS} - ANSWERS),
    "reserve what moves": (put("MovesTable", account="a", window="w"), {EXECUTOR}),
    "see what was moved": (get("MovesTable", account="a", window="w"), {EXECUTOR, *SETTLES, "CommandFunction"}),
    "read the log": (read_the_log, {*WRITES, "ApiFunction"}),
    "write over an event": (put("RunLogTable", run_id="never", seq="0001.plan.decided"), WRITES),
    "write over a payload": (put_into("PayloadBucket", "payloads/x"), WRITES),
    "keep a requester's token": (put("RequesterTokensTable", run_id="never"), {"ApiFunction"}),
    "read a requester's token": (get("RequesterTokensTable", run_id="never"), {EXECUTOR}),
    "forget a requester's token": (forget_a_token, {"AdmitFunction", *SETTLES}),
    "open a sealed value": (open_a_sealed_value, {*PLANNERS, EXECUTOR}),
    "change what people are asked": (change_a_question, ASKS),
    "stop a run": (stop_a_run, {"ApiFunction"}),
    "write a copy of the log": (put_into("LogCopyBucket", "never/x.json"), {"LogCopyFunction"}),
    "delete from the log": (delete_from_the_log, set()),
    "change the log": (change_the_log, set()),
    "delete a payload": (delete_a_payload, set()),
    "read the log's stream": (read_the_stream, {"LogTouchedFunction", "LogCopyFunction"}),
}


def is_denied(attempt: Attempt, cloud: LocalCloud, function: str, url: str) -> bool:
    """Try it with the function's own credentials; any other outcome than a denial counts as allowed."""

    def client(service: str) -> Any:
        return cloud.runtime(function).client(service, endpoint_url={"bedrock-runtime": url, **ENDPOINTS}.get(service))

    try:
        attempt(client, cloud)
    except ClientError as problem:
        return problem.response["Error"]["Code"] in DENIED
    except BotoCoreError:
        return False
    return False


def two_turns(request: Mapping[str, Any], model_id: str) -> Reply:
    text = request["messages"][0]["content"][0]["text"]
    if text == "give up":
        return said([{"text": "…"}], "guardrail_intervened", request)
    if turns_taken(request):
        return said([{"text": "Done."}], "end_turn", request)
    call = {"toolUse": {"toolUseId": "1", "name": "raise_by", "input": {"name": text, "by": 2}}}
    return said([call], "tool_use", request)


@pytest.fixture(scope="module")
def model() -> Iterator[ConverseServer]:
    with ConverseServer(CallableModel(two_turns)) as double:
        yield double


@pytest.fixture(scope="module")
def cloud(model: ConverseServer) -> Iterator[LocalCloud]:
    copying = {"LogCopyDays": "30"}
    with LocalCloud(playbook=PLAYBOOK, model_endpoint_url=model.url, enforce_iam=True, parameters=copying) as opened:
        yield opened


def functions_of_the_template() -> list[str]:
    return sorted(of_type(rendered.written(), "AWS::Serverless::Function"))


@pytest.mark.sampled
@pytest.mark.parametrize("what", ATTEMPTS)
@pytest.mark.parametrize("function", functions_of_the_template())
def test_a_function_is_denied_what_lies_behind_another_wall(
    function: str, what: str, cloud: LocalCloud, model: ConverseServer
) -> None:
    attempt, may = ATTEMPTS[what]

    denied = is_denied(attempt, cloud, function, model.url)

    assert denied == (function not in may), f"{function}: {what}"


@pytest.mark.parametrize(
    ("model_id", "denied"),
    [
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", False),  # as agent.yaml has it
        ("arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0", False),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", True),
        ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", True),
        ("eu.amazon.nova-pro-v1:0", True),
        ("amazon.nova-pro-v1:0", True),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", True),
        ("arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/desk", True),
    ],
)
def test_the_agent_may_call_the_models_of_its_playbook_and_no_others(
    model_id: str, denied: bool, cloud: LocalCloud, model: ConverseServer
) -> None:
    def attempt(client: Client, _: LocalCloud) -> object:
        return client("bedrock-runtime").converse(
            modelId=model_id, messages=[{"role": "user", "content": [{"text": "2"}]}]
        )

    assert is_denied(attempt, cloud, PLANNER, model.url) == denied


def test_a_run_with_an_effect_needs_no_more_than_the_roles_allow(cloud: LocalCloud) -> None:
    run_id = cloud.start(RunRequest(request_id="enforced", text="enforced"))

    ended = cloud.wait(run_id, 600)

    assert ended.output == {"run_id": run_id, "status": "answered", "by": "agent", "degraded": False}
    assert value_of(cloud.session.client("dynamodb"), cloud.physical_id("OrdersTable"), "enforced") == 2


def test_a_fallback_a_person_and_an_approval_need_no_more_than_the_roles_allow(cloud: LocalCloud) -> None:
    def answered(function: str, payload: dict[str, Any], result: Any) -> None:
        if function == "OpenEscalationFunction":
            answers.append(result["escalation_id"])

    answers: list[str] = []
    cloud.after_invoke.append(answered)
    scripted = cloud.start(RunRequest(request_id="scripted", text="give up", intent="count", context={"name": "x"}))
    person = cloud.start(RunRequest(request_id="person", text="give up"))

    assert cloud.wait(scripted, 600).output["by"] == "fallback"
    answer_once_it_waits(cloud, answers)

    assert cloud.wait(person, 600).output["by"] == "human"


def answer_once_it_waits(cloud: LocalCloud, opened: list[str]) -> None:
    import time

    for _ in range(20_000):
        if opened:
            break
        time.sleep(0.01)
    decision = {"kind": "answer", "text": "By hand."}
    cloud.invoke("AnswerEscalationFunction", {"escalation_id": opened[0], "by": "ann", "decision": decision})


def test_a_sweep_needs_no_more_than_its_role_allows(cloud: LocalCloud) -> None:
    run_id = cloud.start(RunRequest(request_id="swept", text="give up", tenant="swept"))
    client, table = cloud.session.client("dynamodb"), cloud.physical_id("BudgetsTable")
    key = {"account": {"S": "lease"}, "window": {"S": run_id}}
    for _ in range(20_000):
        if "Item" in client.get_item(TableName=table, Key=key):
            break
        time.sleep(0.01)
    past = {":past": {"S": "2026-01-01T00:00:00+00:00"}}
    client.update_item(TableName=table, Key=key, UpdateExpression="SET look_at = :past", ExpressionAttributeValues=past)

    assert cloud.invoke("SweepFunction", {}) == {"settled": 0, "running": 1, "failed": 0, "left": 0}

    cloud.stop(run_id)
    cloud.wait(run_id, 600)


def breached(tmp_path: Path, function: str, statement: dict[str, Any]) -> Path:
    """Return a copy of the template in which ``function`` has one statement more."""
    text = (ROOT / "template.yaml").read_text(encoding="utf-8")
    marker = f"  {function}:\n"
    head, tail = text.split(marker, 1)
    entry = json.dumps({"Statement": [statement]})
    own, following = re.split(r"(?m)^(?=  \w)", tail, maxsplit=1)  # what follows belongs to the next resource
    made, added = re.subn(
        r"(?m)^      Policies:(?: \[|\n)",
        lambda found: found[0] + (f"{entry}, " if found[0].endswith("[") else f"        - {entry}\n"),
        own,
    )
    assert added == 1, f"{function} has no list of policies of its own"
    copy = tmp_path / "template.yaml"
    copy.write_text(head + marker + made + following, encoding="utf-8")
    for beside in ("functions", "layers", "statemachine", "business.yaml"):
        (tmp_path / beside).symlink_to(ROOT / beside)
    return copy
