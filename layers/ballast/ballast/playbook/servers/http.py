"""One HTTP request of the executor, and what is certain if it fails.

::

    resolve ─▶ is the address allowed? ─▶ connect ─▶ send ─▶ read, bounded ─▶ Reply
       └────── nothing was sent: RetryLater ──┘         └── AnswerLost: the server may have acted

The host is the declaration's. No redirect is followed, no proxy is asked, and no reply is decompressed. A connection
serves one request: of a kept one that breaks, nobody can say what arrived.
"""

import codecs
import http.client
import ipaddress
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from ballast.contracts.wire import read_digits, text_or_length
from ballast.playbook.context import NotConfigured, NotSent, ToolContext
from ballast.playbook.servers.checks import why_no_url
from ballast.playbook.servers.declaration import TextOrEnvironment
from ballast.playbook.servers.proof import NOT_NOW, REFUSALS, AnswerLost, NotNow, refused, told
from ballast.playbook.servers.spellings import hidden, without
from ballast.values import dataclass

#: Seconds that are left to the executor when a request is given up.
_MARGIN_S = 0.5
_CHUNK = 65_536
#: Networks whose addresses stand for another one, as a translator or a router on the way sees it: compatible with
#: IPv4, translated, local translation, and the old private ones.
_NEVER = tuple(map(ipaddress.ip_network, ("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "fec0::/10")))
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
#: The marks by which a text says its charset; that of UTF-32 begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
#: Codecs of Python whose names no server's text has; some of them take long.
_NO_CHARSETS = frozenset(
    {"punycode", "idna", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7", "mbcs", "oem"}
)
#: Set by Lambda in its processes.
_LAMBDA = "AWS_EXECUTION_ENV"
#: Set by the local cloud: the variables that lead to stand-ins, between commas.
STAND_INS = "BALLAST_STAND_INS"


@dataclass(frozen=True)
class Reply:
    """A server's reply. ``body`` is as it came: ``text`` and ``json`` have no secret of the request in them.

    A header that occurs several times has all its values, between commas.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def text(self) -> str:
        """The body as text. JSON is decoded and written anew: an escape may hide a secret from a search."""
        text = _in_charset(self.body, self.headers.get("content-type", ""))
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return without(text, self.secrets)
        return json.dumps(hidden(found, self.secrets), ensure_ascii=False)

    def json(self) -> Any:
        """Return the body as JSON; a number whose digits a double would lose is a text. Raises ``ValueError``."""
        return hidden(read_digits(self.body), self.secrets)


@dataclass(frozen=True)
class Exchange:
    """A request. ``body`` is sent as it is; ``secrets`` are removed from the reply."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    secrets: tuple[str, ...] = ()

    def but(self, **changes: Any) -> "Exchange":
        """Return the exchange with other fields."""
        return Exchange(**{**self.__dict__, **changes})


def text_of(where: str, text: TextOrEnvironment, ctx: ToolContext) -> str:
    """Return a text of the declaration, or of the executor's environment. Raises ``NotConfigured``, which names it."""
    if isinstance(text, str):
        return text
    value = ctx.environ.get(text.env, "")
    if not value:
        raise NotConfigured(
            f"{where} comes from the environment variable {text.env}, which is not set. Add it to the output "
            "Environment of business.yaml."
        )
    return value


def url_of(url: TextOrEnvironment, ctx: ToolContext, *, private: bool) -> str:
    """Return a server's URL. Raises ``NotConfigured`` where the environment has no right one."""
    found = text_of("its URL", url, ctx)
    if wrong := why_no_url(found, private=private or stood_in(url, ctx)):
        source = "" if isinstance(url, str) else f", {text_or_length(found, 200)!r} of the variable {url.env},"
        raise NotConfigured(f"its URL{source} {wrong}")
    return found.rstrip("/")


def stood_in(url: TextOrEnvironment, ctx: ToolContext) -> bool:
    """Say whether a URL is that of a stand-in on loopback (``scenarios/stand_ins.py``), in the local cloud alone.

    Such a server may be called over plain http whether or not its declaration says ``private``: what is declared is
    what is deployed, and a stand-in must not loosen it.
    """
    if isinstance(url, str) or in_lambda(ctx.environ) or url.env not in ctx.environ.get(STAND_INS, "").split(","):
        return False
    try:
        return _is_loopback(urlsplit(ctx.environ.get(url.env, "")).hostname or "")
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def deadline_in(seconds: float) -> Callable[[], float]:
    """Return what says how many seconds are left, of all requests of one call. It is asked before each of them.

    It raises ``NotNow`` where none are left: the request that would be next is not sent.
    """
    ends = time.monotonic() + seconds

    def left() -> float:
        still = ends - time.monotonic()
        if still <= 0:
            raise NotNow("Nothing was sent: the call's time was over before.", "its requests took too long")
        return still

    return left


def seconds_left(timeout_s: float, ctx: ToolContext) -> float:
    """Return the seconds of a request: less than the executor's, so that it ends with what is known of it.

    ``timeout_s``: those of the server, where the call itself has no limit.
    """
    most = timeout_s if ctx.timeout_s is None else ctx.timeout_s
    return max(most - min(_MARGIN_S, most / 10), 0.01)


def send(
    exchange: Exchange,
    *,
    seconds: float,
    most_bytes: int,
    private: bool,
    environ: Mapping[str, str],
    read_on: Callable[[bytes], bool] | None = None,
) -> Reply:
    """Send a request once and return the reply.

    ``read_on``: takes each part of the body, and says whether more of it is needed. Raises ``NotSent`` or
    ``RetryLater`` where nothing was sent, and ``AnswerLost``.
    """
    until = time.monotonic() + seconds
    parts = urlsplit(exchange.url)
    secure, host = parts.scheme == "https", parts.hostname or ""
    for name, value in exchange.headers.items():
        if any(not 32 <= ord(char) <= 126 for char in value):
            raise NotSent(f"Nothing was sent: the header {name} would have characters other than printable ASCII.")
    address = _address(host, parts.port or (443 if secure else 80), private=private, environ=environ)
    target = parts.path or "/"
    target += f"?{parts.query}" if parts.query else ""
    try:
        connection = _Connection(host, address, _tls() if secure else None, until)
    except (OSError, ValueError) as problem:
        raise NotNow(f"Nothing was sent: no connection can be made ({type(problem).__name__}).") from None
    try:
        try:
            connection.connect()
        except (OSError, http.client.HTTPException, ValueError) as problem:
            why = f"{host} cannot be reached ({type(problem).__name__})"
            raise NotNow(f"Nothing was sent: {why}.", why) from None
        try:
            connection.request(
                exchange.method, target, exchange.body, {"Accept-Encoding": "identity", **exchange.headers}
            )
            answer = connection.getresponse()
            body = _read(answer, most_bytes, read_on)
        except (OSError, http.client.HTTPException, ValueError) as problem:
            why = f"the answer of {host} was lost ({type(problem).__name__})"
            raise AnswerLost(f"T{why[1:]}.", why) from None
    finally:
        connection.close()
    headers: dict[str, list[str]] = {}
    for name, value in answer.getheaders():
        if value not in (values := headers.setdefault(name.lower(), [])):
            values.append(value)
    return Reply(answer.status, {name: ", ".join(all_of) for name, all_of in headers.items()}, body, exchange.secrets)


class _Head:
    """The lines of a response before its body. ``http.client`` takes the end of the connection for that of the head."""

    def __init__(self, lines: Any) -> None:
        self._lines = lines

    def readline(self, limit: int) -> bytes:
        """Return the next line. Raises where the connection ends before it, or within it."""
        line: bytes = self._lines.readline(limit)
        if not line:
            raise http.client.RemoteDisconnected("The connection was closed within the head of the answer.")
        if not line.endswith(b"\n") and len(line) < limit:
            raise http.client.IncompleteRead(line)
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lines, name)


class _Response(http.client.HTTPResponse):
    """A response whose head is whole, and which is the last one: not one of 1xx, which only precede it (RFC 9110)."""

    def begin(self) -> None:
        """Read the head. Raises for one that is cut, or that gives the body two lengths."""
        lines: Any = self.fp
        self.fp = _Head(lines)  # type: ignore[assignment]
        super().begin()
        while 100 <= self.status <= 199 and self.status != 101:  # which ends HTTP
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()
        self.fp = lines
        lengths = ",".join(self.headers.get_all("Content-Length", ()))
        if len({one.strip() for one in lengths.split(",")}) > 1:
            raise http.client.HTTPException("The answer has two lengths.")


class _Connection(http.client.HTTPConnection):
    """A connection to an address that was checked. TLS is asked for the host's name."""

    response_class = _Response

    def __init__(self, host: str, address: tuple[Any, ...], tls: ssl.SSLContext | None, until: float) -> None:
        super().__init__(host, address[4][1])
        self.default_port = 443 if tls else 80  # so that the Host header names no usual port
        self._address, self._tls, self._until = address, tls, until

    def connect(self) -> None:
        family, kind, protocol, _, place = self._address
        self.sock = held = _HeldSocket(family, kind, protocol)
        held.until = self._until
        held.settimeout(_left(self._until))
        held.connect(place)
        if self._tls is not None:
            held.settimeout(_left(self._until))  # of the whole handshake
            self.sock = secure = self._tls.wrap_socket(held, server_hostname=self.host)
            assert isinstance(secure, _HeldTls)
            secure.until = self._until


class _Held:
    """Ends each read and each write of a socket at one moment, so that no trickle of bytes prolongs a request."""

    until: float

    def recv_into(self, *given: Any, **named: Any) -> int:
        """Read what is there."""
        self.settimeout(_left(self.until))  # type: ignore[attr-defined]
        count: int = super().recv_into(*given, **named)  # type: ignore[misc]
        return count

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send everything."""
        left = memoryview(bytes(data))
        while left:
            self.settimeout(_left(self.until))  # type: ignore[attr-defined]
            left = left[self.send(left, flags) :]  # type: ignore[attr-defined]


class _HeldSocket(_Held, socket.socket):
    pass


class _HeldTls(_Held, ssl.SSLSocket):
    pass


@cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.sslsocket_class = _HeldTls
    return context


def _address(host: str, port: int, *, private: bool, environ: Mapping[str, str]) -> tuple[Any, ...]:
    """Return an address of the host. Raises ``RetryLater`` where it has none, ``NotConfigured`` for a forbidden one."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotNow(f"Nothing was sent: {host} has no address.", f"{host} has no address") from None
    for one in found:
        if not _allowed(str(one[4][0]), private=private, deployed=in_lambda(environ)):
            raise NotConfigured(
                f"{host} is at an address inside this network, and its declaration does not say `private: true`; or it "
                "is at one that is never called."
            )
    return found[0]


def in_lambda(environ: Mapping[str, str]) -> bool:
    """Say whether a function runs in Lambda, and not in the local cloud."""
    return environ.get(_LAMBDA, "").startswith("AWS_Lambda")


def _allowed(address: str, *, private: bool, deployed: bool) -> bool:
    """Say whether an address may be called. Metadata services and Lambda's own interface never are."""
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if embedded is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = embedded or ip
    if not ip.is_loopback and any(ip in network for network in _NEVER):
        return False
    if ip.is_loopback:
        return private and not deployed
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip in ipaddress.ip_network("fd00:ec2::/32"):
        return False
    return ip.is_global or private


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _read(answer: http.client.HTTPResponse, most_bytes: int, read_on: Callable[[bytes], bool] | None) -> bytes:
    """Return the body, bounded in bytes. Raises ``AnswerLost`` for one that is too large or compressed."""
    compressed = answer.getheader("Content-Encoding", "identity").strip().lower() not in ("", "identity")
    if compressed and answer.length != 0:  # 0 also of HEAD and 204, whose head speaks of a body that is not sent
        raise AnswerLost("The server's reply is compressed, which was not asked for; it was not read.")
    body = bytearray()
    while not answer.isclosed():  # it closes the connection's socket when it is read to its end
        part = answer.read1(_CHUNK)
        body += part
        if len(body) > most_bytes:
            raise AnswerLost(f"The server's reply has more than {most_bytes} bytes; it was not read to its end.")
        if not part and answer.length:
            raise http.client.IncompleteRead(b"")
        if not part or (read_on is not None and not read_on(part)):
            break
    return bytes(body)


def _in_charset(body: bytes, content_type: str) -> str:
    """Return a body as text, in the charset that its first bytes or its type name; else in UTF-8."""
    marked = next((name for mark, name in _MARKS if body.startswith(mark)), None)
    named = _CHARSET.search(content_type)
    charset = marked or (named[1] if named else "utf-8")
    try:
        if codecs.lookup(charset).name in _NO_CHARSETS:
            charset = "utf-8"
        return body.decode(charset, "replace")
    except (LookupError, ValueError):
        return body.decode("utf-8", "replace")


def result_of(reply: Reply, refusals: frozenset[int], *, what: str, of_the_call: bool = True) -> Reply:
    """Return a reply of 2xx. Raises what another status says of the effect; ``refusals`` are the declaration's own.

    ``of_the_call``: see ``refused``.
    """
    status = reply.status
    if 200 <= status <= 299:
        return reply
    said = told(reply.text)
    apart = f"{what} answered {status}"
    message = f"{apart}: {said}" if said else apart
    if status in NOT_NOW and status not in refusals:
        raise NotNow(f"{message}. It did nothing now.", apart)
    if status in REFUSALS or status in refusals:
        raise refused(status, message, of_the_call=of_the_call)
    if 300 <= status <= 399:
        raise AnswerLost(f"{what} answered {status}. Redirects are not followed: name the right URL in servers/.")
    raise AnswerLost(message, apart)
