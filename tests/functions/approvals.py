"""Approvals for tests: a call that needs one, and people's answers as the log records them."""

from typing import Any

import pytest

from ballast.errors import ApprovalParked, ApprovalRequired
from ballast.log.events import ApprovalAnswered
from tests.functions.stack import Stack


def asks(stack: Stack, run_id: str, index: int = 1, **more: Any) -> dict[str, Any]:
    """Execute a call of turn 1 that a person must approve first; return what is recorded as needed, newest round."""
    with pytest.raises((ApprovalRequired, ApprovalParked)):
        stack.execute(run_id, index=index, **more)
    needed = [event for event in stack.events(run_id) if event.name == "call.approval_needed" and event.index == index]
    return needed[-1].body | {"round": needed[-1].round}


def answered(stack: Stack, run_id: str, *, approve: bool, index: int = 1, **more: Any) -> None:
    """Record a person's answer to the newest asking about a call of turn 1."""
    needed = [event for event in stack.events(run_id) if event.name == "call.approval_needed" and event.index == index]
    newest = needed[-1]
    body = {"escalation_id": "esc-x", "by": "ann", "approve": approve, "comment": ""}
    body |= {"binding": newest.body["binding"]["sha256"]}
    stack.log.write(run_id, ApprovalAnswered.key(1, index, newest.round), body | more)
