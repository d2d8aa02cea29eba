"""Attempts at models and limits in the report on a run: each with its reason, in their order, and what it allows."""

import io
import re
from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.contracts import Answer, ExitReason, HandOver, Limits, Planner
from ballast.contracts.decision import LIMITS
from ballast.contracts.why import Why
from ballast.log.events import ModelResponded
from ballast.why import explained
from ballast.why.attempts import tried
from cli.cost.explain import explained as cost_explained
from cli.cost.render import render
from tests.support.runs import STARTED_MS, says, wants
from tests.support.sampling import examples
from tests.support.terminal import screen_on
from tests.unit.cli.test_why_reports import Night

FIRST, SECOND = "first-model", "second-model"
#: How an attempt ends: its exit reason, the provider's error, and the words that tell it.
ENDS: dict[str, tuple[ExitReason, str, str]] = {
    "timeout": (ExitReason.MODEL_TIMEOUT, "Read timeout on endpoint URL", "did not answer in time"),
    "throttled": (ExitReason.MODEL_THROTTLED, "ThrottlingException: wait", "throttled the model"),
    "server error": (ExitReason.MODEL_UNAVAILABLE, "InternalServerException: 500", "failed or could not be reached"),
    "access denied": (ExitReason.MODEL_REFUSED, "AccessDeniedException: no", "denied access to the model"),
    "not found": (ExitReason.MODEL_REFUSED, "ResourceNotFoundException: no", "did not find the model"),
    "quota": (ExitReason.MODEL_REFUSED, "ServiceQuotaExceededException: no", "quota had no room for the model"),
    "credentials": (ExitReason.MODEL_REFUSED, "UnrecognizedClientException: no", "did not accept the stack's"),
    "invalid": (ExitReason.MODEL_REFUSED, "ValidationException: messages.2 is empty", "refused the request as invalid"),
    "another refusal": (ExitReason.MODEL_REFUSED, "Parameter validation failed: x", "refused the request ("),
    "too long": (ExitReason.MODEL_CONTEXT_WINDOW_EXCEEDED, "ValidationException: too long", "too long for the model"),
    "garbled": (ExitReason.MALFORMED_MODEL_OUTPUT, "", "sent something that cannot be read"),
    "cut": (ExitReason.MAX_TOKENS, "", "was cut off at its token limit"),
    "filtered": (ExitReason.CONTENT_FILTERED, "", "filtered the reply of the model"),
}
#: Ends of a reply: nothing is asked after it in its turn.
REPLIES = ("garbled", "cut", "filtered")
#: Every one of these lasts until somebody does something.
LASTS = ("access denied", "not found", "quota", "credentials", "invalid", "another refusal")


def attempted(*ends: tuple[str, str], by: Planner | None = Planner.FALLBACK) -> Night:
    """Return a run whose first turn has these attempts (model, how it ended); ``by`` None: the last one answers."""
    night = Night().leased()
    night.amend(model=FIRST)
    passed: dict[str, str] = {}
    for model, how in ends:
        asked = night.asks(1)
        night.amend(**{"gen_ai.request.model": model, "passed_over": dict(passed)})
        asked, (reason, error, _) = night.written[-1], ENDS[how]
        if how in REPLIES:
            night.replies(asked, says("Half an ans"))
            over = HandOver(to=Planner.FALLBACK, reason=reason).model_dump(mode="json")
            night.amend(exit_reason=reason, decision=over)
            continue
        night.breaks(asked, reason, charged=how == "timeout")
        night.amend(error=error)
        if how in LASTS or how == "too long":
            passed[model] = error  # as the agent does: it is not asked again in the turn
    reason, _, _ = ENDS[ends[-1][1]]
    if by is None:
        asked = night.asks(1)
        night.amend(**{"gen_ai.request.model": SECOND, "passed_over": dict(passed)})
        night.replies(night.written[-1], says("Here you are."))
        return night.ends()  # type: ignore[return-value]
    if ends[-1][1] not in REPLIES:
        night.decides(1, Planner.AGENT, HandOver(to=Planner.FALLBACK, reason=reason))
    night.decides(2, Planner.FALLBACK, Answer(text="We will look into it."))
    night.ends(by="fallback")
    return night.settles()


def why_of(night: Night) -> Why:
    return explained(night.run, night.run.timeline())


def told_in_order(why: Why, ends: Sequence[tuple[str, str]]) -> None:
    at = -1
    for model, how in ends:
        words = ENDS[how][2]
        found = re.compile(rf"{re.escape(words)}|$").search(why.sentence, at + 1)
        assert found, words
        assert found[0], why.sentence
        clause = why.sentence[why.sentence.rfind(", then ", 0, found.start()) + 1 : found.end() + 60]
        assert model in clause
        at = found.start()
    assert at < why.sentence.index("fallback")


@pytest.mark.sampled(10)
@pytest.mark.parametrize(("one", "other"), [pair for pair in product(ENDS, ENDS) if pair[0] not in REPLIES])
def test_each_attempt_is_told_with_its_own_reason_and_model(one: str, other: str) -> None:
    for models in ((FIRST, SECOND), (FIRST, FIRST), (SECOND, FIRST)):
        ends = list(zip(models, (one, other), strict=True))
        why = why_of(attempted(*ends))

        if one == other and models[0] == models[1]:
            assert f"{ENDS[one][2].removesuffix(' (')}" in why.sentence
            assert "in 2 attempts" in why.sentence
        else:
            told_in_order(why, ends)
            assert "attempts" not in why.sentence
        assert "not asked" not in why.to_json()
        assert "attempts_failed" not in {cause.name for cause in why.causes}
        assert why.must_act is bool({one, other} & set(LASTS))


@settings(max_examples=examples(15, 150))
@given(
    ends=st.lists(
        st.tuples(st.sampled_from([FIRST, SECOND]), st.sampled_from([one for one in ENDS if one not in REPLIES])),
        min_size=1,
        max_size=4,
    )
)
def test_no_attempt_is_lost_whatever_they_are(ends: list[tuple[str, str]]) -> None:
    night = attempted(*ends)
    groups = tried(night.run.timeline().turns[0].attempts)

    assert sum(one.count for one in groups) == len(ends)
    assert [one.model for one in groups for _ in range(one.count)] == [model for model, _ in ends]
    why = why_of(night)
    for model, how in ends:
        assert model in why.sentence
        assert ENDS[how][2] in why.sentence or "in " in why.sentence
    answered = why_of(attempted(*ends, by=None))
    failed = next(one for one in answered.causes if one.name == "attempts_failed")
    assert all(ENDS[how][2].removesuffix(" (") in failed.words for _, how in ends)
    assert not answered.must_act
    assert ("Not urgent: " in answered.act) is any(how in LASTS for _, how in ends)
    asked = {model for model, _ in ends}
    assert not [
        one for one in answered.causes if one.name == "model_passed_over" and any(m in one.words for m in asked)
    ]


def test_each_lasting_refusal_has_its_own_words_remedy_and_command() -> None:
    acts, commands = {}, {}
    for how in LASTS:
        why = why_of(attempted((FIRST, how)))
        acts[how], commands[how] = why.act, [one.command for one in why.to_type]
        assert FIRST in why.act
        assert "no price, no access" not in why.to_json()

    assert len(set(acts.values())) == len(LASTS)
    assert "get access" in acts["access denied"]
    assert "name a model that the provider serves" in acts["not found"]
    for how in ("access denied", "not found", "quota", "another refusal"):
        assert commands[how][0] == "ballast models --check"
    assert commands["invalid"][0].endswith("--full")
    assert "ballast models --check" not in commands["invalid"]


def test_a_model_without_a_price_was_not_asked_and_every_next_run_fails_alike() -> None:
    night = Night().leased()
    over = HandOver(to=Planner.FALLBACK, reason=ExitReason.MODEL_REFUSED)
    night.decides(1, Planner.AGENT, over, note="No price for the model 'x', so it is not called.")
    night.decides(2, Planner.FALLBACK, Answer(text="We will look into it."))
    night.ends(by="fallback")

    why = why_of(night)

    assert why.sentence.startswith("No model could be asked (\"No price for the model 'x'")
    assert why.must_act
    assert "every next run fails alike" in why.act
    assert "ballast check" in [one.command for one in why.to_type]


def test_the_usual_model_stands_in_for_no_other() -> None:
    night = Night().leased()
    night.amend(model=FIRST)
    night.asks(1)
    night.amend(**{"gen_ai.request.model": FIRST, "passed_over": {SECOND: "It takes no images."}})
    night.replies(night.written[-1], says("Here you are."))
    night.ends()

    why = why_of(night)

    assert (
        f'the model {SECOND} was not asked ("It takes no images"), and {FIRST} was asked'
        in why.sentence.lower().replace("it takes", "It takes")
    )
    assert "stood in" not in why.to_json()


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────

LIMITED = Limits(
    turns=3,
    tool_calls=4,
    calls_per_tool=3,
    refused_calls=1,
    repeated_calls=2,
    tokens_per_turn=500,
    input_tokens_per_turn=3_000,
    tokens_per_run=6_000,
    cost_microusd=50_000,
    deadline_s=12,
    fallback_reserve_s=5,
)
#: What the report says of each limit after the same three turns, in which little of most of them is used.
SAID = {
    "turns": "limits.turns: 3 allowed, 3 used",
    "tool_calls": "limits.tool_calls: 4 allowed, 3 used, the next reply asked for 2 more",
    "calls_per_tool": "limits.calls_per_tool: 3 allowed, 3 of look_up_order used, the next reply asked for 2 more",
    "refused_calls": "limits.refused_calls: 1 allowed, 0 refused",
    "repeated_calls": "limits.repeated_calls: 2 allowed, 2 used, the next reply asked for 2 calls",
    "tokens_per_turn": "limits.tokens_per_turn: 500 allowed, 120 used, the rest of the reply would have come next",
    "input_tokens_per_turn": "limits.input_tokens_per_turn: 3,000 allowed, 1,000 used by the newest prompt, the next",
    "tokens_per_run": "limits.tokens_per_run: 6,000 allowed, 3,360 used, the next prompt and its reply could have more "
    "than the 2,640 that are left",
    "cost_microusd": "limits.cost_microusd: $0.05 allowed, $0.0144 used, the next attempt could cost more than the "
    "$0.0356 that is left",
    "deadline_s": "limits.deadline_s: 12 s allowed, 7 s of them for the agent, since the last 5 s are kept for the "
    "planners after it; 19.0 s used",
}


def test_every_limit_has_a_case() -> None:
    assert set(SAID) == set(LIMITS.values())


@pytest.mark.parametrize("limit", SAID)
def test_each_limit_says_what_it_allows_what_was_used_and_what_would_have_come(limit: str) -> None:
    reason = next(one for one, name in LIMITS.items() if name == limit)
    look = ("look_up_order", {"order_id": "O-1"})
    night = Night(limits=LIMITED).leased()
    for turn in (1, 2, 3):
        night.model(turn, wants(look), 1_000)
        night.executes(turn, 1, "ok", {"status": "delivered"})
    if limit in ("tool_calls", "calls_per_tool", "repeated_calls"):
        night.model(4, wants(look, look), 1_000)
        over = HandOver(to=Planner.FALLBACK, reason=reason).model_dump(mode="json")
        night.amend(decision=over)
    elif limit == "tokens_per_turn":
        night.model(4, says("Half an ans"), 1_000)
        over = HandOver(to=Planner.FALLBACK, reason=reason).model_dump(mode="json")
        night.amend(decision=over, exit_reason=reason)
    else:
        night.decides(4, Planner.AGENT, HandOver(to=Planner.FALLBACK, reason=reason))
    night.decides(5, Planner.FALLBACK, Answer(text="We will look into it."))
    night.ends(by="fallback")
    assert night.run.facts(ModelResponded)

    why = why_of(night)

    assert f"({SAID[limit]}" in why.sentence
    assert f"({SAID[limit]}" in why.decisions[3].rule
    if limit not in ("turns",):
        assert "was reached" not in why.to_json()


def test_the_time_used_counts_from_the_answer_of_a_person() -> None:
    night = Night(limits=LIMITED).leased()
    night.decides(1, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.LOOP))
    night.escalates(2, "loop")
    night.clock_s = 7_200
    night.person(2, HandOver(to=Planner.AGENT, reason=ExitReason.GUIDANCE, guidance="Go on."))
    night.amend(agent_until_ms=_ms(7_207), deadline_ms=_ms(7_212))
    night.clock_s = 7_208
    night.decides(3, Planner.AGENT, HandOver(to=Planner.FALLBACK, reason=ExitReason.DEADLINE))
    night.decides(4, Planner.FALLBACK, Answer(text="We will look into it."))
    night.ends(by="fallback")

    assert "(limits.deadline_s: 12 s allowed, 7 s of them for the agent, since the last 5 s" in why_of(night).sentence
    assert "; 8.0 s used since a person answered)" in why_of(night).sentence


def _ms(seconds: int) -> int:
    return STARTED_MS + seconds * 1_000


# ── charges at the bound ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("usage", "why_not"),
    [
        ({"gen_ai.usage.input_tokens": None, "gen_ai.usage.output_tokens": None}, "it has no usage"),
        ({"usage_disbelieved": "0 output tokens for 70 bytes of text"}, "0 output tokens for 70 bytes of text"),
    ],
)
def test_a_reply_without_a_usage_that_can_be_right_is_a_cause_of_money(usage: dict[str, object], why_not: str) -> None:
    night = Night().leased()
    night.model(1, wants(("look_up_order", {"order_id": "O-1"})), 1_000)
    night.amend(cost_microusd=50_000, **usage)
    night.executes(1, 1, "ok", {"status": "delivered"})
    night.model(2, says("Here you are."), 1_000)
    night.ends()
    night.settles()

    why = why_of(night)
    spent = cost_explained([night.run])

    assert {one.cause: one.microusd for one in why.money}["bound_replies"] == 50_000
    assert sum(one.microusd for one in why.money) == why.cost_microusd
    cause = next(one for one in why.causes if one.name == "bound_replies")
    assert cause.turns == (1,)
    assert f'1 reply came without a usage that can be right ("{why_not}"): $0.05 is charged for it' in cause.words
    assert [one.words for one in why.unknown if one.kind == "money"] == [
        "what a reply without a usage that can be right really cost: $0.05 is charged, its bound"
    ]
    shown = io.StringIO()
    screen_on(shown, 120).show(render(spent))
    assert "$0.05 of it is the most that a reply without a usage that can be right could have cost" in shown.getvalue()
    told = [one.command for one in explained(night.run, night.run.timeline(), stack="s").to_type]
    assert any("budget --correct" in one for one in told)


def test_a_reply_that_is_charged_by_its_usage_is_no_bound() -> None:
    night = Night().leased()
    night.model(1, says("Here you are."), 1_000)
    night.ends()

    assert "bound_replies" not in why_of(night).to_json()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("Ungrounded", '(amount_usd 91.00; amount_usd 92.00: "amount_usd must occur (92.00)")'),
        ("SchemaViolation", '("amount_usd must occur (91.00)"; "amount_usd must occur (92.00)")'),
    ],
)
def test_calls_that_were_refused_for_different_values_are_each_told(error: str, told: str) -> None:
    night = Night(limits=LIMITED.model_copy(update={"turns": 9})).leased()
    for turn, amount in ((1, "91.00"), (2, "92.00")):
        arguments = {"order_id": "O-1", "amount_usd": amount}
        night.model(turn, wants(("refund_order", arguments)), 1_000)
        body = {"tool": "refund_order", "arguments": arguments, "error": error}
        body |= {"sourceless": ["amount_usd"]} if error == "Ungrounded" else {}
        night.write(f"{turn:04d}.call.1.refused", body | {"message": f"refund_order: amount_usd must occur ({amount})"})
    night.decides(3, Planner.AGENT, HandOver(to=Planner.FALLBACK, reason=ExitReason.REFUSED_CALL_LIMIT))
    night.decides(4, Planner.FALLBACK, Answer(text="We will look into it."))
    night.ends(by="fallback")

    assert told in why_of(night).sentence
