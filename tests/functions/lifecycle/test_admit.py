"""A request is admitted once, against the playbook; a refusal is recorded and says what to do."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import InvalidInput, NotAdmitted, RequestConflict, RetryLater, SettingInvalid
from ballast.playbook import load_playbook
from ballast.playbook.certificate import FILE
from tests.functions.cloud import NOON, client
from tests.functions.stack import LambdaDied, Stack, client_error, once
from tests.support.certificates import made_up

NOON_MS = int(NOON.timestamp() * 1000)


def admit(stack: Stack, name: str, **fields: Any) -> dict[str, Any]:
    """Admit a request of that name; each test uses names of its own."""
    request = {"request_id": name, "agent": "tester", "text": "Tidy my notes."} | fields
    return dict(stack.invoke("admit", {"request": request}))


def log_of(name: str) -> list[dict[str, Any]]:
    """Return what is in the log table of the run of that request, found by its text."""
    items: list[dict[str, Any]] = client("dynamodb").scan(TableName="run-log")["Items"]
    return [item for item in items if name in item.get("body", {}).get("S", "")]


def test_an_admitted_run_is_open_and_the_workflow_gets_its_coordinates(stack: Stack) -> None:
    coordinates = admit(stack, "opens", intent="tidy", limits={"cost_microusd": 500})

    assert coordinates == {
        "run_id": coordinates["run_id"],
        "agent_until_ms": NOON_MS + 90_000,
        "deadline_ms": NOON_MS + 100_000,
        "escalation_timeout_s": 3600,
        "approval_timeout_s": 600,
        "park_timeout_s": 14 * 24 * 3600,
        "requester_timeout_s": 3600,
    }
    body = stack.body(coordinates["run_id"], "0000.run.opened")
    assert (body["limits"]["turns"], body["limits"]["cost_microusd"], body["limits"]["tool_calls"]) == (2, 500, 6)
    assert (body["agent"], body["request"]["request_id"]) == ("tester", "opens")


def test_the_same_request_twice_is_one_run_with_its_first_deadline(stack: Stack) -> None:
    first = admit(stack, "twice")
    stack.clock.advance(50)

    second = admit(stack, "twice")

    assert first == second
    assert stack.seqs(first["run_id"]) == ["0000.run.opened"]


@pytest.mark.parametrize(
    "change", [{"text": "Burn my notes."}, {"context": {"a": 1}}, {"intent": "tidy"}, {"limits": {"turns": 1}}]
)
def test_the_same_name_for_another_request_is_a_conflict(stack: Stack, change: dict[str, Any]) -> None:
    name = f"conflict-{next(iter(change))}"
    opened = admit(stack, name)

    with pytest.raises(RequestConflict, match=name):
        admit(stack, name, **change)

    assert stack.seqs(opened["run_id"]) == ["0000.run.opened"]


def test_the_same_name_of_another_tenant_is_another_run(stack: Stack) -> None:
    runs = {admit(stack, "shared", tenant=tenant)["run_id"] for tenant in ("acme", "zenith")}

    assert len(runs) == 2


@pytest.mark.parametrize(
    ("name", "fields", "says"),
    [
        ("wrong-agent", {"agent": "butler"}, ["'butler'", "'tester'"]),
        ("wrong-intent", {"intent": "world_peace"}, ["'world_peace'", "tidy"]),
        ("more-turns", {"limits": {"turns": 5}}, ["limits.turns", "5", "4"]),
        ("more-money", {"limits": {"cost_microusd": 1_000_001}}, ["limits.cost_microusd", "1000000"]),
        ("more-time", {"limits": {"deadline_s": 101}}, ["limits.deadline_s", "100"]),
        ("more-than-the-intent", {"intent": "tidy", "limits": {"turns": 3}}, ["limits.turns", "3", "2"]),
    ],
)
def test_what_the_playbook_does_not_allow_is_refused_on_the_record(
    stack: Stack, name: str, fields: dict[str, Any], says: list[str]
) -> None:
    with pytest.raises(NotAdmitted) as refused:
        admit(stack, name, **fields)
    with pytest.raises(NotAdmitted):
        admit(stack, name, **fields)

    assert [part for part in says if part not in str(refused.value)] == []
    [item] = log_of(name)
    assert item["seq"]["S"] == "0000.run.refused"
    body = stack.body(item["run_id"]["S"], "0000.run.refused")
    assert body["message"] == str(refused.value)
    assert body["reason"] in ("NotAdmitted", "InvalidInput")


def test_a_limit_as_high_as_the_playbooks_is_admitted(stack: Stack) -> None:
    assert admit(stack, "as-high", limits={"turns": 4, "cost_microusd": 1_000_000, "deadline_s": 100})


@pytest.mark.parametrize(("deadline_s", "agent_s"), [(30, 20), (20, 10), (11, 6), (10, 5), (5, 3), (1, 1)])
def test_a_caller_in_a_hurry_leaves_the_fallback_half_of_the_time_at_most(
    stack: Stack, deadline_s: int, agent_s: int
) -> None:
    coordinates = admit(stack, f"hurry-{deadline_s}", limits={"deadline_s": deadline_s})

    assert coordinates["deadline_ms"] == NOON_MS + deadline_s * 1000
    assert coordinates["agent_until_ms"] == NOON_MS + agent_s * 1000


@pytest.mark.parametrize(
    ("event", "names"),
    [
        ({}, "RunRequest"),
        ({"request": None}, "RunRequest"),
        ({"request": []}, "RunRequest"),
        ({"request": {}}, "request_id"),
        ({"request": {"request_id": "malformed-1"}}, "text"),
        ({"request": {"request_id": "malformed-2", "text": "x", "colour": "red"}}, "colour"),
        ({"request": {"request_id": "malformed-3", "text": "x", "limits": {"turns": "4"}}}, "limits.turns"),
    ],
)
def test_a_request_that_is_none_names_the_field_and_leaves_no_log(
    stack: Stack, event: dict[str, Any], names: str
) -> None:
    with pytest.raises(InvalidInput, match=names):
        stack.invoke("admit", event)

    assert log_of("malformed-") == []


@pytest.mark.parametrize("when", ["on", "after"])
def test_whenever_it_dies_admitting_again_opens_the_run_once(stack: Stack, when: str) -> None:
    fault = stack.on if when == "on" else stack.after
    fault("admit", "dynamodb", "PutItem", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        admit(stack, f"dies-{when}")

    run_id = admit(stack, f"dies-{when}")["run_id"]

    assert stack.seqs(run_id) == ["0000.run.opened"]


def test_a_throttled_log_means_try_again_later(stack: Stack) -> None:
    stack.on("admit", "dynamodb", "PutItem", once(client_error("ThrottlingException")))

    with pytest.raises(RetryLater, match="RUN_LOG_TABLE"):
        admit(stack, "throttled")


def test_a_missing_log_is_named(stack: Stack) -> None:
    stack.environs["admit"]["RUN_LOG_TABLE"] = "gone"

    with pytest.raises(SettingInvalid, match="RUN_LOG_TABLE"):
        admit(stack, "no-log")


def test_a_stack_that_requires_a_certificate_refuses_a_playbook_without_one_and_records_why(stack: Stack) -> None:
    stack.environs["admit"] = {**stack.environs["admit"], "REQUIRE_CERTIFICATE": "true"}

    with pytest.raises(NotAdmitted, match=r"certificate.json: the playbook has no certificate. Run `ballast certify`"):
        admit(stack, "uncertified")

    assert log_of("uncertified")


def test_a_certificate_is_taken_until_the_playbook_or_the_platform_changes(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "certified_tester"
    shutil.copytree(stack.environs["admit"]["PLAYBOOK_DIR"], folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "settings.json").write_text("{}")
    playbook = load_playbook(folder)
    fits = made_up(playbook, NOON)
    held = fits["held"]

    def admitted(name: str, **other: Any) -> Any:
        (folder / FILE).write_text(json.dumps({**fits, **other}))
        # Each name is an own process: a deployed one reads the certificate when it starts.
        stack.environs["admit"] = {**stack.environs["admit"], "REQUIRE_CERTIFICATE": "true", "OF": name}
        stack.environs["admit"]["PLAYBOOK_DIR"] = str(folder)
        return admit(stack, name)

    assert admitted("fits")["run_id"]
    tool, intent = next(iter(playbook.tools)), next(iter(playbook.fallbacks))
    for name, other, why in (
        ("other-declarations", {"policy_sha256": "0" * 64}, "a tool's declaration or an agent's approval settings"),
        ("other-platform", {"platform": "0.0.9"}, r"made with version 0\.0\.9 of the platform"),
        ("other-code-of-it", {"platform_code": "0" * 16}, "made with other code of the platform"),
        ("nothing-held", {"held": {}}, f"does not say of the tool {tool} that sampled, result"),
        ("one-emptied", {"held": {**held, tool: []}}, f"of the tool {tool} that sampled"),
        ("no-fallback", {"held": {**held, f"fallback {intent}": []}}, f"of the fallback {intent} that pure held"),
        ("no-scenario", {"scenarios": []}, "names no scenario"),
        ("old-version", {"version": 2}, "version"),
    ):
        with pytest.raises(NotAdmitted, match=why):
            admitted(name, **other)
    (folder / "settings.json").write_text("[]")
    with pytest.raises(NotAdmitted, match=r"a file has changed: settings\.json"):
        admitted("other-settings")
    (folder / "settings.json").write_text("{}")
    (folder / ".rates.json").write_text("{}")
    with pytest.raises(NotAdmitted, match=r"a file has changed: \.rates\.json is new"):
        admitted("a-name-with-a-dot")
    (folder / ".rates.json").unlink()
    (folder / ".DS_Store").write_text("of a desktop")  # and what Python keeps
    assert admitted("fits-again")["run_id"]
    with (folder / "__init__.py").open("a") as init:
        init.write("\n# Changed.\n")
    with pytest.raises(NotAdmitted, match=r"certificate\.json: does not fit .* any more: its code has changed"):
        admitted("other-code")
    assert log_of("other-code")


def test_a_stack_that_requires_none_admits(stack: Stack) -> None:
    stack.environs["admit"] = {**stack.environs["admit"], "REQUIRE_CERTIFICATE": "false"}

    assert admit(stack, "certificate-not-required")["run_id"]
