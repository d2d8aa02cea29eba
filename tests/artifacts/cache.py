"""A cache of folders by content, outside the clone, for all clones of one person. An entry is whole or absent."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def cache_root(environ: Mapping[str, str]) -> Path:
    """Return ``$BALLAST_CACHE``, else ``ballast`` in the user's cache folder."""
    if environ.get("BALLAST_CACHE"):
        return Path(environ["BALLAST_CACHE"]).expanduser().resolve()
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "ballast"


class Cache:
    """Entries ``root/kind/key``.

    An entry that was returned stays until this process ends, whoever prunes. ``keep`` is how many entries of
    one kind are kept beyond those in use, last used first.
    """

    def __init__(self, root: Path, keep: int = 3) -> None:
        self.root = root
        self._keep = keep
        self._in_use: dict[Path, IO[str]] = {}

    def entry(self, kind: str, key: str, make: Callable[[Path], None]) -> Path:
        """Return the folder ``kind/key``; unless it is there, ``make`` fills it first.

        One process makes entries of a kind at a time, others wait. ``make`` fills a folder of another name,
        which gets its own when it is whole: what a killed process left is never used, and removed here.
        """
        home = self.root / kind
        entry = home / key
        with self.locked(kind):
            if not entry.is_dir():
                for left in home.glob("*.making"):
                    shutil.rmtree(left)
                making = home / f"{key}.making"
                making.mkdir()
                make(making)
                making.rename(entry)
            if entry not in self._in_use:
                held = (home / f"{key}.in-use").open("w")
                fcntl.flock(held, fcntl.LOCK_SH)
                self._in_use[entry] = held
            os.utime(entry)
            self._prune(home)
        return entry

    @contextmanager
    def locked(self, kind: str) -> Iterator[None]:
        """Hold the lock of a kind, against other threads, processes and clones."""
        home = self.root / kind
        home.mkdir(parents=True, exist_ok=True)
        with (home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _prune(self, home: Path) -> None:
        entries = [path for path in home.iterdir() if path.is_dir() and path.suffix != ".making"]
        for old in sorted(entries, key=lambda path: path.stat().st_mtime, reverse=True)[self._keep :]:
            with (home / f"{old.name}.in-use").open("w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(old)
                Path(lock.name).unlink()
