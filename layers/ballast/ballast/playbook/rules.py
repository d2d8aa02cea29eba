"""Rules of a playbook: run them, refuse the call if one fails, and the run so far that they may look at.

::

    a usable value ──────▶ returned
    RetryLater ──────────▶ raised: a dependency is unavailable for a while
    any other value ─────▶ RuleViolation: for example a coroutine, a list or a number
    CallRefused ─────────▶ raised unchanged
    anything else ───────▶ RuleViolation: the rule's name, the place in the playbook, the error; nothing was done

A rule has no effect, so its defect is harmless: the call is refused, and the planner continues. The traceback is
printed for the playbook's operator (``ballast.edge.note``). The recorder of the text masks and bounds it
(``RunLog.cut``); the error's own words come last and are cut off first.
"""

import functools
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from types import MethodType
from typing import TypeVar

from ballast.edge import note
from ballast.errors import CallRefused, PlaybookInvalid, RetryLater, RuleViolation
from ballast.errors import ends_the_process as ends_the_process
from ballast.folds.calls import CallState
from ballast.folds.usage import Usage
from ballast.masking import error_text
from ballast.money.moves import units
from ballast.run import Run
from ballast.values import dataclass

T = TypeVar("T")


def run_rule(
    what: str,
    rule: Callable[[], T],
    owner: object,
    *,
    may_raise: tuple[type[Exception], ...] = (),
    quoted: bool = True,
) -> T:
    """Return ``rule()``. ``what`` names the rule and its tool; ``owner`` is the playbook's function or class.

    Raises ``RuleViolation`` for any error except ``RetryLater``, ``CallRefused`` and ``may_raise``. Unless ``quoted``,
    only the text of a ``ValueError`` is included: other errors may quote data that the rule has read. ``rule`` raises
    ``WrongReturn`` for a return value of the wrong kind.
    """
    try:
        return rule()
    except WrongReturn as odd:
        where = function_place(owner)
        raise RuleViolation(f"{what} failed{where and f' in {where}'}, so nothing was done: {odd}") from None
    except RetryLater as later:
        if type(later) is RetryLater:
            raise
        # The workflow matches the class's name and does not know a playbook's subclasses.
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
    """A rule returned a value of the wrong kind. The text names its type and the allowed values."""

    def __init__(self, value: object, may_be: str) -> None:
        if inspect.iscoroutine(value):
            value.close()  # otherwise Python warns later that it was never awaited
        super().__init__(f"it returned {type(value).__name__}; it must return {may_be}.")


def require_result(value: T, may_be: str) -> T:
    """Return a rule's value. Raises ``WrongReturn`` for a coroutine or a generator: the rule did not run."""
    if inspect.isawaitable(value) or inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise WrongReturn(value, may_be)
    return value


def is_plain_function(function: object) -> bool:
    """Return whether calling ``function`` runs it: it is no coroutine or generator function, even under ``partial``.

    An ``async def`` or generator function returns an object that did not run, and that would count as a yes.
    """
    function = _itself(function)
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return not any(kind(one) for one in (function, _called(function)) for kind in kinds)


def require_plain_functions(where: str, functions: Mapping[str, object]) -> None:
    """Raise ``PlaybookInvalid`` for the first of a tool's functions that is not plain, naming its argument.

    Values that are not callable are skipped.
    """
    for name, function in functions.items():
        if callable(function) and not is_plain_function(function):
            raise PlaybookInvalid(
                f"{where}: {name} must be a plain function: `def`, without `async` and without `yield`."
            )


def wants_run(rule: Callable[..., object] | None) -> bool:
    """Return whether a rule that is called with (args, request) is given the run so far as well.

    It is if its third positional parameter has no default, is named ``run``, or is annotated as a ``RunSoFar``: any
    other default is the rule's own. A decorator's ``*args`` are the parameters of what it wraps.
    """
    for follow_wrapped in (False, True):
        try:
            parameters = inspect.signature(rule, follow_wrapped=follow_wrapped).parameters  # type: ignore[arg-type]
        except (ValueError, TypeError):  # nothing to call, or a function of C
            return False
        given = [one for one in parameters.values() if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
        if len(given) > 2:
            return given[2].default is inspect.Parameter.empty or given[2].name == "run" or _is_a_run(given[2])
        if not any(one.kind is one.VAR_POSITIONAL for one in parameters.values()):
            return False
    return False


def _is_a_run(parameter: inspect.Parameter) -> bool:
    """Return whether it is annotated as a ``RunSoFar``, also in quotation marks or beside None."""
    annotated = parameter.annotation
    text = annotated if isinstance(annotated, str) else getattr(annotated, "__name__", "") + str(annotated)
    return RunSoFar.__name__ in re.findall(r"\w+", text)


def require_parameters(where: str, functions: Mapping[str, object], *, takes: str) -> None:
    """Raise ``PlaybookInvalid`` for the first of a tool's functions that cannot be called with what it is given.

    takes  what it is given, such as ``args, ctx``. Values that are not callable are skipped, and what has no signature
    """
    given = takes.split(", ")
    for name, function in functions.items():
        if not callable(function):
            continue
        try:
            # As it is called: a decorator's own parameters count, and not those of what it wraps.
            signature = inspect.signature(function, follow_wrapped=False)
        except (ValueError, TypeError):
            continue
        try:
            signature.bind(*given)
        except TypeError:
            raise PlaybookInvalid(
                f"{where}: {name} is called with ({takes}), and takes {signature}. Write "
                f"`lambda {takes}: …` or `def …({takes})`."
            ) from None


def error_place(problem: BaseException, owner: object) -> str:
    """Return the innermost frame of an error in the package of ``owner``, such as ``tools/refund.py, line 12``.

    "" if there is none, such as for a function of a library.
    """
    for frame in reversed(traceback.extract_tb(problem.__traceback__)):
        if where := _within(owner, frame.filename, frame.lineno):
            return where
    return ""


def function_place(function: object) -> str:
    """Return the file and line where a function begins; "" if unknown."""
    function = _itself(function)
    code = getattr(function, "__code__", None) or getattr(_called(function), "__code__", None)
    return _within(function, code.co_filename, code.co_firstlineno) if code is not None else ""


def _itself(function: object) -> object:
    """Return the function that a ``partial`` or a bound method calls."""
    while isinstance(function, functools.partial | functools.partialmethod | MethodType):
        function = function.__func__ if isinstance(function, MethodType) else function.func
    return function


def _called(function: object) -> object:
    """Return the ``__call__`` of an object's class."""
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
    """Amounts moved in this hour and this day (UTC) before the call, in the playbook's currency."""

    hour: Decimal
    day: Decimal


@dataclass(frozen=True)
class MovedSoFar:
    """Amounts moved before this call, by all runs. Reserved amounts count unless the call is known to have failed.

    run       in this run
    customer  for the customer that the tool's ``moves_key`` names; None without ``moves_key``
    """

    run: Decimal
    customer: InWindow | None
    tenant: InWindow
    everyone: InWindow


@dataclass(frozen=True)
class RunSoFar:
    """The run before this call.

    calls  every call proposed before it, in order, with its outcome
    usage  turns, calls, tokens and money so far
    moved  the business's own money that it moved, in the playbook's currency

    ``customer``, ``tenant`` and ``everyone`` count all runs. They are available only in the ``Approval.if_`` of a tool
    with ``moves``, which runs after the call's own amount is reserved: of two concurrent calls, one sees the other.
    """

    calls: tuple[CallState, ...]
    usage: Usage
    moved: Decimal = Decimal(0)
    windows: MovedSoFar | None = None

    @classmethod
    def before(cls, run: Run, turn: int, index: int, windows: MovedSoFar | None = None) -> "RunSoFar":
        """Return the run before the call at that position, from its log."""
        earlier = tuple(state for state in run.calls if state.position < (turn, index))
        if windows is not None:
            return cls(earlier, run.usage, windows.run, windows)
        micro = sum(move.micro for move in run.moves if move.counts and (move.turn, move.index) < (turn, index))
        return cls(earlier, run.usage, units(micro))

    def done(self, tool: str) -> tuple[CallState, ...]:
        """Return the calls of that tool that succeeded."""
        return tuple(state for state in self.calls if state.call.tool == tool and state.status == "ok")

    @property
    def customer(self) -> InWindow:
        """Amounts moved for the call's customer. Raises ``LookupError`` if the tool has no ``moves_key``."""
        found = self._windows.customer
        if found is None:
            raise LookupError("run.customer: the tool has no moves_key. Give it one: moves_key=lambda args, ctx: …")
        return found

    @property
    def tenant(self) -> InWindow:
        """Amounts moved for the run's tenant."""
        return self._windows.tenant

    @property
    def everyone(self) -> InWindow:
        """Amounts moved by all runs."""
        return self._windows.everyone

    @property
    def _windows(self) -> MovedSoFar:
        if self.windows is None:
            raise LookupError(
                "run.customer, .tenant and .everyone are only available in the approval.if_ of a tool with moves=…."
            )
        return self.windows
