"""Metrics, as lines in CloudWatch's embedded metric format (EMF).

``Runtime.emit`` writes a line where Lambda collects logs. CloudWatch turns it into metrics, so no function needs the
right to put metrics. Every metric has the dimension ``service``, the stack's name, because the account shares the
namespace. A second dimension has few and bounded values, so that an alarm can name them. It is never a run, a tenant or
a tool: each value of a dimension is a separate metric with a separate price. Those are plain fields of the line.

Imports nothing of Ballast.
"""

import json
import time
from collections.abc import Mapping
from decimal import Decimal

NAMESPACE = "Ballast"
#: The service name of code outside a deployed stack.
SERVICE = "ballast"

#: Every metric and its unit. Other names cannot be emitted.
METRICS: Mapping[str, str] = {
    # A model call, when it is settled. ``CacheReadPercent``: of its prompt's tokens, if it had cache points behind a
    # prefix that the model caches.
    "CacheReadPercent": "Percent",
    "CostUsd": "None",
    "LimitsReached": "Count",
    "ModelCalls": "Count",
    "ModelCircuitsOpened": "Count",
    # Days until the provider serves the asked model no longer, from two months before; negative after it.
    "ModelDaysLeft": "None",
    "ModelLatency": "Milliseconds",
    "ReservedUsd": "None",
    "Tokens": "Count",
    # A loop, when the agent is stopped in it, and its estimated further cost.
    "LoopsStopped": "Count",
    "SavedUsd": "None",
    # A tool call, when its outcome is recorded. ``MovesRefused``: a ceiling on the business's own money was reached.
    "MovesRefused": "Count",
    "RefusedCalls": "Count",
    "ToolCalls": "Count",
    # A server is not as it was pinned: it describes a tool otherwise, or answers in another form.
    "ToolsChanged": "Count",
    # A run, when it ends. ``Fallbacks``: a fallback planned in it. ``AnswerLatency``: from admission to the answer.
    "AnswerLatency": "Milliseconds",
    "Fallbacks": "Count",
    "RunCostUsd": "None",
    "Runs": "Count",
    # The spend breaker, when it is read: 0 normal, 1 cheaper, 2 fallback only, 3 stopped.
    "BreakerMode": "None",
    # The account's windows: the spent or leased part of one (dimension ``window``: hour, day), every minute,
    # and runs that were refused because one was full.
    "WindowUsedPercent": "Percent",
    "WindowsFull": "Count",
    # The log: events that could not be copied, events that were changed or deleted (both by the table's stream), and
    # runs whose log did not match its evidence at settlement.
    "LogCopiesFailed": "Count",
    "LogTouched": "Count",
    "LogsUnfit": "Count",
    # Requests over HTTP: a setting that identifies callers is invalid, so no caller is recognized.
    "SettingsUnusable": "Count",
    # Escalations to people, and outcomes that could not be sent to callers.
    "Escalations": "Count",
    # Unsigned events that claim to be a person's answer: one count for each function that acts on answers.
    "UnsignedAnswers": "Count",
    "UsageDisbelieved": "Count",
    "RepliesNotSent": "Count",
}


class MetricLine(str):
    """A line of metrics. Its service is ``SERVICE`` until ``of`` sets the stack's name."""

    def of(self, service: str) -> str:
        """Return the line with ``service``, the stack's name."""
        return json.dumps(json.loads(self) | {"service": service})


def metric_line(
    values: Mapping[str, int | Decimal],
    *,
    dimensions: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
) -> MetricLine:
    """Return the line that reports ``values``, by metric, with these ``dimensions`` and ``service``.

    ``fields`` are plain fields for readers of the log. Raises ``KeyError`` for a metric that is not in ``METRICS``.
    """
    named = {"service": SERVICE, **(dimensions or {})}
    metrics = [{"Name": name, "Unit": METRICS[name]} for name in values]
    described = {"Namespace": NAMESPACE, "Dimensions": [list(named)], "Metrics": metrics}
    about = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [described]}
    # CloudWatch's format requires JSON numbers; exact amounts are in the log.
    numbers = {name: [float(value)] for name, value in values.items()}
    return MetricLine(json.dumps({"_aws": about, **named, **(fields or {}), **numbers}))


def usd(microusd: int) -> Decimal:
    """Return micro-dollars as the dollars that a metric reports: exact."""
    return Decimal(microusd) / 1_000_000
