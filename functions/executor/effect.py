"""An effect happens once, or is known to be unknown. It is never blindly repeated.

``Effects.carry_out`` is the whole of it: intend ─▶ run the tool, within its circuit and its time ─▶ classify what came
─▶ record. A read goes straight through; a write goes through under the lease of its key (``WriteAttempt.attempted``)::

    any attempt     run ─ returned ──────────────────────────▶ ok │ failed, where the tool says so
                        ├ nothing was done (it says so) ─────▶ try again; without a way to resolve: failed
                        └ any other error: in doubt ─ verify: it happened ▶ ok
                                                    ├ honours_key ───────▶ try again under the same key, TRIES times
                                                    ├ verify: not (yet) ─▶ wait for this attempt's lease, then resolve
                                                    └ neither ───────────▶ unknown
    resolve         an earlier attempt is dead, or ended in doubt; none is at work on it any more
                        honours_key ─▶ run again under the same key
                        verify ──────▶ happened: ok, not: run again; after RUNS that ended in doubt: did not happen
                        neither ─────▶ unknown
    give up         nobody tries it again
                        verify ──────▶ happened: ok, not: did not happen
                        else ────────▶ unknown

The lease is Powertools' record of an attempt in progress, as long as the Lambda lives: nobody resolves an
effect whose attempt may still be at work. It is taken before ``call.intended`` is written, so that an intent
in the log means that the tool itself was about to run.

One rule: "it did not happen" needs proof that every attempt that ran is over. What an attempt has sent may arrive until
its lease ends. So an attempt gives its lease back only where it knows its outcome, or says that it did nothing, or has
left ``call.doubted`` with the time at which the lease would have ended. Whoever asks ``verify``, or hears a refusal,
before each of these has passed believes what it finds, and never that nothing is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from ballast.contracts import ExecuteTask, ToolCall
from ballast.contracts.error_text import error_text
from ballast.contracts.wire import canonical, sha256
from ballast.errors import AttemptInProgress, EffectUnknown, RetryLater, RunEnded, SettingInvalid
from ballast.log.events import CallIntended, CallRefused, CallSettled, LeftOut
from ballast.log.run_log import RunLog
from ballast.playbook import Effect, Tool, ToolContext
from ballast.validation import too_large
from functions.executor.approval import consumed
from functions.executor.attempt import Attempt, History, ProposedCall
from functions.executor.downstream import Came, Downstreams, InDoubt, NothingDone, found, run_tool, seconds_for
from functions.executor.moving import MovesStore, returned, undone
from functions.executor.record import CallOutcome, Ends, LeaseStays, Once, Position, Recorded, effect_key
from functions.executor.rules import charge, provenance, reserve_anew
from functions.executor.undo import aside, planned_undo, with_undo

#: So often a write is tried under its key: as often as the state Execute tries.
TRIES = 6
#: So many runs of a write with ``verify`` may end in doubt; where it did not happen then, the planner is told so.
RUNS = 2
#: So often ``verify`` may be asked in vain, whatever runs came before; then it is unknown.
DOUBTS = 3
#: So many characters are recorded of what an outcome or a refusal says.
MESSAGE_CHARS = 4_000
#: How the log begins what it says of such a question.
_NOT_ASKED = "Whether it happened could not be asked."


class _GivesBack(Exception):
    """Ends an attempt without an outcome and gives its lease back: it did nothing, or its doubt is in the log.

    ``too_early``: an attempt before it may still have its effect; else it may be tried again at once.
    """

    def __init__(self, message: str, *, too_early: bool = False) -> None:
        super().__init__(message)
        self.too_early = too_early


@dataclass(frozen=True)
class Effects:
    """Carries out calls that have passed every rule, and records what came of them. Nothing else acts."""

    log: RunLog
    once: Once
    recorded: Recorded
    downstreams: Downstreams
    moves: MovesStore
    clock: Callable[[], datetime]

    def carry_out(self, attempt: Attempt, lambda_context: Any, *, given_up: str | None = None) -> str:
        """Carry the call out, a write at most once, record its outcome and return its status.

        ``given_up``: why nobody runs it any more; then only what is known of it is recorded. Raises ``EffectUnknown``,
        ``AttemptInProgress`` while another attempt may be at work, ``RetryLater`` where to try again.
        """
        started, tool, key = self.clock(), attempt.tool, attempt.idempotency_key
        seconds = seconds_for(tool.limits.timeout_s, lambda_context)
        context, invocation = replace(attempt.context, timeout_s=seconds), lambda_context.aws_request_id
        if tool.effect is Effect.READ:
            return self._record(attempt, self._read(attempt, context, invocation), started)
        now_ms = int(self.clock().timestamp() * 1000)
        lease_ms = now_ms + lambda_context.get_remaining_time_in_millis()
        write = WriteAttempt(self.log, self.downstreams, attempt, context, invocation, now_ms, lease_ms)
        under_lease = write.attempted if given_up is None else partial(write.left, given_up)
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
        """Run a tool that reads. It did nothing whatever went wrong, so the planner may go on.

        A ``defect`` was no outcome of the business: its message quotes whatever went wrong, so nobody vouches for it.
        Raises ``RetryLater`` for an outage of AWS: another attempt reads again. Raises ``SettingInvalid``.
        """
        tool = attempt.tool
        if not intend(self.log, attempt, invocation):
            third = reserve_anew(self.log, attempt, invocation)
            if third is not None:
                return third
        context.bill.begun = True
        came = run_tool(tool, self.downstreams.ready(tool, attempt.args, context), attempt.cut)
        match came:
            case CallOutcome():
                return fitted(attempt, came)
            case NothingDone(message, rested=True):
                context.bill.begun = False
                return CallOutcome("failed", message=message)
            case NothingDone(message, cause=cause):  # by the name that the workflow tries again for
                raise RetryLater(message) from cause
            case InDoubt(cause=SettingInvalid() as cause):
                raise cause from None
            case InDoubt(message, cause=RetryLater() as cause):
                raise RetryLater(message) from cause
            case InDoubt(message):
                return CallOutcome("failed", message=message, defect=True)

    def _record(self, attempt: Attempt, outcome: CallOutcome, started: datetime) -> str:
        """Record the outcome, settle what the call moved, and return its status. Raises ``EffectUnknown``."""
        task, tool = attempt.task, attempt.tool
        if outcome.unbegun is not None:
            attempt.moving.release(task, tool.name)
            return self.ended_unbegun(task, attempt.state.call, tool, outcome.unbegun)
        latency_ms = max(0, int((self.clock() - started).total_seconds() * 1000))
        done = replace(with_undo(attempt, outcome), latency_ms=latency_ms, cost_microusd=charge(attempt))
        bounded = self.bounded(done, task.run_id, attempt.state.call)
        settled = self.log.record(task.run_id, bounded.settled(attempt.at, tool.name))
        # A read has done nothing, and the first one recorded stands.
        read = tool.effect is Effect.READ
        status, message = (settled.status, settled.message) if read else (done.status, done.message)
        attempt.moving.settle(attempt, status)
        if status == "ok" and outcome.aside is not None and outcome.aside.undoes is not None:
            undone(self.moves, self.recorded, task.run_id, outcome.aside.undoes)
        if status == "unknown":
            raise EffectUnknown(f"{attempt.idempotency_key}: {message}")
        if settled.status != status:
            # Another attempt's doubt, or forged: either way a person looks.
            told = f"the log says {settled.status}. {settled.message}".strip()
            raise EffectUnknown(f"{attempt.idempotency_key}: it was {status}, and {told}")
        return status

    def bounded(self, outcome: CallOutcome, run_id: str, call: ToolCall) -> CallOutcome:
        """Return the outcome with as much of its message as is recorded, and no part of a sensitive value."""
        if outcome.message is None:
            return outcome
        beside = call.model_dump(mode="json")
        return replace(outcome, message=self.log.cut(run_id, outcome.message, most=MESSAGE_CHARS, beside=beside))

    # A write that nobody begins

    def end_unbegun(self, call: ProposedCall, ends: Ends) -> str | None:
        """Record how a write ends that nobody has begun, and return its status; None where it was begun meanwhile.

        The lease of its key is held while the log is read again, and what the log is to say stays as the key's record:
        a slow attempt that read the call before begins it no more. Raises ``AttemptInProgress`` while another attempt
        may be at work, ``RetryLater``.
        """
        run_id, at, proposed = call.task.run_id, call.at, call.state.call

        def end() -> dict[str, Any]:
            if is_begun(call.history, at):
                raise _GivesBack("It was begun meanwhile.")
            return self.log.kept(run_id, CallOutcome.never_begun(ends).kept(proposed.tool))

        try:
            record = self.log.unkept(run_id, self.once.run(effect_key(run_id, at), end, call.context))
        except _GivesBack:
            return None
        outcome = CallOutcome.read(record)
        if outcome.unbegun is not None:
            return self.ended_unbegun(call.task, proposed, call.tool, outcome.unbegun)
        # Of an attempt that acted; or as an earlier version kept that nobody began it.
        if is_begun(call.history, at) or outcome.status != "failed":
            return None
        if isinstance(ends, CallSettled):
            outcome = replace(outcome, cost_microusd=ends.cost_microusd)
        return self.ended_unbegun(call.task, proposed, call.tool, outcome.settled(at, proposed.tool))

    def ended_unbegun(self, task: ExecuteTask, call: ToolCall, tool: Tool | None, ends: Ends) -> str:
        """Bring the log in step with the record of a call that nobody began, and return its status."""
        if tool is not None and tool.moves is not None:
            returned(self.moves, task.run_id, (task.turn, task.index))
        here: dict[str, Any] = {"turn": task.turn, "index": task.index}
        if isinstance(ends, CallRefused):
            self.log.record(task.run_id, ends.model_copy(update=here | {"arguments": call.arguments}))
            return "refused"
        return self.log.record(task.run_id, ends.model_copy(update=here)).status


@dataclass(frozen=True)
class WriteAttempt:
    """One attempt at a write.

    context     what the tool gets, with its time
    invocation  tells this attempt from every other one
    now_ms      when this attempt began, milliseconds since 1970
    lease_ms    when its lease ends
    """

    log: RunLog
    downstreams: Downstreams
    attempt: Attempt
    context: ToolContext
    invocation: str
    now_ms: int
    lease_ms: int

    def attempted(self) -> dict[str, Any]:
        """Intend, run the tool and classify what came; return what is kept of it. The lease of its key is held."""
        attempt, tool = self.attempt, self.attempt.tool
        with self._lease_stays_once_begun():
            first = intend(self.log, attempt, self.invocation)
            if first and self.log.has_ended(attempt.task.run_id):  # its ending says what became of its effects
                return self._kept(CallOutcome("failed", message="The run has ended; nothing was done."))
            outcome = None if first else self._resolved()
            if outcome is None:
                clean = first or self._begins_clean()
                self.context.bill.begun = True
                came = run_tool(tool, self.downstreams.ready(tool, attempt.args, self.context), attempt.cut)
                outcome = self._classified(came, first=first, clean=clean)
            return self._kept(self._fit(outcome))

    def left(self, why: str) -> dict[str, Any]:
        """Return what is kept of a write that nobody tries again: its last attempt has ended, without an outcome.

        Its tool is never run. The lease of its key is held, so nobody writes an intention meanwhile. Raises where what
        another attempt has sent may still arrive.
        """
        return self._kept(self._fit(self._known(why)))

    def verify(self) -> Any:
        """Ask the tool whether its effect happened: the result, or None. The circuit has no say in it."""
        verify, seconds = self.attempt.tool.policy.verify, self.context.timeout_s
        assert verify is not None
        return self.downstreams.call(None, seconds, verify, self.attempt.args, self.context)

    @contextmanager
    def _lease_stays_once_begun(self) -> Iterator[None]:
        """An error that nobody foresaw gives no lease back once the tool has begun."""
        try:
            yield
        except _GivesBack:
            raise
        except Exception as problem:
            if not self.context.bill.begun:
                raise
            raise LeaseStays(self.attempt.cut(error_text(problem))) from problem

    def _kept(self, outcome: CallOutcome) -> dict[str, Any]:
        return self.log.kept(self.attempt.task.run_id, outcome.kept(self.attempt.tool.name))

    def _fit(self, outcome: CallOutcome) -> CallOutcome:
        """Return what the executor keeps of a write for itself: also what undoes it, for the rollback to be held to."""
        return replace(with_undo(self.attempt, fitted(self.attempt, outcome)), aside=aside(self.attempt))

    def _known(self, why: str) -> CallOutcome:
        if not is_begun(self.attempt.history, self.attempt.at):
            return CallOutcome("failed", message=f"{why} It was not begun: nothing was done.")
        nothing = self.attempt.nothing
        if nothing is not None:
            return CallOutcome("failed", message=f"{_sentence(nothing)} Nothing was done. {why}")
        if not self._verifies:
            return _unknown(why)
        try:
            happened = self._asked(ran="")
        except LeaseStays as waits:  # it may be asked again sooner than that: this attempt runs nothing
            raise _GivesBack(str(waits), too_early=True) from waits
        return happened or CallOutcome("failed", message=f"{why} It did not happen.", defect=True)

    def _resolved(self) -> CallOutcome | None:
        """Resolve what earlier attempts left behind; None where the tool is to be run again.

        Nobody is at work on it any more.
        """
        self.attempt.history.read_again()  # what others have left, under the lease
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
        """Say whether no attempt before this one can have done anything, and record that this one begins.

        So it is so far; if this attempt dies, nobody can say so any more.
        """
        clean = self.attempt.nothing is not None
        if clean:
            self._doubt("It is tried again.", False, False, "begins")
        return clean

    def _classified(self, came: Came, *, first: bool, clean: bool) -> CallOutcome:
        """Return the outcome of a run; raise where that is to be found out later.

        ``first``: no attempt was here before. ``clean``: no attempt before this one can have done anything.
        """
        match came:
            case CallOutcome():
                return came if first or came.status != "failed" else self._final(came)
            case NothingDone(rested=True):
                self.context.bill.begun = False
                if not first:  # the earlier attempt may have had its effect
                    raise _GivesBack(came.message) from came.cause
                return CallOutcome("failed", message=came.message)
            case NothingDone():
                if not self.attempt.tool.policy.resolvable:
                    return CallOutcome("failed", message=f"{came.message} It may be called again.")
                if clean:
                    with suppress(Exception):  # it is unknown then, if no later attempt tells
                        self._doubt(came.message, False, False, "done")
                raise _GivesBack(came.message) from came.cause
            case InDoubt(answered=True):
                return self._found_at_once() or _unknown(came.message)
            case InDoubt():
                return self._in_doubt(came.message)

    def _in_doubt(self, problem: str) -> CallOutcome:
        """Return what is known of a run that ended with ``problem``; raise where that is to be found out later."""
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

    def _final(self, failed: CallOutcome) -> CallOutcome:
        """Return ``failed``, what a tool says after an earlier attempt at the same call, once that is the last word.

        The refusal may be the earlier attempt's own doing: its request is under way, or has arrived. ``verify`` knows,
        where there is one. Under a key the tool is asked again when every attempt that ran is over; who honours it
        answers as the first time then.
        """
        happened = self._found_at_once()
        if happened is not None:
            return happened
        if not self._all_over:
            self._note(failed.message or "", ran=False)
            raise LeaseStays(failed.message or "")
        return failed

    def _asked(self, *, ran: str) -> CallOutcome | None:
        """Return what ``verify`` finds, None where nothing. ``ran`` is the error of a run of this attempt.

        Where this attempt ran nothing, None is proof: it is asked when every attempt that ran is over. Where it cannot
        be asked the attempt waits, or the effect is unknown.
        """
        if not self._verifies:
            return None
        if not ran and not self._all_over:
            raise _GivesBack(f"What {self.attempt.tool.name} has sent may still arrive.", too_early=True)
        came = found(self.attempt.tool, self.verify, self.attempt.cut)
        if came is None or isinstance(came, CallOutcome):
            return came
        problem = came.message
        if isinstance(came, InDoubt) and came.answered:
            return _unknown(f"Whether it happened could not be verified. {problem}")
        if sum(not doubt.ran and doubt.message.startswith(_NOT_ASKED) for doubt in self.attempt.doubts) + 1 >= DOUBTS:
            return _unknown(f"Whether it happened could not be verified. {problem}")
        self._note(ran or f"{_NOT_ASKED} {problem}", ran=bool(ran))
        raise LeaseStays(problem)

    def _found_at_once(self) -> CallOutcome | None:
        """Return what ``verify`` finds, None where it finds nothing or cannot tell: it is asked again then."""
        if not self._verifies:
            return None
        came = found(self.attempt.tool, self.verify, self.attempt.cut)
        return came if isinstance(came, CallOutcome) else None

    def _note(self, problem: str, *, ran: bool, gives_back: bool = False) -> bool:
        """Record the doubt, and say whether it is recorded: where it is not, the lease must hold."""
        try:
            self._doubt(problem, ran, gives_back)
        except Exception:
            return False
        return True

    def _doubt(self, message: str, ran: bool, gives_back: bool, nothing: str | None = None) -> None:
        """Record that this attempt ended in doubt; or, where it is clean, that it "begins" or has "done" nothing."""
        self.attempt.record_doubt(self.invocation, self.lease_ms, message, ran, gives_back, nothing)

    @property
    def _verifies(self) -> bool:
        return self.attempt.tool.policy.verify is not None

    @property
    def _all_over(self) -> bool:
        """Whether nothing that an attempt before this one has sent can still arrive."""
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


def intend(log: RunLog, attempt: Attempt, invocation: str) -> bool:
    """Record that the call is about to be executed, and say whether nobody recorded that before.

    It says its key, its undo, and what a rollback would do about it. ``invocation`` tells this attempt from every other
    one. Raises ``RunEnded`` where nothing may be spent for the run any more.
    """
    if attempt.state.status == "intended":
        if not attempt.moving.begun:  # the log alone says that it has
            attempt.moving.begin()
        return False
    task, tool = attempt.task, attempt.tool
    where_known: dict[str, Any] = {
        "moves": attempt.moving.begin(),
        "approval": consumed(attempt),
        "reserved_microusd": attempt.cost_microusd,
        **provenance(attempt),
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
        # Settle adds up what is charged after it has recorded the ending: what is reserved now may go back unseen.
        raise RunEnded(f"{attempt.idempotency_key}: the run has ended or gone on; nothing is paid for it any more.")
    return first


def is_begun(history: History, at: Position) -> bool:
    """Read, under the lease, whether the log has the call's intention, or its outcome."""
    history.read_again()
    found = history.call(*at)
    return found is None or found.status != "proposed"


def fitted(attempt: Attempt, outcome: CallOutcome) -> CallOutcome:
    """Return ``outcome``, or what stands for it where its result is too large or too deep to record and to read.

    A read has failed then: nothing is lost. A write has happened, so its record stays, with the undo that its
    whole result makes; the result itself is left out.
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
