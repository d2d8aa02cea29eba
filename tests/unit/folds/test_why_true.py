"""A report says nothing that its log contradicts, hides nothing that others meet, and advises nothing useless."""

import re
from typing import Any

import pytest

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Limits, Planner, ToolCall
from ballast.contracts.why import MoneyShare, Stop, Why
from ballast.log.events import BreakerHeld, RunMoveSettled
from ballast.run import Run
from ballast.why import Stops, explained
from ballast.why.causes import most_of
from ballast.why.words import plain
from tests.support.runs import says, wants
from tests.support.timelines import timeline
from tests.unit.cli.test_why_reports import INCIDENTS, ORDER, REFUND, Night

LOOK = wants(("look_up_order", ORDER))
HELD = BreakerHeld(mode="fallback_only", by="BurnRateFastAlarm", reason="25 %", at="")


def why_of(night: Night, wrong: dict[str, str] | None = None) -> Why:
    run = night.run.only(lambda event: event.seq not in (wrong or {}))
    return explained(run, timeline(run, wrong or {}))


def answered_by_the_script(night: Night, turn: int) -> Why:
    night.decides(turn, Planner.FALLBACK, Answer(text="We will look into it."))
    night.ends(by="fallback")
    return why_of(night)


# ── what is said is so ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("asked", "said"), [(0, "so no model was"), (2, "so from turn 3 on no model was")])
def test_a_report_says_from_when_on_no_model_was_called(asked: int, said: str) -> None:
    night = Night().leased()
    for turn in range(1, asked + 1):
        night.model(turn, LOOK, 1_500)
        night.executes(turn, 1, "ok", {})
    over = HandOver(to=Planner.FALLBACK, reason=ExitReason.BREAKER_OPEN)
    night.decides(asked + 1, Planner.AGENT, over, breaker=HELD)

    assert said in answered_by_the_script(night, asked + 2).sentence


def test_a_model_that_was_called_later_was_not_called_in_one_turn_only() -> None:
    night = Night().leased()
    night.model(1, LOOK, 1_500)
    night.executes(1, 1, "ok", {})
    night.decides(2, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.BREAKER_OPEN), breaker=HELD)
    night.escalates(3, "breaker_open")
    night.person(3, HandOver(to=Planner.AGENT, reason=ExitReason.GUIDANCE, guidance="Go on."))
    night.model(4, says("Here you are."), 1_600)
    night.ends()

    assert "so in turn 2 no model was called" in why_of(night).sentence


def test_a_refused_call_is_not_counted_among_those_with_a_result() -> None:
    said = why_of(INCIDENTS["loop"][0]()).sentence

    assert "the same result for 5 different calls in a row" in said
    assert "2 more calls of it were refused" in said


def cached(*replies: tuple[int, int, int]) -> Why:
    """Return the report on a run whose replies read and wrote so many tokens of the cache, after so many seconds."""
    night = Night(limits=Limits(cost_microusd=5_000_000)).leased()
    for turn, (pause, read, written) in enumerate(replies, 1):
        night.clock_s += pause
        night.model(turn, LOOK, 14_500 - read - written, 60 * turn, read=read, written=written)
        night.executes(turn, 1, "ok", {})
    night.model(len(replies) + 1, says("Here you are."), 500, read=14_000)
    night.ends()
    return why_of(night)


def test_each_turn_that_the_cache_did_not_serve_has_its_own_reason() -> None:
    words = next(one.words for one in cached((0, 0, 14_000), (900, 0, 0), (0, 0, 14_000)).causes if "cache" in one.name)

    assert "15 min passed before the attempt in turn 2, so" in words
    assert "did not serve the prompt in turns 2, 3" in words  # turn 4 it served
    assert "(in turn 3 because the attempt before had put nothing into the cache)" in words
    words = next(one.words for one in cached((0, 0, 14_000), (900, 0, 14_000), (0, 0, 14_000)).causes)
    assert "(in turn 3 for a reason that the log does not show)" in words
    words = next(one.words for one in cached((0, 0, 14_000), (900, 0, 0), (900, 0, 0)).causes)
    assert "15 min passed before the attempt in turn 2, so" in words
    words = next(one.words for one in cached((0, 0, 14_000), (0, 0, 14_000)).causes)
    assert words.startswith("The provider's cache did not serve the prompt in turn 2: ")


@pytest.mark.parametrize(
    ("stop", "usage", "said"),
    [
        ("content_filtered", None, "the provider filtered the reply of the model test-model"),
        ("guardrail_intervened", None, "a guardrail blocked the reply of the model test-model"),
        ("guardrail_intervened", 0, "a guardrail blocked the prompt of the model test-model"),
    ],
)
def test_a_filter_is_told_with_what_it_stopped(stop: str, usage: int | None, said: str) -> None:
    night = Night().leased()
    night.model(1, says("Your", stop), 1_500, 9)
    if usage is not None:
        night.amend(**{"gen_ai.usage.input_tokens": usage, "gen_ai.usage.output_tokens": usage})

    why = answered_by_the_script(night, 2)

    assert said in f"{why.sentence[:1].lower()}{why.sentence[1:]}"
    assert said in why.decisions[0].rule


@pytest.mark.parametrize(
    ("share", "said"), [(50, "the largest part of its money went"), (51, "most of its money went")]
)
def test_most_is_more_than_half(share: int, said: str) -> None:
    part = MoneyShare(cause="replies", words="the model's replies", microusd=share)

    assert most_of("its money", part, share) == f"{said} into the model's replies ({share} %)"


def test_what_an_agent_may_not_call_is_not_said_to_be_missing_and_the_refused_hand_over_goes_first() -> None:
    night = Night().leased()
    night.amend(agent="clinic")
    told = {"tool": "hand_over", "arguments": {"agent": "billing", "note": "Pay it back."}}
    night.decides(1, Planner.AGENT, CallTools(calls=(ToolCall.model_validate(told),)))
    refused = {"error": "RuleViolation", "message": "hand_over: billing cannot go on with this request."}
    night.write("0001.call.1.refused", told | refused)
    for turn, call in ((2, "refund_order"), (3, "refund_order")):
        night.model(turn, wants((call, REFUND)), 1_500)
        night.executes(turn, 1, "refused")
    night.decides(4, Planner.AGENT, HandOver(to=Planner.FALLBACK, reason=ExitReason.COST_LIMIT))

    why = answered_by_the_script(night, 5)

    assert why.sentence.startswith("1 call was refused by the gate: a rule of hand_over (turn 1, call 1)")
    assert "2 calls were refused by the gate: the agent clinic is offered no tool named refund_order." in [
        one.words for one in why.causes
    ]
    assert why.sentence.endswith("the fallback answered instead of the agent after 5 turns, 2 of them the agent's.")


def test_the_calls_of_a_limit_are_told_in_a_sentence_the_writes_first() -> None:
    night = Night(limits=Limits(turns=7)).leased()
    tools = ("look_up_order", "look_up_order", "search_docs", "read_ticket", "list_orders", "refund_order", "hand_over")
    for turn, name in enumerate(tools, start=1):
        night.model(turn, wants((name, {"number": turn})), 1_500)
        night.executes(turn, 1, "ok", {})
    night.decides(8, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.TURN_LIMIT))
    night.escalates(9, "turn_limit")

    assert (
        "until then it had made 7 calls: 1 of refund_order, 2 of look_up_order (each with other arguments), "
        "1 of search_docs and 3 of 3 other tools; "
    ) in why_of(night).sentence


def test_a_reservation_that_cannot_have_been_is_not_told() -> None:
    night = INCIDENTS["unsent-result"][0]()
    assert "was reserved" in why_of(night).sentence
    asked = max(at for at, one in enumerate(night.written) if one.name == "model.requested")
    body = night.written[asked].body | {"reserved_microusd": 400_000}
    night.written[asked] = night.written[asked].model_copy(update={"body": body})

    assert "was reserved" not in why_of(night).sentence


# ── what other runs meet ─────────────────────────────────────────────────────────────────────────────────────────


def circuit(*, reached_later: bool) -> Why:
    night = Night().leased()
    night.model(1, wants(("refund_order", REFUND)), 1_500)
    night.executes(1, 1, "failed")
    night.amend(message="Not called.", circuit="bank")
    if reached_later:
        night.model(2, wants(("refund_order", REFUND)), 1_600)
        night.executes(2, 1, "ok", {})
    night.model(3, says("So."), 1_800)
    night.ends()
    return why_of(night)


def passed_over(*, replied_later: bool) -> Why:
    night = Night().leased()
    night.amend(model="big")
    for turn, model in ((1, "test-model"), (2, "big" if replied_later else "test-model")):
        night.asks(turn)
        rests = {"big": "The circuit of big is open: it failed 5 times in a row."} if turn == 1 else {}
        night.amend(**{"gen_ai.request.model": model, "passed_over": rests})
        night.replies(night.written[-1], says("So.") if turn == 2 else LOOK)
        if turn == 1:
            night.executes(1, 1, "ok", {})
    night.ends()
    return why_of(night)


def test_what_other_runs_meet_is_looked_at_although_this_run_was_answered() -> None:
    held = why_of(INCIDENTS["breaker"][0]())
    for why, named in (
        (held, "spend breaker is still at fallback_only (BurnRateFastAlarm set it)"),
        (why_of(Night().refused("BreakerStopped")), "whether the spend breaker still lets no run start"),
        (circuit(reached_later=False), "whether bank still fails"),
        (passed_over(replied_later=False), "whether the model big still fails"),
    ):
        assert why.must_act
        assert named in why.act
        assert re.search(r"at 2026-11-01 09:00:\d\d UTC", why.act)
        assert "For this run nobody has to act." in why.act
    assert "`ballast breaker`" in held.act


def test_nobody_has_to_look_at_what_worked_again_in_the_same_run() -> None:
    for why in (circuit(reached_later=True), passed_over(replied_later=True)):
        assert not why.must_act
        assert "still fails" not in why.act


# ── effects, money ───────────────────────────────────────────────────────────────────────────────────────────────


def test_every_write_that_stands_is_told_first_and_whether_its_undo_was_tried() -> None:
    night = Night(limits=Limits(turns=20)).leased()
    for turn in range(1, 7):
        call = ("send_letter", ORDER) if turn == 6 else ("refund_order", REFUND | {"order_id": f"O-{turn}"})
        night.model(turn, wants(call), 1_500)
        night.executes(turn, 1, "ok", {})
        if turn < 6:
            night.moves(turn, 1, 9)
    night.decides(7, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.EFFECT_FROZEN))
    night.escalates(8, "effect_frozen")
    night.ends("unanswered", by=None)

    why = why_of(night)

    assert why.sentence.startswith("6 writes, refund_order (turn 1, call 1)")
    assert "order_id O-4) and 2 more: they stand, with 9.00 USD and 9.00 USD" in why.act
    assert "answer the caller: nobody did" in why.act  # many effects hide nothing else
    assert why.did[0].words.endswith("; its undo, cancel_refund, was not tried")
    assert why.did[5].words.endswith("; it has no undo")


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("status", ["answered", "aborted"])
def test_a_write_that_outlives_a_rollback_is_told_first_and_with_the_reason(status: str, keeps: bool) -> None:
    night = Night(limits=Limits(turns=4)).leased()
    for turn, call in ((1, ("send_letter", ORDER)), (2, ("refund_order", REFUND))):
        night.model(turn, wants(call), 1_500)
        night.executes(turn, 1, "ok", {})
    at = next(place for place, one in enumerate(night.written) if one.seq == "0001.call.1.intended")
    body = night.written[at].body | {"effect": "write", "on_rollback": "keep" if keeps else "undo"}
    night.written[at] = night.written[at].model_copy(update={"body": body})
    night.decides(3, Planner.AGENT, HandOver(to=Planner.ROLLBACK, reason=ExitReason.TURN_LIMIT))
    (undo,) = night.run.to_undo
    assert undo.undo is not None
    night.decides(4, Planner.ROLLBACK, CallTools(calls=(undo.undo,)), undoes=[undo.turn, undo.index])
    night.executes(4, 1, "ok", {})
    night.decides(5, Planner.ROLLBACK, HandOver(to=Planner.FALLBACK, reason=ExitReason.ROLLED_BACK))
    if status == "answered":
        night.decides(6, Planner.FALLBACK, Answer(text="We will look into it."))
    night.ends(status, by="fallback" if status == "answered" else None)

    why = why_of(night)

    said = "its tool keeps it in a rollback (`on_rollback: keep`)"
    letter = next(one for one in why.did if one.tool == "send_letter")
    assert (said in letter.words) is (said in why.sentence) is keeps
    if status == "aborted":  # nobody has decided about it
        assert "decide what becomes of send_letter (turn 1, call 1" in why.act
        assert why.sentence.startswith("The write send_letter (turn 1, call 1) happened, and nothing has undone it")
    else:
        assert not why.must_act
        assert ("The rollback left send_letter (turn 1, call 1) as it was" in why.act) is keeps
        first = "The write send_letter (turn 1, call 1" if keeps else "Its limit of turns was reached"
        assert why.sentence.startswith(first)
        assert "its limit of turns was reached" in why.sentence.lower()


@pytest.mark.parametrize("found", [None, True, False])
def test_a_write_whose_undo_is_in_doubt_is_not_said_to_stand_until_somebody_finds_out(found: bool | None) -> None:
    night = Night(limits=Limits(turns=20)).leased()
    night.model(1, wants(("refund_order", REFUND)), 1_500)
    night.executes(1, 1, "ok", {})
    night.moves(1, 1, 120)
    night.decides(2, Planner.AGENT, HandOver(to=Planner.ROLLBACK, reason=ExitReason.LOOP))
    undo = night.run.to_undo[0]
    assert undo.undo is not None
    night.decides(3, Planner.ROLLBACK, CallTools(calls=(undo.undo,)), undoes=[undo.turn, undo.index])
    night.executes(3, 1, "unknown")
    night.decides(4, Planner.ROLLBACK, HandOver(to=Planner.PERSON, reason=ExitReason.ROLLBACK_INCOMPLETE))
    night.escalates(5, "rollback_incomplete")
    if found is not None:
        night.record(RunMoveSettled(number=1, call=(3, 1), happened=found, by="ann"))

    why = why_of(night)

    assert ("cancel_refund (turn 3, call 1), the undo of turn 1, call 1, happened" in why.act) is (found is None)
    assert ("decide what becomes of refund_order" in why.act) is (found is False)
    assert ("nothing has undone it" in why.sentence) is (found is False)
    assert [one.state for one in why.did] == [{None: "unknown", True: "undone", False: "stands"}[found]]
    assert any("120.00 USD of the business's own money came back" in one.words for one in why.unknown) is (
        found is None
    )


@pytest.mark.parametrize("name", ["cut-off", "unknown-effect", "answered-by-a-person"])
def test_money_in_doubt_is_named_with_the_command_that_settles_it(name: str) -> None:
    run = INCIDENTS[name][0]().run
    why = explained(run, timeline(run), stack="s")

    assert "settle its 120.00 USD" in why.act
    assert any("budget --move" in one.command for one in why.to_type)
    assert any("120.00 USD of the business's own money moved" in one.words for one in why.unknown)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"refunded": "120.00"}, "refunded 120.00"),
        ({"lines": [{"sku": "a", "left": None}], "paid": True}, "lines sku a, left nothing, paid yes"),
        ([1, 2.5], "1, 2.5"),
    ],
)
def test_a_value_is_told_as_people_write_it(value: Any, said: str) -> None:
    assert plain(value) == said


# ── a changed log ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_changed_log_is_told_without_loops_and_costs_and_with_the_turns_that_are_missing() -> None:
    wrong = {"0005.model.responded": "no digest", "0009.plan.decided": "no digest", "9999.run.ended": "cut"}
    why = why_of(INCIDENTS["loop"][0](), wrong)

    assert {one.name for one in why.causes} == {"log_unreadable"}
    assert '(0005.model.responded and 0009.plan.decided: "no digest"; 9999.run.ended: "cut")' in why.sentence
    assert (why.sooner, why.sooner_note) == ((), "")
    assert [one.turn for one in why.unknown if one.words.startswith("what was done in turn")] == [9]


# ── advice ───────────────────────────────────────────────────────────────────────────────────────────────────────


def advised(run: Run, *changes: tuple[str, int]) -> list[str]:
    """Return the changes of which the report tells, if somebody found these, each with the turn that it stops."""
    found = [Stop(change=change, turn=turn, words="", saved_microusd=10**9) for change, turn in changes]
    return [one.change for one in explained(run, timeline(run), sooner=lambda _run, _made: Stops(found)).sooner]


def circles(reason: ExitReason) -> Run:
    """Return a run that looked two orders up, and then repeated itself until it was stopped for that reason."""
    night = Night(limits=Limits(turns=20)).leased()
    for turn in range(1, 6):
        number = min(turn, 2)
        again = {
            "despair": [
                {"index": 1, "kind": "same_call", "count": turn, "same_as": [2, 1], "step": "notice", "answer": False}
            ]
        }
        more: dict[str, Any] = again if turn > 2 else {}
        night.model(turn, wants(("look_up_order", {"order_id": f"O-{number}"})), 1_500, **more)
        night.executes(turn, 1, "ok", {"order": number})
    night.decides(6, Planner.AGENT, HandOver(to=Planner.PERSON, reason=reason))
    night.escalates(7, reason)
    return night.run


def test_a_limit_leaves_the_agent_a_useful_act_and_a_reply_that_read_it() -> None:
    run = circles(ExitReason.LOOP)

    rule = ("loops.same_call.forbid=2", 3)
    useless = (("limits.turns=1", 2), ("limits.cost_microusd=9000", 2), ("limits.tool_calls=1", 3))
    useful = (("limits.turns=2", 3), ("limits.cost_microusd=20000", 3), ("limits.repeated_calls=0", 3))

    assert advised(run, *useless, *useful, rule) == [*(change for change, _ in useful), rule[0]]
    everything_failed = INCIDENTS["hand-over"][0]().run
    assert advised(everything_failed, ("limits.refused_calls=1", 3)) == []


def test_a_limit_that_stopped_the_agent_is_not_advised_lower() -> None:
    run = circles(ExitReason.TURN_LIMIT)

    assert advised(run, ("limits.turns=2", 3), ("limits.cost_microusd=20000", 3), ("limits.repeated_calls=0", 3)) == [
        "limits.repeated_calls=0"
    ]
    assert advised(circles(ExitReason.REPEATED_CALL_LIMIT), ("limits.repeated_calls=0", 3), ("limits.turns=2", 3)) == [
        "limits.turns=2"
    ]


# ── approvals, bounds, names ─────────────────────────────────────────────────────────────────────────────────────


def _of_two(night: Night, number: int, *given: str, silent: bool, changed: str = "") -> None:
    """Ask two of finance about the call in a round; some approve, and the time may run out."""
    at, round_ = "0001.call.1.approval_", "" if number == 1 else f".{number}"
    more = {"approvals": 2, "approvers": "finance", "why": ["forty"], "parked": number > 1}
    night.write(f"{at}needed{round_}", {"tool": "refund_order", **more})
    asked = {"escalation_id": f"esc-{number}", "answer_by": f"2026-03-01T0{number}:00:00+00:00"}
    night.write(f"{at}requested{round_}", {**asked, "approvals_needed": 2, "approvers": "finance"})
    for count, by in enumerate(given, start=1):
        new = {"changed": True, "arguments": {**REFUND, "order_id": "O-9"}} if by == changed else {}
        night.write(f"{at}given.{number}.{count}", {"by": by, "given": count, "needed": 2, **new})
    if silent:
        night.write(f"{at}answered{round_}", {**asked, "approve": None})


def test_an_approval_is_told_from_all_its_entries() -> None:
    night = Night().leased()
    night.model(1, wants(("refund_order", REFUND)), 1_500)
    _of_two(night, 1, "fay", silent=True)
    _of_two(night, 2, silent=False)
    first = "fay approved (1 of 2 of finance), nobody else answered until 2026-03-01 01:00:00 UTC"
    waiting = why_of(night)
    assert f'needs an approval, because "forty" ({first}; asked again (parked, with the long time)' in waiting.sentence

    _of_two(night, 2, "fox", silent=True)
    night.executes(1, 1, "denied")
    night.model(2, says("Not refunded."), 1_800)
    night.ends()
    denied = why_of(night)
    second = "asked again (parked, with the long time), fox approved (1 of 2 of finance), nobody else answered until"
    assert f"did not get the approvals that it needs in time: {first}; {second}" in denied.sentence
    assert f"denied: {first}; {second}" in denied.decisions[0].calls[0]
    assert "obody answered" not in denied.to_json()


def test_who_changed_a_call_answered_though_nobody_has_approved_it() -> None:
    night = Night().leased()
    night.model(1, wants(("refund_order", REFUND)), 1_500)
    _of_two(night, 1, "fay", silent=True, changed="fay")
    night.executes(1, 1, "denied")
    night.model(2, says("Not refunded."), 1_800)
    night.ends()

    said = "fay changed its arguments, so all approvals were needed anew, nobody else answered until"
    assert said in why_of(night).sentence


def test_a_charge_at_its_bound_is_told_of_a_tool_too() -> None:
    night = Night().leased()
    night.model(1, wants(("look_up_order", ORDER), ("look_up_order", {"order_id": "O-2"})), 1_500)
    for index, status, cost in ((1, "failed", 20_000), (2, "ok", 15_000)):
        night.write(
            f"0001.call.{index}.intended", {"tool": "look_up_order", "effect": "read", "reserved_microusd": 20_000}
        )
        night.write(f"0001.call.{index}.settled", {"tool": "look_up_order", "status": status, "cost_microusd": cost})
    night.model(2, says("It is late."), 1_600)
    night.ends()
    why = why_of(night)

    cause = next(one for one in why.causes if one.name == "bound_calls")
    assert "1 call of look_up_order failed without saying what it cost: $0.02 is charged" in cause.words
    assert {one.cause: one.microusd for one in why.money if "tool" in one.cause} == {
        "tools": 15_000,
        "tool_attempts": 20_000,
    }
    assert any("a failed attempt at tools that cost money really cost: $0.02" in one.words for one in why.unknown)


def test_what_a_paid_tool_charges_for_a_lap_is_the_loops() -> None:
    night = Night().leased()
    for turn, status in ((1, "ok"), (2, "ok"), (3, "failed"), (4, "ok")):
        signal = {"index": 1, "kind": "same_call", "count": turn, "same_as": [1, 1], "step": "notice", "answer": False}
        more: dict[str, Any] = {"despair": [signal]} if turn in (2, 3) else {}
        night.model(turn, LOOK if turn < 4 else wants(("look_up_order", {"order_id": "O-2"})), 1_500, **more)
        call = {"tool": "look_up_order", "effect": "read", "reserved_microusd": 2_000}
        night.write(f"{turn:04d}.call.1.intended", call)
        night.write(
            f"{turn:04d}.call.1.settled", {"tool": "look_up_order", "status": status, "cost_microusd": 1_000 * turn}
        )
    night.model(5, says("It is late."), 1_600)
    night.ends()
    made = timeline(night.run)
    laps = sum(one.charged_microusd for turn in made.turns if turn.turn in (2, 3) for one in turn.attempts)

    why = why_of(night)

    money = {one.cause: (one.microusd, one.turns) for one in why.money}
    assert money["loop_laps"] == (laps + 2_000 + 3_000, (2, 3))
    assert money["tools"] == (1_000 + 4_000, (1, 4))
    assert "tool_attempts" not in money
    assert sum(one.microusd for one in why.money) == why.cost_microusd


@pytest.mark.parametrize(
    "values", [("down", "down "), ("a  b", "a b"), ("x" * 60 + "1", "x" * 60 + "2"), (1, "1"), ("Ａ", "A"), ('"', "'")]
)
def test_arguments_that_look_alike_in_brief_are_told_so_that_they_differ(values: tuple[Any, Any]) -> None:
    night = Night().leased()
    night.model(1, wants(*(("look_up_order", {"kind": one}) for one in values)), 1_500)
    for index in (1, 2):
        night.executes(1, index, "failed")
    night.model(2, says("No."), 1_600)
    night.ends()
    first, second = (line.split("call ", 1)[1][1:] for line in why_of(night).decisions[0].calls)

    assert "kind" in first
    assert first != second


def test_a_broken_fallback_is_an_act_whatever_came_before() -> None:
    night = Night().leased()
    night.decides(1, Planner.AGENT, HandOver(to=Planner.FALLBACK, reason=ExitReason.MODEL_THROTTLED))
    over = HandOver(to=Planner.PERSON, reason=ExitReason.FALLBACK_FAILED)
    night.decides(2, Planner.FALLBACK, over, note="crash failed in fallbacks/crash.py, line 10: KeyError: 'nope'")
    night.escalates(3, "fallback_failed")
    night.person(3, Answer(text="Done by hand."))
    night.ends(by="person")
    why = why_of(night)

    assert why.must_act
    assert "mend the fallback's script for" in why.act
    assert any("the reason names its file and line" in one.words for one in why.to_type)
    assert not any("log group" in one.words for one in why.to_type)


@pytest.mark.parametrize(("error", "acts"), [("SchemaViolation", True), ("Ungrounded", True), ("WindowFull", False)])
def test_a_call_of_the_fallback_that_is_refused_for_what_its_script_proposed_is_an_act(error: str, acts: bool) -> None:
    night = Night().leased()
    night.decides(1, Planner.AGENT, HandOver(to=Planner.FALLBACK, reason=ExitReason.MODEL_THROTTLED))
    call = ToolCall(tool="refund_order", arguments=REFUND)
    night.decides(2, Planner.FALLBACK, CallTools(calls=(call,)))
    night.write("0002.call.1.refused", {"tool": "refund_order", "error": error, "message": "days: is missing"})
    night.decides(3, Planner.FALLBACK, Answer(text="We will look into it."))
    night.ends(by="fallback")
    why = why_of(night)

    assert ("its call of refund_order was refused, and is refused alike for the next runs" in why.act) is acts
    assert why.must_act is acts


def test_a_deadline_that_went_into_a_call_in_doubt_names_the_call_and_its_first_reason() -> None:
    night = Night().leased()
    night.model(1, wants(("refund_order", REFUND)), 1_500)
    night.write("0001.call.1.intended", {"tool": "refund_order", "effect": "write"})
    for number, said in ((1, "smtp 451"), (2, "smtp 452")):
        night.clock_s += 60
        night.write(f"0001.call.1.doubted.{number}", {"tool": "refund_order", "message": said, "ran": True})
    night.clock_s += 1
    night.write("0001.call.1.settled", {"tool": "refund_order", "status": "failed", "message": "It did not happen."})
    night.decides(2, Planner.AGENT, HandOver(to=Planner.FALLBACK, reason=ExitReason.DEADLINE))

    sentence = answered_by_the_script(night, 3).sentence

    assert sentence.startswith(
        'The outcome of refund_order (turn 1, call 1) was in doubt ("smtp 451"), and checking it'
    )
    assert "% of the time; " in sentence


def test_a_requester_who_does_not_reply_is_told_without_the_name_of_an_error() -> None:
    night = Night().leased()
    night.decides(1, Planner.AGENT, HandOver(to=Planner.REQUESTER, reason=ExitReason.QUESTION, guidance="Which?"))
    night.escalates(2, "question", kind="question")
    cut = {"from": "agent", "reason": "requester_silent", "error": "States.Timeout"}
    night.decides(3, Planner.FALLBACK, Answer(text="We will look into it."), handed_over=cut)
    night.ends(by="fallback")
    why = why_of(night)

    assert "equester did not reply in time" in why.sentence
    assert "States.Timeout" not in why.to_json()
