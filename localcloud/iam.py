"""IAM: the rights that a request needs, and whether policies grant them. Pure.

An explicit Deny wins, then an Allow; otherwise nothing is granted. Conditions are checked against what is known of a
request; a key that is not known here counts as fulfilled, so that a correct statement is never refused for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

#: Bedrock's cross-region inference profiles, by the prefix of their ids: a region, if not the caller's own, that they
#: forward to. The global ones forward to a model without a region.
_FORWARDS_TO = {
    "us": "us-west-2",
    "us-gov": "us-gov-east-1",
    "eu": "eu-north-1",
    "apac": "ap-northeast-1",
    "jp": "ap-northeast-3",
    "au": "ap-southeast-4",
    "in": "ap-south-2",
    "ca": "ca-west-1",
    "sa": "sa-east-1",
    "global": "",
}
_PROFILE = re.compile(rf"^(?P<prefix>{'|'.join(_FORWARDS_TO)})\.(?P<model>.+)$")
_PROFILE_ARN = re.compile(r"^arn:aws:bedrock:[^:]*:[^:]*:inference-profile/(?P<id>.+)$")
_INVOCATION = re.compile(r"^/\d{4}-\d{2}-\d{2}/functions/(?P<name>[^/]+)/invocations")
#: IAM's action for each part of a transaction; the transaction itself has none.
_PART = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
    "Get": "dynamodb:GetItem",
}
#: The end of IAM's action for a statement of PartiQL, by its first word. EXISTS(SELECT …) reads.
_PARTIQL = {"SELECT": "Select", "INSERT": "Insert", "UPDATE": "Update", "DELETE": "Delete", "EXISTS": "Select"}
#: The table, and the index, of a statement of PartiQL.
_TARGET = re.compile(
    r"""\b(?:FROM|INTO|UPDATE)\s+(?P<table>"[^"]+"|[\w-]+)(?:\s*\.\s*(?P<index>"[^"]+"|[\w-]+))?""", re.IGNORECASE
)


class Access(NamedTuple):
    """One right that a request needs.

    context  values for conditions: pairs of a key and its values
    """

    action: str
    resource: str
    context: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def names_its_resource(self) -> bool:
        """Whether the request's resource is known; otherwise it may be any resource that a policy names."""
        return self.resource != "*" or self.action.partition(":")[0].lower() in _KNOWN


#: Services whose resources are always known here; their ``*`` is the account, as for a list.
_KNOWN = frozenset({"cloudwatch", "dynamodb", "events", "s3", "sqs", "states"})


def _itself(_: str) -> str | None:
    return None


class Account(NamedTuple):
    """The account that requests go to.

    waiting_for  which state machine waits with a task token (``None``: none)
    secret       the ARN of a secret by its name (``None``: there is none)
    key          the id of a key by its alias (``None``: there is none)
    """

    region: str
    account: str
    waiting_for: Callable[[str], str | None]
    secret: Callable[[str], str | None] = _itself
    key: Callable[[str], str | None] = _itself

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of ``resource`` in this account."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


def needed(action: str, resource: str, path: str, body: Mapping[str, Any], where: Account) -> list[Access]:
    """Return every right that the request needs; all of them must be granted.

    ``action`` is ``service:Operation``; ``resource`` is what moto knows of the target (S3's ARN, else
    ``*``); ``path`` is the request's; ``body`` its JSON parameters, as far as its protocol has them.
    """
    service, _, operation = action.partition(":")
    if service == "monitoring":  # the name in its requests' signatures
        return [Access(f"cloudwatch:{operation}", resource)]
    if service == "dynamodb":
        return list(_dynamodb(action, body, where))
    if service == "sqs" and ("QueueUrl" in body or "QueueName" in body):
        queue = str(body.get("QueueUrl") or body["QueueName"]).rsplit("/", 1)[-1]
        return [Access(action.removesuffix("Batch"), where.arn("sqs", queue))]
    if service == "states":
        target = body.get("stateMachineArn") or body.get("executionArn")
        if "taskToken" in body:
            target = where.waiting_for(body["taskToken"])
        return [Access(action, target or "*")]
    if service == "kms" and "KeyId" in body:
        return [Access(action, _key(str(body["KeyId"]), where))]
    if service == "events" and operation == "PutEvents":
        return list(_events(action, body.get("Entries", []), where))
    if service == "secretsmanager":
        names = [body["SecretId"]] if "SecretId" in body else body.get("SecretIdList", [])
        return [Access(action, _secret(str(name), where)) for name in names] or [Access(action, resource)]
    if service == "ssm":
        names = [body[key] for key in ("Name", "Path") if key in body] or body.get("Names", [])
        return [Access(action, _parameter(str(name), where)) for name in names] or [Access(action, resource)]
    if service == "lambda" and (invocation := _INVOCATION.match(path)):
        name = unquote(invocation["name"])
        arn = name if name.startswith("arn:") else where.arn("lambda", f"function:{name}")
        return [Access("lambda:InvokeFunction", arn)]
    # For other services a field with an ARN of the service names the resource: a topic's, a stream's, a pool's.
    arns = [text for text in body.values() if isinstance(text, str) and text.startswith(f"arn:aws:{service}:")]
    return [Access(action, arns[0] if len(arns) == 1 else resource)]


def _key(key: str, where: Account) -> str:
    if key.startswith("arn:") and ":alias/" not in key:
        return key
    if "alias/" in key:  # IAM knows keys, not their aliases
        key = where.key(key[key.index("alias/") :]) or key
    return where.arn("kms", f"key/{key}")


def _secret(secret: str, where: Account) -> str:
    """Return the ARN that IAM compares, with the six characters that Secrets Manager appends to the name."""
    if secret.startswith("arn:"):
        return secret
    return where.secret(secret) or where.arn("secretsmanager", f"secret:{secret}-000000")


def _parameter(name: str, where: Account) -> str:
    return name if name.startswith("arn:") else where.arn("ssm", f"parameter/{name.lstrip('/')}")


def _events(action: str, entries: Any, where: Account) -> Iterator[Access]:
    for bus in sorted({entry.get("EventBusName", "default") for entry in entries}):
        mine = [entry for entry in entries if entry.get("EventBusName", "default") == bus]
        fields = {"events:source": "Source", "events:detail-type": "DetailType"}
        context = {
            key: tuple(sorted({entry[field] for entry in mine if field in entry})) for key, field in fields.items()
        }
        arn = bus if str(bus).startswith("arn:") else where.arn("events", f"event-bus/{bus}")
        yield Access(action, arn, tuple((key, values) for key, values in context.items() if values))


def _dynamodb(action: str, body: Mapping[str, Any], where: Account) -> Iterator[Access]:
    def table(name: str) -> str:
        return name if name.startswith("arn:") else where.arn("dynamodb", f"table/{name}")

    if "TransactItems" in body:
        for item in body["TransactItems"]:
            for part, parameters in item.items():
                yield Access(_PART[part], table(parameters["TableName"]))
    elif "RequestItems" in body:
        for name in body["RequestItems"]:
            yield Access(action, table(name))
    elif statements := [one for one in _statements(body) if isinstance(one, str)]:
        for statement in statements:
            yield _partiql(statement, table)
    elif "TableName" in body:
        index = f"/index/{body['IndexName']}" if "IndexName" in body else ""
        yield Access(action, table(body["TableName"]) + index)
    else:
        yield Access(action, body.get("StreamArn", "*"))


def _statements(body: Mapping[str, Any]) -> list[Any]:
    """Return the statements in PartiQL of a request."""
    parts = body.get("TransactStatements") or body.get("Statements") or [body]
    return [part.get("Statement") for part in parts if isinstance(part, Mapping)]


def _partiql(statement: str, table: Callable[[str], str]) -> Access:
    """Return the right that a statement needs: IAM knows statements by what they do, and not their requests."""
    word = (re.findall(r"[A-Za-z]+", statement) or [""])[0].upper()
    action = f"dynamodb:PartiQL{_PARTIQL.get(word, 'Select')}"
    named = _TARGET.search(statement)
    if named is None:
        return Access(action, "*")
    name, index = (part.strip('"') if part else "" for part in (named["table"], named["index"]))
    return Access(action, table(name) + (f"/index/{index}" if index else ""))


def needed_for_model(operation: str, model_id: str, region: str, account: str) -> list[Access]:
    """Return the rights that ``Converse`` or ``ConverseStream`` of ``model_id`` needs.

    A cross-region profile needs the right to itself and to the model behind it, in the caller's region and where it
    forwards to. Which model is behind another ARN is not known here.
    """
    action = "bedrock:InvokeModelWithResponseStream" if operation.endswith("Stream") else "bedrock:InvokeModel"
    of_profile = _PROFILE_ARN.match(model_id)
    if model_id.startswith("arn:") and of_profile is None:
        return [Access(action, model_id)]
    profile = _PROFILE.match(of_profile["id"] if of_profile else model_id)
    if profile is None:
        return [Access(action, model_id if of_profile else f"arn:aws:bedrock:{region}::foundation-model/{model_id}")]
    regions = dict.fromkeys([region, _FORWARDS_TO[profile["prefix"]]])
    return [
        Access(action, model_id if of_profile else f"arn:aws:bedrock:{region}:{account}:inference-profile/{model_id}"),
        *(Access(action, f"arn:aws:bedrock:{one}::foundation-model/{profile['model']}") for one in regions),
    ]


#: Condition keys (lower case) that have the same value for every request here.
_EVERY = {"aws:securetransport": ("true",), "aws:principaltype": ("AssumedRole",)}
_SET = re.compile(r"^(ForAllValues|ForAnyValue):", re.IGNORECASE)


def grants(documents: Iterable[Mapping[str, Any]], access: Access) -> bool:
    """Return whether the policies in ``documents`` together grant ``access``."""
    granted = False
    for statement in (one for document in documents for one in _listed(document.get("Statement", []))):
        if _concerns(statement, access):
            if statement.get("Effect") == "Deny":
                return False
            granted = True
    return granted


def _concerns(statement: Mapping[str, Any], access: Access) -> bool:
    return (
        _element(statement, "Action", access.action, ignore_case=True)
        and (not access.names_its_resource or _element(statement, "Resource", access.resource, ignore_case=False))
        and _conditions_hold(statement.get("Condition", {}), dict(access.context))
    )


def _element(statement: Mapping[str, Any], name: str, value: str, *, ignore_case: bool) -> bool:
    if f"Not{name}" in statement:
        return not any(_fits(one, value, ignore_case) for one in _listed(statement[f"Not{name}"]))
    return any(_fits(one, value, ignore_case) for one in _listed(statement.get(name, "*")))


def _fits(pattern: Any, value: str, ignore_case: bool) -> bool:
    return _compiled(str(pattern), ignore_case).fullmatch(value) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    text = "".join({"*": ".*", "?": "."}.get(char) or re.escape(char) for char in pattern)
    return re.compile(text, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _conditions_hold(conditions: Mapping[str, Any], context: Mapping[str, Sequence[str]]) -> bool:
    known = _EVERY | {key.lower(): tuple(values) for key, values in context.items()}
    return all(
        _holds(operator, [str(one) for one in _listed(wanted)], known[key.lower()])
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
        if key.lower() in known
    )


def _holds(operator: str, wanted: Sequence[str], actual: Sequence[str]) -> bool:
    """Return whether a condition holds for its key's values in the request; no values means an absent key."""
    of_set = _SET.match(operator)
    name = _SET.sub("", operator)
    if name.lower() == "null":
        return (not actual) == (wanted[0].lower() == "true")
    if name.lower().endswith("ifexists"):
        if not actual:
            return True
        name = name[: -len("ifexists")]
    compare = _operator(name)
    if compare is None:
        return True
    negative = "not" in name.lower()

    def fits(value: str) -> bool:
        return compare(wanted, value)

    if of_set is None:
        # Several values without a set operator: by IAM's guide none is compared, so nothing matches.
        return negative if len(actual) != 1 else fits(actual[0])
    if of_set[1].lower() == "forallvalues":
        return all(map(fits, actual))
    return any(map(fits, actual))


def _operator(name: str) -> Callable[[Sequence[str], str], bool] | None:
    kind = name.lower()
    if kind in ("stringequals", "arnequals", "bool", "numericequals"):
        pattern = kind == "arnequals"
        return lambda wanted, value: any(_fits(one, value, False) if pattern else one == value for one in wanted)
    if kind in ("stringequalsignorecase",):
        return lambda wanted, value: value.lower() in {one.lower() for one in wanted}
    if kind in ("stringlike", "arnlike"):
        return lambda wanted, value: any(_fits(one, value, False) for one in wanted)
    if kind in ("stringnotequals", "arnnotequals"):
        return lambda wanted, value: value not in wanted
    if kind in ("stringnotlike", "arnnotlike"):
        return lambda wanted, value: not any(_fits(one, value, False) for one in wanted)
    return None


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def missing(documents: Sequence[Mapping[str, Any]], accesses: Iterable[Access]) -> Iterator[Access]:
    """Yield the accesses that the policies do not grant."""
    yield from (access for access in accesses if not grants(documents, access))
