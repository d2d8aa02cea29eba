"""Lambda: settle a run. Records its ending, whatever ended it, and gives back what it did not spend, exactly once.

::

    9999.run.ended ── read the log again ── 9999.run.settled (the charge) ── lease and windows, one transaction
                   │        │                                             └ dies here: the retry finds the charge in
                   │        │                                               the log, and a lease that is held or is not
                   │        └ what it reserved of the business's own money and never began goes back, too
                   └ a planner that is still about records its reservation before it asks the model, and looks for
                     an ending after that: either it finds this one and asks nothing, or we find the reservation

Both endings carry a digest of the log (``ballast.log.evidence``), and before the charge is written the log is checked
against the first one and against the digest of every prompt. A log that does not fit is reported, and settled all the
same: its money goes back. Where an event is not as Ballast writes it, the least is believed: the run failed, its
effects wait for a person, and all that it leased is charged. A log that cannot be read at all is reported, and left.

Whatever is reserved then and has no outcome is charged in full; the sweeper looks again when none can come any more,
and the windows are trued up by what came late. A run that was never opened has its lease, if any, settled by the
sweeper: an admission may still be under way.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict

from ballast.contracts import Answer, Effects, Planner
from ballast.contracts.notice import RunEscalated
from ballast.contracts.task import RunId, Turn
from ballast.contracts.wire import Wire, parse
from ballast.edge import guarded
from ballast.errors import LogCorrupt
from ballast.folds import (
    Usage,
    charged_at_last,
    effects,
    ending,
    moves,
    opening,
    outcome,
    proposals,
    requested,
    to_announce,
    unfinished,
    usage,
    why_it_stopped,
)
from ballast.log.evidence import Finding, check, evidence_sha256, vouched_for
from ballast.log.event import GARBLED, Event, order
from ballast.log.keys import run_seq
from ballast.log.run_index import by_outcome
from ballast.log.run_log import RunLog
from ballast.log.signature import Signatures
from ballast.money.lease import Lease, charge
from ballast.moves import MovesBook
from ballast.outbox import Announcements, Replies
from ballast.runtime import Runtime, lambda_runtime
from functions.budget.books import LATE, Books
from functions.budget.metrics import charge_disbelieved, log_unfit, run_ended, run_failed

T = TypeVar("T")

#: So many characters of prompts are rebuilt when a run is settled: a second's work, and 200 turns of 2 KB.
_MOST_CHARS = 64_000_000


class SettleTask(Wire):
    """The workflow's own ending, in ``turn``: by an answer, by nobody's answer, or because nobody could be asked."""

    run_id: RunId
    turn: Turn
    ending: Literal["answer", "unanswered", "failed"]


class StatusChange(Wire):
    """The ``detail`` of EventBridge's status change, as far as it is read. ``name`` is the run id."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    name: str
    status: Literal["ABORTED", "TIMED_OUT", "FAILED"]


def how_it_ended(events: Sequence[Event], status: str) -> dict[str, Any]:
    """Return the body of ``run.ended`` for a run that ended with ``status``. Pure.

    ``by`` is the planner whose answer it is; ``degraded`` is true when that is not the agent; ``effects`` is
    none, kept, undone or frozen.
    """
    used = usage(events)
    body: dict[str, Any] = {
        "status": status,
        "by": None,
        "degraded": True,
        "spent_microusd": used.spent_microusd,
        "reserved_microusd": used.reserved_microusd,
        "effects": effects(events, status),
    }
    made = proposals(events)
    if status == "answered" and made:
        last = made[max(made)]
        answers = isinstance(last.decision, Answer)
        why = why_it_stopped(events) if last.planner is not Planner.AGENT else None
        return (
            body
            | ({"reason": why} if why else {})
            | {
                "by": last.planner,
                "degraded": last.planner is not Planner.AGENT,
                "answer": last.decision.text if isinstance(last.decision, Answer) else None,
                "turn": last.turn if answers else None,
            }
        )
    return body | {"reason": _reason(events)}


def _unknown(status: str) -> dict[str, Any]:
    """Return the body of ``run.ended`` where the log does not say how the run ended."""
    return {
        "status": "failed" if status == "answered" else status,
        "by": None,
        "degraded": True,
        "spent_microusd": 0,
        "reserved_microusd": 0,
        "effects": Effects.FROZEN,
        "reason": None,
    }


def _culprit(events: Sequence[Event], fold: Callable[[Sequence[Event]], Any]) -> str:
    """Return the key of the event without which ``fold``, which fails, would not: the last of the least that fails."""

    def fails(number: int) -> bool:
        try:
            fold(events[:number])
        except (LogCorrupt, *GARBLED):
            return True
        return False

    return events[bisect_left(range(1, len(events)), True, key=fails)].seq


def _is_answered(events: Sequence[Event]) -> bool:
    made = proposals(events)
    return bool(made) and isinstance(made[max(made)].decision, Answer)


def _beyond(events: Sequence[Event], leased_microusd: int) -> Finding | None:
    """Find that the run might have spent more, by its log, than was leased for it, in micro-dollars."""
    if not any(event.name == "run.opened" for event in events):
        return None
    try:
        ceiling = opening(events).cost_ceiling_microusd
    except (LogCorrupt, *GARBLED) as problem:
        return Finding(run_seq("opened"), f"cannot be read: {type(problem).__name__}")
    why = f"{ceiling} micro-dollars were given to the run and {leased_microusd} leased for it"
    return Finding(run_seq("opened"), why) if ceiling > leased_microusd else None


def _reason(events: Sequence[Event]) -> str | None:
    """Return why the run was where it ended: the reason of what people were asked, or of the last hand-over."""
    made = proposals(events)
    last_turn = max(made, default=0)
    asked = [event for event in events if event.name == "escalation.opened" and event.turn > last_turn]
    if asked:
        return str(asked[-1].body["reason"])
    reason = getattr(made[last_turn].decision, "reason", None) if made else None
    return str(reason) if reason else None


@dataclass(frozen=True)
class Settlement:
    """Closes runs, and tells others of it."""

    log: RunLog
    books: Books
    announcements: Announcements
    replies: Replies
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Settlement":
        """Put it together; once per runtime."""
        return cls(
            RunLog.of(runtime, signatures=runtime.get(Signatures.of)),
            runtime.get(Books.of),
            runtime.get(Announcements.of),
            runtime.get(Replies.of),
            runtime,
        )

    def settle(self, run_id: str, status: str) -> dict[str, Any] | None:
        """Record the ending, tell of it and return the run's coordinates; None where no such run was opened."""
        events = self._read(run_id)
        if not events:
            return None
        ended = ending(events)
        if ended is None:
            if status == "answered" and self.log.unsigned(run_id):
                # What was said to be a person's answer is nobody's.
                status = status if self._folded(events, _is_answered, False) else "failed"
            asked = status
            body = self._folded(events, lambda some: how_it_ended(some, asked), _unknown(status))
            status = body["status"]
            index = self._folded(events, lambda some: by_outcome(requested(some).tenant, body["status"]), None)
            ended = self.log.append(run_id, run_seq("ended"), body, index=index, covers=events)
            recorded = ended
            self.runtime.emit(self._folded(events, lambda some: run_ended(some, recorded), run_failed(run_id)))
            # A write may have been begun since, of a run that was cut. One that begins from now on finds the ending.
            events = (*events, ended) if status == "answered" else self._read(run_id)
        try:
            self._tell(events)
        finally:  # neither waits for the other's trouble
            self._give_back(run_id)
        said = ended.body
        if ended.name == "run.refused":
            return {"run_id": run_id, "status": "refused", "reason": said.get("reason")}
        return {"run_id": run_id, **{name: said.get(name) for name in ("status", "by", "degraded")}}

    def sweep(self, run_id: str, status: str) -> None:
        """Settle a run whose execution is gone, and that nobody settled; also one that was never opened."""
        if self.settle(run_id, status) is None:
            lease = self.books.find(run_id)
            if lease is not None:
                self.books.settle(lease, 0)

    def _give_back(self, run_id: str) -> None:
        """Settle the run's lease, if it holds one. It has an ending on the record."""
        lease = self.books.find(run_id)
        if lease is None or not lease.held:
            if lease is not None and lease.open_since is not None and self.runtime.clock() >= lease.open_since + LATE:
                self._true_up(lease)
            return
        events = self._read(run_id)
        opened = any(event.name == "run.opened" for event in events)
        if opened and self._folded(events, lambda some: bool(moves(some)) or unfinished(some), True):
            # Before the lease: while it is held, it is tried again.
            self.runtime.get(MovesBook.of).end(run_id)
        leased = lease.leased_microusd
        # Where nobody knows what it used, it is charged for all that it might have.
        used = self._folded(events, usage, Usage(spent_microusd=leased)) if opened else Usage()
        charged = used.charged_microusd
        self._check(events, leased)
        owed = charge(charged, leased)
        body = {"leased_microusd": leased, "charged_microusd": owed, "returned_microusd": leased - owed}
        if owed != charged:
            body["beyond_microusd"] = charged - owed
            self.runtime.emit(charge_disbelieved(run_id, charged, leased))
        settled = self.log.append(run_id, run_seq("settled"), body, covers=events)
        said = settled.body.get("charged_microusd")  # somebody may have been there before
        taken = charge(said, leased)
        if taken is not said:
            self.runtime.emit(log_unfit(run_id, settled.seq, "says a charge that its lease does not allow"))
        missing = used.reserved_microusd > 0 or taken != owed
        self.books.settle(lease, taken, evidence_sha256(settled), outcomes_missing=missing)

    def _true_up(self, lease: Lease) -> None:
        """Give back what was charged for outcomes that were missing, and that came since and cost less."""
        events = self._read(lease.run_id)
        known, before = vouched_for(events), lease.charged_microusd
        said = self._folded(events, lambda some: charged_at_last(some, known), before) if known else before
        charged = charge(said, before)
        if charged != said:
            self.runtime.emit(charge_disbelieved(lease.run_id, said, before))
        self.books.true_up(lease, charged)

    def _read(self, run_id: str) -> tuple[Event, ...]:
        try:
            return self.log.read(run_id)
        except LogCorrupt as problem:
            self.runtime.emit(log_unfit(run_id, "", str(problem)))
            raise

    def _folded(self, events: Sequence[Event], fold: Callable[[Sequence[Event]], T], otherwise: T) -> T:
        """Return what ``fold`` makes of the log; ``otherwise`` where it makes nothing, and report why."""
        try:
            return fold(events)
        except (LogCorrupt, *GARBLED) as problem:
            seq, why = _culprit(events, fold), f"cannot be read ({type(problem).__name__})"
            self.runtime.emit(log_unfit(events[0].run_id, seq, why))
            return otherwise

    def _check(self, events: Sequence[Event], leased_microusd: int) -> None:
        """Report the first event that does not fit, if there is one."""
        unsigned = self.log.unsigned(events[0].run_id)
        whole = sorted([*events, *unsigned], key=order)
        forged = [event.seq for event in unsigned]
        found = check(whole, settling=True, most_chars=_MOST_CHARS, unsigned=forged).first
        ended = ending(events)
        if found is None and ended is not None and ended.name == "run.ended" and evidence_sha256(ended) is None:
            found = Finding(ended.seq, "has no evidence: an older version wrote it, or it is not from Settle")
        if found is None:
            found = _beyond(events, leased_microusd)
        if found is not None:
            self.runtime.emit(log_unfit(events[0].run_id, found.seq, found.why))

    def _tell(self, events: Sequence[Event]) -> None:
        none: tuple[tuple[str, RunEscalated], ...] = ()
        for mark, escalated in self._folded(events, to_announce, none):  # those that could not be told when they opened
            self.announcements.send(events, mark, escalated)
        notice = self._folded(events, outcome, None)
        if notice is not None:
            self.announcements.send(events, run_seq("announced"), notice)
            self.replies.send(events, requested(events).reply_to, notice)


@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any] | None:
    """Settle the run of ``event``: the workflow's ``{"run_id", "ending"}`` or EventBridge's status change."""
    settlement = (runtime or lambda_runtime()).get(Settlement.of)
    if event.get("detail-type") == "Step Functions Execution Status Change":
        change = parse(StatusChange, event.get("detail"), what="detail")
        return settlement.settle(change.name, change.status.lower())
    task = parse(SettleTask, event, what="SettleTask")
    return settlement.settle(task.run_id, "answered" if task.ending == "answer" else task.ending)
