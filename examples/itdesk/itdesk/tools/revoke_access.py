"""Revoke an access: the undo of grant_access."""

from ballast.playbook import CallLimits, ToolContext, ToolFailed, Write, tool

from ..tables import find_access, write_access, written_access
from ..values import Access, AccountId, Application, Closed


class RevokeAccess(Closed):
    """Whose access to what."""

    account_id: AccountId
    application: Application


@tool(
    effect=Write(verify=lambda args, ctx: written_access(ctx), honours_key=True),
    limits=CallLimits(timeout_s=10),
    offered=False,  # the agent does not see it; rollback and people may call it
)
def revoke_access(args: RevokeAccess, ctx: ToolContext) -> Access:
    """Revoke an account's access to an application."""
    if (done := written_access(ctx)) is not None:
        return done
    if (access := find_access(ctx, args.account_id, args.application)) is None:
        raise ToolFailed(f"{args.account_id} has no access to {args.application}. Nothing was done.")
    return write_access(ctx, access, granted=False)
