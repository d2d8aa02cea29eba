"""Results of long computations, kept in the user's cache folder for the next process."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

#: Files of one kind: the oldest beyond them go.
_KEEP = 64


def kept(kind: str, of: str, make: Callable[[], str]) -> str:
    """Return ``make()``, a pure function of ``of``: from the file ``kind/<digest>`` if an earlier process left it.

    ``of`` names the versions of the libraries that compute it, too. A folder that cannot be written keeps nothing, nor
    does an empty ``$BALLAST_CACHE``. A file with other content than was written counts for nothing.
    """
    if os.environ.get("BALLAST_CACHE") == "":
        return make()
    file = _folder() / kind / hashlib.sha256(of.encode()).hexdigest()
    with suppress(OSError, UnicodeDecodeError):
        digest, _, text = file.read_text(encoding="utf-8").partition("\n")
        if digest == _digest(text):
            os.utime(file)
            return text
    text = make()
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, prefix="making-", delete=False) as making:
            making.write(f"{_digest(text)}\n{text}")
        os.replace(making.name, file)
        _prune(file.parent)
    return text


def _folder() -> Path:
    """Return ``local-cloud`` in ``$BALLAST_CACHE``, else in ``ballast`` of the user's cache folder."""
    if given := os.environ.get("BALLAST_CACHE"):
        return Path(given) / "local-cloud"
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "ballast" / "local-cloud"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _prune(folder: Path) -> None:
    newest_first = sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)
    for old in newest_first[_KEEP:]:
        old.unlink(missing_ok=True)
