"""Look up an account."""

from ballast.playbook import Read, ToolContext, tool

from ..accounts import Account, AccountId, Closed, find_account


class LookUpAccount(Closed):
    """Which account."""

    account_id: AccountId


@tool(effect=Read())
def look_up_account(args: LookUpAccount, ctx: ToolContext) -> Account:
    """Look up an account: its owner, and whether it is active or suspended."""
    return find_account(ctx, args.account_id)
