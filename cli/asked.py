"""What a person is asked, in lines; and how it stands now, which a message cannot know. Its text is untrusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ballast.contracts.notice import binding_shown

if TYPE_CHECKING:
    from cli.stack import DeployedCloud
    from localcloud.cloud import LocalCloud

_PARTIES = ("requested_by", "proposed_by", "changed_by")
_STANDS = ("kind", "status", "given", "approvals_needed", "approvers", "why", "binding", "arguments", *_PARTIES)


def lines(message: Mapping[str, Any]) -> list[str]:
    """Return what an approval is about, why it is wanted, who has given it; and of every question, who may not."""
    parties = ", ".join(map(str, message.get("may_not_answer") or ()))
    if message.get("kind") != "approval":
        return [f"May not decide: {parties}, who asked for the run."] if parties else []
    found = [f"{_call(call)}" for call in _calls(message)]
    if message.get("changed_by"):
        found.append(f"  (arguments as {message['changed_by']} changed them)")
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


def as_it_stands(cloud: LocalCloud | DeployedCloud, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``message`` with what has changed since it was sent, read from the table; never the task token."""
    key = {"escalation_id": message["escalation_id"]}
    item = cloud.table("EscalationsTable").get(key, only=_STANDS) or {}
    named = ("requested_by",) if item.get("kind") == "escalation" else _PARTIES
    parties = list(dict.fromkeys(item[name] for name in named if item.get(name)))
    if item.get("kind") == "escalation":
        return {**message, "may_not_answer": parties}
    if item.get("kind") != "approval":
        return dict(message)
    arguments = json.loads(item["arguments"]) if "arguments" in item else None
    stands: dict[str, Any] = {
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
        stands["proposed_decision"] = decision | {"calls": [decision["calls"][0] | {"arguments": arguments}]}
    return {**message, **stands}


def _calls(message: Mapping[str, Any]) -> list[Any]:
    decision = message.get("proposed_decision")
    found = decision.get("calls") if isinstance(decision, Mapping) else None
    return found if isinstance(found, list) else []


def _call(call: Any) -> str:
    if not isinstance(call, Mapping):
        return str(call)
    return f"{call.get('tool', '')} {json.dumps(call.get('arguments'), ensure_ascii=False)}"
