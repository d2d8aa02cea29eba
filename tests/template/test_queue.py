"""The queue of requests: its sources, its consumer, and the events that each function may send."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts.notice import NOTICES, SOURCE
from ballast.contracts.run_requested import RUN_REQUESTED, RunRequested
from ballast.contracts.wire import parse
from tests.template import rendered
from tests.template.rendered import of_type

ROOT = Path(__file__).parents[2]
RESOURCES: dict[str, Any] = rendered.written()["Resources"]


def test_a_message_stays_out_of_sight_for_six_times_as_long_as_its_consumer_may_take() -> None:
    timeout_s = RESOURCES["ConsumeFunction"]["Properties"].get(
        "Timeout", rendered.written()["Globals"]["Function"]["Timeout"]
    )

    assert RESOURCES["RunRequestQueue"]["Properties"]["VisibilityTimeout"] == 6 * timeout_s


def test_a_request_that_fails_five_times_goes_to_the_dead_letters() -> None:
    assert RESOURCES["RunRequestQueue"]["Properties"]["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["RunRequestDeadLetterQueue", "Arn"]},
        "maxReceiveCount": 5,
    }


def test_only_the_messages_that_failed_come_again_and_concurrency_is_bounded() -> None:
    source = RESOURCES["RunRequestSource"]["Properties"]

    assert source["FunctionName"] == {"Fn::GetAtt": ["ConsumeFunction", "Arn"]}
    assert source["EventSourceArn"] == {"Fn::GetAtt": ["RunRequestQueue", "Arn"]}
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "QueueConcurrency"}}


def test_the_rule_passes_on_what_the_contract_names_and_may_send_to_the_queue() -> None:
    rule = RESOURCES["RunRequestedRule"]["Properties"]
    (target,) = rule["Targets"]
    statements = RESOURCES["RunRequestQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    (allowed,) = [statement for statement in statements if statement["Effect"] == "Allow"]

    assert rule["EventPattern"] == {
        "source": [SOURCE],
        "detail-type": [RUN_REQUESTED],
        "detail": {"stack": [{"Ref": "AWS::StackName"}]},
    }
    assert target["Arn"] == {"Fn::GetAtt": ["RunRequestQueue", "Arn"]}
    assert target["Arn"] == allowed["Resource"]
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["RunRequestedRule", "Arn"]}}}


@pytest.mark.parametrize("page", ["http.md", "events/README.md"])
def test_the_commands_of_the_docs_put_events_that_the_rule_passes_on(page: str) -> None:
    commands = re.findall(r"put-events --entries '(.*?)'", (ROOT / "docs" / page).read_text(), re.DOTALL)

    entries = [entry for command in commands for entry in json.loads(command)]

    assert entries
    for entry in entries:
        assert (entry["Source"], entry["DetailType"]) == (SOURCE, RUN_REQUESTED)
        assert parse(RunRequested, json.loads(entry["Detail"]), what="detail").stack


@pytest.mark.parametrize("name", sorted(of_type(rendered.written(), "AWS::Serverless::Function")))
def test_a_function_that_sends_events_can_send_notices_and_request_no_run(name: str) -> None:
    policies = [policy for policy in RESOURCES[name]["Properties"]["Policies"] if isinstance(policy, dict)]
    sends = [
        statement
        for policy in policies
        for statement in policy["Statement"]
        if "events:PutEvents" in str(statement["Action"])
    ]

    assert all(
        statement["Condition"]["ForAllValues:StringEquals"]
        == {"events:source": SOURCE, "events:detail-type": [*NOTICES]}
        for statement in sends
    )
    assert RUN_REQUESTED not in NOTICES


def test_the_functions_that_reply_are_told_the_prefix_that_their_role_knows() -> None:
    for name in ("AdmitFunction", "SettleFunction"):
        function = RESOURCES[name]["Properties"]
        replies = [s for p in function["Policies"] for s in p["Statement"] if s["Sid"] == "ReplyToCallers"]

        assert function["Environment"]["Variables"]["REPLY_QUEUE_PREFIX"] == {"Ref": "ReplyQueuePrefix"}
        assert [s["Resource"]["Fn::Sub"].endswith(":${ReplyQueuePrefix}*") for s in replies] == [True]
