"""``ballast capture``: its tests fail on a defect and pass on the fix; and when it writes none."""

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.capture import DESK, TILL, Caught, Defect, caught, defects, seeded, typed
from cli.trial_runs import Trial, Trials, deployed, warm_up
from localcloud.capture.case import Case
from localcloud.capture.invariant import NOTHING
from localcloud.capture.reduce import Reduction
from localcloud.moto_seams import dynamodb
from localcloud.scenarios import find
from localcloud.scenarios.doubles import Double
from localcloud.sessions import ACCOUNT, REGION
from tests.support.sampling import sampled

ALL = {one.name: one for one in defects()}
#: One of a tool, in a run without answers of people. `python -m bench.capture` plays them all.
FEW = ("refund-compares",)
OPEN = {"status": None, "degraded": None, "reason": None, "refused": None, "failed": None}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def project(
    folder: Path,
    request: dict[str, Any],
    turns: list[dict[str, Any]],
    edit: Callable[[Path], None] = lambda _till: None,
) -> tuple[Path, str]:
    """Make a project with a run in it; return its folder and the run's id. ``edit`` changes the playbook before."""
    shop = folder / "shop"
    shutil.copytree(DESK, shop / "till", ignore=shutil.ignore_patterns("__pycache__"))
    edit(shop / "till")
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
    assert said.startswith("request.text: looks like a value after a secret's word.")
    assert "Tr0ub4dor" not in said
    assert written(shop) == []


@pytest.mark.deep
def test_what_is_typed_is_judged_on_the_record_and_written_with_its_stand_ins(tmp_path: Path) -> None:
    email = "otto.berg@acme.com"
    shop, run_id = project(
        tmp_path,
        {"text": "Where do I write to?", "intent": "desk"},
        [{"say": f"Write to {email}, \u202eexe.txt"}],
        lambda till: replaced(till / "agent.yaml", "ground_answers: true", "ground_answers: false"),
    )

    def capture(*words: str) -> tuple[int, str]:
        return typed("capture", run_id, "--playbook", str(shop), "--no-shrink", "--name", "c", *words)

    code, said = capture("--expect", f"answer={email}")
    assert (code, "as expected, so there is no defect" in said) == (2, True)
    code, said = capture("--expect", "forbidden=x", "--description", "The password is hunter2!")
    assert (code, said.startswith("description: looks like")) == (1, True)
    code, said = capture("--expect", "forbidden=acme.com")
    assert (code, "a part of a sealed or personal value" in said) == (2, True)
    assert written(shop) == []

    code, said = capture("--expect", f"forbidden={email}", "--description", f"Leaks {email}")

    assert code == 0, said
    files = "".join((shop / "scenarios" / "c" / name).read_text() for name in ("scenario.yaml", "script.yaml"))
    assert email not in files
    assert "\u202e" not in files
    scenario = find("c", shop / "scenarios")
    assert scenario.expect.forbidden == ("person1@example.com",)
    assert scenario.description == "Leaks person1@example.com"


@pytest.mark.deep
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


@pytest.mark.deep
def test_a_name_that_is_taken_is_not_written_over(tmp_path: Path) -> None:
    shop, run_id = project(tmp_path, {"text": "Hi", "intent": "desk"}, [{"say": "Hello."}])

    code, said = typed("capture", run_id, "--playbook", str(shop), "--name", "live", "--invariant", "answer")

    assert code == 2
    assert "exists. Give another --name" in said


def replaced(file: Path, right: str, wrong: str) -> None:
    text = file.read_text()
    assert right in text
    file.write_text(text.replace(right, wrong))


@pytest.mark.deep
def test_a_defect_that_is_mended_already_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    shop, run_id = project(
        tmp_path,
        {"text": "Cancel O-1.", "intent": "desk"},
        [{"call": [{"tool": "cancel", "arguments": {"order_id": "O-1"}}]}, {"say": "No."}],
        lambda till: replaced(till / TILL, "^O-[0-9]{1,6}$", "^O-[0-9]{4,6}$"),
    )
    replaced(shop / "till" / TILL, "^O-[0-9]{4,6}$", "^O-[0-9]{1,6}$")

    code, said = typed("capture", run_id, "--playbook", str(shop), "--expect", "refused=none")

    assert code == 7, said
    assert "call 1: recorded cancel refused" in said
    assert "now cancel ok" in said
    assert "Is the defect mended already" in said
    assert written(shop) == []


def two_agents(till: Path) -> None:
    """Have another agent write notes; e-mail addresses are sealed, and wrongly refused."""
    replaced(
        till / "agent.yaml",
        "instructions: |",
        "tools: [price, stock, refund, cancel]\nhand_over_to: {notes: Anything to be written.}\n"
        "sensitive: {context: [email]}\ninstructions: |",
    )
    (till / "agents").mkdir()
    notes = yaml.safe_load((till / "agent.yaml").read_text())
    for name in ("name", "hand_over_to", "sensitive", "moves", "ground_answers", "answer_ids"):
        del notes[name]
    (till / "agents" / "notes.yaml").write_text(yaml.safe_dump(notes | {"tools": ["send_note"]}))
    wrong = 'to: Annotated[str, Sensitive] = Field(pattern="^[^@]+@[^@.]+$")'
    replaced(till / TILL, 'to: str = Field(pattern="^[^@]+@[^@]+$")', wrong)
    imports = "from typing import Annotated\n\nfrom ballast.playbook import Sensitive, "
    replaced(till / TILL, "from ballast.playbook import ", imports)


@pytest.mark.deep
def test_a_hand_over_and_a_sealed_value_are_captured_and_the_fix_passes(tmp_path: Path) -> None:
    email = "jane.roe@acme.com"
    shop, run_id = project(
        tmp_path,
        {"text": "Write to her.", "intent": "desk", "context": {"email": email, "channel": "shop"}},
        [
            {"call": [{"tool": "price", "arguments": {"article": "tent"}}]},
            {"call": [{"tool": "hand_over", "arguments": {"agent": "notes", "note": "Write to her."}}]},
            {"call": [{"tool": "send_note", "arguments": {"to": email, "text": "Hello."}}]},
            {"say": "No."},
        ],
        two_agents,
    )

    code, said = typed("capture", run_id, "--playbook", str(shop), "--expect", "refused=none", "--name", "caught")

    assert code == 0, said
    files = [(shop / "scenarios" / "caught" / name).read_text() for name in ("scenario.yaml", "script.yaml")]
    assert email not in "".join(files)
    calls = [call["tool"] for turn in yaml.safe_load(files[1])["turns"] for call in turn.get("call", ())]
    assert calls == ["hand_over", "send_note"]
    replaced(shop / "till" / TILL, "^[^@]+@[^@.]+$", "^[^@]+@[^@]+$")
    code, said = typed("test", str(shop), "caught")
    assert code == 0, said


LEE, KIM = ({"by": name, "approve": True} for name in ("Lee", "Kim"))
REFUND = {"call": [{"tool": "refund", "arguments": {"order_id": "O-1", "amount_usd": "300.00"}}]}


def test_a_case_has_its_sender_and_refused_answers_and_the_cloud_keeps_nothing_of_the_warm_up() -> None:
    def case(number: int, by: str, *people: dict[str, Any]) -> Case:
        request = {"request_id": f"r-{number}", "text": "Refund O-1.", "intent": "desk"}
        return Case(request, (REFUND, {"say": "Done with O-1."}), people, by=by)

    with deployed(DESK, {}, 1) as (cloud, model):
        player = Trials(cloud, model, DESK)
        warm_up(player, cloud)
        warmed = dynamodb.kept(REGION, *(table["TableName"] for table in dynamodb.deployed(ACCOUNT, REGION)))
        own = player.here(case(1, "Lee", {**LEE, "refused": True}, KIM), NOTHING)
        unsent = player.here(case(2, "", {**LEE, "refused": True}), NOTHING)
        refused = player.here(case(3, "Lee", LEE), NOTHING)

    assert not any("warm-up" in repr(items) for items in warmed.values())
    assert own.timeline is not None
    assert (own.timeline.status, own.timeline.requested_by, own.wrong) == ("answered", "Lee", ())
    assert "Lee was accepted, and should have been refused" in unsent.wrong[0]
    assert "people.0 (Lee) may not give it" in refused.problem


class Slow(Trials):
    """Plays nothing: the first try is quick, and Ctrl-C comes in the second."""

    def __init__(self) -> None:
        self.played: list[Case] = []

    def play(self, case: Case, expect: Any) -> Trial:
        self.played.append(case)
        return super().play(case, expect)

    def here(self, case: Case, expect: Any) -> Trial:
        if len(self.played) > 1:
            time.sleep(0.2)  # Python drops Ctrl-C while it is still forking
            os.kill(os.getppid(), signal.SIGINT)
            signal.pause()
        return Trial(None, problem=f"{len(case.steps)} steps in process {os.getpid()}")


def children() -> set[str]:
    """Return the processes that this one has started and that are there: a browser of another test may be one."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            if stat.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                found.add(stat.parent.name)
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the processes are looked for in /proc")
def test_ctrl_c_during_a_play_ends_the_copy_and_keeps_the_best_so_far() -> None:
    player, said, before = Slow(), [], children()

    def shows(case: Case) -> bool:
        said.append(player.play(case, {}).problem)
        return True

    steps = tuple({"say": str(at)} for at in range(8))
    reduction = Reduction(Case({"text": "Hi"}, steps), shows, most=100)

    assert len(reduction.run().steps) == 4
    assert reduction.is_cut_short
    assert len(player.played) == 2
    assert str(os.getpid()) not in said[0]
    assert children() <= before


def test_a_seeded_defect_is_gone_after_its_block(tmp_path: Path) -> None:
    shutil.copytree(DESK, tmp_path / "till")
    before = (tmp_path / "till" / TILL).read_text()
    one: Defect = ALL["refund-limit"]

    with seeded(one, tmp_path):
        assert (tmp_path / "till" / TILL).read_text() != before
    assert (tmp_path / "till" / TILL).read_text() == before


@pytest.mark.deep
def test_money_that_nobody_approved_is_red_on_the_defect_and_green_on_the_fix(tmp_path: Path) -> None:
    refunds = [
        {"call": [{"tool": "refund", "arguments": {"order_id": f"O-{at}", "amount_usd": "210.00"}}]} for at in (1, 2)
    ]
    approval = "    approval=Approval(if_=_large),\n"
    shop, run_id = project(
        tmp_path,
        {"text": "Refund 210.00 for O-1 or O-2.", "intent": "desk"},
        [{"call": [{"tool": "price", "arguments": {"article": "mat"}}]}, *refunds, {"say": "Done with O-1."}],
        lambda till: replaced(till / TILL, approval, ""),
    )

    code, said = typed("capture", run_id, "--playbook", str(shop), "--name", "c")
    assert (code, "no fix could make the test pass" in said, written(shop)) == (2, True, [])
    code, said = typed("capture", run_id, "--playbook", str(shop), "--name", "c", "--expect", "moved=210.00")

    assert code == 0, said
    replaced(shop / "till" / TILL, "    validate=_positive,\n", f"{approval}    validate=_positive,\n")
    code, said = typed("test", str(shop), "c")
    assert code == 0, said
    assert "note:" not in said


@pytest.mark.deep
def test_what_a_tool_wrote_is_red_on_the_defect_and_green_on_the_fix(tmp_path: Path) -> None:
    assert typed("new", "shop", "--into", str(tmp_path))[0] == 0
    shop = tmp_path / "shop"
    tool = shop / "shop" / "tools" / "suspend_account.py"
    replaced(tool, '"days": args.days}', '"days": args.days * 2}')
    _, said = typed("test", str(shop), "suspended", "--json")
    run_id = yaml.safe_load(said.rpartition("]")[0] + "]")[0]["run_id"]

    def capture(item: str) -> tuple[int, str]:
        return typed("capture", run_id, "--playbook", str(shop), "--name", "c", "--expect", f"store={item}")

    code, said = capture("{table: Accounts, key: {account_id: A-1001}, attributes: {days: 7}}")
    assert (code, "--expect store names the table Accounts, which is not in business.yaml" in said) == (2, True)
    code, said = capture("{table: AccountsTable, key: {id: A-1001}, attributes: {days: 7}}")
    assert (code, "AccountsTable has no such key as id" in said) == (2, True)
    code, said = capture("{table: AccountsTable, key: {account_id: A-1001}, attributes: {days: 7}}")

    assert code == 0, said
    assert "days expected 7, was 14" in said
    turns = yaml.safe_load((shop / "scenarios" / "c" / "script.yaml").read_text())["turns"]
    assert [call["tool"] for turn in turns for call in turn.get("call", ())] == ["suspend_account"]
    replaced(tool, '"days": args.days * 2}', '"days": args.days}')
    code, said = typed("test", str(shop), "c")
    assert code == 0, said
