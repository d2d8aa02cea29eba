"""A request whose limits do not pay for one attempt is refused at admission; no person is asked."""

from typing import Any

import pytest

from ballast.errors import NotAdmitted
from ballast.money.breaker import Mode
from ballast.playbook.first_prompt import PROVIDER_OVERHEAD_TOKENS
from tests.functions.breakers import trip
from tests.functions.endpoint import Endpoint, says
from tests.functions.http import ACME, ask, event
from tests.functions.stack import Stack

#: The price of the playbook's model, in micro-dollars a token: dearest class of input, and output.
INPUT, OUTPUT = 6, 15
#: By limit, what the planner says where a playbook leaves so little.
REASONS = {
    "cost_microusd": "cost_limit",
    "tokens_per_run": "run_token_limit",
    "input_tokens_per_turn": "token_limit",
}


def least(stack: Stack, model: Endpoint, name: str, **request: Any) -> int:
    """Return the least of that limit with which such a run's first attempt is made."""
    run_id = stack.open(**request)
    model.will(says("Done."))
    stack.plan(run_id)
    model.requests.clear()
    bound = int(stack.body(run_id, "0001.model.requested")["input_tokens_bound"])
    return {
        "cost_microusd": bound * INPUT + 64 * OUTPUT,
        "tokens_per_run": bound + 64,
        "input_tokens_per_turn": PROVIDER_OVERHEAD_TOKENS + -(-(bound - PROVIDER_OVERHEAD_TOKENS) // 3),
    }[name]


REQUESTS: dict[str, dict[str, Any]] = {
    "a short one": {},
    "one with facts": {"context": {"order_id": "O-1001", "street": "Größe 5", "nested": {"a": [1, "x"]}}},
    "a long one": {"text": "Tidy my notes. " * 200},
    "one in another script": {"text": "整理我的笔记。" * 20},
    "one of an intent without a script": {"intent": "no_script"},
}


@pytest.mark.sampled
@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("name", REASONS)
def test_the_door_and_the_planner_agree_to_the_last_one(
    stack: Stack, model: Endpoint, name: str, request_: str
) -> None:
    fields = REQUESTS[request_]
    needed = least(stack, model, name, **fields)

    with pytest.raises(NotAdmitted, match=rf"limits\.{name} is {needed - 1}.*Send {needed} or more"):
        stack.open(limits={name: needed - 1}, **fields)

    assert stack.plan(stack.open(limited={name: needed - 1}, **fields))["reason"] == REASONS[name]
    assert model.requests == []
    model.will(says("Done."))
    assert stack.plan(stack.open(limits={name: needed}, **fields))["kind"] == "answer"


@pytest.mark.parametrize("limits", [{"cost_microusd": 0}, {"cost_microusd": 1}, {"cost_microusd": 6_000}])
@pytest.mark.parametrize("more", [{}, {"turns": 1}, {"tool_calls": 0}, {"tokens_per_turn": 1}, {"deadline_s": 1}])
def test_whatever_other_limits_it_has(stack: Stack, limits: dict[str, int], more: dict[str, int]) -> None:
    with pytest.raises(NotAdmitted, match=r"limits\.cost_microusd"):
        stack.open(limits=limits | more)


@pytest.mark.parametrize("limits", [{"tokens_per_run": 1}, {"input_tokens_per_turn": 1}])
def test_tokens_are_a_limit_as_money_is(stack: Stack, limits: dict[str, int]) -> None:
    with pytest.raises(NotAdmitted, match=next(iter(limits))):
        stack.open(limits=limits)


def test_fewer_tokens_of_a_turn_need_less(stack: Stack, model: Endpoint) -> None:
    needed = least(stack, model, "cost_microusd") - 63 * OUTPUT

    with pytest.raises(NotAdmitted):
        stack.open(limits={"cost_microusd": needed - 1, "tokens_per_turn": 1})

    assert stack.open(limits={"cost_microusd": needed, "tokens_per_turn": 1})


@pytest.mark.parametrize(
    "limits", [{"turns": 1}, {"tool_calls": 0}, {"deadline_s": 1}, {"tokens_per_turn": 1}, {"refused_calls": 0}]
)
def test_a_limit_that_leaves_room_for_an_attempt_is_admitted(stack: Stack, limits: dict[str, int]) -> None:
    assert stack.open(limits=limits)


def test_a_script_asks_no_model_so_its_intent_may_come_without_money(stack: Stack) -> None:
    run_id = stack.open(intent="tidy", limits={"cost_microusd": 0})

    assert stack.plan(run_id)["to"] == "fallback"


def test_while_the_breaker_asks_for_the_cheaper_model_its_price_counts(stack: Stack) -> None:
    with pytest.raises(NotAdmitted):
        stack.open(limits={"cost_microusd": 2_000})

    trip(stack, Mode.CHEAPER)

    assert stack.open(limits={"cost_microusd": 2_000})


@pytest.mark.parametrize("model_id", ["amazon.nova-micro-v1:0", "a model without a price"])
def test_the_stacks_own_model_counts_and_one_without_a_price_is_the_planners_to_refuse(
    stack: Stack, model_id: str
) -> None:
    stack.environs["admit"]["MODEL_ID"] = model_id

    assert stack.open(limits={"cost_microusd": 2_000})


def test_it_is_on_the_record_and_asked_again_it_is_refused_again(stack: Stack) -> None:
    sent = {"request_id": "broke", "limits": {"cost_microusd": 0}}
    for _ in range(2):
        with pytest.raises(NotAdmitted, match=r"limits\.cost_microusd is 0"):
            stack.open(**sent)


def test_no_lease_is_taken_for_it(stack: Stack) -> None:
    stack.environs["admit"]["TENANT_RUNS"] = "1"
    for _ in range(3):
        with pytest.raises(NotAdmitted, match=r"limits\.cost_microusd"):
            stack.open(limits={"cost_microusd": 0})

    assert stack.open()


def test_a_caller_sees_that_it_was_refused_and_why(stack: Stack) -> None:
    with pytest.raises(NotAdmitted):
        stack.open(tenant="acme", request_id="shown", limits={"cost_microusd": 0})
    [run] = ask(stack, "api", event("GET", "/runs", who=ACME)).body["runs"]

    shown = ask(stack, "api", event("GET", f"/runs/{run['run_id']}", who=ACME)).body

    assert (shown["status"], shown["reason"]) == ("refused", "NotAdmitted")
    assert "limits.cost_microusd" in shown["message"]
