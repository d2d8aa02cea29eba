"""Frozen dataclasses that are made without compiling: for each one, the standard library compiles six methods.

Imports nothing of Ballast.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import MISSING, FrozenInstanceError, fields
from functools import partial
from inspect import Parameter, Signature, signature
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

Fields = tuple[dataclasses.Field[Any], ...]

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, kw_only=False, **others):
        """As ``dataclasses.dataclass``, to mypy and to whoever uses the class, but made in a tenth of the time.

        A frozen class gets closures for methods. It takes no ``InitVar``, and is the base of no dataclass of the
        standard library. With any other option, the class is the standard library's.
        """
        if cls is None:
            return partial(dataclass, frozen=frozen, kw_only=kw_only, **others)
        if not frozen or others:
            return dataclasses.dataclass(cls, frozen=frozen, kw_only=kw_only, **others)
        cls.__doc__ = cls.__doc__ or cls.__name__  # or else the standard library writes a signature there
        return _frozen(dataclasses.dataclass(cls, init=False, repr=False, eq=False, kw_only=kw_only))


def _frozen(cls: type[Any]) -> type[Any]:
    """Give ``cls`` the methods of a frozen dataclass, except those that it has itself."""
    own = set(vars(cls))
    if "__eq__" in own and vars(cls)["__hash__"] is None:
        own.discard("__hash__")  # Python's, for a class with an equality of its own
    every = fields(cls)
    methods = {"__init__": _init(cls, every), "__repr__": _repr, **_comparisons(every)}
    for name, method in ({name: methods[name] for name in methods.keys() - own} | _guards(cls, every)).items():
        setattr(cls, name, method)
    cls.__signature__ = _Signature(cls.__init__)
    return cls


def _init(cls: type[Any], every: Fields) -> Callable[..., None]:
    taken = {one.name: one for one in every if one.init}
    names = taken.keys()
    in_order = tuple(name for name, one in taken.items() if not one.kw_only)
    defaults = {name: one.default for name, one in taken.items() if one.default is not MISSING}
    made = {name: one.default_factory for name, one in taken.items() if one.default_factory is not MISSING}
    untaken = {one.name: one.default_factory for one in every if not one.init and one.default_factory is not MISSING}
    has_post_init = hasattr(cls, "__post_init__")

    def init(self: Any, /, *args: Any, **given: Any) -> None:
        values = given
        if args:
            values = dict(zip(in_order, args, strict=False))
            values.update(given)
            if len(values) != len(args) + len(given):
                raise _refused(cls, args, given)
        if values.keys() != names:
            values = {**defaults, **values}
            for name, factory in made.items():
                if name not in values:
                    values[name] = factory()
            if values.keys() != names:
                raise _refused(cls, args, given)
        for name, factory in untaken.items():
            values[name] = factory()
        self.__dict__.update(values)
        if has_post_init:
            self.__post_init__()

    return init


class _Signature:
    """The parameters of a class and of those that inherit its ``__init__``, for ``inspect`` and for errors."""

    def __init__(self, init: Any) -> None:
        self._init = init

    def __get__(self, _: Any, cls: type[Any]) -> Signature:
        if cls.__init__ is not self._init:
            raise AttributeError("__signature__")
        kinds = {True: Parameter.KEYWORD_ONLY, False: Parameter.POSITIONAL_OR_KEYWORD}
        taken = sorted((one for one in fields(cls) if one.init), key=lambda one: bool(one.kw_only))
        return Signature(
            [Parameter(one.name, kinds[bool(one.kw_only)], default=_default(one), annotation=one.type) for one in taken]
        )


def _default(one: dataclasses.Field[Any]) -> Any:
    if one.default_factory is not MISSING:
        return one.default_factory
    return Parameter.empty if one.default is MISSING else one.default


def _refused(cls: type[Any], args: tuple[Any, ...], given: Mapping[str, Any]) -> TypeError:
    """Return the error for arguments that ``cls`` does not take, in Python's words."""
    try:
        signature(cls).bind(*args, **given)
    except TypeError as problem:
        return TypeError(f"{cls.__qualname__}.__init__() {problem}")
    raise AssertionError(f"{cls.__qualname__} takes these arguments.")


def _comparisons(every: Fields) -> dict[str, Callable[..., Any]]:
    names = [one.name for one in every if one.compare]
    compared = attrgetter(*names) if len(names) > 1 else lambda self: [getattr(self, name) for name in names]

    def eq(self: Any, other: Any) -> Any:
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    return {"__eq__": eq, "__hash__": lambda self: hash(tuple(compared(self)))}


@recursive_repr()
def _repr(self: Any) -> str:
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{self.__class__.__qualname__}({shown})"


def _guards(cls: type[Any], every: Fields) -> dict[str, Callable[..., None]]:
    """Return the methods that forbid changes. A subclass that is no dataclass may have attributes of its own."""
    names = {one.name for one in every}

    def set_attribute(self: Any, name: str, value: Any) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def delete_attribute(self: Any, name: str) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    return {"__setattr__": set_attribute, "__delattr__": delete_attribute}
