"""JSONata as Step Functions evaluates it, in the forms that the state machine uses."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from localcloud.moto_seams.imports import import_moto
from localcloud.moto_seams.jsonata import QueryFailed, evaluate, jsonata_clock
from tests.workflow.local_cloud.conftest import threads_switching_often

STATES = dict.fromkeys(("input", "context", "result", "errorOutput"))


@pytest.fixture(scope="module", autouse=True)
def moto() -> None:
    import_moto()


def value(text: str, variables: dict[str, Any] | None = None, **states: Any) -> Any:
    return evaluate(text, variables or {}, {**STATES, **states})


@pytest.mark.parametrize(
    ("text", "variables", "expected"),
    [
        ("$lookup({'agent': 'a', 'fallback': 'f'}, $planner)", {"planner": "fallback"}, "f"),
        ("$max([1, $floor($left / 1000)])", {"left": 2999}, 2),
        ("$max([1, $floor($left / 1000)])", {"left": -5}, 1),
        ("$turn + 1", {"turn": 1}, 2),
        ("$calls", {"calls": [1]}, [1]),
        ("$decision.calls", {"decision": {"calls": [7]}}, [7]),
        ("$decision.calls", {"decision": {"calls": []}}, []),
        ("$decision.calls", {"decision": {"calls": [[1], [2]]}}, [[1], [2]]),
        ("$none", {"none": None}, None),
        (
            "{'kind': 'hand_over', 'calls': [], 'from': $none}",
            {"none": None},
            {"kind": "hand_over", "calls": [], "from": None},
        ),
        (
            "$decision.kind = 'hand_over' and $decision.to != 'human'",
            {"decision": {"kind": "hand_over", "to": "human"}},
            False,
        ),
        ("$text", {"text": 'a "b" \\ \n $c {% d %}'}, 'a "b" \\ \n $c {% d %}'),
        ("$range(1, 5, 2)", {}, [1, 3, 5]),
    ],
)
def test_an_expression_has_the_value_that_it_has_on_aws(text: str, variables: dict[str, Any], expected: Any) -> None:
    found = value(text, variables)

    assert found == expected
    assert type(found) is type(expected)


def test_what_the_states_hold_is_merged_and_told_apart_from_nothing() -> None:
    assert value("$merge([$states.input, {'b': true}])", input={"a": None}) == {"a": None, "b": True}
    assert value("$exists($states.input.error)", input={"error": None}) is True
    assert value("$exists($states.input.error)", input={}) is False
    assert value("$states.context.Map.Item.Value", context={"Map": {"Item": {"Value": 3}}}) == 3
    assert value("$states.errorOutput.Error", errorOutput={"Error": "Boom", "Cause": "{}"}) == "Boom"
    assert value("$states", input=1)["input"] == 1


def test_a_time_among_the_states_is_text() -> None:
    started = datetime(2031, 5, 6, tzinfo=UTC)

    assert value("$states.context.Execution.StartTime", context={"Execution": {"StartTime": started}}).startswith(
        "2031-05-06"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("$nothing", "returned nothing"),
        ("$sum", "unsupported result type"),
        ("{'a': $sum}", "unsupported result type"),
        ("1 +", "threw an error"),
        ("1 + 'a'", "threw an error"),
    ],
)
def test_what_is_no_json_fails_by_name(text: str, words: str) -> None:
    with pytest.raises(QueryFailed, match=words):
        value(text)


def test_a_value_that_was_given_is_not_changed() -> None:
    given = {"a": [None, {"b": None}]}

    value("$merge([$given, {'c': 1}])", {"given": given})

    assert given == {"a": [None, {"b": None}]}


def test_threads_do_not_get_each_others_values_or_times() -> None:
    times = itertools.count(1)
    clock_lock = threading.Lock()

    def clock() -> datetime:
        with clock_lock:
            return datetime.fromtimestamp(next(times), UTC)

    def work(own: int) -> list[Any]:
        text = "[$own, $millis(), $sum($map([1..30], function($i) { $i * 2 })), $millis()]"
        return [value(text, {"own": own}) for _ in range(30)]

    with jsonata_clock(clock), threads_switching_often(), ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(4)))

    assert [{values[0] for values in own} for own in found] == [{0}, {1}, {2}, {3}]
    assert all(values[1] == values[3] for own in found for values in own)
