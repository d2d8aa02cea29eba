"""``ballast verify`` on saved runs: words and exit codes; an old run never counts as unchanged."""

import json
from pathlib import Path

import pytest

from ballast.log.event import Event
from cli import main
from cli.exits import Exit
from cli.saved_runs import SavedRuns
from tests.unit.folds.test_evidence import story, vouched

RUN = story().request.run_id


@pytest.fixture
def saved_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SavedRuns:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path))
    return SavedRuns(tmp_path)


def edit(saved_runs: SavedRuns, events: tuple[Event, ...], **body: object) -> None:
    """Save the run with its third event changed."""
    changed = events[2].model_copy(update={"body": events[2].body | body})
    saved_runs.save(RUN, "", [*events[:2], changed, *events[3:]])


def test_a_saved_run_fits_as_it_was_saved(saved_runs: SavedRuns, capsys: pytest.CaptureFixture[str]) -> None:
    saved_runs.save(RUN, "", vouched(story()).events)

    assert main(["verify", RUN]) == Exit.OK

    assert f"{RUN}: unchanged, 9 events and 2 prompts checked" in capsys.readouterr().out


def test_what_the_log_keeps_beside_the_events_is_saved_as_well(saved_runs: SavedRuns) -> None:
    log = vouched(story())
    saved_runs.save(RUN, "", log.events)

    assert [event.stored for event in saved_runs.find(RUN).events] == [event.stored for event in log.events]


def test_a_saved_run_that_was_edited_names_its_first_event(
    saved_runs: SavedRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    log = vouched(story())
    edit(saved_runs, log.events, planted=True)

    assert main(["verify", RUN[:9]]) == Exit.UNFIT

    printed = capsys.readouterr().out
    assert f"{RUN}: CHANGED" in printed
    assert f"first: {log.events[2].seq} was changed after 9999.run.ended" in printed


def test_a_run_of_an_older_version_is_not_covered(saved_runs: SavedRuns, capsys: pytest.CaptureFixture[str]) -> None:
    saved_runs.save(RUN, "", story().events)

    assert main(["verify", RUN]) == Exit.NOT_COVERED
    assert main(["verify", "--since", "2020-01-01T00:00Z"]) == Exit.NOT_COVERED

    printed = capsys.readouterr().out
    assert printed.count("not covered") == 3
    assert "fits" not in printed


def test_a_file_of_an_older_version_is_read(saved_runs: SavedRuns, tmp_path: Path) -> None:
    file = saved_runs.save(RUN, "", story().events)
    content = json.loads(file.read_text())
    del content["stored"]
    file.write_text(json.dumps(content))

    assert main(["verify", RUN]) == Exit.NOT_COVERED


@pytest.mark.parametrize("stored", [7, "x", [], [1], [{}, {}]])
def test_a_file_with_other_entries_beside_its_events_is_refused(saved_runs: SavedRuns, stored: object) -> None:
    file = saved_runs.save(RUN, "", story().events)
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"stored": stored}))

    assert main(["verify", RUN]) in (Exit.USAGE, Exit.NOT_COVERED)


def test_json_has_a_row_a_run_and_the_sum(saved_runs: SavedRuns, capsys: pytest.CaptureFixture[str]) -> None:
    log = vouched(story())
    edit(saved_runs, log.events, planted=True)

    assert main(["verify", "--since", "2020-01-01T00:00Z", "--json"]) == Exit.UNFIT

    found = json.loads(capsys.readouterr().out)
    assert found["counts"] == {"unfit": 1}
    (row,) = found["runs"]
    assert (row["run_id"], row["first"]["seq"]) == (RUN, log.events[2].seq)
    assert row["do"]


def test_runs_that_go_on_make_a_sweep_of_all_runs_neither_unfit_nor_uncovered(
    saved_runs: SavedRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    going_on = [event for event in story().events if event.turn < 9999]
    saved_runs.save(RUN, "", going_on)

    assert main(["verify", "--since", "2020-01-01T00:00Z"]) == Exit.OK
    assert main(["verify", RUN]) == Exit.NOT_COVERED
    assert "1 runs: 1 not ended." in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], [RUN, "--since", "1d"], ["--since", "soon"], [RUN, "--tenant", "acme"]])
def test_what_is_wrong_is_named(saved_runs: SavedRuns, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *words]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("ballast verify: ")


def test_a_run_with_a_time_that_is_none_is_looked_at(saved_runs: SavedRuns) -> None:
    first, *others = vouched(story()).events
    saved_runs.save(RUN, "", [first.model_copy(update={"at": "never"}), *others])

    assert main(["verify", "--since", "1m"]) == Exit.UNFIT
