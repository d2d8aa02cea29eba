"""The second test of the walls: the roles of the rendered template against the architecture's table."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from cli.walls.only import ANSWER, BREAKER, BUDGET, CLOSE, COMMAND, EVIDENCE, PEOPLE, STARTERS
from cli.walls.rights import rights_of, role_of
from tests.template.rendered import Template, of_type
from tests.template.walls import MAY, breaches


def test_no_role_breaks_a_wall(deployed: Template) -> None:
    assert breaches(deployed) == []


def test_every_function_has_a_row(deployed: Template) -> None:
    assert of_type(deployed, "AWS::Lambda::Function").keys() == MAY.keys()


@pytest.mark.parametrize("name", sorted(MAY))
def test_a_function_can_append_to_the_log_or_only_read_it(deployed: Template, name: str) -> None:
    on_the_log = {r.action for r in rights_of(deployed, role_of(deployed, name)) if r.resource == "RunLogTable"}

    assert on_the_log <= {"dynamodb:PutItem", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:BatchGetItem"}
    assert ("dynamodb:PutItem" in on_the_log) == (name not in f"{STARTERS} {BREAKER} {EVIDENCE} RemindFunction".split())


def _grant(function: str, action: Any, resource: Any, **more: Any) -> Callable[[Template], None]:
    def change(template: Template) -> None:
        statement = {"Effect": "Allow", "Action": action, "Resource": resource} | more
        document = {"Version": "2012-10-17", "Statement": [statement]}
        role = template["Resources"][f"{function}Role"]["Properties"]
        role["Policies"].append({"PolicyName": "Planted", "PolicyDocument": document})

    return change


def _arn(name: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [name, "Arn"]}


def _grant_by_a_policy_of_its_own(template: Template) -> None:
    document = {"Statement": {"Effect": "Allow", "Action": "bedrock:Converse", "Resource": "*"}}
    template["Resources"]["Planted"] = {
        "Type": "AWS::IAM::Policy",
        "Properties": {"PolicyDocument": document, "Roles": [{"Ref": "FallbackFunctionRole"}]},
    }


def _grant_by_a_managed_policy(template: Template) -> None:
    role = template["Resources"]["RollbackFunctionRole"]["Properties"]
    role["ManagedPolicyArns"].append("arn:aws:iam::aws:policy/AdministratorAccess")


def _grant_all_but_something(template: Template) -> None:
    _grant("SettleFunction", "sqs:SendMessage", "*")(template)
    statement = template["Resources"]["SettleFunctionRole"]["Properties"]["Policies"][-1]["PolicyDocument"]["Statement"]
    statement[0]["NotAction"] = statement[0].pop("Action")


def _share_a_role(template: Template) -> None:
    template["Resources"]["FallbackFunction"]["Properties"]["Role"] = _arn("RollbackFunctionRole")


def _trust_another_service(template: Template) -> None:
    role = template["Resources"]["ExecutorFunctionRole"]["Properties"]
    role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"].append("states.amazonaws.com")


def _add_a_function_without_a_row(template: Template) -> None:
    template["Resources"]["NewFunction"] = copy.deepcopy(template["Resources"]["FallbackFunction"])


def _take_a_right_away(template: Template) -> None:
    template["Resources"]["FallbackFunctionRole"]["Properties"]["Policies"].clear()


PLANTED: dict[str, tuple[Callable[[Template], None], str]] = {
    "the executor calls a model": (
        _grant("ExecutorFunction", "bedrock:InvokeModel", "*"),
        "ExecutorFunction may call a model by bedrock:InvokeModel on *; only AgentFunction may",
    ),
    "the planner writes orders": (
        _grant("AgentFunction", "dynamodb:UpdateItem", _arn("OrdersTable")),
        "AgentFunction may touch what is the business's by dynamodb:UpdateItem on OrdersTable; "
        "only ExecutorFunction may",
    ),
    "the planner reads an index of customers": (
        _grant("AgentFunction", "dynamodb:Query", {"Fn::Sub": "${CustomersTable.Arn}/index/by_email"}),
        "AgentFunction may touch what is the business's by dynamodb:Query on CustomersTable/index/by_email; "
        "only ExecutorFunction may",
    ),
    "the planner resets the breaker": (
        _grant("AgentFunction", "dynamodb:PutItem", _arn("BudgetsTable")),
        f"AgentFunction may write budgets by dynamodb:PutItem on BudgetsTable; only {BUDGET} {BREAKER} {COMMAND} may",
    ),
    "the executor raises a ceiling on what moves": (
        _grant("ExecutorFunction", "dynamodb:UpdateItem", _arn("BudgetsTable")),
        f"ExecutorFunction may write budgets by dynamodb:UpdateItem on BudgetsTable; "
        f"only {BUDGET} {BREAKER} {COMMAND} may",
    ),
    "the planner makes room for a refund": (
        _grant("AgentFunction", "dynamodb:UpdateItem", _arn("MovesTable")),
        "AgentFunction may see or change what was moved by dynamodb:UpdateItem on MovesTable; "
        f"only {CLOSE} {COMMAND} ExecutorFunction may",
    ),
    "the executor forgets what it moved": (
        _grant("ExecutorFunction", "dynamodb:DeleteItem", _arn("MovesTable")),
        "ExecutorFunction may forget what was moved by dynamodb:DeleteItem on MovesTable; nobody may",
    ),
    "the executor starts runs": (
        _grant("ExecutorFunction", "states:StartExecution", {"Ref": "AgentStateMachine"}),
        f"ExecutorFunction may start an execution by states:StartExecution on AgentStateMachine; only {STARTERS} may",
    ),
    "the executor approves its own calls": (
        _grant("ExecutorFunction", "states:SendTaskSuccess", "*"),
        f"ExecutorFunction may answer a task token by states:SendTaskSuccess on *; only {PEOPLE} may",
    ),
    "the asker lets the wait fail": (
        _grant("OpenEscalationFunction", "states:SendTaskFailure", {"Ref": "AgentStateMachine"}),
        "OpenEscalationFunction may fail a task, or prolong its wait by states:SendTaskFailure on AgentStateMachine; "
        "nobody may",
    ),
    "the asker signs an answer, and resumes the run with it": (
        _grant("OpenEscalationFunction", "kms:GenerateMac", _arn("AnswerKey")),
        f"OpenEscalationFunction may sign a person's answer by kms:GenerateMac on AnswerKey; only {ANSWER} may",
    ),
    "the planner cuts runs short": (
        _grant("AgentFunction", "states:StopExecution", "*"),
        "AgentFunction may stop an execution by states:StopExecution on *; only ApiFunction may",
    ),
    "the API of runs reads task tokens": (
        _grant("ApiFunction", "dynamodb:GetItem", _arn("EscalationsTable")),
        f"ApiFunction may see or change an escalation by dynamodb:GetItem on EscalationsTable; only {PEOPLE} may",
    ),
    "the fallback forgets effects": (
        _grant("FallbackFunction", "dynamodb:DeleteItem", _arn("IdempotencyTable")),
        "FallbackFunction may remember effects by dynamodb:DeleteItem on IdempotencyTable; only ExecutorFunction may",
    ),
    "settle rewrites the log": (
        _grant("SettleFunction", "dynamodb:UpdateItem", _arn("RunLogTable")),
        "SettleFunction may change or delete what is in the log by dynamodb:UpdateItem on RunLogTable; nobody may",
    ),
    "the planner deletes from the log": (
        _grant("AgentFunction", "dynamodb:DeleteItem", _arn("RunLogTable")),
        "AgentFunction may change or delete what is in the log by dynamodb:DeleteItem on RunLogTable; nobody may",
    ),
    "a batch overwrites the log": (
        _grant("AdmitFunction", "dynamodb:BatchWriteItem", _arn("RunLogTable")),
        "AdmitFunction may write the log without its condition by dynamodb:BatchWriteItem on RunLogTable; nobody may",
    ),
    "the planner takes requests": (
        _grant("AgentFunction", "sqs:ReceiveMessage", _arn("RunRequestQueue")),
        f"AgentFunction may take requests from the queue by sqs:ReceiveMessage on RunRequestQueue; only {STARTERS} may",
    ),
    "the executor requests a run by event": (
        _grant("ExecutorFunction", "events:PutEvents", "*"),
        "ExecutorFunction may send events by events:PutEvents on *; "
        f"only AdmitFunction {CLOSE} OpenEscalationFunction may",
    ),
    "a starter writes the log": (
        _grant("StartFunction", "dynamodb:PutItem", _arn("RunLogTable")),
        "StartFunction has dynamodb:PutItem on RunLogTable, which its row does not allow",
    ),
    "the executor deletes payloads": (
        _grant("ExecutorFunction", "s3:DeleteObject", {"Fn::Sub": "${PayloadBucket.Arn}/payloads/*"}),
        "ExecutorFunction may delete a payload by s3:DeleteObject on PayloadBucket/payloads/*; nobody may",
    ),
    "a wildcard on a table": (
        _grant("RollbackFunction", "dynamodb:*", _arn("RunLogTable")),
        "RollbackFunction may change or delete what is in the log by dynamodb:* on RunLogTable; nobody may",
    ),
    "an action in other letters": (
        _grant("RollbackFunction", "DynamoDB:deleteitem", _arn("RunLogTable")),
        "RollbackFunction may change or delete what is in the log by DynamoDB:deleteitem on RunLogTable; nobody may",
    ),
    "a wildcard on everything": (
        _grant("FallbackFunction", "*", "*"),
        "FallbackFunction may call a model by * on *; only AgentFunction may",
    ),
    "the planner calls the executor past the workflow": (
        _grant("AgentFunction", "lambda:InvokeFunction", _arn("ExecutorFunction")),
        "AgentFunction may call another function past the workflow by lambda:InvokeFunction on ExecutorFunction; "
        "nobody may",
    ),
    "a function takes on another's role": (
        _grant("AgentFunction", "sts:AssumeRole", _arn("ExecutorFunctionRole")),
        "AgentFunction may change rights or take on other roles by sts:AssumeRole on ExecutorFunctionRole; nobody may",
    ),
    "the workflow reads the log": (
        _grant("AgentStateMachine", "dynamodb:GetItem", _arn("RunLogTable")),
        "AgentStateMachine has dynamodb:GetItem on RunLogTable, which its row does not allow",
    ),
    "a policy beside the role": (
        _grant_by_a_policy_of_its_own,
        "FallbackFunction may call a model by bedrock:Converse on *; only AgentFunction may",
    ),
    "a managed policy": (
        _grant_by_a_managed_policy,
        "RollbackFunction has managed on AdministratorAccess, which its row does not allow",
    ),
    "everything but something": (
        _grant_all_but_something,
        "SettleFunction may call a model by * on *; only AgentFunction may",
    ),
    "two functions in one role": (_share_a_role, "RollbackFunction shares RollbackFunctionRole with FallbackFunction"),
    "a role that the workflow can take on": (
        _trust_another_service,
        "ExecutorFunctionRole can be taken on by states.amazonaws.com",
    ),
    "a function that nobody thought of": (
        _add_a_function_without_a_row,
        "NewFunction has no row in the table of who may do what",
    ),
    "a right too few": (
        _take_a_right_away,
        "FallbackFunction lacks dynamodb:PutItem on RunLogTable, which its row promises",
    ),
}


@pytest.mark.sampled(14)
@pytest.mark.parametrize(("plant", "report"), PLANTED.values(), ids=PLANTED.keys())
def test_a_breach_is_reported(deployed: Template, plant: Callable[[Template], None], report: str) -> None:
    template = copy.deepcopy(deployed)

    plant(template)

    assert report in breaches(template)
