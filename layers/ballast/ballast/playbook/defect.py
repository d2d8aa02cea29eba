"""Ask a function of the playbook that judges a call, and put what it raises into words of a bounded length.

::

    what a rule returns ─▶ goes on
    RetryLater ──────────▶ raised: what it reads is down for a while
    CallRefused ─────────▶ raised: its own word
    anything else ───────▶ RuleViolation: the rule's name, the error, the place in the playbook; nothing was done

A rule does nothing, so its defect is harmless: the call that it judges is refused, and the planner goes on. The
traceback is printed for whoever runs the playbook (``ballast.edge.note``).
"""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ballast.contracts.wire import plain
from ballast.edge import masked_here, note
from ballast.errors import CallRefused, RetryLater, RuleViolation

T = TypeVar("T")

#: Bytes of an error's text, in UTF-8, that are recorded and read by a model or a person.
ERROR_BYTES = 4 * 1024
#: Of a defect's text less is kept: its class and its place say most.
_DEFECT_BYTES = 500


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
    except (RetryLater, CallRefused):
        raise
    except BaseException as problem:
        if ends_the_process(problem) or isinstance(problem, may_raise):
            raise
        note(problem)
        told = described(problem, owner)
        if not quoted and not isinstance(problem, ValueError):
            told = f"({type(problem).__name__}) in {place(problem, owner) or 'Ballast'}"
        raise RuleViolation(f"{what} broke, so nothing was done: {told}") from problem


def ends_the_process(problem: BaseException) -> bool:
    """Say whether an error is the end of this process, and no error of the code that ran.

    ``sys.exit`` and a cancelled event loop are errors of that code.
    """
    if isinstance(problem, Exception):
        return False
    return type(problem).__module__ not in ("builtins", "asyncio.exceptions") or isinstance(problem, KeyboardInterrupt)


def described(problem: BaseException, owner: object) -> str:
    """Return the error's class, its text and its place, such as ``KeyError: 'boom' (tools/refund.py, line 12)``."""
    where = place(problem, owner)
    text = said(problem, most=_DEFECT_BYTES)
    return f"{type(problem).__name__}{f': {text}' if text else ''}{f' ({where})' if where else ''}"


def said(problem: BaseException, *, most: int = ERROR_BYTES) -> str:
    """Return an error's text as it can be recorded, whatever its class makes of ``str``."""
    try:
        text = str(problem)
    except Exception:
        text = "(its text cannot be made)"
    return shortened(text, most)


def shortened(text: str, most: int = ERROR_BYTES) -> str:
    """Return ``text``, or its head and its tail where it has more than ``most`` bytes of UTF-8, with what is left out.

    What is cut off is counted, so that nobody takes the rest for the whole. It is masked before it is cut.
    """
    text = plain(text)
    if len(text) <= most and len(text.encode()) <= most:
        return text
    data = masked_here(text).encode()
    if len(data) <= most:
        return data.decode()
    half = max(0, most - 60) // 2
    head, tail = (part.decode(errors="ignore") for part in (data[:half], data[len(data) - half :]))
    return f"{head} … ({len(data) - 2 * half} bytes left out) … {tail}"


def place(problem: BaseException, owner: object) -> str:
    """Return the innermost place of an error in the package of ``owner``, "" where it has none there."""
    package = str(getattr(owner, "__module__", "")).partition(".")[0]
    roots = [Path(root).resolve() for root in getattr(sys.modules.get(package), "__path__", ())]
    for frame in reversed(traceback.extract_tb(problem.__traceback__)):
        file = Path(frame.filename)
        for root in roots:
            if file.is_relative_to(root):
                return f"{file.relative_to(root)}, line {frame.lineno}"
    return ""
