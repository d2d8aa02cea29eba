"""Values that a function reads beside its arguments: of modules, classes, defaults and its closure.

Such a value is one process's own where it was made of a clock or by chance as its module was imported, where it tells
of the machine, or where a call changes it: a counter, a list that grows, an iterator.
"""

from __future__ import annotations

import ast
import dis
import functools
import importlib.util
import inspect
import queue
import random
import sys
from collections import deque
from collections.abc import Iterable, Iterator, MutableMapping, MutableSequence, MutableSet
from dataclasses import dataclass
from operator import length_hint
from pathlib import Path, PurePath
from types import CodeType, FunctionType, GeneratorType, ModuleType
from typing import Any

#: Variables of ``sys`` that differ between machines and commands.
_OF_SYS = (
    "argv", "orig_argv", "executable", "prefix", "base_prefix", "path", "modules", "flags", "stdin", "stdout", "stderr",
)  # fmt: skip
_GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL")
_ATTRIBUTE = ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR")
#: What a module knows of its own place.
_PLACES = ("__file__", "__path__", "__spec__", "__cached__", "__loader__")
_DEEPEST = 3


@dataclass(frozen=True)
class Named:
    """A value that a function reads: by which name, and of which module that is a file."""

    name: str
    value: Any
    module: dict[str, Any] | None = None


def memory_of(function: Any, package: str) -> dict[str, str]:
    """Return what a function reads that can change, as text, by name. A cache of ``functools`` is none of it.

    Functions and classes of ``package`` that it names are looked into.
    """
    return {one.name: said for one in named(function, package) if (said := _kept(one.value, package)) is not None}


def own_to_its_process(function: Any, package: str, folder: str, drawn: Iterable[tuple[str, int]]) -> str:
    """Return what a function reads that another process has otherwise, as the end of "It reads …"; "" for nothing.

    ``folder``: the playbook's. ``drawn``: (file in it, line) of statements that ask a clock or for chance as they are
    imported.
    """
    tainted = {(file, name) for file, line in drawn for name in _given_at(Path(folder) / file, line)}
    for one in named(function, package):
        if _is_iterator(one.value):
            return f"{one.name}, an iterator, which goes on with each call in its process"
        if isinstance(one.value, str | PurePath) and folder in str(one.value):
            return f"{one.name}, which tells its place on this machine: read a file beside it as the module is imported"
        if any(one.value is vars(sys).get(name) for name in _OF_SYS if isinstance(one.value, list | dict | str)):
            return f"{one.name} of sys, which tells of its process"
        where = _where(one)
        if where is None:
            continue
        file, name = where
        if (file.removeprefix(folder).lstrip("/"), name) in tainted:
            return f"{one.name}, which its module takes from a clock or by chance as it is imported"
        if isinstance(one.value, bool | int) and file.startswith(folder) and name in _of_a_place(file):
            return f"{one.name}, which its module takes from its place on this machine"
    return ""


def named(function: Any, package: str) -> Iterator[Named]:
    """Yield what a function reads beside its arguments, once each."""
    yield from _look(function, package, set())


def _look(function: Any, package: str, looked: set[int]) -> Iterator[Named]:
    if isinstance(function, functools.partial):
        yield from _look(function.func, package, looked)
        return
    if inspect.ismethod(function):
        yield Named(f"the object of {function.__name__}()", function.__self__)
        function = function.__func__
    if (inside := getattr(function, "__wrapped__", None)) is not None:
        yield from _look(inside, package, looked)
    if not isinstance(function, FunctionType) or not _is_in(package, function.__globals__.get("__name__")):
        return
    if id(function) in looked:
        return
    looked.add(id(function))
    code = function.__code__
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for number, value in enumerate(defaults):
        if not isinstance(value, str | PurePath):
            yield Named(f"the default {number + 1} of {function.__name__}()", value)
    for name, value in vars(function).items():
        if name != "__wrapped__":
            yield Named(f"{function.__name__}.{name}", value)
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            value = cell.cell_contents
        except ValueError:
            continue
        yield from _followed(Named(name, value), code, package, looked)
    globals_, (names, _) = function.__globals__, _names(code)
    for name in names:
        if name in globals_:
            yield from _followed(Named(name, globals_[name], globals_), code, package, looked)


def _followed(one: Named, code: CodeType, package: str, looked: set[int]) -> Iterator[Named]:
    """Yield what is read of a named value: of a module and a class, what they hold."""
    value = one.value
    if isinstance(value, ModuleType):
        inside = value.__name__.partition(".")[0] == package
        for name in _names(code)[1]:
            if name in vars(value) and (inside or (value is sys and name in _OF_SYS)):
                yield from _followed(Named(name, vars(value)[name], vars(value)), code, package, looked)
        return
    yield one
    if callable(value) and not isinstance(value, type):
        yield from _look(value, package, looked)
    kind = value if isinstance(value, type) else type(value)
    if not _is_in(package, kind.__module__) or id(kind) in looked:
        return
    looked.add(id(kind))
    for name, attribute in list(vars(kind).items()):
        held = getattr(attribute, "fget", None) or getattr(attribute, "__func__", attribute)
        if isinstance(held, FunctionType):
            yield from _look(held, package, looked)
        elif not name.startswith("__"):
            yield Named(f"{kind.__name__}.{name}", held)


def _is_in(package: str, module: Any) -> bool:
    return isinstance(module, str) and module.partition(".")[0] == package


@functools.cache
def _names(code: CodeType) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of variables of modules, and of attributes, that code names."""
    found: tuple[list[str], list[str]] = ([], [])
    for step in dis.get_instructions(code):
        if step.opname in _GLOBAL:
            found[0].append(str(step.argval))
        elif step.opname in _ATTRIBUTE:
            found[1].append(str(step.argval))
        elif isinstance(step.argval, CodeType):
            for mine, inside in zip(found, _names(step.argval), strict=True):
                mine.extend(inside)
    return tuple(dict.fromkeys(found[0])), tuple(dict.fromkeys(found[1]))


# What it keeps


def _kept(value: Any, package: str, depth: int = 0) -> str | None:
    """Return as text what a value holds that can change; None for what holds nothing, such as a function."""
    if isinstance(value, MutableMapping) and depth < _DEEPEST:
        items = [f"{name!r}: {_kept(held, package, depth + 1) or repr(held)}" for name, held in [*value.items()]]
        return f"{{{', '.join(items)}}}"
    if isinstance(value, MutableSequence | deque) and depth < _DEEPEST:
        return f"[{', '.join(_kept(held, package, depth + 1) or repr(held) for held in [*value])}]"
    if isinstance(value, MutableMapping | MutableSequence | MutableSet | deque):
        return repr(value)
    if isinstance(value, queue.Queue):
        return repr(value.queue)
    if isinstance(value, random.Random):
        return str(hash(value.getstate()))
    if _is_iterator(value):
        return f"{value!r} {length_hint(value, 0)}"
    if value is None or isinstance(value, bool | int | float | str | bytes | tuple):
        return repr(value)
    inside = type(value).__module__.partition(".")[0] == package and hasattr(value, "__dict__")
    if inside and not callable(value) and depth < _DEEPEST:
        parts = {name: _kept(held, package, depth + 1) for name, held in list(vars(value).items())}
        return repr(sorted((name, said) for name, said in parts.items() if said is not None))
    return None


def _is_iterator(value: Any) -> bool:
    return isinstance(value, GeneratorType) or (
        not isinstance(value, type) and hasattr(type(value), "__next__") and _iter_of(value) is value
    )


def _iter_of(value: Any) -> Any:
    """Return the iterator of a value, None where it has none."""
    try:
        return iter(value)
    except TypeError:
        return None


# Where it comes from


def _where(one: Named) -> tuple[str, str] | None:
    """Return the file and the name by which a variable was given its value: that of the module it is imported from."""
    module, name = one.module, one.name
    for _ in range(_DEEPEST):
        file = str((module or {}).get("__file__") or "")
        if module is None or not file:
            return None
        source = _imported(file).get(name)
        if source is None:
            return file, name
        level, of, name = source
        try:
            whole = importlib.util.resolve_name("." * level + of, str(module.get("__package__")))
        except ImportError:
            return None
        module = vars(sys.modules[whole]) if whole in sys.modules else None
    return None


@functools.cache
def _tree(file: str) -> ast.Module:
    try:
        return ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


@functools.cache
def _imported(file: str) -> dict[str, tuple[int, str, str]]:
    """Return the names that a module imports from others: how many dots, of which module, which name there."""
    return {
        alias.asname or alias.name: (node.level, node.module or "", alias.name)
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _given_at(file: Path, line: int) -> set[str]:
    """Return the names to which the statement at a line of a module gives values."""
    for node in _tree(str(file)).body:
        if node.lineno <= line <= (node.end_lineno or node.lineno):
            own = {node.name} if isinstance(node, ast.ClassDef) else set()
            inside = ast.walk(node)
            names = {one.id for one in inside if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
            return own | ({f"{node.name}.{name}" for name in names} if isinstance(node, ast.ClassDef) else names)
    return set()


@functools.cache
def _of_a_place(file: str) -> frozenset[str]:
    """Return the names of variables whose statement names the place of their module."""
    found: set[str] = set()
    for node in _tree(file).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and any(
            isinstance(one, ast.Name) and one.id in _PLACES for one in ast.walk(node)
        ):
            found |= _given_at(Path(file), node.lineno)
    return frozenset(found)


def changed_in(before: dict[str, str], after: dict[str, str]) -> str:
    """Return the name of what has changed, "" for nothing."""
    return next((name for name in after if name in before and before[name] != after[name]), "")
