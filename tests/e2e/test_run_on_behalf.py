"""``ballast run`` with the requester's token in a variable."""

import shutil
from pathlib import Path

import pytest

from cli import main
from localcloud.cloud import ROOT
from tests.support.remote_desk import KEY, Desk, declare, desk_server, tools

TOKEN = "t0k3n.of.mine"
SCRIPT = """\
turns:
  - say: I open a ticket.
    call:
      - {tool: desk_create, arguments: {text: no power}}
  - say: There is a ticket.
"""


def test_the_token_reaches_the_server_and_no_file_and_no_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    playbook = tmp_path / "layer" / "itdesk"
    ours = ROOT / "tests" / "workflow" / "playbook"
    shutil.copytree(ours, playbook, ignore=shutil.ignore_patterns("__pycache__"))
    script, home = tmp_path / "script.yaml", tmp_path / "home"
    script.write_text(SCRIPT)
    monkeypatch.setenv("BALLAST_HOME", str(home))
    monkeypatch.setenv("DESK_TOKEN", TOKEN)
    words = ["run", "--text", "No power: no power.", "--model", str(script), "--playbook", str(playbook), "--full"]

    with Desk() as desk:
        desk.lets_in = {f"Bearer {TOKEN}"}
        server = desk_server(url=desk.url, credential={"kind": "requester", "name": "desk"})
        declare(playbook, "desk", server, tools(KEY))
        refused = main([*words, "--on-behalf-of-env", "crm=DESK_TOKEN"])
        why = capsys.readouterr().err
        code = main([*words, "--on-behalf-of-env", "DESK_TOKEN"])
        printed = capsys.readouterr()

    assert (refused, code) == (2, 0), printed
    assert "It may name: desk" in why
    assert [one["headers"]["Authorization"] for one in desk.seen] == [f"Bearer {TOKEN}"]
    assert "on behalf of 123456789012:user/ballast-operator/you (desk)" in " ".join(printed.out.split())
    saved = [file.read_text() for file in home.rglob("*") if file.is_file()]
    assert saved
    assert all(TOKEN not in text for text in (*saved, printed.out, printed.err))
