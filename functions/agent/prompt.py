"""Write what is new for the model: one user message from the events that it has not seen. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from ballast.contracts import HandOver, Planner
from ballast.errors import ToolForbidden
from ballast.folds.calls import CallState
from ballast.folds.loops import Sign, notice
from ballast.log.events import EscalationAnnounced
from ballast.log.keys import Key
from ballast.playbook.first_prompt import request_blocks
from ballast.run import Run
from functions.agent.answering import sent_back
from functions.agent.completion import call_id
from functions.agent.question import reply_to


def new_messages(run: Run, noticed: Mapping[int, Sign] | None = None) -> list[dict[str, Any]]:
    """Return the delta: the request at first, later the results of the calls and what others did.

    Every call of the last completion gets a result, executed or not: Converse demands it. ``noticed``: at
    which of them, by position, the agent is told that it goes round in circles.
    """
    if run.prompt.after is None:
        return [{"role": "user", "content": request_blocks(run.opening.request) + _notes(run)}]
    blocks = _results(run, Key.of(run.prompt.after).turn, noticed or {}) + sent_back(run) + _notes(run)
    return [{"role": "user", "content": blocks or [{"text": "Go on."}]}]


def _results(run: Run, turn: int, noticed: Mapping[int, Sign]) -> list[dict[str, Any]]:
    """Return the results of the calls of ``turn``, with whose completion the prompt ends so far."""
    states = {state.index: state for state in run.turn(turn).calls if state.planner is Planner.AGENT}
    # A server-side tool's call is among them, under an id that is no ``call_id``.
    ids = [block["toolUse"]["toolUseId"] for block in run.prompt.messages[-1]["content"] if "toolUse" in block]
    wanted = [(index, call_id(turn, index)) for index in range(1, len(ids) + 1)]
    reply = reply_to(run, turn)
    if reply is not None:
        return [{"toolResult": _reply(reply, key)} for _, key in wanted if key in ids]
    return [
        {"toolResult": _with_notice(_result(states.get(index), key), states.get(index), noticed.get(index))}
        for index, key in wanted
        if key in ids
    ]


def _reply(reply: str, key: str) -> dict[str, Any]:
    if not reply.strip():
        return {"toolUseId": key, "content": [{"text": "Nobody replied in time."}], "status": "error"}
    return {"toolUseId": key, "content": [{"text": reply}], "status": "success"}


def _result(state: CallState | None, key: str) -> dict[str, Any]:
    if state is not None and state.status == "ok":
        content: list[dict[str, Any]] = [
            {"json": state.result if isinstance(state.result, dict) else {"result": state.result}}
        ]
        if state.notice:
            content.append({"text": state.notice})
        return {"toolUseId": key, "content": content + _changed(state), "status": "success"}
    return {"toolUseId": key, "content": [{"text": _why_not(state)}, *_changed(state)], "status": "error"}


def _changed(state: CallState | None) -> list[dict[str, Any]]:
    """Tell what the call really was, where a person changed its arguments before they approved it."""
    if state is None or state.proposed is None:
        return []
    arguments = json.dumps(state.as_admitted.arguments, ensure_ascii=False, sort_keys=True)
    return [{"text": f"A person changed the arguments of this call to {arguments} and approved that instead."}]


def _with_notice(result: dict[str, Any], state: CallState | None, sign: Sign | None) -> dict[str, Any]:
    if state is None or sign is None or state.error == ToolForbidden.__name__:  # a refusal says it already
        return result
    return result | {"content": [*result["content"], {"text": notice(state.call.tool, sign)}]}


def _why_not(state: CallState | None) -> str:
    if state is None or state.status == "proposed":
        return "Not executed: the turn was cut before this call."
    if state.status == "refused":
        return f"Refused, nothing was done. {state.message}"
    if state.status == "denied":
        return f"Denied, nothing was done. {state.message}".strip()
    if state.status == "failed":
        return f"Failed. {state.message}"
    return "It is unknown whether this happened. Do not repeat it."


def _notes(run: Run) -> list[dict[str, Any]]:
    """Tell what other planners did and what a person asks for, in order."""
    # That others were told of an escalation is recorded late, perhaps after the agent has seen how it was answered.
    fresh = {event.turn for event in run.unseen if event.turn > 0 and event.name != EscalationAnnounced.NAME}
    notes: list[str] = []
    for turn in sorted(fresh):
        made = run.turn(turn).proposal
        if made is None or made.planner in (Planner.AGENT, Planner.REQUESTER):
            continue
        for state in run.turn(turn).calls:
            arguments = json.dumps(state.as_admitted.arguments, ensure_ascii=False, sort_keys=True)
            notes.append(f"{made.planner} called {state.call.tool}({arguments}): {state.status}.")
        if isinstance(made.decision, HandOver) and made.decision.guidance:
            notes.append(f"A person says: {made.decision.guidance}")
    if not notes:
        return []
    return [{"text": "While others were in charge: " + " ".join(notes)}]
