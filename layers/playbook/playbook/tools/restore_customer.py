"""Undo a change of a customer's details."""

from typing import Annotated

from pydantic import Field

from ballast.playbook import CallLimits, Grounded, ToolContext, ToolFailed, Write, tool

from ..records.customer import CUSTOMER_ID, find_customer
from ..records.table import CUSTOMERS, Change, exactly_once
from ..records.values import Closed
from .update_customer import CustomerChange, Details, change_details, details_of


class RestoreCustomer(Closed):
    """The change to undo, as update_customer returned it."""

    customer_id: Annotated[str, Grounded] = Field(
        pattern=f"^{CUSTOMER_ID}$", description="The customer's number, such as C-1001."
    )
    previous: Details = Field(description="The values to put back: `previous` of update_customer's result.")
    written: Details = Field(description="The values that must still be there: `written` of that result.")


@tool(effect=Write(honours_key=True, on_rollback="keep"), limits=CallLimits(timeout_s=20), offered=False)
def restore_customer(args: RestoreCustomer, ctx: ToolContext) -> CustomerChange:
    """Undo an update_customer: put the previous details back. Not for other changes."""
    return exactly_once(ctx, CUSTOMERS, CustomerChange, lambda: _restore(args, ctx))


def _restore(args: RestoreCustomer, ctx: ToolContext) -> Change[CustomerChange]:
    # Compared by value and not by version: several changes of a run are undone one after the
    # other, and a later change of something else is no reason to refuse.
    customer = find_customer(ctx, args.customer_id)
    if details_of(customer, args.written.given()) != args.written:
        raise ToolFailed(
            "The details were changed again since; nothing was restored. A person must decide which values are right."
        )
    return change_details(ctx, customer, args.previous)
