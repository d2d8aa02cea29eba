"""``tests/unit`` is held to its rule: each breach turns a run of it red, by name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BREACHES = {
    "imports moto": "import moto.core.models",
    "opens a connection": "import socket; socket.socket().connect(('127.0.0.1', 9))",
    "opens a port": "import socket; socket.socket().bind(('127.0.0.1', 0))",
    "starts a process": "import subprocess; subprocess.run(['true'])",
    "writes": "open(__file__ + '.txt', 'w')",
}


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One run of a folder with the rule, with all breaches and two tests that break none."""
    # Not in the temporary folder: there a unit test may write.
    folder = ROOT / ".ballast" / f"planted-{os.getpid()}" / "tests_unit"
    folder.mkdir(parents=True)
    try:
        (folder / "conftest.py").write_text((ROOT / "tests" / "unit" / "conftest.py").read_text())
        tests = [f"def test_breach_{n}(tmp_path):\n    {code}\n" for n, code in enumerate(BREACHES.values())]
        tests += [
            "def test_may_write_here(tmp_path):\n    (tmp_path / 'x').write_text('x')\n",
            "def test_may_read():\n    open(__file__).read()\n",
        ]
        (folder / "test_planted.py").write_text("\n\n".join(tests))
        made = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "-c",
                os.devnull,
                "--rootdir",
                folder,
                folder,
            ],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path_factory.mktemp("tmp"))},
        )
        return made.stdout
    finally:
        for file in sorted(folder.parent.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        folder.parent.rmdir()


@pytest.mark.parametrize("what", BREACHES)
def test_a_breach_is_named_with_the_place_where_it_belongs(printed: str, what: str) -> None:
    number = list(BREACHES).index(what)

    assert f"test_breach_{number} {what}" in printed
    assert "Its place is tests/functions, tests/workflow or tests/e2e" in printed


def test_a_pure_test_is_left_alone(printed: str) -> None:
    assert f"{len(BREACHES)} failed, 2 passed" in printed
