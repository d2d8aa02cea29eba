"""Files that take a result: tried before anything is played, and left as they are."""

from pathlib import Path

import pytest

from ballast.errors import InvalidInput
from ballast.log import exported
from ballast.log.event import Event
from ballast.playbook.file_digests import of_project, of_trials
from cli import main
from cli.commands.capture import _place
from cli.output_files import check, check_distinct, check_place, check_report
from cli.saved_runs import SavedRuns


def test_trying_a_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("kept")

    check("--save", tmp_path / "there")
    check("--save", tmp_path / "new")

    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("there", "kept")]


@pytest.mark.parametrize("file", ["folder", "none/x", "there/x", "/proc/none/x"])
def test_what_cannot_be_written_is_named_by_its_option(tmp_path: Path, file: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "there").write_text("")

    with pytest.raises(InvalidInput, match=f"--save {tmp_path / file}: (must be a file in|cannot be written)"):
        check("--save", tmp_path / file)


def test_two_options_that_name_one_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")

    check_distinct({"--save": str(tmp_path / "a"), "--junit": str(tmp_path / "b"), "--html": None})
    with pytest.raises(InvalidInput, match=r"--junit .*/link: is also the file of --save"):
        check_distinct({"--save": str(tmp_path / "a"), "--junit": str(tmp_path / "link")})


@pytest.mark.parametrize(
    ("file", "fine"),
    [
        ("reports/s.xml", True),
        ("tests/s.xml", True),
        (".ballast/s.xml", True),
        ("../s.xml", True),
        ("s.xml", False),
        ("desk/s.xml", False),
        ("desk/reports/s.xml", False),
        ("scenarios/s.xml", False),
        ("business.yaml", False),
        ("lib/deep/s.xml", False),
        ("lib/.pytest_cache/s.xml", True),
    ],
)
def test_a_report_never_becomes_part_of_what_is_shipped_or_certified(tmp_path: Path, file: str, fine: bool) -> None:
    project = tmp_path / "project"
    (project / "desk").mkdir(parents=True)
    (project / "desk" / "agent.yaml").write_text("")
    before = (of_project(project), of_trials(project, "desk", []))

    try:
        check_place("--junit", project / file)
        taken = True
    except InvalidInput as problem:
        assert f"Name a file in {project / 'reports'}" in str(problem)  # noqa: PT017
        taken = False

    (project / file).parent.mkdir(parents=True, exist_ok=True)
    (project / file).write_text("x")
    assert taken is fine
    assert ((of_project(project), of_trials(project, "desk", [])) == before) is fine


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_exported_run_at_the_top_of_a_project_is_not_shipped_and_data_is(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk" / "agent.yaml").write_text("")
    (tmp_path / "prices.jsonl").write_text('{"ballast": "a word"}\n')
    before = of_project(tmp_path)
    event = Event(run_id=f"run-{'a' * 24}", seq="0000.run.opened", at="2026-03-01T12:00:00+00:00", body={})

    (tmp_path / "run").write_text("\n".join(exported.write(event.run_id, [event], title="t")), encoding=encoding)

    assert of_project(tmp_path) == before
    assert [*before] == ["desk/agent.yaml", "prices.jsonl"]


def test_a_run_that_cannot_be_saved_is_not_played(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")

    with pytest.raises(InvalidInput, match="BALLAST_HOME"):
        SavedRuns(tmp_path).try_it()


def test_certify_tries_its_file_before_the_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "filesdesk", "--into", str(tmp_path)]) == 0
    monkeypatch.setattr("cli.certify.run.certify", lambda *_, **__: pytest.fail("played"))
    certificate = tmp_path / "filesdesk" / "filesdesk" / "certificate.json"
    certificate.mkdir()

    assert main(["certify", str(tmp_path / "filesdesk")]) == 2
    assert f"The certificate {certificate}: must be a file" in capsys.readouterr().err


def test_capture_tries_its_place_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk" / "agent.yaml").write_text("")
    assert _place(tmp_path / "desk", "mine", force=False) == tmp_path / "scenarios" / "mine"
    (tmp_path / "scenarios").write_text("a file")

    with pytest.raises(InvalidInput, match=r"The test .*: must be a file in a folder that exists"):
        _place(tmp_path / "desk", "mine", force=False)


def test_the_folder_of_reports_is_made_where_it_is_missing_and_no_other_is(tmp_path: Path) -> None:
    check_report("--save", tmp_path / "reports" / "base.json")

    assert [one.name for one in tmp_path.iterdir()] == ["reports"]
    assert list((tmp_path / "reports").iterdir()) == []
    with pytest.raises(InvalidInput, match=r"--save .*: must be a file in a folder that exists"):
        check_report("--save", tmp_path / "none" / "reports" / "base.json")
