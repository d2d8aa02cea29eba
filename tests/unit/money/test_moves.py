"""Amounts that tools move are exact or refused; ceilings are the playbook's unless an operator set them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.money.moves import MOST, OWN, Ceilings, Move, micro_units, of_customer, units

OWN_CEILINGS = Ceilings(run=1, customer_hour=2, customer_day=3, tenant_hour=4, tenant_day=5, all_hour=6, all_day=7)


@settings(max_examples=200)
@given(micro=st.integers(0, MOST))
def test_an_amount_survives_both_ways(micro: int) -> None:
    assert micro_units(units(micro)) == micro


@settings(max_examples=200)
@given(amount=st.decimals(allow_nan=True, allow_infinity=True) | st.floats() | st.text() | st.integers() | st.none())
def test_whatever_a_tool_declares_is_exact_or_refused(amount: Any) -> None:
    try:
        micro = micro_units(amount)
    except ValueError:
        return
    assert isinstance(amount, Decimal | int)
    assert 0 <= micro <= MOST
    assert units(micro) == amount


@pytest.mark.parametrize(
    ("amount", "micro"),
    [("0", 0), ("0E+9", 0), ("-0", 0), ("1E+3", 10**9), ("0.000001", 1), ("99.5000000000", 99_500_000), ("1E+9", MOST)],
)
def test_an_amount_is_the_same_however_it_is_written(amount: str, micro: int) -> None:
    assert micro_units(Decimal(amount)) == micro


@pytest.mark.parametrize(
    "amount",
    [
        "0.0000001",
        "1E-999999",
        "1E+999999",
        "1000000000.000001",
        "-0.01",
        "sNaN",
        "0." + "0" * 50 + "1",
        "1." + "3" * 60,
    ],
)
def test_what_is_no_amount_is_refused_at_once(amount: str) -> None:
    with pytest.raises(ValueError, match="an amount"):
        micro_units(Decimal(amount))


def test_what_operators_set_stands_before_the_playbooks_ceilings() -> None:
    everyone = {"moves_hour": 60, "moves_run": 10, "moves_customer_day": 30}
    tenant = {"moves_day": 50, "moves_customer_day": 33, "moves_customer_hour": 0}

    assert OWN_CEILINGS.as_set({}, {}, {}) == OWN_CEILINGS
    assert OWN_CEILINGS.as_set(everyone, tenant, {}) == Ceilings(10, 0, 33, 4, 50, 60, 7)
    assert OWN_CEILINGS.as_set(everyone, tenant, dict.fromkeys(OWN, 99)) == Ceilings(10, 99, 99, 4, 50, 60, 7)


def test_a_customer_is_one_of_their_tenant_and_not_named() -> None:
    account = of_customer("acme", "maria@example.com")

    assert account.startswith("customer#acme#")
    assert "maria" not in account
    assert account != of_customer("acme", "Maria@example.com")
    assert account.removeprefix("customer#acme#") == of_customer("zenith", "maria@example.com").rpartition("#")[2]
    assert len({account, of_customer("zenith", "maria@example.com")}) == 2


@pytest.mark.parametrize(("customer", "count"), [("customer#acme#x", 7), (None, 5)])
def test_a_move_takes_from_each_of_its_windows_once(customer: str | None, count: int) -> None:
    now = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
    move = Move.at(now, run_id="run-1", turn=3, index=2, tenant="acme", customer=customer, micro=9)

    claims = move.claims(OWN_CEILINGS)

    assert len({(claim.account, claim.window) for claim in claims}) == len(claims) == count
    assert [claim.limit for claim in claims] == ([1, 2, 3, 4, 5, 6, 7] if customer else [1, 4, 5, 6, 7])
    assert {claim.window for claim in claims} == {"total", "hour#2026-03-01T23", "day#2026-03-01"}
