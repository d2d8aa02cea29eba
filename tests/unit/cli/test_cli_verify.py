"""``ballast verify`` on saved runs: what it says, how it ends, and that an old run is never called fine."""

import json
from pathlib import Path

import pytest

from ballast.log.event import Event
from cli import main
from cli.exits import Exit
from cli.journal import Journal
from tests.unit.folds.test_evidence import story, vouched

RUN = story().request.run_id


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path))
    return Journal(tmp_path)


def edit(journal: Journal, events: tuple[Event, ...], **body: object) -> None:
    """Save the run with its third event changed."""
    changed = events[2].model_copy(update={"body": events[2].body | body})
    journal.save(RUN, "", [*events[:2], changed, *events[3:]])


def test_a_saved_run_fits_as_it_was_saved(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    journal.save(RUN, "", vouched(story()).events)

    assert main(["verify", RUN]) == Exit.OK

    assert f"{RUN}: fits, 9 events and 2 prompts checked" in capsys.readouterr().out


def test_what_the_log_keeps_beside_the_events_is_saved_as_well(journal: Journal) -> None:
    log = vouched(story())
    journal.save(RUN, "", log.events)

    assert [event.stored for event in journal.find(RUN).events] == [event.stored for event in log.events]


def test_a_saved_run_that_was_edited_names_its_first_event(
    journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    log = vouched(story())
    edit(journal, log.events, planted=True)

    assert main(["verify", RUN[:9]]) == Exit.UNFIT

    printed = capsys.readouterr().out
    assert f"{RUN}: DOES NOT FIT" in printed
    assert f"first: {log.events[2].seq} was changed after 9999.run.ended" in printed


def test_a_run_of_an_older_version_is_not_covered(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    journal.save(RUN, "", story().events)

    assert main(["verify", RUN]) == Exit.NOT_COVERED
    assert main(["verify", "--since", "2020-01-01T00:00Z"]) == Exit.NOT_COVERED

    printed = capsys.readouterr().out
    assert printed.count("not covered") == 3
    assert "fits" not in printed


def test_a_file_of_an_older_version_is_read(journal: Journal, tmp_path: Path) -> None:
    file = journal.save(RUN, "", story().events)
    content = json.loads(file.read_text())
    del content["stored"]
    file.write_text(json.dumps(content))

    assert main(["verify", RUN]) == Exit.NOT_COVERED


@pytest.mark.parametrize("stored", [7, "x", [], [1], [{}, {}]])
def test_a_file_with_other_entries_beside_its_events_is_refused(journal: Journal, stored: object) -> None:
    file = journal.save(RUN, "", story().events)
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"stored": stored}))

    assert main(["verify", RUN]) in (Exit.USAGE, Exit.NOT_COVERED)


def test_json_has_a_row_a_run_and_the_sum(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    log = vouched(story())
    edit(journal, log.events, planted=True)

    assert main(["verify", "--since", "2020-01-01T00:00Z", "--json"]) == Exit.UNFIT

    found = json.loads(capsys.readouterr().out)
    assert found["counts"] == {"unfit": 1}
    (row,) = found["runs"]
    assert (row["run_id"], row["first"]["seq"]) == (RUN, log.events[2].seq)
    assert row["do"]


def test_runs_that_go_on_make_a_sweep_of_all_runs_neither_unfit_nor_uncovered(
    journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    going_on = [event for event in story().events if event.turn < 9999]
    journal.save(RUN, "", going_on)

    assert main(["verify", "--since", "2020-01-01T00:00Z"]) == Exit.OK
    assert main(["verify", RUN]) == Exit.NOT_COVERED
    assert "1 runs: 1 goes on." in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], [RUN, "--since", "1d"], ["--since", "soon"], [RUN, "--tenant", "acme"]])
def test_what_is_wrong_is_named(journal: Journal, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *words]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("ballast verify: ")


def test_a_run_with_a_time_that_is_none_is_looked_at(journal: Journal) -> None:
    first, *others = vouched(story()).events
    journal.save(RUN, "", [first.model_copy(update={"at": "never"}), *others])

    assert main(["verify", "--since", "1m"]) == Exit.UNFIT
