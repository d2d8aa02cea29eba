"""No part of a sensitive value is recorded or raised, whichever part of the playbook fails and quotes it."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import RetryLater
from ballast.log.events import PlanDecided
from ballast.log.run_log import RunLog
from ballast.log.seal import Seal
from ballast.playbook import load_playbook
from functions.executor.downstream import run_tool
from tests.functions.cloud import client
from tests.functions.endpoint import Endpoint, fails
from tests.functions.playbooks.leaky.tools.keep import WAYS
from tests.functions.stack import Stack
from tests.support.sampling import dealt

LEAKY = Path(__file__).parents[1] / "playbooks" / "leaky"
PLACES = (
    *("tool", "read", "verify", "result", "approval.if_", "validate", "precondition"),
    *("moves", "moves_key", "undo_arguments", "cost"),
)
SECRETS = (
    "4111 1111 1111 1111",
    "Meyer-Lübbenau, geb. 17.05.1990, Konto DE89370400440532013000, Kennwort 'Sesam öffne dich 4711!' und mehr",
)
#: A shorter piece of a value tells nobody anything.
PIECE = 8


def sealed(stack: Stack) -> RunLog:
    """Return the log as the planner writes it."""
    for environ in stack.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = str(LEAKY)
    runtime = stack.cold("executor")
    return RunLog.of(runtime, Seal.of(runtime, load_playbook(str(LEAKY))))


def played(stack: Stack, log: RunLog, secret: str, at: str, how: str) -> dict[str, str]:
    """Execute one call and return, by where it is, what is left of it."""
    stack.stdout.seek(0)
    stack.stdout.truncate()
    run_id = stack.open(text="Keep it.")
    call = {"tool": "look" if at == "read" else "keep", "arguments": {"secret": secret, "at": at, "how": how}}
    decision = {"kind": "call_tools", "calls": [call]}
    log.record(run_id, PlanDecided(turn=1, planner="agent", decision=decision))
    raised = ""
    try:
        stack.execute(run_id)
    except Exception as problem:
        said = "".join(traceback.format_exception(problem))
        raised = "\n".join(line for line in said.splitlines() if not line.startswith("    "))  # no lines of code
    return {
        "log": " ".join(json.dumps(one.body, ensure_ascii=False) for one in stack.events(run_id)),
        "error": raised,
        "output": stack.stdout.getvalue(),
        "tables": json.dumps(kept("idempotency", run_id) + kept("moves", run_id), ensure_ascii=False),
    }


def kept(table: str, run_id: str) -> list[Any]:
    items = client("dynamodb").scan(TableName=table, ConsistentRead=True)["Items"]
    return [text for text in (json.dumps(one, ensure_ascii=False, default=str) for one in items) if run_id in text]


def pieces(secret: str, text: str) -> list[str]:
    parts = {secret[at : at + PIECE] for at in range(len(secret) - PIECE + 1)}
    spelt = (*parts, *(repr(part.encode())[2:-1] for part in parts), *(part.replace(" ", "") for part in parts))
    return sorted(one for one in spelt if len(one) >= PIECE and (one in text or json.dumps(one)[1:-1] in text))


@pytest.mark.sampled(3)
@pytest.mark.parametrize("place", PLACES)
def test_no_piece_of_it_is_left_anywhere(stack: Stack, place: str) -> None:
    log = sealed(stack)
    left = {}
    secrets = SECRETS[::-1] if PLACES.index(place) % 2 else SECRETS

    for how, secret in dealt(WAYS if place != "result" else ["pydantic"], secrets):
        for where, text in played(stack, log, secret, place, how).items():
            if found := pieces(secret, text):
                left[how, secret[:5], where] = found

    assert left == {}


def test_the_reason_is_still_said(stack: Stack) -> None:
    log = sealed(stack)

    told = played(stack, log, SECRETS[1], "read", "pydantic")["log"]
    assert "look broke: ValidationError: n: Input should be a valid integer" in told
    assert "x" * 400 in played(stack, log, SECRETS[0], "read", "across 500")["log"]
    assert "y" not in played(stack, log, SECRETS[0], "read", "across 500")["error"]


def test_a_message_is_bounded_and_a_value_before_the_bound_can_be_opened_again(stack: Stack) -> None:
    log = sealed(stack)
    run_id = stack.open(text="Keep it.")
    call = {"tool": "look", "arguments": {"secret": SECRETS[0], "at": "read", "how": "across 500, barely"}}
    decision = {"kind": "call_tools", "calls": [call]}
    log.record(run_id, PlanDecided(turn=1, planner="agent", decision=decision))

    stack.execute(run_id)

    message = next(one.body["message"] for one in log.read(run_id) if one.name == "call.settled")
    assert len(message) <= 500
    assert SECRETS[0] in message


@pytest.mark.parametrize("before", [440, 470, 480, 485])
@pytest.mark.parametrize("answer", [(400, "ValidationException"), (429, "ThrottlingException")])
def test_what_a_provider_quotes_across_the_cut_is_left_nowhere(
    stack: Stack, model: Endpoint, answer: tuple[int, str], before: int
) -> None:
    sealed(stack)
    run_id = stack.open(context={"card": SECRETS[0]})
    model.will(fails(*answer, message="x" * before + SECRETS[0] + "y" * 1_000))

    raised = ""
    try:
        stack.plan(run_id)
    except RetryLater as problem:
        raised = "".join(traceback.format_exception(problem))

    written = " ".join(json.dumps(one.body) for one in stack.events(run_id))
    assert "xxxx" in written
    assert [one for one in ("411", "11 1") if one in written.partition("xxxx")[2] + raised.partition("xxxx")[2]] == []


def test_without_the_cut_a_piece_is_left(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    log, secret = sealed(stack), "Kennwort 4711"  # six characters of it are before the bound: too few to be found

    with_it = played(stack, log, secret, "read", "across 500")["log"]
    monkeypatch.setattr(
        "functions.executor.effect.run_tool", lambda tool, call, _: run_tool(tool, call, lambda text: text[:500])
    )
    without_it = played(stack, log, secret, "read", "across 500")["log"]

    assert ("Kennw" in with_it, "Kennw" in without_it) == (False, True)
