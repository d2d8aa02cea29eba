"""A request whose limits do not pay for one attempt at the model is refused at the door; nobody is asked about it."""

import json
import re
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.errors import NotAdmitted
from tests.functions.cloud import client
from tests.functions.endpoint import Endpoint, says
from tests.functions.stack import Stack

#: With it the first attempt of this request is not affordable; what it would take is in the message.
SHORT: dict[str, Any] = {
    "cost_microusd": 0,
    "tokens_per_run": 1_024,
    "input_tokens_per_turn": 1_024,
}


@pytest.fixture
def door(stack: Stack) -> Stack:
    """Return the stack with the usual model at the door."""
    stack.environs["admit"]["MODEL_ID"] = ""
    return stack


def _least(door: Stack, name: str, **fields: Any) -> int:
    with pytest.raises(NotAdmitted, match=f"limits.{name} is ") as refusal:
        door.open(limits={name: SHORT[name]}, **fields)
    found = re.search(r"take ([0-9]+) for this request\. Send so much or more", str(refusal.value))
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("fields", [{}, {"text": "Räum auf. " * 200}, {"context": {"order": "O-1001"}}], ids=str)
def test_the_least_that_is_let_in_is_what_the_planner_can_pay(
    door: Stack, model: Endpoint, name: str, fields: dict[str, Any]
) -> None:
    least = _least(door, name, **fields)
    assert least > SHORT[name]

    with pytest.raises(NotAdmitted):
        door.open(limits={name: least - 1}, **fields)
    run_id = door.open(limits={name: least}, **fields)

    model.will(says("All is tidy."))
    assert door.plan(run_id)["kind"] == "answer"


def test_a_refused_request_is_on_the_record_with_its_reason_and_took_no_money(door: Stack) -> None:
    request = {"request_id": "short", "agent": "tester", "text": "Tidy my notes.", "limits": {"cost_microusd": 1}}
    with pytest.raises(NotAdmitted) as refusal:
        door.invoke("admit", {"request": request})

    run_id = RunRequest.model_validate(request).run_id
    assert door.body(run_id, "0000.run.refused")["message"] == str(refusal.value)
    assert door.seqs(run_id)[0] == "0000.run.refused"
    held = client("dynamodb").scan(TableName="budgets")["Items"]
    assert not [item for item in held if run_id in json.dumps(item)]


def test_where_the_model_has_no_price_the_run_says_so_itself(door: Stack) -> None:
    door.environs["admit"]["MODEL_ID"] = "nobody.knows-v1"

    assert door.open(limits={"cost_microusd": 0})


def test_a_cheaper_model_needs_less(door: Stack) -> None:
    usual = _least(door, "cost_microusd")
    door.environs["admit"]["MODEL_ID"] = "amazon.nova-micro-v1:0"

    assert 0 < _least(door, "cost_microusd") < usual
