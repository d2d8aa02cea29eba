"""The places of business.yaml at which CloudFormation and SAM take statements and managed policies, and who has them.

::

    AWS::IAM::Policy, ManagedPolicy, RolePolicy    for the roles, users and groups that it names
    AWS::IAM::UserPolicy, GroupPolicy              for that user or group
    Policies, ManagedPolicyArns                    of a role, a user, a group, or of a function or workflow of SAM's
    Principal: … ExecutorRole                      a statement of another resource, and AWS::Lambda::Permission

Both sides of each ``Fn::If`` count. What is no statement that is written out, such as a macro's, is ``unread``.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from samtranslator.policy_template_processor.exceptions import (
    InsufficientParameterValues,
    InvalidParameterValues,
    TemplateNotFoundException,
)
from samtranslator.policy_template_processor.processor import PolicyTemplatesProcessor

from cli.walls.rights import parts, statements_of

POLICIES = (
    *("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"),
    *("AWS::IAM::UserPolicy", "AWS::IAM::GroupPolicy"),
)
_HOLDERS = ("Roles", "RoleName", "Users", "UserName", "Groups", "GroupName")
#: What is made of these is not in the template.
_MAKES = re.compile(r"(?!AWS::)|AWS::CloudFormation::(Stack|CustomResource|Macro)$|AWS::Serverless::Application$")
#: A property of these names has who runs something.
_RUNS = re.compile(r"(\w*Roles?|\w*RoleArns?|RoleName)$")
_EXECUTOR = re.compile(r'"Ref": "ExecutorRole"|\$\{ExecutorRole\}')
_BY_MACRO = "Fn::Transform"


@dataclass(frozen=True)
class Grant:
    """What one policy gives, and to whom.

    managed  the names or ARNs of managed policies, as they are written
    unread   what of it is no statement that is written out
    """

    statements: tuple[dict[str, Any], ...] = ()
    managed: tuple[Any, ...] = ()
    unread: tuple[Any, ...] = ()
    to_executor: bool = False
    to_others: tuple[Any, ...] = ()


def readable(business: Mapping[str, Any]) -> dict[str, Any]:
    """Return a business.yaml each of whose resources has properties, also where they are not written."""
    resources = {
        name: {**one, "Properties": one.get("Properties") or {}} for name, one in business["Resources"].items()
    }
    return {**business, "Resources": resources}


def names_executor(value: Any) -> bool:
    """Say whether the executor's role stands anywhere in a value."""
    return _EXECUTOR.search(json.dumps(value, default=str)) is not None


def grants(resource: Mapping[str, Any]) -> Iterator[Grant]:
    """Yield what a resource of business.yaml gives by its policies."""
    properties = resource["Properties"]
    if resource["Type"] in POLICIES:
        held_by = [one for key in _HOLDERS for one in parts(properties.get(key, []))]
        others = tuple(one for one in held_by if not names_executor(one))
        yield _of_document(properties.get("PolicyDocument"), len(others) < len(held_by), others)
        return
    for one in parts(properties.get("Policies", [])):
        if isinstance(one, dict) and ("PolicyDocument" in one or "Statement" in one or _BY_MACRO in one):
            yield _of_document(one.get("PolicyDocument", one), to_executor=False, others=(resource["Type"],))
        elif isinstance(one, dict) and (made := _of_sam(one)) is not None:
            yield _of_document(made, to_executor=False, others=(resource["Type"],))
        elif isinstance(one, str | dict):
            yield Grant(managed=(one,))
    yield Grant(managed=(*parts(properties.get("ManagedPolicyArns", [])),))


def attached_to(business: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return by whom each policy of business.yaml is held that names no holder itself."""
    found: dict[str, list[str]] = {}
    for name, one in business["Resources"].items():
        for grant in grants(one) if one["Type"] not in POLICIES else ():
            for policy in grant.managed:
                if isinstance(policy, dict) and isinstance(policy.get("Ref"), str):
                    found.setdefault(policy["Ref"], []).append(name)
    return found


def _of_sam(value: Mapping[str, Any]) -> list[Any] | None:
    """Return the statements that SAM makes of a policy template with its parameters; None of what is none."""
    known = _policy_templates()
    try:
        return [known.convert(name, given) for name, given in value.items()]
    except (TemplateNotFoundException, InsufficientParameterValues, InvalidParameterValues):
        return None


@cache
def _policy_templates() -> PolicyTemplatesProcessor:
    return PolicyTemplatesProcessor(PolicyTemplatesProcessor.get_default_policy_templates_json())


def is_of_nobody(business: Mapping[str, Any], resource: Mapping[str, Any]) -> bool:
    """Say whether a policy is neither the executor's nor for roles, users and groups of this template alone."""
    if resource["Type"] != "AWS::IAM::Policy" or names_executor(resource["Properties"]):
        return False
    held_by = [one for key in _HOLDERS for one in parts(resource["Properties"].get(key, []))]
    return not held_by or not all(isinstance(one, dict) and one.get("Ref") in business["Resources"] for one in held_by)


def _of_document(document: Any, to_executor: bool, others: tuple[Any, ...]) -> Grant:
    unread = tuple(_unread(document))
    readable = document if isinstance(document, dict | list) and not (unread and unread[0] is document) else []
    return Grant((*statements_of(readable),), (), unread, to_executor, others)


def _unread(value: Any) -> Iterator[Any]:
    """Yield the parts of a document that are no statement, on both sides of an ``Fn::If``."""
    match value:
        case list():
            yield from (found for one in value for found in _unread(one))
        case {"Fn::If": [_, *both]}:
            yield from (found for one in both for found in _unread(one))
        case {"Effect": _} | {"Ref": "AWS::NoValue"}:
            return
        case {"Statement": inside}:
            yield from _unread(inside)
        case _:
            yield value


def to_executor_by(resource: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the statements by which a resource that is no policy lets the executor's role do something with it."""
    properties = resource["Properties"]
    if resource["Type"] in POLICIES:
        return
    if resource["Type"] == "AWS::Lambda::Permission" and names_executor(properties.get("Principal")):
        yield {"Effect": "Allow", "Action": properties.get("Action", "*"), "Resource": "*"}
    yield from _with_the_executor(properties)


def _with_the_executor(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "Effect" in value and names_executor(value.get("Principal")):
            yield {"Resource": "*", **value}
        else:
            yield from (found for one in value.values() for found in _with_the_executor(one))
    elif isinstance(value, list):
        yield from (found for one in value for found in _with_the_executor(one))


def cannot_be_read(business: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield by which resources the executor may have rights that stand nowhere in business.yaml, and how."""
    made = [one if isinstance(one, str) else str(one.get("Name")) for one in parts(business.get("Transform", []))]
    for macro in made:
        if not re.match(r"AWS::(Serverless-|LanguageExtensions)", macro):
            yield "Transform", f"the macro {macro} may add any statement"
    for name, resource in business["Resources"].items():
        if resource["Type"] in POLICIES:
            for grant in grants(resource):
                if grant.to_executor and grant.unread:
                    yield name, "a statement of it is not written out"
        elif _MAKES.match(resource["Type"]) and names_executor(resource["Properties"]):
            yield name, "it is given ExecutorRole, and what it makes of that is not in this file"
        elif names_executor([one for _, one in _texts_of_policies(resource["Properties"])]):
            yield name, "its policy is a text and names ExecutorRole"


def _texts_of_policies(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what stands as a text where a policy belongs."""
    if isinstance(value, dict) and not any(one.startswith("Fn::") for one in value):
        yield from (found for name, one in value.items() for found in _texts_of_policies(one, name))
    elif isinstance(value, list):
        yield from (found for one in value for found in _texts_of_policies(one, key))
    elif key.endswith(("Policy", "PolicyDocument", "PolicyText")):
        yield key, value


def runs_as_executor(resource: Mapping[str, Any]) -> str | None:
    """Return the property by which something else runs under the executor's role."""
    if resource["Type"] in POLICIES or _MAKES.match(resource["Type"]):
        return None
    return next(_runs(resource["Properties"]), None)


def _runs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            if _RUNS.match(key) and names_executor(one):
                yield key
            elif key not in ("Environment", "Tags", "Metadata"):
                yield from _runs(one)
    elif isinstance(value, list):
        yield from (found for one in value for found in _runs(one))
