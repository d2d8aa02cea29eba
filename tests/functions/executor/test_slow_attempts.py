"""A slow attempt between a retry and its follow-up: the outcome that the planner reads is the one that happened."""

import importlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from ballast.contracts import RunRequest, ToolCall
from ballast.errors import ApprovalRequired, AttemptInProgress, RetryLater
from ballast.log.run_log import RunLog
from ballast.playbook import load_playbook
from ballast.run import Run
from bench.tau2.memory import Clock, Functions, virtual_time
from bench.tau2.workflow import call_of, executed
from functions.executor.record import Once
from tests.functions.executor.provider import PAYMENTS, PaymentsSdkError, Provider


class Race:
    """Two attempts at one payment: ``between`` happens while the first one is in its rule."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.functions = clock, Functions(PAYMENTS, clock)
        load_playbook(PAYMENTS)
        self.rules: dict[str, Any] = importlib.import_module("payments.tools.pay").RULES
        self.rules.clear()
        self.provider = Provider(clock, lambda: PaymentsSdkError("lost"), 40.0, by_key=True, fails=0)
        self.run_id = self.functions.admit(RunRequest(request_id="r-1", agent="payments", text="Pay invoice I-1."))

    def propose(self, turn: int, tool: str) -> None:
        self.functions.propose(self.run_id, turn, ToolCall(tool=tool, arguments={"invoice": "I-1"}))

    def pay(self, turn: int = 1, **more: str) -> str:
        return str(self.functions.execute(call_of(self.run_id, turn), **more))

    def carried_out(self, turn: int) -> Any:
        def deliver(event: Any, **more: Any) -> str:
            return self.functions.execute(event, **more)

        return executed(
            lambda **more: deliver(call_of(self.run_id, turn), **more),
            self.clock.wait_s,
            run_id=self.run_id,
            turn=turn,
        )

    @property
    def seqs(self) -> list[str]:
        return [event.seq for event in self.functions.events(self.run_id)]

    @property
    def statuses(self) -> list[str]:
        return [state.status for state in Run.of(self.functions.events(self.run_id)).calls]

    @property
    def paid(self) -> int:
        self.clock.wait_s(600)
        self.provider.arrive()
        return len(self.provider.paid)


@pytest.fixture
def race() -> Any:
    clock = Clock()
    with virtual_time(clock):
        one = Race(clock)
        providers: list[Provider] = importlib.import_module("payments.tools.pay").PROVIDERS
        providers.append(one.provider)
        try:
            yield one
        finally:
            providers.pop()
            one.rules.clear()


def breaks(*_: Any) -> Any:
    raise RuntimeError("the database is down")


def says_no(*_: Any) -> str:
    return "It is past 17:00."


def too_dear(*_: Any) -> int:
    return 10**12


LETS: dict[str, Callable[..., Any]] = {
    "validate": lambda *_: None,
    "approval.if_": lambda *_: False,
    "cost": lambda *_: 1000,
}
ENDS: list[tuple[str, Callable[..., Any]]] = [
    ("validate", breaks),
    ("validate", says_no),
    ("approval.if_", breaks),
    ("cost", breaks),
    ("cost", too_dear),
]


@pytest.mark.parametrize("tool", ["pay_ruled", "pay_ruled_verified", "pay_ruled_both"])
@pytest.mark.parametrize(("rule", "ends"), ENDS)
def test_who_was_slow_in_a_rule_does_not_begin_what_was_refused_meanwhile(
    race: Race, tool: str, rule: str, ends: Callable[..., Any]
) -> None:
    race.propose(1, tool)
    told: list[Any] = []

    def slow(*args: Any) -> Any:
        race.rules[rule] = ends
        told.append(race.pay())
        race.rules.clear()
        race.propose(2, tool)
        told.append(race.carried_out(2))
        return LETS[rule](*args)

    race.rules[rule] = slow

    assert race.pay() == "refused"

    assert told == ["refused", "ok"]
    assert race.statuses == ["refused", "ok"]
    assert race.paid == 1
    assert "0001.call.1.intended" not in race.seqs


@pytest.mark.sampled
@pytest.mark.parametrize("tool", ["pay_ruled", "pay_ruled_verified", "pay_ruled_both"])
@pytest.mark.parametrize("fails", [0, 1])
@pytest.mark.parametrize(("rule", "ends"), ENDS)
def test_nobody_is_told_that_nothing_was_done_of_what_was_begun_meanwhile(
    race: Race, tool: str, fails: int, rule: str, ends: Callable[..., Any]
) -> None:
    race.provider.fails = fails
    race.propose(1, tool)

    def overtaken(*args: Any) -> Any:
        race.rules.clear()
        with suppress(Exception):
            race.pay()
        return ends(*args)

    race.rules[rule] = overtaken

    with pytest.raises(AttemptInProgress):
        race.pay()

    assert not [seq for seq in race.seqs if seq.endswith(".refused")]
    if tool == "pay_ruled" and fails:  # nothing tells what it did
        assert race.statuses == ["unknown"]
    else:
        assert race.carried_out(1) == "ok"
    assert race.paid == 1


@pytest.mark.parametrize("fails", [0, 1])
def test_who_gives_up_goes_on_from_what_was_begun_meanwhile(
    race: Race, fails: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    race.provider.fails = fails
    race.propose(1, "pay_ruled_both")
    run = Once.run

    def overtaken(*arguments: Any) -> Any:
        monkeypatch.setattr(Once, "run", run)
        with suppress(RetryLater):
            race.pay()
        race.clock.wait_s(120)
        race.rules["cost" if fails else "validate"] = breaks
        return run(*arguments)

    monkeypatch.setattr(Once, "run", overtaken)

    assert race.pay(given_up="Lambda.Unknown") == "ok"
    assert race.statuses == ["ok"]
    assert race.paid == 1


@pytest.mark.parametrize("died", ["record", "event"])
def test_a_refusal_whose_attempt_died_before_its_event_is_kept(race: Race, died: str, monkeypatch: Any) -> None:
    race.propose(1, "pay_ruled")
    race.rules["validate"] = says_no
    with monkeypatch.context() as patched:
        without_its_event(patched, ".refused")
        with pytest.raises(RetryLater):
            race.pay()
    if died == "event":
        race.rules.clear()

    assert race.pay() == "refused"
    assert race.functions.events(race.run_id)[-1].body["message"] == "pay_ruled: It is past 17:00."
    assert race.paid == 0


ASKS: dict[str, Callable[..., Any]] = {
    "validate": says_no,
    "approval.if_": breaks,
    "cost": breaks,
}


@pytest.mark.parametrize("tool", ["pay_ruled", "pay_ruled_verified", "pay_ruled_both"])
@pytest.mark.parametrize("rule", ASKS)
def test_nobody_is_asked_about_a_call_that_its_record_says_is_refused(
    race: Race, tool: str, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    race.propose(1, tool)
    race.rules[rule] = ASKS[rule]
    with monkeypatch.context() as patched:
        without_its_event(patched, ".refused")
        with pytest.raises(RetryLater):
            race.pay()
    race.rules.clear()
    race.rules["approval.if_"] = lambda *_: True

    assert race.pay() == "refused"

    assert not [seq for seq in race.seqs if "approval" in seq]
    assert race.statuses == ["refused"]


def test_nobody_is_asked_about_a_call_that_was_given_up(race: Race, monkeypatch: pytest.MonkeyPatch) -> None:
    race.propose(1, "pay_ruled")
    with monkeypatch.context() as patched:
        without_its_event(patched, ".settled")
        with pytest.raises(RetryLater):
            race.pay(given_up="Lambda.Unknown")
    race.rules["approval.if_"] = lambda *_: True

    assert race.pay() == "failed"

    assert not [seq for seq in race.seqs if "approval" in seq]


def test_nobody_is_asked_on_about_a_call_that_was_refused_since(race: Race, monkeypatch: pytest.MonkeyPatch) -> None:
    race.propose(1, "pay_ruled")
    race.rules["approval.if_"] = lambda *_: True
    with pytest.raises(ApprovalRequired):
        race.pay()  # and the workflow never hears of it
    race.rules["validate"] = says_no
    with monkeypatch.context() as patched:
        without_its_event(patched, ".refused")
        with pytest.raises(RetryLater):
            race.pay()
    del race.rules["validate"]

    assert race.pay() == "refused"


def without_its_event(patched: pytest.MonkeyPatch, end: str) -> None:
    """Keep the log from having an event of that kind."""
    append = RunLog.append

    def throttled(self: RunLog, run_id: str, fact: Any, **more: Any) -> Any:
        if fact.seq.endswith(end):
            raise RetryLater("The table is away.")
        return append(self, run_id, fact, **more)

    patched.setattr(RunLog, "append", throttled)
