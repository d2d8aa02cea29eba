"""Customers: the CRM's records, and which of them a request may reach."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from ballast.contracts import RunRequest
from ballast.playbook import FreeText, Grounded, Sensitive, ToolContext, ToolFailed, Untrusted

from .table import CUSTOMERS
from .values import Closed


def within_reach(request: RunRequest, customer_id: str) -> bool:
    """Return whether the request may see and change what belongs to that customer.

    If the caller vouches for ``context.customer_id``, all other customers' records are out of reach,
    whatever the text says. A request from the desk's own staff names no customer.
    """
    vouched = request.context.get("customer_id")
    return vouched is None or vouched == customer_id


#: How the shop writes a customer's number.
CUSTOMER_ID = r"C-[0-9]{4,6}"

# Customers write these themselves, so their text is untrusted when it is read back.
Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=120), Untrusted]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$"),
    Untrusted,
]
Phone = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=r"^(\+[0-9][0-9 ()-]{5,24})?$"), Sensitive, Untrusted
]


class Address(Closed):
    """A delivery address."""

    street: Annotated[Line, Grounded] = Field(min_length=1, description="Street and house number.")
    city: Annotated[Line, Grounded] = Field(min_length=1)
    postal_code: Annotated[Line, Grounded] = Field(min_length=1)
    # The shop's own code, so it needs no ground. A person approves a change of country.
    country: Annotated[str, FreeText] = Field(
        pattern=r"^[A-Z]{2}$", description="ISO 3166 code of two capitals, such as US or DE."
    )


class CustomerRecord(Closed):
    """An item of the customers table.

    email    lower case; the index by_email is on it
    phone    international, or "" for none
    notes    what the desk has written about the customer
    version  counts the changes; a write states the version that it saw
    """

    customer_id: str
    name: Annotated[str, Untrusted]
    email: Email
    phone: Phone = ""
    address: Address
    marketing_consent: bool = False
    notes: str = ""
    customer_since: str
    version: int = 1


def find_customer(ctx: ToolContext, customer_id: str) -> CustomerRecord:
    """Read a customer, or raise ``ToolFailed`` if there is none within the request's reach."""
    item = CUSTOMERS.get(ctx, customer_id)
    if item is None or not within_reach(ctx.request, customer_id):
        raise ToolFailed("There is no such customer here. Ask for the e-mail address in the order confirmation.")
    return CustomerRecord.model_validate(item)


def ids_with_email(ctx: ToolContext, email: str) -> list[str]:
    """Return the ids of the customers with that address, sorted; nearly always none or one."""
    found: list[dict[str, Any]] = CUSTOMERS.find(ctx, index="by_email", attribute="email", value=email)
    return sorted(item["customer_id"] for item in found)
