"""A real browser on the console. Without one, these tests are skipped, and say so; CONSOLE_BROWSER=required fails them.

A page load costs half a second of a processor, so most tests share one tab, as a person would: they
go from screen to screen by the address. Who needs a tab of their own says ``fresh=True``.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.e2e.console.canned import NOW, night
from tests.e2e.console.fake_api import FakeApi

ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
PHONE, DESKTOP = {"width": 320, "height": 640}, {"width": 1280, "height": 900}
#: Nothing is measured by it: a hundred times what a screen takes on an idle core.
TIMEOUT_MS = 300_000
#: A screen that asks for nothing and refreshes never.
NOWHERE = "#/escalations/-"
GO_TO = """(hash) => new Promise((there) => {
  if (location.hash === hash) { there(); return; }
  addEventListener("hashchange", there, { once: true });
  location.hash = hash;
})"""
WATCH = """window.violations = [];
addEventListener("securitypolicyviolation", (e) => violations.push(`${e.violatedDirective}: ${e.blockedURI}`));"""


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    named = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    path = next((found for name in named if name and (found := shutil.which(name))), None)
    if path is None:
        _missing("no chromium on PATH")
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS.split())
        yield started
        started.close()


def _missing(what: str) -> None:
    message = f"NO BROWSER: {what}; the console was NOT tested. apt-get install chromium, or set CHROMIUM to one."
    if os.environ.get("CONSOLE_BROWSER") == "required":
        pytest.fail(message)
    pytest.skip(message)


@dataclass
class Tabs:
    """Opens tabs on the console at ``url`` and notes what none may do: dialogs, errors, requests to elsewhere."""

    browser: Any
    url: str
    wrong: list[str] = field(default_factory=list)

    def open(self, hash_: str, viewport: dict[str, int], now: datetime | None = NOW) -> Any:
        page = self.browser.new_page(viewport=viewport, locale="en-GB", timezone_id="UTC")
        page.set_default_timeout(TIMEOUT_MS)
        if now is not None:
            page.clock.install(time=now)
        page.add_init_script(WATCH)
        page.on("dialog", self._dismiss)
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("popup", lambda popup: self.wrong.append(f"popup: {popup.url}"))
        page.on("request", self._heed)
        page.goto(f"{self.url}/console{hash_}")
        return page

    def _dismiss(self, dialog: Any) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _heed(self, request: Any) -> None:
        if not request.url.startswith(self.url):
            self.wrong.append(f"foreign: {request.url}")

    def complaints(self, page: Any) -> list[str]:
        """Return, and forget, what ``page`` did that no page may do."""
        found: list[str] = self.wrong + page.evaluate("violations.splice(0)")
        found += ["window.__pwned is set"] if page.evaluate("window.__pwned !== undefined") else []
        self.wrong.clear()
        return found


@pytest.fixture(scope="package")
def server() -> Iterator[FakeApi]:
    with FakeApi() as started:
        yield started


@pytest.fixture
def api(server: FakeApi) -> FakeApi:
    """Trouble at night; a test changes ``answers`` before it looks, or while it does."""
    server.answers, server.requests, server.raw, server.sent = night(), [], {}, []
    return server


@pytest.fixture(scope="package")
def shared(browser: Any, server: FakeApi) -> tuple[Tabs, Any]:
    tabs = Tabs(browser, server.url)
    return tabs, tabs.open(NOWHERE, DESKTOP)


@pytest.fixture
def visit(api: FakeApi, shared: tuple[Tabs, Any]) -> Iterator[Callable[..., Any]]:
    """Return ``visit("#/runs/…", viewport=PHONE)``: a page with that screen, at NOW.

    Whatever the test does, no page may have broken its policy, asked for anything elsewhere or thrown an error.
    """
    tabs, tab = shared
    mine: list[Any] = []

    def visited(
        hash_: str = "#/", *, viewport: dict[str, int] = DESKTOP, loaded: bool = True, fresh: bool = False
    ) -> Any:
        if fresh:
            page = tabs.open(hash_, viewport)
            mine.append(page)
        else:
            page = tab
            page.set_viewport_size(viewport)
            page.clock.set_system_time(NOW)
            page.evaluate(GO_TO, NOWHERE)
            page.evaluate(GO_TO, hash_)
        if loaded:
            page.locator("#updated", has_text="updated 0").wait_for()
        return page

    yield visited
    tab.evaluate(GO_TO, NOWHERE)
    complaints = [complaint for page in (tab, *mine) for complaint in tabs.complaints(page)]
    for page in mine:
        page.close()
    assert complaints == []
