"""Policy evaluation as in IAM; a correct statement is never refused."""

from typing import Any

import pytest

from localcloud.iam import Access, Account, grants, needed

SECRET = "arn:aws:secretsmanager:eu-west-1:1:secret:idp-AbC123"
BUS = "arn:aws:events:eu-west-1:1:event-bus/default"
WHERE = Account("eu-west-1", "1", lambda _: None, {"idp": SECRET}.get, {"alias/k": "k-1"}.get)
BUT_X = {"Statement": [{"Effect": "Allow", "Action": "a:B", "NotResource": "arn:x"}]}
STREAM = "arn:aws:kinesis:eu-west-1:1:stream/s"
OTHER_BUS = "arn:aws:events:eu-west-1:1:event-bus/b"
OURS = {
    "ForAllValues:StringEquals": {"events:source": "ballast", "events:detail-type": ["Run Answered", "Run Failed"]},
    "Null": {"events:source": "false", "events:detail-type": "false"},
}


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource} | more]}


def deny(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Statement": {"Effect": "Deny", "Action": action, "Resource": resource} | more}


@pytest.mark.parametrize(
    ("documents", "access", "granted"),
    [
        ([allow("dynamodb:GetItem", "arn:t")], Access("dynamodb:GetItem", "arn:t"), True),
        ([allow("DynamoDB:getitem", "arn:t")], Access("dynamodb:GetItem", "arn:t"), True),
        ([allow("dynamodb:Get*", "arn:t")], Access("dynamodb:GetItem", "arn:t"), True),
        ([allow("dynamodb:?etItem", "arn:t")], Access("dynamodb:GetItem", "arn:t"), True),
        ([allow("dynamodb:GetItem", "arn:T")], Access("dynamodb:GetItem", "arn:t"), False),
        ([allow("dynamodb:GetItem", "arn.t")], Access("dynamodb:GetItem", "arn:t"), False),
        ([allow(["a:B", "c:D"], ["arn:x", "arn:t?"])], Access("c:D", "arn:t1"), True),
        ([allow("s3:GetObject", "arn:aws:s3:::b/p+(1)/*")], Access("s3:GetObject", "arn:aws:s3:::b/p+(1)/k"), True),
        ([allow("*"), deny("s3:*", "arn:t")], Access("s3:GetObject", "arn:t"), False),
        ([allow("*"), deny("s3:*", "arn:x")], Access("s3:GetObject", "arn:t"), True),
        ([{"Statement": [{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}]}], Access("iam:X", "a"), False),
        ([BUT_X], Access("a:B", "arn:y"), True),
        ([BUT_X], Access("a:B", "arn:x"), False),
        ([], Access("a:B", "arn:x"), False),
        # Where it is not known what a request is done to, the action decides.
        ([allow("ses:SendEmail", "arn:aws:ses:eu-west-1:1:identity/x")], Access("ses:SendEmail", "*"), True),
        ([allow("ses:SendEmail", "arn:aws:ses:eu-west-1:1:identity/x")], Access("ses:DeleteIdentity", "*"), False),
        ([allow("dynamodb:ListTables", "arn:t")], Access("dynamodb:ListTables", "*"), False),
        # Conditions.
        ([allow("a:B", Condition={"Bool": {"aws:SecureTransport": "true"}})], Access("a:B", "r"), True),
        ([allow("a:B"), deny("a:B", Condition={"Bool": {"aws:SecureTransport": "false"}})], Access("a:B", "r"), True),
        ([allow("a:B", Condition={"StringLike": {"s3:prefix": "x/*"}})], Access("a:B", "r"), True),
    ],
)  # fmt: skip
def test_policies_together_grant_or_do_not(documents: list[Any], access: Access, granted: bool) -> None:
    assert grants(documents, access) is granted


@pytest.mark.parametrize(
    ("condition", "entries", "granted"),
    [
        (OURS, [("ballast", "Run Answered")], True),
        (OURS, [("ballast", "Run Answered"), ("ballast", "Run Failed")], True),
        (OURS, [("ballast", "Run Requested")], False),
        (OURS, [("ballast", "Run Answered"), ("ballast", "Run Requested")], False),
        (OURS, [("other", "Run Answered")], False),
        ({"StringEquals": {"events:source": "ballast"}}, [("ballast", "x"), ("other", "x")], False),
        ({"ForAnyValue:StringEquals": {"events:source": "ballast"}}, [("ballast", "x"), ("other", "x")], True),
        ({"StringNotEquals": {"events:source": "ballast"}}, [("other", "x")], True),
        ({"StringLike": {"events:source": "bal*"}}, [("ballast", "x")], True),
    ],
)
def test_an_event_is_put_by_who_may_put_each_of_its_entries(
    condition: dict[str, Any], entries: list[tuple[str, str]], granted: bool
) -> None:
    body = {"Entries": [{"Source": source, "DetailType": kind, "Detail": "{}"} for source, kind in entries]}

    [access] = needed("events:PutEvents", "*", "/", body, WHERE)

    assert access.resource == BUS
    assert grants([allow("events:PutEvents", BUS, Condition=condition)], access) is granted


@pytest.mark.parametrize(
    ("action", "body", "resource"),
    [
        ("secretsmanager:GetSecretValue", {"SecretId": "idp"}, SECRET),
        ("secretsmanager:GetSecretValue", {"SecretId": SECRET}, SECRET),
        ("secretsmanager:GetSecretValue", {"SecretId": "new"}, "arn:aws:secretsmanager:eu-west-1:1:secret:new-000000"),
        ("ssm:GetParameter", {"Name": "/app/key"}, "arn:aws:ssm:eu-west-1:1:parameter/app/key"),
        ("ssm:GetParametersByPath", {"Path": "/app"}, "arn:aws:ssm:eu-west-1:1:parameter/app"),
        ("sns:Publish", {"TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": "x"}, "arn:aws:sns:eu-west-1:1:t"),
        ("kinesis:PutRecord", {"StreamARN": STREAM}, STREAM),
        ("kms:Encrypt", {"KeyId": "alias/k"}, "arn:aws:kms:eu-west-1:1:key/k-1"),
        ("kms:Encrypt", {"KeyId": "arn:aws:kms:eu-west-1:1:alias/k"}, "arn:aws:kms:eu-west-1:1:key/k-1"),
        ("sqs:GetQueueUrl", {"QueueName": "q"}, "arn:aws:sqs:eu-west-1:1:q"),
        ("events:PutEvents", {"Entries": [{"EventBusName": OTHER_BUS}]}, OTHER_BUS),
    ],
)  # fmt: skip
def test_a_request_to_a_service_of_a_tools_is_for_what_it_names(
    action: str, body: dict[str, Any], resource: str
) -> None:
    assert [access.resource for access in needed(action, "*", "/", body, WHERE)] == [resource]
