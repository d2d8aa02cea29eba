"""The page of a run: its status, what it waits for, and every turn."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from ballast.log.events import RunCorrected
from tests.e2e.console.canned import (
    LOG,
    ago,
    esc_id,
    event,
    logged,
    requested,
    responded,
    run,
    run_id,
    timeline,
    tool,
)
from tests.e2e.console.conftest import PHONE

RUN = f"/runs/{run_id('w')}"


def turn(page: Any, number: int) -> Any:
    return page.locator("ol.timeline > li").nth(number - 1)


def test_the_header_says_how_the_run_stands_and_what_it_cost_of_its_ceiling(visit: Any) -> None:
    page = visit(f"#{RUN}")

    expect(page.get_by_role("heading", level=1)).to_have_text("waits for an answer")
    expect(page.locator(".bar-line .money")).to_have_text("2.8¢ of 4¢")
    expect(page.locator(".bar-line .money")).to_have_attribute("title", "$0.02814 of $0.04")
    meter = page.get_by_role("meter")
    expect(meter).to_have_accessible_name("Cost: 2.8¢ of 4¢")
    assert meter.evaluate("(bar) => [bar.min, bar.value, bar.max]") == [0, 28_140, 40_000]


def test_the_first_thing_of_a_run_is_why_it_stands_so_and_what_to_type(visit: Any, api: Any) -> None:
    page = visit(f"#{RUN}", viewport=PHONE)
    why = page.get_by_role("region", name="Why")

    expect(why.locator(".sentence")).to_be_in_viewport(ratio=1)
    expect(why.locator(".sentence")).to_have_text(
        re.compile("^Nobody knows whether refund_order .* happened.* the run waits for a person to decide[.]$")
    )
    expect(why).to_contain_text("Act: find out whether refund_order")
    expect(why).to_contain_text("What it did")
    expect(why).to_contain_text("The caller wrote")
    # This page is served by `ballast up`: there is no stack to name.
    expect(why.get_by_text(f'ballast answer {esc_id("e")} --back-to-agent --guidance "<', exact=False)).to_be_visible()
    expect(why).to_contain_text("Nobody knows now")
    why.locator("summary").click()
    expect(why).to_contain_text("Money")
    expect(why).to_contain_text("Time")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    needs = {"command": "ballast --stack ballast-prod budget acme", "words": "see it", "only_deployed": True}
    works = {"command": "ballast --stack ballast-prod trace run-x", "words": "see it", "only_deployed": False}
    api.answers[f"GET {RUN}/why"] = {"sentence": "So.", "to_type": [needs, works]}
    why = visit(f"#{RUN}").get_by_role("region", name="Why")
    expect(why).to_contain_text("ballast trace run-x")
    expect(why).not_to_contain_text("budget")
    # An API without the report: the header says it.
    del api.answers[f"GET {RUN}/why"]
    page = visit(f"#{RUN}")
    expect(page.locator(".reason")).to_have_text("nobody knows whether a call had its effect (effect_unknown)")
    expect(page.locator(".ending")).to_contain_text("Waits for a person: a decision is wanted")


def test_a_file_is_a_button_that_asks_for_a_link_and_follows_no_other(visit: Any, api: Any) -> None:
    files = [{"name": "tent <b>.png", "format": "png", "bytes": 12_345}, {"name": "x", "format": "pdf", "bytes": 5}]
    api.answers[f"GET {RUN}"] = run("w", "answered", attachments=files)
    api.answers[f"GET {RUN}/attachments/1"] = {"url": "javascript:document.title='run'"}

    page = visit(f"#{RUN}")
    expect(page.get_by_role("button", name="x (pdf, 1 kB)")).to_be_visible()
    page.get_by_role("button", name="tent <b>.png (png, 13 kB)").click()

    expect(page.get_by_text("The API gave no link.")).to_be_visible()
    assert page.locator("button b").count() == 0
    assert page.title() != "run"


def test_the_files_of_a_result_are_links_of_its_call_by_the_runs_own_numbers(visit: Any, api: Any) -> None:
    mine = {"name": "tent.png", "format": "png", "bytes": 700}
    scan, twice = {"name": "a <i>b</i>.pdf", "format": "pdf", "bytes": 5}, {"name": "x", "format": "csv", "bytes": 9}
    opened = event("0000.run.opened", 0, request={"text": "See.", "attachments": [mine]})
    asked = responded(1, 1.0, "", 9, kind="call_tools", calls=[tool("scan"), tool("scan")])
    results = [
        event(f"0001.call.{at}.settled", 1.5, tool="scan", status="ok", result="ok", latency_ms=1, attachments=files)
        for at, files in ((1, [scan, twice]), (2, [twice, {"name": "lost", "format": "csv", "bytes": 1}]))
    ]
    api.answers.update(logged("w", [opened, requested(1, 0.2, {"text": "See."}), asked, *results]))
    api.answers[f"GET {RUN}"] = run("w", "answered", attachments=[mine, scan, twice, twice])
    api.answers |= {f"GET {RUN}/attachments/{number}": {"url": ""} for number in range(1, 6)}

    page = visit(f"#{RUN}")
    first, second = (page.get_by_label(f"Call {index}: scan, ok") for index in (1, 2))
    for call, name, number in ((first, "a <i>b</i>.pdf (pdf", 2), (first, "x (csv", 3), (second, "x (csv", 4)):
        with page.expect_response(lambda reply: "/attachments/" in reply.url) as reply:
            call.get_by_role("button", name=name).click()
        assert reply.value.url.endswith(f"/attachments/{number}")

    assert page.locator(".call i").count() == 0
    expect(second.get_by_text("lost (csv, 1 kB)")).to_be_visible()
    expect(second.get_by_role("button", name="lost")).to_have_count(0)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "url", ["http://evil.example/x", "blob:{origin}/1", "data:text/html,x", "//evil.example/x", ""]
)
def test_only_s3s_address_or_this_servers_is_followed(visit: Any, api: Any, url: str) -> None:
    api.answers[f"GET {RUN}"] = run("w", "answered", attachments=[{"name": "x", "format": "pdf", "bytes": 5}])
    page = visit(f"#{RUN}")
    origin = page.evaluate("location.origin")
    followed = page.evaluate_handle(
        "() => { const all = [];"
        " HTMLAnchorElement.prototype.click = function () { all.push(this.href); }; return all; }"
    )
    button = page.get_by_role("button", name="x (pdf, 1 kB)")

    for asked in (url.format(origin=origin), f"{origin}/local-files/t", "https://b.s3.amazonaws.com/k"):
        api.answers[f"GET {RUN}/attachments/1"] = {"url": asked}
        with page.expect_response(lambda reply: reply.url.endswith("/attachments/1")):
            button.click()
    page.wait_for_function("all => all.length > 1", arg=followed)

    assert followed.json_value() == [f"{origin}/local-files/t", "https://b.s3.amazonaws.com/k"]


def test_a_correction_stands_beside_the_cost_with_who_and_why(visit: Any, api: Any) -> None:
    order = {"was_microusd": 28_140, "charged_microusd": 10_000, "by": "ann <b>", "reason": "by the bill"}
    api.answers[f"GET {RUN}"] = run("w", "answered")
    api.answers |= logged("w", [*LOG, event(RunCorrected.key(1), 90, **order)])

    page = visit(f"#{RUN}")

    expect(page.locator(".bar-line .money")).to_contain_text("2.8¢")
    expect(page.locator(".corrected")).to_have_text("corrected to 1¢, by ann <b>: by the bill")


def test_a_turn_shows_prompt_completion_calls_refusals_and_the_money_so_far(visit: Any) -> None:
    page = visit(f"#{RUN}")

    expect(page.locator("ol.timeline > li")).to_have_count(6)
    first, second = turn(page, 1), turn(page, 2)
    expect(first.locator("header .money")).to_have_text("1.3¢ of 4¢")
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


def test_a_hand_over_to_another_agent_names_both_and_the_turns_of_each(visit: Any, api: Any) -> None:
    back = {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "Go on."}
    answered = event("0007.escalation.answered", 80, by="Dana", decision=back)
    note = "Look at <b>O-1004</b>."
    over = responded(
        8, 91, "", 10, kind="hand_over", to="agent", reason="another_agent", guidance=note, agent="billing"
    )
    log = [*LOG, event("0007.escalation.opened", 70, escalation_id=esc_id("q"), reason="no_fallback"), answered]
    api.answers |= logged("w", [*log, requested(8, 90, {"text": "…"}), over, requested(9, 92, {"text": "…"})])

    page = visit(f"#{RUN}")

    expect(turn(page, 8).get_by_role("heading")).to_have_text("Turn 8 agent support")
    expect(turn(page, 8)).to_contain_text(note)
    expect(turn(page, 8).locator(".hand-over")).to_have_text(
        "agent support → agent billing because the agent handed over to another agent"
    )
    expect(turn(page, 9).get_by_role("heading")).to_have_text("Turn 9 agent billing")
    expect(turn(page, 7).get_by_role("heading")).to_have_text("Turn 7 human")


def test_a_question_to_the_requester_and_the_reply_are_part_of_the_timeline(visit: Any, api: Any) -> None:
    question = {"kind": "question", "reason": "question", "summary": "Which of your two orders?"}
    reply = {"kind": "question"} | {
        "decision": {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "The tent."}
    }
    asked = event("0007.escalation.opened", 80, escalation_id=esc_id("q"), **question)
    told = [event("0007.escalation.announced", 80), event("0007.escalation.answered", 95, by="shop", **reply)]
    api.answers |= logged("w", [*LOG, asked, *told])

    page = visit(f"#{RUN}")

    expect(turn(page, 7).get_by_role("heading")).to_have_text("Turn 7 requester")
    expect(turn(page, 7)).to_contain_text("Which of your two orders?")
    expect(turn(page, 7)).to_contain_text("reply")
    expect(turn(page, 7)).to_contain_text("The tent.")
    expect(page.locator(".other")).to_have_count(0)


def test_a_call_in_circles_says_what_was_noticed_and_what_was_done_about_it(visit: Any, api: Any) -> None:
    search = tool("search_docs", query="cancel")
    notice = {"index": 1, "kind": "same_call", "step": "notice", "same_as": [6, 2], "count": 2, "answer": False}
    strange = notice | {"index": 2, "kind": "<b>constructor</b>", "step": "toString"}
    proposed = responded(7, 80, "Again.", 10, kind="call_tools", calls=[search, search, search])
    proposed["body"]["despair"] = [notice, strange]
    told = requested(8, 82, {"text": "…"})
    told["body"] |= {
        "after": "0007.model.responded",
        "despair": [notice | {"index": 3, "kind": "same_error", "count": 3}],
    }
    api.answers |= logged("w", [*LOG, proposed, told])

    page = visit(f"#{RUN}")

    said = [turn(page, 7).locator("section.call").nth(index).locator("p.warn-text").inner_text() for index in range(3)]
    assert said == [
        "Loop? the same call as turn 6 call 2, 2 times by now: the agent is told",
        "Loop? <b>constructor</b>: toString",
        "Loop? failed in the same way since turn 6 call 2, 3 times in a row: the agent is told",
    ]


def test_long_text_is_clipped_until_it_is_asked_for(visit: Any) -> None:
    page = visit(f"#{RUN}")
    result = turn(page, 2).get_by_role("region", name="Call 1: look_up_order, ok")
    before = len(result.inner_text())

    result.get_by_role("button", name=re.compile("^Show all")).click()

    assert len(result.inner_text()) > before + 500
    expect(result.get_by_role("button", name="Show less")).to_have_attribute("aria-expanded", "true")


def test_the_timeline_is_read_page_by_page_and_what_was_read_is_not_read_again(visit: Any, api: Any) -> None:
    api.answers[f"GET {RUN}/timeline"] = timeline("w", LOG, limit=2)
    api.answers[f"GET {RUN}/timeline?after=2"] = timeline("w", LOG, after=2)
    page = visit(f"#{RUN}")
    expect(page.locator("ol.timeline > li")).to_have_count(6)
    paths = [asked.path for asked in api.requests if asked.path.startswith(RUN)]
    assert paths[:3] == [RUN, f"{RUN}/timeline", f"{RUN}/timeline"]  # in one refresh

    new = event("0006.escalation.answered", 70, by="Dana", decision={"kind": "answer", "text": "We paid it out."})
    api.answers[f"GET {RUN}/timeline?after=5"] = timeline("w", [*LOG, new], after=5)
    page.clock.fast_forward(5_000)

    expect(turn(page, 6)).to_contain_text("We paid it out.")
    assert [asked.query.get("after", "") for asked in api.asked("GET", f"{RUN}/timeline")] == ["", "2", "5"]
    assert api.asked("GET", f"{RUN}/events") == []


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
    api.answers |= logged("w", LOG[:3])
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
    page.get_by_label("Text for the requester").fill("We will call you.")
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
    api.answers |= logged("w", log)
    page = visit(f"#{RUN}")
    expect(page.locator("ol.timeline > li")).to_have_count(40)

    page.get_by_role("button", name="Show 20 earlier turns").click()

    expect(page.locator("ol.timeline > li")).to_have_count(60)


# What the console once told otherwise than the money's own sums, or not at all.


def test_what_tools_cost_is_counted(visit: Any, api: Any) -> None:
    pay = tool("pay", to="C-1")
    log = [
        LOG[0],
        requested(1, 1, {"text": "Pay."}),
        responded(1, 2, "Paying.", 900, kind="call_tools", calls=[pay]),
        event("0001.call.1.intended", 3, effect="write", planner="agent", **pay),
        event("0001.call.1.reserved", 3, attempt=1, reserved_microusd=12_000),
        event(
            "0001.call.1.settled", 4, tool="pay", status="ok", attempt=1, cost_microusd=12_000, result={"paid": True}
        ),
    ]
    api.answers |= logged("w", log)

    page = visit(f"#{RUN}")

    expect(page.locator(".bar-line .money")).to_have_attribute("title", "$0.0129 of $0.04")
    expect(turn(page, 1).locator("header .money").first).to_have_text("1.3¢ of 4¢")
    call = turn(page, 1).get_by_role("region", name="Call 1: pay, ok")
    expect(call.locator(".cost")).to_have_text("costs 1.2¢")


def test_a_call_that_reserved_and_was_settled_is_settled(visit: Any, api: Any) -> None:
    pay = tool("pay", to="C-1")
    calls = {"kind": "call_tools", "calls": [pay]}
    body = {"tool": "pay", "attempt": 1}
    log = [
        LOG[0],
        requested(1, 1, {"text": "Pay."}),
        responded(1, 2, "Paying.", 900, **calls),
        event("0001.call.1.settled", 4, status="ok", cost_microusd=5_000, result={"paid": True}, **body),
        event("0001.call.1.reserved", 3, attempt=1, reserved_microusd=12_000),
        event("0001.call.1.intended", 3, effect="write", planner="agent", **pay),
    ]
    api.answers |= logged("w", log)

    page = visit(f"#{RUN}")

    expect(turn(page, 1).get_by_role("region", name="Call 1: pay, ok")).to_contain_text("costs 0.5¢")
    expect(turn(page, 1).locator(".other")).to_have_count(0)


def test_budget_that_no_window_had_room_for_raises_no_ceiling(visit: Any, api: Any) -> None:
    more: dict[str, Any] = {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "Go on."}
    answered = event("0006.escalation.answered", 70, by="Dana", decision=more | {"add_budget_microusd": 50_000})
    lease = {"microusd": 40_000, "hour": "hour#2026-11-22T02", "day": "day#2026-11-22"}
    log = [LOG[0] | {"body": LOG[0]["body"] | {"lease": lease}}, *LOG[1:], answered]
    api.answers |= logged("w", log)
    page = visit(f"#{RUN}")
    expect(turn(page, 6)).to_contain_text("none of the 5¢ asked for was leased")
    expect(page.locator(".bar-line .money")).to_have_text("2.8¢ of 4¢")

    api.answers |= logged("w", [*log, event("0006.lease.extended", 71, **lease | {"microusd": 50_000})])
    page = visit(f"#{RUN}")

    expect(turn(page, 6).locator(".labelled", has_text="budget")).to_have_text("budget5¢ more")
    expect(page.locator(".bar-line .money")).to_have_text("2.8¢ of 9¢")


def test_what_was_proposed_when_a_person_was_asked_is_shown(visit: Any, api: Any) -> None:
    proposed = {"kind": "call_tools", "calls": [tool("refund_order", order_id="O-1004", amount_usd="480.00")]}
    asked = event(
        "0006.escalation.opened",
        68,
        escalation_id=esc_id("e"),
        kind="escalation",
        reason="effect_unknown",
        summary="…",
        proposed_decision=proposed,
    )
    api.answers |= logged("w", [*LOG[:-1], asked])
    page = visit(f"#{RUN}")

    turn(page, 6).locator("summary", has_text="proposed, not carried out refund_order").click()

    expect(turn(page, 6).locator("details.proposed")).to_contain_text("480.00")


def test_an_approval_that_became_void_and_was_asked_again_tells_both_rounds(visit: Any, api: Any) -> None:
    refund = tool("refund_order", order_id="O-1004")
    log = [
        LOG[0],
        requested(1, 1, {"text": "Refund."}),
        responded(1, 2, "Refunding.", 900, kind="call_tools", calls=[refund]),
        event(
            "0001.call.1.approval_requested", 3, escalation_id=esc_id("b"), kind="approval", reason="approval_required"
        ),
        event("0001.call.1.approval_answered", 4, escalation_id=esc_id("b"), approve=True, by="Lee"),
        event("0001.call.1.approval_void", 5, moved=["price"]),
        event("0001.call.1.approval_needed.2", 6, why=["it costs more now"]),
        event(
            "0001.call.1.approval_requested.2",
            6,
            escalation_id=esc_id("c"),
            kind="approval",
            reason="approval_required",
        ),
    ]
    api.answers |= logged("w", log)

    call = turn(visit(f"#{RUN}"), 1).get_by_role("region", name="Call 1: refund_order, waits for approval")

    expect(call).to_contain_text("approved by Lee")
    expect(call).to_contain_text("An approval became void because this had changed: price.")
    expect(call.get_by_role("link", name="Decide")).to_have_attribute("href", f"#/escalations/{esc_id('c')}")


def test_the_raw_events_stay_reachable_page_by_page(visit: Any, api: Any) -> None:
    first, second = LOG[:6], LOG[6:]
    api.answers[f"GET {RUN}/events"] = {"events": first, "next": first[-1]["seq"]}
    large = {"seq": "0007.plan.decided", "at": ago(minutes=1), "body": {}, "left_out": 3_000_000}
    api.answers[f"GET {RUN}/events?after={first[-1]['seq']}"] = {"events": [*second, large], "next": None}
    page = visit(f"#{RUN}")

    page.get_by_role("button", name="Read the raw events").click()
    page.get_by_role("button", name="Read more raw events").click()
    expect(page.get_by_role("button", name="Read newer raw events")).to_be_enabled()
    entries = page.get_by_role("list", name="Raw events").locator("> li")

    expect(entries).to_have_count(len(LOG) + 1)
    entries.first.locator("summary").click()
    expect(entries.first).to_contain_text("eu.anthropic.claude-haiku-4-5")
    entries.last.locator("summary").click()
    expect(entries.last).to_contain_text("3,000,000 bytes are too many for this page")


def test_what_was_left_out_of_a_turn_says_so(visit: Any, api: Any) -> None:
    page_of_turns = timeline("w", LOG)
    page_of_turns["turns"][0] |= {"left_out": 4_000_000, "attempts": [], "calls": []}
    page_of_turns["turns"][1]["calls"][0] |= {"arguments": None, "result": None, "left_out": 70_000}
    page_of_turns["turns"][1]["attempts"][0]["completion"][0]["left_out"] = 9_000
    api.answers[f"GET {RUN}/timeline"] = page_of_turns

    page = visit(f"#{RUN}")

    expect(turn(page, 1)).to_contain_text("4,000,000 bytes are left out here")
    expect(turn(page, 2).locator("section.call").first).to_contain_text("70,000 bytes are left out here")
    expect(turn(page, 2)).to_contain_text("9,000 characters are left out")
