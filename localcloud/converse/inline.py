"""The Converse double without HTTP: it answers in the thread that asks, by the cloud's clock.

A model that takes a minute takes a virtual one where the clock is virtual, and a client's read timeout cuts it.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ReadTimeoutError

from localcloud.clock import Clock
from localcloud.converse.source import STATUS, ModelError, Source
from localcloud.sandbox import check_sandbox

if TYPE_CHECKING:
    import boto3
    from botocore.awsrequest import AWSPreparedRequest

_THIS_THREAD = threading.local()


def answer_inline(session: boto3.Session, source: Source, clock: Clock) -> None:
    """Let ``source`` answer every Converse request of the session's clients."""

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
        return _response(request, STATUS[error.code], {"message": error.message}, {"x-amzn-errortype": error.code})
    _take(reply.wait_s, request, clock, patience_s)
    return _response(request, 200, dict(reply.body), {})


def _take(seconds: float, request: AWSPreparedRequest, clock: Clock, patience_s: float) -> None:
    """Let the model's time pass, no longer than the client waits."""
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
    """What botocore reads a response's body from."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> Any:
        """Yield all of it."""
        yield self._content
