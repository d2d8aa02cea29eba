"""The console offers what its caller may do, and says why the rest is not allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.console.canned import esc_id, escalation, logged, quiet, run, run_id
from tests.e2e.console.conftest import DESKTOP, PHONE

APPROVAL, DECISION, QUESTION = (f"/escalations/{esc_id(letter)}" for letter in "bej")
MEMBER = ["start", "read", "cancel", "reply"]
BREAKER = {"mode": "normal", "state": "closed", "tenants": []}


def me(role: str, rights: list[str], tenant: str | None = "acme", groups: tuple[str, ...] = ()) -> dict[str, Any]:
    principal = f"123456789012:user/ballast-{role}/ann"
    return {"principal": principal, "role": role, "tenant": tenant, "groups": list(groups), "you_may": rights}


OPERATOR = me("operator", [*MEMBER, "decide", "operate"], None)


def answers(api: Any, path: str, kind: str, **facts: Any) -> None:
    letter = {APPROVAL: "b", DECISION: "e", QUESTION: "j"}[path]
    api.answers[f"GET {path}"] = escalation(letter, kind, **facts)
    api.answers[f"POST {path}"] = {"escalation_id": esc_id(letter), "status": "answered", "still_needed": 0}


def shown(page: Any) -> set[str]:
    """Return the names of the ways to answer on the page."""
    names = {button.inner_text() for button in page.locator(".answers .row button, .answers > div button").all()}
    return names | {summary.inner_text() for summary in page.locator(".answers summary").all()}


@pytest.mark.parametrize(
    ("you_may", "offered"),
    [
        (["approve", "reject", "change"], {"Approve …", "Reject …", "Change the arguments"}),
        (["approve", "reject"], {"Approve …", "Reject …"}),
        (["reject"], {"Reject …"}),
    ],
)
def test_of_an_approval_only_what_one_may_is_offered(
    visit: Any, api: Any, you_may: list[str], offered: set[str]
) -> None:
    answers(api, APPROVAL, "approval", you_may=you_may, you_may_not=None)

    page = visit(f"#{APPROVAL}")

    expect(page.locator(".answers")).to_be_visible()
    assert shown(page) == offered


@pytest.mark.parametrize("path", [APPROVAL, DECISION, QUESTION])
def test_where_one_may_not_the_reason_stands_and_nothing_can_be_sent(visit: Any, api: Any, path: str) -> None:
    kind = {APPROVAL: "approval", DECISION: "escalation", QUESTION: "question"}[path]
    answers(api, path, kind, you_may=[], you_may_not="You asked for this run: somebody else decides.")

    page = visit(f"#{path}")

    expect(page.get_by_text("You cannot answer this. You asked for this run: somebody else decides.")).to_be_visible()
    expect(page.locator(".answers")).to_have_count(0)
    expect(page.locator("main textarea")).to_have_count(0)


def test_the_group_and_the_parties_of_an_approval_are_named(visit: Any, api: Any) -> None:
    facts = {"approvers": "finance", "may_not_answer": ["mia", "pat"]}
    answers(api, APPROVAL, "approval", **facts, you_may=[], you_may_not="Only members of finance approve this call.")

    told = visit(f"#{APPROVAL}").get_by_role("region", name="Approval", exact=True)

    expect(told).to_contain_text("Only members of finance may approve it.")
    expect(told).to_contain_text(
        "mia, pat asked for this run, proposed or changed this call, or guided the agent to it"
    )


def test_whose_run_it_is_is_said_where_somebody_decides(visit: Any, api: Any) -> None:
    answers(api, DECISION, "escalation", may_not_answer=["mia"], you_may=["decide"], you_may_not=None)

    expect(visit(f"#{DECISION}").get_by_text("mia asked for this run, so somebody else must decide.")).to_be_visible()


def test_a_grant_shows_its_bound_and_more_is_not_sent(visit: Any, api: Any) -> None:
    answers(api, DECISION, "escalation", you_may=["decide", "grant"], you_may_not=None, you_may_grant_usd="0.25")
    page = visit(f"#{DECISION}")

    page.get_by_text("Back to the agent").first.click()
    page.get_by_label("What it should do differently").fill("Go on.")
    page.get_by_label("you may add up to $0.25, an operator more").fill("0.250001")
    page.get_by_role("button", name="Back to the agent …").click()
    expect(page.get_by_role("alert").filter(has_text="You may add up to $0.25 to this run")).to_be_visible()
    page.get_by_label("you may add up to").fill("0.25")
    page.get_by_role("button", name="Back to the agent …").click()
    page.get_by_role("button", name="Yes, hand it back").click()

    expect(page.get_by_text("Your answer was taken")).to_be_visible()
    [sent] = [request.body for request in api.asked("POST", DECISION)]
    assert sent["decision"]["add_budget_microusd"] == 250_000


def test_who_may_decide_and_not_grant_is_asked_for_no_budget(visit: Any, api: Any) -> None:
    answers(api, DECISION, "escalation", you_may=["decide"], you_may_not=None)
    page = visit(f"#{DECISION}")

    page.get_by_text("Back to the agent").first.click()

    expect(page.get_by_label("What it should do differently")).to_be_visible()
    expect(page.get_by_label("More budget")).to_have_count(0)


def test_the_requester_replies_to_the_agents_question(visit: Any, api: Any) -> None:
    answers(api, QUESTION, "question", reason="question", asked=["mia"], you_may=["reply"], you_may_not=None)
    messages = f"/runs/{run_id('w')}/messages"
    api.answers[f"POST {messages}"] = {"escalation_id": esc_id("j"), "status": "answered", "still_needed": 0}
    page = visit(f"#{QUESTION}")

    page.get_by_label("Text for the agent").fill("The second one.")
    page.get_by_role("button", name="Reply …").click()
    page.get_by_role("button", name="Yes, reply").click()

    expect(page.get_by_text("Your answer was taken")).to_be_visible()
    assert [request.body for request in api.asked("POST", messages)] == [{"text": "The second one."}]
    assert api.asked("POST", QUESTION) == []


def test_rights_that_change_meanwhile_are_shown(visit: Any, api: Any) -> None:
    answers(api, APPROVAL, "approval", you_may=["approve", "reject", "change"], you_may_not=None)
    page = visit(f"#{APPROVAL}")
    expect(page.get_by_role("button", name="Approve …")).to_be_visible()

    answers(api, APPROVAL, "approval", you_may=[], you_may_not="You changed it: somebody else decides.")
    page.clock.fast_forward(5_000)

    expect(page.get_by_text("You cannot answer this. You changed it")).to_be_visible()
    expect(page.get_by_role("button", name="Approve …")).to_have_count(0)


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("who", "label"),
    [(me("member", MEMBER), "ann · member of acme"), (OPERATOR, "ann · operator")],
)
def test_the_console_says_who_one_is(visit: Any, api: Any, who: dict[str, Any], label: str) -> None:
    api.answers["GET /me"] = who

    page = visit(fresh=True)

    expect(page.locator("#me")).to_have_text(label)
    expect(page.locator("#me")).to_have_attribute("title", who["principal"])
    assert len(api.asked("GET", "/me")) == 1


def test_another_token_is_another_person(visit: Any, api: Any) -> None:
    api.answers["GET /me"] = me("member", MEMBER)
    page = visit(fresh=True)
    api.answers["GET /me"] = me("reviewer", [*MEMBER, "decide"], groups=("finance",))

    page.get_by_role("button", name="Token …").click()
    expect(page.get_by_text("NAME:ROLE, such as")).to_be_visible()
    page.get_by_role("textbox", name="Bearer token").fill("rae:reviewer+finance")
    page.get_by_role("button", name="Use it").click()

    expect(page.locator("#me")).to_have_text("ann · reviewer of acme")
    expect(page.locator("#me")).to_have_attribute("title", "123456789012:user/ballast-reviewer/ann, in finance")
    assert api.asked("GET", "/me")[-1].headers["authorization"] == "Bearer rae:reviewer+finance"


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("rights", "cancels"), [(MEMBER, 1), (["read"], 0)])
def test_only_who_may_is_offered_to_cancel(visit: Any, api: Any, rights: list[str], cancels: int) -> None:
    api.answers["GET /me"] = me("member", rights)
    api.answers[f"GET /runs/{run_id('r')}"] = run("r", "running")
    api.answers |= logged("r", [])

    page = visit(f"#/runs/{run_id('r')}", fresh=True)

    expect(page.locator(".run-head h1")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel the run …")).to_have_count(cancels)


def test_an_operator_sets_the_breaker_after_a_question(visit: Any, api: Any) -> None:
    api.answers = quiet() | {
        "GET /me": OPERATOR,
        "GET /breaker": BREAKER,
        "POST /breaker": BREAKER | {"mode": "stopped"},
    }
    page = visit(fresh=True)

    page.get_by_text("Set the spend breaker").click()
    page.get_by_label("Mode").select_option("stopped")
    page.get_by_label("Minutes until it ends").fill("1.5")
    page.get_by_role("button", name="Set …").click()
    expect(page.get_by_role("alert").filter(has_text="a whole number of minutes")).to_be_visible()
    page.get_by_label("Minutes until it ends").fill("60")
    page.get_by_label("Reason").fill("It spends.")
    page.get_by_role("button", name="Set …").click()
    expect(page.get_by_role("dialog")).to_contain_text("No run starts")
    assert api.asked("POST", "/breaker") == []
    page.get_by_role("button", name="Yes, set it").click()

    expect(page.get_by_text("The breaker is set.")).to_be_visible()
    [sent] = [request.body for request in api.asked("POST", "/breaker")]
    assert sent == {"mode": "stopped", "for_minutes": 60, "reason": "It spends."}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("who", [me("member", MEMBER), me("reviewer", [*MEMBER, "decide"]), None])
def test_nobody_else_is_offered_the_breaker(visit: Any, api: Any, who: dict[str, Any] | None) -> None:
    api.answers["GET /breaker"] = BREAKER | {"mode": "stopped"}
    if who is not None:
        api.answers["GET /me"] = who

    page = visit(fresh=True)

    expect(page.get_by_text("Spend breaker: stopped")).to_be_visible()
    expect(page.get_by_text("Set the spend breaker")).to_have_count(0)
    expect(page.get_by_text("only an operator can change it")).to_have_count(0 if who is None else 1)


def test_a_member_is_told_that_a_reviewer_is_waited_for(visit: Any, api: Any) -> None:
    api.answers["GET /me"] = me("member", MEMBER)

    page = visit(fresh=True)

    expect(page.get_by_role("link", name="Waits for a reviewer")).to_have_count(2)
    expect(page.get_by_text("Runs of the tenant acme.")).to_be_visible()


@pytest.mark.sampled(1)
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_whatever_somebody_is_called_the_page_fits(visit: Any, api: Any, tmp_path: Path, size: dict[str, int]) -> None:
    name = "x" * 180 + "\u202e<b>boss</b>"
    api.answers["GET /me"] = me("operator", OPERATOR["you_may"], None) | {"principal": name}

    page = visit(viewport=size, fresh=True)

    page.screenshot(path=tmp_path / "me.png")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert "\u202e" not in page.locator("#me").inner_text()
    expect(page.locator("#me b")).to_have_count(0)
