"""One run on the screen: started, followed, saved, and whatever happens, never lost."""

from ballast.contracts import Event, RunRequest
from ballast.errors import InvalidInput, NotAdmitted
from local.cli.follow import EVERY_S, Cloud, follow
from local.cli.output import Screen
from local.cli.people import People
from local.cli.progress import progress
from local.journal import Journal
from local.trace.fold import timeline
from local.trace.timeline import Timeline


def watch(
    cloud: Cloud,
    request: RunRequest,
    people: People,
    *,
    screen: Screen,
    journal: Journal,
    title: str,
    every_s: float = EVERY_S,
) -> Timeline:
    """Run ``request`` and return its timeline; print each entry of the log as it appears.

    The log is saved in the journal when the run ends, and also when this is interrupted.
    Raises ``InvalidInput`` or ``NotAdmitted`` where the front door refuses.
    """
    run_id = start(cloud, request)
    screen.line(f"{run_id} started")

    def saw(event: Event) -> None:
        if line := progress(event):
            screen.line(*line)

    try:
        events = follow(cloud, run_id, people, saw, every_s=every_s)
    except BaseException:
        if events := cloud.events(run_id):
            journal.save(run_id, title, events)
            screen.line(f"The log so far is kept: ballast trace {run_id}", "yellow")
        raise
    finally:
        people.leave()
    if not events:
        ended = cloud.wait(run_id, 0)
        refused = isinstance(ended.output, dict) and ended.output.get("status") == "refused"
        why = ended.output["reason"] if refused else ended.cause or ended.status
        sentence = f"Ended before anything was in its log: {why}"
        return Timeline(run_id=run_id, status="refused" if refused else "failed", ending=sentence)
    journal.save(run_id, title, events)
    return timeline(events)


def start(cloud: Cloud, request: RunRequest) -> str:
    """Start the run through the front door and return its id. Raises what the front door names."""
    from local.functions import FunctionError

    try:
        return cloud.start(request)
    except FunctionError as problem:
        if problem.name == "InvalidInput":
            raise InvalidInput(problem.message) from None
        if problem.name == "RequestConflict":
            raise NotAdmitted(problem.message) from None
        raise
