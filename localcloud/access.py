"""Which rights a request needs: pairs of an IAM action and the ARN that it is done to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

#: Prefixes of Bedrock's cross-region inference profiles.
_PROFILE = re.compile(r"^(global|us|us-gov|eu|apac|jp|au|ca)\.(?P<model>.+)$")
_INVOCATION = re.compile(r"^/\d{4}-\d{2}-\d{2}/functions/(?P<name>[^/]+)/invocations")
#: What a part of a transaction is called in IAM; the transaction itself has no right of its own.
_PART = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
    "Get": "dynamodb:GetItem",
}


class Access(NamedTuple):
    """One right that a request needs.

    context  what conditions may ask of the request: pairs of a key and its values
    """

    action: str
    resource: str
    context: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def names_its_resource(self) -> bool:
        """Whether it is known what the request is done to; else any resource that a policy names may be it."""
        return self.resource != "*" or self.action.partition(":")[0].lower() in _KNOWN


#: Services of whose requests the resource is known here, all of them; ``*`` is then one of the account, such as a list.
_KNOWN = frozenset({"cloudwatch", "dynamodb", "events", "s3", "sqs", "states"})


def _itself(_: str) -> str | None:
    return None


class Account(NamedTuple):
    """Where requests go.

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
    if service == "monitoring":  # how requests to it are signed
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
    # Elsewhere a field that holds an ARN of the service says what it is done to: a topic's, a stream's, a pool's.
    arns = [text for text in body.values() if isinstance(text, str) and text.startswith(f"arn:aws:{service}:")]
    return [Access(action, arns[0] if len(arns) == 1 else resource)]


def _key(key: str, where: Account) -> str:
    if key.startswith("arn:") and ":alias/" not in key:
        return key
    if "alias/" in key:  # IAM knows keys, not their aliases
        key = where.key(key[key.index("alias/") :]) or key
    return where.arn("kms", f"key/{key}")


def _secret(secret: str, where: Account) -> str:
    """Return the ARN that IAM compares: with the six characters that Secrets Manager puts behind the name."""
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
    elif "TableName" in body:
        index = f"/index/{body['IndexName']}" if "IndexName" in body else ""
        yield Access(action, table(body["TableName"]) + index)
    else:
        yield Access(action, body.get("StreamArn", "*"))


def needed_for_model(operation: str, model_id: str, region: str, account: str) -> list[Access]:
    """Return the rights that ``Converse`` or ``ConverseStream`` of ``model_id`` needs.

    A cross-region profile needs the right to itself and to the model behind it.
    """
    action = "bedrock:InvokeModelWithResponseStream" if operation.endswith("Stream") else "bedrock:InvokeModel"
    if model_id.startswith("arn:"):
        return [Access(action, model_id)]
    profile = _PROFILE.match(model_id)
    if profile is None:
        return [Access(action, f"arn:aws:bedrock:{region}::foundation-model/{model_id}")]
    return [
        Access(action, f"arn:aws:bedrock:{region}:{account}:inference-profile/{model_id}"),
        Access(action, f"arn:aws:bedrock:{region}::foundation-model/{profile['model']}"),
    ]
