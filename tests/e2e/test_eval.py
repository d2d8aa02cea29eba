"""``ballast eval`` through the real machine: a flaky model, recorded runs, several processes, and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cli import main
from cli.saved_runs import SavedRuns
from localcloud.cloud import ROOT
from localcloud.eval.results import read
from localcloud.scenarios.scenario import FOLDER


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def flaky() -> Iterator[tuple[str, list[bool]]]:
    """An OpenAI-compatible model that answers wrongly now and then, by a fixed seed; and what it answered."""
    random, right = Random(11), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hello = asked["messages"][-1]["content"] == "Say OK."
            good = hello or random.random() < 0.5
            if not hello:
                right.append(good)
            text = "OK" if hello else "We are open on Monday." if good else "We guarantee nothing."
            message = {"role": "assistant", "content": text}
            usage = {"prompt_tokens": 900, "completion_tokens": 9, "total_tokens": 909}
            body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1#flaky", right
    server.shutdown()
    server.server_close()
    thread.join()


def scenario(folder: Path, name: str, expect: str, script: str = "turns: [{say: Hello}]") -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "scenario.yaml").write_text(
        f"description: x\nrequest: {{text: 'When are you open?'}}\nexpect: {{status: answered, by: agent, {expect}}}\n"
    )
    (folder / name / "script.yaml").write_text(script)


def evaluated(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["eval", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_flaky_model_passes_as_often_as_it_was_right(
    flaky: tuple[str, list[bool]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, right = flaky
    scenario(tmp_path / "set", "open", "answer: [Monday], forbidden: [we guarantee], grounded: true")

    words = (str(tmp_path / "set"), "--playbook", "layers/playbook/playbook", "--model", spec, "--samples", "2")
    code, made = evaluated(*words, "--min-case", "0.9", capsys=capsys)

    (case,) = made["models"][0]["cases"]
    assert sorted(right) == [False, True]
    assert (case["passed"], case["failed"], case["errors"]) == (1, 1, 0)
    assert code == 1
    low, high = case["interval"]
    assert low <= 0.5 <= high  # its true rate
    wrong = {said for one in case["samples"] for said in one["wrong"]}
    assert wrong == {
        "answer: expected 'Monday' in it, was 'We guarantee nothing.'",
        "forbidden: 'we guarantee' is in the answer: 'We guarantee nothing.'",
    }
    assert len({one["run_id"] for one in case["samples"]}) == 2
    assert all(one["cost_microusd"] > 0 for one in case["samples"])


@pytest.mark.deep
def test_a_made_up_amount_fails_also_where_the_playbook_would_send_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "turns: [{say: It costs 4711.50 USD.}]"
    assert main(["new", "evaldesk", "--into", str(tmp_path)]) == 0
    scenario(tmp_path / "evaldesk" / "scenarios", "grounded", "grounded: true", script)
    agent = tmp_path / "evaldesk" / "evaldesk" / "agent.yaml"

    # Where the playbook forbids it, a person is asked: that is what the agent did, and not an error.
    _, refused = evaluated(str(tmp_path / "evaldesk"), "grounded", capsys=capsys)
    agent.write_text(agent.read_text().replace("ground_answers: true", "ground_answers: false"))
    _, sent = evaluated(str(tmp_path / "evaldesk"), "grounded", capsys=capsys)

    (asked,), (told,) = (one["models"][0]["cases"][0]["samples"] for one in (refused, sent))
    assert (asked["ended"], asked["error"]) == ("asks a person", "")
    assert "The run asks for a person" in asked["wrong"][0]
    assert [said.split(" of the answer")[0] for said in told["wrong"]] == ["grounded: the amount 4711.50 usd"]


@pytest.mark.deep
def test_a_run_that_people_call_wrong_must_not_end_so_again_and_a_right_one_must(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "approval"]) == 0
    (saved,) = SavedRuns(home).recent()

    code, made = evaluated("--run", saved.run_id, capsys=capsys)
    (first,) = made["models"][0]["cases"]
    assert (code, first["case"]) == (0, saved.run_id)

    assert main(["feedback", saved.run_id, "wrong", "--by", "rae", "--note", "Another order was meant."]) == 0
    assert main(["feedback", saved.run_id, "wrong", "--by", "rae", "--note", "Another order was meant."]) == 0
    assert [(one.verdict, one.by) for one in SavedRuns(home).find(saved.run_id).events.feedback] == [("wrong", "rae")]
    code, made = evaluated("--feedback", "wrong", "--since", "1h", capsys=capsys)
    (case,) = made["models"][0]["cases"]
    assert (code, case["failed"]) == (1, 1)
    assert case["samples"][0]["wrong"] == ["unlike: it ended in the same way again (status, by, effects)"]
    assert SavedRuns(home).find(saved.run_id).title == "demo approval"  # the record is not replaced
    run_ids = {one["samples"][0]["run_id"] for one in (first, case)}
    assert {SavedRuns(home).find(one).title for one in run_ids} == {f"eval {saved.run_id}"}
    assert len(run_ids) == 2  # nor the run of an earlier eval
    assert main(["eval", "--feedback", "right"]) == 2
    assert main(["feedback", saved.run_id, "right", "--by", "rae"]) == 0
    assert [one.verdict for one in SavedRuns(home).find(saved.run_id).events.feedback] == ["right"]
    assert main(["eval", "--feedback", "wrong"]) == 2
    assert main(["feedback", saved.run_id, "right", "--note", "x" * 2_001]) == 2


def processes_of(parent: int) -> list[int]:
    """Return the ids of the processes of a command that still run."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, above = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(above) == parent and state != "Z":
                found.append(int(folder.name))
    return found


@pytest.mark.deep
def test_two_processes_play_and_ctrl_c_leaves_a_result_and_no_process(home: Path, tmp_path: Path) -> None:
    saved = tmp_path / "b.json"
    command = [sys.executable, "-m", "cli", "eval", str(FOLDER), "happy-path", "loop", "--workers", "2"]
    begun = subprocess.Popen(
        [*command, "--samples", "20", "--save", str(saved)],
        cwd=ROOT,
        env={**os.environ, "BALLAST_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert begun.stdout is not None
    first = begun.stdout.readline()
    children = processes_of(begun.pid)
    begun.send_signal(signal.SIGINT)
    told, complaint = begun.communicate(timeout=60)

    assert first.strip().startswith("1 of 40")
    assert len(children) >= 2
    assert begun.returncode == 130, complaint
    assert "Interrupted: this is what was known by then." in told
    assert read(saved).stopped == "interrupted"
    assert sum(one.passed for one in read(saved).models[0].cases) >= 1
    assert not [one for one in children if Path(f"/proc/{one}").exists() and one in processes_of(1)]
