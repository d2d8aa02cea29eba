"""A local cloud behind a port: requests go through the template's routes to its functions."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ballast.errors import InvalidInput
from ballast.runtime import utc_now
from localcloud.functions import MAX_PAYLOAD_BYTES, FunctionError
from localcloud.gateway.gateway import Reply, Request, event_of, match, reply_of
from localcloud.gateway.identity import named
from localcloud.gateway.server import HttpServer

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud

Told = Callable[[Request, Reply], None]


@dataclass(frozen=True)
class Served:
    """A cloud that is served at ``url``."""

    url: str
    port: int


@contextmanager
def serve(
    cloud: LocalCloud,
    *,
    authorizer: Mapping[str, Any],
    host: str = "127.0.0.1",
    port: int = 0,
    told: Told = lambda _request, _reply: None,
    on: HttpServer | None = None,
) -> Iterator[Served]:
    """Serve the cloud's HTTP API, poll its queues, keep its schedules, until the block ends. Raises ``InvalidInput``.

    authorizer  who everybody is that asks, unless the request names another (``curl -u NAME:`` or ``NAME:ROLE``)
    told        called with each request and its reply, from many threads
    on          a server that has its port already, instead of ``host`` and ``port``
    """

    def answer(request: Request) -> Reply:
        reply = _answer(cloud, authorizer, request)
        told(request, reply)
        return reply

    server = HttpServer(answer, host, port) if on is None else on
    server.answer = answer
    with server, cloud.polling(), cloud.ticking():
        yield Served(server.url, server.port)


def _answer(cloud: LocalCloud, authorizer: Mapping[str, Any], request: Request) -> Reply:
    matched = match(cloud.routes, request.method, request.path)
    if matched is None:
        return Reply.of_gateway(404, "Not Found")
    try:
        who = named(authorizer, request, cloud.environ("ApiFunction"))
    except InvalidInput as problem:
        return Reply.of_gateway(401, f"Unauthorized: {problem}")
    event = event_of(request, matched, authorizer=who, request_id=str(uuid.uuid4()), now=utc_now())
    if len(json.dumps(event)) > MAX_PAYLOAD_BYTES:  # Lambda would take no such event
        return Reply.of_gateway(413, "Request Entity Too Large")
    try:
        return reply_of(cloud.invoke(matched.route.function, event))
    except FunctionError as problem:
        if problem.name == "Sandbox.Timedout":  # API Gateway waits 30 s, as long as the function may take
            return Reply.of_gateway(503, "Service Unavailable")
        return Reply.of_gateway(500, "Internal Server Error")
