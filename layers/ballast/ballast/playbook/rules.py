"""Ask a function of the playbook that judges a call, and refuse the call where that breaks.

::

    what a rule returns ─▶ goes on
    RetryLater ──────────▶ raised: what it reads is down for a while
    what it may not ─────▶ RuleViolation, as for an error: a coroutine, a list or a number is no yes and no complaint
    CallRefused ─────────▶ raised: its own word
    anything else ───────▶ RuleViolation: the rule's name, the place in the playbook, the error; nothing was done

A rule does nothing, so its defect is harmless: the call that it judges is refused, and the planner goes on. The
traceback is printed for whoever runs the playbook (``ballast.edge.note``). Who records the text masks and bounds it
(``RunLog.cut``): what is cut off first is the error's own words, not its name and place.
"""

import functools
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MethodType
from typing import TypeVar

from ballast.contracts.error_text import error_text
from ballast.edge import note
from ballast.errors import CallRefused, PlaybookInvalid, RetryLater, RuleViolation
from ballast.errors import ends_the_process as ends_the_process
from ballast.folds.calls import CallState
from ballast.folds.usage import Usage
from ballast.money.moves import units
from ballast.run import Run

T = TypeVar("T")


def run_rule(
    what: str,
    rule: Callable[[], T],
    owner: object,
    *,
    may_raise: tuple[type[Exception], ...] = (),
    quoted: bool = True,
) -> T:
    """Return ``rule()``. ``what`` names the rule and its tool, ``owner`` is the function or class of the playbook.

    Raises ``RuleViolation`` for whatever it raises, but ``RetryLater``, ``CallRefused`` and ``may_raise``. Where it is
    not ``quoted`` only a ``ValueError`` has its text in it: any other may quote what the rule has read. ``rule`` raises
    ``WrongReturn`` where what the function returned is of no use.
    """
    try:
        return rule()
    except WrongReturn as odd:
        where = function_place(owner)
        raise RuleViolation(f"{what} failed{where and f' in {where}'}, so nothing was done: {odd}") from None
    except RetryLater as later:
        if type(later) is RetryLater:
            raise
        # The workflow goes by the name, and knows none that a playbook has made.
        raise RetryLater(error_text(later)) from later
    except CallRefused:
        raise
    except BaseException as problem:
        if ends_the_process(problem) or isinstance(problem, may_raise):
            raise
        note(problem)
        told = f"{type(problem).__name__}: {error_text(problem)}"
        if not quoted and not isinstance(problem, ValueError):
            told = f"({type(problem).__name__})"
        where = error_place(problem, owner) or function_place(owner)
        raise RuleViolation(f"{what} failed{where and f' in {where}'}, so nothing was done: {told}") from problem


class WrongReturn(Exception):
    """A rule returned what its kind of rule never returns. Its text says what, and what it may be."""

    def __init__(self, value: object, may_be: str) -> None:
        if inspect.iscoroutine(value):
            value.close()  # else Python warns later, somewhere else, that nobody awaited it
        super().__init__(f"it returned {type(value).__name__}; it must return {may_be}.")


def require_result(value: T, may_be: str) -> T:
    """Return what a rule returned, where it ran. Raises ``WrongReturn`` for a coroutine or a generator: it did not."""
    if inspect.isawaitable(value) or inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise WrongReturn(value, may_be)
    return value


def is_plain_function(function: object) -> bool:
    """Say whether calling ``function`` runs it: neither a coroutine nor a generator, also under ``partial``.

    What an ``async def`` or a generator function returns was not run, and its mere being there would count as a yes.
    """
    function = _itself(function)
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return not any(kind(one) for one in (function, _called(function)) for kind in kinds)


def require_plain_functions(where: str, functions: Mapping[str, object]) -> None:
    """Raise ``PlaybookInvalid`` for the first of a tool's functions that is not plain, by its place in the declaration.

    What is no function is passed over.
    """
    for name, function in functions.items():
        if callable(function) and not is_plain_function(function):
            raise PlaybookInvalid(
                f"{where}: {name} must be a plain function: `def`, without `async` and without `yield`."
            )


def error_place(problem: BaseException, owner: object) -> str:
    """Return the innermost place of an error in the package of ``owner``, such as ``tools/refund.py, line 12``.

    "" where it has none there: a function that was made elsewhere, such as in a library.
    """
    for frame in reversed(traceback.extract_tb(problem.__traceback__)):
        if where := _within(owner, frame.filename, frame.lineno):
            return where
    return ""


def function_place(function: object) -> str:
    """Return the place in its package where a function begins; "" where that is not known."""
    function = _itself(function)
    code = getattr(function, "__code__", None) or getattr(_called(function), "__code__", None)
    return _within(function, code.co_filename, code.co_firstlineno) if code is not None else ""


def _itself(function: object) -> object:
    """Return the function that a ``partial`` or a bound method calls."""
    while isinstance(function, functools.partial | functools.partialmethod | MethodType):
        function = function.__func__ if isinstance(function, MethodType) else function.func
    return function


def _called(function: object) -> object:
    """Return what calling an object runs, where it is none of Python's own functions."""
    return inspect.getattr_static(type(function), "__call__", None)


def _within(owner: object, filename: str, line: int | None) -> str:
    package = str(getattr(_itself(owner), "__module__", "")).partition(".")[0]
    roots = [Path(root).resolve() for root in getattr(sys.modules.get(package), "__path__", ())]
    file = Path(filename)
    for root in roots:
        if file.is_relative_to(root):
            return f"{file.relative_to(root)}, line {line}"
    return ""


@dataclass(frozen=True)
class InWindow:
    """What was moved in this hour and in this day (UTC) before the call, in the playbook's currency."""

    hour: Decimal
    day: Decimal


@dataclass(frozen=True)
class MovedSoFar:
    """What was moved before this call, by all runs: what is reserved and not known to have failed counts.

    run       in this run
    customer  for the customer that the tool's ``moves_key`` names; None where it has none
    """

    run: Decimal
    customer: InWindow | None
    tenant: InWindow
    everyone: InWindow


@dataclass(frozen=True)
class RunSoFar:
    """The run before this call.

    calls  every call proposed before it, in order, with what became of it
    usage  turns, calls, tokens and money so far
    moved  what it moved of the business's own money, in the playbook's currency

    ``customer``, ``tenant`` and ``everyone`` reach beyond the run. Only the ``Approval.if_`` of a tool with ``moves``
    may ask for them: it is asked once the call's own money is reserved, so of two calls at once one sees the other.
    """

    calls: tuple[CallState, ...]
    usage: Usage
    moved: Decimal = Decimal(0)
    windows: MovedSoFar | None = None

    @classmethod
    def before(cls, run: Run, turn: int, index: int, windows: MovedSoFar | None = None) -> "RunSoFar":
        """Return what the log says of the run before the call at that position."""
        earlier = tuple(state for state in run.calls if state.position < (turn, index))
        if windows is not None:
            return cls(earlier, run.usage, windows.run, windows)
        micro = sum(move.micro for move in run.moves if move.counts and (move.turn, move.index) < (turn, index))
        return cls(earlier, run.usage, units(micro))

    def done(self, tool: str) -> tuple[CallState, ...]:
        """Return the calls of that tool that happened."""
        return tuple(state for state in self.calls if state.call.tool == tool and state.status == "ok")

    @property
    def customer(self) -> InWindow:
        """What was moved for the customer that the tool names. Raises ``LookupError`` where it names none."""
        found = self._windows.customer
        if found is None:
            raise LookupError("run.customer: the tool has no moves_key. Give it one: moves_key=lambda args, ctx: …")
        return found

    @property
    def tenant(self) -> InWindow:
        """What was moved for the run's tenant."""
        return self._windows.tenant

    @property
    def everyone(self) -> InWindow:
        """What was moved by all runs."""
        return self._windows.everyone

    @property
    def _windows(self) -> MovedSoFar:
        if self.windows is None:
            raise LookupError(
                "run.customer, .tenant and .everyone are only available in the approval.if_ of a tool with moves=…."
            )
        return self.windows
