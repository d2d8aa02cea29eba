"""The whole stack, walls up: who writes over the log is reported and named, and cannot touch the copies."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ballast.contracts import RunRequest
from ballast.log.event import Event
from cli.exits import Exit
from localcloud.clock import VirtualClock
from localcloud.cloud import LocalCloud
from localcloud.converse.source import CallableModel
from localcloud.deploy import STACK
from tests.e2e.test_up_command import on
from tests.e2e.test_walls_enforced import PLAYBOOK, two_turns
from tests.support.log_items import decode, encode


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud(
        playbook=PLAYBOOK,
        model=CallableModel(two_turns),
        enforce_iam=True,
        clock=VirtualClock(),
        parameters={"LogCopyDays": "30"},
    ) as opened:
        yield opened


@pytest.fixture
def run_id(cloud: LocalCloud, request: pytest.FixtureRequest) -> str:
    """Return a run that has ended, whose stream was delivered."""
    run_id = cloud.start(RunRequest(request_id=request.node.name[:60], text="counter"))
    assert cloud.wait(run_id, 600).status == "SUCCEEDED"
    cloud.pump()
    return run_id


def forge(cloud: LocalCloud, run_id: str, seq: str, **body: Any) -> None:
    """Write over an event with the planner's own credentials, its digest computed anew."""
    client, table = cloud.runtime("AgentFunction").client("dynamodb"), cloud.physical_id("RunLogTable")
    key = {"run_id": {"S": run_id}, "seq": {"S": seq}}
    found = client.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
    event = decode(found, None)
    forged = Event(run_id=run_id, seq=seq, at=event.at, body=event.body | body)
    beside = {name: value for name, value in found.items() if name not in ("body", "packed")}
    client.put_item(TableName=table, Item=beside | encode(forged, forged.body)[0])


def told(cloud: LocalCloud, run_id: str) -> list[tuple[str, str]]:
    """Return what was reported of the run: (event, how it was touched)."""
    printed = cloud.logs("LogTouchedFunction").splitlines()
    lines = [json.loads(line) for line in printed if line.startswith("{")]
    return [(line["seq"], line["how"]) for line in lines if line["run_id"] == run_id]


def test_a_run_that_nobody_touched_fits_and_costs_no_invocation(cloud: LocalCloud, run_id: str) -> None:
    verdict = cloud.verdict(run_id)

    assert verdict is not None
    assert (verdict.status, verdict.late, verdict.unsigned) == ("fits", (), ())
    asked = [event.seq for event in cloud.events(run_id) if event.name == "model.requested"]
    assert asked == ["0001.model.requested", "0002.model.requested"]
    assert (verdict.prompts, verdict.covered) == (len(asked), len(cloud.events(run_id)))
    assert told(cloud, run_id) == []


def test_an_ending_that_the_planner_rewrites_is_reported_and_named(
    cloud: LocalCloud, run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    forge(cloud, run_id, "9999.run.ended", answer="All fine.", spent_microusd=1)

    assert cloud.pump() == 1

    assert told(cloud, run_id) == [("9999.run.ended", "MODIFY")]
    assert on(cloud, "verify", run_id, stack=STACK) == Exit.UNFIT
    printed = capsys.readouterr().out
    assert "first: 9999.run.ended was changed" in printed
    assert "The log was touched" in printed


def test_all_runs_since_a_time_are_checked_and_the_touched_one_is_named(
    cloud: LocalCloud, run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    forge(cloud, run_id, "0000.run.opened", agent="another")

    assert on(cloud, "verify", "--since", "2020-01-01T00:00Z", "--json") == Exit.UNFIT

    found = json.loads(capsys.readouterr().out)
    touched = {row["run_id"]: row["first"]["seq"] for row in found["runs"] if row["status"] == "unfit"}
    assert touched[run_id] == "0000.run.opened"
    assert found["counts"]["fits"] >= 1


def test_a_run_that_was_deleted_is_missed(cloud: LocalCloud, run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    admin, table = cloud.session.client("dynamodb"), cloud.physical_id("RunLogTable")
    seqs = [event.seq for event in cloud.events(run_id)]
    for seq in seqs:
        admin.delete_item(TableName=table, Key={"run_id": {"S": run_id}, "seq": {"S": seq}})

    assert cloud.pump() == len(seqs)

    assert {how for _, how in told(cloud, run_id)} == {"REMOVE"}
    assert on(cloud, "verify", "--since", "2020-01-01T00:00Z") == Exit.UNFIT
    assert f"{run_id}: DOES NOT FIT" in capsys.readouterr().out


def test_the_copy_has_what_was_written_first_and_no_role_writes_over_it(cloud: LocalCloud, run_id: str) -> None:
    before = copied(cloud, f"{run_id}/9999.run.ended.json")
    forge(cloud, run_id, "9999.run.ended", answer="All fine.")
    cloud.pump()

    assert copied(cloud, f"{run_id}/9999.run.ended.json") == before
    assert "All fine." not in before
    for function in ("AgentFunction", "ExecutorFunction", "SettleFunction", "LogTouchedFunction"):
        with pytest.raises(ClientError, match="AccessDenied"):
            cloud.runtime(function).client("s3").put_object(
                Bucket=cloud.physical_id("LogCopyBucket"), Key=f"{run_id}/9999.run.ended.json", Body=b"forged"
            )


def copied(cloud: LocalCloud, key: str) -> str:
    """Return a copy."""
    found = cloud.session.client("s3").get_object(Bucket=cloud.physical_id("LogCopyBucket"), Key=key)
    return str(found["Body"].read().decode("ascii"))


def test_a_function_that_fails_gets_its_records_again(cloud: LocalCloud, run_id: str) -> None:
    broken = [True]

    def fail_once(function: str, _: Any) -> None:
        if function == "LogTouchedFunction" and broken:
            broken.clear()
            raise RuntimeError("Not now.")

    cloud.before_invoke.append(fail_once)
    try:
        forge(cloud, run_id, "9999.run.settled", charged_microusd=1)
        assert cloud.pump() == 0
        assert cloud.pump() == 1
    finally:
        cloud.before_invoke.remove(fail_once)
    assert told(cloud, run_id) == [("9999.run.settled", "MODIFY")]
