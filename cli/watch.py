"""One run on the screen: started, followed, saved, and whatever happens, never lost."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from ballast.contracts import RunRequest
from ballast.contracts.timeline import Timeline
from ballast.errors import InvalidInput, NotAdmitted
from ballast.log.event import Event
from ballast.log.events import ApprovalRequested, EscalationOpened
from ballast.run import Run
from cli.follow import ASKS, EVERY_S, Cloud, follow
from cli.journal import Journal
from cli.output import Screen
from cli.people import People
from cli.progress import progress

#: So long the runs that are cut off may take to be closed: aborted, and settled in their log.
CLOSED_WITHIN_S = 10.0


class Mortal(Protocol):
    """A cloud that ends with this process, and its runs with it."""

    def stop(self, run_id: str) -> None:
        """Abort the run's execution."""

    def wait(self, run_id: str, timeout_s: float) -> object:
        """Wait until the run has ended and is settled. Raises ``TimeoutError``."""


def watch(
    cloud: Cloud,
    request: RunRequest,
    people: People,
    *,
    screen: Screen,
    journal: Journal,
    title: str,
    every_s: float = EVERY_S,
    wait: bool = True,
) -> Timeline:
    """Run ``request`` and return its timeline; print each entry of the log as it appears.

    The log is saved in the journal when the run ends, and also when this is interrupted: then the run of a local
    cloud is aborted first, so that its log says how it ended. Without ``wait`` a run that asks a person is taken as
    interrupted too; one of a deployed stack goes on there.
    Raises ``InvalidInput`` or ``NotAdmitted`` where the front door refuses.
    """
    run_id, begun = request.run_id, False

    def saw(event: Event) -> None:
        if line := progress(event):
            screen.line(*line)

    try:
        start(cloud, request)
        begun = True
        screen.line(f"{run_id} started")
        events = follow(cloud, run_id, people, saw, every_s=every_s, wait=wait)
    except BaseException as problem:
        refused = not begun and isinstance(problem, InvalidInput | NotAdmitted)  # then there is no run
        if not refused and (events := keep(cloud, run_id, journal, title)):
            how = "goes on" if events.timeline().status in ("open", "waiting") else "is aborted"
            screen.line(f"The run {how}. The log so far is kept: ballast trace {run_id}", "yellow")
        raise
    finally:
        people.leave()
    if not wait and not events.has_ended and any(event.name in ASKS for event in events):
        events = keep(cloud, run_id, journal, title)
        screen.line(_not_waited_for(cloud, events), "yellow")
        return events.timeline()
    if not events:
        ended = cloud.wait(run_id, 0)
        refused = isinstance(ended.output, dict) and ended.output.get("status") == "refused"
        why = ended.output["reason"] if refused else ended.cause or ended.status
        sentence = f"Ended before anything was in its log: {why}"
        return Timeline(run_id=run_id, status="refused" if refused else "failed", ending=sentence)
    journal.save(run_id, title, events)
    return events.timeline()


def close(cloud: Mortal, run_ids: Sequence[str], within_s: float = CLOSED_WITHIN_S) -> None:
    """Abort runs of a cloud that ends, and let each be settled, so that its log says how it ended.

    What is not settled in time, or when Ctrl-C comes again, is left as it is.
    """
    until = time.monotonic() + within_s
    try:
        for act in (cloud.stop, lambda run_id: cloud.wait(run_id, max(0.0, until - time.monotonic()))):
            for run_id in run_ids:
                with suppress(Exception):  # the journal notes which of them were cut off
                    act(run_id)
    except KeyboardInterrupt:
        return


def keep(cloud: Cloud, run_id: str, journal: Journal, title: str) -> Run:
    """Save the log of a run that is not followed any more, and return it; a run of a local cloud is closed first."""
    ends_here = hasattr(cloud, "stop")
    if ends_here:
        close(cloud, [run_id])  # type: ignore[arg-type]
    events = cloud.events(run_id)
    if events:
        journal.save(run_id, title, events, cut_off=ends_here and not events.has_ended)
    return events


def _not_waited_for(cloud: Cloud, run: Run) -> str:
    asked: list[EscalationOpened | ApprovalRequested]
    asked = [*run.facts(EscalationOpened), *run.facts(ApprovalRequested)]
    what = f"It asks a person ({asked[-1].reason or 'approval'}), and nobody waits for the answer here"
    if hasattr(cloud, "stop"):
        return f"{what}: the run is aborted. With --wait it waits for `ballast answer`."
    return f"{what}: the run goes on. `ballast escalations` and `ballast answer` with --stack answer it."


def start(cloud: Cloud, request: RunRequest) -> str:
    """Start the run through the front door and return its id. Raises what the front door names."""
    from localcloud.functions import FunctionError

    try:
        return cloud.start(request)
    except FunctionError as problem:
        if problem.name == "InvalidInput":
            raise InvalidInput(problem.message) from None
        if problem.name == "RequestConflict":
            raise NotAdmitted(problem.message) from None
        raise
