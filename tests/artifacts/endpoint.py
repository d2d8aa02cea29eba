"""moto over loopback HTTP, for processes that only know an endpoint's address (``AWS_ENDPOINT_URL``)."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

#: Of a signature: the region and the name by which the service signs, which is also its host's.
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
#: About the connection; the server has its own.
_OWN = {"connection", "content-length", "date", "server", "transfer-encoding"}


class Endpoint:
    """A context manager, within an open ``LocalCloud``; ``url`` is the endpoint of every service that moto has."""

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        serve = {"poll_interval": 0.02}
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs=serve, name="aws", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64  # a process a function, and each has several clients


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, headers, content = self._carried_out(body)
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _OWN:
                self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - by their names the server finds them

    def handle_expect_100(self) -> bool:
        """Say at once that a body may come: boto3 waits for it for a second."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def _carried_out(self, body: bytes) -> tuple[int, dict[str, Any], bytes]:
        """Return what moto answers; it knows a service by its host's name at AWS."""
        from botocore.awsrequest import AWSPreparedRequest
        from botocore.compat import HTTPHeaders
        from moto.core.models import botocore_stubber

        scope = _SCOPE.search(self.headers.get("Authorization", ""))
        if scope is None:
            return 403, {}, b"This request is not signed."
        host = f"{scope[2]}.{scope[1]}.amazonaws.com"
        headers = HTTPHeaders()
        for name, value in self.headers.items():
            headers[name] = host if name.lower() == "host" else value
        request = AWSPreparedRequest(self.command, f"https://{host}{self.path}", headers, body, False)
        made = botocore_stubber("before-send", request)
        if made is None:
            return 404, {}, f"moto has no {host}.".encode()
        return made.status_code, dict(made.headers), made.raw.read()

    def log_message(self, format: str, *args: Any) -> None:
        """Be quiet: the handler's error says more."""

    def handle(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            super().handle()
