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
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict

from ballast.contracts import Answer, Effects, Planner
from ballast.contracts.notice import RunEscalated
from ballast.contracts.task import RunId, Turn
from ballast.contracts.wire import Wire, parse
from ballast.edge import guarded
from ballast.errors import LogCorrupt
from ballast.folds.usage import Usage, charged_at_last
from ballast.log.event import GARBLED, Event
from ballast.log.events import EscalationOpened, RunAnnounced, RunEnded, RunOpened, RunRefused, RunSettled
from ballast.log.evidence import Finding, check, evidence_sha256, vouched_for
from ballast.log.run_index import by_outcome
from ballast.log.run_log import LogSettings, RunLog
from ballast.log.signature import Signatures, SignatureSettings
from ballast.metrics import metric_line, usd
from ballast.money.lease import Lease, charge
from ballast.moves import MovesBook, MovesSettings
from ballast.outbox import Announcements, Replies, ReplySettings
from ballast.run import Run
from ballast.runtime import Runtime, lambda_runtime
from functions.lifecycle.budgets_table import LATE, BudgetsTable, LeaseTableSettings

T = TypeVar("T")

#: So many characters of prompts are rebuilt when a run is settled: a second's work, and 200 turns of 2 KB.
_MOST_CHARS = 64_000_000


class SettleSettings(LogSettings, SignatureSettings, LeaseTableSettings, MovesSettings, ReplySettings):
    """Settle's environment.

    run_log_table, payload_bucket  the log: see ``LogSettings``
    retention_days      days until TTL removes what is settled; 0 keeps it for ever
    answer_key_arn      the KMS key that verifies people's answers
    budgets_table       leases and windows
    moves_table         what tools reserved of the business's own money
    reply_queue_prefix  beginning of the names of the queues that a caller may name in ``reply_to``
    """


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


def how_it_ended(run: Run, status: str) -> RunEnded:
    """Return the ending of a run that ended with ``status``. Pure.

    ``by`` is the planner whose answer it is; ``degraded`` is true when that is not the agent; ``effects`` is
    none, kept, undone or frozen.
    """
    ended = RunEnded(
        status=status,
        by=None,
        degraded=True,
        spent_microusd=run.usage.spent_microusd,
        reserved_microusd=run.usage.reserved_microusd,
        effects=run.effects(status),
    )
    made = run.proposals
    if status != "answered" or not made:
        return ended.model_copy(update={"reason": _reason(run)})
    last = made[max(made)]
    is_agents, answer = last.planner is Planner.AGENT, last.decision if isinstance(last.decision, Answer) else None
    said = {
        "by": last.planner,
        "degraded": not is_agents,
        "answer": answer.text if answer else None,
        "answer_turn": last.turn if answer else None,
    }
    why = None if is_agents else run.why_it_stopped
    return ended.model_copy(update=said | ({"reason": str(why)} if why else {}))


def _unknown(status: str) -> RunEnded:
    """Return the ending of a run of which the log does not say how it ended."""
    return RunEnded(
        status="failed" if status == "answered" else status,
        by=None,
        degraded=True,
        spent_microusd=0,
        reserved_microusd=0,
        effects=Effects.FROZEN,
        reason=None,
    )


def _culprit(run: Run, fold: Callable[[Run], Any]) -> str:
    """Return the key of the event without which ``fold``, which fails, would not: the last of the least that fails."""

    def fails(number: int) -> bool:
        try:
            fold(Run(run[:number]))
        except (LogCorrupt, *GARBLED):
            return True
        return False

    return run[bisect_left(range(1, len(run)), True, key=fails)].seq


def _is_answered(run: Run) -> bool:
    made = run.proposals
    return bool(made) and isinstance(made[max(made)].decision, Answer)


def _beyond(run: Run, leased_microusd: int) -> Finding | None:
    """Find that the run might have spent more, by its log, than was leased for it, in micro-dollars."""
    if not run.is_open:
        return None
    try:
        ceiling = run.opening.cost_ceiling_microusd
    except (LogCorrupt, *GARBLED) as problem:
        return Finding(RunOpened.key(), f"cannot be read: {type(problem).__name__}")
    why = f"{ceiling} micro-dollars were given to the run and {leased_microusd} leased for it"
    return Finding(RunOpened.key(), why) if ceiling > leased_microusd else None


def _reason(run: Run) -> str | None:
    """Return why the run was where it ended: the reason of what people were asked, or of the last hand-over."""
    made = run.proposals
    last_turn = max(made, default=0)
    asked = [opened for opened in run.facts(EscalationOpened) if opened.turn > last_turn]
    if asked:
        return asked[-1].reason
    reason = getattr(made[last_turn].decision, "reason", None) if made else None
    return str(reason) if reason else None


@dataclass(frozen=True)
class Settlement:
    """Closes runs, and tells others of it."""

    log: RunLog
    budgets: BudgetsTable
    announcements: Announcements
    replies: Replies
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Settlement":
        return cls(
            RunLog.of(runtime, signatures=runtime.get(Signatures.of)),
            runtime.get(BudgetsTable.of),
            runtime.get(Announcements.of),
            runtime.get(Replies.of),
            runtime,
        )

    def settle(self, run_id: str, status: str) -> dict[str, Any] | None:
        """Record the ending, tell of it and return the run's coordinates; None where no such run was opened."""
        run = self._read(run_id)
        if not run:
            return None
        if not run.has_ended:
            if status == "answered" and self.log.unsigned(run_id):
                # What was said to be a person's answer is nobody's.
                status = status if self._folded(run, _is_answered, False) else "failed"
            asked = status
            fact = self._folded(run, lambda some: how_it_ended(some, asked), _unknown(status))
            index = self._folded(run, lambda some: by_outcome(some.request.tenant, fact.status), None)
            ended = self.log.append(run_id, fact, index=index, covers=run)
            self.runtime.emit(self._folded(run, lambda some: run_ended(some, ended), run_failed(run_id)))
            # A write may have been begun since, of a run that was cut. One that begins from now on finds the ending.
            run = run.with_event(ended) if fact.status == "answered" else self._read(run_id)
        try:
            self._tell(run)
        finally:  # neither waits for the other's trouble
            self._give_back(run_id)
        return _coordinates(run)

    def sweep(self, run_id: str, status: str) -> None:
        """Settle a run whose execution is gone, and that nobody settled; also one that was never opened."""
        if self.settle(run_id, status) is None:
            lease = self.budgets.find(run_id)
            if lease is not None:
                self.budgets.settle(lease, 0)

    def _give_back(self, run_id: str) -> None:
        """Settle the run's lease, if it holds one. It has an ending on the record."""
        lease = self.budgets.find(run_id)
        if lease is None or not lease.held:
            if lease is not None and lease.open_since is not None and self.runtime.clock() >= lease.open_since + LATE:
                self._true_up(lease)
            return
        run = self._read(run_id)
        if run.is_open and self._folded(run, lambda some: bool(some.moves) or some.is_unfinished, True):
            # Before the lease: while it is held, it is tried again.
            self.runtime.get(MovesBook.of).end(run_id)
        leased = lease.leased_microusd
        # Where nobody knows what it used, it is charged for all that it might have.
        most = Usage(spent_microusd=leased)
        used = self._folded(run, lambda some: some.usage, most) if run.is_open else Usage()
        charged = used.charged_microusd
        self._check(run, leased)
        owed = charge(charged, leased)
        fact = RunSettled(leased_microusd=leased, charged_microusd=owed, returned_microusd=leased - owed)
        if owed != charged:
            fact = fact.model_copy(update={"beyond_microusd": charged - owed})
            self.runtime.emit(charge_disbelieved(run_id, charged, leased))
        settled = self.log.append(run_id, fact, covers=run)
        said = _charged(settled)  # somebody may have been there before
        taken = charge(said, leased)
        if taken is not said:
            self.runtime.emit(log_unfit(run_id, settled.seq, "says a charge that its lease does not allow"))
        missing = used.reserved_microusd > 0 or taken != owed
        self.budgets.settle(lease, taken, evidence_sha256(settled), outcomes_missing=missing)

    def _true_up(self, lease: Lease) -> None:
        """Give back what was charged for outcomes that were missing, and that came since and cost less."""
        run = self._read(lease.run_id)
        known, before = vouched_for(run), lease.charged_microusd
        said = self._folded(run, lambda some: charged_at_last(some, known), before) if known else before
        charged = charge(said, before)
        if charged != said:
            self.runtime.emit(charge_disbelieved(lease.run_id, said, before))
        self.budgets.true_up(lease, charged)

    def _read(self, run_id: str) -> Run:
        try:
            return self.log.read(run_id)
        except LogCorrupt as problem:
            self.runtime.emit(log_unfit(run_id, "", str(problem)))
            raise

    def _folded(self, run: Run, fold: Callable[[Run], T], otherwise: T) -> T:
        """Return what ``fold`` makes of the log; ``otherwise`` where it makes nothing, and report why."""
        try:
            return fold(run)
        except (LogCorrupt, *GARBLED) as problem:
            seq, why = _culprit(run, fold), f"cannot be read ({type(problem).__name__})"
            self.runtime.emit(log_unfit(run.run_id, seq, why))
            return otherwise

    def _check(self, run: Run, leased_microusd: int) -> None:
        """Report the first event that does not fit, if there is one."""
        unsigned = self.log.unsigned(run.run_id)
        whole, forged = run.with_event(*unsigned), [event.seq for event in unsigned]
        found = check(whole, settling=True, most_chars=_MOST_CHARS, unsigned=forged).first
        ended = run.by_seq.get(RunEnded.key())
        if found is None and ended is not None and evidence_sha256(ended) is None:
            found = Finding(ended.seq, "has no evidence: an older version wrote it, or it is not from Settle")
        if found is None:
            found = _beyond(run, leased_microusd)
        if found is not None:
            self.runtime.emit(log_unfit(run.run_id, found.seq, found.why))

    def _tell(self, run: Run) -> None:
        none: tuple[tuple[str, RunEscalated], ...] = ()
        untold = self._folded(run, lambda some: some.to_announce, none)
        for mark, escalated in untold:  # those that could not be told when they opened
            self.announcements.send(run, mark, escalated)
        notice = self._folded(run, lambda some: some.outcome, None)
        if notice is not None:
            self.announcements.send(run, RunAnnounced.key(), notice)
            self.replies.send(run, run.request.reply_to, notice)


def _coordinates(run: Run) -> dict[str, Any]:
    """Return how the run ended, for the workflow; nulls where its ending cannot be read."""
    try:
        ended = run.ending
    except GARBLED:
        ended = None
    if isinstance(ended, RunRefused):
        return {"run_id": run.run_id, "status": "refused", "reason": ended.reason}
    status, by, degraded = (ended.status, ended.by, ended.degraded) if ended else (None, None, None)
    return {"run_id": run.run_id, "status": status, "by": by, "degraded": degraded}


def _charged(settled: Event) -> int | None:
    """Return what ``run.settled`` says that the run was charged; None where it cannot be read."""
    try:
        fact = settled.fact
    except GARBLED:
        return None
    return fact.charged_microusd if isinstance(fact, RunSettled) else None


def run_ended(run: Run, ended: Event) -> str:
    """Return the line for the run that ``ended`` (``run.ended``) closes; its latency only where it was answered."""
    said = ended.fact
    assert isinstance(said, RunEnded)
    fell_back = any(made.planner is Planner.FALLBACK for made in run.proposals.values())
    values: dict[str, int | Decimal] = {
        "Runs": 1,
        "RunCostUsd": usd(said.spent_microusd + said.reserved_microusd),
        "Fallbacks": int(fell_back),
    }
    if said.status == "answered":
        took = datetime.fromisoformat(ended.at) - datetime.fromisoformat(run[0].at)
        values["AnswerLatency"] = max(0, int(took.total_seconds() * 1000))
    return metric_line(values, fields={"run_id": ended.run_id, "status": said.status})


def run_failed(run_id: str) -> str:
    """Return the line for a run of which the log does not say how it ended."""
    return metric_line({"Runs": 1}, fields={"run_id": run_id, "status": "failed"})


def log_unfit(run_id: str, seq: str, why: str) -> str:
    """Return the line that reports a log that is not as it was written, and the first event that does not fit."""
    return metric_line({"LogsUnfit": 1}, fields={"run_id": run_id, "seq": seq, "why": why})


def charge_disbelieved(run_id: str, charged_microusd: int, most_microusd: int) -> str:
    """Return the line that reports a run whose log says more than its lease allows, which the windows take."""
    why = f"{charged_microusd} micro-dollars were charged, and its lease allows {most_microusd}"
    return metric_line({"UsageDisbelieved": 1}, fields={"run_id": run_id, "seq": RunSettled.key(), "why": why})


@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any] | None:
    """Settle the run of ``event``: the workflow's ``{"run_id", "ending"}`` or EventBridge's status change."""
    settlement = (runtime or lambda_runtime()).get(Settlement.of)
    if event.get("detail-type") == "Step Functions Execution Status Change":
        change = parse(StatusChange, event.get("detail"), what="detail")
        return settlement.settle(change.name, change.status.lower())
    task = parse(SettleTask, event, what="SettleTask")
    return settlement.settle(task.run_id, "answered" if task.ending == "answer" else task.ending)
