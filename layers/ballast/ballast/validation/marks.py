"""What a tool's author writes at a field: where its values must come from, that nobody vouches for them, or
that few may see them.

::

    class RefundOrder(BaseModel):
        order_id: Annotated[str, Grounded]           # must occur in the request, its context or an earlier result
        amount_usd: Annotated[Decimal, Grounded]
        remark: Annotated[str, FreeText]             # the model's own words

    class Order(BaseModel):
        customer_note: Annotated[str, Untrusted]     # somebody's words: what occurs only there is tainted
        card_number: Annotated[str, Sensitive]       # encrypted or masked in the log, masked everywhere else
"""

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

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
class FreeText:
    """An argument that is the model's own words by intent: a remark, a search, how many. It needs no ground.

    ``quotes`` False: a passage of it that only untrusted text has is tainted, so that nobody's instructions are
    written down as one's own.
    """

    quotes: bool = True


@dataclass(frozen=True)
class Untrusted:
    """A field of a result that holds text which nobody vouches for."""


@dataclass(frozen=True)
class Sensitive:
    """A field of arguments or of a result that only the executor, the planners and the tools may see."""


Mark = Grounded | FreeText | Untrusted | Sensitive
MarkT = typing.TypeVar("MarkT", Grounded, FreeText, Untrusted, Sensitive)

#: ``type X = …`` came with Python 3.12.
_ALIAS = getattr(typing, "TypeAliasType", None)


@dataclass(frozen=True)
class Found:
    """A value inside a model or JSON: its path, such as ``address.street`` or ``lines.0.sku``, and the mark on it."""

    path: str
    value: Any
    mark: Mark | None
    annotation: Any = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The name of the field that the value stands under, "" where there is none."""
        steps = [step for step in self.path.split(".") if step != "*" and not step.isdigit()]
        return steps[-1] if steps else ""

    @property
    def chosen(self) -> bool:
        """Whether it is one of the values that its type lists: the author's own words."""
        return is_choice(self.annotation)


def is_choice(annotation: Any) -> bool:
    """Say whether the type lists its values: a Literal, an Enum, a boolean."""
    branches = list(_branches(annotation))
    return bool(branches) and all(
        get_origin(one) is Literal or one in (bool, None, types.NoneType) or _is_enum(one) for one in branches
    )


def _is_enum(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Enum)


def leaves(annotation: Any, value: Any, mark: type[MarkT]) -> Iterator[Found]:
    """Yield every text and number of ``value``, an instance or JSON of ``annotation``, with its mark of that type.

    A key of a mapping is a text as well, ``*`` in the path: who reads the path may not read the key. ``None`` and
    booleans are neither, and what a model was not given is the tool's own default.
    """
    yield from _inside(annotation, value, mark, None, "")


def has_mark(annotation: Any, mark: type[MarkT]) -> bool:
    """Say whether the mark stands anywhere in the type."""
    return _has(annotation, mark, set())


def undeclared(annotation: Any) -> Iterator[str]:
    """Yield the path of each text or number of the type that is neither grounded nor free text, and no choice.

    ``*`` in a path stands for an item, or for the key of a mapping.
    """
    yield from _undeclared(annotation, "", ())


def _undeclared(annotation: Any, path: str, above: tuple[int, ...]) -> Iterator[str]:
    inner, grounded = _unwrapped(annotation, Grounded, None)
    _, free = _unwrapped(annotation, FreeText, None)
    if grounded or free or is_choice(inner) or id(inner) in above:
        return
    for branch in _branches(inner):
        arguments, made = get_args(branch), get_origin(branch)
        if isinstance(branch, type) and issubclass(branch, BaseModel):
            for name, info in branch.model_fields.items():
                if _mark(info.metadata, Grounded) is None and _mark(info.metadata, FreeText) is None:
                    yield from _undeclared(info.annotation, _join(path, name), (*above, id(inner)))
        elif isinstance(made, type) and arguments:
            for item in arguments:
                if item is not Ellipsis:
                    yield from _undeclared(item, _join(path, "*"), above)
        elif not is_choice(branch):
            yield path or "*"


def _inside(annotation: Any, value: Any, mark: type[MarkT], stands: Mark | None, path: str) -> Iterator[Found]:
    if value is None or isinstance(value, bool):
        return
    annotation, stands = _unwrapped(annotation, mark, stands)
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields if name in value.model_fields_set}
    if isinstance(value, Mapping):
        for key, inner in value.items():
            known = _field(annotation, str(key), mark, stands)
            if known is None:  # a mapping's key is data; a model's is a name
                key_type, of = _mapping(annotation)
                yield from _inside(key_type, str(key), mark, stands, _join(path, "*"))
                yield from _inside(of, inner, mark, stands, _join(path, "*"))
            else:
                yield from _inside(known[0], inner, mark, known[1], _join(path, key))
    elif isinstance(value, list | tuple | set | frozenset):
        for position, inner in enumerate(value):
            yield from _inside(_item(annotation, position), inner, mark, stands, _join(path, position))
    else:
        yield Found(path, value, stands, annotation)


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
            info = branch.model_fields[name]
            marked = _mark(info.metadata, mark) or stands
            types_so_far = found[0] if found else None
            both = info.annotation if types_so_far is None else Union[types_so_far, info.annotation]  # noqa: UP007
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
