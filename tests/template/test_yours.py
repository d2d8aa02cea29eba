"""A business's own resources, added as docs/adding-a-tool.md says, break no wall; rights beyond them do."""

import copy
from fnmatch import fnmatchcase
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.walls.arns import meet
from cli.walls.yours import resources
from tests.template import rendered
from tests.template.rendered import Template, of_type
from tests.template.walls import breaches
from tests.template.yours import named_in, needed_by

SECRET = {"Type": "AWS::SecretsManager::Secret"}
HERE = "${AWS::Region}:${AWS::AccountId}"
TABLE = {"Type": "AWS::DynamoDB::Table", "Properties": {"BillingMode": "PAY_PER_REQUEST"}}
EXAMPLE = {"CustomersTable", "OrdersTable", "RefundsTable"}


def allow(action: Any, resource: Any) -> dict[str, Any]:
    """Return a policy as a function's ``Policies`` take it."""
    return {"Statement": [{"Sid": "Planted", "Effect": "Allow", "Action": action, "Resource": resource}]}


def arn(name: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [name, "Arn"]}


def with_yours(*policies: dict[str, Any], function: str = "ExecutorFunction", **made: dict[str, Any]) -> Template:
    """Return the template with resources and rights of somebody's own, as SAM translates it."""
    template = copy.deepcopy(rendered.written())
    template["Resources"] |= made
    template["Resources"][function]["Properties"]["Policies"] += policies
    return translated(template)


def translated(template: Template) -> Template:
    """Return what SAM makes of it. It makes a function without events of that function alone: the rest is made once."""
    before = _parts()[0]["Resources"]
    changed = {name: one for name, one in template["Resources"].items() if one != before.get(name)}
    if any("Events" in one.get("Properties", {}) for one in changed.values()):
        return rendered.translated(template)
    part = rendered.translated(template | {"Resources": of_type(template, "AWS::Serverless::LayerVersion") | changed})
    return part | {"Resources": _parts()[1]["Resources"] | part["Resources"]}


@cache
def _parts() -> tuple[Template, Template]:
    return rendered.written(), rendered.translated(rendered.written())


def there(service: str, name: str) -> dict[str, Any]:
    """Return the ARN of something of this account that no resource of the template is."""
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:{service}:{HERE}:{name}"}


QUEUE, BUCKET = {"Type": "AWS::SQS::Queue"}, {"Type": "AWS::S3::Bucket"}
STREAM, PARAMETER = {"Type": "AWS::Kinesis::Stream"}, {"Type": "AWS::SSM::Parameter"}
CLUSTER, TOPIC = {"Type": "AWS::RDS::DBCluster"}, {"Type": "AWS::SNS::Topic"}
GET, READ_SECRET, READ_PARAMETER = "dynamodb:GetItem", "secretsmanager:GetSecretValue", "ssm:GetParameter"

#: (the policy as it stands in the template, what is made for it)
ADDED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a table": (allow([GET, "dynamodb:Query"], arn("AccountsTable")), {"AccountsTable": TABLE}),
    "an index": (allow("dynamodb:Query", {"Fn::Sub": "${A.Arn}/index/by_email"}), {"A": TABLE}),
    "several": (allow([GET, "dynamodb:BatchGetItem"], [arn("A"), {"Fn::Sub": "${A.Arn}/index/*"}]), {"A": TABLE}),
    "actions with a wildcard": (allow("dynamodb:*Item", arn("AccountsTable")), {"AccountsTable": TABLE}),
    "a simple table": (allow(GET, arn("A")), {"A": {"Type": "AWS::Serverless::SimpleTable"}}),
    "a global table": (allow(GET, arn("A")), {"A": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": {}}}),
    "a secret": (allow(READ_SECRET, {"Ref": "IdpSecret"}), {"IdpSecret": SECRET}),
    "a queue": (allow("sqs:SendMessage", arn("OutQueue")), {"OutQueue": QUEUE}),
    "a bucket": (allow("s3:GetObject", {"Fn::Sub": "${Invoices.Arn}/*"}), {"Invoices": BUCKET}),
    "a stream": (allow("kinesis:PutRecord", arn("Clicks")), {"Clicks": STREAM}),
    "a topic": (allow("sns:Publish", {"Ref": "News"}), {"News": TOPIC}),
    "a cluster": (allow("rds-data:ExecuteStatement", {"Fn::GetAtt": ["Db", "DBClusterArn"]}), {"Db": CLUSTER}),
    # names that the platform's begin with
    "Budgets": (allow(GET, arn("Budgets")), {"Budgets": TABLE}),
    "Run": (allow(GET, arn("Run")), {"Run": TABLE}),
    "RunLog": (allow(GET, arn("RunLog")), {"RunLog": TABLE}),
    "Moves": (allow("dynamodb:DeleteItem", arn("Moves")), {"Moves": TABLE}),
    "Answer": (allow(READ_SECRET, {"Ref": "Answer"}), {"Answer": SECRET}),
    "S": (allow("kinesis:PutRecord", arn("S")), {"S": STREAM}),
    "RunLogTable2": (allow("dynamodb:UpdateItem", arn("RunLogTable2")), {"RunLogTable2": TABLE}),
    "MyRunLogTable": (allow("dynamodb:UpdateItem", arn("MyRunLogTable")), {"MyRunLogTable": TABLE}),
    "events": (allow(GET, arn("events")), {"events": TABLE}),
    # parameters, whose names may begin with a slash
    "a parameter": (allow(READ_PARAMETER, there("ssm", "parameter${P}")), {"P": PARAMETER}),
    "a parameter, slash": (allow(READ_PARAMETER, there("ssm", "parameter/${P}")), {"P": PARAMETER}),
    "parameters by path": (allow("ssm:GetParametersByPath", there("ssm", "parameter/shop/*")), {}),
    # put together
    "joined": (allow("s3:GetObject", {"Fn::Join": ["", [arn("Inv"), "/*"]]}), {"Inv": BUCKET}),
    "joined by slashes": (allow(GET, {"Fn::Join": ["/", [arn("A"), "index", "x"]]}), {"A": TABLE}),
    "a whole ARN, joined": (
        allow(
            GET,
            {
                "Fn::Join": [
                    ":",
                    [
                        *("arn", {"Ref": "AWS::Partition"}, "dynamodb", {"Ref": "AWS::Region"}),
                        *({"Ref": "AWS::AccountId"}, {"Fn::Sub": "table/${A}"}),
                    ],
                ]
            },
        ),
        {"A": TABLE},
    ),
    "a map": (allow(GET, {"Fn::Sub": ["${T}/index/${I}", {"T": arn("A"), "I": "x"}]}), {"A": TABLE}),
    "either": (allow(GET, {"Fn::If": ["TablesAreProtected", arn("A"), arn("B")]}), {"A": TABLE, "B": TABLE}),
    "or nothing": (allow(GET, [{"Fn::If": ["LogIsCopied", arn("A"), {"Ref": "AWS::NoValue"}]}]), {"A": TABLE}),
    "SAM, read and write": ({"DynamoDBCrudPolicy": {"TableName": {"Ref": "A"}}}, {"A": TABLE}),
    "SAM, read": ({"DynamoDBReadPolicy": {"TableName": {"Ref": "A"}}}, {"A": TABLE}),
    "SAM, send": ({"SQSSendMessagePolicy": {"QueueName": {"Fn::GetAtt": ["Q", "QueueName"]}}}, {"Q": QUEUE}),
    "SAM, secret": ({"AWSSecretsManagerGetSecretValuePolicy": {"SecretArn": {"Ref": "S"}}}, {"S": SECRET}),
    "SAM, bucket": ({"S3ReadPolicy": {"BucketName": {"Ref": "B"}}}, {"B": BUCKET}),
    "SAM, topic": ({"SNSPublishMessagePolicy": {"TopicName": {"Fn::GetAtt": ["T", "TopicName"]}}}, {"T": TOPIC}),
    "SAM, parameter": ({"SSMParameterReadPolicy": {"ParameterName": {"Ref": "P"}}}, {"P": PARAMETER}),
    # outside of the stack
    "a name's beginning": (allow(READ_SECRET, there("secretsmanager", "secret:idp-*")), {}),
    "an identity": (allow("ses:SendEmail", there("ses", "identity/x")), {}),
    "a table elsewhere": (allow(GET, "arn:aws:dynamodb:eu-west-1:111122223333:table/Accounts"), {}),
    "a bucket elsewhere": (allow("s3:GetObject", "arn:aws:s3:::partners-prices/*"), {}),
    "an API": (allow("execute-api:Invoke", there("execute-api", "abc123/prod/POST/*")), {}),
    "another stack's": (allow(GET, {"Fn::ImportValue": "erp-accounts-arn"}), {}),
}


@pytest.mark.parametrize("name", ["several", "a simple table", "SAM, read and write"])
def test_what_is_translated_by_itself_is_as_in_the_whole(name: str) -> None:
    policy, made = ADDED[name]
    template = rendered.written()
    template["Resources"] |= made
    template["Resources"]["ExecutorFunction"]["Properties"]["Policies"].append(policy)

    assert with_yours(policy, **made) == rendered.translated(template)


@pytest.mark.sampled(14)
@pytest.mark.parametrize(("policy", "made"), ADDED.values(), ids=ADDED.keys())
def test_what_is_added_for_a_tool_breaks_no_wall(policy: dict[str, Any], made: dict[str, Any]) -> None:
    assert breaches(with_yours(policy, **made)) == []


@pytest.mark.parametrize("name", ["CatalogArn", "CatalogName"])
def test_what_a_parameter_of_ones_own_names_is_ones_own(name: str) -> None:
    template = copy.deepcopy(rendered.written())
    template["Parameters"][name] = {"Type": "String"}
    resource = {"Ref": name} if name.endswith("Arn") else there("dynamodb", f"table/${{{name}}}")
    template["Resources"]["ExecutorFunction"]["Properties"]["Policies"].append(allow(GET, resource))

    assert breaches(rendered.translated(template)) == []


ANYTHING = {"Prefix": {"Type": "String", "Default": ""}, "Arn": {"Type": "String"}, "Name": {"Type": "String"}}


def with_a_parameter(action: str, resource: Any, **made: dict[str, Any]) -> Template:
    """Return the template with a right by parameters of one's own, whose values nobody knows here."""
    template = copy.deepcopy(rendered.written())
    template["Parameters"] |= ANYTHING
    template["Resources"] |= made
    template["Resources"]["ExecutorFunction"]["Properties"]["Policies"].append(allow(action, resource))
    return translated(template)


BY_PREFIX: dict[str, tuple[str, Any]] = {
    "a table": ("dynamodb:DeleteItem", there("dynamodb", "table/${Prefix}*")),
    "one sign": ("dynamodb:DeleteItem", there("dynamodb", "table/${Prefix}?*")),
    "behind the wildcard": ("dynamodb:DeleteItem", there("dynamodb", "table/*${Prefix}")),
    "with a dash": ("dynamodb:DeleteItem", there("dynamodb", "table/${Prefix}-*")),
    "two of them": ("dynamodb:DeleteItem", there("dynamodb", "table/${Prefix}${Name}*")),
    "all of it": ("dynamodb:DeleteItem", {"Fn::Sub": "${Prefix}*"}),
    "all of it, joined": ("dynamodb:DeleteItem", {"Fn::Join": ["", [{"Ref": "Prefix"}, "*"]]}),
    "all of it, by a map": ("dynamodb:DeleteItem", {"Fn::Sub": ["${x}*", {"x": {"Ref": "Prefix"}}]}),
    "an import": ("dynamodb:DeleteItem", {"Fn::Join": ["", [{"Fn::ImportValue": "x"}, "*"]]}),
    "objects": ("s3:DeleteObject", {"Fn::Sub": "arn:aws:s3:::${Prefix}*/*"}),
    "a queue": ("sqs:SendMessage", {"Fn::Sub": "arn:aws:sqs:*:*:${Prefix}*"}),
    "a key": ("kms:Decrypt", {"Fn::Sub": "arn:aws:kms:*:*:key/${Prefix}*"}),
    "a log group": ("logs:DeleteLogGroup", there("logs", "log-group:${Prefix}*")),
    "an alarm": ("cloudwatch:DeleteAlarms", there("cloudwatch", "alarm:${Prefix}*")),
    "an API": ("execute-api:Invoke", there("execute-api", "${Prefix}*/prod/POST/runs")),
    "every secret": (READ_SECRET, there("secretsmanager", "secret:${Prefix}*")),
    "the type": ("dynamodb:DeleteItem", there("dynamodb", "${Prefix}/*")),
    "the service": ("dynamodb:DeleteItem", {"Fn::Sub": "arn:aws:${Prefix}:*:*:table/*"}),
    "one's own name": ("dynamodb:DeleteItem", {"Fn::Sub": "${A.Arn}*"}),
    "one's own name in an ARN": ("dynamodb:DeleteItem", there("dynamodb", "table/${A}*")),
    "a thing of another type": ("dynamodb:DeleteItem", there("dynamodb", "table/${Cluster}*")),
}


@pytest.mark.sampled(8)
@pytest.mark.parametrize(("action", "resource"), BY_PREFIX.values(), ids=BY_PREFIX.keys())
def test_a_parameter_with_a_wildcard_beside_it_may_be_anything_also_nothing(action: str, resource: Any) -> None:
    made = {"A": named("DynamoDB::Table", TableName={"Ref": "Prefix"}), "Cluster": CLUSTER}

    found = breaches(with_a_parameter(action, resource, **made))

    assert any(one.startswith(f"ExecutorFunction has {action} on") for one in found), found


BY_NAME: dict[str, tuple[str, Any]] = {
    "an ARN": (GET, {"Ref": "Arn"}),
    "below an ARN": (GET, {"Fn::Sub": "${Arn}/index/*"}),
    "a table": (GET, there("dynamodb", "table/${Name}")),
    "indexes": ("dynamodb:Query", there("dynamodb", "table/${Name}/index/*")),
    "objects": ("s3:GetObject", {"Fn::Sub": "arn:${AWS::Partition}:s3:::${Name}/*"}),
    "objects by a prefix": ("s3:GetObject", {"Fn::Sub": "arn:${AWS::Partition}:s3:::${Name}/${Prefix}*"}),
    "an API": ("execute-api:Invoke", there("execute-api", "${Name}/prod/POST/*")),
    "a secret": (READ_SECRET, there("secretsmanager", "secret:${Name}-??????")),
    "a secret below a path": (READ_SECRET, there("secretsmanager", "secret:shop/${Prefix}*")),
    "a region": (GET, {"Fn::Sub": "arn:aws:dynamodb:${Name}:${AWS::AccountId}:table/Accounts"}),
    "one's own table": (GET, {"Fn::Sub": "${A.Arn}*"}),
    "one's own table in an ARN": (GET, there("dynamodb", "table/${A}*")),
    "a cluster": ("rds-data:ExecuteStatement", {"Fn::Sub": "${Cluster.DBClusterArn}*"}),
}


@pytest.mark.sampled(5)
@pytest.mark.parametrize(("action", "resource"), BY_NAME.values(), ids=BY_NAME.keys())
def test_a_parameter_that_is_all_of_a_name_is_ones_own(action: str, resource: Any) -> None:
    assert breaches(with_a_parameter(action, resource, A=TABLE, Cluster=CLUSTER)) == []


#: Actions that reach what the stack is made of by an ARN that does not say whose it is.
MAKERS: dict[str, tuple[str, str]] = {
    "cloudformation:DeleteStack": (
        "arn:aws:cloudformation:*:*:stack/${AWS::StackName}/*",
        "change or delete the stack",
    ),
    "cloudformation:UpdateStack": ("arn:aws:cloudformation:*:*:stack/ballast/*", "change or delete the stack"),
    "cloudformation:DescribeStacks": ("${AWS::StackId}", "change or delete the stack"),
    "codedeploy:CreateDeployment": (f"arn:aws:codedeploy:{HERE}:deploymentgroup:x/y", "change or delete the stack"),
    "apigateway:PATCH": ("arn:aws:apigateway:${AWS::Region}::/apis/*", "change or delete an API"),
    "apigateway:DELETE": ("arn:aws:apigateway:eu-west-1::/apis/abc123", "change or delete an API"),
    "lambda:DeleteEventSourceMapping": (f"arn:aws:lambda:{HERE}:event-source-mapping:x", "change a function"),
    "lambda:PublishLayerVersion": (f"arn:aws:lambda:{HERE}:layer:playbook", "change a function"),
    "lambda:UpdateFunctionCode": (f"arn:aws:lambda:{HERE}:function:theirs", "change a function"),
    "states:UpdateStateMachine": (f"arn:aws:states:{HERE}:stateMachine:x", "see or change the workflow"),
    "states:GetExecutionHistory": (f"arn:aws:states:{HERE}:execution:x:y", "see or change the workflow"),
    "events:DisableRule": (f"arn:aws:events:{HERE}:rule/x", "send events"),
    "scheduler:CreateSchedule": (f"arn:aws:scheduler:{HERE}:schedule/default/x", "have something done later"),
    "pipes:StopPipe": (f"arn:aws:pipes:{HERE}:pipe/x", "have something done later"),
    "iam:PassRole": (f"arn:aws:iam::{HERE}:role/x", "change rights"),
    "cloudwatch:DeleteDashboards": ("arn:aws:cloudwatch::1:dashboard/ballast", "see or change alarms"),
    "dynamodb:DeleteBackup": (f"arn:aws:dynamodb:{HERE}:table/x/backup/1", "make, share, copy or restore a table"),
    "dynamodb:UpdateGlobalTable": ("arn:aws:dynamodb::1:global-table/x", "make, share, copy or restore a table"),
    "dynamodb:RestoreTableFromBackup": (f"arn:aws:dynamodb:{HERE}:table/x", "make, share, copy or restore a table"),
    "logs:DeleteDelivery": (f"arn:aws:logs:{HERE}:delivery:x", "say where logs go"),
    "backup:StartRestoreJob": (f"arn:aws:backup:{HERE}:recovery-point:x", "act on what is another service's"),
    "tag:TagResources": ("arn:aws:x:y:z:t/a", "act on what is another service's"),
}


@pytest.mark.sampled(8)
@pytest.mark.parametrize("action", MAKERS)
def test_nobody_reaches_the_stack_by_a_service_that_makes_or_changes_it(action: str) -> None:
    resource, says = MAKERS[action]

    found = breaches(with_yours(allow(action, {"Fn::Sub": resource})))

    assert any(one.startswith(f"ExecutorFunction may {says}") for one in found), found


@pytest.mark.parametrize("name", ["vendedlogs/apis/shop-access", "vendedlogs/apis/*", "vendedlogs/states/shop-agent:*"])
def test_a_log_group_with_a_name_of_its_own_is_the_platforms(name: str) -> None:
    found = breaches(with_yours(allow("logs:DeleteLogGroup", there("logs", f"log-group:/aws/{name}"))))

    assert any(one.startswith("ExecutorFunction has logs:DeleteLogGroup on") for one in found), found
    other = allow("logs:FilterLogEvents", there("logs", "log-group:/aws/ecs/shop:*"))
    assert breaches(with_yours(other)) == []


@pytest.mark.parametrize("api", ["*/*/GET/runs", "a*/prod/POST/runs", "?*/*"])
def test_a_wildcard_for_an_api_may_be_the_platforms(api: str) -> None:
    found = breaches(with_yours(allow("execute-api:Invoke", there("execute-api", api))))

    assert any(one.startswith("ExecutorFunction has execute-api:Invoke on") for one in found), found


@pytest.mark.parametrize(
    "resource",
    [
        {"Fn::FindInMap": ["A", "B", "C"]},
        {"Fn::Select": [0, ["x"]]},
        {"Fn::Join": ["", {"Ref": "Stage"}]},
        {"Fn::Sub": ["${x}", {"x": {"Fn::Split": [",", "a"]}}]},
        ["nested"],
    ],
)
def test_what_cannot_be_read_is_a_breach_that_says_how_to_write_it(resource: Any) -> None:
    (found, *_) = breaches(with_yours(allow(GET, [resource])))

    assert found.startswith("ExecutorFunction has dynamodb:GetItem on unreadable: ")
    assert "write it with Ref, GetAtt, Sub, Join or If, which its row does not allow" in found


def written_out(name: str, service: str = "dynamodb") -> str:
    return f"arn:aws:{service}:eu-west-1:123456789012:{name}"


#: ARNs that are, or could be, of something of the platform's.
THEIRS: dict[str, tuple[str, Any]] = {
    "one letter": ("dynamodb:PutItem", written_out("table/b?llast-RunLogTable-ABC")),
    "the middle": ("dynamodb:PutItem", written_out("table/ballast-*-X")),
    "written out": ("dynamodb:PutItem", written_out("table/ballast-RunLogTable-1ABC")),
    "all tables": ("dynamodb:PutItem", written_out("table/*")),
    "all there is": ("dynamodb:PutItem", written_out("*")),
    "a stack": ("dynamodb:PutItem", {"Fn::Sub": "arn:aws:dynamodb:*:*:table/${AWS::StackName}-*"}),
    "somewhere in it": ("dynamodb:PutItem", written_out("table/*RunLogTable*")),
    "in part": ("dynamodb:PutItem", written_out("table/*-RunLog*")),
    "the end": ("dynamodb:PutItem", written_out("table/*X")),
    "the beginning": ("dynamodb:PutItem", written_out("table/shop*")),
    "an index": ("dynamodb:Query", written_out("table/shop-RunLogTable-1/index/by_tenant")),
    "the service": ("dynamodb:PutItem", written_out("table/shop-BudgetsTable-1", "d*b")),
    "joined": ("dynamodb:PutItem", {"Fn::Join": ["-", [written_out("table/x"), "RunLogTable", "1"]]}),
    "substituted": ("dynamodb:PutItem", {"Fn::Sub": [written_out("table/x-${y}-1"), {"y": "MovesTable"}]}),
    "the end of a name, substituted": ("dynamodb:PutItem", there("dynamodb", "table/${AWS::StackName}-RunLogTable*")),
    "a queue": ("sqs:SendMessage", written_out("shop-EscalationQueue-1", "sqs")),
    "a queue by the callers' prefix": ("sqs:SendMessage", there("sqs", "${ReplyQueuePrefix}x")),
    "a bucket": ("s3:GetObject", "arn:aws:s3:::shop-payloadbucket-1/*"),
    "buckets": ("s3:GetObject", "arn:aws:s3:::shop-*"),
    "keys": ("kms:Decrypt", written_out("key/12*", "kms")),
    "an execution": ("states:DescribeExecution", written_out("execution:AgentStateMachine-1:*", "states")),
    "a log group": ("logs:GetLogEvents", written_out("log-group:shop-AgentLogGroup-1", "logs")),
    "a secret of any name": ("secretsmanager:GetSecretValue", written_out("secret:*", "secretsmanager")),
    "by its name": ("dynamodb:UpdateItem", there("dynamodb", "table/${RunLogTable}")),
    "by a part of it": ("dynamodb:PutItem", there("dynamodb", "table/x-${BudgetsTable}-*")),
    "a managed policy": ("*", "arn:aws:s3:::partners-prices/*"),
    "wildcards that delete": ("dynamodb:Delete*", arn("AccountsTable")),
    "whatever can be done": ("d*:GetItem", arn("AccountsTable")),
}


@pytest.mark.sampled(10)
@pytest.mark.parametrize(("action", "resource"), THEIRS.values(), ids=THEIRS.keys())
def test_an_arn_that_could_be_the_platforms_is_a_breach(action: str, resource: Any) -> None:
    found = breaches(with_yours(allow(action, resource), AccountsTable=TABLE))

    assert any(one.startswith(f"ExecutorFunction has {action} on") for one in found), found


def named(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


MINE_BALLAST = named("DynamoDB::Table", TableName="ballast")
CUSTOM = {"Type": "Custom::Made", "Properties": {"ServiceToken": "x"}}
OFFERED = "dynamodb:DeleteItem"

#: A wildcard behind something of one's own whose name is fixed, and what may name anything.
BEHIND: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "a table": (OFFERED, {"Fn::Sub": "${A.Arn}*"}, MINE_BALLAST),
    "a table, dash": (OFFERED, {"Fn::Sub": "${A.Arn}-*"}, MINE_BALLAST),
    "a table by its name": (OFFERED, there("dynamodb", "table/${A}*"), MINE_BALLAST),
    "one sign": (OFFERED, {"Fn::Sub": "${A.Arn}-RunLogTable-?BC"}, MINE_BALLAST),
    "no wildcard": (OFFERED, {"Fn::Sub": "${A.Arn}-RunLogTable-ABC"}, MINE_BALLAST),
    "joined": (OFFERED, {"Fn::Join": ["", [arn("A"), "*"]]}, MINE_BALLAST),
    "a name by the stage": (
        OFFERED,
        {"Fn::Sub": "${A.Arn}*"},
        named("DynamoDB::Table", TableName={"Fn::Sub": "${Stage}"}),
    ),
    "a name by the stack": (
        OFFERED,
        {"Fn::Sub": "${A.Arn}*"},
        named("DynamoDB::Table", TableName={"Ref": "AWS::StackName"}),
    ),
    "a name that nobody can read": (
        OFFERED,
        {"Fn::Sub": "${A.Arn}-*"},
        named("DynamoDB::Table", TableName={"Fn::Select": [0, ["ballast"]]}),
    ),
    "a global table": (OFFERED, {"Fn::Sub": "${A.Arn}*"}, named("DynamoDB::GlobalTable", TableName="ballast")),
    "a bucket": ("s3:DeleteObject", {"Fn::Sub": "${A.Arn}*"}, named("S3::Bucket", BucketName="ballast")),
    "objects": ("s3:GetObject", {"Fn::Sub": "${A.Arn}-*/payloads/*"}, named("S3::Bucket", BucketName="ballast")),
    "a queue": ("sqs:SendMessage", {"Fn::Sub": "${A.Arn}*"}, named("SQS::Queue", QueueName="ballast")),
    "a topic": ("sns:Publish", {"Fn::Sub": "${A}*"}, named("SNS::Topic", TopicName="ballast")),
    "the stage": (OFFERED, there("dynamodb", "table/${Stage}-*"), TABLE),
    "the stage, glued": (OFFERED, there("dynamodb", "table/${Stage}*"), TABLE),
    "the stage and a name": (OFFERED, there("dynamodb", "table/${Stage}-RunLogTable-*"), TABLE),
    "a custom resource": (OFFERED, arn("A"), CUSTOM),
    "a custom resource's name": (OFFERED, there("dynamodb", "table/${A}"), CUSTOM),
    "an output of a stack": (
        OFFERED,
        {"Fn::GetAtt": ["A", "Outputs.TableArn"]},
        named("CloudFormation::Stack", TemplateURL="x"),
    ),
}


@pytest.mark.sampled(8)
@pytest.mark.parametrize(("action", "resource", "made"), BEHIND.values(), ids=BEHIND.keys())
def test_a_wildcard_behind_ones_own_is_held_against_what_it_could_name(
    action: str, resource: Any, made: dict[str, Any]
) -> None:
    found = breaches(with_yours(allow(action, resource), A=made))

    assert any(one.startswith(f"ExecutorFunction has {action} on") for one in found), found


#: Names as people give them, with what tells one account, region or stack from another.
HONEST: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "an account": ("s3:GetObject", "arn:aws:s3:::acme-invoices-${AWS::AccountId}/*", BUCKET),
    "a region": ("s3:GetObject", "arn:aws:s3:::acme-invoices-${AWS::AccountId}-${AWS::Region}/*", BUCKET),
    "a stack's bucket": ("s3:GetObject", "arn:aws:s3:::${AWS::StackName}-invoices/*", BUCKET),
    "a stack's table": (GET, f"arn:aws:dynamodb:{HERE}:table/${{AWS::StackName}}-Accounts", TABLE),
    "a stage's table": (GET, f"arn:aws:dynamodb:{HERE}:table/${{Stage}}-Accounts", TABLE),
    "objects": ("s3:GetObject", "${A.Arn}/*", named("S3::Bucket", BucketName="acme-invoices")),
    "objects, account": (
        "s3:GetObject",
        "${A.Arn}/*",
        named("S3::Bucket", BucketName={"Fn::Sub": "acme-invoices-${AWS::AccountId}"}),
    ),
    "an index": (GET, "${A.Arn}/index/*", named("DynamoDB::Table", TableName="Accounts")),
    "an index, stack": (
        GET,
        "${A.Arn}/index/*",
        named("DynamoDB::Table", TableName={"Fn::Sub": "${AWS::StackName}-Accounts"}),
    ),
    "a table of no fixed name": (GET, "${A.Arn}/*", TABLE),
}


@pytest.mark.sampled(5)
@pytest.mark.parametrize(("action", "resource", "made"), HONEST.values(), ids=HONEST.keys())
def test_an_honest_name_is_none_of_the_platforms(action: str, resource: str, made: dict[str, Any]) -> None:
    assert breaches(with_yours(allow(action, {"Fn::Sub": resource}), A=made)) == []


def test_a_function_that_is_not_the_executor_reaches_nothing_of_the_businesss_by_a_wildcard() -> None:
    found = breaches(with_yours(allow(GET, written_out("table/x-A*")), function="AgentFunction", AccountsTable=TABLE))

    assert any("AgentFunction may touch what is the business's" in one for one in found), found


def test_a_policy_template_for_what_is_the_platforms_is_a_breach() -> None:
    found = breaches(with_yours({"DynamoDBCrudPolicy": {"TableName": {"Ref": "RunLogTable"}}}))

    assert any("change or delete what is in the log by dynamodb:DeleteItem on RunLogTable" in one for one in found)


def test_a_managed_policy_of_ones_own_is_read() -> None:
    document = {"Statement": [{"Effect": "Allow", "Action": "dynamodb:UpdateItem", "Resource": arn("RunLogTable")}]}
    policy = {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": document}}
    template = copy.deepcopy(rendered.written())
    template["Resources"]["Mine"] = policy
    template["Resources"]["ExecutorFunction"]["Properties"]["Policies"].append({"Ref": "Mine"})

    found = breaches(rendered.translated(template))

    assert any("change or delete what is in the log by dynamodb:UpdateItem on RunLogTable" in one for one in found)


def test_a_role_from_elsewhere_is_a_breach_and_not_an_error() -> None:
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"RoleArn": "arn:aws:iam::1:role/x"}}

    found = breaches(with_yours(allow("states:StartExecution", {"Ref": "Mine"}), Mine=machine))

    assert "Mine runs under arn:aws:iam::1:role/x, which is no role of the template" in found


@given(st.text("ab*?", max_size=8), st.text("ab*?", max_size=8))
def test_two_patterns_meet_where_a_text_fits_both(one: str, other: str) -> None:
    texts = ("".join(letters) for size in range(5) for letters in product("ab", repeat=size))

    if any(fnmatchcase(text, one) and fnmatchcase(text, other) for text in texts):
        assert meet(one, other)
    assert meet(one, one)
    assert meet(one, other) == meet(other, one)


@pytest.mark.parametrize(
    ("one", "other", "met"),
    [
        ("a*c", "ab*", True),
        ("a?c", "ab*", True),
        ("a*", "b*", False),
        ("*a", "*b", False),
        ("a", "a?", False),
        ("", "*", True),
        ("?", "", False),
    ],
)
def test_patterns_that_meet_and_that_do_not(one: str, other: str, met: bool) -> None:
    assert meet(one, other) is met


def test_without_the_example_business_no_wall_is_broken() -> None:
    template = copy.deepcopy(rendered.written())
    for name in [*EXAMPLE, "ToolsPolicy"]:
        del template["Resources"][name]

    assert breaches(rendered.translated(template)) == []
    assert resources(template) == set()
    assert resources(rendered.written()) == EXAMPLE


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    ("function", "policy", "says"),
    [
        ("AgentFunction", allow("dynamodb:GetItem", arn("AccountsTable")), "only ExecutorFunction may"),
        ("FallbackFunction", allow("dynamodb:Query", {"Fn::Sub": "${AccountsTable.Arn}/index/x"}), "only"),
        ("ApiFunction", allow("dynamodb:*", arn("AccountsTable")), "only ExecutorFunction may"),
        ("ExecutorFunction", allow("dynamodb:*", arn("AccountsTable")), "its row does not allow"),
        ("ExecutorFunction", allow("dynamodb:DeleteTable", arn("AccountsTable")), "its row does not allow"),
        ("ExecutorFunction", allow("dynamodb:GetItem", "*"), "its row does not allow"),
        ("ExecutorFunction", allow("secretsmanager:GetSecretValue", "*"), "its row does not allow"),
        ("ExecutorFunction", allow("dynamodb:UpdateItem", arn("RunLogTable")), "nobody may"),
        ("ExecutorFunction", allow("dynamodb:Scan", arn("RunLogTable")), "its row does not allow"),
        ("ExecutorFunction", allow("sqs:ReceiveMessage", arn("EscalationQueue")), "its row does not allow"),
        (
            "ExecutorFunction",
            allow("dynamodb:GetItem", {"Fn::Sub": "arn:aws:dynamodb:${AWS::Region}:${AWS::AccountId}:table/*"}),
            "its row does not allow",
        ),
        (
            "ExecutorFunction",
            allow("sqs:SendMessage", {"Fn::Sub": "arn:aws:sqs:eu-west-1:1:${AWS::StackName}-EscalationQueue-*"}),
            "its row does not allow",
        ),
        ("ExecutorFunction", allow("bedrock:InvokeModel", arn("AccountsTable")), "only AgentFunction may"),
    ],
)  # fmt: skip
def test_a_right_beyond_ones_own_is_reported(function: str, policy: dict[str, Any], says: str) -> None:
    found = breaches(with_yours(policy, function=function, AccountsTable=TABLE))

    assert any(says in one for one in found), found


@pytest.mark.parametrize(
    ("code", "read", "needed"),
    [
        ('T = Table("ACCOUNTS_TABLE", "id")', {"ACCOUNTS_TABLE"}, set()),
        ('@tool\ndef f(ctx): return ctx.environ.get("A_TABLE")', {"A_TABLE"}, set()),
        ('@tool\ndef f(ctx): return put(table=ctx.environ.get("A_TABLE"))', {"A_TABLE"}, {"A_TABLE"}),
        ('@tool\ndef f(ctx): return ctx.environ["IDP_SECRET_ARN"]', {"IDP_SECRET_ARN"}, {"IDP_SECRET_ARN"}),
        ('@tool\ndef f(environ): return environ["IDP_URL"]', {"IDP_URL"}, {"IDP_URL"}),
        ('def nobody_calls(environ): return environ["IDP_URL"]', {"IDP_URL"}, set()),
        ('@tool\ndef f(ctx): return ctx.environ.get("IDP_URL")', {"IDP_URL"}, set()),
        ('def f(x): return x["IDP_URL"]', {"IDP_URL"}, set()),
        ('TEXT = "not A_TABLE of ours"', set(), set()),
    ],
)
def test_the_variables_of_a_playbook_are_found_in_its_code(
    tmp_path: Path, code: str, read: set[str], needed: set[str]
) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "one.py").write_text(code)

    assert (named_in(tmp_path), needed_by(tmp_path)) == (read, needed)
