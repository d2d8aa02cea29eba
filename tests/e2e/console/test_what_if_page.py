"""The page of ``ballast what-if --html`` in a browser: hostile runs do nothing, it fits a phone, it has two looks."""

from pathlib import Path
from typing import Any

import pytest

from cli.what_if.page import page
from cli.what_if.sums import Verdict
from localcloud.replay.what_if import Result
from tests.unit.cli.test_cli_what_if import CENSORED, HOSTILE, STOPPED, row


@pytest.mark.sampled(1)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_runs_nothing_asks_for_nothing_and_fits_a_phone(browser: Any, tmp_path: Path, scheme: str) -> None:
    names = ("run_id", "source", "intent", "tenant", "why", "at")
    hostile = row(Result.DIFFERENT, 9_000, **dict.fromkeys(names, HOSTILE * 3), more=(HOSTILE,), fewer=("x" * 3_000,))
    judged = [Verdict(HOSTILE, met=True, not_judged=1)]
    file = tmp_path / "page.html"
    file.write_text(page([hostile, STOPPED, CENSORED, row()], {"instructions": HOSTILE}, judged), encoding="utf-8")
    context = browser.new_context(color_scheme=scheme, viewport={"width": 320, "height": 640})
    tab, seen = context.new_page(), list[str]()
    tab.on("request", lambda request: seen.append(request.url))
    tab.on("console", lambda message: seen.append(message.text))
    tab.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss()))

    tab.goto(file.as_uri())
    for summary in tab.query_selector_all("summary"):
        summary.click()

    assert seen == [file.as_uri()]
    assert tab.evaluate("document.documentElement.scrollWidth") == 320
    assert tab.evaluate("document.querySelectorAll('script, img, link, iframe').length") == 0
    assert tab.evaluate("document.querySelectorAll('svg').length") == 3
    # On a phone no column is beyond the edge: each number stands beside its name.
    assert tab.evaluate("[...document.querySelectorAll('td')].every(one => one.scrollWidth <= 320)")
    beside = "one => one.dataset.of && getComputedStyle(one).display !== 'table-cell'"
    assert tab.evaluate(f"[...document.querySelectorAll('td')].every({beside})")
    assert HOSTILE[:20] in tab.inner_text("body")
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}[scheme]
    context.close()
