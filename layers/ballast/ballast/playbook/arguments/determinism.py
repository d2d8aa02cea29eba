"""Find what makes a function of an argument model vary between calls: a clock, chance, the process. Pure.

Two rules. Both read the function's code and the functions that it calls; neither runs them:

::

    a default_factory   names only plain types, constants and such functions ─▶ accepted; anything else is refused
    a validator         names chance (uuid4, random, secrets, hash, id, urandom)   ─▶ refused
                        names a clock that changes the value ─▶ refused; a check is accepted (``clock_flow``)
"""

import builtins
import dis
import functools
import inspect
import sys
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

from ballast.errors import whatever_it_raises
from ballast.playbook.arguments.clock_flow import Flow, Names
from ballast.playbook.arguments.function_source import CHANGES

_CONSTANT_TYPES = (
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    Decimal,
    Fraction,
    date,
    time,
    timedelta,
    timezone,
    UUID,
    Enum,
)
_CONTAINERS = (list, dict, set, frozenset, tuple, deque, Counter, OrderedDict, defaultdict)
_TYPES = (*_CONSTANT_TYPES, *_CONTAINERS, datetime)
_FUNCTIONS = (len, min, max, sum, sorted, abs, round, range, zip, enumerate, any, all, reversed, isinstance)
#: Methods of the types above that read a clock; all others depend on their arguments alone.
_CLOCKS = frozenset({"now", "utcnow", "today"})
#: Functions of clock and chance modules that depend on their arguments alone.
_PURE = frozenset({"strptime", "mktime", "struct_time", "compare_digest"})
_CLOCK_MODULES = frozenset({"time", "_time"})
_CHANCE_MODULES = frozenset({"random", "_random", "secrets", "numpy.random", "faker"})
_CHANCE = frozenset({"uuid1", "uuid4", "urandom", "getrandom", "SystemRandom", "getpid", "token_hex", "token_urlsafe"})
_STORES = ("STORE_ATTR", "STORE_SUBSCR", "STORE_SLICE", "DELETE_SUBSCR")
#: Calls are followed this deep.
_CALL_DEPTH = 6


def why_factory_varies(factory: Any) -> str | None:
    """Return what may make a ``default_factory`` vary; None if nothing does."""
    return _why_not_constant(factory, _CALL_DEPTH)


def why_validator_varies(function: Any, owner: type | None = None) -> str | None:
    """Return what a validator adds to a value that may vary; None if nothing.

    ``owner`` is the model whose methods the validator may call.
    """
    given = (*_given(function), *([owner] if owner is not None else []))
    outermost, function = function, _unwrapped(function)
    if not isinstance(function, FunctionType):
        function = _unwrapped(vars(type(function)).get("__call__"))  # an object that is called
    if not isinstance(function, FunctionType):
        return None
    found = dict(_varying(function, _CALL_DEPTH, given))
    chance = next((name for name, clock in found.items() if not clock), None)
    if chance is not None:
        return f"uses chance or the process ({chance})"
    clock = next(iter(found), None)
    if clock is None:
        return None
    seen: Flow | None = None
    with whatever_it_raises():
        seen = Flow.of(function, _KNOWN, owner, _bound(outermost))
    if seen is None:
        if _returns_what_it_was_given(function):
            return None
        return (
            f"reads a clock or the process ({clock}), and its source cannot be read: return the given value unchanged"
        )
    changed = seen.changed
    return f"reads a clock or the process ({clock}), and its result depends on that in {changed}" if changed else None


def _bound(function: Any) -> Iterator[str]:
    """Yield the parameters that ``partial`` or a default fills with a clock."""
    names, filled = list(inspect.signature(_unwrapped(function)).parameters), dict[str, Any]()
    while isinstance(function, functools.partial):
        filled |= function.keywords
        filled |= dict(zip((name for name in names if name not in filled), function.args, strict=False))
        function = function.func
    for name, one in inspect.signature(_unwrapped(function)).parameters.items():
        value = filled.get(name, one.default)
        if value is not one.empty and _is_clock(name, value, set(_CLOCKS)):
            yield name


def _is_clock(name: str, known: Any, attributes: set[str]) -> bool:
    return bool(varying_parts(name, known, attributes, _CALL_DEPTH))


def _why_not_constant(value: Any, deep: int) -> str | None:
    if isinstance(value, functools.partial):
        parts = (value.func, *value.args, *value.keywords.values())
        return next((why for one in parts if (why := _why_not_constant(one, deep)) is not None), None)
    if isinstance(value, type):
        return None if issubclass(value, (*_TYPES, BaseModel)) or _is_dataclass(value) else value.__name__
    if (
        value is None
        or any(value is one for one in _FUNCTIONS)
        or isinstance(value, (*_CONSTANT_TYPES, datetime, BaseModel))
    ):
        return None
    if isinstance(value, dict):
        return next((why for one in (*value, *value.values()) if (why := _why_not_constant(one, deep))), None)
    if isinstance(value, _CONTAINERS):
        return next((why for one in value if (why := _why_not_constant(one, deep))), None)
    owner: Any = None
    with whatever_it_raises():
        owner = getattr(value, "__self__", None)
    if isinstance(owner, _CONTAINERS) and _text(value, "__name__") in ("copy", "__copy__"):
        return None
    if not isinstance(value, FunctionType) or deep == 0:
        return _text(value, "__qualname__") or _text(value, "__name__") or type(value).__name__
    for name, known in _named(value):
        if (why := _why_not_constant(known, deep - 1)) is not None:
            return name if isinstance(known, ModuleType) else why
    for name in _attributes(value.__code__):
        if name in _CLOCKS or any(_makes(known, name) for _, known in _named(value)):
            return name
    return "import" if "IMPORT_NAME" in _opcodes(value.__code__) else None


def _makes(known: Any, name: str) -> bool:
    """Return whether a class of the author's has a function of that name, which was not analyzed."""
    own = isinstance(known, type) and (issubclass(known, BaseModel) or _is_dataclass(known))
    return own and callable(getattr(known, name, None))


def _is_dataclass(kind: type) -> bool:
    return hasattr(kind, "__dataclass_fields__")


def _given(function: Any) -> tuple[Any, ...]:
    """Return the arguments that ``partial`` fills in."""
    if not isinstance(function, functools.partial):
        return ()
    return (*function.args, *function.keywords.values(), *_given(function.func))


def _varying(function: FunctionType, deep: int, given: tuple[Any, ...] = ()) -> Iterator[tuple[str, bool]]:
    """Yield the names in a function that may vary, each with whether it is a clock."""
    attributes = attributes_of(function)
    named = [*_named(function), *((_text(one, "__name__") or type(one).__name__, one) for one in given)]
    for name, known in named:
        yield from varying_parts(name, known, attributes, deep)


def attributes_of(function: FunctionType) -> set[str]:
    """Return the attribute names that a function may read; with ``getattr`` all of its string constants."""
    attributes = set(_attributes(function.__code__))
    if any(known is getattr for _, known in _named(function)):
        attributes |= {one for code in _codes(function.__code__) for one in code.co_consts if isinstance(one, str)}
    return attributes


def varying_parts(name: str, known: Any, attributes: set[str], deep: int) -> list[tuple[str, bool]]:
    """Return the parts of a named value that may vary; nothing if it cannot be inspected."""
    found: list[tuple[str, bool]] = []
    with whatever_it_raises():  # an object may raise, or return anything, for any attribute
        for part in _parts(known):
            with whatever_it_raises():
                found += _varying_in_value(name, part, attributes, deep)
    return found


def _varying_in_value(name: str, known: Any, attributes: set[str], deep: int) -> Iterator[tuple[str, bool]]:
    module, own_name = _text(known, "__module__"), _text(known, "__name__")
    if isinstance(known, ModuleType):
        yield from ((f"{name}.{one}", clock) for one, clock in _varying_in_module(known, attributes))
    elif known is builtins.__import__ or known is hash or known is id:
        yield name, True  # a hash is constant within a process, so a check with it is harmless
    elif isinstance(known, type) and issubclass(known, date):
        yield from ((f"{name}.{one}", True) for one in sorted(_CLOCKS & attributes))
    elif own_name in _PURE and module in (*_CHANCE_MODULES, *_CLOCK_MODULES):
        return
    elif module in _CHANCE_MODULES or own_name in _CHANCE:
        yield name, False
    elif module in _CLOCK_MODULES and callable(known) and not isinstance(known, type):
        yield name, True
    elif type(known).__module__ == "itertools" or inspect.isgenerator(known):
        yield name, False
    elif deep:
        for one in author_functions(known, attributes):
            yield from _varying(one, deep - 1)


def _text(known: Any, name: str) -> str:
    """Return an object's attribute if it is a text; else ""."""
    said: Any = ""
    with whatever_it_raises():
        said = getattr(known, name, "")
    return said if isinstance(said, str) else ""


def _parts(known: Any) -> tuple[Any, ...]:
    """Return the entries of a dict, list or tuple; any other value as its own part."""
    if isinstance(known, dict):
        return tuple(known.values())
    return tuple(known) if isinstance(known, list | tuple) else (known,)


def author_functions(known: Any, attributes: set[str]) -> Iterator[FunctionType]:
    """Yield the author's functions by which a named value is used: itself, or an object's or class's methods."""
    whole: Any = None
    with whatever_it_raises():  # an object that has every attribute unwraps for ever
        whole = _unwrapped(known)
    if isinstance(whole, FunctionType):
        yield whole
        return
    kind = known if isinstance(known, type) else type(known)
    for name in sorted(attributes):
        held = _unwrapped(vars(kind).get(name))
        if isinstance(held, FunctionType) and held.__module__.partition(".")[0] not in sys.stdlib_module_names:
            yield held


def _varying_in_module(module: ModuleType, attributes: set[str]) -> Iterator[tuple[str, bool]]:
    attributes = attributes - _PURE
    if module.__name__ in _CHANCE_MODULES:
        yield from ((one, False) for one in sorted(attributes) if hasattr(module, one))
    elif module.__name__ in _CLOCK_MODULES:
        yield from ((one, True) for one in sorted(attributes) if callable(getattr(module, one, None)))
    else:
        yield from ((one, False) for one in sorted(_CHANCE & attributes) if hasattr(module, one))
        if module.__name__ == "datetime":
            yield from ((one, True) for one in sorted(_CLOCKS & attributes))


def _returns_what_it_was_given(function: FunctionType) -> bool:
    """Return whether a function only checks: it returns a parameter or None, and changes no parameter."""
    given = set(function.__code__.co_varnames[: function.__code__.co_argcount])
    steps = [one for one in dis.get_instructions(function) if one.opname not in ("CACHE", "RESUME", "NOP")]
    for before, step in zip([None, *steps], steps, strict=False):
        if step.opname in _STORES or given.intersection(_put(step)):
            return False
        if step.opname == "RETURN_CONST" and step.argval is not None:
            return False
        if step.opname == "RETURN_VALUE" and step.is_jump_target:  # `v or now()`: one of several values
            return False
        if step.opname == "RETURN_VALUE" and before is not None:
            nothing = before.opname == "LOAD_CONST" and before.argval is None
            if not nothing and _loaded(before) not in given:
                return False
    return not CHANGES.intersection(function.__code__.co_names) and "__dict__" not in function.__code__.co_names


def _put(step: dis.Instruction) -> tuple[str, ...]:
    """Return the local names that an instruction stores or deletes; Python 3.13 has instructions for two."""
    if step.opname == "STORE_FAST_LOAD_FAST":
        return step.argval[:1]  # type: ignore[no-any-return]
    if step.opname == "STORE_FAST_STORE_FAST":
        return tuple(step.argval)
    return (step.argval,) if step.opname.startswith(("STORE_FAST", "DELETE_FAST")) else ()


def _loaded(step: dis.Instruction) -> str | None:
    """Return the local name that an instruction loads last; None if it loads none."""
    if step.opname in ("STORE_FAST_LOAD_FAST", "LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW"):
        return str(step.argval[-1])
    return str(step.argval) if step.opname.startswith("LOAD_FAST") else None


def _unwrapped(function: Any) -> Any:
    function = inspect.unwrap(getattr(function, "__func__", function))
    if isinstance(function, functools.partial | functools.partialmethod):
        return _unwrapped(function.func)
    return getattr(function, "__func__", function)


def _named(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the globals, closure variables and default arguments of a function, by name."""
    closed = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    for name, cell in closed:
        with suppress(ValueError):  # not yet filled
            yield name, cell.cell_contents
    for name in dict.fromkeys(_globals(function.__code__)):
        if name in function.__globals__:
            yield name, function.__globals__[name]
        elif hasattr(builtins, name):
            yield name, getattr(builtins, name)
    yield from _imported(function.__code__)
    given = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    yield from ((_text(one, "__name__") or type(one).__name__, one) for one in given)


def _imported(code: CodeType) -> Iterator[tuple[str, Any]]:
    """Yield the loaded modules that a function imports itself, and the names that it imports from them."""
    for one in _codes(code):
        module: Any = None
        for step in dis.get_instructions(one):
            if step.opname == "IMPORT_NAME":
                module = sys.modules.get(step.argval)
                if module is not None:
                    yield step.argval, module
            elif step.opname == "IMPORT_FROM" and hasattr(module, step.argval):
                yield step.argval, getattr(module, step.argval)


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


_KNOWN = Names(_named, _is_clock, attributes_of, author_functions)
