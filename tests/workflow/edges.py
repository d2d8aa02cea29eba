"""The edges of ``agent.asl.yaml``, derived from the file, and those that an execution took.

An edge is (state, why, next state). ``why`` is ``next``, ``end``, ``choice`` or ``catch N``, the
position of the catcher, so that two catchers with the same target are two edges.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ASL_FILE = Path(__file__).resolve().parents[2] / "statemachine" / "agent.asl.yaml"
END = "(end)"

Edge = tuple[str, str, str]


def load_definition(file: Path = ASL_FILE) -> dict[str, Any]:
    """Return the state machine as written; its ``${…}`` stay as they are."""
    definition: dict[str, Any] = json.loads(_as_json(file))
    return definition


@cache
def _as_json(file: Path) -> str:
    return json.dumps(yaml.safe_load(file.read_text(encoding="utf-8")))


def states_of(definition: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return all states by name, those inside a Map as well."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, state in definition["States"].items():
        found[name] = state
        if state["Type"] == "Map":
            found |= states_of(state["ItemProcessor"])
    return found


def edges_of(definition: Mapping[str, Any]) -> set[Edge]:
    """Return every edge that the definition has."""
    return {edge for name, state in states_of(definition).items() for edge in _edges(name, state)}


def _edges(name: str, state: Mapping[str, Any]) -> Iterator[Edge]:
    if state["Type"] == "Choice":
        for choice in state["Choices"]:
            yield name, "choice", choice["Next"]
        yield name, "choice", state["Default"]
        return
    if "Next" in state:
        yield name, "next", state["Next"]
    elif state["Type"] not in ("Succeed", "Fail"):
        yield name, "end", END
    for position, catcher in enumerate(state.get("Catch", [])):
        yield name, f"catch {position}", catcher["Next"]


def edges_taken(history: Sequence[Mapping[str, Any]], definition: Mapping[str, Any]) -> set[Edge]:
    """Return the edges that an execution took, from its history events.

    Map iterations are distinguished by ``previousEventId``.
    """
    states = states_of(definition)
    by_id = {event["id"]: event for event in history}
    taken: set[Edge] = set()
    for event in history:
        if not event["type"].endswith("StateEntered"):
            if event["type"].endswith("StateExited"):
                name = event["stateExitedEventDetails"]["name"]
                if states[name].get("End"):
                    taken.add((name, "end", END))
            continue
        exited = _previous_exit(event, by_id)
        if exited is None:
            continue
        source, target = exited["stateExitedEventDetails"]["name"], event["stateEnteredEventDetails"]["name"]
        taken.add((source, _why(states[source], _error_before(exited, by_id)), target))
    return taken


def _previous_exit(entered: Mapping[str, Any], by_id: Mapping[int, Any]) -> Mapping[str, Any] | None:
    previous = by_id.get(entered.get("previousEventId", 0))
    return previous if previous is not None and previous["type"].endswith("StateExited") else None


def _error_before(exited: Mapping[str, Any], by_id: Mapping[int, Any]) -> str | None:
    """Return the error that ended the state; None if it succeeded."""
    previous = by_id.get(exited.get("previousEventId", 0))
    if previous is None:
        return None
    for key, details in previous.items():
        if key.endswith("EventDetails") and "error" in details and "Failed" in previous["type"]:
            return str(details["error"])
    if previous["type"] in ("TaskTimedOut", "LambdaFunctionTimedOut"):
        return "States.Timeout"
    return "States.ALL" if previous["type"] in ("MapStateFailed", "MapIterationFailed", "MapStateAborted") else None


def _why(state: Mapping[str, Any], error: str | None) -> str:
    if state["Type"] == "Choice":
        return "choice"
    if error is None:
        return "next"
    for position, catcher in enumerate(state.get("Catch", [])):
        if error in catcher["ErrorEquals"] or "States.ALL" in catcher["ErrorEquals"]:
            return f"catch {position}"
    return "next"
