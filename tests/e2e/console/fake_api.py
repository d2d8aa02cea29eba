"""A fake HTTP API: it serves the console's files as the API does, and canned JSON that a test may change."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ballast.http.problem import Problem
from functions.front.files import console_file

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Request:
    """What the page asked for. ``query`` has one value a name; ``body`` is parsed JSON, ``text`` as it came."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]
    text: str = ""


@dataclass
class FakeApi:
    """Answers by "GET /runs" or, narrower, by "GET /runs?status=failed"; what it does not know is 404.

    An answer is a body (200), or a pair of status and body. ``raw`` has answers by their very text; ``sent`` the texts
    of what was posted.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    raw: dict[str, str] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    url: str = ""

    def asked(self, method: str, path: str) -> list[Request]:
        """Return the requests to ``path``, oldest first."""
        return [request for request in self.requests if (request.method, request.path) == (method, path)]

    def answer(self, request: Request) -> tuple[int, Any]:
        """Return status and body for ``request``; the narrowest answer that fits."""
        whole = f"{request.method} {request.path}"
        narrow = [f"{whole}?{name}={value}" for name, value in request.query.items()]
        found = next((self.answers[key] for key in [*narrow, whole] if key in self.answers), None)
        if found is None:
            return 404, {"title": "Not found", "status": 404, "detail": f"There is no {request.path}."}
        return found if isinstance(found, tuple) else (200, found)

    def __enter__(self) -> "FakeApi":
        self._server = Server(_handler(self)).__enter__()
        self.url = self._server.url
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()


class Server(ThreadingHTTPServer):
    """A server on a loopback port of its own, while it is used as a context."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> "Server":
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        """A page that goes elsewhere breaks its connections off."""


def _handler(api: FakeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path == "/console" or path.startswith("/console/"):
                self._send_file(path.removeprefix("/console").strip("/") or "index.html")
            else:
                self._send_answer()

        def do_POST(self) -> None:
            self._send_answer()

        def _send_answer(self) -> None:
            target = urlsplit(self.path)
            sent = self.rfile.read(int(self.headers.get("content-length") or 0))
            query = {name: values[0] for name, values in parse_qs(target.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(
                self.command,
                target.path,
                query,
                json.loads(sent) if sent else None,
                headers,
                bytes(sent or b"").decode(),
            )
            api.requests.append(request)
            if sent:
                api.sent.append(sent.decode())
            text = api.raw.get(f"{request.method} {request.path}")
            status, body = (200, text.encode()) if text is not None else api.answer(request)
            kind = "application/json" if status < 400 else "application/problem+json"
            self._send(status, kind, json.dumps(body).encode() if not isinstance(body, bytes) else body)

        def _send_file(self, name: str) -> None:
            try:
                media_type, text = console_file(name)
            except Problem:
                self._send(404, "text/plain", b"no such file")
                return
            self._send(200, media_type, text.encode())

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Stay quiet."""

    return Handler
