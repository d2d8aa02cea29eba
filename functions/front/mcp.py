"""The Model Context Protocol over single POSTs: JSON-RPC in, JSON-RPC out, no session. Knows tools, but no runs.

::

    body ─▶ one message, or a batch (2025-03-26 only)
             ├ response, notification   accepted (202); a request sent as a notification is not carried out (400)
             └ request ─▶ which version?
                           ├ handshake (2025-…)      initialize, ping, tools/list, tools/call
                           └ stateless (2026-07-28)  server/discover, tools/list, tools/call; headers repeat the body

A fault of the protocol is an error of JSON-RPC. A fault of a tool's arguments or of its work is a tool's result with
``isError``, which a model can read and correct. From the specification, https://modelcontextprotocol.io/specification,
revisions 2025-03-26, 2025-06-18, 2025-11-25 and 2026-07-28.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from ballast.contracts.wire import Wire
from ballast.http.api import read_text
from ballast.http.identity import Right
from ballast.values import dataclass

#: Versions with the handshake ``initialize``, and stateless ones; newest first.
HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26")
STATELESS = ("2026-07-28",)
VERSIONS = (*STATELESS, *HANDSHAKE)
#: The only version with batches. It has no header for its version, so a request without one has it.
_BATCHES = "2025-03-26"
#: Messages of a batch at most: they share the function's 30 seconds.
MAX_BATCH = 8
#: Characters of an id that is a text, and the largest one that is a number.
MAX_ID_CHARS, MAX_ID = 256, 2**53 - 1

PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
HEADER_MISMATCH, NO_VERSION = -32020, -32022
#: The HTTP status of an error in a stateless version. In the others only an unusable message has one of its own.
_STATUS = {PARSE_ERROR: 400, INVALID_REQUEST: 400, INVALID_PARAMS: 400, NO_METHOD: 404} | dict.fromkeys(
    (HEADER_MISMATCH, NO_VERSION), 400
)
_META = "io.modelcontextprotocol/"
_ENCODED = re.compile(r"=\?base64\?([A-Za-z0-9+/]*={0,2})\?=")
#: Milliseconds for which a client may keep the list of tools.
_LIST_TTL_MS = 300_000

Json = dict[str, Any]


class Fault(Exception):
    """A fault of the protocol: an error of JSON-RPC."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data

    def error(self, request_id: Any) -> Json:
        """Return the response that says so. ``request_id`` is None where it could not be read."""
        error: Json = {"code": self.code, "message": self.message}
        error |= {} if self.data is None else {"data": self.data}
        return {"jsonrpc": "2.0", "id": request_id, "error": error}


@dataclass(frozen=True)
class Said:
    """The result of a tool: ``content`` is JSON; ``failed`` where the tool could not do its work."""

    content: Json
    failed: bool = False


@dataclass(frozen=True)
class Tool:
    """A tool as it is listed, and the function that does its work.

    arguments   the model that its arguments are held to
    right       the caller's right that it needs; without it the tool does not exist for the caller
    repeatable  a repeat with the same arguments changes nothing more
    work        does the work for arguments as they were sent. It checks them; it never raises for bad ones
    """

    name: str
    title: str
    description: str
    arguments: type[Wire]
    right: Right
    work: Callable[[Json], Said]
    reads_only: bool = True
    repeatable: bool = True

    def listed(self) -> Json:
        """Return the tool's entry in ``tools/list``."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": schema_of(self.arguments),
            "annotations": {
                "title": self.title,
                "readOnlyHint": self.reads_only,
                "destructiveHint": False,
                "idempotentHint": self.repeatable,
                "openWorldHint": not self.reads_only,
            },
        }


@cache
def schema_of(arguments: type[Wire]) -> Json:
    """Return the JSON Schema of a tool's arguments: no null, no titles, no references."""
    made = arguments.model_json_schema()
    made["properties"] = {name: _plain(one) for name, one in made["properties"].items()}
    return {name: made[name] for name in ("type", "properties", "required", "additionalProperties") if name in made}


def _plain(schema: Json) -> Json:
    """Return the schema of a property. An optional one may be left out; null, which is taken, is not offered."""
    kinds = [kind for kind in schema.pop("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        schema = kinds[0] | schema
    if schema.get("default", "") is None:
        del schema["default"]
    return {name: value for name, value in schema.items() if name != "title"}


@dataclass(frozen=True)
class Reply:
    """An HTTP response: JSON, or nothing."""

    status: int
    body: Any = None


@dataclass(frozen=True)
class Server:
    """A server of ``tools`` to one caller. ``info``: its name and version; ``instructions`` are for the model."""

    tools: Sequence[Tool]
    info: Mapping[str, str]
    instructions: str

    def answer(self, body: str | None, headers: Mapping[str, str]) -> Reply:
        """Return the response to a POST. ``headers``: by lower-case name."""
        try:
            sent = read_text(body or "")
        except ValueError as problem:
            why = " ".join(str(problem).split())[:200]
            return Reply(400, Fault(PARSE_ERROR, f"The body is not JSON: {why}.").error(None))
        return self._batch(sent, headers) if isinstance(sent, list) else self._one(sent, headers)

    def _batch(self, sent: list[Any], headers: Mapping[str, str]) -> Reply:
        if headers.get("mcp-protocol-version", _BATCHES) != _BATCHES:
            return _refused("Send one message in a request: only version 2025-03-26 has batches.")
        if not 1 <= len(sent) <= MAX_BATCH:
            return _refused(f"A batch has 1 to {MAX_BATCH} messages. Send the others in another one.")
        if any(isinstance(one, dict) and one.get("method") == "initialize" for one in sent):
            return _refused("initialize stands alone. Send it in a request of its own.")
        replies = [self._one(one, headers) for one in sent]
        said = [reply.body for reply in replies if reply.body is not None]
        return Reply(min(reply.status for reply in replies if reply.body is not None), said) if said else Reply(202)

    def _one(self, sent: Any, headers: Mapping[str, str]) -> Reply:
        version = headers.get("mcp-protocol-version", _BATCHES)
        try:
            if not isinstance(sent, dict) or sent.get("jsonrpc") != "2.0":
                raise Fault(INVALID_REQUEST, 'A message is a JSON object with "jsonrpc": "2.0".')
            if "method" not in sent and ("result" in sent or "error" in sent):
                if version in STATELESS:
                    raise Fault(INVALID_REQUEST, "This server asks nothing, so it takes no response.")
                return Reply(202)
            method = sent.get("method")
            if not isinstance(method, str) or not 1 <= len(method) <= MAX_ID_CHARS:
                raise Fault(INVALID_REQUEST, f"method must be a text of 1 to {MAX_ID_CHARS} characters.")
            if "id" not in sent:
                return _notified(method, version)
            if not _is_id(sent["id"]):
                raise Fault(
                    INVALID_REQUEST, f"id must be a whole number, or a text of {MAX_ID_CHARS} characters at most."
                )
        except Fault as fault:
            return Reply(400, fault.error(None))
        stateless = method != "initialize" and (method == "server/discover" or version in STATELESS)
        try:
            params = sent.get("params", {})
            if not isinstance(params, dict):
                raise Fault(INVALID_PARAMS, "params must be an object.")
            meta = params.get("_meta", {})
            if not isinstance(meta, dict):
                raise Fault(INVALID_PARAMS, "params._meta must be an object.")
            stateless = stateless or (method != "initialize" and f"{_META}protocolVersion" in meta)
            if stateless:
                _check_stateless(method, params, meta, headers)
            elif method != "initialize" and version not in HANDSHAKE:
                raise _no_version(version)
            result = self._result(method, params, stateless=stateless)
        except Fault as fault:
            legacy = 400 if fault.code == NO_VERSION else 200
            return Reply(_STATUS.get(fault.code, 200) if stateless else legacy, fault.error(sent["id"]))
        return Reply(200, {"jsonrpc": "2.0", "id": sent["id"], "result": result})

    def _result(self, method: str, params: Json, *, stateless: bool) -> Json:
        match method, stateless:
            case "initialize", False:
                wanted = params.get("protocolVersion")
                if not isinstance(wanted, str):
                    raise Fault(INVALID_PARAMS, "params.protocolVersion must be a text.")
                return self._about({"protocolVersion": wanted if wanted in HANDSHAKE else HANDSHAKE[0]})
            case "ping", False:
                return {}
            case "server/discover", True:
                return self._cached(self._about({"supportedVersions": list(VERSIONS)}))
            case "tools/list", _:
                if params.get("cursor") is not None:
                    raise Fault(INVALID_PARAMS, "params.cursor is of no page: the list has one page. Leave it out.")
                listed: Json = {"tools": [tool.listed() for tool in self.tools]}
                return self._cached(listed) if stateless else listed
            case "tools/call", _:
                result = self._call(params)
                return self._complete(result) if stateless else result
        raise Fault(NO_METHOD, "This server has no such method. It has tools/list and tools/call.")

    def _about(self, versions: Json) -> Json:
        more = {"capabilities": {"tools": {}}, "serverInfo": dict(self.info), "instructions": self.instructions}
        return versions | more

    def _complete(self, result: Json) -> Json:
        return {"resultType": "complete", **result, "_meta": {f"{_META}serverInfo": dict(self.info)}}

    def _cached(self, result: Json) -> Json:
        # Private: the list depends on the caller's rights.
        return self._complete(result) | {"ttlMs": _LIST_TTL_MS, "cacheScope": "private"}

    def _call(self, params: Json) -> Json:
        name, arguments = params.get("name"), params.get("arguments")
        if not isinstance(name, str):
            raise Fault(INVALID_PARAMS, "params.name must be a tool's name.")
        if arguments is not None and not isinstance(arguments, dict):
            raise Fault(INVALID_PARAMS, "params.arguments must be an object.")
        tool = next((one for one in self.tools if one.name == name), None)
        if tool is None:  # the name is the sender's text: it is not repeated
            names = ", ".join(one.name for one in self.tools)
            raise Fault(INVALID_PARAMS, f"You have no tool of that name. Your tools: {names}.")
        said = tool.work(arguments or {})
        text = json.dumps(said.content, ensure_ascii=False)
        return {
            "content": [{"type": "text", "text": text}],
            "structuredContent": said.content,
            "isError": said.failed,
        }


def _refused(why: str) -> Reply:
    return Reply(400, Fault(INVALID_REQUEST, why).error(None))


def _notified(method: str, version: str) -> Reply:
    """Return the reply to a notification. None changes anything: there is no session."""
    if version not in VERSIONS:
        raise _no_version(version)
    if not method.startswith("notifications/"):
        raise Fault(INVALID_REQUEST, "A request needs an id. Nothing was done: nobody could be told of the result.")
    return Reply(202)


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_ID_CHARS
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_ID


def _no_version(requested: str) -> Fault:
    data = {"supported": list(VERSIONS), "requested": requested[:40]}
    return Fault(NO_VERSION, f"This server speaks MCP {', '.join(VERSIONS)}.", data)


def _check_stateless(method: str, params: Json, meta: Json, headers: Mapping[str, str]) -> None:
    """Hold a stateless request to its metadata: what stands in the headers must be what stands in the body."""
    for name in ("protocolVersion", "clientCapabilities"):
        if f"{_META}{name}" not in meta:
            raise Fault(INVALID_PARAMS, f"params._meta needs {_META}{name}.")
    version = meta[f"{_META}protocolVersion"]
    if not isinstance(version, str) or not isinstance(meta[f"{_META}clientCapabilities"], dict):
        raise Fault(INVALID_PARAMS, f"params._meta: {_META}protocolVersion is a text, clientCapabilities an object.")
    repeated: dict[str, Any] = {"mcp-protocol-version": version, "mcp-method": method}
    if method == "tools/call":
        repeated["mcp-name"] = params.get("name")
    for name, value in repeated.items():
        if _decoded(headers.get(name)) != value:
            raise Fault(HEADER_MISMATCH, f"The header {name} must repeat what the body says.")
    if version not in STATELESS:
        raise _no_version(version)


def _decoded(header: str | None) -> str | None:
    """Return a header's value; one that is no ASCII text comes in base64."""
    coded = _ENCODED.fullmatch(header or "")
    if coded is None:
        return header
    try:
        return base64.b64decode(coded[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
