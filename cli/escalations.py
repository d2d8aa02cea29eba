"""Escalations as a person reads them: what each asks, who may answer, and the commands that answer it.

All text of an escalation is untrusted; ``Screen.line`` neutralises it.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ballast.contracts.person import same_person

if TYPE_CHECKING:
    from cli.deployed_stack import DeployedCloud
    from localcloud.cloud import LocalCloud

#: Escalations in the form of ``ballast.contracts.escalation``, or of their messages, which is a part of it.
Waiting = Sequence[Mapping[str, Any]]


def open_escalations(cloud: DeployedCloud) -> Waiting:
    """Return a deployed stack's open escalations, newest first, as ``GET /escalations/{id}`` shows each.

    Leaves out those that were answered meanwhile, have expired, or whose run has ended, and clarifications.
    """
    return [one.model_dump(mode="json") for one in cloud.escalations().open()]


def with_current_state(cloud: LocalCloud | DeployedCloud, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``message`` with what the table and the log say of its escalation now."""
    shown = cloud.escalations().get(message["escalation_id"])
    return {**message, **(shown.model_dump(mode="json") if shown is not None else {})}


def details(message: Mapping[str, Any]) -> list[str]:
    """Return the lines below an escalation's summary: the proposed calls, and who may not answer.

    Of an approval also why it is needed, who has approved and who may.
    """
    found = [f"{call['tool']} {json.dumps(call.get('arguments'), ensure_ascii=False)}" for call in _calls(message)]
    if message.get("corrupt"):
        found.append(f"NOT SHOWN: {message['corrupt']} Run `ballast --stack NAME verify {message['run_id']}`.")
    parties = ", ".join(message.get("may_not_answer") or ())
    if message.get("kind") != "approval":
        return [*found, f"May not decide: {parties}, who asked for the run."] if parties else found
    if message.get("changed_by"):
        found.append(f"  (with the arguments as changed by {message['changed_by']})")
    if message.get("why"):
        found.append(f"Asked because {'; '.join(message['why'])}.")
    needed, given = message.get("approvals_needed", 1), message.get("approvals_given") or ()
    if needed > 1:
        by = f" ({', '.join(given)})" if given else ""
        found.append(f"Approved by {len(given)} of {needed} people{by}.")
    if message.get("approvers"):
        found.append(f"Only members of {message['approvers']} may approve it: --group {message['approvers']}.")
    if parties:
        why = "who asked for the run, proposed or changed the call, or guided the agent to it."
        found.append(f"May not approve: {parties}, {why}")
    return found


def commands_to_type(escalation_id: str, message: Mapping[str, Any]) -> list[str]:
    """Return the command lines that answer this escalation. A call that is not shown can only be rejected.

    Where the user at this terminal may not answer, they say that somebody else does: ``--by NAME``.
    """
    not_me = any(same_person(party, user()) for party in message.get("may_not_answer") or ())
    start = f"ballast answer {escalation_id}{' --by NAME' if not_me else ''}"
    if message.get("kind") == "approval":
        group = f" --group {message['approvers']}" if message.get("approvers") else ""
        approving = [
            f"{start} --approve{group}",
            f"{start} --approve{group} --arguments JSON    # with these arguments instead",
        ]
        return [*([] if message.get("corrupt") else approving), f'{start} --reject{group} --comment "why not"']
    proposed = [f"{start} --approve    # carry out what was proposed"] if message.get("proposed_decision") else []
    return [
        f'{start} --say "what the customer should read"',
        f'{start} --back-to-agent --guidance "what to do differently" --add-budget 0.05',
        f'{start} --call TOOL \'{{"argument": "value"}}\'',
        *proposed,
    ]


def user() -> str:
    """Return the name of the user at this terminal."""
    try:
        return getpass.getuser()[:128]
    except (OSError, KeyError):
        return "somebody"


def _calls(message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    calls: Sequence[Mapping[str, Any]] = (message.get("proposed_decision") or {}).get("calls", ())
    return calls
