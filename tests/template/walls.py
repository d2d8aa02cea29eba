"""The walls of the architecture: the exact rights of each role, and who alone may do what.

``MAY`` is exact: a role has its row's rights, no more and no fewer. Only the executor may have more: rights to what
is the business's own (``cli.walls.yours``), which no row names. ``cli.walls.only`` says it the other way round,
so that a breach is reported with the wall it breaks.
"""

from collections.abc import Callable, Iterator
from functools import cache

from cli.walls.only import EXECUTOR, READ_STREAM, crossed
from cli.walls.rights import Right, rights_of, role_of, trusted_by
from cli.walls.yours import is_yours, touches
from cli.walls.yours import resources as resources_of_yours
from tests.template.rendered import Template, of_type

Row = dict[str, str]
#: What the role of a function, or of the state machine, may do.
_Rights = Callable[[str], frozenset[Right]]

#: What every function has: writing its own diagnostics and traces.
EVERY: Row = {"AWSLambdaBasicExecutionRole": "managed", "AWSXrayWriteOnlyAccess": "managed"}

APPEND_LOG: Row = {
    "RunLogTable": "dynamodb:PutItem dynamodb:GetItem dynamodb:Query",
    "PayloadBucket/payloads/*": "s3:PutObject s3:GetObject",
}
READ_FILES: Row = {"PayloadBucket/attachments/*": "s3:GetObject"}
SEAL: Row = {"SensitiveKey": "kms:Encrypt"}
FORGET_TOKENS: Row = {"RequesterTokensTable": "dynamodb:DeleteItem"}
SIGN_ANSWERS: Row = {"AnswerKey": "kms:GenerateMac"}
BELIEVE_PEOPLE: Row = {"AnswerKey": "kms:VerifyMac"}
SEAL_AND_OPEN: Row = {"SensitiveKey": "kms:Encrypt kms:Decrypt"}
KEEP_BUDGETS: Row = {"BudgetsTable": "dynamodb:GetItem dynamodb:PutItem dynamodb:UpdateItem"}
SETTLE_MOVES: Row = {"MovesTable": "dynamodb:GetItem dynamodb:Query dynamodb:UpdateItem"}
SET_BREAKER: Row = {"BudgetsTable": "dynamodb:GetItem dynamodb:PutItem dynamodb:Query"}
TELL_OTHERS: Row = {"events:${AWS::Region}:${AWS::AccountId}:event-bus/default": "events:PutEvents"}
REPLY: Row = {"sqs:${AWS::Region}:${AWS::AccountId}:${ReplyQueuePrefix}*": "sqs:SendMessage"}
EXECUTIONS = "states:${AWS::Region}:${AWS::AccountId}:execution:${AgentStateMachine.Name}:*"

MAY: dict[str, Row] = {
    # front door
    "StartFunction": {"AgentStateMachine": "states:StartExecution", EXECUTIONS: "states:DescribeExecution"},
    "ConsumeFunction": {
        "AgentStateMachine": "states:StartExecution",
        EXECUTIONS: "states:DescribeExecution",
        "RunRequestQueue": "sqs:ReceiveMessage sqs:DeleteMessage sqs:GetQueueAttributes",
        "RunRequestDeadLetterQueue": "sqs:SendMessage",
    },
    "ApiFunction": {
        "AgentStateMachine": "states:StartExecution",
        EXECUTIONS: "states:DescribeExecution states:StopExecution",
        "RunLogTable": "dynamodb:Query dynamodb:BatchGetItem",
        "RunLogTable/index/by_tenant": "dynamodb:Query",
        "RunLogTable/index/by_outcome": "dynamodb:Query",
        "PayloadBucket/payloads/*": "s3:GetObject",
        "PayloadBucket/attachments/*": "s3:PutObject s3:GetObject",
        "RequesterTokensTable": "dynamodb:PutItem",
        **SEAL,
    },
    # money
    "AdmitFunction": {
        **APPEND_LOG,
        **SEAL,
        **FORGET_TOKENS,
        **TELL_OTHERS,
        **REPLY,
        **READ_FILES,
        "BudgetsTable": f"{KEEP_BUDGETS['BudgetsTable']} dynamodb:BatchGetItem",
    },
    "ExtendFunction": APPEND_LOG
    | BELIEVE_PEOPLE
    | {"BudgetsTable": "dynamodb:GetItem dynamodb:BatchGetItem dynamodb:UpdateItem"},
    "SettleFunction": APPEND_LOG
    | BELIEVE_PEOPLE
    | KEEP_BUDGETS
    | SETTLE_MOVES
    | TELL_OTHERS
    | REPLY
    | FORGET_TOKENS
    | {"UnsettledRunsQueue": "sqs:SendMessage"},
    "SweepFunction": APPEND_LOG
    | BELIEVE_PEOPLE
    | KEEP_BUDGETS
    | SETTLE_MOVES
    | TELL_OTHERS
    | REPLY
    | FORGET_TOKENS
    | {"BudgetsTable/index/by_look": "dynamodb:Query", EXECUTIONS: "states:DescribeExecution"},
    "TripFunction": {
        "BudgetsTable": f"{SET_BREAKER['BudgetsTable']} dynamodb:BatchGetItem",
        "*": "cloudwatch:DescribeAlarms",
    },
    "CommandFunction": APPEND_LOG
    | {
        "BudgetsTable": f"{SET_BREAKER['BudgetsTable']} dynamodb:BatchGetItem dynamodb:UpdateItem",
        "MovesTable": "dynamodb:GetItem dynamodb:BatchGetItem dynamodb:UpdateItem",
    },
    "BudgetApiFunction": {"BudgetsTable": f"{SET_BREAKER['BudgetsTable']} dynamodb:BatchGetItem"},
    # probabilistic
    "AgentFunction": APPEND_LOG
    | SEAL_AND_OPEN
    | READ_FILES
    | {
        # tests/template/test_models.py: the models that the playbook names, and no others.
        "ModelArns": "bedrock:InvokeModel",
        "bedrock:${AWS::Region}:${AWS::AccountId}:guardrail/${GuardrailId}": "bedrock:ApplyGuardrail",
        "BudgetsTable": "dynamodb:BatchGetItem",
        "ModelCircuitsTable": "dynamodb:GetItem dynamodb:PutItem dynamodb:UpdateItem",
    },
    # deterministic
    "FallbackFunction": APPEND_LOG | SEAL_AND_OPEN,
    "RollbackFunction": APPEND_LOG | SEAL_AND_OPEN,
    "ExecutorFunction": APPEND_LOG
    | SEAL_AND_OPEN
    | BELIEVE_PEOPLE
    | {
        "IdempotencyTable": "dynamodb:GetItem dynamodb:BatchGetItem dynamodb:PutItem dynamodb:UpdateItem "
        "dynamodb:DeleteItem",
        "BudgetsTable": "dynamodb:BatchGetItem",
        "MovesTable": "dynamodb:GetItem dynamodb:BatchGetItem dynamodb:PutItem dynamodb:UpdateItem",
        "PayloadBucket/attachments/*": "s3:PutObject",
        "RequesterTokensTable": "dynamodb:GetItem",
    },
    # evidence
    "LogTouchedFunction": {"RunLogTable/stream": READ_STREAM, "UnreadStreamQueue": "sqs:SendMessage"},
    "LogCopyFunction": {
        "RunLogTable/stream": READ_STREAM,
        "UnreadStreamQueue": "sqs:SendMessage",
        "PayloadBucket/payloads/*": "s3:GetObject",
        "LogCopyBucket/*": "s3:PutObject",
    },
    # people
    "OpenEscalationFunction": {
        **APPEND_LOG,
        **TELL_OTHERS,
        **BELIEVE_PEOPLE,
        "RunLogTable": f"{APPEND_LOG['RunLogTable']} dynamodb:BatchGetItem",
        "EscalationsTable": "dynamodb:UpdateItem",
        "EscalationQueue": "sqs:SendMessage",
        "AgentStateMachine": "states:SendTaskSuccess",
    },
    "AnswerEscalationFunction": APPEND_LOG
    | SEAL
    | SIGN_ANSWERS
    | {"EscalationsTable": "dynamodb:GetItem dynamodb:UpdateItem", "AgentStateMachine": "states:SendTaskSuccess"},
    "RemindFunction": {
        **BELIEVE_PEOPLE,
        "AgentStateMachine": "states:SendTaskSuccess",
        "RunLogTable": "dynamodb:BatchGetItem",
        "PayloadBucket/payloads/*": "s3:GetObject",
        "EscalationsTable": "dynamodb:GetItem dynamodb:UpdateItem",
        "EscalationsTable/index/by_due": "dynamodb:Query",
        "EscalationQueue": "sqs:SendMessage",
    },
    "PeopleApiFunction": {
        **APPEND_LOG,
        **SEAL,
        **SIGN_ANSWERS,
        "RunLogTable": f"{APPEND_LOG['RunLogTable']} dynamodb:BatchGetItem",
        "EscalationsTable": "dynamodb:GetItem dynamodb:BatchGetItem dynamodb:UpdateItem",
        "EscalationsTable/index/by_status": "dynamodb:Query",
        "EscalationsTable/index/by_tenant": "dynamodb:Query",
        "AgentStateMachine": "states:SendTaskSuccess",
    },
}

#: The workflow calls the steps of a run. Log deliveries have no scope below the account.
WORKFLOW: Row = {
    "AdmitFunction": "lambda:InvokeFunction",
    "ExtendFunction": "lambda:InvokeFunction",
    "AgentFunction": "lambda:InvokeFunction",
    "FallbackFunction": "lambda:InvokeFunction",
    "RollbackFunction": "lambda:InvokeFunction",
    "ExecutorFunction": "lambda:InvokeFunction",
    "OpenEscalationFunction": "lambda:InvokeFunction",
    "SettleFunction": "lambda:InvokeFunction",
    "AWSXrayWriteOnlyAccess": "managed",
    "*": "logs:CreateLogDelivery logs:GetLogDelivery logs:UpdateLogDelivery logs:DeleteLogDelivery "
    "logs:ListLogDeliveries logs:PutResourcePolicy logs:DescribeResourcePolicies logs:DescribeLogGroups",
}


def breaches(template: Template) -> list[str]:
    """Return every way in which the rendered template breaks a wall, as a sentence; empty when none does."""

    @cache
    def rights(name: str) -> frozenset[Right]:
        return frozenset(rights_of(template, role_of(template, name)))

    return [*_wrong_rows(template, rights), *_broken_walls(template, rights), *_shared_roles(template)]


def _wrong_rows(template: Template, rights: _Rights) -> Iterator[str]:
    rows = {name: row | EVERY for name, row in MAY.items()} | {"AgentStateMachine": WORKFLOW}
    for name, row in rows.items():
        has = rights(name)
        may = {Right(action, resource) for resource, actions in row.items() for action in actions.split()}
        more = {right for right in has - may if name != EXECUTOR or not is_yours(template, right)}
        yield from (f"{name} has {right}, which its row does not allow" for right in sorted(more))
        yield from (f"{name} lacks {right}, which its row promises" for right in sorted(may - has))


def _broken_walls(template: Template, rights: _Rights) -> Iterator[str]:
    yours = sorted(resources_of_yours(template))
    for name in of_type(template, "AWS::Lambda::Function"):
        row = {Right(action, resource) for resource, of in MAY.get(name, {}).items() for action in of.split()}
        for right in sorted(rights(name)):
            for what, who in crossed(template, right, name):
                yield f"{name} may {what} by {right}; {f'only {who}' if who else 'nobody'} may"
            if name != EXECUTOR and right not in row and any(touches(template, right, one) for one in yours):
                yield f"{name} may touch what is the business's by {right}; only {EXECUTOR} may"


def _shared_roles(template: Template) -> Iterator[str]:
    sides = {
        "AWS::Lambda::Function": "lambda.amazonaws.com",
        "AWS::StepFunctions::StateMachine": "states.amazonaws.com",
    }
    taken: dict[str, str] = {}
    for name, resource in of_type(template, *sides).items():
        role = role_of(template, name)
        if role in taken:
            yield f"{name} shares {role} with {taken[role]}"
        taken[role] = name
        if role not in template["Resources"]:
            yield f"{name} runs under {role}, which is no role of the template"
            continue
        for service in sorted(trusted_by(template, role) - {sides[resource["Type"]]}):
            yield f"{role} can be taken on by {service}"
        if resource["Type"] == "AWS::Lambda::Function" and name not in MAY:
            yield f"{name} has no row in the table of who may do what"
