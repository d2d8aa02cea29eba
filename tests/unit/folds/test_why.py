"""The report on a run: money and time add up exactly for any run, and what it says follows from the log."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.contracts import CallTools, ExitReason, HandOver, Limits, Planner, ToolCall
from ballast.contracts.limits import LimitsPatch
from ballast.contracts.timeline import ModelAttempt, Timeline
from ballast.contracts.why import MONEY_CAUSES, TIME_CAUSES, Why
from ballast.log.event import Event, order
from ballast.money.prices import Price, TokenCounts
from ballast.run import Run
from ballast.why import explained
from ballast.why.money import rates
from ballast.why.words import percent
from functions.agent.ask import limit_reached
from functions.agent.decision import calls_limit
from tests.recorded.readings import _World
from tests.recorded.recording import load, names
from tests.support.random_runs import runs
from tests.support.runs import STARTED_MS, Story, says, wants
from tests.support.sampling import examples

_ODD: tuple[Any, ...] = (None, -1, 10**18, "x", "\ud800" * 3, [], {}, True, 1.5)


def report(run: Run, wrong: dict[str, str] | None = None, run_id: str = "") -> tuple[Timeline, Why]:
    made = run.timeline(wrong, run_id=run_id)
    return made, explained(run, made)


def check(made: Timeline, why: Why) -> None:
    """Check what holds for every report."""
    assert why.cost_microusd == made.spent_microusd + made.reserved_microusd
    assert sum(one.microusd for one in why.money) == why.cost_microusd
    if made.duration_ms is not None and made.duration_ms >= 0:
        assert sum(one.ms for one in why.time) == why.duration_ms == made.duration_ms
        assert all(one.ms > 0 for one in why.time)
    else:
        assert (why.duration_ms, why.time) == (None, ())
    assert all(one.microusd > 0 for one in why.money if one.cause != "after_the_ending")
    assert {one.cause for one in why.money} <= MONEY_CAUSES.keys()
    assert {one.cause for one in why.time} <= TIME_CAUSES.keys()
    assert [one.turn for one in why.decisions] == [turn.turn for turn in made.turns]
    assert why.sentence.endswith(".")
    assert len(why.sentence) < 1_000
    assert why.to_json().isascii()


# ── sums ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=examples(15, 150))
@given(story=runs())
def test_money_and_time_add_up_for_any_run_wherever_its_log_ends(story: Story) -> None:
    for length in {1, len(story.written) // 2, len(story.written)}:
        made, why = report(Run(sorted(story.written[:length], key=order)))

        check(made, why)
        # Only what came after the ending is counted otherwise there.
        if "run.ended" not in {event.name for event in story.written[:length]}:
            assert all(one.microusd > 0 for one in why.money)
            assert "after_the_ending" not in {one.cause for one in why.money}


@settings(max_examples=examples(15, 150))
@given(story=runs(), data=st.data())
def test_money_and_time_add_up_where_somebody_changed_the_log(story: Story, data: st.DataObject) -> None:
    events = list(story.events)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(events) - 1))
        body = events[at].body
        field = data.draw(st.sampled_from(sorted(body) or ["x"]))
        when = data.draw(st.sampled_from([events[at].at, "", "yesterday", "1970-01-01T00:00:00+00:00", "2999-01-01"]))
        events[at] = events[at].model_copy(
            update={"body": body | {field: data.draw(st.sampled_from(_ODD))}, "at": when}
        )
    lost = data.draw(st.integers(0, len(events) - 1))
    kept = [event for number, event in enumerate(events) if number != lost]
    wrong = {events[lost].seq: "cannot be decoded"}

    check(*report(Run(kept), wrong, run_id=story.request.run_id))


@pytest.mark.parametrize("name", names())
def test_money_and_time_add_up_for_every_recorded_run(name: str) -> None:
    recording = load(name)
    run, wrong = _World(recording).examined("shows")

    check(*report(run, wrong, run_id=recording.run_id))


def test_a_log_of_which_nothing_can_be_read_has_a_report() -> None:
    made, why = report(Run(), {"0000.run.opened": "cut off"}, run_id="run-" + "a" * 24)

    check(made, why)
    assert why.sentence.startswith("An entry of its log cannot be read")
    assert why.to_type[0].command == f"ballast verify run-{'a' * 24}"


# ── money ────────────────────────────────────────────────────────────────────────────────────────────────────────


PRICE = Price(input=3_000_000, output=15_000_000, cache_read=300_000, cache_write_5m=3_750_000, cache_write_1h=0)


def attempt(**tokens: int) -> ModelAttempt:
    counts = TokenCounts(**tokens)
    cost = PRICE.cost(counts)
    return ModelAttempt(
        attempt=1,
        state="responded",
        input_tokens=counts.input,
        output_tokens=counts.output,
        cached_tokens=counts.cache_read,
        cache_write_tokens=counts.cache_write,
        cost_microusd=cost,
        charged_microusd=cost,
        cache_saved_microusd=PRICE.cost(counts.uncached) - cost,
    )


def test_the_rates_follow_from_tokens_and_costs_cached_or_not() -> None:
    found = rates(
        [
            attempt(input=2_000, output=150),
            attempt(input=500, output=400, cache_read=9_000),
            attempt(input=900, output=80, cache_write_5m=4_000, cache_read=1_000),
        ]
    )

    assert found is not None
    assert abs(found.input - PRICE.input) < PRICE.input / 50
    assert abs(found.output - PRICE.output) < PRICE.output / 50


@pytest.mark.parametrize(
    "attempts",
    [
        [attempt(input=2_000, output=150)],
        [attempt(input=2_000, output=150), attempt(input=4_000, output=300)],
        [
            attempt(input=2_000, output=150),
            attempt(input=500, output=400),
            attempt(input=9_000, output=10).model_copy(update={"cost_microusd": 90_000}),
        ],
    ],
    ids=["one", "the same twice", "two prices"],
)
def test_costs_that_show_no_rates_are_not_divided(attempts: list[ModelAttempt]) -> None:
    assert rates(attempts) is None


def charged(story: Story, turn: int, reply: dict[str, Any], **tokens: int) -> None:
    """Ask a model and have it reply; its usage costs what it costs by PRICE."""
    asked = story.asks(turn, reserved=500_000)
    counts = TokenCounts(**tokens)
    usage = {"inputTokens": counts.input, "outputTokens": counts.output}
    usage |= {"cacheReadInputTokens": counts.cache_read, "cacheWriteInputTokens": counts.cache_write}
    story.replies(asked, reply | {"usage": usage}, cost=PRICE.cost(counts))
    last = story.written[-1]
    saved = {"cache_saved_microusd": PRICE.cost(counts.uncached) - PRICE.cost(counts)}
    story.written[-1] = last.model_copy(update={"body": last.body | saved})


def test_each_part_of_a_prompt_is_charged_to_its_cause() -> None:
    story = Story().opened()
    for turn, (prompt, output) in enumerate([(1_000, 100), (3_000, 40), (5_000, 200)], start=1):
        charged(story, turn, wants(("look_up_order", {"order_id": f"O-{turn}"})), input=prompt, output=output)
        story.executes(turn, 1, "ok", {"status": "shipped"})

    _, why = report(story.run)

    parts = {one.cause: one.microusd for one in why.money}
    assert parts == pytest.approx(
        {"first_prompt": 3 * 3_000, "prompt_growth": 6_000 + 12_000, "replies": 5_100}, abs=60
    )


@pytest.mark.parametrize("field", ["gen_ai.usage.input_tokens", "gen_ai.usage.cache_read.input_tokens"])
@pytest.mark.parametrize("tokens", [-9_000, 10**12])
def test_tokens_that_nobody_can_have_used_make_no_share_negative(field: str, tokens: int) -> None:
    story = Story().opened()
    for turn, (prompt, output) in enumerate([(1_000, 100), (3_000, 40), (5_000, 200)], start=1):
        reply = wants(("look_up_order", {"order_id": f"O-{turn}"}))
        charged(story, turn, reply, input=prompt, output=output, cache_read=500)
    last = story.written[-1]
    story.written[-1] = last.model_copy(update={"body": last.body | {field: tokens, "cache_saved_microusd": 0}})

    check(*report(story.run))


def test_a_cache_that_stops_serving_is_named_with_what_it_cost() -> None:
    story = Story().opened()
    look = wants(("look_up_order", {"order_id": "O-1"}))
    charged(story, 1, look, output=100, cache_write_5m=10_000)
    story.executes(1, 1)
    charged(story, 2, wants(("look_up_order", {"order_id": "O-2"})), input=500, output=150, cache_read=10_000)
    story.executes(2, 1)
    charged(story, 3, says("Shipped."), input=11_000, output=90)

    _, why = report(story.run)

    missed = next(one for one in why.money if one.cause == "cache_misses")
    assert missed.turns == (3,)
    assert missed.microusd == pytest.approx(10_000 * 3, rel=0.02)
    assert "cache_misses" in {one.name for one in why.causes}


# ── sooner ───────────────────────────────────────────────────────────────────────────────────────────────────────


def looping(laps: int) -> Story:
    """Return a run that looks two orders up, then asks for a tool that does not exist, again and again."""
    story = Story().opened()
    for turn in (1, 2):
        charged(story, turn, wants(("look_up_order", {"order_id": f"O-{turn}"})), input=1_000, output=50)
        story.executes(turn, 1, "ok", {"status": "shipped"})
    for turn in range(3, 3 + laps):
        charged(story, turn, wants(("invented", {"order_id": "O-1"})), input=1_000 * turn, output=30)
        story.executes(turn, 1, "refused")
    to = story.run.successor(Planner.AGENT, has_fallback=True)
    story.decides(3 + laps, Planner.AGENT, HandOver(to=to, reason=ExitReason.LOOP))
    return story.ends("unanswered", by=None)


def test_what_would_have_stopped_it_sooner_is_what_the_agent_itself_compares() -> None:
    run = looping(4).run
    limits = run.opening.limits

    _, why = report(run)

    assert {one.change.partition("=")[0] for one in why.sooner} >= {
        "limits.turns",
        "limits.tool_calls",
        "limits.repeated_calls",
        "limits.refused_calls",
        "limits.cost_microusd",
    }
    for stop in why.sooner:
        name, _, value = stop.change.removeprefix("limits.").partition("=")
        tight = limits.tightened(LimitsPatch(**{name: int(value)}), by="a test")
        stopped = [turn for turn in range(1, 7) if _stops(run, turn, tight)]
        assert stopped[0] == stop.turn, stop
        agents = {turn.turn: turn for turn in run.timeline().turns}
        later = [turn for turn in range(1, 7) if turn > stop.turn or (turn == stop.turn and not _asks(name))]
        assert stop.saved_microusd == sum(sum(one.charged_microusd for one in agents[at].attempts) for at in later)


def _asks(name: str) -> bool:
    """Whether the limit is compared with a reply, which is paid for by then."""
    return name in ("tool_calls", "repeated_calls")


def _stops(run: Run, turn: int, limits: Limits) -> bool:
    before, made = run.before(turn), run.proposals[turn]
    if limit_reached(before, limits, new_turn=True, now_ms=STARTED_MS):
        return True
    return calls_limit(limits, before.counts, made.calls) is not None


def test_nothing_is_said_to_stop_a_run_sooner_in_which_each_turn_brought_something() -> None:
    story = Story().opened()
    for turn in (1, 2, 3):
        charged(story, turn, wants(("look_up_order", {"order_id": f"O-{turn}"})), input=100, output=10)
        story.executes(turn, 1, "ok", {"status": "shipped"})
    charged(story, 4, says("All are shipped."), input=100, output=10)
    story.ends()

    _, why = report(story.run)

    assert why.sooner == ()


def test_a_limit_is_not_told_that_saves_little_and_prevents_no_write() -> None:
    _, much = report(looping(4).run)
    short = Story().opened()
    for turn in range(1, 6):
        charged(short, turn, wants(("look_up_order", {"order_id": f"O-{turn}"})), input=1_000 * turn, output=50)
        short.executes(turn, 1, "ok", {"status": "shipped"})
    charged(short, 6, wants(("invented", {"order_id": "O-1"})), input=1_000, output=30)
    short.executes(6, 1, "refused")
    short.decides(7, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.LOOP))
    short.ends("unanswered", by=None)

    _, little = report(short.run)

    assert much.sooner
    assert all(2 * one.saved_microusd >= much.cost_microusd for one in much.sooner)
    assert "limits.refused_calls=0" not in {one.change for one in much.sooner}
    assert little.sooner == ()


# ── what it did, and whether to act ──────────────────────────────────────────────────────────────────────────────


def booked(*undone: str) -> Story:
    """Return a run with two writes of one tool, each with the status of its undo, and a hand-over to people."""
    story = Story().opened()
    for turn, dock in ((1, "O-1"), (2, "O-2")):
        story.replies(story.asks(turn), wants(("refund_order", {"order_id": dock, "amount_usd": "9.00"})))
        story.executes(turn, 1, "ok", {"refunded": dock})
    story.decides(3, Planner.AGENT, HandOver(to=Planner.ROLLBACK, reason=ExitReason.CONTENT_FILTERED))
    for turn, status in enumerate(undone, 4):
        undo = story.run.to_undo[0]
        assert undo.undo is not None
        story.decides(turn, Planner.ROLLBACK, CallTools(calls=(undo.undo,)), undoes=[undo.turn, undo.index])
        story.executes(turn, 1, status)
    over = HandOver(to=Planner.PERSON, reason=ExitReason.ROLLBACK_INCOMPLETE)
    story.decides(4 + len(undone), Planner.ROLLBACK, over)
    story.escalates(5 + len(undone), "rollback_incomplete")
    return story


def test_each_write_is_told_with_what_became_of_it_and_which_undo_was_for_it() -> None:
    story = booked("ok", "failed")

    _, why = report(story.run)

    assert [(one.turn, one.state) for one in why.did] == [(1, "stands"), (2, "undone")]
    first, second = (one.words for one in why.did)
    assert "order_id O-1" in first
    assert "its undo, cancel_refund (turn 5, call 1), failed" in first
    assert "order_id O-2" in second
    assert second.endswith("undone by cancel_refund (turn 4, call 1)")
    undos = {one.turn: f"{one.decided} {' '.join(one.calls)}" for one in why.decisions}
    assert "the undo of turn 2, call 1: ok" in undos[4]
    assert "the undo of turn 1, call 1: failed" in undos[5]
    assert why.must_act
    assert "decide what becomes of refund_order (turn 1, call 1: order_id O-1)" in why.act
    assert "turn 2" not in why.act


def test_an_undo_whose_outcome_is_unknown_leaves_its_write_unknown() -> None:
    _, why = report(booked("unknown").run)

    assert [(one.turn, one.state) for one in why.did] == [(1, "stands"), (2, "unknown")]


def test_a_run_that_has_ended_waits_for_nobody() -> None:
    _, waits = report(booked("ok", "failed").run)
    _, ended = report(booked("ok", "failed").ends("unanswered", by=None).run)

    last, over = waits.decisions[-1], ended.decisions[-1]
    assert (last.decided, last.rule.endswith("no answer yet")) == ("waits for people", True)
    assert (over.decided, over.rule.endswith("nobody answered")) == ("asked people", True)
    assert waits.answer_by
    assert not ended.answer_by


def test_a_refused_hand_over_is_told_with_what_was_wrong_with_it() -> None:
    vague = "hand_over: you have handed it over before, or it must be the only call of its turn."
    story = Story().opened()
    for turn, to in ((1, "billing"), (2, "support")):
        story.replies(story.asks(turn), wants(("hand_over", {"agent": to, "note": "Yours."})))
    for turn in (3, 4):
        said = {"tool": "hand_over", "arguments": {"agent": "billing", "note": "Yours."}}
        story.decides(turn, Planner.AGENT, CallTools(calls=(ToolCall.model_validate(said | {"call_id": "a"}),)))
        story.write(f"{turn:04d}.call.1.refused", said | {"error": "RuleViolation", "message": vague})
    story.decides(5, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.REFUSED_CALL_LIMIT))
    story.escalates(6, "refused_call_limit")

    _, why = report(story.run)

    assert "the agent support had handed over to the agent billing in turn 1, and may do so once" in why.sentence
    assert vague[11:] not in why.to_json()
    assert "for the same reason as in turn 3" in why.decisions[3].calls[0]


def test_the_sentence_tells_what_stands_then_the_first_cause_then_the_ending() -> None:
    _, why = report(booked("ok", "failed").ends("unanswered", by=None).run)

    order = ("The write refund_order (turn 1", "provider filtered", "not everything", "nobody answered", "ended")
    told = [why.sentence.index(words) for words in order]
    assert told == sorted(told)
    assert told[0] == 0


def test_a_report_has_the_callers_words_as_everybody_may_see_them_and_no_more_of_them() -> None:
    story = booked("ok", "ok")
    opened = story.written[0]
    said = {**opened.body["request"], "text": "My card is 4111. " + "Please. " * 100}
    exact = opened.model_copy(update={"body": opened.body | {"request": said}})
    masked = {**said, "text": said["text"].replace("4111", "***")}
    story.written[0] = exact.with_shown(exact.body | {"request": masked})

    _, why = report(Run(sorted(story.written, key=order)))

    assert why.request.startswith("My card is ***. Please. Please")
    assert len(why.request) <= 200
    assert "4111" not in why.to_json()


def test_every_share_is_rounded_half_up() -> None:
    assert [percent(part, 1_000) for part in (0, 4, 5, 445, 994, 995)] == [0, 0, 1, 45, 99, 100]
    assert percent(1, 0) == 0


# ── hostile texts, any size ──────────────────────────────────────────────────────────────────────────────────────


def test_no_text_of_the_log_gets_into_a_command() -> None:
    story = Story().opened()
    story.decides(1, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.COST_LIMIT))
    story.escalates(2, "cost_limit")
    opened = story.written[-1]
    story.written[-1] = opened.model_copy(update={"body": opened.body | {"escalation_id": "$(rm -rf ~); x\n\x1b[2J"}})

    _, why = report(story.run)

    commands = [one.command for one in why.to_type]
    assert "ballast escalations" in commands
    assert not any(char in command for command in commands for char in "$;\n\x1b")
    stack = explained(story.run, story.run.timeline(), stack="a b; rm")
    assert all(one.command.startswith("ballast --stack 'a b; rm' ") for one in stack.to_type)


def test_a_report_on_a_long_hostile_log_stays_short() -> None:
    story = Story().opened()
    long = "\u202e" + "x" * 20_000
    for turn in range(1, 60):
        story.replies(story.asks(turn), wants((f"tool{turn}", {"a": long})))
        event = Event(
            run_id=story.request.run_id,
            seq=f"{turn:04d}.call.1.refused",
            at=story.written[-1].at,
            body={"tool": long, "error": long, "message": long},
        )
        story.written.append(event)
    story.decides(60, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.LOOP), note=long)
    story.escalates(61, long)

    made, why = report(story.run)

    check(made, why)
    assert len(why.to_json()) < 150_000
