"""Findings about the rights that the playbook's code needs, against the statements of business.yaml.

What a statement's actions or resources are and cannot be read here may give any right: nothing is said of it.
"""

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from cli.checks import Finding
from cli.checks.code import Code
from cli.checks.grants import POLICIES, cannot_be_read, grants, names_executor, readable, to_executor_by
from cli.checks.iam import has_no_resource
from cli.checks.operations import needed_actions, needs_nothing, prefixes
from cli.checks.others import DOCS
from cli.checks.statements import with_the_platforms
from cli.walls.arns import Template, meet
from cli.walls.only import EXECUTOR, closed
from cli.walls.rights import Right, allowed, parts

_IN_SUB = re.compile(r"\$\{([A-Za-z0-9:]+)(\.[A-Za-z0-9.]+)?\}")


def rights(code: Code, business: Mapping[str, Any], environment: Mapping[str, str], file: str) -> Iterator[Finding]:
    """Yield rights that the code needs and no statement gives, and those that it does not need."""
    business = readable(business)
    template = with_the_platforms(business)
    statements = [*_statements(business)]
    if not [*cannot_be_read(business)]:
        yield from _missing(code, business, template, statements, file)
        yield from _rights_to_tables(code, business, environment, file)
        yield from _rights_of_servers(code, template, statements, environment, file)
    yield from _too_much(code, [*_of_policies(business)], file)


def _missing(
    code: Code, business: Mapping[str, Any], template: Template, statements: list[dict[str, Any]], file: str
) -> Iterator[Finding]:
    tables = [name for name, one in business["Resources"].items() if one["Type"].startswith("AWS::DynamoDB::")]
    for action, place in code.dynamodb.items():
        if tables and not any(_allows(one, f"dynamodb:{action}") for one in statements):
            yield Finding(
                "error",
                place,
                f"dynamodb:{action}",
                f"The code needs this right, and no statement of {file} gives it.",
                "Add it to ToolsPolicy, for the table that the code uses.",
            )
    given = [right for one in statements for right in allowed(template, one)]
    for table in tables:
        if names_executor(business["Resources"][table]["Properties"]) or table in _used_by_others(business, table):
            continue  # by its own policy, or not by the tools
        if not any(table in _named(one.get("Resource")) for one in statements) and not any(
            right.does("dynamodb:*") and right.reaches(template, table) for right in given
        ):
            yield Finding(
                "warning",
                file,
                table,
                "No statement of ToolsPolicy names this table: no tool can use it.",
                f"Add a statement with the actions that the tools need, and Resource: !GetAtt {table}.Arn.",
            )
    for index, place in code.indexes.items():
        if not any(_allows(one, "dynamodb:Query") and _reaches(template, one, index) for one in statements):
            yield Finding(
                "error",
                place,
                f"index/{index}",
                f"The code queries this index, and no statement of {file} gives the right to it; that to its table "
                "is not enough.",
                f'Allow dynamodb:Query on !Sub "${{….Arn}}/index/{index}".',
            )
    yield from _rights_of_calls(code, statements, file)
    for action, place in code.actions.items():
        if not any(_allows(one, action) for one in statements):
            yield Finding(
                "error",
                place,
                action,
                f"The server that it declares needs this right, and no statement of {file} gives it.",
                "Add it to ToolsPolicy, for the function or the secret that the declaration names.",
            )


def _rights_of_calls(code: Code, statements: list[dict[str, Any]], file: str) -> Iterator[Finding]:
    """Yield actions that calls of clients need and nothing gives; where no action is known, the same of the service."""
    told, unknown = {"dynamodb"}, dict[str, list[str]]()
    for (service, method), place in code.calls.items():
        actions = needed_actions(service, method)
        if actions is None:
            unknown.setdefault(service, []).append(method)
        elif actions and service != "dynamodb" and not any(_allows(one, by) for one in statements for by in actions):
            told.add(service)
            said = f"The code calls {method} of {service}, which needs this right, and no statement of {file} gives it."
            yield Finding("error", place, actions[0], said, _remedy(actions[0], signed_for=False))
    for service, place in code.services.items():
        mine, called = prefixes(service), code.called.get(service, frozenset())
        if not mine or service in told or (service not in code.signed_for and needs_nothing(service, called)):
            continue
        if not any(_touches(one, prefix) for one in statements for prefix in mine):
            said = f"The code has a client of {service}, or a server signs for it, and no statement of {file} gives a "
            remedy = _remedy(mine[0], signed_for=service in code.signed_for)
            yield Finding("error", place, f"{mine[0]}:…", f"{said}right to it.", remedy)
        elif service in unknown:
            said = f"Which action {', '.join(unknown[service])} of {service} needs is not known here: only the service "
            remedy = "Compare the statement of ToolsPolicy with these calls yourself."
            yield Finding("hint", place, service, f"{said}was compared with the statements.", remedy)


def _remedy(action: str, *, signed_for: bool) -> str:
    """Return what to do where no statement gives an action, or one of a service; also where a wall lets none do so."""
    service, _, name = action.partition(":")
    wall = closed(service, EXECUTOR)
    if service == "lambda" and signed_for:
        return "Add lambda:InvokeFunctionUrl and lambda:InvokeFunction to ToolsPolicy, for that one function."
    if name and (wall is None or action in wall[2]):
        return "Add it to ToolsPolicy, for the one resource."
    if wall is None:
        return "Add the actions that the tool calls to ToolsPolicy, for that one resource."
    what, who, free = wall
    others = f"only {', '.join(who.split())} may {what}" if who else f"nobody may {what}"
    if free and not name:
        return f"Add {' or '.join(free)} to ToolsPolicy, if the tool calls that; of all else, {others}: take it out."
    return f"Take the call out of the tool: {others}, and no statement may give the right. {DOCS}"


def _rights_to_tables(
    code: Code, business: Mapping[str, Any], environment: Mapping[str, str], file: str
) -> Iterator[Finding]:
    """Yield actions that a call needs on one table and that the statements give for other ones alone."""
    statements, resources = [*_statements(business)], business["Resources"]
    template = with_the_platforms(business)
    for (action, variable), place in code.on_tables.items():
        named = re.fullmatch(r"\$\{(\w+)\}", environment.get(variable, ""))
        giving = [one for one in statements if _allows(one, f"dynamodb:{action}")]
        reached = [_named(part) & resources.keys() for one in giving for part in parts(one.get("Resource"))]
        known = named is not None and named[1] in resources and all(reached)  # else a part may be any table
        if named is not None and known and giving and not any(named[1] in one for one in reached):
            if any(right.reaches(template, named[1]) for one in giving for right in allowed(template, one)):
                continue
            yield Finding(
                "error",
                place,
                f"dynamodb:{action}",
                f"The code needs this right on {named[1]}, and the statements of {file} give it for others alone.",
                f"Add it to ToolsPolicy, with Resource: !GetAtt {named[1]}.Arn.",
            )


#: The ARN of what an action of a server's is on, by its name or the end of its ARN.
_NAMED_BY = {
    "lambda:InvokeFunction": ("arn:*:lambda:*:*:function:{}", "arn:*:lambda:*:*:function:{}:*"),
    "secretsmanager:GetSecretValue": ("arn:*:secretsmanager:*:*:secret:{}*",),
    "ssm:GetParameter": ("arn:*:ssm:*:*:parameter/{}",),
}


def _rights_of_servers(
    code: Code, template: Template, statements: list[dict[str, Any]], environment: Mapping[str, str], file: str
) -> Iterator[Finding]:
    """Yield the functions and secrets of servers/ for which no statement gives the right, where others have it."""
    for action, named, is_variable, place in code.aims:
        target = environment.get(named, "${}") if is_variable else named
        rights = [right for one in statements if _allows(one, action) for right in allowed(template, one)]
        rights = [right for right in rights if right.does(action)]
        if rights and not _reach(template, rights, action, target):
            what = f"{named}, which is {target}," if is_variable else target
            said = (
                f"The server that it declares uses {what} and the statements of {file} give the right for others alone."
            )
            yield Finding("error", place, action, said, "Name that one as the Resource of the statement.")


def _reach(template: Template, rights: list[Right], action: str, target: str) -> bool:
    """Return whether one of the rights is on the function or the secret, or may be."""
    made = [found for found, _ in _IN_SUB.findall(target)]
    if made or "${" in target:
        known = all(one in template["Resources"] for one in made) and bool(made)
        return not known or any(right.reaches(template, one) for right in rights for one in made)
    name = re.sub(r"^arn:.*?:(function:|secret:|parameter/)|^function:|^\d{12}:(function:)?", "", target).lstrip("/")
    if action.startswith("lambda:"):
        name = name.partition(":")[0]  # of a version or an alias, too
    forms = [form.format(name) for form in _NAMED_BY[action]]
    patterns = [_IN_SUB.sub(lambda one: _value_of(template, one), right.arn) for right in rights if right.readable]
    return len(patterns) < len(rights) or any(meet(one.replace("\0", "*"), form) for one in patterns for form in forms)


def _value_of(template: Template, named: re.Match[str]) -> str:
    """Return the value of a parameter that the template alone says; else any."""
    values = template["Parameters"].get(named[1], {}).get("AllowedValues", ())
    return str(values[0]) if len(values) == 1 else "*"


def _too_much(code: Code, statements: list[dict[str, Any]], file: str) -> Iterator[Finding]:
    for number, one in enumerate(statements, 1):
        name = str(one.get("Sid", f"statement {number}"))
        wide = [action for action in _listed(one.get("Action")) if action == "*" or action.endswith(":*")]
        bare = bool(_listed(one.get("Action"))) and all(map(has_no_resource, _listed(one.get("Action"))))
        if ("*" in _listed(one.get("Resource")) and not bare) or wide:
            yield Finding(
                "warning",
                file,
                name,
                f"It allows {', '.join(wide) or 'its actions'} on {'everything' if not wide else 'its resources'}: a "
                "tool that is misled could use all of it.",
                "Name the actions and the one resource.",
            )
        unused = [action for action in _listed(one.get("Action")) if _is_unused(code, action)] if code.is_whole else []
        if unused:
            yield Finding(
                "hint", file, name, f"No code of the playbook needs {', '.join(unused)}.", "Remove what is not needed."
            )


#: Actions without which a call works, and which it is better off with.
_BESIDE = {
    "s3:ListBucket": ("get_object", "head_object", "download_file"),  # else a missing object is AccessDenied
    "s3:AbortMultipartUpload": ("upload_file", "upload_fileobj", "create_multipart_upload"),
    "s3:GetObject": ("copy_object", "copy", "upload_part_copy"),
}


def _is_unused(code: Code, action: str) -> bool:
    """Return whether no call in the code needs an action, by the names of methods alone.

    One of KMS may be needed by another service, which decrypts for its caller.
    """
    service, _, name = action.partition(":")
    if not re.fullmatch(r"[A-Za-z]+", name) or service == "kms" or action in code.actions:
        return False
    if service == "dynamodb":
        return bool(code.dynamodb) and name not in code.perhaps_dynamodb
    clients = [one for one in code.clients if service in prefixes(one)]
    if not clients or any(service in prefixes(one) for one in code.signed_for):
        return False
    if any(needed_actions(one, called) is None for one in clients for called in code.called.get(one, ())):
        return False
    needed = {each for one in clients for called in code.method_names for each in needed_actions(one, called) or ()}
    beside = not code.method_names.isdisjoint(_BESIDE.get(action, ()))
    return not beside and action.lower() not in {one.lower() for one in needed}


def _statements(business: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what allows something: statements of policies, and what resources let the executor's role do with them."""
    yield from _of_policies(business)
    for resource in business["Resources"].values():
        yield from (one for one in to_executor_by(resource) if _may_allow(one))


def _of_policies(business: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in business["Resources"].values():
        if resource["Type"] in POLICIES:
            mine = [one for one in grants(resource) if one.to_executor or not one.to_others]
            yield from (one for grant in mine for one in grant.statements if _may_allow(one))


def _used_by_others(business: Mapping[str, Any], table: str) -> set[str]:
    """Return what resources beside the tools' policies and this table refer to: functions, roles, their policies."""
    others = [
        one
        for name, one in business["Resources"].items()
        if name != table and (one["Type"] not in POLICIES or all(grant.to_others for grant in grants(one)))
    ]
    return _named(others)


def _may_allow(statement: Mapping[str, Any]) -> bool:
    return any(one == "Allow" or not isinstance(one, str) for one in parts(statement["Effect"]))


def _listed(value: Any) -> list[str]:
    return [one for one in parts(value) if isinstance(one, str)]


def _allows(statement: Mapping[str, Any], action: str) -> bool:
    """Return whether a statement gives an action, or may: what is no text here may be any."""
    if "Action" not in statement:
        given = parts(statement.get("NotAction", []))
        return not any(isinstance(one, str) and fnmatchcase(action.lower(), one.lower()) for one in given)
    given = parts(statement["Action"])
    return any(not isinstance(one, str) or fnmatchcase(action.lower(), one.lower()) for one in given)


def _touches(statement: Mapping[str, Any], prefix: str) -> bool:
    if "Action" not in statement or len(_listed(statement["Action"])) < len(parts(statement["Action"])):
        return True
    services = (action.partition(":")[0].lower() for action in _listed(statement["Action"]))
    return any(fnmatchcase(prefix, service) for service in services)


def _reaches(template: Template, statement: dict[str, Any], index: str) -> bool:
    """Return whether a statement is on an index of this name, or may be."""
    return "Resource" not in statement or any(
        not right.readable or meet(_as_pattern(template, right), f"*/index/{index}")
        for right in allowed(template, statement)
    )


def _as_pattern(template: Template, right: Right) -> str:
    """Return an ARN with a name for each resource of the template in it, and anything for what is not known."""

    def put_in(place: re.Match[str]) -> str:
        known = place[1].startswith("AWS::") or place[1] in template["Resources"]
        return "x" if known else "*"

    return _IN_SUB.sub(put_in, right.arn).replace("\0", "*")


def _named(value: Any) -> set[str]:
    """Return the logical ids that a value refers to."""
    if isinstance(value, list):
        return set().union(*map(_named, value))
    if isinstance(value, str):
        return {found for found, _ in _IN_SUB.findall(value)}
    if isinstance(value, dict):
        found = set().union(*map(_named, value.values()))
        for key, part in value.items():
            if key in ("Ref", "Fn::GetAtt"):
                found.add((part if isinstance(part, str) else str(part[0])).partition(".")[0])
        return found
    return set()
