"""A read may ask the same again and again only where its author says so."""

import pytest
from pydantic import BaseModel, ConfigDict

from ballast.playbook import Effect, ToolContext, tool


class Job(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    job_id: str


@pytest.mark.parametrize(
    ("effect", "repeat", "polled"),
    [
        (Effect.READ, None, False),
        (Effect.READ, "allow", True),
        (Effect.READ, "once", False),
        (Effect.WRITE, None, False),
        (Effect.WRITE, "allow", False),
    ],
)
def test_only_a_read_that_allows_it_is_polled(effect: Effect, repeat: str | None, polled: bool) -> None:
    @tool(effect=effect, repeat=repeat)
    def job_status(args: Job, ctx: ToolContext) -> str:
        """Say how far the job is."""
        return "pending"

    assert job_status.policy.polled is polled
