"""A read may repeat the same call only if its author declares it."""

import pytest
from pydantic import BaseModel, ConfigDict

from ballast.playbook import Read, ToolContext, Write, tool


class Job(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    job_id: str


@pytest.mark.parametrize(
    ("effect", "polled"),
    [
        (Read(), False),
        (Read(repeat="allow"), True),
        (Read(repeat="once"), False),
        (Write(), False),
        (Write(repeat="allow"), False),
    ],
)
def test_only_a_read_that_allows_it_is_polled(effect: Read | Write, polled: bool) -> None:
    @tool(effect=effect)
    def job_status(args: Job, ctx: ToolContext) -> str:
        """Say how far the job is."""
        return "pending"

    assert job_status.policy.polled is polled
