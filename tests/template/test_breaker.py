"""The spend breaker's wiring: the alarms that trip it are those whose events reach it."""

import json
import re
from typing import Any

import pytest

from ballast.money.breaker import Mode
from tests.template import rendered
from tests.template.rendered import of_type

TEMPLATE = rendered.written()


DEPLOYED = rendered.translated(TEMPLATE)


def properties(name: str) -> dict[str, Any]:
    """Return a resource's properties, as CloudFormation gets them."""
    found: dict[str, Any] = DEPLOYED["Resources"][name]["Properties"]
    return found


def modes() -> dict[str, str]:
    """Return the mode that each alarm asks for, by the alarm's logical id."""
    text = properties("TripFunction")["Environment"]["Variables"]["BREAKER_ALARMS"]["Fn::Sub"]
    return {re.fullmatch(r"\$\{(\w+)\}", name)[1]: mode for name, mode in json.loads(text).items()}  # type: ignore[index]


def test_every_alarm_that_asks_for_a_mode_exists_and_asks_for_one_that_there_is() -> None:
    assert modes().keys() <= of_type(TEMPLATE, "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm").keys()
    assert set(modes().values()) <= set(Mode) - {Mode.NORMAL}


def test_the_events_of_these_alarms_and_no_others_reach_it() -> None:
    pattern = properties("TripFunctionSpendAlarm")["EventPattern"]

    assert (pattern["source"], pattern["detail-type"]) == (["aws.cloudwatch"], ["CloudWatch Alarm State Change"])
    assert sorted(name["Ref"] for name in pattern["detail"]["alarmName"]) == sorted(modes())


def test_what_is_worth_a_persons_sleep_takes_the_model_away_and_a_ticket_does_not() -> None:
    wakes = re.findall(r"\$\{(\w+)\}", properties("PageSomeoneAlarm")["AlarmRule"]["Fn::Sub"])

    assert {name: mode for name, mode in modes().items() if name in wakes} == {"BurnRateFastAlarm": "fallback_only"}
    assert {mode for name, mode in modes().items() if name not in wakes} == {"cheaper"}


def test_it_looks_every_minute() -> None:
    assert properties("TripFunctionLook")["ScheduleExpression"] == "rate(1 minute)"


@pytest.mark.parametrize("rule", ["TripFunctionSpendAlarm", "TripFunctionLook"])
def test_only_its_rules_may_call_it(rule: str) -> None:
    permission = f"{rule}Permission"
    allowed, target = properties(permission), properties(rule)["Targets"][0]["Arn"]

    assert allowed["FunctionName"] == {"Ref": "TripFunction"}
    assert (allowed["Principal"], allowed["SourceArn"]) == ("events.amazonaws.com", {"Fn::GetAtt": [rule, "Arn"]})
    assert target == {"Fn::GetAtt": ["TripFunction", "Arn"]}
