"""The sweeper settles abandoned leases at worst case, and leaves those of running executions alone."""

from datetime import timedelta
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.errors import RetryLater
from functions.lifecycle import sweep as sweeping
from functions.lifecycle.budgets_table import GRACE, LATE
from functions.lifecycle.sweep import AGAIN_AFTER, SweepIncomplete
from tests.functions.lifecycle.world import Fuse, World, may_die


@pytest.fixture
def fuse() -> Fuse:
    return Fuse()


@pytest.fixture
def world(fuse: Fuse) -> World:
    return World(fuse.burn)


def request(name: str, ceiling: int = 400) -> RunRequest:
    return RunRequest(
        request_id=name, agent="tester", intent="tidy", text="Tidy.", tenant="acme", limits={"cost_microusd": ceiling}
    )


def opened(world: World, name: str, status: str = "RUNNING") -> str:
    """Admit a run whose execution then has that status."""
    run_id = str(world.admit(request(name))["run_id"])
    world.executions.status[run_id] = status
    return run_id


def lines(world: World) -> list[str]:
    """Return what the sweeper said went wrong."""
    said = world._runtimes["sweep"]._stdout.getvalue().splitlines()  # type: ignore[union-attr]
    return [line for line in said if '"ERROR"' in line]


@pytest.mark.parametrize(
    ("status", "ending"),
    [
        ("ABORTED", "aborted"),
        ("TIMED_OUT", "timed_out"),
        ("FAILED", "failed"),
        ("SUCCEEDED", "failed"),
        (None, "failed"),
    ],
)
def test_a_run_whose_execution_is_gone_is_settled_and_has_an_ending(
    world: World, status: str | None, ending: str
) -> None:
    run_id = opened(world, "gone", status or "RUNNING")
    world.reserve(run_id, 1, 120)
    if status is None:
        del world.executions.status[run_id]
    world.clock.now += GRACE

    assert world.sweep() == {"settled": 1, "running": 0, "failed": 0, "left": 0}

    events = {event.seq: event.body for event in world.log.read(run_id)}
    assert events["9999.run.ended"]["status"] == ending
    assert events["9999.run.settled"]["charged_microusd"] == 120
    assert set(world.windows().values()) == {(120, 120)}
    assert world.running() == {"account": 0, "tenant#acme": 0}


# What comes after the settlement


def settled_with(world: World, *reserved: int) -> str:
    """Settle a run while attempts that reserved so much have no outcome."""
    run_id = opened(world, "late", "SUCCEEDED")
    for turn, microusd in enumerate(reserved, start=1):
        world.reserve(run_id, turn, microusd)
    world.settle(run_id, "failed")
    assert set(world.windows().values()) == {(sum(reserved), sum(reserved))}
    return run_id


@pytest.mark.parametrize(
    ("costs", "charged"), [([0], 220), ([30], 250), ([120], 340), ([30, 0], 30), ([120, 220], 340), ([], 340)]
)
def test_the_windows_are_trued_up_by_what_came_late(world: World, costs: list[int], charged: int) -> None:
    run_id = settled_with(world, 120, 220)
    world.clock.now += timedelta(minutes=3)
    for turn, cost in enumerate(costs, start=1):
        world.respond(run_id, turn, cost)
    world.sweep()
    assert set(world.windows().values()) == {(340, 340)}

    world.clock.now += LATE
    assert world.sweep()["settled"] == 1

    assert set(world.windows().values()) == {(charged, charged)}
    assert world.leases()[run_id].charged_microusd == charged
    assert world.running() == {"account": 0, "tenant#acme": 0}
    world.clock.now += LATE
    assert sum(world.sweep().values()) == 0


def test_an_answer_that_costs_more_than_was_reserved_takes_nothing_more(world: World) -> None:
    run_id = settled_with(world, 120)
    world.respond(run_id, 1, 5_000)
    world.clock.now += LATE

    world.sweep()

    assert set(world.windows().values()) == {(120, 120)}


def test_what_was_reserved_after_the_settlement_was_never_asked_for(world: World) -> None:
    run_id = settled_with(world, 120)
    world.reserve(run_id, 2, 200)
    world.respond(run_id, 1, 20)
    world.clock.now += LATE

    world.sweep()

    assert set(world.windows().values()) == {(20, 20)}


def test_a_run_of_which_nothing_was_missing_is_not_looked_at_again(world: World) -> None:
    run_id = opened(world, "whole", "SUCCEEDED")
    world.reserve(run_id, 1, 120)
    world.respond(run_id, 1, 100)
    world.settle(run_id, "failed")
    world.clock.now += LATE

    assert sum(world.sweep().values()) == 0
    assert set(world.windows().values()) == {(100, 100)}


def test_whenever_it_dies_the_windows_are_trued_up_once(world: World, fuse: Fuse) -> None:
    run_id = settled_with(world, 120, 220)
    world.respond(run_id, 2, 20)
    world.clock.now += LATE
    for moment in range(40):
        fuse.left = moment
        with may_die():
            world.sweep()
        fuse.left = None
        world.clock.now += AGAIN_AFTER

    world.sweep()

    assert set(world.windows().values()) == {(140, 140)}


def test_a_run_that_goes_on_is_looked_at_again_an_hour_later(world: World) -> None:
    run_id = opened(world, "goes-on")
    world.clock.now += GRACE
    assert world.sweep()["running"] == 1

    assert world.sweep() == {"settled": 0, "running": 0, "failed": 0, "left": 0}

    world.executions.status[run_id] = "ABORTED"
    world.clock.now += AGAIN_AFTER
    assert world.sweep()["settled"] == 1


def test_nothing_is_looked_at_within_the_grace(world: World) -> None:
    opened(world, "young", "ABORTED")
    world.clock.now += GRACE - timedelta(seconds=1)

    assert sum(world.sweep().values()) == 0


def test_a_lease_without_a_run_goes_back_whole(world: World, fuse: Fuse) -> None:
    """The admission died between its transaction and its log, and never came again."""
    for moment in range(30):
        one = request(f"dies-{moment}")
        fuse.left = moment
        with may_die():
            world.admit(one)
        fuse.left = None
        world.executions.status[one.run_id] = "ABORTED"
    orphans = [run for run, lease in world.leases().items() if lease.held and not world.log.read(run)]
    assert orphans
    world.clock.now += GRACE

    world.sweep()

    assert not [lease for lease in world.leases().values() if lease.held]
    assert {taken for taken, _ in world.windows().values()} == {0}
    assert all(not world.log.read(run_id) for run_id in orphans)


def test_an_orphaned_lease_is_not_settled_before_its_admission_is_over_for_certain(world: World, fuse: Fuse) -> None:
    one = request("slow")
    for moment in range(30):
        fuse.left = moment
        with may_die() as died:
            world.admit(one)
        if died and one.run_id in world.leases():
            break
    fuse.left = None
    world.executions.status[one.run_id] = "ABORTED"

    world.told_that_it_was_aborted(one.run_id)

    assert world.leases()[one.run_id].held
    world.admit(one)  # the attempt that was still about
    assert set(world.windows().values()) == {(400, 0)}
    world.clock.now += GRACE
    world.sweep()
    assert set(world.windows().values()) == {(0, 0)}
    assert world.log.has_ended(one.run_id)


def test_one_that_cannot_be_settled_does_not_hold_up_the_others_and_raises_the_alarm(world: World) -> None:
    bad, good = opened(world, "bad", "ABORTED"), opened(world, "good", "ABORTED")
    event = world.tables.items["run-log"][bad]["0000.run.opened"]
    event["digest"] = {"S": "forged"}
    world.clock.now += GRACE

    with pytest.raises(SweepIncomplete, match="1 lease"):
        world.sweep()

    assert (world.leases()[bad].held, world.leases()[good].held) == (True, False)
    [line] = lines(world)
    assert bad in line
    assert "LogCorrupt" in line
    assert sum(world.sweep().values()) == 0  # not at once again


def test_what_there_was_no_time_for_is_there_the_next_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        opened(world, f"many-{number}", "ABORTED")
    world.clock.now += GRACE
    left = iter([30_000, 30_000, 0, 0, 0])
    sweeper = world._runtimes["sweep"].get(sweeping.Sweeper.of)

    first = sweeper.sweep(lambda: next(left))

    assert (first["settled"], first["left"]) == (2, 3)
    assert world.sweep()["settled"] == 3


def test_an_invocation_is_bounded_and_the_next_one_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "PER_SHARD", 1)
    for number in range(40):
        opened(world, f"crowd-{number}", "ABORTED")
    world.clock.now += GRACE

    swept = [world.sweep()["settled"] for _ in range(12)]

    assert sum(swept) == 40
    assert max(swept) <= sweeping.SHARDS


def test_whenever_it_dies_the_next_sweep_settles_once(world: World, fuse: Fuse) -> None:
    for moment in range(60):
        run_id = opened(world, f"sweep-dies-{moment}", "ABORTED")
        world.reserve(run_id, 1, 7)
        world.clock.now += GRACE
        fuse.left = moment
        with may_die() as died:
            world.sweep()
        fuse.left = None
        world.clock.now += AGAIN_AFTER
        world.sweep()
        assert not world.leases()[run_id].held
        if not died:
            break
    assert not died
    assert sum(settled for (account, window), (_, settled) in world.windows().items() if "day" in window) == 14 * (
        moment + 1
    )


def test_step_functions_out_of_reach_is_an_alarm_and_no_ending(world: World) -> None:
    run_id = opened(world, "unknown", "ABORTED")
    world.clock.now += GRACE

    def unreachable(**_: Any) -> None:
        raise RetryLater("out of reach")

    world.executions.describe_execution = unreachable  # type: ignore[method-assign]

    with pytest.raises(SweepIncomplete):
        world.sweep()

    assert not world.log.has_ended(run_id)
