"""Resources of business.yaml that open something to others: the platform's by its name, or one's own to everybody."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from cli.checks.grants import POLICIES
from cli.walls.arns import FORMS, Template, texts

#: Texts for people, names that a resource has itself, and variables of one's own code, which give no right.
_SAYS = ("Description", "Comment", "Tags", "Metadata", "Environment", "Name", "PolicyName", "Policies", "Statement")
_PLACE = re.compile(r"\$\{[^}]*\}|[*?]")
#: What narrows a permission of Lambda's, as a condition does elsewhere.
_NARROWS = ("SourceArn", "SourceAccount", "PrincipalOrgID", "EventSourceToken", "FunctionUrlAuthType")


def names_of_the_platform(platform: Template, resource: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield where a resource names what could be the platform's: the property, the text, and the logical id.

    Statements of policies are not read here: they name what they are on by ARNs with wildcards.
    """
    ids = _ids(frozenset((name, one["Type"]) for name, one in platform["Resources"].items()))
    for key, text in dict.fromkeys(_texts(resource["Properties"], resource["Type"])):
        for part in re.split(r"[:/]", _PLACE.sub("x", text)):
            found = ids.fullmatch(part)
            if found is not None:
                yield key, text, found[1] or found[2]


@cache
def _ids(made: frozenset[tuple[str, str]]) -> re.Pattern[str]:
    """Return what CloudFormation calls resources of the platform: STACK-LOGICALID-RANDOM, buckets in small letters."""
    functions = {f"{name}Role" for name, kind in made if kind == "AWS::Lambda::Function"}
    kept = {name for name, kind in made if kind in FORMS and kind != "AWS::S3::Bucket"} | functions
    buckets = {name.lower() for name, kind in made if kind == "AWS::S3::Bucket"}
    layers = {name for name, kind in made if kind.endswith("::LayerVersion")}
    named = rf"[\w.-]+-({'|'.join(sorted(kept))})-\w+(?:\.fifo)?|[a-z0-9.-]+-({'|'.join(sorted(buckets))})-[a-z0-9]+"
    return re.compile(rf"(?:{named})" + (rf"|(?:{'|'.join(sorted(layers))})()" if layers else ""))


def _texts(value: Any, kind: str, key: str = "") -> Iterator[tuple[str, str]]:
    own = f"{kind.split('::')[-1]}Name"  # QueueName of a queue, as its own name
    if isinstance(value, dict) and not any(one == "Ref" or one.startswith("Fn::") for one in value):
        for name, one in value.items():
            if name not in _SAYS and name != own:
                yield from _texts(one, kind, name)
    elif isinstance(value, list):
        yield from (found for one in value for found in _texts(one, kind, key))
    elif isinstance(value, str | dict):
        yield from ((key, one) for one in texts(value))


def is_open(resource: Mapping[str, Any]) -> bool:
    """Say whether a resource lets everybody in, without a condition."""
    properties = resource["Properties"]
    if resource["Type"] in ("AWS::Lambda::Permission", "AWS::Lambda::LayerVersionPermission"):
        return properties.get("Principal") == "*" and not any(
            one in properties for one in (*_NARROWS, "OrganizationId")
        )
    if resource["Type"] == "AWS::Events::EventBusPolicy" and properties.get("Principal") == "*":
        return not properties.get("Condition")
    return resource["Type"] not in (*POLICIES, "AWS::IAM::Role") and _is_open(properties)


def _is_open(value: Any) -> bool:
    match value:
        case {"Effect": "Allow", "Principal": "*" | {"AWS": "*" | ["*"]}}:
            return not value.get("Condition")
        case dict():
            return any(map(_is_open, value.values()))
        case list():
            return any(map(_is_open, value))
    return False
