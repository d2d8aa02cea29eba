"""``ballast up`` in this process: the API's contract, concurrent callers, and refused ones."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from localcloud.cloud import LocalCloud
from localcloud.deploy import STACK
from localcloud.gateway import Served
from tests.e2e.served import ask, served_cloud, waiting_run
from tests.support.sampling import examples

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def up() -> Iterator[tuple[LocalCloud, Served]]:
    with served_cloud() as opened:
        yield opened


def executions(cloud: LocalCloud) -> set[str]:
    machine = cloud.physical_id("AgentStateMachine")
    pages = cloud.session.client("stepfunctions").get_paginator("list_executions").paginate(stateMachineArn=machine)
    return {execution["name"] for page in pages for execution in page["executions"]}


#: Of each key four posts come at once.
KEYS = examples(10, 50)


def test_four_posts_at_once_of_each_key_start_a_run_for_each_key(up: tuple[LocalCloud, Served]) -> None:
    cloud, served = up
    before = executions(cloud)

    def post(number: int) -> tuple[int, Any]:
        key = f"burst-{number % KEYS}"
        return ask(served, "POST", "/runs", {"text": f"Hello {number % KEYS}."}, {"Idempotency-Key": key})

    with ThreadPoolExecutor(4 * KEYS) as callers:
        replies = list(callers.map(post, range(4 * KEYS)))

    assert {status for status, _ in replies} == {202}
    started = executions(cloud) - before
    assert len(started) == KEYS
    assert {run["run_id"] for _, run in replies} == started
    for run_id in started:
        cloud.wait(run_id, 600)
    statuses = {run_id: ask(served, "GET", f"/runs/{run_id}")[1]["status"] for run_id in started}
    # The clock is real: on a busy machine a run may pass its deadline and wait for people in vain.
    assert set(statuses.values()) <= {"answered", "refused", "unanswered"}, statuses
    assert "answered" in statuses.values()


def test_the_api_keeps_its_own_description(up: tuple[LocalCloud, Served]) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from schemathesis.specs.openapi import checks

    _cloud, served = up
    run = waiting_run(served)
    there = {"run_id": run["run_id"], "escalation_id": run["escalation_id"], "number": 1}
    schema = schemathesis.openapi.from_dict(json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8")))
    wanted = [
        schemathesis.checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
        checks.negative_data_rejection,
        checks.unsupported_method,
    ]
    tried: Counter[str] = Counter()

    def holds(case: Any) -> None:
        tried[case.operation.label] += 1
        if case.path_parameters and case.meta.generation.mode.is_positive and tried[case.operation.label] % 2:
            case.path_parameters = {name: there[name] for name in case.path_parameters}  # else it is mostly 404
        case.call_and_validate(base_url=served.url, checks=wanted, timeout=300)

    few = settings(
        max_examples=examples(1, 6), derandomize=True, deadline=None, database=None, suppress_health_check=HealthCheck
    )
    for operation in schema.get_all_operations():
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            few(given(case=operation.ok().as_strategy(generation_mode=mode))(holds))()

    assert len(tried) == sum(len(methods) for methods in schema.raw_schema["paths"].values())
    assert ask(served, "POST", "/breaker", {"mode": "normal"})[1]["mode"] == "normal"  # some of them stopped it


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Length": str(10 * 1024 * 1024 + 1)}, 413),
        ({"Content-Length": "-1"}, 400),
        ({"Transfer-Encoding": "chunked"}, 411),
        ({"X-Local-Tenant": "acme"}, 202),
    ],
)
def test_who_and_what_may_not_come_in(up: tuple[LocalCloud, Served], headers: dict[str, str], status: int) -> None:
    _cloud, served = up
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=300)
    body = b'{"text": "Hello."}'
    sent = {"Host": f"localhost:{served.port}", "Content-Length": str(len(body)), **headers}

    connection.putrequest("POST", "/runs", skip_host=True, skip_accept_encoding=True)
    for name, value in sent.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    reply = connection.getresponse()

    assert reply.status == status
    text = json.loads(reply.read())
    assert text["tenant"] == "default" if status == 202 else "message" in text
    connection.close()


@pytest.mark.sampled
@pytest.mark.parametrize("kind", ["application/json", "application/octet-stream", "text/plain"])
@pytest.mark.parametrize("megabytes", [1, 5, 6, 9, 11, 30])
def test_a_large_body_is_answered_413_while_it_is_sent(
    up: tuple[LocalCloud, Served], megabytes: int, kind: str
) -> None:
    """Who has not sent all of it hears the answer all the same, and the server goes on."""
    _cloud, served = up
    body = '"' + "x" * (megabytes * 1_000_000) + '"'

    status, _ = ask(served, "POST", "/runs", body, {"Content-Type": kind})

    assert status == 413
    assert ask(served, "GET", "/runs")[0] == 200


def test_with_a_tenant_a_foreign_run_does_not_exist(up: tuple[LocalCloud, Served]) -> None:
    from localcloud.gateway import serve
    from localcloud.gateway.identity import member_of

    cloud, served = up
    _, foreign = ask(served, "POST", "/runs", {"text": "Hello.", "tenant": "globex"})
    with serve(cloud, authorizer=member_of("acme", "ann", "tenant")) as acmes:
        assert ask(acmes, "GET", f"/runs/{foreign['run_id']}")[0] == 404
        assert ask(acmes, "POST", "/runs", {"text": "Hello.", "tenant": "globex"})[0] == 403
        status, own = ask(acmes, "POST", "/runs", {"text": "Hello."}, {"X-Local-Tenant": "globex"})

    assert (status, own["tenant"]) == (202, "acme")


def test_a_message_in_the_queue_becomes_a_run_that_the_api_shows(up: tuple[LocalCloud, Served]) -> None:
    cloud, served = up
    request = {"request_id": "by-message", "text": "Hello.", "tenant": "queue"}
    cloud.session.client("events").put_events(
        Entries=[{"Source": "ballast", "DetailType": "Run Requested", "Detail": json.dumps(request | {"stack": STACK})}]
    )

    until = time.monotonic() + 400
    while not (found := ask(served, "GET", "/runs?tenant=queue")[1]["runs"]):
        assert time.monotonic() < until, "the message started no run"
        time.sleep(0.1)
    assert [run["request_id"] for run in found] == ["by-message"]
