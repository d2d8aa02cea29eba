"""``ballast capture``: its tests fail on a defect and pass on the fix; and when it writes none."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.capture import DESK, TILL, Caught, Defect, caught, defects, seeded, typed
from localcloud.scenarios import find
from localcloud.scenarios.doubles import Double
from tests.support.sampling import sampled

ALL = {one.name: one for one in defects()}
#: One of a handler. `python -m bench.capture` plays them all.
FEW = ("gate-rule",)
OPEN = {"status": None, "degraded": None, "reason": None, "refused": None, "failed": None}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def project(folder: Path, request: dict[str, Any], turns: list[dict[str, Any]]) -> tuple[Path, str]:
    """Make a project with a run in it; return its folder and the run's id."""
    shop = folder / "shop"
    shutil.copytree(DESK, shop / "till", ignore=shutil.ignore_patterns("__pycache__"))
    live = shop / "scenarios" / "live"
    live.mkdir(parents=True)
    (live / "scenario.yaml").write_text(yaml.safe_dump({"description": "x", "request": request, "expect": OPEN}))
    (live / "script.yaml").write_text(yaml.safe_dump({"turns": turns}))
    _, said = typed("test", str(shop), "live", "--json")
    return shop, json.loads(said)[0]["run_id"]


def written(shop: Path) -> list[str]:
    return sorted(one.name for one in (shop / "scenarios").iterdir() if one.name != "live")


def test_there_are_fifty_defects_in_tools_rules_limits_fallbacks_and_handlers() -> None:
    assert len(ALL) >= 50
    assert {"", "agent.yaml", "fallbacks/desk.py", "tools/till.py"} == {one.file for one in ALL.values()}


@pytest.mark.parametrize("name", sampled(tuple(ALL), FEW))
def test_a_captured_test_fails_on_the_defect_and_passes_on_the_fix(name: str, tmp_path: Path) -> None:
    found: Caught = caught(ALL[name], tmp_path, fully=True)

    assert found.is_caught, found.said
    assert found.after <= found.before


def test_what_looks_like_a_secret_is_refused_with_its_place_and_nothing_is_written(tmp_path: Path) -> None:
    text = "Cancel O-9. My password is Tr0ub4dor&3."
    shop, run_id = project(
        tmp_path,
        {"text": text, "intent": "desk"},
        [{"call": [{"tool": "cancel", "arguments": {"order_id": "O-9"}}]}, {"say": "No."}],
    )

    code, said = typed("capture", run_id, "--playbook", str(shop), "--invariant", "failed")

    assert code == 1
    assert "request.text: looks like a secret beside the word password." in said
    assert "Tr0ub4dor" not in said
    assert written(shop) == []


def test_a_call_that_ends_otherwise_here_gets_a_double(tmp_path: Path) -> None:
    shop, run_id = project(
        tmp_path,
        {"text": "Cancel O-9.", "intent": "desk"},
        [{"call": [{"tool": "cancel", "arguments": {"order_id": "O-9"}}]}, {"say": "It is done, O-9."}],
    )
    file = shop / "till" / TILL
    file.write_text(file.read_text().replace('"O-3")', '"O-3", "O-9")'))
    code, said = typed("capture", run_id, "--playbook", str(shop), "--expect", "refused=none")
    assert code == 2
    assert "as expected, so there is no defect" in said

    # A double would hide the mended code, so one is taken only where the tools' own code shows no defect.
    code, said = typed("capture", run_id, "--playbook", str(shop), "--expect", "failed=none")
    assert code == 0, said
    (name,) = written(shop)
    scenario = find(name, shop / "scenarios")
    assert scenario.tools == (Double(tool="cancel", arguments={"order_id": "O-9"}, fails="O-9 is not open."),)


def test_a_name_that_is_taken_is_not_written_over(tmp_path: Path) -> None:
    shop, run_id = project(tmp_path, {"text": "Hi", "intent": "desk"}, [{"say": "Hello."}])

    code, said = typed("capture", run_id, "--playbook", str(shop), "--name", "live", "--invariant", "answer")

    assert code == 2
    assert "exists. Give another --name" in said


def test_a_seeded_defect_is_gone_after_its_block(tmp_path: Path) -> None:
    shutil.copytree(DESK, tmp_path / "till")
    before = (tmp_path / "till" / TILL).read_text()
    one: Defect = ALL["refund-limit"]

    with seeded(one, tmp_path):
        assert (tmp_path / "till" / TILL).read_text() != before
    assert (tmp_path / "till" / TILL).read_text() == before
