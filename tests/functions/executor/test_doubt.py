"""A payment happens once or never, whatever error the client raises, and the record says which."""

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import product

import pytest
import yaml

from ballast.errors import SettingInvalid
from ballast.playbook import ToolFailed
from bench.tau2.workflow import DEFINITION
from functions.executor.attempt import Attempt
from functions.executor.effect import TRIES, WriteAttempt
from functions.executor.record import CallOutcome
from tests.functions.executor.provider import LEASE_S, MODULES, Desk, PaymentsSdkError, Provider, desk, errors, raised
from tests.support.sampling import dealt

BY_KEY = ("pay_by_key", "pay_both")
TOOLS = ("pay", "pay_by_key", "pay_verified", "pay_both")
#: Seconds after which a request arrives whose client gave up after 2 s; None: never.
MOMENTS = (0.0, 1.9, 2.0, 5.0, 30.0, LEASE_S - 0.1, float(LEASE_S), None)


@pytest.fixture(scope="module")
def payments() -> Iterator[Desk]:
    with desk() as opened:
        yield opened


def lost(payments: Desk, tool: str, late_s: float | None, **more: int) -> Provider:
    """Return a provider whose client loses its answer with an error that nobody has heard of."""
    error = PaymentsSdkError("it did not answer")
    return Provider(payments.clock, lambda: error, late_s, tool in BY_KEY, **more)


# Every error


@pytest.mark.sampled(7)
@pytest.mark.parametrize("module", MODULES)
def test_whatever_a_client_raises_a_payment_is_made_once_and_its_record_is_true(payments: Desk, module: str) -> None:
    if find_spec(module.partition(".")[0]) is None:
        pytest.skip(f"{module} is not installed: make unit installs it")
    wrong = []

    for kind, (tool, late_s) in dealt(errors(module), product(TOOLS[:3], (0.0, LEASE_S - 0.1))):
        provider = Provider(payments.clock, lambda kind=kind: raised(kind), late_s, tool in BY_KEY)
        ended = payments.play(tool, provider)
        resolved = ended.statuses == (["unknown"] if tool == "pay" else ["ok"])
        if ended.wrong or not resolved:
            wrong.append(f"{kind.__name__}, {tool}, arrived after {late_s} s: {ended.wrong or ended.statuses}")

    assert wrong == []


@pytest.mark.sampled
@pytest.mark.parametrize("late_s", MOMENTS)
@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("fails", [1, 2, 3, 9])
def test_however_often_and_however_late_the_record_is_true(
    payments: Desk, tool: str, late_s: float | None, fails: int
) -> None:
    ended = payments.play(tool, lost(payments, tool, late_s, fails=fails), turns=3)

    assert not ended.wrong


@pytest.mark.sampled
@pytest.mark.parametrize("late_s", MOMENTS)
@pytest.mark.parametrize("verify_fails", [1, 2, 9])
@pytest.mark.parametrize("tool", ["pay_verified", "pay_both"])
def test_a_verify_that_cannot_ask_makes_nothing_wrong(
    payments: Desk, tool: str, late_s: float | None, verify_fails: int
) -> None:
    ended = payments.play(tool, lost(payments, tool, late_s, verify_fails=verify_fails))

    assert not ended.wrong


# What follows


def test_a_key_is_used_again_at_once(payments: Desk) -> None:
    ended = payments.play("pay_by_key", lost(payments, "pay_by_key", 5.0))

    assert (ended.statuses, ended.seconds) == (["ok"], 3.0)


def test_a_key_that_does_not_help_is_used_as_often_as_the_workflow_tries_and_then_a_person_looks(
    payments: Desk,
) -> None:
    provider = lost(payments, "pay_by_key", None, fails=99)

    ended = payments.play("pay_by_key", provider)

    assert (ended.statuses, ended.escalated) == (["unknown"], "EffectUnknown")
    assert provider.fails == 99 - TRIES


def test_the_workflow_tries_as_often_as_the_executor_counts_on() -> None:
    retry = yaml.safe_load(DEFINITION.read_text())["States"]["Execute"]["Retry"]
    most = {name: rule["MaxAttempts"] for rule in retry for name in rule["ErrorEquals"]}
    wait_s = {name: rule["IntervalSeconds"] for rule in retry for name in rule["ErrorEquals"]}

    assert most["RetryLater"] + 1 == TRIES
    assert most["AttemptInProgress"] * wait_s["AttemptInProgress"] >= 4 * LEASE_S


def test_what_verify_does_not_find_is_asked_again_when_nobody_can_be_at_work(payments: Desk) -> None:
    ended = payments.play("pay_verified", lost(payments, "pay_verified", 5.0))

    assert ended.statuses == ["ok"]
    assert ended.seconds > LEASE_S


def test_what_did_not_happen_twice_is_told_to_the_planner_with_its_error(payments: Desk) -> None:
    ended = payments.play("pay_verified", lost(payments, "pay_verified", None, fails=2))

    assert ended.statuses == ["failed", "ok"]
    assert ended.calls[0].message == ("pay_verified broke: PaymentsSdkError: it did not answer. It did not happen.")
    assert len(ended.paid) == 1


def test_an_outage_of_verify_passes(payments: Desk) -> None:
    provider = Provider(payments.clock, lambda: TimeoutError("away"), 5.0, by_key=False, verify_fails=2)

    assert payments.play("pay_verified", provider).statuses == ["ok"]


@pytest.mark.parametrize("late_s", [5.0, 30.0, 59.9])
def test_a_refusal_that_is_the_earlier_requests_own_doing_is_not_the_last_word(payments: Desk, late_s: float) -> None:
    """The provider answers 409 while a request under the same key is under way."""
    provider = lost(payments, "pay_by_key", late_s)
    provider.busy = ToolFailed("409: a request with this key is in progress")

    ended = payments.play("pay_by_key", provider)

    assert (ended.statuses, ended.wrong) == (["ok"], "")


def test_a_refusal_that_stands_is_told_to_the_planner(payments: Desk) -> None:
    provider = lost(payments, "pay_by_key", None)
    said = iter([PaymentsSdkError("lost"), ToolFailed("The account is closed."), ToolFailed("It is closed.")])
    provider.error, provider.fails = lambda: next(said), 3

    ended = payments.play("pay_by_key", provider, turns=1)

    assert (ended.statuses, ended.calls[0].message) == (["failed"], "It is closed.")


def test_a_setting_that_is_missing_says_nothing_about_what_was_done_before(payments: Desk) -> None:
    provider = lost(payments, "pay", 0.0)
    provider.error = lambda: SettingInvalid("RECEIPTS_TABLE: there is no such table.")

    ended = payments.play("pay", provider)

    assert ended.statuses == ["unknown"]
    assert "RECEIPTS_TABLE" in ended.calls[0].message


# What each part is for


def test_a_doubt_that_cannot_be_recorded_does_not_end_the_lease(
    payments: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unrecorded(*_: object) -> None:
        raise RuntimeError("the log is away")

    monkeypatch.setattr(Attempt, "record_doubt", unrecorded)

    ended = payments.play("pay_verified", lost(payments, "pay_verified", 30.0))

    assert (ended.statuses, ended.wrong) == (["ok"], "")


def test_without_the_wait_the_planner_is_told_what_is_not_true_and_pays_twice(
    payments: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_once(self: WriteAttempt, problem: str) -> CallOutcome:
        return self._found_at_once() or CallOutcome("failed", message=f"{problem} It did not happen.")

    monkeypatch.setattr(WriteAttempt, "_in_doubt", at_once)

    assert payments.play("pay_verified", lost(payments, "pay_verified", 5.0)).wrong == "paid 2 times: ['failed', 'ok']"


def test_the_log_shows_each_attempt_that_ended_in_doubt(payments: Desk) -> None:
    ended = payments.play("pay_verified", lost(payments, "pay_verified", None, fails=2), turns=1)

    assert [seq for seq in ended.seqs if ".call." in seq] == [
        "0001.call.1.intended",
        "0001.call.1.doubted",
        "0001.call.1.doubted.2",
        "0001.call.1.settled",
    ]
