"""Escalations as a person reads them: what each asks, who may answer, and the commands that answer it.

All text of an escalation is untrusted; ``Screen.line`` neutralises it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ballast.contracts.notice import binding_shown
from ballast.contracts.wire import canonical, sha256
from ballast.log.events import ApprovalRequested, EscalationOpened, RunEnded
from ballast.runtime import utc_now
from ballast.table import Query, equals

if TYPE_CHECKING:
    from ballast.log.event import Event
    from cli.deployed_stack import DeployedCloud
    from localcloud.cloud import LocalCloud

Waiting = Sequence[dict[str, Any]]

_PARTIES = ("requested_by", "proposed_by", "changed_by")
_STATE = ("kind", "status", "given", "approvals_needed", "approvers", "why", "binding", "arguments", *_PARTIES)
#: What is read of an escalation. The task token is not among it, and not in the index.
_SHOWN = ("escalation_id", "run_id", "tenant", "kind", "reason", "summary", "opened_at", "answer_by", "reminded_at")


def details(message: Mapping[str, Any]) -> list[str]:
    """Return the lines below an escalation's summary.

    Of an approval: the call, why it needs approval, who has approved, who may. Of every escalation: who may not answer.
    """
    parties = ", ".join(map(str, message.get("may_not_answer") or ()))
    if message.get("kind") != "approval":
        return [f"May not decide: {parties}, who asked for the run."] if parties else []
    found = [f"{_call(call)}" for call in _calls(message)]
    if message.get("changed_by"):
        found.append(f"  (with the arguments as changed by {message['changed_by']})")
    if message.get("why"):
        found.append(f"Asked because {'; '.join(map(str, message['why']))}.")
    needed, given = message.get("approvals_needed", 1), list(message.get("approvals_given") or ())
    if needed > 1:
        by = f" ({', '.join(map(str, given))})" if given else ""
        found.append(f"Approved by {len(given)} of {needed} people{by}.")
    if message.get("approvers"):
        found.append(f"Only members of {message['approvers']} may approve it: --group {message['approvers']}.")
    if parties:
        found.append(f"May not approve: {parties}, who asked for the run, proposed the call, or changed it.")
    return found


def commands_to_type(escalation_id: str, message: Mapping[str, object]) -> list[str]:
    """Return the command lines that answer this escalation."""
    start = f"ballast answer {escalation_id}"
    if message.get("kind") == "approval":
        group = f" --group {message['approvers']}" if message.get("approvers") else ""
        return [
            f"{start} --approve{group}",
            f"{start} --approve{group} --arguments JSON    # with these arguments instead",
            f'{start} --reject{group} --comment "why not"',
        ]
    proposed = [f"{start} --approve    # carry out what was proposed"] if message.get("proposed_decision") else []
    return [
        f'{start} --say "what the customer should read"',
        f'{start} --back-to-agent --guidance "what to do differently" --add-budget 0.05',
        f'{start} --call TOOL \'{{"argument": "value"}}\'',
        *proposed,
    ]


def with_current_state(cloud: LocalCloud | DeployedCloud, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``message`` with what the table says has changed since it was sent. Never reads the task token."""
    key = {"escalation_id": message["escalation_id"]}
    item = cloud.table("EscalationsTable").get(key, only=_STATE) or {}
    named = ("requested_by",) if item.get("kind") == "escalation" else _PARTIES
    parties = list(dict.fromkeys(item[name] for name in named if item.get(name)))
    if item.get("kind") == "escalation":
        return {**message, "may_not_answer": parties}
    if item.get("kind") != "approval":
        return dict(message)
    arguments = json.loads(item["arguments"]) if "arguments" in item else None
    state: dict[str, Any] = {
        "why": json.loads(item.get("why", "[]")),
        "approvals_needed": int(item.get("approvals_needed", 1)),
        "approvals_given": [one["by"] for one in json.loads(item.get("given", "[]"))],
        "may_not_answer": parties,
        "approvers": item.get("approvers"),
        "binding": binding_shown(item.get("binding"), arguments),
        "changed_by": item.get("changed_by"),
    }
    decision = message.get("proposed_decision")
    if arguments is not None and isinstance(decision, dict) and decision.get("calls"):
        state["proposed_decision"] = decision | {"calls": [decision["calls"][0] | {"arguments": arguments}]}
    return {**message, **state}


def open_escalations(cloud: DeployedCloud) -> Waiting:
    """Return a deployed stack's open escalations, newest first, as ``GET /escalations`` lists them.

    Leaves out those that were answered meanwhile, have expired, or whose run has ended, and clarifications.
    """
    now = utc_now().isoformat()
    waiting = [item for item in _open_items(cloud) if item.get("answer_by", now) >= now]
    ended = cloud.entries([(item["run_id"], RunEnded.key()) for item in waiting])
    waiting = [item for item in waiting if (item["run_id"], RunEnded.key()) not in ended]
    opened = cloud.entries([(item["run_id"], _seq(item)) for item in waiting])
    found = []
    for item in waiting:
        event = opened.get((item["run_id"], _seq(item)))
        message = {name: item[name] for name in _SHOWN if name in item} | _proposal(item, event)
        found.append(with_current_state(cloud, message))
    return found


def proposed_decision(cloud: DeployedCloud, message: Mapping[str, Any]) -> Any:
    """Return the decision that the log says was proposed when the escalation was opened; None if there was none."""
    for event in cloud.events(message["run_id"]):
        opened = event.name in (EscalationOpened.NAME, ApprovalRequested.NAME)
        if opened and event.body.get("escalation_id") == message["escalation_id"]:
            return event.body.get("proposed_decision")
    return None


def _open_items(cloud: DeployedCloud) -> list[dict[str, Any]]:
    """Return the open escalations that the index names, newest first, each as the table has it now."""
    table, names = cloud.table("EscalationsTable"), (*_SHOWN, "status", "turn", "call_index", "round", "call_sha256")
    are_open = Query(equals("status", "open"), index="by_status", only=["escalation_id"], descending=True)
    found = []
    for key in table.all(are_open):
        item = table.get(key, only=names) or {}  # the index lags behind
        if item.get("status") == "open" and item.get("kind") != "question" and "tenant" in item:
            found.append(item)
    return found


def _seq(item: Mapping[str, Any]) -> str:
    """Return the key of the event that opened the escalation."""
    turn, index = int(item.get("turn", 0)), int(item.get("call_index", 0))
    return ApprovalRequested.key(turn, index, int(item.get("round", 1))) if index else EscalationOpened.key(turn)


def _proposal(item: Mapping[str, Any], opened: Event | None) -> dict[str, Any]:
    """Return what was proposed; a warning instead if the call in the log was changed since."""
    decision = opened.body.get("proposed_decision") if opened else None
    calls, asked = (decision or {}).get("calls"), item.get("call_sha256")
    if asked is not None and calls and sha256(canonical(calls[0])) != asked:
        changed = "NOT SHOWN: the call in the log was changed after this approval was requested. Do not answer it;"
        return {"summary": f"{changed} run `ballast --stack NAME verify {item['run_id']}`."}
    return {"proposed_decision": decision} if decision else {}


def _calls(message: Mapping[str, Any]) -> list[Any]:
    decision = message.get("proposed_decision")
    found = decision.get("calls") if isinstance(decision, Mapping) else None
    return found if isinstance(found, list) else []


def _call(call: Any) -> str:
    if not isinstance(call, Mapping):
        return str(call)
    return f"{call.get('tool', '')} {json.dumps(call.get('arguments'), ensure_ascii=False)}"
