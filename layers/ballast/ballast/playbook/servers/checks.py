"""Read a file of ``servers/``, and find what of it contradicts itself. Errors name the file, the field and a remedy."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from ballast.contracts.wire import canonical, complaints
from ballast.errors import PlaybookInvalid
from ballast.playbook.servers.declaration import (
    Call,
    Declaration,
    DeclaredTool,
    HeaderCredential,
    LambdaServer,
    McpServer,
    OAuthCredential,
    QueryCredential,
    RequesterCredential,
    Server,
    token_name,
)
from ballast.playbook.servers.proof import SAY_NOTHING
from ballast.yaml_files import load, without_twice

SERVER_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
#: Characters of a path, as RFC 3986 has them.
_PATH = re.compile(r"[A-Za-z0-9._~%!$&'()*+,;=:@/-]")
#: Percent signs that are escaped again, characters as IIS escapes them, and how often a path is decoded.
_AGAIN, _ESCAPED, _MOST_DECODED = re.compile("(?<=%)(?:25)+"), re.compile("%[uU]([0-9A-Fa-f]{4})"), 8
_MEDIA_TYPE = re.compile(
    r"application/([\w.-]+\+)?json(\s*;\s*[\w-]+=([\w.-]+|\"[\w .-]+\"))*", re.ASCII | re.IGNORECASE
)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
#: A Lambda function as Invoke takes it: a name, a partial ARN or an ARN, with a version or an alias.
_FUNCTION = re.compile(
    r"(arn:aws[a-zA-Z-]*:lambda:[a-z0-9-]+:)?([0-9]{12}:)?(function:)?[A-Za-z0-9_-]{1,140}(:[A-Za-z0-9_$-]{1,128})?"
)
#: Headers that the transport sets, or that carry credentials.
RESERVED_HEADERS = frozenset(
    [
        "authorization",
        "cookie",
        "proxy-authorization",
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "connection",
        "upgrade",
        "accept-encoding",
        "te",
        "trailer",
        "expect",
        "mcp-session-id",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
    ]
)
#: Headers by which a caller would be somebody else, or the request another one. No argument may set them.
_STEERING = re.compile(
    r"x-forwarded(-.*)?|forwarded|via|x-real-ip|x-(http-)?method(-override)?|x-original-(url|uri|host)|x-rewrite-url"
    r"|x-host|.*-client-ip"
)
#: Characters that a person who reviews a text does not see, and a model reads.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\U000e0000-\U000e0fff]|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
MAX_DESCRIPTION = 8_000


def read_declaration(file: Path) -> Declaration:
    """Read and check a file of ``servers/``. Raises ``PlaybookInvalid`` with the file, the field and a remedy."""
    if not SERVER_NAME.fullmatch(file.stem):
        raise PlaybookInvalid(f"{file}: a server's name is 1 to 32 small letters, digits and _. Rename the file.")
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise PlaybookInvalid(f"{file}: cannot be read ({type(problem).__name__}).") from None
    return checked_declaration(file, data_of(file, text))


def data_of(file: Path, text: str) -> Any:
    """Return the data of a declaration's text. Raises ``PlaybookInvalid``, also for a key that stands twice."""
    import yaml

    try:
        return load(text, _loader(yaml))
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise PlaybookInvalid(f"{file}: is not YAML{line}: {getattr(problem, 'problem', problem)}.") from None
    except (ValueError, RecursionError) as problem:
        raise PlaybookInvalid(f"{file}: is not YAML ({type(problem).__name__}).") from None


def wanted_tokens(playbook: Path) -> frozenset[str]:
    """Return the names of the requester's tokens that the servers of a playbook's folder want.

    None of the playbook's code is run. Raises ``PlaybookInvalid``.
    """
    names = (token_name(read_declaration(file).server) for file in sorted((playbook / "servers").glob("*.yaml")))
    return frozenset(name for name in names if name is not None)


def _loader(yaml: Any) -> Any:
    """Return a safe loader that keeps dates as texts: a schema's examples and defaults are JSON."""
    base = without_twice(getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    resolvers = {
        first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
        for first, pairs in base.yaml_implicit_resolvers.items()
    }
    return type("_Loader", (base,), {"yaml_implicit_resolvers": resolvers})


def checked_declaration(file: Path, data: Any) -> Declaration:
    """Return ``data``, the content of ``file``, as a declaration.

    Raises ``PlaybookInvalid``; where fields are wrong, its cause is pydantic's error.
    """
    if not isinstance(data, Mapping):
        raise PlaybookInvalid(f"{file}: must have the keys server and tools. Write it with `ballast import`.")
    try:
        made = Declaration.model_validate_json(canonical(data))
    except ValidationError as problem:
        raise PlaybookInvalid(f"{file}: {complaints(problem)}.") from problem
    except (TypeError, ValueError):
        raise PlaybookInvalid(
            f"{file}: holds something that JSON has not: a date, a NaN, a key that is no text."
        ) from None
    if wrong := next(_of_server(made.server), None):
        raise PlaybookInvalid(f"{file}: server.{wrong}")
    for name, tool in made.tools.items():
        if wrong := next(_of_tool(name, tool, made.server), None):
            raise PlaybookInvalid(f"{file}: tools.{name}.{wrong}")
    return made


def _of_server(server: Server) -> Iterator[str]:
    """Yield what contradicts itself in a server, the field first."""
    if isinstance(server, LambdaServer):
        if isinstance(server.function, str) and not _FUNCTION.fullmatch(server.function):
            yield "function: must be the name of a Lambda function or its ARN, with a version or an alias if need be."
        return
    if isinstance(server, McpServer):
        if server.url is None and server.stdio is None:
            yield "url: is missing. Name the server's URL, or the command of a local one under stdio."
        if server.stdio is not None and (not server.stdio or not all(server.stdio)):
            yield "stdio: must be the words of a command, such as [uvx, mcp-server-time]."
        if server.url is None and server.credential is not None:
            yield "credential: needs a url. A server on stdio has no credential of Ballast's."
    if isinstance(server.url, str) and (wrong := why_no_url(server.url, private=server.private)):
        yield f"url: {wrong}"
    for name, value in server.headers.items():
        if not _HEADER.fullmatch(name) or not _is_header_value(value):
            yield f"headers.{name}: must be one line of printable ASCII under a header's name."
        if name.lower() in RESERVED_HEADERS:
            yield f"headers.{name}: is set by the transport. A secret belongs under credential."
    credential = server.credential
    token_url = credential.token_url if isinstance(credential, OAuthCredential) else None
    if isinstance(token_url, str) and (wrong := why_no_url(token_url, private=server.private)):
        yield f"credential.token_url: {wrong}"
    if isinstance(credential, HeaderCredential | RequesterCredential) and not _HEADER.fullmatch(credential.header):
        yield f"credential.header: {credential.header!r} is no header's name."


def why_no_url(url: str, *, private: bool) -> str | None:
    """Return why a URL cannot be a server's, None if it can."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL."
    if any(ord(char) <= 32 or ord(char) > 126 for char in url):
        return "must be printable ASCII without spaces."
    if parts.username is not None or parts.password is not None:
        return "holds a user or a password. Put it under credential."
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        return "must be https://HOST/PATH."
    if parts.scheme == "http" and not private:
        return "must be https. Plain http is for a server in your own network: then say private: true."
    if parts.fragment or parts.query:
        return "must end before ? and #."
    return None


def _of_tool(name: str, tool: DeclaredTool, server: Server) -> Iterator[str]:
    """Yield what contradicts itself in a tool, the field first."""
    pinned = tool.pinned
    if _unseen(name):
        yield "(name): has characters that nobody sees, or a line's end. Ask the server's owner why."
    if pinned.sha256 != pinned.digest(name):
        yield (
            "pinned: has changed since it was pinned. Read what it says; then write its hash anew with "
            "`ballast import … --pin`."
        )
    for field, text in (("description", tool.description), ("pinned.description", pinned.description)):
        if text and _INVISIBLE.search(text):
            yield f"{field}: has characters that nobody sees and the model reads. Write another description."
        if text and len(text) > MAX_DESCRIPTION:
            yield f"{field}: has more than {MAX_DESCRIPTION} characters. Write a shorter description."
    for field, schema in (("schema", pinned.schema_), ("output", pinned.output)):
        if _INVISIBLE.search(_texts(schema)) or any(_unseen(one) for one in _names(schema)):
            yield f"pinned.{field}: has characters that nobody sees and the model reads. Ask the server's owner why."
    if not (tool.description or pinned.description).strip():
        yield "description: is missing, and the server says nothing. Say what the tool does, and when to use it."
    if tool.effect == "read":
        for field in ("key", "idempotent", "verify", "undo", "on_rollback", "moves"):
            if getattr(tool, field) is not None:
                yield f"{field}: is for a write, and the effect is read. Remove it, or declare a write."
    elif tool.outward is not None:
        yield "outward: is for a read; the arguments of a write are always checked."
    if tool.moves is not None and tool.moves.undo_gives_back and tool.undo is None:
        yield "moves.undo_gives_back: needs an undo."
    yield from _of_key(tool, server)
    if (pinned.call is None) == (server.kind == "openapi"):
        word = "is missing" if server.kind == "openapi" else "is for a server of the kind openapi"
        yield f"pinned.call: {word}. Import the tool again."
    if tool.slashes and pinned.call is None:
        yield "slashes: is for arguments in the path of an operation of openapi. Remove it."
    if pinned.call is not None:
        yield from _of_call(pinned.call, tool, server)
    for refusal in tool.refusals:
        if (refusal == "error") == (server.kind == "openapi"):
            yield "refusals: are HTTP statuses for openapi, and the word error for mcp and lambda."
        if refusal == "error" and tool.effect == "write" and server.kind == "mcp" and pinned.output is not None:
            yield (
                "refusals: error proves nothing of a tool with pinned.output: a server that checks its results answers "
                "with an error after the effect. Remove it, and declare a key or a verify."
            )
        if isinstance(refusal, int) and not 400 <= refusal <= 499:
            yield f"refusals: {refusal} is no status by which a server refuses. Use 400 to 499."
    if tool.verify is not None:
        if tool.verify.found is not None and not tool.verify.found.startswith("/"):
            yield "verify.found: must be a JSON pointer into the read's result, with its slash, such as /items/0."
        for status in tool.verify.absent:
            if not 400 <= status <= 499 or status in SAY_NOTHING:
                yield (
                    f"verify.absent: {status} is no status by which a read says that nothing is there: an outage, or a "
                    "caller who is not let in, would count as proof that it did not happen. Use such as 404 or 410."
                )
        if any(one.result is not None for one in tool.verify.arguments.values()):
            yield "verify.arguments: may not use the result: verify is asked where there is none."
        if tool.key is None and (asked := next((name for name, one in tool.verify.arguments.items() if one.key), None)):
            places = " or ".join(places_of_a_key(server.kind, over_http=_is_over_http(server)))
            yield (
                f"verify.arguments.{asked}: asks by the call's key, which is never sent, so that nothing would be "
                f"found, and the call would be sent again. Say where it goes, key: {places}, or ask by an argument: "
                "{argument: /NAME}."
            )
    if tool.undo is not None and (
        asked := next((n for n, one in (tool.undo.arguments or {}).items() if one.key), None)
    ):
        yield f"undo.arguments.{asked}: an undo has a key of its own. Take a value of the result."


def places_of_a_key(kind: str, *, over_http: bool = True) -> tuple[str, ...]:
    """Return what `key:` may be for a server of that kind, the usual one first."""
    argument, meta, header = "{argument: NAME}", "{meta: NAME}", "{header: Idempotency-Key}"
    if kind == "openapi":
        return header, argument
    return (argument,) if kind == "lambda" else (meta, argument, *([header] if over_http else []))


def _is_over_http(server: Server) -> bool:
    return not isinstance(server, LambdaServer) and server.url is not None


def _of_key(tool: DeclaredTool, server: Server) -> Iterator[str]:
    key = tool.key
    if key is None:
        return
    if tool.idempotent:
        yield "idempotent: says that the call needs no key, and it has one. Remove key, or idempotent."
    if key.header is not None:
        others = _taken(server)
        placed = tool.pinned.call.where if tool.pinned.call is not None else {}
        if said := next((name for name, at in placed.items() if at.lower() == f"header {key.header.lower()}"), None):
            yield f"key.header: the header {key.header} is the tool's argument {said}. Say key: {{argument: {said}}}."
        if says := others.get(f"header {key.header.lower()}"):
            yield f"key.header: {key.header} is set by {says}, too. Remove one of them."
        if server.kind == "lambda":
            yield "key.header: a Lambda function has no headers. Use key.argument."
        elif not _HEADER.fullmatch(key.header) or key.header.lower() in RESERVED_HEADERS:
            yield f"key.header: {key.header!r} is no header that a key can have. Most servers read Idempotency-Key."
        elif isinstance(server, McpServer) and server.url is None:
            yield "key.header: a server on stdio has no headers. Use key.argument or key.meta."
    if key.meta is not None and server.kind != "mcp":
        yield "key.meta: only an MCP server reads _meta."
    if key.argument is not None and key.argument in tool.set:
        yield f"key.argument: {key.argument} has a fixed value under set. Remove one of them."


def may_be_argument(header: str) -> bool:
    """Say whether an argument of a call may set that header."""
    return header.lower() not in RESERVED_HEADERS and not _STEERING.fullmatch(header.lower())


def _taken(server: Server) -> dict[str, str]:
    """Return what the executor itself sends, ``header NAME`` or ``query NAME`` in small letters, and who says so."""
    if isinstance(server, LambdaServer):
        return {}
    taken = {f"header {name.lower()}": "server.headers" for name in server.headers}
    if isinstance(server.credential, HeaderCredential | RequesterCredential):
        taken[f"header {server.credential.header.lower()}"] = "server.credential"
    if isinstance(server.credential, QueryCredential):
        taken[f"query {server.credential.name.lower()}"] = "server.credential"
    return taken


def _of_call(call: Call, tool: DeclaredTool, server: Server) -> Iterator[str]:
    taken = _taken(server)
    for name, where in call.where.items():
        place = f"query {name}".lower() if where == "query" else where.lower()
        if place in taken:
            yield (
                f"pinned.call.where.{name}: sets the {place}, as {taken[place]} does. Remove one of them; a value that "
                "is always the same can stand under `set`."
            )
        if place.startswith("header "):
            taken[place] = "another argument"
    named = set(re.findall(r"\{([^{}]*)\}", call.path))
    placed = {name for name, where in call.where.items() if where == "path"}
    if wrong := why_no_path(call.path):
        yield f"pinned.call.path: {wrong}. Import the tool again, or correct the document."
    if stray := next((one for one in tool.slashes if one not in placed), None):
        yield f"slashes: {stray} is no argument of the path. It has: {', '.join(sorted(placed)) or 'none'}."
    if call.media_type is not None and not _MEDIA_TYPE.fullmatch(call.media_type):
        yield f"pinned.call.media_type: must be JSON, such as application/merge-patch+json, not {call.media_type!r}."
    if named != placed:
        yield f"pinned.call.path: names {', '.join(sorted(named ^ placed))}, and pinned.call.where does not agree."
    for name, where in call.where.items():
        header = where.removeprefix("header ")
        if where not in ("path", "query") and (not where.startswith("header ") or not _HEADER.fullmatch(header)):
            yield f"pinned.call.where.{name}: must be path, query, or `header <Name>`, not {where!r}."
        if where.startswith("header ") and not may_be_argument(header):
            yield f"pinned.call.where.{name}: no argument may set the header {header}."
    if call.method in ("PUT", "PATCH", "DELETE") and tool.effect == "read":
        yield f"effect: {call.method} changes something. Declare a write."


def why_no_path(path: str) -> str | None:
    """Return why a text is no path of an operation, which goes behind the server's URL; None if it is one.

    A path that a server or a proxy resolves to another one is none: ``//host``, ``/../``, ``/%2e%2e/``, ``/a\\b``. What
    an argument may be in it says ``why_no_segment``.
    """
    if not path.startswith("/"):
        return "must begin with /"
    filled = re.sub(r"\{[^{}]*\}", "x", path)  # an argument is one segment, and never only dots
    if stray := next((char for char in filled if not _PATH.fullmatch(char)), None):
        return f"must have letters, digits and the signs of a path alone, not {stray!a}"
    segments = [as_servers_read(one) for one in filled.split("/")[1:]]
    if any(one.partition(";")[0] in (".", "..") or "/" in one or "\\" in one for one in segments):
        return "must not lead out of itself: it has a segment . or .., or an escaped separator"
    if "" in segments[:-1]:
        return "must not have an empty segment, such as //"
    return None


def why_no_segment(text: str, *, slash: bool = False) -> str | None:
    """Return why an argument cannot stand in a path, whoever resolves it; None if it can.

    Servers and proxies decode a path before they look for its operation, some more than once, and drop spaces and what
    stands behind a semicolon. ``slash``: whether a slash may be in it.
    """
    read = as_servers_read(text)
    if any(ord(char) < 32 or 127 <= ord(char) < 160 or char in "\u2028\u2029" for char in read):
        return "has a control character, which a path cannot hold"
    if "\\" in read or ("/" in read and not slash):
        return "has a slash, a backslash or one that is escaped, so that a server may read another operation out of it"
    if any(is_blank(one.partition(";")[0].replace(".", "")) for one in read.split("/")):
        return "must name something in the path, and cannot be empty or only dots"
    return None


def is_blank(text: str) -> bool:
    """Say whether a text has nothing that anybody sees: it is empty, or has spaces and invisible characters alone."""
    return all(unicodedata.category(char)[0] in "ZC" for char in text)


def as_servers_read(text: str) -> str:
    """Return a part of a path as far as any server decodes it, and with the signs for which some take similar ones."""
    for _ in range(_MOST_DECODED):
        before = text
        text = unicodedata.normalize(
            "NFKC", unquote(_ESCAPED.sub(lambda one: chr(int(one[1], 16)), _AGAIN.sub("", text)))
        )
        if text == before:
            return text
    return "/"  # nobody escapes so often who does not hide something


def _is_header_value(value: str) -> bool:
    return all(32 <= ord(char) <= 126 for char in value)


def _unseen(name: str) -> bool:
    """Say whether a name has characters that nobody sees: other than a text, it has one line."""
    return "\n" in name or "\t" in name or _INVISIBLE.search(name) is not None


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from map(str, value)
    for one in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _names(one)


def _texts(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "\n".join((*map(str, value), *map(_texts, value.values())))
    return "\n".join(map(_texts, value)) if isinstance(value, list) else ""
