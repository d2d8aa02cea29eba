"""A local cloud behind a port: requests go through the template's routes to its functions."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ballast.runtime import utc_now
from local.functions import FunctionError
from local.sessions import ACCOUNT
from local.up.gateway import Reply, Request, event_of, match, reply_of
from local.up.server import HttpServer

if TYPE_CHECKING:
    from local.cloud import LocalCloud

Told = Callable[[Request, Reply], None]


@dataclass(frozen=True)
class Served:
    """A cloud that is served at ``url``."""

    url: str
    port: int


def operator(name: str) -> dict[str, Any]:
    """Return the identity of an operator, as API Gateway's IAM authorizer vouches for one."""
    return {"iam": {"userArn": f"arn:aws:iam::{ACCOUNT}:user/{name}", "accountId": ACCOUNT}}


def member_of(tenant: str, name: str, claim: str) -> dict[str, Any]:
    """Return the identity of somebody of a tenant, as a JWT authorizer vouches for one."""
    return {"jwt": {"claims": {"sub": name, claim: tenant}, "scopes": None}}


@contextmanager
def serve(
    cloud: LocalCloud,
    *,
    authorizer: Mapping[str, Any],
    host: str = "127.0.0.1",
    port: int = 0,
    told: Told = lambda _request, _reply: None,
) -> Iterator[Served]:
    """Serve the cloud's HTTP API, poll its queues, keep its schedules, until the block ends. Raises ``InvalidInput``.

    authorizer  who everybody is that asks: nothing in a request can change it
    told        called with each request and its reply, from many threads
    """

    def answer(request: Request) -> Reply:
        reply = _answer(cloud, authorizer, request)
        told(request, reply)
        return reply

    with HttpServer(answer, host, port) as server, cloud.polling(), cloud.ticking():
        yield Served(server.url, server.port)


def _answer(cloud: LocalCloud, authorizer: Mapping[str, Any], request: Request) -> Reply:
    matched = match(cloud.routes, request.method, request.path)
    if matched is None:
        return Reply.of_gateway(404, "Not Found")
    event = event_of(request, matched, authorizer=authorizer, request_id=str(uuid.uuid4()), now=utc_now())
    try:
        return reply_of(cloud.invoke(matched.route.function, event))
    except FunctionError as problem:
        if problem.name == "Sandbox.Timedout":  # API Gateway waits 30 s, as long as the function may take
            return Reply.of_gateway(503, "Service Unavailable")
        return Reply.of_gateway(500, "Internal Server Error")
