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
    """One right that a request needs."""

    action: str
    resource: str


class Account(NamedTuple):
    """Where requests go, and which state machine waits with a task token (``None``: none)."""

    region: str
    account: str
    waiting_for: Callable[[str], str | None]

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
    if service == "sqs" and "QueueUrl" in body:
        queue = str(body["QueueUrl"]).rsplit("/", 1)[-1]
        return [Access(action.removesuffix("Batch"), where.arn("sqs", queue))]
    if service == "states":
        target = body.get("stateMachineArn") or body.get("executionArn")
        if "taskToken" in body:
            target = where.waiting_for(body["taskToken"])
        return [Access(action, target or "*")]
    if service == "kms" and "KeyId" in body:
        key = str(body["KeyId"])
        return [Access(action, key if key.startswith("arn:") else where.arn("kms", f"key/{key}"))]
    if service == "events" and operation == "PutEvents":
        buses = {entry.get("EventBusName", "default") for entry in body.get("Entries", [])}
        return [Access(action, where.arn("events", f"event-bus/{bus}")) for bus in sorted(buses)]
    if service == "lambda" and (invocation := _INVOCATION.match(path)):
        name = unquote(invocation["name"])
        arn = name if name.startswith("arn:") else where.arn("lambda", f"function:{name}")
        return [Access("lambda:InvokeFunction", arn)]
    return [Access(action, resource)]


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
