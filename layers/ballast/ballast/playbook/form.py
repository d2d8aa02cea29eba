"""The one JSON form of a tool's arguments: how it is read, how it is written, and what has none.

::

    JSON from anywhere ── read: validated, written, read again ──▶ arguments ── write ──▶ the form

The form has the names that a model sends (aliases), every field with its default, and texts and digits as they were
read. Reading the form gives the same arguments, and writing those the same form: ``read`` refuses what does not.
A type that cannot survive this is refused when the tool is made (``ballast.playbook.formless``).

Reading is as strict as JSON is: a number is no text, true is no 1, and numbers are finite and bounded before a
validator of the author's computes with them; nothing that was sent is dropped (``hardened`` and ``kept``, beside this).
A field with ``strict=False`` (or its model's config), or with a validator of its own before it, takes texts as pydantic
does; ``4.0`` is an integer in JSON, too.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import SchemaSerializer, SchemaValidator

from ballast.contracts.wire import canonical, complaints
from ballast.errors import SchemaViolation, ends_the_process, whatever_it_raises
from ballast.playbook.hardened import (
    MAX_DIGITS,
    Node,
    as_python_has_it,
    by_value,
    hardened,
    has,
    out_of_bounds,
    without_defaults,
)
from ballast.playbook.kept import lost

#: What to do about a value that comes from a clock or from chance.
STABLE = "Take what a clock or chance says from ctx in the tool"


class Form:
    """Reads and writes the arguments of one model in their one JSON form."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model
        self.schema = hardened(cast(Node, model.__pydantic_core_schema__))
        self._reader, self._writer = reader(self.schema), writer(self.schema)
        self._authors = writer(as_python_has_it(self.schema))
        self._said = writer(without_defaults(self.schema))
        self._told_apart = writer(by_value(self.schema)) if has(self.schema, "decimal") else self._writer

    def read(self, arguments: Any) -> BaseModel:
        """Return JSON ``arguments`` as the model. Raises ``ValidationError`` or ``SchemaViolation``.

        It is read twice: what is another value each time would act twice, or be approved and not be what was approved.
        """
        return self._read(arguments)

    def made(self, values: Mapping[str, Any]) -> BaseModel:
        """Return the author's own ``values``, by the names of Python or of JSON, as the model.

        They may be JSON, or what Python has: a ``Decimal``, a date, a model. That is written as JSON first, and what
        is JSON is read as it is from anybody else: "5" is no 5. Raises as ``read`` does.
        """
        problem: ValidationError | SchemaViolation | None = None
        ways: tuple[Callable[[], dict[str, Any]], ...] = (lambda: dict(values), lambda: self._as_json(values))
        for made in ways:
            for by_name in (None, True):  # a nested model may have the one's name as the other's alias: JSON's first
                try:
                    return self._read(made(), by_name=by_name)
                except (ValidationError, SchemaViolation) as refused:
                    problem = min(problem or refused, refused, key=_complaints)
                except (TypeError, ValueError, RecursionError):  # no JSON: an object of Python's, a NaN
                    continue
        raise problem or SchemaViolation("(whole): cannot be written as JSON")

    def _read(self, arguments: Any, *, by_name: bool | None = None) -> BaseModel:
        if (large := out_of_bounds(arguments)) is not None:
            raise SchemaViolation(f"{large}: must be a finite number of at most {MAX_DIGITS} digits")
        text, by_alias = canonical(arguments), True if by_name else None
        first: BaseModel = self._reader.validate_json(text, by_alias=by_alias, by_name=by_name)
        if (what := lost(arguments, first, by_name=bool(by_name))) is not None:
            raise SchemaViolation(what)
        again: BaseModel = self._reader.validate_json(text, by_alias=by_alias, by_name=by_name)
        if first != again:
            fields = ", ".join(_differ(first, again)) or "(whole)"
            raise SchemaViolation(f"{fields}: is not stable, it is read as another value each time. {STABLE}")
        return self._settled(first)

    def _as_json(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what Python has as JSON, by the model's own serializers. Raises whatever those raise."""
        model = self.model
        given = {name: name for name in model.model_fields if name in values}
        for name, info in model.model_fields.items():
            alias = info.serialization_alias or info.alias
            if alias in values and alias not in model.model_fields:
                given[name] = cast(str, alias)
        made = model.__new__(model)  # unchecked, which is what reading is for
        for name, value in (
            ("__dict__", {name: values[key] for name, key in given.items()}),
            *(("__pydantic_fields_set__", set(given)), ("__pydantic_extra__", None), ("__pydantic_private__", None)),
        ):
            object.__setattr__(made, name, value)
        known = self._authors.to_python(
            made, mode="json", by_alias=True, round_trip=True, warnings=False, include=set(given), fallback=_as_list
        )
        return cast(dict[str, Any], known) | {key: values[key] for key in values if key not in given.values()}

    def write(self, args: BaseModel) -> dict[str, Any]:
        """Return the form of arguments that were read."""
        form: dict[str, Any] = written(self._writer, args)
        return form

    def said(self, args: BaseModel) -> dict[str, Any]:
        """Return the form without what is as its default is: what a call says, by which its size is measured."""
        return cast(dict[str, Any], written(self._said, args, exclude_defaults=True))

    def value(self, args: BaseModel) -> Any:
        """Return JSON by which equal arguments are told: the form, with 1.50 of an amount as 1.5."""
        return written(self._told_apart, args)

    def _settled(self, args: BaseModel) -> BaseModel:
        """Return the arguments as their form says them. Raises ``SchemaViolation`` where it does not say the same."""
        try:
            return cast(BaseModel, settled(self._reader, self._writer, args)[0])
        except Unsettled as problem:
            raise SchemaViolation(
                f"{', '.join(self._lost(args)) or '(whole)'}: is another value once it is written as JSON and read "
                f"again ({problem}). Send it in another way"
            ) from None

    def _lost(self, args: BaseModel) -> Iterator[str]:
        """Yield the names of the fields that are other ones after the way through JSON."""
        again: Any = None
        with whatever_it_raises():
            again = self._reader.validate_json(canonical(written(self._writer, args)))
        if again is None:
            return
        yield from _differ(args, again)


def _differ(one: BaseModel, other: BaseModel) -> Iterator[str]:
    """Yield the names, as a model sends them, of the fields that are not the same."""
    for name, info in type(one).model_fields.items():
        if getattr(one, name, None) != getattr(other, name, None):
            yield info.serialization_alias or info.alias or name


def _complaints(problem: ValidationError | SchemaViolation) -> int:
    return problem.error_count() if isinstance(problem, ValidationError) else 1


def _as_list(value: Any) -> Any:
    """Return what has no JSON type, but items, as a list. Raises ``TypeError``."""
    return dict(value) if isinstance(value, Mapping) else list(value)


class Unsettled(Exception):
    """A value is another one once it was written and read again; says how."""


def settled(read: SchemaValidator, write: SchemaSerializer, value: Any) -> tuple[Any, Any]:
    """Return ``value`` as its JSON says it, and that JSON, which reads and writes the same for ever.

    Raises ``Unsettled``. A default may be written more loosely than it is read (0 of an amount): one way puts it right.
    """
    try:
        form = written(write, value)
        again = read.validate_json(canonical(form))
        if canonical(once_more := written(write, again)) != canonical(form):
            form, again = once_more, read.validate_json(canonical(once_more))
            once_more = written(write, again)
        same = again == value and canonical(once_more) == canonical(form)
    except ValidationError as problem:
        raise Unsettled(complaints(problem)) from None
    except BaseException as problem:  # whatever a serializer or validator of the author's raises
        if ends_the_process(problem):
            raise
        raise Unsettled(type(problem).__name__) from None
    if not same:
        raise Unsettled("it does not come back as it was")
    return again, form


def reader(schema: Node) -> SchemaValidator:
    """Return what reads JSON by a hardened schema, nested models included."""
    return SchemaValidator(cast(Any, schema), _use_prebuilt=False)


def writer(schema: Node) -> SchemaSerializer:
    """Return what writes JSON by a hardened schema, nested models included."""
    return SchemaSerializer(cast(Any, schema), _use_prebuilt=False)


def written(write: SchemaSerializer, value: Any, *, exclude_defaults: bool = False) -> Any:
    """Return a value as JSON, by the names that are read again and without what is only computed."""
    # Without warnings: they would print the value, sensitive or not.
    return write.to_python(
        value, mode="json", by_alias=True, round_trip=True, warnings=False, exclude_defaults=exclude_defaults
    )
