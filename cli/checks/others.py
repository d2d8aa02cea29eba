"""Findings about the rights of those beside the executor: roles, users, groups and functions of the business's own.

Each may use what is its own, whatever that is. It may not use what is the platform's, nor change what the account's
rights and the stack are made of: that is an error where a statement certainly reaches it, else a warning.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from cli.checks import Finding, Level
from cli.checks.iam import actions_on, has_no_resource, holds_always, policies_of_aws
from cli.walls.arns import FORMS, Template, Unreadable, meet, names, names_all
from cli.walls.only import for_all
from cli.walls.rights import Right, allowed, is_wild, parts, resource_arn, sides, statements_of
from cli.walls.yours import touches

DOCS = "docs/adding-a-tool.md says how a statement names its resource."
_UNREAD = "unreadable: "
#: What a function of anybody's does: its own log and figures, and events for others.
_OF_ANY = re.compile(r"(?i)logs:(create|putlog|describe)|xray:|events:putevents$|cloudwatch:(putmetricdata$|get|list)")
#: It changes nothing, or nobody's rights.
_CHANGES_NOTHING = re.compile(
    r"(?i)(?!secretsmanager:)[\w-]+:(get|list|describe|search|check|validate|estimate|simulate|detect|decode)"
    r"|sts:(tagsession|setsourceidentity)$|iam:createservicelinkedrole$"
)
#: By these a role that may be changed at all gets any right.
_GIVE_RIGHTS = (
    "iam:PutRolePolicy iam:AttachRolePolicy iam:UpdateAssumeRolePolicy iam:PutUserPolicy iam:AttachUserPolicy "
    "iam:PutGroupPolicy iam:AttachGroupPolicy iam:CreatePolicyVersion iam:SetDefaultPolicyVersion"
)
#: A condition by these says which keys are meant, whatever the ARN says.
_NAMES_KEYS = ("kms:resourcealiases", "kms:requestalias")
#: What Lambda needs of a role to read a queue or a stream for a function, and to log; each is for all of them.
_FOR_LAMBDA = re.compile(r"AWSLambda\w*ExecutionRole(-\w+)?$")
_OF_AWS = re.compile(r"(arn:[^:]*:iam::aws:policy/)?(?:[\w-]+/)*(?P<name>[\w+=,.@-]+)")


def of_another(
    template: Template, theirs: Template, statement: Mapping[str, Any], file: str, name: str
) -> Iterator[Finding]:
    """Yield what one beside the executor may do by a statement with what is the platform's, on any of its sides."""
    told = set[str]()
    for side in sides(statement):
        for about, found in _of_side(template, theirs, side, file, name):
            if about not in told:
                told.add(about)
                yield found


def _of_side(
    template: Template, theirs: Template, statement: Mapping[str, Any], file: str, name: str
) -> Iterator[tuple[str, Finding]]:
    """Yield findings, each with what it is about: of several actions by which the same is reached, one is enough."""
    is_narrow = not holds_always(statement.get("Condition"))
    names_keys = _names_keys(statement.get("Condition"))
    for right in sorted({*allowed(template, dict(statement))}):
        if right.guessed or not right.readable:
            yield right.resource, unread(right, file, name)
        elif names_keys and right.action.lower().startswith("kms:"):
            continue
        elif (one := _touched(template, theirs, right)) is not None:
            said = f"It allows {right}: it is, or could be, on {one}, which is the platform's."
            yield one, Finding("error", file, name, said, f"Name the one resource that it uses. {DOCS}")
        elif (crossed := _crossed(template, theirs, right)) is not None:
            what, is_certain = crossed
            level: Level = "error" if is_certain and not is_narrow else "warning"
            said = f"It allows {right}: who has that may {what}, the platform's included."
            remedy = f"Name the one resource of yours that it is for. {DOCS}"
            yield what, Finding(level, file, name, said, remedy)


def _names_keys(condition: Any) -> bool:
    """Say whether a condition says which keys are meant, by their aliases."""
    for operator, keys in condition.items() if isinstance(condition, dict) else ():
        for key, value in keys.items() if isinstance(keys, dict) else ():
            is_alias = key.lower() in _NAMES_KEYS and re.fullmatch(r"(?i)(ForAnyValue:)?String(Equals|Like)", operator)
            if is_alias and all(re.match(r"alias/[^*?$]", str(one)) for one in parts(value)):
                return True
    return False


def _touched(template: Template, theirs: Template, right: Right) -> str | None:
    """Return the first resource of the platform that a right is on, or could be."""
    if _OF_ANY.match(right.action) or (right.resource == "*" and has_no_resource(right.action)):
        return None
    known = (one for one in sorted(theirs["Resources"]) if template["Resources"][one]["Type"] in FORMS)
    return next((one for one in known if touches(template, right, one)), None)


def _crossed(template: Template, theirs: Template, right: Right) -> tuple[str, bool] | None:
    """Return what a right is for that nobody may do to what is the platform's, and whether that is certain."""
    known = actions_on(right.action, resource_arn(template, right)) if is_wild(right) else []
    meant = [replace(right, action=one) for one in known] or [right]
    for one in meant:
        if _CHANGES_NOTHING.match(one.action):
            continue
        for what, is_certain in for_all(one):
            if _is_on_all(template, theirs, one):
                return what, is_certain and not has_no_resource(one.action)
        if one.action.lower().startswith("iam:") and one.does_any(_GIVE_RIGHTS):
            return "give itself any right by that", False
    return None


def _is_on_all(template: Template, theirs: Template, right: Right) -> bool:
    """Say whether a right is on everything of its type, on the stack, or on a role of the platform, or could be."""
    if right.resource == "*" or re.search(r"\$\{ExecutorRole|:stack/\$\{AWS::StackName\}([*/]|$)", right.arn):
        return True
    parameter = re.match(r"\$\{(\w+)\}", right.arn)  # of which nothing is known, it is one's own
    is_known = parameter is None or "AllowedValues" in template["Parameters"].get(parameter[1], {})
    if is_known and names_all(template, right.arn.replace(":/", ":", 1)):
        return True
    _, found, role = right.arn.partition(":role/")
    if not found:
        return False
    stack = "x" if "${AWS::StackName}" in role else "*"
    role = re.sub(r"\$\{[^}]*\}(?=[*?])", "*", role.replace("${AWS::StackName}", "x"))
    role = re.sub(r"\$\{[^}]*\}|\0", "x", role)
    functions = (one for one in theirs["Resources"] if template["Resources"][one]["Type"] == "AWS::Lambda::Function")
    return any(meet(role, f"{stack}-{one}Role-?*") for one in functions)


def unread(right: Right, file: str, name: str) -> Finding:
    """Return that an action or a resource cannot be read here, so that nothing is known of the right."""
    if right.guessed:
        said = "Which actions it allows cannot be read here, so nothing is checked of them."
        return Finding("warning", file, name, said, "Write the actions out, such as dynamodb:GetItem.")
    said = f"Its resource cannot be read here, so nothing is checked of it: {right.resource.removeprefix(_UNREAD)}."
    return Finding("warning", file, name, said, f"Name the resource that the tool uses. {DOCS}")


def of_managed(template: Template, theirs: Template, value: Any, file: str, name: str) -> Iterator[Finding]:
    """Yield what is wrong with a managed policy that somebody has; of AWS's own, its statements say it."""
    own = template["Yours"]
    try:
        meant = [(one.arn, one.ids) for one in names(template, value)]
    except Unreadable:
        meant = [("", frozenset())]
    for arn, ids in meant:
        if ids & own:
            continue  # its statements are in this file
        read = [*_values(template, arn)]
        for text in read or [""]:
            policy = _managed(text)
            shown = text or json.dumps(value)
            if policy is None:
                said = f"What it may do by {shown} cannot be read here, so nothing is checked of it."
                yield Finding("warning", file, name, said, "Write a statement for the resources that it uses.")
            elif (level := _level_of(template, theirs, text, policy)) is not None:
                said = f"It has {shown}, which is on all of the account, the platform's resources included."
                yield Finding(level, file, name, said, "Write a statement for the resources that it uses.")


def groups_elsewhere(resource: Mapping[str, Any], resources: Mapping[str, Any]) -> Iterator[str]:
    """Yield the groups that give a user rights which stand nowhere in business.yaml."""
    properties = resource["Properties"]
    named = {"AWS::IAM::User": "Groups", "AWS::IAM::UserToGroupAddition": "GroupName"}.get(resource["Type"])
    for one in parts(properties.get(named, [])):
        if not (isinstance(one, dict) and one.get("Ref") in resources):
            yield one if isinstance(one, str) else json.dumps(one)


def _values(template: Template, arn: str) -> Iterator[str]:
    """Yield the texts that the name of a policy may be; nothing where a part of it is not known."""
    alone = re.fullmatch(r"\$\{(\w+)\}", arn)
    if alone is not None:
        yield from (str(one) for one in template["Parameters"].get(alone[1], {}).get("AllowedValues", ()))
    elif "${" not in (text := arn.replace("${AWS::Partition}", "aws")) and "\0" not in text:
        yield text


def _managed(text: str) -> Mapping[str, Any] | None:
    """Return a policy of AWS's own, by its ARN, or by its name as SAM takes it; None for one of somebody's."""
    found = _OF_AWS.fullmatch(text)
    return policies_of_aws().get(found["name"]) if found is not None else None


def _level_of(template: Template, theirs: Template, text: str, policy: Mapping[str, Any]) -> Level | None:
    """Return how bad what a policy of AWS's allows is: to read or to use what may be the platform's, or to rule it."""
    if _FOR_LAMBDA.search(text):
        return None
    worst: Level | None = None
    of_service = "/service-role/" in str(policy.get("Path"))  # it is for a service that takes the role on, and no code
    for statement in statements_of(policy["Document"]):
        for found in of_another(template, theirs, statement, "", ""):
            rules = "which is the platform's" not in found.problem or re.match(r"It allows \S*\* on", found.problem)
            if found.level == "error" and rules:
                return "warning" if of_service else "error"
            worst = None if of_service else "warning"
    return worst
