"""Whose records a request may reach."""

from ballast.contracts import RunRequest


def within_reach(request: RunRequest, customer_id: str) -> bool:
    """Say whether the request may see and change what belongs to that customer.

    Where the caller vouches for ``context.customer_id``, everybody else's records are out of
    reach, whatever the text says. A request of the desk's own staff names no customer.
    """
    vouched = request.context.get("customer_id")
    return vouched is None or vouched == customer_id
