"""Page tokens reveal nothing of other tenants, and work for their own caller and query only."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from tests.functions.http import OPERATOR, Reply, ask, event, token
from tests.functions.people.test_api import ANSWER
from tests.functions.stack import Stack

_SECONDS = count(1)
_IDS = re.compile(r"(?:run|esc)-[a-z2-7]{16,24}")


def role(tenant: str) -> str:
    return f"arn:aws:iam::123456789012:user/ballast-reviewer-{tenant}/rae"


#: By way to say who one is.
CALLERS: Mapping[str, Any] = {"token": token, "role": role}


@dataclass(frozen=True)
class Paged:
    """A paged route: the function, the path, the query that makes it paged, and other queries."""

    function: str
    path: str
    query: Mapping[str, str]
    others: tuple[Mapping[str, str], ...]


NOON = "2026-01-01T12:00:00Z"
LISTS = {
    "runs": Paged("api", "/runs", {}, ({"status": "running"}, {"status": "answered"}, {"since": NOON})),
    "running runs": Paged("api", "/runs", {"status": "running"}, ({}, {"status": "waiting"})),
    "ended runs": Paged("api", "/runs", {"status": "unanswered"}, ({}, {"status": "failed"}, {"since": NOON})),
    "runs since": Paged("api", "/runs", {"since": NOON}, ({}, {"since": "2026-01-02T12:00:00Z"}, {"until": NOON})),
    "open escalations": Paged("people", "/escalations", {}, ({"status": "answered"},)),
    "answered escalations": Paged("people", "/escalations", {"status": "answered"}, ({"status": "open"},)),
}


def get(stack: Stack, paged: Paged, who: Any, **more: str) -> Reply:
    return ask(stack, paged.function, event("GET", paged.path, who=who, query={**paged.query, **more}))


def read(text: str) -> str:
    """Return what a token says to whoever looks into it."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()


@dataclass(frozen=True)
class Two:
    """Two tenants, and the ids of what is theirs."""

    ours: str
    theirs: str
    our_ids: set[str]
    their_ids: set[str]


@pytest.fixture
def made(stack: Stack, two: Two) -> Two:
    """Runs and escalations of the two tenants, one after the other, of every kind; made once."""
    stack.cloud.fill(lambda: fill(stack, two), "run-log", "budgets", "escalations")
    stack.clock.advance(3600)
    return two


@pytest.fixture(scope="module")
def two() -> Two:
    return Two("acme-1", "globex-1", set(), set())


def fill(stack: Stack, two: Two) -> None:
    ids = {two.ours: two.our_ids, two.theirs: two.their_ids}
    for index in range(8):
        for tenant in (two.theirs, two.ours, two.theirs):
            stack.clock.advance(next(_SECONDS))
            run_id = stack.open(tenant=tenant)
            ids[tenant].add(run_id)
            if index % 4 == 0:
                continue
            if index % 4 == 1:
                stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "unanswered"})
                continue
            task = {"run_id": run_id, "turn": 1, "kind": "escalation", "reason": "guidance", "timeout_s": 900_000}
            escalation_id = stack.invoke("open", task | {"task_token": "t" * 20})["escalation_id"]
            ids[tenant].add(escalation_id)
            if index % 4 == 2:
                # No execution waits behind it; the table has the answer all the same.
                ask(stack, "people", event("POST", f"/escalations/{escalation_id}", who=OPERATOR, body=ANSWER))


@pytest.mark.parametrize("way", CALLERS)
@pytest.mark.parametrize("name", LISTS)
def test_a_token_names_nothing_of_another_tenant(stack: Stack, made: Two, way: str, name: str) -> None:
    paged, tokens, found = LISTS[name], [], set()
    query: dict[str, str] = {"limit": "1"}
    for _ in range(60):
        page = get(stack, paged, CALLERS[way](made.ours), **query).body
        found |= set(_IDS.findall(json.dumps(page["runs" if "runs" in page else "escalations"])))
        if page["next"] is None:
            break
        tokens.append(page["next"])
        query["next"] = page["next"]

    assert found
    assert tokens
    foreign = made.their_ids
    for text in tokens:
        said = read(text)
        assert set(_IDS.findall(said)) <= made.our_ids
        assert not any(one in text + said for one in (*foreign, made.theirs))
    assert not found & foreign


@pytest.mark.parametrize("way", CALLERS)
@pytest.mark.parametrize("name", LISTS)
def test_a_token_is_nobody_elses_and_no_other_querys(stack: Stack, made: Two, way: str, name: str) -> None:
    paged, ours = LISTS[name], CALLERS[way](made.ours)
    page = get(stack, paged, ours, limit="1").body["next"]
    of_operator = get(stack, paged, OPERATOR, limit="1", **_as(paged, "default")).body["next"]

    assert get(stack, paged, ours, next=page).status == 200
    for who in (CALLERS[way](made.theirs), OPERATOR):
        reply = get(stack, paged, who, next=page)
        assert (reply.status, reply.wrong) == (422, {"next"})
        assert not made.our_ids & set(_IDS.findall(reply.text))
    for other in paged.others:
        asked = Paged(paged.function, paged.path, other, ())
        assert get(stack, asked, ours, next=page).status == 422
    if of_operator is not None:
        assert get(stack, paged, ours, next=of_operator).status == 422
    for other_list in LISTS.values():
        if other_list.path != paged.path:
            assert get(stack, other_list, ours, next=page).status == 422


def _as(paged: Paged, tenant: str) -> dict[str, str]:
    return {"tenant": tenant} if paged.path == "/runs" else {}


@pytest.mark.parametrize("name", LISTS)
def test_a_forged_token_finds_out_nothing_of_others(stack: Stack, made: Two, name: str) -> None:
    paged, ours = LISTS[name], token(made.ours)
    held = json.loads(read(get(stack, paged, ours, limit="1").body["next"]))
    (part,) = held["key"].keys() & {"run_id", "escalation_id"}
    kind = part[:3]
    there = sorted(one for one in made.their_ids if one.startswith(kind))

    def begun_at(foreign: str) -> Any:
        forged = held | {"key": held["key"] | {part: foreign}}
        reply = get(stack, paged, ours, next=base64.urlsafe_b64encode(json.dumps(forged).encode()).decode())
        assert reply.status == 200
        assert not made.their_ids & set(_IDS.findall(reply.text))
        return reply.body

    for foreign in there[:4]:
        beside = foreign[:-1] + ("b" if foreign.endswith("a") else "a")  # nobody's
        assert begun_at(foreign) == begun_at(beside)


def test_the_events_of_a_run_go_on_by_their_own_key(stack: Stack, made: Two) -> None:
    ours = next(one for one in sorted(made.our_ids) if one.startswith("run-"))
    theirs = next(one for one in sorted(made.their_ids) if one.startswith("run-"))

    def events(run_id: str, who: Any, **query: str) -> Reply:
        return ask(stack, "api", event("GET", f"/runs/{run_id}/events", who=who, query=query))

    after = events(ours, token(made.ours), limit="1").body["next"] or "0000.run.opened"
    assert after == "0000.run.opened"  # a key is a place in the log, and the same in every run
    assert events(ours, token(made.ours), after=after).status == 200
    for run_id in (theirs, "run-" + "7" * 24):
        reply = events(run_id, token(made.ours), after=after)
        assert (reply.status, json.loads(reply.text)["detail"]) == (404, "There is no run of that id here.")
