"""A read whose result has a known size."""

import hashlib

from pydantic import BaseModel, ConfigDict

from ballast.playbook import Read, ToolContext, tool

RESULT_BYTES = 2_048


class Page(BaseModel):
    """Which page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int


@tool(effect=Read())
def fetch_page(args: Page, ctx: ToolContext) -> str:
    """Fetch one page of text."""
    # Hex digests do not compress to nothing, as a repeated letter would.
    text = "".join(hashlib.sha256(f"{args.number}.{part}".encode()).hexdigest() for part in range(RESULT_BYTES // 64))
    return text[:RESULT_BYTES]
