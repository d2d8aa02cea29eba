"""``ballast escalations``: what waits for a person, once or as it comes."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ballast.table import Query, equals
from cli.asked import as_it_stands, lines
from cli.commands.answer import what_to_type
from cli.exits import Exit
from cli.journal import state_folder
from cli.mailbox import Mailbox
from cli.output import Screen

if TYPE_CHECKING:
    from ballast.log.event import Event
    from cli.stack import DeployedCloud

_EVERY_S = 2.0
#: What is shown of an escalation; its task token is not among it, and not in the index.
_SHOWN = ("escalation_id", "run_id", "tenant", "kind", "reason", "summary", "opened_at", "answer_by", "reminded_at")

Waiting = Sequence[dict[str, Any]]


def escalations(typed: Namespace) -> int:
    """List what processes on this machine wait for: ``ballast up``, ``run`` and ``demo --by-hand``."""
    mailbox = Mailbox(state_folder(os.environ))

    def waiting() -> Waiting:
        return [{**notice.message, "escalation_id": notice.escalation_id} for notice in mailbox.waiting()]

    return watched(waiting, Screen(), watch=typed.watch)


def watched(
    waiting: Callable[[], Waiting], screen: Screen, *, watch: bool, pause: Callable[[float], None] = time.sleep
) -> int:
    """Print what waits; with ``watch`` also what comes later, each once, until Ctrl-C."""
    found = waiting()
    show(found, screen)
    seen = {item["escalation_id"] for item in found}
    while watch:
        pause(_EVERY_S)
        found = waiting()
        new = [item for item in found if item["escalation_id"] not in seen]
        if new:
            show(new, screen)
        seen |= {item["escalation_id"] for item in new}
    return Exit.OK


def show(waiting: Waiting, screen: Screen) -> None:
    """Print escalations, and what to type."""
    if not waiting:
        screen.line("Nothing waits for an answer here.")
    for message in waiting:
        until = str(message.get("answer_by", ""))[:16].replace("T", " ")
        head = f"{message['escalation_id']}  {message.get('kind', '')}  {message.get('reason', '')}"
        screen.line(f"{head}  until {until} UTC" if until else head, "bold")
        screen.line(f"{message.get('summary', '')}")
        if whose := [f"{name} {message[name]}" for name in ("tenant", "run_id") if message.get(name)]:
            opened = str(message.get("opened_at", ""))[:16].replace("T", " ")
            screen.line(" · ".join([*whose, *([f"asked {opened} UTC"] if opened else [])]), "dim")
        for told in lines(message):
            screen.line(told)
        for typing in what_to_type(message["escalation_id"], message):
            screen.line(f"  {typing}")
        screen.line()


def listed(cloud: DeployedCloud) -> Waiting:
    """Return the escalations that ``GET /escalations`` shows as open, newest first, each with what it is about.

    So not those that were answered meanwhile, whose time has passed, whose run has ended, or that are the requester's.
    """
    from ballast.log.events import RunEnded
    from ballast.runtime import utc_now

    now = utc_now().isoformat()
    waiting = [item for item in _open(cloud) if item.get("answer_by", now) >= now]
    ended = cloud.entries([(item["run_id"], RunEnded.key()) for item in waiting])
    waiting = [item for item in waiting if (item["run_id"], RunEnded.key()) not in ended]
    asked = cloud.entries([(item["run_id"], _seq(item)) for item in waiting])
    found = []
    for item in waiting:
        opened = asked.get((item["run_id"], _seq(item)))
        message = {name: item[name] for name in _SHOWN if name in item} | _about(item, opened)
        found.append(as_it_stands(cloud, message))
    return found


def _open(cloud: DeployedCloud) -> list[dict[str, Any]]:
    """Return the open questions to people by the index, newest first, each as the table has it now."""
    table, names = cloud.table("EscalationsTable"), (*_SHOWN, "status", "turn", "call_index", "round", "call_sha256")
    are_open = Query(equals("status", "open"), index="by_status", only=["escalation_id"], descending=True)
    found = []
    for key in table.all(are_open):
        item = table.get(key, only=names) or {}  # the index is behind
        if item.get("status") == "open" and item.get("kind") != "question" and "tenant" in item:
            found.append(item)
    return found


def _seq(item: Mapping[str, Any]) -> str:
    """Return the key of the log's entry with which people were asked."""
    from ballast.log.events import ApprovalRequested, EscalationOpened

    turn, index = int(item.get("turn", 0)), int(item.get("call_index", 0))
    return ApprovalRequested.key(turn, index, int(item.get("round", 1))) if index else EscalationOpened.key(turn)


def _about(item: Mapping[str, Any], opened: Event | None) -> dict[str, Any]:
    """Return what was proposed; where the log has another call by now than people were asked about, that instead."""
    from ballast.contracts.wire import canonical, sha256

    decision = opened.body.get("proposed_decision") if opened else None
    calls, asked = (decision or {}).get("calls"), item.get("call_sha256")
    if asked is not None and calls and sha256(canonical(calls[0])) != asked:
        changed = "NOT SHOWN: the call behind it was changed in the log after people were asked. Do not answer it;"
        return {"summary": f"{changed} see `ballast --stack NAME verify {item['run_id']}`."}
    return {"proposed_decision": decision} if decision else {}
