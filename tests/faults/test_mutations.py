"""The matrix can fail: with each guarantee removed in turn, a few of its cases fail."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from ballast import run as run_module
from ballast.contracts import Effects, Planner
from ballast.run import Run
from functions.rollback import rollback as plan
from localcloud.moto_seams.replaced import replaced
from tests.faults import kinds
from tests.faults.judge import judge
from tests.faults.matrix import Case, Recorded, record
from tests.faults.scenarios import BY_NAME
from tests.faults.shop import Shop
from tests.faults.world import World
from tests.support.sampling import sampled

#: A run that asks a person of the operator's, and one that asks its requester.
ASKS = ("guided by a person", "asks the requester")


@pytest.fixture(scope="module")
def two_writes(world: World) -> Recorded:
    return record(world, BY_NAME["two writes"])


def wrongs(world: World, before: Shop, cases: list[Case], recorded: Recorded | None = None) -> list[str]:
    return [wrong for case in cases for wrong in judge(world, case, before, recorded).wrong]


def at_the_effects(recorded: Recorded, kind: str, make: Callable[..., Any]) -> Iterator[Case]:
    """The cases at those requests that have an effect on the shop."""
    for invocation in recorded.played.invocations:
        for request in invocation.requests:
            if request.operation == "TransactWriteItems" and "OrdersTable" in request.target:
                where = f"{invocation.number} {request.number}"
                made = partial(make, invocation.number, request.number)
                yield Case(recorded.played.scenario, kind, where, invocation.number, made)


@pytest.mark.deep
def test_with_everything_in_place_these_cases_break_no_rule(world: World, before: Shop, two_writes: Recorded) -> None:
    dead = list(at_the_effects(two_writes, "dies after, for good", kinds.DiesForGood))
    assert wrongs(world, before, dead[:1], two_writes) == []
    assert wrongs(world, before, [_gives_up(), _DIES_AFTER_AN_UPDATE]) == []


def test_without_settling_what_moved_the_windows_say_something_else(world: World, before: Shop) -> None:
    from ballast.moves_table import MovesTable

    with replaced(MovesTable, "settle", lambda *_: True):
        found = wrongs(world, before, [_gives_up()])

    assert any(wrong.startswith("moves_conserved: ") for wrong in found), found


def test_without_idempotency_an_effect_happens_twice(world: World, before: Shop) -> None:
    from ballast.playbook import context as tools_own
    from functions.executor.record import Once

    def every_time(self: Once, key: str, effect: Callable[[], Any], context: Any) -> Any:
        return effect()

    def no_mark(ctx: Any, table: str, key: str, result: str) -> Any:
        marked = mark(ctx, table, key, result)
        marked["Update"]["Key"][key] = {"S": f"marker#{ctx.now.isoformat()}"}
        return marked

    with (
        replaced(Once, "run", every_time),
        replaced(tools_own, "_mark", no_mark) as mark,
        replaced(tools_own, "_recorded", lambda *_: None),
    ):
        found = wrongs(world, before, [_DIES_AFTER_AN_UPDATE])

    assert any("happened 2 times" in wrong for wrong in found), found


def test_without_the_record_of_the_intent_an_effect_is_in_no_log(world: World, before: Shop) -> None:
    from functions.executor import effect

    with replaced(effect, "intend", lambda *_: True):
        recorded = record(world, BY_NAME["two writes"])  # without that request, the others have other numbers
        dead = list(at_the_effects(recorded, "dies after, for good", kinds.DiesForGood))
        found = wrongs(world, before, dead[:1], recorded)

    # Failed, or only proposed: that depends on when the last attempt was.
    assert any("effects_as_the_log_says" in wrong and "happened 1 times" in wrong for wrong in found), found


def test_without_the_undo_what_was_given_up_still_stands(world: World, before: Shop) -> None:
    def nothing_left(planner: Any, task: Any, run: Run, _: Any) -> Any:
        return planner._done(task, run, run.successor(Planner.ROLLBACK, has_fallback=True))

    with replaced(plan.RollbackPlanner, "_decide", nothing_left):
        found = wrongs(world, before, [_gives_up()])

    assert any("still stands" in wrong for wrong in found), found


def test_an_ending_that_says_nothing_of_what_stands_is_found_out(world: World, before: Shop) -> None:
    with replaced(run_module, "effects", lambda *_: Effects.UNDONE):
        found = wrongs(world, before, [_gives_up()])

    assert any("effects are undone, says the ending, and the shop is not as it was" in wrong for wrong in found), found


@pytest.mark.deep
def test_without_the_look_at_the_ending_a_run_that_was_cut_still_acts(world: World, before: Shop) -> None:
    from ballast.log.run_log import RunLog

    scenario = BY_NAME["cancelled in the act"]
    recorded = record(world, scenario)
    acting = next(one for one in recorded.played.invocations if len(one.requests) > 8 and one.state == "Execute")
    late = [
        Case(scenario, "finishes late", "", acting.number, partial(kinds.FinishesLate, acting.number, request.number))
        for request in acting.requests
        if request.label == "dynamodb.PutItem IdempotencyTable"
    ]

    assert wrongs(world, before, late, recorded) == []
    with replaced(RunLog, "has_ended", lambda *_: False):
        found = wrongs(world, before, late, recorded)

    assert any("effects are frozen, and nobody was told" in wrong for wrong in found), found


@pytest.mark.deep
def test_without_the_order_of_tokens_a_given_up_attempt_takes_the_living_ones_place(world: World, before: Shop) -> None:
    from ballast.contracts.task import Asked

    scenario = BY_NAME["guided by a person"]
    recorded = record(world, scenario)
    opening = next(one for one in recorded.played.invocations if one.state == "Escalate")
    between = [
        Case(scenario, "finishes between", "", opening.number, partial(kinds.FinishesBetween, opening.number, number))
        for number in (1, next(one.number for one in opening.requests if one.operation == "UpdateItem"))
    ]

    assert wrongs(world, before, between, recorded) == []
    with replaced(Asked, "order", ""):
        found = wrongs(world, before, between, recorded)

    assert any("was answered, and the run ended as if nobody had" in wrong for wrong in found), found


@pytest.mark.deep
@pytest.mark.parametrize("name", sampled(ASKS, ASKS[:1]))
def test_without_telling_the_newest_token_an_answer_between_two_attempts_is_lost(
    world: World, before: Shop, name: str
) -> None:
    from functions.people.resume import Resumption

    recorded = record(world, BY_NAME[name])
    asking = next(one for one in recorded.played.invocations if one.function == "OpenEscalationFunction")
    last = asking.requests[-1].number
    between = [
        Case(recorded.played.scenario, "answered between two attempts", "", asking.number, made)
        for made in (
            partial(kinds.AnsweredBetween, asking.number, last),
            partial(kinds.AnsweredBetween, asking.number, last, attempts=3),
        )
    ]

    assert wrongs(world, before, between, recorded) == []
    with replaced(Resumption, "deliver_to", lambda *_: False):
        found = wrongs(world, before, between, recorded)

    assert any("and the run waited" in wrong for wrong in found), found


@pytest.mark.deep
@pytest.mark.parametrize("name", sampled(ASKS, ASKS[1:]))
def test_without_opening_it_again_what_never_came_on_record_counts_as_answered(
    world: World, before: Shop, name: str
) -> None:
    from functions.people.escalations_table import EscalationsTable

    recorded = record(world, BY_NAME[name])
    in_vain = [Case(recorded.played.scenario, "answered in vain", "", 0, partial(kinds.AnsweredInVain, 1))]

    assert wrongs(world, before, in_vain, recorded) == []
    with replaced(EscalationsTable, "reopen", lambda *_: False):
        found = wrongs(world, before, in_vain, recorded)

    assert any("and no answer to it is in the log" in wrong for wrong in found), found


def _gives_up() -> Case:
    return Case(BY_NAME["gives up half way"], "nothing", "", 0, kinds.Plan)


class _DiesAfterAnUpdate(kinds.Plan):
    """The process dies after it has changed a customer, wherever that is among its requests without its guards."""

    happened = False

    def requesting(self, world: World, invocation: Any, request: Any, prepared: Any, perform: Any) -> Any:
        response = perform()
        if not self.happened and request.label == "dynamodb.TransactWriteItems CustomersTable":
            self.happened = True
            raise kinds.LambdaDied("Lambda.Unknown")
        return response


#: What a customer's details were changed to, they can be changed to again: the shop itself refuses nothing here.
_DIES_AFTER_AN_UPDATE = Case(BY_NAME["changes a customer, gives up"], "dies after an update", "", 0, _DiesAfterAnUpdate)
