"""API Gateway's part between an HTTP request and a function (HTTP API, payload 2.0). Pure.

From AWS's documentation, "Create AWS Lambda proxy integrations for HTTP APIs" and "Create routes
for HTTP APIs": https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api.html
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from localcloud.sessions import ACCOUNT
from localcloud.template import HttpRoute

#: API Gateway's limit for bodies.
MAX_BODY_BYTES = 10 * 1024 * 1024

API_ID = "local"
_TEXT = re.compile(r"text/.*|application/(.+\+)?(json|xml)|application/javascript")
#: Headers of the connection, which the gateway does not pass on.
_HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}


@dataclass(frozen=True)
class Request:
    """A received request. ``target`` is path and query, not decoded; ``headers`` may repeat a name."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes = b""
    source_ip: str = "127.0.0.1"
    protocol: str = "HTTP/1.1"

    @property
    def path(self) -> str:
        """The path, not decoded."""
        return self.target.partition("?")[0]


@dataclass(frozen=True)
class Reply:
    """A reply."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    @classmethod
    def of_gateway(cls, status: int, message: str) -> Reply:
        """Return a reply of API Gateway itself, which is not in problem form."""
        return cls(status, [("content-type", "application/json")], json.dumps({"message": message}).encode())


@dataclass(frozen=True)
class Matched:
    """The route of a request. ``parameters`` are those of the route's path, decoded."""

    route: HttpRoute
    parameters: Mapping[str, str]


def match(routes: Iterable[HttpRoute], method: str, path: str) -> Matched | None:
    """Return the most specific route: more fixed parts first, then a method over ``ANY``; ``$default`` comes last."""
    found: list[tuple[tuple[bool, int, bool], Matched]] = []
    for route in routes:
        if route.key == "$default":
            found.append(((False, 0, False), Matched(route, {})))
            continue
        wanted, _, pattern = route.key.partition(" ")
        if wanted not in ("ANY", method):
            continue
        parameters = _parameters(pattern, path)
        if parameters is not None:
            fixed = pattern.count("/") - len(parameters)
            found.append(((True, fixed, wanted != "ANY"), Matched(route, parameters)))
    return max(found, key=lambda one: one[0])[1] if found else None


def _parameters(pattern: str, path: str) -> dict[str, str] | None:
    """Return the path's values for the pattern's ``{name}`` parts; None if the path does not match."""
    wanted, sent = pattern.split("/"), path.split("/")
    if len(wanted) != len(sent):
        return None
    parameters = {}
    for part, value in zip(wanted, sent, strict=True):
        if part.startswith("{") and part.endswith("}") and value:
            parameters[part[1:-1]] = unquote(value)
        elif part != unquote(value):
            return None
    return parameters


def event_of(
    request: Request, matched: Matched, *, authorizer: Mapping[str, Any] | None, request_id: str, now: datetime
) -> dict[str, Any]:
    """Return the function's event. ``authorizer``: the verified identity; a public route has none."""
    headers, cookies = _headers(request.headers)
    path, query = unquote(request.path), request.target.partition("?")[2]
    host = headers.get("host", "")
    context: dict[str, Any] = {
        "accountId": ACCOUNT,
        "apiId": API_ID,
        "domainName": host,
        "domainPrefix": host.partition(".")[0],
        "http": {
            "method": request.method,
            "path": path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request_id,
        "routeKey": matched.route.key,
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now.timestamp() * 1000),
    }
    if authorizer is not None and not matched.route.public:
        context["authorizer"] = dict(authorizer)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": matched.route.key,
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = _joined(parse_qsl(query, keep_blank_values=True))
    if matched.parameters:
        event["pathParameters"] = dict(matched.parameters)
    if request.body:
        event["body"], event["isBase64Encoded"] = _body(request.body, headers.get("content-type", ""))
    return event


def _headers(sent: Iterable[tuple[str, str]]) -> tuple[dict[str, str], list[str]]:
    """Return headers by lower-case name, repeated ones joined by commas, and the cookies separately."""
    named = [(name.lower(), value) for name, value in sent]
    cookies = [part.strip() for name, value in named if name == "cookie" for part in value.split(";") if part.strip()]
    return _joined((name, value) for name, value in named if name != "cookie" and name not in _HOP_BY_HOP), cookies


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _body(body: bytes, media_type: str) -> tuple[str, bool]:
    """Return the body and whether it is base64: everything not declared as text, or not valid as text."""
    if _TEXT.fullmatch(media_type.partition(";")[0].strip().lower()):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


def reply_of(response: Any) -> Reply:
    """Return the reply for a function's response: without ``statusCode`` it is a body; if invalid, a 500."""
    if not isinstance(response, dict) or "statusCode" not in response:
        return Reply(200, [("content-type", "application/json")], json.dumps(response).encode())
    try:
        status, body = int(response["statusCode"]), response.get("body") or ""
        sent = base64.b64decode(body, validate=True) if response.get("isBase64Encoded") else str(body).encode()
        headers = [(str(name).lower(), str(value)) for name, value in (response.get("headers") or {}).items()]
        headers += [("set-cookie", str(cookie)) for cookie in response.get("cookies") or []]
    except (ValueError, TypeError, AttributeError, binascii.Error):
        return Reply.of_gateway(500, "Internal Server Error")
    if not 200 <= status <= 599 or any(set(name + value) & set("\r\n\0") for name, value in headers):
        return Reply.of_gateway(500, "Internal Server Error")
    if body and not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "text/plain; charset=utf-8"))
    return Reply(status, headers, sent)
