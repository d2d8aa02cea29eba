"""Whether the agent goes round in circles: what the planner records about it, tells it, and reports. Pure.

The executor obeys what is recorded with a decision; the ladder itself is ``ballast.folds.despair``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ballast.contracts import Answer, CallTools, Event, HandOver
from ballast.folds import Prompt, saved
from ballast.folds.despair import Despair, Sign, despair, recorded, verdicts
from ballast.metrics import metric_line, usd
from ballast.playbook import Playbook


def circles(events: Sequence[Event], playbook: Playbook) -> Despair:
    """Return what the log says about circles. ``Rung.LOOP``: told, forbidden the tool, and the agent still goes on."""
    return despair(events, polled=_polled(playbook), same=playbook.identity)


def verdict(
    events: Sequence[Event], turn: int, decision: CallTools | Answer | HandOver, playbook: Playbook
) -> dict[str, Any]:
    """Return what is recorded with the decision of ``turn``; ``events`` is the log before it. Nothing, as a rule."""
    if not isinstance(decision, CallTools):
        return {}
    found = recorded(verdicts(events, turn, decision.calls, polled=_polled(playbook), same=playbook.identity))
    return {"despair": found} if found else {}


def noticed(found: Despair, prompt: Prompt) -> Mapping[int, Sign]:
    """Return the signals at the calls that ``prompt`` ends with, now that their outcomes are known, by position."""
    if prompt.after is None:
        return {}
    turn = int(prompt.after[:4])
    return {index: sign for (at, index), sign in found.signs.items() if at == turn}


def loop_stopped(events: Sequence[Event]) -> str:
    """Return the line that reports the newest hand-over for ``loop``."""
    return metric_line({"LoopsStopped": 1, "SavedUsd": usd(saved(events)[-1].saved_microusd)})


def _polled(playbook: Playbook) -> frozenset[str]:
    return frozenset(name for name, made in playbook.tools.items() if made.policy.polled)
