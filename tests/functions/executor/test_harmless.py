"""A failure that changed nothing is reported to the planner, and no person is asked."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import CallTools, ToolCall
from ballast.errors import (
    AtCapacity,
    AttemptInProgress,
    EffectUnknown,
    RetryLater,
    RuleViolation,
    SettingInvalid,
)
from ballast.playbook import Effect, load_playbook
from ballast.playbook.rules import run_rule
from functions.agent.loops import loop_signals
from functions.executor import executor
from functions.executor.handler import build
from functions.executor.record import CallOutcome
from tests.functions.stack import LambdaContext, LambdaDied, Stack, client_error, once
from tests.functions.writes import leases_are_over

HARMLESS = Path(__file__).parents[1] / "playbooks" / "harmless"
#: As often as the state Execute tries.
TRIES = 6


@pytest.fixture
def stack(stack: Stack) -> Stack:
    for function in ("admit", "executor", "planner", "answer"):
        stack.environs[function]["PLAYBOOK_DIR"] = str(HARMLESS)
    return stack


def proposed(stack: Stack, tool: str, **arguments: Any) -> str:
    run_id = stack.open()
    stack.propose(run_id, {"tool": tool, "arguments": arguments})
    return run_id


def refusal(stack: Stack, run_id: str) -> dict[str, Any]:
    return stack.body(run_id, "0001.call.1.refused")


# A rule that breaks


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("where", "rule"),
    [
        *(("validate", "validate"), ("approval.if_", "approval.if_"), ("precondition", "precondition")),
        *(("cost", "cost_microusd"), ("moves", "moves"), ("moves_key", "moves_key")),
    ],
)
@pytest.mark.parametrize(
    "what",
    [
        *("KeyError", "TypeError", "Speechless", "exit", "long", "secret", "Setting"),
        *("Panic", "Mute", "group", "generator"),
    ],
)
def test_a_rule_that_breaks_refuses_the_call_with_its_name_and_its_place(
    stack: Stack, where: str, rule: str, what: str
) -> None:
    run_id = proposed(stack, "act", where=where, what=what, pin="4711-0815-99")

    assert stack.execute(run_id) == "refused"

    refused = refusal(stack, run_id)
    name = {"exit": "SystemExit", "long": "RuntimeError", "secret": "RuntimeError", "Setting": "SettingInvalid"}
    name |= {"group": "BaseExceptionGroup", "generator": "GeneratorExit"}
    assert refused["error"] == "RuleViolation"
    assert f"{rule} failed in tools/notes.py, line " in refused["message"]
    assert name.get(what, what) in refused["message"]
    assert len(refused["message"]) <= 4_000
    assert stack.notes() == {}
    assert "4711-0815-99" not in json.dumps(refused)


@pytest.mark.parametrize("where", ["validate", "approval.if_", "precondition"])
def test_so_does_one_of_a_read(stack: Stack, where: str) -> None:
    run_id = proposed(stack, "look", where=where)

    assert stack.execute(run_id) == "refused"
    assert f"{where} failed in tools/notes.py, line " in refusal(stack, run_id)["message"]


@pytest.mark.parametrize(("touched", "name"), [(13, "KeyError"), (14, "Panic")])
def test_a_validator_of_the_arguments_that_breaks_refuses_the_call(stack: Stack, touched: int, name: str) -> None:
    run_id = proposed(stack, "act", touched=touched)

    assert stack.execute(run_id) == "refused"
    assert "a validator of its arguments failed in tools/notes.py, line" in refusal(stack, run_id)["message"]
    assert name in refusal(stack, run_id)["message"]


@pytest.mark.parametrize("touched", [13, 14, 15])
def test_nor_does_it_break_what_else_reads_the_arguments(stack: Stack, touched: int) -> None:
    run_id = proposed(stack, "act", touched=touched)
    playbook = load_playbook(HARMLESS)
    calls = [ToolCall(tool="act", arguments={"touched": touched})] * 3

    assert playbook.identity(calls[0]) == playbook.identity(calls[1])
    assert loop_signals(stack.events(run_id), 2, CallTools(calls=tuple(calls)), playbook) is not None


RULES = {
    **{where: where for where in ("validate", "approval.if_", "precondition", "moves", "moves_key")},
    "cost": "cost_microusd",
}
RETURNED = ("coroutine", "list", "bytes", "number", "generator", "true", "surrogate")
#: A text, an answer, or JSON.
FITS = {
    "validate": ("surrogate",),
    "approval.if_": ("true", "surrogate"),
    "precondition": ("list", "number", "true", "surrogate"),
}


@pytest.mark.parametrize(
    ("where", "returns"), [(rule, one) for rule in RULES for one in RETURNED if one not in FITS.get(rule, ())]
)
@pytest.mark.filterwarnings("error")  # nobody is told later that a coroutine was never awaited
def test_a_rule_that_returns_what_it_may_not_refuses_the_call_with_its_name_and_its_place(
    stack: Stack, where: str, returns: str
) -> None:
    run_id = proposed(stack, "act", where=where, returns=returns)

    assert stack.execute(run_id) == "refused"

    refused = refusal(stack, run_id)
    assert f"{RULES[where]} failed in tools/notes.py, line " in refused["message"]
    assert "object at 0x" not in refused["message"]
    assert stack.notes() == {}


def test_the_next_call_of_the_turn_is_made_all_the_same(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, *({"tool": "act", "arguments": {"where": where}} for where in ("approval.if_", "nowhere")))

    assert [stack.execute(run_id, 1, index) for index in (1, 2)] == ["refused", "ok"]


def test_its_traceback_is_printed_and_masked(stack: Stack) -> None:
    stack.execute(proposed(stack, "act", where="approval.if_", what="secret", pin="4711-0815-99"))

    [line] = [line for line in stack.lines() if line.get("error") == "RuntimeError"]
    assert "notes.py" in line["trace"]
    assert "4711-0815-99" not in line["trace"]


def test_an_outage_of_what_a_rule_reads_is_no_defect(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = proposed(stack, "act")
    stack.on("executor", "dynamodb", "BatchGetItem", once(client_error("ThrottlingException")))

    with pytest.raises(RetryLater):
        stack.execute(run_id)
    assert stack.execute(run_id) == "ok"


def test_a_rule_that_breaks_after_the_call_was_begun_leaves_it_unknown(stack: Stack) -> None:
    run_id = proposed(stack, "write_plain", how="later", up_from=0)
    stack.after("executor", "dynamodb", "UpdateItem", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        stack.execute(run_id, context=LambdaContext(remaining_ms=0))
    leases_are_over()

    with pytest.raises(EffectUnknown):
        stack.execute(run_id, runtime=stack.cold("executor"))


def begun(stack: Stack) -> str:
    """Let an attempt at a write die after its effect, and return the run."""
    run_id = proposed(stack, "write_plain", how="later", up_from=0)
    stack.after("executor", "dynamodb", "UpdateItem", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        stack.execute(run_id, context=LambdaContext(remaining_ms=0))
    stack.forget("executor")
    leases_are_over()
    return run_id


@pytest.mark.parametrize("more", [{}, {"given_up": "Lambda.Unknown"}, {"given_up": "RetryLater"}], ids=str)
@pytest.mark.parametrize("change", ["is gone", "reads"])
def test_what_was_begun_as_a_write_is_one_whatever_the_playbook_says_now(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, change: str, more: dict[str, str]
) -> None:
    run_id, other = begun(stack), stack.cold("executor")
    tools: Any = other.get(build).playbook.tools
    if change == "is gone":
        monkeypatch.delitem(tools, "write_plain")
    else:
        monkeypatch.setitem(tools, "write_plain", replace(tools["write_plain"], effect=Effect.READ))

    with pytest.raises(EffectUnknown, match="was begun"):
        stack.execute(run_id, runtime=other, **more)

    assert stack.body(run_id, "0001.call.1.settled")["status"] == "unknown"


@pytest.mark.parametrize("status", ["failed", "denied"])
def test_a_rule_that_says_no_after_the_call_was_begun_leaves_it_unknown(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    run_id = begun(stack)
    monkeypatch.setattr(executor, "RULES", (lambda _: CallOutcome(status, message="There is no such purse."),))

    with pytest.raises(EffectUnknown, match=r"was begun.*no such purse"):
        stack.execute(run_id, runtime=stack.cold("executor"))


class Panic(BaseException):
    """What a client in Rust raises when it breaks."""


@pytest.mark.parametrize("problem", [Panic("it broke"), SystemExit(1)])
def test_a_rule_that_breaks_without_an_exception_refuses_the_call(problem: BaseException) -> None:
    with pytest.raises(RuleViolation, match="validate failed"):
        run_rule("validate", partial(_raise, problem), run_rule)


@pytest.mark.parametrize("kind", [RetryLater, AttemptInProgress, AtCapacity, type("ProviderBusy", (RetryLater,), {})])
def test_a_rule_that_is_to_be_asked_later_says_so_by_the_name_that_the_workflow_knows(kind: type[RetryLater]) -> None:
    with pytest.raises(RetryLater, match="it is busy") as raised:
        run_rule("validate", partial(_raise, kind("it is busy")), run_rule)

    assert type(raised.value) is RetryLater


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), LambdaDied()])
def test_the_end_of_the_process_is_no_rules_error(problem: BaseException) -> None:
    with pytest.raises(type(problem)):
        run_rule("validate", partial(_raise, problem), run_rule)


def _raise(problem: BaseException) -> Any:
    raise problem


# A read that is out of retries


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("how", "says"), [("later", "no room"), ("throttled", "ThrottlingException"), ("long", "ж")])
def test_a_read_out_of_retries_has_failed_and_is_told_to_the_planner(stack: Stack, how: str, says: str) -> None:
    run_id = proposed(stack, "read_down", how=how)
    for _ in range(TRIES):
        with pytest.raises(RetryLater) as raised:
            stack.execute(run_id)
        assert type(raised.value).__name__ == "RetryLater"  # the name that the workflow knows

    assert stack.execute(run_id, given_up="RetryLater") == "failed"

    settled = stack.body(run_id, "0001.call.1.settled")
    assert says in settled["message"]
    assert "Nothing was done." in settled["message"]
    assert len(settled["message"]) <= 600
    assert stack.execute(run_id) == "failed"  # and stays so


def test_what_is_up_again_at_the_last_moment_counts(stack: Stack) -> None:
    run_id = proposed(stack, "read_down", up_from=2)
    with pytest.raises(RetryLater):
        stack.execute(run_id)

    assert stack.execute(run_id, given_up="RetryLater") == "ok"


@pytest.mark.parametrize("error", ["Sandbox.Timedout", "Lambda.Unknown", "States.Timeout", "AttemptInProgress"])
def test_a_read_that_hung_or_died_has_failed_without_another_try(stack: Stack, error: str) -> None:
    run_id = proposed(stack, "read_down", up_from=0)

    assert stack.execute(run_id, given_up=error) == "failed"
    assert error in stack.body(run_id, "0001.call.1.settled")["message"]


def test_a_read_beside_others_does_not_take_them_along(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, *({"tool": "read_down", "arguments": {"up_from": up}} for up in (99, 0)))

    assert [stack.execute(run_id, 1, 1, given_up="RetryLater"), stack.execute(run_id, 1, 2)] == ["failed", "ok"]


def test_a_setting_that_is_missing_is_for_whoever_runs_the_stack(stack: Stack) -> None:
    run_id = proposed(stack, "read_set")

    with pytest.raises(SettingInvalid):
        stack.execute(run_id, given_up="SettingInvalid")


@pytest.mark.parametrize(
    "error", ["Runtime.OutOfMemory", "Lambda.ResourceNotReadyException", "KeyError", "RunEnded", "x" * 256]
)
def test_a_read_has_failed_whatever_the_name_of_its_end(stack: Stack, error: str) -> None:
    run_id = proposed(stack, "read_down", up_from=0)

    assert stack.execute(run_id, given_up=error, cause="Signal: killed") == "failed"
    assert error in stack.body(run_id, "0001.call.1.settled")["message"]


# A write that is out of retries


@pytest.mark.parametrize("tool", ["write_down", "write_verified", "write_plain"])
def test_a_write_that_was_never_begun_has_failed(stack: Stack, tool: str) -> None:
    run_id = proposed(stack, tool)

    assert stack.execute(run_id, given_up="Lambda.Unknown") == "failed"
    assert "not begun: nothing was done" in stack.body(run_id, "0001.call.1.settled")["message"]
    assert "0001.call.1.intended" not in stack.seqs(run_id)


def test_a_late_process_finds_a_call_that_was_given_up_and_does_nothing(stack: Stack) -> None:
    run_id = proposed(stack, "write_down", up_from=0)
    late: list[str] = []

    def give_up(params: dict[str, Any]) -> None:
        if params.get("Item", {}).get("id", {}).get("S", "").startswith("call#") and not late:
            late.append("now")
            late.append(stack.invoke("executor", task | {"given_up": "Lambda.Unknown"}, runtime=other)["status"])

    other, task = stack.cold("executor"), {"run_id": run_id, "turn": 1, "index": 1}
    stack.on("executor", "dynamodb", "PutItem", give_up)

    assert stack.execute(run_id) == "failed"

    assert late == ["now", "failed"]
    assert stack.count("n-1") == 0


@pytest.mark.parametrize("tool", ["write_down", "write_verified"])
def test_a_write_that_says_each_time_that_nothing_was_done_has_failed(stack: Stack, tool: str) -> None:
    run_id = proposed(stack, tool)
    for _ in range(TRIES):
        with pytest.raises(RetryLater, match="no room"):
            stack.execute(run_id)

    assert stack.execute(run_id, given_up="RetryLater") == "failed"

    settled = stack.body(run_id, "0001.call.1.settled")
    assert "no room" in settled["message"]
    assert stack.count("n-1") == 0


def test_a_write_of_which_one_attempt_died_is_for_a_person_whatever_the_others_say(stack: Stack) -> None:
    run_id = proposed(stack, "write_down")
    with pytest.raises(RetryLater):
        stack.execute(run_id)
    stack.after("executor", "dynamodb", "UpdateItem", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        stack.execute(run_id, context=LambdaContext(remaining_ms=0))
    stack.forget("executor")
    leases_are_over()
    for _ in range(3):
        with pytest.raises(RetryLater):
            stack.execute(run_id)

    with pytest.raises(EffectUnknown):
        stack.execute(run_id, given_up="RetryLater")


def test_a_write_whose_attempt_was_lost_is_for_a_person_or_for_verify(stack: Stack) -> None:
    for tool, ends in (("write_down", "unknown"), ("write_verified", "failed")):
        run_id = proposed(stack, tool, how="lost")
        with pytest.raises(RetryLater):
            stack.execute(run_id, context=LambdaContext(remaining_ms=0))
        leases_are_over()

        try:
            status = stack.execute(run_id, given_up="RetryLater")
        except EffectUnknown:
            status = stack.body(run_id, "0001.call.1.settled")["status"]
        assert status == ends


def test_while_an_attempt_may_be_at_work_nothing_is_given_up(stack: Stack) -> None:
    run_id = proposed(stack, "write_down", up_from=0)
    stack.after("executor", "dynamodb", "UpdateItem", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        stack.execute(run_id, context=LambdaContext(remaining_ms=30_000))

    with pytest.raises(AttemptInProgress):
        stack.execute(run_id, runtime=stack.cold("executor"), given_up="Lambda.Unknown")


@pytest.mark.parametrize("tool", ["write_down", "write_verified", "write_plain"])
def test_a_write_that_failed_before_it_acted_says_so(stack: Stack, tool: str) -> None:
    run_id = proposed(stack, tool, how="failed")

    assert stack.execute(run_id) == "failed"
    assert stack.body(run_id, "0001.call.1.settled")["message"] == "It is not configured here; nothing was sent."
