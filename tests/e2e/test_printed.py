"""Tools' output and tracebacks appear in the run's file, and with --verbose at once; sensitive values are masked."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli import main
from cli.function_output import lines

ROOT = Path(__file__).resolve().parents[2]
LOUD = Path(__file__).parent / "loud"
PIN, TAX_NUMBER = "77412-09", "DE-811-5577"
SCRIPT = f"""
turns:
  - call:
      - {{tool: say, arguments: {{word: hello, pin: "{PIN}"}}}}
      - {{tool: say_in_time, arguments: {{word: hurry, pin: "{PIN}"}}}}
      - {{tool: break_down, arguments: {{word: down, pin: "{PIN}"}}}}
  - say: Done.
"""


def words(home: Path, *more: str) -> list[str]:
    script = home / "script.yaml"
    script.write_text(SCRIPT)
    request = ["--text", f"Say hello to {PIN}.", "--context", f"tax_number={TAX_NUMBER}"]
    return ["run", *request, "--playbook", str(LOUD), "--model", str(script), *more]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path))
    return tmp_path


def test_a_tools_output_is_in_the_runs_file_and_nothing_of_it_on_the_screen(home: Path) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "ballast")])
    environ = os.environ | {"PYTHONPATH": path, "BALLAST_HOME": str(home)}
    # A process of its own: nobody stands between it and its standard streams.
    done = subprocess.run(
        [sys.executable, "-m", "cli", *words(home)], env=environ, capture_output=True, text=True, check=True
    )

    run_id = re.search(r"run-[a-z2-7]{24}", done.stdout)
    assert run_id
    file = home / "logs" / f"{run_id[0]}.log"
    kept = file.read_text()
    for said in ("printed hello", "complained hello", "logged hello", "threaded hello", "in time hurry"):
        assert said in kept
        assert said not in done.stdout + done.stderr
    assert "Traceback" in kept
    assert re.search(r"loud\.py\", line \d+, in _deep", kept)
    assert "KeyError: 'boom *****'" in kept
    assert "_aws" not in kept
    assert "\x1b" not in kept
    assert PIN not in kept
    assert TAX_NUMBER not in kept
    assert (file.stat().st_mode & 0o777) == 0o600
    assert str(file) in done.stdout
    assert done.stderr == ""


def test_verbose_shows_it_at_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(home, "--verbose")) == 0

    printed = capsys.readouterr().out
    assert "printed hello *****" in printed
    assert "in _deep" in printed
    assert printed.index("printed hello") < printed.index("answered by agent")
    assert TAX_NUMBER not in printed[printed.index("printed hello") : printed.index("answered by agent")]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("one\ntwo\n\n", ["one", "two"]),
        ('{"_aws": {}, "Runs": 1}\nafter', ["after"]),
        (
            '{"level": "ERROR", "trace": "Traceback:\\n  File x\\nKeyError: y"}',
            ["Traceback:", "  File x", "KeyError: y"],
        ),
        ('{"any": "JSON"}', ['{"any": "JSON"}']),
        ('{"broken', ['{"broken']),
        ("[1, 2]", ["[1, 2]"]),
        ('{"trace": 7}', ['{"trace": 7}']),
        ("", []),
    ],
)
def test_metrics_are_left_out_and_tracebacks_are_lines(text: str, read: list[str]) -> None:
    assert list(lines(text)) == read
