"""``ballast check`` calls a scenario's request an error where Admit refuses it, and nowhere else."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli import main
from cli.checks import checked
from cli.commands.new import write
from localcloud.clock import VirtualClock
from localcloud.cloud import LocalCloud
from localcloud.converse.source import CallableModel, said
from localcloud.functions import FunctionError
from localcloud.scenarios import find

ANSWERED = {"status": "answered", "by": "agent"}
QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/"
#: Values of each part of a request: some are refused everywhere, some for one agent alone.
PARTS: dict[str, list[Any]] = {
    "agent": [None, None, "agreedesk", "worker", "short", "Worker", "nobody"],
    "intent": [None, "suspend", "account_status", "close"],
    "limits": [
        *(None, {"turns": 1}, {"turns": 7}, {"turns": 99}, {"cost_microusd": 5}, {"tokens_per_run": 9}),
        *({"deadline_s": 5}, {"input_tokens_per_turn": 7}, {"attachments": 0}),
    ],
    "reply_to": [None, None, f"{QUEUE}ballast-reply-default--mine", f"{QUEUE}ballast-reply-other"],
    "attachments": [(), (), (), ({"name": "a.txt", "format": "txt", "bytes": 3, "sha256": "0" * 64},)],
    "tenant": ["default", "default", "a--b"],
}
#: Requests that several agents decide about, which a random draw may miss.
NAMED = [
    {"agent": "worker", "intent": "close"},
    {"agent": "worker", "intent": "account_status"},
    {"agent": "worker", "limits": {"turns": 7}},
    {"agent": "short", "limits": {"turns": 2}},
    {"intent": "close"},
]


def write_scenario(project: Path, name: str, request: dict[str, Any], expect: dict[str, Any], **rest: Any) -> None:
    folder = project / "scenarios" / name
    folder.mkdir(parents=True)
    asked = {"text": "Is A-1001 active?", **{key: one for key, one in request.items() if one not in (None, ())}}
    open_ended = {"degraded": None, "reason": None, "refused": None, "failed": None}
    made = {"description": name, "request": asked, "expect": open_ended | expect, **rest}
    (folder / "scenario.yaml").write_text(json.dumps(made))
    (folder / "script.yaml").write_text("turns: [{say: It is active.}]\n")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project with three agents that know different intents and have different limits."""
    made = tmp_path_factory.mktemp("agree") / "agreedesk"
    write("agreedesk", made)
    agent = yaml.safe_load((made / "agreedesk" / "agent.yaml").read_text())
    limits = agent["limits"]
    others = {
        "worker": ({"close": {}, "suspend": {"writes": ["suspend_account"]}}, limits | {"turns": 6}),
        "short": ({"suspend": {}}, limits | {"turns": 1}),
    }
    (made / "agreedesk" / "agents").mkdir()
    for name, (intents, bounds) in others.items():
        other = {"model": agent["model"], "instructions": "Help.", "intents": intents, "limits": bounds}
        (made / "agreedesk" / "agents" / f"{name}.yaml").write_text(yaml.safe_dump(other))
    agent["hand_over_to"] = {"worker": "To close.", "short": "To look."}
    (made / "agreedesk" / "agent.yaml").write_text(yaml.safe_dump(agent))
    return made


def drawn(times: int, seed: int) -> Iterator[dict[str, Any]]:
    draw = random.Random(seed)
    yield from NAMED
    for _ in range(times):
        changed = draw.sample(sorted(PARTS), k=draw.randint(1, 2))
        yield {part: draw.choice(PARTS[part]) for part in changed}


def errors_in(project: Path) -> dict[str, str]:
    """Return the scenarios' errors by name."""
    found = checked(project, today=datetime.now(UTC).date()).findings
    folders = {Path(one.file).parent.name: one.problem for one in found if one.level == "error"}
    return {name: problem for name, problem in folders.items() if name.startswith("drawn")}


def test_check_refuses_the_requests_that_admit_refuses_and_says_what_it_says(project: Path) -> None:
    requests = {f"drawn-{number}": one for number, one in enumerate(drawn(40, seed=7))}
    for name, request in requests.items():
        write_scenario(project, name, request, ANSWERED)

    told, refused = errors_in(project), {}
    with LocalCloud(project / "agreedesk", model=CallableModel(answers), clock=VirtualClock()) as cloud:
        for name in requests:
            try:
                cloud.invoke("AdmitFunction", {"request": request_of(project, name)})
            except FunctionError as problem:
                refused[name] = problem.message

    assert sorted(told) == sorted(refused)
    assert 10 <= len(refused) <= len(requests) - 10
    but = [name for name in told if "attachments" not in told[name] and refused[name].split(". ")[0] not in told[name]]
    assert but == []


def request_of(project: Path, name: str) -> dict[str, Any]:
    request: dict[str, Any] = find(name, project / "scenarios").request.model_dump(mode="json")
    return request


def answers(request: Any, _: str) -> Any:
    return said([{"text": "It is active."}], "end_turn", request)


@pytest.mark.deep
def test_check_and_test_agree_about_whole_scenarios(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path))
    parameters = [{}, {"TenantHourUsd": "0.01"}, {"TenantRuns": "0"}, {"RequireCertificate": "true"}, {"Nope": "1"}]
    requests = list(drawn(10, seed=11))
    names = [f"drawn-whole-{number}" for number in range(len(requests))]
    for number, (name, request) in enumerate(zip(names, requests, strict=True)):
        write_scenario(
            project,
            name,
            request,
            ANSWERED,
            parameters=parameters[number % 3 and number % len(parameters)],
        )

    main(["test", str(project), *names, "--json"])
    played = json.loads(capsys.readouterr().out)
    failed = [one["scenario"] for one in played if not one["passed"]]

    assert sorted(name for name in errors_in(project) if name in names) == sorted(failed)
    assert 0 < len(failed) < len(names)


def test_an_answer_of_nobody_can_be_expected_in_vain_alone(project: Path) -> None:
    write_scenario(project, "by-nobody", {}, {"status": "answered"})

    found = checked(project, today=date(2026, 11, 29)).findings

    assert [one.level for one in found if "by-nobody" in one.file and one.field == "expect.by"] == ["error"]


def test_a_refusal_that_is_expected_is_no_error(project: Path) -> None:
    write_scenario(project, "refused-as-expected", {"agent": "nobody"}, {"status": "refused"})
    write_scenario(project, "refused-unseen", {"agent": "nobody"}, {"status": None})

    found = checked(project, today=date(2026, 11, 29)).findings

    levels = {Path(one.file).parent.name: one.level for one in found if "refused" in Path(one.file).parent.name}
    assert levels == {"refused-unseen": "warning"}
