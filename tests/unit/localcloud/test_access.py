"""The rights that a request needs."""

from typing import Any

import pytest

from localcloud.iam import Access, Account, needed, needed_for_model

WHERE = Account("eu-west-1", "1", {"token-of-m": "arn:aws:states:eu-west-1:1:stateMachine:m"}.get)
TABLE = "arn:aws:dynamodb:eu-west-1:1:table/"


@pytest.mark.parametrize(
    ("action", "body", "expected"),
    [
        ("dynamodb:PutItem", {"TableName": "t"}, [("dynamodb:PutItem", TABLE + "t")]),
        ("dynamodb:PutItem", {"TableName": TABLE + "t"}, [("dynamodb:PutItem", TABLE + "t")]),
        ("dynamodb:Query", {"TableName": "t", "IndexName": "i"}, [("dynamodb:Query", TABLE + "t/index/i")]),
        ("dynamodb:ListTables", {}, [("dynamodb:ListTables", "*")]),
        (
            "dynamodb:BatchGetItem",
            {"RequestItems": {"a": {}, "b": {}}},
            [("dynamodb:BatchGetItem", TABLE + "a"), ("dynamodb:BatchGetItem", TABLE + "b")],
        ),
        (
            "dynamodb:TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": "a"}},
                    {"Update": {"TableName": "b"}},
                    {"Delete": {"TableName": "a"}},
                    {"ConditionCheck": {"TableName": "c"}},
                ]
            },
            [
                ("dynamodb:PutItem", TABLE + "a"),
                ("dynamodb:UpdateItem", TABLE + "b"),
                ("dynamodb:DeleteItem", TABLE + "a"),
                ("dynamodb:ConditionCheckItem", TABLE + "c"),
            ],
        ),
        (
            "dynamodb:TransactGetItems",
            {"TransactItems": [{"Get": {"TableName": "a"}}]},
            [("dynamodb:GetItem", TABLE + "a")],
        ),
        (
            "dynamodb:ExecuteStatement",
            {"Statement": 'SELECT * FROM "t"."by_day" WHERE day = ?'},
            [("dynamodb:PartiQLSelect", TABLE + "t/index/by_day")],
        ),
        (
            "dynamodb:BatchExecuteStatement",
            {"Statements": [{"Statement": " delete from t WHERE id = ?"}, {"Statement": "select id from t"}]},
            [("dynamodb:PartiQLDelete", TABLE + "t"), ("dynamodb:PartiQLSelect", TABLE + "t")],
        ),
        (
            "dynamodb:ExecuteTransaction",
            {
                "TransactStatements": [
                    {"Statement": "INSERT INTO \"a-b\" VALUE {'id': ?}"},
                    {"Statement": 'UPDATE "c" SET n = n + 1 WHERE id = ?'},
                    {"Statement": 'EXISTS(SELECT * FROM "d" WHERE id = ?)'},
                ]
            },
            [
                ("dynamodb:PartiQLInsert", TABLE + "a-b"),
                ("dynamodb:PartiQLUpdate", TABLE + "c"),
                ("dynamodb:PartiQLSelect", TABLE + "d"),
            ],
        ),
        (
            "sqs:SendMessageBatch",
            {"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/1/q"},
            [("sqs:SendMessage", "arn:aws:sqs:eu-west-1:1:q")],
        ),
        ("states:StartExecution", {"stateMachineArn": "arn:m"}, [("states:StartExecution", "arn:m")]),
        ("states:DescribeExecution", {"executionArn": "arn:e"}, [("states:DescribeExecution", "arn:e")]),
        (
            "states:SendTaskSuccess",
            {"taskToken": "token-of-m"},
            [("states:SendTaskSuccess", "arn:aws:states:eu-west-1:1:stateMachine:m")],
        ),
        ("states:SendTaskSuccess", {"taskToken": "nobody's"}, [("states:SendTaskSuccess", "*")]),
        ("states:ListStateMachines", {}, [("states:ListStateMachines", "*")]),
        ("kms:Encrypt", {"KeyId": "k-1"}, [("kms:Encrypt", "arn:aws:kms:eu-west-1:1:key/k-1")]),
        ("kms:Decrypt", {"KeyId": "arn:aws:kms:x:2:key/k"}, [("kms:Decrypt", "arn:aws:kms:x:2:key/k")]),
        ("events:PutEvents", {"Entries": [{}]}, [("events:PutEvents", "arn:aws:events:eu-west-1:1:event-bus/default")]),
        ("monitoring:DescribeAlarms", {}, [("cloudwatch:DescribeAlarms", "*")]),
        ("iam:ListRoles", {}, [("iam:ListRoles", "*")]),
    ],
)
def test_a_request_needs_rights_to_what_it_touches(
    action: str, body: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert needed(action, "*", "/", body, WHERE) == [Access(*pair) for pair in expected]


def test_an_object_in_s3_is_what_moto_says_it_is() -> None:
    assert needed("s3:GetObject", "arn:aws:s3:::b/k", "/k", {}, WHERE) == [Access("s3:GetObject", "arn:aws:s3:::b/k")]


@pytest.mark.parametrize("name", ["f", "arn%3Aaws%3Alambda%3Aeu-west-1%3A1%3Afunction%3Af"])
def test_an_invocation_needs_the_right_to_the_function(name: str) -> None:
    path = f"/2015-03-31/functions/{name}/invocations"

    assert needed("lambda:Invoke", "*", path, {}, WHERE) == [
        Access("lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:1:function:f")
    ]


@pytest.mark.parametrize(
    ("model_id", "resources"),
    [
        ("anthropic.claude-x", ["arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-x"]),
        (
            "eu.anthropic.claude-x",
            [
                "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-x",
                "arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-x",
                "arn:aws:bedrock:eu-north-1::foundation-model/anthropic.claude-x",
            ],
        ),
        (
            "global.anthropic.claude-x",
            [
                "arn:aws:bedrock:eu-west-1:1:inference-profile/global.anthropic.claude-x",
                "arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-x",
                "arn:aws:bedrock:::foundation-model/anthropic.claude-x",
            ],
        ),
        (
            "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-x",
            [
                "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-x",
                "arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-x",
                "arn:aws:bedrock:eu-north-1::foundation-model/anthropic.claude-x",
            ],
        ),
        ("arn:aws:bedrock:us-east-1::foundation-model/m", ["arn:aws:bedrock:us-east-1::foundation-model/m"]),
    ],
)
def test_a_model_needs_the_right_to_it_and_to_what_stands_behind_it(model_id: str, resources: list[str]) -> None:
    found = needed_for_model("Converse", model_id, "eu-west-1", "1")

    assert found == [Access("bedrock:InvokeModel", resource) for resource in resources]


def test_a_streamed_reply_needs_a_right_of_its_own() -> None:
    [access] = needed_for_model("ConverseStream", "m", "eu-west-1", "1")

    assert access.action == "bedrock:InvokeModelWithResponseStream"
