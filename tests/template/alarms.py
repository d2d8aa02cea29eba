"""The template's alarms, and what they watch."""

from typing import Any

from tests.template import rendered
from tests.template.rendered import of_type

TEMPLATE = rendered.written()
ALARMS = of_type(TEMPLATE, "AWS::CloudWatch::Alarm")


def properties(name: str) -> dict[str, Any]:
    """Return an alarm's properties."""
    found: dict[str, Any] = TEMPLATE["Resources"][name]["Properties"]
    return found


def watched(name: str) -> list[dict[str, Any]]:
    """Return the metrics that an alarm looks at, each with namespace, name and dimensions."""
    alarm = properties(name)
    if "Metrics" not in alarm:
        return [{key: alarm[key] for key in ("Namespace", "MetricName", "Dimensions")}]
    return [one["MetricStat"]["Metric"] for one in alarm["Metrics"] if "MetricStat" in one]
