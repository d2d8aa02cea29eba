"""A read that takes as many seconds as its arguments say."""

import time
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ballast.playbook import Read, ToolContext, tool


class Slowly(BaseModel):
    """How slowly."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: Annotated[float, Field(ge=0, le=30)]


@tool(effect=Read())
def slow_page(args: Slowly, ctx: ToolContext) -> str:
    """Fetch one page, slowly."""
    time.sleep(args.seconds)
    return "The page."
