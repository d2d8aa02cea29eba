"""Find what makes a function of an argument model give another value each time: a clock, chance, the process. Pure.

Two rules, both read from the function's code and from what that calls, and neither runs it:

::

    a default_factory   names only plain types, constants and functions that do so ─▶ fine; anything else is refused
    a validator         names chance (uuid4, random, secrets, hash, id, urandom)   ─▶ refused
                        names a clock, and returns something else than it was given ─▶ refused; a check is fine
"""

import builtins
import dis
import functools
import inspect
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from types import CodeType, FunctionType, ModuleType
from typing import Any
from uuid import UUID

from pydantic import BaseModel

_PLAIN = (bool, int, float, complex, str, bytes, Decimal, Fraction, date, time, timedelta, timezone, UUID, Enum)
_CONTAINERS = (list, dict, set, frozenset, tuple, deque, Counter, OrderedDict, defaultdict)
_TYPES = (*_PLAIN, *_CONTAINERS, datetime)
_FUNCTIONS = (len, min, max, sum, sorted, abs, round, range, zip, enumerate, any, all, reversed, isinstance)
#: The methods of these types are functions of what they are called with, but those that read a clock or the process.
_CLOCKS = frozenset({"now", "utcnow", "today", "fromtimestamp"})
_CLOCK_MODULES = frozenset({"time", "_time"})
_CHANCE_MODULES = frozenset({"random", "_random", "secrets", "numpy.random", "faker"})
_CHANCE = frozenset({"uuid1", "uuid4", "urandom", "getrandom", "SystemRandom", "getpid", "token_hex", "token_urlsafe"})
_CHANGES = frozenset({"__setattr__", "setdefault", "update", "append", "extend", "insert", "add", "pop", "__dict__"})
_STORES = ("STORE_ATTR", "STORE_SUBSCR")
#: Functions are followed so deep.
_DEEP = 6


def unsteady_factory(factory: Any) -> str | None:
    """Return what of a ``default_factory`` may be another value each time; None where it is a plain one."""
    return _why_not_plain(factory, _DEEP)


def unsteady_validator(function: Any) -> str | None:
    """Return what a validator puts into a value that is another one each time; None where it puts in nothing."""
    function = _unwrapped(function)
    if not isinstance(function, FunctionType):
        return None
    found = dict(_sources(function, _DEEP))
    chance = next((name for name, clock in found.items() if not clock), None)
    if chance is not None:
        return f"takes chance or the process into it ({chance})"
    clock = next(iter(found), None)
    if clock is not None and not _returns_what_it_was_given(function):
        return f"reads a clock ({clock}) and returns something else than it was given"
    return None


def _why_not_plain(value: Any, deep: int) -> str | None:
    if isinstance(value, functools.partial):
        parts = (value.func, *value.args, *value.keywords.values())
        return next((why for one in parts if (why := _why_not_plain(one, deep)) is not None), None)
    if isinstance(value, type):
        return None if issubclass(value, (*_TYPES, BaseModel)) or _is_dataclass(value) else value.__name__
    if value is None or any(value is one for one in _FUNCTIONS) or isinstance(value, (*_PLAIN, datetime, BaseModel)):
        return None
    if isinstance(value, dict):
        return next((why for one in (*value, *value.values()) if (why := _why_not_plain(one, deep))), None)
    if isinstance(value, _CONTAINERS):
        return next((why for one in value if (why := _why_not_plain(one, deep))), None)
    owner = getattr(value, "__self__", None)
    if isinstance(owner, _CONTAINERS) and getattr(value, "__name__", "") in ("copy", "__copy__"):
        return None
    if not isinstance(value, FunctionType) or deep == 0:
        return str(getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or type(value).__name__)
    for name, known in _named(value):
        if (why := _why_not_plain(known, deep - 1)) is not None:
            return name if isinstance(known, ModuleType) else why
    for name in _attributes(value.__code__):
        if name in _CLOCKS or any(_makes(known, name) for _, known in _named(value)):
            return name
    return "import" if "IMPORT_NAME" in _opcodes(value.__code__) else None


def _makes(known: Any, name: str) -> bool:
    """Say whether a class of the author's has a function of that name, which nobody has looked at."""
    own = isinstance(known, type) and (issubclass(known, BaseModel) or _is_dataclass(known))
    return own and callable(getattr(known, name, None))


def _is_dataclass(kind: type) -> bool:
    return hasattr(kind, "__dataclass_fields__")


def _sources(function: FunctionType, deep: int) -> Iterator[tuple[str, bool]]:
    """Yield what a function names that is another one each time, and whether that is a clock."""
    attributes = set(_attributes(function.__code__))
    for name, known in _named(function):
        module = str(getattr(known, "__module__", None) or "")
        if isinstance(known, ModuleType):
            yield from ((f"{name}.{one}", clock) for one, clock in _of_module(known, attributes))
        elif known is hash or known is id:
            yield name, False
        elif isinstance(known, type) and issubclass(known, date):
            yield from ((f"{name}.{one}", True) for one in sorted(_CLOCKS & attributes))
        elif module in _CHANCE_MODULES or getattr(known, "__name__", "") in _CHANCE:
            yield name, False
        elif module in _CLOCK_MODULES and callable(known) and not isinstance(known, type):
            yield name, True
        elif type(known).__module__ == "itertools" or inspect.isgenerator(known):
            yield name, False
        elif isinstance(known, FunctionType) and deep:
            yield from _sources(known, deep - 1)


def _of_module(module: ModuleType, attributes: set[str]) -> Iterator[tuple[str, bool]]:
    if module.__name__ in _CHANCE_MODULES:
        yield from ((one, False) for one in sorted(attributes) if hasattr(module, one))
    elif module.__name__ in _CLOCK_MODULES:
        yield from ((one, True) for one in sorted(attributes) if callable(getattr(module, one, None)))
    else:
        yield from ((one, False) for one in sorted(_CHANCE & attributes) if hasattr(module, one))
        if module.__name__ == "datetime":
            yield from ((one, True) for one in sorted(_CLOCKS & attributes))


def _returns_what_it_was_given(function: FunctionType) -> bool:
    """Say whether a function returns one of its own parameters or None, and changes none of them: it only checks."""
    given = set(function.__code__.co_varnames[: function.__code__.co_argcount])
    steps = [one for one in dis.get_instructions(function) if one.opname not in ("CACHE", "RESUME", "NOP")]
    for before, step in zip([None, *steps], steps, strict=False):
        if step.opname in _STORES or (step.opname in ("STORE_FAST", "DELETE_FAST") and step.argval in given):
            return False
        if step.opname == "RETURN_CONST" and step.argval is not None:
            return False
        if step.opname == "RETURN_VALUE" and step.is_jump_target:  # `v or now()`: one of several values
            return False
        if step.opname == "RETURN_VALUE" and before is not None:
            nothing = before.opname == "LOAD_CONST" and before.argval is None
            if not nothing and not (before.opname.startswith("LOAD_FAST") and before.argval in given):
                return False
    return not _CHANGES.intersection(_attributes(function.__code__)) and "setattr" not in function.__code__.co_names


def _unwrapped(function: Any) -> Any:
    function = inspect.unwrap(getattr(function, "__func__", function))
    if isinstance(function, functools.partial | functools.partialmethod):
        return _unwrapped(function.func)
    return getattr(function, "__func__", function)


def _named(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the globals, the names of an outer function and the default parameters that a function names."""
    closed = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    for name, cell in closed:
        with suppress(ValueError):  # not yet filled
            yield name, cell.cell_contents
    for name in dict.fromkeys(_globals(function.__code__)):
        if name in function.__globals__:
            yield name, function.__globals__[name]
        elif hasattr(builtins, name):
            yield name, getattr(builtins, name)
    given = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    yield from ((str(getattr(one, "__name__", type(one).__name__)), one) for one in given)


def _globals(code: CodeType) -> Iterator[str]:
    for one in _codes(code):
        for step in dis.get_instructions(one):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                yield step.argval


def _attributes(code: CodeType) -> Iterator[str]:
    for one in _codes(code):
        for step in dis.get_instructions(one):
            if step.opname in ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"):
                yield step.argval


def _opcodes(code: CodeType) -> set[str]:
    return {step.opname for one in _codes(code) for step in dis.get_instructions(one)}


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)
