"""Powertools' resolver of an HTTP API as Ballast uses it: one form of errors, identities, many threads.

Order of a request: is it one at all (400, 413, 415), who asks (401, 403), for what (404, 405), is it
valid (422), and only then the route.
"""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.api_gateway import ResponseBuilder, Route
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from ballast.http.event import read_body, read_event
from ballast.http.identity import Caller, Callers
from ballast.http.problem import Problem, invalid_fields, problem_of
from ballast.runtime import Runtime


class Front(APIGatewayHttpResolver):
    """Routes of one function. ``public`` paths need no identity; they hold no data.

    Leans on private parts of Powertools, which is pinned: how it finds a route and calls it.

    Powertools keeps the request at hand in attributes of a class, since Lambda brings one at a
    time; ``ballast up`` serves many at once, so here they are the thread's own.
    """

    def __init__(self, *, public: frozenset[str] = frozenset()) -> None:
        self._own = threading.local()
        self._building = threading.Lock()
        self._public = public
        super().__init__(
            enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=read_body
        )
        self.exception_handler_manager.update_exception_handlers({Exception: _raised})

    def answer(
        self, event: Any, context: Any, runtime: Runtime, extras: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the response to API Gateway's ``event`` (payload 2.0), whatever it is; never raises.

        ``extras`` is what the routes find in ``self.extras``.
        """
        own = self._own
        own.runtime, own.lambda_context, own.extras, own.caller = runtime, context, extras or {}, None
        try:
            own.current_event = self._to_proxy_event(read_event(event))
            response: dict[str, Any] = self._build_response(self._resolve())
        except Exception as error:
            response = self._problem(error, event).masked(runtime.masked).response()
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
        """Who asks. Public routes have none."""
        caller: Caller = self._own.caller
        return caller

    @property
    def extras(self) -> Mapping[str, Any]:
        """What the handler gave to ``answer``."""
        extras: Mapping[str, Any] = self._own.extras
        return extras

    def _call_route(self, route: Route, route_arguments: dict[str, str]) -> ResponseBuilder[Any]:
        if route.path not in self._public:
            self._identify()
        with self._building:
            # Powertools does it at the first request, and twice where two come at once.
            if not route._middleware_stack_built:
                route._build_middleware_stack(self._router_middlewares, self)
        return super()._call_route(route, route_arguments)

    def _handle_not_found(self, method: str, path: str) -> ResponseBuilder[Any]:
        self._identify()
        routes = [*self._static_routes, *self._dynamic_routes]
        methods = sorted({route.method for route in routes if route.rule.match(path)})
        if not methods:
            raise Problem(404, "Not found", "There is no such path in this API; /openapi.json has those there are.")
        allowed = ", ".join(methods)
        raise Problem(405, "Method not allowed", f"This path takes {allowed}.", headers={"Allow": allowed})

    def _identify(self) -> None:
        callers = self.runtime.get(Callers.of)
        self._own.caller = callers.identify(self.current_event["requestContext"].get("authorizer"))

    def _problem(self, error: Exception, event: Any) -> Problem:
        if isinstance(error, RequestValidationError):
            return invalid_fields(error.errors())
        return problem_of(error) or self._defect(error, event)

    def _defect(self, error: Exception, event: Any) -> Problem:
        """Log a defect, and tell the caller only how to find it in the log."""
        request_id = getattr(self._own.lambda_context, "aws_request_id", None) or "unknown"
        instance = f"urn:ballast:request:{request_id}"
        trace = self.runtime.masked("".join(traceback.format_exception(error)), event)
        self.runtime.emit(json.dumps({"level": "ERROR", "message": "defect", "instance": instance, "trace": trace}))
        detail = "Ballast failed; nothing more is known here. Its log says more, under this problem's instance."
        return Problem(500, "Internal error", detail, instance=instance)


def _raised(error: Exception) -> None:
    """Let every error come to ``Front.answer``, which knows its form."""
    raise error


def _of_the_thread(name: str, empty: Any = None) -> Any:
    """Return a property whose value is the thread's own."""

    def get(self: Any) -> Any:
        own = self._own
        if not hasattr(own, name):
            setattr(own, name, empty() if empty else None)
        return getattr(own, name)

    def put(self: Any, value: Any) -> None:
        setattr(self._own, name, value)

    return property(get, put)


for _name, _empty in (("current_event", None), ("lambda_context", None), ("context", dict)):
    setattr(Front, _name, _of_the_thread(_name, _empty))
