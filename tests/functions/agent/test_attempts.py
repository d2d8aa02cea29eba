"""Attempts at a turn: each has its own reservation, one decision stands, and no request is sent twice unrecorded."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import boto3
import pytest

from ballast.errors import AttemptInProgress, RetryLater
from ballast.runtime import Runtime
from tests.functions.endpoint import Endpoint, Reply, fails, reads, says
from tests.functions.stack import HANDLERS, LambdaContext, LambdaDied, Stack, client_error, once
from tests.support.dynamodb_client import answer_requests

#: HTTP status and error name → (reason, worth another attempt, may have been charged).
FAILURES = {
    (429, "ThrottlingException"): ("model_throttled", True, False),
    (429, "ModelNotReadyException"): ("model_unavailable", True, False),
    (503, "ServiceUnavailableException"): ("model_unavailable", True, False),
    (500, "InternalServerException"): ("model_unavailable", True, True),
    (424, "ModelErrorException"): ("model_unavailable", True, True),
    (408, "ModelTimeoutException"): ("model_timeout", True, True),
    (400, "ValidationException"): ("model_refused", False, False),
    (403, "AccessDeniedException"): ("model_refused", False, False),
    (404, "ResourceNotFoundException"): ("model_refused", False, False),
    (400, "ServiceQuotaExceededException"): ("model_refused", False, False),
    # From a gateway, without Bedrock's error name.
    (429, ""): ("model_throttled", True, False),
    (500, ""): ("model_unavailable", True, True),
    (502, ""): ("model_unavailable", True, True),
    (503, ""): ("model_unavailable", True, False),
    (504, ""): ("model_timeout", True, True),
    (400, ""): ("model_refused", False, False),
    (404, ""): ("model_refused", False, False),
}


@pytest.mark.parametrize(("status", "error"), FAILURES)
def test_an_error_of_the_model_has_one_meaning_and_is_sent_once(
    stack: Stack, model: Endpoint, status: int, error: str
) -> None:
    reason, again, charged = FAILURES[status, error]
    run_id = stack.open()
    model.will(fails(status, error))

    if again:
        with pytest.raises(RetryLater):
            stack.plan(run_id)
    else:
        assert stack.plan(run_id)["reason"] == reason

    failed = stack.body(run_id, "0001.model.failed")
    reserved = stack.body(run_id, "0001.model.requested")["reserved_microusd"]
    assert failed["exit_reason"] == reason
    assert failed["cost_microusd"] == (reserved if charged else 0)
    assert len(model.requests) == 1


def test_after_a_throttle_the_next_attempt_succeeds(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(fails(429, "ThrottlingException"), says("Done."))
    with pytest.raises(RetryLater, match="attempt 1"):
        stack.plan(run_id)

    assert stack.plan(run_id)["kind"] == "answer"

    assert stack.seqs(run_id) == [
        "0000.run.opened",
        "0001.model.requested",
        "0001.model.failed",
        "0001.model.2.requested",
        "0001.model.responded",
    ]
    assert stack.body(run_id, "0001.model.responded")["attempt"] == 2


def test_the_fourth_failure_hands_over_with_its_reason(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(intent="tidy")
    model.will(*[fails(429, "ThrottlingException")] * 4)
    for _ in range(3):
        with pytest.raises(RetryLater):
            stack.plan(run_id)

    summary = stack.plan(run_id)

    assert (summary["to"], summary["reason"]) == ("fallback", "model_throttled")
    assert stack.plan(run_id) == summary
    assert len(model.requests) == 4
    assert "ThrottlingException" in stack.body(run_id, "0001.plan.decided")["note"]


def test_attempts_that_died_are_attempts(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    for _ in range(4):
        stack.on("planner", "bedrock-runtime", "Converse", once(LambdaDied()))
        with pytest.raises(LambdaDied):
            stack.plan(run_id)

    summary = stack.plan(run_id)

    assert summary["reason"] == "model_unavailable"
    assert model.requests == []


def test_a_hung_model_is_cut_and_stays_charged(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says("Too late.", before=model.hang))

    with pytest.raises(RetryLater):
        stack.plan(run_id)

    failed = stack.body(run_id, "0001.model.failed")
    assert failed["exit_reason"] == "model_timeout"
    assert failed["cost_microusd"] == stack.body(run_id, "0001.model.requested")["reserved_microusd"] > 0
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    ("fails_by", "reason"),
    [
        (fails(408, "ModelTimeoutException"), "model_timeout"),
        (fails(503, "ServiceUnavailableException"), "deadline"),  # another attempt was possible
    ],
)
def test_time_that_ran_out_while_a_model_was_asked_is_the_models(
    stack: Stack, model: Endpoint, fails_by: Reply, reason: str
) -> None:
    run_id = stack.open(limits={"deadline_s": 100})
    model.will(fails_by)
    with pytest.raises(RetryLater):
        stack.plan(run_id)
    stack.clock.advance(90)

    assert stack.plan(run_id)["reason"] == reason
    assert len(model.requests) == 1


def test_a_model_that_hung_in_an_earlier_turn_did_not_use_up_the_time_of_this_one(
    stack: Stack, model: Endpoint
) -> None:
    run_id = stack.open(limits={"deadline_s": 100})
    model.will(fails(408, "ModelTimeoutException"), reads("n-1"))
    with pytest.raises(RetryLater):
        stack.plan(run_id)
    stack.plan(run_id)
    stack.clock.advance(90)

    assert stack.plan(run_id, 2)["reason"] == "deadline"


def test_a_connection_that_breaks_stays_charged(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says("Lost.", before=model.drop))

    with pytest.raises(RetryLater):
        stack.plan(run_id)

    failed = stack.body(run_id, "0001.model.failed")
    assert failed["exit_reason"] == "model_unavailable"
    assert failed["cost_microusd"] > 0


def test_a_model_that_nobody_serves_costs_nothing(stack: Stack) -> None:
    stack.environs["planner"]["MODEL_ENDPOINT_URL"] = "http://127.0.0.1:9"  # the discard port: nothing listens
    run_id = stack.open()

    with pytest.raises(RetryLater):
        stack.plan(run_id)

    failed = stack.body(run_id, "0001.model.failed")
    assert (failed["exit_reason"], failed["cost_microusd"]) == ("model_unavailable", 0)


# A crash half way


def test_a_retry_whose_completion_is_recorded_does_not_ask_again(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(reads("n-1"))
    first = stack.plan(run_id)

    second = stack.plan(run_id, runtime=stack.cold("planner"))

    assert first == second
    assert len(model.requests) == 1


@pytest.mark.parametrize("moment", ["before the call", "after the call", "before the record", "after the record"])
def test_whenever_the_planner_dies_the_next_attempt_decides_and_all_is_charged(
    stack: Stack, model: Endpoint, moment: str
) -> None:
    run_id = stack.open()
    model.will(*[says("Done.")] * 2)
    recording = once(LambdaDied(), seq="0001.model.responded")
    match moment:
        case "before the call":
            stack.on("planner", "bedrock-runtime", "Converse", once(LambdaDied()))
        case "after the call":
            stack.after("planner", "bedrock-runtime", "Converse", once(LambdaDied()))
        case "before the record":
            stack.on("planner", "dynamodb", "PutItem", recording)
        case "after the record":
            stack.after("planner", "dynamodb", "PutItem", recording)
    with pytest.raises(LambdaDied):
        stack.plan(run_id)

    summary = stack.plan(run_id, runtime=stack.cold("planner"))

    assert summary["kind"] == "answer"
    used = stack.log.read(run_id).usage
    if moment == "after the record":
        assert (used.model_calls, used.spent_microusd, used.reserved_microusd) == (1, 450, 0)
    else:
        reserved = stack.body(run_id, "0001.model.requested")["reserved_microusd"]
        assert (used.model_calls, used.spent_microusd, used.reserved_microusd) == (2, 450, reserved)


def test_a_log_that_is_throttled_before_the_call_means_no_call(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    throttle = once(client_error("ProvisionedThroughputExceededException"), seq="0001.model.requested")
    stack.on("planner", "dynamodb", "PutItem", throttle)

    with pytest.raises(RetryLater):
        stack.plan(run_id)

    assert model.requests == []
    assert stack.seqs(run_id) == ["0000.run.opened"]


# Concurrent attempts


def test_of_two_invocations_at_once_one_asks_and_the_other_is_told_to_wait(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says("Done."))
    both_have_read = Barrier(2, timeout=300)
    written: list[str] = []

    def meet(params: dict[str, Any]) -> None:
        written.append(params["Item"]["seq"]["S"])
        if written.count("0001.model.requested") <= 2 and written[-1] == "0001.model.requested":
            both_have_read.wait()

    stack.on("planner", "dynamodb", "PutItem", meet)

    outcomes = side_by_side(stack, run_id, 2)

    assert sorted(outcomes) == ["AttemptInProgress", "answer"]
    assert len(model.requests) == 1
    assert stack.log.read(run_id).usage.charged_microusd == 450


def side_by_side(stack: Stack, run_id: str, number: int) -> list[str]:
    """Plan the first turn in as many threads and return each one's result."""

    def plan(_: int) -> str:
        try:
            return str(stack.plan(run_id)["kind"])
        except AttemptInProgress as waiting:
            return type(waiting).__name__

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(plan, range(number)))


def test_of_two_completions_of_a_turn_the_first_one_stands_and_both_are_paid(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    asked, overtaken = Event(), Event()

    def wait() -> None:
        asked.set()
        overtaken.wait(300)

    model.will(reads("n-1", before=wait), says("Done."))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(stack.plan, run_id)
        assert asked.wait(300)
        fast = stack.plan(run_id)
        overtaken.set()
        late = slow.result(300)

    assert late == fast
    assert fast["kind"] == "answer"
    assert stack.plan(run_id) == fast
    used = stack.log.read(run_id).usage
    assert (used.spent_microusd, used.reserved_microusd) == (900, 0)
    assert stack.body(run_id, "0001.model.failed")["error"] == "another attempt answered first"


# The client


class CountingSession(boto3.Session):
    """A session that records the clients it makes."""

    def client(self, service_name: str, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        self.__dict__.setdefault("made", []).append(service_name)
        return super().client(service_name, *args, **options)


def test_the_models_client_is_made_at_the_first_plan_and_only_once(stack: Stack, model: Endpoint) -> None:
    session = CountingSession("testing", "testing", region_name="eu-west-1")
    answer_requests(session, lambda: stack.cloud.tables)
    runtime = Runtime(stack.environs["planner"], session=session, clock=stack.clock, stdout=stack.stdout)
    made: list[str] = vars(session).setdefault("made", [])
    assert made == []
    model.will(reads("n-1"), says("Done."))
    run_id = stack.open()

    for turn in (1, 2):
        HANDLERS["planner"]({"run_id": run_id, "turn": turn}, LambdaContext(), runtime=runtime)

    assert made.count("bedrock-runtime") == 1
