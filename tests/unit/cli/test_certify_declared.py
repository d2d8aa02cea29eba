"""The list of the functions that a declaration may hold, which `ballast certify` asks."""

import typing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any

from ballast.log.run_log import LONGEST_RUN_DAYS
from ballast.playbook import Approval, CallLimits, Circuit, EffectPolicy, Read, ToolContext, Write, tool
from ballast.playbook.money_rules import Moves
from ballast.playbook.tool import Tool
from cli.certify.declared import declared
from cli.certify.report import RULES
from cli.certify.rules import _HOURS_S
from cli.certify.surroundings import EACH_HOUR_S
from tests.unit.playbook_api.test_tool import Args


def _callables(kind: Any) -> set[str]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {name for name, hint in hints.items() if "Callable" in repr(hint)}


def test_every_function_of_a_declaration_is_asked_by_certify() -> None:
    every = set[str]().union(*map(_callables, (Tool, EffectPolicy, Approval, Moves, Write, Read, CallLimits, Circuit)))

    @tool(
        effect=Write(
            undo="other",
            undo_arguments=lambda args, result: {},
            verify=lambda args, ctx: None,
            moves=lambda args, request: Decimal(1),
            moves_key=lambda args, ctx: "mia",
        ),
        approval=Approval(if_=lambda args, request: True, precondition=lambda args, ctx: 1),
        validate=lambda args, request: None,
        cost_microusd=lambda args, request: 1,
    )
    def act(args: Args, ctx: ToolContext) -> int:
        """Act."""
        return 1

    # As Moves names them, and the tool's own function, of which each other rule is.
    same = {"amount": "moves", "key": "moves_key"}
    assert {same.get(name, name) for name in every} - {"function"} == set(declared(act))
    assert set(declared(act)) <= set(RULES)


def test_a_script_is_asked_at_each_hour_of_each_weekday_in_each_month_and_in_two_years() -> None:
    first = datetime(2026, 11, 30, 2, 32, tzinfo=UTC)

    times = [first + timedelta(seconds=later_s) for later_s in accumulate(EACH_HOUR_S)]

    assert len({(one.weekday(), one.hour) for one in times}) == 7 * 24
    assert {one.month for one in times} == set(range(1, 13))
    assert len({one.year for one in times}) > 1


def test_a_function_with_a_context_is_asked_at_each_hour_and_weekday_within_a_runs_life() -> None:
    first = datetime(2026, 11, 30, 2, 32, tzinfo=UTC)

    times = [first + timedelta(seconds=later_s) for later_s in _HOURS_S]

    assert ({one.hour for one in times}, {one.weekday() for one in times}) == (set(range(24)), set(range(7)))
    assert times[-1] - first < timedelta(days=LONGEST_RUN_DAYS)
