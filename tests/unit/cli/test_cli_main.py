"""The command as a whole: help, exit codes and output."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from ballast.log.event import Event
from ballast.log.events import ApprovalAnswered, CallIntended, CallRefused, CallSettled, LeaseExtended
from cli import _take_own_playbook, main
from cli.exits import Exit, exit_of
from cli.help_texts import exit_codes
from cli.local_stack import deploying
from cli.parser import parser
from cli.progress import progress
from cli.saved_runs import SavedRuns
from localcloud.scenarios import find, names

RUN = "run-" + "a" * 24
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path))
    monkeypatch.delenv("BALLAST_MODEL", raising=False)
    return tmp_path


def saved(home: Path, run_id: str = RUN) -> None:
    opened = Event(run_id=run_id, seq="0000.run.opened", at="2025-06-01T03:00:00+00:00", body={"request": {}})
    SavedRuns(home).save(run_id, "demo happy-path", [opened])


@pytest.mark.parametrize("command", ["demo", "run", "trace", "why", "answer"])
def test_each_command_teaches_by_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])

    printed = capsys.readouterr().out
    assert stopped.value.code == 0
    assert printed.count(f"  ballast {command}") >= 2
    assert "exit codes:" in printed


@pytest.mark.parametrize(
    ("command", "has", "has_not"),
    [
        ("certify", "  1    something that is needed is broken", "  6 "),
        ("test", "  1    a scenario did not end as expected", "  3 "),
        ("verify", "  7    no log is known to be changed", "  8 "),
        ("replay", "  6    a run differs", "  8 "),
        ("what-if", "  7    no run was concluded", "  8 "),
        ("capture", "  7    the test does not go wrong here", "  6 "),
        ("eval", "  1    the gate does not open", "  6 "),
        ("answer", "  8    somebody else must answer", "  3 "),
        ("run", "  3    the run was refused", "  6 "),
        ("check", "  2    there is an error", "  5 "),
    ],
)
def test_a_command_says_its_own_exit_codes_alone(
    command: str, has: str, has_not: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])

    codes = capsys.readouterr().out.partition("exit codes:\n")[2]
    assert f"\n{has}" in f"\n{codes}"
    assert f"\n{has_not}" not in f"\n{codes}"


@pytest.mark.parametrize("source", sorted((ROOT / "cli" / "commands").glob("[a-z]*.py")), ids=lambda one: one.stem)
def test_each_exit_code_that_a_command_names_is_in_its_help(source: Path) -> None:
    command = source.stem.rstrip("_").replace("_", "-")

    named = {int(Exit[name]) for name in re.findall(r"Exit\.([A-Z_]+)", source.read_text(encoding="utf-8"))}

    assert {code for code in named if f"\n  {code:<4} " not in exit_codes(command)} == set()


def project(folder: Path) -> Path:
    package = folder / "somedesk"
    shutil.copytree(ROOT / "scaffold" / "newdesk", package)
    text = (package / "agent.yaml").read_text()
    (package / "agent.yaml").write_text(text.replace("name: newdesk", "name: somedesk"))
    return folder


def test_in_a_project_s_folder_its_playbook_is_taken_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project(tmp_path / "mine"))

    assert main(["models"]) == 0

    printed, said = capsys.readouterr()
    assert "nova-pro" not in printed  # the support desk's cheaper model
    assert said == "The playbook is mine/somedesk, of this folder; --playbook PATH chooses another.\n"

    assert main(["models", "--playbook", str(ROOT / "layers" / "playbook")]) == 0
    printed, said = capsys.readouterr()
    assert ("nova-pro" in printed, said) == (True, "")


@pytest.mark.parametrize("place", ["", "somedesk"])
def test_a_package_beside_the_playbook_is_imported_as_in_lambda(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, package = project(tmp_path / "mine"), f"beside_{place or 'all'}"
    (mine / package).mkdir()
    (mine / package / "words.py").write_text("WORD = 1\n")
    (mine / "somedesk" / "tools" / "uses.py").write_text(f"from {package}.words import WORD\n")
    monkeypatch.chdir(tmp_path)
    before = [*sys.path]

    main(["check", str(Path("mine", place))])

    assert "cannot be imported" not in capsys.readouterr().out
    assert f"{package}.words" in sys.modules
    assert sys.path == before


@pytest.mark.parametrize("stack", [[], ["--stack", "ballast-dev"]])
@pytest.mark.parametrize(
    ("typed", "option"),
    [
        (["replay", "run-a"], "playbook"),
        (["why", "run-a"], "playbook"),
        (["what-if", "run-a", "--playbook", "new"], "baseline"),
    ],
)
def test_records_are_played_with_the_playbook_of_the_folder_and_elsewhere_the_desk_is_named(
    stack: list[str],
    typed: list[str],
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = (project(tmp_path / "mine"), ".", "mine/somedesk, of this folder")
    for folder, takes, named in (own, (tmp_path, None, "the support desk")):
        monkeypatch.chdir(folder)
        found = parser().parse_args([*stack, *typed])
        _take_own_playbook(found)
        assert getattr(found, option) == takes
        assert capsys.readouterr().err == f"The playbook is {named}; --{option} PATH chooses another.\n"


def test_elsewhere_the_support_desk_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["models"]) == 0

    printed, said = capsys.readouterr()
    assert ("nova-pro" in printed, said) == (True, "")
    assert deploying(None) == "Deploying template.yaml with the support desk into a local cloud …"
    assert "the playbook somedesk" in deploying(project(tmp_path / "mine"))


def test_no_project_is_made_in_the_platform_s_repository_unless_one_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT / "docs")

    assert main(["new", "straydesk"]) == 2

    assert "ballast new straydesk --into " in capsys.readouterr().err
    assert not (ROOT / "docs" / "straydesk").exists()
    monkeypatch.chdir(tmp_path)
    assert main(["new", "straydesk"]) == 0
    assert (tmp_path / "straydesk" / "business.yaml").is_file()


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["trace", "run-zzz"], 2, "starts with 'run-zzz'"),
        (["why", "run-zzz"], 2, "starts with 'run-zzz'"),
        (["trace", "--full"], 2, "--full goes with a RUN"),
        (["demo", "no-such"], 2, "There is no scenario 'no-such'. The scenarios are: happy-path"),
        (["demo", "all", "--by-hand"], 2, "--by-hand goes with one scenario"),
        (["run", "--text", "Hi"], 2, "no model was chosen"),
        (["run", "--text", "Hi", "--model", "no-such.yaml"], 2, "no-such.yaml: no such file"),
        (["answer", "esc-1", "--say", "x"], 5, "No process waits for an answer to 'esc-1'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_on_stderr_and_a_code(
    words: list[str], code: int, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == code

    printed = capsys.readouterr()
    assert complaint in printed.err
    assert "Traceback" not in printed.err


def test_a_saved_run_is_shown_and_listed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(home)

    assert main(["trace", "aaaa"]) == 0
    assert f"{RUN}  OPEN" in capsys.readouterr().out
    assert main(["trace"]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith(f"2025-06-01 03:00:00Z  {RUN}  OPEN")
    assert "demo happy-path" in listed


def test_json_is_json_for_one_run_and_for_the_list(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(home)

    main(["trace", RUN, "--json"])
    assert json.loads(capsys.readouterr().out)["run_id"] == RUN
    main(["trace", "--json"])
    assert [entry["title"] for entry in json.loads(capsys.readouterr().out)] == ["demo happy-path"]


def test_a_report_is_of_a_saved_run_by_the_start_of_its_id(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(home)

    assert main(["why", "aaaa"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{RUN}  OPEN\nAct: its log was changed")
    assert "the run has no ending: it still runs, or was cut" in printed
    assert f"  ballast trace {RUN} --full\n" in printed
    assert main(["why", "aaaa", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["version"], report["run_id"], report["status"]) == (1, RUN, "open")


def test_an_empty_journal_and_mailbox_say_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace"]) == 0
    assert "`ballast demo` makes one" in capsys.readouterr().out
    assert main(["answer"]) == 0
    assert "Nothing waits for an answer" in capsys.readouterr().out


def test_the_list_of_scenarios_has_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--list"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == names()
    assert lines[0].endswith(find("happy-path").description)


def test_an_interrupted_command_ends_with_130_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(self: SavedRuns, most: int = 20) -> list[object]:
        raise KeyboardInterrupt

    monkeypatch.setattr(SavedRuns, "recent", interrupted)

    assert main(["trace"]) == 130
    assert capsys.readouterr().err == "\nInterrupted.\n"


@pytest.mark.parametrize(
    ("status", "code"),
    [("answered", 0), ("refused", 3), ("unanswered", 4), ("failed", 4), ("aborted", 4), ("timed_out", 4), ("open", 4)],
)
def test_every_ending_of_a_run_has_its_exit_code(status: str, code: int) -> None:
    assert exit_of(status) == code


def entry(seq: str, **body: object) -> Event:
    return Event(run_id=RUN, seq=seq, at="2025-06-01T03:00:00+00:00", body=body)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (entry("0001.model.requested", reserved_microusd=9_000), "turn 1    agent asks the model, reserving $0.009"),
        (entry("0001.model.failed", exit_reason="model_throttled"), "model failed: the provider throttled the model"),
        (entry(CallRefused.key(2, 1), tool="x", error="UnknownTool", message="No."), "x REFUSED: UnknownTool: No."),
        (entry(CallSettled.key(2, 1), tool="x", status="ok", latency_ms=7), "turn 2    x ok in 7 ms"),
        (entry(CallSettled.key(2, 1), tool="x", status="denied", message="No."), "x denied: No."),
        (entry(CallIntended.key(2, 1), tool="x", effect="write"), "x allowed (write)"),
        (entry(ApprovalAnswered.key(2, 1), approve=False, by="Lee"), "rejected by Lee"),
        (entry("0003.escalation.opened", escalation_id="esc-1", reason="no_fallback"), "escalated: no fallback serves"),
        (
            entry("0003.plan.decided", planner="rollback", decision={"kind": "answer", "text": "Done."}),
            "rollback answers",
        ),
        (entry("9999.run.ended", status="answered", by="agent", spent_microusd=5), "answered by agent, $0.000005"),
        (entry(LeaseExtended.key(3), microusd=50_000), "turn 3    $0.05 more leased"),
        (entry(LeaseExtended.key(3), microusd=0), "turn 3    no more budget leased"),
        (entry("0003.call.1.something_new"), "call.something_new"),
        (entry("0001.model.failed", exit_reason="\x1b[2J"), r"\x1b[2J"),
        (entry(CallRefused.key(2, 1), tool="x", error="E", message="why " * 50), "why why …"),
    ],
)
def test_each_entry_of_the_log_is_one_line_of_progress(event: Event, line: str) -> None:
    shown = progress(event)

    assert shown is not None
    assert line in shown[0]
    assert "\n" not in shown[0]
    assert len(shown[0]) <= 80


@pytest.mark.parametrize(
    "event",
    [entry(CallIntended.key(2, 1), tool="x", effect="read"), entry("9999.run.announced", event_id="evt-1")],
)
def test_what_is_no_news_gets_no_line(event: Event) -> None:
    assert progress(event) is None
