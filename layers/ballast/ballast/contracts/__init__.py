"""The values that cross a wall: requests, decisions, limits and tasks.

All are frozen pydantic models that forbid extra fields. Imports only ``ballast.errors``.
"""

from ballast.contracts.decision import (
    Answer,
    CallTools,
    Decision,
    Effects,
    ExitReason,
    HandOver,
    Planner,
    ToolCall,
    parse_decision,
)
from ballast.contracts.limits import Limits, LimitsPatch
from ballast.contracts.request import RunRequest
from ballast.contracts.task import ExecuteTask, HandedOver, OpenTask, PlanSummary, PlanTask

__all__ = [
    "Answer",
    "CallTools",
    "Decision",
    "Effects",
    "ExecuteTask",
    "ExitReason",
    "HandOver",
    "HandedOver",
    "Limits",
    "LimitsPatch",
    "OpenTask",
    "PlanSummary",
    "PlanTask",
    "Planner",
    "RunRequest",
    "ToolCall",
    "parse_decision",
]
