"""A lossy wire to an HTTP server on loopback: requests that write get the trouble that is planned for them."""

from __future__ import annotations

import http.client
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

_KEPT = ("content-type", "accept", "idempotency-key")


class LossyHttp:
    """Passes requests on to a port.

    trouble  of the next calls, one each: "crash" (before the server gets it), "lost" (after its answer), "half" (of its
             answer), "slow" (after its answer, until the client has gone), "twice" (the server gets it twice), "well"
    """

    def __init__(self, port: int, is_call: Callable[[str, str], bool]) -> None:
        self.trouble, self.calls = deque[str](), 0
        self._port, self._is_call, self._let_go = port, is_call, threading.Event()

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="lossy")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its own URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, handler: Any) -> None:
        """Pass a request on, and its answer back."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        calls = self._is_call(handler.command, handler.path)
        self.calls += calls
        how = self.trouble.popleft() if calls and self.trouble else "well"
        if how == "crash":
            return
        status, kind, answer = self._passed_on(handler, body)
        if how == "twice":
            status, kind, answer = self._passed_on(handler, body)
        if how == "lost":
            return
        if how == "slow":
            self._let_go.wait(60)
            return
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer[: len(answer) // 2] if how == "half" else answer)

    def _passed_on(self, handler: Any, body: bytes) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        headers = {name: value for name, value in handler.headers.items() if name.lower() in _KEPT}
        try:
            connection.request(handler.command, handler.path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type", "application/json"), answer.read()
        finally:
            connection.close()


def _handler(wire: LossyHttp) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            try:
                wire.take(self)
            except (BrokenPipeError, ConnectionResetError):
                """The client has gone."""
            self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _take  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    return Handler
