"""A loopback endpoint that replies the bytes that a test sets, and counts its requests.

It refuses what Bedrock refuses (``localcloud.converse.rules``), so a test cannot pass with an illegal request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from localcloud.converse.rules import refused


@dataclass(frozen=True)
class Reply:
    """One HTTP response. ``before`` is called when the request has arrived, before anything is sent."""

    body: bytes = b"{}"
    status: int = 200
    error: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], Any] = lambda: None


def reply(*content: Any, stop: Any = "end_turn", usage: Any = None, tier: str | None = None, **more: Any) -> Reply:
    """Return a Converse reply with these content blocks; ``usage=False`` leaves it out."""
    body = {"output": {"message": {"role": "assistant", "content": list(content)}}, "stopReason": stop}
    if usage is not False:
        body["usage"] = {"inputTokens": 100, "outputTokens": 10} if usage is None else usage
    if tier is not None:
        body["serviceTier"] = {"type": tier}
    return Reply(json.dumps(body).encode(), **more)


def says(text: str, **more: Any) -> Reply:
    """Return a reply of one text."""
    return reply({"text": text}, **more)


def calls(*uses: Mapping[str, Any], stop: str = "tool_use", **more: Any) -> Reply:
    """Return a reply that asks for tools: each {"name", "input", "toolUseId"}, or parts of it."""
    filled = [{"toolUse": {"toolUseId": f"tooluse_{n}", "input": {}} | dict(use)} for n, use in enumerate(uses)]
    return reply(*filled, stop=stop, **more)


def reads(*note_ids: str, **more: Any) -> Reply:
    """Return a reply that asks to read these notes."""
    return calls(*({"name": "read_note", "input": {"note_id": note_id}} for note_id in note_ids), **more)


def fails(status: int, error: str = "", message: str = "No.") -> Reply:
    """Return an error as Bedrock sends it: the name in a header; none where a gateway answered."""
    return Reply(json.dumps({"message": message}).encode(), status=status, error=error)


@dataclass
class Endpoint:
    """The endpoint. Replies are taken in order; ``requests`` holds the bodies that it was sent.

    refusals  the messages of the requests that it refused; a test that expects some takes them out
    """

    replies: list[Reply] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    over: Event = field(default_factory=Event)
    _lock: Any = field(default_factory=Lock)

    def renew(self) -> None:
        """Forget what the test before said and was sent."""
        self.over.set()
        self.replies, self.requests, self.refusals, self.over = [], [], [], Event()

    def will(self, *replies: Reply) -> None:
        """Reply these next."""
        self.replies += replies

    def hang(self) -> None:
        """Wait until the test is over, then break the connection."""
        self.over.wait(300)
        raise ConnectionError

    def drop(self) -> None:
        """Break the connection at once."""
        raise ConnectionError

    def take(self, body: dict[str, Any], path: str) -> Reply:
        """Record the request and return the next reply, or Bedrock's refusal."""
        refusal = refused(body, unquote(path.split("/")[2]))
        with self._lock:
            self.requests.append(body | {"path": path})
            if refusal is not None:
                self.refusals.append(refusal.message)
                return fails(400, refusal.rule.code, refusal.message)
            return self.replies.pop(0) if self.replies else fails(500, message="The test has no reply for this.")

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made = endpoint.take(sent, self.path)
            try:
                made.before()
            except ConnectionError:
                self.close_connection = True
                return
            self.send_response(made.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(made.body)))
            if made.error:
                self.send_header("x-amzn-ErrorType", made.error)
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(made.body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler
