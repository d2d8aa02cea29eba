"""Type annotations: walk the types in which a mark may be, and find the marks of a type. Pure.

Supported are models, dataclasses, typed dictionaries, named tuples, lists and mappings of them, unions, aliases, and
any nesting. In other types, in types with a serializer of their own, and in parts that are not serialized (excluded,
private, class variables, a serializer's return type) a mark has no effect, and ``marked_in`` says why.
"""

import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import InitVar, is_dataclass
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import typing_extensions
from pydantic import AliasChoices, BaseModel, PlainSerializer, RootModel, WrapSerializer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ballast.values import dataclass

T = typing.TypeVar("T")

#: ``type X = …`` came with Python 3.12.
_ALIASES: tuple[Any, ...] = tuple(
    {getattr(module, "TypeAliasType", None) for module in (typing, typing_extensions)} - {None}
)
_UNIONS = (Union, types.UnionType)
#: Qualifiers around the type of a field.
_AROUND = {
    getattr(module, name, None)
    for module in (typing, typing_extensions)
    for name in ("Required", "NotRequired", "ReadOnly", "Final", "ClassVar")
}


@dataclass(frozen=True)
class Member:
    """A field of a model: its type, its metadata, and why marks on it have no effect; "" if they work."""

    annotation: Any
    metadata: tuple[object, ...] = ()
    lost_in: str = ""


@dataclass(frozen=True)
class MarkedField:
    """A field with a mark. ``lost_in``: why the mark has no effect; "" if it works."""

    path: str
    lost_in: str = ""


def mark_of(metadata: Iterable[object], mark: type[T]) -> T | None:
    """Return the mark among a type's metadata; the class itself counts as an instance."""
    for one in metadata:
        if isinstance(one, mark):
            return one
        if isinstance(one, type) and issubclass(one, mark):
            return one()
    return None


def unwrapped(annotation: Any, mark: type[Any], stands: Any) -> tuple[Any, Any]:
    """Unwrap ``Annotated``, aliases and root models. Return the inner type, and its mark or the outer mark ``stands``.

    A mark on one branch of a union (``Annotated[str, Grounded] | None``) applies to all of them.
    """
    while True:
        if isinstance(annotation, _ALIASES):
            annotation = annotation.__value__
        elif isinstance(get_origin(annotation), _ALIASES):
            annotation = _with_arguments(get_origin(annotation), annotation)
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif get_origin(annotation) in _AROUND and get_args(annotation):
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, typing.TypeVar):
            constraints: Any = annotation.__constraints__ or (Any,)
            annotation = annotation.__bound__ or Union[constraints]  # noqa: UP007  how many is not known here
        elif get_origin(annotation) is Annotated:
            annotation, *metadata = get_args(annotation)
            stands = mark_of(metadata, mark) or stands
        elif isinstance(annotation, type) and issubclass(annotation, RootModel) and annotation is not RootModel:
            root = annotation.model_fields["root"]
            annotation, stands = root.annotation, mark_of(root.metadata, mark) or stands
        else:
            break
    if get_origin(annotation) in _UNIONS:
        for branch in get_args(annotation):
            _, stands = unwrapped(branch, mark, stands)
    return annotation, stands


def _with_arguments(alias: Any, annotation: Any) -> Any:
    """Return the type that a generic alias means with its arguments."""
    of = alias.__value__
    return of[get_args(annotation)] if getattr(of, "__parameters__", ()) else of


class _NoMark:
    pass


def branches(annotation: Any) -> Iterator[Any]:
    """Yield the types that a value may have, unwrapped."""
    inner, _ = unwrapped(annotation, _NoMark, None)
    if get_origin(inner) in _UNIONS:
        for branch in get_args(inner):
            yield from branches(branch)
    else:
        yield inner


def items_of(annotation: Any, position: int) -> Iterator[Any]:
    """Yield the types that the item of a sequence may have."""
    for branch in branches(annotation):
        arguments = get_args(branch)
        made = get_origin(branch)
        if isinstance(branch, type) and issubclass(branch, tuple) and hasattr(branch, "_fields"):
            yield list(_hints(branch).values())[min(position, len(branch._fields) - 1)]
        elif isinstance(made, type) and arguments and issubclass(made, Collection) and not issubclass(made, Mapping):
            if made is tuple and arguments[-1] is not Ellipsis:
                yield arguments[min(position, len(arguments) - 1)]
            else:
                yield arguments[0]


def members_of(branch: Any) -> Mapping[str, Member] | None:
    """Return the fields of a model, a dataclass or a typed dictionary, by each of their JSON names."""
    try:
        return _members(branch)
    except TypeError:  # an unhashable type has no fields
        return None


@lru_cache(maxsize=1_024)
def _members(branch: Any) -> Mapping[str, Member] | None:
    made = get_origin(branch) or branch
    if not isinstance(made, type):
        return None
    if issubclass(made, BaseModel):
        return _of_fields(made, made.model_fields)
    if is_dataclass(made) or is_typeddict(made) or typing_extensions.is_typeddict(made):
        known_fields = getattr(made, "__pydantic_fields__", None)
        if isinstance(known_fields, dict):
            return _of_fields(made, known_fields)
        hints = _hints(made)
        arguments = dict(zip(getattr(made, "__parameters__", ()), get_args(branch), strict=False))
        return {name: Member(_substituted(hint, arguments)) for name, hint in hints.items()}
    return None


def _of_fields(made: type, fields: Mapping[str, FieldInfo]) -> dict[str, Member]:
    decorators: Any = getattr(made, "__pydantic_decorators__", None)
    own_form = bool(decorators and decorators.model_serializers)
    written: set[str] = set()
    for decorator in decorators.field_serializers.values() if decorators else ():
        written.update(decorator.info.fields)
    found: dict[str, Member] = {}
    for name, info in fields.items():
        lost_in = f"{made.__name__} has a model_serializer" if own_form else ""
        if info.exclude or getattr(info, "exclude_if", None):
            lost_in = lost_in or "it is excluded from serialization"
        names = {name, info.alias, info.serialization_alias}
        if isinstance(info.validation_alias, AliasChoices):
            choices = info.validation_alias.choices
            lost_in = lost_in or ("" if all(isinstance(one, str) for one in choices) else "its alias is a path")
            names |= {one for one in choices if isinstance(one, str)}
        elif isinstance(info.validation_alias, str):
            names.add(info.validation_alias)
        elif info.validation_alias is not None:
            lost_in = lost_in or "its alias is a path"
        # A field's serializer keeps its name, so a mark on the field works, but not one further inside.
        inside = "*" in written or name in written or any(map(_writes_itself, info.metadata))
        metadata = (*info.metadata, *((_SERIALIZED,) if inside else ()))
        for known in filter(None, names):
            found[known] = Member(info.annotation, metadata, lost_in)
    for name, decorator in decorators.computed_fields.items() if decorators else ():
        computed = decorator.info
        returns = _returned(computed.wrapped_property) if computed.return_type is PydanticUndefined else None
        for known in {name, computed.alias or name}:
            found[known] = Member(returns or computed.return_type)
    return found


def extras_of(branch: Any) -> Member | None:
    """Return the type of a model's or a typed dictionary's extra fields; None if it is not declared."""
    made = get_origin(branch) or branch
    if not isinstance(made, type):
        return None
    items = getattr(made, "__extra_items__", None)
    if items is not None:
        return Member(items)
    if not issubclass(made, BaseModel):
        return None
    arguments: dict[Any, Any] = {}
    for one in made.__mro__:
        generic = getattr(one, "__pydantic_generic_metadata__", None) or {}
        parameters = getattr(generic.get("origin"), "__pydantic_generic_metadata__", generic).get("parameters", ())
        arguments |= dict(zip(parameters, generic.get("args", ()), strict=False))
    with suppress(NameError, TypeError, AttributeError):
        hint = _substituted(_hints(made).get("__pydantic_extra__"), arguments)
        values = [get_args(one)[1] for one in branches(hint) if len(get_args(one)) == 2]
        if values and values[0] is not Any:
            allowed = made.model_config.get("extra") == "allow"
            return Member(values[0], lost_in="" if allowed else f"{made.__name__} allows no extra fields")
    return None


def _returned(function: Any) -> Any:
    """Return the return annotation of a function, method or property; None if there is none."""
    function = getattr(function, "fget", None) or getattr(function, "func", None) or function
    with suppress(NameError, TypeError, AttributeError):
        return get_type_hints(getattr(function, "__func__", function), include_extras=True).get("return")
    return None


#: Attributes of metadata that name a type: a serializer's return type, or the type of the JSON input.
_NAMED_BESIDE = ("return_type", "json_schema_input_type")


def _unserialized(made: Any, fields: Collection[str]) -> Iterator[tuple[str, Any, str]]:
    """Yield the other types of a class: name, type, and why a mark there has no effect."""
    decorators: Any = getattr(made, "__pydantic_decorators__", None)
    if decorators is not None:
        for one in (*decorators.field_serializers.values(), *decorators.model_serializers.values()):
            name = f"{one.cls_var_name}()"
            yield name, _returned(one.func), "it is on a serializer's return type"
            yield name, one.info.return_type, "it is on a serializer's return type"
    with suppress(NameError, TypeError, AttributeError):
        for name, hint in _hints(made).items():
            if name not in fields and not name.startswith("__"):
                yield name, hint, f"{made.__name__} does not serialize it"


def _beside(metadata: Iterable[object]) -> Iterator[Any]:
    """Yield the types inside metadata."""
    for one in metadata:
        for name in _NAMED_BESIDE:
            yield getattr(one, name, None)
        if _writes_itself(one):
            yield _returned(getattr(one, "func", None))


class _Serialized:
    """Metadata of a field with a serializer of its own."""


_SERIALIZED = _Serialized()


def _writes_itself(one: object) -> bool:
    return isinstance(one, PlainSerializer | WrapSerializer | _Serialized)


def _hints(made: type) -> dict[str, Any]:
    return get_type_hints(made, include_extras=True)


def _substituted(hint: Any, arguments: Mapping[Any, Any]) -> Any:
    """Return a generic's field type with its parameters substituted."""
    if not arguments:
        return hint
    if hint in arguments:
        return arguments[hint]
    parameters = getattr(hint, "__parameters__", ())
    return hint[tuple(arguments.get(one, one) for one in parameters)] if parameters else hint


def marked_in(annotation: Any, mark: type[Any]) -> Iterator[MarkedField]:
    """Yield every field of a type that has the mark, with or without effect."""
    yield from _marked_in(annotation, mark, "", "", {})


def _of_a_callable(arguments: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the types of a callable's parameters, which are in a list of their own."""
    for one in arguments:
        if isinstance(one, list):
            yield from one


def _marked_in(
    annotation: Any, mark: type[Any], path: str, lost_in: str, seen: dict[Any, Any]
) -> Iterator[MarkedField]:
    key = (id(annotation), bool(lost_in))
    if key in seen:
        return
    seen[key] = annotation  # kept, so that its id stays its own
    if isinstance(annotation, InitVar):
        yield from _marked_in(annotation.type, mark, path, lost_in or "an InitVar is not serialized", seen)
        return
    inner, stands = unwrapped(annotation, mark, None)
    if get_origin(annotation) is Annotated:
        for named in _beside(annotation.__metadata__):
            yield from _marked_in(named, mark, path, lost_in or "it is inside the metadata of a type", seen)
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        own_form = annotation.__pydantic_decorators__.model_serializers
        lost_in = lost_in or (f"{annotation.__name__} has a model_serializer" if own_form else "")
    if stands is not None:
        yield MarkedField(path, lost_in)
    if get_origin(annotation) is Annotated and any(map(_writes_itself, annotation.__metadata__)):
        lost_in = lost_in or "an enclosing field has its own serializer"
    if get_origin(inner) in _UNIONS:
        for branch in get_args(inner):
            yield from _marked_in(branch, mark, path, lost_in, seen)
        return
    members = members_of(inner)
    if members is not None:
        for name, member in members.items():
            where, lost = f"{path}.{name}" if path else name, lost_in or member.lost_in
            if mark_of(member.metadata, mark) is not None:
                yield MarkedField(where, lost)
            for named in _beside(member.metadata):
                yield from _marked_in(named, mark, where, lost or "it is inside the metadata of a type", seen)
            if any(map(_writes_itself, member.metadata)):
                lost = lost or "an enclosing field has its own serializer"
            yield from _marked_in(member.annotation, mark, where, lost, seen)
        extras = extras_of(inner)
        if extras is not None:
            where = f"{path}.*" if path else "*"
            yield from _marked_in(extras.annotation, mark, where, lost_in or extras.lost_in, seen)
        for name, hint, lost in _unserialized(get_origin(inner) or inner, members):
            yield from _marked_in(hint, mark, f"{path}.{name}" if path else name, lost_in or lost, seen)
        return
    made, arguments = get_origin(inner) or inner, get_args(inner)
    if isinstance(made, type) and issubclass(made, tuple) and hasattr(made, "_fields"):
        for name, hint in _hints(made).items():
            yield from _marked_in(hint, mark, f"{path}.{name}" if path else name, lost_in, seen)
        return
    if not (isinstance(made, type) and issubclass(made, Collection)):
        lost_in = lost_in or f"{getattr(made, '__name__', made)} is not a type that Ballast looks into"
    for one in (*(one for one in arguments if not isinstance(one, list)), *_of_a_callable(arguments)):
        yield from _marked_in(one, mark, path, lost_in, seen)
    if isinstance(made, type) and made.__module__ not in ("builtins", "typing"):
        with suppress(NameError, TypeError, AttributeError):
            for name, hint in _hints(made).items():
                where = f"{path}.{name}" if path else name
                lost = lost_in or f"{made.__name__} is not a type that Ballast looks into"
                yield from _marked_in(hint, mark, where, lost, seen)
