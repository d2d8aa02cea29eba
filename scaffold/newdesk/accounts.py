"""Accounts: one item each in the accounts table."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from ballast.playbook import Change, Grounded, ToolContext, ToolFailed
from pydantic import BaseModel, ConfigDict, Field

#: An account's number as an argument: it must occur in the request, its facts or an earlier result.
AccountId = Annotated[str, Grounded, Field(pattern="^A-[0-9]{4}$", description="The account's number, as A-1001.")]


class Closed(BaseModel):
    """A value of the playbook: no unknown fields, no changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Account(Closed):
    """An account. ``days`` is how long it is suspended for; 0 while it is active."""

    account_id: str
    owner: str
    state: Literal["active", "suspended"]
    days: int = 0


def accounts_table(environ: Mapping[str, str]) -> str:
    """Return the name of the accounts table; business.yaml's output Environment has it."""
    return environ["ACCOUNTS_TABLE"]


def find_account(ctx: ToolContext, account_id: str) -> Account:
    """Read an account as it is now. Raises ``ToolFailed`` if there is none."""
    found = ctx.client("dynamodb").get_item(
        TableName=accounts_table(ctx.environ), Key={"account_id": {"S": account_id}}, ConsistentRead=True
    )
    if "Item" not in found:
        raise ToolFailed(f"There is no account {account_id}. Ask for its number; nothing was done.")
    item = found["Item"]
    return Account(
        account_id=account_id, owner=item["owner"]["S"], state=item["state"]["S"], days=int(item["days"]["N"])
    )


def change_account(ctx: ToolContext, before: Account, after: Account) -> Account:
    """Write an account once, however often this call is attempted, if it is still as it was read."""

    def attempt() -> Change[Account]:
        update: dict[str, Any] = {
            "TableName": accounts_table(ctx.environ),
            "Key": {"account_id": {"S": before.account_id}},
            "UpdateExpression": "SET #state = :after, #days = :days",
            "ConditionExpression": "#state = :before",
            "ExpressionAttributeNames": {"#state": "state", "#days": "days"},
            "ExpressionAttributeValues": {
                ":before": {"S": before.state},
                ":after": {"S": after.state},
                ":days": {"N": str(after.days)},
            },
        }
        conflict = f"{before.account_id} changed at the same moment, so nothing was done. Look it up again."
        return Change(result=after, writes=[{"Update": update}], conflict=conflict)

    return ctx.write_once(table=accounts_table(ctx.environ), key="account_id", result=Account, attempt=attempt)


def changed_account(ctx: ToolContext) -> Account | None:
    """Return what this call has written; None if it wrote nothing."""
    return ctx.written_once(table=accounts_table(ctx.environ), key="account_id", result=Account)
