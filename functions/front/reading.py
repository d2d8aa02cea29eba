"""Runs as the API shows them: read from the log, and from the execution while the log is still empty."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ballast.aws_errors import consequences
from ballast.contracts import RunRequest
from ballast.contracts.timeline import Timeline
from ballast.contracts.wire import parse, without_surrogates
from ballast.errors import LogCorrupt
from ballast.http.paging import PAGE_BYTES, fitting, sent_bytes
from ballast.log.event import GARBLED, Event, order
from ballast.log.events import EscalationOpened, RunCorrected, RunEnded, RunOpened, RunRefused, RunSettled
from ballast.log.evidence import forgets
from ballast.log.run_log import LONGEST_RUN_DAYS, RunLog, Unreadable
from ballast.money import dollars
from ballast.run import Run
from ballast.runtime import Runtime
from functions.front.contract import CorruptEvent, EventPage, LoggedEvent, RunSummary, Written
from functions.front.contract import Run as ShownRun
from functions.front.start import IntakeSettings

#: Seconds between two looks at a run that is waited for.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0
_FIRSTS = (RunOpened.key(), RunRefused.key())
_FIRST_AND_LAST = (*_FIRSTS, RunEnded.key())
#: Every key that Ballast writes comes after it.
_FIRST = "0000."
#: So many bytes tell of entries that cannot be read, beside a run or at the end of its events.
_CORRUPT_BYTES = 500_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: No tenant has this name.
_NOBODY = "-"
#: What an execution's status is to a run that never came to write its log.
_WITHOUT_A_LOG = {"RUNNING": "running", "ABORTED": "aborted", "TIMED_OUT": "timed_out", "SUCCEEDED": "refused"}


class RunExpired(Exception):
    """The run is over, and TTL has removed its record or is about to: that is another thing than no run."""


@dataclass(frozen=True)
class Runs:
    """Reads runs."""

    log: RunLog
    stepfunctions: Any
    state_machine_arn: str
    clock: Callable[[], datetime]

    @classmethod
    def of(cls, runtime: Runtime) -> Runs:
        """Put it together; once per runtime."""
        arn = IntakeSettings.of(runtime).state_machine_arn
        return cls(runtime.get(RunLog.of), runtime.client("stepfunctions"), arn, runtime.clock)

    def execution_arn(self, run_id: str) -> str:
        """Return the ARN of the run's execution."""
        return f"{self.state_machine_arn.replace(':stateMachine:', ':execution:')}:{run_id}"

    def get(self, run_id: str) -> ShownRun | None:
        """Return the run, None where there is none, or TTL has begun to remove it."""
        try:
            return self.look(run_id)
        except RunExpired:
            return None

    def look(self, run_id: str) -> ShownRun | None:
        """Return the run, None where there is none. Raises ``RunExpired`` where TTL has begun to remove it."""
        run, unreadable = self.log.read_all(run_id)
        if not (run or unreadable):
            unopened = self._not_opened_yet(run_id)
            if unopened is None or unopened.status == "running":
                return unopened
            # It has ended since the log was read: what is there now says why.
            run, unreadable = self.log.read_all(run_id)
            if not (run or unreadable):
                return unopened
        if is_expired(run, self.clock()):
            raise RunExpired(run_id)
        return run_of(run, unreadable, run_id)

    def has_expired(self, run_id: str) -> bool:
        """Say whether there are events of the run, and TTL has begun to remove them or is about to."""
        run, _ = self.log.read_all(run_id)
        return bool(run) and is_expired(run, self.clock())

    def tenant(self, run_id: str) -> str | None:
        """Return whose the run is, None where there is none or TTL has begun to remove it; as ``get`` says it.

        Reads its first and last events, and more where the first is gone. No tenant's name where its first event cannot
        be read and is in no index: an operator sees it, nobody else.
        """
        unreadable: list[Unreadable] = []
        keys = [kind.key() for kind in (RunOpened, RunRefused, RunEnded, RunSettled)]
        found = self.log.read_keys([(run_id, key) for key in keys], unreadable)
        ends = Run(sorted(found.values(), key=order))
        wrong = [one for one in unreadable if one.seq.startswith(_FIRSTS)]
        if not wrong and not any(event.seq.startswith(_FIRSTS) for event in ends):
            run = self.get(run_id)
            return None if run is None else run.tenant or _NOBODY
        return None if is_expired(ends, self.clock()) else _tenant(ends, wrong)

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
        unreadable: list[Unreadable] = []
        found = self.log.read_keys([(run_id, RunEnded.key()), (run_id, RunRefused.key())], unreadable)
        return bool(found or unreadable)

    def events(self, run_id: str, after: str | None, limit: int) -> EventPage:
        """Return at most ``limit`` events, those that come after the one with the key ``after``.

        Fewer where they have many bytes. What cannot be read is in its place, and says so.
        """
        cursor = Event(run_id=run_id, seq=after or "0000.run.a", at="", body={})
        begins = cursor.turn
        unreadable: list[Unreadable] = []
        found: list[Event] = []
        more = True
        while more and len(found) <= limit:
            events, more = self.log.read_turns(run_id, begins, limit + 1, unreadable)
            wrong, known = {one.seq: one for one in unreadable}, {one.seq for one in found}
            events = tuple(sorted([*events, *filter(None, map(_placeholder, unreadable))], key=order))
            new = (one for one in events if one.seq not in known)
            found += [one for one in new if after is None or order(one) > order(cursor)]
            begins = events[-1].turn + 1 if events else begins
            more = more and bool(events)
        page: list[LoggedEvent] = []
        size = 0
        for event in found[:limit]:
            one = _logged(event, wrong.get(event.seq))
            size += sent_bytes(one.model_dump(mode="json"))
            if page and size > PAGE_BYTES:
                break
            page.append(one)
        goes_on = len(page) < len(found)
        # Keys of no form that Ballast writes have no place; nothing is hidden. Those before every other are on the
        # first page, the others on the last.
        odd = {one.seq: one for one in unreadable if _placeholder(one) is None}.values()
        early = [one for one in odd if one.seq < _FIRST] if after is None else []
        late = [one for one in odd if one.seq >= _FIRST] if not goes_on else []
        whole = (*_odd(early), *page, *_odd(late))
        return EventPage(events=whole, next=page[-1].seq if goes_on else None)

    def timeline(self, run_id: str) -> Timeline | None:
        """Return the run's story, None where TTL has begun to remove it."""
        run, unreadable = self.log.read_all(run_id)
        if is_expired(run, self.clock()):
            return None
        return run.timeline({one.seq: one.why for one in unreadable}, run_id=run_id)

    def _not_opened_yet(self, run_id: str) -> ShownRun | None:
        """The execution exists a moment before the log does, and without it where the run could not be admitted.

        Raises ``RunExpired`` where the log is gone by now: an execution is known for 90 days after its end.
        """
        with consequences(f"State machine {self.state_machine_arn} (STATE_MACHINE_ARN)"):
            try:
                found = self.stepfunctions.describe_execution(executionArn=self.execution_arn(run_id))
            except self.stepfunctions.exceptions.ExecutionDoesNotExist:
                return None
        sent = json.loads(found["input"]).get("request")
        request = parse(RunRequest, sent, what="request", error=LogCorrupt)
        # No record is removed sooner: of one that is older nobody can tell any more whether there ever was a record.
        if "stopDate" in found and self.clock() - found["stopDate"] > timedelta(days=LONGEST_RUN_DAYS):
            raise RunExpired(run_id)
        return pending(request, _WITHOUT_A_LOG.get(found["status"], "failed"))


def pending(request: RunRequest, status: str = "running") -> ShownRun:
    """Return a run of which nothing is recorded yet."""
    return ShownRun.model_validate(about(request) | {"run_id": request.run_id, "status": status})


def run_of(run: Run, unreadable: Sequence[Unreadable], run_id: str) -> ShownRun:
    """Return a run as the API shows it: all of its log that can be read, whatever is left of it."""
    wrong, left_out = fitting(
        (CorruptEvent(seq=without_surrogates(one.seq), why=without_surrogates(one.why)) for one in unreadable),
        _CORRUPT_BYTES,
        lambda one: sent_bytes(one.model_dump(mode="json")),
    )
    if left_out:
        wrong = (*wrong, CorruptEvent(seq="", why=_more(left_out)))
    if not any(one.seq.startswith(_FIRST_AND_LAST) for one in unreadable):
        try:
            return ShownRun.model_validate(_told(run) | {"corrupt": wrong})
        except GARBLED as problem:
            if not wrong:
                wrong = (CorruptEvent(seq="", why=f"the log does not add up: {_brief(problem)}"),)
    told = run.only(lambda event: event.seq.startswith(_FIRST_AND_LAST) or event.name == RunCorrected.NAME)
    line = line_of(told, unreadable, run_id)
    return ShownRun.model_validate(line.model_dump() | {"corrupt": wrong})


def _odd(entries: Sequence[Unreadable]) -> tuple[LoggedEvent, ...]:
    """Return entries under keys of no form that Ballast writes, as many as fit."""
    some, left_out = fitting(
        (_logged(None, one) for one in entries), _CORRUPT_BYTES, lambda one: sent_bytes(one.model_dump(mode="json"))
    )
    return (*some, *([LoggedEvent(seq="", at="", body={}, corrupt=_more(left_out))] if left_out else []))


def _more(left_out: int) -> str:
    return f"and {left_out} more entries that cannot be read"


def is_expired(run: Run, now: datetime) -> bool:
    """Say whether TTL removes the run by now, in whatever order: the own time of one of its events is over.

    Where its first event is gone it is over as soon as its endings tell that this was the oldest.
    """
    first = next((event for event in run if event.name in (RunOpened.NAME, RunRefused.NAME)), None)
    if any(_is_over(event, now, first) for event in run):
        return True
    return first is None and forgets((event for event in run if event.name in (RunEnded.NAME, RunSettled.NAME)), now)


def _is_over(event: Event, now: datetime, first: Event | None) -> bool:
    """Say whether TTL removes the event by now.

    Believed of what is kept as long as a run may last, and is no older than the run: whoever may append an event that
    says otherwise hides no run that is going on.
    """
    try:
        expires_at = int(dict(event.stored)["expires_at"])
        written = datetime.fromisoformat(event.at).timestamp()
        since = written if first is None else datetime.fromisoformat(first.at).timestamp()
    except GARBLED:
        return False
    return since <= written <= expires_at - LONGEST_RUN_DAYS * 86_400 and expires_at < now.timestamp()


def line_of(run: Run, unreadable: Sequence[Unreadable], run_id: str) -> RunSummary:
    """Return what a run's first and last event say of it; what they do not say, because they cannot be read, is None.

    ``run`` is both, where there are both, and its corrections; ``unreadable`` those, or others, that cannot be read.
    """
    tenant = _tenant(run, unreadable)
    known = {"run_id": run_id, "tenant": None if tenant == _NOBODY else tenant}
    told: dict[str, Any] = known | {"status": "corrupt"}
    try:
        told |= about(run.request) | ({"opened_at": run[0].at} if run.is_open else {})
        if not any(one.seq.startswith(_FIRST_AND_LAST) for one in unreadable) and run.has_ended:
            told |= _ended_as(run) | _cost(run)
        return RunSummary.model_validate({name: told[name] for name in told if name in RunSummary.model_fields})
    except GARBLED:
        return RunSummary.model_validate(known | {"status": "corrupt"})


def _tenant(run: Run, unreadable: Sequence[Unreadable]) -> str:
    """Return whose the run is: by its first event, else by what an index finds it by."""
    try:
        return run.request.tenant
    except GARBLED:
        indexed = [dict(event.stored).get("tenant") for event in run]
        indexed += [one.beside.get("tenant") for one in unreadable]
        return next((name for name in indexed if name and _NAME.fullmatch(name)), _NOBODY)


def _placeholder(wrong: Unreadable) -> Event | None:
    """Return an event in the place of one that cannot be read; None where its key has no place."""
    try:
        return Event(run_id=wrong.run_id, seq=wrong.seq, at=wrong.at, body={})
    except ValueError:
        return None


def _logged(event: Event | None, wrong: Unreadable | None) -> LoggedEvent:
    if wrong is not None or event is None:
        seq, at, why = (wrong.seq, wrong.at, wrong.why) if wrong is not None else ("", "", "")
        return LoggedEvent(
            seq=without_surrogates(seq), at=without_surrogates(at), body={}, corrupt=without_surrogates(why)
        )
    size = sent_bytes(event.body)
    if size > PAGE_BYTES:
        return LoggedEvent(seq=event.seq, at=event.at, body={}, left_out=size)
    return LoggedEvent(
        seq=event.seq, at=event.at, body=json.loads(without_surrogates(json.dumps(event.body, ensure_ascii=False)))
    )


def _brief(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}"[:300]


def _told(run: Run) -> dict[str, Any]:
    _ = run.usage  # it raises where the amounts of a run do not add up, also of one whose ending says a sum
    stands = run.progress
    told = about(run.request) | {
        "run_id": run.run_id,
        "status": stands.status,
        "by": stands.by,
        "degraded": stands.degraded,
        "reason": stands.reason,
        **_cost(run),
        "turns": stands.turn,
        "escalation_id": stands.escalation_id,
        "question": _question(run, stands.escalation_id),
    }
    if stands.status != "refused":
        opened = run.opening
        told |= {
            "done": _done(run),
            "opened_at": run[0].at,
            "ceiling_usd": dollars(opened.cost_ceiling_microusd),
            "deadline_at": datetime.fromtimestamp(opened.deadline_ms / 1000, UTC).isoformat(),
        }
    if run.ending is not None:
        told |= _ended_as(run) | {"deadline_at": None}
        if isinstance(run.ending, RunEnded):
            told["effects"] = run.ended_effects
    return told


def _done(run: Run) -> tuple[Written, ...]:
    """Return the writes that happened, or may have."""
    stand = {state.position for state in run.standing.effects}
    return tuple(
        Written.model_validate(
            {
                "turn": state.turn,
                "index": state.index,
                "tool": state.call.tool,
                "by": str(state.planner),
                "status": state.status,
                "undone": state.position not in stand,
            }
        )
        for state in run.committed
    )


def about(request: RunRequest) -> dict[str, Any]:
    """Return what a run's request says of it."""
    return {
        "request_id": request.request_id,
        "tenant": request.tenant,
        "agent": request.agent,
        "intent": request.intent,
        "text": without_surrogates(request.text),
    }


def _ended_as(run: Run) -> dict[str, Any]:
    """Return what the ending of a run says of it."""
    end = run.ending
    assert end is not None
    at = run.by_seq[end.seq].at
    if isinstance(end, RunRefused):
        refusal = {"reason": end.reason, "message": without_surrogates(end.message), "opens_at": end.opens_at}
        return {"status": "refused", "ended_at": at, **refusal}
    return {
        "status": end.status,
        "by": end.by,
        "degraded": end.degraded,
        "reason": end.reason,
        "answer": None if end.answer is None else without_surrogates(end.answer),
        "ended_at": at,
    }


def _cost(run: Run) -> dict[str, Any]:
    """Return what the run cost, and what an operator says instead."""
    told = None if run.cost.corrected is None else run.cost.corrected.told
    return {"cost_usd": dollars(run.cost.counted_microusd), "corrected": told}


def _question(run: Run, escalation_id: str | None) -> str | None:
    """Return what the requester is asked, where it is they who are asked."""
    if escalation_id is None:
        return None
    for opened in run.facts(EscalationOpened):
        if opened.escalation_id == escalation_id and opened.kind == "question":
            return without_surrogates(opened.summary)
    return None
