"""``GET /runs/{run_id}/why``: the report that ``ballast why`` prints, for callers who may see the run."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts.why import TurnDecision, Why
from ballast.http.paging import PAGE_BYTES
from ballast.why import explained
from cli import main
from cli.exits import Exit
from functions.front.runs import why_fitting
from tests.functions.cloud import STACK_NAME
from tests.functions.front.test_api_read import answered, get, waits
from tests.functions.front.test_corrupt import LAMBDA_BYTES, WAYS, corrupt
from tests.functions.http import ACME, GLOBEX, ask, event
from tests.functions.stack import Stack

pytestmark = pytest.mark.usefixtures("waiting_workflow")


def test_it_says_what_the_command_says(stack: Stack) -> None:
    for make in (answered, waits, Stack.open):
        run = stack.log.read(make(stack))

        said = get(stack, f"/runs/{run.run_id}/why")

        wanted = explained(run, run.timeline(), stack=STACK_NAME)
        assert (said.status, said.body) == (200, json.loads(wanted.to_json()))
        assert said.body["version"] == 1
        assert said.body["to_type"][-1]["command"].startswith(f"ballast --stack {STACK_NAME} trace ")


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_shell_takes_a_command_and_ballast_refuses_it_until_its_placeholders_are_filled_in(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = [one["command"] for one in get(stack, f"/runs/{waits(stack)}/why").body["to_type"]]

    free = [one for one in commands if "<" in one]
    assert free
    for command in commands:
        ran = subprocess.run(["bash", "-n", "-c", command], cwd=tmp_path, capture_output=True, check=False)
        assert ran.returncode == 0, command
    for command in free:
        assert main(shlex.split(command)[1:]) == Exit.USAGE
        assert "stands for what only you know. Write that in its place." in capsys.readouterr().err


@pytest.mark.parametrize("how", WAYS)
def test_a_corrupt_run_says_first_that_it_is_corrupt_to_its_tenant_alone(stack: Stack, how: Any) -> None:
    run_id = answered(stack, "Tidied.", intent="tidy", tenant="acme")
    corrupt(stack, run_id, "0001.plan.decided", how)

    said = ask(stack, "api", event("GET", f"/runs/{run_id}/why", who=ACME)).body

    assert said["causes"][0]["name"] == "log_unreadable"
    assert "0001.plan.decided" in said["sentence"]
    assert said["to_type"][0]["command"] == f"ballast --stack {STACK_NAME} verify {run_id}"
    assert ask(stack, "api", event("GET", f"/runs/{run_id}/why", who=GLOBEX)).status == 404


def test_a_run_that_is_not_there_has_no_report(stack: Stack) -> None:
    for run_id in ("run-" + "a" * 24, "run-x", "x"):
        assert get(stack, f"/runs/{run_id}/why").status == 404


def test_half_a_character_from_a_model_is_no_harm(stack: Stack) -> None:
    run_id = stack.open()
    stack.log.write(run_id, "0001.model.failed", {"cost_microusd": 0, "attempt": 1, "error": "\ud83d \U0001f600"})
    stack.log.write(run_id, "0001.call.1.refused", {"tool": "\ud83d", "error": "\ud83d", "message": "\ud83d"})

    reply = get(stack, f"/runs/{run_id}/why")

    reply.text.encode()
    assert reply.body["decisions"][0]["calls"] == ['"\ufffd": refused by the gate ("\ufffd"): "\ufffd"']


def test_a_report_of_any_size_fits_into_an_answer_with_its_newest_decisions() -> None:
    decisions = tuple(
        TurnDecision(
            turn=turn, planner="agent", decided="call search", rule="the reply", calls=("\U0001f600" * 150,) * 9
        )
        for turn in range(1, 3_000)
    )

    fits = why_fitting(Why(run_id="run-a", status="answered", sentence="So.", decisions=decisions))

    sent = json.dumps({"body": json.dumps(fits.model_dump(), ensure_ascii=False)}, ensure_ascii=False).encode()
    assert PAGE_BYTES / 10 < len(sent) < LAMBDA_BYTES
    assert (fits.decisions[-1].turn, len(fits.decisions) + fits.left_out) == (2_999, 2_999)
    assert fits.left_out > 0
