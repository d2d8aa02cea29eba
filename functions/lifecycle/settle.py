"""Lambda: end a run. Records its ending and settles its lease, exactly once, however the run ended.

::

    9999.run.ended ── read the log again ── 9999.run.settled (the charge) ── lease and windows, one transaction
                   │        │                                             └ dies here: the retry finds the charge in
                   │        │                                               the log, and a lease that is held or settled
                   │        └ reservations of the business's own money that were never begun are returned too
                   └ an agent that still runs records its reservation before it asks the model, and then looks for
                     an ending: either it finds this one and asks nothing, or Settle finds the reservation

Both events carry a digest of the log (``ballast.log.evidence``). Before the charge is written, the log is checked
against the first digest and against the digest of every prompt. A log that does not fit is reported and still settled,
so that its money is returned. A garbled event is read as the worst case: the run failed, its effects wait for a
person, and the whole lease is charged. A log that cannot be read at all is reported and not settled.

A reservation without an outcome is charged in full. The sweeper checks again when no more outcomes can arrive, and
lowers the charge by the late ones. Only the sweeper settles the lease of a run that was never opened, because its
admission may still be running.
"""

from bisect import bisect_left
from collections.abc import Callable
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
from ballast.moves_table import MovesSettings, MovesTable
from ballast.on_behalf import RequesterTokens, TokensSettings
from ballast.outbox import Announcements, Replies, ReplySettings
from ballast.run import Run
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from ballast.values import dataclass
from functions.lifecycle.budgets_table import LATE, BudgetsTable, LeaseTableSettings

T = TypeVar("T")

#: The most characters of prompts to rebuild at settlement: about a second of work, or 200 turns of 2 KB.
_MOST_CHARS = 64_000_000


class SettleSettings(LogSettings, SignatureSettings, LeaseTableSettings, MovesSettings, ReplySettings, TokensSettings):
    """Settle's environment.

    run_log_table, payload_bucket  the log: see ``LogSettings``
    retention_days      days until TTL removes settled items; 0 keeps them for ever
    answer_key_arn      the KMS key that verifies people's answers
    budgets_table       leases and windows
    moves_table         reservations of the business's own money
    reply_queue_prefix  prefix of the queues that a caller may name in ``reply_to``
    requester_tokens_table  tokens that callers brought for a run; they are deleted
    """


class SettleTask(Wire):
    """The workflow's ending in ``turn``: with an answer, without one, or because nobody could be asked."""

    run_id: RunId
    turn: Turn
    ending: Literal["answer", "unanswered", "failed"]


class StatusChange(Wire):
    """The fields that Settle reads from the ``detail`` of EventBridge's status change. ``name`` is the run id."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    name: str
    status: Literal["ABORTED", "TIMED_OUT", "FAILED"]


def how_it_ended(run: Run, status: str) -> RunEnded:
    """Return the ending of a run that ended with ``status``. Pure.

    ``by`` is the planner that answered; ``degraded`` is true if that is not the agent; ``effects`` is none, kept,
    undone or frozen.
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
    """Return the ending of a run whose log is too garbled to compute it."""
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
    """Return the key of the first event at which ``fold`` fails; it fails on the whole log."""

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


def _has_tokens(run: Run) -> bool:
    opened = run.fact(RunOpened)
    return opened is not None and bool(opened.on_behalf)


def _ceiling_above_lease(run: Run, leased_microusd: int) -> Finding | None:
    """Return a finding where the log's ceiling is above the lease, in micro-dollars; else None."""
    if not run.is_open:
        return None
    try:
        ceiling = run.opening.cost_ceiling_microusd
    except (LogCorrupt, *GARBLED) as problem:
        return Finding(RunOpened.key(), f"cannot be read: {type(problem).__name__}")
    why = f"{ceiling} micro-dollars were given to the run and {leased_microusd} leased for it"
    return Finding(RunOpened.key(), why) if ceiling > leased_microusd else None


def _reason(run: Run) -> str | None:
    """Return the run's last reason: of the unanswered escalation, else of the last hand-over."""
    made = run.proposals
    last_turn = max(made, default=0)
    asked = [opened for opened in run.facts(EscalationOpened) if opened.turn > last_turn]
    if asked:
        return asked[-1].reason
    reason = getattr(made[last_turn].decision, "reason", None) if made else None
    return str(reason) if reason else None


@dataclass(frozen=True)
class Settlement:
    """Closes runs: records the ending, announces it and settles the lease."""

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
        """Record and announce the ending, settle the lease; return the run's coordinates, None if it never opened."""
        run = self._read(run_id)
        if not run:
            self._forget_tokens(run_id)
            return None
        if not run.has_ended:
            if status == "answered" and self.log.unsigned(run_id):
                # The log has a person's answer without a signature: it is ignored.
                status = status if self._folded(run, _is_answered, False) else "failed"
            asked = status
            fact = self._folded(run, lambda some: how_it_ended(some, asked), _unknown(status))
            index = self._folded(run, lambda some: by_outcome(some.request.tenant, fact.status), None)
            ended = self.log.append(run_id, fact, index=index, covers=run)
            self.runtime.emit(self._folded(run, lambda some: run_ended(some, ended), run_failed(run_id)))
            # A run that was cut off may have begun a write since. A write that begins from now on finds the ending.
            run = run.with_event(ended) if fact.status == "answered" else self._read(run_id)
        try:
            if self._folded(run, _has_tokens, True):
                self._forget_tokens(run_id)
            self._tell(run)
        finally:  # the money is settled even if the announcement fails
            self._settle_lease(run_id)
        return _coordinates(run)

    def _forget_tokens(self, run_id: str) -> None:
        self.runtime.get(RequesterTokens.to_forget).forget(run_id)

    def sweep(self, run_id: str, status: str) -> None:
        """Settle a run without a running execution whose lease is still held, also if the run was never opened."""
        if self.settle(run_id, status) is None:
            lease = self.budgets.find(run_id)
            if lease is not None:
                self.budgets.settle(lease, 0)

    def _settle_lease(self, run_id: str) -> None:
        """Settle the run's lease, if it is held. The run's ending is recorded."""
        lease = self.budgets.find(run_id)
        if lease is None or not lease.held:
            if lease is not None and lease.open_since is not None and self.runtime.clock() >= lease.open_since + LATE:
                self._true_up(lease)
            return
        run = self._read(run_id)
        if run.is_open and self._folded(run, lambda some: bool(some.moves) or some.is_unfinished, True):
            # Before the lease: while the lease is held, the sweeper tries again.
            self.runtime.get(MovesTable.of).end(run_id)
        leased = lease.leased_microusd
        # If the usage cannot be read, the whole lease is charged.
        most = Usage(spent_microusd=leased)
        used = self._folded(run, lambda some: some.usage, most) if run.is_open else Usage()
        by_log = used.charged_microusd
        self._check(run, leased)
        owed = charge(by_log, leased)
        fact = RunSettled(leased_microusd=leased, charged_microusd=owed, returned_microusd=leased - owed)
        if owed != by_log:
            fact = fact.model_copy(update={"beyond_microusd": by_log - owed})
            self.runtime.emit(charge_above_lease(run_id, by_log, leased))
        settled = self.log.append(run_id, fact, covers=run)
        recorded = _charged(settled)  # of an earlier attempt, if there was one
        charged = charge(recorded, leased)
        if charged is not recorded:
            self.runtime.emit(log_unfit(run_id, settled.seq, "says a charge that its lease does not allow"))
        missing = used.reserved_microusd > 0 or charged != owed
        self.budgets.settle(lease, charged, evidence_sha256(settled), outcomes_missing=missing)

    def _true_up(self, lease: Lease) -> None:
        """Lower the charge by outcomes that arrived after the settlement and cost less than their reservations."""
        run = self._read(lease.run_id)
        known, before = vouched_for(run), lease.charged_microusd
        by_log = self._folded(run, lambda some: charged_at_last(some, known), before) if known else before
        charged = charge(by_log, before)
        if charged != by_log:
            self.runtime.emit(charge_above_lease(lease.run_id, by_log, before))
        self.budgets.true_up(lease, charged)

    def _read(self, run_id: str) -> Run:
        try:
            return self.log.read(run_id)
        except LogCorrupt as problem:
            self.runtime.emit(log_unfit(run_id, "", str(problem)))
            raise

    def _folded(self, run: Run, fold: Callable[[Run], T], otherwise: T) -> T:
        """Return ``fold`` of the log; if the log is too garbled, report it and return ``otherwise``."""
        try:
            return fold(run)
        except (LogCorrupt, *GARBLED) as problem:
            seq, why = _culprit(run, fold), f"cannot be read ({type(problem).__name__})"
            self.runtime.emit(log_unfit(run.run_id, seq, why))
            return otherwise

    def _check(self, run: Run, leased_microusd: int) -> None:
        """Report the first event that does not fit the digests of the log or of its prompts, or the lease, if any."""
        unsigned = self.log.unsigned(run.run_id)
        whole, forged = run.with_event(*unsigned), [event.seq for event in unsigned]
        found = check(whole, settling=True, most_chars=_MOST_CHARS, unsigned=forged).first
        ended = run.by_seq.get(RunEnded.key())
        if found is None and ended is not None and evidence_sha256(ended) is None:
            found = Finding(ended.seq, "has no evidence: an older version wrote it, or it is not from Settle")
        if found is None:
            found = _ceiling_above_lease(run, leased_microusd)
        if found is not None:
            self.runtime.emit(log_unfit(run.run_id, found.seq, found.why))

    def _tell(self, run: Run) -> None:
        none: tuple[tuple[str, RunEscalated], ...] = ()
        unannounced = self._folded(run, lambda some: some.to_announce, none)
        for mark, escalated in unannounced:  # those that could not be announced when they opened
            self.announcements.send(run, mark, escalated)
        notice = self._folded(run, lambda some: some.outcome, None)
        if notice is not None:
            self.announcements.send(run, RunAnnounced.key(), notice)
            self.replies.send(run, run.request.reply_to, notice)


def _coordinates(run: Run) -> dict[str, Any]:
    """Return the run's ending for the workflow; fields that cannot be read are null."""
    try:
        ended = run.ending
    except GARBLED:
        ended = None
    if isinstance(ended, RunRefused):
        return {"run_id": run.run_id, "status": "refused", "reason": ended.reason}
    status, by, degraded = (ended.status, ended.by, ended.degraded) if ended else (None, None, None)
    return {"run_id": run.run_id, "status": status, "by": by, "degraded": degraded}


def _charged(settled: Event) -> int | None:
    """Return the charge in ``run.settled``; None if it cannot be read."""
    try:
        fact = settled.fact
    except GARBLED:
        return None
    return fact.charged_microusd if isinstance(fact, RunSettled) else None


def run_ended(run: Run, ended: Event) -> str:
    """Return the metrics of the run with the ending ``ended`` (``run.ended``); latency only for an answered run."""
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
    """Return the metrics of a run whose log is too garbled to compute the ending."""
    return metric_line({"Runs": 1}, fields={"run_id": run_id, "status": "failed"})


def log_unfit(run_id: str, seq: str, why: str) -> str:
    """Return the metric line of a changed log, with its first event that does not fit."""
    return metric_line({"LogsUnfit": 1}, fields={"run_id": run_id, "seq": seq, "why": why})


def charge_above_lease(run_id: str, charged_microusd: int, most_microusd: int) -> str:
    """Return the metric line of a charge in the log above the lease's maximum; the maximum is charged."""
    why = f"{charged_microusd} micro-dollars were charged, and its lease allows {most_microusd}"
    return metric_line({"UsageDisbelieved": 1}, fields={"run_id": run_id, "seq": RunSettled.key(), "why": why})


@made_at_init(Settlement.of, "dynamodb")
@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any] | None:
    """Settle the run of ``event``: the workflow's ``{"run_id", "ending"}`` or EventBridge's status change."""
    settlement = (runtime or lambda_runtime()).get(Settlement.of)
    if event.get("detail-type") == "Step Functions Execution Status Change":
        change = parse(StatusChange, event.get("detail"), what="detail")
        return settlement.settle(change.name, change.status.lower())
    task = parse(SettleTask, event, what="SettleTask")
    return settlement.settle(task.run_id, "answered" if task.ending == "answer" else task.ending)
