"""Arguments by a pinned JSON Schema, in their one JSON form: the second implementation of ``ArgumentsForm``.

The rules are those of ``ballast.playbook.arguments.form``: a number is not a text, true is not 1, numbers are finite
and bounded, ``4.0`` is the integer 4, nothing that was sent is dropped. Nothing is added either: an argument that was
not sent stays away, because the server knows its defaults. To tell calls apart, a default counts as if it were sent.

A whole number that not every JSON parser keeps is refused: the server's parser is not known.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

from pydantic import ConfigDict, RootModel

from ballast.contracts.wire import MAX_WHOLE, read_json, text_or_length, without_surrogates
from ballast.errors import PlaybookInvalid, SchemaViolation
from ballast.playbook.arguments.strict_schema import MAX_DIGITS, out_of_bounds
from ballast.playbook.servers.schema import Marks, Path, SchemaRefused, annotation, closed, normalized
from ballast.playbook.servers.work import Work, compared

#: Steps of a regular expression before it counts as not matching. A pattern comes from the server.
_BACKTRACKS = 1_000
_MAX_NAME, _MAX_COMPLAINTS, _MAX_SHOWN = 80, 8, 300
#: More digits than a double keeps, in a text that is a number.
_KEPT_DIGITS, _NUMBER = 15, re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
#: What a complaint says of a keyword; {} is the keyword's value in the schema.
_SAID = {
    "type": "must be of the JSON type {}",
    "enum": "must be one of {}",
    "const": "must be {}",
    "format": "must be a text of the format {}",
    "pattern": "must match the pattern {}",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be greater than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "minProperties": "must have at least {} entries",
    "maxProperties": "must have at most {} entries",
    "uniqueItems": "must not have an item twice",
    "anyOf": "fits none of the forms that are allowed",
    "oneOf": "must fit exactly one of the forms that are allowed",
    "not": "has a form that is not allowed",
    "dependentRequired": "lacks an argument that another one needs",
}


class SchemaArguments(RootModel[dict[str, Any]]):
    """Arguments of one tool from elsewhere: a JSON object that its schema accepts. Each tool has a class of its own."""

    # Nothing is validated by pydantic here, so no class builds a validator.
    model_config = ConfigDict(frozen=True, defer_build=True)
    #: Reader and writer of the arguments, and the type on which their marks stand.
    json_form: ClassVar["SchemaForm"]
    marked_type: ClassVar[Any]

    @classmethod
    def model_json_schema(cls, *_args: Any, **_options: Any) -> dict[str, Any]:
        """Return the schema that the model gets."""
        return cls.json_form.schema

    @classmethod
    def model_validate_json(cls, json_data: Any, **_options: Any) -> "SchemaArguments":
        """Return JSON text as arguments. Raises ``SchemaViolation``."""
        try:
            return cls.json_form.read(read_json(json_data))
        except ValueError:
            raise SchemaViolation("(whole): must be JSON whose numbers keep their digits") from None


class SchemaForm:
    """Reader and writer of arguments by a JSON Schema.

    ``schema`` is what the model reads: without the arguments that the executor sets. Nobody else may send those, even
    where the schema lets an object have other properties.
    """

    def __init__(self, pinned: Mapping[str, Any], marks: Marks, hidden: frozenset[str] = frozenset()) -> None:
        """Raises ``SchemaRefused`` for a schema that cannot be read, and for a mark that stands nowhere."""
        self.whole, self._hidden = normalized(pinned), hidden
        self.schema = _without(self.whole, hidden)
        marked, reached = annotation(self.schema, marks)
        if nowhere := next((path for path in marks if path not in reached), None):
            raise SchemaRefused(f"has no argument {_written(nowhere)}")
        self.model: type[SchemaArguments] = type(
            "Arguments", (SchemaArguments,), {"json_form": self, "marked_type": marked, "__module__": __name__}
        )

    def read(self, arguments: Any) -> SchemaArguments:
        """Return JSON ``arguments`` as the model. Raises ``SchemaViolation``, which names fields and not values."""
        if not isinstance(arguments, Mapping):
            raise SchemaViolation(f"(whole): must be an object, not {type(arguments).__name__}")
        if (large := out_of_bounds(arguments)) is not None:
            raise SchemaViolation(f"{large}: must be a finite number of at most {MAX_DIGITS} digits")
        if set_by_executor := sorted(self._hidden & arguments.keys()):
            raise SchemaViolation(
                "; ".join(f"{name}: is set by the executor. Leave it out" for name in set_by_executor)
            )
        form = _one_spelling(arguments, "")
        if complaints := self.complaints(form):
            raise SchemaViolation(complaints)
        return self.model.model_construct(form)

    def from_python(self, values: Mapping[str, Any]) -> SchemaArguments:
        """Return the author's ``values`` as the model: JSON, or a ``Decimal``, a date or a tuple. Raises as ``read``
        does."""
        return self.read(_as_json(dict(values), ""))

    def write(self, args: SchemaArguments) -> dict[str, Any]:
        """Return the form of validated arguments."""
        form: dict[str, Any] = _copied(args.root)
        return form

    def without_defaults(self, args: SchemaArguments) -> dict[str, Any]:
        """Return the form, by which a call's size is measured: defaults are not in it."""
        return self.write(args)

    def comparable(self, args: SchemaArguments) -> Any:
        """Return JSON that is equal for calls that ask for the same: with the defaults of its schema."""
        return _with_defaults(self.schema, args.root, self.schema.get("$defs", {}), 0)

    def complaints(self, form: Any, *, whole: bool = False) -> str:
        """Return what is wrong with JSON ``form``, "" if it fits. ``whole``: with what the executor sets."""
        return (self._whole_validator if whole else self._validator).complaints(form)

    def complaint_about(self, name: str, value: Any) -> str:
        """Return what is wrong with one argument of the whole schema, "" if nothing is."""
        one = self.whole.get("properties", {}).get(name)
        if one is None:
            return "is no argument of the tool"
        return Validator({"$defs": self.whole.get("$defs", {}), "allOf": [one]}).complaints(value)

    def compile(self) -> None:
        """Raise ``SchemaRefused`` where the schema is no JSON Schema."""
        self._validator, self._whole_validator  # noqa: B018  made now, so that it fails at load

    @cached_property
    def _validator(self) -> "Validator":
        return Validator(closed(self.schema))

    @cached_property
    def _whole_validator(self) -> "Validator":
        return self._validator if self.whole is self.schema else Validator(closed(self.whole))


class OutputForm:
    """The form that a tool's results must have: its pinned schema. What that does not name may be there."""

    def __init__(self, pinned: Mapping[str, Any]) -> None:
        """Raises ``SchemaRefused`` for a schema that cannot be read."""
        self._validator = Validator(normalized(pinned, of_object=False), formats=False)

    def complaints(self, result: Any) -> str:
        """Return what is wrong with a result, "" if it fits, without its values."""
        if much := self._validator.too_much(result):
            return much
        said = self._validator.complaints(result)
        if not said:
            return ""
        # A number that not every parser keeps came as a text (``read_digits``).
        numbers = _copied(result)
        for error in self._validator.errors(result):
            _put_number(numbers, list(error.instance_path))
        return said if self._validator.complaints(numbers) else ""


def _put_number(value: Any, path: list[str | int]) -> None:
    """Replace the text at a path by the number that it is, if it has more digits than a double keeps."""
    *above, last = path or [""]
    for step in above:
        value = value[step]
    text = value[last] if path else None
    if isinstance(text, str) and len(text) > _KEPT_DIGITS and _NUMBER.fullmatch(text):
        value[last] = float(text)


def validator_of(schema: Mapping[str, Any], *, formats: bool = True) -> Any:
    """Return a validator of a normalized schema. Raises ``SchemaRefused``."""
    try:
        import jsonschema_rs
    except ImportError:
        raise PlaybookInvalid(
            "The playbook has tools from elsewhere (servers/), and jsonschema-rs is not installed. Add the line that "
            "`ballast import` prints to the requirements.txt of the playbook's layer."
        ) from None
    try:
        return jsonschema_rs.Draft202012Validator(
            dict(schema),
            validate_formats=formats,
            offline=True,
            pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACKS),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as wrong:
        where = "/".join(str(step) for step in getattr(wrong, "instance_path", ()))
        said = str(getattr(wrong, "message", wrong)).splitlines()[0]
        raise SchemaRefused(f"is no JSON Schema: /{where}: {text_or_length(said, _MAX_SHOWN)}") from None


class Validator:
    """A validator of a normalized schema, whose work is bounded."""

    def __init__(self, schema: Mapping[str, Any], *, formats: bool = True) -> None:
        """``formats``: whether the value is sent, and so must have its formats, and the digits of its numbers.

        Raises ``SchemaRefused``.
        """
        self._exact = formats
        self._validator, self._work, self._schema = validator_of(schema, formats=formats), Work(schema), schema

    def complaints(self, form: Any) -> str:
        """Return the names of the wrong fields with what their schema asks for, without the values that were sent."""
        if much := self.too_much(form):
            return much
        said = dict.fromkeys(_lossy(self._schema, form)) if self._exact else {}
        for error in self.errors(form):
            said.update(dict.fromkeys(_said(error)))
        shown = list(said)[:_MAX_COMPLAINTS]
        more = len(said) - len(shown)
        return "; ".join(shown + ([f"and {more} more"] if more else []))

    def too_much(self, form: Any) -> str:
        """Return why a value is not compared, "" if it can be."""
        much = self._work.too_much(form)
        return f"(whole): {much}" if much else ""

    def errors(self, form: Any) -> Iterator[Any]:
        """Yield the errors of a value that is not ``too_much``."""
        yield from self._validator.iter_errors(form)


def _lossy(schema: Mapping[str, Any], form: Any) -> Iterator[str]:
    """Yield what is wrong with whole numbers of which a parser may lose a digit.

    As tools of one's own read them: 1e16 is no way to write a whole number. Digits above 2^53 are sent where the
    schema says that its numbers have 64 bits.
    """
    if not any(abs(number) > MAX_WHOLE for number in _numbers(form)):
        return
    kinds: dict[tuple[str, ...], set[str]] = {}
    large: dict[tuple[str, ...], int | float] = {}
    for part, value, path in compared(schema, form):
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) <= MAX_WHOLE:
            continue
        large[path] = value
        named = part.get("type", ())
        kinds.setdefault(path, set()).update([named] if isinstance(named, str) else named, [str(part.get("format"))])
    for path, number in large.items():
        where, known = ".".join(text_or_length(step, _MAX_NAME) for step in path) or "(whole)", kinds[path]
        if isinstance(number, float) and "integer" in known and "number" not in known:
            yield f"{where}: must be written with all its digits, without a point or an exponent"
        elif isinstance(number, int) and not known & {"int64", "uint64"}:
            yield f"{where}: has more digits than every JSON parser keeps"


def _numbers(value: Any) -> Iterator[int | float]:
    if isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _numbers(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def _said(error: Any) -> Iterator[str]:
    where = ".".join(text_or_length(str(step), _MAX_NAME) for step in error.instance_path)
    kind, keyword = error.kind, str(list(error.schema_path)[-1]) if list(error.schema_path) else ""
    if keyword == "required":
        yield f"{_join(where, str(kind.property))}: is missing"
    elif keyword in ("additionalProperties", "unevaluatedProperties"):
        names = getattr(kind, "unexpected", None) or ["a field"]
        for name in names:
            yield f"{_join(where, text_or_length(' '.join(str(name).split()), _MAX_NAME))}: is not an argument"
    else:
        value = _value_of(kind)
        yield f"{where or '(whole)'}: {_SAID.get(keyword, f'does not fit {keyword}').format(value)}"


def _value_of(kind: Any) -> str:
    for name in ("limit", "types", "options", "format", "pattern", "expected_value", "multiple_of"):
        if hasattr(kind, name):
            value = getattr(kind, name)
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            return shown if len(shown) <= _MAX_SHOWN else "the schema's"
    return "the schema's"


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _written(path: Path) -> str:
    return "/" + "/".join(path)


def _without(schema: dict[str, Any], hidden: frozenset[str]) -> dict[str, Any]:
    if not hidden:
        return schema
    made = dict(schema)
    made["properties"] = {name: one for name, one in schema.get("properties", {}).items() if name not in hidden}
    if "required" in schema:
        made["required"] = [name for name in schema["required"] if name not in hidden]
    return made


def _one_spelling(value: Any, path: str) -> Any:
    """Return JSON with whole numbers as integers. Raises ``SchemaViolation`` for a text that is none."""
    if isinstance(value, Mapping):
        return {_unicode(name, path): _one_spelling(one, _join(path, str(name))) for name, one in value.items()}
    if isinstance(value, str):
        return _unicode(value, path)
    if isinstance(value, list | tuple):
        return [_one_spelling(one, _join(path, str(at))) for at, one in enumerate(value)]
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_WHOLE:
        return int(value)
    return value


def _unicode(text: str, path: str) -> str:
    if not text.isascii() and without_surrogates(text) != text:
        raise SchemaViolation(f"{path or '(whole)'}: has half of a surrogate pair, which is no Unicode text")
    return text


def _as_json(value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _as_json(one, _join(path, str(name))) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(one, _join(path, str(at))) for at, one in enumerate(value)]
    if isinstance(value, Decimal):
        number = int(value) if value == value.to_integral_value() else float(value)
        if Decimal(repr(number)) != value:
            raise SchemaViolation(f"{path}: has more digits than a JSON number keeps")
        return number
    if isinstance(value, date | datetime):
        return value.isoformat()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise SchemaViolation(f"{path or '(whole)'}: {type(value).__name__} cannot be written as JSON")


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(one) for name, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list) else value


def _with_defaults(schema: Any, value: Any, definitions: Mapping[str, Any], deep: int) -> Any:
    if not isinstance(schema, Mapping) or deep > len(definitions) + 64:
        return value
    if "$ref" in schema:
        value = _with_defaults(definitions[schema["$ref"].removeprefix("#/$defs/")], value, definitions, deep + 1)
    if isinstance(value, Mapping):
        made = dict(value)
        for name, one in schema.get("properties", {}).items():
            if isinstance(one, Mapping) and name not in made and "default" in one:
                made[name] = _one_spelling(one["default"], name)
            elif name in made:
                made[name] = _with_defaults(one, made[name], definitions, deep + 1)
        return made
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        return [_with_defaults(schema["items"], one, definitions, deep + 1) for one in value]
    return value
