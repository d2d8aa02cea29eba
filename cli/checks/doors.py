"""Resources of business.yaml that open something to others: the platform's by its name, or one's own to everybody.

Each is read with its parameters, mappings and texts settled, on every side of its conditions, and so is a JSON text in
it. What cannot be read opens nothing that is known.
"""

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from cli.checks import Finding
from cli.checks.grants import POLICIES
from cli.walls.arns import FORMS, Template, texts
from cli.walls.conditions import names_who, shuts_out_others
from cli.walls.rights import parts, sides
from cli.walls.values import opened, settled

#: Texts for people, names that a resource has itself, figures, and data for one's own code, which give no right.
_SAYS = (
    *("Description", "Comment", "Tags", "Metadata", "Environment", "Name", "PolicyName", "Policies", "Statement"),
    *("Dimensions", "Input", "InputTemplate", "Payload", "Result", "Message", "MessageBody"),
)
#: Types that show something to whoever may see it anyway.
_SHOWS = ("AWS::CloudWatch::Dashboard", "AWS::Logs::QueryDefinition")
_PLACE = re.compile(r"\$\{[^}]*\}|[*?]")
_PERMISSIONS = ("AWS::Lambda::Permission", "AWS::Lambda::LayerVersionPermission", "AWS::Events::EventBusPolicy")
#: What narrows a permission of Lambda's, as conditions do elsewhere.
_NARROWS = (
    ("SourceArn", "ArnLike", "aws:SourceArn"),
    ("SourceAccount", "StringEquals", "aws:SourceAccount"),
    ("PrincipalOrgID", "StringEquals", "aws:PrincipalOrgID"),
    ("OrganizationId", "StringEquals", "aws:PrincipalOrgID"),
    ("EventSourceToken", "StringEquals", "lambda:EventSourceToken"),
    ("FunctionUrlAuthType", "StringEquals", "lambda:FunctionUrlAuthType"),
)
#: Of a role there is another finding; what is behind an endpoint is in one's own network.
_NOT_TO_ALL = (*POLICIES, "AWS::IAM::Role", "AWS::EC2::VPCEndpoint")
_PUBLIC = ("PublicRead", "PublicReadWrite", "AuthenticatedRead")


def doors(platform: Template, business: Mapping[str, Any], name: str, file: str) -> Iterator[Finding]:
    """Yield what a resource of business.yaml opens to others."""
    kind, properties = business["Resources"][name]["Type"], business["Resources"][name]["Properties"]
    if kind == "AWS::Serverless::Function":
        properties = {**((business.get("Globals") or {}).get("Function") or {}), **properties}
    properties = opened(settled(business, properties))
    for key, text, theirs in _names_of_the_platform(platform, kind, properties):
        said = f"Its {key} is {text}, which is, or could be, {theirs} of the platform."
        yield Finding("error", file, name, said, "Name a resource of yours: nothing of the platform is opened.")
    yield from _on_all_logs(kind, properties, file, name)
    if _is_open(kind, properties):
        said = "It lets everybody in, of every account, and no condition says who or from where."
        yield Finding("warning", file, name, said, "Name who may, or say in a Condition from where.")
    every = sides(properties)
    if any("NONE" in texts(_auth_type(kind, one)) for one in every):
        said = "Its URL has AuthType NONE: everybody who knows it may call the function."
        yield Finding("warning", file, name, said, "Write AuthType: AWS_IAM, or have the function ask who calls.")
    if kind == "AWS::S3::Bucket" and any(map(_is_public, every)):
        said = "Its AccessControl lets everybody in, of every account."
        yield Finding("warning", file, name, said, "Leave it out, and name in a bucket policy who may.")


def _names_of_the_platform(platform: Template, kind: str, properties: Any) -> Iterator[tuple[str, str, str]]:
    """Yield where a resource names what could be the platform's: the property, the text, and the logical id.

    Statements of policies are not read here: they name what they are on by ARNs with wildcards.
    """
    ids = _ids(frozenset((name, one["Type"]) for name, one in platform["Resources"].items()))
    for key, text in dict.fromkeys(_texts(properties, kind) if kind not in _SHOWS else ()):
        for part in re.split(r"[:/]", _PLACE.sub("x", text)):
            found = ids.fullmatch(part)
            if found is not None:
                yield key, text, found[found.lastindex or 0]


@cache
def _ids(made: frozenset[tuple[str, str]]) -> re.Pattern[str]:
    """Return what CloudFormation calls resources of the platform: STACK-LOGICALID-RANDOM, buckets in small letters."""
    functions = {f"{name}Role" for name, kind in made if kind == "AWS::Lambda::Function"}
    kept = {name for name, kind in made if kind in FORMS and kind != "AWS::S3::Bucket"} | functions
    buckets = {name.lower() for name, kind in made if kind == "AWS::S3::Bucket"}
    layers = {name for name, kind in made if kind.endswith("::LayerVersion")}
    machines = {name for name, kind in made if kind == "AWS::StepFunctions::StateMachine"}  # without the stack's name
    forms = (
        (r"[\w.-]+-", kept, r"-\w+(?:\.fifo)?"),
        ("", machines, r"-\w+"),
        (r"[a-z0-9.-]+-", buckets, r"-[a-z0-9]+"),
        ("", layers, ""),
    )
    named = [f"{before}({'|'.join(sorted(ids))}){behind}" for before, ids, behind in forms if ids]
    return re.compile("|".join(f"(?:{one})" for one in named))


def _texts(value: Any, kind: str, key: str = "") -> Iterator[tuple[str, str]]:
    own = f"{kind.split('::')[-1]}Name"  # QueueName of a queue, as its own name
    if isinstance(value, dict) and not any(one == "Ref" or one.startswith("Fn::") for one in value):
        calls = any(":::aws-sdk:" in one for one in texts(value.get("Arn")))  # with its Input as arguments
        for name, one in value.items():
            if (name not in _SAYS and name != own) or (calls and name == "Input"):
                yield from _texts(one, kind, name)
    elif isinstance(value, dict) and "Fn::If" in value:
        yield from (found for one in parts(value) for found in _texts(one, kind, key))
    elif isinstance(value, list):
        yield from (found for one in value for found in _texts(one, kind, key))
    elif isinstance(value, str | dict):
        yield from ((key, one) for one in texts(value))


def _on_all_logs(kind: str, properties: Any, file: str, name: str) -> Iterator[Finding]:
    if kind != "AWS::Logs::AccountPolicy" or "SUBSCRIPTION_FILTER_POLICY" not in texts(properties.get("PolicyType")):
        return
    remedy = "Write an AWS::Logs::SubscriptionFilter for each log group of yours."
    if all("SelectionCriteria" in one for one in sides(properties)):
        said = "It sends on all log groups but those it names, and the platform's may be among them."
        yield Finding("warning", file, name, said, remedy)
    else:
        yield Finding(
            "error", file, name, "It sends on all log groups of the account, the platform's included.", remedy
        )


def _auth_type(kind: str, properties: Any) -> Any:
    of = properties if kind == "AWS::Lambda::Url" else properties.get("FunctionUrlConfig")
    return of.get("AuthType") if isinstance(of, dict) else None


def _is_public(bucket: Any) -> bool:
    blocked = bucket.get("PublicAccessBlockConfiguration")
    shut = [blocked.get(one) for one in ("BlockPublicAcls", "IgnorePublicAcls")] if isinstance(blocked, dict) else []
    is_shut = any(str(one).lower() == "true" for one in shut)
    return not is_shut and any(one in _PUBLIC for one in texts(bucket.get("AccessControl")))


def _is_open(kind: str, properties: Any) -> bool:
    """Say whether a resource lets everybody in, without a condition that says who or from where."""
    if kind in _PERMISSIONS and "Statement" not in properties:
        return any(_permits_all(one) for one in sides(properties))
    return kind not in _NOT_TO_ALL and _has_open(properties)


def _permits_all(permission: Any) -> bool:
    conditions = [{how: {key: permission[one]}} for one, how, key in _NARROWS if one in permission]
    match permission.get("Condition"):
        case {"Type": str(how), "Key": str(key), "Value": value}:
            conditions.append({how: {key: value}})
    return _is_everybody(permission.get("Principal")) and not any(map(names_who, conditions))


def _has_open(value: Any) -> bool:
    match value:
        case {"Fn::If": [_, *both]}:
            return any(map(_has_open, both))
        case {"Effect": _}:
            return any(map(_has_open_side, sides([value])))
        case list() if any(map(_is_statement, value)):
            return any(map(_has_open_side, sides(value)))
        case dict():
            return any(map(_has_open, value.values()))
        case list():
            return any(map(_has_open, value))
    return False


def _is_statement(value: Any) -> bool:
    return any(isinstance(one, dict) and "Effect" in one for one in (parts(value) if value else ()))


def _has_open_side(statements: list[Any]) -> bool:
    """Say whether one of a document's statements lets everybody in, and none of the others shuts them out."""
    written = [one for one in statements if isinstance(one, dict)]
    allowing = [one for one in written if "Allow" in texts(one.get("Effect")) and _is_to_everybody(one)]
    denying = [one for one in written if one.get("Effect") == "Deny" and _is_to_everybody(one)]
    shut = [one for one in denying if "NotPrincipal" in one or shuts_out_others(one.get("Condition"))]
    return any(not names_who(one.get("Condition")) and not any(_covers(each, one) for each in shut) for one in allowing)


def _is_to_everybody(statement: Mapping[str, Any]) -> bool:
    return "NotPrincipal" in statement or _is_everybody(statement.get("Principal"))


def _is_everybody(principal: Any) -> bool:
    match principal:
        case {"AWS": who}:
            return _is_everybody(who)
        case list():
            return any(map(_is_everybody, principal))
    return "*" in texts(principal)


def _covers(denied: Mapping[str, Any], allowed: Mapping[str, Any]) -> bool:
    """Say whether a denial is on every action that another statement allows."""
    shut, free = ([str(one).lower() for one in parts(each.get("Action", []))] for each in (denied, allowed))
    return bool(free) and all(any(fnmatchcase(one, each) for each in shut) for one in free)
