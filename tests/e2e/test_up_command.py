"""``ballast up`` and ``ballast --stack`` in this process. A local cloud stands in for the deployed stack."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import InvalidInput
from cli import main
from cli.commands.escalations import list_and_watch
from cli.commands.up import up
from cli.deployed_stack import DeployedCloud, on_stack
from cli.escalation_files import EscalationFiles
from cli.escalations import open_escalations
from cli.exits import Exit
from cli.parser import parser
from cli.saved_runs import SavedRuns
from cli.screen import Screen
from localcloud.cloud import FunctionError, LocalCloud
from localcloud.deploy import STACK
from localcloud.gateway import Served
from tests.e2e.served import PLAYBOOK, ask, served_cloud, waiting_run

ROOT = Path(__file__).resolve().parents[2]
HAPPY = str(ROOT / "localcloud" / "scenarios" / "happy-path" / "script.yaml")
APPROVAL = str(ROOT / "localcloud" / "scenarios" / "approval" / "script.yaml")
REFUND = {"text": "Torn.", "intent": "refund", "context": {"order_id": "O-1004", "customer_id": "C-1005"}}


def post(url: str, body: Any, by: str | None = None, **headers: str) -> Any:
    sent = {"Content-Type": "application/json", **headers}
    if by is not None:  # as curl -u does
        sent["Authorization"] = f"Basic {base64.b64encode(f'{by}:'.encode()).decode()}"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), sent), timeout=600) as reply:
        return json.loads(reply.read())


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path))
    monkeypatch.delenv("BALLAST_MODEL", raising=False)
    return tmp_path


def test_up_serves_until_ctrl_c_and_keeps_the_logs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = parser().parse_args(["up", "--port", "0", "--model", HAPPY, "--tenant", "acme"])
    shown, replies, urls = [], [], []
    saved = SavedRuns(home)

    def say(verdict: str, note: str) -> None:
        said = {"verdict": verdict, "note": note}
        replies.append(post(f"{urls[0]}/runs/{replies[0]['run_id']}/feedback", said))

    def pause(_seconds: float) -> None:
        """Ask once, as soon as it is served; say how it went when the ending was printed; Ctrl-C comes right after."""
        shown.append(capsys.readouterr().out)
        if not replies:
            url = re.search(r"http://127\.0\.0\.1:\d+", shown[0])
            assert url
            urls.append(url[0])
            body = {"text": "Cancel O-1002.", "context": {"order_id": "O-1002", "customer_id": "C-1001"}}
            replies.append(post(f"{url[0]}/runs", body, Prefer="wait=20"))
        elif len(replies) == 1 and any("answered by agent" in one for one in shown):
            say("wrong", "It is late.")
        elif len(replies) == 2 and saved.find(replies[0]["run_id"]).events.feedback:
            say("right", "It came.")
            raise KeyboardInterrupt

    assert up(typed, pause=pause) == Exit.OK

    said = [one.note for one in saved.find(replies[0]["run_id"]).events.feedback]
    assert said == ["It came."]  # the newest words of a person
    printed = "".join(shown) + capsys.readouterr().out
    assert replies[0]["tenant"] == "acme"
    assert printed.count("curl -s") == 4
    assert f"200 POST /runs  -> /runs/{replies[0]['run_id']}" in printed
    assert "Stopped." in printed
    assert main(["trace", replies[0]["run_id"]]) == Exit.OK


@pytest.mark.sampled(1)
@pytest.mark.parametrize("over_http", [True, False])
def test_a_question_is_answered_over_http_or_from_another_terminal(
    over_http: bool, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = parser().parse_args(["up", "--port", "0", "--model", APPROVAL])
    escalation_files, shown, answered = EscalationFiles(home), [], []

    def pause(_seconds: float) -> None:
        shown.append(capsys.readouterr().out)
        url = re.search(r"http://127\.0\.0\.1:\d+", shown[0])
        assert url
        if len(shown) == 1:
            post(f"{url[0]}/runs", REFUND)
        waiting = escalation_files.waiting()
        if waiting and not answered:
            answered.append(waiting[0].escalation_id)
            assert main(["escalations"]) == Exit.OK
            assert f"ballast answer {answered[0]} --by NAME --approve" in capsys.readouterr().out
            if over_http:
                with pytest.raises(urllib.error.HTTPError, match="403"):  # who asked for the run does not approve
                    post(f"{url[0]}/escalations/{answered[0]}", {"approve": True})
                post(f"{url[0]}/escalations/{answered[0]}", {"approve": True}, by="lee")
            else:
                escalation_files.send(answered[0], {"approve": True, "by": "Lee", "comment": ""})
        assert len(shown) < 20_000, shown
        if "answered by agent" in "".join(shown) and not waiting:
            raise KeyboardInterrupt
        time.sleep(0.05)

    assert up(typed, pause=pause) == Exit.OK

    assert len(answered) == 1
    assert main(["escalations"]) == Exit.OK
    assert "Nothing waits" in capsys.readouterr().out


@pytest.mark.deep
def test_ctrl_c_in_a_terminal_ends_it_at_once_with_what_still_ran_kept(home: Path) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "ballast")])
    words = [sys.executable, "-u", "-m", "cli", "up", "--port", "0", "--model", APPROVAL]
    environ = os.environ | {"PYTHONPATH": path, "BALLAST_HOME": str(home)}
    with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            lines = iter(process.stdout.readline, "")
            url = next(found[0] for line in lines if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
            run = post(f"{url}/runs", REFUND)
            next(line for line in lines if "waits for a person" in line)
            process.send_signal(signal.SIGINT)
            _, complaints = process.communicate(timeout=300)
        finally:
            process.kill()

    assert (process.returncode, complaints) == (0, "")
    assert (home / "runs" / f"{run['run_id']}.json").exists()


def test_new_escalations_are_shown_once_each(capsys: pytest.CaptureFixture[str]) -> None:
    looks = [[], [{"escalation_id": "esc-1"}], [{"escalation_id": "esc-1"}, {"escalation_id": "esc-2"}]]

    def pause(_seconds: float) -> None:
        if not looks:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list_and_watch(lambda: looks.pop(0), Screen(), watch=True, pause=pause)

    printed = capsys.readouterr().out
    assert (printed.count("ballast answer esc-1 --say"), printed.count("ballast answer esc-2 --say")) == (1, 1)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["up"], "--model"),
        (["up", "--model", HAPPY, "--host", "0.0.0.0"], "--host"),
        (["up", "--model", HAPPY, "--port", "70000"], "--port"),
        (["up", "--model", HAPPY, "--tenant", "a b"], "--tenant"),
        (["--stack", "x", "up", "--model", HAPPY], "--stack"),
        (["up", "--model", HAPPY, "--parameter", "TenantHour=1"], "--parameter"),
        (["redrive"], "--stack"),
    ],
)
def test_what_is_wrong_is_named(words: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == Exit.USAGE

    assert named in capsys.readouterr().err


class DeployedSession:
    """The local cloud's session as a user's; its Lambda invokes the handlers, which moto's does not."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud, self.region_name = cloud, cloud.session.region_name

    def client(self, service: str, **options: Any) -> Any:
        return self if service == "lambda" else self._cloud.session.client(service, **options)

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's
        try:
            return {"Payload": io.BytesIO(json.dumps(self._cloud.invoke(FunctionName, json.loads(Payload))).encode())}
        except FunctionError as problem:
            told = {"errorType": problem.name, "errorMessage": problem.message}
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(told).encode())}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalCloud, Served]]:
    playbook = shutil.copytree(PLAYBOOK, tmp_path_factory.mktemp("deployed") / "playbook")
    rules = (playbook / "agent.yaml").read_text(encoding="utf-8")
    patient = rules.replace("escalation_timeout_s: 8\n", "escalation_timeout_s: 3600\n")  # however busy the machine
    assert patient != rules
    (playbook / "agent.yaml").write_text(patient, encoding="utf-8")
    with served_cloud(playbook) as opened:
        yield opened


def on(cloud: LocalCloud, *words: str, stack: str = STACK) -> int:
    session: Any = DeployedSession(cloud)
    return on_stack(parser().parse_args(["--stack", stack, *words]), session)


@pytest.mark.deep
def test_a_run_on_the_stack_is_followed_to_its_end(
    deployed: tuple[LocalCloud, Served], capsys: pytest.CaptureFixture[str]
) -> None:
    cloud, _served = deployed

    assert on(cloud, "run", "--text", "Hello.", "--request-id", "on-stack") == Exit.OK

    printed = capsys.readouterr().out
    run_id = re.search(r"run-[a-z2-7]{24}", printed)
    assert run_id
    assert "ANSWERED by agent" in printed
    assert on(cloud, "trace", run_id[0], "--json") == Exit.OK
    assert json.loads(capsys.readouterr().out)["run_id"] == run_id[0]
    assert on(cloud, "why", run_id[0]) == Exit.OK
    assert re.search(rf"  ballast --stack \S+ trace {run_id[0]} --full\n", capsys.readouterr().out)
    with pytest.raises(InvalidInput, match="has no log of this run"):
        on(cloud, "why", "run-none")
    playbook = ("--playbook", cloud.environ("AgentFunction")["PLAYBOOK_DIR"])
    assert on(cloud, "replay", run_id[0], *playbook, "--json") == Exit.OK
    (replayed,) = json.loads(capsys.readouterr().out)["runs"]
    assert (replayed["run_id"], replayed["ending"], replayed["source"]) == (run_id[0], "same", STACK)
    assert replayed["checked"] == replayed["events"] > 3
    assert on(cloud, "replay", "--since", "1d", *playbook) == Exit.OK
    assert re.search(r"^1 runs, \d+ events in \d+ s: 1 same\.", capsys.readouterr().out, re.MULTILINE)
    with pytest.raises(InvalidInput, match=r"run-none: the stack has no log of this run"):
        on(cloud, "replay", "run-none")
    assert on(cloud, "feedback", run_id[0], "wrong", "--note", "Not so.", "--by", "ann") == Exit.OK
    assert "ann says that" in capsys.readouterr().out
    assert on(cloud, "eval", "--feedback", "wrong", "--since", "1d", "--list") == Exit.OK
    assert re.search(rf"{run_id[0]} +A recorded run that people call wrong\.", capsys.readouterr().out)
    with pytest.raises(InvalidInput, match=r"there is no run run-a{24}"):
        on(cloud, "feedback", "run-" + "a" * 24, "wrong")
    with pytest.raises(InvalidInput, match="There is no case"):
        on(cloud, "eval", "--feedback", "right", "--list")
    with pytest.raises(InvalidInput, match="--run, --feedback or --since"):
        on(cloud, "eval")


def test_a_budget_of_the_stack_is_set_and_holds_for_the_next_run(
    deployed: tuple[LocalCloud, Served], capsys: pytest.CaptureFixture[str]
) -> None:
    cloud, _served = deployed

    assert on(cloud, "budget", "thrifty", "--hour", "0.01") == Exit.OK

    assert "of $0.01 taken" in capsys.readouterr().out
    assert on(cloud, "run", "--text", "Hello.", "--tenant", "thrifty") == Exit.REFUSED
    assert "tenant's hour of 0.01" in capsys.readouterr().out


def test_an_escalation_of_the_stack_is_listed_and_answered(
    deployed: tuple[LocalCloud, Served], capsys: pytest.CaptureFixture[str]
) -> None:
    cloud, served = deployed
    run = waiting_run(served)
    escalation_id = run["escalation_id"]

    assert on(cloud, "escalations") == Exit.OK
    assert f"ballast answer {escalation_id} --say" in capsys.readouterr().out
    assert on(cloud, "answer", escalation_id[:12], "--say", "Easy.", "--by", "Lee") == Exit.OK

    cloud.wait(run["run_id"], 600)
    assert ask(served, "GET", f"/runs/{run['run_id']}")[1]["answer"] == "Easy."
    with pytest.raises(InvalidInput, match="matches 0 open escalations"):
        on(cloud, "answer", escalation_id, "--say", "Again.")


def test_a_stack_that_is_not_there_and_a_run_that_is_not_there(deployed: tuple[LocalCloud, Served]) -> None:
    cloud, _served = deployed

    with pytest.raises(InvalidInput, match="--stack nowhere"):
        on(cloud, "escalations", stack="nowhere")
    with pytest.raises(InvalidInput, match="has no log of this run"):
        on(cloud, "trace", "run-none")
    with pytest.raises(InvalidInput, match="--model"):
        on(cloud, "run", "--text", "Hello.", "--model", "x")
    with pytest.raises(InvalidInput, match="--seed"):
        on(cloud, "run", "--text", "Hello.", "--seed", "1")


def test_without_credentials_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    assert main(["--stack", "ballast-dev", "--region", "eu-west-1", "escalations"]) == Exit.USAGE
    assert "credentials" in capsys.readouterr().err
    assert main(["--stack", "ballast-dev", "--profile", "nobody", "escalations"]) == Exit.USAGE
    assert "nobody" in capsys.readouterr().err


def test_the_stacks_escalations_are_those_that_the_api_shows(
    deployed: tuple[LocalCloud, Served], capsys: pytest.CaptureFixture[str]
) -> None:
    cloud, served = deployed
    runs = {name: waiting_run(served) for name in ("waits", "aborted", "answered", "expired", "changed")}
    cloud.stop(runs["aborted"]["run_id"])
    cloud.wait(runs["aborted"]["run_id"], 600)
    reply = {"decision": {"kind": "answer", "text": "Easy."}}
    lee = {"Authorization": f"Basic {base64.b64encode(b'lee:').decode()}"}
    assert ask(served, "POST", f"/escalations/{runs['answered']['escalation_id']}", reply, lee)[0] == 200
    table, dynamodb = cloud.physical_id("EscalationsTable"), cloud.session.client("dynamodb")

    def change(name: str, attribute: str, value: dict[str, str]) -> None:
        dynamodb.update_item(
            TableName=table,
            Key={"escalation_id": {"S": runs[name]["escalation_id"]}},
            UpdateExpression="SET #a = :value",
            ExpressionAttributeNames={"#a": attribute},
            ExpressionAttributeValues={":value": value},
        )

    change("expired", "answer_by", {"S": "2020-01-01T00:00:00+00:00"})

    shown = ask(served, "GET", "/escalations?limit=50")[1]["escalations"]
    listing = open_escalations(DeployedCloud(DeployedSession(cloud), STACK))  # type: ignore[arg-type]

    assert [one["escalation_id"] for one in listing] == [one["escalation_id"] for one in shown]
    assert {runs["waits"]["escalation_id"], runs["changed"]["escalation_id"]} <= {one["escalation_id"] for one in shown}
    gone = {runs[name]["escalation_id"] for name in ("aborted", "answered", "expired")}
    assert not gone & {one["escalation_id"] for one in listing}
    for mine, theirs in zip(listing, shown, strict=True):
        assert theirs.items() <= mine.items()
        assert on(cloud, "escalations") == Exit.OK
        printed = capsys.readouterr().out
        assert f"tenant {theirs['tenant']}" in printed
        assert theirs["run_id"] in printed
