"""``ballast feedback``: say whether a run did right, and why. It selects runs; nothing acts on it."""

from __future__ import annotations

import os
from argparse import Namespace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ballast.contracts.person import same_person
from ballast.errors import InvalidInput, MayNotAnswer
from ballast.folds.feedback import BY_CHARS, NOTE_CHARS, feedback_in
from ballast.log.event import Event
from ballast.log.events import RunFeedback
from cli.escalations import user
from cli.exits import Exit
from cli.saved_runs import SavedRuns, state_folder
from cli.screen import Screen

if TYPE_CHECKING:
    from cli.deployed_stack import DeployedCloud


def feedback(typed: Namespace) -> int:
    """Record what was typed in a saved run's log; return 0. The same words again change nothing.

    Raises ``InvalidInput``.
    """
    note, by = _checked(typed)
    saved_runs = SavedRuns(state_folder(os.environ))
    saved = saved_runs.find(typed.run)
    if saved.corrupt:
        raise InvalidInput(f"{saved.run_id}: its log cannot be read as a whole, so nothing is added to it.")
    if not saved.events.has_ended:
        raise InvalidInput(f"{saved.run_id}: has not ended. Say whether it did right once it has.")
    given = feedback_in(saved.events)
    if not any(same_person(one.by, by) and (one.verdict, one.note) == (typed.verdict, note) for one in given):
        number = max((one.index for one in saved.events if one.name == RunFeedback.NAME), default=0) + 1
        said = RunFeedback(number=number, verdict=typed.verdict, by=by, role="operator", note=note)
        at = datetime.now(UTC).isoformat()
        event = Event(run_id=next(iter(saved.events)).run_id, seq=said.seq, at=at, body=said.body)
        saved_runs.save(saved.run_id, saved.title, [*saved.events, event], cut_off=saved.cut_off)
    return _told(saved.run_id, typed.verdict, by, Screen())


def feedback_on_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Send what was typed to the stack's function; return 0 once it is recorded.

    Raises ``InvalidInput`` or ``MayNotAnswer``.
    """
    from localcloud.functions import FunctionError

    note, by = _checked(typed)
    said = {"run_id": typed.run, "verdict": typed.verdict, "note": note, "by": by}
    try:
        taken = cloud.invoke("AnswerEscalationFunction", said)
    except FunctionError as problem:
        refused = MayNotAnswer if problem.name == "MayNotAnswer" else InvalidInput
        raise refused(f"{typed.run}: not recorded: {problem.message}") from None
    return _told(taken["run_id"], taken["verdict"], taken["by"], screen)


def _checked(typed: Namespace) -> tuple[str, str]:
    """Return the note and who speaks. Raises ``InvalidInput``."""
    note, by = typed.note or "", typed.by or user()
    if len(note) > NOTE_CHARS:
        raise InvalidInput(f"--note: has {len(note)} characters; at most {NOTE_CHARS} are kept.")
    if len(by) > BY_CHARS:
        raise InvalidInput(f"--by: has {len(by)} characters; at most {BY_CHARS} are kept.")
    from ballast.secret_scan import check_note

    check_note(note, "--note")
    return note, by


def _told(run_id: str, verdict: str, by: str, screen: Screen) -> int:
    screen.line(f"Recorded: {by} says that {run_id} did {verdict}.")
    return Exit.OK
