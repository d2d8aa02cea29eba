"""What a tool's author writes at a field: where its values must come from, that nobody vouches for them, or
that few may see them.

::

    class RefundOrder(BaseModel):
        order_id: Annotated[str, Grounded]           # must occur in the request, its context or an earlier result
        amount_usd: Annotated[Decimal, Grounded]

    class Order(BaseModel):
        customer_note: Annotated[str, Untrusted]     # somebody's words: what occurs only there is tainted
        card_number: Annotated[str, Sensitive]       # encrypted or masked in the log, masked everywhere else
"""

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from ballast.validation.value import Kind


@dataclass(frozen=True)
class Grounded:
    """An argument whose values must occur in what the run knows; the name of the class alone is the same.

    On a list or a model it stands for every value inside. ``kind`` says how values are compared;
    None tells it by the value.
    """

    kind: Kind | None = None


@dataclass(frozen=True)
class Untrusted:
    """A field of a result that holds text which nobody vouches for."""


@dataclass(frozen=True)
class Sensitive:
    """A field of arguments or of a result that only the executor, the planners and the tools may see."""


Mark = Grounded | Untrusted | Sensitive
MarkT = typing.TypeVar("MarkT", Grounded, Untrusted, Sensitive)

#: ``type X = …`` came with Python 3.12.
_ALIAS = getattr(typing, "TypeAliasType", None)


@dataclass(frozen=True)
class Found:
    """A value inside a model or JSON: its path, such as ``address.street`` or ``lines.0.sku``, and the mark on it."""

    path: str
    value: Any
    mark: Mark | None


def leaves(annotation: Any, value: Any, mark: type[MarkT]) -> Iterator[Found]:
    """Yield every text and number of ``value``, an instance or JSON of ``annotation``, with its mark of that type.

    A key of a mapping is a text as well, ``*`` in the path: who reads the path may not read the key. ``None`` and
    booleans are neither, and what a model was not given is the tool's own default.
    """
    yield from _inside(annotation, value, mark, None, "")


def has_mark(annotation: Any, mark: type[MarkT]) -> bool:
    """Say whether the mark stands anywhere in the type."""
    return _has(annotation, mark, set())


def _inside(annotation: Any, value: Any, mark: type[MarkT], stands: Mark | None, path: str) -> Iterator[Found]:
    if value is None or isinstance(value, bool):
        return
    annotation, stands = _unwrapped(annotation, mark, stands)
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields if name in value.model_fields_set}
    if isinstance(value, Mapping):
        for key, inner in value.items():
            field = _field(annotation, str(key), mark, stands)
            if field is None:  # a mapping's key is data; a model's is a name
                key_type, of = _mapping(annotation)
                yield from _inside(key_type, str(key), mark, stands, _join(path, "*"))
                yield from _inside(of, inner, mark, stands, _join(path, "*"))
            else:
                yield from _inside(field[0], inner, mark, field[1], _join(path, key))
    elif isinstance(value, list | tuple | set | frozenset):
        for position, inner in enumerate(value):
            yield from _inside(_item(annotation, position), inner, mark, stands, _join(path, position))
    else:
        yield Found(path, value, stands)


def _join(path: str, step: object) -> str:
    return f"{path}.{step}" if path else str(step)


def _unwrapped(annotation: Any, mark: type[MarkT], stands: Mark | None) -> tuple[Any, Mark | None]:
    """Take off ``Annotated`` and alias; return what is inside and the mark that stands there, or stood before.

    A mark on one branch of a union (``Annotated[str, Grounded] | None``) stands for all of them.
    """
    while True:
        if _ALIAS is not None and isinstance(annotation, _ALIAS):
            annotation = annotation.__value__
        elif get_origin(annotation) is Annotated:
            annotation, *metadata = get_args(annotation)
            stands = _mark(metadata, mark) or stands
        else:
            break
    if get_origin(annotation) in _UNIONS:
        for branch in get_args(annotation):
            _, stands = _unwrapped(branch, mark, stands)
    return annotation, stands


_UNIONS = (Union, types.UnionType)


def _mark(metadata: Iterable[object], mark: type[MarkT]) -> MarkT | None:
    for one in metadata:
        if isinstance(one, mark):
            return one
        if one is mark:
            return mark()
    return None


def _branches(annotation: Any) -> Iterator[Any]:
    """Yield the types that a value may have, without what is wrapped around them."""
    inner, _ = _unwrapped(annotation, Grounded, None)
    if get_origin(inner) in _UNIONS:
        for branch in get_args(inner):
            yield from _branches(branch)
    else:
        yield inner


def _field(annotation: Any, name: str, mark: type[MarkT], stands: Mark | None) -> tuple[Any, Mark | None] | None:
    """Return the type and the mark of a model's field; None where no branch of the type is a model with it.

    Where several are, the field is marked if one of them marks it.
    """
    found: tuple[Any, Mark | None] | None = None
    for branch in _branches(annotation):
        if isinstance(branch, type) and issubclass(branch, BaseModel) and name in branch.model_fields:
            field = branch.model_fields[name]
            marked = _mark(field.metadata, mark) or stands
            types_so_far = found[0] if found else None
            both = field.annotation if types_so_far is None else Union[types_so_far, field.annotation]  # noqa: UP007
            found = (both, marked or (found[1] if found else None))
    return found


def _mapping(annotation: Any) -> tuple[Any, Any]:
    """Return the types of a mapping's keys and values."""
    for branch in _branches(annotation):
        made, arguments = get_origin(branch), get_args(branch)
        if isinstance(made, type) and issubclass(made, Mapping) and len(arguments) == 2:
            return arguments[0], arguments[1]
    return Any, Any


def _item(annotation: Any, position: int) -> Any:
    """Return the type of a sequence's item."""
    for branch in _branches(annotation):
        arguments = get_args(branch)
        made = get_origin(branch)
        if not (isinstance(made, type) and arguments) or issubclass(made, Mapping):
            continue
        if made is tuple and arguments[-1] is not Ellipsis:
            return arguments[min(position, len(arguments) - 1)]
        return arguments[0]
    return Any


def _has(annotation: Any, mark: type[MarkT], seen: set[int]) -> bool:
    if id(annotation) in seen:
        return False
    seen.add(id(annotation))
    if _ALIAS is not None and isinstance(annotation, _ALIAS):
        return _has(annotation.__value__, mark, seen)
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return _mark(metadata, mark) is not None or _has(inner, mark, seen)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.values()
        return any(_mark(field.metadata, mark) or _has(field.annotation, mark, seen) for field in fields)
    return any(_has(inner, mark, seen) for inner in get_args(annotation))
