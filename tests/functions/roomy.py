"""Runs with higher limits than the tests' playbook has, so that those limits are not reached first."""

from itertools import count
from typing import Any

from ballast.contracts import RunRequest
from ballast.log.events import RunOpened
from tests.functions.stack import Stack

_NUMBERS = count(1)


def opened(stack: Stack, **limits: Any) -> str:
    """Open a run with more turns than the playbook of these tests allows."""
    request = RunRequest(request_id=f"circles-{next(_NUMBERS)}", agent="tester", text="Tidy my notes.")
    until = int(stack.clock().timestamp() * 1000) + 100_000
    body = {
        "request": request.model_dump(mode="json"),
        "request_sha256": request.digest,
        "limits": {"turns": 12, "tool_calls": 24, "cost_microusd": 1_000_000} | limits,
        "agent_until_ms": until,
        "deadline_ms": until,
    }
    stack.log.write(request.run_id, RunOpened.key(), body)
    return request.run_id
