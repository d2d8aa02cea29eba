"""The state machine's reaction to an invocation of the executor that failed, read from ``agent.asl.yaml``.

Only the state that executes a call, the one that settles a call which nobody tries again, and what follows from their
failure; ``run.py`` plays the whole machine.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml

from ballast.errors import ProcessEnds
from localcloud.moto_seams.jsonata import evaluate

DEFINITION = Path(__file__).resolve().parents[2] / "statemachine" / "agent.asl.yaml"


class ProcessDied(ProcessEnds):
    """The process of a function is gone: no ``Exception``, so that no handler catches it."""


#: What Step Functions calls it.
_DIED = "Lambda.Unknown"


@dataclass(frozen=True)
class Escalated:
    """The call failed for good, and the workflow goes to people with this payload for their function."""

    error: str
    payload: Mapping[str, Any]


@cache
def _states() -> Mapping[str, Any]:
    states: Mapping[str, Any] = yaml.safe_load(DEFINITION.read_text())["States"]
    return states


def call_of(run_id: str, turn: int) -> dict[str, Any]:
    """Return the event that the state Execute sends for the only call of a turn."""
    return {"run_id": run_id, "turn": turn, "index": 1, "asked": 0}


def executed(
    invoke: Callable[..., str],
    wait_s: Callable[[float], None],
    *,
    run_id: str,
    turn: int,
    draw: Callable[[], float] = lambda: 1.0,
) -> str | Escalated:
    """Invoke the executor as the states Execute and GiveUp do, again where they say so, and return the call's status.

    invoke  the executor's invocation; GiveUp's is ``invoke(given_up=error)``
    draw    what a backoff with jitter is multiplied by, 0 to 1; in full unless told otherwise
    """
    ended = _played("Execute", invoke, wait_s, draw)
    if isinstance(ended, _Failed) and _caught("Execute", ended.error) == "GiveUp":
        ended = _played("GiveUp", partial(invoke, given_up=ended.error), wait_s, draw)
    return ended if isinstance(ended, str) else Escalated(ended.error, _escalation(ended.error, run_id, turn))


@dataclass(frozen=True)
class _Failed:
    """A state that is out of retries."""

    error: str


def _played(
    name: str, invoke: Callable[[], str], wait_s: Callable[[float], None], draw: Callable[[], float]
) -> str | _Failed:
    tried: dict[int, int] = {}
    while True:
        try:
            return invoke()
        except ProcessDied:
            error = _DIED
        except Exception as problem:
            error = type(problem).__name__
        pause = _pause_s(name, error, tried, draw)
        if pause is None:
            return _Failed(error)
        wait_s(pause)


def _pause_s(name: str, error: str, tried: dict[int, int], draw: Callable[[], float]) -> float | None:
    """Return after how long the state tries again, None where it does not. ``tried`` counts by rule."""
    for number, rule in enumerate(_of_a_call(name)["Retry"]):
        if error in rule["ErrorEquals"]:
            before = tried.get(number, 0)
            if before >= rule["MaxAttempts"]:
                return None
            tried[number] = before + 1
            pause = float(rule["IntervalSeconds"] * rule["BackoffRate"] ** before)
            pause = min(pause, float(rule.get("MaxDelaySeconds", pause)))
            return pause * draw() if rule.get("JitterStrategy") == "FULL" else pause
    return None


def _caught(name: str, error: str) -> str | None:
    """Return the state that follows an error, None where nothing of the call catches it."""
    for rule in _of_a_call(name)["Catch"]:
        if error in rule["ErrorEquals"] or "States.ALL" in rule["ErrorEquals"]:
            return str(rule["Next"])
    return None


def _of_a_call(name: str) -> Mapping[str, Any]:
    state: Mapping[str, Any] = _states()[name]
    return state


def _escalation(error: str, run_id: str, turn: int) -> dict[str, Any]:
    """Return what the state Escalate sends, by way of what catches the error."""
    (caught,) = (rule for rule in _states()["GiveUp"]["Catch"] if rule["ErrorEquals"] == ["States.ALL"])
    assert caught["Next"] == "Escalate"
    variables: dict[str, Any] = {"run_id": run_id, "turn": turn, "planner": "agent", "escalation_timeout_s": 86_400}
    variables |= {"requested_by": "bench", "tenant": "default", "history": 6}
    states = {"input": {}, "context": {"Task": {"Token": "token"}}, "result": None, "errorOutput": {"Error": error}}
    variables |= {name: evaluate(text[2:-2], variables, states) for name, text in caught["Assign"].items()}
    payload = _states()["Escalate"]["Arguments"]["Payload"]
    return {name: _value(template, variables, states) for name, template in payload.items()}


def _value(template: Any, variables: Mapping[str, Any], states: Mapping[str, Any]) -> Any:
    if isinstance(template, str) and template.startswith("{%"):
        return evaluate(template[2:-2], variables, states)
    return template
