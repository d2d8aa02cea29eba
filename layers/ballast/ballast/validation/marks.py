"""Marks on fields of a tool's models: where values must come from, that they are untrusted, or that they are sensitive.

::

    class RefundOrder(BaseModel):
        order_id: Annotated[str, Grounded]           # must occur in the request, its context or an earlier result
        amount_usd: Annotated[Decimal, Grounded]
        remark: Annotated[str, FreeText]             # the model's own words

    class Order(BaseModel):
        customer_note: Annotated[str, Untrusted]     # a customer's words: a value that occurs only there is tainted
        card_number: Annotated[str, Sensitive]       # encrypted or masked in the log, masked everywhere else
"""

import dataclasses
import typing
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cached_property
from types import NoneType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

from ballast.validation.annotations import branches, extras_of, items_of, mark_of, marked_in, members_of, unwrapped
from ballast.validation.values import Kind, SearchValue
from ballast.values import dataclass


@dataclass(frozen=True)
class Grounded:
    """An argument whose values must occur in the run's sources. The class itself works as a mark, too.

    On a list or a model it applies to every value inside. ``kind`` says how values are compared; None derives it from
    the value. ``may_be_empty``: an empty text, which occurs in no source, needs none: it removes what is there.
    """

    kind: Kind | None = None
    may_be_empty: bool = False


@dataclass(frozen=True)
class FreeText:
    """An argument that is meant to be the model's own words: a remark, a search, a count. It needs no ground.

    ``quotes`` False: a passage that occurs only in untrusted text is tainted, so that foreign instructions are not
    recorded as the agent's words.
    """

    quotes: bool = True


@dataclass(frozen=True)
class Untrusted:
    """A field of a result with untrusted text."""


@dataclass(frozen=True)
class Sensitive:
    """A field of arguments or of a result that only the executor, the planners and the tools may see."""


Mark = Grounded | FreeText | Untrusted | Sensitive
MarkT = typing.TypeVar("MarkT", Grounded, FreeText, Untrusted, Sensitive)


@dataclass(frozen=True)
class FieldValue:
    """A value inside a model or JSON, with its path, such as ``address.street`` or ``lines.0.sku``, and its mark.

    field  the name of its field, or of the field whose list or mapping it is in; "" outside of fields
    own    whether it is its field's default, which the author wrote
    """

    path: str
    value: Any
    mark: Mark | None
    field: str = ""
    annotation: Any = dataclasses.field(default=None, compare=False, repr=False)
    own: bool = dataclasses.field(default=False, compare=False, repr=False)

    @cached_property
    def wanted(self) -> SearchValue:
        """The value to search for, compared by its mark's kind, or by its name and type."""
        return SearchValue.of(self.value, getattr(self.mark, "kind", None), self.field)

    @property
    def chosen(self) -> bool:
        """Whether its type lists its values, which are the author's own words."""
        return is_choice(self.annotation)

    @property
    def in_list(self) -> bool:
        """Whether it is in an item of a list, or a key or a value of a mapping."""
        return "*" in self.shape

    @property
    def shape(self) -> str:
        """Its path with ``*`` for positions in lists: the same for all values at that place of a list's items."""
        return ".".join("*" if step.isdigit() else step for step in self.path.split("."))


def is_default(model: type[BaseModel], found: FieldValue) -> bool:
    """Return whether an argument is its field's default, which the author chose."""
    field = model.model_fields.get(found.path)
    return field is not None and not field.is_required() and bool(field.default == found.value)


def is_choice(annotation: Any) -> bool:
    """Return whether the type lists its values: a Literal, an Enum, a boolean."""
    found = list(branches(annotation))
    return bool(found) and all(
        get_origin(one) is Literal or one in (bool, None, NoneType) or _is_enum(one) for one in found
    )


def _is_enum(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Enum)


def leaves(annotation: Any, value: Any, mark: type[MarkT]) -> Iterator[FieldValue]:
    """Yield every text and number of ``value``, an instance or JSON of ``annotation``, with its mark of that type.

    A mapping's key is a text as well, ``*`` in the path because a reader of the path may not be allowed to see it.
    ``None`` is left out, booleans except for ``Sensitive``, and defaults, which the author wrote. Paths have the
    fields' JSON names.
    """
    return (found for found in _inside(annotation, value, mark, None, "", "") if not found.own)


def leaves_with_defaults(annotation: Any, value: Any, mark: type[MarkT]) -> Iterator[FieldValue]:
    """Yield the same as ``leaves``, and defaults in a list beside other values of their field.

    Together they may spell a value: in 1, 0, 0, 2 a default of "0" is chosen as much as the others. A list of
    defaults alone was not chosen; the form does not tell whether a default was sent.
    """
    everything = list(_inside(annotation, value, mark, None, "", ""))
    chosen = {found.shape for found in everything if not found.own}
    return (found for found in everything if not found.own or found.shape in chosen)


def has_mark(annotation: Any, mark: type[MarkT]) -> bool:
    """Return whether the mark is anywhere in the type."""
    return any(True for _ in marked_in(annotation, mark))


def ineffective_marks(annotation: Any) -> list[str]:
    """Return the fields whose mark would have no effect, because the log does not have their values under their
    name."""
    marks: tuple[type[Mark], ...] = (Grounded, FreeText, Untrusted, Sensitive)
    any_mark: Any = Mark
    if not any(one.lost_in for one in marked_in(annotation, any_mark)):  # the usual type: one walk instead of four
        return []
    return [
        f"{one.path or 'the type itself'} ({mark.__name__}, {one.lost_in})"
        for mark in marks
        for one in marked_in(annotation, mark)
        if one.lost_in
    ]


def undeclared(annotation: Any) -> Iterator[str]:
    """Yield the path of each text or number of the type that is neither grounded, free text nor a choice.

    ``*`` in a path is an item, or the key of a mapping.
    """
    yield from _undeclared(annotation, "", ())


def _undeclared(annotation: Any, path: str, above: tuple[int, ...]) -> Iterator[str]:
    inner, grounded = unwrapped(annotation, Grounded, None)
    _, free = unwrapped(annotation, FreeText, None)
    if grounded or free or is_choice(inner) or id(inner) in above:
        return
    for branch in branches(inner):
        arguments, made, members = get_args(branch), get_origin(branch), members_of(branch)
        if members is not None:
            for name, member in members.items():
                if mark_of(member.metadata, Grounded) is None and mark_of(member.metadata, FreeText) is None:
                    yield from _undeclared(member.annotation, _join(path, name), (*above, id(inner)))
            extras = extras_of(branch)
            if extras is not None and not extras.lost_in:
                yield from _undeclared(extras.annotation, _join(path, "*"), (*above, id(inner)))
        elif isinstance(made, type) and arguments:
            for item in arguments:
                if item is not Ellipsis:
                    yield from _undeclared(item, _join(path, "*"), above)
        elif not is_choice(branch):
            yield path or "*"


def _inside(
    annotation: Any,
    value: Any,
    mark: type[MarkT],
    stands: Mark | None,
    path: str,
    field: str,
    *,
    repeated: bool = False,
    own: bool = False,
) -> Iterator[FieldValue]:
    """Yield the values in ``value``, including defaults in lists.

    repeated  it is in a list or a mapping
    own       it is, or is in, a field's default
    """
    if value is None or (isinstance(value, bool) and mark is not Sensitive):
        return
    annotation, stands = unwrapped(annotation, mark, stands)
    if isinstance(value, RootModel):
        yield from _inside(annotation, value.root, mark, stands, path, field, repeated=repeated, own=own)
        return
    if isinstance(value, BaseModel):
        for sent_as, name, inner, default in _given(value):
            if default and not repeated:
                continue
            annotated, marked = _field(annotation, name, mark, stands) or (Any, stands)
            at, by_default = _join(path, sent_as), own or default
            yield from _inside(annotated, inner, mark, marked, at, name, repeated=repeated, own=by_default)
        value = value.model_extra or {}
    elif is_dataclass(value) and not isinstance(value, type):
        value = {one.name: getattr(value, one.name) for one in fields(value)}
    if isinstance(value, Mapping):
        for key, inner in value.items():
            known = _field(annotation, str(key), mark, stands)
            if known is None:  # keys of mappings and unknown keys of models are data; a model's own keys are names
                key_type, of = _mapping(annotation)
                extra = next(filter(None, map(extras_of, branches(annotation))), None)
                yield from _inside(key_type, str(key), mark, stands, _join(path, "*"), field, own=own)
                if extra is not None:
                    at, inside = _join(path, "*"), extra.annotation
                    yield from _inside(inside, inner, mark, stands, at, str(key), repeated=repeated, own=own)
                else:
                    yield from _inside(of, inner, mark, stands, _join(path, "*"), field, repeated=True, own=own)
            else:
                at = _join(path, key)
                yield from _inside(known[0], inner, mark, known[1], at, str(key), repeated=repeated, own=own)
    elif isinstance(value, list | tuple | set | frozenset):
        for position, inner in enumerate(value):
            of = Union[tuple(items_of(annotation, position)) or (Any,)]  # noqa: UP007
            yield from _inside(of, inner, mark, stands, _join(path, position), field, repeated=True, own=own)
    else:
        yield FieldValue(path, value, stands, field, annotation, own)


def _given(model: BaseModel) -> Iterator[tuple[str, str, Any, bool]]:
    """Yield the fields of a model that were set: name in JSON, name, value, whether it is the default."""
    for name, info in type(model).model_fields.items():
        if name in model.model_fields_set:
            value = getattr(model, name)
            default = not info.is_required() and _is_default(info, value)
            yield info.serialization_alias or info.alias or name, name, value, default


def _is_default(info: FieldInfo, value: Any) -> bool:
    if info.default_factory is not None and info.default_factory_takes_validated_data:
        return False
    default = info.get_default(call_default_factory=True)
    return type(default) is type(value) and bool(default == value)


def _join(path: str, step: object) -> str:
    return f"{path}.{step}" if path else str(step)


def _field(annotation: Any, name: str, mark: type[MarkT], stands: Mark | None) -> tuple[Any, Mark | None] | None:
    """Return the type and the mark of a model's field; None if no branch of the type has it.

    If several have it, one mark is enough.
    """
    found: tuple[Any, Mark | None] | None = None
    for branch in branches(annotation):
        member = (members_of(branch) or {}).get(name)
        if member is not None:
            marked = mark_of(member.metadata, mark) or stands
            both = member.annotation if found is None else Union[found[0], member.annotation]  # noqa: UP007
            found = (both, marked or (found[1] if found else None))
    return found


def _mapping(annotation: Any) -> tuple[Any, Any]:
    """Return the types of a mapping's keys and values."""
    for branch in branches(annotation):
        made, arguments = get_origin(branch), get_args(branch)
        if isinstance(made, type) and issubclass(made, Mapping) and arguments:
            return arguments[0], int if issubclass(made, Counter) else arguments[-1]
    return Any, Any
