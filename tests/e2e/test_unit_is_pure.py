"""A test in ``tests/unit`` that opens a socket, starts a process or writes elsewhere fails, and the error names it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: What a test does, and what the rule says to it.
BREACHES = {
    "import moto.core.models": "imports moto",
    "import moto": "imports moto",  # loaded by the one before
    "import importlib; importlib.import_module('moto.core')": "imports moto",
    "import socket; socket.socket()": "opens a socket",
    "import socket; socket.create_server(('127.0.0.1', 0))": "opens a socket",
    "import socket; socket.gethostbyaddr('127.0.0.1')": "asks for an address",
    "import subprocess; subprocess.run(['true'])": "starts a process",
    "import multiprocessing as many; many.get_context('spawn').Process().start()": "starts a process",
    "import ctypes; ctypes.CDLL(None).system(b'true')": "calls C's system",
    "open(__file__ + '.txt', 'w')": "writes",
    "os.mkdir(__file__ + '.folder')": "changes",
    "os.mkdir('folder', dir_fd=os.open(os.path.dirname(__file__), os.O_RDONLY))": "changes",
    "os.remove(__file__)": "changes",
    "os.rename(tmp_path, __file__ + '.moved')": "changes",
    "os.link(__file__, tmp_path / 'hard')": "changes",
    "os.symlink(__file__, tmp_path / 'soft'); open(tmp_path / 'soft', 'a')": "writes",
    "import shutil; shutil.rmtree(os.path.dirname(__file__))": "changes",
    "import tempfile; tempfile.tempdir = os.path.dirname(__file__); open(__file__ + '.txt', 'w')": "writes",
    "os.makedirs(os.path.dirname(__file__) + '/.hypothesis/x')": "changes",
    """
    try:
        open(__file__ + '.txt', 'w')
    except Exception:
        pass
    """: "writes",
    """
    import pytest
    try:
        open(__file__ + '.txt', 'w')
    except Exception:
        pytest.skip("hides it")
    """: "writes",
    """
    import threading
    one = threading.Thread(target=open, args=(__file__ + '.txt', 'w'))
    one.start()
    one.join()
    """: "writes",
}
#: The same in a fixture of the file's, and as the file is imported.
FIXTURE = """
import pytest

@pytest.fixture(scope="module")
def written():
    open(__file__ + ".txt", "w")

def test_takes_it(written):
    pass
"""
EXPECTED = """
import pytest

@pytest.mark.xfail
def test_expects_it():
    open(__file__ + ".txt", "w")
"""
AT_ITS_END = """
import pytest

@pytest.fixture(scope="module")
def removed():
    yield
    try:
        open(__file__ + ".txt", "w")
    except Exception:
        pass

def test_takes_it(removed):
    pass
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One run of a folder with the rule, with all breaches and two tests that break none."""
    # Not in the temporary folder: there a unit test may write.
    folder = ROOT / ".ballast" / f"planted-{os.getpid()}" / "tests_unit"
    folder.mkdir(parents=True)
    try:
        (folder / "conftest.py").write_text((ROOT / "tests" / "unit" / "conftest.py").read_text())
        tests = [f"def test_breach_{n}(tmp_path):\n    {code.strip()}\n" for n, code in enumerate(BREACHES)]
        tests += [
            "def test_may_write_here(tmp_path):\n    (tmp_path / 'x').write_text('x')\n    (tmp_path / 'x').unlink()\n",
            "def test_may_read():\n    open(__file__).read()\n",
        ]
        (folder / "test_planted.py").write_text("import os\n\n" + "\n\n".join(tests))
        (folder / "test_planted_fixture.py").write_text(FIXTURE)
        (folder / "test_planted_end.py").write_text(AT_ITS_END)
        (folder / "test_planted_xfail.py").write_text(EXPECTED)
        (folder / "test_planted_import.py").write_text("try:\n    import moto\nexcept Exception:\n    pass\n")
        made = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "-W",
                "ignore",
                "--continue-on-collection-errors",
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


@pytest.mark.sampled(3)
@pytest.mark.parametrize("number", range(len(BREACHES)))
def test_a_breach_is_named_with_the_place_where_it_belongs(printed: str, number: int) -> None:
    what = list(BREACHES.values())[number]

    assert f"test_breach_{number} {what}" in printed
    assert "Its place is tests/functions, tests/workflow or tests/e2e" in printed


@pytest.mark.parametrize(
    "line",
    [
        "test_planted_fixture.py::test_takes_it writes",
        "test_planted_end.py::test_takes_it writes",
        "test_planted_import.py imports moto",
        "test_planted_xfail.py::test_expects_it writes",
    ],
)
def test_a_fixture_and_an_import_are_held_to_it_too(printed: str, line: str) -> None:
    assert line in printed


def test_a_pure_test_is_left_alone(printed: str) -> None:
    assert f"{len(BREACHES) + 1} failed, 3 passed, 3 errors" in printed


@pytest.mark.deep
def test_unit_tests_are_collected_without_moto_in_a_process_of_their_own() -> None:
    """Here, in the whole suite, others have loaded moto long before."""
    collect = "import pytest, sys; code = pytest.main(sys.argv[1:]); sys.exit(code or 'moto' in sys.modules)"

    made = subprocess.run(
        [sys.executable, "-c", collect, "-q", "--collect-only", "-p", "no:cacheprovider", ROOT / "tests" / "unit"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )

    assert made.returncode == 0, made.stdout[-2_000:]
