"""Lambda: carry out an operator's command from ``ballast budget`` or ``ballast breaker``.

A budget command sets limits and shows the budget of a tenant or of all tenants together. The budgets table's
``limits`` items hold limits that were set; the stack's parameters are the defaults. A new limit applies from the next
admission on: money leased before stays leased, even above the new limit. Ceilings on the business's own money come
from agent.yaml unless they were set, and apply from the next call on.

A breaker command sets the spend breaker and shows it. It needs only the budgets table.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter

from ballast.budget_items import BudgetsTableSettings, RunCountSettings, WindowSettings, key_of, limits_of
from ballast.contracts.task import RunId, Turn
from ballast.contracts.wire import Name, Wire, validated
from ballast.edge import guarded
from ballast.errors import InvalidInput, LogCorrupt, RetryLater
from ballast.log.events import RunMoveSettled
from ballast.log.run_log import LogSettings, RunLog
from ballast.money.moves import OWN, Ceilings, Move, of_customer
from ballast.money.windows import ACCOUNT, LIMITS, RUNNING, WindowLimits, day_of, hour_of, of_tenant
from ballast.moves_table import CeilingsSet, MovesSettings, MovesTable, Status
from ballast.playbook import Playbook, load_playbook
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from ballast.table import Item, Table, Update
from ballast.values import dataclass
from functions.breaker.corrections import Correction, Corrections
from functions.breaker.spend_breaker import NewMode, SpendBreaker, report


class CommandSettings(LogSettings, BudgetsTableSettings, WindowSettings, RunCountSettings, MovesSettings):
    """Command's environment.

    run_log_table, payload_bucket, retention_days  the log: see ``LogSettings``
    budgets_table  windows, leases, limits and the spend breaker
    moves_table    moves of the business's own money
    playbook_dir   folder of the playbook; its agent.yaml has the ceilings on moves

    Limits, unless an operator set others:

    tenant_hour_usd, tenant_day_usd    limits of each tenant in an hour and a day, in US dollars
    tenant_runs                        limit of each tenant's concurrent runs
    account_hour_usd, account_day_usd, account_runs  the same for all tenants together
    """

    playbook_dir: str


#: Keys that are tried for the copy of a finding in the log.
_KEYS = 50

Limit = Literal[
    "hour_microusd",
    "day_microusd",
    "runs",
    "moves_hour",
    "moves_day",
    "moves_run",
    "moves_customer_hour",
    "moves_customer_day",
]
Amount = Annotated[int, Field(ge=0, le=10**15)]


class DoubtfulMove(Wire):
    """An operator's finding for a call with an unknown effect: whether its money moved. ``by``: who found it out."""

    run_id: RunId
    turn: Turn
    index: Annotated[int, Field(ge=1)]
    happened: bool
    by: Annotated[str, Field(min_length=1, max_length=256)] = "an operator"


class BudgetCommand(Wire):
    """Set the given limits, and show the budget of ``tenant`` (None: of all tenants together).

    hour_microusd, day_microusd, runs  the new limits; None does not change a limit
    moves_hour, moves_day  ceilings on the business's own money, micro-units: of all, the tenant, or the ``customer``
    moves_run, moves_customer_hour, moves_customer_day  of each run and each customer, of all tenants or of this one
    customer  one customer of the tenant, as the tool's ``moves_key`` names them
    move      settle a call whose effect is unknown
    correct   correct the cost of a settled run
    forget    limits to reset to the defaults of the stack or agent.yaml
    """

    command: Literal["budget"]
    tenant: Name | None = None
    customer: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    moves_hour: Amount | None = None
    moves_day: Amount | None = None
    moves_run: Amount | None = None
    moves_customer_hour: Amount | None = None
    moves_customer_day: Amount | None = None
    move: DoubtfulMove | None = None
    correct: Correction | None = None
    hour_microusd: Amount | None = None
    day_microusd: Amount | None = None
    runs: Amount | None = None
    forget: tuple[Limit, ...] = ()


class BreakerCommand(Wire):
    """Set the spend breaker to ``new``, if given, with the operator ``by``, and show it.

    tenant  the tenant whose breaker is shown in addition to everyone's
    """

    command: Literal["breaker"]
    new: NewMode | None = None
    by: Annotated[str, Field(min_length=1, max_length=256)] = "an operator"
    tenant: Name | None = None


Command = Annotated[BudgetCommand | BreakerCommand, Field(discriminator="command")]
_COMMAND: TypeAdapter[BudgetCommand | BreakerCommand] = TypeAdapter(Command)


@dataclass(frozen=True)
class Budgets:
    """The current limits and windows. ``account`` and ``each``: the stack's default limits."""

    table: Table
    account: WindowLimits
    each: WindowLimits
    moves: MoveCeilings
    corrections: Corrections
    clock: Callable[[], datetime]

    @classmethod
    def of(cls, runtime: Runtime) -> Budgets:
        settings = CommandSettings.of(runtime)
        return cls(
            settings.table(runtime),
            settings.account_limits(settings.account_runs),
            settings.tenant_limits(settings.tenant_runs),
            MoveCeilings(runtime.get(RunLog.of), load_playbook(settings.playbook_dir, check_models=False), runtime),
            runtime.get(Corrections.of),
            runtime.clock,
        )

    def carry_out(self, command: BudgetCommand) -> dict[str, Any]:
        """Carry out ``command``, and return the budget. Raises ``InvalidInput``."""
        tenants = ACCOUNT if command.tenant is None else of_tenant(command.tenant)
        new = {name: getattr(command, name) for name in get_args(Limit) if getattr(command, name) is not None}
        if both := new.keys() & set(command.forget):
            raise InvalidInput(f"forget: {', '.join(sorted(both))} is set and forgotten at once; choose one.")
        account = tenants
        if command.customer is not None:
            if command.tenant is None:
                raise InvalidInput("customer: a customer belongs to a tenant; name the tenant too.")
            if others := {*new, *command.forget} - set(OWN):
                raise InvalidInput(f"{', '.join(sorted(others))}: one customer has moves_hour and moves_day only.")
            account = of_customer(command.tenant, command.customer.strip())
        if new or command.forget:
            self.table.write(Update(key_of(account, LIMITS), set=new, remove=command.forget))
        if command.move is not None:
            self.moves.settle(command.move)
        corrected = {"corrected": self.corrections.correct(command.correct)} if command.correct else {}
        return self._shown(command.tenant, tenants) | corrected | self.moves.shown(command.tenant, command.customer)

    def _shown(self, tenant: str | None, account: str) -> dict[str, Any]:
        now = self.clock()
        hour, day = hour_of(now), day_of(now)
        keys = [key_of(account, window) for window in (LIMITS, hour, day, RUNNING)]
        found = {item["window"]: item for item in self.table.batch_get(keys)}
        limits = limits_of(found.get(LIMITS, {}), self.account if tenant is None else self.each)
        return {
            "tenant": tenant,
            "windows": [
                _window(hour, limits.hour_microusd, found.get(hour, {})),
                _window(day, limits.day_microusd, found.get(day, {})),
            ],
            "runs": {"limit": limits.runs, "now": found.get(RUNNING, {}).get("runs", 0)},
            "set": sorted(name for name in ("hour_microusd", "day_microusd", "runs") if name in found.get(LIMITS, {})),
        }


def _window(name: str, limit: int, item: Item) -> dict[str, Any]:
    return {
        "window": name,
        "limit_microusd": limit,
        "taken_microusd": item.get("taken_microusd", 0),
        "settled_microusd": item.get("settled_microusd", 0),
    }


@dataclass(frozen=True)
class MoveCeilings:
    """Moves of the business's own money, and their ceilings."""

    log: RunLog
    playbook: Playbook
    runtime: Runtime

    def shown(self, tenant: str | None, customer: str | None) -> dict[str, Any]:
        """Return the report's ``moves``; empty if no tool moves money."""
        if not self.playbook.moves_money:
            return {}
        config = self.playbook.agent.moves
        account = of_customer(tenant, customer.strip()) if tenant and customer else None
        sets = self.runtime.get(CeilingsSet)
        everyone, own, customers = sets.items(tenant or "", account)
        ceilings = config.ceilings.as_set(everyone, own if tenant else {}, customers)
        windows = self._windows(tenant, account, ceilings)
        whose = customers if account else own if tenant else everyone
        return {
            "moves": {
                "currency": config.currency,
                "windows": windows,
                "run": ceilings.run,
                "each_customer": {"hour": ceilings.customer_hour, "day": ceilings.customer_day},
                "set": sorted(name for name in whose if not account or name in OWN),
            }
        }

    def _windows(self, tenant: str | None, account: str | None, ceilings: Ceilings) -> list[dict[str, Any]]:
        move = Move.at(
            self.runtime.clock(), run_id="-", turn=0, index=0, tenant=tenant or "-", customer=account, micro=0
        )
        counted = self.runtime.get(MovesTable.of).moved(move)
        # The hour and the day of the customer, the tenant, or all: ``places`` has the run's total first.
        first = 1 if account or tenant else 3
        claims = move.claims(ceilings)[first : first + 2]
        return [{"window": one.window, "limit": one.limit, "moved": counted[one.account, one.window]} for one in claims]

    def settle(self, move: DoubtfulMove) -> None:
        """Settle the reservation of a call with an unknown effect by an operator's finding, and tell the log.

        The same finding again changes nothing, and tells the log if the command before died. Raises ``InvalidInput``.
        """
        moves, run = self.runtime.get(MovesTable.of), self.log.read(move.run_id)
        where = f"move: {move.run_id} turn {move.turn} call {move.index}"
        held = moves.find(move.run_id, move.turn, move.index)
        if held is None:
            raise InvalidInput(f"{where} has reserved nothing. `ballast trace` shows the calls of a run.")
        state = run.call(move.turn, move.index)
        wanted: Status = "kept" if move.happened else "returned"
        # After the run's end only this command settles the reservation, whatever the log has about the call.
        is_unknown = run.has_ended or (state is not None and state.status == "unknown")
        was_unlearned = state is not None and state.status in ("intended", "unknown")
        if not (is_unknown and was_unlearned and held.status == wanted):
            if held.status != "begun" or not is_unknown:
                raise InvalidInput(f"{where} is {held.status}. Only a call whose effect is unknown is settled by hand.")
            if not moves.settle(held, wanted):
                raise RetryLater(f"{where} was just settled; look again.")
        self._copy(move)

    def _copy(self, move: DoubtfulMove) -> None:
        """Write the finding to the log, once, under the first key that is free or has it already."""
        call = (move.turn, move.index)
        for number in range(1, _KEYS):
            said = RunMoveSettled(number=number, call=call, happened=move.happened, by=move.by)
            with suppress(LogCorrupt):  # what cannot be read is no copy
                there = self.log.record(move.run_id, said)
                if (there.call, there.happened) == (call, move.happened):
                    return


def _breaker(command: BreakerCommand, runtime: Runtime) -> dict[str, Any]:
    """Carry out ``command``, and return an operator's view of the breaker."""
    breaker, new = runtime.get(SpendBreaker.of), command.new
    if new is not None:
        now = runtime.clock()
        breaker.change(new.tenant, lambda before: new.applied(before, by=command.by, now=now))
    tenant = command.tenant or (new.tenant if new else None)
    return report(breaker.all(), tenant, runtime.clock()).model_dump(mode="json")


@made_at_init(Budgets.of, "dynamodb")
@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Carry out ``event`` (a ``BudgetCommand`` or a ``BreakerCommand``), and return the budget or the breaker."""
    runtime = runtime or lambda_runtime()
    hint = ' Send {"command": "budget", …} or {"command": "breaker", …}.'
    command = validated(_COMMAND.validate_json, event, what="Command", error=InvalidInput, hint=hint)
    if isinstance(command, BreakerCommand):
        return _breaker(command, runtime)
    return runtime.get(Budgets.of).carry_out(command)
