"""The command in separate processes: imports, output, and what a killed one leaves behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ballast.log.event import Event
from cli.escalation_files import EscalationFiles, NobodyWaits
from cli.saved_runs import SavedRuns

ROOT = Path(__file__).resolve().parents[2]
ENVIRON = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "layers" / "ballast")])}


def test_help_loads_nothing_that_takes_time() -> None:
    script = (
        "import sys; from cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, env=ENVIRON)

    assert "exit codes (" in done.stdout
    assert not {"boto3", "moto", "rich", "pydantic", "yaml"} & set(eval(done.stderr))


def test_whoever_reads_only_the_first_lines_causes_no_complaint(tmp_path: Path) -> None:
    for letter in "abcdefghij":
        run_id = f"run-{letter * 24}"
        opened = Event(run_id=run_id, seq="0000.run.opened", at="2025-06-01T03:00:00+00:00", body={"request": {}})
        SavedRuns(tmp_path).save(run_id, "demo happy-path", [opened])
    command = f"{sys.executable} -m cli trace --json | head -c 1"
    environ = ENVIRON | {"BALLAST_HOME": str(tmp_path)}

    done = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True, env=environ)

    assert (done.stdout, done.stderr) == ("[", "")


def test_a_process_that_was_killed_no_longer_waits(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib; from cli.escalation_files import EscalationFiles, WaitingEscalation;"
        "EscalationFiles(pathlib.Path(sys.argv[1])).post(WaitingEscalation('esc-dead', {}));"
        "print('posted', flush=True); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, cwd=ROOT, env=ENVIRON)

    assert (tmp_path / "escalations" / "esc-dead.json").exists()
    with pytest.raises(NobodyWaits):
        EscalationFiles(tmp_path).find("esc-dead")


@pytest.mark.deep
def test_a_run_whose_reader_goes_away_is_closed_and_kept(tmp_path: Path) -> None:
    script = ROOT / "localcloud" / "scenarios" / "happy-path" / "script.yaml"
    words = f"-m cli run --no-wait --model {script} --text 'Where is order O-1001?'"
    environ = ENVIRON | {"BALLAST_HOME": str(tmp_path)}
    command = f"{sys.executable} {words} | head -n 2; exit ${{PIPESTATUS[0]}}"

    done = subprocess.run(
        ["bash", "-c", command], check=False, capture_output=True, text=True, env=environ, cwd=ROOT, timeout=120
    )

    assert (done.returncode, done.stderr) == (141, "")
    assert done.stdout.splitlines()[-1].endswith(" started")
    (kept,) = SavedRuns(tmp_path).recent()
    assert "run.ended" in {event.name for event in kept.events} or kept.cut_off
