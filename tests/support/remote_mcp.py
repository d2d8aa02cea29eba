"""An MCP server over streamable HTTP on loopback, and on stdio, that counts its effects, with trouble at chosen calls.

As a program it is the server on stdio: ``python -m tests.support.remote_mcp FILE`` appends each effect to the file.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from ballast.playbook.servers.declaration import pin

ADD = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "ref": {"type": "string"}},
    "required": ["text"],
}
FIND = {"type": "object", "properties": {"ref": {"type": "string"}}, "required": ["ref"]}


class Notes:
    """What the server knows: the tools ``add`` and ``find``, and the notes."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []
        self.description, self.schema = "Add a note.", ADD
        self.output: dict[str, Any] | None = None
        self.structured: Any = None
        self.by_key: dict[str, dict[str, Any]] = {}

    def answer(self, message: Mapping[str, Any], key: str | None = None) -> dict[str, Any] | None:
        """Return the response to a message, None for a notification."""
        match message.get("method"):
            case "initialize":
                version = message["params"]["protocolVersion"]
                result: dict[str, Any] = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {}}
            case "server/discover":
                result = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "resultType": "complete"}
            case "tools/list":
                add = {"name": "add", "description": self.description, "inputSchema": self.schema}
                add |= {"outputSchema": self.output} if self.output is not None else {}
                find = {"name": "find", "description": "Find notes.", "inputSchema": FIND}
                pages = {None: ([add], {"nextCursor": "2"}), "2": ([find], {})}
                listed, more = pages[message["params"].get("cursor")]
                result = {"tools": listed, **more}
            case "ping":
                result = {}
            case "tools/call":
                result = self._call(message["params"], key)
            case _:
                return None
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}

    def _call(self, params: Mapping[str, Any], key: str | None) -> dict[str, Any]:
        arguments = params["arguments"]
        if params["name"] == "find":
            found = [one for one in self.notes if one["ref"] == arguments["ref"]]
            return {"content": [{"type": "text", "text": json.dumps(found)}]}
        if arguments["text"] == "bad":
            return {"isError": True, "content": [{"type": "text", "text": "I do not like it."}]}
        key = key or params.get("_meta", {}).get("key")
        if key in self.by_key:
            note = self.by_key[key]
        else:
            note = {"id": len(self.notes) + 1, "text": arguments["text"], "ref": arguments.get("ref")}
            self.notes.append(note)
            self.by_key |= {key: note} if key else {}
        return {"content": [{"type": "text", "text": "done"}], "structuredContent": self.structured or note}


class McpOverHttp(Notes):
    """The server over HTTP.

    trouble  of the next calls: "crash", "lost", "slow", "half", a status, "gone" (the session), "error" (of JSON-RPC,
             and nothing done), a dict (done, with these fields in the response; ``...`` for none), "done and gone",
             "lost and gone" (done, and the server begins anew), "asks" (it sends a request of its own first), "well"
    stream   whether responses come as events
    gone     the status by which it answers a session that it does not know
    """

    gone = 404

    def __init__(self, *, stream: bool, stateless: bool = False) -> None:
        super().__init__()
        self.stateless = stateless
        self.stream, self.trouble, self.seen = stream, deque[Any](), list[tuple[str, dict[str, str], Any]]()
        self._sessions, self._let_go = set[str](), threading.Event()

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="mcp")
        self._thread.start()
        return self

    def forget(self) -> None:
        """Forget all sessions."""
        self._sessions.clear()

    def __exit__(self, *_: object) -> None:
        self._let_go.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The URL of its endpoint."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/mcp"

    @property
    def calls(self) -> list[Any]:
        """The parameters of the calls that arrived."""
        return [message["params"] for method, _, message in self.seen if method == "tools/call"]

    def take(self, handler: Any) -> None:
        """Answer a POST."""
        message = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.seen.append((message["method"], headers, message))
        if self.stateless and (wrong := _no_stateless(message, headers)) is not None:
            text = json.dumps({"jsonrpc": "2.0", "id": message.get("id"), "error": wrong}).encode()
            handler.send_response(400)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(text)))
            handler.end_headers()
            handler.wfile.write(text)
            return
        if self.stateless:
            self._answer(handler, message, headers)
            return
        if message["method"] == "initialize":
            session = f"s-{len(self.seen)}"
            self._sessions.add(session)
            self._say(handler, self.answer(message), {"Mcp-Session-Id": session})
            return
        if headers.get("mcp-session-id") not in self._sessions or headers.get("mcp-protocol-version") is None:
            handler.send_response(self.gone)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        self._answer(handler, message, headers)

    def _answer(self, handler: Any, message: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        calls = message["method"] == "tools/call"
        how = self.trouble.popleft() if calls and self.trouble else "well"
        if how == "crash":
            return
        if isinstance(how, int):
            handler.send_response(how)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if how == "error":
            error = {"code": -32602, "message": "no such argument"}
            self._say(handler, {"jsonrpc": "2.0", "id": message["id"], "error": error}, {})
            return
        if isinstance(how, dict):
            done = self.answer(message, headers.get("x-key")) or {}
            self._say(handler, {key: value for key, value in (done | how).items() if value is not ...}, {})
            return
        if how == "done and gone":
            self.answer(message, headers.get("x-key"))
            how = "gone"
        if how == "lost and gone":
            self.answer(message, headers.get("x-key"))
            self._sessions.clear()
            return
        if how == "gone":
            self._sessions.clear()
            handler.send_response(self.gone)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        said = self.answer(message, headers.get("x-key"))
        if how == "lost":
            return
        if how == "slow":
            self._let_go.wait(60)
            return
        if said is None:
            handler.send_response(202)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        self._say(handler, said, {}, half=how == "half", asks=how == "asks")

    def _say(
        self, handler: Any, said: Any, headers: Mapping[str, str], *, half: bool = False, asks: bool = False
    ) -> None:
        text = json.dumps(said)
        body = text
        if self.stream:
            first = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}
            if asks:
                first = {"jsonrpc": "2.0", "id": said["id"], "method": "sampling/createMessage", "params": {}}
            body = f": hello\n\nevent: message\ndata: {json.dumps(first)}\n\nid: 2\ndata: {text}\n\n"
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream" if self.stream else "application/json")
        if not self.stream:
            handler.send_header("Content-Length", str(len(body.encode())))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        sent = body.encode()
        handler.wfile.write(sent[: len(sent) - 20] if half else sent)


def _no_stateless(message: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the error by which a server without sessions refuses a request that does not describe itself."""
    meta, version = message.get("params", {}).get("_meta", {}), "2026-07-28"
    if message["method"] == "initialize" or meta.get("io.modelcontextprotocol/protocolVersion") != version:
        return {"code": -32022, "message": "Unsupported protocol version", "data": {"supported": [version]}}
    mirrored = {"mcp-protocol-version": version, "mcp-method": message["method"]}
    if message["method"] == "tools/call":
        mirrored["mcp-name"] = message["params"]["name"]
    wrong = {name for name, value in mirrored.items() if headers.get(name) != value} | ({*headers} & {"mcp-session-id"})
    if wrong or "io.modelcontextprotocol/clientCapabilities" not in meta:
        return {"code": -32020, "message": f"Header mismatch: {sorted(wrong)}"}
    return None


def _handler(server: McpOverHttp) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                server.take(self)
            except (BrokenPipeError, ConnectionResetError):
                """The client has gone."""
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    return Handler


def notes_tools(
    add: Mapping[str, Any] = {}, *, description: str = "Add a note.", output: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return declarations of the server's tools; ``add`` has more fields of the one that writes."""
    find = {"description": "Find notes.", "schema": FIND, "sha256": pin("find", "Find notes.", FIND)}
    return {
        "add": {
            "effect": "write",
            "marks": {"/text": "free_text"},
            "pinned": {
                "description": description,
                "schema": ADD,
                **({"output": dict(output)} if output is not None else {}),
                "sha256": pin("add", description, ADD, output=output),
            },
            **add,
        },
        "find": {"effect": "read", "outward": False, "pinned": find},
    }


def main(file: str) -> None:
    """Serve on stdio, and append each note to the file."""
    notes = Notes()
    for line in sys.stdin:
        message = json.loads(line)
        before = len(notes.notes)
        said = notes.answer(message)
        if len(notes.notes) > before:
            with Path(file).open("a", encoding="utf-8") as effects:
                effects.write(f"{notes.notes[-1]['text']}\n")
            if notes.notes[-1]["text"] == "die":
                return
        if said is not None:
            sys.stdout.write(f"{json.dumps(said)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
