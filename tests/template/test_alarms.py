"""The alarms: each reaches a person, watches what exists, and is explained on the page for who is woken."""

import json
import re
from typing import Any

import pytest

from ballast.metrics import METRICS, NAMESPACE
from tests.template.alarms import ALARMS, TEMPLATE, properties, watched
from tests.template.rendered import ROOT, of_type

COMPOSITES = of_type(TEMPLATE, "AWS::CloudWatch::CompositeAlarm")
TOPICS = {"AlarmTopic", "TicketTopic"}
ALL = sorted([*ALARMS, *COMPOSITES])


def parts(name: str) -> set[str]:
    """Return the alarms that a composite one is made of."""
    return set(re.findall(r"\$\{(\w+)\}", properties(name)["AlarmRule"]["Fn::Sub"]))


def told(name: str) -> set[str]:
    """Return the topics that hear of an alarm: its own, and those of the alarms that it is a part of."""
    own = {action["Ref"] for action in properties(name).get("AlarmActions", [])}
    return own.union(*(told(whole) for whole in COMPOSITES if name in parts(whole)))


@pytest.mark.parametrize("name", ALL)
def test_an_alarm_tells_somebody_what_happened(name: str) -> None:
    alarm = properties(name)

    assert told(name)
    assert told(name) <= TOPICS
    assert alarm.get("AlarmActions") == alarm.get("OKActions")
    assert alarm["AlarmDescription"].endswith((".", ")."))
    if name in ALARMS:
        assert alarm["TreatMissingData"] == "notBreaching"


def test_one_alarm_wakes_people_and_every_other_is_a_part_of_it_or_a_ticket() -> None:
    wake = [name for name in ALL if {"Ref": "AlarmTopic"} in properties(name).get("AlarmActions", [])]

    assert wake == ["PageSomeoneAlarm"]


@pytest.mark.parametrize("name", sorted(COMPOSITES))
def test_a_composite_alarm_is_made_of_alarms_that_exist(name: str) -> None:
    assert len(parts(name)) >= 2
    assert parts(name) <= {*ALARMS, *COMPOSITES}


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_an_alarm_watches_something_that_exists(name: str) -> None:
    for metric in watched(name):
        first, *others = metric["Dimensions"]
        if metric["Namespace"] == NAMESPACE:
            assert metric["MetricName"] in METRICS
            assert first == {"Name": "service", "Value": {"Ref": "AWS::StackName"}}
            assert others in ([], [{"Name": "window", "Value": "day"}])
        else:
            assert metric["Namespace"].startswith("AWS/")
            value = first["Value"]
            assert value.get("Ref", value.get("Fn::GetAtt", [""])[0]) in TEMPLATE["Resources"]
            assert others == []


@pytest.mark.parametrize(
    ("name", "period_s", "burn_rate", "share"),
    [
        ("BurnRateHourAlarm", 3_600, 6, 1 / 4),
        ("BurnRateFiveMinutesAlarm", 300, 6, 1 / 48),
        ("BurnRateSixHoursAlarm", 21_600, 2, 1 / 2),
        ("BurnRateHalfHourAlarm", 1_800, 2, 1 / 24),
    ],
)
def test_a_burn_rate_rings_at_its_share_of_the_days_budget(
    name: str, period_s: int, burn_rate: int, share: float
) -> None:
    spent, expression = properties(name)["Metrics"]
    times = int(re.fullmatch(r"spent \* (\d+) / \$\{AccountDayUsd\}", expression["Expression"]["Fn::Sub"])[1])  # type: ignore[index]

    assert spent["MetricStat"]["Period"] == period_s
    assert properties(name)["Threshold"] == burn_rate
    assert times * period_s == 24 * 3_600
    assert burn_rate / times == pytest.approx(share)


def test_every_alarm_has_its_section_or_line_in_the_operating_page() -> None:
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")

    headed = re.findall(r"^(?:### |\| )(`\w+Alarm`(?:, `\w+Alarm`)*)(?: \||$)", page, re.MULTILINE)
    named = [name for one in headed for name in re.findall(r"`(\w+)`", one)]

    assert sorted(named) == ALL


def _dashboard() -> dict[str, Any]:
    body = properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    found: dict[str, Any] = json.loads(re.sub(r"\$\{[\w:.]+\}", "1", body))
    return found


def test_the_dashboard_shows_every_alarm_that_tells_somebody() -> None:
    body = properties("Dashboard")["DashboardBody"]["Fn::Sub"]

    shown = set(re.findall(r"\$\{(\w+Alarm)\.Arn\}", body))

    assert shown == {name for name in ALL if told(name)} - _HALVES - {"HourlyCostAlarm"}


#: Windows of a burn rate say nothing alone, and are told of by the alarm that they are a part of.
_HALVES = {name for whole in COMPOSITES if whole.startswith("BurnRate") for name in parts(whole)}


def test_the_dashboard_draws_metrics_that_there_are() -> None:
    drawn = set()
    for widget in _dashboard()["widgets"]:
        names = [row[1] for row in widget["properties"].get("metrics", []) if len(row) > 1 and row[0] != "..."]
        drawn.update(names)

    body = properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    assert body.count('"Ballast"') == body.count('"service", "${AWS::StackName}"')
    assert drawn <= METRICS.keys()
    assert {"CostUsd", "ReservedUsd", "BreakerMode", "AnswerLatency"} <= drawn


def test_no_widget_of_the_dashboard_covers_another() -> None:
    places = [
        (widget["x"] + dx, widget["y"] + dy)
        for widget in _dashboard()["widgets"]
        for dx in range(widget["width"])
        for dy in range(widget["height"])
    ]

    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
