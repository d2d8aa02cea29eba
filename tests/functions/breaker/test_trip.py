"""Alarms, the burn rate and operators set the breaker; the look every minute finds lost events."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import InvalidInput, RetryLater, SettingInvalid
from ballast.money.breaker import OPEN_FOR, Mode, current_mode
from functions.breaker.spend_breaker import SpendBreaker
from tests.functions.breakers import by_hand, held
from tests.functions.cloud import client
from tests.functions.stack import Stack, client_error, once

SAMPLES = Path(__file__).parents[3].parent / "shared" / "events"


def changed(name: str, value: str, reason: str = "Threshold crossed.") -> dict[str, Any]:
    """Return EventBridge's event about an alarm, as AWS documents it."""
    state = {"value": value, "reason": reason, "timestamp": "2026-03-01T12:00:00.000+0000"}
    return {
        "version": "0",
        "id": "2dde0eb1-528b-d2d5-9ca6-6d590caf2329",
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": "123456789012",
        "time": "2026-03-01T12:00:00Z",
        "region": "eu-west-1",
        "resources": [f"arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{name}"],
        "detail": {"alarmName": name, "state": state, "previousState": {"value": "OK"}, "configuration": {}},
    }


LOOK = {"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}


@pytest.fixture
def alarms(stack: Stack) -> Iterator[Any]:
    """Return a function that sets the state of a real alarm."""

    def put(name: str, state: str) -> None:
        client("cloudwatch").put_metric_alarm(
            AlarmName=name, MetricName="CostUsd", Namespace="Ballast", Period=60, EvaluationPeriods=1,
            Statistic="Sum", Threshold=1, ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip
        client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="It is so.")

    for name in ("hourly-cost", "runaway"):
        put(name, "OK")
    yield put
    client("cloudwatch").delete_alarms(AlarmNames=["hourly-cost", "runaway"])


def mode(stack: Stack, tenant: str | None = None) -> Mode:
    return current_mode([held(tenant)], stack.clock()).mode


@pytest.mark.parametrize(("name", "mode_"), [("hourly-cost", Mode.FALLBACK_ONLY), ("runaway", Mode.STOPPED)])
def test_an_alarm_sets_the_mode_that_it_asks_for(stack: Stack, name: str, mode_: Mode) -> None:
    stack.invoke("trip", changed(name, "ALARM", "1 datapoint [12.0]\n was greater than the threshold (10.0)."))

    current = current_mode([held()], stack.clock())
    assert (current.mode, current.by, current.state) == (mode_, name, "open")
    assert current.reason == "1 datapoint [12.0] was greater than the threshold (10.0)."


def test_when_the_alarm_is_ok_again_the_breaker_closes_after_its_time(stack: Stack) -> None:
    stack.invoke("trip", changed("runaway", "ALARM"))
    stack.clock.advance(60)
    stack.invoke("trip", changed("runaway", "OK"))

    assert mode(stack) is Mode.STOPPED
    stack.clock.advance(OPEN_FOR.total_seconds())
    assert mode(stack) is Mode.NORMAL


def test_too_few_data_and_an_event_that_comes_twice_are_no_news(stack: Stack) -> None:
    stack.invoke("trip", changed("runaway", "ALARM"))
    before = held()

    for event in (changed("runaway", "INSUFFICIENT_DATA"), changed("runaway", "ALARM")):
        stack.invoke("trip", event)

    assert held() == before


def test_an_alarm_that_asks_for_nothing_is_told_of_and_changes_nothing(stack: Stack) -> None:
    stack.invoke("trip", changed("somebody-elses", "ALARM"))

    assert held().version == 0
    assert stack.lines()[-1]["alarm"] == "somebody-elses"


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"AWS's samples are not in {SAMPLES}")
@pytest.mark.parametrize("sample", ["SingleMetric", "CompositeMetric"])
def test_the_samples_of_an_alarms_own_action_trip_it_too(stack: Stack, sample: str) -> None:
    event = json.loads((SAMPLES / f"cloudWatchAlarmEvent{sample}.json").read_text(encoding="utf-8"))
    stack.environs["trip"]["BREAKER_ALARMS"] = json.dumps({event["alarmData"]["alarmName"]: "cheaper"})

    stack.invoke("trip", event)

    assert mode(stack) is Mode.CHEAPER


@pytest.mark.parametrize(
    ("event", "names"),
    [
        ({"detail-type": "CloudWatch Alarm State Change"}, "detail"),
        (changed("", "ALARM"), "alarmName"),
        ({"alarmData": []}, "alarmData"),
        ({"alarmData": {"alarmName": "x"}}, "state"),
        ({"colour": "red"}, "an alarm's, or the schedule's"),
        ({"command": "breaker", "new": {"mode": "stopped"}}, "CommandFunction"),
        ([], "JSON object"),
    ],
)
def test_what_it_cannot_read_is_named_and_changes_nothing(stack: Stack, event: Any, names: str) -> None:
    with pytest.raises(InvalidInput, match=names):
        stack.invoke("trip", event)

    assert held().version == 0


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ({"command": "breaker", "new": {"mode": "off"}}, "new.mode"),
        ({"command": "breaker", "new": {"mode": "stopped", "for_minutes": 0}}, "new.for_minutes"),
        ({"command": "breaker", "new": {"mode": "stopped", "tenant": "a b"}}, "new.tenant"),
        ({"command": "breaker", "colour": "red"}, "colour"),
        ({"command": "budget", "new": {"mode": "stopped"}}, "new"),
        ({"command": "alarm"}, "must be one of 'budget', 'breaker'"),
        ({"new": {"mode": "stopped"}}, "command"),
        ([], "Command is not valid"),
    ],
)
def test_a_command_that_it_cannot_read_is_named_and_changes_nothing(stack: Stack, command: Any, names: str) -> None:
    with pytest.raises(InvalidInput, match=names):
        stack.invoke("command", command)

    assert held().version == 0


def test_the_breaker_is_set_without_a_log_a_playbook_or_limits(stack: Stack) -> None:
    stack.environs["command"] = {"BUDGETS_TABLE": "budgets"}

    stack.invoke("command", {"command": "breaker", "new": {"mode": "stopped"}})

    assert mode(stack) is Mode.STOPPED


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": "loud"}', '{"a": 1}'])
def test_a_setting_that_names_no_modes_is_refused(stack: Stack, text: str) -> None:
    stack.environs["trip"]["BREAKER_ALARMS"] = text

    with pytest.raises(SettingInvalid, match="BREAKER_ALARMS"):
        stack.invoke("trip", LOOK)


# The look every minute


def test_a_look_finds_what_was_lost(stack: Stack, alarms: Any) -> None:
    alarms("runaway", "ALARM")
    stack.invoke("trip", LOOK)
    assert mode(stack) is Mode.STOPPED

    alarms("runaway", "OK")
    stack.clock.advance(OPEN_FOR.total_seconds())
    stack.invoke("trip", LOOK)

    assert mode(stack) is Mode.NORMAL
    assert held().trips == {}


def test_an_event_that_comes_too_late_holds_no_longer_than_its_time(stack: Stack, alarms: Any) -> None:
    stack.invoke("trip", changed("runaway", "ALARM"))  # it is OK by now, and will send no event any more
    stack.invoke("trip", LOOK)
    stack.clock.advance(OPEN_FOR.total_seconds())

    assert mode(stack) is Mode.NORMAL


def test_an_alarm_that_was_deleted_holds_nothing(stack: Stack, alarms: Any) -> None:
    stack.invoke("trip", changed("runaway", "ALARM"))
    client("cloudwatch").delete_alarms(AlarmNames=["runaway"])

    stack.invoke("trip", LOOK)
    stack.clock.advance(OPEN_FOR.total_seconds())

    assert mode(stack) is Mode.NORMAL


def test_an_alarm_that_rings_on_leaves_the_breaker_half_open(stack: Stack, alarms: Any) -> None:
    alarms("hourly-cost", "ALARM")
    for _ in range(3):
        stack.invoke("trip", LOOK)
        stack.clock.advance(OPEN_FOR.total_seconds())

    assert current_mode([held()], stack.clock()).state == "half_open"
    assert held().version == 1


def test_every_look_reports_the_mode(stack: Stack, alarms: Any) -> None:
    levels = []
    for state in ("OK", "ALARM"):
        alarms("hourly-cost", state)
        stack.invoke("trip", LOOK)
        levels.append(stack.lines()[-1]["BreakerMode"])

    assert levels in ([0, 2], [[0.0], [2.0]])


def test_cloudwatch_throttling_means_try_again(stack: Stack) -> None:
    stack.on("trip", "cloudwatch", "DescribeAlarms", once(client_error("ThrottlingException")))

    with pytest.raises(RetryLater):
        stack.invoke("trip", LOOK)


# By burn rate


def spent(stack: Stack, *, hour: int = 0, day: int = 0, **limits: int) -> None:
    """Have all tenants together spent so much, as ended runs were charged."""
    windows = {f"hour#{stack.clock():%Y-%m-%dT%H}": hour, f"day#{stack.clock():%Y-%m-%d}": day}
    for window, amount in windows.items():
        item = {"taken_microusd": {"N": str(10**12)}, "settled_microusd": {"N": str(amount)}}
        client("dynamodb").put_item(
            TableName="budgets", Item={"account": {"S": "account"}, "window": {"S": window}} | item
        )
    item = {name: {"N": str(amount)} for name, amount in limits.items()}
    client("dynamodb").put_item(
        TableName="budgets", Item={"account": {"S": "account"}, "window": {"S": "limits"}} | item
    )


def test_an_hour_that_is_spent_before_its_time_trips_it_and_the_next_hour_closes_it(stack: Stack, alarms: Any) -> None:
    seen = []
    for amount in (7_999_999, 8_000_000, 10_000_000):
        spent(stack, hour=amount)
        stack.invoke("trip", LOOK)
        seen.append(mode(stack))

    current = current_mode([held()], stack.clock())
    assert seen == [Mode.NORMAL, Mode.CHEAPER, Mode.FALLBACK_ONLY]
    assert (current.by, current.reason) == ("burn rate", "$10.00 of the hour's $10.00 are spent.")
    stack.clock.advance(3_600)
    stack.invoke("trip", LOOK)
    assert mode(stack) is Mode.NORMAL


def test_the_accounts_own_limits_count(stack: Stack, alarms: Any) -> None:
    spent(stack, hour=10_000_000, hour_microusd=20_000_000, day_microusd=900_000_000)

    stack.invoke("trip", LOOK)

    assert mode(stack) is Mode.NORMAL


def test_what_a_person_took_back_and_is_still_the_case_trips_again_at_the_next_look(stack: Stack, alarms: Any) -> None:
    spent(stack, hour=10_000_000)
    stack.invoke("trip", LOOK)
    stack.invoke("command", {"command": "breaker", "new": {"mode": "normal"}})

    stack.invoke("trip", LOOK)
    assert mode(stack) is Mode.FALLBACK_ONLY
    stack.invoke("command", {"command": "breaker", "new": {"mode": "normal", "for_minutes": 30}})
    stack.invoke("trip", LOOK)

    assert mode(stack) is Mode.NORMAL


@pytest.mark.parametrize("name", ["ACCOUNT_HOUR_USD", "ACCOUNT_DAY_USD"])
def test_a_limit_that_is_none_is_named(stack: Stack, name: str) -> None:
    stack.environs["trip"][name] = "much"

    with pytest.raises(InvalidInput, match=name):
        stack.invoke("trip", LOOK)


# By a person at a terminal


def test_a_person_sets_it_for_everyone_or_a_tenant_and_sees_what_holds(stack: Stack) -> None:
    stack.invoke("command", {"command": "breaker", "by": "ann", "new": {"mode": "cheaper", "reason": "a sale"}})

    shown = stack.invoke(
        "command",
        {
            "command": "breaker",
            "by": "bob",
            "new": {"mode": "stopped", "tenant": "acme", "for_minutes": 30, "reason": "loops"},
        },
    )

    assert (mode(stack), mode(stack, "acme")) == (Mode.CHEAPER, Mode.STOPPED)
    assert (shown["mode"], shown["by"], shown["tenant"], shown["until"]) == (
        "stopped",
        "bob",
        "acme",
        "2026-03-01T12:30:00+00:00",
    )
    everyones = stack.invoke("command", {"command": "breaker"})
    assert (everyones["mode"], everyones["by"], everyones["reason"]) == ("cheaper", "ann", "a sale")
    assert [(one["tenant"], one["mode"]) for one in everyones["tenants"]] == [("acme", "stopped")]


def test_normal_takes_it_back(stack: Stack) -> None:
    stack.invoke("trip", changed("runaway", "ALARM"))

    assert stack.invoke("command", {"command": "breaker", "new": {"mode": "normal"}})["mode"] == "normal"
    assert mode(stack) is Mode.NORMAL


# At the same time


def test_whoever_comes_second_decides_anew(stack: Stack) -> None:
    breaker_ = stack.runtime("trip").get(SpendBreaker.of)
    seen = []

    def change(breaker: Any) -> Any:
        seen.append(breaker.version)
        if len(seen) == 1:
            stack.invoke("trip", changed("runaway", "ALARM"))
        return breaker.model_copy(update={"hand": None, "trips": dict(breaker.trips)})

    breaker_.change(None, change)

    assert seen == [0, 1]
    assert mode(stack) is Mode.STOPPED


def test_a_breaker_that_never_stands_still_means_try_again(stack: Stack) -> None:
    breaker_ = stack.runtime("trip").get(SpendBreaker.of)

    def change(breaker: Any) -> Any:
        by_hand(stack, Mode.CHEAPER)
        client("dynamodb").update_item(
            TableName="budgets",
            Key={"account": {"S": "breaker"}, "window": {"S": "all"}},
            UpdateExpression="SET version = :other",
            ExpressionAttributeValues={":other": {"N": "999"}},
        )
        return breaker.model_copy()

    with pytest.raises(RetryLater, match="keeps changing"):
        breaker_.change(None, change)
