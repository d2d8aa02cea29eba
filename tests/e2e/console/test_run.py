"""A run is read from top to bottom: how it stands, what it waits for, and every turn."""

import json
import re
from typing import Any

from playwright.sync_api import expect

from tests.e2e.console.canned import LOG, esc_id, event, requested, responded, run, run_id, tool

RUN = f"/runs/{run_id('w')}"


def turn(page: Any, number: int) -> Any:
    return page.locator("ol.timeline > li").nth(number - 1)


def test_the_header_says_how_the_run_stands_and_what_it_cost_of_its_ceiling(visit: Any) -> None:
    page = visit(f"#{RUN}")

    expect(page.get_by_role("heading", level=1)).to_have_text("waits for an answer")
    expect(page.locator(".reason")).to_have_text("nobody knows whether a call had its effect (effect_unknown)")
    expect(page.locator(".bar-line .money")).to_have_text("$0.02814 of $0.04")
    meter = page.get_by_role("meter")
    expect(meter).to_have_accessible_name("Cost: $0.02814 of $0.04")
    assert meter.evaluate("(bar) => [bar.min, bar.value, bar.max]") == [0, 28_140, 40_000]


def test_a_correction_stands_beside_the_cost_with_who_and_why(visit: Any, api: Any) -> None:
    said = {"cost_usd": "0.01", "by": "ann <b>", "reason": "by the bill", "at": "2026-11-22T03:00:00+00:00"}
    api.answers[f"GET {RUN}"] = run("w", "answered", corrected=said)

    page = visit(f"#{RUN}")

    expect(page.locator(".bar-line .money")).to_contain_text("$0.0158")
    expect(page.locator(".corrected")).to_have_text("corrected to $0.01, by ann <b>: by the bill")


def test_a_turn_shows_prompt_completion_calls_refusals_and_the_money_so_far(visit: Any) -> None:
    page = visit(f"#{RUN}")

    expect(page.locator("ol.timeline > li")).to_have_count(6)
    first, second = turn(page, 1), turn(page, 2)
    expect(first.locator("header .money")).to_have_text("$0.013214 of $0.04")
    expect(first).to_contain_text("I look at the order.")
    refused = first.get_by_role("region", name="Call 1: look_up_order, REFUSED")
    expect(refused).to_contain_text("NotGrounded")
    expect(refused).to_contain_text("order_id: O-9999 occurs nowhere")
    assert refused.evaluate("(call) => getComputedStyle(call).borderTopWidth") == "2px"
    second.locator("summary", has_text="1 tool result (1 with an error)").click()
    expect(second.locator("details.prompt")).to_contain_text("order_id: O-9999 occurs nowhere")
    refund = second.get_by_role("region", name="Call 2: refund_order, UNKNOWN EFFECT")
    expect(refund).to_contain_text("approved by Lee")
    expect(refund).to_contain_text("whether the money moved is not known")
    expect(turn(page, 3)).to_contain_text("the provider throttled the model")


def test_hand_overs_say_from_whom_to_whom_and_why(visit: Any) -> None:
    page = visit(f"#{RUN}")

    found = page.locator(".hand-over").all_inner_texts()

    assert found == [
        "agent → fallback because its limit of turns was reached",
        "fallback → human because nobody knows whether a call had its effect",
    ]


def test_a_question_to_the_requester_and_the_reply_are_part_of_the_timeline(visit: Any, api: Any) -> None:
    question = {"kind": "question", "reason": "question", "summary": "Which of your two orders?"}
    reply = {"decision": {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "The tent."}}
    asked = event("0007.escalation.opened", 80, escalation_id=esc_id("q"), **question)
    told = [event("0007.escalation.announced", 80), event("0007.escalation.answered", 95, by="shop", **reply)]
    api.answers[f"GET {RUN}/events"] = {"events": [*LOG, asked, *told], "next": None}

    page = visit(f"#{RUN}")

    expect(turn(page, 7).get_by_role("heading")).to_have_text("Turn 7 requester")
    expect(turn(page, 7)).to_contain_text("Which of your two orders?")
    expect(turn(page, 7)).to_contain_text("reply")
    expect(turn(page, 7)).to_contain_text("The tent.")
    expect(page.locator("details.other")).to_have_count(0)


def test_a_call_in_circles_says_what_was_noticed_and_what_was_done_about_it(visit: Any, api: Any) -> None:
    search = tool("search_docs", query="cancel")
    notice = {"index": 1, "kind": "same_call", "step": "notice", "same_as": [6, 2], "count": 2}
    strange = {"index": 2, "kind": "<b>constructor</b>", "step": "toString", "same_as": "x"}
    proposed = responded(7, 80, "Again.", 10, kind="call_tools", calls=[search, search, search])
    proposed["body"]["despair"] = [notice, strange, "odd", {"index": None}]
    told = requested(8, 82, {"text": "…"})
    told["body"] |= {
        "after": "0007.model.responded",
        "despair": [notice | {"index": 3, "kind": "same_error", "count": 3}],
    }
    api.answers[f"GET {RUN}/events"] = {"events": [*LOG, proposed, told], "next": None}

    page = visit(f"#{RUN}")

    said = [turn(page, 7).locator("section.call").nth(index).locator("p.warn-text").inner_text() for index in range(3)]
    assert said == [
        "In circles? the same call as turn 6 call 2, 2 times by now: the agent is told",
        "In circles? <b>constructor</b>: toString",
        "In circles? failed in the same way since turn 6 call 2, 3 times in a row: the agent is told",
    ]


def test_long_text_is_clipped_until_it_is_asked_for(visit: Any) -> None:
    page = visit(f"#{RUN}")
    result = turn(page, 2).get_by_role("region", name="Call 1: look_up_order, ok")
    before = len(result.inner_text())

    result.get_by_role("button", name=re.compile("^Show all")).click()

    assert len(result.inner_text()) > before + 500
    expect(result.get_by_role("button", name="Show less")).to_have_attribute("aria-expanded", "true")


def test_the_log_is_read_page_by_page_and_what_was_read_is_not_read_again(visit: Any, api: Any) -> None:
    head = LOG[:6]
    at = head[-1]["seq"]
    api.answers[f"GET {RUN}/events"] = {"events": head, "next": at}
    api.answers[f"GET {RUN}/events?after={at}"] = {"events": LOG[6:], "next": None}
    page = visit(f"#{RUN}")
    expect(page.locator("ol.timeline > li")).to_have_count(6)

    after = "0005.plan.decided"
    new = event("0006.escalation.answered", 70, by="Dana", decision={"kind": "answer", "text": "We paid it out."})
    api.answers[f"GET {RUN}/events?after={after}"] = {"events": [LOG[-1], new], "next": None}
    page.clock.fast_forward(5_000)

    expect(turn(page, 6)).to_contain_text("We paid it out.")
    assert [asked.query.get("after", "") for asked in api.asked("GET", f"{RUN}/events")] == ["", at, after]


def test_what_a_reader_opened_stays_open_when_the_page_refreshes(visit: Any, api: Any) -> None:
    page = visit(f"#{RUN}")
    turn(page, 1).locator("summary").first.click()
    asked = len(api.asked("GET", RUN))

    page.clock.fast_forward(5_000)
    expect(page.get_by_text("updated 03:07:17")).to_be_visible()

    assert len(api.asked("GET", RUN)) == asked + 1
    assert turn(page, 1).locator("details").first.evaluate("(details) => details.open")


def test_a_running_run_can_be_cancelled_after_a_question(visit: Any, api: Any) -> None:
    api.answers[f"GET {RUN}"] = run("w", "running")
    api.answers[f"GET {RUN}/events"] = {"events": LOG[:3], "next": None}
    api.answers[f"POST {RUN}/cancel"] = (202, run("w", "running"))
    page = visit(f"#{RUN}")

    page.get_by_role("button", name="Cancel the run").click()
    page.keyboard.press("Escape")
    assert api.asked("POST", f"{RUN}/cancel") == []
    page.get_by_role("button", name="Cancel the run").click()
    page.get_by_role("button", name="Yes, cancel it").click()

    expect(page.get_by_text("The run is being cancelled.")).to_be_visible()
    assert len(api.asked("POST", f"{RUN}/cancel")) == 1


def test_a_run_that_ended_meanwhile_cannot_be_cancelled_and_the_page_says_why(visit: Any, api: Any) -> None:
    api.answers[f"GET {RUN}"] = run("w", "running")
    problem = {"title": "Run ended", "status": 409, "detail": "It ended as answered already."}
    api.answers[f"POST {RUN}/cancel"] = (409, problem)
    page = visit(f"#{RUN}")

    page.get_by_role("button", name="Cancel the run").click()
    page.get_by_role("button", name="Yes, cancel it").click()

    expect(page.get_by_text("Not accepted: Run ended (409)")).to_be_visible()
    expect(page.get_by_text("It ended as answered already.")).to_be_visible()


def test_an_ended_run_offers_nothing_to_do_and_is_not_polled(visit: Any, api: Any) -> None:
    api.answers[f"GET {RUN}"] = run("w", "answered", by="fallback", degraded=True)
    page = visit(f"#{RUN}")
    asked = len(api.requests)

    page.clock.fast_forward(60_000)

    expect(page.get_by_role("heading", level=1)).to_have_text("answered, degraded by fallback")
    expect(page.get_by_role("button", name="Cancel the run")).to_have_count(0)
    assert len(api.requests) == asked


def test_the_open_escalation_is_answered_inside_its_run(visit: Any, api: Any) -> None:
    api.answers[f"POST /escalations/{esc_id('e')}"] = {"status": "answered"}
    page = visit(f"#{RUN}")

    page.get_by_text("Answer the requester").click()
    page.get_by_label("What the requester shall read").fill("We will call you.")
    page.get_by_role("button", name="Answer …").click()
    page.get_by_role("button", name="Yes, answer").click()

    expect(page.get_by_text("Your answer was taken")).to_be_visible()
    sent = api.asked("POST", f"/escalations/{esc_id('e')}")
    assert [request.body for request in sent] == [{"decision": {"kind": "answer", "text": "We will call you."}}]


def test_a_run_that_is_not_there_is_said_to_be_not_there(visit: Any) -> None:
    page = visit(f"#/runs/{run_id('q')}", loaded=False)

    expect(page.locator("#trouble")).to_contain_text(f"(404): There is no /runs/{run_id('q')}.")


def test_a_long_run_shows_its_newest_turns_and_the_others_on_demand(visit: Any, api: Any) -> None:
    decided = {"decision": {"kind": "hand_over", "to": "agent", "reason": "guidance"}, "planner": "agent"}
    log = [LOG[0], *[event(f"{number:04d}.plan.decided", number, **decided) for number in range(1, 61)]]
    api.answers[f"GET {RUN}/events"] = {"events": json.loads(json.dumps(log)), "next": None}
    page = visit(f"#{RUN}")
    expect(page.locator("ol.timeline > li")).to_have_count(40)

    page.get_by_role("button", name="Show 20 earlier turns").click()

    expect(page.locator("ol.timeline > li")).to_have_count(60)
