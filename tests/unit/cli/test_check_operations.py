"""``ballast check`` of calls by boto3: the action that each one needs, and services and methods that there are not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli.checks import Finding
from cli.checks.code import Code
from cli.checks.operations import needed_actions
from cli.checks.rights import rights
from cli.checks.template import _markers, _past_the_context, _unknown_to_boto3


def code(folder: Path, *lines: str) -> Code:
    body = "".join(f"    {line}\n" for line in lines)
    (folder / "tool.py").write_text(f"import boto3\nfrom ballast.playbook import tool\n\n\n@tool\ndef f(ctx):\n{body}")
    return Code(folder)


def told(found: Code, actions: object, **resources: Any) -> list[Finding]:
    statement = {"Effect": "Allow", "Action": actions, "Resource": "arn:aws:x:::mine"}
    policy = {"Type": "AWS::IAM::Policy", "Properties": {"PolicyDocument": {"Statement": [statement]}}}
    business: Mapping[str, Any] = {"Resources": {"ToolsPolicy": policy, **resources}}
    return [*rights(found, business, {}, "business.yaml")]


@pytest.mark.parametrize(
    ("service", "call", "given", "needed"),
    [
        ("sqs", "send_message()", "sqs:ReceiveMessage", "sqs:SendMessage"),
        ("sqs", "send_message_batch()", "sqs:SendMessage", None),
        ("sqs", "send_message()", "s3:PutObject", "sqs:SendMessage"),
        ("sqs", "send_message()", "sqs:Send*", None),
        ("sqs", "send_message()", [{"Ref": "Actions"}], None),
        ("ssm", "get_parameter()", "ssm:GetParameters", "ssm:GetParameter"),
        ("secretsmanager", "get_secret_value()", "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"),
        ("s3", "put_object()", "s3:GetObject", "s3:PutObject"),
        ("s3", "upload_file()", "s3:PutObject", None),
        ("s3", "get_object(VersionId='1')", "s3:GetObjectVersion", None),
        ("s3", "get_paginator('list_objects_v2').paginate()", "s3:GetObject", "s3:ListBucket"),
        ("lambda", "invoke()", "lambda:InvokeFunction", None),
        ("sesv2", "send_email()", "ses:SendRawEmail", None),
        ("location", "search_place_index_for_text()", "geo:GetPlace", "geo:SearchPlaceIndexForText"),
        ("cognito-idp", "initiate_auth()", "s3:GetObject", None),
        ("sts", "get_caller_identity()", "s3:GetObject", None),
    ],
)
def test_a_call_needs_the_action_of_its_operation(
    service: str, call: str, given: object, needed: str | None, tmp_path: Path
) -> None:
    found = told(code(tmp_path, f"ctx.client('{service}').{call}"), given)

    assert [one.field for one in found if one.level == "error"] == ([needed] if needed else [])


def test_no_right_is_asked_for_that_no_statement_may_give(tmp_path: Path) -> None:
    [found] = told(code(tmp_path, "ctx.client('stepfunctions').start_execution()"), "s3:GetObject")

    assert (found.field, found.remedy[:29]) == ("states:StartExecution", "Take the call out of the tool")


def test_of_a_call_whose_action_is_not_known_only_the_service_is_compared(tmp_path: Path) -> None:
    found = code(tmp_path, "ctx.client('s3').generate_presigned_url('get_object')")

    [hint] = told(found, "s3:GetObject")
    assert (hint.level, "generate_presigned_url of s3" in hint.problem) == ("hint", True)
    assert [one.field for one in told(found, "sqs:SendMessage")] == ["s3:…"]
    assert needed_actions("s3", "generate_presigned_url") is None


@pytest.mark.parametrize(
    ("lines", "actions", "unused"),
    [
        (["ctx.client('s3').put_object()"], ["s3:PutObject", "s3:DeleteObject"], "s3:DeleteObject"),
        (["ctx.client('s3').get_object()"], ["s3:GetObject", "s3:ListBucket"], None),
        (
            ["s3 = ctx.client('s3')", "s3.put_object(), other.delete_object()"],
            ["s3:PutObject", "s3:DeleteObject"],
            None,
        ),
        (["ctx.client('s3').generate_presigned_url('x')"], ["s3:GetObject"], None),
        (["ctx.client('s3').get_waiter('object_exists')"], ["s3:GetObject"], None),
        (["ctx.client('s3').get_paginator(name)"], ["s3:ListBucket"], None),
        (
            ["ctx.client('s3').get_paginator('list_parts')"],
            ["s3:ListMultipartUploadParts", "s3:GetObject"],
            "s3:GetObject",
        ),
        (["ctx.client('ssm').get_parameter()"], ["ssm:GetParameter", "kms:Decrypt"], None),
        (["ctx.client('s3').put_object()"], ["s3:PutObject", "sqs:SendMessage"], None),
    ],
)
def test_an_action_that_no_call_needs_is_a_hint(
    lines: list[str], actions: list[str], unused: str | None, tmp_path: Path
) -> None:
    found = [one for one in told(code(tmp_path, *lines), actions) if "No code of the playbook" in one.problem]

    assert [unused in one.problem for one in found if unused] == ([True] if unused else [])
    assert bool(found) == bool(unused)


@pytest.mark.parametrize(
    ("line", "field", "remedy"),
    [
        ("ctx.client('dynamo').get_item()", "dynamo", 'Write "dynamodb".'),
        ("ctx.client('dynamodb').get_itm()", "get_itm", "Write get_item."),
        ("ctx.client('s3').upload_file(), ctx.client('s3').generate_presigned_post()", None, ""),
        ("ctx.client('s3').exceptions.NoSuchKey('x'), ctx.client('s3').can_paginate('x')", None, ""),
        ("ctx.client('sqs').get_waiter('x'), ctx.client(unknown).no_such()", None, ""),
        ("boto3.resource('sqs').Queue('x').no_such()", None, ""),
    ],
)
def test_a_service_or_a_method_that_boto3_does_not_have_is_an_error(
    line: str, field: str | None, remedy: str, tmp_path: Path
) -> None:
    found = [*_unknown_to_boto3(code(tmp_path, line))]

    assert [(one.level, one.field, one.remedy) for one in found] == ([("error", field, remedy)] if field else [])


@pytest.mark.parametrize(
    ("key", "keys", "wrong"),
    [
        ("id", ["parcel_id"], 'Write key="parcel_id".'),
        ("parcel_id", ["parcel_id"], None),
        ("parcel_id", ["parcel_id", "at"], "Name a table whose key is one attribute."),
        ("id", [{"Ref": "Key"}], None),
    ],
)
def test_write_once_marks_a_call_under_the_key_of_its_table(
    key: str, keys: list[Any], wrong: str | None, tmp_path: Path
) -> None:
    found = code(tmp_path, f"ctx.write_once(table=ctx.environ['TABLE'], key='{key}', result=int, attempt=f)")
    schema = {"KeySchema": [{"AttributeName": one, "KeyType": "HASH"} for one in keys]}
    business = {"Resources": {"Parcels": {"Type": "AWS::DynamoDB::Table", "Properties": schema}}}

    told_ = [*_markers(found, business, {"TABLE": "${Parcels}"})]

    assert [(one.level, one.remedy) for one in told_] == ([("error", wrong)] if wrong else [])


def test_the_client_that_a_partial_makes_is_followed(tmp_path: Path) -> None:
    found = code(tmp_path, "make = functools.partial(ctx.client, 's3')", "make().put_object()")

    assert (found.calls.keys(), found.unfollowed) == ({("s3", "put_object")}, {})


def test_a_resource_of_boto3_is_no_client_of_the_context(tmp_path: Path) -> None:
    [found] = _past_the_context(code(tmp_path, "boto3.resource('sqs').Queue('x')"), {})

    assert ("resource of sqs" in found.problem, "another form" in found.remedy) == (True, True)
