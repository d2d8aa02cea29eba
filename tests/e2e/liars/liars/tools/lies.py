"""One lie a tool; each name says which."""

import http.client
import itertools
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, ConfigDict

from ballast.playbook import Approval, CallLimits, Circuit, Read, ToolContext, ToolFailed, Write, tool

from ..box import Box, Count, add, add_once, added, count
from ..double import address

_NUMBERS = itertools.count()
_REMEMBERED: dict[str, Count] = {}


class Notes(BaseModel):
    """Notes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    notes: list[str]


def _key_read(ctx: ToolContext, box: str) -> Count | None:
    return Count(count=11) if count(ctx, f"{box} {ctx.idempotency_key}") else None


@tool(effect=Write(honours_key=True))
def key_ignored(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    add(ctx, args.id)
    return Count(count=1)


@tool(effect=Write(honours_key=True))
def key_in_memory(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    if ctx.idempotency_key not in _REMEMBERED:
        add(ctx, args.id)
        _REMEMBERED[ctx.idempotency_key] = Count(count=1)
    return _REMEMBERED[ctx.idempotency_key]


@tool(effect=Write(honours_key=True))
def key_before_effect(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    if not _key_read(ctx, "key"):
        add(ctx, f"key {ctx.idempotency_key}")
        add(ctx, args.id)
    return Count(count=11)


@tool(effect=Write(honours_key=True))
def key_with_other_results(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    add_once(ctx, 1, args.id)
    return Count(count=int(ctx.now.timestamp()))


@tool(effect=Write(verify=lambda args, ctx: _key_read(ctx, "begun")))
def verify_early(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    add(ctx, f"begun {ctx.idempotency_key}")
    add(ctx, args.id)
    return Count(count=11)


@tool(effect=Write(verify=lambda args, ctx: None))
def verify_never(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    add(ctx, args.id)
    return Count(count=1)


@tool(effect=Write(verify=lambda args, ctx: _key_read(ctx, "late")))
def verify_late(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    add(ctx, args.id)
    add(ctx, f"late {ctx.idempotency_key}")
    return Count(count=11)


@tool(effect=Write(verify=lambda args, ctx: Count(count=count(ctx, "v")) if count(ctx, "v") else None))
def verify_of_anybody(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    add(ctx, "v")
    return Count(count=1)


@tool(effect=Write(undo="undo_twice", honours_key=True, undo_arguments=lambda args, _: {"id": args.id}))
def with_undo_twice(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True), offered=False)
def undo_twice(args: Box, ctx: ToolContext) -> Count:
    """Take back."""
    add(ctx, args.id, -1)
    return Count(count=1)


@tool(effect=Write(undo="undo_too_much", honours_key=True, undo_arguments=lambda args, _: {"id": args.id}))
def with_undo_too_much(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True), offered=False)
def undo_too_much(args: Box, ctx: ToolContext) -> Count:
    """Take back."""
    return add_once(ctx, -1, args.id, "b")


@tool(effect=Write(undo="undo_nothing", honours_key=True, undo_arguments=lambda args, _: {"id": args.id}))
def with_undo_nothing(args: Box, ctx: ToolContext) -> Count:
    """Add to a box that there was not."""
    return add_once(ctx, 1, "new")


@tool(effect=Write(honours_key=True), offered=False)
def undo_nothing(args: Box, ctx: ToolContext) -> Count:
    """Take nothing back."""
    return add_once(ctx, 1, "elsewhere")


@tool(effect=Read())
def read_that_writes(args: Box, ctx: ToolContext) -> Count:
    """Read."""
    add(ctx, "read")
    return Count(count=1)


def _asked(args: Any, ctx: ToolContext) -> int:
    add(ctx, "asked")
    return 1


@tool(effect=Write(honours_key=True), approval=Approval(if_=None, precondition=_asked))
def precondition_that_writes(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True), approval=Approval(if_=None, precondition=lambda args, ctx: next(_NUMBERS)))
def precondition_that_varies(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


def _pay(key: str, timeout_s: float | None, body: str = "") -> None:
    service = http.client.HTTPConnection(*address(), timeout=timeout_s)
    service.request("POST", "/pay", body, headers={"Idempotency-Key": key})
    answer = service.getresponse()
    answer.read()
    service.close()
    if answer.status != 200:
        raise RuntimeError(f"The service answered {answer.status}.")


@tool(effect=Write(honours_key=True), limits=CallLimits(timeout_s=5))
def timeout_ignored(args: Box, ctx: ToolContext) -> Count:
    """Pay."""
    _pay(ctx.idempotency_key, 100)
    return Count(count=1)


@tool(effect=Write(honours_key=True), limits=CallLimits(timeout_s=5))
def honest_pay(args: Box, ctx: ToolContext) -> Count:
    """Pay."""
    _pay(ctx.idempotency_key, ctx.timeout_s)
    return Count(count=1)


@tool(effect=Write(honours_key=True), limits=CallLimits(timeout_s=5))
def key_not_sent(args: Box, ctx: ToolContext) -> Count:
    """Pay."""
    _pay("", ctx.timeout_s)
    return Count(count=1)


@tool(effect=Write(honours_key=True), limits=CallLimits(timeout_s=5))
def sent_otherwise(args: Box, ctx: ToolContext) -> Count:
    """Pay."""
    _pay(ctx.idempotency_key, ctx.timeout_s, f"at={ctx.now.isoformat()}")
    return Count(count=1)


@tool(effect=Write(honours_key=True), limits=CallLimits(timeout_s=5), circuit=Circuit("pay", 5, 30))
def circuit_blind(args: Box, ctx: ToolContext) -> Count:
    """Pay, and refuse where the service is not known to have paid."""
    service = http.client.HTTPConnection(*address(), timeout=ctx.timeout_s)
    try:
        service.request("GET", "/health")
        service.getresponse().read()
    except OSError:
        raise ToolFailed("The payment service is away; nothing was paid.") from None
    finally:
        service.close()
    _pay(ctx.idempotency_key, ctx.timeout_s)
    return Count(count=1)


def _stands(args: Any, ctx: ToolContext) -> Count | None:
    return Count(count=1) if count(ctx, "state") > 0 else None


def _bring_about(ctx: ToolContext) -> Count:
    if count(ctx, "state") > 0:
        raise ToolFailed("It is so already.")
    state = {"id": {"S": "state"}, "count": {"N": "1"}}  # put, not added: AWS's client may send it twice
    ctx.client("dynamodb").put_item(TableName=ctx.environ["BOX_TABLE"], Item=state)
    return Count(count=1)


@tool(effect=Write(verify=_stands, undo="undo_state", undo_arguments=lambda args, _: {"id": args.id}))
def verify_of_state_undone(args: Box, ctx: ToolContext) -> Count:
    """Bring a state about. Its undo would take another call's away."""
    return _bring_about(ctx)


@tool(effect=Write(honours_key=True), offered=False)
def undo_state(args: Box, ctx: ToolContext) -> Count:
    """Take it away."""
    return add_once(ctx, -1, "state")


@tool(effect=Write(verify=_stands))
def honest_state(args: Box, ctx: ToolContext) -> Count:
    """Bring a state about, which is the same whoever did."""
    return _bring_about(ctx)


@tool(effect=Read())
def money_as_float(args: Box, ctx: ToolContext) -> dict[str, float]:
    """Read a price."""
    return {"price_usd": 0.1}


@tool(effect=Read())
def result_of_process(args: Box, ctx: ToolContext) -> Count:
    """Read."""
    return Count(count=next(_NUMBERS))


@tool(effect=Read())
def arguments_changed(args: Notes, ctx: ToolContext) -> Count:
    """Read."""
    args.notes.append("more")
    return Count(count=1)


@tool(effect=Read())
def result_unfit(args: Box, ctx: ToolContext) -> Count:
    """Read."""
    return "seven"  # type: ignore[return-value]


@tool(effect=Write(honours_key=True))
def error_swallowed(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    with suppress(Exception):
        add_once(ctx, 1, args.id)
    return Count(count=11)


@tool(effect=Write(honours_key=True, verify=lambda args, ctx: added(ctx)))
def doubt_as_failure(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    try:
        return add_once(ctx, 1, args.id)
    except ToolFailed:
        raise
    except Exception:
        raise ToolFailed("The table did not answer; nothing was done.") from None


@tool(effect=Write(honours_key=True, verify=lambda args, ctx: added(ctx)))
def honest_add(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    if (done := added(ctx)) is not None:
        return done
    return add_once(ctx, 1, args.id)
