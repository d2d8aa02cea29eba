"""With IAM enforced, each function has the rights of its own role: what is granted works, what is not is denied."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

from localcloud.cloud import LocalCloud
from tests.support.tables_in_memory import Tables
from tests.workflow.local_cloud.conftest import TEMPLATE, begin, eventually


@pytest.fixture(scope="module", params=[None, Tables], ids=["moto", "memory"])
def cloud(request: pytest.FixtureRequest) -> Iterator[LocalCloud]:
    tables, url = request.param and request.param(), "http://127.0.0.1:9"
    with LocalCloud(template=TEMPLATE, enforce_iam=True, model_endpoint_url=url, dynamodb=tables) as opened:
        yield opened


def client(cloud: LocalCloud, service: str, function: str = "WorkFunction", **options: Any) -> Any:
    return cloud.runtime(function).client(service, **options)


def denied(request: Any, words: str) -> None:
    with pytest.raises(ClientError) as caught:
        request()
    assert caught.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException")
    assert words in caught.value.response["Error"]["Message"]


def test_a_table_is_used_as_far_as_the_policy_goes(cloud: LocalCloud) -> None:
    dynamodb, table = client(cloud, "dynamodb"), cloud.physical_id("RunLogTable")
    key = {"run_id": {"S": "a"}, "seq": {"S": "b"}}

    dynamodb.put_item(TableName=table, Item=key)

    denied(lambda: dynamodb.delete_item(TableName=table, Key=key), "dynamodb:DeleteItem on resource: arn:aws:dynamodb")
    denied(lambda: dynamodb.put_item(TableName="another", Item=key), "table/another")


def test_a_transaction_needs_the_rights_of_its_parts(cloud: LocalCloud) -> None:
    dynamodb, table = client(cloud, "dynamodb"), cloud.physical_id("RunLogTable")
    put = {"Put": {"TableName": table, "Item": {"run_id": {"S": "t"}, "seq": {"S": "1"}}}}
    delete = {"Delete": {"TableName": table, "Key": {"run_id": {"S": "a"}, "seq": {"S": "b"}}}}

    dynamodb.transact_write_items(TransactItems=[put])

    denied(lambda: dynamodb.transact_write_items(TransactItems=[put, delete]), "dynamodb:DeleteItem")


def test_a_bucket_is_used_under_the_granted_prefix_only(cloud: LocalCloud) -> None:
    s3, bucket = client(cloud, "s3"), cloud.physical_id("PayloadBucket")

    s3.put_object(Bucket=bucket, Key="payloads/a", Body=b"x")

    denied(lambda: s3.put_object(Bucket=bucket, Key="elsewhere/a", Body=b"x"), "Access Denied")
    denied(lambda: s3.get_object(Bucket=bucket, Key="payloads/a"), "Access Denied")


def test_queues_workflows_and_functions_are_closed_to_who_has_no_right(cloud: LocalCloud) -> None:
    queue, machine = cloud.physical_id("Questions"), cloud.physical_id("AgentStateMachine")

    denied(lambda: client(cloud, "sqs").send_message(QueueUrl=queue, MessageBody="x"), "sqs:SendMessage")
    denied(
        lambda: client(cloud, "stepfunctions").start_execution(stateMachineArn=machine, name="x", input="{}"),
        "states:StartExecution",
    )
    denied(lambda: client(cloud, "lambda").invoke(FunctionName="any", Payload=b"{}"), "lambda:InvokeFunction")


def test_a_model_is_called_by_who_may(cloud: LocalCloud) -> None:
    config = Config(retries={"total_max_attempts": 1})
    ask = {"modelId": "anthropic.m", "messages": [{"role": "user", "content": [{"text": "x"}]}]}

    def converse(function: str, **changes: Any) -> Any:
        url = "http://127.0.0.1:9"
        return client(cloud, "bedrock-runtime", function, config=config, endpoint_url=url).converse(**ask | changes)

    with pytest.raises(EndpointConnectionError):  # it was sent, to nobody
        converse("WorkFunction")
    denied(lambda: converse("SettleFunction"), "bedrock:InvokeModel")
    denied(lambda: converse("WorkFunction", modelId="eu.anthropic.m"), "inference-profile/eu.anthropic.m")


def test_a_run_goes_through_with_the_roles_alone(cloud: LocalCloud) -> None:
    started = cloud.invoke("StartFunction", {"run_id": "run-walls", "put": "run-walls"})

    assert cloud.wait(started["run_id"], 600).status == "SUCCEEDED"


def test_the_state_machine_invokes_only_what_its_role_names(cloud: LocalCloud) -> None:
    begin(cloud, "run-short", {"go": "short"})

    ended = cloud.wait("run-short", 600)

    assert (ended.status, ended.error) == ("FAILED", "Lambda.AccessDeniedException")


def test_whoever_holds_the_right_answers_a_task_token(cloud: LocalCloud, bench: Any) -> None:
    begin(cloud, "run-token", {"go": "ask"})
    eventually(lambda: bench.tokens)

    denied(
        lambda: client(cloud, "stepfunctions").send_task_success(taskToken=bench.tokens[0], output="{}"),
        "states:SendTaskSuccess",
    )
    client(cloud, "stepfunctions", "StartFunction").send_task_success(taskToken=bench.tokens[0], output='"yes"')

    assert cloud.wait("run-token", 600).output == "yes"


def test_made_up_credentials_are_nobodys(cloud: LocalCloud) -> None:
    stranger = boto3.Session("AKIASTRANGER", "secret", region_name="eu-west-1").client("dynamodb")

    with pytest.raises(ClientError, match="security token included in the request is invalid"):
        stranger.list_tables()


def test_the_rule_settles_with_its_functions_role(cloud: LocalCloud, bench: Any) -> None:
    begin(cloud, "run-failed", {"go": "query"})

    cloud.wait("run-failed", 600)

    assert [event["detail"]["name"] for event in bench.events] == ["run-failed"]
    table = cloud.physical_id("RunLogTable")
    found = cloud.session.client("dynamodb").get_item(
        TableName=table, Key={"run_id": {"S": "run-failed"}, "seq": {"S": "settled"}}
    )
    assert "Item" in found
