"""Calls that a script may make: C functions of Python that follow from their arguments alone, and nothing else.

Python code, the library's too, ends in C functions where it learns something from outside. So the calls of C functions
are looked at, wherever the playbook's code is at work: a list says which are allowed.
"""

from __future__ import annotations

import inspect
import os
import random
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from types import FrameType, ModuleType
from typing import Any

from cli.certify.surroundings import telling

#: Modules in C whose functions and types' methods follow from their arguments.
_MODULES = {
    "_abc",
    "_bisect",
    "_blake2",
    "_bz2",
    "_codecs",
    "_collections",
    "_collections_abc",
    "_contextvars",
    "_csv",
    "_datetime",
    "_decimal",
    "_elementtree",
    "_functools",
    "_hashlib",
    "_heapq",
    "_json",
    "_lzma",
    "_md5",
    "_operator",
    "_pickle",
    "_sha1",
    "_sha2",
    "_sha256",
    "_sha3",
    "_sha512",
    "_sre",
    "_stat",
    "_statistics",
    "_string",
    "_struct",
    "_typing",
    "_weakref",
    "_zoneinfo",
    "array",
    "binascii",
    "builtins",
    "cmath",
    "collections",
    "copyreg",
    "datetime",
    "decimal",
    "functools",
    "hashlib",
    "itertools",
    "json",
    "math",
    "operator",
    "pydantic_core",
    "re",
    "string",
    "struct",
    "types",
    "typing",
    "unicodedata",
    "weakref",
    "zlib",
    "zoneinfo",
}
#: Of these modules and types, what tells of the process, the clock or the machine all the same, in words.
_NOT = {
    "open": "a file, open()",
    "input": "the terminal, input()",
    "breakpoint": "the terminal, breakpoint()",
    "now": "the clock, now()",
    "utcnow": "the clock, utcnow()",
    "today": "the clock, today()",
}
#: What the playbook's own code may not call, while the library's may: it gives a place in memory, or a seed's number.
_NOT_BY_ITSELF = {
    "id": "a place in memory, id()",
    "hash": "the process's hash seed, hash()",
    "globals": "its module's variables, globals()",
    "_getframe": "who has called it, sys._getframe()",
}
#: Others that are allowed: a module's lock, its log, how the interpreter works.
_ALSO = {
    ("_thread", "allocate_lock"),
    ("_thread", "RLock"),
    ("_io", "StringIO"),
    ("_io", "BytesIO"),
    ("sys", "_getframe"),
    ("sys", "getrecursionlimit"),
    ("sys", "getsizeof"),
    ("sys", "intern"),
    ("sys", "exc_info"),
    ("sys", "is_finalizing"),
    ("sys", "_getframemodulename"),
    ("posix", "fspath"),
    ("posix", "_path_normpath"),
}
#: Types whose methods are allowed though their module's functions are not.
_TYPES = {"_io.StringIO", "_io.BytesIO", "_thread.lock", "_thread.RLock"}
#: Python code of the library that works for itself: imports, and lines of the log.
_EXCUSED = ("importlib", "/logging/", "/warnings.py", "/linecache.py", "/traceback.py")
#: Python code of the library that gives on a clock, randomness or the environment to who calls it.
_PASSES_ON = (
    "/datetime.py",
    "/random.py",
    "/uuid.py",
    "/secrets.py",
    "/email/utils.py",
    "/_strptime.py",
    "/calendar.py",
    "/certify/surroundings.py",
    "/certify/pure.py",
    "/time_machine/__init__.py",
    "/functools.py",
    "/dataclasses.py",
    "/pydantic/main.py",
    "/pydantic/root_model.py",
    "/pydantic/type_adapter.py",
    "/pydantic/_internal/_dataclasses.py",
    "<string>",
    "os.py",
    "_collections_abc.py",
    "<frozen os>",
    "<frozen _collections_abc>",
)
#: The generator of the functions of ``random``, which the whole process shares.
_SHARED: Any = random.seed.__self__  # type: ignore[attr-defined]
#: os.environ is written in Python. By identity: to compare code is dear, and each call of a function asks.
_OF_ENVIRON = {id(getattr(type(os.environ), name).__code__) for name in ("__getitem__", "__iter__", "__len__")}
_WORDS = {
    "time": "the clock",
    "random": "randomness",
    "_random": "randomness",
    "_locale": "the locale",
    "_socket": "the network",
    "_sqlite3": "a database",
    "_thread": "the thread",
    "sys": "the process",
}
_DRAWN = ("the clock", "randomness")
_CHANCE = (*_DRAWN, "the environment")
#: Functions in Python that tell of the process, where the playbook's own code calls them; the library's may.
_TELL_OF_PROCESS = {
    threading.active_count.__code__: "the process's threads, threading.active_count()",
    threading.enumerate.__code__: "the process's threads, threading.enumerate()",
    threading.current_thread.__code__: "the thread, threading.current_thread()",
    inspect.stack.__code__: "who has called it, inspect.stack()",
    inspect.currentframe.__code__: "who has called it, inspect.currentframe()",
    traceback.extract_stack.__code__: "who has called it, traceback.extract_stack()",
    traceback.format_stack.__code__: "who has called it, traceback.format_stack()",
}
_TELLING_CODE = {*_OF_ENVIRON, *map(id, _TELL_OF_PROCESS)}
#: What was allowed before, whoever called it: functions of modules, and methods as (id of their type, name) with the
#: type, so that no other one gets its id. An import makes a million calls, of a few hundred functions.
_FUNCTIONS: set[Any] = set()
_METHODS: dict[tuple[int, str], type] = {}


@contextmanager
def watched(
    folder: str,
    reads: list[str],
    *,
    chance_alone: bool = False,
    environment: bool = True,
    drawn: list[tuple[str, int]] | None = None,
) -> Iterator[None]:
    """Within the block, note what code of ``folder`` reads that does not follow from its arguments.

    ``chance_alone``: only the clocks, the randomness and the ``environment`` that it asks for itself; it may call a
    client, which asks too. A profile sees no function that C code calls, such as pydantic's for a field's default: so
    the clock and the randomness tell of themselves (``told``). ``drawn`` gets the (file, line) of each statement of a
    module that asks a clock or for chance.
    """

    def profile(frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call":
            if _was_allowed(function):
                return
        elif event != "call" or id(frame.f_code) not in _TELLING_CODE:
            return
        if frame.f_code.co_filename == __file__:
            return
        if event == "call":
            of_environ = id(frame.f_code) in _OF_ENVIRON
            what = "the environment" if environment and of_environ else _of_python(frame, folder)
        elif _is_seeded(function, frame, seeded):
            return
        else:
            what = _outside(function, frame, folder)
        if what is None or (chance_alone and not what.startswith(_CHANCE)):
            return
        if (where := _place(frame, folder, _PASSES_ON if chance_alone else None)) is not None:
            reads.append(f"{what} ({where})")
            if drawn is not None and what.startswith(_DRAWN):
                drawn.extend(_statements(frame, folder))

    seeded: dict[int, random.Random] = {}
    before: Callable[..., Any] | None = sys.getprofile()
    state = random.getstate()
    with told(folder, reads, chance_alone=chance_alone):
        sys.setprofile(profile)
        try:
            yield
        finally:
            sys.setprofile(before)
    if not chance_alone and not reads and random.getstate() != state:
        reads.append("randomness, random() through code in C")


@contextmanager
def told(folder: str, reads: list[str], *, chance_alone: bool = False) -> Iterator[None]:
    """Within the block, note which clock that is set, and which draw, code of ``folder`` asks for, also through C."""
    mine = get_ident()

    def tell(what: str) -> None:
        if get_ident() == mine:
            where = _place(sys._getframe(1), folder, _PASSES_ON if chance_alone else None)
            if where is not None:
                reads.append(f"{what} ({where})")

    with telling(tell):
        yield


def _is_seeded(function: Any, frame: FrameType, seeded: dict[int, random.Random]) -> bool:
    """Whether a generator of random numbers is called that follows from a seed, which the same code has given to it.

    ``seeded``: those that were seeded before. One that a module has made remembers what was drawn before.
    """
    of = getattr(function, "__self__", None)
    if not isinstance(of, random.Random) or of is _SHARED:
        return False
    if getattr(function, "__name__", "") == "seed":
        seeded.pop(id(of), None)
        if frame.f_locals.get("a") is not None:
            seeded[id(of)] = of
    return id(of) in seeded


def _was_allowed(function: Any) -> bool:
    """Whether ``_allow`` was told of the C function."""
    of = function.__self__
    if of is None or isinstance(of, ModuleType):
        return function in _FUNCTIONS
    return (id(of if isinstance(of, type) else type(of)), function.__name__) in _METHODS


def _allow(function: Any, name: str, of: Any) -> None:
    """Remember a C function that may be called, unless that depends on its caller or its value."""
    if name in _NOT_BY_ITSELF or name == "timestamp":
        return
    if of is None or isinstance(of, ModuleType):
        _FUNCTIONS.add(function)
    else:
        owner = of if isinstance(of, type) else type(of)
        _METHODS[id(owner), name] = owner


def _outside(function: Any, frame: FrameType, folder: str) -> str | None:
    """Return what a C function tells that does not follow from its arguments, in words; None for nothing."""
    name, of = getattr(function, "__name__", ""), getattr(function, "__self__", None)
    own = frame.f_code.co_filename.startswith(folder)
    if of is None or isinstance(of, ModuleType):
        module = str(getattr(function, "__module__", None) or getattr(of, "__name__", ""))
        kind = ""
    else:
        owner = of if isinstance(of, type) else type(of)
        module, kind = _defines(owner, name), owner.__name__
    if own and module in ("builtins", "sys") and not kind and name in _NOT_BY_ITSELF:
        return None if frame.f_code.co_name == "__hash__" else _NOT_BY_ITSELF[name]
    if module in ("_datetime", "datetime", "builtins") and name in _NOT:
        return _NOT[name]
    if name == "timestamp" and module == "datetime" and getattr(of, "tzinfo", None) is None:
        return "the machine's time zone, timestamp() of a time without one"
    if name == "urandom":
        return "randomness, os.urandom()"
    if module.partition(".")[0] in _MODULES or (module, name) in _ALSO or f"{module}.{kind}" in _TYPES:
        _allow(function, name, of)
        return None
    return f"{_WORDS.get(module, 'what is outside')}, {module}.{f'{kind}.' if kind else ''}{name}()"


def _of_python(frame: FrameType, folder: str) -> str | None:
    """Return what a function in Python tells of the process, where the playbook's own code calls it."""
    caller = frame.f_back
    if caller is None or not caller.f_code.co_filename.startswith(folder):
        return None
    return _TELL_OF_PROCESS.get(frame.f_code)


def _statements(frame: FrameType, folder: str) -> Iterator[tuple[str, int]]:
    """Yield the (file, line) of the statement of the innermost of the playbook's modules that is being imported."""
    at: FrameType | None = frame
    while at is not None:
        file = at.f_code.co_filename
        if at.f_code.co_name == "<module>" and file.startswith(folder):
            yield file.removeprefix(folder).lstrip("/"), at.f_lineno
            return
        at = at.f_back


def _defines(kind: type, name: str) -> str:
    """Return the module of the type that has a method: a class of Python may have it from one in C."""
    return next((one.__module__ for one in kind.__mro__ if name in vars(one)), kind.__module__)


def _place(frame: FrameType, folder: str, only_through: tuple[str, ...] | None = None) -> str | None:
    """Return the file and line of the playbook's code that is at work; None where there is none, or it is excused.

    ``only_through``: excused is what is called through other files than these.
    """
    at: FrameType | None = frame
    while at is not None:
        file = at.f_code.co_filename
        if any(word in file for word in _EXCUSED):
            return None
        if file.startswith(folder):
            return f"{file.removeprefix(folder).lstrip('/')}, line {at.f_lineno}"
        if only_through is not None and not file.endswith(only_through):
            return None
        at = at.f_back
    return None
