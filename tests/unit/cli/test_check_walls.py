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
    "Administers": {"Type": "String", "Default": "arn:aws:iam::aws:policy/AdministratorAccess"},
}
PICKED = {"Fn::FindInMap": ["Names", {"Ref": "Stage"}, "Table"]}
BY_LAMBDA = {"Statement": {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}}
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
    "Other": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": BY_LAMBDA}},
    "Flow": {"Type": "AWS::StepFunctions::StateMachine"},
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
        ("sns:Publish", "arn:aws:sns:*:*:crm-news"),
        ("s3:GetObject", "arn:*:s3:::partners-prices/*"),
        ("logs:FilterLogEvents", "arn:aws:logs:*:*:log-group:/acme/shop:*"),
        # an import, a parameter, and a name that says whose it is
        ("kms:Sign", [{"Ref": "Elsewhere"}, IMPORTED, arn("Key")]),
        ("dynamodb:GetRecords", [IMPORTED, f"{DYNAMODB}Accounts/stream/*"]),
        ("s3:GetObject", "arn:aws:s3:eu-west-1:111122223333:accesspoint/acme/object/*"),
        ("s3:GetObject", "arn:aws:s3:*:*:acme/*"),
        ("ssm:GetParametersByPath", "arn:aws:ssm:*:*:parameter/shop/"),
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
        ("ssm:GetParametersByPath", "arn:aws:ssm:*:*:parameter/", "all of that type"),
        ("s3:GetObject", "arn:aws:s3:*:*:accesspoint/*", "all of that type"),
        ("s3:GetObject", sub(f"arn:aws:s3:{HERE}:accesspoint/*/object/*"), "all of that type"),
        ("kms:Sign", f"arn:aws:kms:{HERE}:key/0f0f", "may sign a person's answer"),
        ("dynamodb:GetRecords", "arn:aws:dynamodb:*:*:table/*-RunLogTable-*/stream/*", "could be, on"),
        ("lambda:UpdateFunctionCode", arn("Stock"), "nobody may change a function"),
        ("lambda:InvokeFunction", arn("Stock"), "nobody may call another function"),
        ("bedrock:InvokeModel", "*", "on everything"),
        ("bedrock:*", sub("arn:aws:bedrock:*:*:knowledge-base/X"), "nor do all that a service can"),
        # a tool uses a store; it does not share or empty one
        ("s3:PutBucketAcl", arn("Bucket"), "share one"),
        ("s3:PutReplicationConfiguration", arn("Bucket"), "share one"),
        ("s3:DeleteBucketPolicy", arn("Bucket"), "share one"),
        ("s3:PutAccountPublicAccessBlock", "*", "share one"),
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


MINE = allow("dynamodb:GetItem", arn("Table"))
TAKE = allow(PUT, "arn:aws:dynamodb:*:*:table/*-RunLogTable-*")
EXECUTOR = sub("arn:aws:iam::${AWS::AccountId}:role/${ExecutorRole}")
TRUST = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": EXECUTOR}, "Action": "sts:AssumeRole"}]}
OR_NOTHING = {"Ref": "AWS::NoValue"}


def of(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def inline(*statements: Any) -> dict[str, Any]:
    return {"PolicyName": "x", "PolicyDocument": {"Statement": [*statements]}}


def own_function(action: Any, resource: Any, **words: Any) -> dict[str, Any]:
    return of("Serverless::Function", Policies=[{"Statement": [{**allow(action, resource), **words}]}])


AWS_POLICY = "arn:${AWS::Partition}:iam::aws:policy/"


@pytest.mark.parametrize(
    ("resource", "level", "says"),
    [
        # who holds what the tools have, and who runs with it
        (policy(MINE, Roles=[{"Ref": "ExecutorRole"}, "shop-Other-1"]), "error", "and so does shop-Other-1"),
        (policy(MINE, Users=["bob"]), "error", "and so does bob"),
        (of("Lambda::Function", Role=EXECUTOR), "error", "Its Role is the executor's role"),
        (of("Serverless::Function", Role=EXECUTOR), "error", "Its Role is the executor's role"),
        (of("IAM::InstanceProfile", Roles=[{"Ref": "ExecutorRole"}]), "error", "Its Roles is the executor's"),
        (of("IAM::Role", AssumeRolePolicyDocument=TRUST), "error", "nobody may change rights"),
        (of("Lambda::Permission", Principal=EXECUTOR, Action="lambda:InvokeFunction"), "error", "nobody may call"),
        # every place of a statement or a managed policy, on both sides of a condition
        (of("IAM::Role", Policies={"Fn::If": ["A", [inline(TAKE)], []]}), "error", "which is the platform's"),
        (of("IAM::Role", Policies=[{"Fn::If": ["A", inline(TAKE), OR_NOTHING]}]), "error", "which is the platform's"),
        (of("IAM::User", Policies=[inline(TAKE)]), "error", "which is the platform's"),
        (of("IAM::UserPolicy", UserName="x", **inline(TAKE)), "error", "which is the platform's"),
        (of("IAM::GroupPolicy", GroupName="x", **inline(allow("*", "*"))), "error", "which is the platform's"),
        (of("Serverless::Function", Policies=[{"Statement": [TAKE]}]), "error", "which is the platform's"),
        (of("Serverless::StateMachine", Policies="AdministratorAccess"), "error", "on all of the account"),
        (of("IAM::Group", ManagedPolicyArns=["arn:aws:iam::aws:policy/AdministratorAccess"]), "error", "on all of the"),
        # what changes rights or the stack, on all there is or on the platform's
        (own_function("iam:*", "*"), "error", "may change rights"),
        (own_function("sts:AssumeRole", "*"), "error", "may change rights"),
        (own_function("iam:Pass*", "arn:aws:iam::*:role/*"), "error", "may change rights"),
        (own_function("iam:PutRolePolicy", EXECUTOR), "error", "may change rights"),
        (own_function("iam:PassRole", "arn:aws:iam::1:role/shop-ExecutorFunctionRole-1A"), "error", "change rights"),
        (own_function("cloudformation:UpdateStack", sub("arn:aws:cloudformation:*:*:stack/*")), "error", "a stack"),
        (
            own_function("cloudformation:*", sub(f"arn:aws:cloudformation:{HERE}:stack/${{AWS::StackName}}/*")),
            "error",
            "a stack",
        ),
        (own_function("apigateway:*", "arn:aws:apigateway:*::/apis/*"), "error", "an API"),
        (own_function("scheduler:*", "*"), "error", "done later"),
        (own_function("backup:*", "*"), "error", "another service's"),
        (of("IAM::User", Policies=[inline(allow("iam:*", "*"))]), "error", "may change rights"),
        (of("IAM::GroupPolicy", GroupName="x", **inline(allow("sts:*", "*"))), "error", "may change rights"),
        (own_function("cloudwatch:PutMetricAlarm", "*"), "error", "which is the platform's"),
        (
            own_function("kms:Decrypt", "*", Condition={"StringLike": {"kms:RequestAlias": "alias/*"}}),
            "error",
            "which is the platform's",
        ),
        # what could be either
        (own_function("states:SendTaskSuccess", "*"), "warning", "any task that waits"),
        (own_function("bedrock:*", "*"), "warning", "any model"),
        (own_function("tag:*", "*"), "error", "another service's"),
        (own_function("tag:TagResources", "*"), "warning", "another service's"),
        (own_function("iam:PutRolePolicy", arn("Other")), "warning", "give itself any right"),
        (own_function("iam:PassRole", "*", Condition={"StringEquals": {"iam:PassedToService": "x"}}), "warning", "may"),
        (own_function("secretsmanager:GetSecretValue", "*"), "warning", "any secret"),
        (of("IAM::UserToGroupAddition", GroupName="Administrators", Users=["x"]), "warning", "the group Admin"),
        (of("IAM::User", Groups=["Administrators"]), "warning", "the group Admin"),
        # a managed policy, however it is named
        (of("Serverless::Function", Policies=[sub(f"{AWS_POLICY}AdministratorAccess")]), "error", "on all of the"),
        (of("IAM::User", ManagedPolicyArns=[{"Fn::Join": ["", [AWS_POLICY, "IAMFullAccess"]]}]), "error", "on all of"),
        (of("IAM::User", ManagedPolicyArns=[{"Ref": "Administers"}]), "error", "on all of the"),
        (of("IAM::Role", ManagedPolicyArns=[f"{AWS_POLICY}job-function/SystemAdministrator"]), "error", "on all of"),
        (of("IAM::Role", ManagedPolicyArns=[f"{AWS_POLICY}AWSCloudFormationFullAccess"]), "error", "on all of the"),
        (
            of("IAM::Role", ManagedPolicyArns=[f"{AWS_POLICY}service-role/AmazonElasticMapReduceRole"]),
            "warning",
            "on all",
        ),
        (of("IAM::Role", ManagedPolicyArns=[IMPORTED]), "warning", "cannot be read here"),
        (of("IAM::Role", ManagedPolicyArns=["arn:aws:iam::1:policy/Corp"]), "warning", "cannot be read here"),
        # SAM's policy templates are the statements that they become
        (of("Serverless::Function", Policies=[{"DynamoDBCrudPolicy": {"TableName": "*"}}]), "error", "the platform's"),
        (of("Serverless::Function", Policies=[{"S3FullAccessPolicy": {"BucketName": "*"}}]), "error", "the platform's"),
        (of("Serverless::Function", Policies=[{"KMSDecryptPolicy": {"KeyId": "*"}}]), "error", "the platform's"),
        # what cannot be read is told
        (policy(PolicyDocument={"Fn::FindInMap": ["A", "B", "C"]}), "warning", "cannot be read here"),
        (policy({"Fn::Transform": {"Name": "AWS::Include"}}), "warning", "cannot be read here"),
        (of("CloudFormation::Stack", Parameters={"Role": {"Ref": "ExecutorRole"}}), "warning", "given ExecutorRole"),
        ({"Type": "Custom::X", "Properties": {"Role": {"Ref": "ExecutorRole"}}}, "warning", "given ExecutorRole"),
    ],
)
def test_whoever_has_rights_is_held_to_them_or_told(resource: Any, level: str, says: str) -> None:
    found = [one for one in found_in(It=resource) if "beside the executor's" not in one.problem]

    assert {(one.level, says in one.problem) for one in found} == {(level, True)}, found


@pytest.mark.parametrize(
    "resource",
    [
        of("IAM::Role", ManagedPolicyArns=["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"]),
        of("Serverless::Function", Policies=["AWSXrayWriteOnlyAccess", {"Statement": [MINE]}]),
        of(
            "Serverless::Function", Policies=[{"Statement": [allow("logs:PutLogEvents", "*"), allow("xray:Put*", "*")]}]
        ),
        of("Serverless::Function", Policies=[{"Statement": [allow("bedrock:InvokeModel", "arn:aws:bedrock:*::x/y")]}]),
        # of its own, each may do what it has to, whatever that is
        own_function("iam:PassRole", arn("Other")),
        own_function("iam:PassRole", {"Ref": "Elsewhere"}),
        own_function("iam:PassRole", IMPORTED),
        own_function("*", arn("Table")),
        own_function("iam:CreateAccessKey", "arn:aws:iam::*:user/${aws:username}"),
        own_function("cloudformation:CreateStack", sub(f"arn:aws:cloudformation:{HERE}:stack/${{AWS::StackName}}-x/*")),
        own_function("iam:PassRole", sub("arn:aws:iam::${AWS::AccountId}:role/${AWS::StackName}-Worker*")),
        own_function("sts:AssumeRole", "arn:aws:iam::999988887777:role/partner"),
        own_function(["iam:Get*", "iam:List*", "cloudformation:Describe*", "tag:GetResources"], "*"),
        own_function("sts:GetCallerIdentity", "*"),
        own_function("lambda:InvokeFunction", [arn("Stock"), sub("${Stock.Arn}:*")]),
        own_function("states:StartExecution", {"Ref": "Flow"}),
        own_function(["scheduler:CreateSchedule", "scheduler:DeleteSchedule"], "arn:aws:scheduler:*:*:schedule/shop/*"),
        own_function(["logs:CreateLogDelivery", "logs:PutResourcePolicy"], "*"),
        own_function(
            "kms:Decrypt", "arn:aws:kms:*:*:key/*", Condition={"StringEquals": {"kms:RequestAlias": "alias/x"}}
        ),
        own_function(["cloudwatch:PutMetricData", "cloudwatch:ListMetrics"], "*"),
        of("IAM::Role", ManagedPolicyArns=[sub(f"{AWS_POLICY}service-role/AWSLambdaSQSQueueExecutionRole")]),
        of("IAM::Role", ManagedPolicyArns=[f"{AWS_POLICY}AmazonSSMReadOnlyAccess"]),
        of(
            "Serverless::Function",
            Policies=["AWSLambdaVPCAccessExecutionRole", "CloudWatchLambdaInsightsExecutionRolePolicy"],
        ),
        of("Serverless::Function", Policies=[{"DynamoDBCrudPolicy": {"TableName": {"Ref": "Table"}}}]),
        of(
            "Serverless::Function",
            Policies=[
                {"SQSPollerPolicy": {"QueueName": "shop-orders"}},
                {"EventBridgePutEventsPolicy": {"EventBusName": "default"}},
                {"CloudFormationDescribeStacksPolicy": {}},
            ],
        ),
        of("IAM::User", Groups=[{"Ref": "Table"}]),
        of("Lambda::Function", Role=arn("MyExecutorRole"), Environment={"Variables": {"ROLE": EXECUTOR}}),
        of("SSM::Parameter", Value={"Ref": "ExecutorRole"}),
        {"Type": "AWS::SNS::Topic", "Properties": None},
        {"Type": "AWS::SNS::Topic"},
    ],
)
def test_what_gives_no_right_of_the_tools_is_no_finding(resource: Any) -> None:
    assert [one for one in found_in(It=resource) if "beside the executor's" not in one.problem] == []


def test_a_policy_that_another_attaches_is_held_to_what_others_may() -> None:
    models = of(
        "IAM::ManagedPolicy", PolicyDocument={"Statement": allow("bedrock:InvokeModel", "arn:aws:bedrock:*::x/y")}
    )
    worker = of("Serverless::Function", Policies=[{"Ref": "Models"}])

    assert (found_in(Models=models, Worker=worker), len(found_in(Models=models))) == ([], 1)


OPEN = {"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}}
NARROW = {"Statement": {**OPEN["Statement"], "Condition": {"StringEquals": {"aws:SourceAccount": "1"}}}}
LAMBDA = "arn:aws:lambda:eu-west-1:111122223333:"


@pytest.mark.parametrize(
    ("resource", "level", "says"),
    [
        # a name that could be the platform's, in any property
        (
            of("Lambda::Url", TargetFunctionArn=f"{LAMBDA}function:shop-ExecutorFunction-1A"),
            "error",
            "ExecutorFunction",
        ),
        (of("Lambda::Permission", FunctionName="shop-ExecutorFunction-1A", Principal="1"), "error", "ExecutorFunction"),
        (
            of("Lambda::EventSourceMapping", FunctionName=sub("${AWS::StackName}-ApiFunction-1A")),
            "error",
            "ApiFunction",
        ),
        (of("S3::BucketPolicy", Bucket="shop-payloadbucket-1a"), "error", "payloadbucket"),
        (of("SQS::QueuePolicy", Queues=["https://sqs.x.example/1/shop-RunRequestQueue-1"]), "error", "RunRequestQueue"),
        (of("Logs::SubscriptionFilter", LogGroupName="shop-ExecutorLogGroup-1"), "error", "ExecutorLogGroup"),
        (
            of("Serverless::Function", Policies=[{"DynamoDBCrudPolicy": {"TableName": "x-RunLogTable-1"}}]),
            "error",
            "Run",
        ),
        (policy(MINE, Roles=["shop-AgentFunctionRole-1ABC"]), "error", "AgentFunctionRole"),
        # everybody
        (of("SQS::QueuePolicy", Queues=[{"Ref": "Q"}], PolicyDocument=OPEN), "warning", "everybody"),
        (of("KMS::Key", KeyPolicy=OPEN), "warning", "everybody"),
        (of("Lambda::Permission", FunctionName={"Ref": "Stock"}, Principal="*"), "warning", "everybody"),
    ],
)
def test_a_door_of_the_platform_or_to_everybody_is_told(resource: Any, level: str, says: str) -> None:
    found = found_in(It=resource)

    assert [one.level for one in found if says in one.problem] == [level], found


@pytest.mark.parametrize(
    "resource",
    [
        of("SQS::QueuePolicy", Queues=[{"Ref": "Q"}], PolicyDocument=NARROW),
        of("Lambda::Permission", FunctionName={"Ref": "Stock"}, Principal="s3.amazonaws.com"),
        of("Lambda::Permission", FunctionName={"Ref": "Stock"}, Principal="*", FunctionUrlAuthType="AWS_IAM"),
        of("Lambda::Function", Role=arn("R"), Description="Not shop-RunLogTable-1"),
        of(
            "SNS::Subscription", TopicArn="arn:aws:sns:eu-west-1:1:crm-news", Endpoint="https://crm.example/RunLogTable"
        ),
        of("SQS::Queue", QueueName="shop-EscalationQueue-mine"),
    ],
)
def test_a_door_of_ones_own_with_a_condition_is_no_finding(resource: Any) -> None:
    assert found_in(It=resource) == []


LOG = "arn:aws:dynamodb:*:*:table/*-RunLogTable-*"


def deny(**words: Any) -> dict[str, Any]:
    return {"Sid": "Planted", "Effect": "Deny", "Action": PUT, "Resource": "*", **words}


def without(name: str, **words: Any) -> dict[str, Any]:
    return {key: one for key, one in deny(**words).items() if key != name}


@pytest.mark.parametrize(
    ("statement", "is_told"),
    [
        (deny(), True),
        (deny(Resource=LOG), True),
        (deny(Action="dynamodb:*"), True),
        (deny(Resource={"Fn::If": ["A", LOG, arn("Table")]}), True),
        (without("Action", NotAction="dynamodb:*"), True),
        (without("Resource", NotResource=arn("Table")), True),
        (deny(Resource=arn("Table")), False),
        (deny(Action="dynamodb:DeleteTable"), False),
        (deny(Resource=f"{DYNAMODB}Accounts"), False),
        (deny(Condition={"StringLike": {"aws:PrincipalArn": "*"}}), True),
        (deny(Condition={"Null": {"aws:PrincipalArn": "false"}, "Bool": {"aws:SecureTransport": True}}), True),
        (deny(Condition={"StringLikeIfExists": {"aws:SourceVpc": ["vpc-1", "*"]}}), True),
        (deny(Condition={"StringLike": {"aws:SourceVpc": "*"}}), False),
        (deny(Condition={"StringNotLike": {"aws:PrincipalArn": "*"}}), False),
        (deny(Condition={"StringLike": {"aws:PrincipalArn": "*", "aws:PrincipalTag/team": "shop"}}), False),
        (deny(Condition={"Bool": {"aws:SecureTransport": "false"}}), False),
        (without("Action", NotAction=["dynamodb:*", "kms:*", "s3:*"]), False),
        (without("Resource", NotResource="*"), False),
        (deny(Effect="Allow", Resource=arn("Table")), False),
    ],
)
def test_a_denial_that_reaches_a_right_of_the_executor_is_an_error(statement: Any, is_told: bool) -> None:
    told = [one.level for one in found_in(ToolsPolicy=policy(statement)) if "the executor itself" in one.problem]

    assert told == ["error"] * is_told
