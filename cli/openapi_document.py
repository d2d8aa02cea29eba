"""An OpenAPI document (3.0 or 3.1), read as tools: one for each operation that a call can make."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ballast.errors import InvalidInput
from ballast.playbook.servers.checks import MAX_DESCRIPTION, may_be_argument, why_no_path, why_no_url
from ballast.playbook.servers.declaration import Call, KeyHeader
from ballast.playbook.servers.schema import SchemaRefused, normalized
from ballast.playbook.servers.verify import header_takes_a_key
from cli.declaration_file import Imported, ImportedTool
from cli.openapi_forms import LeftOut, as_answered, as_sent, is_read_only, resolved, without_nullable

_METHODS = ("get", "head", "post", "put", "patch", "delete")
#: JSON, under its own name or another one, with its parameters; and under its own.
_JSON = re.compile(r"application/([\w.-]+\+)?json(?=\s*(;|$))")
_USUAL = "application/json"
_KEY_HEADER = "idempotency-key"
#: Larger schemas of results are not pinned.
_MOST_OF_A_RESULT = 8_192
_MOST_BYTES, _MOST_VALUES = 16 * 1_048_576, 4_000_000


def imported(file: Path, *, url: str | None = None, private: bool = False) -> Imported:
    """Return the operations of a document. Raises ``InvalidInput`` for one that cannot be read."""
    document = _read(file)
    version = str(document.get("openapi", document.get("swagger", "")))
    if not version.startswith("3."):
        raise InvalidInput(f"{file}: is OpenAPI {version or 'of no version'}. Convert it to 3.0 or 3.1 first.")
    where = url or _url(document)
    if where is None:
        raise InvalidInput(f"{file}: names no server with a whole URL. Say where requests go: --url https://…")
    if wrong := why_no_url(where, private=private):
        raise InvalidInput(f"--url: {where} {wrong}")
    document = without_nullable(document)
    answered: dict[str, Any] = as_answered(document)
    document = as_sent(document)
    tools, left_out = [], []
    names: set[str] = set()
    for path, declared in document["paths"].items():
        try:
            if wrong := why_no_path(path):
                raise LeftOut(f"its path {wrong}")
            operations = list(_operations(path, resolved(document, declared)))
        except LeftOut as why:
            left_out.append(f"{path}: {why}")
            continue
        for name, method, item, operation in operations:
            try:
                if name in names:
                    raise LeftOut("another operation has that name")
                _check_server(where, operation.get("servers") or item.get("servers"))
                tools.append(_Operation(document, answered, method, path, item, operation).tool(name))
                names.add(name)
            except (LeftOut, SchemaRefused) as problem:
                left_out.append(f"{name} ({method.upper()} {path}): {problem}")
    server = {"kind": "openapi", "url": where, **({"private": True} if private else {})}
    return Imported(server, tuple(tools), tuple(left_out), tuple(_credential_notes(document)))


def _read(file: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
        if len(data) > _MOST_BYTES:
            raise InvalidInput(f"{file}: has more than {_MOST_BYTES} bytes.")
        text = data.decode("utf-8-sig")
        said: Any = json.loads(text) if text.lstrip().startswith("{") else yaml.load(text, _Loader)  # noqa: S506
    except OSError as problem:
        raise InvalidInput(f"{file}: cannot be read ({problem.strerror}).") from None
    except (ValueError, RecursionError, yaml.YAMLError) as problem:
        raise InvalidInput(f"{file}: is neither JSON nor YAML ({type(problem).__name__}).") from None
    if _values(said, {}) > _MOST_VALUES:
        raise InvalidInput(f"{file}: has more than {_MOST_VALUES} values, with those that its aliases repeat.")
    if not isinstance(said, dict) or not isinstance(said.get("paths"), dict):
        raise InvalidInput(f"{file}: is no OpenAPI document: it has no paths.")
    return json.loads(json.dumps(said, default=str))  # type: ignore[no-any-return]  # names that YAML reads as numbers


def _values(value: Any, known: dict[int, int]) -> int:
    """Return how many values there are where each alias of YAML is written out; an alias of itself has no end."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = _MOST_VALUES + 1
        inside = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_values(one, known) for one in inside)
    return known[id(value)]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader that keeps dates as texts."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _url(document: Mapping[str, Any]) -> str | None:
    return next((url for url in _urls(document.get("servers")) if url.startswith("https://")), None)


def _urls(servers: Any) -> Iterator[str]:
    """Yield the URLs of servers, with the defaults of their variables."""
    for server in servers if isinstance(servers, list) else ():
        if not isinstance(server, Mapping):
            continue
        url, variables = str(server.get("url", "")), server.get("variables")
        for name, variable in variables.items() if isinstance(variables, Mapping) else ():
            url = url.replace(f"{{{name}}}", str(variable.get("default", "") if isinstance(variable, Mapping) else ""))
        yield url.rstrip("/")


def _check_server(where: str, own: Any) -> None:
    """Raise ``LeftOut`` for an operation with servers of its own, of which none is the file's."""
    urls = list(_urls(own))
    if urls and where.rstrip("/") not in urls:
        raise LeftOut(
            f"it is served at {urls[0][:200]} and not at {where}. Import it into a file of its own, with --url, --name "
            "and --only"
        )


def _operations(path: str, item: Any) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Yield the operations of a path: name, method, the path's own part, the operation."""
    for method in _METHODS if isinstance(item, Mapping) else ():
        operation = item.get(method)
        if isinstance(operation, Mapping):
            name = str(operation.get("operationId") or f"{method}_{path.strip('/')}")
            name = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or method
            yield name, method, dict(item), dict(operation)


class _Operation:
    def __init__(
        self,
        document: Mapping[str, Any],
        answered: Mapping[str, Any],
        method: str,
        path: str,
        item: Mapping[str, Any],
        operation: Mapping[str, Any],
    ) -> None:
        """``document``: as it describes what is sent; ``answered``: as it describes answers."""
        self._answered = answered
        self._document, self._method, self._path, self._operation = document, method, path, operation
        own = [resolved(document, one) for one in operation.get("parameters") or []]
        keys = {(one.get("name"), one.get("in")) for one in own}
        shared = [resolved(document, one) for one in item.get("parameters") or []]
        self._parameters = [*(one for one in shared if (one.get("name"), one.get("in")) not in keys), *own]
        self._properties: dict[str, Any] = {}
        self._required: list[str] = []
        self._where: dict[str, str] = {}
        self._key: KeyHeader | None = None
        self._media_type: str | None = None
        self._dropped: list[str] = []

    def tool(self, name: str) -> ImportedTool:
        """Return the operation as a tool. Raises ``LeftOut`` or ``SchemaRefused``."""
        for parameter in self._parameters:
            self._add(parameter)
        body = self._body()
        reads = self._method in ("get", "head")
        if self._key is not None and (why := self._why_no_key(self._key, reads=reads)):
            self._dropped.append(why)
            self._key = None
        call = Call(
            method=self._method.upper(),  # type: ignore[arg-type]
            path=self._path,
            where=self._where,
            body=body,
            media_type=self._media_type,
            key=self._key,
        )
        placed = {one for one, where in self._where.items() if where == "path"}
        if placed != set(re.findall(r"\{([^{}]*)\}", self._path)):
            raise LeftOut("its path names parameters that it does not declare")
        schema = {"type": "object", "properties": self._properties}
        if self._required:
            schema["required"] = self._required
        notes = ["It is deprecated."] if self._operation.get("deprecated") else []
        more = (("key", {"header": self._key.header}),) if self._key else ()
        return ImportedTool(
            name,
            self._description(),
            normalized(schema, self._document),
            "read" if reads else "write",
            call,
            more,
            tuple(notes),
            self._output(),
            tuple(self._dropped),
        )

    @staticmethod
    def _why_no_key(key: KeyHeader, *, reads: bool) -> str | None:
        """Return why the header of a key is not sent, None if it is. Raises ``LeftOut`` where it must be."""
        if reads:
            return f"the header {key.header}"
        if header_takes_a_key(key.schema_):
            return None
        why = f"the header {key.header}, which takes neither a key as text nor a UUID"
        if key.required:
            raise LeftOut(f"it needs {why}")
        return why

    def _output(self) -> dict[str, Any] | None:
        """Return the schema of its results; None where the document gives none, or one that nobody would review."""
        forms: list[Any] = []
        operation = resolved(self._answered, self._answered["paths"][self._path])[self._method]
        for status, declared in (operation.get("responses") or {}).items():
            if not re.fullmatch(r"2(\d\d|XX)", str(status)):
                continue
            response = resolved(self._answered, declared) or {}
            content = response.get("content") or {}
            kind = next(filter(_JSON.match, content), None)
            if content and (kind is None or not (content[kind] or {}).get("schema")):
                return None  # a text, or a form that is not told
            forms.append(content[kind]["schema"] if kind else {"type": "null"})
        if all(form == {"type": "null"} for form in forms):
            return None
        try:
            output = normalized(
                forms[0] if len(forms) == 1 else {"anyOf": forms},
                self._answered,
                of_object=False,
            )
        except SchemaRefused:
            return None
        return output if len(json.dumps(output)) <= _MOST_OF_A_RESULT else None

    def _description(self) -> str:
        summary, text = (str(self._operation.get(one) or "").strip() for one in ("summary", "description"))
        whole = "\n\n".join(filter(None, [summary, text if text != summary else ""]))
        short = whole if len(whole) <= MAX_DESCRIPTION else summary
        return short or f"{self._method.upper()} {self._path}"

    def _add(self, parameter: Mapping[str, Any]) -> None:
        name, where = str(parameter.get("name", "")), str(parameter.get("in", ""))
        required = parameter.get("required") is True or where == "path"
        if where == "header" and name.lower() == _KEY_HEADER:
            self._key = self._key_header(name, parameter, required=required)
            return
        if where == "cookie" or (where == "header" and not may_be_argument(name)):
            if required and where == "cookie":
                raise LeftOut(f"it needs the cookie {name}")
            self._dropped.append(f"the {where} {name}")
            return
        schema = parameter.get("schema")
        if schema is None:
            content = parameter.get("content")
            written = f"{name} is written as {', '.join(content) if content else 'nothing that is known'}"
            if not required:
                self._dropped.append(written)
                return
            raise LeftOut(written)
        usual = {"query": "form", "path": "simple", "header": "simple"}
        if (
            where not in usual
            or parameter.get("style", usual[where]) != usual[where]
            or (where == "query" and parameter.get("explode", True) is not True)
        ):
            style = parameter.get("style", usual.get(where, "form"))
            written = f"{name} ({where or 'nowhere'}) is written in the style {style}"
            written += ", which is not supported" if parameter.get("explode") is not False else " without explode"
            if not required:
                self._dropped.append(written)
                return
            raise LeftOut(written)
        if (wrong := self._unwritable(schema)) is not None:
            written = f"{name} ({where}) is {wrong}, which has no place there"
            if not required:
                self._dropped.append(written)
                return
            raise LeftOut(written)
        if name in self._properties:
            raise LeftOut(f"two of its parameters are named {name}")
        described = parameter.get("description")
        made = dict(schema) if isinstance(schema, Mapping) else {}
        if described and "$ref" not in made:
            made.setdefault("description", str(described))
        self._properties[name] = made
        self._where[name] = f"header {name}" if where == "header" else where
        if required:
            self._required.append(name)

    def _key_header(self, name: str, parameter: Mapping[str, Any], *, required: bool) -> KeyHeader:
        """Return the header of a key with its schema, which is {} where the document says nothing of it."""
        schema = parameter.get("schema")
        if schema is None:  # or one media type, which a header's text has
            schema = next(((one or {}).get("schema") for one in (parameter.get("content") or {}).values()), None)
        made = normalized({} if schema is None else schema, self._document, of_object=False)
        return KeyHeader(header=name, schema=made, required=required)

    def _unwritable(self, schema: Any, *, item: bool = False) -> str | None:
        """Return what a parameter is if no value of it can be written outside of a body, None if one can."""
        found = resolved(self._document, schema)
        kind = found.get("type") if isinstance(found, Mapping) else None
        kinds = {kind} if isinstance(kind, str) else set(kind or ())
        if kinds and kinds <= {"object", "null"}:
            return "a list of objects" if item else "an object"
        if kinds and kinds <= {"array", "null"}:
            return "a list of lists" if item else self._unwritable(found.get("items"), item=True)
        return None

    def _body(self) -> str | None:
        """Add the arguments of the body; return the name of the one that is all of it, None for one a field."""
        declared = resolved(self._document, self._operation.get("requestBody"))
        if not declared:
            return None
        content = declared.get("content") or {}
        kinds = sorted(filter(_JSON.match, content), key=lambda one: not one.startswith(_USUAL))
        kind = next(iter(kinds), None)
        if kind is None:
            written = f"its body is {', '.join(content) or 'unknown'}, not JSON"
            # Without all of its body, a write would do something else than it says.
            if declared.get("required") is True or self._method not in ("get", "head"):
                raise LeftOut(written)
            self._dropped.append(written)
            return None
        if self._method in ("get", "head"):
            raise LeftOut("it reads with a body")
        if not kind.startswith(_USUAL):
            self._media_type = kind
        self._dropped += [f"its body as {one}" for one in kinds[1:]]
        schema = copy.deepcopy(content[kind].get("schema") or {})
        flat = resolved(self._document, schema)
        composed = any(key in flat for key in ("allOf", "anyOf", "oneOf", "not", "if", "discriminator"))
        fields = flat.get("properties")
        closed = flat.get("additionalProperties") in (None, False)
        plain = not composed and closed and flat.get("type", "object") == "object"
        # An optional body with required fields would make them required always.
        whole = declared.get("required") is True or not flat.get("required")
        if isinstance(fields, Mapping) and plain and whole and not self._properties.keys() & fields.keys():
            self._properties |= {name: one for name, one in fields.items() if not is_read_only(self._document, one)}
            self._required += flat.get("required", [])
            return None
        name = next(one for one in ("body", "request_body", "json_body") if one not in self._properties)
        self._properties[name] = schema
        if declared.get("required") is True:
            self._required.append(name)
        return name


def _credential_notes(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield how the document says that a caller proves who it is, as lines to declare."""
    for name, scheme in ((document.get("components") or {}).get("securitySchemes") or {}).items():
        store = {"secretsmanager": {"env": f"{re.sub(r'[^A-Z0-9]+', '_', name.upper()).strip('_') or 'API'}_SECRET"}}
        match scheme:
            case {"type": "apiKey", "in": "header", "name": header}:
                yield _credential(kind="header", header=header, secret=store)
            case {"type": "apiKey", "in": "query", "name": query}:
                yield _credential(kind="query", name=query, secret=store)
            case {"type": "http", "scheme": "bearer" | "Bearer"}:
                yield _credential(kind="header", prefix="Bearer ", secret=store)
            case {"type": "http", "scheme": "basic" | "Basic"}:
                yield _credential(kind="basic", user="NAME", password=store)
            case {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": token_url}}}:
                yield _credential(kind="oauth", token_url=token_url, client_id="ID", client_secret=store)


def _credential(**declared: Any) -> str:
    """Return a credential as one line of YAML, in which the document's words are no more than values."""
    made = yaml.safe_dump({"credential": declared}, default_flow_style=True, sort_keys=False, width=10**9)
    return made.strip().removeprefix("{").removesuffix("}")
