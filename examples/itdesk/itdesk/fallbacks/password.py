"""Reset a password without a model. The tool is one of servers/idp.yaml, so it is called by its name."""

from ballast.contracts import RunRequest, ToolCall
from ballast.playbook import CallFailed, GiveUp, fallback
from ballast.playbook.fallback import Script

from ..tools.look_up_account import look_up_account
from ..values import Account


@fallback(intent="password")
def password(request: RunRequest) -> Script:
    """Look the account up, and have the identity provider send a link to its owner."""
    account_id = request.context.get("account_id")
    if not isinstance(account_id, str):
        raise GiveUp("The request's context has no account_id.")
    try:
        account: Account = yield look_up_account.call(account_id=account_id)
        if account.state == "left":
            raise GiveUp(f"The owner of {account_id} has left the company.")
        yield ToolCall(tool="idp_resetPassword", arguments={"account_id": account_id})
    except CallFailed as failed:
        raise GiveUp(f"The password of {account_id} was not reset: {failed.message}") from failed
    return f"A link to set a new password was sent to the owner of {account_id}."
