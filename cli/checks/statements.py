"""Findings about what the statements of business.yaml allow, by the walls that the platform's own tests hold.

``cli.walls`` has the rule: a tool uses what is the business's own, and nothing of the platform.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from cli.checks import Finding, Level
from cli.checks.doors import doors
from cli.checks.grants import (
    Grant,
    attached_to,
    cannot_be_read,
    grants,
    is_of_nobody,
    readable,
    runs_as_executor,
    to_executor_by,
)
from cli.checks.iam import actions_on, has_no_resource, holds_always, services_of_resources
from cli.checks.others import DOCS, groups_elsewhere, of_another, of_managed, unread
from cli.walls.arns import FORMS, Template, as_deployed, meet, why_no_arn
from cli.walls.conditions import names_the_key
from cli.walls.only import EXECUTOR, crossed
from cli.walls.rights import Right, allowed, is_wild, parts, resource_arn, sides, statements_of
from cli.walls.yours import manages, why_not_yours
from localcloud.cloud import ROOT
from localcloud.template import load_template

#: A function that a server is has to be called; one behind its URL needs both.
_CALLS = ("lambda:invokefunction", "lambda:invokefunctionurl")
#: What the tables of the example and of a new project have, so that neither a slip nor a deleted stack loses records.
_KEPT = ("DeletionPolicy", "UpdateReplacePolicy")
_SAFE = ("PointInTimeRecoverySpecification", "SSESpecification")


def breaches(business: Mapping[str, Any], file: str, *, calls: bool) -> Iterator[Finding]:
    """Yield what a business.yaml allows and no tool may, roles beside the executor's, and unprotected tables.

    ``calls``: servers/ has a function of the business's own, which the executor has to call by its ARN or its URL.
    """
    business = readable(business)
    template, theirs_alone = with_the_platforms(business), as_deployed(platform())
    attached = attached_to(business)
    for policy, one in business["Resources"].items():
        for grant in grants(one):
            by = () if grant.to_executor else attached.get(policy, ())
            whole = replace(grant, to_others=(*grant.to_others, *by))
            yield from _of_grant(template, whole, file, policy, calls=calls)
        for statement in to_executor_by(one):
            for right in sorted({*allowed(template, {**statement, "Resource": {"Fn::GetAtt": [policy, "Arn"]}})}):
                if not (calls and right.action.lower() in _CALLS):
                    yield from _crossed(template, right, file, policy)
    for name, why in cannot_be_read(business):
        said = f"Which rights the executor has by it cannot be read here: {why}. No right is said to be missing."
        yield Finding("warning", file, name, said, "Write the statements out in ToolsPolicy, so that they are checked.")
    for name, one in business["Resources"].items():
        if key := runs_as_executor(one):
            said = f"Its {key} is the executor's role, and only the tools run with that."
            yield Finding("error", file, name, said, "Give it a role of its own, with what it needs.")
        yield from doors(theirs_alone, business, name, file)
        for group in groups_elsewhere(one, business["Resources"]):
            said = f"Which rights it has by the group {group} cannot be read here, so nothing is checked of them."
            yield Finding("warning", file, name, said, "Write a group, or a policy of its own, in this file.")
        if one["Type"] == "AWS::IAM::Role":
            yield _role(one, file, name)
        if is_of_nobody(business, one):
            said = "Its Roles do not name ExecutorRole, with which the tools run: no tool has these rights."
            yield Finding("warning", file, name, said, "Write `Roles: [!Ref ExecutorRole]`.")
        if one["Type"] == "AWS::DynamoDB::Table":
            yield from _table(one, file, name)


def _of_grant(template: Template, grant: Grant, file: str, policy: str, *, calls: bool) -> Iterator[Finding]:
    """Yield what is wrong with a policy: with whoever holds it, and with what it gives to them."""
    if grant.to_executor and grant.to_others:
        others = ", ".join(one if isinstance(one, str) else json.dumps(one) for one in grant.to_others)
        said = f"The executor's role holds it, and so does {others}: what the tools may do, no other may."
        yield Finding("error", file, policy, said, "Name ExecutorRole alone, and give the other a policy of its own.")
    for one in grant.managed:
        yield from of_managed(template, platform(), one, file, policy)
    for number, statement in enumerate(grant.statements, 1):
        name = str(statement.get("Sid", f"{policy} statement {number}"))
        if grant.to_executor:
            yield from _denied(template, statement, file, name)
        if grant.to_executor or not grant.to_others:
            yield from _of_statement(template, statement, file, name, calls=calls)
        else:
            yield from of_another(template, platform(), statement, file, name)


def _denied(template: Template, statement: Mapping[str, Any], file: str, name: str) -> Iterator[Finding]:
    """Yield the first right of the executor's own that a statement takes away, on any side of its conditions."""
    for side in sides(statement):
        if side.get("Effect") != "Deny" or not holds_always(side.get("Condition")):
            continue
        but = [str(one).lower() for one in parts(side.get("NotAction", []))]
        kept = [*allowed(template, {"Action": "*", "Resource": side.get("NotResource", [])})]
        taken = _allowing(template, {key: one for key, one in side.items() if not key.startswith("Not")})
        needed = [(right, one) for right in _of_the_executor() for one in sorted(right.ids)]
        for mine, one in needed:
            is_kept = any(meet(mine.action.lower(), each) for each in but)
            is_kept = is_kept or any(not each.readable or each.reaches(template, one) for each in kept)
            if not is_kept and any(each.does(mine.action) and each.reaches(template, one) for each in taken):
                said = f"It denies {mine.action} on what is, or could be, {one}: the executor itself needs that."
                yield Finding("error", file, name, said, "Deny it on the resource that is meant, or leave it out.")
                return


def _allowing(template: Template, statement: dict[str, Any]) -> list[Right]:
    found = allowed(template, {**statement, "Effect": "Allow"})
    return [one for one in found if one.readable and not one.guessed]


@cache
def _of_the_executor() -> tuple[Right, ...]:
    """Return the rights that the platform's template gives to the executor."""
    whole = as_deployed(platform())
    policies = whole["Resources"][EXECUTOR]["Properties"]["Policies"]
    return tuple(sorted({right for one in statements_of(policies) for right in allowed(whole, one)}))


def _of_statement(
    template: Template, statement: Mapping[str, Any], file: str, name: str, *, calls: bool
) -> Iterator[Finding]:
    """Yield what is wrong with a statement, on any side of the conditions in it."""
    found = (_of_side(template, one, file, name, calls=calls) for one in sides(statement))
    yield from dict.fromkeys(each for one in found for each in one)


def _of_side(
    template: Template, statement: Mapping[str, Any], file: str, name: str, *, calls: bool
) -> Iterator[Finding]:
    rights = sorted({*allowed(template, dict(statement))})
    for wrong in _of_another_service(template, rights):
        yield Finding("error", file, name, *wrong)
    for right in rights:
        if right.guessed or not right.readable:
            yield unread(right, file, name)
        elif no_arn := why_no_arn(template, right.arn):
            said = f"`{right.resource}` is no ARN, and a statement names its resource by one: {no_arn}."
            yield Finding("error", file, name, said, "Write !GetAtt ….Arn, or !Sub with it.")
        elif right.resource == "*" and has_no_resource(right.action) and not manages(right):
            yield _without_resource(template, right, file, name)
        elif _is_on_a_named_key(statement, right) and not manages(right):
            continue
        elif no_name := _of_a_parameter(template, right):
            yield Finding("error", file, name, *no_name)
        elif why := _why_not_yours(template, right):
            level: Level = "error" if _is_certain(template, right) else "warning"
            said = f"It allows {right}, which no tool may: {why}."
            yield Finding(
                level, file, name, said, f"Name the actions that the tool calls, and its one resource. {DOCS}"
            )
        elif not (calls and right.action.lower() in _CALLS):
            yield from _crossed(template, right, file, name)


def _is_on_a_named_key(statement: Mapping[str, Any], right: Right) -> bool:
    """Say whether a right is on a key of KMS that a condition names, on every side: the ARN does not say which."""
    is_of_kms = right.action.lower().startswith("kms:")
    return is_of_kms and all(names_the_key(one.get("Condition")) for one in sides(statement))


def _why_not_yours(template: Template, right: Right) -> str | None:
    """Return why no tool may have a right: of a wildcard, why none may have an action that it stands for there."""
    if (why := why_not_yours(template, right)) is None or right.resource == "*" or not is_wild(right):
        return why
    for one in _meant(template, right):
        if (of_one := why_not_yours(template, one)) is not None:
            return f"it stands for {one.action}, too, and {of_one}"
    return None


def _crossed(template: Template, right: Right, file: str, name: str) -> Iterator[Finding]:
    """Yield the first wall that a right crosses."""
    for one in _meant(template, right):
        for what, who in crossed(template, one, EXECUTOR):
            others = f"only {', '.join(who.split())} may {what}" if who else f"nobody may {what}"
            if is_wild(right):
                said = f"It allows {right}, which stands for {one.action}, too: {others}."
                yield Finding("error", file, name, said, "Name the actions that the tools call in its place.")
            else:
                yield Finding("error", file, name, f"It allows {right}: {others}.", "Remove it.")
            return


def _meant(template: Template, right: Right) -> list[Right]:
    """Return a right once for each action that its wildcard stands for on that resource; itself where it has none."""
    if not is_wild(right):
        return [right]
    known = actions_on(right.action, resource_arn(template, right))
    return [replace(right, action=one) for one in known] or [right]


def _without_resource(template: Template, right: Right, file: str, name: str) -> Finding:
    """Return what is to say of an action on everything, where IAM has nothing else to put it on."""
    nowhere = replace(right, resource="", arn="arn:")  # a wall around one resource is not meant
    for what, who in crossed(template, nowhere, EXECUTOR):
        others = f"only {', '.join(who.split())} may {what}" if who else f"nobody may {what}"
        return Finding("error", file, name, f"It allows {right}: {others}.", "Remove it.")
    said = f"It allows {right.action}, which IAM knows no resource for: it is on all that its service has."
    return Finding("warning", file, name, said, f"Do without it, or accept that a tool which is misled uses it. {DOCS}")


def _of_another_service(template: Template, rights: list[Right]) -> Iterator[tuple[str, str]]:
    """Yield the actions of a statement that are on resources of other services alone, each with the remedy."""
    for action in dict.fromkeys(right.action for right in rights):
        mine, known = [one for one in rights if one.action == action], services_of_resources(action)
        services = {_service_of(template, one) for one in mine}
        if known and "" not in services and not services & known:
            named = ", ".join(one.resource for one in mine)
            said = (
                f"{action} is never on a resource of {', '.join(sorted(services))}, as {named} is: it allows nothing."
            )
            yield said, f"Name a resource of {' or '.join(sorted(known))}."


def _service_of(template: Template, right: Right) -> str:
    """Return the service that a right's resource certainly is of; else ""."""
    made = re.match(r"\$\{(\w+)\.Arn\}", right.arn)
    if not right.readable:
        return ""
    if made is not None:
        return FORMS.get(template["Resources"].get(made[1], {}).get("Type", ""), ("",))[0]
    parts = right.arn.split(":")
    return parts[2] if len(parts) > 5 and re.fullmatch(r"[a-z0-9-]+", parts[2]) else ""


def _of_a_parameter(template: Template, right: Right) -> tuple[str, str] | None:
    """Return what is wrong with the slash before a parameter's name, and the remedy."""
    found = re.search(r":parameter(/?)\$\{(\w+)\}", right.arn)
    if found is None:
        return None
    known = template.get("Parameters", {}).get(found[2], {}).get("AllowedValues", ())
    resource = template["Resources"].get(found[2], {})
    if resource.get("Type") == "AWS::SSM::Parameter":
        name = resource.get("Properties", {}).get("Name", "made up by AWS")
        name = name.get("Fn::Sub", "") if isinstance(name, dict) else name
        known = [name[0] if isinstance(name, list) else name]
    begins = {str(one).startswith("/") for one in known if one and not str(one).startswith("${")}
    if len(begins) != 1 or begins != {bool(found[1])}:
        return None
    wrong, right_one = (f"parameter{one}${{{found[2]}}}" for one in (found[1], "" if found[1] else "/"))
    what = "begins with a slash: the ARN has two" if found[1] else "begins with no slash: the ARN lacks one"
    return f"The name of {found[2]} {what} in `{wrong}`, and nothing is called so.", f"Write `{right_one}`."


def _is_certain(template: Template, right: Right) -> bool:
    """Return whether a right on everything could be on anything of the platform: some actions have no resource."""
    if right.resource != "*":
        return True
    services = {FORMS[one["Type"]][0] for one in template["Resources"].values() if one["Type"] in FORMS}
    return any(right.does(f"{service}:*") for service in services) or any(crossed(template, right, EXECUTOR))


def _role(role: Mapping[str, Any], file: str, name: str) -> Finding:
    trusted = [one.get("Principal") for one in _parts(role.get("Properties", {}).get("AssumeRolePolicyDocument", {}))]
    services = bool(trusted) and all(isinstance(one, dict) and one.keys() == {"Service"} for one in trusted)
    said = "It is a role beside the executor's, and no tool runs with it"
    rest = "." if services else ", and others than services of AWS may take it on."
    remedy = (
        "Give the right to ToolsPolicy, whose statements are those of the tools; remove the role if nothing needs it."
    )
    return Finding("hint" if services else "warning", file, name, said + rest, remedy)


def _table(table: Mapping[str, Any], file: str, name: str) -> Iterator[Finding]:
    missing = [one for one in _KEPT if one not in table]
    if len(missing) == len(_KEPT):  # cfn-lint tells of one without the other
        said = f"The table has no {' and no '.join(missing)}: its records go with the stack, or with a replacement."
        yield Finding(
            "hint", file, name, said, "Write `DeletionPolicy: RetainExceptOnCreate`, `UpdateReplacePolicy: Retain`."
        )
    missing = [one for one in _SAFE if one not in table.get("Properties", {})]
    if missing:
        said = f"The table has no {' and no '.join(missing)}: no restore to a time, or no key of KMS."
        yield Finding("hint", file, name, said, "Write them as the tables of a new project have them (`ballast new`).")


def _parts(document: Any) -> list[dict[str, Any]]:
    return [*statements_of(document.get("Statement", []))] if isinstance(document, dict) else []


def with_the_platforms(business: Mapping[str, Any]) -> Template:
    """Return the platform's template with the business's own resources and parameters in it."""
    whole = platform()
    given = {
        name: {**one, "AllowedValues": _values(one)} if _is_known(one) else one
        for name, one in business.get("Parameters", {}).items()
    }
    return as_deployed(
        {
            "Parameters": {**whole.get("Parameters", {}), **given},
            "Resources": {**business["Resources"], **whole["Resources"]},
            "Yours": frozenset({*business["Resources"], *given}),
        }
    )


def _values(parameter: Mapping[str, Any]) -> list[str]:
    """Return the value of a parameter, or the values where its type is a list."""
    default, of = str(parameter["Default"]), str(parameter.get("Type"))
    return [one.strip() for one in default.split(",")] if "List<" in of or of == "CommaDelimitedList" else [default]


def _is_known(parameter: Mapping[str, Any]) -> bool:
    """Return whether the template alone says a parameter's value: nobody gives another one to the nested stack."""
    return "Default" in parameter and "AllowedValues" not in parameter and "SSM" not in str(parameter.get("Type"))


@cache
def platform() -> Template:
    """Return the platform's template, without what its own business.yaml has."""
    whole = load_template(ROOT / "template.yaml")
    own = load_template(ROOT / "business.yaml")["Resources"]
    return {**whole, "Resources": {name: one for name, one in whole["Resources"].items() if name not in own}}
