"""What a role of the rendered template may do, as ``(action, resource)`` pairs."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tests.template.rendered import Template, of_type


@dataclass(frozen=True, order=True)
class Right:
    """One action on one resource.

    action    ``dynamodb:PutItem``; ``managed`` for a policy of AWS's own
    resource  logical id and what follows it (``RunLogTable``, ``PayloadBucket/payloads/*``), or an ARN
              without its beginning
    """

    action: str
    resource: str

    def touches(self, action: str, resource: str) -> bool:
        """Say whether the right covers any of what two patterns name; IAM ignores an action's case."""
        return _overlap(self.action.lower(), action.lower()) and _overlap(self.resource, resource)

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}"


def _overlap(one: str, other: str) -> bool:
    return fnmatchcase(one, other) or fnmatchcase(other, one)


def role_of(template: Template, logical_id: str) -> str:
    """Return the logical id of the role that a function or a state machine runs under."""
    properties = template["Resources"][logical_id]["Properties"]
    return _name(properties.get("Role") or properties.get("RoleArn"))


def rights_of(template: Template, role: str) -> set[Right]:
    """Return all rights of ``role``, whichever way they were given to it."""
    properties = template["Resources"][role]["Properties"]
    rights = {Right("managed", arn.rsplit("/", 1)[-1]) for arn in properties.get("ManagedPolicyArns", [])}
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    for policy in of_type(template, "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy").values():
        held_by = [*policy["Properties"].get("Roles", []), policy["Properties"].get("RoleName")]
        if {"Ref": role} in held_by:
            documents.append(policy["Properties"]["PolicyDocument"])
    for document in documents:
        for statement in _listed(document["Statement"]):
            rights.update(_rights(statement))
    return rights


def trusted_by(template: Template, role: str) -> set[str]:
    """Return the services that may take on ``role``."""
    statements = template["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    return {service for statement in statements for service in _listed(statement["Principal"]["Service"])}


def _rights(statement: dict[str, Any]) -> Iterator[Right]:
    # A statement that says what it does not cover, covers everything else: no row allows that.
    if statement["Effect"] != "Allow":
        return
    actions = _listed(statement["Action"]) if "Action" in statement else ["*"]
    resources = _listed(statement["Resource"]) if "Resource" in statement else ["*"]
    for action in actions:
        for resource in resources:
            yield Right(action, _name(resource))


def _name(resource: Any) -> str:
    match resource:
        case str():
            return resource
        case {"Ref": name}:
            return str(name)
        case {"Fn::GetAtt": [name, "Arn"]}:
            return str(name)
        case {"Fn::GetAtt": [name, "StreamArn"]}:
            return f"{name}/stream"
        case {"Fn::Sub": str(text)}:
            return text.removeprefix("arn:${AWS::Partition}:").removeprefix("${").replace(".Arn}", "", 1)
    raise AssertionError(f"no name for {resource}")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
