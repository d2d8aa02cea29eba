"""Mask the sensitive values in every error that leaves a function.

Lambda writes an error to CloudWatch, and Step Functions keeps it in the execution's history. So every error that a
handler raises is masked here with its causes and notes, including those of the playbook's code and of SDKs. The class
keeps its name, which ``statemachine/agent.asl.yaml`` matches, and its bases, which an ``except`` matches. A text is
masked before it is cut, because a mask does not find half of a value.

If an error of the playbook's code becomes an outcome, nothing raises it. ``note`` keeps it, and its masked traceback
is printed at the end of the invocation.

Imports ``ballast.contracts``, ``ballast.runtime`` and what is below them.
"""

import json
import traceback
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

from ballast.errors import ends_the_process
from ballast.runtime import Runtime, lambda_runtime

T = TypeVar("T")

#: The most characters of an error's text outside a function; Step Functions keeps 32,768 of a whole cause.
MAX_CHARS = 4_000
#: Caught errors of this invocation, for printing their tracebacks.
_NOTED: ContextVar[list[BaseException] | None] = ContextVar("noted", default=None)
_MOST_NOTED = 20
#: The most characters of a traceback; its end is kept.
_MOST_TRACEBACK = 8_000


def note(problem: BaseException) -> None:
    """Keep a caught error to print its traceback when the invocation ends; the run's log has only its text."""
    noted = _NOTED.get()
    if noted is not None and len(noted) < _MOST_NOTED:
        noted.append(problem)


def guarded(handler: Callable[..., T]) -> Callable[..., T]:
    """Return the Lambda handler, with the sensitive values of its runtime and event masked in its errors."""

    @wraps(handler)
    def lambda_handler(event: Any, context: Any, *, runtime: Runtime | None = None, **more: Any) -> T:
        mine = runtime or lambda_runtime()
        hidden: BaseException
        noted: list[BaseException] = []
        before = _NOTED.set(noted)
        try:
            return handler(event, context, runtime=mine, **more)
        except BaseException as problem:
            hidden = masked_error(problem, lambda text: _bounded(mine.masked(text, event)))
            if hidden is problem:
                raise
        finally:
            _NOTED.reset(before)
            for one in noted:
                with suppress(Exception):  # printing must not change the outcome
                    mine.emit(_line(one, event, mine))
        # Raised outside of the except clause: inside it, its context would be the unmasked error.
        raise hidden

    return lambda_handler


def _line(problem: BaseException, event: Any, runtime: Runtime) -> str:
    """Return the log line of a caught error: JSON, with its traceback as one text."""
    text = "".join(traceback.format_exception(problem))
    run_id = event.get("run_id") if isinstance(event, dict) else None
    told = {
        "level": "ERROR",
        "run_id": run_id,
        "error": type(problem).__name__,
        "trace": runtime.masked(text, event)[-_MOST_TRACEBACK:],
    }
    return json.dumps(told)


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 1]}\u2026"


def masked_error(problem: BaseException, masked: Callable[[str], str]) -> BaseException:
    """Return the masked error; the same object if there is nothing to mask."""
    if all(_is_clean(one, masked) for one in _chain(problem)):
        return problem
    return _hidden(problem, masked, {})


def _chain(problem: BaseException) -> list[BaseException]:
    """Return the error, its causes and its members, each once."""
    found: list[BaseException] = [problem]
    for one in found:
        for inner in (one.__cause__, one.__context__, *_members(one)):
            if inner is not None and not any(inner is known for known in found):
                found.append(inner)
    return found


def _members(problem: BaseException) -> tuple[BaseException, ...]:
    members = getattr(problem, "exceptions", ())
    return tuple(one for one in members if isinstance(one, BaseException)) if isinstance(members, tuple) else ()


def _is_clean(problem: BaseException, masked: Callable[[str], str]) -> bool:
    kept = (*problem.args, *vars(problem).values())
    said = ["".join(traceback.format_exception_only(problem)), _text(problem), *map(_text, kept)]
    return all(masked(text) == text for text in said)


def _text(one: object) -> str:
    try:
        return str(one)
    except BaseException as broken:
        if ends_the_process(broken):
            raise
        return repr(type(one))


def _hidden(problem: BaseException, masked: Callable[[str], str], known: dict[int, BaseException]) -> BaseException:
    if id(problem) in known:
        return known[id(problem)]
    made = _of_the_class(type(problem), masked(_text(problem)))
    known[id(problem)] = made
    made.__traceback__ = problem.__traceback__
    for name, inner in (("__cause__", problem.__cause__), ("__context__", problem.__context__)):
        if inner is not None:
            setattr(made, name, _hidden(inner, masked, known))
    made.__suppress_context__ = problem.__suppress_context__
    notes = getattr(problem, "__notes__", ())
    members = [masked("".join(traceback.format_exception_only(one))).strip() for one in _members(problem)]
    for note in [*(masked(_text(note)) for note in notes), *members]:
        made.add_note(note)
    return made


def _of_the_class(kind: type[BaseException], text: str) -> BaseException:
    """Return an error with that text, of a class with the same name, derived from ``kind`` if possible."""
    says = {"__str__": lambda self: self.args[0], "__module__": kind.__module__, "__qualname__": kind.__qualname__}
    for base in (kind, Exception if issubclass(kind, Exception) else BaseException):
        if issubclass(base, BaseExceptionGroup):
            continue
        try:
            made: BaseException = type(kind.__name__, (base,), says | {"__init__": _say})(text)
        except TypeError:  # a final class, or one with other arguments
            continue
        return made
    raise AssertionError(f"{kind} is no exception.")


def _say(self: BaseException, text: str) -> None:
    self.args = (text,)
