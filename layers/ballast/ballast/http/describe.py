"""The OpenAPI description of one route's responses, and of all functions' routes together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ballast.http.problem import CONTENT_TYPE, ProblemDetails

if TYPE_CHECKING:
    from ballast.http.api import HttpApi

_PROBLEMS = {
    400: "The body is not JSON.",
    401: "The request carries no identity.",
    403: "The identity names no tenant, the request names another tenant, or you may not answer this.",
    404: "It does not exist, or belongs to another tenant.",
    409: "Its state does not allow it.",
    413: "The request is too large.",
    415: "The body is not `application/json`.",
    422: "A field is wrong; `errors` says which.",
    500: "A defect in Ballast. The log says more under `instance`.",
    503: "Nothing was done. Send the same request again.",
}
_ALWAYS = (401, 403, 422, 500, 503)
_WITH_A_BODY = (400, 413, 415)
#: Powertools' own forms of errors, which this API does not send.
_NOT_OURS = ("HTTPValidationError", "ValidationError", "ResponseValidationError")

SECURITY: dict[str, dict[str, str]] = {
    "sigv4": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "AWS Signature Version 4, service `execute-api` (AuthMode IAM).",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of the stack's JwtIssuer (AuthMode JWT).",
    },
}


def responses(*problems: int, takes_a_body: bool = False, **good: Any) -> dict[int, Any]:
    """Return a route's responses: ``ok``, ``accepted`` (descriptions) and ``problems`` (statuses).

    ``accepted_headers`` and ``ok_headers`` describe headers by name.
    """
    made: dict[int, Any] = {}
    for status, name in ((200, "ok"), (202, "accepted")):
        if name in good:
            headers = {
                header: {"description": text, "schema": {"type": "string"}}
                for header, text in good.get(f"{name}_headers", {}).items()
            }
            made[status] = {"description": good[name]} | ({"headers": headers} if headers else {})
    for status in sorted({*_ALWAYS, *problems, *(_WITH_A_BODY if takes_a_body else ())}):
        made[status] = {"description": _PROBLEMS[status], "content": {CONTENT_TYPE: {"model": ProblemDetails}}}
    return made


def document(apis: Iterable[HttpApi], info: Mapping[str, Any]) -> dict[str, Any]:
    """Return one OpenAPI document of all routes of ``apis``, the same at every call."""
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": dict(info),
        "security": [{name: []} for name in SECURITY],
        "paths": {},
        "components": {"schemas": {}, "securitySchemes": SECURITY},
    }
    for api in apis:
        part = json.loads(api.get_openapi_json_schema(openapi_version="3.1.0"))
        for path, operations in part["paths"].items():
            if path in api.bodies:
                operations["post"]["requestBody"] = api.bodies[path]
            whole["paths"].setdefault(path, {}).update(operations)
        whole["components"]["schemas"] |= part.get("components", {}).get("schemas", {})
    for name in _NOT_OURS:
        whole["components"]["schemas"].pop(name, None)
    for operations in whole["paths"].values():
        for operation in operations.values():
            operation["responses"] = dict(sorted(map(_with_problem_form, operation["responses"].items())))
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
    whole["paths"] = dict(sorted(whole["paths"].items()))
    whole["components"]["schemas"] = dict(sorted(whole["components"]["schemas"].items()))
    described: dict[str, Any] = _whole_numbers(whole)
    return described


def _with_problem_form(item: tuple[str, Any]) -> tuple[str, Any]:
    """Return (status, response) with this API's form of errors."""
    status, response = item
    if any(name in json.dumps(response) for name in _NOT_OURS):
        schema = {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}
        response = {"description": _PROBLEMS[int(status)], "content": {CONTENT_TYPE: {"schema": schema}}}
    return status, response


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without null: an optional parameter may be left out, but not sent as null."""
    kinds: list[dict[str, Any]] = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    return kinds[0] | {name: value for name, value in schema.items() if name != "anyOf"}


def _whole_numbers(value: Any) -> Any:
    match value:
        case dict():
            return {name: _whole_numbers(part) for name, part in value.items()}
        case list():
            return [_whole_numbers(part) for part in value]
        case float() if value.is_integer():
            return int(value)
    return value
