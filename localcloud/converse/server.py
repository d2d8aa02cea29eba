"""The Converse double: over HTTP on a loopback address, or in the calling thread by the cloud's clock.

In the calling thread, a model's latency passes on the cloud's clock, which may be virtual, and the client's read
timeout still applies.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ReadTimeoutError

from localcloud.clock import Clock
from localcloud.converse.source import STATUS, ModelError, Source
from localcloud.converse.strict import Strict
from localcloud.sandbox import check_sandbox

if TYPE_CHECKING:
    import boto3
    from botocore.awsrequest import AWSPreparedRequest

    from ballast.models.catalog import Catalog


LOG = logging.getLogger(__name__)

_CONVERSE = re.compile(r"^/model/([^/]+)/converse$")


class ConverseServer:
    """A context manager that serves ``source``; ``url`` is the endpoint for boto3.

    It refuses what Bedrock refuses and keeps a prompt cache; a ``Strict`` source brings its own. ``models`` are the
    cards, the platform's by default. ``calls`` counts the requests. At the end, connections that still wait for a
    reply are closed.
    """

    def __init__(self, source: Source, models: Catalog | None = None) -> None:
        self.source = source
        self._strict = Strict.of(source, models=models)
        self.calls = 0
        self.closing = threading.Event()
        self._count = threading.Lock()

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.double = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, name="converse", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, body: bytes) -> tuple[int, Mapping[str, str], bytes] | None:
        """Return status, headers and body of the response; None to cut the connection."""
        with self._count:
            self.calls += 1
        try:
            reply = self._strict.reply(*_request(path, body))
        except ModelError as error:
            status, headers = STATUS[error.code], {"x-amzn-errortype": _error_type(error.code)}
            content, wait_s = {"message": error.message}, error.wait_s
        except Exception as problem:
            LOG.exception("the model source failed")
            status, headers = 400, {"x-amzn-errortype": _error_type("ValidationException")}
            content, wait_s = {"message": f"The model source failed: {type(problem).__name__}: {problem}"}, 0.0
        else:
            status, headers, content, wait_s = 200, {}, dict(reply.body), reply.wait_s
        if self.closing.wait(wait_s) if wait_s else self.closing.is_set():
            return None
        return status, headers, json.dumps(content).encode()


def _request(path: str, body: bytes) -> tuple[dict[str, Any], str]:
    found = _CONVERSE.match(path)
    if found is None:
        raise ModelError("ValidationException", f"The Converse double has only POST /model/ID/converse, not {path}.")
    try:
        request = json.loads(body)
    except ValueError:
        raise ModelError("ValidationException", "The request's body is not JSON.") from None
    if not isinstance(request, dict):
        raise ModelError("ValidationException", "The request's body is not a JSON object.")
    return request, unquote(found[1])


def _error_type(code: str) -> str:
    """Return an error's name as Bedrock's header has it."""
    return f"{code}:http://internal.amazon.com/coral/com.amazon.bedrock/"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    double: ConverseServer


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # Head and body in one packet; otherwise the body would wait 40 ms for an acknowledgement of the head.
    wbufsize = -1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        response = self.server.double.answer(self.path, body)
        if response is None:
            self.close_connection = True
            return
        status, headers, content = response
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": len(content)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: the run's log says more."""

    def handle(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # the agent's timeout ended the call
            super().handle()


_THIS_THREAD = threading.local()


def answer_inline(session: boto3.Session, source: Strict, clock: Clock) -> None:
    """Answer every Converse request of the session's clients from ``source``."""

    def before_call(context: Any, **_: Any) -> None:
        _THIS_THREAD.patience_s = context["client_config"].read_timeout

    def before_send(request: AWSPreparedRequest, **_: Any) -> Any:
        check_sandbox()
        return _answer(request, source, clock, _THIS_THREAD.patience_s)

    session.events.register("before-call.bedrock-runtime.Converse", before_call)
    session.events.register("before-send.bedrock-runtime.Converse", before_send)


def _answer(request: AWSPreparedRequest, source: Source, clock: Clock, patience_s: float) -> AWSResponse:
    body = request.body if isinstance(request.body, bytes | bytearray | str) else b"{}"
    model_id = unquote(urlsplit(request.url).path.split("/")[2])
    try:
        reply = source.reply(json.loads(body), model_id)
    except ModelError as error:
        _take(error.wait_s, request, clock, patience_s)
        headers = {"x-amzn-errortype": _error_type(error.code)}
        return _response(request, STATUS[error.code], {"message": error.message}, headers)
    _take(reply.wait_s, request, clock, patience_s)
    return _response(request, 200, dict(reply.body), {})


def _take(seconds: float, request: AWSPreparedRequest, clock: Clock, patience_s: float) -> None:
    """Let the model's latency pass, at most until the client's timeout."""
    if seconds:
        clock.pause(min(seconds, patience_s))
        check_sandbox()
    if seconds > patience_s:
        raise ReadTimeoutError(endpoint_url=request.url)


def _response(request: AWSPreparedRequest, status: int, body: Any, headers: dict[str, str]) -> AWSResponse:
    made = HTTPHeaders()
    for name, value in headers.items():
        made[name] = value
    return AWSResponse(request.url, status, made, _Raw(json.dumps(body).encode()))


class _Raw:
    """The raw body that botocore reads."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> Any:
        """Yield all of it."""
        yield self._content
