"""Runs as the API shows them: read from the log, and from the execution while the log is empty."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from ballast.attachments.store import Attachments, is_of
from ballast.contracts import RunRequest
from ballast.contracts.timeline import Timeline, Turn
from ballast.contracts.timeline import Unreadable as UnreadableEntry
from ballast.contracts.why import Why
from ballast.contracts.wire import parse, without_surrogates
from ballast.errors import LogCorrupt
from ballast.folds.feedback import verdict_of
from ballast.http.api import HttpApi
from ballast.http.paging import PAGE_BYTES, fitting, sent_bytes
from ballast.log.event import GARBLED, Event, order
from ballast.log.events import (
    ApprovalRequested,
    EscalationOpened,
    RunCorrected,
    RunEnded,
    RunFeedback,
    RunOpened,
    RunRefused,
    RunSettled,
)
from ballast.log.evidence import forgets
from ballast.log.run_log import LONGEST_RUN_DAYS, RunLog, Unreadable
from ballast.money import dollars
from ballast.run import Run
from ballast.runtime import Runtime
from ballast.values import dataclass
from functions.front.contract import (
    AttachedFile,
    AttachmentLink,
    CorruptEvent,
    EventPage,
    LoggedEvent,
    RunSummary,
    TimelinePage,
    Written,
)
from functions.front.contract import Run as ShownRun
from functions.front.start import Executions

#: Seconds of Lambda's time that are kept for the response.
_RESERVE_S = 3
#: Seconds between two looks at a run that is waited for.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0
_FIRSTS = (RunOpened.key(), RunRefused.key())
_FIRST_AND_LAST = (*_FIRSTS, RunEnded.key())
#: What is told of a file.
_TOLD = {"name", "format", "bytes"}
#: Seconds for which the link of a file can be used.
_LINK_S = 300
#: Every key that Ballast writes sorts after it.
_FIRST = "0000."
#: Bytes that report unreadable entries, beside a run or at the end of its events.
_CORRUPT_BYTES = 500_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: No tenant has this name.
_NOBODY = "-"
#: The status of a run without a log, by its execution's status.
_WITHOUT_A_LOG = {"RUNNING": "running", "ABORTED": "aborted", "TIMED_OUT": "timed_out", "SUCCEEDED": "refused"}

#: Bytes of a timeline's header at most: with the largest page of turns it fits into a response.
_HEADER_BYTES = 1_500_000
_UNREADABLE_BYTES = 500_000
#: The texts of a turn or header that is too large are cut to this many characters, then to fewer, until it fits.
_CUTS = (100_000, 10_000, 1_000, 100)
#: Fields to drop from a header that is still too large, the least important first.
_DROPPED_FIRST: Sequence[tuple[str, Any]] = (("unknown", []), ("unreadable", []), ("money", {}), ("request", {}))


class RunExpired(Exception):
    """The run is over, and TTL has removed its record or is about to. It existed, unlike a run that is not found."""


@dataclass(frozen=True)
class Runs:
    """Reads runs."""

    log: RunLog
    executions: Executions
    clock: Callable[[], datetime]
    links: Callable[[], Attachments]
    stack: str

    @classmethod
    def of(cls, runtime: Runtime) -> Runs:
        """Return the runs of ``runtime``'s stack."""
        return cls(
            runtime.get(RunLog.of), runtime.get(Executions.of), runtime.clock, partial(_links, runtime), runtime.stack
        )

    def get(self, run_id: str) -> ShownRun | None:
        """Return the run; None if there is none or TTL has begun to remove it."""
        try:
            return self.find(run_id)
        except RunExpired:
            return None

    def find(self, run_id: str) -> ShownRun | None:
        """Return the run; None if there is none. Raises ``RunExpired`` if TTL has begun to remove it."""
        run, unreadable = self.log.read_all(run_id)
        if not (run or unreadable):
            unopened = self._not_opened_yet(run_id)
            if unopened is None or unopened.status == "running":
                return unopened
            # It has ended since the log was read: the log says why now.
            run, unreadable = self.log.read_all(run_id)
            if not (run or unreadable):
                return unopened
        if is_expired(run, self.clock()):
            raise RunExpired(run_id)
        return run_of(run, unreadable, run_id)

    def has_expired(self, run_id: str) -> bool:
        """Whether the run has events, and TTL has begun to remove them or is about to."""
        run, _ = self.log.read_all(run_id)
        return bool(run) and is_expired(run, self.clock())

    def tenant(self, run_id: str) -> str | None:
        """Return the run's tenant; None if there is no run or TTL has begun to remove it.

        Reads the first and last events, and more if the first is gone. If the first event cannot be read and is in no
        index, returns a name that no tenant has: only an operator sees the run.
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
        """Return True as soon as the run has ended, False after ``seconds``; reading the log counts as waiting."""
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

    def wait_within(self, run_id: str, seconds: float, app: HttpApi) -> bool:
        """The same, with the clock of the request; it leaves the function time for its response."""
        left = app.lambda_context.get_remaining_time_in_millis() / 1000 - _RESERVE_S
        return self.wait(run_id, min(seconds, left), app.extras["sleep"], app.extras["monotonic"])

    def ended(self, run_id: str) -> bool:
        """Whether the run's log has its ending. Reads only that."""
        unreadable: list[Unreadable] = []
        found = self.log.read_keys([(run_id, RunEnded.key()), (run_id, RunRefused.key())], unreadable)
        return bool(found or unreadable)

    def events(self, run_id: str, after: str | None, limit: int) -> EventPage:
        """Return at most ``limit`` events that come after the one with the key ``after``; fewer if they are large.

        An entry that cannot be read stands in its place and says so.
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
        # A key that Ballast does not write has no place in the order. It is shown all the same: on the first page if it
        # sorts before every other, on the last page otherwise.
        odd = {one.seq: one for one in unreadable if _placeholder(one) is None}.values()
        early = [one for one in odd if one.seq < _FIRST] if after is None else []
        late = [one for one in odd if one.seq >= _FIRST] if not goes_on else []
        whole = (*_foreign_entries(early), *page, *_foreign_entries(late))
        return EventPage(events=whole, next=page[-1].seq if goes_on else None)

    def timeline(self, run_id: str) -> Timeline | None:
        """Return the run's timeline; None if TTL has begun to remove it."""
        run, unreadable = self.log.read_all(run_id)
        if is_expired(run, self.clock()):
            return None
        return run.timeline({one.seq: one.why for one in unreadable}, run_id=run_id)

    def asked(self, run_id: str) -> EscalationOpened | ApprovalRequested | None:
        """Return what people, or the requester, are asked while the run waits; None if it does not, or garbled."""
        run, _ = self.log.read_all(run_id)
        try:
            open_one = run.progress.escalation_id
            escalations, approvals = run.facts(EscalationOpened), run.facts(ApprovalRequested)
        except GARBLED:
            return None
        asked: list[EscalationOpened | ApprovalRequested] = [*escalations, *approvals]
        return next((one for one in asked if open_one and one.escalation_id == open_one), None)

    def why(self, run_id: str) -> Why | None:
        """Return the report on the run; None if TTL has begun to remove it."""
        from ballast.why import explained  # most requests do not need it

        run, unreadable = self.log.read_all(run_id)
        if is_expired(run, self.clock()):
            return None
        made = run.timeline({one.seq: one.why for one in unreadable}, run_id=run_id)
        return why_fitting(explained(run, made, stack=self.stack))

    def attachment(self, run_id: str, number: int) -> AttachmentLink | None:
        """Return the run's file of that number, from 1 on; None if it has none, or a forged entry names another's."""
        run, _ = self.log.read_all(run_id)
        try:
            files, tenant = run.attachments, run.request.tenant
        except GARBLED:
            return None
        if not 1 <= number <= len(files) or not is_of(tenant, run_id, files[number - 1]):
            return None
        one = files[number - 1]
        until = self.clock() + timedelta(seconds=_LINK_S)
        told = one.model_dump(include=_TOLD | {"sha256"})
        link = self.links().link(one, _LINK_S)
        return AttachmentLink.model_validate(told | {"url": link, "expires_at": until.isoformat()})

    def _not_opened_yet(self, run_id: str) -> ShownRun | None:
        """Return the run of an execution without a log: it is about to be admitted, or could not be.

        Raises ``RunExpired`` if the log is gone: an execution is known for 90 days after its end.
        """
        found = self.executions.describe(run_id)
        if found is None:
            return None
        sent = json.loads(found["input"]).get("request")
        request = parse(RunRequest, sent, what="request", error=LogCorrupt)
        # No record is removed sooner; whether an older run ever had one cannot be told any more.
        if "stopDate" in found and self.clock() - found["stopDate"] > timedelta(days=LONGEST_RUN_DAYS):
            raise RunExpired(run_id)
        return pending(request, _WITHOUT_A_LOG.get(found["status"], "failed"))


def _links(runtime: Runtime) -> Attachments:
    """Return the files with a client whose links S3 takes in every region."""
    from botocore.config import Config

    s3 = runtime.client("s3", Config(signature_version="s3v4"), variant="links")
    return Attachments(s3, runtime.get(Attachments.of).bucket)


def pending(request: RunRequest, status: str = "running") -> ShownRun:
    """Return a run that has no log yet."""
    return ShownRun.model_validate(about(request) | {"run_id": request.run_id, "status": status})


def run_of(run: Run, unreadable: Sequence[Unreadable], run_id: str) -> ShownRun:
    """Return a run as the API shows it, from what can be read of its log."""
    wrong, left_out = fitting(
        (CorruptEvent(seq=without_surrogates(one.seq), why=without_surrogates(one.why)) for one in unreadable),
        _CORRUPT_BYTES,
        lambda one: sent_bytes(one.model_dump(mode="json")),
    )
    if left_out:
        wrong = (*wrong, CorruptEvent(seq="", why=_more(left_out)))
    if not any(one.seq.startswith(_FIRST_AND_LAST) for one in unreadable):
        try:
            return ShownRun.model_validate(_fields_of(run) | {"corrupt": wrong})
        except GARBLED as problem:
            if not wrong:
                wrong = (CorruptEvent(seq="", why=f"the log does not add up: {_brief(problem)}"),)
    afterwards = (RunCorrected.NAME, RunFeedback.NAME)
    told = run.only(lambda event: event.seq.startswith(_FIRST_AND_LAST) or event.name in afterwards)
    line = line_of(told, unreadable, run_id)
    return ShownRun.model_validate(line.model_dump() | {"corrupt": wrong})


def _foreign_entries(entries: Sequence[Unreadable]) -> tuple[LoggedEvent, ...]:
    """Return the entries whose keys Ballast does not write, as many as fit."""
    some, left_out = fitting(
        (_logged(None, one) for one in entries), _CORRUPT_BYTES, lambda one: sent_bytes(one.model_dump(mode="json"))
    )
    return (*some, *([LoggedEvent(seq="", at="", body={}, corrupt=_more(left_out))] if left_out else []))


def _more(left_out: int) -> str:
    return f"and {left_out} more entries that cannot be read"


def is_expired(run: Run, now: datetime) -> bool:
    """Whether TTL has begun to remove the run, in any order: one of its events has expired.

    If its first event is gone, its endings say when that event expired.
    """
    first = next((event for event in run if event.name in (RunOpened.NAME, RunRefused.NAME)), None)
    if any(_is_over(event, now, first) for event in run):
        return True
    return first is None and forgets((event for event in run if event.name in (RunEnded.NAME, RunSettled.NAME)), now)


def _is_over(event: Event, now: datetime, first: Event | None) -> bool:
    """Whether the event has expired.

    Counts only for an event that is kept as long as a run may last and is not older than the run: an appended event
    must not hide a run in progress.
    """
    try:
        expires_at = int(dict(event.stored)["expires_at"])
        written = datetime.fromisoformat(event.at).timestamp()
        since = written if first is None else datetime.fromisoformat(first.at).timestamp()
    except GARBLED:
        return False
    return since <= written <= expires_at - LONGEST_RUN_DAYS * 86_400 and expires_at < now.timestamp()


def line_of(run: Run, unreadable: Sequence[Unreadable], run_id: str) -> RunSummary:
    """Return the summary that a run's first and last event give; None in the fields of an event that is unreadable.

    run         the first event, the last one if there is one, corrections and feedback
    unreadable  those of them that cannot be read, or others
    """
    tenant = _tenant(run, unreadable)
    known = {"run_id": run_id, "tenant": None if tenant == _NOBODY else tenant}
    told: dict[str, Any] = known | {"status": "corrupt"}
    try:
        told |= about(run.request) | ({"opened_at": run[0].at} if run.is_open else {})
        if not any(one.seq.startswith(_FIRST_AND_LAST) for one in unreadable) and run.has_ended:
            told |= _ended_as(run) | _cost(run) | {"feedback": verdict_of(run.feedback)}
        return RunSummary.model_validate({name: told[name] for name in told if name in RunSummary.model_fields})
    except GARBLED:
        return RunSummary.model_validate(known | {"status": "corrupt"})


def _tenant(run: Run, unreadable: Sequence[Unreadable]) -> str:
    """Return the run's tenant: from its first event, else from the attributes of an index."""
    try:
        return run.request.tenant
    except GARBLED:
        indexed = [dict(event.stored).get("tenant") for event in run]
        indexed += [one.beside.get("tenant") for one in unreadable]
        return next((name for name in indexed if name and _NAME.fullmatch(name)), _NOBODY)


def _placeholder(wrong: Unreadable) -> Event | None:
    """Return an empty event in the place of an unreadable one; None if its key has no place in the order."""
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


def _fields_of(run: Run) -> dict[str, Any]:
    _ = run.usage  # raises if the run's amounts do not add up, even if its ending states a sum
    stands = run.progress
    told = about(run.request) | {
        "run_id": run.run_id,
        "status": stands.status,
        "by": stands.by,
        "degraded": stands.degraded,
        "reason": stands.reason,
        **_cost(run),
        "feedback": verdict_of(run.feedback),
        "turns": stands.turn,
        "escalation_id": stands.escalation_id,
        "question": _question(run, stands.escalation_id),
    }
    if stands.status != "refused":
        opened = run.opening
        told |= {
            "done": _done(run),
            "attachments": tuple(AttachedFile.model_validate(one.model_dump(include=_TOLD)) for one in run.attachments),
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
    """Return the writes that happened or may have happened."""
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
    """Return the fields of a run that its request gives."""
    return {
        "request_id": request.request_id,
        "tenant": request.tenant,
        "agent": request.agent,
        "intent": request.intent,
        "text": without_surrogates(request.text),
    }


def _ended_as(run: Run) -> dict[str, Any]:
    """Return the fields of a run that its ending gives."""
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
    """Return the run's cost by its log, and an operator's correction."""
    told = None if run.cost.corrected is None else run.cost.corrected.told
    return {"cost_usd": dollars(run.cost.counted_microusd), "corrected": told}


def _question(run: Run, escalation_id: str | None) -> str | None:
    """Return the question to the requester, if the run waits for one's answer."""
    if escalation_id is None:
        return None
    for opened in run.facts(EscalationOpened):
        if opened.escalation_id == escalation_id and opened.kind == "question":
            return without_surrogates(opened.summary)
    return None


def timeline_page(made: Timeline, after: int, limit: int) -> TimelinePage:
    """Return the timeline's header and at most ``limit`` turns that follow the turn ``after``; fewer if large."""
    following = [turn for turn in made.turns if turn.turn > after]
    turns: list[dict[str, Any]] = []
    size = 0
    for turn in following[:limit]:
        fits = _turn(turn)
        size += sent_bytes(fits)
        if turns and size > PAGE_BYTES:
            break
        turns.append(fits)
    goes_on = len(turns) < len(following)
    whole = _header(made) | {"turns": turns, "next": turns[-1]["turn"] if goes_on else None}
    return TimelinePage.model_validate_json(without_surrogates(json.dumps(whole, ensure_ascii=False)))


def why_fitting(report: Why) -> Why:
    """Return the report with as many of its decisions as fit into a response, the newest ones."""
    newest = reversed([one.model_dump() for one in report.decisions])
    some, left_out = fitting(newest, PAGE_BYTES, sent_bytes)
    whole = report.model_copy(update={"decisions": ()}).model_dump() | {"decisions": some[::-1], "left_out": left_out}
    return Why.model_validate_json(without_surrogates(json.dumps(whole, ensure_ascii=False)))


def _header(made: Timeline) -> dict[str, Any]:
    """Return all but the turns, cut to fit: an entry of the log may have any size."""
    some, left_out = fitting(made.unreadable, _UNREADABLE_BYTES, lambda one: sent_bytes(one.model_dump()))
    if left_out:
        some = (*some, UnreadableEntry(seq="", why=f"and {left_out} more entries that cannot be read"))
    header = made.model_copy(update={"turns": (), "unreadable": some}).model_dump()
    for most in (None, *_CUTS):
        cut = header if most is None else texts_cut(header, most)
        if sent_bytes(cut) <= _HEADER_BYTES:
            return cut
    for name, nothing in _DROPPED_FIRST:
        cut[name] = nothing
    return cut


def _turn(turn: Turn) -> dict[str, Any]:
    """Return the turn, cut to fit into a page."""
    whole = turn.model_dump()
    size = sent_bytes(whole)
    if size <= PAGE_BYTES:
        return whole
    for most in _CUTS:
        cut = _cut(turn.model_dump(), most)
        if sent_bytes(cut) <= PAGE_BYTES:
            return cut
    bare = Turn(turn=turn.turn, planner=turn.planner, at_ms=turn.at_ms, left_out=size)
    sums = ("spent_microusd", "reserved_microusd", "cost_ceiling_microusd", "input_tokens", "output_tokens")
    return bare.model_copy(update={name: getattr(turn, name) for name in (*sums, "tool_calls")}).model_dump()


def _cut(turn: dict[str, Any], most: int) -> dict[str, Any]:
    for attempt in turn["attempts"]:
        for piece in (*attempt["prompt"], *attempt["completion"]):
            piece["left_out"] = max(0, len(piece["text"]) - most)
            piece["text"] = piece["text"][:most]
    for call in turn["calls"]:
        size = sent_bytes([call["arguments"], call["result"]])
        if size > most:
            call |= {"arguments": None, "result": None, "left_out": size}
        if call["undo"] and sent_bytes(call["undo"]["arguments"]) > most:
            call["undo"]["arguments"] = None
    if turn["escalation"] and sent_bytes(turn["escalation"]["proposed"]) > most:
        turn["escalation"]["proposed"] = None
    cut: dict[str, Any] = texts_cut(turn, most)
    return cut


def texts_cut(value: Any, most: int) -> Any:
    """Return JSON with its long texts cut; each says how many characters are left out."""
    if isinstance(value, str):
        return value if len(value) <= most else f"{value[:most]} … (+{len(value) - most:,} characters)"
    if isinstance(value, dict):
        return {texts_cut(name, most): texts_cut(one, most) for name, one in value.items()}
    return [texts_cut(one, most) for one in value] if isinstance(value, list | tuple) else value
