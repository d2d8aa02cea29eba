"""Suspend an account without a model: the caller's facts say which one, and for how long."""

from ballast.contracts import RunRequest
from ballast.playbook import CallFailed, GiveUp, fallback
from ballast.playbook.fallback import Script

from ..accounts import Account
from ..tools.look_up_account import look_up_account
from ..tools.suspend_account import suspend_account


@fallback(intent="suspend")
def suspend(request: RunRequest) -> Script:
    """Look the account up, and suspend it if it is active."""
    account_id, days = request.context.get("account_id"), request.context.get("days")
    if not isinstance(account_id, str) or not isinstance(days, int):
        raise GiveUp("The request's context has no account_id, or no days.")
    try:
        account: Account = yield look_up_account.call(account_id=account_id)
        if account.state == "suspended":
            return f"Account {account_id} is suspended already."
        done: Account = yield suspend_account.call(account_id=account_id, days=days)
    except CallFailed as failed:
        raise GiveUp(f"{account_id} was not suspended: {failed.message}") from failed
    return f"Account {done.account_id} is suspended for {done.days} days."
