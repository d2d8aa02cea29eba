"""Values of the desk: accounts, and accesses to applications."""

from typing import Annotated, Literal

from ballast.playbook import Grounded
from pydantic import BaseModel, ConfigDict, Field

#: An account's number as an argument: it must occur in the request, its facts or an earlier result.
AccountId = Annotated[str, Grounded, Field(pattern="^A-[0-9]{4}$", description="The account's number, as A-1001.")]
Application = Literal["wiki", "crm", "payroll"]
Level = Literal["read", "admin"]


class Closed(BaseModel):
    """A value of the playbook: no unknown fields, no changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Access(Closed):
    """An access of an account to an application."""

    account_id: str
    application: Application
    level: Level


class Account(Closed):
    """An account and what it may use. ``left``: its owner has left the company."""

    account_id: str
    owner: str
    state: Literal["active", "left"]
    accesses: tuple[Access, ...] = ()
