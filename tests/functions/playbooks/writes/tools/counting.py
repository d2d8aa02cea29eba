"""Add to a note's ``writes``: in every way in which a tool can, or cannot, tell what a dead attempt did.

``how`` says what goes wrong, in the first attempt at a call only.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict

from ballast.errors import RetryLater
from ballast.playbook import CallLimits, Change, Circuit, Read, ToolContext, ToolFailed, Write, tool

How = Literal["well", "no", "outage_before", "outage_after", "slow_before", "slow_after", "nothing_done", "defect",
              "defect_before", "odd", "always_down"]  # fmt: skip


class Add(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    note_id: str
    by: float = 1
    how: How = "well"
    text: str = ""


class Sum(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    note_id: str


def _where(ctx: ToolContext) -> dict[str, Any]:
    return {"table": ctx.environ["NOTES_TABLE"], "key": "note_id"}


def _add(args: Any, ctx: ToolContext, what: str = "writes") -> dict[str, Any]:
    return {
        "TableName": ctx.environ["NOTES_TABLE"],
        "Key": {"note_id": {"S": args.note_id}},
        "UpdateExpression": f"ADD {what} :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }


def _first(ctx: ToolContext) -> bool:
    """Say whether this is the first attempt at the call."""
    key = {"note_id": {"S": f"marker#attempts#{ctx.idempotency_key}"}}
    made = ctx.client("dynamodb").update_item(
        TableName=ctx.environ["NOTES_TABLE"],
        Key=key,
        UpdateExpression="ADD attempts :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
        ReturnValues="UPDATED_NEW",
    )
    return bool(made["Attributes"]["attempts"]["N"] == "1")


def _hang() -> None:
    """Go on for longer than anybody waits, but not for ever; the thread's name says so to the test."""
    threading.current_thread().name = "tool that hangs"
    for _ in range(400):
        time.sleep(0.01)


def _trouble(args: Add, ctx: ToolContext, add: Callable[[], Sum]) -> Sum:
    """Add with the trouble that ``args`` asks for."""
    if args.how == "always_down":
        raise ConnectionError("the downstream is down")
    if args.how == "no":
        raise ToolFailed("Not on Sundays.")
    how = args.how if args.how == "well" or _first(ctx) else "well"
    match how:
        case "outage_before":
            raise ConnectionError("connection reset before")
        case "nothing_done":
            raise RetryLater("Somebody was in the way; nothing was written.")
        case "slow_before":
            _hang()
        case "defect_before":
            raise ZeroDivisionError("division by zero")
    added = add()
    match how:
        case "outage_after":
            raise ConnectionError("connection reset after")
        case "slow_after":
            _hang()
        case "defect":
            raise ZeroDivisionError("division by zero")
        case "odd":
            return cast(Sum, 42)  # as a tool without types could
    return added


def _plainly(args: Add, ctx: ToolContext) -> Sum:
    ctx.client("dynamodb").update_item(**_add(args, ctx))
    return Sum(note_id=args.note_id)


def _with_key(args: Any, ctx: ToolContext, what: str = "writes") -> Sum:
    return ctx.write_once(
        **_where(ctx),
        result=Sum,
        attempt=lambda: Change(Sum(note_id=args.note_id), [{"Update": _add(args, ctx, what)}], "Changed."),
    )


def _verify(args: Any, ctx: ToolContext) -> Sum | None:
    if getattr(args, "text", "") == "cannot be verified":
        raise ZeroDivisionError("the archive burnt down")
    return ctx.written_once(**_where(ctx), result=Sum)


def _leaving_a_mark(args: Add, ctx: ToolContext) -> Sum:
    """Add again at each attempt, as a downstream does that takes no key, and leave what ``_verify`` finds."""
    mark = {
        "note_id": {"S": f"marker#{ctx.idempotency_key}"},
        "result": {"S": Sum(note_id=args.note_id).model_dump_json()},
    }
    put = {"Put": {"TableName": ctx.environ["NOTES_TABLE"], "Item": mark}}
    ctx.client("dynamodb").transact_write_items(TransactItems=[put, {"Update": _add(args, ctx)}])
    return Sum(note_id=args.note_id)


@tool(
    effect=Write(undo="take_away", undo_arguments=lambda args, _: {"note_id": args.note_id}),
    limits=CallLimits(timeout_s=20),
)
def plain_add(args: Add, ctx: ToolContext) -> Sum:
    """Add; nothing can tell what a dead attempt did."""
    return _trouble(args, ctx, lambda: _plainly(args, ctx))


@tool(
    effect=Write(undo="take_away", undo_arguments=lambda args, _: {"note_id": args.note_id}, honours_key=True),
    limits=CallLimits(timeout_s=20),
)
def keyed_add(args: Add, ctx: ToolContext) -> Sum:
    """Add once per key."""
    return _trouble(args, ctx, lambda: _with_key(args, ctx))


@tool(
    effect=Write(undo="take_away", undo_arguments=lambda args, _: {"note_id": args.note_id}, verify=_verify),
    limits=CallLimits(timeout_s=20),
)
def verified_add(args: Add, ctx: ToolContext) -> Sum:
    """Add; whether it happened can be looked up."""
    return _trouble(args, ctx, lambda: _leaving_a_mark(args, ctx))


@tool(effect=Write(verify=lambda args, ctx: True if _verify(args, ctx) else None))
def silent_add(args: Add, ctx: ToolContext) -> None:
    """Add and return nothing."""
    _trouble(args, ctx, lambda: _leaving_a_mark(args, ctx))


@tool(effect=Write(honours_key=True, repeat="allow", on_rollback="keep"))
def letter(args: Add, ctx: ToolContext) -> Sum:
    """Send a letter: right whatever becomes of the run."""
    return _with_key(args, ctx)


@tool(effect=Write(honours_key=True, repeat="ask", on_rollback="freeze"))
def announce(args: Add, ctx: ToolContext) -> Sum:
    """Tell the press: a person judges what to do about it, and whether to do it again."""
    return _with_key(args, ctx)


@tool(effect=Write(undo="throw_away", honours_key=True))
def with_doubtful_undo(args: Add, ctx: ToolContext) -> Sum:
    """Add; its undo cannot be resolved."""
    return _with_key(args, ctx)


@tool(effect=Write())
def throw_away(args: Add, ctx: ToolContext) -> Sum:
    """Undo, but nobody could tell what a dead attempt at it did."""
    return _plainly(args, ctx)


@tool(effect=Write(honours_key=True))
def take_away(args: Sum, ctx: ToolContext) -> Sum:
    """Undo."""
    return _with_key(args, ctx, "erasures")


@tool(effect=Read(), limits=CallLimits(timeout_s=20))
def slow_read(args: Add, ctx: ToolContext) -> Sum:
    """Read, slowly."""
    return _trouble(args, ctx, lambda: Sum(note_id=args.note_id))


@tool(effect=Read(repeat="once"))
def read_once(args: Sum, ctx: ToolContext) -> float:
    """Read what costs something, so once is enough."""
    ctx.client("dynamodb").update_item(**_add(args, ctx))
    return 1.0


@tool(effect=Write(honours_key=True, repeat="allow"), circuit=Circuit("carrier", failures=2, recovery_s=30))
def carrier_add(args: Add, ctx: ToolContext) -> Sum:
    """Add through a carrier that may be down."""
    return _trouble(args, ctx, lambda: _with_key(args, ctx))


@tool(effect=Read(), circuit=Circuit("carrier", failures=2, recovery_s=30))
def carrier_read(args: Add, ctx: ToolContext) -> Sum:
    """Ask the carrier."""
    return _trouble(args, ctx, lambda: Sum(note_id=args.note_id))
