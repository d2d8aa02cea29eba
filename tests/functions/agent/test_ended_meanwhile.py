"""An agent that still runs after Step Functions timed it out: its attempt is charged, or it does not ask the model."""

from typing import Any

import pytest

from ballast.errors import RunEnded
from ballast.log.events import PlanDecided
from tests.functions.endpoint import Endpoint, says
from tests.functions.stack import Stack


def test_what_ended_meanwhile_asks_the_model_nothing(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()

    def cut(params: dict[str, Any]) -> None:
        if params["Item"]["seq"]["S"] == "0001.model.requested":
            stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "failed"})

    stack.on("planner", "dynamodb", "PutItem", cut)

    with pytest.raises(RunEnded, match=run_id):
        stack.plan(run_id)

    assert model.requests == []


def test_what_the_run_went_on_without_asks_the_model_nothing(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()

    def cut(params: dict[str, Any]) -> None:
        if params["Item"]["seq"]["S"] == "0001.model.requested":
            answer = {"kind": "answer", "text": "Done."}
            stack.log.record(run_id, PlanDecided(turn=2, planner="fallback", decision=answer))

    stack.on("planner", "dynamodb", "PutItem", cut)

    with pytest.raises(RunEnded, match="has continued without turn 1"):
        stack.plan(run_id)

    assert model.requests == []


def test_a_reservation_that_was_there_before_the_ending_is_charged(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says("All is tidy."))

    def cut(_: dict[str, Any]) -> None:
        stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "failed"})

    stack.on("planner", "bedrock-runtime", "Converse", cut)

    stack.plan(run_id)

    reserved = stack.body(run_id, "0001.model.requested")["reserved_microusd"]
    assert stack.body(run_id, "9999.run.settled")["charged_microusd"] == reserved
