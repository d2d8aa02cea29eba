"""The forms of requests that the functions and their tests send: operation, parameters and expressions, without values.

``forms.jsonl`` has one request of each form. The contract plays every one of them on moto and in memory; the tests of
functions end with an error where one was sent that is not in the list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LISTED = Path(__file__).with_name("forms.jsonl")
#: Parameters that make no other form; what they hold is not listed.
_CONTENTS = ("Item", "Key", "ExclusiveStartKey", "ExpressionAttributeValues", "Limit", "Keys")
_KEYWORDS = (
    "SET|ADD|REMOVE|AND|OR|NOT|BETWEEN|IN|attribute_exists|attribute_not_exists|begins_with|contains|if_not_exists"
)
_PART = re.compile(rf"\b(?:{_KEYWORDS})\b|[#:]?[A-Za-z_][\w.#]*")
#: Without items and expressions.
_LEFT_OUT = ("CreateTable", "DeleteTable")


def requests_of(operation: str, parameters: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Return the requests that one has in it."""
    if operation in _LEFT_OUT:
        return
    parts: list[tuple[str, Mapping[str, Any]]] = [(operation, parameters)]
    if operation == "TransactWriteItems":
        parts = [(f"{operation}.{kind}", each) for item in parameters["TransactItems"] for kind, each in item.items()]
    if operation in ("BatchGetItem", "BatchWriteItem"):
        parts = [
            (f"{operation}.{kind}", {"TableName": table, **each})
            for table, asked in parameters["RequestItems"].items()
            for kind, each in ([("Get", asked)] if operation == "BatchGetItem" else _pairs(asked))
        ]
    yield from parts


def without_contents(operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the list has of a request."""
    listed = {key: "…" if key in _CONTENTS else parameters[key] for key in sorted(parameters)}
    return {"operation": operation} | listed


def _pairs(requests: list[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    return [pair for request in requests for pair in request.items()]


def form_of(request: Mapping[str, Any]) -> str:
    """Return the same text for requests that differ in names only, and in how often a clause or a term is repeated."""
    left = {key: value for key, value in request.items() if key not in ("TableName", "ExpressionAttributeNames")}
    for key, value in left.items():
        if key.endswith("Expression"):
            left[key] = _plain(value)
    return json.dumps(left, sort_keys=True, ensure_ascii=False)


def _plain(text: str) -> str:
    plain = _PART.sub(lambda part: part[0] if re.fullmatch(_KEYWORDS, part[0]) else _kind(part[0]), text)
    plain = re.sub(r"(path(?:\.path)?(?: (?:= )?:v)?)(?:, \1)+(?! [=:])", r"\1, …", plain)
    return re.sub(r"(path = :v)(?: AND \1)+", r"\1 AND …", plain)


def _kind(part: str) -> str:
    return ":v" if part.startswith(":") else "path.path" if "." in part else "path"


def listed() -> dict[str, dict[str, Any]]:
    """Return the requests of the list by their form."""
    return {form_of(request): request for request in map(json.loads, LISTED.read_text("utf-8").splitlines())}


class Watch:
    """Remembers the forms that a session's clients send and that are not in the list."""

    def __init__(self) -> None:
        self.known, self.new = set(listed()), dict[str, dict[str, Any]]()
        self._seen: set[tuple[Any, ...]] = set()

    def __call__(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        """To be registered for ``before-parameter-build.dynamodb``."""
        for operation, parameters in requests_of(model.name, params):
            # To read an expression takes longer than most requests do.
            exact = operation, *(key if key in _CONTENTS else (key, str(parameters[key])) for key in parameters)
            if exact in self._seen:
                continue
            self._seen.add(exact)
            request = without_contents(operation, parameters)
            if (form := form_of(request)) not in self.known:
                self.known.add(form)
                self.new[form] = request

    def refuse_new(self) -> None:
        """Say which lines are missing."""
        lines = "\n".join(json.dumps(request, ensure_ascii=False) for request in self.new.values())
        assert not lines, f"Add to {LISTED.name}, so that the contract plays these too:\n{lines}"


#: What the sessions of this process have sent.
WATCH = Watch()
