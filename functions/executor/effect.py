"""One effect, from its intention to its record: it happens once, or it is recorded as unknown.

``Effects.carry_out`` is the sequence: intend ─▶ run the tool, within its circuit and its time ─▶ classify its end
─▶ record. A read has no lease, and a read that costs nothing is not intended. A write runs under the lease of its key
(``WriteAttempt.run``)::

    any attempt     run ─ returned ──────────────────────────▶ ok │ failed, where the tool says so
                        ├ nothing was done (it says so) ─────▶ try again; without a way to resolve: failed
                        ├ refused as a repetition is ───────▶ verify: happened ▶ ok, not ▶ failed; else unknown
                        └ any other error: in doubt ─ verify: it happened ▶ ok
                                                    ├ honours_key ───────▶ try again under the same key, TRIES times
                                                    ├ verify: not (yet) ─▶ wait for this attempt's lease, then resolve
                                                    └ neither ───────────▶ unknown
    resolve         an earlier attempt died or ended in doubt, and its lease is over
                        honours_key ─▶ run again under the same key
                        verify ──────▶ happened: ok, not: run again; after RUNS that ended in doubt: did not happen
                        neither ─────▶ unknown
    give up         the call is not tried again
                        verify ──────▶ happened: ok, not: did not happen
                        else ────────▶ unknown

The lease is Powertools' record of an attempt in progress. It lasts as long as the Lambda may live, so no effect is
resolved while its attempt may still be at work. It is taken before ``call.intended`` is written: an intention in the
log means that the tool was about to run.

One rule: "it did not happen" needs proof that every attempt that ran is over. A request that an attempt has sent may
arrive until that attempt's lease ends. So an attempt gives its lease back only where it knows its outcome, or did
nothing, or has recorded in ``call.doubted`` when its lease would have ended. Until all those times have passed, an
effect that ``verify`` finds is believed, but neither "nothing found" nor a refusal is.

The other rule: "it happened" needs proof that the effect is this call's. A ``verify`` that does not look by the call's
key is asked once before ``call.intended`` as well, which has its answer (``looked``); what it finds later is believed
only if it found nothing then. And a refusal after doubt is believed only of a tool that replays its first answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from ballast.attachments.files import WrongContent
from ballast.attachments.prompt import logged
from ballast.attachments.store import Attachments
from ballast.contracts import ExecuteTask, ToolCall
from ballast.contracts.wire import canonical, sha256
from ballast.errors import AttemptInProgress, EffectUnknown, RetryLater, RunEnded, SettingInvalid
from ballast.log.events import CallIntended, CallRefused, CallSettled, LeftOut
from ballast.log.run_log import RunLog
from ballast.masking import error_text
from ballast.playbook import Effect, Tool, ToolContext
from ballast.playbook.context import Bill
from ballast.validation import too_large
from ballast.values import dataclass
from functions.executor.approval import consumed
from functions.executor.attempt import Attempt, History, ProposedCall
from functions.executor.downstream import (
    NOTHING,
    SOMETHING,
    Downstreams,
    InDoubt,
    NothingDone,
    RunEnd,
    found,
    looked,
    run_tool,
    seconds_for,
)
from functions.executor.moves import MovesStore, returned, undone
from functions.executor.record import CallEnd, CallOutcome, LeaseStays, Once, Position, Recorded, effect_key
from functions.executor.rules import charge, reserve_anew, sources_of_values
from functions.executor.undo import planned_undo, undo_facts, with_undo

#: Most runs of a write under its key: as many as the state Execute makes.
TRIES = 6
#: Most runs of a write with ``verify`` that may end in doubt; if none of them had its effect, the call has failed.
RUNS = 2
#: Most calls of ``verify`` that may fail, over all attempts; after them the effect is unknown.
DOUBTS = 3
#: Most seconds for which ``verify`` is asked before the first attempt.
LOOK_S = 10.0
#: Most characters that are recorded of the message of an outcome or a refusal.
MESSAGE_CHARS = 4_000
#: The beginning of a recorded doubt that is a failed ``verify``. Old logs have it: it must not change.
_NOT_ASKED = "Whether it happened could not be asked."


class _GivesBack(Exception):
    """Ends an attempt without an outcome and gives its lease back: it did nothing, or its doubt is in the log.

    ``too_early``: an earlier attempt may still have its effect; else the call may be tried again at once.
    """

    def __init__(self, message: str, *, too_early: bool = False) -> None:
        super().__init__(message)
        self.too_early = too_early


@dataclass(frozen=True)
class Effects:
    """Carries out calls that have passed every rule, and records their outcomes. No other class runs a tool."""

    log: RunLog
    once: Once
    recorded: Recorded
    downstreams: Downstreams
    moves: MovesStore
    attachments: Attachments
    clock: Callable[[], datetime]

    def carry_out(
        self, attempt: Attempt, lambda_context: Any, *, given_up: str | None = None, last_error: str = ""
    ) -> str:
        """Carry the call out, a write at most once, record its outcome and return its status.

        ``given_up``: why the call is not tried again; the tool is not run then, and what is known is recorded.
        ``last_error``: what the last attempt at it said, for the person who finds out what it did. Raises
        ``EffectUnknown``, ``AttemptInProgress`` while another attempt may be at work, and ``RetryLater``.
        """
        started, tool, key = self.clock(), attempt.tool, attempt.idempotency_key
        seconds = seconds_for(tool.limits.timeout_s, lambda_context)
        context = replace(attempt.context, timeout_s=seconds)
        if tool.effect is Effect.READ:
            return self._record(attempt, self._read(attempt, context, lambda_context.aws_request_id), started)
        now_ms = int(self.clock().timestamp() * 1000)
        lease_ms = now_ms + lambda_context.get_remaining_time_in_millis()
        write = WriteAttempt(
            self.log, self.downstreams, self.attachments, attempt, context, lambda_context, now_ms, lease_ms
        )
        under_lease = write.run if given_up is None else partial(write.give_up, given_up, last_error)
        try:
            kept = self.once.run(key, under_lease, lambda_context)
        except LeaseStays as waits:
            raise AttemptInProgress(f"{key}: whether it happened cannot be told yet. {waits}") from waits
        except _GivesBack as again:
            if again.too_early:
                raise AttemptInProgress(f"{key}: whether it happened cannot be told yet. {again}") from again
            raise RetryLater(str(again)) from again
        return self._record(attempt, CallOutcome.read(self.log.unkept(attempt.task.run_id, kept)), started)

    def _read(self, attempt: Attempt, context: ToolContext, invocation: str) -> CallOutcome:
        """Run a tool that reads. Whatever goes wrong, nothing was changed, and the planner may go on.

        An unexpected error is marked as a ``defect``: its message may quote anything, so it is not trusted text. Raises
        ``RetryLater`` for an outage of AWS or where the tool says so, and ``SettingInvalid``.
        """
        if says_nothing_before(attempt):
            return with_cost(attempt, self._run_read(attempt, context), reserved_here=True)
        if not intend(self.log, attempt, invocation):
            ended = reserve_anew(self.log, attempt, invocation)
            if ended is not None:
                return with_cost(attempt, ended, reserved_here=False)
        return with_cost(attempt, self._run_read(attempt, context), reserved_here=True)

    def _run_read(self, attempt: Attempt, context: ToolContext) -> CallOutcome:
        tool = attempt.tool
        run_end = run_tool(tool, self.downstreams.ready(tool, attempt.args, context), attempt.cut)
        match run_end:
            case CallOutcome():
                return with_files(attempt, fitted(attempt, run_end), self.attachments)
            case NothingDone(message, rested=True, circuit=circuit, unlike=unlike) | NothingDone(
                message, barred=True, circuit=circuit, unlike=unlike
            ):
                return CallOutcome("failed", message=message, circuit=circuit, unlike=unlike)
            case NothingDone(message, cause=cause):  # as RetryLater: the workflow retries by that name
                raise RetryLater(message) from cause
            case InDoubt(cause=SettingInvalid() as cause):
                raise cause from None
            case InDoubt(message, cause=RetryLater() as cause):
                raise RetryLater(message) from cause
            case InDoubt(message, unlike=unlike):
                return CallOutcome("failed", message=message, defect=True, unlike=unlike)

    def _record(self, attempt: Attempt, outcome: CallOutcome, started: datetime) -> str:
        """Record the outcome, settle what the call moved, and return its status. Raises ``EffectUnknown``.

        The charge is the outcome's. An older version recorded none: then it is what the call's intention reserved or,
        without an intention, what the tool declares.
        """
        task, tool = attempt.task, attempt.tool
        if outcome.unbegun is not None:
            attempt.moving.release(task, tool.name)
            return self.ended_unbegun(task, attempt.state.call, tool, outcome.unbegun)
        latency_ms = max(0, int((self.clock() - started).total_seconds() * 1000))
        cost = outcome.cost_microusd
        if not outcome.cost_known:
            attempt.history.read_again()  # this attempt may have read the call before another one intended it
            cost = attempt.cost_microusd
        done = replace(with_undo(attempt, outcome), latency_ms=latency_ms, cost_microusd=cost)
        bounded = self.bounded(done, task.run_id, attempt.state.call)
        settled = bounded.settled(attempt.at, tool.name)
        if says_nothing_before(attempt):
            settled = settled.model_copy(update=said_of_a_read(attempt))
        settled = self.log.record(task.run_id, settled)
        # A read has changed nothing, so the outcome that was recorded first stands.
        read = tool.effect is Effect.READ
        status, message = (settled.status, settled.message) if read else (done.status, done.message)
        attempt.moving.settle(attempt, status)
        if status == "ok" and outcome.undo_facts is not None and outcome.undo_facts.undoes is not None:
            undone(self.moves, self.recorded, task.run_id, outcome.undo_facts.undoes)
        if status == "unknown":
            raise EffectUnknown(f"{attempt.idempotency_key}: {message}")
        if settled.status != status:
            # Another attempt's doubt, or a forged event: a person must look.
            told = f"the log says {settled.status}. {settled.message}".strip()
            raise EffectUnknown(f"{attempt.idempotency_key}: it was {status}, and {told}")
        return status

    def bounded(self, outcome: CallOutcome, run_id: str, call: ToolCall) -> CallOutcome:
        """Return the outcome with its message cut to ``MESSAGE_CHARS``, without a part of a sensitive value."""
        if outcome.message is None:
            return outcome
        beside = call.model_dump(mode="json")
        return replace(outcome, message=self.log.cut(run_id, outcome.message, most=MESSAGE_CHARS, beside=beside))

    # Calls that end before an attempt begins them

    def end_unbegun(self, call: ProposedCall, call_end: CallEnd) -> str | None:
        """Record the end of a write that no attempt has begun and return its status; None if one has begun meanwhile.

        The log is read again under the lease of the key, and the ending stays as the key's record: a slow attempt that
        has read the call before finds it and does not begin. Raises ``AttemptInProgress`` while another attempt may be
        at work, and ``RetryLater``.
        """
        run_id, at, proposed = call.task.run_id, call.at, call.state.call

        def end() -> dict[str, Any]:
            if is_begun(call.history, at):
                raise _GivesBack("Another attempt began it meanwhile.")
            return self.log.kept(run_id, CallOutcome.never_begun(call_end).kept(proposed.tool))

        try:
            record = self.log.unkept(run_id, self.once.run(effect_key(run_id, at), end, call.context))
        except _GivesBack:
            return None
        outcome = CallOutcome.read(record)
        if outcome.unbegun is not None:
            return self.ended_unbegun(call.task, proposed, call.tool, outcome.unbegun)
        # The record is of an attempt that acted, or of an earlier version, which kept no ``unbegun``.
        if is_begun(call.history, at) or outcome.status != "failed":
            return None
        if isinstance(call_end, CallSettled) and not outcome.cost_known:
            outcome = replace(outcome, cost_microusd=call_end.cost_microusd)
        return self.ended_unbegun(call.task, proposed, call.tool, outcome.settled(at, proposed.tool))

    def ended_unbegun(self, task: ExecuteTask, call: ToolCall, tool: Tool | None, call_end: CallEnd) -> str:
        """Record in the log how a call ended that no attempt has begun, return its money, and return its status."""
        if tool is not None and tool.moves is not None:
            returned(self.moves, task.run_id, (task.turn, task.index))
        here: dict[str, Any] = {"turn": task.turn, "index": task.index}
        if isinstance(call_end, CallRefused):
            self.log.record(task.run_id, call_end.model_copy(update=here | {"arguments": call.arguments}))
            return "refused"
        return self.log.record(task.run_id, call_end.model_copy(update=here)).status


@dataclass(frozen=True)
class WriteAttempt:
    """One attempt at a write.

    context   the tool's context, with its time limit
    now_ms    the beginning of this attempt, milliseconds since 1970
    lease_ms  the end of its lease, milliseconds since 1970
    """

    log: RunLog
    downstreams: Downstreams
    attachments: Attachments
    attempt: Attempt
    context: ToolContext
    lambda_context: Any
    now_ms: int
    lease_ms: int

    @property
    def invocation(self) -> str:
        """The id of this attempt."""
        return str(self.lambda_context.aws_request_id)

    def run(self) -> dict[str, Any]:
        """Intend, run the tool, classify its end; return the outcome as JSON for the record. The lease must be held."""
        attempt, tool = self.attempt, self.attempt.tool
        with self._lease_stays_once_begun():
            first = intend(self.log, attempt, self.invocation, self._looked())
            if first and self.log.has_ended(attempt.task.run_id):  # its ending has listed its effects already
                ended = CallOutcome("failed", message="The run has ended; nothing was done.")
                return self._kept(ended, first=first)
            outcome = None if first else self._resolved()
            if outcome is None:
                clean = first or self._begins_clean()
                run_end = run_tool(tool, self.downstreams.ready(tool, attempt.args, self._in_time()), attempt.cut)
                outcome = self._classified(run_end, first=first, clean=clean)
            return self._kept(self._fit(outcome), first=first)

    def give_up(self, why: str, last_error: str = "") -> dict[str, Any]:
        """Return the outcome, as JSON for the record, of a write that has none and is not tried again.

        The tool is not run. The lease must be held: no intention is written meanwhile. Raises ``_GivesBack`` while an
        earlier attempt's request may still arrive.
        """
        first = not is_begun(self.attempt.history, self.attempt.at)
        return self._kept(self._fit(self._known(why, last_error, first=first)), first=first)

    def verify(self) -> Any:
        """Return the result of the effect where the tool finds it, else None. The circuit is not asked."""
        verify, seconds = self.attempt.tool.policy.verify, self.context.timeout_s
        assert verify is not None
        return self.downstreams.call(None, seconds, verify, self.attempt.args, self.context)

    def look(self) -> Any:
        """Return what ``verify`` finds before the first attempt; nothing of it becomes the call's, files or cost."""
        verify, seconds = self.attempt.tool.policy.verify, min(self.context.timeout_s or LOOK_S, LOOK_S)
        assert verify is not None
        apart = replace(self.context, timeout_s=seconds, files=[], bill=Bill())
        return self.downstreams.call(None, seconds, verify, self.attempt.args, apart)

    def _looked(self) -> str | None:
        """Return what ``verify`` finds before the call is begun, for its intention; None where it is not asked."""
        attempt = self.attempt
        if not attempt.tool.policy.look_before or attempt.state.status == "intended":
            return None
        return looked(attempt.tool, self.look, attempt.cut)

    def _in_time(self) -> ToolContext:
        """Return the context with the time that is left after the look."""
        tool = self.attempt.tool
        if not tool.policy.look_before:
            return self.context
        return replace(self.context, timeout_s=seconds_for(tool.limits.timeout_s, self.lambda_context))

    @contextmanager
    def _lease_stays_once_begun(self) -> Iterator[None]:
        """Keep the lease where an unexpected error ends the attempt after the tool has begun."""
        try:
            yield
        except _GivesBack:
            raise
        except Exception as problem:
            if not self.context.bill.begun:
                raise
            raise LeaseStays(self.attempt.cut(error_text(problem))) from problem

    def _kept(self, outcome: CallOutcome, *, first: bool) -> dict[str, Any]:
        """Return the outcome with its cost, as JSON for the record. ``first``: no earlier attempt began the call."""
        done = with_cost(self.attempt, outcome, reserved_here=first)
        return self.log.kept(self.attempt.task.run_id, done.kept(self.attempt.tool.name))

    def _fit(self, outcome: CallOutcome) -> CallOutcome:
        """Return the outcome for the executor's own record: of a size that fits, with the undo a rollback may make."""
        done = with_undo(self.attempt, fitted(self.attempt, outcome))
        return replace(
            with_files(self.attempt, done, self.attachments, must=False), undo_facts=undo_facts(self.attempt)
        )

    def _known(self, why: str, last_error: str, *, first: bool) -> CallOutcome:
        if first:
            return CallOutcome("failed", message=f"{why} It was not begun: nothing was done.")
        nothing = self.attempt.nothing
        if nothing is not None:
            return CallOutcome("failed", message=f"{_sentence(nothing)} Nothing was done. {why}")
        if not self._verifies:  # the error last, since truncation drops the end
            return _unknown(f"{why} Its last error: {last_error}" if last_error else why)
        try:
            happened = self._asked(ran="")
        except LeaseStays as waits:  # this attempt ran nothing, so verify may be asked again at once
            raise _GivesBack(str(waits), too_early=True) from waits
        return happened or CallOutcome("failed", message=f"{why} It did not happen.", defect=True)

    def _resolved(self) -> CallOutcome | None:
        """Return what became of the earlier attempts, all of which are over; None where the tool must run again."""
        self.attempt.history.read_again()  # under the lease: it has what the others have recorded
        policy, name = self.attempt.tool.policy, self.attempt.tool.name
        if not policy.resolvable:
            return _unknown(f"An attempt at {name} ended without a record, and nothing tells what it did.")
        if policy.honours_key and self._runs < TRIES:
            return None
        if not self._verifies:
            return _unknown(f"{_sentence(self._last)} It was tried {TRIES} times under its key.")
        happened = self._asked(ran="")
        if happened is None and self._runs >= RUNS:
            return CallOutcome("failed", message=f"{_sentence(self._last)} It did not happen.", defect=True)
        return happened

    def _begins_clean(self) -> bool:
        """Say whether every earlier attempt is known to have done nothing; if so, record that this one begins.

        If this attempt dies, that record shows that it may have done something.
        """
        clean = self.attempt.nothing is not None
        if clean:
            self._doubt("It is tried again.", False, False, "begins")
        return clean

    def _classified(self, run_end: RunEnd, *, first: bool, clean: bool) -> CallOutcome:
        """Return the outcome of a run; raise where a later attempt must find it out.

        ``first``: there was no attempt before. ``clean``: every attempt before is known to have done nothing.
        """
        match run_end:
            case CallOutcome():
                return run_end if first or run_end.status != "failed" else self._final(run_end, clean=clean)
            case NothingDone(barred=True) if first or clean:
                return CallOutcome("failed", message=run_end.message, unlike=run_end.unlike)
            case NothingDone(rested=True) | NothingDone(barred=True):
                if not first:  # an earlier attempt may have had its effect
                    raise _GivesBack(run_end.message) from run_end.cause
                return CallOutcome("failed", message=run_end.message, circuit=run_end.circuit)
            case NothingDone():
                if not self.attempt.tool.policy.resolvable:
                    return CallOutcome("failed", message=f"{run_end.message.rstrip(' .')}. It may be called again.")
                if clean:
                    with suppress(Exception):  # without this record the call counts as in doubt
                        self._doubt(run_end.message, False, False, "done")
                raise _GivesBack(run_end.message) from run_end.cause
            case InDoubt(refused=True):
                return self._final(CallOutcome("failed", message=run_end.message), clean=False)
            case InDoubt(answered=True):
                outcome = self._found_at_once() or _unknown(run_end.message)
                return replace(outcome, unlike=run_end.unlike)
            case InDoubt():
                return self._in_doubt(run_end.message)

    def _in_doubt(self, problem: str) -> CallOutcome:
        """Return what is known of a run that ended with ``problem``; raise where a later attempt must find it out."""
        policy = self.attempt.tool.policy
        if not policy.resolvable:
            return _unknown(problem)
        if policy.honours_key and self._runs + 1 < TRIES:
            happened = self._found_at_once()
            if happened is not None:
                return happened
            if self._note(problem, ran=True, gives_back=True):
                raise _GivesBack(problem)
            raise LeaseStays(problem)
        if not self._verifies:
            return _unknown(f"{_sentence(problem)} It was tried {TRIES} times under its key.")
        happened = self._asked(ran=problem)
        if happened is not None:
            return happened
        self._note(problem, ran=True)
        raise LeaseStays(problem)

    def _final(self, failed: CallOutcome, *, clean: bool) -> CallOutcome:
        """Return ``failed``, a tool's refusal after an earlier attempt, where it can be believed.

        The earlier attempt's own request may have caused the refusal: it is under way, or has arrived. ``verify`` is
        asked first, where there is one. While an attempt that ran is not over, the tool is run again later; a tool that
        replays gives the first run's answer then. Of one that may only be run again, such as a deletion, the refusal
        may be the first run's doing, whenever it comes: only ``verify`` proves that nothing happened. By a refusal that
        is a repetition's (``AsIfAgain``) the first run may be one that a proxy has sent twice.
        """
        policy = self.attempt.tool.policy
        happened = self._found_at_once()
        if happened is not None:
            return happened
        if not self._all_over:
            self._note(failed.message or "", ran=False)
            raise LeaseStays(failed.message or "")
        if clean or policy.replays or not policy.honours_key:  # without a key, ``verify`` has found nothing before
            return failed
        if not self._verifies:
            return _unknown(
                f"{_sentence(failed.message or '')} An attempt before it, or what stands between and sent it twice, "
                "may have done it."
            )
        return self._asked(ran="") or failed

    def _asked(self, *, ran: str) -> CallOutcome | None:
        """Return what ``verify`` finds, None where it finds nothing. ``ran``: the error of this attempt's run, or "".

        If this attempt ran nothing, None is proof: ``verify`` is asked only when every attempt that ran is over. If
        ``verify`` fails, the attempt waits; after ``DOUBTS`` failures the effect is unknown.
        """
        if not self._verifies:
            return None
        if not ran and not self._all_over:
            raise _GivesBack(f"What {self.attempt.tool.name} has sent may still arrive.", too_early=True)
        run_end = self._found()
        if run_end is None or isinstance(run_end, CallOutcome):
            return run_end
        problem = run_end.message
        if isinstance(run_end, InDoubt) and run_end.answered:
            return _unknown(f"Whether it happened could not be verified. {problem}")
        if sum(not doubt.ran and doubt.message.startswith(_NOT_ASKED) for doubt in self.attempt.doubts) + 1 >= DOUBTS:
            return _unknown(f"Whether it happened could not be verified. {problem}")
        self._note(ran or f"{_NOT_ASKED} {problem}", ran=bool(ran))
        raise LeaseStays(problem)

    def _found_at_once(self) -> CallOutcome | None:
        """Return what ``verify`` finds; None where it finds nothing or fails, and is asked again later."""
        if not self._verifies:
            return None
        run_end = self._found()
        return run_end if isinstance(run_end, CallOutcome) else None

    def _found(self) -> RunEnd | None:
        run_end = found(self.attempt.tool, self.verify, self.attempt.cut, unproven=self._unproven)
        if run_end is None and self._found_before == SOMETHING:  # it may be what a deletion did
            told = f"verify of {self.attempt.tool.name} found something before the first attempt, and nothing now"
            return InDoubt(f"{told}: what it found may have been changed by the call.", answered=True)
        return run_end

    def _unproven(self) -> str:
        """Return why what ``verify`` finds may be older than the call; "" where it is the call's own."""
        if not self.attempt.tool.policy.look_before:
            return ""
        before = self._found_before
        return "" if before == NOTHING else f"before the first attempt it found {before or 'nobody knows what'}"

    @property
    def _found_before(self) -> str | None:
        """What ``verify`` found before the first attempt, as ``call.intended`` has it; None where it was not asked."""
        attempt = self.attempt
        if not attempt.tool.policy.look_before:
            return None
        intended = attempt.history.turn.fact(CallIntended, *attempt.at)
        if intended is None:  # this attempt has recorded it
            attempt.history.read_again()
            intended = attempt.history.turn.fact(CallIntended, *attempt.at)
        return intended.looked if intended is not None else None

    def _note(self, problem: str, *, ran: bool, gives_back: bool = False) -> bool:
        """Record the doubt and say whether that worked; if not, the lease must stay."""
        try:
            self._doubt(problem, ran, gives_back)
        except Exception:
            return False
        return True

    def _doubt(self, message: str, ran: bool, gives_back: bool, nothing: str | None = None) -> None:
        """Record a doubt or, by ``nothing``, that a clean attempt "begins" or has "done" nothing."""
        self.attempt.record_doubt(self.invocation, self.lease_ms, message, ran, gives_back, nothing)

    @property
    def _verifies(self) -> bool:
        return self.attempt.tool.policy.verify is not None

    @property
    def _all_over(self) -> bool:
        """Whether no request of an earlier attempt can still arrive."""
        return all(doubt.until_ms <= self.now_ms for doubt in self.attempt.doubts if doubt.ran)

    @property
    def _runs(self) -> int:
        return sum(doubt.ran for doubt in self.attempt.doubts)

    @property
    def _last(self) -> str:
        return next(doubt.message for doubt in reversed(self.attempt.doubts) if doubt.ran)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _unknown(message: str) -> CallOutcome:
    return CallOutcome("unknown", message=message)


# Intend


def intend(log: RunLog, attempt: Attempt, invocation: str, looked: str | None = None) -> bool:
    """Record that the call is about to be executed, and say whether this attempt is the first to do so.

    The event has the call's key, its undo, and what a rollback would do about it. ``invocation``: this attempt's id;
    ``looked``: what ``verify`` has found before. Raises ``RunEnded`` where the run may not spend anything any more.
    """
    if attempt.state.status == "intended":
        if not attempt.moving.begun:  # only the log says that the call has begun, and the table of moves does not
            attempt.moving.begin()
        return False
    task, tool = attempt.task, attempt.tool
    where_known: dict[str, Any] = {
        "moves": attempt.moving.begin(),
        "approval": consumed(attempt),
        "reserved_microusd": attempt.cost_microusd,
        "looked": looked,
        **sources_of_values(attempt),
    }
    if tool.effect is Effect.WRITE:
        where_known |= {"repeat": tool.policy.repeat, "on_rollback": attempt.playbook.on_rollback(tool)}
    intended = CallIntended(
        turn=task.turn,
        index=task.index,
        tool=tool.name,
        arguments=attempt.state.call.arguments,
        effect=tool.effect,
        planner=attempt.state.planner,
        idempotency_key=attempt.idempotency_key,
        undo=planned_undo(attempt),
        invocation=invocation,
        **{name: value for name, value in where_known.items() if value is not None},
    )
    first = log.record(task.run_id, intended).invocation == invocation
    if attempt.cost_microusd and log.goes_on_after(task.run_id, task.turn):
        # Settle adds up the charges after it has recorded the ending: it may not see what is reserved now.
        raise RunEnded(
            f"{attempt.idempotency_key}: the run has ended or continued without this call, so the call may not spend."
        )
    return first


def says_nothing_before(attempt: Attempt) -> bool:
    """Say whether the attempt is recorded by its outcome alone: a read that costs nothing and consumes no approval.

    If it dies, nothing has happened and nothing was reserved, so the next attempt need not know of it.
    """
    free = attempt.tool.effect is Effect.READ and attempt.cost_microusd is None and attempt.tool.moves is None
    return free and attempt.state.status != "intended" and consumed(attempt) is None


def said_of_a_read(attempt: Attempt) -> dict[str, Any]:
    """Return what the outcome of such a read says besides: its arguments in their one form, and their sources."""
    return {"effect": Effect.READ, "arguments": attempt.state.call.arguments, **sources_of_values(attempt)}


def is_begun(history: History, at: Position) -> bool:
    """Read again whether the log has the call's intention or its outcome. The lease must be held."""
    history.read_again()
    found = history.call(*at)
    return found is None or found.status != "proposed"


def with_cost(attempt: Attempt, outcome: CallOutcome, *, reserved_here: bool) -> CallOutcome:
    """Return the outcome with its charge; see ``charge``."""
    return replace(outcome, cost_microusd=charge(attempt, reserved_here=reserved_here), cost_known=True)


def with_files(attempt: Attempt, outcome: CallOutcome, store: Attachments, *, must: bool = True) -> CallOutcome:
    """Return ``outcome`` with the files that its tool gave kept, and the planner told of those that are left out.

    A file never changes whether a call was done. ``must``: raise ``RetryLater`` where the bucket is down; a write has
    happened, so its files are left out then.
    """
    given = attempt.context.files
    if outcome.status != "ok" or not given:
        return outcome
    opened = attempt.history.opening
    limits, kept, left_out = opened.limits, list(attempt.history.run.attachments), []
    before = len(kept)
    for at, (name, file_format, content) in enumerate(given, start=1):
        why = None
        if len(kept) >= limits.attachments:
            why = f"the run has {len(kept)} files, and limits.attachments is {limits.attachments}"
        elif sum(one.bytes for one in kept) + len(content) > limits.attachment_bytes:
            why = f"it does not fit into limits.attachment_bytes, {limits.attachment_bytes}"
        else:
            try:
                kept.append(store.keep(opened.request.tenant, attempt.task.run_id, name, file_format, content))
            except WrongContent as wrong:
                why = str(wrong)
            except Exception:
                if must:
                    raise
                why = "it could not be kept"
        if why is not None:
            left_out.append(f"File {at} of the result is left out: {why}.")
    notice = " ".join(filter(None, [outcome.notice, *left_out]))
    files = tuple(logged(one) for one in kept[before:])
    return replace(outcome, attachments=files, notice=notice or None)


def fitted(attempt: Attempt, outcome: CallOutcome) -> CallOutcome:
    """Return ``outcome``, or its replacement where the result is too large or too deep to record.

    A read has failed then: nothing is lost. A write has happened, so its outcome stays ok, with the undo made of the
    whole result; the result is left out.
    """
    if outcome.status != "ok":
        return outcome
    tool, result = attempt.tool, outcome.result
    problem = too_large(result, max_bytes=tool.limits.result_bytes, max_depth=tool.limits.depth)
    if problem is None:
        return outcome
    if tool.effect is Effect.READ:
        return CallOutcome("failed", message=f"The result is {problem}. Ask for less.")
    text = canonical(result)
    left_out = LeftOut(bytes=len(text), sha256=sha256(text))
    message = f"It was done. Its result is left out: {problem}."
    done = with_undo(attempt, outcome)
    if done.message is not None:
        message = f"{message} {done.message}"
    return replace(done, result=None, left_out=left_out, message=message, notice=message)
