"""``ballast redrive``: list the dead letters of a deployed stack's requests, and put mended ones back."""

import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ballast.errors import InvalidInput
from cli.exits import Exit

if TYPE_CHECKING:
    from cli.dead_letters import DeadLetter, Desk
    from cli.output import Screen

TEACHING = """\
List the requests that came by message to a deployed stack and started no run, each with its
reason; put mended ones back into the queue. A request that came twice is still one run.

  ballast redrive --stack ballast-dev                                     what there is
  ballast redrive --stack ballast-dev --message 4f1c --body mended.json   one of them, mended
  ballast redrive --stack ballast-dev --message 4f1c                      one of them, as it is
  ballast redrive --stack ballast-dev --all                               all that can start a run as they are
"""

_SHOWN_CHARS = 300


def arguments(sub: ArgumentParser) -> None:
    """Declare what may be typed."""
    # Also before the command: `ballast --stack NAME redrive`.
    sub.add_argument("--stack", default=SUPPRESS, metavar="NAME", help="the deployed stack; uses your AWS credentials")
    which = sub.add_mutually_exclusive_group()
    which.add_argument("--message", metavar="ID", help="the dead letter to put back, or the beginning of its id")
    which.add_argument("--all", action="store_true", help="put back all; those that are no requests stay")
    sub.add_argument("--body", metavar="FILE", help="with --message: the mended request; `-` reads standard input")


def redrive(typed: Namespace) -> int:
    """Do what was typed and return 0; with ``--all`` 2 where some letters had to stay. Raises ``InvalidInput``."""
    if typed.stack is None:
        raise InvalidInput("--stack: say which deployed stack, as in `ballast redrive --stack ballast-dev`.")
    if typed.body is not None and typed.message is None:
        raise InvalidInput("--body is the mended text of one dead letter: name it with --message ID.")
    from cli.dead_letters import Desk, find
    from cli.deployed import output, stack_outputs
    from cli.output import Screen
    from cli.stack import users_session

    session, screen = users_session(typed), Screen()
    outputs = stack_outputs(session, typed.stack)
    queue, dead = output(outputs, "RunRequestQueueUrl"), output(outputs, "RunRequestDeadLetterQueueUrl")
    desk = Desk(session.client("sqs"), queue, dead)
    body = None if typed.body is None else _text(typed.body)
    letters = desk.take()
    left = list(letters)
    try:
        if typed.message is not None:
            letter = find(letters, typed.message)
            screen.line(f"Put back: {letter.message_id}. Its run is {desk.put_back(letter, body)}.")
            left.remove(letter)
        elif typed.all:
            left = [letter for letter in letters if not _put_back(desk, letter, screen)]
            return Exit.USAGE if left else Exit.OK
        else:
            _list(letters, screen)
    finally:
        desk.release(left)
    return Exit.OK


def _put_back(desk: "Desk", letter: "DeadLetter", screen: "Screen") -> bool:
    try:
        run_id = desk.put_back(letter)
    except InvalidInput as refusal:
        screen.line(f"Stays: {letter.message_id}. {refusal}")
        return False
    screen.line(f"Put back: {letter.message_id}. Its run is {run_id}.")
    return True


def _list(letters: "list[DeadLetter]", screen: "Screen") -> None:
    if not letters:
        screen.line("There are no dead letters.")
    for letter in letters:
        screen.line(f"{letter.message_id}  {letter.reason or 'failed too often'}", "bold")
        if letter.why:
            screen.line(f"  {letter.why}")
        cut = "…" if len(letter.body) > _SHOWN_CHARS else ""
        screen.line(f"  {' '.join(letter.body[:_SHOWN_CHARS].split())}{cut}")


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise InvalidInput(f"--body {file}: cannot be read: {problem}") from None
