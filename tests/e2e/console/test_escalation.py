"""A person's answer: the request that is sent, the confirmation before it, and the error if it is not accepted."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.console.canned import ago, esc_id, escalation

APPROVAL, DECISION = f"/escalations/{esc_id('b')}", f"/escalations/{esc_id('e')}"


def sent(api: Any, path: str) -> list[Any]:
    return [request.body for request in api.asked("POST", path)]


@pytest.mark.parametrize(("button", "approve"), [("Approve …", True), ("Reject …", False)])
def test_an_approval_shows_the_call_asks_again_and_sends_the_verdict(
    visit: Any, api: Any, button: str, approve: bool
) -> None:
    api.answers[f"POST {APPROVAL}"] = {"escalation_id": esc_id("b"), "status": "answered"}
    page = visit(f"#{APPROVAL}")
    expect(page.get_by_role("region", name="Proposed")).to_contain_text("refund_order")

    page.get_by_label("Comment").fill("The parcel came back.")
    page.get_by_role("button", name=button).click()
    expect(page.get_by_role("dialog")).to_contain_text("480.00")
    assert sent(api, APPROVAL) == []
    page.get_by_role("button", name="Yes,").click()

    expect(page.get_by_text("Your answer was taken")).to_be_visible()
    assert sent(api, APPROVAL) == [{"approve": approve, "comment": "The parcel came back."}]
    assert api.asked("POST", APPROVAL)[0].headers["content-type"] == "application/json"


def test_going_back_from_the_confirmation_sends_nothing(visit: Any, api: Any) -> None:
    page = visit(f"#{APPROVAL}")

    page.get_by_role("button", name="Approve …").click()
    page.keyboard.press("Enter")  # the focus is on Back: two hasty Enters approve nothing

    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Approve …")).to_be_focused()
    assert sent(api, APPROVAL) == []


@pytest.mark.parametrize(("typed", "micro"), [("", 0), ("8.2", 8_200_000)])
def test_guidance_and_budget_go_back_to_the_agent(visit: Any, api: Any, typed: str, micro: int) -> None:
    api.answers[f"POST {DECISION}"] = {"status": "answered"}
    page = visit(f"#{DECISION}")

    page.get_by_text("Back to the agent").first.click()
    page.get_by_label("What it should do differently").fill("Ask the carrier first.")
    page.get_by_label("More budget").fill(typed)
    page.get_by_role("button", name="Back to the agent …").click()
    page.get_by_role("button", name="Yes, hand it back").click()
    expect(page.get_by_text("Your answer was taken")).to_be_visible()

    guided = {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "Ask the carrier first."}
    assert sent(api, DECISION) == [{"decision": guided | {"add_budget_microusd": micro}}]


def test_what_is_no_amount_is_refused_at_its_field(visit: Any, api: Any) -> None:
    page = visit(f"#{DECISION}")

    page.get_by_text("Back to the agent").first.click()
    page.get_by_label("What it should do differently").fill("Ask.")
    page.get_by_label("More budget").fill("1,50")
    page.get_by_role("button", name="Back to the agent …").click()

    expect(page.get_by_role("alert").filter(has_text="Write it like 0.25")).to_be_visible()
    expect(page.get_by_label("More budget")).to_be_focused()
    assert sent(api, DECISION) == []


def test_what_was_proposed_can_be_carried_out_as_it_is(visit: Any, api: Any) -> None:
    proposed = {
        "kind": "call_tools",
        "calls": [{"tool": "cancel_order", "arguments": {"order_id": "O-1"}, "call_id": ""}],
    }
    api.answers[f"GET {DECISION}"] = escalation("e", "escalation", proposed_decision=proposed)
    api.answers[f"POST {DECISION}"] = {"status": "answered"}
    page = visit(f"#{DECISION}")

    page.get_by_role("button", name="Carry out the proposed calls").click()
    page.get_by_role("button", name="Yes, carry it out").click()
    expect(page.get_by_text("Your answer was taken")).to_be_visible()

    assert sent(api, DECISION) == [{"decision": proposed}]


def test_a_refused_answer_is_explained_and_what_was_typed_stays(visit: Any, api: Any) -> None:
    errors = [{"field": "decision.text", "message": "must not hold a lone surrogate"}]
    problem = {"title": "Invalid input", "status": 422, "detail": "decision.text: is not valid", "errors": errors}
    api.answers[f"POST {DECISION}"] = (422, problem)
    page = visit(f"#{DECISION}")

    page.get_by_text("Answer the requester").click()
    page.get_by_label("Text for the requester").fill("We will call you.")
    page.get_by_role("button", name="Answer …").click()
    page.get_by_role("button", name="Yes, answer").click()

    expect(page.get_by_text("Not accepted: Invalid input (422)")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="must not hold a lone surrogate")).to_contain_text(
        "decision.text"
    )
    expect(page.get_by_label("Text for the requester")).to_have_value("We will call you.")
    expect(page.get_by_role("button", name="Answer …")).to_be_enabled()


def test_an_answer_whose_fate_is_unknown_is_said_to_be_unknown(visit: Any, api: Any) -> None:
    page = visit(f"#{APPROVAL}", fresh=True)
    page.route("**/escalations/*", lambda route: route.abort())

    page.get_by_role("button", name="Approve …").click()
    page.get_by_role("button", name="Yes, approve").click()

    expect(page.get_by_text("It may have arrived. Sending the same answer again is harmless")).to_be_visible()


def test_a_refresh_that_fails_after_an_answer_is_tried_again(visit: Any, api: Any) -> None:
    given = {"status": "answered", "answered_by": "dana@example.com", "answered_at": ago(minutes=1)}
    api.answers[f"POST {APPROVAL}"] = {"escalation_id": esc_id("b"), "status": "answered"}
    page = visit(f"#{APPROVAL}")
    api.answers[f"GET {APPROVAL}"] = (503, {"detail": "Nobody is in."})

    page.get_by_role("button", name="Approve …").click()
    page.get_by_role("button", name="Yes, approve").click()
    expect(page.get_by_text("Nobody is in.")).to_be_visible()
    api.answers[f"GET {APPROVAL}"] = escalation("b", "approval", **given)
    page.clock.fast_forward(5_000)

    expect(page.get_by_role("region", name="The answer")).to_contain_text("dana@example.com")


def test_what_is_being_typed_outlives_a_refresh(visit: Any) -> None:
    page = visit(f"#{DECISION}")
    page.get_by_text("Answer the requester").click()
    page.get_by_label("Text for the requester").fill("Half a sent")

    page.clock.fast_forward(5_000)
    expect(page.get_by_text("updated 03:07:17")).to_be_visible()

    expect(page.get_by_label("Text for the requester")).to_have_value("Half a sent")


def test_an_answered_escalation_is_read_only(visit: Any, api: Any) -> None:
    given = {"status": "answered", "answered_by": "dana@example.com", "answered_at": ago(minutes=1)}
    api.answers[f"GET {APPROVAL}"] = escalation("b", "approval", **given)

    page = visit(f"#{APPROVAL}")

    expect(page.get_by_role("region", name="The answer")).to_contain_text("by dana@example.com 1 min ago")
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    expect(page.locator("main textarea")).to_have_count(0)


def test_an_expired_escalation_says_that_nobody_waits(visit: Any, api: Any) -> None:
    api.answers[f"GET {DECISION}"] = escalation("e", "escalation", status="expired", answer_by=ago(hours=1))

    page = visit(f"#{DECISION}")

    expect(page.get_by_text("The run no longer waits for an answer")).to_be_visible()
    expect(page.locator("main textarea")).to_have_count(0)


# Approvals


def test_an_approval_says_why_how_many_must_and_who_may_not(visit: Any, api: Any) -> None:
    facts = {"why": ["480.00 USD is above 100.00 USD"], "approvals_needed": 2, "approvals_given": ["Lee"]}
    api.answers[f"GET {APPROVAL}"] = escalation(
        "b", "approval", **facts, may_not_answer=["user/ann"], changed_by="Lee", binding="b" * 64
    )

    told = visit(f"#{APPROVAL}").get_by_role("region", name="Approval", exact=True)

    for words in (
        "480.00 USD is above",
        "Approved by 1 of 2 people: Lee",
        "user/ann asked for this run",
        "Lee has changed",
    ):
        expect(told).to_contain_text(words)


def test_an_approval_of_several_says_how_many_are_still_needed(visit: Any, api: Any) -> None:
    api.answers[f"GET {APPROVAL}"] = escalation("b", "approval", approvals_needed=2, binding="b" * 64)
    api.answers[f"POST {APPROVAL}"] = {"escalation_id": esc_id("b"), "status": "waiting", "still_needed": 1}
    page = visit(f"#{APPROVAL}")

    page.get_by_role("button", name="Approve …").click()
    expect(page.get_by_role("dialog")).to_contain_text("once enough people have approved")
    page.get_by_role("button", name="Yes, approve").click()

    expect(page.get_by_text("1 more must approve")).to_be_visible()
    assert sent(api, APPROVAL) == [{"approve": True, "binding": "b" * 64}]


def test_changed_arguments_are_shown_again_and_sent(visit: Any, api: Any) -> None:
    api.answers[f"POST {APPROVAL}"] = {"escalation_id": esc_id("b"), "status": "answered", "still_needed": 0}
    page = visit(f"#{APPROVAL}")

    page.get_by_text("Change the arguments").click()
    page.get_by_label("The call's arguments as JSON").fill('{"order_id": "O-1004", "amount_usd": "40.00"}')
    page.get_by_role("button", name="Approve …").click()
    expect(page.get_by_role("dialog")).to_contain_text("as you changed it")
    expect(page.get_by_role("dialog")).to_contain_text("40.00")
    page.get_by_role("button", name="Yes, approve").click()

    expect(page.get_by_text("Your answer was taken")).to_be_visible()
    assert sent(api, APPROVAL) == [{"approve": True, "arguments": {"order_id": "O-1004", "amount_usd": "40.00"}}]


@pytest.mark.parametrize("typed", ["{", "[]", "null", '"text"'])
def test_arguments_that_are_no_object_are_not_sent(visit: Any, api: Any, typed: str) -> None:
    page = visit(f"#{APPROVAL}")

    page.get_by_text("Change the arguments").click()
    page.get_by_label("The call's arguments as JSON").fill(typed)
    page.get_by_role("button", name="Approve …").click()

    expect(page.get_by_role("alert").filter(has_text="one JSON object")).to_be_visible()
    assert sent(api, APPROVAL) == []


#: What a JavaScript number changes: digits beyond 2**53, and a point with nothing behind it.
DIGITS = {"account": 9_007_199_254_740_993, "share": 1.0, "lines": [{"ids": [-(2**60), 5]}], "note": "1.0 of 2"}


def with_digits(api: Any) -> None:
    call = {"tool": "pay", "arguments": {**DIGITS, "cents": 5}, "call_id": ""}
    decision = {"kind": "call_tools", "calls": [call]}
    api.answers[f"GET {APPROVAL}"] = escalation("b", "approval", proposed_decision=decision)
    api.answers[f"POST {APPROVAL}"] = {"status": "answered"}


def test_the_digits_that_are_approved_are_the_digits_that_are_shown(visit: Any, api: Any) -> None:
    with_digits(api)
    page = visit(f"#{APPROVAL}")
    expect(page.get_by_role("region", name="Proposed")).to_contain_text("9007199254740993")

    page.get_by_role("button", name="Approve …").click()

    for digits in ("9007199254740993", "1.0", str(-(2**60))):
        expect(page.get_by_role("dialog")).to_contain_text(digits)
    page.keyboard.press("Escape")


def test_changing_one_argument_leaves_the_digits_of_the_others(visit: Any, api: Any) -> None:
    with_digits(api)
    page = visit(f"#{APPROVAL}")

    page.get_by_text("Change the arguments").click()
    before = page.get_by_label("The call's arguments as JSON").input_value()
    page.get_by_label("The call's arguments as JSON").fill(
        before.replace('"cents": 5', '"cents": 12345678901234567890.5')
    )
    page.get_by_role("button", name="Approve …").click()
    expect(page.get_by_role("dialog")).to_contain_text("12345678901234567890.5")
    page.get_by_role("button", name="Yes,").click()
    expect(page.get_by_text("Your answer was taken")).to_be_visible()

    [body] = api.asked("POST", APPROVAL)
    assert '"account":9007199254740993,"share":1.0' in body.text
    assert f'"ids":[{-(2**60)},5]' in body.text
    assert '"cents":12345678901234567890.5' in body.text
    assert body.body["arguments"]["note"] == "1.0 of 2"


def test_an_argument_of_many_fields_is_shown_whole_where_it_is_approved(visit: Any, api: Any) -> None:
    call = {"tool": "send", "arguments": {"parcel": {"note": "x" * 400, "to": "SEND IT TO MALLORY"}}, "call_id": ""}
    decision = {"kind": "call_tools", "calls": [call]}
    api.answers[f"GET {APPROVAL}"] = escalation("b", "approval", proposed_decision=decision)
    page = visit(f"#{APPROVAL}")
    expect(page.get_by_role("region", name="Proposed")).to_contain_text("SEND IT TO MALLORY")

    page.get_by_role("button", name="Approve …").click()

    expect(page.get_by_role("dialog")).to_contain_text("SEND IT TO MALLORY")
    page.keyboard.press("Escape")


def test_a_text_cannot_pose_as_a_number(visit: Any) -> None:
    read = """async (texts) => { const { parse, stringify } = await import('/console/json.js');
      return texts.map((text) => stringify(parse(text))); }"""
    texts = ['{"a":"\\\\u0000 1.0","b":1.0}', '"x\\"1.0"', "[1e2,-0,0.1,1E400,123456789012345678901]", '{"1.0":1.0}']

    assert visit().evaluate(read, texts) == texts
