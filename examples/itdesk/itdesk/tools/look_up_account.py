"""Look up an account."""

from ballast.playbook import Read, ToolContext, tool

from ..tables import find_account
from ..values import Account, AccountId, Closed


class LookUpAccount(Closed):
    """Which account."""

    account_id: AccountId


@tool(effect=Read())
def look_up_account(args: LookUpAccount, ctx: ToolContext) -> Account:
    """Look up an account: its owner, whether it is active, and the applications that it may use."""
    return find_account(ctx, args.account_id)
