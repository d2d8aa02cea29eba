"""A bridge between an MCP client on standard input and output and the HTTP API's ``POST /mcp``.

::

    a line ─▶ one POST, with the headers that its version wants ─▶ a line
              └ lost, busy: the same POST again; a tool that is called twice does its work once

The tools are the API's: the bridge knows none of them. It keeps two things of the connection: the version that
``initialize`` agreed on, and which calls the client has cancelled.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ballast.errors import InvalidInput

#: Bytes of a message at most, as the API takes them.
MAX_LINE_BYTES = 256 * 1024
#: Calls that are on their way at the same time; `ask` waits for half a minute.
_AT_ONCE = 8
#: Seconds before the same POST is sent again, and the statuses after which it is.
_PAUSES_S = (0.5, 2.0)
_AGAIN = frozenset({429, 502, 503, 504})
_PARSE_ERROR, _INVALID_REQUEST, _INTERNAL = -32700, -32600, -32603
_META = "io.modelcontextprotocol/protocolVersion"
_PLAIN = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class HttpReply:
    """A reply of the API."""

    status: int
    body: bytes


#: Sends a body with these headers. Raises ``OSError`` where the reply was lost.
Post = Callable[[bytes, Mapping[str, str]], HttpReply]


@dataclass
class Bridge:
    """One client's connection. ``write`` prints a line; ``sleep`` waits before a POST is sent again."""

    post: Post
    write: Callable[[str], None]
    sleep: Callable[[float], None]
    _version: str | None = None
    #: The calls on their way, by id, and whether the client has cancelled them.
    _calls: dict[Any, bool] = field(default_factory=dict)
    _printing: threading.Lock = field(default_factory=threading.Lock)
    _free: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_AT_ONCE))

    def serve(self, lines: Iterable[bytes]) -> None:
        """Answer each line; return when they end and all that was begun is answered."""
        threads: list[threading.Thread] = []
        for line in lines:
            if not line.strip():
                continue
            if len(line) > MAX_LINE_BYTES:
                self._say(_error(None, _INVALID_REQUEST, f"A message may have {MAX_LINE_BYTES} bytes."))
                continue
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                self._say(_error(None, _PARSE_ERROR, "The line is not JSON."))
                continue
            match message:
                case {"method": "notifications/cancelled", "params": {"requestId": str() | int() as cancelled}}:
                    if cancelled in self._calls:
                        self._calls[cancelled] = True
                case {"method": "tools/call", "id": str() | int() as request_id}:
                    self._free.acquire()
                    self._calls[request_id] = False
                    # A daemon: an interrupted bridge does not wait for the calls on their way.
                    threads = [one for one in threads if one.is_alive()]
                    threads.append(threading.Thread(target=self._call, args=(message, line), daemon=True))
                    threads[-1].start()
                case _:  # in order: what follows depends on the version that `initialize` agrees on
                    self._answer(message, line)
        for thread in threads:
            thread.join()

    def _call(self, message: Any, line: bytes) -> None:
        try:
            self._answer(message, line)
        except Exception:  # a defect here: the client must not wait for ever
            traceback.print_exc()
            self._say(_error(message["id"], _INTERNAL, "The bridge failed. Its standard error says more."))
        finally:
            self._free.release()

    def _answer(self, message: Any, line: bytes) -> None:
        said = self._said(message, line)
        match message, said:
            case {"method": "initialize"}, {"result": {"protocolVersion": str(version)}}:
                self._version = version
            case {"method": "tools/call", "id": str() | int() as request_id}, _:
                if self._calls.pop(request_id, False):
                    return
        if said is not None:
            self._say(said)

    def _said(self, message: Any, line: bytes) -> Any:
        """Return the response to print; None where there is none, as to a notification."""
        is_request = isinstance(message, list) or (isinstance(message, dict) and "id" in message)
        request_id = message.get("id") if isinstance(message, dict) else None
        request_id = request_id if isinstance(request_id, str | int) else None
        try:
            reply = self._sent(line.strip(), self._headers(message))
        except OSError as problem:
            why = f"Ballast's API cannot be reached ({type(problem).__name__})."
            why += " Call the tool again with the same arguments: nothing happens twice."
            return _error(request_id, _INTERNAL, why) if is_request else None
        if reply.status == 202 and request_id is None:
            return None
        try:
            said = json.loads(reply.body)
        except ValueError:
            said = None
        if isinstance(said, list) or (isinstance(said, dict) and said.get("jsonrpc") == "2.0"):
            return said
        return _error(request_id, _INTERNAL, _why(reply.status, said)) if is_request else None

    def _sent(self, body: bytes, headers: Mapping[str, str]) -> HttpReply:
        for pause in (*_PAUSES_S, None):
            try:
                reply = self.post(body, headers)
            except OSError:
                if pause is None:
                    raise
            else:
                if pause is None or reply.status not in _AGAIN:
                    return reply
            self.sleep(pause)
        raise AssertionError("the last POST returns or raises")

    def _headers(self, message: Any) -> dict[str, str]:
        """Return the headers that repeat the body: on standard input a message stands alone."""
        version = self._version
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        match message:
            case {
                "method": str(method),
                "params": {"_meta": {"io.modelcontextprotocol/protocolVersion": str(stateless)}},
            }:
                if method != "initialize":
                    version = stateless
                    headers["Mcp-Method"] = _header(method)
                    name = message["params"].get("name")
                    if method == "tools/call" and isinstance(name, str):
                        headers["Mcp-Name"] = _header(name)
        if version is not None:
            headers["MCP-Protocol-Version"] = _header(version)
        return headers

    def _say(self, message: Any) -> None:
        with self._printing:
            self.write(json.dumps(message, separators=(",", ":")) + "\n")


def _header(value: str) -> str:
    """Return a header's value; what is no plain text is sent in base64, so that no line can be added."""
    if _PLAIN.fullmatch(value) and not value.startswith("=?base64?"):
        return value
    return f"=?base64?{base64.b64encode(value.encode('utf-8', 'surrogatepass')).decode('ascii')}?="


def _error(request_id: Any, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}


def _why(status: int, said: Any) -> str:
    """Return the reason of a reply that is no message of the protocol: of the API, or of the gateway before it."""
    detail = (said.get("detail") or said.get("message") or "") if isinstance(said, dict) else ""
    remedy = ""
    if status in (401, 403):
        remedy = " Check the credentials of `ballast mcp` (AWS_PROFILE, BALLAST_TOKEN) and what they may do."
    return f"Ballast's API answered {status}: {str(detail)[:500]}{remedy}"


def address_of(url: str) -> str:
    """Return the address of the tools. Raises ``InvalidInput`` for one that credentials must not be sent to."""
    parts = urlsplit(url)
    local = parts.hostname in _LOOPBACK
    if parts.scheme not in ("https", "http") or not parts.hostname or (parts.scheme == "http" and not local):
        raise InvalidInput(f"--url {url}: use https://; http:// goes with this machine only (localhost).")
    if parts.username is not None or parts.query or parts.fragment:
        raise InvalidInput("--url: give the address alone, without a user, `?` or `#`. Credentials: $BALLAST_TOKEN.")
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path if path.endswith('/mcp') else f'{path}/mcp'}"


def is_local(url: str) -> bool:
    """Say whether the address is one of this machine."""
    return urlsplit(url).hostname in _LOOPBACK


def lines_of(source: Any) -> Iterable[bytes]:
    """Yield the lines of a binary stream; of one that is too long only its beginning, which is too long as well."""
    while line := source.readline(MAX_LINE_BYTES + 2):
        yield line
        while not line.endswith(b"\n") and line:
            line = source.readline(MAX_LINE_BYTES + 2)
