"""Doors in business.yaml: to the platform, however its name is put together, and to everybody."""

import json
from typing import Any

import pytest

from cli.checks.statements import breaches

LAMBDA = "arn:aws:lambda:eu-west-1:111122223333:"
TOPIC = "arn:aws:sns:eu-west-1:111122223333:shop-TicketTopic-1A"
MACHINE = "arn:aws:states:eu-west-1:111122223333:stateMachine:AgentStateMachine-1A"
QUEUE = "https://sqs.eu-west-1.amazonaws.com/111122223333/shop-"
PARAMETERS = {
    "Stage": {"Type": "String", "AllowedValues": ["dev", "prod"]},
    "Fn": {"Type": "String", "Default": "shop-ExecutorFunction-1A"},
    "Tail": {"Type": "String", "Default": "RunRequestQueue-1A"},
    "Names": {"Type": "CommaDelimitedList", "Default": "mine, shop-ExecutorFunction-1A"},
    "Who": {"Type": "String", "Default": "*"},
    "Caller": {"Type": "String"},
}
MAPPINGS = {"M": {"dev": {"topic": "arn:aws:sns:eu-west-1:1:mine"}, "prod": {"topic": TOPIC}}}
NONE = {"Ref": "AWS::NoValue"}


def of(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def found_in(resource: dict[str, Any], **parts: Any) -> list[tuple[str, str]]:
    template = {"Parameters": PARAMETERS, "Mappings": MAPPINGS, "Resources": {"It": resource}, **parts}
    found = breaches(template, "business.yaml", calls=False)
    return [(one.level, one.problem) for one in found if one.level != "hint"]


def called(name: Any) -> dict[str, Any]:
    return of("Lambda::Permission", FunctionName=name, Principal="111122223333")


def queue(name: Any) -> dict[str, Any]:
    return of("SQS::QueuePolicy", Queues=[name])


def schedule(target: str, **given: Any) -> dict[str, Any]:
    return of("Scheduler::Schedule", Target={"Arn": target, "Input": json.dumps(given)})


def workflow(**state: Any) -> dict[str, Any]:
    return of("StepFunctions::StateMachine", DefinitionString=json.dumps({"States": {"A": state}}))


@pytest.mark.parametrize(
    ("resource", "theirs"),
    [
        (called({"Ref": "Fn"}), "ExecutorFunction"),
        (called({"Fn::Select": [1, {"Ref": "Names"}]}), "ExecutorFunction"),
        (called({"Fn::Select": ["1", {"Fn::Split": [",", "x,shop-ApiFunction-1"]}]}), "ApiFunction"),
        (queue({"Fn::Sub": QUEUE + "${Tail}"}), "RunRequestQueue"),
        (queue({"Fn::Sub": [QUEUE + "${Q}", {"Q": {"Fn::Select": [0, ["RunRequestQueue-1"]]}}]}), "RunRequestQueue"),
        (queue({"Fn::Join": ["", ["https://${AWS::Region}.x.example/shop-", {"Ref": "Tail"}]]}), "RunRequestQueue"),
        (of("SNS::Subscription", TopicArn={"Fn::FindInMap": ["M", {"Ref": "Stage"}, "topic"]}), "TicketTopic"),
        (of("SNS::Subscription", TopicArn={"Fn::FindInMap": ["M", "prod", "topic"]}), "TicketTopic"),
        (of("SNS::Subscription", TopicArn={"Fn::If": ["A", {"Fn::If": ["B", "x", TOPIC]}, "y"]}), "TicketTopic"),
        (schedule("arn:aws:scheduler:::aws-sdk:sfn:startExecution", StateMachineArn=MACHINE), "AgentStateMachine"),
        (workflow(Type="Task", Resource=f"{LAMBDA}function:shop-ExecutorFunction-1A"), "ExecutorFunction"),
        (of("Lambda::LayerVersionPermission", LayerVersionArn=f"{LAMBDA}layer:BallastLayer:3"), "BallastLayer"),
        (of("Logs::AccountPolicy", PolicyType="SUBSCRIPTION_FILTER_POLICY", PolicyDocument="{}"), "all log groups"),
    ],
)
def test_a_name_of_the_platforms_is_read_however_it_is_put_together(resource: Any, theirs: str) -> None:
    found = found_in(resource)

    assert [(level, theirs in said) for level, said in found] == [("error", True)], found


@pytest.mark.parametrize(
    "resource",
    [
        # what opens nothing: figures, a dashboard, data for one's own code
        of("CloudWatch::Alarm", Dimensions=[{"Name": "FunctionName", "Value": "shop-ExecutorFunction-1A"}]),
        of("CloudWatch::Dashboard", DashboardBody=json.dumps({"a": ["FunctionName", "shop-ExecutorFunction-1A"]})),
        of("Logs::QueryDefinition", LogGroupNames=["shop-ExecutorLogGroup-1"]),
        schedule(f"{LAMBDA}function:mine", watched="shop-ExecutorFunction-1A"),
        workflow(Type="Pass", Result={"a": "shop-ExecutorFunction-1A"}),
        # what cannot be read, and another name
        called({"Ref": "Caller"}),
        called({"Fn::Select": [0, {"Ref": "Names"}]}),
        called({"Fn::Select": [7, {"Ref": "Names"}]}),
        called({"Fn::Select": [1, {"Fn::Split": [":", {"Fn::ImportValue": "x"}]}]}),
        of("SNS::Subscription", TopicArn={"Fn::FindInMap": ["M", "dev", "topic"]}),
        of("SNS::Subscription", TopicArn={"Fn::FindInMap": ["Other", "dev", "topic"]}),
        of("StepFunctions::StateMachine", DefinitionString={"Fn::Sub": '{"a": ${Caller}}'}),
        of("StepFunctions::StateMachine", DefinitionString='{"a": '),
        of("Logs::AccountPolicy", PolicyType="DATA_PROTECTION_POLICY", PolicyDocument="{}"),
    ],
)
def test_what_opens_nothing_of_the_platforms_is_no_finding(resource: Any) -> None:
    assert found_in(resource) == []


def bucket(*statements: Any, **words: Any) -> dict[str, Any]:
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*", **words}
    allow = {key: one for key, one in allow.items() if one is not None}
    return of("S3::BucketPolicy", Bucket="mine", PolicyDocument={"Statement": [allow, *statements]})


def when(operator: str, key: str, value: Any) -> dict[str, Any]:
    return bucket(Condition={operator: {key: value}})


def permission(**words: Any) -> dict[str, Any]:
    return of("Lambda::Permission", **{"FunctionName": "mine", "Principal": "*", **words})


def acl(name: str, **block: Any) -> dict[str, Any]:
    return of("S3::Bucket", AccessControl=name, PublicAccessBlockConfiguration=block)


def sam(auth: Any) -> dict[str, Any]:
    return of("Serverless::Function", FunctionUrlConfig={"AuthType": auth})


DENY = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
ALLOW = {**DENY, "Effect": "Allow"}
ONLY_HERE = {**DENY, "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}}
ORG = "aws:PrincipalOrgID"
ONE = {"StringEquals": {"aws:SourceAccount": "1"}}


@pytest.mark.parametrize(
    "resource",
    [
        bucket(Principal={"AWS": ["111122223333", "*"]}),
        bucket(Principal={"AWS": "*", "Service": "s3.amazonaws.com"}),
        bucket(Principal={"Fn::If": ["A", "*", {"AWS": "1"}]}),
        bucket(Principal={"Fn::Sub": "*"}),
        bucket(Principal={"AWS": {"Ref": "Who"}}),
        bucket(Principal=None, NotPrincipal={"AWS": "111122223333"}),
        bucket(Effect={"Fn::If": ["A", "Allow", "Deny"]}),
        bucket(Condition={"Fn::If": ["A", ONE, NONE]}),
        # true of everybody
        when("Bool", "aws:SecureTransport", True),
        when("StringLike", "aws:PrincipalArn", ["arn:aws:iam::1:role/x", "*"]),
        when("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:root"),
        when("StringLike", "kms:CallerAccount", "*"),
        when("StringNotEquals", "aws:PrincipalAccount", "1"),
        when("StringEqualsIfExists", ORG, "o-1"),
        when("Null", "aws:PrincipalArn", "false"),
        when("IpAddress", "aws:SourceIp", "0.0.0.0/0"),
        bucket({**DENY, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}),
        bucket({**ONLY_HERE, "Action": "s3:PutObject"}),
        bucket({"Fn::If": ["A", ONLY_HERE, NONE]}),
        of("S3::BucketPolicy", PolicyDocument={"Statement": {"Fn::If": ["A", ALLOW, ONLY_HERE]}}),
        # a text, and what is no statement
        of("Logs::ResourcePolicy", PolicyDocument='{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}}]}'),
        permission(Principal={"Fn::Sub": "*"}),
        permission(SourceArn="*"),
        permission(SourceAccount={"Fn::If": ["A", "1", NONE]}),
        permission(FunctionUrlAuthType="NONE"),
        of("Events::EventBusPolicy", Principal={"Fn::Sub": "*"}, Action="events:PutEvents"),
        of("Lambda::Url", AuthType="NONE"),
        sam({"Fn::If": ["A", "AWS_IAM", "NONE"]}),
        acl("PublicRead", BlockPublicAcls=False),
        acl("PublicReadWrite"),
    ],
)
def test_what_is_open_to_everybody_is_a_warning(resource: Any) -> None:
    found = found_in(resource)

    assert [(level, "everybody" in said) for level, said in found] == [("warning", True)], found


def test_a_url_that_all_functions_have_is_read() -> None:
    shared = {"Function": {"FunctionUrlConfig": {"AuthType": "NONE"}}}

    assert [one for one, _ in found_in(of("Serverless::Function"), Globals=shared)] == ["warning"]
    assert found_in(sam("AWS_IAM"), Globals=shared) == []


@pytest.mark.parametrize(
    "resource",
    [
        bucket(Principal={"AWS": "111122223333"}),
        bucket(Effect="Deny", Condition={"Bool": {"aws:SecureTransport": "false"}}),
        bucket(Condition={"Fn::If": ["A", ONE, {"StringEquals": {ORG: "o-1"}}]}),
        bucket(Condition={"Fn::Transform": {"Name": "x"}}),
        when("StringEquals", "AWS:SourceOwner", {"Ref": "Caller"}),
        when("ArnLike", "aws:SourceArn", "arn:aws:s3:*:*:crm-*"),
        when("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "o-1/*"),
        when("StringEquals", "aws:ResourceAccount", "${aws:PrincipalAccount}"),
        when("IpAddress", "aws:SourceIp", ["192.0.2.0/24"]),
        when("Bool", "elasticfilesystem:AccessedViaMountTarget", "true"),
        bucket(Condition={"StringEqualsIfExists": {ORG: "o-1"}, "Null": {ORG: False}}),
        # a denial beside it that leaves only some
        bucket(ONLY_HERE),
        of("Serverless::Api", Auth={"ResourcePolicy": {"CustomStatements": [ALLOW, ONLY_HERE]}}),
        of("EC2::VPCEndpoint", PolicyDocument={"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*"}]}),
        permission(SourceAccount="1"),
        permission(FunctionUrlAuthType="AWS_IAM"),
        of(
            "Events::EventBusPolicy",
            Principal="*",
            Condition={"Type": "StringEquals", "Key": ORG, "Value": "o-1"},
        ),
        of("Lambda::Url", AuthType="AWS_IAM"),
        acl("Private"),
        acl("PublicRead", BlockPublicAcls=True),
    ],
)
def test_what_is_open_to_some_is_no_finding(resource: Any) -> None:
    assert found_in(resource) == []


@pytest.mark.parametrize(
    ("alias", "told"), [("alias/shop", 0), (["alias/shop", "alias/shop-old"], 0), ("*", 1), ("alias/*", 1)]
)
def test_a_condition_that_names_the_key_narrows_a_right_on_all_keys(alias: Any, told: int) -> None:
    condition = {"ForAnyValue:StringLike": {"kms:ResourceAliases": alias}}
    right = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "arn:aws:kms:*:*:key/*", "Condition": condition}
    theirs = of("Serverless::Function", Policies=[{"Statement": [right]}])
    tools = of("IAM::Policy", Roles=[{"Ref": "ExecutorRole"}], PolicyDocument={"Statement": [right]})

    assert len(found_in(theirs)) == len(found_in(tools)) == told
