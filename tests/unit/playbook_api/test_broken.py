"""The error of a broken playbook names the file and the remedy; once corrected, the playbook loads."""

import sys
from pathlib import Path

import pytest

from ballast.errors import PlaybookInvalid
from ballast.playbook import load_playbook
from tests.unit.playbook_api.broken import BROKEN
from tests.unit.playbook_api.written import GOOD, tool_with, written


@pytest.fixture(autouse=True)
def no_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is mended within its second, at its size, would be taken for the one that was compiled."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


@pytest.mark.sampled(25)
@pytest.mark.parametrize(("files", "named", "says"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_broken_playbook_names_the_file_and_the_remedy_and_loads_once_mended(
    tmp_path: Path, files: dict[str, str | None], named: str, says: str
) -> None:
    folder = written(tmp_path / "desk_of_a_test", files)

    with pytest.raises(PlaybookInvalid, match=says) as refused:
        load_playbook(folder)

    assert str(refused.value).startswith(str(folder / named))
    assert not [name for name in sys.modules if name.startswith("desk_of_a_test")]

    for name in files.keys() - GOOD.keys():
        (folder / name).unlink()
    assert list(load_playbook(written(folder)).tools) == ["look_up"]


@pytest.mark.parametrize("name", ["nowhere", "agent.yaml"])
def test_what_is_no_folder_is_named_with_what_a_playbook_s_folder_holds(tmp_path: Path, name: str) -> None:
    (tmp_path / "agent.yaml").write_text("name: support")

    with pytest.raises(PlaybookInvalid, match=rf"{name}: no such folder\. .*agent\.yaml, tools/ and fallbacks/"):
        load_playbook(tmp_path / name)


def test_an_agent_yaml_that_is_no_text_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path / "desk_of_a_test")
    (folder / "agent.yaml").write_bytes(b"name: \xff\xfe")

    with pytest.raises(PlaybookInvalid, match=r"agent\.yaml: is not UTF-8 text"):
        load_playbook(folder)


def test_a_playbook_that_was_loaded_before_stays_when_its_neighbour_is_broken(tmp_path: Path) -> None:
    good = load_playbook(written(tmp_path / "one" / "desk_of_a_test"))

    with pytest.raises(PlaybookInvalid):
        load_playbook(written(tmp_path / "two" / "desk_of_a_test", tool_with("class Args", "1 / 0\nclass Args")))

    assert load_playbook(good.folder).tools["look_up"] is good.tools["look_up"]
