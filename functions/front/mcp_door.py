"""The route ``POST /mcp``: its description, and the way from a request to the tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from aws_lambda_powertools.event_handler import Response

from ballast.http.api import HttpApi
from ballast.http.describe import responses
from ballast.http.problem import Problem
from ballast.on_behalf import HEADER
from ballast.values import dataclass
from functions.front.contract import EventPage, Run, RunPage
from functions.front.mcp import MAX_BATCH, Server

_JSON = "application/json"


@dataclass(frozen=True)
class Routes:
    """The functions behind the API's routes, which the tools call."""

    start: Callable[..., Response[Run]]
    show: Callable[[str], Response[Run]]
    events: Callable[..., Response[EventPage]]
    listed: Callable[..., Response[RunPage]]
    cancel: Callable[[str], Response[Run]]


_MESSAGE = {"type": "object", "required": ["jsonrpc"], "properties": {"jsonrpc": {"const": "2.0"}}}
_ONE_OR_MORE = {"anyOf": [_MESSAGE, {"type": "array", "minItems": 1, "maxItems": MAX_BATCH}]}
#: The body of the route, and what it answers as JSON-RPC.
BODY: dict[str, Any] = {"required": True, "content": {_JSON: {"schema": _ONE_OR_MORE}}}
_ANSWERS = {_JSON: {"schema": _ONE_OR_MORE}}
DESCRIBED: dict[str, Any] = {
    "summary": "Use Ballast from another agent (MCP)",
    "description": "The Model Context Protocol over streamable HTTP, without sessions and streams. The tools do what "
    "the other routes do for you, and no more (docs/mcp-server.md).",
    "tags": ["mcp"],
    "operation_id": "mcp",
    "responses": responses(takes_a_body=True)
    | {
        200: {"description": "The response to a request, or those to a batch.", "content": _ANSWERS},
        202: {"description": "Notifications are accepted. No body.", "content": {}},
        400: {"description": "It is not a message of this protocol; the error says why.", "content": _ANSWERS},
        404: {"description": "Stateless versions: there is no such method.", "content": _ANSWERS},
    },
}


def door(app: HttpApi, routes: Routes) -> Callable[[], Response[str]]:
    """Return the function of the route ``POST /mcp``."""

    def mcp() -> Response[str]:
        # Here, because most processes of the API never need the tools, which take 15 ms to import.
        from functions.front.mcp_tools import INSTRUCTIONS, tools_of

        event = app.current_event.raw_event
        sent = event["headers"]
        origin = sent.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != sent.get("host", "").lower():
            raise Problem(403, "Forbidden", "Pages of other origins may not use this server.")
        if HEADER.lower() in sent:  # to ignore it would run without a token that the caller counts on
            why = f"{HEADER} is not taken here: no tool of this server uses it. Start the run with POST /runs."
            raise Problem(400, "Bad Request", why)
        server = Server(tools_of(app, routes), {"name": "ballast", "version": "1"}, INSTRUCTIONS)
        reply = server.answer(event["body"], sent)
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        if reply.body is None:
            return Response(reply.status, None, "", dict(headers))
        return Response(reply.status, _JSON, json.dumps(reply.body, ensure_ascii=False), dict(headers))

    return mcp
