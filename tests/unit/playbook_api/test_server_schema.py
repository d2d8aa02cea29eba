"""JSON Schemas of tools from elsewhere: one dialect, closed objects, marks, and one form of arguments."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.contracts.wire import read_digits
from ballast.errors import PlaybookInvalid, SchemaViolation
from ballast.playbook.servers.form import OutputForm, SchemaForm
from ballast.playbook.servers.schema import (
    MAX_VALUES,
    SchemaRefused,
    annotation_of_marks,
    closed,
    normalized,
    paths_of,
    pointer,
    read_marks,
)
from ballast.validation import FreeText, Grounded, Kind, Sensitive, has_mark
from ballast.validation.marks import leaves, undeclared


def form_of(properties: dict[str, Any], marks: dict[str, Any] | None = None, **more: Any) -> SchemaForm:
    return SchemaForm({"type": "object", "properties": properties, **more}, read_marks("t", marks or {}))


def accepts(form: SchemaForm, arguments: Any) -> bool:
    try:
        form.read(arguments)
    except SchemaViolation:
        return False
    return True


# One dialect


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (
            {"items": [{"type": "string"}], "additionalItems": False},
            {"prefixItems": [{"type": "string"}], "items": False},
        ),
        ({"minimum": 3, "exclusiveMinimum": True}, {"exclusiveMinimum": 3}),
        ({"maximum": 3, "exclusiveMaximum": False}, {"maximum": 3}),
        ({"dependencies": {"a": ["b"]}}, {"dependentRequired": {"a": ["b"]}}),
        ({"dependencies": {"a": {"required": ["b"]}}}, {"dependentSchemas": {"a": {"required": ["b"]}}}),
    ],
)
def test_older_drafts_are_read_as_the_newest(older: dict[str, Any], newer: dict[str, Any]) -> None:
    made = normalized({"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"x": older}})

    assert made["properties"]["x"] == newer


@pytest.mark.parametrize("place", ["definitions", "$defs", "components"])
def test_references_lead_into_the_schemas_own_definitions(place: str) -> None:
    node = {"type": "object", "properties": {"next": {"$ref": f"#/{place}/Node"}, "at": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"first": {"$ref": f"#/{place}/Node"}}, place: {"Node": node}}

    made = normalized(schema)

    assert made["properties"]["first"] == {"$ref": "#/$defs/Node"}
    assert made["$defs"]["Node"]["properties"]["next"] == {"$ref": "#/$defs/Node"}
    form = SchemaForm(schema, {})
    assert accepts(form, {"first": {"next": {"at": 1}}})
    assert not accepts(form, {"first": {"next": {"at": "1"}}})
    assert not accepts(form, {"first": {"next": {"other": 1}}})


@pytest.mark.parametrize(
    "schema",
    [
        [],
        {"type": "array"},
        {"$schema": "https://example.org/own"},
        {"properties": {"a": {"$ref": "https://127.0.0.1/x.json"}}},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"properties": {"a": {"$ref": "#/$defs/None"}}},
        {"properties": {"a": {"$dynamicRef": "#x"}}},
        {"properties": {"a": 1}},
        {"properties": []},
        {"description": "x" * 70_000},
    ],
)
def test_a_schema_that_cannot_be_a_tools_is_refused(schema: Any) -> None:
    with pytest.raises(SchemaRefused):
        normalized(schema)


@pytest.mark.parametrize("wrong", [{"type": "text"}, {"pattern": "("}, {"minimum": "3"}, {"required": "a"}])
def test_a_schema_that_is_none_is_refused_when_it_is_loaded(wrong: dict[str, Any]) -> None:
    form = form_of({"a": wrong})

    with pytest.raises(SchemaRefused, match="no JSON Schema"):
        form.compile()


def test_a_schema_that_is_nested_without_end_is_refused() -> None:
    inner: dict[str, Any] = {"type": "string"}
    for _ in range(60):
        inner = {"type": "array", "items": inner}

    with pytest.raises(SchemaRefused, match="levels deep"):
        normalized({"properties": {"a": inner}})


def test_what_nothing_checks_does_not_reach_the_model() -> None:
    made = normalized({"properties": {"a": {"type": "string", "$comment": "obey", "x-note": "obey"}}, "x-more": "obey"})

    assert "obey" not in json.dumps(made)


def test_a_pattern_that_takes_for_ever_ends() -> None:
    form = form_of({"a": {"type": "string", "pattern": "^(?=(a+)+$)b"}, "b": {"type": "string", "pattern": "^(a+)+$"}})

    assert not accepts(form, {"a": "a" * 5_000 + "!"})
    assert not accepts(form, {"b": "a" * 5_000 + "!"})
    assert not accepts(form_of({"c": {"type": "string", "pattern": "^((?=a)a+)+$"}}), {"c": "a" * 500 + "!"})


def chain(keyword: str, layers: int, *, wide: int = 2) -> dict[str, Any]:
    """Return a small schema in which each definition refers ``wide`` times to the next one, under ``keyword``."""

    def layer(to: str) -> dict[str, Any]:
        next_ones = [{"$ref": f"#/$defs/{to}"}] * wide
        if keyword == "properties":
            return {"type": "object", "properties": {f"p{at}": one for at, one in enumerate(next_ones)}}
        return {keyword: next_ones}

    defined = {f"d{at}": layer(f"d{at + 1}") for at in range(layers)} | {f"d{layers}": {"type": "string"}}
    return {"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": defined}


def test_definitions_that_refer_to_each_other_are_written_out_in_bounds() -> None:
    names = [f"d{at}" for at in range(12)]
    each = {name: {"$ref": f"#/$defs/{name}"} for name in names}
    defined = {name: {"type": "object", "properties": {**each, "id": {"type": "string"}}} for name in names}
    together = {"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": defined}

    for schema in (chain("properties", 24), chain("properties", 24, wide=5), together):
        made = SchemaForm(schema, {})
        made.compile()
        assert len(paths_of(made.schema)) <= MAX_VALUES
        assert accepts(made, {})
    marks = {pointer("/x/d1/d2/d3/id"): read_marks("t", {"/a": "sensitive"})[("a",)]}
    assert has_mark(SchemaForm(together, marks).model.marked_type, Sensitive)


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_a_value_is_compared_with_a_schema_in_bounds(keyword: str) -> None:
    made, items = chain(keyword, 9), chain(keyword, 9)["$defs"]
    results = OutputForm({"type": "array", "items": {"$ref": "#/$defs/d0"}, "$defs": items})

    assert accepts(SchemaForm(made, {}), {"x": "text"}) == (keyword != "oneOf")
    assert "comparisons" not in results.complaints(["text"])
    assert "needs more than 100000 comparisons" in results.complaints([str(at) for at in range(200)])
    for form in (lambda one: SchemaForm(one, {}), OutputForm):
        with pytest.raises(SchemaRefused, match="describes one value by more than 4096 schemas"):
            form(chain(keyword, 14, wide=3))


def test_a_schema_that_multiplies_itself_by_depth_is_compared_in_bounds() -> None:
    parts = [{"type": "object", "properties": {"a": {"$ref": "#/$defs/d"}}}] * 2
    form = SchemaForm(
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/d"}}, "$defs": {"d": {"allOf": parts}}}, {}
    )
    deep: dict[str, Any] = {}
    for _ in range(50):
        deep = {"a": deep}

    assert accepts(form, {"a": {"a": {}}})
    with pytest.raises(SchemaViolation, match="comparisons"):
        form.read(deep)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "#"}, "contains itself"),
        ({"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}]}}}, "contains itself"),
        (chain("anyOf", 40, wide=1), "within each other"),
        ({"properties": {f"p{at}": {"$ref": f"#x{at}"} for at in range(9)}}, "anchor"),
        ({"anyOf": [{}] * 9_000}, "more than 8192 schemas"),
    ],
)
def test_a_schema_without_end_is_refused(schema: dict[str, Any], said: str) -> None:
    with pytest.raises(SchemaRefused, match=said):
        normalized(schema)


def test_a_schema_is_bounded_by_what_it_refers_to_in_its_document() -> None:
    fields = {f"p{at}": {"type": "string"} for at in range(200)}
    document = {"schemas": {f"s{at}": {"properties": fields} for at in range(50)}}
    schema = {"properties": {f"x{at}": {"$ref": f"#/schemas/s{at}"} for at in range(50)}}

    with pytest.raises(SchemaRefused, match="more than 8192 schemas, with those that it refers to"):
        normalized(schema, document)


def test_texts_are_compared_with_patterns_in_bounds() -> None:
    slow = form_of({"a": {"type": "string", "pattern": r"^(\w{300}){30}$"}, "b": {"type": "string"}})
    names = form_of({}, patternProperties={"^(a?){40}b": {"type": "string"}})
    many = form_of({"a": {"type": "array", "items": {"pattern": "^(?=.*x)(?=.*y)"}}})

    assert accepts(slow, {"b": "a" * 20_000})
    for form, sent in ((slow, {"a": "a" * 20_000}), (names, {"a" * 5_000: "x"})):
        with pytest.raises(SchemaViolation, match="a pattern is compared with at most 4096"):
            form.read(sent)
    with pytest.raises(SchemaViolation, match="more than 65536 characters"):
        many.read({"a": ["xy" * 2_000] * 20})


def test_a_schema_that_is_a_word_becomes_an_object() -> None:
    made = normalized({"properties": {"any": True, "none": False}, "additionalProperties": False})

    assert made["properties"] == {"any": {}, "none": {"not": {}}}
    assert made["additionalProperties"] is False


# Closed


ITEM = {"type": "object", "properties": {"sku": {"type": "string"}}}


@pytest.mark.parametrize(
    ("properties", "arguments", "fits"),
    [
        ({"a": {"type": "string"}}, {"a": "x"}, True),
        ({"a": {"type": "string"}}, {"b": "x"}, False),
        ({}, {}, True),
        ({}, {"b": 1}, False),
        ({"a": ITEM}, {"a": {"sku": "x", "n": 1}}, False),
        ({"a": {"type": "array", "items": ITEM}}, {"a": [{"sku": "x"}, {"n": 1}]}, False),
        ({"a": ITEM | {"additionalProperties": True}}, {"a": {"sku": "x", "n": 1}}, True),
        ({"a": ITEM | {"additionalProperties": {"type": "integer"}}}, {"a": {"n": 1}}, True),
        ({"a": ITEM | {"additionalProperties": {"type": "integer"}}}, {"a": {"n": "1"}}, False),
        ({"a": {"type": "object"}}, {"a": {"free": [1]}}, True),
        ({"a": {"anyOf": [ITEM, {"type": "null"}]}}, {"a": {"sku": "x"}}, True),
        ({"a": {"anyOf": [ITEM, {"type": "null"}]}}, {"a": {"other": "x"}}, False),
        ({"a": {"anyOf": [{"type": "object"}, {"type": "null"}]}}, {"a": {"other": "x"}}, True),
        ({"a": {"allOf": [ITEM, {"properties": {"n": {"type": "integer"}}}]}}, {"a": {"sku": "x", "n": 1}}, True),
        ({"a": {"allOf": [ITEM, {"properties": {"n": {"type": "integer"}}}]}}, {"a": {"sku": "x", "m": 1}}, False),
        ({"a": {"type": "object", "patternProperties": {"^x-": {}}}}, {"a": {"x-a": 1}}, True),
        ({"a": {"type": "object", "patternProperties": {"^x-": {}}}}, {"a": {"y": 1}}, False),
    ],
)
def test_an_object_that_names_its_properties_is_closed(
    properties: dict[str, Any], arguments: dict[str, Any], fits: bool
) -> None:
    assert accepts(form_of(properties), arguments) is fits


def test_a_tool_without_properties_takes_no_arguments() -> None:
    form = SchemaForm({"type": "object"}, {})

    assert accepts(form, {})
    assert not accepts(form, {"b": 1})
    assert accepts(SchemaForm({"type": "object", "additionalProperties": True}, {}), {"b": 1})


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"type": "object"}, []),
        ({"type": "object", "properties": {}}, []),
        ({"type": "object", "additionalProperties": False}, []),
        ({"type": "object", "additionalProperties": True}, ["*"]),
        ({"type": "object", "properties": {"a": {"type": "object"}, "b": {"type": "array"}}}, ["a.*", "b.*"]),
    ],
)
def test_each_argument_that_is_called_unmarked_can_be_marked(schema: dict[str, Any], named: list[str]) -> None:
    unmarked = list(dict.fromkeys(undeclared(SchemaForm(schema, {}).model.marked_type)))
    assert unmarked == named

    marks = {tuple(path.split(".")): (FreeText(),) for path in unmarked}
    assert list(undeclared(SchemaForm(schema, marks).model.marked_type)) == []


ANY_NAMES = [
    {"type": "object", "additionalProperties": {"type": "string"}},
    {"type": "object", "additionalProperties": True},
    {"type": "object"},
    {"type": "object", "patternProperties": {"^[a-z]+$": {"type": "string"}}},
    {"type": "object", "properties": {"own": {"type": "string"}}, "additionalProperties": {"type": "string"}},
    {"anyOf": [{"type": "object", "additionalProperties": {"type": "string"}}, {"type": "null"}]},
]


@pytest.mark.parametrize("schema", ANY_NAMES)
@pytest.mark.parametrize("mark", [Grounded(), FreeText(), Sensitive()], ids=lambda one: type(one).__name__)
def test_a_mark_on_the_values_of_free_names_is_heard(schema: dict[str, Any], mark: Any) -> None:
    form = SchemaForm({"type": "object", "properties": {"a": schema}}, {("a", "*"): (mark,)})

    found = leaves(form.model.marked_type, {"a": {"rent": "12", "gas": "7"}}, type(mark))

    assert [(one.value, one.mark) for one in found] == [(value, mark) for value in ("rent", "12", "gas", "7")]


def test_a_kind_of_value_is_none_of_its_name() -> None:
    form = SchemaForm({"properties": {"a": ANY_NAMES[0]}}, {("a", "*"): (Grounded(Kind.AMOUNT),)})

    found = leaves(form.model.marked_type, {"a": {"rent": "12"}}, Grounded)

    assert [(one.value, one.mark) for one in found] == [("rent", Grounded()), ("12", Grounded(Kind.AMOUNT))]


@pytest.mark.parametrize("value", [{"a": {"x": {"b": "s"}}}, {"a": [{"b": "s"}]}])
def test_a_mark_of_a_result_without_a_schema_holds_in_lists_and_for_free_names(value: Any) -> None:
    made = annotation_of_marks({("a", "*", "b"): (Sensitive(),)})

    assert [one.value for one in leaves(made, value, Sensitive) if one.mark] == ["s"]


def test_closing_changes_no_test_of_a_schema() -> None:
    schema = normalized({"properties": {"a": {"not": {"properties": {"b": {"const": 1}}, "required": ["b"]}}}})

    assert closed(schema)["properties"]["a"]["not"] == schema["properties"]["a"]["not"]


# One form


@pytest.mark.parametrize(
    ("schema", "sent", "form"),
    [
        ({"type": "integer"}, 4.0, 4),
        ({"type": "number"}, 4.0, 4),
        ({"type": "number"}, 4, 4),
        ({"type": "number"}, -0.0, 0),
        ({"type": "number"}, 4.25, 4.25),
        ({"type": "string"}, "4.0", "4.0"),
        ({"type": "array", "items": {"type": "integer"}}, [1.0, 2], [1, 2]),
        ({"type": "number"}, 1e22, 1e22),
        ({"type": ["integer", "number"]}, 1e16, 1e16),
        ({"type": "integer", "format": "int64"}, 2**53 + 1, 2**53 + 1),
        ({"anyOf": [{"type": "integer", "format": "int64"}, {"type": "null"}]}, 2**60 + 1, 2**60 + 1),
        ({"type": "integer", "format": "int32"}, -(2**31), -(2**31)),
        ({"type": "integer", "format": "int32", "minimum": -5}, -5, -5),
        ({"type": "number", "multipleOf": 0.01}, 19.99, 19.99),
    ],
)
def test_equal_numbers_have_one_spelling(schema: dict[str, Any], sent: Any, form: Any) -> None:
    made = form_of({"a": schema})

    assert json.dumps(made.write(made.read({"a": sent}))) == json.dumps({"a": form})


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        ({"type": "string"}, 5),
        ({"type": "integer"}, "5"),
        ({"type": "integer"}, True),
        ({"type": "integer"}, 4.5),
        ({"type": "number"}, True),
        ({"type": "boolean"}, 1),
        ({"type": "boolean"}, "true"),
        ({"enum": [1]}, True),
        ({"enum": ["1"]}, 1),
        ({"type": "null"}, 0),
        ({"type": "number"}, float("nan")),
        ({"type": "number"}, float("inf")),
        ({"type": "integer"}, 10**400),
        ({"type": "integer"}, 2**53 + 1),
        ({"type": "integer"}, 1e16),
        ({"type": ["integer", "null"]}, 1e17),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, 1e16),
        ({"type": "array", "items": {"type": "integer"}}, [1, 1e16]),
        ({}, 2**53 + 1),
        ({"type": "integer", "format": "int32"}, 2**31),
        ({"type": "integer", "format": "int32", "maximum": 2**40}, 2**31),
        ({"type": "integer", "format": "int64"}, 2**63),
        ({"type": "integer", "format": "uint8"}, -1),
        ({"type": "number", "format": "float"}, 1e39),
        ({"type": "array", "items": {"allOf": [{"type": "integer", "format": "int32"}]}}, [2**31]),
        ({"type": "number", "multipleOf": 0.01}, 19.995),
        ({"type": "number", "exclusiveMinimum": 0}, -0.0),
        ({"type": "number", "exclusiveMinimum": 0}, 0),
        ({"const": 0}, False),
        ({"enum": [0.1]}, 0.1000001),
        ({"type": "string"}, "\ud800"),
        ({"type": "string", "format": "date"}, "2026-02-30"),
        ({"type": "string", "maxLength": 2}, "abc"),
        ({"type": "string", "pattern": "^[A-Z]+$"}, "abc"),
        ({"type": "array", "items": {"type": "string"}}, "a"),
        ({"type": "array", "maxItems": 1}, [1, 2]),
    ],
)
def test_what_does_not_fit_is_refused_and_not_converted(schema: dict[str, Any], sent: Any) -> None:
    assert not accepts(form_of({"a": schema}), {"a": sent})


@pytest.mark.parametrize("digits", ["1e-400", "1e400", "0.12345678901234567891"])
def test_a_number_whose_digits_are_lost_in_reading_is_refused(digits: str) -> None:
    with pytest.raises(SchemaViolation):
        form_of({"a": {"type": "number"}}).model.model_validate_json(f'{{"a": {digits}}}')


def test_a_default_that_no_call_could_send_tells_calls_apart() -> None:
    form = form_of({"most": {"type": "integer", "default": 2**63 - 1}})

    assert form.comparable(form.read({})) == {"most": 2**63 - 1}


@pytest.mark.parametrize("more", [{"additionalProperties": True}, {"patternProperties": {"^ten": {}}}])
def test_nobody_else_sends_what_the_executor_sets(more: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"tenant": {"type": "string"}, "id": {}}, **more}
    form = SchemaForm(schema, {}, frozenset({"tenant"}))

    assert accepts(form, {"id": 1})
    with pytest.raises(SchemaViolation, match="tenant: is set by the executor"):
        form.read({"id": 1, "tenant": "acme"})


def test_a_complaint_names_fields_and_never_a_value() -> None:
    form = form_of(
        {"card": {"type": "string", "pattern": "^[0-9]+$", "maxLength": 3}, "kind": {"enum": ["a", "b"]}},
        required=["card", "other"],
    )

    with pytest.raises(SchemaViolation) as refused:
        form.read({"card": "s3cr3t", "kind": "s3cr3t", "more": "s3cr3t"})

    text = str(refused.value)
    assert "s3cr3t" not in text
    for part in ("card: must match", "kind: must be one of a, b", "other: is missing", "more: is not an argument"):
        assert part in text


def test_an_argument_that_was_not_sent_stays_away_and_a_default_tells_no_calls_apart() -> None:
    form = form_of({"a": {"type": "integer", "default": 3}, "b": {"type": "string"}})
    without, given_ = form.read({"b": "x"}), form.read({"a": 3.0, "b": "x"})

    assert form.write(without) == {"b": "x"}
    assert form.comparable(without) == form.comparable(given_) == {"a": 3, "b": "x"}
    assert form.comparable(form.read({"a": 4})) != form.comparable(without)


@given(
    st.dictionaries(
        st.sampled_from("abc"),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=8,
        ),
    )
)
def test_reading_the_form_again_gives_the_same_form(arguments: dict[str, Any]) -> None:
    form = form_of({name: {} for name in "abc"})
    try:
        first = form.read(arguments)
    except SchemaViolation:
        return
    again = form.read(json.loads(json.dumps(form.write(first))))

    assert json.dumps(form.write(again)) == json.dumps(form.write(first))
    assert again == first


# Marks


def test_a_mark_stands_where_its_pointer_leads() -> None:
    form = form_of(
        {"id": {"type": "string"}, "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}}, "note": {}},
        {"/id": "grounded", "/lines/*/sku": ["grounded:text", "sensitive"], "/note": "no_quotes"},
        **{"$defs": {"Line": {"type": "object", "properties": {"sku": {"type": "string"}, "n": {"type": "integer"}}}}},
    )
    args = form.read({"id": "O-1", "lines": [{"sku": "a-1", "n": 2}], "note": "hello"})

    assert has_mark(form.model, Grounded)
    assert has_mark(form.model, Sensitive)
    marked = {found.path: found.mark for found in leaves(type(args), args, Grounded)}
    assert marked == {"id": Grounded(), "lines.0.sku": Grounded(Kind.TEXT), "lines.0.n": None, "note": None}
    free = {found.path: found.mark for found in leaves(type(args), args, FreeText) if found.mark}
    assert free == {"note": FreeText(quotes=False)}
    assert list(undeclared(form.model)) == ["lines.*.n"]


def test_a_choice_of_the_servers_needs_a_mark_and_a_boolean_none() -> None:
    form = form_of({"kind": {"enum": ["a", "b"]}, "on": {"type": "boolean"}, "maybe": {"const": "a"}, "x": {}})

    assert list(undeclared(form.model)) == ["kind", "maybe", "x"]


@pytest.mark.parametrize("nowhere", ["/other", "/id/inner", "/lines/sku"])
def test_a_mark_that_stands_nowhere_is_refused(nowhere: str) -> None:
    with pytest.raises(SchemaRefused, match=nowhere):
        form_of({"id": {"type": "string"}, "lines": {"type": "array", "items": ITEM}}, {nowhere: "grounded"})


@pytest.mark.parametrize(
    "marks", [{"id": "grounded"}, {"/": "grounded"}, {"/id": "secret"}, {"/id": []}, {"/id": ["grounded", "free_text"]}]
)
def test_marks_that_cannot_be_read_are_refused(marks: dict[str, Any]) -> None:
    with pytest.raises(PlaybookInvalid):
        read_marks("servers/x.yaml: tools.t.marks", marks)


def test_a_pointer_has_escapes() -> None:
    assert pointer("/a~1b/c~0d/*") == ("a/b", "c~d", "*")


def test_a_result_s_number_that_came_as_a_text_keeps_its_digits_and_is_a_number() -> None:
    form = OutputForm({"properties": {"total": {"type": "number"}, "name": {"type": "string"}}})

    assert form.complaints(read_digits('{"total": 12345678901234567.89, "name": "12345678901234567.89"}')) == ""
    assert form.complaints({"total": "1.5"}) == "total: must be of the JSON type number"
