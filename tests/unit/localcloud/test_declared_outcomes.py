"""Outcomes and charges of a record hold only where the tool declares what decides them as it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from ballast.log.event import Event
from ballast.log.events import CallIntended, CallSettled
from ballast.playbook import CallLimits, Circuit, Read, ToolContext, Write, tool
from ballast.run import Run
from localcloud.replay.declared_outcomes import Declared, another_outcome, charge_of


class NoArguments(BaseModel):
    """Nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


AT = (1, 1)
BASE = Declared(timeout_s=10, result_bytes=100, depth=4, circuit=None, resolved_by=("write", False, ""))
DOWN = Circuit("DOWN", failures=2)


def event(seq: str, body: Mapping[str, Any]) -> Event:
    return Event(run_id="run-a", seq=seq, at="2026-11-30T09:00:00+00:00", body=dict(body))


def run(*calls: Mapping[str, Any], doubted: Mapping[str, Any] | None = None) -> Run:
    """Return a run of one turn whose calls of ``send`` ended so."""
    made = [{"call_id": f"c{at}", "tool": "send", "arguments": {}} for at, _ in enumerate(calls)]
    events = [event("0001.plan.decided", {"planner": "agent", "decision": {"kind": "call_tools", "calls": made}})]
    for index, settled in enumerate(calls, start=1):
        events.append(event(f"0001.call.{index}.intended", {"tool": "send", "effect": "write", "arguments": {}}))
        if doubted is not None:
            events.append(event(f"0001.call.{index}.doubted", {"message": "Timed out.", **doubted}))
        events.append(event(f"0001.call.{index}.settled", {"tool": "send", **settled}))
    return Run(events)


def why(now: Declared, record: Run, at: tuple[int, int] = AT, deaths: Mapping[str, int] | None = None) -> str | None:
    return another_outcome({"send": now}, BASE, "send", record, at, deaths or {})


OK = {"status": "ok", "result": {}, "latency_ms": 100}
UNKNOWN = {"status": "unknown", "message": "Nobody knows."}
LEFT_OUT = {"status": "ok", "left_out": {"bytes": 200, "sha256": "a" * 64}}
TOO_LARGE = {"status": "failed", "message": "The result is 200 bytes, more than 100. Ask for less."}
REFUSED = {"status": "failed", "message": "Busy.", "circuit": "DOWN", "defect": True}
DEFECT = {"status": "failed", "message": "Broken.", "defect": True}
KEYED, VERIFIED = replace(BASE, resolved_by=("write", True, "")), replace(BASE, resolved_by=("write", False, "d"))


@pytest.mark.parametrize(
    ("now", "record", "said"),
    [
        (BASE, run(UNKNOWN), None),
        (KEYED, run(OK), None),
        (KEYED, run(UNKNOWN), "in doubt"),
        (VERIFIED, run(UNKNOWN), "in doubt"),
        (VERIFIED, run(OK, doubted={"ran": True}), "in doubt"),
        (VERIFIED, run(OK, doubted={"ran": True, "nothing": "done"}), None),
        (replace(BASE, result_bytes=300), run(LEFT_OUT), "too large"),
        (replace(BASE, result_bytes=300), run(TOO_LARGE), "too large"),
        (replace(BASE, depth=9), run(TOO_LARGE), "too large"),
        (replace(BASE, result_bytes=300), run(OK), None),
        (replace(BASE, result_bytes=50), run(LEFT_OUT), None),
        (replace(BASE, circuit=DOWN), run(REFUSED), "circuit DOWN"),
        (replace(BASE, circuit=DOWN), run(OK), None),
        (replace(BASE, circuit=DOWN), run(DEFECT), None),
        (replace(BASE, timeout_s=0.2), run(OK), "0.2 seconds"),
        (replace(BASE, timeout_s=20), run(OK, doubted={"ran": True}), "20 seconds"),
        (replace(BASE, timeout_s=5), run(OK), None),
    ],
)
def test_an_outcome_stands_unless_what_it_depends_on_is_declared_otherwise(
    now: Declared, record: Run, said: str | None
) -> None:
    found = why(now, record)

    assert found is None if said is None else said in (found or "")


def test_a_circuit_that_failures_before_would_have_opened_may_refuse_a_call() -> None:
    record = run(DEFECT, DEFECT, OK)

    assert why(replace(BASE, circuit=DOWN), record, (1, 3)) == "the circuit DOWN might have been open for send"
    assert why(replace(BASE, circuit=replace(DOWN, failures=3)), record, (1, 3)) is None


def test_a_process_that_died_before_it_wrote_the_end_was_in_doubt_too() -> None:
    assert why(VERIFIED, run(OK), deaths={CallSettled.key(*AT): 1}) is not None
    assert why(VERIFIED, run(OK), deaths={"0002.plan.decided": 1}) is None


def test_who_resolves_no_doubt_now_leaves_it_to_the_machine_which_asks_a_person() -> None:
    record = run(OK, doubted={"ran": True})

    assert another_outcome({"send": BASE}, KEYED, "send", record, AT, {}) is None


# The charge


@tool(effect=Write(), cost_microusd=500)
def silent(args: NoArguments, ctx: ToolContext) -> None:
    """Do it."""


def _tell(ctx: ToolContext) -> None:
    ctx.report_cost(30)


@tool(effect=Read(), cost_microusd=500)
def reports(args: NoArguments, ctx: ToolContext) -> None:
    """Do it, and say by another function what it cost."""
    _tell(ctx)


@pytest.mark.parametrize(
    ("called", "declared", "charged", "now", "expected"),
    [
        (silent, 500, 500, 900, [900]),
        (silent, 500, 500, None, [0]),
        (silent, 500, 500, 500, [500]),
        (silent, None, None, 900, [900]),
        (silent, 500, 0, 900, [0]),  # it was not begun
        (silent, 500, 30, 900, [900]),  # it told its cost, and does not any more
        (reports, 500, 30, 900, [30]),
        (reports, 500, 30, None, [30]),
        (reports, 500, 500, 500, [500]),
    ],
)
def test_a_charge_is_what_is_declared_now_unless_the_tool_reports_one(
    called: Any, declared: int | None, charged: int | None, now: int | None, expected: list[int]
) -> None:
    intended = CallIntended(turn=1, index=1, tool="t", effect="write", reserved_microusd=declared or 0)
    settled = CallSettled(turn=1, index=1, status="ok", cost_microusd=charged)

    assert list(charge_of(called, now, settled, intended)) == expected


def test_a_charge_at_its_bound_of_a_tool_that_may_report_has_bounds() -> None:
    intended = CallIntended(turn=1, index=1, tool="t", effect="write", reserved_microusd=500)
    settled = CallSettled(turn=1, index=1, status="ok", cost_microusd=500)

    found = charge_of(reports, 900, settled, intended)

    assert (found[0], found[-1]) == (500, 900)


# What tells one verify from another


def _look(args: Any, ctx: Any) -> None:
    return None


def _look_by_another(args: Any, ctx: Any) -> Any:
    return _found(args)


def _found(args: Any) -> Any:
    return args


def test_a_verify_is_another_one_if_its_code_or_that_of_what_it_names_is() -> None:
    def declared(verify: Any) -> Declared:
        return Declared.of(replace(silent, policy=replace(silent.policy, verify=verify)))

    before = declared(_look_by_another)
    assert declared(_look) != before
    assert declared(_look_by_another) == before
    code = _found.__code__
    try:
        _found.__code__ = (lambda args: None).__code__
        assert declared(_look_by_another) != before
    finally:
        _found.__code__ = code


def test_limits_and_circuits_are_read_as_declared() -> None:
    made = replace(silent, limits=CallLimits(timeout_s=3, result_bytes=7, depth=2), circuit=DOWN)

    assert Declared.of(made) == Declared(3, 7, 2, DOWN, ("write", False, ""))
