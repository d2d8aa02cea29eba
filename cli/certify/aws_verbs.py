"""AWS operations that only read, and what they have read. Whatever is not listed counts as a change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

#: By the first word of their names.
_READING = re.compile(
    r"^(Get|BatchGet|TransactGet|List|Describe|BatchDescribe|Query|Scan|Head|Select|Lookup|Search|Filter|Detect|"
    r"BatchDetect|Simulate|Validate|Estimate|Preview|Verify)(?=[A-Z]|$)"
)
#: Others: they compute an answer, or give credentials, and leave nothing.
_ALSO = {
    ("kms", "Decrypt"),
    ("kms", "Encrypt"),
    ("kms", "ReEncrypt"),
    ("kms", "GenerateDataKey"),
    ("kms", "GenerateDataKeyWithoutPlaintext"),
    ("kms", "GenerateMac"),
    ("kms", "GenerateRandom"),
    ("kms", "Sign"),
    ("sts", "AssumeRole"),
    ("sts", "AssumeRoleWithWebIdentity"),
    ("translate", "TranslateText"),
}
#: They begin as reads do, and change something, or start it.
_NOT = {("ses", f"Verify{what}") for what in ("EmailIdentity", "DomainIdentity", "DomainDkim", "EmailAddress")}


def changes_something(service: str, operation: str, params: Mapping[str, Any]) -> bool:
    """Return whether a request may change something. ``params``: as the caller gave them."""
    if (service, operation) in _NOT:
        return True
    if service == "dynamodb" and operation in ("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"):
        statements = params.get("Statements") or params.get("TransactStatements") or [params]
        return not all(str(one.get("Statement", "")).lstrip().upper().startswith("SELECT") for one in statements)
    return not (_READING.match(operation) or (service, operation) in _ALSO)


def items_read(params: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the table and the item, or its key, of each item that DynamoDB's answer to a request has."""
    table = str(params.get("TableName", ""))
    if "Item" in answer:
        yield table, params.get("Key", answer["Item"])
    for item in answer.get("Items", ()):
        yield table, item
    responses = answer.get("Responses", {})
    if isinstance(responses, Mapping):
        yield from ((name, item) for name, items in responses.items() for item in items)
        return
    for asked, found in zip(params.get("TransactItems", ()), responses, strict=False):
        if "Item" in found and "Get" in asked:
            yield str(asked["Get"]["TableName"]), asked["Get"]["Key"]
