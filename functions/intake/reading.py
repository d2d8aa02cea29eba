"""Runs as the API shows them: read from the log, and from the execution while the log is still empty."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ballast.contracts import Event, RunRequest
from ballast.contracts.event import order, run_seq
from ballast.contracts.wire import parse, plain
from ballast.errors import LogCorrupt
from ballast.folds import ending, opening, progress, requested, usage
from ballast.log import RunLog
from ballast.log.aws_errors import consequences
from ballast.money import dollars
from ballast.runtime import Runtime
from functions.intake.contract import EventPage, LoggedEvent, Run
from functions.intake.start import IntakeSettings

#: Seconds between two looks at a run that is waited for.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0
#: Lambda answers with 6 MB at most; one event alone may be half of that.
_MAX_PAGE_BYTES = 2_500_000
#: What an execution's status is to a run that never came to write its log.
_WITHOUT_A_LOG = {"RUNNING": "running", "ABORTED": "aborted", "TIMED_OUT": "timed_out", "SUCCEEDED": "refused"}


@dataclass(frozen=True)
class Runs:
    """Reads runs."""

    log: RunLog
    stepfunctions: Any
    state_machine_arn: str

    @classmethod
    def of(cls, runtime: Runtime) -> Runs:
        """Put it together; once per runtime."""
        arn = IntakeSettings.of(runtime).state_machine_arn
        return cls(runtime.get(RunLog.of), runtime.client("stepfunctions"), arn)

    def execution_arn(self, run_id: str) -> str:
        """Return the ARN of the run's execution."""
        return f"{self.state_machine_arn.replace(':stateMachine:', ':execution:')}:{run_id}"

    def get(self, run_id: str) -> Run | None:
        """Return the run, None where there is none."""
        events = self.log.read(run_id)
        return run_of(events) if events else self._not_opened_yet(run_id)

    def tenant(self, run_id: str) -> str | None:
        """Return whose the run is, None where there is none; reads its first event, and no more."""
        first = self.log.read_keys([(run_id, run_seq("opened")), (run_id, run_seq("refused"))])
        if first:
            return requested(tuple(first.values())).tenant
        run = self._not_opened_yet(run_id)
        return run.tenant if run else None

    def wait(
        self,
        run_id: str,
        seconds: float,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> bool:
        """Return True as soon as the run has ended, False after ``seconds``, looks included."""
        pause, slept, began = _FIRST_PAUSE_S, 0.0, monotonic()
        while not self.ended(run_id):
            left = seconds - max(slept, monotonic() - began)
            if left <= 0:
                return False
            nap = min(pause, left)
            sleep(nap)
            slept += nap
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        return True

    def ended(self, run_id: str) -> bool:
        """Say whether the run's log has its ending; reads that, and no more."""
        return bool(self.log.read_keys([(run_id, run_seq("ended")), (run_id, run_seq("refused"))]))

    def events(self, run_id: str, after: str | None, limit: int) -> EventPage:
        """Return at most ``limit`` events, those that come after the one with the key ``after``."""
        cursor = Event(run_id=run_id, seq=after or "0000.run.a", at="", body={})
        begins = cursor.turn
        found: list[Event] = []
        more = True
        while more and len(found) <= limit:
            events, more = self.log.read_turns(run_id, begins, at_least=limit + 1)
            found += [event for event in events if after is None or order(event) > order(cursor)]
            begins = events[-1].turn + 1 if events else begins
        page: list[LoggedEvent] = []
        size = 0
        for event in found[:limit]:
            text = plain(json.dumps(event.body, ensure_ascii=False))
            size += len(text)
            if page and size > _MAX_PAGE_BYTES:
                break
            page.append(LoggedEvent(seq=event.seq, at=event.at, body=json.loads(text)))
        return EventPage(events=tuple(page), next=page[-1].seq if len(page) < len(found) else None)

    def _not_opened_yet(self, run_id: str) -> Run | None:
        """The execution exists a moment before the log does, and without it where the run could not be admitted."""
        with consequences(f"State machine {self.state_machine_arn} (STATE_MACHINE_ARN)"):
            try:
                found = self.stepfunctions.describe_execution(executionArn=self.execution_arn(run_id))
            except self.stepfunctions.exceptions.ExecutionDoesNotExist:
                return None
        sent = json.loads(found["input"]).get("request")
        request = parse(RunRequest, sent, what="request", error=LogCorrupt)
        return pending(request, _WITHOUT_A_LOG.get(found["status"], "failed"))


def pending(request: RunRequest, status: str = "running") -> Run:
    """Return a run of which nothing is recorded yet."""
    return Run.model_validate(about(request) | {"run_id": request.run_id, "status": status})


def run_of(events: Sequence[Event]) -> Run:
    """Return the run that ``events``, all of its log, tell of."""
    stands, used = progress(events), usage(events)
    facts = about(requested(events)) | {
        "run_id": events[0].run_id,
        "status": stands.status,
        "by": stands.by,
        "degraded": stands.degraded,
        "reason": stands.reason,
        "cost_usd": dollars(used.charged_microusd),
        "turns": stands.turn,
        "escalation_id": stands.escalation_id,
        "question": _question(events, stands.escalation_id),
    }
    if stands.status != "refused":
        opened = opening(events)
        facts |= {"opened_at": events[0].at, "ceiling_usd": dollars(opened.cost_ceiling_microusd)}
        facts |= {"deadline_at": datetime.fromtimestamp(opened.deadline_ms / 1000, UTC).isoformat()}
    if (end := ending(events)) is not None:
        facts |= ended_as(end) | {"deadline_at": None}
    return Run.model_validate(facts)


def about(request: RunRequest) -> dict[str, Any]:
    """Return what a run's request says of it."""
    return {
        "request_id": request.request_id,
        "tenant": request.tenant,
        "agent": request.agent,
        "intent": request.intent,
        "text": plain(request.text),
    }


def ended_as(end: Event) -> dict[str, Any]:
    """Return what a run's last event says of it."""
    body = end.body
    if end.name == "run.refused":
        refusal = {"reason": body["reason"], "message": plain(body["message"])}
        refusal["opens_at"] = body.get("opens_at")
        return {"status": "refused", "ended_at": end.at, **refusal}
    answer = body.get("answer")
    return {
        "status": body["status"],
        "by": body["by"],
        "degraded": body["degraded"],
        "reason": body.get("reason"),
        "answer": None if answer is None else plain(answer),
        "cost_usd": dollars(body["spent_microusd"] + body["reserved_microusd"]),
        "ended_at": end.at,
    }


def _question(events: Sequence[Event], escalation_id: str | None) -> str | None:
    """Return what the requester is asked, where it is they who are asked."""
    opened = (event.body for event in events if event.name == "escalation.opened")
    for body in opened:
        if escalation_id is not None and body["escalation_id"] == escalation_id and body.get("kind") == "question":
            return plain(body["summary"])
    return None
