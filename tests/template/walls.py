"""The walls of the architecture: the exact rights of each role, and who alone may do what.

``MAY`` is exact: a role has its row's rights, no more and no fewer. Only the executor may have more: rights to what
is the business's own (``tests.template.yours``), which no row names. ``ONLY`` says it the other way round, so that a
breach is reported with the wall it breaks.
"""

from collections.abc import Callable, Iterator
from functools import cache

from tests.template.rendered import Template, of_type
from tests.template.rights import Right, rights_of, role_of, trusted_by
from tests.template.yours import is_yours, touches
from tests.template.yours import resources as resources_of_yours

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
READ_STREAM = "dynamodb:DescribeStream dynamodb:GetRecords dynamodb:GetShardIterator dynamodb:ListStreams"
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

AGENT, EXECUTOR = "AgentFunction", "ExecutorFunction"
PLANNERS = "AgentFunction FallbackFunction RollbackFunction"
STARTERS, API = "StartFunction ConsumeFunction ApiFunction", "ApiFunction"
ANSWER = "AnswerEscalationFunction PeopleApiFunction"
#: The side of the people. The latter two answer nothing: they tell runs what others have answered and signed.
PEOPLE = f"{ANSWER} OpenEscalationFunction RemindFunction"
#: They close runs.
CLOSE = "SettleFunction SweepFunction"
BUDGET = f"AdmitFunction ExtendFunction {CLOSE}"
#: Carries out what an operator commands.
COMMAND = "CommandFunction"
#: They set the breaker, and have no part in any run.
BREAKER = "TripFunction BudgetApiFunction"
#: They see what is written to the log as it is written, and touch nothing of it.
EVIDENCE = "LogTouchedFunction LogCopyFunction"
TRIP, NOBODY = "TripFunction", ""
#: Some are on backups, exports and global tables, whose ARNs do not say of which table.
_MANAGE_TABLES = (
    "dynamodb:CreateTable dynamodb:CreateBackup dynamodb:CreateGlobalTable dynamodb:DeleteTable dynamodb:DeleteBackup "
    "dynamodb:DeleteTableReplica dynamodb:CreateTableReplica dynamodb:AssociateTableReplica dynamodb:UpdateTable "
    "dynamodb:UpdateTableReplicaAutoScaling dynamodb:UpdateGlobalTable dynamodb:UpdateGlobalTableSettings "
    "dynamodb:UpdateContinuousBackups dynamodb:UpdateTimeToLive dynamodb:PutResourcePolicy "
    "dynamodb:DeleteResourcePolicy dynamodb:RestoreTableFromBackup dynamodb:RestoreTableToPointInTime "
    "dynamodb:RestoreTableFromAwsBackup dynamodb:StartAwsBackupJob dynamodb:ExportTableToPointInTime "
    "dynamodb:ImportTable dynamodb:EnableKinesisStreamingDestination dynamodb:DisableKinesisStreamingDestination "
    "dynamodb:UpdateKinesisStreamingDestination dynamodb:TagResource dynamodb:UntagResource"
)

#: (who only, may do what, by these actions, on this resource or anything below it; ``*`` for any)
ONLY: list[tuple[str, str, str, str]] = [
    (AGENT, "call a model", "bedrock*:*", "*"),
    (AGENT, "say that a model is away", "dynamodb:*", "ModelCircuitsTable"),
    (EXECUTOR, "remember effects", "dynamodb:*", "IdempotencyTable"),
    (STARTERS, "start an execution", "states:StartExecution states:StartSyncExecution states:RedriveExecution", "*"),
    (API, "stop an execution", "states:StopExecution", "*"),
    (PEOPLE, "answer a task token", "states:SendTaskSuccess", "*"),
    (NOBODY, "fail a task, or prolong its wait", "states:SendTaskFailure states:SendTaskHeartbeat", "*"),
    (PEOPLE, "see or change an escalation", "dynamodb:*", "EscalationsTable"),
    (
        STARTERS,
        "take requests from the queue",
        "sqs:ReceiveMessage sqs:DeleteMessage sqs:PurgeQueue",
        "RunRequestQueue",
    ),
    (f"AdmitFunction {CLOSE} OpenEscalationFunction", "send events", "events:*", "*"),
    (
        f"{BUDGET} {BREAKER} {COMMAND}",
        "write budgets",
        "dynamodb:PutItem dynamodb:UpdateItem dynamodb:DeleteItem",
        "BudgetsTable",
    ),
    (EXECUTOR, "reserve what moves", "dynamodb:PutItem", "MovesTable"),
    (f"{CLOSE} {COMMAND} {EXECUTOR}", "see or change what was moved", "dynamodb:*", "MovesTable"),
    (NOBODY, "forget what was moved", "dynamodb:DeleteItem dynamodb:BatchWriteItem dynamodb:PartiQL*", "MovesTable"),
    (f"{PLANNERS} {EXECUTOR}", "open sealed values", "kms:Decrypt kms:ReEncrypt* kms:CreateGrant", "*"),
    (
        API,
        "keep a requester's token",
        "dynamodb:PutItem dynamodb:UpdateItem dynamodb:BatchWriteItem",
        "RequesterTokensTable",
    ),
    (
        EXECUTOR,
        "read a requester's token",
        "dynamodb:GetItem dynamodb:BatchGetItem dynamodb:Query",
        "RequesterTokensTable",
    ),
    (NOBODY, "list requesters' tokens", "dynamodb:Scan dynamodb:PartiQL*", "RequesterTokensTable"),
    (f"AdmitFunction {CLOSE}", "forget a requester's token", "dynamodb:DeleteItem", "RequesterTokensTable"),
    (ANSWER, "sign a person's answer", "kms:GenerateMac kms:Sign kms:CreateGrant kms:PutKeyPolicy", "*"),
    (
        f"{EXECUTOR} ExtendFunction {CLOSE} OpenEscalationFunction RemindFunction",
        "act on a person's answer",
        "kms:VerifyMac kms:Verify",
        "*",
    ),
    (NOBODY, "change or delete what is in the log", "dynamodb:UpdateItem dynamodb:DeleteItem", "RunLogTable"),
    (NOBODY, "write the log without its condition", "dynamodb:BatchWriteItem dynamodb:PartiQL*", "RunLogTable"),
    (EVIDENCE, "read the log's stream", READ_STREAM, "*"),
    ("LogCopyFunction", "keep copies of the log", "s3:*", "LogCopyBucket"),
    (NOBODY, "unlock a copy", "s3:BypassGovernanceRetention s3:PutObjectRetention s3:PutObjectLegalHold", "*"),
    (NOBODY, "delete a copy", "s3:Delete* s3:PutLifecycleConfiguration s3:PutBucket*", "LogCopyBucket"),
    (NOBODY, "delete a payload", "s3:Delete* s3:PutLifecycleConfiguration s3:PutBucketVersioning", "PayloadBucket"),
    (NOBODY, "call another function past the workflow", "lambda:Invoke*", "*"),
    (NOBODY, "change rights or take on other roles", "iam:* sts:* organizations:* account:*", "*"),
    # What the stack is made of, by the services that make and change it: no ARN of these says whose it is.
    (NOBODY, "change or delete the stack", "cloudformation:* serverlessrepo:* codedeploy:*", "*"),
    (NOBODY, "change or delete an API", "apigateway:*", "*"),
    (NOBODY, "change a function, a layer or what calls it", "lambda:*", "*"),
    (f"{STARTERS} SweepFunction {PEOPLE}", "see or change the workflow and its executions", "states:*", "*"),
    (NOBODY, "have something done later or by a pipe", "scheduler:* pipes:*", "*"),
    (TRIP, "see or change alarms and dashboards", "cloudwatch:*", "*"),
    (NOBODY, "make, share, copy or restore a table", _MANAGE_TABLES, "*"),
    (NOBODY, "say where logs go", "logs:*AccountPolicy logs:*ResourcePolicy logs:*Deliver* logs:*Destination*", "*"),
    (
        NOBODY,
        "act on what is another service's",
        "backup:* tag:* resource-groups:* application-autoscaling:* dax:* fis:*",
        "*",
    ),
]


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
            for who, what, actions, resource in ONLY:
                covered = right.does_any(actions) and (resource == "*" or right.reaches(template, resource))
                if covered and name not in who.split():
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
