"""The overview draws the last day in small plots, says the same in words, and claims no more than it read."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.console.canned import activity, ago, budget, escalation, quiet
from tests.e2e.console.conftest import DESKTOP, PHONE

RUNS, MONEY, OTHERS, WAITING = (
    "Runs started",
    "Spending against the hour's window",
    "Not answered by the agent",
    "Waiting for a person",
)


def plot(page: Any, title: str) -> Any:
    return page.locator("figure.plot-card").filter(has_text=title)


def bars(page: Any, title: str) -> list[float]:
    """Return the heights of a plot's bars, as a share of the plot's height."""
    svg = plot(page, title).locator("svg")
    found: list[float] = svg.evaluate(
        "(svg) => [...svg.querySelectorAll('rect')].map((bar) => Number(bar.getAttribute('height')) / 54)"
    )
    return [round(height, 2) for height in found]


def test_the_last_day_is_drawn_in_four_plots_with_their_numbers_in_words(visit: Any) -> None:
    page = visit()

    expect(page.locator("figure.plot-card")).to_have_count(4)
    expect(plot(page, RUNS).locator("figcaption")).to_contain_text("81 runs")
    expect(plot(page, MONEY).locator("figcaption")).to_contain_text("$18.50 of $20.00 this hour")
    expect(plot(page, MONEY).locator("figcaption")).to_contain_text("$12.50 of $100.00 today (UTC), the whole account")
    expect(plot(page, OTHERS).locator("figcaption")).to_contain_text("50 %")
    expect(plot(page, OTHERS).locator("figcaption")).to_contain_text("of 52 answers")
    expect(plot(page, WAITING).locator("figcaption")).to_contain_text("2 escalations now")


def test_a_plot_is_an_image_with_a_title_and_a_text_alternative(visit: Any) -> None:
    page = visit()

    for title in (RUNS, MONEY, OTHERS, WAITING):
        drawn = plot(page, title).get_by_role("img")
        name = drawn.evaluate(
            "(svg) => svg.getAttribute('aria-labelledby').split(' ')"
            ".map((id) => document.getElementById(id).textContent)"
        )
        assert name[0] == title
        assert "By the hour: " in name[1]
        expect(drawn).to_have_accessible_name(" ".join(name))
    expect(plot(page, MONEY).get_by_role("img")).to_have_accessible_name(
        f"{MONEY} $18.50 of $20.00 this hour, $12.50 of $100.00 today (UTC), the whole account. "
        "By the hour: 01:00: $2.00; 02:00: $13.00; 03:00: $18.50."
    )


def test_bars_are_as_high_as_their_numbers(visit: Any) -> None:
    page = visit()

    assert bars(page, RUNS) == [0.25] * 23 + [1.0]
    assert bars(page, MONEY) == [0.0] * 21 + [0.1, 0.65, 0.93]
    assert bars(page, OTHERS) == [0.5] * 24
    looks = (
        plot(page, MONEY).locator("rect").evaluate_all("(bars) => bars.slice(-3).map((bar) => bar.className.baseVal)")
    )
    assert looks == ["bar-good", "bar-warn", "bar-bad"]


def test_who_waited_is_counted_from_open_and_answered_questions(visit: Any, api: Any) -> None:
    api.answers = quiet()
    still = escalation("b", "approval", opened_at=ago(minutes=30), answer_by=ago(minutes=-90))
    brief = escalation("c", "approval", opened_at=ago(hours=5, minutes=7), answered_at=ago(hours=5))
    long = escalation("e", "escalation", opened_at=ago(hours=5, minutes=5), answered_at=ago(hours=3))
    question = escalation("q", "question", opened_at=ago(hours=5))
    api.answers["GET /escalations?status=open"] = {"escalations": [still, question], "next": None}
    api.answers["GET /escalations?status=answered"] = {"escalations": [brief, long], "next": None}

    page = visit()

    expect(plot(page, WAITING).locator("figcaption")).to_contain_text("1 escalation now")
    # 03:07 is now: from 22:00 on two, then one until 00:07, and one since 02:37.
    assert bars(page, WAITING)[-6:] == [1.0, 0.5, 0.5, 0.0, 0.5, 0.5]


def test_answers_that_were_not_all_looked_at_say_so(visit: Any, api: Any) -> None:
    api.answers["GET /activity"] = activity(answered=200, looked_at=10, by_others=0)

    page = visit()

    expect(plot(page, OTHERS).locator("figcaption")).to_contain_text("of 246 answers, by a sample of 56")


def test_hours_that_were_too_many_to_count_are_left_out_and_the_others_say_since_when(visit: Any, api: Any) -> None:
    whole = activity()
    api.answers["GET /activity"] = whole | {"hours": whole["hours"][-3:]}

    page = visit()

    expect(plot(page, RUNS).locator("figcaption")).to_contain_text("9 runs")
    expect(plot(page, RUNS).locator("figcaption")).to_contain_text("since 01:00")
    assert plot(page, RUNS).locator("rect").first.evaluate("(bar) => bar.getAttribute('x')") == "211.00"


def test_an_api_that_counts_nothing_has_no_plot_of_it_and_no_trouble(visit: Any, api: Any) -> None:
    api.answers = quiet()

    page = visit()

    expect(plot(page, WAITING)).to_have_count(1)
    expect(page.locator("figure.plot-card")).to_have_count(1)
    expect(page.locator(".last-day")).not_to_contain_text("could not be read")
    expect(page.locator("#trouble")).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is wrong")


def test_a_day_that_cannot_be_read_fails_no_refresh_and_says_so(visit: Any, api: Any) -> None:
    api.answers["GET /activity"] = (503, {"title": "Try again later", "status": 503, "detail": "Busy."})

    page = visit()

    expect(page.locator(".last-day")).to_contain_text("could not be read;")
    expect(plot(page, MONEY)).to_have_count(1)
    expect(page.locator("#trouble")).to_be_hidden()


@pytest.mark.deep
def test_the_day_is_read_once_a_minute(visit: Any, api: Any) -> None:
    page = visit(fresh=True)
    asked = []

    for seconds in (30, 40):  # at 30 s it is as it was; at 70 s it is a minute old
        before = page.locator("#updated").inner_text()
        page.clock.fast_forward(seconds * 1_000)
        expect(page.locator("#updated")).not_to_have_text(before)
        asked.append(len(api.asked("GET", "/budget")))

    assert asked == [1, 2]


def test_a_tenants_view_asks_for_the_tenants_day(visit: Any, api: Any) -> None:
    api.answers["GET /budget"] = budget("1.00", tenant="harbour")

    page = visit("#/?tenant=harbour")

    expect(plot(page, MONEY).locator("figcaption")).not_to_contain_text("account")
    assert api.asked("GET", "/budget")[-1].query == {"tenant": "harbour"}
    assert api.asked("GET", "/activity")[-1].query == {"tenant": "harbour"}


BROKEN: dict[str, Any] = {
    "nulls": {"hours": None, "day": None, "hour_limit_usd": None},
    "wrong types": {"hours": [None, 7, "x", {"since": {}, "runs": "many"}], "day": [], "hour_limit_usd": 20},
    "wrong numbers": activity(runs=-1, answered=-1) | {"hour_limit_usd": "-1", "day_limit_usd": "1e3"},
    "no hours": {"hours": [], "hour_limit_usd": "0.00", "day_limit_usd": "0.00", "day": {"taken_usd": "0.00"}},
    "too many hours": activity() | {"hours": activity()["hours"] * 1_000},
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", BROKEN)
def test_a_day_of_any_shape_is_survived(visit: Any, api: Any, name: str) -> None:
    api.answers |= {"GET /activity": BROKEN[name], "GET /budget": BROKEN[name]}

    page = visit()

    expect(page.locator("#trouble")).to_be_hidden()
    assert page.locator("main svg rect").count() <= 4 * 24


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_plots_fit_and_come_after_what_is_to_be_done(visit: Any, viewport: dict[str, int]) -> None:
    page = visit(viewport=viewport)

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    todo = page.get_by_role("list", name="What to look at").bounding_box()
    runs = page.get_by_role("list", name="Runs").bounding_box()
    plots = page.locator(".plots").bounding_box()
    assert todo["y"] < plots["y"] < runs["y"]
