"""A settlement charges exactly the charge and returns exactly the rest, to the windows of the lease."""

from hypothesis import given
from hypothesis import strategies as st

from ballast.money.lease import Change, Lease, Part, settlement

parts = st.builds(
    Part,
    st.integers(0, 10**9),
    st.sampled_from(["hour#2026-03-01T12", "hour#2026-03-01T13", "hour#2026-03-02T00"]),
    st.just("day#2026-03-01"),
)
leases = st.builds(
    Lease,
    st.just("run-x"),
    st.just("acme"),
    st.just("sha"),
    st.dictionaries(st.integers(0, 50), parts, min_size=1, max_size=20),
)


def lease(*amounts: tuple[int, str]) -> Lease:
    """Return a lease of parts that were taken in these hours, turn by turn."""
    made = {turn: Part(amount, f"hour#{hour}", "day#2026-03-01") for turn, (amount, hour) in enumerate(amounts)}
    return Lease("run-x", "acme", "sha", made)


def hours(changes: tuple[Change, ...]) -> dict[str, tuple[int, int]]:
    """Return what the tenant's hours get."""
    return {
        change.window: (change.taken, change.settled)
        for change in changes
        if change.account == "tenant#acme" and change.window.startswith("hour#")
    }


@given(leases, st.integers(0, 10**9))
def test_every_window_of_a_kind_is_settled_for_the_charge_and_frees_the_rest(held: Lease, charged: int) -> None:
    changes = settlement(held, charged)

    for account in ("account", "tenant#acme"):
        for kind in ("hour", "day"):
            of_it = [c for c in changes if c.account == account and c.window.startswith(f"{kind}#")]
            assert sum(change.settled for change in of_it) == charged
            assert sum(change.taken for change in of_it) == charged - held.leased_microusd
    places = [(c.account, c.runs) for c in changes if c.window == "running"]
    assert places == [("account", -1), ("tenant#acme", -1)]


@given(leases, st.integers(0, 10**9))
def test_a_settlement_touches_an_item_once_and_fits_into_a_transaction(held: Lease, charged: int) -> None:
    changes = settlement(held, charged)

    assert len({(change.account, change.window) for change in changes}) == len(changes) <= 99


def test_the_charge_fills_the_parts_in_their_order() -> None:
    assert hours(settlement(lease((100, "12"), (50, "13")), 120)) == {"hour#12": (0, 100), "hour#13": (-30, 20)}


def test_what_was_never_spent_goes_back_whole() -> None:
    assert hours(settlement(lease((100, "12"), (50, "13")), 0)) == {"hour#12": (-100, 0), "hour#13": (-50, 0)}


def test_what_exceeds_the_lease_is_told_all_the_same() -> None:
    assert hours(settlement(lease((100, "12"), (50, "13")), 160)) == {"hour#12": (0, 100), "hour#13": (10, 60)}
