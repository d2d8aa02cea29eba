"""The business's own part of the template: every resource that is not the platform's.

Nothing of the example business is named here or in the tests' tables, so that a table, a secret or a
queue of one's own, added as docs/adding-a-tool.md says, needs no change of a test.
"""

import re

from cli.walls.arns import FORMS, OPAQUE, Template, names_all
from cli.walls.rights import FREE_PARAMETERS, Right

#: The platform's resources that hold data; the others are the business's.
PLATFORM = frozenset(
    {
        *("BudgetsTable", "EscalationsTable", "IdempotencyTable", "ModelCircuitsTable", "MovesTable", "RunLogTable"),
        "RequesterTokensTable",
        *("EscalationDeadLetterQueue", "EscalationQueue", "RunRequestDeadLetterQueue", "RunRequestQueue"),
        *("AlarmTopic", "AnswerKey", "LogCopyBucket", "PayloadBucket", "SensitiveKey", "TicketTopic"),
        *("UnreadStreamQueue", "UnsettledRunsQueue"),
    }
)
#: Types that hold no data: what the stack is built of, and what belongs to another resource.
_HOLDS_NOTHING = re.compile(
    r"AWS::(ApiGateway|ApiGatewayV2|ApplicationAutoScaling|CloudFormation|CloudWatch|Events|IAM|Lambda|Logs|Serverless"
    r"|StepFunctions)::|AWS::\w+::(\w*Policy|Subscription|\w*Attachment|\w*Association|Alias)$|AWS::CDK::"
)
#: What a tool has no business with, whosever the resource: it uses a store, and does not make, delete or share one.
_STORES = (
    "table|database|db|cluster|domain|index|collection|repository|bucket|queue|topic|(?<!log)stream|key|secret|loggroup"
    "|filesystem|volume|snapshot|instance|function|pool|namespace|keyspace|vault|ledger|graph|broker|registry|api"
    "|knowledgebase|datasource|datastore|server|accesspoint|gateway|agentruntime|memory|grant|grants\\w*"
)
_MANAGES = re.compile(
    rf":((create|delete)\w*?({_STORES})s?$|(create|delete)db|deleteparameters?$|purge|schedule\w*deletion"
    r"|put\w*polic(y|ies)$|set(queue|topic)attributes|add\w*permission|update(table|timetolive|cluster|db)|modifydb)"
    r"|^s3:(create|deletebucket|put(bucket|account|accesspoint|\w*configuration|\w*publicaccessblock))"
    r"|^kms:(create|disable|deleteimportedkey|replicatekey|updateprimary)"
    r"|^kinesis:(create|stopstreamencryption|update)|^secretsmanager:(create|replicate|removeregions)"
    r"|^dynamodb:(create|restore|export|import|disable|updatecontinuous|updateglobal)"
    r"|^ssm:(create(?!ops)|modifydocumentpermission)|^sns:createtopic|^rds:(create|delete|modify|restore|copy|start)",
    re.IGNORECASE,
)
#: The same, for an action with wildcards: it must not cover one of these.
_MANAGING = (
    *("dynamodb:createtable", "dynamodb:deletetable", "dynamodb:updatetable", "dynamodb:putresourcepolicy"),
    *("kinesis:deletestream", "kms:creategrant", "kms:putkeypolicy", "kms:schedulekeydeletion", "s3:deletebucket"),
    *("s3:putbucketpolicy", "secretsmanager:deletesecret", "secretsmanager:putresourcepolicy", "sns:addpermission"),
    *("sns:deletetopic", "sqs:deletequeue", "sqs:purgequeue", "sqs:setqueueattributes", "ssm:deleteparameter"),
)

#: What IAM has for all of an account only: names, and no content. It comes with SAM's policy template for a parameter.
_LISTS = {("ssm:DescribeParameters", "*")}


def resources(template: Template) -> frozenset[str]:
    """Return the logical ids of the business's own resources: those that hold data, if no list of them is there."""
    if "Yours" in template:
        return frozenset(template["Yours"])
    holds = {name for name, one in template["Resources"].items() if not _HOLDS_NOTHING.match(one["Type"])}
    return frozenset(holds) - PLATFORM


def is_yours(template: Template, right: Right) -> bool:
    """Say whether the executor may have that right: it uses a named resource of the business's."""
    return why_not_yours(template, right) is None


def why_not_yours(template: Template, right: Right) -> str | None:
    """Return why the executor may not have that right; None where it uses a named resource of the business's."""
    if (right.action, right.resource) in _LISTS:
        return None
    if right.action == "managed":
        return "a policy of AWS's own names no resource of yours"
    if manages(right):
        return "a tool uses a store; it does not create, delete or share one, nor do all that a service can"
    if not right.readable:
        return right.resource
    if right.resource == "*":
        return "it is on everything, the platform's tables included"
    yours = resources(template)
    reached = sorted(one for one in template["Resources"].keys() - yours if right.reaches(template, one))
    if reached:
        return f"it is, or could be, on {reached[0]}, which is the platform's or holds no data"
    parameter = re.match(r"\$\{(\w+)\}", right.arn) if not right.ids else None
    if parameter is not None and parameter[1] not in template.get("Parameters", {}):
        return f"{parameter[1]} may be anything"
    if parameter is not None and parameter[1] in FREE_PARAMETERS and parameter[1] not in template.get("Yours", ()):
        return f"{parameter[1]} may be anything"
    if not right.ids and parameter is None and not right.arn.startswith(("arn:", OPAQUE)):
        return "that is no ARN"
    is_known = parameter is None or "AllowedValues" in template["Parameters"][parameter[1]]
    return "it is on all of that type" if is_known and names_all(template, right.arn) else None


def manages(right: Right) -> bool:
    """Say whether a right is to make, delete, share or reconfigure a store, or to do all that a service can."""
    service, _, action = right.action.partition(":")
    all_of_it = not action.strip("*") or any(character in "*?" for character in service)
    return all_of_it or bool(_MANAGES.search(right.action)) or any(map(right.does, _MANAGING))


def touches(template: Template, right: Right, logical_id: str) -> bool:
    """Say whether the right is on that resource of the business's, or could be."""
    service = FORMS.get(template["Resources"][logical_id]["Type"], ("*",))[0]
    return logical_id in right.ids or (right.does(f"{service}:*") and right.reaches(template, logical_id))
