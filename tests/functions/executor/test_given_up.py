"""A payment is recorded as not made only if every attempt is over and ``verify`` finds nothing."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import product
from random import Random

import pytest
import yaml
from aws_lambda_powertools.utilities.circuit_breaker import CircuitBreakerOpenError, base
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
)

from ballast.errors import ApprovalRequired, AtCapacity, AttemptInProgress, ProcessEnds, RetryLater, SchemaViolation
from ballast.log.events import CallDoubted
from ballast.playbook import ToolFailed
from bench.tau2.memory import NOON
from bench.tau2.workflow import DEFINITION, ProcessDied
from functions.executor.attempt import Attempt
from functions.executor.effect import WriteAttempt
from tests.functions.executor.provider import LEASE_S, Desk, Ended, PaymentsSdkError, Provider, desk
from tests.support.sampling import dealt, examples

TOOLS = ("pay", "pay_by_key", "pay_verified", "pay_both")
GUARDED = tuple(f"{tool}_guarded" for tool in TOOLS)
MOMENTS = (0.0, 5.0, 40.0, LEASE_S - 0.1, None)
#: So many random runs; more with PAYMENT_RUNS=2000.
RUNS = int(os.environ.get("PAYMENT_RUNS", examples(40, 120)))


class PanicException(BaseException):
    """What a client in Rust raises when it breaks."""


PanicException.__module__ = "pyo3_runtime"


class GreenTimeout(BaseException):
    """What a scheduler of green threads raises when their time is over."""


@pytest.fixture(scope="module")
def payments() -> Iterator[Desk]:
    with desk() as opened:
        yield opened


@pytest.fixture
def guarded() -> Iterator[Desk]:
    """Open a desk of whose provider Powertools has counted nothing."""
    for counted in (base._LOCAL_FAILURES, base._LOCAL_SUCCESSES, base._LAST_OBSERVED_STATE):
        counted.clear()
    with desk() as opened:
        yield opened


@dataclass
class Moody(Provider):
    """Draws what becomes of each request: carried out, lost, late, dead with its process, or refused before it began.

    It is honest: what it says of a request is so, and under a key it answers for a payment that it has made.
    """

    chance: Random = field(default_factory=Random)
    moods: dict[str, float] = field(default_factory=dict)

    def pay(self, invoice: str, key: str) -> str:
        self.arrive()
        if self.by_key and any(one == key for _, one in self.paid):
            return f"receipt of {key}"
        if self.by_key and "busy" in self.moods and any(one == key for _, _, one in self.sent):
            raise self.chance.choice([ToolFailed, RetryLater])("409: a request with this key is in progress")
        moods = {name: weight for name, weight in self.moods.items() if name != "busy"}
        (mood,) = self.chance.choices(list(moods), list(moods.values()))
        if mood == "nothing":
            raise RetryLater("503: nothing was done")
        if mood == "no":
            raise ToolFailed("There is no money.")
        late_s = 0.0 if mood == "ok" else self.chance.choice([None, 0.0, 1.0, 5.0, 20.0, 40.0, LEASE_S - 3.0])
        if late_s is not None:
            self.sent.append((self.clock.now + timedelta(seconds=late_s), invoice, key))
        if mood != "ok":
            self.clock.wait_s(2)
            raise ProcessDied if mood == "dies" else self.error()
        self.arrive()
        return f"receipt of {key}"

    def find(self, key: str) -> str | None:
        self.verify_fails = int(self.chance.random() < self.moods.get("busy", 0) / 4)
        return super().find(key)


def moody(payments: Desk, seed: int) -> Ended:
    """Play one run by its seed."""
    chance = Random(seed)
    tool = chance.choice(TOOLS)
    moods = {"lost": 3.0, "dies": chance.choice([0, 2]), "nothing": chance.choice([0, 3]), "ok": chance.choice([0, 1])}
    moods |= {"no": chance.choice([0, 0, 1])} | ({"busy": 1} if chance.random() < 0.5 else {})
    error = PaymentsSdkError("lost")
    provider = Moody(payments.clock, lambda: error, None, "key" in tool or "both" in tool, chance=chance, moods=moods)
    throttled = {number for number in range(1, 40) if chance.random() < moods["nothing"] / 8}
    draw = (lambda: 1.0) if chance.random() < 0.3 else chance.random
    return payments.play(tool, provider, turns=3, draw=draw, throttled=throttled)


def test_however_a_payment_goes_wrong_it_is_made_once_and_its_record_is_true(payments: Desk) -> None:
    wrong = {seed: ended.wrong for seed in range(RUNS) if (ended := moody(payments, seed)).wrong}

    assert wrong == {}


def test_without_the_wait_a_payment_is_made_twice(payments: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WriteAttempt, "_all_over", True)

    assert any(moody(payments, seed).wrong for seed in range(200))


# Ways to come there


@pytest.mark.sampled
@pytest.mark.parametrize("jitter", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("late_s", MOMENTS)
@pytest.mark.parametrize("tool", TOOLS)
def test_the_executor_is_throttled_after_the_first_attempt(
    payments: Desk, tool: str, late_s: float | None, jitter: float
) -> None:
    provider = Provider(payments.clock, lambda: PaymentsSdkError("lost"), late_s, "key" in tool or "both" in tool)

    ended = payments.play(tool, provider, draw=lambda: jitter, throttled=range(2, 7))

    assert not ended.wrong


@pytest.mark.parametrize("late_s", MOMENTS)
@pytest.mark.parametrize("jitter", [0.1, 1.0])
def test_the_provider_says_each_time_after_the_first_that_nothing_was_done(
    payments: Desk, late_s: float | None, jitter: float
) -> None:
    provider = Provider(payments.clock, lambda: said.pop(0), late_s, by_key=True, fails=6)
    said: list[Exception] = [PaymentsSdkError("lost"), *(RetryLater("503") for _ in range(5))]
    sent = provider.pay

    def pay(invoice: str, key: str) -> str:
        provider.late_s = late_s if len(said) == 6 else None
        return sent(invoice, key)

    provider.pay = pay  # type: ignore[method-assign]

    ended = payments.play("pay_both", provider, turns=1, draw=lambda: jitter)

    assert not ended.wrong
    assert ended.statuses == ["failed" if late_s is None else "ok"]


CLIENTS_OWN = (
    PaymentsSdkError("lost"),
    CircuitBreakerOpenError("the client's own circuit is open"),
    IdempotencyAlreadyInProgressError("the client's own"),
    IdempotencyInconsistentStateError("the client's own"),
    ApprovalRequired("of something else"),
    SchemaViolation("of something else"),
    PanicException("rust panicked"),
    GreenTimeout("2 s"),
    SystemExit(3),
)


@pytest.mark.sampled(8)
@pytest.mark.parametrize(
    ("error", "requested"),
    dealt(CLIENTS_OWN, product(GUARDED, MOMENTS)),
    ids=lambda one: type(one).__name__ if isinstance(one, BaseException) else "-".join(map(str, one)),
)
def test_a_breaker_that_opens_on_the_first_error_denies_no_payment(
    guarded: Desk, error: BaseException, requested: tuple[str, float | None]
) -> None:
    tool, late_s = requested
    provider = Provider(guarded.clock, lambda: error, late_s, "key" in tool or "both" in tool)

    ended = guarded.play(tool, provider, turns=1)

    assert not ended.wrong
    assert "0001.call.1.doubted" in ended.seqs or ended.statuses in (["unknown"], ["ok"])
    if "verified" in tool or "both" in tool:
        assert ended.statuses == ["failed" if late_s is None else "ok"]


@pytest.mark.parametrize("error", [AttemptInProgress("mine"), AtCapacity("full")])
def test_what_a_tool_derives_from_its_word_that_nothing_was_done_is_that_word(
    payments: Desk, error: RetryLater
) -> None:
    provider = Provider(payments.clock, lambda: error, None, by_key=True)

    assert payments.play("pay_both", provider).statuses == ["ok"]


# What each part is for


def test_a_doubt_that_cannot_be_recorded_under_a_key_does_not_end_the_lease(
    payments: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unrecorded(*_: object) -> None:
        raise RuntimeError("the log is away")

    monkeypatch.setattr(Attempt, "record_doubt", unrecorded)
    provider = Provider(payments.clock, lambda: PaymentsSdkError("lost"), 50.0, by_key=True)

    ended = payments.play("pay_both", provider, draw=lambda: 0.1, throttled=range(2, 7))

    assert (ended.wrong, ended.statuses) == ("", ["ok"])


def test_an_error_that_nobody_foresaw_does_not_end_the_lease_of_a_tool_that_has_begun(
    payments: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> object:
        raise RuntimeError("a defect of our own")

    monkeypatch.setattr(WriteAttempt, "_in_doubt", breaks)
    provider = Provider(payments.clock, lambda: PaymentsSdkError("lost"), 50.0, by_key=False)

    ended = payments.play("pay_verified", provider, draw=lambda: 0.1)

    assert (ended.wrong, ended.statuses) == ("", ["ok"])


def test_a_doubt_of_an_older_version_is_over_a_minute_later(payments: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Attempt.record_doubt

    def old(doubted: CallDoubted) -> dict[str, object]:
        return doubted.model_dump(exclude_unset=True, exclude={"until_ms"})

    def without(attempt: Attempt, *given: object) -> None:
        append = attempt.append
        object.__setattr__(attempt, "append", lambda fact: append(CallDoubted(**old(fact))))
        record(attempt, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Attempt, "record_doubt", without)
    provider = Provider(payments.clock, lambda: PaymentsSdkError("lost"), 50.0, by_key=True)

    ended = payments.play("pay_both", provider, draw=lambda: 0.1, throttled=range(2, 7))

    assert (ended.wrong, ended.statuses) == ("", ["ok"])


def test_the_log_says_until_when_what_was_sent_may_arrive(payments: Desk) -> None:
    provider = Provider(payments.clock, lambda: PaymentsSdkError("lost"), None, by_key=True)

    payments.play("pay_both", provider, turns=1)

    (doubt,) = (one for one in payments.events if one.name == "call.doubted")
    assert doubt.body["until_ms"] == (NOON.timestamp() + LEASE_S) * 1000


def test_the_workflow_can_wait_until_every_attempt_is_over() -> None:
    states = yaml.safe_load(DEFINITION.read_text())["States"]
    (waits,) = (rule for rule in states["GiveUp"]["Retry"] if "AttemptInProgress" in rule["ErrorEquals"])

    # The last attempt of Execute lives for a lease at most; then ``verify`` may be away three times.
    assert waits["MaxAttempts"] * waits["IntervalSeconds"] >= LEASE_S + 3 * waits["IntervalSeconds"]
    assert waits["BackoffRate"] == 1
    assert "JitterStrategy" not in waits


def test_a_verify_that_is_away_when_it_is_given_up_is_asked_again_within_the_states_time(payments: Desk) -> None:
    provider = Provider(payments.clock, lambda: TimeoutError("away"), 50.0, by_key=True, verify_fails=2)

    ended = payments.play("pay_both", provider, draw=lambda: 0.1, throttled=range(2, 7))

    assert (ended.wrong, ended.statuses) == ("", ["ok"])


def test_only_the_end_of_the_process_passes() -> None:
    assert issubclass(ProcessDied, ProcessEnds)
    assert not issubclass(PanicException, ProcessEnds)
