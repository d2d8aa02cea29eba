"""The first screen names what is wrong, and says what it could not read."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.console.canned import ago, esc_id, escalation, quiet, run, run_id


def texts(page: Any, name: str) -> list[str]:
    return [item.inner_text() for item in page.get_by_role("list", name=name).get_by_role("listitem").all()]


def refreshes(api: Any) -> int:
    """Return how often the page asked for what is open."""
    return len([asked for asked in api.asked("GET", "/escalations") if asked.query["status"] == "open"])


def test_what_is_wrong_comes_first_and_the_longest_waiting_person_before_all(visit: Any) -> None:
    page = visit()

    wrong = texts(page, "What to look at")
    kinds = [text.split("\n")[0] for text in wrong]

    assert kinds == ["Decide", "Approve or reject", "Past its deadline", "Failed", "Unanswered"]
    assert "waits 2 h" in wrong[0]
    assert "expires in" in wrong[0]
    assert "waits 42 min" in wrong[1]
    assert "Request (refund): The tent of order O-1004" in wrong[1]
    verdict = "2 escalations wait for a person · 1 run past the deadline · 2 runs ended badly in 24 h"
    expect(page.locator(".verdict")).to_contain_text(verdict)
    expect(page).to_have_title("(5) Overview · Ballast")
    top = page.get_by_role("list", name="What to look at").bounding_box()
    assert top["y"] < page.get_by_role("list", name="Runs").bounding_box()["y"]


def test_a_question_to_the_requester_wakes_nobody(visit: Any, api: Any) -> None:
    api.answers = quiet()
    api.answers["GET /escalations"] = {"escalations": [escalation("q", "question")], "next": None}

    page = visit()

    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is wrong")


def test_runs_are_listed_with_status_cost_and_who_answered(visit: Any) -> None:
    page = visit()

    rows = texts(page, "Runs")

    assert [re.sub(r"\s+", " ", row).startswith("answered") for row in rows[1:3]] == [True, True]
    assert "by agent" in rows[1]
    assert "1.6¢" in rows[1]
    assert "answered, degraded" in rows[2]
    assert "by fallback" in rows[2]
    expect(page.locator(".money-line")).to_have_text("6 runs, 23¢ in total; most expensive 15¢")
    expect(page.locator(".money-line b")).to_have_attribute("title", "$0.22954")


def test_a_degraded_run_says_who_answered_instead_and_why(visit: Any, api: Any) -> None:
    runs = [
        run("a", "answered"),
        run("b", "answered", by="fallback", degraded=True, reason="turn_limit"),
        run("c", "answered", by="human", degraded=True, reason="model_timeout"),
        run("d", "answered", by="fallback", degraded=True),
        run("e", "unanswered", reason="no_fallback"),
        run("g", "refused", reason="WindowFull"),
    ]
    api.answers = quiet() | {"GET /runs": {"runs": runs, "next": None}}

    rows = visit().get_by_role("list", name="Runs").get_by_role("listitem")

    expect(rows.nth(0).locator(".why")).to_have_count(0)
    said = [rows.nth(number).locator(".why").inner_text() for number in range(1, 6)]
    assert said == [
        "The fallback answered instead of the agent: its limit of turns was reached",
        "A person answered instead of the agent: the model did not answer in time",
        "The fallback answered instead of the agent: the log does not say why",
        "No fallback serves this intent",
        "An hour's or a day's window has no room for its ceiling",
    ]


def test_a_question_to_people_is_an_alarm_only_when_its_time_is_almost_over(visit: Any, api: Any) -> None:
    api.answers = quiet()
    found = []
    for left in (59, 25, 5):
        asked = escalation("b", "approval", opened_at=ago(minutes=60 - left), answer_by=ago(minutes=-left))
        api.answers["GET /escalations"] = {"escalations": [asked], "next": None}
        page = visit()
        verdict, card = page.locator(".verdict"), page.get_by_role("list", name="What to look at").locator("li")
        expect(verdict).to_contain_text("1 escalation waits for a person")
        lines = card.inner_text()
        found.append(
            (
                page.get_by_role("heading", level=1).inner_text(),
                verdict.get_attribute("class").split()[1],
                card.get_attribute("class").split()[1],
                "almost over" in lines or ("half" if "More than half" in lines else False),
            )
        )

    assert found == [
        ("People are asked", "info", "info", False),
        ("Something needs attention", "warn", "warn", "half"),
        ("Something is wrong", "bad", "bad", True),
    ]


def test_a_desk_without_trouble_says_so(visit: Any, api: Any) -> None:
    api.answers = quiet()

    page = visit()

    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is wrong")
    expect(page.locator(".money-line")).to_contain_text("No run yet")


def test_the_filter_asks_the_api_and_stays_in_the_address(visit: Any, api: Any) -> None:
    page = visit()

    page.get_by_label("Tenant").fill("harbour")
    page.get_by_label("Status").select_option("failed")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("(tenant harbour)")

    assert page.url.endswith("#/?tenant=harbour&status=failed")
    assert {"tenant": "harbour", "status": "failed", "limit": "25"} in [
        asked.query for asked in api.asked("GET", "/runs")
    ]
    expect(page.get_by_label("Status")).to_have_value("failed")


def test_older_runs_are_added_below(visit: Any) -> None:
    page = visit()

    page.get_by_role("button", name="Older runs").click()

    expect(page.get_by_role("list", name="Runs").get_by_role("listitem")).to_have_count(7)
    expect(page.get_by_role("button", name="Older runs")).to_have_count(0)


def test_it_refreshes_by_itself_and_stops_when_paused_or_hidden(visit: Any, api: Any) -> None:
    page = visit(fresh=True)
    seen = refreshes(api)

    api.answers["GET /escalations"] = {"escalations": [], "next": None}
    page.clock.fast_forward(5_000)
    expect(page.locator(".verdict")).to_contain_text("1 run past the deadline · 2 runs ended badly")
    page.get_by_role("button", name="Pause").click()
    paused = refreshes(api)
    page.clock.fast_forward(60_000)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("updated 03:08")).to_be_visible()
    resumed = refreshes(api)
    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => true})")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.clock.fast_forward(60_000)

    assert (paused, resumed) == (seen + 1, seen + 2)
    assert refreshes(api) == resumed


def test_offline_it_says_so_keeps_what_it_had_and_no_longer_claims_that_all_is_well(visit: Any, api: Any) -> None:
    api.answers = quiet() | {"GET /runs": {"runs": [run("a", "answered")], "next": None}}
    page = visit(fresh=True)
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is wrong")

    page.route(re.compile(r"/(runs|escalations)"), lambda route: route.abort())
    page.get_by_role("button", name="Refresh").click()

    trouble = page.locator("#trouble")
    expect(trouble).to_contain_text("Refresh failed at 03:07")
    expect(trouble).to_contain_text("The API cannot be reached. What you see is from 03:07")
    expect(page.get_by_role("list", name="Runs").get_by_role("listitem")).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_text("Cannot tell")


def test_one_failing_request_leaves_the_rest_of_the_screen_alone(visit: Any, api: Any) -> None:
    detail = "The service is busy and has done nothing."
    api.answers["GET /escalations"] = (503, {"title": "Try again later", "status": 503, "detail": detail})

    page = visit(loaded=False)

    expect(page.locator("#trouble")).to_contain_text(f"(503): {detail}")
    expect(page.locator(".verdict")).to_contain_text("Could not be refreshed: escalations")
    expect(page.get_by_role("list", name="Runs").get_by_role("listitem")).to_have_count(6)


def test_where_a_token_is_wanted_the_page_asks_and_keeps_it_for_this_tab_only(visit: Any, api: Any) -> None:
    good = dict(api.answers)
    api.answers = {key: (401, {"title": "Unauthorised", "status": 401, "detail": "No token."}) for key in good}
    page = visit(fresh=True, loaded=False)
    expect(page.locator("#trouble")).to_contain_text("(401): No token.")

    api.answers = good
    page.get_by_role("textbox", name="Bearer token").fill("Bearer aaa.bbb.ccc")
    page.get_by_role("button", name="Use it").click()
    expect(page.locator(".verdict")).to_contain_text("2 escalations wait for a person")

    assert api.asked("GET", "/escalations")[-1].headers["authorization"] == "Bearer aaa.bbb.ccc"
    assert page.evaluate("[localStorage.length, document.cookie, location.href.includes('aaa')]") == [0, "", False]
    assert page.evaluate("sessionStorage.getItem('ballast.token')") == "aaa.bbb.ccc"


@pytest.mark.deep
def test_the_breaker_is_shown_only_where_the_api_has_one(visit: Any, api: Any) -> None:
    page = visit()
    expect(page.locator("#breaker")).to_be_hidden()

    api.answers["GET /breaker"] = {"mode": "fallback_only", "reason": "cost alarm"}
    other = visit(fresh=True)

    expect(other.locator("#breaker")).to_have_text("breaker: fallback only")


def held(mode: str, **facts: Any) -> dict[str, Any]:
    """Return what `GET /breaker` says to an operator."""
    since = {"since": ago(minutes=12), "until": ago(minutes=-8.5), "by": "hourly-cost", "reason": "It burns."}
    return {"mode": mode, "state": "open", "tenant": None, "tenants": []} | since | facts


def test_a_breaker_that_is_not_normal_comes_before_all_and_says_who_since_why_and_until(visit: Any, api: Any) -> None:
    acme = held("stopped", tenant="acme", by="ann", reason="a loop", until=None)
    api.answers["GET /breaker"] = held("fallback_only", tenants=[acme])

    page = visit(fresh=True)

    first, second = texts(page, "What to look at")[:2]
    assert first.startswith("Spend breaker: fallback only")
    for part in ("for 12 min", "until in 8 min", "No model is called", "By hourly-cost: It burns.", "for everyone"):
        assert part in first
    assert second.startswith("Spend breaker: stopped")
    assert "By ann: a loop" in second
    assert "tenant acme" in second
    verdict = "the spend breaker is not at normal · 2 escalations wait for a person"
    expect(page.locator(".verdict")).to_contain_text(verdict)
    expect(page.locator("#breaker")).to_have_text("breaker: fallback only")
    assert len(api.asked("GET", "/breaker")) == 1


@pytest.mark.deep
def test_a_half_open_breaker_says_so_and_a_normal_one_is_no_trouble(visit: Any, api: Any) -> None:
    api.answers = quiet() | {"GET /breaker": held("cheaper", state="half_open")}
    page = visit(fresh=True)
    expect(page.locator("#breaker")).to_have_text("breaker: cheaper, half-open")
    assert "one run in twenty passes" in texts(page, "What to look at")[0]

    api.answers["GET /breaker"] = {"mode": "normal", "state": "closed", "tenants": []}
    page.get_by_role("button", name="Refresh").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is wrong")
    expect(page.locator("#breaker")).to_have_text("breaker: normal")


def test_a_breaker_that_cannot_be_read_is_not_taken_for_a_closed_one(visit: Any, api: Any) -> None:
    api.answers = quiet() | {"GET /breaker": (503, {"title": "Try again later", "status": 503, "detail": "Busy."})}

    page = visit(fresh=True, loaded=False)

    expect(page.get_by_role("heading", level=1)).to_have_text("Cannot tell")
    expect(page.locator(".verdict")).to_contain_text("Could not be refreshed: breaker")
    expect(page.locator("#breaker")).to_have_text("breaker: unknown")


def test_what_is_written_about_the_breaker_is_text(visit: Any, api: Any) -> None:
    bad = "<img src=x onerror='window.__pwned = 1'>\u202e"
    api.answers["GET /breaker"] = held("stopped", by=bad, reason=bad, tenants=[held("stopped", tenant=bad)])

    page = visit(fresh=True)

    assert "<img src=x" in texts(page, "What to look at")[0]
    assert page.evaluate("document.querySelectorAll('img').length") == 0


def test_cards_lead_to_the_escalation_and_to_the_run(visit: Any) -> None:
    page = visit()

    page.get_by_role("link", name=re.compile("^Approve or reject")).click()
    expect(page).to_have_url(re.compile(f"#/escalations/{esc_id('b')}$"))
    page.get_by_role("link", name="See the whole run").click()

    expect(page).to_have_url(re.compile(f"#/runs/{run_id('w')}$"))
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()


def test_runs_that_were_corrected_say_so_in_their_lines_and_in_the_sum(visit: Any, api: Any) -> None:
    said = {"cost_usd": "1.00", "by": "ann", "reason": "", "at": ago(minutes=1)}
    runs = [run("a", "answered", cost_usd="0.25", corrected=said), run("b", "answered", cost_usd="0.50")]
    api.answers = quiet() | {"GET /runs": {"runs": runs, "next": None}}

    page = visit()

    expect(page.locator(".money-line")).to_contain_text("2 runs, 75¢ in total")
    expect(page.locator(".money-line")).to_contain_text("with operators' corrections $1.50")
    lines = page.get_by_role("list", name="Runs").get_by_role("listitem")
    expect(lines.nth(0).locator(".cost")).to_have_text("25¢, corrected to $1.00")
    expect(lines.nth(1).locator(".cost")).to_have_text("50¢")
