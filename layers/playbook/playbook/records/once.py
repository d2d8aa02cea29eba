"""A write to one of the shop's tables that happens once: the layer's ``write_once``, for a ``Table``."""

from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

from ballast.playbook import Change, ToolContext

from .table import Table

ResultT = TypeVar("ResultT", bound=BaseModel)

__all__ = ["Change", "exactly_once"]


def exactly_once(
    ctx: ToolContext, table: Table, result: type[ResultT], attempt: Callable[[], Change[ResultT]]
) -> ResultT:
    """Apply the change that ``attempt`` returns, unless this call was applied before.

    The marker lies in ``table`` as ``marker#<idempotency key>``. Raises ``ToolFailed`` where
    somebody else changed the records in between, ``RetryLater`` where another transaction was in
    the way. Other errors of AWS are not caught.
    """
    return ctx.write_once(table=table.name(ctx.environ), key=table.key, result=result, attempt=attempt)
