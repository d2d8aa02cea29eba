"""A cloud served on its own port, its tables in memory, and requests to it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localcloud.clock import WallClock
from localcloud.cloud import LocalCloud
from localcloud.converse.server import ConverseServer
from localcloud.converse.source import CallableModel, Reply, said
from localcloud.gateway import Served, serve
from localcloud.gateway.identity import operator
from tests.support.tables_in_memory import Tables

PLAYBOOK = Path(__file__).parents[1] / "workflow" / "playbook"


def model(request: Mapping[str, Any], model_id: str) -> Reply:
    """Echo what was asked; what it cannot do goes to people."""
    text = request["messages"][0]["content"][0]["text"]
    if text.startswith("Hard"):
        return said([{"text": "…"}], "guardrail_intervened", request)
    return said([{"text": f"You said: {text}"}], "end_turn", request)


@contextmanager
def served_cloud(playbook: Path = PLAYBOOK) -> Iterator[tuple[LocalCloud, Served]]:
    """Yield a cloud and where it is served."""
    with (
        ConverseServer(CallableModel(model)) as double,
        LocalCloud(playbook, double.url, clock=WallClock(sleep=lambda _: None), dynamodb=Tables()) as cloud,
        serve(cloud, authorizer=operator("ann")) as served,
    ):
        yield cloud, served


def ask(
    served: Served, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """Send a request; return its status and its body's JSON. A ``body`` that is no text becomes JSON."""
    text = body if body is None or isinstance(body, str) else json.dumps(body)
    sent = urllib.request.Request(
        served.url + path,
        method=method,
        data=None if text is None else text.encode(),
        headers={"Content-Type": "application/json", **(headers or {})},
    )
    try:
        with urllib.request.urlopen(sent, timeout=600) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as problem:
        return problem.code, json.loads(problem.read())


def waiting_run(served: Served) -> dict[str, Any]:
    """Start a run that asks a person, and return it once it waits."""
    _, run = ask(served, "POST", "/runs", {"text": "Hard."})
    until = time.monotonic() + 600
    while run["status"] != "waiting":
        assert time.monotonic() < until, run
        time.sleep(0.05)
        _, run = ask(served, "GET", f"/runs/{run['run_id']}")
    return dict(run)
