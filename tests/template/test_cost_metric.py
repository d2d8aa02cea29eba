"""The cost alarm watches the very metric that the planner emits."""

import json

from functions.agent.agent import model_call_line
from tests.template import rendered


def test_the_cost_alarm_watches_what_the_planner_emits() -> None:
    alarm = rendered.written()["Resources"]["HourlyCostAlarm"]["Properties"]
    (dimension,) = alarm["Dimensions"]

    made = model_call_line(reserved_microusd=4_000_000, cost_microusd=2_500_000, tokens=None, latency_ms=1)
    line = json.loads(made.of("this-stack"))

    (described,) = line["_aws"]["CloudWatchMetrics"]
    assert described["Namespace"] == alarm["Namespace"]
    assert alarm["MetricName"] in {metric["Name"] for metric in described["Metrics"]}
    assert described["Dimensions"] == [[dimension["Name"]]]
    assert dimension["Value"] == {"Ref": "AWS::StackName"}
    assert line[dimension["Name"]] == "this-stack"
    assert line[alarm["MetricName"]] in (2.5, [2.5])


def test_the_cost_alarm_adds_up_an_hour_against_its_parameter() -> None:
    alarm = rendered.written()["Resources"]["HourlyCostAlarm"]["Properties"]

    assert (alarm["Statistic"], alarm["Period"]) == ("Sum", 3600)
    assert alarm["Threshold"] == {"Ref": "HourlyCostAlarmUsd"}
