"""Lambda: the HTTP API of money. Shows the spend breaker and the windows, and lets operators set the breaker."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import Field

from ballast.breaker_reader import Breakers
from ballast.budget_items import BudgetsTableSettings, WindowSettings, key_of, limits_of
from ballast.contracts.wire import Name, Wire
from ballast.edge import guarded
from ballast.http.api import HttpApi
from ballast.http.describe import responses
from ballast.http.identity import Callers, CallerSettings
from ballast.http.problem import Problem
from ballast.money.amounts import dollars
from ballast.money.windows import ACCOUNT, LIMITS, WindowLimits, day_of, hour_of, of_tenant
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from ballast.table import Item, Table
from ballast.values import dataclass
from functions.breaker.spend_breaker import BreakerReport, NewMode, SpendBreaker, Time, report, report_for_tenant

_JSON = "application/json"
_FRESH = {"Cache-Control": "no-store"}
#: Number of hours shown, including the current one.
HOURS = 24

Usd = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]{2,6}$", description="US dollars, exact", examples=["0.0123"])]

app = HttpApi()


class ApiSettings(BudgetsTableSettings, WindowSettings, CallerSettings):
    """The money API's environment.

    budgets_table  windows, limits and the spend breaker
    tenant_hour_usd, tenant_day_usd    limits of each tenant in US dollars, unless an operator set others
    account_hour_usd, account_day_usd  the same for all tenants together
    tenant_claim, reviewer_claim, operator_claim, group_claim, iam_tenant_pattern, iam_reviewer_pattern,
    iam_operator_pattern, iam_person_pattern  how to read the caller's identity: see ``CallerSettings``
    """


class Window(Wire):
    """An hour or a day of UTC.

    since      when it began
    taken_usd  money leased from it: spent by settled runs, or held by running ones
    spent_usd  the part that settled runs spent
    """

    since: Time
    taken_usd: Usd
    spent_usd: Usd


class Budget(Wire):
    """The money windows of a tenant; if ``tenant`` is null, of all tenants together.

    hour_limit_usd, day_limit_usd  the present limits of an hour and of a day
    day    today
    hours  the last 24 hours, oldest first; the last one is the current hour
    """

    tenant: Name | None
    hour_limit_usd: Usd
    day_limit_usd: Usd
    day: Window
    hours: tuple[Window, ...]


@dataclass(frozen=True)
class LastDay:
    """Reads the windows of the last day. ``limits``: the default limits of the account and of each tenant."""

    table: Table
    limits: tuple[WindowLimits, WindowLimits]
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "LastDay":
        settings = ApiSettings.of(runtime)
        return cls(settings.table(runtime), (settings.account_limits(), settings.tenant_limits()), runtime)

    def budget(self, tenant: str | None) -> Budget:
        """Return the windows of the tenant, or of all tenants together, by one request. Raises ``RetryLater``."""
        now = self.runtime.clock().astimezone(UTC)
        hour = now.replace(minute=0, second=0, microsecond=0)
        hours = [hour - timedelta(hours=back) for back in reversed(range(HOURS))]
        account = ACCOUNT if tenant is None else of_tenant(tenant)
        default = self.limits[0 if tenant is None else 1]
        keys = [key_of(account, window) for window in (LIMITS, day_of(now), *map(hour_of, hours))]
        found = {item["window"]: item for item in self.table.batch_get(keys, consistent=False)}
        limits = limits_of(found.get(LIMITS, {}), default)
        return Budget(
            tenant=tenant,
            hour_limit_usd=dollars(limits.hour_microusd),
            day_limit_usd=dollars(limits.day_microusd),
            day=_window(hour.replace(hour=0), found.get(day_of(now), {})),
            hours=tuple(_window(one, found.get(hour_of(one), {})) for one in hours),
        )


def _window(since: datetime, item: Item) -> Window:
    def counted(name: str) -> str:
        return dollars(max(int(item.get(name, 0)), 0))

    return Window(since=since.isoformat(), taken_usd=counted("taken_microusd"), spent_usd=counted("settled_microusd"))


@app.get(
    "/breaker",
    summary="Show the spend breaker",
    description="Operators see who set or tripped it, and tenants' own modes; a tenant sees its current mode.",
    tags=["breaker"],
    operation_id="getBreaker",
    responses=responses(ok="The current mode."),
)
def get_breaker(
    tenant: Annotated[Name | None, Query(description="For operators: the tenant; everyone's mode if left out.")] = None,
) -> Response[BreakerReport]:
    """Return the current mode for the caller, or for the tenant that an operator names."""
    return Response(200, _JSON, _shown(tenant), dict(_FRESH))


@app.post(
    "/breaker",
    summary="Set the spend breaker",
    description="For operators. It takes effect before the next model call, everywhere.",
    tags=["breaker"],
    operation_id="setBreaker",
    responses=responses(takes_a_body=True, ok="The new mode."),
)
def set_breaker(body: NewMode) -> Response[BreakerReport]:
    """Set the mode; the caller is recorded."""
    if not app.caller.operates:
        raise Problem(403, "Forbidden", "Only an operator sets the breaker; ask one (docs/http.md, Rights).")
    now, by = app.runtime.clock(), app.caller.principal
    app.runtime.get(SpendBreaker.of).change(body.tenant, lambda breaker: body.applied(breaker, by=by, now=now))
    return Response(200, _JSON, _shown(body.tenant), dict(_FRESH))


@app.get(
    "/budget",
    summary="Show the money windows of the last day",
    description="A tenant sees its own windows; an operator sees those of all tenants together, or of one tenant.",
    tags=["budget"],
    operation_id="getBudget",
    responses=responses(ok="The windows."),
)
def get_budget(
    tenant: Annotated[Name | None, Query(description="For operators: the tenant. If left out, all together.")] = None,
) -> Response[Budget]:
    """Return the limits, today, and the last 24 hours."""
    who = app.caller
    whose = tenant if who.tenant is None else who.tenant_for(tenant)
    return Response(200, _JSON, app.runtime.get(LastDay.of).budget(whose), dict(_FRESH))


def _shown(tenant: str | None) -> BreakerReport:
    if app.caller.tenant is not None:
        own = app.caller.tenant_for(tenant)
        return report_for_tenant(app.runtime.get(Breakers.of).read(own), app.runtime.clock())
    return report(app.runtime.get(SpendBreaker.of).all(), tenant, app.runtime.clock())


@made_at_init(Callers.of, "dynamodb")
@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Answer API Gateway's ``event`` (HTTP API, payload 2.0)."""
    return app.answer(event, context, runtime or lambda_runtime())
