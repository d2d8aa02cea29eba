"""Tools whose function is honest, and another function of whose declaration reads what is not in its arguments."""

import functools
import os
import random
import time
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field

from ballast.playbook import Approval, Read, ToolContext, Write, tool

from ..box import Box, Count, add_once, count

_LAST: dict[str, str] = {}
_AGREED: dict[str, str] = {"box": "a"}


def _last_box(args: Any, _: Any) -> dict[str, Any]:
    return {"id": _LAST.get("box", "a")}


@tool(effect=Write(honours_key=True, undo="fair_undo", undo_arguments=_last_box))
def undo_of_memory(args: Box, ctx: ToolContext) -> Count:
    """Add, and note the box for the undo."""
    _LAST["box"] = args.id
    return add_once(ctx, 1, args.id)


def _of_stage(args: Any, _: Any) -> dict[str, Any]:
    return {"id": args.id if os.environ.get("STAGE", "dev") == "dev" else "b"}


@tool(effect=Write(honours_key=True, undo="fair_undo", undo_arguments=_of_stage))
def undo_of_a_variable(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(
    effect=Write(honours_key=True),
    approval=Approval(if_=lambda a, request: "night" if time.gmtime().tm_year == 1970 else None),
)
def approval_by_the_clock(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True, moves=lambda a, request: 1 if random.random() < 1 else 2))
def moves_by_chance(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


class _Asked(BaseModel):
    """When it was asked, by the clock that a library of C asks for a default."""

    at: datetime = Field(default_factory=datetime.utcnow)


class _Drawn(BaseModel):
    """A draw, likewise."""

    by: float = Field(default_factory=random.random)


@tool(
    effect=Write(honours_key=True),
    approval=Approval(if_=lambda a, request: "night" if _Asked().at.year == 1970 else None),
)
def approval_by_a_default(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(
    effect=Write(honours_key=True),
    approval=Approval(
        if_=lambda a, request: None, precondition=lambda a, ctx: "open" if _Asked().at.year > 1970 else "closed"
    ),
)
def precondition_by_a_default(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True, moves=lambda a, request: 1 if _Drawn().by < 1 else 2))
def moves_by_a_default(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


class _Given(BaseModel):
    """What a field's default gives that follows from nothing else."""

    of: list[str] = Field(default_factory=list)
    at: datetime = Field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))


@tool(
    effect=Write(honours_key=True),
    approval=Approval(if_=lambda a, request: "late" if _Given().at.year > 2030 else None),
)
def fair_default(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(
    effect=Write(honours_key=True),
    validate=lambda a, request: "closed" if datetime.now(UTC).year < 2000 else None,
)
def validated_by_the_clock(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True), cost_microusd=lambda a, request: 1 + len(os.sep))
def fair_cost(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True), cost_microusd=lambda a, request: 5 if os.getpid() else 7)
def cost_of_a_process(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(
    effect=Write(honours_key=True),
    approval=Approval(if_=None, precondition=lambda a, ctx: "summer" if time.strftime("%Y") == "1970" else "open"),
)
def precondition_by_strftime(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


def _agreed(args: Any, _: Any) -> dict[str, Any]:
    return {"id": args.id if _AGREED.get("box") else "b"}


@tool(
    effect=Write(honours_key=True, undo="fair_undo", undo_arguments=_agreed, moves=lambda a, request: len(a.id)),
    approval=Approval(
        if_=lambda a, request, run: run.moved > 1000, precondition=lambda a, ctx: ctx.environ["BOX_TABLE"]
    ),
    validate=lambda a, request, run: None if len(run.done("fair_declared")) < 50 else "too often",
    cost_microusd=lambda a, request: len(request.text),
)
def fair_declared(args: Box, ctx: ToolContext) -> Count:
    """Add. A table that nobody changes is no memory."""
    return add_once(ctx, 1, args.id)


@tool(effect=Read(), cost_microusd=10)
def read_dearer_than_declared(args: Box, ctx: ToolContext) -> Count:
    """Read, and report more than it may cost."""
    ctx.report_cost(11)
    return Count(count=count(ctx, args.id))


@tool(effect=Read(), cost_microusd=lambda a, request: 10)
def fair_read_at_its_price(args: Box, ctx: ToolContext) -> Count:
    """Read, and report what it may cost."""
    ctx.report_cost(10)
    return Count(count=count(ctx, args.id))


@functools.lru_cache
def _counted(client: Any, table: str, box: str) -> int:
    found = client.get_item(TableName=table, Key={"id": {"S": box}}, ConsistentRead=True)
    return int(found["Item"]["count"]["N"]) if "Item" in found else 0


def _remembered(args: Any, ctx: ToolContext) -> int:
    return _counted(ctx.client("dynamodb"), ctx.environ["BOX_TABLE"], args.id)


@tool(effect=Read())
def read_remembered(args: Box, ctx: ToolContext) -> Count:
    """Read once a process."""
    return Count(count=_remembered(args, ctx))


@tool(effect=Write(honours_key=True), approval=Approval(if_=None, precondition=_remembered))
def precondition_remembered(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


def _behind(args: Any, ctx: ToolContext) -> bool:
    return "Item" in ctx.client("dynamodb").get_item(TableName=ctx.environ["BOX_TABLE"], Key={"id": {"S": args.id}})


@tool(effect=Write(honours_key=True), approval=Approval(if_=None, precondition=_behind))
def precondition_behind(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


def _open_or_unread(args: Any, ctx: ToolContext) -> str:
    try:
        return "open" if count(ctx, args.id) < 1000 else "closed"
    except Exception:
        return "open"


@tool(effect=Write(honours_key=True), approval=Approval(if_=None, precondition=_open_or_unread))
def precondition_unread(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(
    effect=Write(honours_key=True),
    approval=Approval(if_=None, precondition=lambda args, ctx: "open" if count(ctx, args.id) < 1000 else "closed"),
)
def fair_precondition_read(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)
