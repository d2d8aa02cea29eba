"""Ctrl-C ends ``ballast replay`` with its processes, and what was replayed by then is told."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ballast.log import exported
from cli.exits import Exit
from localcloud.cloud import ROOT
from tests.support.recorded_runs import recorded_runs


@pytest.mark.deep
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the processes are looked for in /proc")
def test_ctrl_c_with_several_processes_tells_what_was_done_and_leaves_none(tmp_path: Path) -> None:
    (run,) = recorded_runs(only="loop")
    lines = "\n".join(exported.write(run.run_id, [event.as_shown for event in run.events]))
    for number in range(400):
        # A run that is given twice counts once. One with another id differs, which is not looked at here.
        another = lines.replace(run.run_id, f"{run.run_id[:-4]}{number:04d}")
        (tmp_path / f"{number}.jsonl").write_text(another, encoding="utf-8")

    begun = subprocess.Popen(
        [sys.executable, "-m", "cli", "replay", str(tmp_path), "--workers", "2"],
        cwd=ROOT,
        env={**os.environ, "BALLAST_HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert begun.stderr is not None
    assert any(line.startswith("50 runs replayed") for line in begun.stderr)
    os.killpg(begun.pid, signal.SIGINT)  # as a terminal does: to all of them
    told, complaint = begun.communicate(timeout=300)

    assert begun.returncode == Exit.INTERRUPTED, complaint
    assert "Interrupted: the rest was not replayed." in told
    done = int(told.splitlines()[-1].partition(" runs,")[0])
    assert 50 <= done < 400
    assert "Traceback" not in complaint
    assert not [one for one in Path("/proc").glob("[0-9]*/stat") if _group(one) == begun.pid]


def _group(stat: Path) -> int:
    """Return a process's group; 0 if it is gone."""
    try:
        state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return 0
    return 0 if state == "Z" else int(group)
