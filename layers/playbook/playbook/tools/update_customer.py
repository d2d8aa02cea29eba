"""Change a customer's details in the CRM."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from ballast.contracts import RunRequest
from ballast.playbook import (
    Approval,
    CallLimits,
    FreeText,
    Grounded,
    RunSoFar,
    ToolContext,
    ToolFailed,
    Untrusted,
    Write,
    tool,
)

from ..records.customer import CUSTOMER_ID, Address, CustomerRecord, Email, Phone, find_customer, ids_with_email
from ..records.table import CUSTOMERS, Change, exactly_once
from ..records.values import Closed

#: What a request says that speaks of a phone, or of the newsletter.
_OF_PHONES = re.compile(r"phone|number|mobile|telef|call|nummer|numéro|número|电话|電話|전화", re.IGNORECASE)
_OF_NEWSLETTERS = re.compile(r"news|mail|market|adverti|subscri|consent|opt|abonn|werb|promo|邮件|広告", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]{3,}")
#: Words that a note may have of the desk's own.
_DESKS_WORDS = frozenset({"customer", "asks", "asked", "wants", "please", "the", "and", "for", "has", "was", "that"})
#: Reads that bring what others wrote.
_READS = ("look_up_customer", "look_up_order", "search_docs")
#: Where most customers live: a new address there is nothing unusual.
_HOME = "US"


class Details(Closed):
    """The details that may change; what is absent (null) is not part of the change."""

    email: Annotated[Email | None, Grounded] = Field(default=None, description="New e-mail address.")
    phone: Annotated[Phone | None, Grounded(may_be_empty=True)] = Field(
        default=None, description='New phone, such as "+1 555 0100"; "" removes it.'
    )
    address: Address | None = Field(default=None, description="New delivery address, whole.")
    marketing_consent: bool | None = Field(
        default=None, strict=True, description="Whether the customer wants the newsletter."
    )
    notes: Annotated[str | None, FreeText(quotes=False), Untrusted] = Field(
        default=None,
        max_length=2_000,
        description="The desk's notes about the customer, whole: repeat what should stay.",
    )

    def given(self) -> dict[str, Any]:
        """Return the fields that are part of the change, as JSON values."""
        return self.model_dump(mode="json", exclude_none=True, include=set(Details.model_fields))


class UpdateCustomer(Details):
    """Whose details, and the new values."""

    customer_id: Annotated[str, Grounded] = Field(
        pattern=f"^{CUSTOMER_ID}$", description="The customer's number, such as C-1001."
    )


class CustomerChange(Closed):
    """What was changed.

    version   the record's version after it
    previous  the changed fields as they were
    written   the changed fields as they are now
    """

    customer_id: str
    version: int
    previous: Details
    written: Details


def details_of(customer: CustomerRecord, fields: Mapping[str, Any]) -> Details:
    """Return those fields as the customer's record has them."""
    return Details.model_validate(customer.model_dump(include=set(fields)))


def change_details(ctx: ToolContext, customer: CustomerRecord, to: Details) -> Change[CustomerChange]:
    """Return the change of ``customer`` that sets the fields given in ``to``, seen at its version."""
    given = to.given()
    version = customer.version + 1
    return Change(
        result=CustomerChange(
            customer_id=customer.customer_id, version=version, previous=details_of(customer, given), written=to
        ),
        writes=[
            CUSTOMERS.change(
                ctx,
                customer.customer_id,
                to={**given, "version": version},
                only_if={"version": customer.version},
            )
        ],
        conflict="Somebody else changed this customer at the same moment; nothing was written. "
        "Look the customer up again and repeat what is still needed.",
    )


def _changes_something(args: UpdateCustomer, _: RunRequest) -> str | None:
    return None if args.given() else "Send at least one detail to change besides customer_id."


def _unasked(args: UpdateCustomer, request: RunRequest, run: RunSoFar) -> str | bool:
    """Return why a person must look: these changes need no value that a text would have to name."""
    known = [call.result for call in run.done("look_up_customer") if call.result["customer_id"] == args.customer_id]
    countries = {record["address"]["country"] for record in known} or {_HOME}
    reasons = {
        "it removes the phone number, of which the request says nothing": args.phone == ""
        and not _OF_PHONES.search(request.text),
        "it changes the newsletter consent, of which the request says nothing": args.marketing_consent is not None
        and not _OF_NEWSLETTERS.search(request.text),
        "it moves the customer to another country": args.address is not None and args.address.country not in countries,
        "it takes away what the desk has noted": args.notes is not None
        and any(record["notes"] and record["notes"] not in args.notes for record in known),
        "it notes what the request does not say": args.notes is not None
        and any(run.done(name) for name in _READS)
        and not _words(_added(args.notes, known)) <= _words(request.text) | _DESKS_WORDS,
    }
    return ", and ".join(reason for reason, holds in reasons.items() if holds) or False


def _added(notes: str, known: Sequence[Mapping[str, Any]]) -> str:
    """Return what is new in the notes: what should stay is repeated."""
    for record in known:
        notes = notes.replace(record["notes"] or "", "", 1)
    return notes


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}


def _undo(_: UpdateCustomer, result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in ("customer_id", "previous", "written")}


@tool(
    effect=Write(
        undo="restore_customer",
        undo_arguments=_undo,
        honours_key=True,
        repeat="allow",  # back to an address that another call replaced is no repeat
        on_rollback="undo",
    ),
    approval=Approval(if_=_unasked),
    limits=CallLimits(timeout_s=20),
    validate=_changes_something,
    taint="refuse",  # no article and no note at an order says where somebody lives
)
def update_customer(args: UpdateCustomer, ctx: ToolContext) -> CustomerChange:
    """Change a customer's e-mail, phone, address, newsletter consent or notes.

    Send only what changes, with the values that the customer gave. Orders that are being packed
    or on their way keep their old address.
    """
    return exactly_once(ctx, CUSTOMERS, CustomerChange, lambda: _update(args, ctx))


def _update(args: UpdateCustomer, ctx: ToolContext) -> Change[CustomerChange]:
    customer = find_customer(ctx, args.customer_id)
    if args.email is not None and any(other != args.customer_id for other in ids_with_email(ctx, args.email)):
        raise ToolFailed("Another customer uses this e-mail already; nothing was changed. Ask for a different one.")
    return change_details(ctx, customer, Details.model_validate(args.given()))
