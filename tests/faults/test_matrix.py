"""The matrix itself: what it covers, and a sample of it. All of it: ``make faults``."""

from collections.abc import Iterator
from typing import Any

import pytest

from bench.publish import ROOT
from tests.faults.desk import run_of
from tests.faults.invariants import broken_rules
from tests.faults.judge import judge
from tests.faults.matrix import Case, Novelty, Recorded, all_cases, derive, record
from tests.faults.play import how_it_ended, play
from tests.faults.scenarios import AFTER_A_FAULT, BY_NAME, NOT_IN_A_RUN
from tests.faults.shop import Shop
from tests.faults.world import World
from tests.support.sampling import FULL, sampled
from tests.workflow.edges import states_of

#: The sample: of this run every so-many-th case, and some seeds of the desk.
SAMPLED, EVERY, SEEDS = "two writes", 40 if FULL else 80, sampled((3, 8), (3,))


def test_a_sample_of_the_matrix_breaks_no_rule(world: World, before: Shop) -> None:
    recorded = record(world, BY_NAME[SAMPLED])
    cases = derive(recorded, Novelty([recorded], 1))

    results = [judge(world, case, before, recorded) for case in cases[::EVERY]]

    assert [result for result in results if result.wrong] == []
    assert len({result.kind for result in results}) > 5


@pytest.mark.parametrize("seed", SEEDS)
def test_the_desk_reconciles_under_a_random_mix_of_faults(world: World, before: Shop, seed: int) -> None:
    ran = run_of(world, seed, before)

    assert ran.wrong == ()
    assert ran.by_log == ran.in_store


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("scenario", "state", "after"), [("two writes", "Execute", "GiveUp"), ("reads only", "ExecuteEach", "GiveUpEach")]
)
def test_a_call_without_attempts_left_is_settled_by_the_state_that_no_run_enters_otherwise(
    world: World, before: Shop, scenario: str, state: str, after: str
) -> None:
    recorded = record(world, BY_NAME[scenario])
    executed = next(one.number for one in recorded.played.invocations if one.state == state)
    cases = [
        case
        for case in derive(recorded, Novelty([recorded], 1))
        if case.begins_at == executed and case.kind in ("Lambda fails, all retries", "a defect")
    ]

    assert len(cases) == 2
    for case in cases:
        assert judge(world, case, before, recorded).wrong == ()
        assert after in [invocation.state for invocation in world.invocations]


@pytest.mark.deep
def test_a_hand_over_to_another_agent_survives_what_happens_to_its_turn(world: World, before: Shop) -> None:
    recorded = record(world, BY_NAME["another agent"])
    plans = [one.number for one in recorded.played.invocations if one.state == "Plan"]
    cases = [case for case in derive(recorded, Novelty([recorded], 1)) if case.begins_at in plans[2:4]]

    results = [judge(world, case, before, recorded) for case in cases[::3]]

    assert len(results) > 2
    assert [result for result in results if result.wrong] == []
    assert [one.taker for one in world.events(BY_NAME["another agent"].run_id).agent_changes] == ["billing"]


#: What hurts a single call in ``Execute``: a death before or after a request, a second delivery, a time that is up.
SINGLE = {
    "two writes": ("dies before", "dies after", "invoked twice", "times out"),
    "approved": ("dies after",),
    "cancelled in the act": ("dies after",),
}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("scenario", SINGLE)
def test_a_single_call_survives_what_happens_in_execute(world: World, before: Shop, scenario: str) -> None:
    recorded = record(world, BY_NAME[scenario])
    executed = [one.number for one in recorded.played.invocations if one.state == "Execute"]
    cases = [case for case in derive(recorded, Novelty([recorded], 1)) if case.begins_at in executed]

    for kind in SINGLE[scenario]:
        found = [case for case in cases if case.kind == kind]
        assert found, kind
        for case in sampled((found[0], found[-1]), (found[-1],)):
            assert judge(world, case, before, recorded).wrong == ()


# From here on it takes a minute: every scenario is played


@pytest.fixture(scope="module")
def derived(world: World) -> list[tuple[Recorded, list[Case]]]:
    return all_cases(world, times=1)


@pytest.mark.deep
def test_the_docs_count_the_cases_that_there_are(derived: list[tuple[Recorded, list[Case]]]) -> None:
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")

    assert f"{sum(len(cases) for _, cases in derived):,} cases, all passed" in page


@pytest.mark.deep
def test_without_a_fault_every_scenario_ends_as_it_says_and_breaks_no_rule(
    world: World, before: Shop, derived: list[tuple[Recorded, list[Case]]]
) -> None:
    for recorded, _ in derived:
        scenario = recorded.played.scenario
        played = play(world, scenario)

        assert broken_rules(world, played, before, survivable=True) == []
        assert how_it_ended(world, played) == " by ".join(filter(None, (scenario.status, scenario.whose)))


@pytest.mark.deep
def test_every_task_of_the_workflow_and_every_function_has_its_part_in_a_scenario(
    world: World, derived: list[tuple[Recorded, list[Case]]]
) -> None:
    tasks = {name for name, state in states_of(world.definition).items() if state["Type"] == "Task"}
    invocations = [invocation for recorded, _ in derived for invocation in recorded.played.invocations]

    assert tasks - {invocation.state for invocation in invocations} == AFTER_A_FAULT
    missing = set(world.functions) - {invocation.function for invocation in invocations} - set(NOT_IN_A_RUN)
    assert missing == set(), "Give it a part in tests/faults/scenarios.py, or say in NOT_IN_A_RUN why it has none."


@pytest.mark.deep
def test_every_request_that_is_seen_has_a_case_of_each_death(derived: list[tuple[Recorded, list[Case]]]) -> None:
    kinds: dict[tuple[str, str, str], set[str]] = {}
    for recorded, cases in derived:
        names = {f"{one.number} {one.function.removesuffix('Function')} ({one.state})": one for one in _seen(recorded)}
        for case in cases:
            for name, invocation in names.items():
                if case.where.startswith(f"{name} "):
                    label = case.where.removeprefix(f"{name} ").partition(" ")[2].partition(":")[0]
                    kinds.setdefault((invocation.function, invocation.state, label), set()).add(case.kind)
    wanted = {
        (one.function, one.state, request.label) for rec, _ in derived for one in _seen(rec) for request in one.requests
    }

    for what in wanted:
        assert {"dies before", "dies after", "answer lost", "overtaken", "service error"} <= kinds.get(what, set()), (
            what
        )


def _seen(recorded: Recorded) -> Any:
    return recorded.played.invocations


def _cases(derived: list[tuple[Recorded, list[Case]]]) -> Iterator[tuple[Recorded, Case]]:
    return ((recorded, case) for recorded, cases in derived for case in cases)


@pytest.mark.deep
def test_a_case_that_begins_in_the_middle_comes_out_as_one_that_is_played_from_its_start(
    world: World, before: Shop, derived: list[tuple[Recorded, list[Case]]]
) -> None:
    several = [(recorded, case) for recorded, case in _cases(derived) if case.begins_at > 5][::350]

    assert len(several) > 3
    for recorded, case in several:
        in_the_middle, log = judge(world, case, before, recorded), world.events(case.scenario.run_id)

        assert judge(world, case, before) == in_the_middle
        assert [event.seq for event in world.events(case.scenario.run_id)] == [event.seq for event in log]
