"""``ballast certify`` of tools from elsewhere, against stand-ins that do what real servers do."""

import shutil
from pathlib import Path

import pytest

from ballast.playbook import load_playbook
from cli.certify.report import summed_up
from cli.certify.run import certify
from localcloud.cloud import ROOT
from localcloud.scenarios import find, folder_of

_DECLARED = """\
    key: {header: Idempotency-Key}
    verify: {tool: idp_findResets, arguments: {key: {key: true}}, found: /items/0}
"""
#: Its own lookup has a patience of its own, and the second request for an account finds it gone.
_TAKE = """\
        socket.create_connection(self.server.server_address, timeout=45).close()
        key, account_id = body["account_id"], body["account_id"]
        if key in RESETS:
            return self._answer(404, {"error": "gone"})
"""


@pytest.fixture
def once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the IT desk whose server resets an account once, and knows no key."""
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path / "home"))
    project = tmp_path / "itdesk"
    shutil.copytree(ROOT / "examples" / "itdesk", project, ignore=shutil.ignore_patterns("__pycache__"))
    declared, stand_ins = project / "itdesk" / "servers" / "idp.yaml", project / "scenarios" / "stand_ins.py"
    text, code = declared.read_text(encoding="utf-8"), stand_ins.read_text(encoding="utf-8")
    taken = '        key, account_id = self.headers["Idempotency-Key"], body["account_id"]\n'
    assert _DECLARED in text
    assert taken in code
    declared.write_text(text.replace(_DECLARED, "    idempotent: true\n"), encoding="utf-8")
    code = code.replace(taken, _TAKE).replace("import threading\n", "import socket\nimport threading\n")
    stand_ins.write_text(code, encoding="utf-8")
    return project


@pytest.mark.deep
def test_a_repetition_that_is_refused_is_judged_by_its_effects_and_no_stand_ins_patience_is_the_tools(
    once: Path,
) -> None:
    found = summed_up(
        certify(load_playbook(once), [find("password", folder_of(once))], folder=once, say=lambda _: None).findings
    )

    of_reset = {one.rule: one for one in found if one.of == "idp_resetPassword"}
    assert {rule: one.seen for rule, one in of_reset.items() if one.state == "broken" or one.needed} == {}
    held = {rule for rule, one in of_reset.items() if one.state == "held"}
    assert {"key", "sent", "interrupted", "process", "later", "between", "keys", "timeout", "overlap"} <= held
    assert "ToolFailed POST /resets answered 404" in of_reset["key"].seen
    assert "a person decides" in of_reset["key"].seen
