"""A person who decides sees every digit of the call and sends those values; unreadable values are shown as such."""

import json
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.console.canned import ago, esc_id, escalation, event, logged, quiet, run, run_id, timeline

APPROVAL = f"/escalations/{esc_id('b')}"
#: What a JavaScript number, or its writing, would change.
NUMBERS = [
    *("9007199254740993", "-9007199254740993", "12345678901234567890", "1.0", "0.10", "-0", "1e3", "1E400", "5e-324"),
    *("0.1000000000000000055", "100000000000000000000000", "3.141592653589793238"),
]
JSON = """async ([name, given]) => {
  const { parse, stringify } = await import('/console/json.js');
  return name === "there and back" ? stringify(parse(given)) : String(parse(given));
}"""


def raw(api: Any, path: str, text: str) -> None:
    """Let the API answer with this very text."""
    api.raw[f"GET {path}"] = text


def shown(arguments: str) -> str:
    item = escalation("b", "approval", proposed_decision="HERE")
    call = '{"kind": "call_tools", "calls": [{"tool": "pay", "call_id": "", "arguments": ' + arguments + "}]}"
    return json.dumps(item).replace('"HERE"', call)


@pytest.mark.deep
def test_a_number_goes_through_as_it_was_sent(visit: Any) -> None:
    page = visit()

    for number in [*NUMBERS, "1", "0", "-17", "2.5"]:
        text = '{"a":' + number + ',"b":["' + number + '",[' + number + ']],"n' + number + '":"\\\\\\" ' + number + '"}'
        assert page.evaluate(JSON, ["there and back", text]) == text


def test_what_is_no_json_is_refused(visit: Any) -> None:
    page = visit()

    for text in ("", "{", "01", '{"a": 1.}', '{"a": .5}', '{"a": +1}', "{'a': 1}", '{"a": NaN}', '{"a": 1'):
        with pytest.raises(Exception, match="SyntaxError"):
            page.evaluate(JSON, ["parse", text])


def test_the_approver_sees_confirms_and_sends_the_digits(visit: Any, api: Any) -> None:
    numbers = "".join(f'"n{at}": {number}, ' for at, number in enumerate(NUMBERS))
    raw(api, APPROVAL, shown("{" + numbers + '"note": "x"}'))
    api.answers[f"POST {APPROVAL}"] = {"status": "answered"}
    page = visit(f"#{APPROVAL}")

    told = "".join(f"n{at}{number}" for at, number in enumerate(NUMBERS))
    expect(page.locator("dl.arguments").first).to_have_text(f"{told}notex")
    page.get_by_text("Change the arguments").click()
    typed = page.locator("#arguments").input_value()
    for at, number in enumerate(NUMBERS):
        assert f'"n{at}": {number},' in typed
    page.locator("#arguments").fill(typed.replace('"x"', '"y"'))
    page.get_by_role("button", name="Approve …").click()
    expect(page.get_by_role("dialog")).to_contain_text(told)
    page.get_by_role("button", name="Yes,").click()
    expect(page.get_by_text("Your answer was taken")).to_be_visible()

    sent = ",".join(f'"n{at}":{number}' for at, number in enumerate(NUMBERS))
    assert f'"arguments":{{{sent},"note":"y"}}' in api.sent[-1]


def test_the_timeline_shows_the_digits_of_arguments_results_and_proposals(visit: Any, api: Any) -> None:
    path = f"/runs/{run_id('k')}"
    numbers = "{" + ", ".join(f'"n{at}": {number}' for at, number in enumerate(NUMBERS)) + "}"
    told = "".join(f"n{at}{number}" for at, number in enumerate(NUMBERS))
    pay = {"kind": "call_tools", "calls": [{"tool": "pay", "arguments": "HERE"}]}
    log = [
        event("0000.run.opened", 0, request={"text": "Pay."}, limits={}),
        event("0001.plan.decided", 1, planner="fallback", decision=pay),
        event("0001.call.1.settled", 2, tool="pay", status="ok", result="HERE"),
        event("0002.escalation.opened", 3, escalation_id=esc_id("e"), reason="guidance", proposed_decision=pay),
    ]
    api.answers[f"GET {path}"] = run("k", "answered")
    raw(api, f"{path}/timeline", json.dumps(timeline("k", log)).replace('"HERE"', numbers))

    page = visit(f"#{path}")

    call = page.get_by_role("region", name="Call 1: pay, ok")
    expect(call.locator("dl.arguments")).to_have_text(told)
    for at, number in enumerate(NUMBERS):
        expect(call.locator(".labelled", has_text="result")).to_contain_text(f'"n{at}": {number}')
    page.locator("details.proposed summary").click()
    expect(page.locator("details.proposed dl.arguments")).to_have_text(told)


@pytest.mark.parametrize("where", ["value", "deep", "name", "list"])
def test_nothing_of_a_call_is_clipped_where_it_is_decided(visit: Any, api: Any, where: str) -> None:
    long, last = "benign text that fills the space " * 400, "SEND IT TO MALLORY"
    arguments = {
        "value": {"text": long + last},
        "deep": {"filler": {f"a{number}": long[:500] for number in range(20)} | {"z": {"y": last}}},
        "name": {long + last: "x"},
        "list": {"items": [*long.split(), last]},
    }[where]
    raw(api, APPROVAL, shown(json.dumps(arguments)))
    page = visit(f"#{APPROVAL}")

    expect(page.locator("dl.arguments").first).to_contain_text(last)
    page.get_by_role("button", name="Approve …").click()
    expect(page.get_by_role("dialog")).to_contain_text(last)
    expect(page.get_by_role("dialog").get_by_role("button", name="Show all")).to_have_count(0)
    page.get_by_role("button", name="Back", exact=True).click()


def test_what_cannot_be_shown_cannot_be_approved(visit: Any, api: Any) -> None:
    api.answers[f"GET {APPROVAL}"] = escalation("b", "approval", proposed_decision=None, corrupt="no digest matches")
    page = visit(f"#{APPROVAL}")

    expect(page.get_by_text("no digest matches")).to_be_visible()
    expect(page.get_by_role("button", name="Reject …")).to_be_visible()
    expect(page.get_by_role("button", name="Approve …")).to_have_count(0)


@pytest.mark.parametrize(
    "key", ["GET /escalations", "GET /runs?status=running", "GET /runs?status=failed", "GET /runs?status=unanswered"]
)
def test_nothing_is_wrong_is_not_said_while_there_is_a_next_page(visit: Any, api: Any, key: str) -> None:
    api.answers = quiet()
    api.answers[key] = {"escalations": [], "runs": [], "next": "more"}

    page = visit()

    expect(page.get_by_role("heading", level=1)).to_have_text("Cannot tell")
    expect(page.locator(".verdict")).to_contain_text("Not read to the end yet")


def test_what_is_behind_empty_pages_is_found(visit: Any, api: Any) -> None:
    api.answers = quiet()
    api.answers["GET /escalations"] = {"escalations": [], "next": "page-1"}
    for number in range(1, 9):
        api.answers[f"GET /escalations?next=page-{number}"] = {"escalations": [], "next": f"page-{number + 1}"}
    api.answers["GET /escalations?next=page-9"] = {"escalations": [escalation("q", "escalation")], "next": None}

    page = visit()
    expect(page.get_by_role("heading", level=1)).to_have_text("Cannot tell")
    page.get_by_role("button", name="Refresh").click()

    expect(page.locator(".verdict")).to_contain_text("1 escalation waits for a person")


def test_a_corrupt_run_is_a_problem_and_the_others_are_listed(visit: Any, api: Any) -> None:
    api.answers = quiet()
    torn = run("c", "corrupt", text="", request_id=None, agent=None, opened_at=None)
    api.answers["GET /runs"] = {"runs": [run("a", "answered"), torn], "next": None}

    page = visit()

    expect(page.get_by_role("heading", level=1)).to_have_text("Something is wrong")
    expect(page.locator(".verdict")).to_contain_text("the log of 1 run cannot be read")
    expect(page.get_by_role("list", name="Runs").get_by_role("listitem")).to_have_count(2)


def test_a_corrupt_entry_is_shown_in_its_place_with_all_others(visit: Any, api: Any) -> None:
    path = f"/runs/{run_id('k')}"
    api.answers[f"GET {path}"] = run("k", "answered", corrupt=[{"seq": "0001.call.1.settled", "why": "digest"}])
    decision = {"kind": "call_tools", "calls": [{"tool": "look", "arguments": {"id": 1}}]}
    entries = [
        event("0000.run.opened", 0, request={"text": "Where is it?"}, limits={}),
        event("0001.plan.decided", 1, planner="fallback", decision=decision),
        event("0001.call.1.settled", 2) | {"corrupt": "the content does not match its digest", "left_out": None},
        event("0002.plan.decided", 3, planner="fallback", decision={"kind": "answer", "text": "There."}),
        event("9999.run.ended", 4) | {"at": ago(minutes=1), "corrupt": "cannot be decoded"},
    ]
    api.answers |= logged("k", entries)

    page = visit(f"#{path}")

    expect(page.get_by_role("region", name="Run")).to_contain_text("1 entry of the log cannot be read")
    expect(page.get_by_role("listitem", name="Turn 1, fallback")).to_contain_text("does not match its digest")
    expect(page.get_by_role("listitem", name="Turn 2, fallback")).to_contain_text("There.")
    expect(page.get_by_text("cannot be decoded", exact=True)).to_be_visible()
