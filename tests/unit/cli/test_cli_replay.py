"""The words and exit codes of ``ballast replay``; what is replayed is in ``workflow/test_replay.py``."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ballast.log import exported
from ballast.log.event import Event
from cli import main
from cli.commands import replay
from cli.exits import Exit
from localcloud.replay.lane import Difference, Ending
from localcloud.replay.many import Row

RUN = "run-" + "a" * 24
DIFFERENT = Difference("0001.model.requested", "covers", ["a"], ["b\x1b"], "decided by the fold")


def row(ending: Ending, difference: Difference | None = None) -> Row:
    return Row(RUN, "x", ending, difference, 3, 2, 1, 4, ("a process died\x1b",))


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Path, list[Row]]:
    """A file with a run, and what becomes of it when it is replayed."""
    event = Event(run_id=RUN, seq="0000.run.opened", at="2026-03-01T12:00:00+00:00", body={"model": "us.x"})
    file, rows = tmp_path / "run.jsonl", list[Row]()
    file.write_text("\n".join(exported.write(RUN, [event])), encoding="utf-8")

    def replayed(lane: Any, runs: Sequence[Any], fold: Any, *, workers: int) -> Iterator[Row]:
        assert [one.run_id for one in runs] == [RUN]
        assert lane.region == "us-east-1"
        for one in rows:
            if one.source == "interrupts":
                raise KeyboardInterrupt
            yield one

    monkeypatch.setattr(replay, "replayed", replayed)
    return file, rows


@pytest.mark.parametrize(
    ("endings", "code"),
    [
        ([row(Ending.SAME)], Exit.OK),
        ([row(Ending.SAME), row(Ending.DIFFERENT, DIFFERENT)], Exit.UNFIT),
        ([row(Ending.NOT_REPLAYED), row(Ending.SAME)], Exit.NOT_COVERED),
        ([row(Ending.NOT_REPLAYED), row(Ending.DIFFERENT, DIFFERENT)], Exit.UNFIT),
    ],
)
def test_the_exit_code_says_whether_all_are_the_same(
    played: tuple[Path, list[Row]], endings: list[Row], code: Exit
) -> None:
    played[1].extend(endings)

    assert main(["replay", str(played[0])]) == code


def test_a_difference_names_event_field_values_and_cause(
    played: tuple[Path, list[Row]], capsys: pytest.CaptureFixture[str]
) -> None:
    played[1].append(row(Ending.DIFFERENT, DIFFERENT))

    main(["replay", str(played[0])])

    printed = capsys.readouterr().out
    assert f"{RUN}: DIFFERENT at 0001.model.requested covers" in printed
    assert "decided by the fold" in printed
    assert '["a"]' in printed
    assert "\x1b[" not in printed.replace("\x1b[0m", "").replace("\x1b[31m", "")
    assert "4 fields of sealed values were not checked" in printed


def test_interrupted_it_says_what_was_done(played: tuple[Path, list[Row]], capsys: pytest.CaptureFixture[str]) -> None:
    played[1].extend([row(Ending.SAME), Row(RUN, "interrupts", Ending.SAME, None, 0, 0, 0, 0, ())])

    assert main(["replay", str(played[0])]) == Exit.INTERRUPTED
    assert "Interrupted: the rest was not replayed." in capsys.readouterr().out


def test_what_cannot_be_read_is_a_row(played: tuple[Path, list[Row]], capsys: pytest.CaptureFixture[str]) -> None:
    file, rows = played
    rows.append(row(Ending.SAME))
    file.with_name("a.json").write_text("{", encoding="utf-8")

    assert main(["replay", str(file.parent), "--json"]) == Exit.NOT_COVERED

    told = json.loads(capsys.readouterr().out)["runs"]
    assert [one["ending"] for one in told] == ["same", "not replayed"]
    assert told[1]["run_id"].endswith("a.json")
    assert "line 1 is no JSON" in told[1]["notes"][0]
    assert main(["replay", str(file), "--workers", "0"]) == Exit.USAGE


def test_as_json_for_machines(played: tuple[Path, list[Row]], capsys: pytest.CaptureFixture[str]) -> None:
    played[1].append(row(Ending.DIFFERENT, DIFFERENT))

    main(["replay", str(played[0]), "--json"])

    told = json.loads(capsys.readouterr().out)
    assert told["counts"] == {"different": 1}
    assert told["runs"][0]["difference"]["seq"] == "0001.model.requested"


@pytest.mark.parametrize("words", [[], ["nobody"], ["x.jsonl"], ["a", "--since", "1d"], ["--since", "soon"]])
def test_a_wrong_word_is_a_usage_error(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path))

    assert main(["replay", *words]) == Exit.USAGE
    assert capsys.readouterr().err.splitlines()[-1].startswith("ballast replay: ")  # after which playbook it takes
