"""Repair a garbled event as far as it can be read, only to show it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Annotated, Any, cast

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator, create_model
from pydantic.fields import FieldInfo

from ballast.errors import LogCorrupt
from ballast.log.event import GARBLED, Event
from ballast.log.events import KINDS, Fact, ModelResponded, Other

#: The replacement of a required field that cannot be read, by its type.
_NOTHING: Mapping[Any, Any] = {int: 0, str: "", bool: False}


def mended(event: Event) -> Event:
    """Return the event with a fact of the readable part of its body; the same event if all of it is readable.

    A missing or garbled field gets its default, otherwise 0, "", False or None.
    """
    try:
        _ = event.fact
    except LogCorrupt:
        # The attempt is in the key; a completion's is in the body.
        doubled = "attempt" if event.name != ModelResponded.NAME else None
        body = {name: value for name, value in event.body.items() if name != doubled}
        made = event.model_copy()
        vars(made)["fact"] = _lenient(KINDS.get(event.name, Other)).read(event.key, body)
        return made
    return event


@cache
def _lenient(kind: type[Fact]) -> type[Fact]:
    """Return the same kind of fact in a form that accepts any body."""
    fields: dict[str, Any] = {}
    for name, info in kind.model_fields.items():
        nothing = _NOTHING.get(info.annotation) if info.is_required() else info.get_default(call_default_factory=True)
        if name == "attempt":
            nothing = 1
        forgiving = WrapValidator(partial(_or_nothing, nothing))
        kept = Field(default=nothing, alias=info.alias) if info.alias else Field(default=nothing)
        fields[name] = (_annotated(info, forgiving), kept)
    return cast(type[Fact], create_model(f"Lenient{kind.__name__}", __base__=kind, **fields))


def _annotated(info: FieldInfo, last: WrapValidator) -> Any:
    found: Any = info.annotation
    for one in (*info.metadata, last):
        found = Annotated[found, one]
    return found


def _or_nothing(nothing: Any, value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except GARBLED:
        return nothing
