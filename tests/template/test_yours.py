"""A business's own resources, added as docs/adding-a-tool.md says, pass the gate; beyond them the walls stand."""

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.template import rendered
from tests.template.rendered import Template
from tests.template.walls import breaches
from tests.template.yours import named_in, needed_by, resources

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
    return rendered.translated(template)


@pytest.mark.parametrize(
    ("policy", "made"),
    [
        (allow(["dynamodb:GetItem", "dynamodb:Query"], arn("AccountsTable")), {"AccountsTable": TABLE}),
        (allow("dynamodb:Query", {"Fn::Sub": "${AccountsTable.Arn}/index/by_email"}), {"AccountsTable": TABLE}),
        (allow("dynamodb:*Item", arn("AccountsTable")), {"AccountsTable": TABLE}),
        (allow("secretsmanager:GetSecretValue", {"Ref": "IdpSecret"}), {"IdpSecret": SECRET}),
        (allow("sqs:SendMessage", arn("OutQueue")), {"OutQueue": {"Type": "AWS::SQS::Queue"}}),
        (allow("s3:GetObject", {"Fn::Sub": "${Invoices.Arn}/*"}), {"Invoices": {"Type": "AWS::S3::Bucket"}}),
        (
            allow(
                "secretsmanager:GetSecretValue",
                {"Fn::Sub": "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:idp-*"},
            ),
            {},
        ),
        (allow("ses:SendEmail", {"Fn::Sub": f"arn:${{AWS::Partition}}:ses:{HERE}:identity/x"}), {}),
    ],
)  # fmt: skip
def test_what_is_added_for_a_tool_breaks_no_wall(policy: dict[str, Any], made: dict[str, Any]) -> None:
    assert breaches(with_yours(policy, **made)) == []


def test_without_the_example_business_no_wall_is_broken() -> None:
    template = copy.deepcopy(rendered.written())
    for name in EXAMPLE:
        del template["Resources"][name]
    executor = template["Resources"]["ExecutorFunction"]["Properties"]
    executor["Policies"] = [one for one in executor["Policies"] if "OrdersTable" not in str(one)]

    assert breaches(rendered.translated(template)) == []
    assert resources(template) == set()
    assert resources(rendered.written()) == EXAMPLE


@pytest.mark.parametrize(
    ("function", "policy", "says"),
    [
        ("PlannerFunction", allow("dynamodb:GetItem", arn("AccountsTable")), "only ExecutorFunction may"),
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
        ("ExecutorFunction", allow("bedrock:InvokeModel", arn("AccountsTable")), "only PlannerFunction may"),
    ],
)  # fmt: skip
def test_a_right_beyond_ones_own_is_reported(function: str, policy: dict[str, Any], says: str) -> None:
    found = breaches(with_yours(policy, function=function, AccountsTable=TABLE))

    assert any(says in one for one in found), found


@pytest.mark.parametrize(
    ("code", "read", "needed"),
    [
        ('T = Table("ACCOUNTS_TABLE", "id")', {"ACCOUNTS_TABLE"}, {"ACCOUNTS_TABLE"}),
        ('def f(ctx): return ctx.environ["IDP_SECRET_ARN"]', {"IDP_SECRET_ARN"}, {"IDP_SECRET_ARN"}),
        ('def f(environ): return environ["IDP_URL"]', {"IDP_URL"}, {"IDP_URL"}),
        ('def f(ctx): return ctx.environ.get("IDP_URL")', {"IDP_URL"}, set()),
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
