"""An internal error that quotes the request leaves no value of its context in the answer or in the log lines."""

import base64
import json
from typing import Any

import pytest

from functions.front import api
from functions.front.start import Executions
from tests.functions.http import event
from tests.functions.stack import Stack

CARD = "4111 1111 1111 1111"


@pytest.mark.parametrize("is_base64", [False, True])
@pytest.mark.parametrize(
    "context", [{"card": CARD}, {"x": json.dumps({"card": CARD})}, {"x": {CARD: 1}}, {"n": 4111111111111111}]
)
def test_the_lines_of_a_defect_have_nothing_of_the_context(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, context: dict[str, Any], *, is_base64: bool
) -> None:
    def broken(self: Executions, request: Any, *args: Any, **more: Any) -> None:
        raise RuntimeError(f"cannot start {request!r}")

    monkeypatch.setattr(Executions, "start", broken)
    sent = event("POST", "/runs", body={"text": "x", "intent": "tidy", "context": context})
    if is_base64:
        sent |= {"body": base64.b64encode(sent["body"].encode()).decode(), "isBase64Encoded": True}

    answer = api.lambda_handler(sent, None, runtime=stack.runtime("api"))

    lines = stack.stdout.getvalue()
    assert answer["statusCode"] == 500
    assert "cannot start" in lines
    for said in (lines, json.dumps(answer)):
        assert CARD not in said
        assert "4111111111111111" not in said
