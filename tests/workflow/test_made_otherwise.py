"""A replay and what-if say which digests of ``made_of`` are others now than when the run was recorded."""

from __future__ import annotations

from cli.what_if.sums import in_words
from functions.lifecycle import admit
from localcloud.cloud import PLAYBOOK
from localcloud.moto_seams.replaced import replaced
from localcloud.replay.lane import Lane
from localcloud.replay.machine import Machine
from localcloud.replay.many import summary
from localcloud.replay.what_if import beside
from tests.support.recorded_runs import recorded_runs


def test_what_ran_and_is_another_one_now_is_told_once_and_what_the_change_changes_is_not() -> None:
    (run,) = recorded_runs(only="loop")
    assert run.opened is not None
    now = {**run.opened.made_of, "code": "0" * 16, "playbook": "1" * 16}

    with replaced(admit, "made_of", lambda _: now), Machine(Lane.baseline(PLAYBOOK)) as machine:
        played = machine.play(run)
    (row,) = beside(Lane("candidate", PLAYBOOK, changes={"limits.turns": 30}), [(run, played)])

    assert played.is_same
    assert summary(run, played).notes == ("the run was made with another version of: code, playbook",)
    assert (row.made_otherwise, row.notes) == (("code", "playbook"), ())
    assert "1 runs were made with another version of what the baseline is (code, playbook)" in in_words([row])
