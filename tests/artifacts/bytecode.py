"""Check bytecode with the Python that made it: pytest's own may be another version, which could not read it."""

from __future__ import annotations

import json
import marshal
import subprocess
import sys
from importlib.util import MAGIC_NUMBER, cache_from_source, source_from_cache, source_hash
from pathlib import Path

_UNCHECKED = (1).to_bytes(4, "little")


def wrong_in(python: Path, *folders: tuple[Path, str]) -> list[dict[str, str]]:
    """Return of each folder its sources, each with why Lambda would compile it or take bytecode of another source.

    With a folder is where it is in Lambda: tracebacks have to say so. All are checked in one process.
    """
    asked = [str(python), "-I", __file__, *(str(part) for folder in folders for part in folder)]
    found: list[dict[str, str]] = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
    return found


def _check(source: Path, path: str) -> str | None:
    compiled = Path(cache_from_source(str(source)))
    if not compiled.is_file():
        return "has no bytecode"
    content = compiled.read_bytes()
    if content[:8] != MAGIC_NUMBER + _UNCHECKED:
        return "has bytecode that is not taken as it is"
    if content[8:16] != source_hash(source.read_bytes()):
        return "has bytecode of another source"
    recorded = marshal.loads(content[16:]).co_filename
    return None if recorded == path else f"has bytecode of {recorded}"


def _wrong(folder: Path, in_lambda: str) -> dict[str, str]:
    found = {
        str(source.relative_to(folder)): _check(source, f"{in_lambda}/{source.relative_to(folder)}")
        for source in folder.rglob("*.py")
    }
    for compiled in folder.rglob("*.pyc"):
        if not Path(source_from_cache(str(compiled))).is_file():
            found[str(compiled.relative_to(folder))] = "has no source"
    return {name: what for name, what in found.items() if what}


if __name__ == "__main__":
    pairs = zip(sys.argv[1::2], sys.argv[2::2], strict=True)
    json.dump([_wrong(Path(folder), in_lambda) for folder, in_lambda in pairs], sys.stdout)
