"""Every handler masks sensitive values in the errors that it raises."""

import importlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from ballast import edge
from ballast.runtime import Runtime
from tests.template import rendered
from tests.template.rendered import of_type

HANDLERS = {
    name: function["Properties"]["Handler"]
    for name, function in of_type(rendered.written(), "AWS::Serverless::Function").items()
}
CARD = "4111 1111 1111 1111"
#: As each source sends it: the workflow, HTTP, a queue, an event.
REQUEST = {"request_id": "r", "text": "Keep it.", "context": {"card": CARD}}
EVENT = {
    "request": REQUEST,
    "detail": REQUEST,
    "body": json.dumps(REQUEST),
    "Records": [{"messageId": "m", "body": json.dumps(REQUEST)}],
}


class Broken(Mapping[str, str]):
    """An environment that cannot be read, and says why in the worst way."""

    def __getitem__(self, name: str) -> str:
        raise LookupError(f"{name}: {CARD}")

    def __contains__(self, name: object) -> bool:
        raise LookupError(f"{name}: 4111-1111-1111-1111")

    def __iter__(self) -> Iterator[str]:
        raise LookupError(CARD)

    def __len__(self) -> int:
        return 1


class Context:
    aws_request_id = "request"

    def get_remaining_time_in_millis(self) -> int:
        return 10_000


def handler_of(name: str) -> Callable[..., Any]:
    module, _, attribute = HANDLERS[name].rpartition(".")
    handler: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return handler


def test_every_function_has_a_handler() -> None:
    assert len(HANDLERS) >= 16


@pytest.mark.parametrize("name", sorted(HANDLERS))
def test_a_handler_is_guarded(name: str) -> None:
    assert handler_of(name).__code__.co_filename == edge.__file__


@pytest.mark.parametrize("name", sorted(HANDLERS))
def test_a_function_that_fails_says_nothing_that_its_caller_sent(name: str) -> None:
    printed = io.StringIO()
    runtime = Runtime(Broken(), stdout=printed)

    try:
        said = json.dumps(handler_of(name)(EVENT, Context(), runtime=runtime))
    except Exception as problem:
        said = f"{problem} {problem.__cause__} {problem.__context__}"

    assert "4111" not in said + printed.getvalue()
