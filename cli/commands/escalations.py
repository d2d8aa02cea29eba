"""``ballast escalations``: list the escalations that wait for a person, once or as they come."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from cli.escalation_files import EscalationFiles
from cli.escalations import Waiting, commands_to_type, details, open_escalations
from cli.exits import Exit
from cli.saved_runs import state_folder
from cli.screen import Screen

if TYPE_CHECKING:
    from cli.deployed_stack import DeployedCloud

_EVERY_S = 2.0


def escalations(typed: Namespace) -> int:
    """List the escalations that processes on this machine wait for: ``ballast up``, ``run`` and ``demo --by-hand``."""
    files = EscalationFiles(state_folder(os.environ))

    def waiting() -> Waiting:
        return [{**escalation.message, "escalation_id": escalation.escalation_id} for escalation in files.waiting()]

    return list_and_watch(waiting, Screen(), watch=typed.watch)


def escalations_on_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """List the open escalations of a deployed stack."""
    return list_and_watch(lambda: open_escalations(cloud), screen, watch=typed.watch)


def list_and_watch(
    waiting: Callable[[], Waiting], screen: Screen, *, watch: bool, pause: Callable[[float], None] = time.sleep
) -> int:
    """Print the waiting escalations; with ``watch`` also each later one, until Ctrl-C."""
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
    """Print escalations and the commands that answer them."""
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
        for detail in details(message):
            screen.line(detail)
        for command in commands_to_type(message["escalation_id"], message):
            screen.line(f"  {command}")
        screen.line()
