"""Loops: which calls give a signal, when a tool is forbidden, when the agent hands over, and what resets it."""

import random
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.contracts import ToolCall
from ballast.folds.calls import identity
from ballast.folds.loops import Kind, Rung, detect, detect_proposed
from ballast.folds.loops.similarity import Search
from ballast.log.event import Event
from ballast.run import Run
from tests.support.sampling import examples
from tests.unit.folds.loop_runs import LoopRun

A, B, C, D = ({"order_id": f"O-{number}"} for number in (1, 2, 3, 4))
QUERY = "late order of the customer"


def rungs(run: LoopRun) -> list[int]:
    """Return the rung after each event of the run's turns."""
    return [detect(Run.of(run.events[:length])).rung for length in range(1, len(run.events) + 1)]


# The ladder


def test_the_same_call_is_noticed_then_forbidden_then_it_is_a_loop() -> None:
    run = LoopRun().obeying("look", A).obeying("look", A)
    assert (run.verdict.rung, run.verdict.signals[2, 1].same_as, run.verdict.signals[2, 1].answer) == (1, (1, 1), True)

    run.obeying("look", A)
    assert run.verdict.rung is Rung.FORBID
    assert set(run.verdict.forbidden) == {"look"}

    run.obeying("look", A)
    assert (run.verdict.rung, run.verdict.loop) == (Rung.LOOP, (4, 1))


def test_what_is_sent_again_is_the_same_call_whatever_its_tool_makes_of_it_each_time() -> None:
    each = (str(number) for number in range(9))
    run = LoopRun().reads("look", A).reads("look", A).reads("look", A)
    assert detect(Run(run.events), same=lambda call: next(each)).rung is Rung.FORBID


def test_a_forbidden_tool_may_be_tried_once_with_something_new() -> None:
    run = LoopRun()
    for _ in range(3):
        run.obeying("look", A)

    run.obeying("look", B)
    assert (run.verdict.signals[4, 1].rung, run.verdict.rung) == (Rung.FORBID, Rung.FORBID)

    assert run.obeying("look", C).verdict.rung is Rung.LOOP


@pytest.mark.parametrize(("lap", "calls_before_the_loop"), [((A, B), 6), ((A, B, C), 8), ((A, B, C, D), 10)])
def test_a_cycle_forbids_all_its_tools_as_the_third_lap_begins(
    lap: tuple[Any, ...], calls_before_the_loop: int
) -> None:
    run = LoopRun()
    made = 0
    tools = "abcd"
    for number, arguments in islice(cycle(enumerate(lap)), 40):
        run.obeying(tools[number], arguments)
        made += 1
        if run.verdict.rung is Rung.LOOP:
            break

    assert made == calls_before_the_loop
    third_lap = (2 * len(lap) + 1, 1)
    assert run.verdict.signals[third_lap].kind is Kind.CYCLE
    assert set(run.verdict.forbidden) == set(tools[: len(lap)])


def test_a_cycle_that_writes_has_a_lap_more() -> None:
    run = LoopRun()
    for _ in range(2):
        run.reads("look", A, result="open").writes("toggle", A)
    assert run.verdict.rung is Rung.NONE

    run.reads("look", A, result="open").writes("toggle", A)
    assert run.verdict.rung is Rung.NOTICE

    assert run.on("look", A).rung is Rung.FORBID  # type: ignore[union-attr]


def test_a_cycle_whose_results_change_is_work() -> None:
    run = LoopRun()
    for number in range(12):
        run.reads("look", A, result=f"{number} done").writes("do_next", {})

    assert run.verdict.rung is Rung.NONE
    assert not run.verdict.signals


def test_the_same_class_of_error_is_noticed_at_the_third_and_forbids_at_the_fourth() -> None:
    run = LoopRun()
    for number, rung in ((1, 0), (2, 0), (3, 1), (4, 2)):
        run.fails("book", {"flight": f"HAT{number}"}, message=f"Flight HAT{number} is not available.")
        assert run.verdict.rung == rung
    assert run.verdict.signals[3, 1].kind is Kind.SAME_ERROR

    assert run.obeying("book", {"flight": "HAT9"}).verdict.rung is Rung.FORBID
    assert run.obeying("book", {"flight": "HAT10"}).verdict.rung is Rung.LOOP


def test_different_errors_are_progress_and_a_success_ends_the_row() -> None:
    run = LoopRun()
    for number, message in enumerate(("No such flight.", "No seat.", "Declined.", "No such flight.", "No seat.")):
        run.fails("book", {"try": number}, message=message)
    for number in range(3):
        run.fails("find", {"name": number}).fails("find", {"other": number}).reads(
            "find", {"third": number}, result=number
        )

    assert run.verdict.rung is Rung.NONE


def test_varied_calls_with_the_same_result_are_noticed_at_the_third_and_forbid_at_the_fifth() -> None:
    page = {"items": ["a long list of things that are always the same, whatever page of it is asked for"], "next": "?"}
    run = LoopRun()
    for number, rung in ((1, 0), (2, 0), (3, 1), (4, 1), (5, 2)):
        assert run.reads("page", {"number": number}, result=page).verdict.rung == rung
    assert run.verdict.signals[5, 1].kind is Kind.UNCHANGED


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        (lambda n: {"sku": n}, {"in_stock": True}),  # short answers are often the same
        (lambda n: {"thought": f"I wonder about {'abcdefghijkl'[n] * 5} things"}, None),  # a scratch pad
        (lambda n: {"expression": f"{n} + 177"}, "300"),
    ],
)
def test_results_that_say_too_little_to_be_compared(arguments: Callable[[int], Any], result: Any) -> None:
    run = LoopRun()
    for number in range(1, 12):
        run.reads("check", arguments(number), result=result)

    assert run.verdict.rung is Rung.NONE


def test_an_empty_result_of_varied_searches_tells_enough() -> None:
    run = LoopRun()
    for query in ("delayed parcel", "carrier strike", "missing delivery", "courier problem", "lost shipment"):
        run.reads("search", {"query": query}, result=[])

    assert run.verdict.rung is Rung.FORBID


@pytest.mark.parametrize(
    "again",
    [
        "order late of the customer",
        "Late orders of a customer, please!",
        "late order customer",
        "late oder of the custommer",
    ],
)
def test_nearly_the_same_search_is_noticed_but_not_answered_from_the_log(again: str) -> None:
    run = LoopRun().reads("search", {"query": QUERY, "limit": 5})

    sign = run.on("search", {"limit": 5, "query": again})

    assert sign is not None
    assert (sign.kind, sign.rung, sign.answer, sign.same_as) == (Kind.NEAR_EQUAL, Rung.NOTICE, False, (1, 1))


@pytest.mark.parametrize(
    "other",
    [
        {"query": "late order of the supplier", "limit": 5},
        {"query": QUERY, "limit": 6},
        {"query": QUERY + " O-1001", "limit": 5},
        {"query": "late order after the customer", "limit": 5},
        {"query": "no late order of the customer", "limit": 5},
        {"query": "when is the late order", "limit": 5},
    ],
)
def test_another_search_is_another_search(other: dict[str, Any]) -> None:
    run = LoopRun().reads("search", {"query": QUERY, "limit": 5})

    assert run.on("search", other) is None


@pytest.mark.parametrize("other", ["find the late order O-1002", "find the late order O-1001 O-1002"])
def test_a_word_with_digits_is_a_name_and_no_misspelling(other: str) -> None:
    run = LoopRun().reads("search", {"query": "find the late order O-1001"})

    assert run.on("search", {"query": other}) is None


def test_a_write_that_was_not_made_again_is_no_read_to_answer_with() -> None:
    run = LoopRun().writes("pay", A).repeated("pay", A)

    sign = run.on("pay", A)

    assert sign is not None
    assert (sign.rung, sign.answer) == (Rung.NOTICE, False)


def test_a_fourth_wording_of_one_search_forbids_the_tool() -> None:
    run = LoopRun()
    for number, words in enumerate(("late order", "order late", "late orders", "the late order"), start=1):
        run.reads("search", {"query": words}, result=number)

    assert run.verdict.rung is Rung.FORBID
    assert run.verdict.signals[4, 1].kind is Kind.NEAR_EQUAL


def test_what_one_reply_repeats_is_noticed_and_no_more() -> None:
    run = LoopRun().at_once([("look", A)] * 50)
    assert run.verdict.rung is Rung.NOTICE

    assert run.at_once([("look", A)] * 50).verdict.rung is Rung.FORBID
    assert run.at_once([("look", A)] * 50).verdict.rung is Rung.LOOP


# What counts as the same


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text("aé ñ\t", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", max_size=2), inner, max_size=3),
    max_leaves=8,
)


def otherwise(value: Any, chance: random.Random) -> Any:
    """Return the same value, written otherwise: keys in another order, floats."""
    match value:
        case bool() | None:
            return value
        case int():
            return float(value) if chance.random() < 0.5 else value
        case str():
            return value
        case list():
            return [otherwise(one, chance) for one in value]
        case _:
            items = list(value.items())
            chance.shuffle(items)
            return {name: otherwise(one, chance) for name, one in items}


@given(arguments=st.dictionaries(st.text("xyz", max_size=3), VALUES, max_size=4), seed=st.integers())
def test_however_it_is_written_it_is_the_same_call(arguments: dict[str, Any], seed: int) -> None:
    again = otherwise(arguments, random.Random(seed))

    run = LoopRun().reads("look", arguments)

    assert identity(ToolCall(tool="look", arguments=again)) == identity(ToolCall(tool="look", arguments=arguments))
    sign = run.on("look", again)
    assert sign is not None
    assert (sign.kind, sign.answer) == (Kind.SAME_CALL, True)


@pytest.mark.parametrize(
    ("one", "other"), [("1", 1), (1, True), (0, False), ("a", "A"), (None, "null"), ([1], 1), (1, 1.5), ("a", " a")]
)
def test_what_is_not_the_same_call(one: Any, other: Any) -> None:
    assert LoopRun().reads("look", {"x": one}).on("look", {"x": other}) is None


@given(st.sets(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=25), st.randoms(use_true_random=False))
def test_distinct_calls_with_distinct_results_are_no_despair(
    calls: set[tuple[str, int]], chance: random.Random
) -> None:
    run = LoopRun()
    for tool, number in chance.sample(sorted(calls), len(calls)):
        run.reads(tool, {"id": number}, result={"of": tool, "id": number})

    assert run.verdict.rung is Rung.NONE
    assert not run.verdict.signals


# What starts it anew


def told(times: int = 2) -> LoopRun:
    run = LoopRun()
    for _ in range(times):
        run.obeying("look", A)
    return run


@pytest.mark.parametrize("planner", ["agent", "fallback", "rollback"])
def test_a_write_starts_it_anew_whoever_wrote(planner: str) -> None:
    run = told(3).writes(planner=planner)

    assert run.verdict.rung is Rung.NONE
    assert run.on("look", A) is None


@pytest.mark.parametrize("kind", ["escalation", "question"])
def test_what_a_person_answers_starts_it_anew(kind: str) -> None:
    run = told(4).person(kind=kind)

    assert run.verdict.rung is Rung.NONE
    assert run.on("look", A) is None
    assert run.verdict.signals, "what was seen before stays on record"


def test_a_write_that_failed_changed_nothing() -> None:
    run = told(2).writes(status="failed")

    assert run.verdict.rung is Rung.NOTICE
    assert run.on("look", A).rung is Rung.FORBID  # type: ignore[union-attr]


def test_no_write_mends_a_call_that_has_the_wrong_form() -> None:
    run = LoopRun()
    for number in range(3):
        run.refused("look", {"wrong": number}).writes(arguments=number)

    assert run.verdict.rung is Rung.NOTICE
    assert run.verdict.signals[5, 1].kind is Kind.SAME_ERROR


def test_a_read_that_failed_may_be_tried_again_for_real() -> None:
    sign = LoopRun().fails("look", A).on("look", A)

    assert sign is not None
    assert (sign.rung, sign.answer) == (Rung.NOTICE, False)


def test_a_tool_that_is_polled_may_ask_the_same_again() -> None:
    run = LoopRun()
    for _ in range(10):
        run.reads("job_status", A, result="pending")

    assert detect(Run.of(run.events), polled={"job_status"}).rung is Rung.NONE


# What holds for any run


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["obeying"] * 6 + ["fails", "writes", "refused", "person", "twice"]),
        st.sampled_from(["look", "find", "search"]),
        st.sampled_from([A, B, {"query": "late order"}, {"query": "order, late"}]),
    ),
    max_size=14,
)


def played(steps: list[tuple[str, str, Any]]) -> LoopRun:
    run = LoopRun()
    for what, tool, arguments in steps:
        if what == "person":
            run.person()
        elif what == "twice":
            run.at_once([(tool, arguments)] * 2)
        else:
            getattr(run, what)(tool, arguments)
    return run


def starts_anew(event: Event) -> bool:
    return event.name == "escalation.answered" or (
        event.name == "call.settled" and event.body.get("result") == {"done": True}
    )


@settings(max_examples=examples(20, 60))
@given(STEPS)
def test_nothing_but_a_write_or_a_person_leads_up_the_ladder(steps: list[tuple[str, str, Any]]) -> None:
    run = played(steps)

    last = Rung.NONE
    for event, rung in zip(run.events, rungs(run), strict=True):
        assert rung >= last or starts_anew(event)
        assert rung <= last + 1, "a rung a turn"
        last = Rung(rung)


@settings(max_examples=examples(20, 60))
@given(STEPS)
def test_the_fold_says_later_what_it_said_when_the_call_was_proposed(steps: list[tuple[str, str, Any]]) -> None:
    run = played(steps)
    final = detect(Run.of(run.events))

    for at in range(len(run.events)):
        if run.events[at].name == "model.responded":
            before, turn = run.events[:at], run.events[at].turn
            now = detect(Run.of(run.events[: at + 1])).signals
            proposed = Run.of(run.events).proposals[turn].calls
            assert detect_proposed(Run.of(before), turn, proposed) == {
                index: sign for (t, index), sign in now.items() if t == turn
            }
            for key, sign in now.items():
                assert final.signals[key].rung >= sign.rung


def test_a_long_run_costs_in_proportion_to_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: how often two searches, the dearest comparison, are held against each other."""
    compared = 0
    resembles = Search.resembles

    def counting(self: Search, other: Search) -> bool:
        nonlocal compared
        compared += 1
        return resembles(self, other)

    monkeypatch.setattr(Search, "resembles", counting)
    counts = []
    for turns in (50, 200):
        run = LoopRun()
        for number in range(turns):
            run.reads(
                "search", {"query": f"{'x' * (number % 60)}{'y' * (number // 60)} thing {'z' * number}"}, result=number
            )
        compared = 0
        detect(Run.of(run.events))
        counts.append(compared)

    assert counts[1] <= 5 * counts[0]
