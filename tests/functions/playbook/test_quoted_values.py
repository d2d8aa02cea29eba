"""A tool that quotes its sensitive arguments, in the forms in which Python writes their types."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, cast
from uuid import UUID

import pytest
from pydantic import AfterValidator, AnyUrl, BaseModel, ConfigDict, StringConstraints, create_model
from typing_extensions import TypedDict

from ballast.masking import Finder
from ballast.playbook import Sensitive, ToolContext, Write, tool
from ballast.playbook.load import Playbook
from ballast.playbook.sensitive import sensitive_values
from ballast.playbook.tool import Tool


class Colour(Enum):
    GOLDEN = "golden-card"
    SILVER = "s1"


class Level(IntEnum):
    PLATINUM = 7


class Kind(StrEnum):
    PRIVATE = "privately"


class Home(TypedDict):
    since: date
    city: str


@dataclass(frozen=True)
class Held:
    since: datetime
    by: str


class Inner(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)
    born: date
    name: str


Stripped = Annotated[str, StringConstraints(strip_whitespace=True)]
Lower = Annotated[str, StringConstraints(to_lower=True)]
Upper = Annotated[str, StringConstraints(to_upper=True)]
Squeezed = Annotated[str, AfterValidator(lambda text: text.replace("-", "").replace("x", ""))]


def backwards(value: frozenset[str]) -> str:
    """Write an equal set that was made in another order."""
    return repr({"members": "{" + ", ".join(map(repr, reversed([*value]))) + "}"}).replace('"', "")


#: (type, as it is sent, ways in which a tool may write it, what must be left of none)
CASES: dict[str, tuple[Any, Any, list[Callable[[Any], str]], list[str]]] = {
    "date": (date, "1990-05-17", [lambda v: f"{v:%d %B %Y}", lambda v: str(v.timetuple())], ["1990", "17"]),
    "datetime": (
        datetime,
        "1990-05-17T10:31:44Z",
        [lambda v: str(v.timestamp()), lambda v: str(int(v.timestamp())), lambda v: str(v.replace(tzinfo=None))],
        ["1990", "31", "6429"],
    ),
    "datetime elsewhere": (
        datetime,
        "1990-05-17T01:31:44.250+02:00",
        [lambda v: str(v.astimezone(UTC)), lambda v: repr(v.astimezone(UTC)), lambda v: str(int(v.timestamp() * 1000))],
        ["1990", "31", "6429"],
    ),
    "naive": (datetime, "1990-05-17T10:31:44", [], ["1990", "31"]),
    "time": (time, "10:31:00", [lambda v: f"{v:%H:%M}", lambda v: f"{v:%I:%M %p}"], ["31"]),
    "timedelta": (
        timedelta,
        "PT37H31M",
        [lambda v: str(v.total_seconds()), lambda v: repr([v])],
        ["13", "135060", "486"],
    ),
    "negative timedelta": (timedelta, "-P3DT31M", [], ["-4", "29", "84540"]),
    "decimal": (Decimal, "7.5", [lambda v: f"'{v!r}'"], ["7.5"]),
    "large decimal": (Decimal, "4.711E+6", [lambda v: f"{v:f}", lambda v: f"{v:,.2f}"], ["4711", "711"]),
    "uuid": (
        UUID,
        "6f1c2f0e-0000-4000-8000-abcdefabcdef",
        [lambda v: v.hex, lambda v: str(v.int)],
        ["6f1c", "1476", "abcdef"],
    ),
    "enum": (Colour, "golden-card", [], ["GOLDEN", "golden"]),
    "short enum": (Colour, "s1", [], ["SILVER", "s1"]),
    "integer enum": (Level, 7, [lambda v: f"{v.name}"], ["PLATINUM"]),
    "text enum": (Kind, "privately", [], ["PRIVATE", "private"]),
    "bytes": (bytes, "Müller", [lambda v: v.hex(), lambda v: v.decode()], ["M\\xc3", "4dc3", "ller"]),
    "ipv4": (IPv4Address, "192.168.17.41", [], ["168", "17.41"]),
    "ipv6": (IPv6Address, "2001:0DB8::17", [lambda v: v.exploded], ["db8", "0017"]),
    "network": (IPv4Network, "192.168.17.0/24", [], ["168"]),
    "interface": (IPv4Interface, "192.168.17.41/24", [], ["168"]),
    "path": (Path, "/home//maria/x.pdf", [], ["maria"]),
    "url": (AnyUrl, "HTTPS://Shop.Example/Maria", [str], ["aria", "hop.exam"]),
    "fraction": (Fraction, "1234/5678", [], ["617", "2839"]),
    "frozenset": (frozenset[str], ["7", "12"], [backwards], ["7", "12"]),
    "set": (set[date], ["1990-05-17"], [], ["1990"]),
    "list": (list[str], ["7", "12"], [], ["7", "12"]),
    "tuple": (tuple[date, str], ["1990-05-17", "7"], [], ["1990", "'7'"]),
    "one item": (list[int], [7], [], ["7"]),
    "dict": (dict[str, int], {"7": 12}, [], ["7", "12"]),
    "typed dict": (Home, {"since": "1990-05-17", "city": "Bonn"}, [], ["1990", "Bonn"]),
    "dataclass": (Held, {"since": "1990-05-17T10:31:44", "by": "Maria"}, [], ["1990", "Maria"]),
    "model": (Inner, {"born": "1990-05-17", "name": " Maria Muster "}, [lambda v: v.name], ["1990", "Maria"]),
    "boolean": (bool, True, [], ["value=True", "'value': True"]),
    "integer": (int, 7, [], ["value=7", "'value': 7"]),
    "stripped": (Stripped, "Maria Muster ", [lambda v: f"Dear {v}!"], ["Maria", "Muster"]),
    "short and stripped": (Stripped, " ok ", [], ["ok"]),
    "lower": (Lower, "Maria Muster", [lambda v: v.title()], ["maria", "Maria"]),
    "upper": (Upper, "maria straße", [], ["MARIA", "STRA"]),
    "changed": (Squeezed, "Ma-rixa", [], ["Maria"]),
    "text": (str, "Mia.Lee@Shop.example", [lambda v: v.lower(), lambda v: v.upper()], ["mia", "MIA", "shop"]),
    "blank text": (
        str,
        "Maria Muster \n",
        [lambda v: f"Dear {v.strip()}!", lambda v: repr(v.split(","))],
        ["Maria", "Muster"],
    ),
    "json": (str, json.dumps({"card": "4711 0815"}), [lambda v: json.loads(v)["card"]], ["4711", "0815"]),
    "union": (date | str, "1990-05-17", [], ["1990"]),
    "optional": (Decimal | None, "7.5", [], ["7.5"]),
}


def made(kind: Any) -> Tool:
    arguments: type[BaseModel] = create_model(
        "Told", __config__=ConfigDict(extra="forbid", frozen=True), value=(Annotated[kind, Sensitive], ...)
    )

    def keep(args: Any, ctx: ToolContext) -> str:
        """Keep it."""
        return "kept"

    keep.__annotations__["args"] = arguments
    return tool(effect=Write())(keep)


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_left_of_a_value_that_a_tool_quotes(case: str) -> None:
    kind, sent, ways, pieces = CASES[case]
    keep = made(kind)
    arguments = {"value": sent}
    args: Any = keep.read(arguments)
    playbook = cast(
        Playbook, SimpleNamespace(tools={"keep": keep}, agent=SimpleNamespace(sensitive=SimpleNamespace(context=())))
    )
    finder = Finder.of(
        sensitive_values(playbook, {"tool": "keep", "arguments": arguments}), frozenset({"keep", "value"})
    )
    quoted = [repr(args), str(args), repr(vars(args)), args.model_dump_json(), repr(args.model_dump())]
    quoted += [repr(RuntimeError("bad row", vars(args))), json.dumps(repr(args))]
    quoted += [repr(args.model_dump(mode="json")), json.dumps(args.model_dump(mode="json"))]
    if not isinstance(sent, bool | int | list | dict) and len(str(args.value)) >= 4:
        quoted += [repr(args.value), str(args.value), repr([args.value])]
    quoted += [way(args.value) for way in ways]

    for text in quoted:
        shown = finder.masked(f"cannot do with {text}, sorry")
        assert not [piece for piece in pieces if piece in shown], (text, shown)
        assert shown.startswith("cannot do with ")
        assert shown.endswith(", sorry")
