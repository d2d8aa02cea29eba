"""Rights of a role of the rendered template, as ``(action, resource)`` pairs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cli.walls.arns import Template, Unreadable, could_be, meet, names

#: Parameters of the platform whose value may be any text. What another parameter names is the business's.
FREE_PARAMETERS = frozenset({"ReplyQueuePrefix", "ModelId", "ModelEndpointUrl"})


@dataclass(frozen=True, order=True)
class Right:
    """One action on one resource.

    action    ``dynamodb:PutItem``; ``managed`` for a policy of AWS's own
    resource  logical id and what follows it (``RunLogTable``, ``PayloadBucket/payloads/*``), or an ARN
              without its beginning; ``unreadable: …`` where nobody can tell
    ids       the logical ids that stand in it anywhere
    arn       the ARN as a pattern
    """

    action: str
    resource: str
    ids: frozenset[str] = field(default=frozenset(), compare=False)
    arn: str = field(default="", compare=False)

    @property
    def readable(self) -> bool:
        """Whether the resource could be determined."""
        return not self.resource.startswith("unreadable: ")

    def does(self, action: str) -> bool:
        """Say whether the right covers any of the actions; IAM ignores their case."""
        return meet(self.action.lower(), action.lower())

    def does_any(self, actions: str) -> bool:
        """Say whether the right covers any of the actions, which spaces separate."""
        return _does_any(self.action.lower(), actions.lower())

    def reaches(self, template: Template, logical_id: str) -> bool:
        """Say whether the right is on that resource or on something below it, or could be by an ARN's wildcards."""
        if logical_id in self.ids or self.resource == "*" or not self.readable:
            return True
        return could_be(template, self.arn, logical_id, FREE_PARAMETERS)

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}"


@cache
def _does_any(action: str, others: str) -> bool:
    return any(meet(action, other) for other in others.split())


def of_type(template: Template, *types: str) -> dict[str, dict[str, Any]]:
    """Return the resources of these types, by logical id."""
    return {name: resource for name, resource in template["Resources"].items() if resource["Type"] in types}


def role_of(template: Template, logical_id: str) -> str:
    """Return the logical id of the role that a function or a state machine runs under; an ARN if it is elsewhere."""
    properties = template["Resources"][logical_id]["Properties"]
    (role,) = names(template, properties.get("Role") or properties.get("RoleArn"))
    return role.text


def rights_of(template: Template, role: str) -> set[Right]:
    """Return all rights of ``role``, by inline, attached and managed policies; none of a role from elsewhere."""
    if role not in template["Resources"]:
        return set()
    properties = template["Resources"][role]["Properties"]
    rights, documents = set(), [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    attached = [found for arn in properties.get("ManagedPolicyArns", []) for found in names(template, arn)]
    for name, policy in of_type(
        template, "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"
    ).items():
        held_by = [*policy["Properties"].get("Roles", []), policy["Properties"].get("RoleName")]
        if {"Ref": role} in held_by or name in [found.text for found in attached]:
            documents.append(policy["Properties"]["PolicyDocument"])
            attached = [found for found in attached if found.text != name]
    rights |= {Right("managed", found.text.rsplit("/", 1)[-1]) for found in attached}
    for document in documents:
        for statement in statements_of(document["Statement"]):
            rights.update(allowed(template, statement))
    return rights


def trusted_by(template: Template, role: str) -> set[str]:
    """Return the services that may take on ``role``."""
    statements = template["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    return {service for statement in statements for service in _listed(statement["Principal"]["Service"])}


def statements_of(value: Any) -> Iterator[dict[str, Any]]:
    """Yield each statement, of both sides of an ``Fn::If``; of a document, of a list in it, or of one statement."""
    for one in _listed(value):
        if isinstance(one, list):
            yield from statements_of(one)
        elif "Fn::If" in one:
            yield from statements_of(one["Fn::If"][1:])
        elif "Statement" in one:
            yield from statements_of(one["Statement"])
        elif "Effect" in one:
            yield one


def allowed(template: Template, statement: dict[str, Any]) -> Iterator[Right]:
    """Yield what a statement allows; nothing for one that denies."""
    # A statement that says what it does not cover, covers everything else: no row allows that.
    if statement["Effect"] == "Deny":
        return
    actions = _listed(statement.get("Action", "*"))
    for action in (one if isinstance(one, str) else "*" for one in actions):
        for resource in _listed(statement.get("Resource", "*")):
            try:
                for found in names(template, resource):
                    yield Right(action, found.text, found.ids, found.arn)
            except Unreadable as problem:
                yield Right(action, f"unreadable: {problem}")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
