"""A ticket desk on loopback that counts its effects, with trouble at chosen requests, and declarations of its tools."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import yaml

from ballast.playbook.servers.declaration import Call, pin


class Desk:
    """A server with POST /tickets, GET /tickets and DELETE /tickets/{id}.

    trouble  of the next requests that write, one each: "crash" (before the effect), "lost" (after it), "slow" (after
             it, until the client has gone), "half" (half of the answer), a number (that status, nothing done), "well"
    answers  instead of what it would answer to requests that write, if anything
    honours  whether a repeated idempotency key has no second effect
    lets_in  the values of the Authorization header that it knows; others get 401. None: it lets everybody in
    """

    def __init__(self, *, honours: bool = True) -> None:
        self.honours, self.trouble, self.answers = honours, deque[Any](), deque[Any]()
        self.lets_in: set[str] | None = None
        self.tickets: list[dict[str, Any]] = []
        self.seen: list[dict[str, Any]] = []
        self._by_key: dict[str, dict[str, Any]] = {}
        self._lock, self._let_go = threading.Lock(), threading.Event()

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="desk")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The URL at which it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, handler: Any) -> None:
        """Answer a request."""
        length = int(handler.headers.get("Content-Length") or 0)
        body = json.loads(handler.rfile.read(length) or b"null")
        path, _, query = handler.path.partition("?")
        self.seen.append(
            {
                "method": handler.command,
                "path": path,
                "query": query,
                "headers": dict(handler.headers.items()),
                "body": body,
            }
        )
        if self.lets_in is not None and handler.headers.get("Authorization") not in self.lets_in:
            self._answer(handler, 401, {"error": "who are you?", "said": handler.headers.get("Authorization", "")})
            return
        if handler.command == "GET":
            self._answer(handler, 200, {"items": [one for one in self.tickets if f"={one['key']}" in f"{query}"]})
            return
        how = self.trouble.popleft() if self.trouble else "well"
        if how == "crash":
            return
        if isinstance(how, int):
            told = {"error": "no", "said": handler.headers.get("Authorization", "")}
            self._answer(handler, how, told, {"Location": self.url} if how // 100 == 3 else {})
            return
        done = self._act(handler, path, body)
        if how == "lost":
            return
        if how == "slow":
            self._let_go.wait(60)
            return
        self._answer(handler, 201, self.answers.popleft() if self.answers else done, half=how == "half")

    def _act(self, handler: Any, path: str, body: Any) -> dict[str, Any]:
        key = handler.headers.get("Idempotency-Key") or (body or {}).get("token") or ""
        with self._lock:
            if self.honours and key in self._by_key:
                return self._by_key[key]
            if handler.command == "DELETE":
                wanted = path.rpartition("/")[2]
                self.tickets[:] = [one for one in self.tickets if str(one["id"]) != wanted]
                done: dict[str, Any] = {"closed": wanted}
            else:
                done = {"id": len(self.seen), "key": key, "text": (body or {}).get("text")}
                self.tickets.append(done)
            self._by_key[key] = done
        return done

    @staticmethod
    def _answer(handler: Any, status: int, body: Any, headers: Mapping[str, str] = {}, *, half: bool = False) -> None:
        text = json.dumps(body).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text[: len(text) // 2] if half else text)


def _handler(desk: Desk) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            try:
                desk.take(self)
            except (BrokenPipeError, ConnectionResetError):
                """The client has gone."""
            self.close_connection = True

        do_GET = do_POST = do_DELETE = _take  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    return Handler


CREATE = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "amount": {"type": "number", "maximum": 500},
        "token": {"type": "string"},
    },
    "required": ["text"],
}
FIND = {"type": "object", "properties": {"key": {"type": "string"}}}
CLOSE = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
KEY = {"key": {"header": "Idempotency-Key"}}
VERIFY = {"verify": {"tool": "desk_find", "arguments": {"key": {"key": True}}, "found": "/items/0"}}


def pinned(
    tool: str,
    schema: Mapping[str, Any],
    call: Mapping[str, Any] | None,
    description: str = "",
    output: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what is pinned of a tool."""
    description = description or f"{tool.capitalize()} a ticket."
    made: dict[str, Any] = {"description": description, "schema": schema}
    made["sha256"] = pin(tool, description, schema, Call.model_validate(call) if call else None, output)
    made |= {"output": dict(output)} if output is not None else {}
    return made | ({"call": dict(call)} if call else {})


def tools(create: Mapping[str, Any] = {}, **others: Mapping[str, Any]) -> dict[str, Any]:
    """Return declarations of the desk's tools; ``create`` has more fields of the one that writes."""
    return {
        "create": {
            "effect": "write",
            "marks": {"/text": "free_text", "/amount": "free_text"},
            "pinned": pinned("create", CREATE, {"method": "POST", "path": "/tickets"}),
            **create,
        },
        "find": {
            "effect": "read",
            "outward": False,
            "pinned": pinned("find", FIND, {"method": "GET", "path": "/tickets", "where": {"key": "query"}}),
        },
        "close": {
            "effect": "write",
            "key": {"header": "Idempotency-Key"},
            "pinned": pinned("close", CLOSE, {"method": "DELETE", "path": "/tickets/{id}", "where": {"id": "path"}}),
        },
        **others,
    }


def declare(playbook: str | Path, name: str, server: Mapping[str, Any], declared: Mapping[str, Any]) -> None:
    """Write ``servers/NAME.yaml`` of a playbook."""
    folder = Path(playbook) / "servers"
    folder.mkdir(exist_ok=True)
    text = yaml.safe_dump({"server": dict(server), "tools": dict(declared)}, sort_keys=False)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def desk_server(**more: Any) -> dict[str, Any]:
    """Return the declaration of the desk's server, whose URL is in the environment."""
    usual = {"kind": "openapi", "url": {"env": "DESK_URL"}, "private": True, "timeout_s": 2}
    return usual | {"circuit": {"failures": 1_000}} | more
