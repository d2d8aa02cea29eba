"""The walls of the architecture, each as those who alone may pass it, what for, by which actions and on what.

The platform's tests hold every role to them, and `ballast check` the statements of a business.yaml.
"""

from collections.abc import Iterator

from cli.walls.arns import Template
from cli.walls.rights import Right

READ_STREAM = "dynamodb:DescribeStream dynamodb:GetRecords dynamodb:GetShardIterator dynamodb:ListStreams"

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

_RIGHTS = "iam:* sts:* organizations:* account:* !sts:GetCallerIdentity"
_STACK = "cloudformation:* serverlessrepo:* codedeploy:*"
_OTHERS = "backup:* tag:* resource-groups:* application-autoscaling:* dax:* fis:*"

#: What nobody may do with all that there is of it, the business's own functions included, by these actions, and
#: whether that certainly reaches the platform. With what is its own, each may.
FOR_ALL: list[tuple[str, str, bool]] = [
    ("change rights or take on other roles", _RIGHTS, True),
    ("change or delete a stack", _STACK, True),
    ("change or delete an API", "apigateway:*", True),
    ("have something done later or by a pipe", "scheduler:* pipes:*", True),
    ("act on what is another service's", _OTHERS, True),
    ("change what calls a function", "lambda:*", False),
    ("answer or fail any task that waits", "states:SendTask*", False),
    ("call any model", "bedrock:* bedrock-mantle:* !bedrock:Retrieve", False),
    ("say where all logs go", "logs:*AccountPolicy", False),
    ("read or change any secret", "secretsmanager:*SecretValue", False),
]

#: (who only, may do what, by these actions, on this resource or anything below it; ``*`` for any, and ``AnswerKey *``
#: for that one and every key whose id is written out: it does not say whose it is; ``!`` is before an action that is
#: free, though one before it stands for it)
ONLY: list[tuple[str, str, str, str]] = [
    (AGENT, "call a model", "bedrock:* bedrock-mantle:* !bedrock:Retrieve", "*"),
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
    (ANSWER, "sign a person's answer", "kms:GenerateMac kms:Sign kms:CreateGrant kms:PutKeyPolicy", "AnswerKey *"),
    (
        f"{EXECUTOR} ExtendFunction {CLOSE} OpenEscalationFunction RemindFunction",
        "act on a person's answer",
        "kms:VerifyMac kms:Verify",
        "AnswerKey *",
    ),
    (NOBODY, "change or delete what is in the log", "dynamodb:UpdateItem dynamodb:DeleteItem", "RunLogTable"),
    (NOBODY, "write the log without its condition", "dynamodb:BatchWriteItem dynamodb:PartiQL*", "RunLogTable"),
    (EVIDENCE, "read the log's stream", READ_STREAM, "RunLogTable"),
    ("LogCopyFunction", "keep copies of the log", "s3:*", "LogCopyBucket"),
    (
        NOBODY,
        "unlock a copy",
        "s3:BypassGovernanceRetention s3:PutObjectRetention s3:PutObjectLegalHold",
        "LogCopyBucket",
    ),
    (NOBODY, "delete a copy", "s3:Delete* s3:PutLifecycleConfiguration s3:PutBucket*", "LogCopyBucket"),
    (NOBODY, "delete a payload", "s3:Delete* s3:PutLifecycleConfiguration s3:PutBucketVersioning", "PayloadBucket"),
    (NOBODY, "call another function past the workflow", "lambda:Invoke*", "*"),
    (NOBODY, "change rights or take on other roles", _RIGHTS, "*"),
    # What the stack is made of, by the services that make and change it: no ARN of these says whose it is.
    (NOBODY, "change or delete the stack", _STACK, "*"),
    (NOBODY, "change or delete an API", "apigateway:*", "*"),
    (NOBODY, "change a function, a layer or what calls it", "lambda:*", "*"),
    (f"{STARTERS} SweepFunction {PEOPLE}", "see or change the workflow and its executions", "states:*", "*"),
    (NOBODY, "have something done later or by a pipe", "scheduler:* pipes:*", "*"),
    (TRIP, "see or change alarms and dashboards", "cloudwatch:* !cloudwatch:PutMetricData", "*"),
    (NOBODY, "make, share, copy or restore a table", _MANAGE_TABLES, "*"),
    (NOBODY, "say where logs go", "logs:*AccountPolicy logs:*ResourcePolicy logs:*Deliver* logs:*Destination*", "*"),
    (NOBODY, "act on what is another service's", _OTHERS, "*"),
]


def crossed(template: Template, right: Right, by: str) -> Iterator[tuple[str, str]]:
    """Yield what a right of the function ``by`` is for that others alone may do: what it is, and who they are."""
    for who, what, actions, resource in ONLY:
        if by not in who.split() and _does(right, actions) and _is_on(template, right, resource):
            yield what, who


def for_all(right: Right) -> Iterator[tuple[str, bool]]:
    """Yield what a right is for that nobody may do with all there is, and whether that certainly is a breach."""
    for what, actions, is_certain in FOR_ALL:
        if _does(right, actions):
            yield what, is_certain


def closed(service: str, by: str) -> tuple[str, str, list[str]] | None:
    """Return what a whole service is for that others alone may do, who they are, and its actions that are free."""
    for who, what, actions, resource in ONLY:
        if by not in who.split() and resource == "*" and f"{service}:*" in actions.split():
            return what, who, [one[1:] for one in actions.split() if one.startswith(f"!{service}:")]
    return None


def _does(right: Right, actions: str) -> bool:
    free = {one[1:].lower() for one in actions.split() if one.startswith("!")}
    return right.action.lower() not in free and right.does_any(actions.split(" !")[0])


def _is_on(template: Template, right: Right, resource: str) -> bool:
    known, _, others = resource.partition(" ")
    written_out = right.resource == "*" or right.arn.startswith("arn:")
    return known == "*" or (bool(others) and not right.ids and written_out) or right.reaches(template, known)
