"""Answers of services outside of AWS that do not say what is there, or what was done: none, an error, no right.

::

    silent, unreached, internal, busy, forbidden    a look-up ─ error ─▶ the tool
    failed, cut    a request ─ effect ─ 500, or a gateway's 504 ─▶ the tool
    refused        a request after the first ─ 403, and it never came there ─▶ the tool

They stand in for the answer to a request of ``http.client``, which ``requests``, ``urllib3`` and the tools of
``servers/`` use. A function of the playbook's ``REQUESTS`` gets no answer, or no connection.
"""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from cli.certify.aws_answers import Played, requests_answered_by
from cli.certify.threads import of_attempt
from localcloud.moto_seams.replaced import replaced

Kind = Literal["silent", "unreached", "internal", "busy", "forbidden", "failed", "cut", "refused"]
#: What is played at a request that looks something up, each time that it is made, and how it is told.
OUTAGES: Mapping[Kind, str] = {
    "silent": "No answer came to request {} outside of AWS in time",
    "unreached": "No connection was made for request {} outside of AWS",
    "internal": "Request {} outside of AWS was answered with 500",
    "busy": "Request {} outside of AWS was answered with 429",
    "forbidden": "Request {} outside of AWS was answered with 403",
}
#: What is played at a request that may change something, each time that it is made, and how it is told.
AFTER: Mapping[Kind, str] = {
    "failed": "Request {} outside of AWS was answered with 500 after its effect",
    "cut": "Request {} outside of AWS was answered with a gateway's 504 after its effect",
}
#: What is played at each such request after the first.
REFUSALS: Mapping[Kind, str] = {
    "refused": "Request {} outside of AWS was refused with 403, after those before it had their effect",
}
_STATUS: Mapping[Kind, tuple[int, str]] = {
    "internal": (500, "Internal Server Error"),
    "busy": (429, "Too Many Requests"),
    "forbidden": (403, "Forbidden"),
    "failed": (500, "Internal Server Error"),
    "cut": (504, "Gateway Timeout"),
    "refused": (403, "Forbidden"),
}
_TOLD = {**OUTAGES, **AFTER, **REFUSALS}


@dataclass(frozen=True)
class OutsidePlay:
    """What becomes of the ``at``-th of an attempt's requests outside of AWS, from 0."""

    at: int
    kind: Kind

    def __str__(self) -> str:
        return _TOLD[self.kind].format(self.at + 1)


@contextmanager
def http_answers(play: OutsidePlay) -> Iterator[Played]:
    """Within the block, play it at the requests of an attempt, and again where the same request is made again."""
    played, asked, out = Played(), [-1], list[Any]()
    connection = http.client.HTTPConnection
    put, answer, send_on = connection.putrequest, connection.getresponse, connection.send

    def struck(same: Any) -> bool:
        """Count a request; say whether it is played at."""
        asked[0] += 1
        if asked[0] == play.at and same not in out:
            out.append(same)
        played.times += same in out
        return same in out

    def putrequest(self: Any, method: str, url: str, *given: Any, **options: Any) -> None:
        self.played_at = False
        if of_attempt():
            self.played_at = struck((self.host, self.port, method, url))
            if self.played_at and play.kind == "unreached":
                raise ConnectionRefusedError("Connection refused")
        put(self, method, url, *given, **options)

    def send(self: Any, data: Any) -> None:
        if play.kind == "refused" and getattr(self, "played_at", False):
            if self.sock is None:
                self.connect()
            return
        send_on(self, data)

    def getresponse(self: Any) -> Any:
        if not getattr(self, "played_at", False):
            found = answer(self)
            played.answered_since |= played.times > 0 and of_attempt()
            return found
        method = self._method
        if play.kind != "refused":
            with suppress(Exception):  # so that the server's end of it is not cut off
                answer(self).read()
        self.close()
        if play.kind == "silent":
            raise TimeoutError("timed out")
        return _said(*_STATUS[play.kind], method)

    def function(same: Any) -> None:
        if play.kind in _STATUS or not of_attempt():
            return  # what its client would return for a status is not known
        if struck(same):
            raise TimeoutError("timed out") if play.kind == "silent" else ConnectionRefusedError("Connection refused")

    def of_aws(send: Callable[[], Any], *_: Any) -> Any:
        played.answered_since |= played.times > 0
        return send()

    _STRIKING.append(function)
    try:
        with (
            replaced(connection, "putrequest", putrequest),
            replaced(connection, "send", send),
            replaced(connection, "getresponse", getresponse),
            requests_answered_by(of_aws),
        ):
            yield played
    finally:
        _STRIKING.remove(function)


_STRIKING: list[Callable[[Any], None]] = []


def strike_function(same: Any) -> None:
    """Let a play strike a call of one of the playbook's ``REQUESTS``. ``same``: tells it from others."""
    for strike in _STRIKING:
        strike(same)


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(self._data)


def _said(status: int, reason: str, method: str) -> http.client.HTTPResponse:
    body = b'{"error": "' + reason.encode() + b'"}'
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    response = http.client.HTTPResponse(_Socket(head.encode() + body), method=method)  # type: ignore[arg-type]
    response.begin()
    return response
