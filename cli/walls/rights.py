"""Rights of a role of the rendered template, as ``(action, resource)`` pairs."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any

from cli.walls.arns import FORMS, OPAQUE, Template, Unreadable, could_be, meet, names

#: Parameters of the platform whose value may be any text. What another parameter names is the business's.
FREE_PARAMETERS = frozenset({"ReplyQueuePrefix", "ModelId", "ModelEndpointUrl"})

_NO_VALUE = {"Ref": "AWS::NoValue"}
#: Of a statement with more conditions, the sides of the further ones are judged with each other.
_MOST = 6


@dataclass(frozen=True, order=True)
class Right:
    """One action on one resource.

    action    ``dynamodb:PutItem``; ``managed`` for a policy of AWS's own
    resource  logical id and what follows it (``RunLogTable``, ``PayloadBucket/payloads/*``), or an ARN
              without its beginning; ``unreadable: …`` where nobody can tell
    ids       the logical ids that stand in it anywhere
    arn       the ARN as a pattern
    guessed   whether the action cannot be read, and therefore counts as any
    """

    action: str
    resource: str
    ids: frozenset[str] = field(default=frozenset(), compare=False)
    arn: str = field(default="", compare=False)
    guessed: bool = field(default=False, compare=False)

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
        return could_be(template, self.arn, logical_id, FREE_PARAMETERS - template.get("Yours", frozenset()))

    def __str__(self) -> str:
        return f"{self.action} on {self.resource.replace(OPAQUE, '(a value from elsewhere)')}"


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
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, list):
            yield from statements_of(one)
        elif "Fn::If" in one:
            yield from statements_of(one["Fn::If"][1:])
        elif "Statement" in one:
            yield from statements_of(one["Statement"])
        elif "Effect" in one:
            yield one


def allowed(template: Template, statement: dict[str, Any]) -> Iterator[Right]:
    """Yield what a statement allows, on either side of each condition in it; nothing for one that denies."""
    for one in sides(statement):
        yield from _allowed(template, one)


def _allowed(template: Template, statement: dict[str, Any]) -> Iterator[Right]:
    # A statement that says what it does not cover, covers everything else: no row allows that.
    if statement.get("Effect") == "Deny":
        return
    actions = _listed(statement["Action"]) if "Action" in statement else ["*"]
    for action, guessed in (found for one in actions for found in _actions(template, one)):
        for resource in _listed(statement["Resource"]) if "Resource" in statement else ["*"]:
            try:
                for found in names(template, resource):
                    yield Right(action, found.text, found.ids, found.arn, guessed)
            except Unreadable as problem:
                yield Right(action, f"unreadable: {problem}", guessed=guessed)


def _actions(template: Template, value: Any) -> Iterator[tuple[str, bool]]:
    """Yield what an action may be as a text, and whether that is a guess: what cannot be read may be any."""
    try:
        for found in names(template, value):
            is_known = re.fullmatch(r"[\w:*?-]+", found.arn) is not None
            yield (found.arn, False) if is_known else ("*", True)
    except Unreadable:
        yield "*", True


def is_wild(right: Right) -> bool:
    """Say whether some signs of an action's name, and not all, are left open."""
    service, _, action = right.action.partition(":")
    return bool(re.search(r"[*?]", action) and action.strip("*") and not re.search(r"[*?]", service))


def resource_arn(template: Template, right: Right) -> str:
    """Return the ARN that a right is on as a pattern: a name for each resource of the template, ``*`` for the rest."""

    def put_in(place: re.Match[str]) -> str:
        name, _, attribute = place[1].partition(".")
        if name.startswith("AWS::"):
            return "x"
        if name not in template["Resources"]:
            return "*"
        kind = template["Resources"][name]["Type"]
        if place.start() or kind not in FORMS:
            return "x" if place.start() else "*"
        service, (before, *_), _ = FORMS[kind]
        return f"arn:x:{service}:x:x:{before}x{'/stream/x' if attribute == 'StreamArn' else ''}"

    return re.sub(r"\$\{([^}]+)\}", put_in, right.arn).replace(OPAQUE, "*")


def sides(value: Any) -> list[Any]:
    """Return a value once for each combination of its conditions, without ``Fn::If``: one condition, one side."""
    named = [*dict.fromkeys(_conditions(value))]
    chosen = [dict(zip(named[:_MOST], one, strict=True)) for one in product((1, 2), repeat=len(named[:_MOST]))]
    return [_settled(value, one) for one in chosen]


def _conditions(value: Any) -> Iterator[str]:
    match value:
        case {"Fn::If": [str(name), one, other]}:
            yield name
            yield from (*_conditions(one), *_conditions(other))
        case dict():
            yield from (name for one in value.values() for name in _conditions(one))
        case list():
            yield from (name for one in value for name in _conditions(one))


def _settled(value: Any, chosen: Mapping[str, int]) -> Any:
    """Return a value with the chosen sides in place of ``Fn::If``; what is AWS::NoValue then is not there."""
    match value:
        case {"Fn::If": [str(name), _, _]} if name in chosen:
            return _settled(value["Fn::If"][chosen[name]], chosen)
        case dict():
            made = {key: _settled(one, chosen) for key, one in value.items()}
            return {key: one for key, one in made.items() if one != _NO_VALUE}
        case list():
            made_of = [(one, _settled(one, chosen)) for one in value]
            opened = [new if isinstance(new, list) and isinstance(old, dict) else [new] for old, new in made_of]
            return [one for each in opened for one in each if one != _NO_VALUE]
    return value


def parts(value: Any) -> list[Any]:
    """Return the parts of a list, or the one that stands for it; both sides of an ``Fn::If``."""
    if isinstance(value, dict) and "Fn::If" in value:
        return parts(value["Fn::If"][1:])
    if isinstance(value, list):
        return [part for one in value for part in parts(one)]
    return [] if value == _NO_VALUE else [value]


def _listed(value: Any) -> list[Any]:
    listed = value if isinstance(value, list) else [value]
    opened = (parts(one) if isinstance(one, dict) and "Fn::If" in one else [one] for one in listed)
    return [one for each in opened for one in each]
