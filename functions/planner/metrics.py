"""The planner's figures as CloudWatch embedded metrics, one line a model call."""

import json
from decimal import Decimal

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from ballast.money import TokenCounts, dollars

NAMESPACE = "Ballast"
#: The one dimension: few and bounded, so that an alarm can name it.
SERVICE = "ballast"


def model_call(*, cost_microusd: int, tokens: TokenCounts | None, latency_ms: int) -> str:
    """Return the line that reports one settled model call."""
    metrics = AmazonCloudWatchEMFProvider(
        metric_set={}, dimension_set={}, metadata_set={}, default_dimensions={}, namespace=NAMESPACE, service=SERVICE
    )
    # A metric's value is a JSON number by CloudWatch's format; the books are kept in the log.
    metrics.add_metric("CostUsd", MetricUnit.NoUnit, float(Decimal(dollars(cost_microusd))))
    metrics.add_metric("ModelCalls", MetricUnit.Count, 1)
    metrics.add_metric("ModelLatency", MetricUnit.Milliseconds, latency_ms)
    if tokens is not None:
        metrics.add_metric("Tokens", MetricUnit.Count, tokens.input + tokens.output + tokens.cache_read)
    return json.dumps(metrics.serialize_metric_set())
