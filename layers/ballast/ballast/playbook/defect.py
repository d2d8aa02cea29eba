"""Ask a function of the playbook that judges a call, and refuse the call where that breaks.

::

    what a rule returns ─▶ goes on
    RetryLater ──────────▶ raised: what it reads is down for a while
    CallRefused ─────────▶ raised: its own word
    anything else ───────▶ RuleViolation: the rule's name, the place in the playbook, the error; nothing was done

A rule does nothing, so its defect is harmless: the call that it judges is refused, and the planner goes on. The
traceback is printed for whoever runs the playbook (``ballast.edge.note``). Who records the text masks and bounds it
(``RunLog.cut``): what is cut off first is the error's own words, not its name and place.
"""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ballast.contracts.said import said
from ballast.edge import note
from ballast.errors import CallRefused, ProcessEnds, RetryLater, RuleViolation

T = TypeVar("T")


def ask(
    what: str,
    rule: Callable[[], T],
    owner: object,
    *,
    may_raise: tuple[type[Exception], ...] = (),
    quoted: bool = True,
) -> T:
    """Return ``rule()``. ``what`` names the rule and its tool, ``owner`` is the function or class of the playbook.

    Raises ``RuleViolation`` for whatever it raises, but ``RetryLater``, ``CallRefused`` and ``may_raise``. Where it is
    not ``quoted`` only a ``ValueError`` has its text in it: any other may quote what the rule has read.
    """
    try:
        return rule()
    except RetryLater as later:
        if type(later) is RetryLater:
            raise
        # The workflow goes by the name, and knows none that a playbook has made.
        raise RetryLater(said(later)) from later
    except CallRefused:
        raise
    except BaseException as problem:
        if ends_the_process(problem) or isinstance(problem, may_raise):
            raise
        note(problem)
        told = f"{type(problem).__name__}: {said(problem)}"
        if not quoted and not isinstance(problem, ValueError):
            told = f"({type(problem).__name__})"
        where = place(problem, owner)
        raise RuleViolation(f"{what} broke{where and f' in {where}'}, so nothing was done: {told}") from problem


def ends_the_process(problem: BaseException) -> bool:
    """Say whether an error is the end of this process, and no error of the code that ran.

    ``sys.exit``, a cancelled event loop, the panic of a client in Rust and the timeout of a green thread are errors of
    that code: they are no ``Exception``, and no list of them would be whole.
    """
    return isinstance(problem, KeyboardInterrupt | ProcessEnds)


def place(problem: BaseException, owner: object) -> str:
    """Return the innermost place of an error in the package of ``owner``, such as ``tools/refund.py, line 12``.

    "" where it has none there: a function that was made elsewhere, such as in a library.
    """
    package = str(getattr(owner, "__module__", "")).partition(".")[0]
    roots = [Path(root).resolve() for root in getattr(sys.modules.get(package), "__path__", ())]
    for frame in reversed(traceback.extract_tb(problem.__traceback__)):
        file = Path(frame.filename)
        for root in roots:
            if file.is_relative_to(root):
                return f"{file.relative_to(root)}, line {frame.lineno}"
    return ""
