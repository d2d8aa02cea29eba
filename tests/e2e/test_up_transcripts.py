"""The transcripts of docs/http.md and docs/mcp-server.md match the replies of ``ballast up``."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

from cli.local_stack import SMALL_STORE, local_stack
from localcloud.clock import WallClock
from localcloud.converse import model_source
from localcloud.gateway import serve
from localcloud.gateway.identity import operator
from tests.e2e.transcripts import Known, Transcript, transcripts

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "localcloud" / "scenarios" / "approval" / "script.yaml"


def replay(url: str, written: Transcript, known: Known) -> None:
    """Send what is written and compare what comes back."""
    sent = None if written.sent is None else written.sent.encode()
    headers = written.headers | ({"Content-Type": "application/json"} if sent else {})
    request = urllib.request.Request(url + known.filled(written.path), sent, headers, method=written.method)
    try:
        reply = urllib.request.urlopen(request, timeout=600)
    except urllib.error.HTTPError as problem:
        reply = problem
    with reply:
        where = f"{written.method} {written.path}"
        came = json.loads(reply.read())
        known.check(written.status, str(reply.status), f"{where}: {came}")
        known.check(written.replied, {name.lower(): value for name, value in reply.headers.items()}, where)
        known.check(written.body, came, where)


def test_the_transcripts_are_what_comes_back() -> None:
    written = [one for page in ("http.md", "mcp-server.md") for one in transcripts(ROOT / "docs" / page)]
    known = Known()

    with (
        local_stack(model_source(str(SCRIPT)), size=SMALL_STORE, clock=WallClock(sleep=lambda _: None)) as cloud,
        serve(cloud, authorizer=operator("ann")) as served,
    ):
        for one in written:
            replay(served.url, one, known)

    assert len(written) >= 10
    assert {"run", "escalation", "asked_run"} <= known.values.keys()
