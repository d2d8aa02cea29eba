"""The spend breaker at admission: in ``stopped`` no run starts, and the refusal leases nothing and says why."""

from typing import Any

import pytest

from ballast.errors import BreakerStopped, RetryLater
from ballast.money.breaker import OPEN_FOR, Mode, is_probe
from tests.functions.breakers import by_hand, trip
from tests.functions.stack import Stack, client_error, once


def admit(stack: Stack, name: str, **fields: Any) -> dict[str, Any]:
    """Admit a request of that name; each test uses names of its own."""
    return dict(stack.invoke("admit", {"request": {"request_id": name, "agent": "tester", "text": "Tidy."} | fields}))


@pytest.mark.parametrize("tenant", [None, "acme"])
def test_a_stopped_breaker_refuses_new_runs_on_the_record(stack: Stack, tenant: str | None) -> None:
    run_id = admit(stack, f"before-{tenant}", tenant="acme")["run_id"]
    by_hand(stack, Mode.STOPPED, tenant=tenant)

    with pytest.raises(BreakerStopped, match="nothing was spent") as refused:
        admit(stack, f"while-{tenant}", tenant="acme")

    assert "new request_id" in str(refused.value)
    assert "a test" not in str(refused.value)  # what an operator wrote is not for every caller
    assert admit(stack, f"before-{tenant}", tenant="acme")["run_id"] == run_id


@pytest.mark.parametrize("mode", [Mode.NORMAL, Mode.CHEAPER, Mode.FALLBACK_ONLY])
def test_every_other_mode_admits(stack: Stack, mode: Mode) -> None:
    by_hand(stack, mode)

    assert admit(stack, f"admits-{mode}")


def test_another_tenants_runs_start(stack: Stack) -> None:
    by_hand(stack, Mode.STOPPED, tenant="acme")

    assert admit(stack, "globex-starts", tenant="globex")


def test_what_was_refused_stays_refused_when_the_breaker_closes(stack: Stack) -> None:
    by_hand(stack, Mode.STOPPED)
    with pytest.raises(BreakerStopped):
        admit(stack, "stays-refused")
    by_hand(stack, Mode.NORMAL)

    with pytest.raises(BreakerStopped):  # a retry whose first answer was lost: the caller was told already
        admit(stack, "stays-refused")


def test_a_half_open_breaker_admits_a_share(stack: Stack) -> None:
    since = stack.clock()
    trip(stack, Mode.STOPPED)
    stack.clock.advance(OPEN_FOR.total_seconds())
    admitted = []

    for number in range(120):
        try:
            admitted.append(admit(stack, f"half-{number}")["run_id"])
        except BreakerStopped:
            continue

    assert 0 < len(admitted) < 30
    assert all(is_probe(run_id, since) for run_id in admitted)


def test_a_breaker_that_cannot_be_read_is_none_that_is_closed(stack: Stack) -> None:
    stack.on("admit", "dynamodb", "BatchGetItem", once(client_error("ThrottlingException")))

    with pytest.raises(RetryLater, match="BUDGETS_TABLE"):
        admit(stack, "unread")
