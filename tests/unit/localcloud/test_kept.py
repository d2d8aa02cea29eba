"""Results that are kept for the next process are computed once, and are never something else."""

import json
from pathlib import Path

import pytest

from localcloud import template
from localcloud.kept import _KEEP, kept


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BALLAST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "local-cloud" / "sam"


def refused() -> str:
    raise ValueError("not valid")


def test_what_is_there_is_not_computed_again() -> None:
    assert kept("sam", "1 template", lambda: "made\nof two lines") == "made\nof two lines"
    assert kept("sam", "1 template", refused) == "made\nof two lines"


def test_another_input_version_or_kind_is_computed() -> None:
    kept("sam", "1 template", lambda: "made")

    assert kept("sam", "2 template", lambda: "by version 2") == "by version 2"
    assert kept("asl", "1 template", lambda: "valid") == "valid"


def test_what_was_refused_is_refused_again(folder: Path) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="not valid"):
            kept("sam", "1 template", refused)
    assert not folder.exists()


@pytest.mark.parametrize("content", [b"", b"cut o", b"0" * 64 + b"\nsomething else", b"\xff\xfe"])
def test_a_file_with_other_content_counts_for_nothing(content: bytes, folder: Path) -> None:
    kept("sam", "1 template", lambda: "made")
    (file,) = folder.iterdir()
    file.write_bytes(content)

    assert kept("sam", "1 template", lambda: "made again") == "made again"
    assert kept("sam", "1 template", refused) == "made again"


def test_a_folder_that_cannot_be_written_keeps_nothing(folder: Path) -> None:
    folder.parents[1].write_text("a file where the folder should be")

    assert kept("sam", "1 template", lambda: "made") == "made"
    assert kept("sam", "1 template", lambda: "made again") == "made again"


def test_an_empty_variable_keeps_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BALLAST_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert kept("sam", "1 template", lambda: "made") == "made"
    assert kept("sam", "1 template", lambda: "made again") == "made again"
    assert not list(tmp_path.iterdir())


def test_the_oldest_go(folder: Path) -> None:
    for number in range(_KEEP + 3):
        kept("sam", f"template {number}", lambda: "made")

    assert len(list(folder.iterdir())) == _KEEP


def test_a_copy_of_a_project_elsewhere_has_the_same_translation_with_its_own_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    translated = []

    def translate(sam: str, parameters: str) -> str:
        translated.append(parameters)
        of = json.loads(sam)["Resources"] | {"Stage": {"Type": json.loads(parameters)["Stage"]}}
        return json.dumps({"Resources": of | {"Place": {"Type": f"at {json.loads(parameters)['PlaybookFolder']}."}}})

    monkeypatch.setattr(template, "_translated", translate)
    sam = {"Parameters": {"Stage": {"Default": "dev"}}, "Resources": {}}

    def placed(folder: str, **more: str) -> dict[str, str]:
        made = template.to_cloudformation(sam, tmp_path, {"PlaybookFolder": folder, **more})
        return {name: one["Type"] for name, one in made["Resources"].items()}

    assert placed("/home/ann/desk") == {"Stage": "dev", "Place": "at /home/ann/desk."}
    assert placed('/home/bob/"desk') == {"Stage": "dev", "Place": 'at /home/bob/"desk.'}
    assert len(translated) == 1
    assert placed("/home/ann/desk", Stage="prod")["Stage"] == "prod"
    assert len(translated) == 2
