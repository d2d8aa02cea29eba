"""The checked-in OpenAPI document is the one that the code generates."""

import json
from typing import Any

import pytest

from localcloud.openapi import ROOT, WRITTEN, described

DOCUMENT: dict[str, Any] = json.loads(WRITTEN.read_text(encoding="utf-8"))
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}


def test_the_document_is_the_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BALLAST_CACHE", "")
    assert WRITTEN.read_text(encoding="utf-8") == described(), "python -m localcloud.openapi writes it anew"


def test_the_docs_have_the_very_file_that_the_api_serves() -> None:
    assert (ROOT / "docs" / "openapi.json").resolve() == WRITTEN


def test_the_operations_are_the_ones_that_were_promised() -> None:
    assert OPERATIONS.keys() >= {
        "POST /runs",
        "GET /runs",
        "GET /runs/{run_id}",
        "GET /runs/{run_id}/events",
        "GET /runs/{run_id}/timeline",
        "GET /runs/{run_id}/why",
        "POST /runs/{run_id}/cancel",
        "GET /escalations",
        "GET /escalations/{escalation_id}",
        "POST /escalations/{escalation_id}",
    }


#: Errors of a protocol that brings a form of its own.
OF_THE_PROTOCOL = {"POST /mcp": {"400", "404"}}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_error_of_an_operation_is_a_problem(name: str) -> None:
    responses = OPERATIONS[name]["responses"]
    errors = {status: response for status, response in responses.items() if int(status) >= 400}

    assert errors.keys() >= {"401", "403", "422", "500", "503"}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    others = {status for status, response in errors.items() if response["content"] != problem}
    assert others == OF_THE_PROTOCOL.get(name, set())
    assert all(errors[status]["content"].keys() == {"application/json"} for status in others)
    assert OPERATIONS[name]["operationId"]


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    schemas = DOCUMENT["components"]["schemas"]

    referred = {part.split('"', 1)[0] for part in text.split("#/components/schemas/")[1:]}

    assert referred <= schemas.keys()
    assert not {name for name in schemas if name.endswith("ValidationError")}
