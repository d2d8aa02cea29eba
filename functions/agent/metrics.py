"""The planner's figures, one line a model call."""

from decimal import Decimal

from ballast.contracts import ExitReason
from ballast.contracts.decision import LIMITS
from ballast.metrics import MetricLine, metric_line, usd
from ballast.money import TokenCounts


def model_call(
    *, reserved_microusd: int, cost_microusd: int, tokens: TokenCounts | None, latency_ms: int
) -> MetricLine:
    """Return the line that reports one settled model call: what was reserved for it, and what stayed charged."""
    values: dict[str, int | Decimal] = {
        "ReservedUsd": usd(reserved_microusd),
        "CostUsd": usd(cost_microusd),
        "ModelCalls": 1,
        "ModelLatency": latency_ms,
    }
    if tokens is not None:
        values["Tokens"] = tokens.prompt + tokens.output
    return metric_line(values)


def limit_line(reason: ExitReason) -> str | None:
    """Return the line that counts a hand-over by a limit; None where it was none."""
    limit = LIMITS.get(reason)
    return None if limit is None else metric_line({"LimitsReached": 1}, dimensions={"limit": limit})


def usage_disbelieved(run_id: str, seq: str, model: str, why: str) -> str:
    """Return the line that reports a usage which cannot be right, with the event that has the charge."""
    return metric_line({"UsageDisbelieved": 1}, fields={"run_id": run_id, "seq": seq, "model": model, "why": why})
