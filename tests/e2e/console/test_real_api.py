"""The console on `ballast up`: a run that only a person can answer, from the first screen to its end."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from ballast.contracts import RunRequest
from localcloud.clock import WallClock
from localcloud.cloud import LocalCloud
from localcloud.gateway.identity import CLAIMS, operator
from localcloud.gateway.server import serve
from tests.e2e.console.conftest import DESKTOP, PHONE, Tabs
from tests.e2e.served import ask


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    clock = WallClock(sleep=lambda _: None)
    with LocalCloud(model_endpoint_url="http://127.0.0.1:9", clock=clock, parameters=CLAIMS) as opened:
        yield opened


def test_a_person_finds_the_escalation_answers_it_and_sees_the_run_end(browser: Any, cloud: LocalCloud) -> None:
    # The model cannot be reached, so a person is asked.
    request = RunRequest(request_id="console-1", text="Where is <b>my tent</b>?")
    run_id = cloud.start(request)

    with serve(cloud, authorizer=operator("ann")) as server:
        tabs = Tabs(browser, server.url)
        page = tabs.open("#/", PHONE, now=None)
        page.get_by_role("link", name="Decide").click(timeout=200_000)
        expect(page.get_by_role("region", name="Summary")).to_contain_text("Where is <b>my tent</b>?")
        page.get_by_text("Answer the requester").click()
        page.get_by_label("Text for the requester").fill("In the harbour.")
        page.get_by_role("button", name="Answer …").click()
        page.get_by_role("button", name="Yes, answer").click()
        expect(page.get_by_text("Your answer was taken")).to_be_visible()
        expect(page.get_by_role("region", name="The answer")).to_contain_text(
            "by 123456789012:user/ballast-operator/ann"
        )
        assert cloud.wait(run_id, timeout_s=600).output["by"] == "human"
        page.goto(f"{server.url}/console?again#/runs/{run_id}")
        expect(page.get_by_role("heading", level=1)).to_have_text("answered, degraded by human")
        expect(page.locator(".run-head .answer")).to_have_text("In the harbour.")
        complaints = tabs.complaints(page)
        page.close()

    assert complaints == []


@pytest.mark.deep
def test_each_person_is_offered_what_they_may(browser: Any, cloud: LocalCloud) -> None:
    with serve(cloud, authorizer=operator("ann")) as server:
        mia = {"Authorization": "Bearer mia:member"}
        run_id = ask(server, "POST", "/runs", {"text": "Where is my tent?"}, mia)[1]["run_id"]
        tabs = Tabs(browser, server.url)
        page = tabs.open("#/", DESKTOP, now=None)
        offered = {}
        for who, label in (
            ("mia:member", "Waits for a reviewer"),
            ("rae:reviewer", "Decide"),
            ("ann:operator", "Decide"),
        ):
            page.evaluate("(token) => sessionStorage.setItem('ballast.token', token)", who)
            page.goto(f"{server.url}/console?{who}#/")
            page.get_by_role("link", name=label).click(timeout=200_000)
            expect(page.locator("#me")).to_contain_text(who.replace(":", " · "))
            expect(page.get_by_role("region", name="Summary")).to_be_visible()
            offered[who] = (
                page.get_by_text("Back to the agent").count(),
                page.get_by_text("You cannot answer this.").count(),
            )
            if who == "rae:reviewer":
                page.get_by_text("Back to the agent").first.click()
                expect(page.get_by_label("you may add up to $")).to_be_visible()
        ask(server, "POST", f"/runs/{run_id}/cancel", {}, mia)
        cloud.wait(run_id, timeout_s=600)
        complaints = tabs.complaints(page)
        page.close()

    assert (offered["mia:member"], complaints) == ((0, 1), [])
    assert [found[1] for found in offered.values()] == [1, 0, 0]
    assert min(offered["rae:reviewer"][0], offered["ann:operator"][0]) >= 1
