"""The one JSON form of a tool's arguments: reading and writing it.

::

    JSON from anywhere ── read: validated, written, read again ──▶ arguments ── write ──▶ the form

The form has the names that a model sends (aliases), every field including defaults, and texts and digits as they were
read. Reading the form gives the same arguments, and writing those gives the same form; ``read`` refuses arguments that
change. A type whose values cannot survive this is refused at load (``load_check``).

Reading is as strict as JSON: a number is not a text, true is not 1, numbers are checked to be finite and bounded before
the author's validators run, and nothing that was sent is dropped (``strict_schema``, ``lost_in_reading``). A field with
``strict=False`` (or its model's config), or with a before-validator of its own, accepts texts as pydantic does. ``4.0``
is an integer, as in JSON.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Protocol, cast

from pydantic import AliasChoices, AliasPath, BaseModel, ValidationError
from pydantic_core import SchemaSerializer, SchemaValidator, to_jsonable_python

from ballast.contracts.wire import MAX_WHOLE, canonical, complaints, text_or_length
from ballast.errors import SchemaViolation, ends_the_process, whatever_it_raises
from ballast.playbook.arguments.strict_schema import (
    MAX_DIGITS,
    Node,
    decimals_by_value,
    float_keeps,
    has_type,
    out_of_bounds,
    python_numbers,
    strict_schema,
    without_defaults,
)

_MAX_NAME_CHARS = 80


def lost_in_reading(sent: Any, read: Any, path: str = "", *, by_name: bool = False) -> str | None:
    """Return the path where ``read`` lost a part of the JSON ``sent`` that it was made from, and why; None if nothing.

    ``by_name``: Python's field names were accepted as well, whatever the model's config. A value of another shape is a
    validator's work and is not compared.
    """
    if isinstance(sent, Mapping):
        return _lost_in_object(sent, read, path, by_name)
    if isinstance(sent, list | tuple):
        return _lost_in_list(sent, read, path, by_name)
    if _rounded(sent, read):
        return f"{path or '(whole)'}: has more digits than its number keeps"
    return None


def _lost_in_object(sent: Mapping[str, Any], read: Any, path: str, by_name: bool) -> str | None:
    where = path or "(whole)"
    if isinstance(read, Mapping):
        if len(read) < len(sent):
            return f"{where}: has names that are read as one, or that are dropped"
        entries = {next(iter(to_jsonable_python({key: 0}))): value for key, value in read.items()}
        inside: Iterable[tuple[str, Any]] = ((name, entries[name]) for name in sent if name in entries)
    elif isinstance(read, BaseModel) or (is_dataclass(read) and not isinstance(read, type)):
        known = dict(_names(read))
        twice = next((one for one in known.values() if len(one & set(sent)) > 1), None)
        if twice is not None:
            return f"{where}: {' and '.join(sorted(twice & set(sent)))} are one field; send one of them"
        extras = getattr(read, "__pydantic_extra__", None) or {}
        # Pydantic accepts the Python name of an aliased field, ignores its value, and does not report it as extra.
        passed = next((name for name in sent if name in _unread(read, by_name) and name not in extras), None)
        if passed is not None:
            names = " or ".join(sorted(known[passed] - {passed}))
            return f"{f'{path}.{passed}'.lstrip('.')}: is not the field's name; send {names}"
        by_sent = {name: field for field, names in known.items() for name in names}
        inside = (
            (name, extras[name] if name in extras else getattr(read, by_sent[name], None))
            for name in sent
            if name in extras or name in by_sent
        )
    else:
        return None
    return _first(
        lost_in_reading(
            sent[name], value, f"{path}.{text_or_length(str(name), _MAX_NAME_CHARS)}".lstrip("."), by_name=by_name
        )
        for name, value in inside
    )


def _lost_in_list(sent: list[Any] | tuple[Any, ...], read: Any, path: str, by_name: bool) -> str | None:
    where = path or "(whole)"
    if isinstance(read, set | frozenset):
        if len(read) < len({canonical(one) for one in sent}):
            return f"{where}: has items that are read as one"
        if any(_rounded(one, item) for one in sent for item in read if item == _as_float(one)):
            return f"{where}: has more digits than its numbers keep"
        return None
    if isinstance(read, str | bytes | Mapping) or not isinstance(read, Collection) or len(read) != len(sent):
        return None
    pairs = zip(sent, read, strict=True)
    return _first(
        lost_in_reading(one, item, f"{path}.{at}".lstrip("."), by_name=by_name) for at, (one, item) in enumerate(pairs)
    )


def _names(read: Any) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield each field with the names that it may be sent under, except names of another field."""
    infos: Mapping[str, Any]
    if isinstance(read, BaseModel):
        infos = type(read).model_fields
    else:
        infos = getattr(type(read), "__pydantic_fields__", None) or dict.fromkeys(one.name for one in fields(read))
    aliases = {name: frozenset(_aliases(info)) or frozenset({name}) for name, info in infos.items()}
    for name in infos:
        others = {alias for other, names in aliases.items() if other != name for alias in names}
        yield name, aliases[name] | ({name} - others)


def _unread(read: Any, by_name: bool) -> frozenset[str]:
    """Return the Python names by which a model's fields are not read."""
    config = getattr(read, "model_config", None) or getattr(type(read), "__pydantic_config__", None) or {}
    if by_name or config.get("validate_by_name") or config.get("populate_by_name"):
        return frozenset()
    known = dict(_names(read))
    infos = getattr(type(read), "__pydantic_fields__", None) or {}
    aliases = {name: frozenset(_aliases(info)) for name, info in infos.items()}
    others = frozenset(alias for names in aliases.values() for alias in names)
    return frozenset(name for name in known if aliases.get(name) and name not in others)


def _aliases(info: Any) -> Iterator[str]:
    alias = getattr(info, "validation_alias", None) or getattr(info, "alias", None)
    for one in alias.choices if isinstance(alias, AliasChoices) else (alias,):
        steps = one.path if isinstance(one, AliasPath) else [one]
        if len(steps) == 1 and isinstance(steps[0], str):
            yield steps[0]


def _rounded(sent: Any, read: Any) -> bool:
    """Return whether a number was rounded when it was read. A number that a validator changed was not."""
    if type(sent) is int and type(read) is float:
        return not float_keeps(sent) and _as_float(sent) == read
    return type(sent) is float and type(read) is int and abs(sent) > MAX_WHOLE and int(sent) == read


def _as_float(sent: Any) -> Any:
    try:
        return float(sent) if type(sent) is int else sent
    except OverflowError:
        return sent


def _first(found: Iterator[str | None]) -> str | None:
    return next((one for one in found if one is not None), None)


#: The remedy for a value that comes from a clock or from chance.
TAKE_FROM_CTX = "Take what a clock or chance says from ctx in the tool"


class ArgumentsForm(Protocol):
    """Reader and writer of a tool's arguments in their one JSON form. ``Form`` is that of pydantic models; arguments by
    a JSON Schema have ``ballast.playbook.servers.form.SchemaForm``."""

    def read(self, arguments: Any) -> Any:
        """Return JSON ``arguments`` as the model. Raises ``ValidationError`` or ``SchemaViolation``."""

    def from_python(self, values: Mapping[str, Any]) -> Any:
        """Return the author's ``values`` as the model. Raises as ``read`` does."""

    def write(self, args: Any) -> dict[str, Any]:
        """Return the form of validated arguments."""

    def without_defaults(self, args: Any) -> dict[str, Any]:
        """Return the form without defaults, by which a call's size is measured."""

    def comparable(self, args: Any) -> Any:
        """Return JSON that is equal for arguments that ask for the same."""


def form_of(model: type[BaseModel]) -> ArgumentsForm:
    """Return the form of a tool's arguments: the one that the model brings, or that of its fields."""
    own: ArgumentsForm | None = getattr(model, "json_form", None)
    return own or Form(model)


class Form:
    """Reader and writer of one model's arguments in their one JSON form."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model
        self.schema = strict_schema(cast(Node, model.__pydantic_core_schema__))
        self._reader, self._writer = reader(self.schema), writer(self.schema)
        self._authors = writer(python_numbers(self.schema))
        self._said = writer(without_defaults(self.schema))
        self._told_apart = writer(decimals_by_value(self.schema)) if has_type(self.schema, "decimal") else self._writer

    def read(self, arguments: Any) -> BaseModel:
        """Return JSON ``arguments`` as the model. Raises ``ValidationError`` or ``SchemaViolation``.

        It is read twice. A value that differs each time would act twice, or differ from what was approved.
        """
        return self._read(arguments)

    def from_python(self, values: Mapping[str, Any]) -> BaseModel:
        """Return the author's ``values``, by Python names or aliases, as the model.

        They may be JSON or Python objects: a ``Decimal``, a date, a model. Objects are written as JSON first. JSON is
        read as strictly as from a model: "5" is not 5. Raises as ``read`` does.
        """
        problem: ValidationError | SchemaViolation | None = None
        ways: tuple[Callable[[], dict[str, Any]], ...] = (lambda: dict(values), lambda: self._as_json(values))
        for made in ways:
            # In a nested model a name may be another field's alias, so aliases are tried first.
            for by_name in (None, True):
                try:
                    return self._read(made(), by_name=by_name)
                except (ValidationError, SchemaViolation) as refused:
                    problem = min(problem or refused, refused, key=_complaints)
                except (TypeError, ValueError, RecursionError):  # not JSON: a Python object, a NaN
                    continue
        raise problem or SchemaViolation("(whole): cannot be written as JSON")

    def _read(self, arguments: Any, *, by_name: bool | None = None) -> BaseModel:
        if (large := out_of_bounds(arguments)) is not None:
            raise SchemaViolation(f"{large}: must be a finite number of at most {MAX_DIGITS} digits")
        text, by_alias = canonical(arguments), True if by_name else None
        first: BaseModel = self._reader.validate_json(text, by_alias=by_alias, by_name=by_name)
        if (what := lost_in_reading(arguments, first, by_name=bool(by_name))) is not None:
            raise SchemaViolation(what)
        again: BaseModel = self._reader.validate_json(text, by_alias=by_alias, by_name=by_name)
        if first != again:
            fields = ", ".join(_differ(first, again)) or "(whole)"
            raise SchemaViolation(f"{fields}: is read as a different value each time. {TAKE_FROM_CTX}")
        return self._settled(first)

    def _as_json(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return Python values as JSON, by the model's own serializers. Raises their errors."""
        model = self.model
        given = {name: name for name in model.model_fields if name in values}
        for name, info in model.model_fields.items():
            alias = info.serialization_alias or info.alias
            if alias in values and alias not in model.model_fields:
                given[name] = cast(str, alias)
        made = model.__new__(model)  # unvalidated: the reader validates
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
        """Return the form of validated arguments."""
        form: dict[str, Any] = to_json(self._writer, args)
        return form

    def without_defaults(self, args: BaseModel) -> dict[str, Any]:
        """Return the form without defaults, by which a call's size is measured."""
        return cast(dict[str, Any], to_json(self._said, args, exclude_defaults=True))

    def comparable(self, args: BaseModel) -> Any:
        """Return JSON that is equal for equal arguments: the form, with 1.50 of an amount as 1.5."""
        return to_json(self._told_apart, args)

    def _settled(self, args: BaseModel) -> BaseModel:
        """Return the arguments read from their form. Raises ``SchemaViolation`` if they differ."""
        try:
            return cast(BaseModel, round_trip(self._reader, self._writer, args)[0])
        except Unstable as problem:
            raise SchemaViolation(
                f"{', '.join(self._lost(args)) or '(whole)'}: changes when it is written as JSON and read "
                f"again ({problem}). Send it in another form"
            ) from None

    def _lost(self, args: BaseModel) -> Iterator[str]:
        """Yield the names of the fields that change when written as JSON and read again."""
        again: Any = None
        with whatever_it_raises():
            again = self._reader.validate_json(canonical(to_json(self._writer, args)))
        if again is None:
            return
        yield from _differ(args, again)


def _differ(one: BaseModel, other: BaseModel) -> Iterator[str]:
    """Yield the names, as a model sends them, of the fields that differ."""
    for name, info in type(one).model_fields.items():
        if getattr(one, name, None) != getattr(other, name, None):
            yield info.serialization_alias or info.alias or name


def _complaints(problem: ValidationError | SchemaViolation) -> int:
    return problem.error_count() if isinstance(problem, ValidationError) else 1


def _as_list(value: Any) -> Any:
    """Return an iterable without a JSON type as a list, a mapping as a dict. Raises ``TypeError``."""
    return dict(value) if isinstance(value, Mapping) else list(value)


class Unstable(Exception):
    """A value changes when it is written as JSON and read again. Its text says how."""


def round_trip(read: SchemaValidator, write: SchemaSerializer, value: Any) -> tuple[Any, Any]:
    """Return ``value`` as read from its JSON, and that JSON, which is stable under reading and writing.

    Raises ``Unstable``. A default may be written more loosely than it is read (0 for an amount); a second round
    corrects that.
    """
    try:
        form = to_json(write, value)
        again = read.validate_json(canonical(form))
        if canonical(once_more := to_json(write, again)) != canonical(form):
            form, again = once_more, read.validate_json(canonical(once_more))
            once_more = to_json(write, again)
        same = again == value and canonical(once_more) == canonical(form)
    except ValidationError as problem:
        raise Unstable(complaints(problem)) from None
    except BaseException as problem:  # any error of the author's serializer or validator
        if ends_the_process(problem):
            raise
        raise Unstable(type(problem).__name__) from None
    if not same:
        raise Unstable("it comes back changed")
    return again, form


def reader(schema: Node) -> SchemaValidator:
    """Return a validator of JSON for a strict schema, including nested models."""
    return SchemaValidator(cast(Any, schema), _use_prebuilt=False)


def writer(schema: Node) -> SchemaSerializer:
    """Return a serializer to JSON for a strict schema, including nested models."""
    return SchemaSerializer(cast(Any, schema), _use_prebuilt=False)


def to_json(write: SchemaSerializer, value: Any, *, exclude_defaults: bool = False) -> Any:
    """Return a value as JSON, by alias and without computed fields."""
    # Without warnings: they would print the value, sensitive or not.
    return write.to_python(
        value, mode="json", by_alias=True, round_trip=True, warnings=False, exclude_defaults=exclude_defaults
    )
