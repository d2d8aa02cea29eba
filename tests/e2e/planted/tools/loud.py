"""Tools that fail in every way and quote their arguments in every spelling."""

import json
import urllib.parse
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from ballast.playbook import Approval, Read, Sensitive, ToolContext, ToolFailed, Write, tool
from tests.support.planted import PLANTED


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Told(Closed):
    secret: Annotated[str, Sensitive]
    how: str = ""


class Asked(Closed):
    about: str


@dataclass
class Found:
    """``short`` and ``number`` are masked where they stand, the others everywhere."""

    secret: Annotated[str, Sensitive]
    short: Annotated[str, Sensitive]
    number: Annotated[int, Sensitive]
    again: str


class Kept(TypedDict):
    secret: Annotated[str, Sensitive]
    note: str


def aloud(value: str) -> str:
    """Return a text that says the value in all spellings."""
    spelt = (
        value,
        repr(value),
        json.dumps({"secret": value}),
        json.dumps(json.dumps(value)),
        urllib.parse.quote(value),
    )
    return " | ".join(spelt)


def _rule(args: Told, _: Any) -> bool | str:
    if args.how == "rule":
        raise ValueError(aloud(args.secret))
    return f"because of {args.secret}" if args.how in ("precondition", "ask") else False


def _valid(args: Told, _: Any) -> str | None:
    if args.how == "validate":
        raise KeyError(args.secret)
    return f"not {aloud(args.secret)}" if args.how == "refuse" else None


def _pre(args: Told, _: ToolContext) -> dict[str, str]:
    if args.how == "precondition":
        raise LookupError({"secret": args.secret})
    return {"seen": args.secret}


def _find(args: Told, _: ToolContext) -> Kept | None:
    if args.how == "verify":
        raise ValueError(aloud(args.secret))
    return None


@tool(effect=Read())
def look(args: Asked, ctx: ToolContext) -> Found:
    """Look what there is."""
    return Found(**PLANTED[ctx.request.request_id])


@tool(effect=Write(verify=_find), approval=Approval(if_=_rule, precondition=_pre), validate=_valid)
def keep(args: Told, ctx: ToolContext) -> Kept:
    """Keep a secret."""
    if args.how == "failed":
        raise ToolFailed(aloud(args.secret))
    if args.how in ("defect", "verify"):
        try:
            raise KeyError(args.secret)
        except KeyError as problem:
            raise ValueError(aloud(args.secret)) from problem
    if args.how == "outage":
        raise ConnectionError(aloud(args.secret))
    return Kept(secret=args.secret, note=aloud(args.secret))
