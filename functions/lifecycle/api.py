"""Lambda: the HTTP API of money. Shows the spend breaker and the windows, and lets operators set the breaker."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from ballast.breaker import Breakers
from ballast.contracts.wire import Name
from ballast.edge import guarded
from ballast.http.api import HttpApi
from ballast.http.describe import responses
from ballast.http.problem import Problem
from ballast.runtime import Runtime, lambda_runtime
from functions.lifecycle.keeper import Keeper
from functions.lifecycle.last_day import Budget, LastDay
from functions.lifecycle.orders import BreakerReport, NewMode, report, report_for_tenant

_JSON = "application/json"
_FRESH = {"Cache-Control": "no-store"}

app = HttpApi()


@app.get(
    "/breaker",
    summary="Show the spend breaker",
    description="Operators see who set or tripped it, and tenants' own modes; a tenant sees what holds for it.",
    tags=["breaker"],
    operation_id="getBreaker",
    responses=responses(ok="What holds."),
)
def get_breaker(
    tenant: Annotated[Name | None, Query(description="Whose mode; for operators. Everyone's if left out.")] = None,
) -> Response[BreakerReport]:
    """Return the mode that holds for the caller, or for the tenant that an operator names."""
    return Response(200, _JSON, _shown(tenant), dict(_FRESH))


@app.post(
    "/breaker",
    summary="Set the spend breaker",
    description="For operators. It takes effect before the next model call, everywhere.",
    tags=["breaker"],
    operation_id="setBreaker",
    responses=responses(takes_a_body=True, ok="What holds now."),
)
def set_breaker(body: NewMode) -> Response[BreakerReport]:
    """Set the mode, in the caller's name."""
    if not app.caller.operates:
        raise Problem(403, "Forbidden", "Only an operator sets the breaker; ask one (docs/http.md, Rights).")
    now, by = app.runtime.clock(), app.caller.principal
    app.runtime.get(Keeper.of).change(body.tenant, lambda breaker: body.applied(breaker, by=by, now=now))
    return Response(200, _JSON, _shown(body.tenant), dict(_FRESH))


@app.get(
    "/budget",
    summary="Show what the last day took of the money windows",
    description="A tenant sees its own; an operator those of all tenants together, or of the tenant that it names.",
    tags=["budget"],
    operation_id="getBudget",
    responses=responses(ok="The windows."),
)
def get_budget(
    tenant: Annotated[Name | None, Query(description="Whose; for operators. All together if left out.")] = None,
) -> Response[Budget]:
    """Return the limits, today, and the last 24 hours."""
    who = app.caller
    whose = tenant if who.tenant is None else who.tenant_for(tenant)
    return Response(200, _JSON, app.runtime.get(LastDay.of).budget(whose), dict(_FRESH))


def _shown(tenant: str | None) -> BreakerReport:
    if app.caller.tenant is not None:
        own = app.caller.tenant_for(tenant)
        return report_for_tenant(app.runtime.get(Breakers.of).read(own), app.runtime.clock())
    return report(app.runtime.get(Keeper.of).kept(), tenant, app.runtime.clock())


@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Answer API Gateway's ``event`` (HTTP API, payload 2.0)."""
    return app.answer(event, context, runtime or lambda_runtime())
