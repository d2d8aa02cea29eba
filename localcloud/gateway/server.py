"""The HTTP server of ``ballast up``: one local cloud's HTTP API on a loopback port.

A browser on this machine runs untrusted pages, and they must not reach this server. A request is refused if its
``Host`` is not a name of this machine (DNS rebinding) or its ``Origin`` is another site's.
"""

from __future__ import annotations

import json
import socket
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from ballast.errors import InvalidInput
from ballast.runtime import utc_now
from localcloud.functions import MAX_PAYLOAD_BYTES, FunctionError
from localcloud.gateway.http_api import MAX_BODY_BYTES, Reply, Request, event_of, match, reply_of
from localcloud.gateway.identity import named
from localcloud.gateway.links import FileLinks

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud


OnReply = Callable[[Request, Reply], None]


@dataclass(frozen=True)
class Served:
    """A cloud served at ``url``."""

    url: str
    port: int


@contextmanager
def serve(
    cloud: LocalCloud,
    *,
    authorizer: Mapping[str, Any],
    host: str = "127.0.0.1",
    port: int = 0,
    on_reply: OnReply = lambda _request, _reply: None,
    on: HttpServer | None = None,
) -> Iterator[Served]:
    """Serve the cloud's HTTP API, poll its queues and run its schedules until the block ends. Raises ``InvalidInput``.

    authorizer  identity of every caller, unless the request names another (``curl -u NAME:`` or ``NAME:ROLE``)
    on_reply    called with each request and its reply, from many threads
    on          a server that already has its port, instead of ``host`` and ``port``
    """

    links = FileLinks(cloud)

    def answer(request: Request) -> Reply:
        reply = links.followed(request) or links.localized(request, _answer(cloud, authorizer, request))
        on_reply(request, reply)
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
    if len(json.dumps(event)) > MAX_PAYLOAD_BYTES:  # Lambda would refuse the event
        return Reply.of_gateway(413, "Request Entity Too Large")
    try:
        return reply_of(cloud.invoke(matched.route.function, event))
    except FunctionError as problem:
        if problem.name == "Sandbox.Timedout":  # API Gateway waits 30 s, as long as the function may take
            return Reply.of_gateway(503, "Service Unavailable")
        return Reply.of_gateway(500, "Internal Server Error")


Answer = Callable[[Request], Reply]

#: The names of this machine that requests may use.
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
#: Seconds between two checks for the end of serving; requests are accepted at once.
_LOOK_S = 0.2
#: Seconds without a byte after which a connection is closed.
_SILENCE_S = 30
#: The most that is read of a refused body: bytes, and seconds.
_MOST_DRAINED, _DRAIN_S = 256 * 1024 * 1024, 10
_LENGTH_UNKNOWN = "Send Content-Length: this server does not read chunked bodies."


class HttpServer:
    """A context manager that serves ``answer`` on a loopback address. ``port`` 0 takes a free one.

    The port is bound at once and served within the block: earlier requests wait, and a second server is refused.
    Raises ``InvalidInput`` that names ``option``.
    """

    def __init__(
        self, answer: Answer | None = None, host: str = "127.0.0.1", port: int = 0, *, option: str = "--port"
    ) -> None:
        if host not in LOCAL_NAMES:
            names = ", ".join(sorted(LOCAL_NAMES))
            raise InvalidInput(
                f"--host {host}: it checks no identities, so only this machine may use it. Choose one of {names}."
            )
        self.answer = answer
        handler = type("_Handler", (_Handler,), {"answer": staticmethod(self._answer)})
        try:
            self._server = _Server((host, port), handler)
        except (OSError, OverflowError) as problem:
            why = getattr(problem, "strerror", None) or problem
            raise InvalidInput(
                f"{option} {port}: cannot be used on {host} ({why}). Choose another, or 0 for any."
            ) from None
        self.port: int = self._server.server_address[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def _answer(self, request: Request) -> Reply:
        return Reply.of_gateway(503, "Service Unavailable") if self.answer is None else self.answer(request)

    def close(self) -> None:
        """Release the port, served or not."""
        self._server.server_close()

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._server.serve_forever, args=(_LOOK_S,), name="http", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    #: Clients that wait to be accepted: a burst must not be refused.
    request_queue_size = 512
    #: Otherwise a second `ballast up` would silently share the port.
    allow_reuse_port = False

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that closed its connection."""


class _Handler(BaseHTTPRequestHandler):
    """One connection. Its class has the ``answer``."""

    answer: Answer
    protocol_version = "HTTP/1.1"
    timeout = _SILENCE_S
    # Many small writes, each waiting for an acknowledgement, would be slow.
    wbufsize = -1
    disable_nagle_algorithm = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # any method: the function decides which it supports
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        refusal = self._refusal()
        if refusal is not None:
            self.close_connection = True  # the body was not read
            self._send(refusal)
            self._drain()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sent_by = self.client_address[0]
        request = Request(self.command, self.path, self.headers.items(), body, sent_by, self.request_version)
        try:
            reply = type(self).answer(request)
        except Exception:  # a defect here: report it to the caller, as API Gateway does
            traceback.print_exc()
            reply = Reply.of_gateway(500, "Internal Server Error")
        self._send(reply)

    def _drain(self) -> None:
        """Read and discard the rest of the request, within bounds: the sender reads the reply only afterwards."""
        lengths = self.headers.get_all("Content-Length", [])
        left = min(int(lengths[0][:20]), _MOST_DRAINED) if len(lengths) == 1 and lengths[0].isdecimal() else 0
        until = time.monotonic() + _DRAIN_S
        self.connection.settimeout(_DRAIN_S)
        while left > 0 and time.monotonic() < until and (read := self.rfile.read1(min(left, 1 << 16))):
            left -= len(read)

    def _refusal(self) -> Reply | None:
        """Return the reply that refuses the request unread; None if it is accepted."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or (_hostname(f"//{hosts[0]}") not in LOCAL_NAMES):
            return Reply.of_gateway(421, "Misdirected Request: use localhost, 127.0.0.1 or [::1] as the host.")
        origin = self.headers.get("Origin")
        if origin is not None and origin.lower() != f"http://{hosts[0]}".lower():
            return Reply.of_gateway(403, "Forbidden: pages of other origins may not use this server.")
        if not self.path.startswith("/"):
            return Reply.of_gateway(400, "Bad Request")
        if "Transfer-Encoding" in self.headers:
            return Reply.of_gateway(411, _LENGTH_UNKNOWN)
        lengths = self.headers.get_all("Content-Length", [])
        if len(lengths) > 1 or any(not (length.isascii() and length.isdigit()) for length in lengths):
            return Reply.of_gateway(400, "Bad Request")
        if lengths and int(lengths[0][:20]) > MAX_BODY_BYTES:
            return Reply.of_gateway(413, "Request Entity Too Large")
        return None

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers:
            if name not in ("content-length", "connection"):
                self.send_header(name, value.encode("latin-1", "replace").decode("latin-1"))
        if reply.status not in (204, 304):
            self.send_header("content-length", str(len(reply.body)))
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD" and reply.status not in (204, 304):
            self.wfile.write(reply.body)
        self.wfile.flush()

    def version_string(self) -> str:
        """Name the server."""
        return "ballast-up"

    def log_message(self, *_: Any) -> None:
        """Print nothing: ``on_reply`` prints what is worth a line."""


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
