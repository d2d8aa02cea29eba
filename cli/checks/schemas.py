"""Findings about schemas that no value fits: a tool's arguments, an intent's answers, what a scenario expects of one.

Only bounds that contradict each other are told. A schema that says nothing of a value's type takes one of another type.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import ceil, floor, inf
from typing import Any

from ballast.playbook import Playbook
from ballast.playbook.servers.tools import RemoteCall
from ballast.validation.schema import complaints_of
from cli.checks import Finding, at, by_agent

#: Keywords that a value of ``enum`` is held to here.
_BOUNDS = ("type", "minimum", "maximum", "minLength", "maxLength")


def schemas(playbook: Playbook) -> Iterator[Finding]:
    """Yield the tools whose arguments no call can have, and the intents whose answer nobody can give."""
    for tool in playbook.tools.values():
        if (why := why_nothing_fits(tool.schema)) is not None:
            where, remedy = f"{tool.name}: {why.path}", "Correct its bounds."
            if isinstance(call := tool.function, RemoteCall):
                where, remedy = f"tools.{call.remote_name}.pinned.schema", "Correct it at the server, and pin it anew."
            said = f"No call fits its arguments, so each is refused: {why}."
            yield Finding("error", at(playbook, tool.name), where, said, remedy)
    for file, one in by_agent(playbook):
        for name, intent in one.agent.intents.items():
            if intent.answer_schema is not None and (why := why_nothing_fits(intent.answer_schema)) is not None:
                said = f"No answer fits it, so the agent can answer no request of this intent: {why}."
                yield Finding("error", file, f"intents.{name}.answer_schema", said, "Correct what contradicts itself.")


@dataclass(frozen=True)
class Why:
    """The part of a schema that no value fits: its path in the value ("" for the whole), and the contradiction."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path or 'the whole'}: {self.problem}"

    def under(self, name: str) -> "Why":
        """Return it as a part of a larger schema."""
        return replace(self, path=name + (f".{self.path}" if self.path and self.path[0] != "[" else self.path))


def why_nothing_fits(schema: Mapping[str, Any] | bool) -> Why | None:
    """Return why no object fits a schema; None if one may."""
    return _Reader(schema.get("$defs", {}) if isinstance(schema, Mapping) else {}).why(schema, ("object",))


@dataclass(frozen=True)
class _Reader:
    definitions: Mapping[str, Any]
    #: What is known of definitions, by the types that are asked for. One that refers to itself may have a value.
    known: dict[tuple[str, tuple[str, ...] | None], Why | None] = field(default_factory=dict)

    def why(self, schema: Any, kinds: tuple[str, ...] | None) -> Why | None:
        """Return why no value of these types (None: of any) fits a schema."""
        if schema is False:
            return Why("", "no value is allowed")
        if not isinstance(schema, Mapping):
            return None
        named = schema.get("type")
        own = tuple([named] if isinstance(named, str) else named or ())
        if own and kinds is not None:
            both = tuple(dict.fromkeys(met for one in kinds for other in own if (met := _meet(one, other))))
            if not both:
                return Why("", f"it is of the type {' or '.join(own)}, and must be of {' or '.join(kinds)}")
            own = both
        whys = [self._of_kind(one, schema) for one in own or kinds or ()]
        if whys and None not in whys:
            return whys[0]
        return self._choices(schema) or self._inside(schema, own or kinds or None)

    def _choices(self, schema: Mapping[str, Any]) -> Why | None:
        choices = schema.get("enum", [schema["const"]] if "const" in schema else None)
        bounds = {key: schema[key] for key in _BOUNDS if key in schema}
        if choices is None or any(not [*complaints_of(one, bounds)] for one in choices):
            return None
        return Why("", f"none of its values ({', '.join(map(repr, choices))}) is of its type and within its bounds")

    def _inside(self, schema: Mapping[str, Any], kinds: tuple[str, ...] | None) -> Why | None:
        for part in schema.get("allOf", ()):
            if (why := self.why(part, kinds)) is not None:
                return why
        for choice in ("anyOf", "oneOf"):
            whys = [self.why(one, kinds) for one in schema.get(choice, ())]
            if whys and None not in whys:
                return whys[0]
        name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
        if name in self.definitions and (name, kinds) not in self.known:
            self.known[name, kinds] = None
            self.known[name, kinds] = self.why(self.definitions[name], kinds)
        return self.known.get((name, kinds))

    def _of_kind(self, kind: str, schema: Mapping[str, Any]) -> Why | None:
        match kind:
            case "integer" | "number":
                return _crossed_numbers(schema, whole=kind == "integer")
            case "string":
                return _crossed(schema, "minLength", "maxLength")
            case "array":
                has_more = schema.get("minItems", 0) > len(schema.get("prefixItems", ()))  # than these: see `items`
                items = self.why(schema.get("items"), None) if has_more else None
                return items.under("[]") if items is not None else _crossed(schema, "minItems", "maxItems")
            case "object":
                return _crossed(schema, "minProperties", "maxProperties") or self._object(schema)
        return None

    def _object(self, schema: Mapping[str, Any]) -> Why | None:
        known = schema.get("properties", {})
        closed = schema.get("additionalProperties") is False and not schema.get("patternProperties")
        for name in schema.get("required", ()):
            if name not in known and closed:
                return Why(name, "it is required, and `properties` lacks it while additionalProperties is false")
            if (why := self.why(known.get(name), None)) is not None:
                return why.under(name)
        return None


def _meet(one: str, other: str) -> str | None:
    """Return the type of the values that are of both types."""
    return one if one == other else "integer" if {one, other} == {"integer", "number"} else None


def _crossed(schema: Mapping[str, Any], least: str, most: str) -> Why | None:
    low, high = schema.get(least), schema.get(most)
    if low is not None and high is not None and low > high:
        return Why("", f"{least} {low} is above {most} {high}")
    return None


def _crossed_numbers(schema: Mapping[str, Any], *, whole: bool) -> Why | None:
    numbers = {
        key: value
        for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
        if isinstance(value := schema.get(key), int | float) and not isinstance(value, bool)
    }
    low, above = numbers.get("minimum", -inf), numbers.get("exclusiveMinimum", -inf)
    high, below = numbers.get("maximum", inf), numbers.get("exclusiveMaximum", inf)
    least, most = max([low, above]), min([high, below])
    if whole and -inf < least and most < inf:
        first = floor(least) + 1 if above == least else ceil(least)
        crossed = first > (ceil(most) - 1 if below == most else floor(most))
    else:
        crossed = least > most or (least == most and least in (above, below))
    said = ", ".join(f"{key} {value}" for key, value in numbers.items())
    return Why("", f"no {'whole ' if whole else ''}number has {said}") if crossed else None
