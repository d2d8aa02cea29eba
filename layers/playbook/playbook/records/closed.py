"""The base of the playbook's models."""

from pydantic import BaseModel, ConfigDict


class Closed(BaseModel):
    """A frozen value that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
