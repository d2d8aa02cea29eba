"""``ballast answer``: answer an escalation of a run that waits in another terminal, or list those that wait."""

import getpass
import os
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from ballast.errors import InvalidInput, MayNotAnswer
from cli.asked import lines
from cli.exits import Exit
from cli.journal import state_folder
from cli.mailbox import Mailbox, NobodyWaits
from cli.output import Screen
from cli.reply import reply

#: A waiting process looks into its mailbox several times a second; silence for so long means that it hangs.
CONFIRM_WITHIN_S = 20.0


def answer(typed: Namespace) -> int:
    """Send what was typed and return 0 once the run's own function has accepted it.

    Raises ``NobodyWaits`` and ``InvalidInput``; nothing is ever taken as delivered silently.
    """
    mailbox = Mailbox(state_folder(os.environ))
    screen = Screen()
    if typed.escalation is None:
        return _list(mailbox, screen)
    notice = mailbox.find(typed.escalation)
    payload = reply(typed, notice.message, by=typed.by or user())
    receipt = mailbox.drop(notice.escalation_id, payload)
    result = mailbox.wait_for(notice.escalation_id, receipt, timeout_s=CONFIRM_WITHIN_S)
    run_id = confirmed(notice.escalation_id, result)
    screen.line(f"Accepted: {notice.escalation_id}. {goes_on(run_id, result, ' in its own terminal.')}")
    return Exit.OK


def confirmed(escalation_id: str, result: Mapping[str, Any]) -> str:
    """Return the run that goes on.

    Raises ``InvalidInput``, ``MayNotAnswer`` or ``NobodyWaits`` where the answer was not accepted.
    """
    if result.get("ok") is not True:
        failure = f"{escalation_id}: not accepted: {result.get('message', 'no reason was given')}"
        if result.get("error") == "MayNotAnswer":
            raise MayNotAnswer(f"{failure} --by NAME says who answers, --group NAME whose approvals they give.")
        raise InvalidInput(failure) if result.get("error") == "InvalidInput" else NobodyWaits(failure)
    return str(result.get("run_id", ""))


def goes_on(run_id: str, result: Mapping[str, Any], how: str) -> str:
    """Return what follows an answer that was taken: the run goes on, or waits for more people."""
    more = result.get("still_needed") or 0
    return f"The run {run_id} waits: {more} more must approve." if more else f"The run {run_id} goes on{how}"


def _list(mailbox: Mailbox, screen: Screen) -> int:
    waiting = mailbox.waiting()
    if not waiting:
        screen.line("Nothing waits for an answer here.")
    for notice in waiting:
        message = notice.message
        screen.line(f"{notice.escalation_id}  {message.get('kind', '')}  {message.get('reason', '')}", "bold")
        screen.line(f"{message.get('summary', '')}")
        for told in lines(message):
            screen.line(told)
        for typing in what_to_type(notice.escalation_id, message):
            screen.line(f"  {typing}")
        screen.line()
    return Exit.OK


def what_to_type(escalation_id: str, message: dict[str, object]) -> list[str]:
    """Return the command lines that would answer this escalation."""
    start = f"ballast answer {escalation_id}"
    if message.get("kind") == "approval":
        group = f" --group {message['approvers']}" if message.get("approvers") else ""
        return [
            f"{start} --approve{group}",
            f"{start} --approve{group} --arguments JSON    # what it is called with instead",
            f'{start} --reject{group} --comment "why not"',
        ]
    proposed = [f"{start} --approve    # carry out what was proposed"] if message.get("proposed_decision") else []
    return [
        f'{start} --say "what the customer should read"',
        f'{start} --back-to-agent --guidance "what to do differently" --add-budget 0.05',
        f'{start} --call TOOL \'{{"argument": "value"}}\'',
        *proposed,
    ]


def user() -> str:
    """Return who sits at this terminal."""
    try:
        return getpass.getuser()[:128]
    except (OSError, KeyError):
        return "somebody"
