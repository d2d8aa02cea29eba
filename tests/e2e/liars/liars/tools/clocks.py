"""Tools that are honest at once, and lie by a clock that no name of their module tells. The last one is honest."""

import email.utils
import time
import uuid
from datetime import UTC, datetime

from ballast.playbook import ToolContext, Write, tool

from ..box import Box, Count
from .sequences import marked

_now = datetime.now


@tool(effect=Write(honours_key=True))
def key_of_half_a_day(args: Box, ctx: ToolContext) -> Count:
    """Add, once before noon and once after it."""
    return marked(ctx, args.id, f"{'am' if ctx.now.hour < 12 else 'pm'} {ctx.idempotency_key}")


@tool(effect=Write(honours_key=True))
def key_of_the_day_in_c(args: Box, ctx: ToolContext) -> Count:
    """Add, once a day."""
    return marked(ctx, args.id, f"{time.strftime('%j', time.gmtime())} {ctx.idempotency_key}")


@tool(effect=Write(honours_key=True))
def key_of_a_library_clock(args: Box, ctx: ToolContext) -> Count:
    """Add, once a day."""
    return marked(ctx, args.id, f"{email.utils.formatdate()[:16]} {ctx.idempotency_key}")


@tool(effect=Write(honours_key=True))
def key_of_a_bound_clock(args: Box, ctx: ToolContext) -> Count:
    """Add, once a day."""
    return marked(ctx, args.id, f"{_now(UTC).date()} {ctx.idempotency_key}")


@tool(effect=Write(honours_key=True))
def key_of_an_answers_date(args: Box, ctx: ToolContext) -> Count:
    """Add, once a day of the server's."""
    got = ctx.client("dynamodb").get_item(TableName=ctx.environ["BOX_TABLE"], Key={"id": {"S": args.id}})
    date = got["ResponseMetadata"]["HTTPHeaders"]["date"]
    return marked(ctx, args.id, f"{date[:16]} {ctx.idempotency_key}")


@tool(effect=Write(honours_key=True))
def key_of_a_clock_in_an_id(args: Box, ctx: ToolContext) -> Count:
    """Add, once in some hours: the high part of a uuid1 is its time."""
    return marked(ctx, args.id, f"{uuid.uuid1().time >> 39} {ctx.idempotency_key}")


@tool(effect=Write(honours_key=True))
def fair_clock(args: Box, ctx: ToolContext) -> Count:
    """Add, and look at a clock for nothing that stays."""
    assert time.gmtime().tm_year > 2000
    return marked(ctx, args.id, f"fair clock {ctx.idempotency_key}")
