"""The stand-in of a Lambda function answers an invocation as Lambda and its runtime do."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from ballast.playbook.servers.proof import is_functions_own
from localcloud.stand_ins import _invoked


def invoked(handler: Callable[[Any, Any], Any]) -> Any:
    return _invoked(handler, SimpleNamespace(url="https://lambda.example/", body=b"{}"))


def raising(problem: BaseException) -> Callable[[Any, Any], Any]:
    def handler(_event: Any, _context: Any) -> Any:
        raise problem

    return handler


def test_a_decimal_is_a_number() -> None:
    assert json.loads(invoked(lambda *_: {"amount": Decimal("1.5")}).content) == {"amount": 1.5}


@pytest.mark.parametrize(
    ("handler", "error_type"),
    [
        *((lambda *_, result=result: result, "Runtime.MarshalError") for result in (date(2026, 1, 1), {1}, b"x")),
        (lambda *_: float("nan"), "Runtime.MarshalError"),
        (raising(SystemExit(1)), "Runtime.ExitError"),
        (raising(KeyboardInterrupt()), "Runtime.ExitError"),
        (raising(LookupError("none left")), "LookupError"),
    ],
)
def test_an_end_that_is_not_the_functions_own_is_no_refusal(handler: Any, error_type: str) -> None:
    answer = invoked(handler)

    said = json.loads(answer.content)
    assert answer.headers["X-Amz-Function-Error"] == "Unhandled"
    assert said["errorType"] == error_type
    assert is_functions_own(said["errorType"], said["errorMessage"]) == (error_type == "LookupError")
