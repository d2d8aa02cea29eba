"""An MCP server, over streamable HTTP or on stdio: one client of our own, for the five messages that a call needs.

::

    initialize ─▶ notifications/initialized ─▶ tools/list: is the tool as it was pinned? ─▶ tools/call
       └ refused ─▶ server/discover ───────────┘                                            (once a process, and again
                    (2026-07-28: no session)      after ``RECHECK_S`` or where the session is gone; but for tools/call)

Everything before ``tools/call`` sends nothing of the call, so its failure is certain. The official SDK would do the
same with 55 MB of memory and two seconds at the first call (``docs/decisions/remote.md``).
"""

import base64
import binascii
import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import field
from typing import Any, Protocol

from pydantic import JsonValue

from ballast.contracts.wire import canonical, read_digits, text_or_length
from ballast.errors import RetryLater, SettingInvalid
from ballast.playbook.context import NotConfigured, NotSent, ToolChanged, ToolContext, ToolFailed
from ballast.playbook.servers.absence import says_nothing
from ballast.playbook.servers.credentials import Credentials
from ballast.playbook.servers.declaration import DeclaredTool, McpServer, pin
from ballast.playbook.servers.http import (
    Exchange,
    Reply,
    deadline_in,
    in_lambda,
    result_of,
    seconds_left,
    send,
    stood_in,
    url_of,
)
from ballast.playbook.servers.proof import (
    BEGUN_PERHAPS,
    GONE,
    NEVER_BEGUN,
    NOT_BEGUN,
    SESSION_UNKNOWN,
    AnswerLost,
    NotLookedAt,
    NotNow,
    RemoteFailed,
    Unauthorized,
    refused_by_error,
    told,
)
from ballast.playbook.servers.response import ResponseIn
from ballast.playbook.servers.tools import RemoteCall
from ballast.playbook.servers.values import Answer
from ballast.values import dataclass

#: Versions of the protocol that this client speaks, newest first.
VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
#: The version without a handshake: each request says who asks, and in which version.
STATELESS = "2026-07-28"
_META = "io.modelcontextprotocol/"
_CLIENT = {"name": "ballast", "version": "0.1.0"}
#: Seconds after which a server is asked again whether its tools are as they were pinned.
RECHECK_S = 300
_MAX_PAGES, _MAX_TOOLS = 20, 1_000
#: The code of an error by which a server says that it has no such method, and that by which some say that they know no
#: such session.
_NO_SUCH_METHOD, _INVALID_REQUEST = frozenset({-32601}), -32600
#: Statuses that say more than an error of JSON-RPC beside them.
_SAID_BY_STATUS = frozenset({401, 403, 429})
_FORGOTTEN = "The server forgot the session under way: whether it acted is not known."
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_FENCED = re.compile(r"```[a-z]*\n(.*?)\n?```", re.DOTALL)
#: Members of a tool's result that are looked at each for itself.
_OF_A_RESULT = frozenset({"content", "structuredContent", "isError", "resultType", "task"})
#: Formats of images that a model may be shown.
_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}


class SessionGone(Exception):
    """The server does not know the session any more, as far as its status says. A tool may have acted in it.

    refused  the same as a refusal; None where the status says nothing else
    """

    def __init__(self, refused: RemoteFailed | None = None) -> None:
        super().__init__(str(refused or "The server does not know the session."))
        self.refused = refused


class Peer(Protocol):
    """A connection to a server: sends a message of JSON-RPC, returns the response to it."""

    def ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Return the response to a request. Raises ``AnswerLost``, ``RetryLater``, ``ToolFailed``, ``SessionGone``."""

    def tell(self, message: dict[str, Any], seconds: float) -> None:
        """Send a notification. Raises as ``ask`` does."""

    def close(self) -> None:
        """End the connection."""


@dataclass(frozen=True)
class ListedTool:
    """A tool as a server lists it. ``claims`` are its annotations, such as ``readOnlyHint``: hints, no promises."""

    name: str
    description: str
    schema: Mapping[str, Any]
    claims: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] | None = None

    @property
    def digest(self) -> str:
        """The hash of what is pinned of it."""
        return pin(self.name, self.description, self.schema, output=self.output)


@dataclass
class Session:
    """A connection that was initialized."""

    peer: Peer
    until: Callable[[], float]
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    stateless: bool = False

    def begin(self) -> str:
        """Initialize it and return the version of the protocol; a server without sessions refuses, and is asked so."""
        try:
            said = self.ask("initialize", {"protocolVersion": VERSIONS[1], "capabilities": {}, "clientInfo": _CLIENT})
        except (RemoteFailed, AnswerLost) as refused:
            if isinstance(refused, RemoteFailed) and refused.status in (401, 402, 403, 407):
                raise
            return self._discover(refused)
        version = said.get("protocolVersion")
        if version not in VERSIONS:
            raise NotConfigured(f"the server speaks MCP {text_or_length(str(version), 40)!r}.")
        if isinstance(self.peer, HttpPeer):
            self.peer.version = version
        self.peer.tell({"jsonrpc": "2.0", "method": "notifications/initialized"}, self.until())
        return str(version)

    def _discover(self, refused: Exception) -> str:
        """Return the version of a server without sessions. Raises ``refused``, the answer to initialize, if it is
        none."""
        self.stateless = True
        if isinstance(self.peer, HttpPeer):
            self.peer.version, self.peer.session_id, self.peer.stateless = STATELESS, None, True
        try:
            known = self.ask("server/discover", {}).get("supportedVersions")
        except (RemoteFailed, AnswerLost, SessionGone):
            raise refused from None
        if not isinstance(known, list) or STATELESS not in known:
            raise NotConfigured(f"the server speaks MCP {text_or_length(str(known), 80)}.")
        return STATELESS

    def tools(self) -> Iterator[ListedTool]:
        """Yield the server's tools, all pages. Raises ``NotConfigured`` for a list that is none."""
        cursor, count, names = None, 0, set[str]()
        for _ in range(_MAX_PAGES):
            said = self.ask("tools/list", {"cursor": cursor} if cursor else {})
            listed = said.get("tools")
            for one in listed if isinstance(listed, list) else []:
                count += 1
                if isinstance(one, Mapping) and isinstance(one.get("name"), str):
                    if one["name"] in names:  # which of them would be called?
                        named = text_or_length(ascii(one["name"]), 80)
                        raise NotConfigured(f"the server lists two tools named {named}.")
                    names.add(one["name"])
                    yield _listed(one)
            cursor = said.get("nextCursor")
            if not isinstance(cursor, str) or not cursor:
                return
            if count > _MAX_TOOLS:
                break
        raise NotConfigured(f"the server lists more than {_MAX_TOOLS} tools, or {_MAX_PAGES} pages.")

    def ask(self, method: str, params: Mapping[str, Any], refusals: Container[int] = NOT_BEGUN) -> dict[str, Any]:
        """Return the result of a request. Raises as a ``Peer`` does; an error of the server says what it means.

        ``refusals``: the codes of errors that prove that nothing was done.
        """
        sent = dict(params)
        if self.stateless:
            said_of = {"protocolVersion": STATELESS, "clientInfo": _CLIENT, "clientCapabilities": {}}
            sent["_meta"] = {**sent.get("_meta", {}), **{f"{_META}{name}": one for name, one in said_of.items()}}
        message = {"jsonrpc": "2.0", "id": next(self.numbers), "method": method, "params": sent}
        said = self.peer.ask(message, self.until())
        error = said.get("error")
        if isinstance(error, Mapping):
            text = f"The server answered {method} with an error: {told(str(error.get('message', '')))}"
            code = error.get("code")
            if isinstance(code, int) and code in refusals and "result" not in said:
                raise refused_by_error(text)
            raise AnswerLost(text)
        result = said.get("result") if error is None else None
        if not isinstance(result, dict):
            raise AnswerLost(f"The server's answer to {method} has no result.")
        return result


def _listed(one: Mapping[str, Any]) -> ListedTool:
    schema, claims, text = one.get("inputSchema"), one.get("annotations"), one.get("description")
    output = one.get("outputSchema")
    return ListedTool(
        one["name"],
        text if isinstance(text, str) else "",
        schema if isinstance(schema, Mapping) else {},
        claims if isinstance(claims, Mapping) else {},
        output if isinstance(output, Mapping) else None,
    )


class McpTransport:
    """Calls tools of one MCP server."""

    def __init__(self, name: str, declared: McpServer) -> None:
        self._name, self._declared = name, declared
        self._credentials = Credentials(declared.credential, declared.private)
        self._lock = threading.Lock()
        self._kept: _Kept | None = None

    def send(self, call: RemoteCall, payload: dict[str, Any], key: str | None, ctx: ToolContext) -> Answer:
        """Return what the server answers; see ``Transport``."""
        until = deadline_in(seconds_left(self._declared.timeout_s, ctx))
        params: dict[str, Any] = {"name": call.remote_name, "arguments": payload}
        declared, headers = call.declared.key, {}
        if declared is not None and key is not None:
            if declared.meta is not None:
                params["_meta"] = {declared.meta: key}
            elif declared.header is not None:
                headers = {declared.header: key}
        writes = call.declared.effect == "write"
        no_key = writes and declared is None
        for again in (False, True):
            kept = self._ready(call, ctx, until)
            session = kept.session
            peer = session.peer
            if no_key and kept.used and self._is_gone(session, until):
                self._forget(kept)
                continue
            kept.used = True
            if isinstance(peer, HttpPeer):  # another thread may use the session at the same time, for another call
                mirrored = mirrored_headers(call.declared.pinned.schema_, payload) if session.stateless else {}
                peer = peer.with_headers({**headers, **mirrored}, ctx)
            try:
                asked = Session(peer, until, session.numbers, session.stateless)
                said = asked.ask("tools/call", params, _refusals(call.declared))
                break
            except SessionGone as gone:
                self._forget(kept)
                # By the same status a server may say that it has lost the answer. A key lets the executor send the
                # call again; it does not make the status a proof.
                if writes:
                    told_of = f" {gone.refused}" if gone.refused is not None else ""
                    raise AnswerLost(f"{_FORGOTTEN}{told_of}", _FORGOTTEN) from None
                if again and gone.refused is not None:
                    raise gone.refused from None
                if again:
                    raise RetryLater("The server forgot the session twice. It did nothing.") from None
            except AnswerLost:
                self._forget(kept)  # the server may have begun anew; a new session costs three requests
                raise
            except RemoteFailed as refused:
                self._forget(kept)
                if writes and refused.status in GONE:
                    raise AnswerLost(f"{_FORGOTTEN} {refused}", _FORGOTTEN) from None
                raise
            finally:
                peer.close()
        else:
            raise RetryLater("Nothing was sent: the server forgot the session twice.")
        answer = self._answer(call, said, ctx)
        result, beside = self._credentials.hide([answer.result, answer.beside])
        return Answer(result, answer.partial, beside, answer.texts)

    def _forget(self, kept: "_Kept") -> None:
        """Begin the next call in a new session, if this one is still the one that is kept."""
        if self._kept is kept:
            self._kept = None

    @staticmethod
    def _is_gone(session: Session, until: Callable[[], float]) -> bool:
        """Say whether the server has forgotten a session, before a call that may not be sent twice.

        A server that knows it answers a ping, or says that it knows none. By any other answer it may have forgotten
        the session; a new one begins the call as well.
        """
        if not isinstance(session.peer, HttpPeer) or session.peer.session_id is None:
            return False
        try:
            Session(session.peer, until, session.numbers).ask("ping", {}, _NO_SUCH_METHOD)
        except RemoteFailed as refused:
            return refused.status is not None
        except (SessionGone, AnswerLost):
            return True
        return False

    def _ready(self, call: RemoteCall, ctx: ToolContext, until: Callable[[], float]) -> "_Kept":
        """Return a session of a server that lists the tool as it was pinned. Nothing of the call is sent."""
        with self._lock:
            kept, whose = self._kept, self._credentials.whose(ctx)
            if kept is not None and kept.whose == whose and kept.checked_until > time.monotonic():
                self._check(call, kept)
                return kept
            session: Session | None = None
            try:
                session = Session(self._peer(ctx), until)
                session.begin()
                listed = {one.name: one.digest for one in session.tools()}
                made = _Kept(session, listed, time.monotonic() + RECHECK_S, whose)
                self._check(call, made)
            except BaseException as problem:
                if session is not None:
                    session.peer.close()
                if isinstance(problem, AnswerLost | SessionGone):
                    apart = getattr(problem, "apart", None)
                    raise NotNow(f"Nothing was sent: the session did not begin. {problem}", apart) from None
                refused = isinstance(problem, NotLookedAt) and not isinstance(problem, Unauthorized)
                if isinstance(problem, ToolFailed) and (refused or not isinstance(problem, NotSent)):
                    raise NotSent(f"Nothing was sent: the session did not begin. {problem}") from None
                if isinstance(problem, Exception) and not isinstance(problem, RetryLater | ToolFailed | SettingInvalid):
                    why = f"the session did not begin ({type(problem).__name__})"
                    raise NotNow(f"Nothing was sent: {why}.", why) from None
                raise
            if isinstance(session.peer, HttpPeer):
                self._kept = made
            return made

    def _check(self, call: RemoteCall, kept: "_Kept") -> None:
        digest = kept.listed.get(call.remote_name)
        if digest == call.declared.pinned.sha256:
            return
        what = "no longer lists it" if digest is None else "says something else of it than when it was pinned"
        raise ToolChanged(
            f"Nothing was sent: the server {what}. An operator must read the change and pin it anew: "
            f"`ballast import mcp … --check` with servers/{self._name}.yaml.",
            server=self._name,
            tool=call.remote_name,
            kind=self._declared.kind,
        )

    def _peer(self, ctx: ToolContext) -> Peer:
        declared = self._declared
        if declared.stdio is not None and not in_lambda(ctx.environ):
            from ballast.playbook.servers.stdio import StdioPeer

            return StdioPeer(declared.stdio, declared.reply_bytes)
        if declared.url is None:
            raise NotConfigured("a server on stdio cannot run in Lambda. Give its declaration a url.")
        return HttpPeer(url_of(declared.url, ctx, private=declared.private), declared, self._credentials, ctx)

    @staticmethod
    def _answer(call: RemoteCall, said: Mapping[str, Any], ctx: ToolContext) -> Answer:
        content = said.get("content")
        blocks = [one for one in content if isinstance(one, Mapping)] if isinstance(content, list) else []
        if said.get("isError"):
            text = f"{call.remote_name} answered with an error: {told(_text(blocks))}"
            if call.declared.effect == "read" or "error" in call.declared.refusals:
                raise refused_by_error(text)
            raise AnswerLost(f"{text}. The declaration does not say that an error means that nothing was done.")
        for number, block in enumerate(blocks, start=1):
            image = _IMAGES.get(str(block.get("mimeType")))
            if block.get("type") == "image" and image is not None:
                try:
                    ctx.attach(f"{call.remote_name}-{number}", image, base64.b64decode(str(block.get("data"))))
                except (binascii.Error, ValueError):
                    continue
        task = said.get("task")
        if isinstance(task, Mapping) and task.get("status") != "completed":
            raise AnswerLost(f"{call.remote_name} answered with a task that goes on, which was not asked for.")
        if said.get("resultType", "complete") != "complete":
            text = f"{call.remote_name} did not end: the server asks for input, which this client does not give"
            raise RemoteFailed(text) if call.declared.effect == "read" else AnswerLost(text)
        structured, as_text = said.get("structuredContent"), _value(_text(blocks))
        beside = {name: one for name, one in said.items() if name not in _OF_A_RESULT}
        if isinstance(structured, Mapping | list):
            others = [_value(_unfenced(_text([block]))) for block in blocks]
            others = [one for one in [as_text, *others] if one != structured and not says_nothing(one)]
            differs = any(isinstance(one, Mapping | list) for one in others)
            partial = "was answered in two forms that contradict each other" if differs else ""
            return Answer(structured, partial, beside, tuple(one for one in others if isinstance(one, str)))
        if not isinstance(content, list):  # an empty list is a result; none is not
            said_of = ", ".join(sorted(said)) or "nothing"
            raise AnswerLost(
                f"{call.remote_name} answered without the content that a result of MCP has (it has: {told(said_of)}). "
                "Whether it ended is not known."
            )
        return Answer(as_text, beside=beside)


def _refusals(declared: DeclaredTool) -> Container[int]:
    """Return the codes of errors by which a server proves that it did not carry out a call."""
    return NOT_BEGUN if declared.effect == "read" or "error" in declared.refusals else NEVER_BEGUN


@dataclass
class _Kept:
    """A session. ``used``: whether a call was sent in it."""

    session: Session
    listed: Mapping[str, str]
    checked_until: float
    whose: str
    used: bool = False


def _text(blocks: list[Mapping[str, Any]]) -> str:
    """Return the texts of a result; of other parts, what they are."""
    texts = []
    for block in blocks:
        resource = block.get("resource")
        if block.get("type") == "text":
            texts.append(str(block.get("text", "")))
        elif isinstance(resource, Mapping) and isinstance(resource.get("text"), str):
            texts.append(resource["text"])
        elif block.get("type") == "resource_link":
            texts.append(str(block.get("uri", "")))
    return "\n".join(texts)


def _unfenced(text: str) -> str:
    """Return a text without the space and the fence of Markdown around it."""
    fenced = _FENCED.fullmatch(text.strip())
    return fenced[1].strip() if fenced else text.strip()


def _value(text: str) -> JsonValue:
    """Return a text, or the object or list that it is as JSON: many servers send that."""
    if text[:1] in ("{", "["):
        try:
            found: JsonValue = read_digits(text, once=True)
            canonical(found)
            return found
        except (ValueError, RecursionError):
            pass
    return text


@dataclass
class HttpPeer:
    """Streamable HTTP: each message is one POST; its response is JSON, or an event of a stream."""

    url: str
    declared: McpServer
    credentials: Credentials
    ctx: ToolContext
    headers: Mapping[str, str] = field(default_factory=dict)
    session_id: str | None = None
    version: str | None = None
    stateless: bool = False

    def with_headers(self, headers: Mapping[str, str], ctx: ToolContext) -> "HttpPeer":
        """Return the same session with other headers, for another call."""
        return HttpPeer(
            self.url, self.declared, self.credentials, ctx, headers, self.session_id, self.version, self.stateless
        )

    def ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """See ``Peer``."""
        found = self._post(message, seconds)
        if found is None:
            raise AnswerLost("The server's answer was lost: it has none to this request.")
        return found

    def tell(self, message: dict[str, Any], seconds: float) -> None:
        """See ``Peer``."""
        self._post(message, seconds)

    def close(self) -> None:
        """See ``Peer``. Each request has its own connection."""

    def _post(self, message: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        headers = {
            **self.declared.headers,
            **self.headers,
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **({"Mcp-Session-Id": self.session_id} if self.session_id else {}),
            **({"Mcp-Protocol-Version": self.version} if self.version else {}),
        }
        if self.stateless:
            headers["Mcp-Method"] = str(message["method"])
            if "name" in message["params"]:
                headers["Mcp-Name"] = header_value(str(message["params"]["name"]))
        body = json.dumps(message, allow_nan=False, separators=(",", ":")).encode()
        wanted, left = message.get("id"), deadline_in(seconds)
        for anew in (False, True):
            ready = self.credentials.applied(Exchange("POST", self.url, headers, body), self.ctx, left, anew=anew)
            response = ResponseIn(wanted)
            reply = send(
                ready,
                seconds=left(),
                most_bytes=self.declared.reply_bytes,
                private=self.declared.private
                or (self.declared.url is not None and stood_in(self.declared.url, self.ctx)),
                environ=self.ctx.environ,
                read_on=response.read_on,
            )
            if not self.credentials.is_old(reply):
                break
        said = response.at_the_end()
        code = _error_code(said)
        in_session = self.session_id is not None and reply.status in SESSION_UNKNOWN
        if in_session and (reply.status == 404 or code not in BEGUN_PERHAPS - {_INVALID_REQUEST}):
            raise SessionGone(_refusal(reply) if reply.status != 404 else None)
        if 400 <= reply.status <= 499 and reply.status not in _SAID_BY_STATUS and code in BEGUN_PERHAPS:
            hidden: dict[str, Any] = self.credentials.hide(said)  # its code says more than the status
            return hidden
        result_of(reply, frozenset(), what="The server", of_the_call=False)
        session_id = reply.headers.get("mcp-session-id")
        if session_id is not None and not self.stateless and session_id.isascii() and session_id.isprintable():
            self.session_id = session_id
        found: dict[str, Any] | None = self.credentials.hide(said)
        return found


def _refusal(reply: Reply) -> RemoteFailed | None:
    try:
        result_of(reply, frozenset(), what="The server", of_the_call=False)
    except RemoteFailed as refused:
        return refused
    return None


def _error_code(said: Mapping[str, Any] | None) -> int | None:
    """Return the code of a response's error of JSON-RPC."""
    error = said.get("error") if said is not None else None
    code = error.get("code") if isinstance(error, Mapping) else None
    return code if isinstance(code, int) else None


def header_value(text: str) -> str:
    """Return a text as the header that mirrors it; one that no header can have, in base64."""
    plain = text == text.strip() and all(32 <= ord(char) <= 126 for char in text)
    if plain and not (text.startswith("=?base64?") and text.endswith("?=")):
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


def mirrored_headers(schema: Any, arguments: Any) -> dict[str, str]:
    """Return the headers that mirror arguments (``x-mcp-header`` of their schema), as a server without sessions
    wants."""
    found: dict[str, str] = {}
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    for name, one in properties.items() if isinstance(properties, Mapping) and isinstance(arguments, Mapping) else ():
        value, header = arguments.get(name), one.get("x-mcp-header") if isinstance(one, Mapping) else None
        if isinstance(header, str) and _TOKEN.fullmatch(header) and isinstance(value, str | bool | int):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            found[f"Mcp-Param-{header}"] = header_value(text)
        found |= mirrored_headers(one, value)
    return found
