"""The spend breaker before each model attempt; the endpoint counts its requests."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import PlaybookInvalid, RetryLater, SettingInvalid
from ballast.log.events import EscalationAnswered
from ballast.money.breaker import OPEN_FOR, Mode, is_probe
from ballast.playbook import load_playbook
from tests.functions.breakers import by_hand, trip
from tests.functions.cloud import LEDGER, client
from tests.functions.endpoint import Endpoint, Reply, calls, fails, reads, says
from tests.functions.stack import Stack, client_error, once
from tests.functions.variants import ledger_with

CHEAPER = "amazon.nova-micro-v1:0"
GRANT = {"kind": "hand_over", "to": "agent", "reason": "guidance", "add_budget_microusd": 5_000}


def models(model: Endpoint) -> list[str]:
    """Return the model of each request, in order."""
    return [request["path"].split("/")[2].replace("%3A", ":") for request in model.requests]


@pytest.mark.parametrize(
    ("mode", "to", "reason"),
    [
        (Mode.NORMAL, None, None),
        (Mode.CHEAPER, None, None),
        (Mode.FALLBACK_ONLY, "fallback", "breaker_open"),
        (Mode.STOPPED, "human", "breaker_stopped"),
    ],
)
@pytest.mark.parametrize("tenant", [None, "default"])
def test_every_mode_for_everyone_or_the_tenant(
    stack: Stack, model: Endpoint, mode: Mode, to: str | None, reason: str | None, tenant: str | None
) -> None:
    run_id = stack.open(intent="tidy")
    by_hand(stack, mode, tenant=tenant)
    model.will(says("Done."))

    summary = stack.plan(run_id)

    assert (summary["to"], summary["reason"]) == (to, reason)
    assert len(model.requests) == (0 if reason else 1)


def test_another_tenants_breaker_is_another_tenants(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(tenant="acme")
    by_hand(stack, Mode.STOPPED, tenant="globex")
    model.will(says("Done."))

    assert stack.plan(run_id)["kind"] == "answer"


def test_the_cheaper_model_is_asked_at_its_own_price(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    by_hand(stack, Mode.CHEAPER)
    model.will(says("Done.", usage={"inputTokens": 4_000, "outputTokens": 400}))

    stack.plan(run_id)

    assert models(model) == [CHEAPER]
    assert stack.body(run_id, "0001.model.requested")["gen_ai.request.model"] == CHEAPER
    assert stack.body(run_id, "0001.model.responded")["cost_microusd"] == 140 + 56


def test_a_playbook_without_a_cheaper_model_keeps_its_model(stack: Stack, model: Endpoint, tmp_path: Path) -> None:
    run_id = stack.open()
    stack.environs["planner"]["PLAYBOOK_DIR"] = playbook(tmp_path, cheaper_model="null")
    by_hand(stack, Mode.CHEAPER)
    model.will(says("Done."))

    stack.plan(run_id)

    assert models(model) == ["anthropic.claude-3-5-sonnet-20240620-v1:0"]


HAIKU, NOVA_PRO, NOVA_MICRO = (
    "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
    "eu.amazon.nova-pro-v1:0",
    "amazon.nova-micro-v1:0",
)


@pytest.mark.parametrize(
    ("usual", "cheaper", "why"),
    [
        (HAIKU, NOVA_PRO, None),  # its cache costs more to read, which is not compared
        (HAIKU, NOVA_MICRO, None),
        (HAIKU, "global.anthropic.claude-haiku-4-5-20251001-v1:0", None),  # the same model through a cheaper profile
        (HAIKU, "us.anthropic.claude-sonnet-4-6", "is not cheaper than model"),
        (NOVA_PRO, HAIKU, "is not cheaper than model"),
        (HAIKU, HAIKU, "is not cheaper than model"),  # the same
        ("us.anthropic.claude-sonnet-4-6", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "is not cheaper than model"),
    ],
)
def test_a_playbook_loads_only_with_a_cheaper_model_that_is_cheaper(
    tmp_path: Path, usual: str, cheaper: str, why: str | None
) -> None:
    folder = ledger_with(tmp_path, model=usual, cheaper_model=cheaper)

    if why is None:
        assert load_playbook(folder).agent.cheaper_model == cheaper
        return
    with pytest.raises(PlaybookInvalid, match=f"agent.yaml: cheaper_model.*{why}"):
        load_playbook(folder)


def test_a_model_that_is_set_by_hand_and_cheaper_than_the_cheaper_one_is_kept(stack: Stack, model: Endpoint) -> None:
    """MODEL_ID is not part of the playbook, so loading the playbook cannot compare the two."""
    stack.environs["planner"]["MODEL_ID"] = "eu.amazon.nova-micro-v1:0"
    run_id = stack.open()
    by_hand(stack, Mode.CHEAPER)
    model.will(says("Done."))

    stack.plan(run_id)

    assert models(model) == ["eu.amazon.nova-micro-v1:0"]


def test_where_nothing_serves_the_cheaper_model_in_the_stacks_region_the_usual_one_is_kept(
    stack: Stack, model: Endpoint, tmp_path: Path
) -> None:
    llama = "region.meta.llama3-3-70b-instruct-v1:0"  # profiles of us. alone
    stack.environs["planner"]["PLAYBOOK_DIR"] = ledger_with(tmp_path, model=HAIKU, cheaper_model=llama)
    run_id = stack.open()
    by_hand(stack, Mode.CHEAPER)
    model.will(says("Done."))

    assert stack.plan(run_id)["kind"] == "answer"

    assert models(model) == [HAIKU]
    assert "no form of the model" in stack.body(run_id, "0001.model.requested")["passed_over"][llama]


def test_what_another_models_tokenizer_counted_bounds_nothing(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(reads("n-1", usage={"inputTokens": 1_000, "outputTokens": 1}), says("Done."))
    stack.plan(run_id)
    first = stack.body(run_id, "0001.model.requested")["input_tokens_bound"]
    by_hand(stack, Mode.CHEAPER)

    stack.plan(run_id, 2)

    assert stack.body(run_id, "0002.model.requested")["input_tokens_bound"] > first


# After a trip


def test_tripped_between_two_turns_no_call_is_made(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(reads("n-1"), says("Done."))
    stack.plan(run_id)
    trip(stack, Mode.FALLBACK_ONLY)

    assert stack.plan(run_id, 2)["reason"] == "breaker_open"
    assert len(model.requests) == 1


def test_tripped_between_two_attempts_at_a_turn_no_call_is_made(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(fails(429, "ThrottlingException"), says("Done."))
    with pytest.raises(RetryLater):
        stack.plan(run_id)
    trip(stack, Mode.STOPPED)

    assert stack.plan(run_id)["reason"] == "breaker_stopped"
    assert len(model.requests) == 1


def test_tripped_between_two_attempts_of_one_invocation_no_call_is_made(
    stack: Stack, model: Endpoint, tmp_path: Path
) -> None:
    second = {"second_model": "anthropic.claude-3-5-haiku-20241022-v1:0"}
    stack.environs["planner"]["PLAYBOOK_DIR"] = playbook(tmp_path, **second)
    run_id = stack.open()
    down = fails(503, "ServiceUnavailableException")
    model.will(down, Reply(down.body, down.status, down.error, before=lambda: trip(stack, Mode.STOPPED)), says("Done."))
    with pytest.raises(RetryLater):
        stack.plan(run_id)

    assert stack.plan(run_id)["reason"] == "breaker_stopped"  # not the second model, which would be asked at once
    assert len(model.requests) == 2


def test_tripped_while_the_model_is_asked_that_call_is_the_last(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    stopped = Reply(reads("n-1").body, before=lambda: trip(stack, Mode.STOPPED))
    model.will(stopped, says("Done."))

    assert [stack.plan(run_id, turn)["kind"] for turn in (1, 2)] == ["call_tools", "hand_over"]
    assert len(model.requests) == 1


def test_a_half_open_breaker_lets_some_runs_pass_and_not_the_others(stack: Stack, model: Endpoint) -> None:
    since = stack.clock()
    trip(stack, Mode.FALLBACK_ONLY)
    stack.clock.advance(OPEN_FOR.total_seconds())
    runs = [stack.open() for _ in range(80)]
    probes = [run_id for run_id in runs if is_probe(run_id, since)][:1]
    others = [run_id for run_id in runs if not is_probe(run_id, since)][:3]
    model.will(*[says("Done.")] * 4)

    kinds = [stack.plan(run_id)["kind"] for run_id in (*probes, *others)]

    assert kinds == ["answer"] * len(probes) + ["hand_over"] * 3


def test_the_order_of_succession_is_that_of_every_other_limit(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(intent="tidy")
    stack.wrote(run_id, 1, undo={"tool": "erase_note", "arguments": {"note_id": "n-1"}})
    trip(stack, Mode.FALLBACK_ONLY)

    assert stack.plan(run_id, 2)["to"] == "rollback"


def test_a_stop_keeps_what_was_done_and_asks_a_person(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(intent="tidy")
    stack.wrote(run_id, 1, undo={"tool": "erase_note", "arguments": {"note_id": "n-1"}})
    trip(stack, Mode.STOPPED)

    assert stack.plan(run_id, 2)["to"] == "human"


# One request reads it, and none if no model would be asked


def reads_of(stack: Stack) -> list[dict[str, Any]]:
    """Return a list that collects the agent's requests to the budgets table."""
    seen: list[dict[str, Any]] = []
    stack.on("planner", "dynamodb", "BatchGetItem", seen.append)
    return seen


def test_it_is_read_with_one_request_that_is_eventually_consistent(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(tenant="acme")
    seen = reads_of(stack)
    model.will(says("Done."))

    stack.plan(run_id)

    (request,) = seen
    assert [key["window"]["S"] for key in request["RequestItems"]["budgets"]["Keys"]] == ["all", "tenant#acme"]
    assert "ConsistentRead" not in request["RequestItems"]["budgets"]


def test_a_decision_that_is_recorded_stands_whatever_the_breaker_says(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says("Done."))
    stack.plan(run_id)
    trip(stack, Mode.STOPPED)

    assert stack.plan(run_id)["kind"] == "answer"


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalServerError"])
def test_a_breaker_that_cannot_be_read_is_none_that_is_closed(stack: Stack, model: Endpoint, code: str) -> None:
    run_id = stack.open()
    stack.on("planner", "dynamodb", "BatchGetItem", once(client_error(code)))
    model.will(says("Done."))

    with pytest.raises(RetryLater, match="BUDGETS_TABLE"):
        stack.plan(run_id)

    assert model.requests == []


@pytest.mark.parametrize("body", [{}, {"breaker": {"S": "{}]"}}, {"breaker": {"S": '{"hand": {"mode": "off"}}'}}])
def test_an_item_that_somebody_else_wrote_is_named_and_no_model_is_asked(
    stack: Stack, model: Endpoint, body: dict[str, Any]
) -> None:
    run_id = stack.open()
    client("dynamodb").put_item(
        TableName="budgets", Item={"account": {"S": "breaker"}, "window": {"S": "all"}, "version": {"N": "1"}} | body
    )

    with pytest.raises(SettingInvalid, match="breaker / all"):
        stack.plan(run_id)

    assert model.requests == []


# A pause, then the same step again


def playbook(folder: Path, **settings: str) -> str:
    """Return the ledger with other settings in its ``agent.yaml``."""
    copy = folder / "paused"
    shutil.copytree(LEDGER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    lines = [line for line in (copy / "agent.yaml").read_text().splitlines() if line.split(":")[0] not in settings]
    (copy / "agent.yaml").write_text("\n".join([*lines, *(f"{name}: {value}" for name, value in settings.items())]))
    return str(copy)


def begun(stack: Stack, model: Endpoint, **limits: int) -> str:
    """Return a run that has written a note, for 3 cents, without a decision after it."""
    run_id = stack.open(limits=limits or None)
    used = {"inputTokens": 9_950, "outputTokens": 10}
    write = {"name": "write_note", "input": {"note_id": "n-7", "text": "Milk."}}
    model.will(calls(write, usage=used), says("Written."))
    stack.plan(run_id)
    stack.execute(run_id)
    return run_id


def goes_on(stack: Stack, model: Endpoint, run_id: str) -> None:
    """Check that the agent continues in turn 4 where it stopped: no call executed and no request sent twice."""
    stack.answered(run_id, 3, GRANT)

    assert stack.plan(run_id, 4)["kind"] == "answer"

    assert stack.count("n-7") == 1
    assert len(model.requests) == 2
    first, second = model.requests
    assert second["messages"][: len(first["messages"])] == first["messages"]
    asked, result = second["messages"][len(first["messages"]) :]
    assert asked["content"][0]["toolUse"]["name"] == "write_note"
    assert result["content"][0]["toolResult"]["status"] == "success"


def test_a_stopped_run_goes_on_where_it_was_with_more_budget_though_the_breaker_is_still_there(
    stack: Stack, model: Endpoint
) -> None:
    run_id = begun(stack, model)
    trip(stack, Mode.STOPPED)
    assert stack.plan(run_id, 2)["reason"] == "breaker_stopped"

    goes_on(stack, model, run_id)


def test_a_run_out_of_budget_that_asks_goes_on_where_it_was_with_more(
    stack: Stack, model: Endpoint, tmp_path: Path
) -> None:
    stack.environs["planner"]["PLAYBOOK_DIR"] = playbook(tmp_path, out_of_budget="ask")
    run_id = begun(stack, model, cost_microusd=31_000)

    summary = stack.plan(run_id, 2)

    assert (summary["to"], summary["reason"]) == ("human", "cost_limit")
    stack.answered(run_id, 3, GRANT | {"add_budget_microusd": 500_000})
    goes_on(stack, model, run_id)


def test_a_hand_back_without_budget_is_stopped_again(stack: Stack, model: Endpoint) -> None:
    run_id = begun(stack, model)
    trip(stack, Mode.STOPPED)
    stack.plan(run_id, 2)
    stack.answered(run_id, 3, GRANT | {"add_budget_microusd": 0})

    assert stack.plan(run_id, 4)["reason"] == "breaker_stopped"


def test_a_grant_that_no_window_had_room_for_is_none(stack: Stack, model: Endpoint) -> None:
    run_id = begun(stack, model)
    trip(stack, Mode.STOPPED)
    stack.plan(run_id, 2)
    late = 10**13
    granted = EscalationAnswered(
        turn=3, escalation_id="esc-x", by="ann", decision=GRANT, agent_until_ms=late, deadline_ms=late
    )
    stack.log.record(run_id, granted)  # and no 0003.lease.extended

    assert stack.plan(run_id, 4)["reason"] == "breaker_stopped"


def test_a_trip_after_the_grant_stops_the_run_again(stack: Stack, model: Endpoint) -> None:
    run_id = begun(stack, model)
    trip(stack, Mode.STOPPED)
    stack.plan(run_id, 2)
    stack.answered(run_id, 3, GRANT)
    stack.clock.advance(1)
    by_hand(stack, Mode.STOPPED)

    assert stack.plan(run_id, 4)["reason"] == "breaker_stopped"


def test_a_clock_that_is_behind_the_trips_does_not_ask_for_ever(stack: Stack, model: Endpoint) -> None:
    run_id = begun(stack, model)
    trip(stack, Mode.STOPPED, now=stack.clock() + timedelta(seconds=5))
    stack.plan(run_id, 2)

    goes_on(stack, model, run_id)


def test_what_held_is_recorded_with_the_hand_over(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    trip(stack, Mode.STOPPED, "hourly-cost")

    stack.plan(run_id)

    held = stack.body(run_id, "0001.plan.decided")["breaker"]
    assert (held["mode"], held["by"], held["reason"]) == ("stopped", "hourly-cost", "a test")
