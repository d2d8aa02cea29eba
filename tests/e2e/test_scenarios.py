"""Each scenario ends as expected in the template's own stack."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from ballast.run import Run
from cli.saved_runs import SavedRuns
from cli.scenario_runs import Played, play
from cli.screen import Screen
from localcloud.scenarios import find, names
from tests.support.sampling import sampled
from tests.support.timelines import timeline


def played(name: str, home: Path) -> tuple[Played, str]:
    printed = io.StringIO()
    screen = Screen(Console(file=printed, width=80, markup=False, highlight=False))
    return play(find(name), screen=screen, saved_runs=SavedRuns(home)), printed.getvalue()


#: The others are played by test_command.py, and by the recorded runs of tests/workflow.
FEW = ("bad-calls", "fallback", "rollback", "approval")


@pytest.mark.parametrize("name", sampled(names(), FEW))
def test_a_scenario_ends_as_its_name_says(name: str, tmp_path: Path) -> None:
    ended, printed = played(name, tmp_path)

    assert ended.wrong == []
    last, settled = printed.splitlines()[-2:]
    assert f"{ended.timeline.status} by {ended.timeline.by}" in last
    assert "returned to the budget" in settled
    saved = SavedRuns(tmp_path).find(ended.timeline.run_id)
    assert timeline(saved.events) == ended.timeline
    used = Run.of(saved.events).usage
    assert (ended.timeline.spent_microusd, ended.timeline.reserved_microusd) == (
        used.spent_microusd,
        used.reserved_microusd,
    )
    assert ended.timeline.turns[-1].spent_microusd == used.spent_microusd
    assert ended.timeline.input_tokens == used.input_tokens


def test_every_scenario_that_was_promised_is_there() -> None:
    promised = ["happy-path", "bad-calls", "loop", "hung-model", "fallback", "rollback", "escalation", "approval"]

    assert names()[:8] == promised
