"""Hostile text in the log is shown as text: it runs nothing, fetches nothing and does not break the page.

Every page's own check (see ``visit``) fails on a dialog, an error, a foreign request or a policy violation.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from functions.front.files import console_file
from tests.e2e.console.canned import LOG, esc_id, event, logged, night, run, run_id
from tests.e2e.console.conftest import PHONE

CONSOLE = Path(__file__).parents[3] / "functions" / "front" / "console"
RUN, APPROVAL = f"/runs/{run_id('w')}", f"/escalations/{esc_id('b')}"
SCREENS = ["#/", f"#{RUN}", f"#{APPROVAL}", f"#/escalations/{esc_id('e')}"]
HOSTILE = {
    "script": "<script>window.__pwned = 1; alert(1)</script>",
    "handler": "<img src=x onerror='window.__pwned = 1'><svg onload=alert(1)>\"' onfocus=alert(1) autofocus x='",
    "link": "javascript:window.__pwned=1//<a href='javascript:alert(1)'>click</a>",
    "remote": "</div><link rel=stylesheet href=//evil.example/x.css><style>*{display:none}</style><iframe src=//evil>",
    "terminal": "\x1b[2J\x1b]0;owned\x07\x1b[31m\x00\x08\x7f",
    "bidi": "approve \u202e\u2066 reject \u2069 \u200b\ufeff\u00ad lone \ud800 surrogate \u2028 tag \U000e0041",
    "piled": "Z" + "\u0351" * 400,
    "long": "x" * 100_000,
    "proto": "__proto__",
}


def poisoned(value: Any, poison: str) -> Any:
    """Return JSON in which every text that may be anything is ``poison``; what the page steers by stays."""
    kept = {"status", "kind", "escalation_id", "run_id", "seq", "at", "opened_at", "answer_by", "next", "to", "from"}
    if isinstance(value, dict):
        return {name: item if name in kept else poisoned(item, poison) for name, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item, poison) for item in value]
    return poison if isinstance(value, str) else value


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", [name for name in HOSTILE if name not in ("long", "piled")])
def test_hostile_text_is_shown_as_text_on_every_screen(visit: Any, api: Any, name: str) -> None:
    api.answers = poisoned(night(), HOSTILE[name])

    for screen in SCREENS:
        page = visit(screen, viewport=PHONE)
        expect(page.locator("main .untrusted").first).to_be_visible()

        assert (
            page.evaluate(
                "document.querySelectorAll('main script, main img, main svg:not(.plot), main iframe, main style')"
                ".length"
            )
            == 0
        )
        drawn = page.evaluate("[...new Set([...document.querySelectorAll('main svg *')].map((node) => node.tagName))]")
        assert set(drawn) <= {"title", "desc", "rect", "line"}
        hrefs = page.evaluate("[...document.querySelectorAll('a')].map((link) => link.getAttribute('href'))")
        assert [href for href in hrefs if not href.startswith("#/")] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert (
            page.evaluate(
                "/[\\u0000-\\u0009\\u000b-\\u001f\\u007f\\u200b\\u202a-\\u202e\\u2066-\\u2069]/.test(document.body.innerText)"
            )
            is False
        )


def test_what_steers_a_reader_is_made_visible(visit: Any, api: Any) -> None:
    api.answers = poisoned(night(), HOSTILE["bidi"])

    page = visit(f"#{APPROVAL}")

    shown = page.get_by_role("region", name="Summary").inner_text()
    for escaped in ("\\u202e", "\\u2066", "\\u200b", "\\ufeff", "\\xad", "\\ud800", "\\u2028", "\\U000e0041"):
        assert escaped in shown


@pytest.mark.sampled(1)
@pytest.mark.parametrize("name", ["long", "piled"])
def test_text_without_end_neither_widens_the_page_nor_buries_it(visit: Any, api: Any, name: str) -> None:
    api.answers = poisoned(night(), HOSTILE[name])

    for screen in (SCREENS[0], SCREENS[1]):
        page = visit(screen, viewport=PHONE)

        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("document.body.innerText.length") < 60_000


def test_all_of_a_huge_text_is_shown_on_demand(visit: Any, api: Any) -> None:
    api.answers[f"GET {RUN}"] = run("w", "answered", answer=HOSTILE["long"])
    page = visit(f"#{RUN}", viewport=PHONE)

    page.get_by_role("button", name="Show all (99,500 more characters)").click()

    assert len(page.locator(".run-head .answer").inner_text()) > 100_000
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


BROKEN: dict[str, Any] = {
    "empty": {},
    "nulls": {"runs": None, "escalations": None, "events": None, "next": None},
    "wrong types": {
        "runs": [None, 7, "x", [], {}],
        "escalations": [None, {"escalation_id": {}}],
        "events": [None, 3, {"seq": 4}],
    },
    "turns of wrong types": {
        "turns": [
            None,
            3,
            {"turn": "1"},
            {"turn": 1, "planner": [], "attempts": "x", "calls": {}, "escalation": 7, "decided": [], "pivot": "x"},
            {
                "turn": 2,
                "spent_microusd": "1",
                "attempts": [5, {"prompt": [None, {"text": {}}], "completion": 3, "passed_over": {"a": {}}}],
                "calls": [None, {"approvals": [7, {"given": 3, "why": {}}], "signal": 5, "undoes": {}, "doubts": [1]}],
                "unreadable": [3],
                "unknown": [{}],
            },
        ],
        "next": "more",
        "ceilings": 3,
        "corrected": {"charged_microusd": "x"},
    },
    "wrong ids": {"runs": [{"run_id": "../escalations"}], "escalations": [{"escalation_id": "javascript:alert(1)"}]},
    "pollution": {
        "__proto__": {"hidden": True},
        "runs": [{"run_id": "run-x", "status": "constructor", "by": {"a": 1}}],
    },
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", BROKEN)
def test_answers_of_any_shape_are_survived(visit: Any, api: Any, name: str) -> None:
    api.answers = dict.fromkeys(night(), BROKEN[name])

    for screen in SCREENS[:3]:
        page = visit(screen)

        expect(page.locator("header.bar")).to_be_visible()
        expect(page.locator("#trouble")).to_be_hidden()


def test_an_answer_that_is_no_json_object_is_a_failed_refresh(visit: Any, api: Any) -> None:
    for body in (b"", b"<html>", b"[1]", b"null", b'{"runs":'):
        api.answers = dict.fromkeys(night(), body)

        page = visit(loaded=False)

        expect(page.locator("#trouble")).to_contain_text("not a JSON object")


def test_entries_of_unknown_kinds_and_half_written_ones_are_shown_as_they_are(visit: Any, api: Any) -> None:
    strange = [
        event("0001.moon.landed", 3, note="one small step"),
        event("0001.call.7.settled", 3, status="constructor", result=[[["deep"]]]),
        event("0001.call.8.intended", 3, tool="only_intended", arguments="no object"),
        {"seq": "nonsense", "at": None, "body": {"note": "no key of ours"}},
        {"body": "not an object"},
        event("0003.model.2.responded", 9, message={"content": [7, {"video": {}}, {"text": 5}]}, decision="answer"),
        event("0007.escalation.opened", 69, kind="question", summary="Which order?"),
        event("9999.run.announced", 99),
    ]
    api.answers |= logged("w", [*LOG, *strange])

    page = visit(f"#{RUN}")

    expect(page.locator(".other", has_text="0001.moon.landed")).to_be_visible()
    expect(page.locator(".unread", has_text="nonsense")).to_be_visible()
    expect(page.get_by_role("region", name=re.compile("Call 7.*UNKNOWN"))).to_be_visible()
    expect(page.get_by_text("Which order?")).to_be_visible()
    page.get_by_role("button", name="Read the raw events").click()
    for seq in ("0001.moon.landed", "nonsense", "without a key"):
        page.locator("summary", has_text=seq).click()
    expect(page.get_by_text("one small step")).to_be_visible()
    expect(page.get_by_text("no key of ours")).to_be_visible()


def test_an_address_that_somebody_else_wrote_asks_for_nothing_odd(visit: Any, api: Any) -> None:
    for hash_ in ("#/runs/..", "#/runs/%2e%2e", "#/escalations/<b>x", "#/runs/../escalations", "#/nonsense/\u202e"):
        visit(hash_).locator("main > *").wait_for()

    asked = {request.path for request in api.requests}

    assert asked <= {"/runs", "/escalations", "/activity", "/budget"}


def test_no_file_of_the_console_makes_markup_or_code_from_text() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setTimeout\(\s*[\"'`]|srcdoc|"
        r"createContextualFragment|DOMParser|\.style\b|https?://"
    )

    names = [file.name for file in CONSOLE.glob("*.js")] + ["reasons.js"]
    found = {name: forbidden.findall(console_file(name)[1]) for name in names}

    assert len(found) > 8
    assert {name: hits for name, hits in found.items() if hits} == {}


def test_the_page_itself_has_no_inline_code_and_loads_from_its_own_origin_only() -> None:
    page = (CONSOLE / "index.html").read_text()

    sources = re.findall(r'(?:src|href)="([^"]*)"', page)

    assert re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", page) is None
    assert [source for source in sources if not source.startswith(("/console/", "#/", "data:,"))] == []
    assert "require-trusted-types-for 'script'" in page
    assert all(console_file(source.removeprefix("/console/")) for source in sources if source.startswith("/console/"))
