"""Metrics: one line of CloudWatch's embedded metric format (EMF) for each occasion.

A line is written where Lambda collects logs (``Runtime.emit``); CloudWatch makes metrics of it, and no function
needs the right to put any. Every metric has the dimension ``service``, which is the stack's name: the namespace is
the account's. The second one, where there is one, has few and bounded values, so that an alarm can name them. Never
a run, a tenant or a tool: each value of a dimension is a metric of its own, with a price of its own; those stand
beside it, as plain fields of the line.

Imports nothing of Ballast.
"""

import json
from collections.abc import Mapping
from decimal import Decimal

NAMESPACE = "Ballast"
#: The service of code outside of a deployed stack.
SERVICE = "ballast"

#: Every metric and its unit. A name that is not here cannot be emitted.
METRICS: Mapping[str, str] = {
    # Of a model call, when it is settled.
    "CostUsd": "None",
    "LimitsReached": "Count",
    "ModelCalls": "Count",
    "ModelCircuitsOpened": "Count",
    "ModelLatency": "Milliseconds",
    "ReservedUsd": "None",
    "Tokens": "Count",
    # Of a loop, when the agent is stopped in it, and the money that it would have cost.
    "LoopsStopped": "Count",
    "SavedUsd": "None",
    # Of a tool call, when its outcome is recorded. ``MovesRefused``: a ceiling on the business's own money was met.
    "MovesRefused": "Count",
    "RefusedCalls": "Count",
    "ToolCalls": "Count",
    # Of a run, when it ends. ``Fallbacks``: a fallback planned in it. ``AnswerLatency``: from admission to the answer.
    "AnswerLatency": "Milliseconds",
    "Fallbacks": "Count",
    "RunCostUsd": "None",
    "Runs": "Count",
    # Of the spend breaker, when it is looked at: 0 normal, 1 cheaper, 2 fallback only, 3 stopped.
    "BreakerMode": "None",
    # Of the account's windows: what is spent or leased of one (dimension ``window``: hour, day), every minute,
    # and runs that were turned away because one was full.
    "WindowUsedPercent": "Percent",
    "WindowsFull": "Count",
    # Of the log: events that could not be copied, events that were changed or deleted (both by the table's stream), and
    # runs whose log did not fit when they were settled.
    "LogCopiesFailed": "Count",
    "LogTouched": "Count",
    "LogsUnfit": "Count",
    # Of requests over HTTP: a setting that says who callers are cannot be used, and knows nobody.
    "SettingsUnusable": "Count",
    # Of people asked, and of callers who could not be told.
    "Escalations": "Count",
    # Of what claims to be a person's answer in the log and is not signed: once a function that acts on answers.
    "UnsignedAnswers": "Count",
    "UsageDisbelieved": "Count",
    "RepliesNotSent": "Count",
}


class MetricLine(str):
    """A line of metrics, which says ``SERVICE`` until ``of`` says whose it is."""

    def of(self, service: str) -> str:
        """Return the line as the metrics of ``service``: the stack's name."""
        return json.dumps(json.loads(self) | {"service": service})


def metric_line(
    values: Mapping[str, int | Decimal],
    *,
    dimensions: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
) -> MetricLine:
    """Return the line that reports ``values``, by metric, with these ``dimensions`` besides ``service``.

    ``fields`` is what a person finds beside them in the log. Raises ``KeyError`` for a metric that is not listed.
    """
    from aws_lambda_powertools.metrics import MetricUnit
    from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

    line = AmazonCloudWatchEMFProvider(
        metric_set={}, dimension_set={}, metadata_set={}, default_dimensions={}, namespace=NAMESPACE, service=SERVICE
    )
    for name, text in (dimensions or {}).items():
        line.add_dimension(name, text)
    for name, value in values.items():
        # A metric's value is a JSON number by CloudWatch's format; exact amounts are in the log.
        line.add_metric(name, MetricUnit(METRICS[name]), float(value))
    for name, text in (fields or {}).items():
        line.add_metadata(name, text)
    return MetricLine(json.dumps(line.serialize_metric_set()))


def usd(microusd: int) -> Decimal:
    """Return micro-dollars as the dollars that a metric reports: exact."""
    return Decimal(microusd) / 1_000_000
