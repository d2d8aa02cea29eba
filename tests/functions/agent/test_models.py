"""The model of the next attempt, and the time to wait for it."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.contracts import ExitReason
from ballast.log.event import Event
from ballast.log.events import Fact, ModelFailed, ModelRequested
from ballast.playbook import Playbook
from ballast.playbook.agent import AgentConfig
from ballast.run import Run
from functions.agent.ask import MAX_ATTEMPTS, Attempts, call_s, candidates, next_model, pause_s

CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")


def run_of(*facts: Fact) -> Run:
    at = "2026-03-01T12:00:00+00:00"
    return Run(Event(run_id="run-x", seq=fact.seq, at=at, body=fact.body) for fact in facts)


def asked(turn: int, attempt: int, model: str) -> ModelRequested:
    return ModelRequested(turn=turn, attempt=attempt, model=model, reserved_microusd=0)


def test_attempts_are_counted_by_model_whatever_came_of_them() -> None:
    throttled = ModelFailed(turn=2, attempt=1, cost_microusd=0, exit_reason="model_throttled", error="Slow down.")

    attempts = Attempts.of(run_of(asked(1, 1, "a"), asked(2, 1, "a"), throttled, asked(2, 2, "b")), 2)

    assert attempts == Attempts({"a": 1, "b": 1}, ExitReason.MODEL_THROTTLED, "Slow down.")
    assert attempts.number == 2


@given(models=st.sampled_from([("a",), ("a", "b")]), passed_over=st.sets(st.sampled_from(["a", "b"])))
def test_models_are_asked_in_order_each_its_share_of_the_attempts_and_then_nobody(
    models: tuple[str, ...], passed_over: set[str]
) -> None:
    tried: dict[str, int] = {}
    asked = []
    while (model := next_model(models, Attempts(tried), passed_over)) is not None:
        tried[model] = tried.get(model, 0) + 1
        asked.append(model)

    left = [model for model in models if model not in passed_over]
    assert asked == [model for model in left for _ in range(MAX_ATTEMPTS // len(models))]


@pytest.mark.parametrize(
    ("number", "retry_after_s", "left_s", "pause"),
    [
        (1, None, 2.0, 0),  # the workflow waits up to 1 s, and a call takes at least 1 s
        (1, None, 1.9, None),
        (3, None, 5.0, 0),  # up to 4 s
        (3, None, 4.9, None),
        (1, 3.0, 4.0, 3.0),
        (1, 3.0, 3.9, None),
        (1, 20.0, 60.0, 20.0),
        (1, 20.5, 60.0, None),
        (1, 0.0, 1.0, 0.0),
        (1, None, -5.0, None),
    ],
)
def test_a_model_is_waited_for_only_within_the_time_left(
    number: int, retry_after_s: float | None, left_s: float, pause: float | None
) -> None:
    assert pause_s(Attempts({"a": number}), retry_after_s, left_s=left_s) == pause


@pytest.mark.parametrize(
    ("left_s", "more", "seconds"), [(40, False, 40), (40, True, 20), (1.5, True, 1), (0, False, 1), (-3, True, 1)]
)
def test_where_another_model_could_be_asked_the_first_one_has_half_of_the_time(
    left_s: float, more: bool, seconds: float
) -> None:
    assert call_s(left_s=left_s, more_to_ask=more) == seconds


def card(rate: int, **more: int) -> dict[str, Any]:
    price = {"version": "1"} | dict.fromkeys(CLASSES, rate) | more
    return {"vendor": "v", "as_of": "2026-01-01", "context_window": 1, "max_output": 1, "prices": [price]}


CARDS = {"dear": card(9), "cheap": card(3), "odd": card(2, output=4)}


@pytest.mark.parametrize(
    ("model", "second", "saving", "found"),
    [
        ("dear", None, False, ("dear",)),
        ("dear", "dear", False, ("dear",)),
        ("cheap", "dear", False, ("cheap", "dear")),
        ("cheap", "dear", True, ("cheap",)),
        ("cheap", "odd", True, ("cheap",)),  # more expensive in one class
        ("dear", "cheap", True, ("dear", "cheap")),
        ("dear", "unpriced", True, ("dear",)),
    ],
)
def test_while_money_is_saved_the_second_model_may_not_cost_more(
    model: str, second: str | None, saving: bool, found: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "models.yaml").write_text(json.dumps({"models": CARDS}), encoding="utf-8")
    agent = AgentConfig(name="a", model=model, second_model=second, instructions="Help.")
    playbook = Playbook(tmp_path, agent, {}, {})

    assert candidates(model, playbook, saving=saving, on=date(2026, 6, 1)) == found
