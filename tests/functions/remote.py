"""A playbook with tools from elsewhere, and a call of one as the workflow makes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ballast.errors import AttemptInProgress, EffectUnknown, RetryLater
from tests.functions.stack import LambdaDied, Stack
from tests.functions.variants import ledger_with
from tests.functions.writes import leases_are_over, tools_have_ended
from tests.support.remote_desk import declare


def with_servers(
    stack: Stack, folder: Path, servers: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]], **environ: str
) -> Stack:
    """Give all functions a playbook with these servers, (server, tools) by name, and the executor the variables."""
    playbook = ledger_with(folder)
    for name, (server, tools) in servers.items():
        declare(playbook, name, server, tools)
    for known in stack.environs.values():
        if "PLAYBOOK_DIR" in known:
            known["PLAYBOOK_DIR"] = playbook
    stack.environs["executor"] |= environ
    return stack


def carried_out(stack: Stack, call: Mapping[str, Any], *, run_id: str = "") -> tuple[str, str]:
    """Execute a call as the workflow does, again and again, and return how it ended: status and message."""
    run_id = run_id or stack.open()
    stack.propose(run_id, call)
    status = ""
    for _ in range(7):
        try:
            status = stack.execute(run_id)
            break
        except (RetryLater, AttemptInProgress):
            tools_have_ended()
            leases_are_over()
        except EffectUnknown:
            status = "unknown"
            break
    state = stack.events(run_id).call(1, 1)
    assert state is not None
    return status or state.status, state.message


def until_given_up(stack: Stack, call: Mapping[str, Any], *, run_id: str = "") -> tuple[str, str]:
    """Execute a call as the workflow does, until it gives the call up; return how it ended: status and message.

    Between two attempts the first one's time is over.
    """
    run_id, how = run_id or stack.open(), dict[str, Any]()
    stack.propose(run_id, call)
    for attempt in range(20):
        try:
            stack.execute(run_id, **how)
        except (RetryLater, AttemptInProgress, LambdaDied) as last:
            tools_have_ended()
            leases_are_over()
            stack.clock.advance(61)
            if attempt >= 5 and not how:
                cause = json.dumps({"errorMessage": str(last), "errorType": type(last).__name__})
                how = {"given_up": "RetryLater", "cause": cause}
        except EffectUnknown:
            break
        else:
            break
    state = stack.events(run_id).call(1, 1)
    assert state is not None
    return state.status, state.message
