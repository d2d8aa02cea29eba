"""Grant an account access to an application."""

from typing import Annotated

from ballast.contracts import RunRequest
from ballast.playbook import Approval, CallLimits, FreeText, ToolContext, ToolFailed, Write, tool
from pydantic import Field

from ..tables import find_access, find_account, write_access, written_access
from ..values import Access, AccountId, Application, Closed, Level


class GrantAccess(Closed):
    """Who gets which access, and why."""

    account_id: AccountId
    application: Application
    level: Level
    reason: Annotated[str, FreeText, Field(max_length=500, description="Why, in the words of the request.")]


def _needs_approval(args: GrantAccess, request: RunRequest) -> str | bool:
    if args.application == "payroll":
        return "payroll has everybody's salary"
    return args.level == "admin" and f"{args.account_id} would be an administrator of {args.application}"


@tool(
    effect=Write(
        undo="revoke_access",
        undo_arguments=lambda args, _: {"account_id": args.account_id, "application": args.application},
        verify=lambda args, ctx: written_access(ctx),
        honours_key=True,
    ),
    # Whoever approves sees what the account may use now; where that changes meanwhile, people are asked again.
    approval=Approval(
        if_=_needs_approval,
        approvers="security",
        precondition=lambda args, ctx: find_account(ctx, args.account_id).model_dump(mode="json"),
    ),
    limits=CallLimits(timeout_s=10),
)
def grant_access(args: GrantAccess, ctx: ToolContext) -> Access:
    """Grant an account access to an application. Only when the request asks for it; look the account up first."""
    if (done := written_access(ctx)) is not None:
        return done
    if find_account(ctx, args.account_id).state == "left":
        raise ToolFailed(f"The owner of {args.account_id} has left the company. Nothing was granted.")
    if (old := find_access(ctx, args.account_id, args.application)) is not None:
        raise ToolFailed(f"{args.account_id} has access to {old.application} already ({old.level}). Nothing was done.")
    wanted = Access(account_id=args.account_id, application=args.application, level=args.level)
    return write_access(ctx, wanted, granted=True)
