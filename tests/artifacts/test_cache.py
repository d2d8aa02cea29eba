"""The cache makes an entry once and completely, and does not remove an entry in use."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tests.artifacts.cache import Cache, cache_root


def writing(text: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "file").write_text(text)

    return make


def text_of(entry: Path) -> str:
    return (entry / "file").read_text()


def test_an_entry_is_made_once_and_then_found(tmp_path: Path) -> None:
    Cache(tmp_path).entry("build", "1", writing("first"))

    assert text_of(Cache(tmp_path).entry("build", "1", writing("second"))) == "first"
    assert text_of(Cache(tmp_path).entry("build", "2", writing("second"))) == "second"


def test_a_half_made_entry_is_never_used(tmp_path: Path) -> None:
    def dies(folder: Path) -> None:
        (folder / "file").write_text("half")
        (folder / "rest").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).entry("build", "1", dies)

    entry = Cache(tmp_path).entry("build", "1", writing("whole"))
    assert [(file.name, file.read_text()) for file in entry.iterdir()] == [("file", "whole")]
    assert not list(tmp_path.rglob("*.making"))


def test_who_comes_at_the_same_time_waits_for_the_one_that_makes_it(tmp_path: Path) -> None:
    together, made = Barrier(4, timeout=300), []

    def ask(number: int) -> str:
        together.wait()

        def make(folder: Path) -> None:
            made.append(number)
            writing(str(number))(folder)

        return text_of(Cache(tmp_path).entry("build", "1", make))

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(ask, range(4)))

    assert len(made) == 1
    assert found == {str(made[0])}


def test_the_oldest_entries_go_unless_somebody_uses_them(tmp_path: Path) -> None:
    used, other = Cache(tmp_path, keep=2), Cache(tmp_path, keep=2)
    held = used.entry("build", "used", writing("used"))
    for age, key in ((3, "old"), (2, "newer"), (1, "newest")):
        entry = Cache(tmp_path, keep=9).entry("build", key, writing(key))
        os.utime(entry, (1_000_000 - age, 1_000_000 - age))
    os.utime(held, (0, 0))

    other.entry("build", "last", writing("last"))

    assert sorted(path.name for path in (tmp_path / "build").iterdir() if path.is_dir()) == ["last", "newest", "used"]


def test_the_cache_is_where_the_environment_says(tmp_path: Path) -> None:
    assert cache_root({"BALLAST_CACHE": str(tmp_path)}) == tmp_path
    assert cache_root({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "ballast"
    assert cache_root({}) == Path.home() / ".cache" / "ballast"
