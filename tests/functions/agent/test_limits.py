"""Each limit at its edge, checked before the call; the endpoint counts its requests."""

import unicodedata
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from ballast.errors import RetryLater
from ballast.playbook.first_prompt import PROVIDER_OVERHEAD_TOKENS
from tests.functions.cloud import NOON
from tests.functions.endpoint import Endpoint, calls, fails, reads, says
from tests.functions.stack import LambdaDied, Stack, once
from tests.functions.variants import ledger_with, own_card, with_models

#: The price of the playbook's model, in micro-dollars a token: most expensive class of input, and output.
INPUT, OUTPUT = 6, 15
WRITE = {"name": "write_note", "input": {"note_id": "n-9", "text": "x"}}


def bound_of(stack: Stack, model: Endpoint, **request: Any) -> int:
    """Return the upper bound of the tokens of that run's first prompt."""
    run_id = stack.open(**request)
    model.will(says("Done."))
    stack.plan(run_id)
    model.requests.clear()
    return int(stack.body(run_id, "0001.model.requested")["input_tokens_bound"])


def in_turn_after(stack: Stack, model: Endpoint, run_id: str, turns: int) -> dict[str, Any]:
    """Let the agent read a note in each of ``turns`` turns, and return its decision in the next one."""
    for turn in range(1, turns + 1):
        model.will(reads("n-1"))
        stack.plan(run_id, turn)
    model.requests.clear()
    model.will(says("Done."))
    return stack.plan(run_id, turns + 1)


@pytest.mark.parametrize(("turns_before", "reason"), [(1, None), (2, None), (3, "turn_limit"), (4, "turn_limit")])
def test_turns(stack: Stack, model: Endpoint, turns_before: int, reason: str | None) -> None:
    run_id = stack.open(limits={"turns": 3})

    summary = in_turn_after(stack, model, run_id, min(turns_before, 3))
    if turns_before == 4:  # a limit once exceeded stays exceeded
        summary = stack.plan(run_id, 5)

    assert summary["reason"] == reason
    assert len(model.requests) == (0 if reason else 1)


def test_another_attempt_at_the_last_turn_is_no_turn_more(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(limits={"turns": 1})
    model.will(fails(429, "ThrottlingException"), says("Done."))
    with pytest.raises(RetryLater):
        stack.plan(run_id)

    assert stack.plan(run_id)["kind"] == "answer"


@pytest.mark.parametrize(("proposed", "reason"), [(2, None), (3, None), (4, "tool_call_limit")])
def test_tool_calls_are_counted_before_any_of_them_is_executed(
    stack: Stack, model: Endpoint, proposed: int, reason: str | None
) -> None:
    run_id = stack.open(limits={"tool_calls": 3})
    model.will(reads(*["n-1"] * proposed))

    summary = stack.plan(run_id)

    assert summary["reason"] == reason
    assert summary["calls"] == ([] if reason else list(range(1, proposed + 1)))


def test_calls_of_earlier_turns_count_and_the_last_one_may_still_be_answered_with(
    stack: Stack, model: Endpoint
) -> None:
    run_id = stack.open(limits={"tool_calls": 3})
    model.will(reads("n-1", "n-2"), reads("n-3"), reads("n-4"), says("Done."))

    kinds = [stack.plan(run_id, turn)["kind"] for turn in (1, 2, 3)]

    assert kinds == ["call_tools", "call_tools", "hand_over"]
    assert stack.plan(stack.open(limits={"tool_calls": 0}), 1)["kind"] == "answer"


@pytest.mark.parametrize(("proposed", "reason"), [(2, None), (3, None), (4, "tool_limit")])
def test_calls_of_one_tool(stack: Stack, model: Endpoint, proposed: int, reason: str | None) -> None:
    run_id = stack.open(limits={"calls_per_tool": 3})
    model.will(
        reads("n-1"),
        calls(*[{"name": "read_note", "input": {"note_id": f"n-{n}"}} for n in range(2, proposed + 1)], WRITE),
    )
    stack.plan(run_id)

    summary = stack.plan(run_id, 2)

    assert summary["reason"] == reason
    assert summary["calls"] == ([] if reason else list(range(1, proposed + 1)))


@pytest.mark.parametrize(("again", "reason"), [(1, None), (2, None), (3, "repeated_call_limit")])
def test_repeated_calls_are_counted_from_the_log(stack: Stack, model: Endpoint, again: int, reason: str | None) -> None:
    run_id = stack.open(limits={"repeated_calls": 2})
    model.will(reads("n-1"), reads(*["n-1"] * again))
    stack.plan(run_id)

    summary = stack.plan(run_id, 2)

    assert summary["reason"] == reason
    assert summary["calls"] == ([] if reason else list(range(1, again + 1)))


@pytest.mark.parametrize(("refused", "reason"), [(1, None), (2, None), (3, "refused_call_limit")])
def test_refused_calls(stack: Stack, model: Endpoint, refused: int, reason: str | None) -> None:
    run_id = stack.open(limits={"refused_calls": 2})
    model.will(calls(*[{"name": "no_such_tool"}] * 3), says("Done."))
    stack.plan(run_id)
    for index in range(1, refused + 1):
        stack.execute(run_id, index=index)
    model.requests.clear()

    summary = stack.plan(run_id, 2)

    assert summary["reason"] == reason
    assert len(model.requests) == (0 if reason else 1)


@pytest.mark.parametrize(
    ("left", "sent"),
    [(63, None), (64, 64), (65, 65), (499, 499), (500, 500), (501, 500)],  # 500 is the turn's own limit
)
def test_tokens_of_the_run_are_promised_before_they_are_used(
    stack: Stack, model: Endpoint, left: int, sent: int | None
) -> None:
    bound = bound_of(stack, model)
    run_id = stack.open(limited={"tokens_per_run": bound + left})
    model.will(says("Done."))

    summary = stack.plan(run_id)

    assert summary["reason"] == (None if sent else "run_token_limit")
    assert [request["inferenceConfig"]["maxTokens"] for request in model.requests] == ([sent] if sent else [])


def test_a_person_who_hands_back_to_the_agent_grants_its_counts_anew(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(limits={"calls_per_tool": 1, "repeated_calls": 0, "turns": 1})
    model.will(reads("n-1"), reads("n-1"))
    stack.plan(run_id)
    assert stack.plan(run_id, 2)["reason"] == "turn_limit"

    stack.answered(run_id, 3, {"kind": "hand_over", "to": "agent", "reason": "guidance"})

    assert stack.plan(run_id, 4)["kind"] == "call_tools"


@pytest.mark.parametrize(
    ("limits", "counted"),
    [
        ({"tool_calls": 0}, "tool_calls"),
        ({"calls_per_tool": 0}, "calls_per_tool"),
        ({"input_tokens_per_turn": 1}, "input_tokens_per_turn"),
        ({"tokens_per_run": 1}, "tokens_per_run"),
        ({"cost_microusd": 0}, "cost_microusd"),
    ],
)
def test_a_limit_that_is_reached_is_counted_once_under_its_name(
    stack: Stack, model: Endpoint, limits: dict[str, int], counted: str
) -> None:
    run_id = stack.open(limited=limits)
    model.will(reads("n-1"))

    stack.plan(run_id)
    stack.plan(run_id)

    [line] = [line for line in stack.lines() if "LimitsReached" in line]
    assert (line["LimitsReached"], line["limit"]) == ([1.0], counted)


def test_a_completion_that_is_cut_off_at_its_tokens_is_counted_as_that_limit(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says("And then", stop="max_tokens"))

    stack.plan(run_id)

    assert [line["limit"] for line in stack.lines() if "LimitsReached" in line] == ["tokens_per_turn"]


@pytest.mark.parametrize(("above", "reason"), [(-1, "token_limit"), (0, None), (1, None)])
def test_tokens_of_the_prompt(stack: Stack, model: Endpoint, above: int, reason: str | None) -> None:
    size = bound_of(stack, model) - PROVIDER_OVERHEAD_TOKENS
    estimate = PROVIDER_OVERHEAD_TOKENS + -(-size // 3)
    run_id = stack.open(limited={"input_tokens_per_turn": estimate + above})
    model.will(says("Done."))

    summary = stack.plan(run_id)

    assert summary["reason"] == reason
    assert len(model.requests) == (0 if reason else 1)


def test_the_prompts_bound_is_the_last_exact_count_and_the_bytes_of_what_is_new(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    used = {"inputTokens": 700, "outputTokens": 30, "cacheReadInputTokens": 3_000, "cacheWriteInputTokens": 200}
    model.will(reads("n-1", usage=used), says("Done."))
    stack.plan(run_id)

    stack.plan(run_id, 2)

    bound = stack.body(run_id, "0002.model.requested")["input_tokens_bound"]
    assert 3_930 < bound < 3_930 + 300


@pytest.mark.parametrize("letter", ["x", "ж", "漢", "😀"])
def test_a_text_of_any_script_is_bounded_by_its_bytes(stack: Stack, model: Endpoint, letter: str) -> None:
    """12 KB of Cyrillic or Chinese cost what 12 KB of Latin cost."""
    text = letter * (12_000 // len(letter.encode()))
    model.will(says("Done."), says("Done."))
    bounds = []
    for said in ("Tidy.", text):
        run_id = stack.open(text=said)
        stack.plan(run_id)
        bounds.append(stack.body(run_id, "0001.model.requested")["input_tokens_bound"])

    assert bounds[1] - bounds[0] == 12_000 - 5


def test_a_letter_that_a_tokenizer_takes_apart_counts_as_its_parts(stack: Stack, model: Endpoint) -> None:
    """U+FDFA has three bytes, and 18 letters once it is normalised."""
    model.will(says("Done."), says("Done."))
    bounds = []
    for letter in ("x", "\ufdfa"):
        run_id = stack.open(text=letter * 100)
        stack.plan(run_id)
        bounds.append(stack.body(run_id, "0001.model.requested")["input_tokens_bound"])

    assert bounds[1] - bounds[0] == 100 * (len(unicodedata.normalize("NFKC", "\ufdfa").encode()) - 1)


def test_without_an_exact_count_the_bound_is_the_bytes_of_everything(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(reads("n-1", usage=False), says("Done."))
    stack.plan(run_id)
    first = stack.body(run_id, "0001.model.requested")["input_tokens_bound"]

    stack.plan(run_id, 2)

    assert stack.body(run_id, "0002.model.requested")["input_tokens_bound"] > first


@pytest.mark.parametrize("limit", [1, 63, 64, 65, 500])
def test_tokens_of_a_turn_are_what_the_model_is_asked_for(stack: Stack, model: Endpoint, limit: int) -> None:
    run_id = stack.open(limits={"tokens_per_turn": limit})
    model.will(says("Done."))

    stack.plan(run_id)

    assert model.requests[0]["inferenceConfig"]["maxTokens"] == limit


@pytest.mark.parametrize(
    ("tokens_left", "above", "sent"),
    [
        (64, -1, None),  # too few for any useful answer
        (64, 0, 64),
        (64, 1, 64),
        (499, 0, 499),
        (500, -1, 499),
        (500, 0, 500),
        (600, 0, 500),  # the turn's own limit
    ],
)
def test_cost(stack: Stack, model: Endpoint, tokens_left: int, above: int, sent: int | None) -> None:
    prompt = -int(-bound_of(stack, model) * INPUT // 1)
    run_id = stack.open(limited={"cost_microusd": prompt + tokens_left * OUTPUT + above})
    model.will(says("Done."))

    summary = stack.plan(run_id)

    assert summary["reason"] == ("cost_limit" if sent is None else None)
    assert [request["inferenceConfig"]["maxTokens"] for request in model.requests] == ([] if sent is None else [sent])


def test_what_is_reserved_for_an_attempt_without_an_outcome_cannot_be_spent_again(
    stack: Stack, model: Endpoint
) -> None:
    bound = bound_of(stack, model)
    one_attempt = -int(-bound * INPUT // 1) + 500 * OUTPUT
    run_id = stack.open(limited={"cost_microusd": one_attempt + 100})
    stack.on("planner", "bedrock-runtime", "Converse", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        stack.plan(run_id)

    assert stack.plan(run_id)["reason"] == "cost_limit"
    assert model.requests == []


def test_a_run_without_money_never_calls(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(limited={"cost_microusd": 0})

    assert stack.plan(run_id)["reason"] == "cost_limit"
    assert model.requests == []


@pytest.mark.parametrize(("ms", "reason"), [(89_999, None), (90_000, "deadline"), (90_001, "deadline")])
def test_the_deadline_less_what_is_reserved_for_the_fallback(
    stack: Stack, model: Endpoint, ms: int, reason: str | None
) -> None:
    run_id = stack.open(limits={"deadline_s": 100})
    stack.clock.now = NOON + timedelta(milliseconds=ms)
    model.will(says("Done."))

    summary = stack.plan(run_id)

    assert summary["reason"] == reason
    assert len(model.requests) == (0 if reason else 1)


# The next planner


@pytest.mark.parametrize(("intent", "to"), [("clean", "rollback"), ("goes_on", "fallback"), (None, "rollback")])
def test_what_the_agent_did_is_rolled_back_before_a_fallback_that_must_start_clean(
    writes: Stack, model: Endpoint, intent: str | None, to: str
) -> None:
    run_id = writes.open(intent=intent, limited={"cost_microusd": 0})
    writes.propose(run_id, {"tool": "keyed_add", "arguments": {"note_id": "n-1"}})
    writes.execute(run_id)

    assert writes.plan(run_id, 2)["to"] == to


@pytest.mark.parametrize(("tool", "to"), [("announce", "rollback"), ("letter", "fallback")])
def test_an_effect_that_freezes_goes_to_the_rollback_and_one_that_is_kept_does_not(
    writes: Stack, model: Endpoint, tool: str, to: str
) -> None:
    run_id = writes.open(intent="clean", limited={"cost_microusd": 0})
    writes.propose(run_id, {"tool": tool, "arguments": {"note_id": "n-1"}})
    writes.execute(run_id)

    assert writes.plan(run_id, 2)["to"] == to


def test_a_limit_hands_over_to_the_script_of_the_intent(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(intent="tidy", limits={"cost_microusd": 0})

    assert stack.plan(run_id)["to"] == "fallback"


def test_a_limit_hands_over_to_the_rollback_where_an_effect_has_to_be_undone(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(intent="tidy", limits={"turns": 1})
    stack.wrote(run_id, 1, undo={"tool": "erase_note", "arguments": {"note_id": "n-1"}})
    stack.clock.advance(95)

    assert stack.plan(run_id, 2)["to"] == "rollback"


def test_a_hand_over_is_recorded_once_with_its_reason(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(limited={"cost_microusd": 0})

    first, second = stack.plan(run_id), stack.plan(run_id)

    assert first == second
    body = stack.body(run_id, "0001.plan.decided")
    assert (body["planner"], body["decision"]["reason"]) == ("agent", "cost_limit")


# Models by their prices


def test_a_model_without_a_price_is_not_called_and_the_note_names_the_file(stack: Stack, model: Endpoint) -> None:
    stack.environs["planner"]["MODEL_ID"] = "acme.oracle-v1"
    run_id = stack.open()

    summary = stack.plan(run_id)

    assert summary["reason"] == "model_refused"
    assert model.requests == []
    note = stack.body(run_id, "0001.plan.decided")["note"]
    assert "acme.oracle-v1" in note
    assert "models.yaml" in note


@pytest.mark.parametrize(
    ("facts", "why"), [({"tools": False}, "takes no tools"), ({"converse_api": False}, "Converse does not serve")]
)
def test_a_model_that_is_set_by_hand_and_cannot_be_the_agents_is_not_called(
    stack: Stack, model: Endpoint, tmp_path: Path, facts: dict[str, bool], why: str
) -> None:
    """``MODEL_ID`` is not part of the playbook, so loading the playbook cannot check it."""
    playbook = with_models(ledger_with(tmp_path), {"models": {"acme.one": own_card(**facts)}})
    stack.environs["planner"] |= {"MODEL_ID": "acme.one", "PLAYBOOK_DIR": playbook}
    run_id = stack.open()

    assert stack.plan(run_id)["reason"] == "model_refused"

    assert model.requests == []
    assert why in stack.body(run_id, "0001.plan.decided")["note"]


def test_an_application_inference_profile_is_called_and_charged_as_the_model_behind_it(
    stack: Stack, model: Endpoint, tmp_path: Path
) -> None:
    arn = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/desk"
    playbook = with_models(
        ledger_with(tmp_path, model=arn, cheaper_model=None), {"arns": {arn: "eu.amazon.nova-micro-v1:0"}}
    )
    stack.environs["planner"] |= {"PLAYBOOK_DIR": playbook}
    run_id = stack.open()
    model.will(says("Done.", usage={"inputTokens": 4_000, "outputTokens": 400}))

    stack.plan(run_id)

    assert unquote(model.requests[0]["path"]) == f"/model/{arn}/converse"
    assert stack.body(run_id, "0001.model.responded")["cost_microusd"] == 140 + 56


def test_the_environment_may_name_another_model(stack: Stack, model: Endpoint) -> None:
    stack.environs["planner"]["MODEL_ID"] = "eu.amazon.nova-micro-v1:0"
    run_id = stack.open()
    model.will(says("Done."))

    stack.plan(run_id)

    assert model.requests[0]["path"] == "/model/eu.amazon.nova-micro-v1%3A0/converse"
    assert stack.body(run_id, "0001.model.requested")["gen_ai.request.model"] == "eu.amazon.nova-micro-v1:0"
