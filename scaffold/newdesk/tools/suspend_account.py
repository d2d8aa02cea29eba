"""Suspend an account for some days."""

from typing import Annotated

from ballast.contracts import RunRequest
from ballast.playbook import Approval, CallLimits, Grounded, ToolContext, ToolFailed, Write, tool
from pydantic import Field

from ..accounts import Account, AccountId, Closed, change_account, changed_account, find_account

#: A suspension for more days than this needs a person's approval.
DAYS_WITHOUT_APPROVAL = 30


class SuspendAccount(Closed):
    """Which account, and for how long."""

    account_id: AccountId
    days: Annotated[int, Grounded, Field(ge=1, le=365, description="For how many days.")]


def _needs_approval(args: SuspendAccount, request: RunRequest) -> str | bool:
    long = args.days > DAYS_WITHOUT_APPROVAL
    return long and f"{args.days} days are more than {DAYS_WITHOUT_APPROVAL}"


@tool(
    effect=Write(
        undo="reinstate_account",
        undo_arguments=lambda args, _: {"account_id": args.account_id},
        verify=lambda args, ctx: changed_account(ctx),
        honours_key=True,
    ),
    approval=Approval(if_=_needs_approval),
    limits=CallLimits(timeout_s=10),
)
def suspend_account(args: SuspendAccount, ctx: ToolContext) -> Account:
    """Suspend an active account for some days. Only when the request asks for it; look the account up first."""
    if (done := changed_account(ctx)) is not None:
        return done
    account = find_account(ctx, args.account_id)
    if account.state == "suspended":
        raise ToolFailed(f"{account.account_id} is suspended already, for {account.days} days. Nothing was done.")
    return change_account(ctx, account, account.model_copy(update={"state": "suspended", "days": args.days}))
