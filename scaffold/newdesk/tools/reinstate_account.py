"""Reinstate a suspended account: the undo of suspend_account."""

from ballast.playbook import CallLimits, ToolContext, ToolFailed, Write, tool

from ..accounts import Account, AccountId, Closed, change_account, changed_account, find_account


class ReinstateAccount(Closed):
    """Which account."""

    account_id: AccountId


@tool(
    effect=Write(verify=lambda args, ctx: changed_account(ctx), honours_key=True),
    limits=CallLimits(timeout_s=10),
    offered=False,  # the agent does not see it; rollback and people may call it
)
def reinstate_account(args: ReinstateAccount, ctx: ToolContext) -> Account:
    """Make a suspended account active again."""
    if (done := changed_account(ctx)) is not None:
        return done
    account = find_account(ctx, args.account_id)
    if account.state == "active":
        raise ToolFailed(f"{account.account_id} is active. Nothing was done.")
    return change_account(ctx, account, account.model_copy(update={"state": "active", "days": 0}))
