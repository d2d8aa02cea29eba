"""Reads and writes of the two tables."""

from typing import Any, get_args

from ballast.playbook import Change, ToolContext, ToolFailed

from .values import Access, Account, Application


def find_account(ctx: ToolContext, account_id: str) -> Account:
    """Read an account and its accesses as they are now. Raises ``ToolFailed`` if there is none."""
    item = _item(ctx, ctx.environ["ACCOUNTS_TABLE"], "account_id", account_id)
    if item is None:
        raise ToolFailed(f"There is no account {account_id}. Ask for its number; nothing was done.")
    found = (find_access(ctx, account_id, one) for one in get_args(Application))
    accesses = tuple(one for one in found if one is not None)
    return Account(account_id=account_id, owner=item["owner"]["S"], state=item["state"]["S"], accesses=accesses)


def find_access(ctx: ToolContext, account_id: str, application: Application) -> Access | None:
    """Read one access; None if the account has none to that application."""
    item = _item(ctx, ctx.environ["ACCESS_TABLE"], "access_id", f"{account_id}#{application}")
    return item and Access(account_id=account_id, application=application, level=item["level"]["S"])


def _item(ctx: ToolContext, table: str, key: str, value: str) -> Any:
    return ctx.client("dynamodb").get_item(TableName=table, Key={key: {"S": value}}, ConsistentRead=True).get("Item")


def write_access(ctx: ToolContext, access: Access, *, granted: bool) -> Access:
    """Write or remove an access once, however often this call is attempted."""
    there = {
        "TableName": ctx.environ["ACCESS_TABLE"],
        "Key": {"access_id": {"S": f"{access.account_id}#{access.application}"}},
    }

    def attempt() -> Change[Access]:
        if granted:
            names, values = {"#level": "level"}, {":level": {"S": access.level}}
            update = {"UpdateExpression": "SET #level = :level", "ConditionExpression": "attribute_not_exists(#level)"}
            write: dict[str, Any] = {
                "Update": {
                    **there,
                    **update,
                    "ExpressionAttributeNames": names,
                    "ExpressionAttributeValues": values,
                }
            }
        else:
            write = {"Delete": {**there, "ConditionExpression": "attribute_exists(access_id)"}}
        conflict = f"The accesses of {access.account_id} changed at the same moment. Look the account up again."
        return Change(result=access, writes=[write], conflict=conflict)

    return ctx.write_once(table=ctx.environ["ACCESS_TABLE"], key="access_id", result=Access, attempt=attempt)


def written_access(ctx: ToolContext) -> Access | None:
    """Return what this call has written; None if it wrote nothing."""
    return ctx.written_once(table=ctx.environ["ACCESS_TABLE"], key="access_id", result=Access)
