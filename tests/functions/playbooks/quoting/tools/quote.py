"""``look`` and ``write`` quote their arguments, whole, as Python has them, in the way that ``how`` says."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict

from ballast.playbook import Read, Sensitive, ToolContext, ToolFailed, Write, tool


class Standing(Enum):
    INSOLVENT = "ins"


class Person(BaseModel):
    """A person's data, of which nobody else may know anything."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    born: Annotated[date, Sensitive]
    at: Annotated[datetime, Sensitive]
    waited: Annotated[timedelta, Sensitive]
    name: Annotated[str, Sensitive]
    mail: Annotated[str, Sensitive]
    share: Annotated[Decimal, Sensitive]
    standing: Annotated[Standing, Sensitive]
    pins: Annotated[list[str], Sensitive]
    how: str


class Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str


def _raise(error: Exception) -> str:
    raise error


WAYS: dict[str, Callable[[Person], str]] = {
    "repr": lambda args: _raise(ValueError(f"cannot look up {args!r}")),
    "vars": lambda args: _raise(RuntimeError("bad row", vars(args))),
    "dump": lambda args: _raise(RuntimeError(args.model_dump())),
    "json": lambda args: _raise(KeyError(args.model_dump_json())),
    "failed": lambda args: _raise(
        ToolFailed(f"nobody is born on {args.born:%d %B %Y}, {args.born!r} with {args.pins}")
    ),
    "text": lambda args: f"Dear {args.name}, {args.mail.lower()} and {args.mail.upper()}",
    "epoch": lambda args: f"{int(args.at.timestamp())} or {args.at.astimezone(UTC)!r}, {args.waited.total_seconds()}",
}


def _quoted(args: Person) -> Said:
    return Said(text=WAYS[args.how](args))


@tool(effect=Read())
def look(args: Person, ctx: ToolContext) -> Said:
    """Look somebody up."""
    return _quoted(args)


@tool(effect=Write())
def write(args: Person, ctx: ToolContext) -> Said:
    """Write to somebody."""
    return _quoted(args)


def forms() -> dict[str, Any]:
    """Return the arguments but ``how``, as a model sends them."""
    return {
        "born": "1990-05-17",
        "at": "1990-05-17T12:31:44+02:00",
        "waited": "PT37H31M",
        "name": "Maria Muster ",
        "mail": "Mia.Lee@Shop.example",
        "share": "7.5",
        "standing": "ins",
        "pins": ["7", "12"],
    }
