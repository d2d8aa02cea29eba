"""What an ended run reports, one line."""

from datetime import datetime
from decimal import Decimal

from ballast.contracts import Planner
from ballast.log.event import Event
from ballast.log.events import RunEnded, RunSettled
from ballast.metrics import metric_line, usd
from ballast.run import Run


def run_ended(run: Run, ended: Event) -> str:
    """Return the line for the run that ``ended`` (``run.ended``) closes; its latency only where it was answered."""
    said = ended.fact
    assert isinstance(said, RunEnded)
    fell_back = any(made.planner is Planner.FALLBACK for made in run.proposals.values())
    values: dict[str, int | Decimal] = {
        "Runs": 1,
        "RunCostUsd": usd(said.spent_microusd + said.reserved_microusd),
        "Fallbacks": int(fell_back),
    }
    if said.status == "answered":
        took = datetime.fromisoformat(ended.at) - datetime.fromisoformat(run[0].at)
        values["AnswerLatency"] = max(0, int(took.total_seconds() * 1000))
    return metric_line(values, fields={"run_id": ended.run_id, "status": said.status})


def run_failed(run_id: str) -> str:
    """Return the line for a run of which the log does not say how it ended."""
    return metric_line({"Runs": 1}, fields={"run_id": run_id, "status": "failed"})


def log_unfit(run_id: str, seq: str, why: str) -> str:
    """Return the line that reports a log that is not as it was written, and the first event that does not fit."""
    return metric_line({"LogsUnfit": 1}, fields={"run_id": run_id, "seq": seq, "why": why})


def charge_disbelieved(run_id: str, charged_microusd: int, most_microusd: int) -> str:
    """Return the line that reports a run whose log says more than its lease allows, which the windows take."""
    why = f"{charged_microusd} micro-dollars were charged, and its lease allows {most_microusd}"
    return metric_line({"UsageDisbelieved": 1}, fields={"run_id": run_id, "seq": RunSettled.key(), "why": why})
