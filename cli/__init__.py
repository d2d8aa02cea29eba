"""The command ``ballast``. ``main`` is its entry point; subcommands are imported when they are typed."""

import logging
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence

from cli.exits import Exit
from cli.parser import parser
from cli.startup import end_quickly, interruptible, no_collecting


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; every expected failure is one clear sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that lacks a character gets a `?`, not a traceback
            stream.reconfigure(errors="replace")
    typed = parser().parse_args(argv)
    # moto reports each Task that fails with a trace of its own; the run's log says it, and better.
    logging.getLogger("moto").addHandler(logging.NullHandler())
    end_quickly()
    try:
        with interruptible():
            with no_collecting():
                command = _command(typed.command, on_stack=typed.stack is not None)
            return command(typed)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.PIPE_CLOSED
    except Exception as problem:
        code = _expected(problem)
        if code is None:
            raise
        print(f"ballast {typed.command}: {problem}", file=sys.stderr)
        return code


def _command(name: str, *, on_stack: bool) -> Callable[[Namespace], int]:
    if on_stack and name != "redrive":
        from cli import stack

        return stack.on_stack
    if name == "demo":
        from cli.commands.demo import demo

        return demo
    if name == "run":
        from cli.commands.run import run

        return run
    if name == "answer":
        from cli.commands.answer import answer

        return answer
    if name == "escalations":
        from cli.commands.escalations import escalations

        return escalations
    if name == "up":
        from cli.commands.up import up

        return up
    if name == "budget":
        from cli.commands.budget import budget

        return budget
    if name == "breaker":
        from cli.commands.breaker import breaker

        return breaker
    if name == "redrive":
        from cli.commands.redrive import redrive

        return redrive
    if name == "verify":
        from cli.commands.verify import verify

        return verify
    if name == "cost":
        from cli.commands.cost import cost

        return cost
    from cli.commands.trace import trace

    return trace


def _expected(problem: Exception) -> Exit | None:
    """Return the exit code for a failure that a person can mend; None for a defect."""
    from ballast.errors import BallastError, MayNotAnswer, NotAdmitted
    from cli.mailbox import NobodyWaits
    from localcloud.template import TemplateInvalid

    if isinstance(problem, NobodyWaits):
        return Exit.NOBODY_WAITS
    if isinstance(problem, MayNotAnswer):
        return Exit.MAY_NOT
    if isinstance(problem, NotAdmitted):
        return Exit.REFUSED
    return Exit.USAGE if isinstance(problem, BallastError | TemplateInvalid) else None
