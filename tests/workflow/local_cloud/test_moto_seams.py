"""Each seam of moto does its job; a new version of moto that breaks one fails here."""

import gc
import json
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.loaders import Loader

from localcloud.clock import VirtualClock
from localcloud.cloud import LocalCloud
from localcloud.moto_seams import events, iam
from localcloud.moto_seams.deployment import StackRefused, create_alarm, created_stack, physical_ids_of, resolved
from localcloud.moto_seams.dynamodb import emptied, kept, put_back
from localcloud.moto_seams.imports import import_moto
from localcloud.moto_seams.kms import keys_as_the_template_says, no_key_pairs_for_secret_keys
from localcloud.moto_seams.replaced import SeamBroken, replaced
from localcloud.moto_seams.requests import methods_looked_up_once
from localcloud.sessions import ACCOUNT, REGION, Models
from tests.workflow.local_cloud.conftest import begin, eventually, threads_switching_often

# replaced


def test_a_seam_that_finds_nothing_to_replace_says_so() -> None:
    with pytest.raises(SeamBroken, match=r"no_such_thing.*pinned"), replaced(json, "no_such_thing", None):
        pass


# imports


def test_what_is_left_out_is_not_imported_and_can_be_imported_later() -> None:
    program = """
import sys
from localcloud.moto_seams.imports import import_moto
import_moto()
assert "moto.cloudformation.parsing" in sys.modules and "moto.stepfunctions.parser.models" in sys.modules
assert not [name for name in sys.modules if name.startswith(("moto.ec2", "moto.batch", "moto.apigateway"))]
import importlib.util, moto
assert importlib.util.find_spec("moto.batch").origin.endswith("__init__.py") and not hasattr(moto, "batch")
"""

    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


# dispatch


def test_the_services_are_botocores_and_another_is_unknown() -> None:
    models = Models()

    assert models.list_available_services("service-2") == Loader().list_available_services("service-2")
    with pytest.raises(UnknownServiceError):
        models.load_service_model("no-such", "service-2")
    with pytest.raises(DataNotFoundError):
        models.load_service_model("sts", "waiters-2")


def test_the_methods_of_a_service_are_looked_up_once() -> None:
    import_moto()
    from moto.core import responses as module

    responses: Any = module
    with methods_looked_up_once():
        found = responses.method_names_from_class(responses.BaseResponse)
        assert found
        assert responses.method_names_from_class(responses.BaseResponse) is found
    assert responses.method_names_from_class(responses.BaseResponse) is not found


def test_moto_takes_the_service_models_that_are_read(cloud: LocalCloud) -> None:
    from moto.core.utils import get_service_model

    get_service_model.cache_clear()
    before = cloud.session.client("sqs").meta.service_model

    assert get_service_model("sqs")._service_description is before._service_description


# deployment and iam


def test_the_ids_and_keys_are_those_that_the_api_gives(cloud: LocalCloud) -> None:
    stacks = cloud.session.client("cloudformation")
    (stack,) = stacks.describe_stacks()["Stacks"]
    described = stacks.describe_stack_resources(StackName=stack["StackName"])["StackResources"]
    ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in described if "PhysicalResourceId" in one}

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Tried to parse")
        assert physical_ids_of(ACCOUNT, REGION, stack["StackId"]) == ids
    role = cloud.session.client("iam").list_roles()["Roles"][0]["Arn"]
    keys = iam.keys_of_role(ACCOUNT, REGION, role, "somebody")
    signed = boto3.Session(keys.access_key, keys.secret_key, keys.token, REGION).client("sts")
    assert (
        signed.get_caller_identity()["Arn"]
        == f"{role.replace(':iam:', ':sts:').replace('role', 'assumed-role', 1)}/somebody"
    )


def test_an_alarm_and_a_stack_are_what_the_api_makes_of_them(cloud: LocalCloud) -> None:
    alarms, stacks = (cloud.session.client(name) for name in ("cloudwatch", "cloudformation"))
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": "Named"}}}
    template = {"Parameters": {"Named": {"Type": "String"}}, "Resources": {"Queue": queue}}
    said = {"Namespace": "N", "MetricName": "M", "Dimensions": [{"Name": "a", "Value": "b"}], "Statistic": "Sum"}
    sums = [
        {"Id": "sum", "Expression": "SUM(METRICS())", "ReturnData": True, "Label": "all"},
        {
            "Id": "one",
            "MetricStat": {"Metric": {"Namespace": "N", "MetricName": "M"}, "Period": 60, "Stat": "Sum"},
            "ReturnData": False,
        },
    ]
    asked = {"ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 3, "Threshold": 1.5}
    actions = {"AlarmActions": ["arn:aws:sns:eu-west-1:123456789012:t"], "TreatMissingData": "notBreaching"}

    for name, alarm in {"plain": {**said, "Period": 60}, "sums": {"Metrics": sums}}.items():
        create_alarm(ACCOUNT, REGION, {"AlarmName": f"{name}-0", **asked, **actions, **alarm})
        alarms.put_metric_alarm(**{"AlarmName": f"{name}-1", **asked, **actions, **alarm})
        one, other = (alarms.describe_alarms(AlarmNames=[f"{name}-{n}"])["MetricAlarms"][0] for n in (0, 1))
        differs = {key for key in one | other if one.get(key) != other.get(key)}
        assert differs <= {"AlarmName", "AlarmArn", "AlarmConfigurationUpdatedTimestamp", "StateUpdatedTimestamp"}

    created_stack(ACCOUNT, REGION, "here", json.dumps(template), {"Named": "of-here"})
    named = [{"ParameterKey": "Named", "ParameterValue": "of-there"}]
    stacks.create_stack(StackName="there", TemplateBody=json.dumps(template), Parameters=named)
    here, there = (stacks.describe_stacks(StackName=name)["Stacks"][0] for name in ("here", "there"))
    differs = {key for key in here | there if here.get(key) != there.get(key)}
    assert differs <= {"StackName", "StackId", "Parameters", "CreationTime"}
    (made,) = stacks.describe_stack_resources(StackName="here")["StackResources"]
    assert made["PhysicalResourceId"].endswith("/of-here")


def test_a_stack_that_cannot_be_is_refused_with_the_reason(cloud: LocalCloud) -> None:
    template = {"Parameters": {"Named": {"Type": "String"}}, "Resources": {}}

    with pytest.raises(StackRefused, match="Named"):
        created_stack(ACCOUNT, REGION, "refused", json.dumps(template), {})


# kms


def test_a_secret_key_has_no_pair_and_works_and_a_pair_is_one() -> None:
    import_moto()
    from moto import mock_aws
    from moto.kms import models

    with no_key_pairs_for_secret_keys(), mock_aws():
        kms = boto3.Session("testing", "testing", region_name="eu-west-1").client("kms")
        secret = kms.create_key()["KeyMetadata"]["KeyId"]
        pair = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
        sealed = kms.encrypt(KeyId=secret, Plaintext=b"it")["CiphertextBlob"]

        assert models.kms_backends[ACCOUNT]["eu-west-1"].keys[secret].private_key is None
        assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"it"
        assert kms.sign(KeyId=pair, Message=b"it", SigningAlgorithm="RSASSA_PSS_SHA_256")["Signature"]


def test_a_stacks_key_is_of_the_kind_that_the_template_says() -> None:
    import_moto()
    from moto import mock_aws

    policy = {"Version": "2012-10-17", "Statement": []}
    signs = {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC", "KeyPolicy": policy}
    template = {"Resources": {"Signs": {"Type": "AWS::KMS::Key", "Properties": signs}}}
    template["Resources"]["Seals"] = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": policy}}
    with no_key_pairs_for_secret_keys(), keys_as_the_template_says(), mock_aws():
        session = boto3.Session("testing", "testing", region_name="eu-west-1")
        kms, stacks = session.client("kms"), session.client("cloudformation")
        stacks.create_stack(StackName="keys", TemplateBody=json.dumps(template))
        made = stacks.describe_stack_resources(StackName="keys")["StackResources"]
        keys = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in made}

        mac = kms.generate_mac(KeyId=keys["Signs"], Message=b"it", MacAlgorithm="HMAC_SHA_256")["Mac"]

        asked = {"KeyId": keys["Signs"], "MacAlgorithm": "HMAC_SHA_256", "Mac": mac}
        assert kms.verify_mac(**asked, Message=b"it")["MacValid"] is True
        with pytest.raises(kms.exceptions.KMSInvalidMacException):
            kms.verify_mac(**asked, Message=b"something else")
        assert kms.encrypt(KeyId=keys["Seals"], Plaintext=b"it")["CiphertextBlob"]


# jsonata (what expressions give: test_jsonata.py)


def test_text_reaches_the_next_state_as_it_is(run: Any) -> None:
    note = 'it\'s "quoted" \\ with a\nnew line, $dollars, {% marks %} and Zoë'

    ended = run(note=note)

    assert ended.output["note"] == note
    assert ended.output["result"]["echo"]["note"] == note


def test_an_expression_that_gives_nothing_fails_the_state_by_name(run: Any) -> None:
    ended = run(go="query")

    assert (ended.status, ended.error) == ("FAILED", "States.QueryEvaluationError")
    assert "returned nothing" in ended.cause


# interpreter


def test_a_task_runs_the_handler_and_gets_its_json(run: Any) -> None:
    assert run(a=1).output["result"] == {"echo": {"a": 1, "note": None}}


def test_a_handlers_error_reaches_a_catch_by_its_class_name(run: Any) -> None:
    ended = run(boom=True)

    report = json.loads(ended.output["Cause"])
    assert ended.output["Error"] == "Boom"
    assert (report["errorType"], report["errorMessage"]) == ("Boom", 'it "broke"')


def test_executions_side_by_side_count_their_retries_apart(cloud: LocalCloud, bench: Any) -> None:
    names = [begin(cloud, f"run-apart-{n}", {"fail_times": 9, "key": f"apart-{n}"}) for n in range(8)]

    ends = [cloud.wait(name, 60) for name in names]

    assert {ended.error for ended in ends} == {"RetryLater"}
    assert {bench.attempts[f"apart-{n}"] for n in range(8)} == {4}  # one attempt and MaxAttempts: 3


def test_a_states_retriers_count_apart(run: Any) -> None:
    ended = run(fail_with=["RetryLater", "RetryLater", "Flaky", "RetryLater"], key="two retriers")

    assert ended.status == "SUCCEEDED"


def test_retries_wait_by_the_clouds_clock(run: Any, clock: VirtualClock) -> None:
    started = clock.monotonic()

    ended = run(fail_times=2, key="slept")

    assert ended.status == "SUCCEEDED"
    assert clock.monotonic() - started == 3 + 6  # IntervalSeconds and BackoffRate


def test_a_stop_ends_an_execution_that_waits_for_a_person(cloud: LocalCloud, bench: Any) -> None:
    name = begin(cloud, "run-stopped", {"go": "ask"})
    eventually(lambda: bench.tokens)

    cloud.stop(name)

    assert cloud.wait(name, 10).status == "ABORTED"
    assert cloud.history(name)[-1]["type"] == "ExecutionAborted"
    assert len([event for event in bench.events if event["detail"]["name"] == name]) == 1


def test_a_task_token_takes_one_answer(cloud: LocalCloud, bench: Any) -> None:
    states = cloud.session.client("stepfunctions")
    name = begin(cloud, "run-asked", {"go": "ask"})
    eventually(lambda: bench.tokens)

    states.send_task_success(taskToken=bench.tokens[0], output='{"answer": 1}')
    with pytest.raises(states.exceptions.TaskTimedOut):
        states.send_task_success(taskToken=bench.tokens[0], output='{"answer": 2}')

    assert cloud.wait(name, 10).output == {"answer": 1}


def test_an_answer_after_the_timeout_is_refused(cloud: LocalCloud, bench: Any) -> None:
    states = cloud.session.client("stepfunctions")
    name = begin(cloud, "run-asked-late", {"go": "ask", "timeout_s": 1})
    cloud.wait(name, 10)

    with pytest.raises(states.exceptions.TaskTimedOut):
        states.send_task_success(taskToken=bench.tokens[0], output="{}")

    assert cloud.wait(name, 10).output == {"error": "unanswered"}


def test_simultaneous_starts_of_one_name_start_one_execution(cloud: LocalCloud) -> None:
    states = cloud.session.client("stepfunctions")

    def start(name: str) -> str:
        return begin(cloud, name, {"go": "ask"})

    names = [f"run-once-{n}" for n in range(6)]
    with threads_switching_often(), ThreadPoolExecutor(8) as pool:
        list(pool.map(start, [name for name in names for _ in range(4)]))

    listed = states.list_executions(stateMachineArn=cloud.physical_id("AgentStateMachine"))["executions"]
    assert sorted(found["name"] for found in listed if found["name"] in names) == names
    for name in names:
        cloud.stop(name)


# deployment


def test_a_stacks_properties_are_resolved(cloud: LocalCloud) -> None:
    stack = cloud.session.client("cloudformation").describe_stacks()["Stacks"][0]["StackId"]

    values = resolved(ACCOUNT, REGION, stack, {"a": {"Ref": "RunLogTable"}, "b": {"Fn::Sub": "${Greeting}!"}})

    assert values == {"a": cloud.physical_id("RunLogTable"), "b": "hello!"}


def test_a_stacks_template_is_read_as_the_json_that_it_is(cloud: LocalCloud) -> None:
    from moto.cloudformation.models import Stack

    assert Stack.parse_template('{"a": 1}') == {"a": 1}
    with pytest.raises(ValueError, match="Expecting"):
        Stack.parse_template("a: 1")


# dynamodb


def test_of_simultaneous_conditional_writes_one_wins(cloud: LocalCloud) -> None:
    client = cloud.session.client("dynamodb")
    table = cloud.physical_id("RunLogTable")

    def put(key: str) -> bool:
        try:
            client.put_item(
                TableName=table,
                Item={"run_id": {"S": key}, "seq": {"S": "1"}},
                ConditionExpression="attribute_not_exists(run_id)",
            )
        except client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with threads_switching_often(), ThreadPoolExecutor(6) as pool:
        wins = [sum(pool.map(put, [f"race-{n}"] * 6)) for n in range(20)]

    assert wins == [1] * 20


def test_an_item_that_was_written_over_is_forgotten(cloud: LocalCloud) -> None:
    from moto.dynamodb.models.dynamo_type import Item

    dynamodb, name = cloud.session.client("dynamodb"), cloud.physical_id("RunLogTable")
    for number in range(50):
        item = {"run_id": {"S": "run-over"}, "seq": {"S": "0"}, "number": {"N": f"{number}99999"}}
        dynamodb.transact_write_items(TransactItems=[{"Put": {"TableName": name, "Item": item}}])

    gc.collect()
    numbers = [one.attrs.get("number") for one in gc.get_objects() if type(one) is Item]
    left = [number for number in numbers if number is not None and str(number.value).endswith("99999")]
    assert len(left) <= 2


def test_tables_are_emptied_and_hold_again_what_was_kept(cloud: LocalCloud) -> None:
    client, region = cloud.session.client("dynamodb"), cloud.session.region_name
    table = cloud.physical_id("RunLogTable")
    key = {"run_id": {"S": "kept"}, "seq": {"S": "1"}}
    client.put_item(TableName=table, Item=key | {"body": {"S": "before"}})
    before = kept(region, table)

    client.put_item(TableName=table, Item=key | {"body": {"S": "after"}})
    emptied(region, table)
    assert client.scan(TableName=table)["Count"] == 0
    put_back(region, before)

    assert client.get_item(TableName=table, Key=key)["Item"]["body"] == {"S": "before"}
    client.delete_item(TableName=table, Key=key)
    put_back(region, before)
    assert "Item" in client.get_item(TableName=table, Key=key)


# events


@pytest.mark.parametrize(("status", "match"), [("ABORTED", True), ("SUCCEEDED", False)])
def test_a_rules_pattern_is_matched(status: str, match: bool) -> None:
    import_moto()
    pattern = json.dumps({"source": ["aws.states"], "detail": {"status": ["ABORTED", "FAILED"]}})

    assert events.matches(pattern, {"source": "aws.states", "detail": {"status": status}}) is match


def test_a_rule_with_a_schedule_and_no_pattern_hears_of_no_event() -> None:
    import_moto()
    from moto.events.models import Rule

    target = {"Id": "f", "Arn": "arn:aws:lambda:eu-west-1:1:function:f"}
    heard: list[str] = []

    def rule(pattern: str | None, schedule: str | None) -> Rule:
        return Rule("r", "1", "eu-west-1", None, pattern, schedule, None, "default", None, targets=[target])

    with events.functions_are_targets(lambda arn, event: heard.append(event["detail-type"])):
        for made in (rule(None, "rate(1 minute)"), rule('{"source": ["s"]}', None)):
            made.send_to_targets({"source": "s", "detail-type": "D", "time": 1.0, "detail": {}})  # type: ignore[typeddict-item]

    assert heard == ["D"]


# iam (whole requests: test_principals.py)


def test_a_roles_missing_rights_are_found(cloud: LocalCloud) -> None:
    role = cloud._functions.find("WorkFunction").role_arn
    table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{cloud.physical_id('RunLogTable')}"
    put, delete = iam.Access("dynamodb:PutItem", table), iam.Access("dynamodb:DeleteItem", table)

    assert iam.missing_rights(ACCOUNT, role, [put, delete]) == [delete]


# quiet


def test_errors_of_states_are_not_logged(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    run(boom=True)
    run(go="query")

    assert caplog.text == ""
