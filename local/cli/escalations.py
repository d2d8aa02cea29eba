"""``ballast escalations``: what waits for a person, once or as it comes."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from local.cli.answer import what_to_type
from local.cli.asked import as_it_stands, lines
from local.cli.exits import Exit
from local.cli.mailbox import Mailbox
from local.cli.output import Screen
from local.journal import state_folder

if TYPE_CHECKING:
    from local.cli.stack import DeployedCloud

_EVERY_S = 2.0
#: What is shown of an escalation; its task token is not among it, and not in the index.
_SHOWN = ("escalation_id", "run_id", "tenant", "kind", "reason", "summary", "answer_by")

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
        for told in lines(message):
            screen.line(told)
        for typing in what_to_type(message["escalation_id"], message):
            screen.line(f"  {typing}")
        screen.line()


def listed(cloud: DeployedCloud) -> Waiting:
    """Return the stack's open escalations whose time has not passed, oldest first, through the index."""
    from ballast.runtime import utc_now

    names = {"#status": "status"} | {f"#{name}": name for name in _SHOWN}
    pages = (
        cloud.session.client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=cloud.physical_id("EscalationsTable"),
            IndexName="by_status",
            KeyConditionExpression="#status = :open",
            ProjectionExpression=", ".join(names),
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={":open": {"S": "open"}},
        )
    )
    found = [{name: item[name]["S"] for name in _SHOWN if name in item} for page in pages for item in page["Items"]]
    now = utc_now().isoformat()
    return [
        as_it_stands(cloud, item) for item in found if item["kind"] != "question" and item.get("answer_by", now) >= now
    ]
