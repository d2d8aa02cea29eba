"""An operator corrects the charge of a settled run: once, in its log, its lease and its windows."""

from typing import Any

import pytest

from ballast.errors import InvalidInput
from ballast.folds.usage import corrected
from ballast.log.events import ModelRequested, RunCorrected, RunSettled
from ballast.log.evidence import check
from ballast.money.lease import Corrected
from ballast.run import Run
from functions.breaker.corrections import Corrections
from functions.lifecycle.budgets_table import LATE, BudgetsTable
from tests.functions.cloud import WINDOW_LIMITS
from tests.functions.endpoint import Endpoint, says
from tests.functions.lifecycle.world import Fuse, World, may_die
from tests.functions.stack import Stack

HOUR, DAY = "hour#2026-03-01T12", "day#2026-03-01"
DEFAULTS = WINDOW_LIMITS | {"TENANT_HOUR_USD": "0.5", "TENANT_DAY_USD": "2", "ACCOUNT_HOUR_USD": "9"}


@pytest.fixture
def world() -> World:
    return World(lambda: None, DEFAULTS)


def settled(world: World, name: str = "a", *, ceiling: int = 100_000, charged: int = 60_000) -> str:
    """Return a run that was charged so much."""
    run_id = world.admit_one(name, ceiling)
    world.reserve(run_id, 1, charged)
    world.settle(run_id)
    return run_id


def correct(world: World, run_id: str, charged: int, **more: Any) -> Any:
    command = {"run_id": run_id, "charged_microusd": charged, "by": "ops-ann", "reason": "by the bill"} | more
    return world.budget({"tenant": "acme", "correct": command})


def in_windows(world: World) -> set[tuple[int, int]]:
    """Return what the windows of the account and the tenant say: one pair, where all say the same."""
    return set(world.windows().values())


def corrections(world: World, run_id: str) -> list[tuple[str, int, int]]:
    """Return the key, the charge and the one before of each correction in the log."""
    return [
        (event.seq, event.body["charged_microusd"], event.body["was_microusd"])
        for event in world.log.read(run_id)
        if event.name == "run.corrected"
    ]


@pytest.mark.parametrize("real", [0, 1, 25_000, 99_999, 100_000, 140_000])
def test_the_windows_take_what_it_really_cost_in_both_directions(world: World, real: int) -> None:
    run_id = settled(world)
    assert in_windows(world) == {(60_000, 60_000)}

    shown = correct(world, run_id, real, **({"above_lease": True} if real > 100_000 else {}))

    assert shown["corrected"] == {"run_id": run_id, "was_microusd": 60_000, "charged_microusd": real}
    assert in_windows(world) == {(real, real)}
    assert world.leases()[run_id].charged_microusd == real
    assert world.running() == {"account": 0, "tenant#acme": 0}


def test_it_is_in_the_log_with_who_and_why_and_the_log_still_fits(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says("All is tidy."))
    stack.plan(run_id)
    stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "answer"})
    command = {"run_id": run_id, "charged_microusd": 10_000, "by": "ops-ann", "reason": "by the bill"}

    stack.invoke("command", {"command": "budget", "correct": command})

    events = stack.events(run_id)
    assert events[-1].seq == "9999.run.corrected"
    assert events[-1].body == {
        "was_microusd": 450, "charged_microusd": 10_000, "by": "ops-ann", "reason": "by the bill"
    }  # fmt: skip
    assert check(events).status == "fits"
    assert check(events).late == ("9999.run.corrected",)


def test_the_same_order_again_is_one_correction_and_another_one_is_the_next(world: World) -> None:
    run_id = settled(world)

    for charged in (10_000, 10_000, 30_000, 10_000):
        correct(world, run_id, charged)

    assert corrections(world, run_id) == [
        ("9999.run.corrected", 10_000, 60_000),
        ("9999.run.2.corrected", 30_000, 10_000),
        ("9999.run.3.corrected", 10_000, 30_000),
    ]
    assert in_windows(world) == {(10_000, 10_000)}


def test_other_runs_and_tenants_keep_what_they_have(world: World) -> None:
    run_id, _, other = settled(world), settled(world, "b"), world.admit_one("c", 70_000, tenant="globex")

    correct(world, run_id, 0)

    assert world.windows()["tenant#acme", HOUR] == (60_000, 60_000)
    assert world.windows()["tenant#globex", HOUR] == (70_000, 0)
    assert world.windows()["account", DAY] == (130_000, 60_000)
    assert world.leases()[other].held


def test_it_goes_to_the_windows_that_the_money_was_taken_from(world: World) -> None:
    """Two hours later the hour of now is another one, and keeps out of it."""
    run_id = settled(world)
    world.clock.now = world.clock.now.replace(hour=14)

    correct(world, run_id, 0)

    assert in_windows(world) == {(0, 0)}
    assert "hour#2026-03-01T14" not in {window for _, window in world.windows()}


def test_a_run_that_goes_on_and_one_that_nobody_knows_are_not_corrected(world: World) -> None:
    running = world.admit_one("a", 400)

    with pytest.raises(InvalidInput, match="is not settled yet"):
        correct(world, running, 0)
    with pytest.raises(InvalidInput, match="has no lease"):
        correct(world, "run-aaaaaaaaaaaaaaaaaaaaaaaa", 0)

    assert in_windows(world) == {(400, 0)}
    assert corrections(world, running) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("charged_microusd", -1), ("charged_microusd", 1.5), ("charged_microusd", "5"), ("charged_microusd", True),
        ("charged_microusd", 10**16), ("by", ""), ("reason", "x" * 501), ("run_id", "nobody's"),
    ],
)  # fmt: skip
def test_an_order_that_is_none_names_the_field(world: World, field: str, value: object) -> None:
    run_id = settled(world)

    with pytest.raises(InvalidInput, match=field):
        world.budget({"correct": {"run_id": run_id, "charged_microusd": 5, "by": "ann"} | {field: value}})

    assert in_windows(world) == {(60_000, 60_000)}


def moments() -> int:
    """Return how many moments a correction has at which its process may die."""
    fuse = Fuse()
    world = World(fuse.burn, DEFAULTS)
    run_id = settled(world)
    fuse.left = 1_000
    correct(world, run_id, 10_000)
    return 1_000 - fuse.left


@pytest.mark.parametrize("moment", range(moments()))
@pytest.mark.parametrize("then", [10_000, 30_000])
def test_dying_at_any_moment_corrects_it_once_or_not_at_all_and_the_next_order_finishes_it(
    moment: int, then: int
) -> None:
    fuse = Fuse()
    world = World(fuse.burn, DEFAULTS)
    run_id = settled(world)
    fuse.left = moment
    with may_die() as died:
        correct(world, run_id, 10_000)
    assert died
    fuse.left = None
    assert in_windows(world) <= {(60_000, 60_000), (10_000, 10_000)}

    correct(world, run_id, then)

    assert in_windows(world) == {(then, then)}
    charges = [charged for _, charged, _ in corrections(world, run_id)]
    assert charges[-1] == then
    assert len(charges) == len(set(charges)) <= 2


def test_two_operators_at_once_are_carried_out_one_after_the_other() -> None:
    """The second one comes in at each moment of the first one's work."""
    for moment in range(moments()):
        fuse = Fuse()
        world = World(fuse.burn, DEFAULTS)
        run_id = settled(world)
        fuse.what = lambda world=world, run_id=run_id: correct(world, run_id, 30_000)  # type: ignore[misc]
        fuse.left = moment

        correct(world, run_id, 10_000)

        [(taken, spent)] = in_windows(world)
        assert taken == spent == world.leases()[run_id].charged_microusd
        assert spent in (10_000, 30_000)
        assert {charged for _, charged, _ in corrections(world, run_id)} == {10_000, 30_000}


# What Settle charges


@pytest.mark.parametrize(
    ("cost", "charged", "beyond"),
    [(100_000, 100_000, None), (100_001, 100_000, 1), (10**12, 100_000, 10**12 - 100_000)],
)
def test_a_log_that_was_charged_more_than_it_leased_takes_no_room_from_others(
    world: World, cost: int, charged: int, beyond: int | None
) -> None:
    """Neither may a tool's report, nor a log that somebody has changed."""
    run_id = world.admit_one("a", 100_000)
    world.reserve(run_id, 1, 1)
    world.respond(run_id, 1, cost)

    world.settle(run_id)

    assert in_windows(world) == {(charged, charged)}
    assert world.charged(run_id) == charged
    [body] = [event.body for event in world.log.read(run_id) if event.name == "run.settled"]
    assert body.get("beyond_microusd") == beyond
    said = world.printed("settle")
    assert ("UsageDisbelieved" in said) == (beyond is not None)


#: What stands in a log where an amount belongs, and is none.
NO_AMOUNTS = [-1, -(10**12), 1.5, 1e300, True, False, "5", None, [], {}]


@pytest.mark.parametrize("cost", NO_AMOUNTS)
def test_a_cost_that_is_no_amount_gives_others_no_room_either(world: World, cost: Any) -> None:
    """All that it leased is charged, and the event is named; also where others in the log make up for it."""
    run_id = world.admit_one("a", 100_000)
    world.reserve(run_id, 1, 60_000)
    world.reserve(run_id, 2, 20_000)
    world.respond(run_id, 1, 50_000)
    world.respond(run_id, 2, cost)

    world.settle(run_id)

    assert in_windows(world) == {(100_000, 100_000)}
    assert world.leases()[run_id].charged_microusd == 100_000
    assert "0002.model.failed" in world.printed("settle")


@pytest.mark.parametrize("reserved", [*NO_AMOUNTS, "gone"])
def test_a_reservation_that_is_no_amount_does_not_either(world: World, reserved: Any) -> None:
    run_id = world.admit_one("a", 100_000)
    world.log.write(run_id, ModelRequested.key(1, 1), {} if reserved == "gone" else {"reserved_microusd": reserved})

    world.settle(run_id)

    assert in_windows(world) == {(100_000, 100_000)}


@pytest.mark.parametrize("said", [*NO_AMOUNTS, 100_001, 10**12])
def test_a_settlement_that_was_forged_before_is_held_to_the_lease(world: World, said: Any) -> None:
    run_id = world.admit_one("a", 100_000)
    world.log.write(run_id, RunSettled.key(), {"charged_microusd": said})

    world.settle(run_id)

    assert in_windows(world) == {(100_000, 100_000)}
    assert "9999.run.settled" in world.printed("settle")


# What comes after it


@pytest.mark.sampled
@pytest.mark.parametrize("cost", [*NO_AMOUNTS, 60_001, 10**12])
@pytest.mark.parametrize("step", ["failed", "responded"])
def test_a_late_event_takes_and_gives_no_room(world: World, cost: Any, step: str) -> None:
    run_id = settled(world)
    world.executions.status[run_id] = "SUCCEEDED"
    world.log.write(run_id, f"0001.model.{step}", {"attempt": 1, "cost_microusd": cost})
    world.clock.now += LATE

    assert world.sweep()["settled"] == 1

    assert in_windows(world) == {(60_000, 60_000)}
    assert world.leases()[run_id].charged_microusd == 60_000
    said = world.printed("sweep")
    assert "LogsUnfit" in said or "UsageDisbelieved" in said
    # And everybody goes on.
    world.admit_one("b", 1_000)
    world.admit_one("c", 1_000, tenant="globex")
    assert world.leases()[run_id].open_since is None


@pytest.mark.sampled
@pytest.mark.parametrize("charged", [*NO_AMOUNTS, 100_001])
@pytest.mark.parametrize("how", ["settle", "true_up", "correct"])
def test_the_books_take_nothing_but_a_whole_number_within_the_lease(world: World, how: str, charged: Any) -> None:
    run_id = world.admit_one("a", 100_000)
    budgets, corrections = BudgetsTable.of(world.process("settle")), Corrections.of(world.process("command"))
    if how != "settle":
        budgets.settle(budgets.find(run_id), 100_000, outcomes_missing=True)  # type: ignore[arg-type]
    before = world.windows()
    lease = budgets.find(run_id)
    assert lease is not None
    if how == "correct" and charged == 100_001:
        return  # an operator may say so

    with pytest.raises((ValueError, TypeError)):
        {
            "settle": lambda: budgets.settle(lease, charged),
            "true_up": lambda: budgets.true_up(lease, charged),
            "correct": lambda: corrections.write(lease, Corrected(0, charged, "ann", "")),
        }[how]()

    assert world.windows() == before


# Corrections that nobody ordered

FORGED = [
    {"was_microusd": 60_000, "charged_microusd": amount, "by": "x", "reason": ""}
    for amount in [*NO_AMOUNTS, 0, 25_000, 10**12, 10**30]
] + [{}, {"charged_microusd": 25_000}, {"by": "ann"}]


@pytest.mark.sampled
@pytest.mark.parametrize("many", [1, 5])
@pytest.mark.parametrize("body", FORGED)
def test_what_others_put_in_the_place_of_a_correction_is_not_carried_out(
    world: World, body: dict[str, Any], many: int
) -> None:
    run_id = settled(world)
    for number in range(1, many + 1):
        world.log.write(run_id, RunCorrected.key(number), body)

    shown = correct(world, run_id, 30_000)

    assert shown["corrected"] == {"run_id": run_id, "was_microusd": 60_000, "charged_microusd": 30_000}
    assert in_windows(world) == {(30_000, 30_000)}
    assert world.leases()[run_id].charged_microusd == 30_000
    [copy] = [event for event in world.log.read(run_id) if event.body.get("by") == "ops-ann"]
    assert copy.seq == RunCorrected.key(many + 1)
    assert "9999.run.corrected" in world.printed("command")
    assert "LogsUnfit" in world.printed("command")
    assert Run.of(world.log.read(run_id)).cost.corrected == corrected(Run.of([copy]))


def test_what_cannot_be_read_there_is_not_in_the_way(world: World) -> None:
    run_id = settled(world)
    world.log.write(run_id, RunCorrected.key(1), {"charged_microusd": 5})
    world.tables.items["run-log"][run_id][RunCorrected.key(1)]["body"] = {"S": "{"}

    correct(world, run_id, 30_000)

    assert in_windows(world) == {(30_000, 30_000)}


def test_the_order_stays_in_the_lease(world: World) -> None:
    run_id = settled(world)

    correct(world, run_id, 30_000, by="ann", reason="")

    lease = world.leases()[run_id]
    assert lease.corrected == Corrected(60_000, 30_000, "ann", "")
    assert lease.corrections == 1


# Slips of the finger, and windows that are gone


@pytest.mark.parametrize(
    ("charged", "flag", "names"),
    [
        (100_001, False, "--above-lease"), (1_000_000, False, "--above-lease"),
        (1_000_001, True, "10 times"), (10**12, True, "10 times"), (10**15, True, "10 times"),
        (10**12, False, "10 times"),
    ],
)  # fmt: skip
def test_a_charge_above_the_lease_is_asked_for_twice_and_has_a_bound(
    world: World, charged: int, flag: bool, names: str
) -> None:
    run_id = settled(world)

    with pytest.raises(InvalidInput, match=names) as refused:
        correct(world, run_id, charged, **({"above_lease": True} if flag else {}))

    assert "charged_microusd" in str(refused.value)
    assert in_windows(world) == {(60_000, 60_000)}
    assert corrections(world, run_id) == []


@pytest.mark.parametrize("gone", [("hour#",), ("day#",), ("hour#", "day#"), ("running",), ("hour#", "day#", "running")])
@pytest.mark.parametrize("how", ["settle", "late", "correct"])
def test_a_window_that_was_forgotten_is_not_made_anew(world: World, gone: tuple[str, ...], how: str) -> None:
    if how == "settle":
        run_id = world.admit_one("a", 100_000)
        world.reserve(run_id, 1, 25_000)
    else:
        run_id = settled(world)
    world.executions.status[run_id] = "SUCCEEDED"
    items = world.tables.items["budgets"]
    for account in [one for one in items if one != "lease"]:
        for window in [one for one in items[account] if one.startswith(gone)]:
            del items[account][window]
    left = set(world.windows())

    if how == "late":
        world.respond(run_id, 1, 25_000)
        world.clock.now += LATE
        world.sweep()
    elif how == "correct":
        correct(world, run_id, 25_000)
    else:
        world.settle(run_id)

    assert set(world.windows()) == left
    assert in_windows(world) <= {(25_000, 25_000)}
    assert world.leases()[run_id].charged_microusd == 25_000
    assert not any(runs < 0 for runs in world.running().values())
