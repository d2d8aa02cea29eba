"""Start one run, print its events as they appear, and save its log however the command ends."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from ballast.contracts import RunRequest
from ballast.contracts.timeline import Timeline
from ballast.errors import BallastError, InvalidInput, NotAdmitted
from ballast.log.event import Event
from ballast.log.events import ApprovalRequested, EscalationOpened
from ballast.run import Run
from cli.progress import ASKS, progress
from cli.responders import Responder
from cli.saved_runs import SavedRuns
from cli.screen import Screen

#: Seconds between two reads of the log. A person cannot read faster.
EVERY_S = 0.1
#: After this many reads without a new entry, as while a person thinks, each pause is longer than the one before, up to
#: a limit in seconds.
_QUIET_READS, _LONGER, _LONGEST_S = 20, 1.2, 0.5
#: An execution that ended without the workflow's own Settle is settled by an EventBridge rule; that takes a moment.
SETTLED_WITHIN_S = 30.0
#: How long aborted runs may take to end and to be settled.
CLOSED_WITHIN_S = 10.0


class NotEnded(BallastError):
    """A run has not ended within its time; says what it waits for."""


class Cloud(Protocol):
    """Where a run executes: a ``LocalCloud`` or a deployed stack."""

    @property
    def session(self) -> Any:
        """A boto3 session."""

    def physical_id(self, logical_id: str) -> str:
        """Return the name or ARN of a resource."""

    def start(self, request: RunRequest, requested_by: str | None = None) -> str:
        """Start a run and return its id. Raises ``FunctionError``."""

    def wait(self, run_id: str, timeout_s: float) -> Any:
        """Return the run's execution once it has ended."""

    def events(self, run_id: str) -> Run:
        """Return the run's log."""


class EphemeralCloud(Protocol):
    """A cloud that ends with this process, and its runs with it."""

    def stop(self, run_id: str) -> None:
        """Abort the run's execution."""

    def wait(self, run_id: str, timeout_s: float) -> object:
        """Wait until the run has ended and is settled. Raises ``TimeoutError``."""


def run_and_follow(
    cloud: Cloud,
    request: RunRequest,
    responder: Responder,
    *,
    screen: Screen,
    saved_runs: SavedRuns,
    title: str,
    every_s: float = EVERY_S,
    wait: bool = True,
    requested_by: str | None = None,
    begin: Callable[[], str] | None = None,
    within_s: float | None = None,
) -> Timeline:
    """Run ``request``, print each event as it appears, and return the run's timeline.

    The log is saved when the run ends and also when this is interrupted. A run of a local cloud is then aborted first,
    so that its log says how it ended. Without ``wait``, a run that asks a person counts as interrupted; on a deployed
    stack it goes on. ``begin`` starts it in another way than ``Cloud.start``. ``requested_by``: who sends the request,
    and so may not decide about it; None: nobody knows. ``within_s``: real seconds within which it must end; None: any.
    Raises ``InvalidInput`` or ``NotAdmitted`` if the front door refuses the request, and ``NotEnded``.
    """
    run_id, begun = request.run_id, False

    def show(event: Event) -> None:
        if line := progress(event):
            screen.line(*line)

    saved_runs.try_it()
    try:
        begin() if begin is not None else start(cloud, request, requested_by)
        begun = True
        screen.line(f"{run_id} started")
        events = follow(cloud, run_id, responder, show, every_s=every_s, wait=wait, within_s=within_s)
    except BaseException as problem:
        refused = not begun and isinstance(problem, InvalidInput | NotAdmitted)  # then there is no run
        if not refused and (events := save_unfinished(cloud, run_id, saved_runs, title)):
            how = "continues" if events.timeline().status in ("open", "waiting") else "is aborted"
            screen.line(f"The run {how}. Its log so far is saved: ballast trace {run_id}", "yellow")
        raise
    finally:
        responder.close()
    if not wait and not events.has_ended and any(event.name in ASKS for event in events):
        events = save_unfinished(cloud, run_id, saved_runs, title)
        screen.line(_not_waited_for(cloud, events), "yellow")
        return events.timeline()
    if not events:
        ended = cloud.wait(run_id, 0)
        refused = isinstance(ended.output, dict) and ended.output.get("status") == "refused"
        why = ended.output["reason"] if refused else ended.cause or ended.status
        sentence = f"Ended with an empty log: {why}"
        return Timeline(run_id=run_id, status="refused" if refused else "failed", ending=sentence)
    saved_runs.save(run_id, title, events)
    return events.timeline()


def start(cloud: Cloud, request: RunRequest, requested_by: str | None = None) -> str:
    """Start the run through the front door and return its id. Raises ``InvalidInput`` or ``NotAdmitted``."""
    from localcloud.functions import FunctionError

    try:
        return cloud.start(request, requested_by)
    except FunctionError as problem:
        if problem.name == "InvalidInput":
            raise InvalidInput(problem.message) from None
        if problem.name == "RequestConflict":
            raise NotAdmitted(problem.message) from None
        raise


def follow(
    cloud: Cloud,
    run_id: str,
    responder: Responder,
    on_event: Callable[[Event], None],
    *,
    every_s: float = EVERY_S,
    sleep: Callable[[float], None] = time.sleep,
    wait: bool = True,
    within_s: float | None = None,
) -> Run:
    """Call ``on_event`` once for each event, in order; return the log when the run has ended.

    Without ``wait``, return it also when the run asks a person; it then has no ending. Raises ``NotEnded``.
    """
    until = None if within_s is None else time.monotonic() + within_s
    states = cloud.session.client("stepfunctions")
    machine = cloud.physical_id("AgentStateMachine")
    arn = f"{machine.replace(':stateMachine:', ':execution:')}:{run_id}"
    seen: set[str] = set()
    quiet, pause_s = 0, every_s
    while True:
        # Read the execution before the log, so that the log holds everything that was written before the end.
        running = states.describe_execution(executionArn=arn)["status"] == "RUNNING"
        if not running:
            cloud.wait(run_id, SETTLED_WITHIN_S)
        events = cloud.events(run_id)
        new = [event for event in events if event.seq not in seen]
        for event in new:
            seen.add(event.seq)
            on_event(event)
        if not running or (not wait and any(event.name in ASKS for event in new)):
            return events
        responder.poll()
        if until is not None and time.monotonic() > until:
            raise NotEnded(f"It did not end within {within_s:.0f} s: it waits for {waited_for(events.timeline())}.")
        quiet = 0 if new else quiet + 1
        pause_s = every_s if quiet < _QUIET_READS else max(every_s, min(pause_s * _LONGER, _LONGEST_S))
        sleep(pause_s)


def waited_for(made: Timeline) -> str:
    """Return in words what a run that has not ended waits for: the newest thing that has no outcome yet."""
    for turn in reversed(made.turns):
        asked, here = turn.escalation, f"in turn {turn.turn}"
        if asked is not None and not asked.by:
            return f"{'an answer of the requester' if asked.kind == 'question' else 'the decision of a person'} {here}"
        for call in turn.calls:
            if call.outcome == "waiting":
                approval = call.approvals[-1]
                given = f"{len(approval.given)} of {max(approval.approvals, 1)} given"
                return f"the approval of {call.tool} (turn {turn.turn}, call {call.index}), {given}"
        if late := [call.tool for call in turn.calls if call.outcome == "open"]:
            return f"the outcome of {', '.join(late)} {here}"
        if any(attempt.state == "open" for attempt in turn.attempts):
            return f"the model's answer {here}"
        return f"what comes after turn {turn.turn}"
    return "its admission"


def abort_all(cloud: EphemeralCloud, run_ids: Sequence[str], within_s: float = CLOSED_WITHIN_S) -> None:
    """Abort the runs of a cloud that ends, and let each be settled, so that its log says how it ended.

    A run that is not settled in time, or when Ctrl-C comes again, is left as it is.
    """
    until = time.monotonic() + within_s
    try:
        for act in (cloud.stop, lambda run_id: cloud.wait(run_id, max(0.0, until - time.monotonic()))):
            for run_id in run_ids:
                with suppress(Exception):  # the saved file says that the run was cut off
                    act(run_id)
    except KeyboardInterrupt:
        return


def save_unfinished(cloud: Cloud, run_id: str, saved_runs: SavedRuns, title: str) -> Run:
    """Save and return the log of a run that is no longer followed; abort the run first if its cloud is local."""
    ends_here = hasattr(cloud, "stop")
    if ends_here:
        abort_all(cloud, [run_id])  # type: ignore[arg-type]
    events = cloud.events(run_id)
    if events:
        saved_runs.save(run_id, title, events, cut_off=ends_here and not events.has_ended)
    return events


def _not_waited_for(cloud: Cloud, run: Run) -> str:
    asked: list[EscalationOpened | ApprovalRequested]
    asked = [*run.facts(EscalationOpened), *run.facts(ApprovalRequested)]
    what = f"The run asks a person ({asked[-1].reason or 'approval'}), and this command does not wait for the answer"
    if hasattr(cloud, "stop"):
        return f"{what}: the run is aborted. Use --wait to answer it with `ballast answer`."
    return f"{what}: the run continues. Answer it with `ballast --stack NAME answer`."
