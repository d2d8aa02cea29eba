"""Operations of an OpenAPI document: a call's arguments become one HTTP request, and its reply the result."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import JsonValue

from ballast.contracts.wire import occurs_twice
from ballast.playbook.context import NotSent, ToolContext
from ballast.playbook.servers.checks import as_servers_read, is_blank, why_no_path, why_no_segment
from ballast.playbook.servers.credentials import Credentials
from ballast.playbook.servers.declaration import Call, OpenApiServer
from ballast.playbook.servers.http import (
    Exchange,
    Reply,
    deadline_in,
    result_of,
    seconds_left,
    send,
    stood_in,
    url_of,
)
from ballast.playbook.servers.proof import AnswerLost
from ballast.playbook.servers.tools import RemoteCall
from ballast.playbook.servers.values import Answer

_ARGUMENT = re.compile(r"\{[^{}]*\}")
_SLASH = re.compile("%2[Ff]")
#: Of the header Link, that there is a next page.
_NEXT = re.compile(r"rel\s*=\s*[\"']?[^\"',;]*\bnext\b", re.IGNORECASE)
#: Of the header Content-Range, that there is nothing else.
_NO_RANGE = re.compile(r"(?:/0|\*/\*)\s*$")
#: Headers of the message, which say nothing of what is in it.
_OF_HTTP = frozenset({"link", "content-range", "content-type", "content-length", "date", "server", "connection"})


class OpenApiTransport:
    """Calls operations of one server. ``calls``: those of all its tools, none of which may be reached by another's."""

    def __init__(self, declared: OpenApiServer, calls: Collection[Call] = ()) -> None:
        self._declared = declared
        self._calls = calls
        self._credentials = Credentials(declared.credential, declared.private)

    def send(self, call: RemoteCall, payload: dict[str, Any], key: str | None, ctx: ToolContext) -> Answer:
        """Return what the server answers; see ``Transport``."""
        declared, seconds = self._declared, seconds_left(self._declared.timeout_s, ctx)
        pinned = call.declared.pinned.call
        assert pinned is not None
        url = url_of(declared.url, ctx, private=declared.private)
        exchange = request_of(pinned, payload, url, call.declared.slashes)
        check_no_other(pinned, exchange.url.removeprefix(url).partition("?")[0], self._calls)
        headers = {"Accept": "application/json", **declared.headers, **exchange.headers}
        if key is not None and call.declared.key is not None and call.declared.key.header is not None:
            headers[call.declared.key.header] = key
        exchange = exchange.but(headers=headers)
        reply = self._sent(exchange, ctx, deadline_in(seconds))
        refusals = frozenset(one for one in call.declared.refusals if isinstance(one, int))
        result = body_of(result_of(reply, refusals, what=f"{pinned.method} {pinned.path}"))
        if call.declared.effect != "read":
            return Answer(self._credentials.hide(result))
        beside = {name: one for name, one in reply.headers.items() if name not in _OF_HTTP}
        return Answer(self._credentials.hide(result), _partial(reply, result), self._credentials.hide(beside))

    def _sent(self, exchange: Exchange, ctx: ToolContext, left: Callable[[], float]) -> Reply:
        declared = self._declared
        for anew in (False, True):
            ready = self._credentials.applied(exchange, ctx, left, anew=anew)
            reply = send(
                ready,
                seconds=left(),
                most_bytes=declared.reply_bytes,
                private=declared.private or stood_in(declared.url, ctx),
                environ=ctx.environ,
            )
            if not self._credentials.is_old(reply):
                break
        return reply


def request_of(call: Call, payload: Mapping[str, Any], url: str, slashes: Collection[str] = ()) -> Exchange:
    """Return the request of a call. Raises ``NotSent`` for an argument that its place cannot hold.

    ``slashes``: the arguments of the path that may have a slash in them.
    """
    path, query, headers = call.path, [], {}
    rest = dict(payload)
    for name, where in call.where.items():
        if name not in rest:
            if where == "path":
                raise NotSent(f"Nothing was sent: {name} is missing, and the path needs it.")
            continue
        texts = _written(name, rest[name], "a URL" if where in ("path", "query") else "a header")
        if where != "path" and any(is_blank(text) for text in texts):
            raise NotSent(
                f"Nothing was sent: {name} is empty, which many servers take for left out: the request may be one for "
                "all. Leave it out, or give a value."
            )
        if where == "query":
            query += [(name, one) for one in texts]
        elif where == "path":
            path = path.replace(f"{{{name}}}", _segment(name, texts, slash=name in slashes))
        else:
            headers[where.removeprefix("header ")] = _listed(name, texts)
        del rest[name]
    if wrong := why_no_path(_SLASH.sub("-", path) if slashes else path):
        raise NotSent(f"Nothing was sent: with these arguments its path {wrong}.")
    body: bytes | None = None
    if call.body is not None:
        body = _json(rest.pop(call.body)) if call.body in rest else None
        if rest:
            raise NotSent(f"Nothing was sent: {', '.join(rest)} has no place in the request.")
    elif rest or call.method in ("POST", "PUT", "PATCH"):
        body = _json(rest)
    if body is not None and call.method in ("GET", "HEAD"):
        raise NotSent(f"Nothing was sent: {', '.join(rest)} has no place in a {call.method}.")
    if body is not None:
        headers["Content-Type"] = call.media_type or "application/json"
    return Exchange(call.method, f"{url}{path}{'?' if query else ''}{urlencode(query, quote_via=quote)}", headers, body)


def check_no_other(call: Call, path: str, calls: Collection[Call]) -> None:
    """Raise ``NotSent`` if a server may read another operation of ``calls`` out of a call's filled ``path``.

    An argument may spell a word of a more concrete path, such as ``/items/all`` beside ``/items/{id}``, or a verb
    behind a colon. A path that the other operation takes whatever the arguments are is in the document so.
    """
    filled, own = as_servers_read(path), _ARGUMENT.sub("\0", call.path)
    for other in calls:
        if other.method != call.method or other.path == call.path:
            continue
        parts = (re.escape(one) for one in _ARGUMENT.split(other.path))
        takes = re.compile("[^/]+".join(parts) + "/?")
        if takes.fullmatch(filled) and not takes.fullmatch(own):
            raise NotSent(
                f"Nothing was sent: with these arguments its path is that of another operation, {other.method} "
                f"{other.path}, which has a tool of its own."
            )


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _segment(name: str, texts: list[str], *, slash: bool) -> str:
    """Return one segment of a path. One that any server may read as two, or as none, would name another resource."""
    for text in texts:
        if wrong := why_no_segment(text, slash=slash):
            raise NotSent(f"Nothing was sent: {name} {wrong}.")
    _listed(name, texts)
    return ",".join(quote(text, safe="") for text in texts)


def _listed(name: str, texts: list[str]) -> str:
    """Return the items of a list as one text."""
    if len(texts) > 1 and any("," in text for text in texts):
        raise NotSent(f"Nothing was sent: {name} is sent as a list between commas, and one of its items has a comma.")
    return ",".join(texts)


def _written(name: str, value: Any, place: str) -> list[str]:
    """Return an argument's texts: those of a list one after the other.

    What its place cannot write is not left out: without it the request would be another one, such as one for all.
    """
    texts = []
    for one in value if isinstance(value, list) else [value]:
        if one is None:
            raise NotSent(f"Nothing was sent: {name} is null, which {place} cannot say. Leave it out, or give a value.")
        if isinstance(one, dict | list):
            raise NotSent(f"Nothing was sent: {name} holds an object or a list of lists: it has no place in {place}.")
        texts.append(json.dumps(one) if isinstance(one, bool | int | float) else str(one))
    if not texts:
        raise NotSent(
            f"Nothing was sent: {name} is an empty list, which {place} cannot say. Leave it out, or name an item."
        )
    return texts


def _partial(reply: Reply, result: JsonValue) -> str:
    """Return why an answer does not say everything; see ``Answer``."""
    if reply.status in (202, 206):
        return f"was answered {reply.status}, so not in whole"
    if _NEXT.search(reply.headers.get("link", "")):
        return "was answered with one page of several (Link: …; rel=next)"
    if not _NO_RANGE.search(reply.headers.get("content-range", "*/*")):
        return "was answered with one page of several (Content-Range)"
    if isinstance(result, dict | list) and occurs_twice(reply.body):
        return "was answered with JSON in which a name occurs twice"
    return "was answered with nothing" if result is None else ""


def body_of(reply: Reply) -> JsonValue:
    """Return a reply's JSON, its text, or None. Raises ``AnswerLost`` for JSON that is none.

    Many servers name another type, or none: an object or a list is read as such under any.
    """
    if not reply.body.strip():
        return None
    kind = reply.headers.get("content-type", "").partition(";")[0].partition(",")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            found: JsonValue = reply.json()
        except (ValueError, RecursionError):
            raise AnswerLost("The server's reply is not the JSON that it says it is.") from None
        return found
    with suppress(ValueError, RecursionError):
        if isinstance(unnamed := reply.json(), dict | list):
            return unnamed
    if kind.startswith("text/") or not kind:
        return reply.text
    return {"content_type": kind, "bytes": len(reply.body)}
