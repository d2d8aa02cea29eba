"""Saved runs: found by the start of their id, and never half written or half read."""

import json
import os
import stat
from pathlib import Path

import pytest

from ballast.errors import InvalidInput
from ballast.log.event import Event
from ballast.log.events import RunFeedback
from cli import main
from cli.saved_runs import SavedRuns, state_folder, write_whole

RUN = "run-" + "a" * 24
OTHER = "run-" + "ab" * 12


def entry(run_id: str = RUN, **body: object) -> Event:
    return Event(run_id=run_id, seq="0000.run.opened", at="2025-06-01T03:00:00+00:00", body=body)


def test_a_saved_run_is_read_back_as_it_was(tmp_path: Path) -> None:
    saved_runs = SavedRuns(tmp_path)
    event = entry(text="Zoë \x1b[31m \ud800", nested={"a": [1, None, True]})

    saved_runs.save(RUN, "demo loop", [event])

    saved = saved_runs.find(RUN)
    assert (saved.run_id, saved.title, saved.events) == (RUN, "demo loop", (event,))


def test_saving_again_replaces_the_run(tmp_path: Path) -> None:
    saved_runs = SavedRuns(tmp_path)

    saved_runs.save(RUN, "first", [entry()])
    saved_runs.save(RUN, "second", [entry()])

    assert [saved.title for saved in saved_runs.recent()] == ["second"]


def said(by: str, note: str = "", number: int = 1) -> Event:
    fact = RunFeedback(number=number, verdict="wrong", by=by, note=note)
    return Event(run_id=RUN, seq=fact.seq, at="2025-06-01T04:00:00+00:00", body=fact.body)


def test_what_people_said_of_a_run_stays_when_its_log_goes_on_or_is_read_anew(tmp_path: Path) -> None:
    saved_runs = SavedRuns(tmp_path)
    ended = Event(run_id=RUN, seq="9999.run.ended", at="2025-06-01T03:00:01+00:00", body={"status": "answered"})
    saved_runs.save(RUN, "run", [entry(), said("rae", "it lied")])

    saved_runs.save(RUN, "run", [entry(), ended])
    saved_runs.save(RUN, "run", [entry(), ended, said("lou", "on the stack")])  # with the same number
    saved_runs.save(RUN, "run", [entry()])  # read before it ended

    kept = saved_runs.find(RUN).events
    assert {(one.by, one.note, one.number) for one in kept.feedback} == {
        ("lou", "on the stack", 1),
        ("rae", "it lied", 2),
    }
    assert kept.has_ended
    assert [one.run_id for one in saved_runs.recent()] == [RUN]


@pytest.mark.parametrize("title", ["run", "up", "eval loop", "test loop", "demo loop"])
def test_another_run_of_the_same_id_puts_aside_what_people_spoke_of(tmp_path: Path, title: str) -> None:
    saved_runs = SavedRuns(tmp_path)
    saved_runs.save(RUN, title, [entry(text="first"), said("rae")])

    for text in ("second", "third"):
        saved_runs.save(RUN, title, [entry(text=text)])

    assert saved_runs.find(f"{RUN}.1").events == (entry(text="first"), said("rae"))
    assert saved_runs.find(RUN).events == (entry(text="third"),)
    aside = {f"{RUN}.2"} - ({f"{RUN}.2"} if title.startswith(("test", "demo")) else set())
    assert {one.run_id for one in saved_runs.recent()} == {RUN, f"{RUN}.1"} | aside


def test_a_file_that_is_no_log_is_not_lost_either(tmp_path: Path) -> None:
    saved_runs = SavedRuns(tmp_path)
    saved_runs.save(RUN, "run", [entry()]).write_text("{")

    saved_runs.save(RUN, "run", [entry()])

    assert saved_runs.file(f"{RUN}.1").read_text() == "{"


@pytest.mark.parametrize("typed", [RUN, RUN[:5], "aaaa", "run-aaa"])
def test_a_unique_beginning_with_or_without_its_prefix_is_enough(tmp_path: Path, typed: str) -> None:
    SavedRuns(tmp_path).save(RUN, "", [entry()])

    assert SavedRuns(tmp_path).find(typed).run_id == RUN


def test_a_beginning_that_fits_two_runs_is_refused_and_both_are_named(tmp_path: Path) -> None:
    saved_runs = SavedRuns(tmp_path)
    for run_id in (RUN, OTHER):
        saved_runs.save(run_id, "", [entry(run_id)])

    with pytest.raises(InvalidInput, match=f"matches 2 saved runs: {RUN}, {OTHER}"):
        saved_runs.find("run-a")


@pytest.mark.parametrize("typed", ["run-zzz", "", "*", "../../etc/passwd", "run-["])
def test_an_unknown_run_is_refused_with_where_runs_are_kept(tmp_path: Path, typed: str) -> None:
    SavedRuns(tmp_path).save(RUN, "", [entry()])

    with pytest.raises(InvalidInput, match=r"No saved run in .* starts with"):
        SavedRuns(tmp_path).find(typed)


def test_a_run_id_that_is_no_file_name_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is not a run id"):
        SavedRuns(tmp_path).save("../outside", "", [entry()])

    assert list(tmp_path.parent.glob("outside*")) == []


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "is not a saved run"),
        ("[]", "is not a saved run"),
        ('{"version": 1}', "is not a saved run"),
        ('{"version": 9, "events": []}', "another version"),
        ('{"version": 1, "run_id": "x", "events": []}', "has no entry"),
        ('{"version": 1, "run_id": "x", "events": [{"seq": "nonsense"}]}', "an entry is not valid: run_id"),
    ],
)
def test_a_file_that_is_no_saved_run_says_so_and_is_left_out_of_the_list(
    tmp_path: Path, content: str, complaint: str
) -> None:
    saved_runs = SavedRuns(tmp_path)
    saved_runs.save(RUN, "", [entry()]).write_text(content)

    with pytest.raises(InvalidInput, match=complaint):
        saved_runs.find(RUN)
    assert saved_runs.recent() == []


def test_the_newest_runs_come_first_and_no_more_than_asked_for(tmp_path: Path) -> None:
    saved_runs = SavedRuns(tmp_path)
    for age, letter in enumerate("cba"):
        run_id = f"run-{letter * 24}"
        os.utime(saved_runs.save(run_id, letter, [entry(run_id)]), (1_000 - age, 1_000 - age))

    assert [saved.title for saved in saved_runs.recent(most=2)] == ["c", "b"]


def test_only_the_owner_may_read_it_and_git_leaves_it_alone(tmp_path: Path) -> None:
    file = SavedRuns(tmp_path / "state").save(RUN, "", [entry()])

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert (tmp_path / "state" / ".gitignore").read_text() == "*\n"


def test_a_folder_that_cannot_be_made_is_a_clear_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InvalidInput, match="Set BALLAST_HOME to a folder that you can write to"):
        SavedRuns(tmp_path / "file" / "state").save(RUN, "", [entry()])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    write_whole(file, "old")

    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "new \ud800")

    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_the_state_folder_is_the_named_one_or_here() -> None:
    assert state_folder({"BALLAST_HOME": "/elsewhere"}) == Path("/elsewhere")
    assert state_folder({"BALLAST_HOME": ""}) == Path(".ballast")


def test_a_saved_run_is_plain_json(tmp_path: Path) -> None:
    file = SavedRuns(tmp_path).save(RUN, "t", [entry(a=1)])

    assert json.loads(file.read_text())["events"][0]["body"] == {"a": 1}


def test_a_run_that_was_cut_off_is_shown_as_aborted_and_not_as_one_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path))
    opened = Event(run_id=RUN, seq="0000.run.opened", at="2025-06-01T03:00:00+00:00", body={"request": {}})
    ended = Event(run_id=RUN, seq="9999.run.ended", at="2025-06-01T03:00:01+00:00", body={"status": "answered"})
    saved_runs = SavedRuns(tmp_path)
    for title, cut_off, events, shown in (
        ("run with x", True, [opened], "ABORTED"),
        ("run with x", False, [opened], "OPEN"),
        ("up, cut off", False, [opened], "ABORTED"),  # by an older version
        ("run with x", True, [opened, ended], "ANSWERED"),
    ):
        saved_runs.save(RUN, title, events, cut_off=cut_off)

        assert main(["trace"]) == 0
        assert f"{RUN}  {shown}" in capsys.readouterr().out
        assert main(["trace", RUN]) == 0
        printed = capsys.readouterr().out
        assert f"{RUN}  {shown}" in printed
        assert ("Cut off" in printed) == (shown == "ABORTED")
