"""Values of a call by JSON pointer, for what a declaration says of its undo, verify, approval and money. Pure."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import field
from decimal import Decimal
from typing import Any

from ballast.contracts import RunRequest
from ballast.playbook.context import ToolContext
from ballast.playbook.servers.declaration import Above, MovesOf, ValueFrom
from ballast.playbook.servers.schema import pointer
from ballast.values import dataclass

#: A text of so many characters may also stand inside another one.
_LONG = 12
#: Values that say nothing, as texts.
_NO_VALUES = frozenset({"", "0", "false", "None"})
#: Names of what a thing is known by. A URL, or the id of something else, may be that of the request.
_IDS = frozenset({"id", "uuid", "guid", "number", "sysid", "objectid", "arn", "urn"})
#: An amount as a server writes it: plain digits.
_AMOUNT = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,6})?")


@dataclass(frozen=True)
class Answer:
    """What a server answers to a call.

    partial  why what is not in it may be there all the same, as the end of "the read …"; "" where it says everything
    beside   what is said beside it, by name, such as headers
    texts    the texts that stand beside it, which a person may read instead
    """

    result: Any
    partial: str = ""
    beside: Mapping[str, Any] = field(default_factory=dict)
    texts: tuple[str, ...] = ()


class NoValue(LookupError):
    """A call lacks a value that its declaration takes from it."""


def values_from(sources: Mapping[str, ValueFrom], arguments: Any, result: Any, key: str | None) -> dict[str, Any]:
    """Return the arguments that a declaration takes from a call.

    Raises ``NoValue`` for one that is not there: with fewer arguments, a call would mean something else.
    """
    made: dict[str, Any] = {}
    for name, source in sources.items():
        if "value" in source.model_fields_set:
            made[name] = source.value
        elif source.key:
            if key is None:
                raise NoValue(f"{name} cannot be given: there is no key.")
            made[name] = key
        else:
            path = pointer(source.argument or source.result or "")
            value = at(arguments if source.argument is not None else result, path)
            if value is None:
                source_of = "the call's arguments have" if source.argument is not None else "the result has"
                raise NoValue(f"{name} cannot be given: {source_of} no {source.argument or source.result}.")
            made[name] = value
    return made


def at(value: Any, path: Sequence[str]) -> Any:
    """Return the part of JSON ``value`` at a path, None if there is none."""
    for step in path:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def answer_at(result: Any, path: Sequence[str]) -> tuple[Any, Any]:
    """Return the part of a read's result at a path, and the nearest object around it or itself; None if there is none.

    Raises ``NoValue`` where the result is not of the form in which the part would be: that is no "no".
    """
    about, last = result, len(path) - 1
    for number, step in enumerate(path):
        if isinstance(result, Mapping) and (step in result or number == last):
            result = result.get(step)
        elif isinstance(result, list) and step.isdigit():
            result = result[int(step)] if int(step) < len(result) else None
        elif result is not None:
            raise NoValue(f"its read answered in a form that has no /{'/'.join(path)}.")
        about = result if isinstance(result, Mapping | list) else about
    return result, about


def holds(found: Any, wanted: Any, names: Sequence[str] = ()) -> bool:
    """Say whether JSON holds a value that has one of ``names``; of an object or a list, each part of it.

    A text that is long stands for itself, wherever it is, also as a whole word of another one: the key of call 1 is not
    in that of call 10. Anything else ("1", "open", true) may be there by chance: it counts only under its own name,
    where that stands nearest to the top.
    """
    leaves = list(leaves_of(found))
    long = [text for _, _, text in leaves if len(text) >= _LONG]
    return all(
        (len(one) >= _LONG and any(map(_as_word(one).search, long))) or one in _nearest(leaves, {name} if name else own)
        for own in [{plain_name(name) for name in names}]
        for _, name, one in leaves_of(wanted)
    )


def tells_more(found: Any, asked: Sequence[Any]) -> bool:
    """Say whether a result is more than a text, and more than an echo of what was asked.

    "No note with ref 7" is an answer that fails no more than a note, and so is ``{"ref": 7, "items": [], "total": 0}``.
    """
    if not isinstance(found, Mapping | list):
        return not isinstance(found, str)
    known = {text for value in asked for _, _, text in leaves_of(value)} | _NO_VALUES
    return any(text.strip() not in known for _, _, text in leaves_of(found))


def is_a_thing(found: Any, asked: Sequence[tuple[str, Any, Sequence[str]]], arguments: Any, *, matched: bool) -> bool:
    """Say whether a result is a thing, and no "not found" beside an echo: it has an id, or an argument of its call.

    That argument is none of the values that were ``asked`` for, which a server may repeat of a thing that it has not.
    Where it is to be ``matched``, the object that has either must hold what was asked for: the id may be another's.
    """
    known = {text for _, value, _ in asked for _, _, text in leaves_of(value)} | _NO_VALUES
    told = {plain_name(name): one for name, one in arguments.items()} if isinstance(arguments, Mapping) else {}
    for thing in _objects_in(found):
        for name, one in thing.items():
            own = plain_name(str(name))
            if isinstance(one, bool) or all(text.strip() in known for _, _, text in leaves_of(one)):
                continue
            its_own = own in _IDS or (own in told and holds({own: one}, told[own], (own,)))
            if its_own and (not matched or all(holds(thing, value, names) for _, value, names in asked)):
                return True
    return False


def _objects_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of JSON, at every depth."""
    if isinstance(value, Mapping):
        yield value
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for one in inside:
        yield from _objects_in(one)


def _as_word(text: str) -> re.Pattern[str]:
    """Return what finds a text where nothing goes on before or behind it: no letter, no digit, no part of a name."""
    before = r"(?:(?<![\w-])(?<!\w\.)|(?<=%[0-9A-Fa-f]{2}))" if re.match(r"\w", text, re.ASCII) else ""
    behind = r"(?!\.?[\w-])" if re.search(r"\w$", text, re.ASCII) else ""
    return re.compile(before + re.escape(text) + behind, re.ASCII)


def _nearest(leaves: Sequence[tuple[int, str, str]], names: Collection[str]) -> list[str]:
    """Return the values under these names, those that are nearest to the top."""
    named = [(depth, text) for depth, name, text in leaves if name in names]
    return [text for depth, text in named if depth == min(named)[0]]


def leaves_of(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[int, str, str]]:
    """Yield the values that are neither object nor list: depth, the name under which they stand, and text."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from leaves_of(one, plain_name(str(key)), depth + 1)
    elif isinstance(value, list):
        for one in value:
            yield from leaves_of(one, name, depth)
    elif isinstance(value, bool):
        yield depth, name, str(value).lower()
    elif isinstance(value, float) and value.is_integer():
        yield depth, name, str(int(value))
    else:
        yield depth, name, str(value)


def plain_name(name: str) -> str:
    """Return a name as it is compared: ``customer_id``, ``customerId`` and ``Customer-Id`` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def above(said: Above) -> Callable[[Any, RunRequest], str | bool]:
    """Return the rule that asks people for a number above a bound, and for what is no number."""
    path = pointer(said.argument)

    def rule(args: Any, _request: RunRequest) -> str | bool:
        value = at(args.root, path)
        # What is not a number cannot be compared: a person looks.
        name = ".".join(path)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return f"{name} is no number, and asks for approval above {_as_written(said.above)}"
        if value <= said.above:
            return False
        return f"{name} {_as_written(value)} is above {_as_written(said.above)}"

    return rule


def _as_written(number: float) -> str:
    """Return a number as a person writes it: 50 and not 50.0."""
    return repr(number).removesuffix(".0")


def amount_of(moves: MovesOf) -> Callable[[Any, RunRequest], Decimal]:
    """Return the function that computes the amount that a call moves. It raises ``ValueError``."""
    path, currency = pointer(moves.amount), moves.currency

    def amount(args: Any, _request: RunRequest) -> Decimal:
        if currency is not None and at(args.root, pointer(currency.argument)) != currency.is_:
            raise ValueError(f"{currency.argument} must be {currency.is_}")
        value = at(args.root, path)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError(f"{moves.amount} is no number")
        # The digits that were sent: a JSON number's are those of its shortest text.
        digits = value if isinstance(value, str) else repr(value)
        if not _AMOUNT.fullmatch(digits):
            raise ValueError(f"{moves.amount} is no amount")
        return Decimal(digits).scaleb(-moves.decimals)

    return amount


def customer_of(path: str) -> Callable[[Any, ToolContext], str]:
    """Return the function that names the customer whose money a call moves."""

    def customer(args: Any, _ctx: ToolContext) -> str:
        value = at(args.root, pointer(path))
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    return customer
