"""``ballast up`` and ``run`` refuse wrong options before they deploy, and make no requests while idle."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from cli import main
from cli.commands.up import up
from cli.exits import Exit
from cli.parser import parser
from cli.saved_runs import SavedRuns
from tests.e2e.test_up_command import APPROVAL, HAPPY, REFUND, ROOT, post
from tests.support.timelines import timeline


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path))
    monkeypatch.delenv("BALLAST_MODEL", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--parameter", "TenantHourUsd=abc"], "--parameter: TenantHourUsd=abc: does not fit"),
        (["--parameter", "Stage=test"], "may be dev, staging, prod"),
        (["--parameter", "RunRetentionDays=1"], "must be 41 or more"),
        (["--parameter", "RunRetentionDays=41.5"], "a whole number of days"),
        (["--parameter", "TenantHourUsd=1e400"], "written like 99.50"),
        (["--parameter", "IamTenantPattern=(?P<tenant>[z-a])"], "bad character range z-a"),
        (["--parameter", "AuthMode=JWT"], "AuthMode JWT needs JwtIssuer"),
        (["--parameter", "TenantRuns=1", "--parameter", "TenantRuns=2"], "is given twice"),
        (["--playbook", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--port", "TAKEN"], "cannot be used on 127.0.0.1"),
        (["--aws-port", "TAKEN"], "--aws-port"),
        (["--host", "example.com"], "--host"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_deployed(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        typed = [word.replace("TAKEN", str(taken.getsockname()[1])) for word in words]

        assert main(["up", *(() if "--port" in words else ("--port", "0")), "--model", HAPPY, *typed]) == Exit.USAGE

    printed = capsys.readouterr()
    assert named in printed.err
    assert "Deploying" not in printed.out


def test_run_refuses_a_parameter_before_anything_is_deployed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--text", "Hi", "--model", HAPPY, "--parameter", "AccountRuns=-1"]) == Exit.USAGE

    printed = capsys.readouterr()
    assert "must be 0 or more" in printed.err
    assert "Deploying" not in printed.out


def test_a_playbook_that_seeds_wrongly_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loud = shutil.copytree(ROOT / "tests" / "e2e" / "loud", tmp_path / "seeded", ignore=shutil.ignore_patterns("__py*"))
    (loud / "store.py").write_text("def seed_store(client, environ, **_):\n    environ['ACCOUNTS_TABLE']\n")

    assert main(["run", "--text", "Hi", "--model", HAPPY, "--playbook", str(loud)]) == Exit.USAGE

    assert "seed_store of its store failed: KeyError: 'ACCOUNTS_TABLE'" in capsys.readouterr().err


@pytest.mark.deep
def test_what_is_served_and_idle_makes_no_request_and_keeps_nothing_of_what_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from moto.core.botocore_stubber import BotocoreStubber

    typed = parser().parse_args(["up", "--port", "0", "--model", APPROVAL])
    asked: list[str] = []
    before = BotocoreStubber.process_request

    def counted(self: Any, request: Any) -> Any:
        asked.append(request.url)
        return before(self, request)

    monkeypatch.setattr(BotocoreStubber, "process_request", counted)
    shown: list[str] = []
    quiet: list[int] = []

    def pause(_seconds: float) -> None:
        """Start a run that waits for a person; once it does, look how many requests are made."""
        shown.append(capsys.readouterr().out)
        if len(shown) == 1:
            url = re.search(r"http://127\.0\.0\.1:\d+", shown[0])
            assert url
            post(f"{url[0]}/runs", REFUND)
        time.sleep(0.02)
        if "waits for a person" in "".join(shown):
            quiet.append(len(asked))
        if len(quiet) > 100:
            raise KeyboardInterrupt

    assert up(typed, pause=pause) == Exit.OK

    # What the last function did may still be under way at first.
    assert quiet[-1] == quiet[40], asked[quiet[40] : quiet[-1]]
    [saved] = SavedRuns(Path(os.environ["BALLAST_HOME"])).recent()
    assert timeline(saved.events).status == "aborted"
