"""The command as people use it: in separate processes, in two terminals, interrupted."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.publish import published
from cli import main
from cli.escalation_files import EscalationFiles, WaitingEscalation
from cli.saved_runs import SavedRuns
from localcloud.scenarios import find
from tests.support.published import masked
from tests.support.sampling import dealt, sampled
from tests.support.timelines import timeline

ROOT = Path(__file__).resolve().parents[2]
SOON_S = 600.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path))
    monkeypatch.delenv("BALLAST_MODEL", raising=False)
    return tmp_path


@pytest.fixture
def ballast(home: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start the command in a process of its own, with its files in ``home``."""
    started = []

    def start(*words: str) -> "subprocess.Popen[str]":
        path = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "ballast")])
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", *words],
            env=os.environ | {"PYTHONPATH": path, "BALLAST_HOME": str(home), "COLUMNS": "80"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def until(there: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    """Wait until ``there`` is true; fail at once where the process ends before."""
    deadline = time.monotonic() + SOON_S
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def words(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def test_the_first_demo_shows_an_answered_run_and_keeps_it(
    ballast: Callable[..., "subprocess.Popen[str]"], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = ballast("demo")

    printed, complaints = demo.communicate(timeout=SOON_S)

    run_id = find("happy-path").request.run_id
    assert (demo.returncode, complaints) == (0, "")
    assert f"{run_id}  ANSWERED by agent" in printed
    assert "\x1b" not in printed
    assert "_aws" not in printed
    _, *shown = masked(published("make demo").output)  # the first line says that there is more before it
    assert words(masked(printed)).endswith(words(shown))  # a terminal's lines are wrapped, a pipe's are not
    assert len(shown) >= 8
    assert main(["trace", run_id[:10]]) == 0
    assert f"{run_id}  ANSWERED by agent" in capsys.readouterr().out


def test_an_escalation_is_answered_from_another_terminal(
    ballast: Callable[..., "subprocess.Popen[str]"], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = find("escalation")
    request = home / "request.json"
    request.write_text(scenario.request.model_dump_json(exclude_none=True))
    run = ballast("run", str(request), "--model", str(scenario.script), "--wait")
    waiting: list[WaitingEscalation] = []
    until(lambda: waiting.extend(EscalationFiles(home).waiting()) or waiting, run)
    escalation_id = waiting[0].escalation_id

    assert main(["answer"]) == 0
    assert escalation_id in capsys.readouterr().out
    assert main(["answer", "--approve"]) == 2
    assert "--approve: which escalation?" in capsys.readouterr().err
    assert main(["answer", escalation_id, "--say", "I answer myself."]) == 8  # this user asked for the run
    assert "asked for this run and decides nothing about it" in capsys.readouterr().err
    assert main(["answer", escalation_id, "--approve"]) == 2
    assert "no decision was proposed" in capsys.readouterr().err
    assert main(["answer", escalation_id, "--say", "x", "--by", "y" * 5_000]) == 2
    assert "by: String should have at most" in capsys.readouterr().err
    assert main(["answer", escalation_id[:8], "--say", "We send a new one.", "--by", "Dana"]) == 0
    assert f"Accepted: {escalation_id}" in capsys.readouterr().out

    printed, _ = run.communicate(timeout=SOON_S)
    assert run.returncode == 0
    assert f'ballast answer {escalation_id} --by NAME --say "' in printed
    assert "ANSWERED by human" in printed
    assert "Dana, a person, answered" in printed
    assert main(["answer", escalation_id, "--say", "Again."]) == 5


@pytest.mark.deep
def test_a_scenario_can_be_answered_by_hand(ballast: Callable[..., "subprocess.Popen[str]"], home: Path) -> None:
    demo = ballast("demo", "approval", "--by-hand")
    waiting: list[WaitingEscalation] = []
    until(lambda: waiting.extend(EscalationFiles(home).waiting()) or waiting, demo)

    assert main(["answer", waiting[0].escalation_id, "--reject", "--comment", "No parcel came."]) == 0

    printed, _ = demo.communicate(timeout=SOON_S)
    assert "DENIED  A person rejected it. No parcel came." in printed
    assert demo.returncode == 0


@pytest.mark.parametrize("by", sampled([signal.SIGINT, signal.SIGTERM, signal.SIGHUP], [signal.SIGTERM]))
def test_an_interrupted_run_is_closed_in_its_log_and_leaves_no_traceback(
    ballast: Callable[..., "subprocess.Popen[str]"], home: Path, by: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    if signal.getsignal(by) is signal.SIG_IGN:
        pytest.skip(f"whoever started the tests has {by.name} ignored, as nohup does")
    script = home / "hangs.yaml"
    script.write_text("turns: [{hang_s: 600}]")
    run = ballast("run", "--text", "Hello?", "--request-id", "r-1", "--model", str(script))
    assert run.stdout is not None
    for line in run.stdout:
        if "asks the model" in line:
            break

    run.send_signal(by)
    printed, complaints = run.communicate(timeout=SOON_S)

    assert (run.returncode, complaints) == (130, "\nInterrupted.\n")
    [saved] = SavedRuns(home).recent()
    assert f"Its log so far is saved: ballast trace {saved.run_id}" in printed
    assert timeline(saved.events).status == "aborted"
    assert not saved.cut_off
    assert timeline(saved.events).turns[0].attempts[0].state == "open"
    assert main(["trace"]) == 0
    assert f"{saved.run_id}  ABORTED" in capsys.readouterr().out
    assert main(["verify", saved.run_id]) == 0


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("scenario", "words"), dealt(["escalation", "approval"], [(), ("--no-wait",)]))
def test_without_a_terminal_nobody_is_waited_for(
    home: Path, scenario: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    found = find(scenario)
    request = home / "request.json"
    request.write_text(found.request.model_dump_json(exclude_none=True))

    code = main(["run", str(request), "--model", str(found.script), *words])

    printed, complaints = capsys.readouterr()
    assert (code, complaints) == (4, "")
    assert "The run asks a person (" in printed
    assert "Use --wait to answer it" in printed
    [saved] = SavedRuns(home).recent()
    assert timeline(saved.events).status == "aborted"
    assert EscalationFiles(home).waiting() == []


@pytest.mark.deep
def test_with_a_terminal_a_person_is_waited_for_unless_one_says_no_wait(home: Path) -> None:
    import pty

    found = find("escalation")
    request = home / "request.json"
    request.write_text(found.request.model_dump_json(exclude_none=True))
    path = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "ballast")])
    ours, theirs = pty.openpty()
    environ = os.environ | {"PYTHONPATH": path, "BALLAST_HOME": str(home), "COLUMNS": "80"}
    words = [sys.executable, "-m", "cli", "run", str(request), "--model", str(found.script)]
    with subprocess.Popen(words, env=environ, stdout=theirs, stderr=subprocess.DEVNULL) as run:
        os.close(theirs)
        reading = threading.Thread(target=read_all, args=(ours,), daemon=True)
        reading.start()
        try:
            deadline = time.monotonic() + SOON_S
            while not (waiting := EscalationFiles(home).waiting()):
                assert run.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert main(["answer", waiting[0].escalation_id, "--say", "We send a new one.", "--by", "Dana"]) == 0
            assert run.wait(SOON_S) == 0
        finally:
            run.kill()


def read_all(terminal: int) -> None:
    """Take what is written to a terminal, until it is closed."""
    with contextlib.suppress(OSError):
        while os.read(terminal, 65_536):
            pass


def test_a_model_that_does_not_answer_is_found_before_anything_is_started(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--text", "Hi", "--model", "http://127.0.0.1:9/v1#llama"]) == 2

    printed = capsys.readouterr()
    assert "the model does not answer" in printed.err
    assert "Is the server running?" in printed.err
    assert "Deploying" not in printed.out
    assert SavedRuns(home).recent() == []


def test_a_request_that_is_not_admitted_ends_with_3_and_says_what_there_is(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = str(find("loop").script)

    assert main(["run", "--text", "Hi", "--intent", "no-such", "--model", script]) == 3

    assert "intent 'no-such' is not in the playbook" in capsys.readouterr().out
    assert main(["trace", "--json"]) == 0
    assert [run["status"] for run in json.loads(capsys.readouterr().out)] == ["refused"]
