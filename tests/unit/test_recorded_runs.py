"""Loop detection on 200 recorded runs of a real model, which lie beside the project and not in it.

``python -m bench.loops`` prints the same in figures; docs/loops.md publishes them.
"""

import re
from functools import cache

import pytest

from ballast.folds.loops import Kind, Rung, detect
from ballast.run import Run
from bench import planted
from bench.loops import Verdict, deaf, judge, rows
from bench.publish import ROOT
from bench.transcripts import TAU_BENCH, Transcript, transcripts

pytestmark = pytest.mark.skipif(
    not TAU_BENCH.is_file(), reason=f"no recorded runs: {TAU_BENCH} is not there, so NO precision was checked"
)


@cache
def runs() -> tuple[Transcript, ...]:
    return tuple(transcripts())


@cache
def judged() -> tuple[Verdict, ...]:
    return tuple(judge(run) for run in runs())


def test_no_run_that_went_well_is_forbidden_a_tool_or_stopped_or_even_told() -> None:
    well = [one for one in judged() if one.run.went_well]

    assert len(well) == 84
    assert [one.run.task_id for one in well if one.signs or one.forbid or one.loop] == []


def test_the_loops_that_are_there_are_found() -> None:
    found = {(one.run.task_id, one.run.trial): one for one in judged() if one.forbid}

    assert set(found) == {(8, 1), (9, 2), (11, 2)}
    stopped = found[9, 2]
    assert stopped.signs[Kind.CYCLE] > 0
    assert stopped.loop is not None
    assert (stopped.loop.turn, stopped.loop.calls) == (37, 1)


def test_without_a_new_count_after_each_reply_a_run_that_went_well_would_lose_a_tool() -> None:
    """Why the fold lets what people say start the count anew: the reason must not get lost."""
    alarms = [run for run in runs() if run.went_well and _forbids(deaf(run))]

    assert [(run.task_id, run.trial) for run in alarms] == [(13, 2)]


def _forbids(run: Transcript) -> bool:
    return any(sign.rung >= Rung.FORBID for sign in detect(Run.of(run.events)).signals.values())


def numbers(line: str) -> list[str]:
    return re.findall(r"\d[\d,]*\b", line)


def table(page: str, heading: str) -> list[list[str]]:
    """Return the numbers of the rows of a table, without what its first column says."""
    _, _, *cells = page.partition(f"| {heading} |")[2].partition("\n\n")[0].splitlines()
    return [numbers(row.strip().partition("|")[2].partition("|")[2]) for row in cells]


@pytest.mark.deep
def test_the_published_tables_are_those_of_the_runs() -> None:
    page = (ROOT / "docs" / "loops.md").read_text(encoding="utf-8")

    assert table(page, "tasks") == [numbers(row[17:]) for row in list(rows(runs()))[1:]]
    assert table(page, "calls a lap") == [numbers(row[17:]) for row in planted_rows()]


@cache
def planted_rows() -> list[str]:
    return list(planted.rows(runs()))[1:]


@pytest.mark.deep
def test_planted_loops_are_all_found_at_the_second_call_of_the_third_lap_at_the_latest() -> None:
    for period, row in enumerate(planted_rows(), start=1):
        tried, found, *_, most = (int(word.strip(",")) for word in row.split()[1:])
        assert tried == found > 0
        assert most == max(4, 2 * period + 2)
