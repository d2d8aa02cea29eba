"""A hostile or broken model: every run ends inside its ceilings, with the right reason."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from ballast.errors import RetryLater
from ballast.log.event import Event
from ballast.run import Run
from tests.functions.endpoint import Endpoint, Reply, calls, fails, reads, reply, says
from tests.functions.stack import Stack

CEILING = 400_000
#: Well above what any run below may take.
MOST_STEPS = 60


def through(stack: Stack, run_id: str) -> dict[str, Any]:
    """Do as the workflow does until the agent is no longer in charge, and return its last decision."""
    turn = 1
    for _ in range(MOST_STEPS):
        try:
            decision = stack.plan(run_id, turn)
        except RetryLater:
            continue
        if decision["kind"] != "call_tools":
            return decision
        for index in decision["calls"]:
            stack.execute(run_id, turn, index)
        turn += 1
    raise AssertionError(f"It did not end in {MOST_STEPS} steps.")


def nothing_was_reserved_beyond_the_ceiling(events: tuple[Event, ...]) -> None:
    """Whatever is asked or called was affordable with all that was charged before, at the moment it was reserved."""
    ceiling = Run.of(events).opening.cost_ceiling_microusd
    for position, event in enumerate(events, start=1):
        if event.body.get("reserved_microusd"):
            assert Run.of(events[:position]).usage.charged_microusd <= ceiling, event.seq


def within_every_limit(stack: Stack, run_id: str) -> None:
    """The run's counts against its limits; a refused call is one too many at most, in the turn that made it."""
    events = stack.events(run_id)
    limits, made = Run.of(events).opening.limits, Run.of(events).counts
    nothing_was_reserved_beyond_the_ceiling(events)
    assert Run.of(events).usage.charged_microusd <= Run.of(events).opening.cost_ceiling_microusd
    executed = len({(event.turn, event.index) for event in events if "effect" in event.body})
    assert made.turns <= limits.turns
    assert executed <= limits.tool_calls
    for event in events:
        if event.name == "model.requested":
            assert event.body["gen_ai.request.max_tokens"] <= limits.tokens_per_turn
            assert event.body["input_tokens_bound"] <= limits.input_tokens_per_turn


_NOTES = count(1)


def another_call() -> Reply:
    return reads(f"n-{next(_NOTES)}")


def invented() -> Reply:
    return calls({"name": f"tool_{next(_NOTES)}", "input": {"note_id": "n-1"}})


def huge() -> Reply:
    text = "x" * 60_000
    return calls({"name": "write_note", "input": {"note_id": f"n-{next(_NOTES)}", "text": text}})


def far_too_much() -> str:
    """A text that no table's item could hold, however it is packed."""
    return random.Random(1).randbytes(500_000).hex()


def usage_of(given: int, made: int) -> dict[str, int]:
    return {"inputTokens": given, "outputTokens": made}


MODELS: dict[str, tuple[Callable[[], Reply], dict[str, int], set[str | None]]] = {
    "always asks for another call": (another_call, {}, {"turn_limit"}),
    "always asks for another call of one tool": (another_call, {"calls_per_tool": 2}, {"tool_limit"}),
    "asks for the same call for ever": (lambda: reads("n-1"), {}, {"loop", "repeated_call_limit", "turn_limit"}),
    "asks again, where nothing may be asked again": (
        lambda: reads("n-1"), {"repeated_calls": 0}, {"repeated_call_limit"},
    ),
    "never ends its turn": (lambda: says("And then", stop="max_tokens"), {}, {"max_tokens"}),
    "asks for 50 calls a turn": (lambda: reads(*[f"n-{n}" for n in range(50)]), {}, {"tool_call_limit"}),
    "asks for 51 calls a turn": (lambda: reads(*[f"n-{n}" for n in range(51)]), {}, {"malformed_tool_use"}),
    "asks for 50 calls of nothing": (lambda: calls(*[{"name": "x"}] * 50), {}, {"tool_call_limit"}),
    "invents tools": (invented, {"refused_calls": 2}, {"refused_call_limit", "loop"}),
    "writes huge arguments and says that it was nothing": (huge, {}, {"token_limit", "cost_limit"}),
    "answers with a million characters": (lambda: says(far_too_much()), {}, {"answer_invalid"}),
    "never ends a million characters": (lambda: says(far_too_much(), stop="max_tokens"), {}, {"max_tokens"}),
    "writes a million characters": (
        lambda: calls({"name": "write_note", "input": {"note_id": "n-1", "text": far_too_much()}}),
        {}, {"token_limit", "cost_limit"},
    ),
    "says nothing": (reply, {}, {"empty_answer"}),
    "says blanks": (lambda: says(" \n"), {}, {"empty_answer"}),
    "asks for tools and names none": (lambda: reply({"text": "…"}, stop="tool_use"), {}, {None}),
    "uses more than was promised": (
        lambda: reads(f"n-{next(_NOTES)}", usage=usage_of(900_000, 90_000)), {"cost_microusd": 100_000}, {"cost_limit"},
    ),
    "uses a little more than was promised": (
        lambda: reads(f"n-{next(_NOTES)}", usage=usage_of(60_000, 5_000)), {"cost_microusd": 60_000}, {"cost_limit"},
    ),
    "uses more tokens than the run may": (
        lambda: reads(f"n-{next(_NOTES)}", usage=usage_of(20_000, 0)), {"tokens_per_run": 9_000}, {"run_token_limit"},
    ),
    "never says what it used": (
        lambda: reads(f"n-{next(_NOTES)}", usage=False), {"cost_microusd": 60_000}, {"cost_limit"},
    ),
    "says that it used less than nothing": (
        lambda: reads(f"n-{next(_NOTES)}", usage=usage_of(-10**9, -10**9)), {"cost_microusd": 60_000}, {"cost_limit"},
    ),
    "says that it used nothing": (
        lambda: reads(f"n-{next(_NOTES)}", usage=usage_of(0, 0)), {"cost_microusd": 60_000}, {"cost_limit"},
    ),
    "is always throttled": (lambda: fails(429, "ThrottlingException"), {}, {"model_throttled"}),
    "always breaks": (lambda: fails(500, "InternalServerException"), {"cost_microusd": 30_000}, {"cost_limit"}),
}  # fmt: skip


@pytest.mark.sampled(10)
@pytest.mark.parametrize("name", MODELS)
def test_every_run_ends_inside_its_ceilings_with_the_right_reason(stack: Stack, model: Endpoint, name: str) -> None:
    makes, limits, reasons = MODELS[name]
    run_id = stack.open(limited={"cost_microusd": CEILING} | limits)
    model.replies = _Endless(makes)  # type: ignore[assignment]

    decision = through(stack, run_id)

    assert decision["reason"] in reasons  # None: it answered
    within_every_limit(stack, run_id)


def test_what_was_used_beyond_the_promise_is_charged_at_the_promise_and_the_run_goes_on(
    stack: Stack, model: Endpoint
) -> None:
    run_id = stack.open(limited={"cost_microusd": CEILING})
    model.will(reads("n-1", usage=usage_of(900_000, 0)), says("Done."))

    assert through(stack, run_id)["kind"] == "answer"

    reserved = stack.body(run_id, "0001.model.requested")["reserved_microusd"]
    assert 0 < stack.body(run_id, "0001.model.responded")["cost_microusd"] <= reserved


@pytest.mark.parametrize("seed", range(6))
def test_no_mixture_of_them_passes_a_ceiling(stack: Stack, model: Endpoint, seed: int) -> None:
    chance = random.Random(seed)
    makers = [makes for makes, _, _ in MODELS.values()]
    run_id = stack.open(limited={"cost_microusd": chance.choice([30_000, 100_000, CEILING])})
    model.replies = _Endless(lambda: chance.choice(makers)())  # type: ignore[assignment]  # noqa: PLW0108  another each time

    through(stack, run_id)

    within_every_limit(stack, run_id)


class _Endless:
    """A list of replies that has always one more."""

    def __init__(self, makes: Callable[[], Reply]) -> None:
        self._makes = makes

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Reply]:
        raise TypeError("There is no end to it.")

    def pop(self, _: int) -> Reply:
        return self._makes()
