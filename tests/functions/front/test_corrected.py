"""A run's corrected charge is shown wherever its cost is shown."""

from typing import Any

import pytest

from ballast.log.events import RunCorrected, RunEnded
from tests.functions.front.test_api_read import answered, everything, get
from tests.functions.stack import Stack

pytestmark = pytest.mark.usefixtures("waiting_workflow")
FORGED = {"was_microusd": 0, "charged_microusd": 7_000_000, "by": "eve", "reason": ""}


def correct(stack: Stack, run_id: str, charged: int, by: str = "ann") -> None:
    order = {"run_id": run_id, "charged_microusd": charged, "by": by, "reason": "by the bill"}
    stack.invoke("command", {"command": "budget", "correct": order})


def both(stack: Stack, run_id: str, tenant: str) -> list[dict[str, Any]]:
    """Return the run as it is shown by itself and in the lists."""
    lines = [
        line
        for query in ({}, {"status": "answered"})
        for line in everything(stack, "/runs", "runs", "next", tenant=tenant, **query)
        if line["run_id"] == run_id
    ]
    assert len(lines) == 2
    return [get(stack, f"/runs/{run_id}").body, *lines]


def test_a_run_and_its_line_say_what_it_was_corrected_to_and_by_whom(stack: Stack) -> None:
    run_id = answered(stack, tenant="corrected-one")
    for one in both(stack, run_id, "corrected-one"):
        assert (one["cost_usd"], one["corrected"]) == ("0.00", None)

    correct(stack, run_id, 10_000)

    told = {"cost_usd": "0.01", "by": "ann", "reason": "by the bill", "at": stack.clock().isoformat()}
    for one in both(stack, run_id, "corrected-one"):
        assert (one["cost_usd"], one["corrected"]) == ("0.00", told)


def test_the_newest_one_is_told(stack: Stack) -> None:
    run_id = answered(stack, tenant="corrected-often")
    for charged in range(1, 12):
        correct(stack, run_id, charged, by=f"ann-{charged}")

    for one in both(stack, run_id, "corrected-often"):
        assert (one["corrected"]["cost_usd"], one["corrected"]["by"]) == ("0.000011", "ann-11")


@pytest.mark.parametrize("body", [{}, {"charged_microusd": -1}, FORGED | {"charged_microusd": 1.5}, {"by": ["x"]}])
def test_what_is_no_correction_is_not_told_and_hides_nothing(stack: Stack, body: dict[str, Any]) -> None:
    tenant = f"corrected-odd-{len(str(body))}"
    run_id = answered(stack, tenant=tenant)
    stack.log.write(run_id, RunCorrected.key(1), body)
    for one in both(stack, run_id, tenant):
        assert (one["status"], one["corrected"]) == ("answered", None)

    correct(stack, run_id, 10_000)

    for one in both(stack, run_id, tenant):
        assert one["corrected"]["by"] == "ann"


def test_a_forged_one_never_changes_what_the_log_counts(stack: Stack) -> None:
    run_id = answered(stack, tenant="corrected-forged")
    stack.log.write(run_id, RunCorrected.key(1), FORGED)

    for one in both(stack, run_id, "corrected-forged"):
        assert one["cost_usd"] == "0.00"
        assert one["corrected"]["by"] == "eve"


def test_one_that_comes_before_the_end_hides_no_run_that_goes_on(stack: Stack) -> None:
    run_id = stack.open(tenant="corrected-early")
    stack.log.write(run_id, RunCorrected.key(1), FORGED)

    [line] = everything(stack, "/runs", "runs", "next", tenant="corrected-early")

    assert (line["status"], get(stack, f"/runs/{run_id}").body["status"]) == ("running", "running")


def test_a_run_whose_log_does_not_add_up_shows_its_correction_all_the_same(stack: Stack) -> None:
    run_id = answered(stack, tenant="corrected-garbled")
    correct(stack, run_id, 10_000)
    stack.log.write(run_id, "0002.model.failed", {"attempt": 1, "cost_microusd": "lots"})

    run = get(stack, f"/runs/{run_id}").body

    assert run["corrupt"]
    assert run["corrected"]["cost_usd"] == "0.01"
    assert RunEnded.key() not in run["corrupt"][0]["seq"]
