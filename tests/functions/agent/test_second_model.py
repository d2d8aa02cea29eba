"""A model that throttles, is down or hangs: wait for it, then ask the second model, then hand over."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools.utilities.circuit_breaker import CircuitBreakerOpenError

from ballast.contracts import ExitReason
from ballast.errors import RetryLater
from functions.agent import handler as planner
from functions.agent.circuits import FAILURES, RECOVERY_S, CircuitOpen, Circuits
from functions.agent.converse import CircuitFailure, _timeouts
from tests.functions.cloud import client
from tests.functions.endpoint import Endpoint, fails, reads, says
from tests.functions.stack import LambdaContext, Stack
from tests.functions.variants import ledger_with, own_card, with_models

ROOT = Path(__file__).parents[3]
FIRST = "anthropic.claude-3-5-sonnet-20240620-v1:0"
SECOND = "eu.amazon.nova-lite-v1:0"  # 0.06 micro-dollars a token in, 0.24 out
THROTTLED = fails(429, "ThrottlingException")
_TABLES = count(1)


@pytest.fixture
def two(stack: Stack, tmp_path: Path) -> Stack:
    """A stack whose playbook names a second model."""
    stack.environs["planner"]["PLAYBOOK_DIR"] = ledger_with(tmp_path, second_model=SECOND)
    return stack


def asked(model: Endpoint) -> list[str]:
    """Return the model of each request, in order."""
    return [request["path"].split("/")[2].replace("%3A", ":") for request in model.requests]


def slept(stack: Stack) -> list[float]:
    """Return a list that collects the agent's pauses."""
    pauses: list[float] = []
    runtime = stack.runtime("planner")
    agent = replace(runtime.get(planner.build), sleep=pauses.append)
    runtime._built[planner.build] = agent
    return pauses


# A second model


def test_a_throttled_model_is_asked_again_and_then_the_second_one(two: Stack, model: Endpoint) -> None:
    run_id = two.open()
    model.will(THROTTLED, THROTTLED, says("Done."))
    with pytest.raises(RetryLater):  # the workflow waits
        two.plan(run_id)

    assert two.plan(run_id)["kind"] == "answer"

    assert asked(model) == [FIRST, FIRST, SECOND]
    answered = two.body(run_id, "0001.model.responded")
    assert (answered["attempt"], answered["gen_ai.request.model"]) == (3, SECOND)
    assert answered["cost_microusd"] == 9  # 100 in, 10 out, by its own price
    assert two.body(run_id, "0001.model.3.requested")["gen_ai.request.model"] == SECOND


def test_when_both_are_away_the_fallback_goes_on_and_every_attempt_was_reserved(two: Stack, model: Endpoint) -> None:
    run_id = two.open(intent="tidy")
    model.will(*[fails(500, "InternalServerException")] * 4)
    for _ in range(2):
        with pytest.raises(RetryLater):
            two.plan(run_id)

    summary = two.plan(run_id)

    assert (summary["to"], summary["reason"]) == ("fallback", "model_unavailable")
    assert asked(model) == [FIRST, FIRST, SECOND, SECOND]
    used = two.log.read(run_id).usage
    asks = [event for event in two.events(run_id) if event.name == "model.requested"]
    assert used.spent_microusd == sum(event.body["reserved_microusd"] for event in asks)


def test_a_hung_model_leaves_time_for_the_second_one(two: Stack, model: Endpoint) -> None:
    run_id = two.open()
    model.will(says("Late.", before=model.hang), says("Late.", before=model.hang), says("Done."))
    with pytest.raises(RetryLater):
        two.plan(run_id)

    assert two.plan(run_id)["kind"] == "answer"

    assert two.body(run_id, "0001.model.failed")["exit_reason"] == "model_timeout"
    assert asked(model) == [FIRST, FIRST, SECOND]


def test_the_next_turn_begins_with_the_first_model_again(two: Stack, model: Endpoint) -> None:
    run_id = two.open()
    model.will(THROTTLED, THROTTLED, reads("n-1"), says("Done."))
    with pytest.raises(RetryLater):
        two.plan(run_id)
    two.plan(run_id)

    two.plan(run_id, 2)

    assert asked(model)[-1] == FIRST


def test_a_second_model_that_has_retired_is_not_asked(stack: Stack, model: Endpoint, tmp_path: Path) -> None:
    gone = own_card(retires="2026-01-01")
    playbook = with_models(ledger_with(tmp_path, second_model="acme.one"), {"models": {"acme.one": gone}})
    stack.environs["planner"]["PLAYBOOK_DIR"] = playbook
    run_id = stack.open()
    model.will(THROTTLED, THROTTLED, says("Done."))
    for _ in range(2):
        with pytest.raises(RetryLater):
            stack.plan(run_id)

    assert stack.plan(run_id)["kind"] == "answer"

    assert asked(model) == [FIRST] * 3
    assert "has been served until 2026-01-01" in stack.body(run_id, "0001.model.requested")["passed_over"]["acme.one"]


# Waiting


def throttled_for(seconds: str) -> Any:
    return replace(THROTTLED, headers={"Retry-After": seconds})


def test_a_provider_that_says_when_to_come_again_is_waited_for(stack: Stack, model: Endpoint) -> None:
    stack.environs["planner"]["MODEL_TIMEOUT_S"] = "2"  # a new process
    run_id, pauses = stack.open(), slept(stack)
    model.will(throttled_for("7"))

    with pytest.raises(RetryLater):
        stack.plan(run_id)

    assert pauses == [7.0]


@pytest.mark.parametrize("seconds", ["80", "21", "3600"])
def test_a_wait_that_is_too_long_is_no_wait_and_the_second_model_is_asked_at_once(
    two: Stack, model: Endpoint, seconds: str
) -> None:
    run_id, pauses = two.open(), slept(two)
    model.will(throttled_for(seconds), says("Done."))

    assert two.plan(run_id)["kind"] == "answer"

    assert asked(model) == [FIRST, SECOND]
    assert pauses == []


def test_where_no_time_is_left_to_wait_the_fallback_goes_on_at_once(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(intent="tidy")
    stack.clock.advance(88.5)  # of 90
    model.will(THROTTLED)

    summary = stack.plan(run_id)

    assert (summary["to"], summary["reason"]) == ("fallback", "model_throttled")


def test_a_call_is_cut_in_the_time_that_is_left(stack: Stack, model: Endpoint) -> None:
    stack.environs["planner"]["MODEL_TIMEOUT_S"] = "30"
    run_id = stack.open(intent="tidy")
    stack.clock.advance(88)

    def hang() -> None:
        stack.clock.advance(1)
        model.hang()

    model.will(says("Late.", before=hang))

    summary = stack.plan(run_id)  # cut after one second, not after 30

    assert (summary["to"], summary["reason"]) == ("fallback", "model_timeout")


def test_a_call_is_cut_before_lambda_cuts_the_planner(stack: Stack, model: Endpoint) -> None:
    stack.environs["planner"]["MODEL_TIMEOUT_S"] = "30"
    run_id = stack.open()
    model.will(says("Late.", before=model.hang))

    with pytest.raises(RetryLater):
        stack.plan(run_id, context=LambdaContext(remaining_ms=2_500))

    assert stack.body(run_id, "0001.model.failed")["exit_reason"] == "model_timeout"


@pytest.mark.parametrize("longest", [1, 2, 10, 100])
def test_the_timeouts_that_there_are_clients_for_waste_a_fifth_at_most(longest: int) -> None:
    rungs = _timeouts(longest)

    assert (rungs[0], rungs[-1]) == (longest, 1)
    assert all(lower >= (higher * 4) // 5 and lower < higher for higher, lower in pairwise(rungs))


# Circuits


class Panic(BaseException):
    """The error that a client in Rust raises when it panics."""


def _raise(problem: BaseException, *_: Any, **__: Any) -> Any:
    raise problem


def test_the_breaker_of_a_client_is_no_circuit_of_a_model(stack: Stack, table: str) -> None:
    circuits = Circuits(stack.runtime("planner"), table)

    with pytest.raises(CircuitBreakerOpenError, match="its own"):
        circuits.call(FIRST, partial(_raise, CircuitBreakerOpenError("its own")))


@pytest.mark.parametrize("problem", [CircuitBreakerOpenError("its own"), Panic("rust panicked")])
def test_whatever_a_client_raises_the_reservation_stays_charged(
    stack: Stack, table: str, monkeypatch: pytest.MonkeyPatch, problem: BaseException
) -> None:
    client = SimpleNamespace(converse=partial(_raise, problem))
    monkeypatch.setattr(stack.runtime("planner").get(planner.build).model, "_client", lambda _: client)
    run_id = stack.open()

    assert stack.plan(run_id)["reason"] == "malformed_model_output"

    reserved = stack.body(run_id, "0001.model.requested")["reserved_microusd"]
    assert stack.log.read(run_id).usage.charged_microusd == reserved > 0


@pytest.fixture
def table(stack: Stack) -> str:
    """The table of the circuits, set in the agent's environment."""
    name = f"circuits-{next(_TABLES)}"
    client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    stack.environs["planner"]["MODEL_CIRCUITS_TABLE"] = name
    return name


def break_the_circuit(stack: Stack, model: Endpoint) -> None:
    """Let the first model fail until its circuit opens."""
    model.will(*[THROTTLED] * FAILURES)
    for _ in range(FAILURES):
        with pytest.raises(RetryLater):
            stack.plan(stack.open())
    model.requests.clear()


def test_an_open_circuit_hands_over_without_a_call_and_without_a_reservation(
    stack: Stack, model: Endpoint, table: str
) -> None:
    break_the_circuit(stack, model)
    run_id = stack.open(intent="tidy")

    summary = stack.plan(run_id)

    assert (summary["to"], summary["reason"]) == ("fallback", "model_unavailable")
    assert model.requests == []
    assert stack.seqs(run_id) == ["0000.run.opened", "0001.plan.decided"]
    assert "circuit" in stack.body(run_id, "0001.plan.decided")["note"]


def test_an_open_circuit_is_known_to_other_processes_and_reported_once(
    stack: Stack, model: Endpoint, table: str
) -> None:
    break_the_circuit(stack, model)

    summary = stack.plan(stack.open(), runtime=stack.cold("planner"))

    assert summary["reason"] == "model_unavailable"
    assert model.requests == []
    [line] = [line for line in stack.lines() if "ModelCircuitsOpened" in line]
    assert (line["ModelCircuitsOpened"], line["model"]) == ([1.0], FIRST)


def test_while_the_circuit_of_the_first_model_is_open_the_second_one_is_asked_at_once(
    two: Stack, model: Endpoint, table: str
) -> None:
    break_the_circuit(two, model)
    run_id = two.open()
    model.will(says("Done."))

    assert two.plan(run_id)["kind"] == "answer"

    assert asked(model) == [SECOND]
    assert "circuit" in two.body(run_id, "0001.model.requested")["passed_over"][FIRST]


@pytest.mark.parametrize(("reply", "closed"), [(says("Done."), True), (THROTTLED, False)])
def test_after_a_while_one_call_probes_and_closes_the_circuit_or_leaves_it_open(
    stack: Stack, model: Endpoint, table: str, reply: Any, closed: bool
) -> None:
    break_the_circuit(stack, model)
    [item] = client("dynamodb").scan(TableName=table)["Items"]
    item["opened_at"]["N"] = str(int(item["opened_at"]["N"]) - RECOVERY_S)
    client("dynamodb").put_item(TableName=table, Item=item)
    model.will(reply, says("Done."))
    probe = stack.cold("planner")

    if closed:
        assert stack.plan(stack.open(), runtime=probe)["kind"] == "answer"
        assert stack.plan(stack.open(), runtime=stack.cold("planner"))["kind"] == "answer"
    else:
        with pytest.raises(RetryLater):
            stack.plan(stack.open(), runtime=probe)
        assert stack.plan(stack.open(), runtime=stack.cold("planner"))["reason"] == "model_unavailable"
        assert len(model.requests) == 1


def test_a_model_that_refuses_opens_no_circuit(stack: Stack, model: Endpoint, table: str) -> None:
    model.will(*[fails(400, "ValidationException")] * FAILURES, says("Done."))
    for _ in range(FAILURES):
        assert stack.plan(stack.open())["reason"] == "model_refused"

    assert stack.plan(stack.open())["kind"] == "answer"


def test_a_success_ends_the_row_of_failures(stack: Stack, model: Endpoint, table: str) -> None:
    for _ in range(2):
        model.will(*[THROTTLED] * (FAILURES - 1), says("Done."))
        for _ in range(FAILURES - 1):
            with pytest.raises(RetryLater):
                stack.plan(stack.open())

        assert stack.plan(stack.open())["kind"] == "answer"


def test_a_model_that_was_asked_has_failed_though_another_process_opened_its_circuit_meanwhile(
    stack: Stack, model: Endpoint, table: str
) -> None:
    circuits = Circuits(stack.runtime("planner"), table)
    failure = CircuitFailure(ExitReason.MODEL_TIMEOUT, True, True, "too late")

    def ask() -> None:
        item = {"id": {"S": f"{table}/{FIRST}"}, "state": {"S": "OPEN"}, "opened_at": {"N": str(2**33)}}
        client("dynamodb").put_item(TableName=table, Item=item)
        raise failure

    with pytest.raises(CircuitFailure, match="too late"):
        circuits.call(FIRST, ask)
    with pytest.raises(CircuitOpen):
        circuits.call(FIRST, ask)


def test_a_closed_circuit_is_read_again_after_five_seconds(stack: Stack, model: Endpoint, table: str) -> None:
    warm = stack.runtime("planner")
    model.will(*[says("Done.")] * 3)
    assert stack.plan(stack.open(), runtime=warm)["kind"] == "answer"
    item = {"id": {"S": f"{table}/{FIRST}"}, "state": {"S": "OPEN"}, "opened_at": {"N": str(2**33)}}
    client("dynamodb").put_item(TableName=table, Item=item)
    assert stack.plan(stack.open(), runtime=warm)["kind"] == "answer"

    stack.clock.advance(5)

    assert stack.plan(stack.open(), runtime=warm)["reason"] == "model_unavailable"
    assert len(model.requests) == 2


def test_a_closed_circuit_needs_neither_powertools_nor_boto3() -> None:
    program = (
        "import sys; from datetime import datetime; from types import SimpleNamespace as Of;"
        "import functions.agent.handler; from functions.agent.circuits import Circuits;"
        "table = Of(get_item=lambda **_: {}); runtime = Of(lazy=lambda _: table, clock=datetime.now);"
        "assert Circuits(runtime, 'circuits').call('m', lambda: 1) == 1;"
        "print({'boto3', 'aws_lambda_powertools'} & set(sys.modules))"
    )
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'ballast'}"}

    done = subprocess.run([sys.executable, "-c", program], env=paths, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def test_a_table_that_is_gone_stops_nobody(stack: Stack, model: Endpoint) -> None:
    stack.environs["planner"]["MODEL_CIRCUITS_TABLE"] = "no-such-table"
    model.will(says("Done."))

    assert stack.plan(stack.open())["kind"] == "answer"


# Other models by intent and by turn


def test_another_model_is_asked_from_a_turn_on_at_its_own_price(stack: Stack, model: Endpoint, tmp_path: Path) -> None:
    others = [{"model": SECOND, "from_turn": 2}]
    stack.environs["planner"]["PLAYBOOK_DIR"] = ledger_with(tmp_path, model_for=others)
    run_id = stack.open()
    model.will(reads("n-1"), says("Done."))

    stack.plan(run_id)
    stack.execute(run_id)
    stack.plan(run_id, 2)

    assert asked(model) == [FIRST, SECOND]
    first, second = (stack.body(run_id, f"000{turn}.model.requested") for turn in (1, 2))
    assert second["reserved_microusd"] < first["reserved_microusd"] / 10
    assert second["sent_as"]["card"] == "amazon.nova-lite-v1:0"


def test_a_model_that_is_set_by_hand_replaces_those_of_turns_too(stack: Stack, model: Endpoint, tmp_path: Path) -> None:
    stack.environs["planner"]["PLAYBOOK_DIR"] = ledger_with(tmp_path, model_for=[{"model": FIRST, "from_turn": 2}])
    stack.environs["planner"]["MODEL_ID"] = SECOND
    run_id = stack.open()
    model.will(reads("n-1"), says("Done."))

    stack.plan(run_id)
    stack.execute(run_id)
    stack.plan(run_id, 2)

    assert asked(model) == [SECOND, SECOND]
