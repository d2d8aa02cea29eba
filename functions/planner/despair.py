"""Whether the agent goes round in circles: what the planner records about it, tells it, and reports. Pure.

The executor obeys what is recorded with a decision; the ladder itself is ``ballast.folds.despair``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ballast.contracts import Answer, CallTools, Event, HandOver
from ballast.folds import Prompt, saved
from ballast.folds.despair import Rung, Sign, despair, recorded, verdicts
from ballast.metrics import metric_line, usd


def goes_round(events: Sequence[Event]) -> bool:
    """Say whether the agent was noticed, then forbidden the tool, and still goes on."""
    return despair(events).rung is Rung.LOOP


def verdict(events: Sequence[Event], turn: int, decision: CallTools | Answer | HandOver) -> dict[str, Any]:
    """Return what is recorded with the decision of ``turn``; ``events`` is the log before it. Nothing, as a rule."""
    if not isinstance(decision, CallTools):
        return {}
    found = recorded(verdicts(events, turn, decision.calls))
    return {"despair": found} if found else {}


def noticed(events: Sequence[Event], prompt: Prompt) -> Mapping[int, Sign]:
    """Return the signals at the calls that ``prompt`` ends with, now that their outcomes are known, by position."""
    if prompt.after is None:
        return {}
    turn = int(prompt.after[:4])
    return {index: sign for (at, index), sign in despair(events).signs.items() if at == turn}


def loop_stopped(events: Sequence[Event]) -> str:
    """Return the line that reports the newest hand-over for ``loop``."""
    return metric_line({"LoopsStopped": 1, "SavedUsd": usd(saved(events)[-1].saved_microusd)})
