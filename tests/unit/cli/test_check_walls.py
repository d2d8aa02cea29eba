"""The walls around business.yaml: what is the business's own, what could be the platform's, and who has the rights."""

from typing import Any

import pytest

from cli.checks import Finding
from cli.checks.rights import _remedy
from cli.checks.statements import breaches

HERE = "${AWS::Region}:${AWS::AccountId}"
SECRET = "arn:aws:secretsmanager:*:*:"
DYNAMODB = "arn:aws:dynamodb:eu-west-1:111122223333:table/"
PARAMETERS = {
    "Elsewhere": {"Type": "String"},
    "Tables": {"Type": "CommaDelimitedList", "Default": f"{DYNAMODB}Accounts, {DYNAMODB}*-RunLogTable-*"},
    "Mine": {"Type": "List<String>", "Default": f"{DYNAMODB}Accounts,{DYNAMODB}Orders"},
    "Any": {"Type": "String", "Default": "*"},
    "AnySecret": {"Type": "String", "Default": f"{SECRET}secret:*"},
    "ModelId": {"Type": "String", "Default": "arn:aws:s3:::acme-models/*"},
}
PICKED = {"Fn::FindInMap": ["Names", {"Ref": "Stage"}, "Table"]}
RESOURCES = {
    "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": PICKED}},
    "Stock": {"Type": "AWS::Lambda::Function"},
    "Live": {"Type": "AWS::Lambda::Alias"},
    "Audit": {"Type": "AWS::Logs::LogGroup"},
    "Desk": {"Type": "AWS::ApiGatewayV2::Api"},
    "Attached": {"Type": "AWS::SecretsManager::SecretTargetAttachment"},
    "Users": {"Type": "AWS::Cognito::UserPool"},
    "Bucket": {"Type": "AWS::S3::Bucket"},
    "Key": {"Type": "AWS::KMS::Key"},
    "Star": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/x", "Value": "*"}},
    "Named": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/y", "Value": "idp"}},
}


def allow(action: Any, resource: Any, effect: str = "Allow") -> dict[str, Any]:
    return {"Sid": "Planted", "Effect": effect, "Action": action, "Resource": resource}


def policy(*statements: Any, **properties: Any) -> dict[str, Any]:
    given = {"Roles": [{"Ref": "ExecutorRole"}], "PolicyDocument": {"Statement": [*statements]}, **properties}
    return {"Type": "AWS::IAM::Policy", "Properties": given}


def found_in(*, calls: bool = False, **resources: Any) -> list[Finding]:
    template = {"Parameters": PARAMETERS, "Resources": {**RESOURCES, **resources}}
    return [one for one in breaches(template, "business.yaml", calls=calls) if one.level != "hint"]


def sub(text: str) -> dict[str, str]:
    return {"Fn::Sub": text}


def arn(name: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [name, "Arn"]}


IMPORTED = {"Fn::ImportValue": "elsewhere"}
PUT, READ_SECRET = "dynamodb:PutItem", "secretsmanager:GetSecretValue"


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        # a resource of business.yaml, whatever its type
        ("logs:FilterLogEvents", sub("${Audit.Arn}:*")),
        ("logs:CreateLogStream", arn("Audit")),
        ("execute-api:Invoke", sub(f"arn:aws:execute-api:{HERE}:${{Desk}}/prod/POST/items")),
        (READ_SECRET, {"Ref": "Attached"}),
        # a name that cannot be read is a reason only where text goes on with it
        (PUT, [arn("Table"), sub("${Table.Arn}/index/*")]),
        (PUT, sub(f"arn:aws:dynamodb:{HERE}:table/${{Table}}")),
        # a wildcard for partition, region or account ends at a colon
        (PUT, "arn:*:dynamodb:*:*:table/Accounts"),
        ("sqs:SendMessage", "arn:aws:sqs:*:*:crm-inbox"),
        ("s3:GetObject", "arn:*:s3:::partners-prices/*"),
        ("logs:FilterLogEvents", "arn:aws:logs:*:*:log-group:/acme/shop:*"),
        # an import, a parameter, and a name that says whose it is
        ("kms:Sign", [{"Ref": "Elsewhere"}, IMPORTED, arn("Key")]),
        ("dynamodb:GetRecords", [IMPORTED, f"{DYNAMODB}Accounts/stream/*"]),
        ("s3:PutObjectLegalHold", "arn:aws:s3:::acme-contracts/*"),
        (PUT, {"Ref": "Mine"}),
        (READ_SECRET, ["{{resolve:ssm:/idp/arn}}", sub(f"{SECRET}secret:${{Named.Value}}")]),
        ("s3:GetObject", {"Ref": "ModelId"}),
        # neither calls a model, nor makes a store
        ("bedrock:Retrieve", "arn:aws:bedrock:eu-west-1:111122223333:knowledge-base/X"),
        ("bedrock-agentcore:InvokeGateway", "arn:aws:bedrock-agentcore:eu-west-1:111122223333:gateway/desk"),
        ("identitystore:CreateUser", "arn:aws:identitystore::111122223333:identitystore/d-1"),
        ("cases:CreateCase", "arn:aws:cases:eu-west-1:111122223333:domain/x"),
        ("s3:PutObjectTagging", sub("${Bucket.Arn}/*")),
    ],
)
def test_what_is_ones_own_is_not_blamed(action: str, resource: Any) -> None:
    assert found_in(ToolsPolicy=policy(allow(action, resource))) == []


@pytest.mark.parametrize(
    ("action", "resource", "says"),
    [
        # a list is as many values as it has commas
        (PUT, {"Ref": "Tables"}, "could be, on"),
        # a value that is read at the deployment is a value that nobody knows
        (PUT, f"{DYNAMODB}{{{{resolve:ssm:/x}}}}*", "could be, on"),
        (PUT, "arn:aws:dynamodb:*:*:{{resolve:ssm:/x}}", "could be, on"),
        (READ_SECRET, sub(f"{SECRET}secret:{{{{resolve:ssm:${{Elsewhere}}}}}}*"), "all of that type"),
        # everything of a type, by a known value or by a part of the type's word
        (READ_SECRET, {"Ref": "AnySecret"}, "all of that type"),
        (READ_SECRET, sub(f"{SECRET}secret:${{Any}}"), "all of that type"),
        (READ_SECRET, sub(f"{SECRET}secret:${{Star.Value}}"), "all of that type"),
        (PUT, {"Fn::GetAtt": ["Star", "Value"]}, "could be, on"),
        (READ_SECRET, f"{SECRET}s*", "all of that type"),
        ("ssm:GetParameter", "arn:aws:ssm:*:*:parameter*", "all of that type"),
        ("kms:Sign", f"arn:aws:kms:{HERE}:key/0f0f", "may sign a person's answer"),
        ("dynamodb:GetRecords", "arn:aws:dynamodb:*:*:table/*-RunLogTable-*/stream/*", "could be, on"),
        ("lambda:UpdateFunctionCode", arn("Stock"), "nobody may change a function"),
        ("lambda:InvokeFunction", arn("Stock"), "nobody may call another function"),
        ("bedrock:InvokeModel", "*", "on everything"),
        ("bedrock:*", sub("arn:aws:bedrock:*:*:knowledge-base/X"), "nor do all that a service can"),
        # a tool uses a store; it does not share or empty one
        ("s3:PutBucketAcl", arn("Bucket"), "share one"),
        ("s3:PutReplicationConfiguration", arn("Bucket"), "share one"),
        ("kms:DisableKey", arn("Key"), "share one"),
        ("cognito-idp:CreateUserPool", "arn:aws:cognito-idp:eu-west-1:1:userpool/x", "share one"),
    ],
)
def test_what_is_or_could_be_the_platforms_is_an_error(action: str, resource: Any, says: str) -> None:
    [first, *rest] = found_in(ToolsPolicy=policy(allow(action, resource)))

    assert (first.level, says in first.problem) == ("error", True), first
    assert "\0" not in first.problem
    assert all(one.level == "error" for one in rest)


@pytest.mark.parametrize("resource", [arn("Stock"), sub("${Stock.Arn}:live"), {"Ref": "Live"}])
@pytest.mark.parametrize("action", ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"])
def test_a_function_of_business_yaml_that_servers_declare_may_be_called(action: str, resource: Any) -> None:
    assert found_in(calls=True, ToolsPolicy=policy(allow(action, resource))) == []


@pytest.mark.parametrize("action", ["dynamodb:ListTables", "s3:ListAllMyBuckets"])
def test_an_action_on_no_resource_is_blamed_for_no_wall_around_one(action: str) -> None:
    [found] = found_in(ToolsPolicy=policy(allow(action, "*")))

    assert (found.level, "IAM knows no resource" in found.problem) == ("warning", True)


def test_the_remedy_of_a_missing_right_knows_the_walls() -> None:
    assert "no statement may give the right" in _remedy("events", signed_for=False)
    assert "Add bedrock:Retrieve" in _remedy("bedrock", signed_for=False)
    assert _remedy("bedrock-agentcore", signed_for=True).startswith("Add the actions")
    assert "lambda:InvokeFunctionUrl" in _remedy("lambda", signed_for=True)
