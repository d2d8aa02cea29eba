"""Answers of services outside of AWS that do not say what is there, or what was done: none, an error, no right.

::

    silent, unreached, internal, busy, forbidden    a look-up ─ error ─▶ the tool
    answered    a request ─ effect ─ a status that does not say so (500, a gateway's 504, 408 …) ─▶ the tool
    reset, closed, half    a request ─ effect ─ no answer, or the first half of it ─▶ the tool
    garbled, empty    a request ─ effect ─ the answer's own status, with a page or nothing instead of JSON ─▶ the tool
    refused     a request ─ a status of refusal (403, 422 …), and it never came there ─▶ the tool

They stand in for the answer to a request of ``http.client``, which ``requests``, ``urllib3`` and the tools of
``servers/`` use. A function of the playbook's ``REQUESTS`` gets no answer, or no connection.
"""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from cli.certify.aws_answers import Played, requests_answered_by
from cli.certify.threads import of_attempt
from localcloud.moto_seams.replaced import replaced

Kind = Literal[
    "silent", "unreached", "internal", "busy", "forbidden", "answered", "reset", "closed", "half", "garbled", "empty",
    "refused",
]  # fmt: skip
#: What is played at a request that looks something up, each time that it is made, and how it is told.
_OUTAGES: Mapping[Kind, str] = {
    "silent": "No answer came to request {} outside of AWS in time",
    "unreached": "No connection was made for request {} outside of AWS",
    "internal": "Request {} outside of AWS was answered with 500",
    "busy": "Request {} outside of AWS was answered with 429",
    "forbidden": "Request {} outside of AWS was answered with 403",
    "garbled": "The answer to request {} outside of AWS was a page of a proxy, and no JSON",
}
#: What is played at a request that may change something, each time that it is made, and how it is told.
_AFTER: Mapping[Kind, str] = {
    "answered": "Request {} outside of AWS was answered with {status} after its effect",
    "reset": "The connection was reset after the effect of request {} outside of AWS",
    "closed": "The connection was closed without an answer after the effect of request {} outside of AWS",
    "half": "Half of an answer came after the effect of request {} outside of AWS",
    "garbled": "The answer to request {} outside of AWS was a page of a proxy, and no JSON, after its effect",
    "empty": "The answer to request {} outside of AWS was empty after its effect",
}
_REFUSED = "Request {} outside of AWS was refused with {status}"
_STATUS: Mapping[Kind, int] = {"internal": 500, "busy": 429, "forbidden": 403}
#: Statuses that say nothing of the effect: of the server, of who stands before it, of a connection that was slow.
_SAY_NOTHING = (500, 504, 502, 503, 520, 524, 408, 425, 499)
#: The same of a request with a key: its first attempt may still be at work.
_OF_A_KEY = (409,)
#: Statuses by which a server refuses.
_REFUSE = (403, 400, 402, 429, 404, 410, 422)
#: Those of them by which it may say that what is asked for is so already.
SO_ALREADY = frozenset({404, 410, 422})
#: What an answer says that is no JSON.
NONSENSE = "Web proxy of certify"
_PAGE = f"<html><body>{NONSENSE}</body></html>".encode()


@dataclass(frozen=True)
class OutsidePlay:
    """What becomes of the ``at``-th of an attempt's requests outside of AWS, from 0."""

    at: int
    kind: Kind
    status: int = 0
    acts: bool = False

    def __str__(self) -> str:
        told = _REFUSED if self.kind == "refused" else (_AFTER if self.acts else _OUTAGES)[self.kind]
        return told.format(self.at + 1, status=self.status)

    @property
    def tells(self) -> bool:
        """Whether its status says what the service says."""
        return self.kind in ("garbled", "empty", "half")


def outages(at: int) -> list[OutsidePlay]:
    """Return what is played at a request that looks something up."""
    return [OutsidePlay(at, kind) for kind in _OUTAGES]


def after_effects(number: int, count: int, *, at: int, keyed: bool) -> list[OutsidePlay]:
    """Return what is played at the ``number``-th of ``count`` requests that act: of many, each gets some in turn."""
    statuses = _SAY_NOTHING + (_OF_A_KEY if keyed else ())
    every = [OutsidePlay(at, "answered", status, acts=True) for status in statuses]
    return _in_turn(
        [*every, *(OutsidePlay(at, kind, acts=True) for kind in _AFTER if kind != "answered")], number, count
    )


def refusals(number: int, count: int, *, at: int, later: bool) -> list[OutsidePlay]:
    """Return the refusals that are played at such a request. ``later``: something was done before it."""
    statuses = [one for one in _REFUSE if later or one not in SO_ALREADY]
    return _in_turn([OutsidePlay(at, "refused", status, acts=True) for status in statuses], number, count)


def _in_turn(plays: list[OutsidePlay], number: int, count: int) -> list[OutsidePlay]:
    """Return all plays for one request or two; of more, the first play for each, and the others dealt out."""
    return plays if count <= _FEW else [plays[0], *plays[1:][number::count]]


#: Requests of a call at each of which everything is played.
_FEW = 2


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
            came = answer(self)
            played.answered_since |= played.times > 0 and of_attempt()
            return came
        method = self._method
        found: http.client.HTTPResponse | None = None
        body = b""
        if play.kind != "refused":
            with suppress(Exception):  # so that the server's end of it is not cut off
                found = answer(self)
                body = found.read()
        self.close()
        if play.tells and found is not None:
            if play.kind != "half" and not (found.status < 300 and _is_json(body)):
                played.times -= 1
                return answered_again(found, body, method)
            return answered_again(found, *_spoiled(play.kind, body), method)
        if (problem := _error(play.kind)) is not None:
            raise problem
        return _said(play.status or _STATUS[play.kind], method)

    def function(same: Any) -> None:
        if play.kind not in ("silent", "unreached") or not of_attempt():
            return  # what its client would return or raise is not known
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


def _error(kind: Kind) -> Exception | None:
    if kind == "silent":
        return TimeoutError("timed out")
    if kind == "reset":
        return ConnectionResetError(104, "Connection reset by peer")
    if kind in ("closed", "half", "garbled", "empty"):
        return http.client.RemoteDisconnected("Remote end closed connection without response")
    return None


def _is_json(body: bytes) -> bool:
    with suppress(ValueError):
        json.loads(body)
        return True
    return False


def _spoiled(kind: Kind, body: bytes) -> tuple[bytes, int]:
    """Return the body that comes instead, and the length that is told of it."""
    if kind == "half":
        return body[: len(body) // 2], max(len(body), 1)
    page = _PAGE if kind == "garbled" else b""
    return page, len(page)


def answered_again(found: http.client.HTTPResponse, body: bytes, *given: Any) -> http.client.HTTPResponse:
    """Return an answer that was read, with a body. ``given``: the length that is told of it, if another; the method."""
    *length, method = given
    framing = ("content-length", "transfer-encoding", "connection")
    head = [f"HTTP/1.1 {found.status} {found.reason}"]
    head += [f"{name}: {value}" for name, value in found.getheaders() if name.lower() not in framing]
    head += [f"Content-Length: {length[0] if length else len(body)}"]
    return _response("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body, method)


def _said(status: int, method: str) -> http.client.HTTPResponse:
    reason = http.client.responses.get(status, "Unknown")
    body = b'{"error": "' + reason.encode() + b'"}'
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return _response(head.encode() + body, method)


def _response(whole: bytes, method: str) -> http.client.HTTPResponse:
    response = http.client.HTTPResponse(_Socket(whole), method=method)  # type: ignore[arg-type]
    response.begin()
    return response
