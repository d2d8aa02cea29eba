"""JSON Schemas of tools from elsewhere: one dialect, closed objects, and types on which marks can stand. Pure.

::

    as the server says ── normalized ─▶ 2020-12, references within itself ── closed ─▶ what arguments are checked by
                                          │
                                          └─ annotation ─▶ a type for the marks (Grounded, Sensitive, …)

**Closed.** JSON Schema lets an object have properties that it does not name. A model invents such properties, and a
server drops or believes them. So an object that names properties is closed, unless it says
``additionalProperties``. An object that names none is a free-form one, and stays open; at the root it means that the
tool takes no arguments.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any, TypedDict, Union

from ballast.contracts.wire import canonical
from ballast.errors import PlaybookInvalid
from ballast.playbook.servers.work import same_value
from ballast.validation import FreeText, Grounded, Kind, Sensitive, Untrusted
from ballast.validation.marks import Mark

#: Larger or deeper schemas are refused: every prompt would carry them. A schema has few bytes and many subschemas if
#: its references are followed.
MAX_BYTES, MAX_DEPTH = 65_536, 48
MAX_SUBSCHEMAS, MAX_VALUES = 8_192, 5_000
#: Schemas that describe one value, and how many of them within each other.
MAX_FORMS, MAX_WITHIN = 4_096, 32
#: Dialects that are read. All become 2020-12.
_DIALECTS = ("2020-12/schema", "2019-09/schema", "draft-07/schema", "draft-06/schema", "draft-04/schema")
_REF = "#/$defs/"

#: Keywords under which each value is a schema by name, a list of schemas, and one schema.
_NAMED = ("properties", "patternProperties", "dependentSchemas")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = (
    "items",
    "additionalProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
    *("not", "if", "then", "else", "contains", "propertyNames"),
)
#: Keywords that are kept as they are. Any other keyword is dropped: nothing checks it, and it may speak to the model.
_PLAIN = frozenset(
    {
        *("type", "enum", "const", "format", "title", "description", "default", "examples", "deprecated", "required"),
        *("multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "dependentRequired"),
        *("maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "maxContains", "minContains"),
        *("maxProperties", "minProperties"),
    }
)
#: Least and most value of a number by its ``format``, in OpenAPI's registry.
_WIDTHS: Mapping[str, tuple[int | float, int | float]] = {
    **{f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    "float": (-3.4028234663852886e38, 3.4028234663852886e38),
}
#: Keywords whose meaning depends on other documents or on the place that refers to them.
_NOT_READ = ("$dynamicRef", "$recursiveRef", "$vocabulary")
#: Schemas that test a value and do not describe it: closing them would change what they test.
_TESTS = ("not", "if", "contains", "propertyNames")
#: Schemas that describe the same value as the schema around them: that one is closed, over all of them.
_SAME_VALUE = ("anyOf", "oneOf", "allOf", "then", "else", "dependentSchemas")


class SchemaRefused(ValueError):
    """A JSON Schema cannot be a tool's. The text says where and why."""


def normalized(schema: Any, document: Mapping[str, Any] | None = None, *, of_object: bool = True) -> dict[str, Any]:
    """Return an object's JSON Schema in 2020-12, with references to its own ``$defs`` only, and no unknown keyword.

    ``document``: what its references lead into; None: itself. ``of_object`` False: of any value. Raises
    ``SchemaRefused``: for another dialect, a reference out of the document, or a schema that is too large.
    """
    if not isinstance(schema, Mapping):
        raise SchemaRefused(f"must be a JSON Schema of an object, not {type(schema).__name__}")
    try:
        size = len(canonical(schema))
    except (TypeError, ValueError, RecursionError):
        raise SchemaRefused("is not JSON") from None
    if size > MAX_BYTES:
        raise SchemaRefused(f"has {size} bytes; at most {MAX_BYTES} are read. Leave out what is not needed")
    dialect = str(schema.get("$schema", _DIALECTS[0])).rstrip("#").rstrip("/")
    if not dialect.endswith(_DIALECTS):
        raise SchemaRefused(f"is written in the dialect {dialect[:80]!r}; Ballast reads {', '.join(_DIALECTS)}")
    walk = _Normalizer(schema if document is None else document)
    made: dict[str, Any] = walk.schema(schema, ())
    for one in (made, *walk.definitions.values()):
        _check_forms(one, walk.definitions)
    if of_object:
        made.setdefault("type", "object")
    if of_object and made["type"] != "object":
        raise SchemaRefused(f"must describe an object, not {made['type']!r}")
    return made | ({"$defs": dict(sorted(walk.definitions.items()))} if walk.definitions else {})


def _check_forms(schema: Any, definitions: Mapping[str, Any]) -> None:
    """Raise ``SchemaRefused`` where one value is described by itself, or by too many schemas.

    A validator that looks for properties which nothing describes writes those out when it is made.
    """
    known: dict[str, tuple[int, int]] = {}

    def forms(part: Any, above: tuple[str, ...]) -> tuple[int, int]:
        """Return how many schemas describe the value of ``part``, and how many of them within each other."""
        if isinstance(part, str):
            if part in above:
                raise SchemaRefused(f"$defs/{part}: contains itself, and no value inside of it. Write it out")
            if part not in known:
                known[part] = forms(definitions.get(part, {}), (*above, part))
            return known[part]
        if not isinstance(part, Mapping):
            return 1, 0
        inner = [forms(one, above) for one in same_value(part)]
        count, deep = 1 + sum(one for one, _ in inner), 1 + max((one for _, one in inner), default=0)
        if deep > MAX_WITHIN or len(above) > MAX_WITHIN:
            raise SchemaRefused(f"has more than {MAX_WITHIN} schemas within each other for one value. Write them out")
        if count > MAX_FORMS:
            raise SchemaRefused(f"describes one value by more than {MAX_FORMS} schemas. Refer to fewer")
        return count, deep

    left = [schema]
    while left:
        part = left.pop()
        if isinstance(part, Mapping):
            forms(part, ())
            left.extend(one for key, one in part.items() if key in _SINGLE)
            left.extend(one for key in _NAMED for one in part.get(key, {}).values())
            left.extend(one for key in _LISTED for one in part.get(key, ()))


class _Normalizer:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._names: dict[tuple[str, ...], str] = {}
        self._subschemas = 0
        self.definitions: dict[str, Any] = {}

    def schema(self, schema: Any, path: tuple[str, ...]) -> Any:
        where = "/".join(("", *path)) or "(whole)"
        self._subschemas += 1
        if self._subschemas > MAX_SUBSCHEMAS:
            raise SchemaRefused(f"has more than {MAX_SUBSCHEMAS} schemas, with those that it refers to. Write fewer")
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, Mapping):
            raise SchemaRefused(f"{where}: must be a schema, not {type(schema).__name__}")
        if len(path) > MAX_DEPTH:
            raise SchemaRefused(f"{where}: is nested more than {MAX_DEPTH} levels deep")
        if refused := next((name for name in _NOT_READ if name in schema), None):
            raise SchemaRefused(f"{where}: {refused} is not read. Write the schema out")
        made: dict[str, Any] = {}
        for key, value in self._current(schema, where).items():
            if key == "$ref":
                made[key] = self._reference(value, where)
            elif key in _NAMED and isinstance(value, Mapping):
                made[key] = {str(name): self._written_out(one, (*path, str(name))) for name, one in value.items()}
            elif key in _LISTED and isinstance(value, list):
                made[key] = [self._written_out(one, (*path, f"{key}.{at}")) for at, one in enumerate(value)]
            elif key in _SINGLE:
                made[key] = self.schema(value, (*path, key))
            elif key in _PLAIN:
                made[key] = value
        return made

    def _written_out(self, schema: Any, path: tuple[str, ...]) -> Any:
        """Return a schema that is true or false as an object: not every model reads those words."""
        return {True: {}, False: {"not": {}}}[schema] if isinstance(schema, bool) else self.schema(schema, path)

    @staticmethod
    def _current(schema: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return a schema with the keywords of older drafts as 2020-12 has them."""
        made = dict(schema)
        if isinstance(made.get("items"), list):
            made["prefixItems"] = made.pop("items")
            if "additionalItems" in made:
                made["items"] = made.pop("additionalItems")
        for name, one in dict(made.pop("dependencies", {})).items():
            kind = "dependentRequired" if isinstance(one, list) else "dependentSchemas"
            made[kind] = {**made.get(kind, {}), name: one}
        for bound in ("Minimum", "Maximum"):
            exclusive, plain = made.get(f"exclusive{bound}"), bound.lower()
            if isinstance(exclusive, bool):  # draft 4
                del made[f"exclusive{bound}"]
                if exclusive and plain in made:
                    made[f"exclusive{bound}"] = made.pop(plain)
        if "properties" in made and not isinstance(made["properties"], Mapping):
            raise SchemaRefused(f"{where}: properties must be an object")
        return made

    def _reference(self, reference: Any, where: str) -> str:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise SchemaRefused(f"{where}: $ref leads out of the document. Nothing is fetched; write the schema out")
        if reference[1:] and reference[1] != "/":
            raise SchemaRefused(f"{where}: $ref names an anchor, which is not read. Write #/ and the path")
        steps = tuple(_unescaped(step) for step in reference[1:].split("/")[1:])
        if steps not in self._names:
            name = "".join(char if char.isalnum() or char in "_-." else "_" for char in (steps or ["Whole"])[-1])
            while name in self.definitions:
                name += "_"
            self._names[steps] = name
            self.definitions[name] = {}
            self.definitions[name] = self.schema(self._at(steps, where), ("$defs", name))
        return _REF + self._names[steps]

    def _at(self, steps: tuple[str, ...], where: str) -> Any:
        found: Any = self._root
        for step in steps:
            if isinstance(found, list) and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, Mapping) and step in found:
                found = found[step]
            else:
                raise SchemaRefused(f"{where}: $ref names {step!r}, which is not in the document")
        return found


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a normalized schema that refuses properties which it does not name; see the module."""
    made: dict[str, Any] = _closed(schema, own_value=True)
    if not any(key in schema for key in ("additionalProperties", "unevaluatedProperties")):
        made = {key: value for key, value in made.items() if key != "additionalProperties"}
        made["unevaluatedProperties"] = False
    return made


def _bounds(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bounds of a number that its ``format`` says; a validator does not know them."""
    least, most = _WIDTHS.get(str(schema.get("format")), (None, None))
    if least is None or most is None:
        return {}
    given = {name: schema.get(name) for name in ("minimum", "maximum")}
    known = {name: one for name, one in given.items() if isinstance(one, int | float) and not isinstance(one, bool)}
    return {"minimum": max(least, known.get("minimum", least)), "maximum": min(most, known.get("maximum", most))}


def _closed(schema: Any, *, own_value: bool) -> Any:
    """``own_value``: it describes a value by itself, and not together with the schema around it."""
    if not isinstance(schema, Mapping):
        return schema
    made = dict(schema) | _bounds(schema)
    for key, value in schema.items():
        if key in _TESTS:
            continue
        same = key in _SAME_VALUE or key == "$defs"
        if key in (*_NAMED, "$defs"):
            made[key] = {name: _closed(one, own_value=not same) for name, one in value.items()}
        elif key in _LISTED:
            made[key] = [_closed(one, own_value=not same) for one in value]
        elif key in _SINGLE:
            made[key] = _closed(value, own_value=not same)
    if any(key in schema for key in ("additionalProperties", "unevaluatedProperties")):
        return made
    composed = any(key in schema for key in ("$ref", "anyOf", "oneOf", "allOf", "if"))
    if not composed and not any(key in schema for key in ("properties", "patternProperties", "required")):
        return made | {"additionalProperties": True}  # free-form, and so for the schema that refers to it
    return made | ({"unevaluatedProperties": False} if own_value else {})


# Types for marks

#: A mark's word, in a declaration.
MARKS: Mapping[str, Callable[[], Mark]] = {
    "grounded": Grounded,
    **{f"grounded:{kind}": partial(Grounded, kind) for kind in Kind},
    "grounded:may_be_empty": lambda: Grounded(may_be_empty=True),
    "free_text": FreeText,
    "no_quotes": lambda: FreeText(quotes=False),
    "sensitive": Sensitive,
    "untrusted": Untrusted,
}
Path = tuple[str, ...]
Marks = Mapping[Path, tuple[Mark, ...]]


def pointer(text: str) -> Path:
    """Return the steps of a JSON pointer; ``*`` is any item. Raises ``ValueError`` for another text."""
    if not text.startswith("/") or text == "/":
        raise ValueError(f"{text!r} is no JSON pointer. Write /name, /name/inner, or /list/*/name for every item")
    return tuple(_unescaped(step) for step in text.split("/")[1:])


def _unescaped(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def annotation(schema: Mapping[str, Any], marks: Marks) -> tuple[Any, frozenset[Path]]:
    """Return a type for the values of a normalized schema, with its marks, and the paths of the marks that it has."""
    walk = _walked(schema, marks)
    return walk.made, frozenset(walk.reached)


def annotation_of_marks(marks: Marks) -> Any:
    """Return a type that has only the marks, for results whose schema is not known."""
    return annotation(_schema_of(marks), marks)[0]


def _schema_of(paths: Marks) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path in paths:
        inner = root
        for step in path:
            if step == "*":  # of a list, or of an object with free names
                inner = inner.setdefault("items", inner.setdefault("additionalProperties", {}))
            else:
                inner = inner.setdefault("properties", {}).setdefault(step, {})
    return root


def paths_of(schema: Mapping[str, Any]) -> list[str]:
    """Return the JSON pointers of the values of a normalized schema, for an error's text."""
    return ["/" + "/".join(path) for path in _walked(schema, {}).seen if path]


def _walked(schema: Mapping[str, Any], marks: Marks) -> "_Types":
    """Return the walk over a schema's values. Raises ``SchemaRefused`` where it has too many.

    Definitions that refer to each other are written out in every order in which a value can have them. Where those are
    too many, each is written out once, and elsewhere only as far as marks lead into it.
    """
    for once in (False, True):
        walk = _Types(schema.get("$defs", {}), marks, once=once)
        try:
            walk.made = walk.type_of(schema, (), ())
        except _TooMany:
            continue
        return walk
    raise SchemaRefused(f"describes more than {MAX_VALUES} values, with those that it refers to. Write fewer")


class _TooMany(Exception):
    """A schema describes too many values."""


class _Types:
    def __init__(self, definitions: Mapping[str, Any], marks: Marks, *, once: bool) -> None:
        """``once``: each definition is written out once, but for marks."""
        self._definitions, self._marks, self._once = definitions, marks, once
        self._written_out: set[str] = set()
        self._left = MAX_VALUES
        self.made: Any = Any
        self.reached: set[Path] = set()
        self.seen: dict[Path, None] = {}

    def type_of(self, schema: Any, path: Path, above: tuple[str, ...]) -> Any:
        """Return the type of the values at ``path``; ``above``: the definitions that this schema is inside of."""
        self.seen[path] = None
        inner = self._plain(schema, path, above) if isinstance(schema, Mapping) else Any
        for mark in self._marks.get(path, ()):
            self.reached.add(path)
            inner = Annotated[inner, mark]
        return inner

    def _plain(self, schema: Mapping[str, Any], path: Path, above: tuple[str, ...]) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _TooMany
        # Not a Literal of ``enum`` and ``const``: that would be a choice among the author's words, and these are not.
        found = [self._of_kind(kind, schema, path, above) for kind in _kinds(schema)]
        for key in ("anyOf", "oneOf", "allOf"):
            found += [self._inside(one, path, above) for one in schema.get(key, ())]
        found += [self._inside(schema[key], path, above) for key in ("then", "else") if key in schema]
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(_REF)
            cut = name in above or (self._once and name in self._written_out and not self._is_marked(path))
            self._written_out.add(name)
            found.append(Any if cut else self._inside(self._definitions[name], path, (*above, name)))
        return Union[tuple(found)] if found else Any  # noqa: UP007  how many is not known here

    def _is_marked(self, path: Path) -> bool:
        return any(marked[: len(path)] == path for marked in self._marks)

    def _inside(self, schema: Any, path: Path, above: tuple[str, ...]) -> Any:
        return self._plain(schema, path, above) if isinstance(schema, Mapping) else Any

    def _of_kind(self, kind: str, schema: Mapping[str, Any], path: Path, above: tuple[str, ...]) -> Any:
        if kind == "object":
            return self._of_object(schema, path, above)
        if kind == "array":
            items = [schema[key] for key in ("items",) if isinstance(schema.get(key), Mapping)]
            types = [self.type_of(one, (*path, "*"), above) for one in (*items, *schema.get("prefixItems", ()))]
            return list[tuple(types or [self.type_of({}, (*path, "*"), above)])]  # type: ignore[misc]
        return {"string": str, "integer": int, "number": float, "boolean": bool, "null": None}.get(kind, Any)

    def _of_object(self, schema: Mapping[str, Any], path: Path, above: tuple[str, ...]) -> Any:
        named = schema.get("properties", {})
        found: list[Any] = []
        if named:
            fields = {name: self.type_of(one, (*path, name), above) for name, one in named.items()}
            found.append(TypedDict("Object", fields, total=False))  # type: ignore[operator]
        others = [*schema.get("patternProperties", {}).values()]
        open_to = schema.get("additionalProperties", schema.get("unevaluatedProperties"))
        if isinstance(open_to, Mapping) or open_to is True:
            others.append(open_to)
        if not path and not named and not others:
            return TypedDict("Object", {})  # type: ignore[operator]  # a tool without arguments: its root is closed
        if others or not named:
            types = [self.type_of(one, (*path, "*"), above) for one in others or [{}]]
            found.append(dict[self._key((*path, "*")), Union[tuple(types)]])  # type: ignore[misc]  # noqa: UP007
        return Union[tuple(found)]  # noqa: UP007

    def _key(self, path: Path) -> Any:
        """Return the type of an object's free names. The marks of its values hold for them, but for a kind of value."""
        key: Any = str
        for mark in self._marks.get(path, ()):
            key = Annotated[key, Grounded() if isinstance(mark, Grounded) else mark]
        return key


def _kinds(schema: Mapping[str, Any]) -> Iterator[str]:
    kinds = schema.get("type", [])
    named = [kinds] if isinstance(kinds, str) else kinds
    yield from named
    if not named and ("properties" in schema or isinstance(schema.get("additionalProperties"), Mapping)):
        yield "object"
    if not named and ("items" in schema or "prefixItems" in schema):
        yield "array"


def read_marks(where: str, written: Mapping[str, Any]) -> dict[Path, tuple[Mark, ...]]:
    """Return the marks of a declaration by path. Raises ``PlaybookInvalid``, which names the field."""
    found: dict[Path, tuple[Mark, ...]] = {}
    for text, words in written.items():
        try:
            path = pointer(text)
        except ValueError as wrong:
            raise PlaybookInvalid(f"{where}: {wrong}.") from None
        said = [words] if isinstance(words, str) else words
        unknown = next((word for word in said if word not in MARKS), None)
        if unknown is not None or not said:
            raise PlaybookInvalid(f"{where}{text}: must be one or more of {', '.join(MARKS)}, not {unknown!r}.")
        marks = tuple(MARKS[word]() for word in said)
        kinds = [type(mark) for mark in marks]
        if len({*kinds}) < len(kinds) or {Grounded, FreeText} <= {*kinds}:
            raise PlaybookInvalid(f"{where}{text}: {', '.join(said)} contradict each other. Keep one of them.")
        found[path] = marks
    return found
