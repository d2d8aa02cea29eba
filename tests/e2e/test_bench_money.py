"""The benchmarks of money on a small scale: they detect errors, and they repeat exactly."""

import pytest

from bench import deadline, hot_window, leases


def test_leases_add_up_among_threads_and_deaths() -> None:
    found = leases.measure(runs=60, threads=8, seed=7)

    assert found.holds
    assert found.deaths > 0
    assert (found.overspend_microusd, found.lost_leases) == (0, 0)
    assert found.windows_microusd == found.logs_microusd > 0


@pytest.mark.parametrize(
    "wrong",
    [{"peak_microusd": leases.LIMIT + 1}, {"lost_leases": 1}, {"windows_microusd": 11}, {"logs_microusd": 11}],
)
def test_leases_that_do_not_add_up_are_noticed(wrong: dict[str, int]) -> None:
    right = {"peak_microusd": leases.LIMIT, "windows_microusd": 10, "logs_microusd": 10}

    assert leases.Figures(runs=1, threads=1, **right).holds
    assert not leases.Figures(runs=1, threads=1, **right | wrong).holds


def test_the_hot_window_is_the_same_by_its_seed() -> None:
    one, again, other = (hot_window.simulate(25, 2, seconds=4, hold_s=0.01, seed=seed) for seed in (1, 1, 2))

    assert one == again != other


def test_conflicts_are_what_arithmetic_says_while_they_are_few() -> None:
    found = hot_window.simulate(5, 1, seconds=400, hold_s=0.01, seed=1)

    # Ten transactions a second that last a hundredth each: one in ten meets another one.
    assert 0.08 < found.cancelled < 0.16
    assert found.given_up == 0


def test_every_transaction_is_written_or_given_up_and_none_beyond_a_partitions_units() -> None:
    found = hot_window.simulate(400, 2, seconds=3, hold_s=0.001, seed=1)

    assert len(found.took_s) + found.given_up == found.sent
    assert found.tries == len(found.took_s) + found.conflicts + found.throttles
    # Whoever comes late tries for some seconds more; each partition begins with a second's worth.
    assert (found.tries - found.throttles) * hot_window.UNITS <= 2 * hot_window.PARTITION_UNITS * (3 + 6)


@pytest.mark.parametrize("shards", [1, 2, 7, 32])
def test_shards_never_lend_more_than_the_window_and_leave_less_than_a_ceiling_each_unused(shards: int) -> None:
    leased = hot_window.lease_out(shards, limit=1_000_003, ceilings=[1_000, 20_000], seed=3)

    assert 0 <= leased.unused < shards * 20_000 / 1_000_003


def test_the_last_percentile_is_the_longest_time() -> None:
    times = [float(second) for second in range(1, 201)]

    assert [deadline.percentile(times, percent) for percent in (50, 99, 100)] == [100.0, 198.0, 200.0]
    assert deadline.percentile([3.0], 50) == 3.0
