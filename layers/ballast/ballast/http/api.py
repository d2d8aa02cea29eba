"""The HTTP API of one function: Powertools' resolver with identities and one form of errors.

A request is checked in this order: its form (400, 413, 415), the caller (401, 403), the route (404, 405), its
parameters and body (422). Then the route's function runs.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
import traceback
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.api_gateway import ResponseBuilder, Route
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from ballast.contracts.wire import read_json
from ballast.http.identity import Caller, Callers
from ballast.http.problem import Problem, invalid, invalid_fields, problem_of
from ballast.runtime import Runtime

#: Bytes of a request's body at most: Step Functions takes no more as an execution's input.
MAX_BODY_BYTES = 256 * 1024
#: The same for a body with files, which do not go there; Lambda's event has 6 MiB.
MAX_LARGE_BODY_BYTES = 6 * 1024 * 1024
_WITH_FILES = '"attachments"'
_OURS = "application/json"


class HttpApi(APIGatewayHttpResolver):
    """The routes of one function. ``public`` paths need no identity; they hold no data. ``large`` ones take files.

    ``bodies`` describes, as OpenAPI does, the bodies of paths whose routes read them themselves.

    Relies on private parts of Powertools, which the layer pins: how it finds a route and calls it.

    Powertools keeps the current request in attributes of a class, since Lambda sends one at a time; ``ballast up``
    serves several at once, so each thread has its own here.
    """

    def __init__(
        self,
        *,
        public: frozenset[str] = frozenset(),
        large: frozenset[str] = frozenset(),
        bodies: Mapping[str, Any] | None = None,
    ) -> None:
        self._own = threading.local()
        self._building = threading.Lock()
        self._public, self._large, self.bodies = public, large, bodies or {}
        super().__init__(
            enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=read_body
        )
        self.exception_handler_manager.update_exception_handlers({Exception: _raised})

    def answer(
        self, event: Any, context: Any, runtime: Runtime, extras: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the response to API Gateway's ``event`` (payload 2.0). Never raises.

        extras  what the routes find in ``self.extras``
        """
        own = self._own
        own.runtime, own.lambda_context, own.extras, own.caller = runtime, context, extras or {}, None
        try:
            own.current_event = self._to_proxy_event(read_event(event, self._large))
            response: dict[str, Any] = self._build_response(self._resolve())
        except Exception as error:
            response = self.problem(error, event).response()
        finally:
            self.context = {}
        return response

    @property
    def runtime(self) -> Runtime:
        """The function's runtime."""
        runtime: Runtime = self._own.runtime
        return runtime

    @property
    def caller(self) -> Caller:
        """The caller. Public routes have none."""
        caller: Caller = self._own.caller
        return caller

    @property
    def extras(self) -> Mapping[str, Any]:
        """The handler's own values, as given to ``answer``."""
        extras: Mapping[str, Any] = self._own.extras
        return extras

    def _call_route(self, route: Route, route_arguments: dict[str, str]) -> ResponseBuilder[Any]:
        if route.path not in self._public:
            self._identify()
        with self._building:
            # Powertools does it at the first request, and twice if two come at once.
            if not route._middleware_stack_built:
                route._build_middleware_stack(self._router_middlewares, self)
        return super()._call_route(route, route_arguments)

    def _handle_not_found(self, method: str, path: str) -> ResponseBuilder[Any]:
        self._identify()
        routes = [*self._static_routes, *self._dynamic_routes]
        methods = sorted({route.method for route in routes if route.rule.match(path)})
        if not methods:
            raise Problem(404, "Not found", "This API has no such path; /openapi.json lists its paths.")
        allowed = ", ".join(methods)
        raise Problem(405, "Method not allowed", f"This path takes {allowed}.", headers={"Allow": allowed})

    def _identify(self) -> None:
        callers = self.runtime.get(Callers.of)
        self._own.caller = callers.identify(self.current_event["requestContext"].get("authorizer"))

    def problem(self, error: Exception, event: Any) -> Problem:
        """Return the masked problem of an error; a defect is logged with the ``event`` in mind."""
        if isinstance(error, RequestValidationError):
            found = invalid_fields(error.errors())
        else:
            found = problem_of(error) or self._defect(error, event)
        return found.masked(self.runtime.masked)

    def _defect(self, error: Exception, event: Any) -> Problem:
        """Log a defect; tell the caller only how to find it in the log."""
        request_id = getattr(self._own.lambda_context, "aws_request_id", None) or "unknown"
        instance = f"urn:ballast:request:{request_id}"
        trace = self.runtime.masked("".join(traceback.format_exception(error)), event)
        self.runtime.emit(json.dumps({"level": "ERROR", "message": "defect", "instance": instance, "trace": trace}))
        detail = "Ballast failed. Its log says more, under this problem's instance."
        return Problem(500, "Internal error", detail, instance=instance)


def _raised(error: Exception) -> None:
    """Pass every error on to ``HttpApi.answer``, which gives it its form."""
    raise error


def _of_the_thread(name: str, empty: Any = None) -> Any:
    """Return a property with one value a thread."""

    def get(self: Any) -> Any:
        own = self._own
        if not hasattr(own, name):
            setattr(own, name, empty() if empty else None)
        return getattr(own, name)

    def put(self: Any, value: Any) -> None:
        setattr(self._own, name, value)

    return property(get, put)


for _name, _empty in (("current_event", None), ("lambda_context", None), ("context", dict)):
    setattr(HttpApi, _name, _of_the_thread(_name, _empty))


# The event


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, defer_build=True)


class _Http(_Part):
    method: str = Field(min_length=1, max_length=16)


class _RequestContext(_Part):
    http: _Http
    authorizer: dict[str, Any] | None = None


class _GatewayEvent(_Part):
    version: str = Field(pattern=r"^2\.0$")
    raw_path: str = Field(alias="rawPath")
    raw_query_string: str = Field(default="", alias="rawQueryString")
    query_string: dict[str, str] | None = Field(default=None, alias="queryStringParameters")
    headers: dict[str, str] = Field(default_factory=dict)
    cookies: list[str] | None = None
    body: str | None = None
    is_base64: bool = Field(default=False, alias="isBase64Encoded")
    request_context: _RequestContext = Field(alias="requestContext")


def read_event(event: Any, large: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the checked ``event``, with its body as text. Raises ``Problem`` (400, 413, 415).

    large  paths whose bodies may have ``MAX_LARGE_BODY_BYTES`` if they have files
    """
    try:
        read = _GatewayEvent.model_validate(event)
    except (ValidationError, RecursionError):
        raise Problem(400, "Bad request", "This is not an event of an HTTP API (payload format 2.0).") from None
    headers = {name.lower(): value for name, value in read.headers.items()}
    # Only POST has a body here.
    is_post, most = read.request_context.http.method.upper() == "POST", MAX_BODY_BYTES
    most = MAX_LARGE_BODY_BYTES if read.raw_path in large else most
    body = _text(read.body, is_base64=read.is_base64, most=most) if is_post else None
    if body and (sent := headers.get("content-type", _OURS).partition(";")[0].strip().lower()) != _OURS:
        raise Problem(415, "Unsupported media type", f"Send {_OURS}, not {sent[:80] or 'nothing'}.")
    context = read.request_context
    return {
        "version": "2.0",
        "rawPath": read.raw_path,
        "rawQueryString": read.raw_query_string,
        "queryStringParameters": read.query_string,
        # Powertools compares the media type case-sensitively.
        "headers": headers | ({"content-type": _OURS} if body else {}),
        "body": body,
        "isBase64Encoded": False,
        # The gateway's path has no stage in it if the stage is the default one.
        "requestContext": {
            "stage": "$default",
            "http": {"method": context.http.method, "path": read.raw_path},
            "authorizer": context.authorizer,
        },
    }


def read_body(text: str) -> dict[str, Any]:
    """Return the JSON object in ``text``. Raises ``Problem``: 400 if it is not JSON, 422 if it is not an object."""
    try:
        value = read_text(text)
    except ValueError as problem:
        raise Problem(400, "Bad request", f"The body is not JSON: {' '.join(str(problem).split())[:200]}.") from None
    if not isinstance(value, dict):
        raise invalid("(body)", "must be a JSON object")
    return value


def read_text(text: str) -> Any:
    """Return the JSON value in ``text``. Raises ``ValueError``.

    Stricter than Python's own reader: no NaN, no lone surrogates, no deep nesting, and no name twice in an object, of
    which another reader, such as a gateway's, may take the first one.
    """
    value = from_json(text, allow_inf_nan=False)
    read_json(text, once=True)  # refuses numbers that would lose digits
    return value


def _text(body: str | None, *, is_base64: bool, most: int) -> str | None:
    if body is None:
        return None
    if len(body) > (most * 4 // 3 + 4 if is_base64 else most):
        raise _too_large(most)
    try:
        sent = base64.b64decode(body, validate=True) if is_base64 else body.encode()
        if len(sent) > most:
            raise _too_large(most)
        text = sent.decode()
    except (binascii.Error, UnicodeError):
        raise Problem(400, "Bad request", "The body is not UTF-8 text.") from None
    if len(sent) > MAX_BODY_BYTES and _WITH_FILES not in text:
        raise _too_large(MAX_BODY_BYTES)
    return text


def _too_large(most: int) -> Problem:
    return Problem(413, "Content too large", f"A request may have {most} bytes; this one has more.")
