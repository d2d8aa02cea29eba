"""Execute one proposed call: through the gate and the rules, at most once, recorded.

::

    settled or refused already? ─yes─▶ nothing to do
        │no
        ▼
    gate ─refused─▶ call.refused
        ▼
    RULES, in order ─▶ call.refused │ call.settled denied, or an earlier result │ ApprovalRequired (people are asked)
        ▼
    call.intended (key, undo) ─▶ the tool, once ─▶ call.settled ok │ failed │ unknown (a person looks)
                                               └▶ call.doubted (tried, or asked after, again)

Each rule is a ``Step`` in a module of its own, what a write goes through is in ``protocol``; this module is
their order and nothing else.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, NoReturn

from ballast.contracts import ExecuteTask
from ballast.contracts.said import in_utf8, said
from ballast.errors import (
    ApprovalParked,
    ApprovalRequired,
    AttemptInProgress,
    CallRefused,
    EffectUnknown,
    InvalidInput,
    MoveRefused,
    NotSigned,
    RetryLater,
    SettingInvalid,
)
from ballast.folds.calls import CallState
from ballast.log.events import CallRefused as RefusedCall
from ballast.log.events import CallSettled
from ballast.log.run_log import RunLog
from ballast.metrics import metric_line
from ballast.playbook import Effect, Playbook, Tool, ToolContext
from ballast.playbook.gate import admit_call
from ballast.run import Run
from functions.executor.approval import approved
from functions.executor.attempt import Attempt, Step, in_form
from functions.executor.call_outcome import CallOutcome, Ends, Position
from functions.executor.circuit import Circuits
from functions.executor.cost import charge, reserve_anew, within_ceiling
from functions.executor.despair import not_in_circles
from functions.executor.grounding import grounded
from functions.executor.history import History
from functions.executor.intent import intend
from functions.executor.moving import MovesStore, Moving, reserved, returned, settled_by_own_record, undone
from functions.executor.once import Once
from functions.executor.outcome import run_read
from functions.executor.protocol import Write
from functions.executor.recorded import Recorded, effect_key
from functions.executor.repeat import not_repeated
from functions.executor.result import fitted
from functions.executor.running import Running
from functions.executor.scripted import scripted
from functions.executor.timeout import seconds_for
from functions.executor.undo import with_undo
from functions.executor.undoing import aside, claimed, proven

#: What a call must pass after the gate. A person is asked last, about what would really be done and can be paid.
RULES: tuple[Step, ...] = (
    proven,
    scripted,
    not_in_circles,
    not_repeated,
    grounded,
    within_ceiling,
    reserved,
    approved,
    claimed,
)
#: So many characters of what an error of the playbook says are recorded; of a refusal, which says what there is, more.
_ERROR_CHARS, _REFUSAL_CHARS = 500, 4_000
#: The text of an error at the head of what Lambda reports of it.
_SAID = re.compile(r'\s*\{\s*"errorMessage"\s*:\s*("(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\["\\/bfnrt])*")')


class _Begun(Exception):
    """There is an intention, so the call is not settled without what resolves it."""


@dataclass(frozen=True)
class Executor:
    """The only part that acts."""

    log: RunLog
    once: Once
    recorded: Recorded
    circuits: Circuits
    playbook: Playbook
    moves: MovesStore
    emit: Callable[[str], None]
    clock: Callable[[], datetime]
    environ: Mapping[str, str]
    client: Callable[[str], Any]

    def execute(self, task: ExecuteTask, history: History, lambda_context: Any) -> str:
        """Execute the call of ``task`` and return its status.

        Raises ``InvalidInput`` where nobody proposed such a call, ``ApprovalRequired`` where a
        person must be asked first, ``AttemptInProgress`` and ``RetryLater`` where to try again.
        """
        state = history.call(task.turn, task.index)
        if state is None:
            return self._refuse_unsigned(task, history)
        if state.status == "unknown":
            raise EffectUnknown(f"{task.run_id} turn {task.turn} call {task.index}: {state.message}")
        if state.ended:
            self._settle_by_own_record(task, state.call.tool)
            return state.status
        if task.given_up is not None:
            return self._given_up(task, state, history, lambda_context)
        moving = Moving(self.moves, self.playbook, lambda_context.aws_request_id)
        try:
            attempt, outcome = self._checked(task, state, history, moving)
        except CallRefused as refused:
            moving.release(task, state.call.tool)
            return self._refuse(task, state, refused, history, lambda_context)
        except Exception:  # people are asked, or it is tried again: nothing moves now
            moving.release(task, state.call.tool)
            raise
        if outcome is not None:
            moving.release(task, state.call.tool)
            if outcome.status != "ok" and _begun_as_a_write(state):
                return self._lost(task, state, outcome.message or "")
            if attempt.tool.effect is Effect.READ or _begun_as_a_write(state):  # a repeat that the log says has begun
                return self._settle(attempt, outcome).status
            settled = self._bounded(attempt, outcome).settled(attempt.at, attempt.tool.name)
            return self._end_unbegun(task, state, history, settled, lambda_context) or self._began_meanwhile(task)
        return self._act(attempt, lambda_context)

    def _given_up(self, task: ExecuteTask, state: CallState, history: History, lambda_context: Any) -> str:
        """Settle a call that nobody tries again, and return its status: what did nothing has failed, and no more.

        Raises ``EffectUnknown`` for a write that may have acted, ``AttemptInProgress`` while an attempt may be at work.
        """
        name, why = state.call.tool, f"It did not end ({task.given_up}), and is not tried again."
        known = self.playbook.tools.get(name)
        if _begun_as_a_write(state) or (known is not None and known.effect is Effect.WRITE):
            if known is not None and not _begun_as_a_write(state):
                unbegun = self._unbegun(task, state, history, known, why, lambda_context)
                if unbegun is not None:
                    return unbegun
                state = history.call(task.turn, task.index) or state
                if state.ended:
                    return self.execute(task, history, lambda_context)
            try:
                moving = Moving(self.moves, self.playbook, lambda_context.aws_request_id)
                attempt = self._admitted(task, state, history, moving)
                charge(attempt)  # it may have no cost to tell
            except CallRefused as refused:
                return self._refuse(task, state, refused, history, lambda_context)
            return self._act(attempt, lambda_context, given_up=f"{name}: {why}")
        if task.given_up in (RetryLater.__name__, SettingInvalid.__name__):
            try:  # once more, for its outcome or its words; a setting is for who runs the stack
                return self.execute(task.model_copy(update={"given_up": None}), history, lambda_context)
            except (RetryLater, ApprovalRequired, ApprovalParked) as last:
                why = said(last)
        why = self._cut(task, state, f"{name}: {why}")
        outcome = CallOutcome("failed", message=f"{why} Nothing was done.", defect=True)
        return self._recorded(task, outcome, name).status

    def _unbegun(
        self, task: ExecuteTask, state: CallState, history: History, tool: Tool, why: str, lambda_context: Any
    ) -> str | None:
        """Settle a write as failed that nobody began, and return its status; None where it was begun.

        No rule of it is asked: it may be the rule that is down. The lease of its key is held meanwhile, and its record
        stays, so nobody begins it later. Raises ``AttemptInProgress`` while another attempt may be at work.
        """
        message, words = f"{tool.name}: {why} It was not begun: nothing was done.", _words(task)
        failed = CallOutcome.without_effect("failed", message)
        if words:  # last, where they may be cut; and nobody vouches for what a rule says
            message = self._cut(task, state, f"{message} Its last words: {words}")
            failed = replace(failed, message=message, defect=True)

        if tool.cost_microusd is not None:
            failed = replace(failed, cost_microusd=0)
        settled = failed.settled((task.turn, task.index), tool.name)
        return self._end_unbegun(task, state, history, settled, lambda_context)

    def _end_unbegun(
        self, task: ExecuteTask, state: CallState, history: History, ends: Ends, lambda_context: Any
    ) -> str | None:
        """Record how a write ends that nobody has begun, and return its status; None where it was begun meanwhile.

        The lease of its key is held while the log is read again, and what the log is to say stays as the key's record:
        a slow attempt that read the call before begins it no more. Raises ``AttemptInProgress`` while another attempt
        may be at work, ``RetryLater``.
        """
        at = task.turn, task.index

        def end() -> dict[str, Any]:
            if self._begun(history, at):
                raise _Begun
            return self.log.kept(task.run_id, CallOutcome.never_begun(ends).kept(state.call.tool))

        try:
            record = self.log.unkept(task.run_id, self.once.run(effect_key(task.run_id, at), end, lambda_context))
        except _Begun:
            return None
        outcome = CallOutcome.read(record)
        if outcome.unbegun is not None:
            return self._ended_unbegun(task, state, outcome.unbegun)
        # Of an attempt that acted; or as an earlier version kept that nobody began it.
        if self._begun(history, at) or outcome.status != "failed":
            return None
        if isinstance(ends, CallSettled):
            outcome = replace(outcome, cost_microusd=ends.cost_microusd)
        return self._ended_unbegun(task, state, outcome.settled(at, state.call.tool))

    def _ended_unbegun(self, task: ExecuteTask, state: CallState, ends: Ends) -> str:
        """Bring the log in step with the record of a write that nobody began, and return its status."""
        known = self.playbook.tools.get(state.call.tool)
        if known is not None and known.moves is not None:
            returned(self.moves, task.run_id, (task.turn, task.index))
        here: dict[str, Any] = {"turn": task.turn, "index": task.index}
        if isinstance(ends, RefusedCall):
            self.log.record(task.run_id, ends.model_copy(update=here | {"arguments": state.call.arguments}))
            return "refused"
        return self.log.record(task.run_id, ends.model_copy(update=here)).status

    def _began_meanwhile(self, task: ExecuteTask) -> NoReturn:
        key = effect_key(task.run_id, (task.turn, task.index))
        raise AttemptInProgress(f"{key}: another attempt began it while its rules were asked here.")

    def _checked(
        self, task: ExecuteTask, state: CallState, history: History, moving: Moving
    ) -> tuple[Attempt, CallOutcome | None]:
        """Return the call past the gate and what a rule settled it with; None where it may act."""
        attempt = self._admitted(task, state, history, moving)
        for rule in RULES:
            outcome = rule(attempt)
            if outcome is not None:
                return attempt, outcome
        return attempt, None

    def _admitted(self, task: ExecuteTask, state: CallState, history: History, moving: Moving) -> Attempt:
        """Return the call past the gate. Raises ``CallRefused``."""
        run = partial(history.so_far, task)
        tool, args = admit_call(
            self.playbook,
            state.call,
            history.opening.request,
            state.planner,
            run,
            by_operator=history.turn.decided_by_operator(task.turn),
            changed=state.proposed is not None,
        )
        state = in_form(tool, args, state)
        return Attempt(
            task,
            state,
            tool,
            args,
            history,
            self.playbook,
            self._context(task, history),
            moving,
            self.recorded,
            partial(self.log.append, task.run_id),
            self.log.disbelieve,
            partial(self._cut, task, state),
        )

    def _refuse(
        self, task: ExecuteTask, state: CallState, refused: CallRefused, history: History, lambda_context: Any
    ) -> str:
        """Record that the call is refused, and return its status; of a write under its lease. See ``_end_unbegun``."""
        why = self._cut(task, state, said(refused), _REFUSAL_CHARS)
        if _begun_as_a_write(state):
            return self._lost(task, state, why)
        if isinstance(refused, MoveRefused):
            self.emit(metric_line({"MovesRefused": 1}, fields={"run_id": task.run_id, "tool": state.call.tool}))
        refusal = _refusal(task, state, refused, why)
        known = self.playbook.tools.get(state.call.tool)
        if known is not None and known.effect is Effect.WRITE:
            status = self._end_unbegun(task, state, history, refusal, lambda_context)
            return status or self._began_meanwhile(task)
        return self._ended_unbegun(task, state, refusal)

    def _lost(self, task: ExecuteTask, state: CallState, why: str) -> NoReturn:
        """Settle a write as unknown that passed before, so the world was changed under it: what it did stays done."""
        message = f"It was begun, and is not allowed any more: {why}"
        lost = CallOutcome.without_effect("unknown", message)
        raise EffectUnknown(self._recorded(task, lost, state.call.tool).message)

    def _cut(self, task: ExecuteTask, state: CallState, text: str, most: int = _ERROR_CHARS) -> str:
        """Return at most so many characters of what an error of the call says, without a part of a sensitive value."""
        return self.log.cut(task.run_id, text, most=most, beside=state.call.model_dump(mode="json"))

    def _refuse_unsigned(self, task: ExecuteTask, history: History) -> str:
        """Refuse a call that a person is said to have decided on, without their signature; return its status."""
        said = Run((*history.turn, *history.unsigned)).call(task.turn, task.index)
        if said is None:
            raise InvalidInput(f"{task.run_id}: turn {task.turn} has no call {task.index}; nothing was executed.")
        if said.ended:
            return said.status
        unsigned = NotSigned("A person is said to have decided on it, and has not signed that.")
        if _begun_as_a_write(said):
            return self._lost(task, said, str(unsigned))
        # No attempt passes it: none can begin it.
        return self._ended_unbegun(task, said, _refusal(task, said, unsigned, str(unsigned)))

    def _act(self, attempt: Attempt, lambda_context: Any, *, given_up: str | None = None) -> str:
        started = self.clock()
        outcome = self._outcome(attempt, lambda_context, given_up)
        if outcome.unbegun is not None:
            attempt.moving.release(attempt.task, attempt.tool.name)
            return self._ended_unbegun(attempt.task, attempt.state, outcome.unbegun)
        latency_ms = max(0, int((self.clock() - started).total_seconds() * 1000))
        done = replace(with_undo(attempt, outcome), latency_ms=latency_ms, cost_microusd=charge(attempt))
        settled = self._settle(attempt, done)
        # A read has done nothing, and the first one recorded stands.
        read = attempt.tool.effect is Effect.READ
        status, message = (settled.status, settled.message) if read else (done.status, done.message)
        attempt.moving.settle(attempt, status)
        if status == "ok" and outcome.aside is not None and outcome.aside.undoes is not None:
            undone(self.moves, self.recorded, attempt.task.run_id, outcome.aside.undoes)
        if status == "unknown":
            raise EffectUnknown(f"{attempt.idempotency_key}: {message}")
        if settled.status != status:
            # Another attempt's doubt, or forged: either way a person looks.
            said = f"the log says {settled.status}. {settled.message}".strip()
            raise EffectUnknown(f"{attempt.idempotency_key}: it was {status}, and {said}")
        return status

    def _outcome(self, attempt: Attempt, lambda_context: Any, given_up: str | None) -> CallOutcome:
        """Run the tool, a write at most once, and return its outcome; ``given_up``: why it is run no more."""
        tool, key, invocation = attempt.tool, attempt.idempotency_key, lambda_context.aws_request_id
        context = replace(attempt.context, timeout_s=seconds_for(tool.limits.timeout_s, lambda_context))
        running = Running(tool, attempt.args, context, self.circuits)
        if tool.effect is Effect.READ:
            outcome = None if intend(self.log, attempt, invocation) else reserve_anew(self.log, attempt, invocation)
            return outcome or fitted(attempt, run_read(tool, running.run, attempt.cut))
        now_ms = int(self.clock().timestamp() * 1000)
        write = Write(
            tool=tool,
            intend=partial(self._intended, attempt, invocation),
            run=running.run,
            begun=lambda: context.bill.begun,
            now_ms=now_ms,
            verify=running.verify if tool.policy.verify else None,
            fit=partial(self._kept_with_its_undo, attempt),
            cut=attempt.cut,
            kept=lambda outcome: self.log.kept(attempt.task.run_id, outcome.kept(tool.name)),
            unkept=lambda kept: CallOutcome.read(self.log.unkept(attempt.task.run_id, kept)),
            doubts=lambda: attempt.doubts,
            doubt=partial(attempt.record_doubt, invocation, now_ms + lambda_context.get_remaining_time_in_millis()),
            nothing=lambda: attempt.nothing,
        )
        if given_up is not None:
            return write.given_up(
                self.once, key, partial(self._begun, attempt.history, attempt.at), given_up, lambda_context
            )
        return write.carried_out(self.once, key, lambda_context)

    def _intended(self, attempt: Attempt, invocation: str) -> bool:
        """Record the intention and say whether it is the first; else read what others have left, under the lease."""
        first = intend(self.log, attempt, invocation)
        if not first:
            attempt.history.read_again()
        return first

    def _begun(self, history: History, at: Position) -> bool:
        """Read, under the lease, whether the log has the call's intention, or its outcome."""
        history.read_again()
        found = history.call(*at)
        return found is None or found.status != "proposed"

    def _kept_with_its_undo(self, attempt: Attempt, outcome: CallOutcome) -> CallOutcome:
        """Return what the executor keeps of a write for itself: also what undoes it, for the rollback to be held to."""
        return replace(with_undo(attempt, fitted(attempt, outcome)), aside=aside(attempt))

    def _settle_by_own_record(self, task: ExecuteTask, tool: str) -> None:
        """Finish what an attempt that died after its record had left to do about what is moved."""
        known = self.playbook.tools.get(tool)
        if known is not None and (known.moves is not None or self.playbook.undoes(tool)):
            settled_by_own_record(self.moves, self.recorded, task.run_id, (task.turn, task.index))

    def _context(self, task: ExecuteTask, history: History) -> ToolContext:
        return ToolContext(
            run_id=task.run_id,
            turn=task.turn,
            index=task.index,
            idempotency_key=effect_key(task.run_id, (task.turn, task.index)),
            request=history.opening.request,
            now=self.clock(),
            environ=self.environ,
            client=self.client,
        )

    def _settle(self, attempt: Attempt, outcome: CallOutcome) -> CallSettled:
        """Record ``outcome`` and return what is recorded: the earlier one where another attempt was first."""
        return self._recorded(attempt.task, self._bounded(attempt, outcome), attempt.tool.name)

    def _recorded(self, task: ExecuteTask, outcome: CallOutcome, tool: str) -> CallSettled:
        return self.log.record(task.run_id, outcome.settled((task.turn, task.index), tool))

    def _bounded(self, attempt: Attempt, outcome: CallOutcome) -> CallOutcome:
        if outcome.message is None:
            return outcome
        return replace(outcome, message=self._cut(attempt.task, attempt.state, outcome.message, _REFUSAL_CHARS))


def _begun_as_a_write(state: CallState) -> bool:
    """Say whether an attempt was about to act: only what resolves the call can say then that nothing was done."""
    return state.status == "intended" and state.effect == Effect.WRITE


def _refusal(task: ExecuteTask, state: CallState, refused: CallRefused, why: str) -> RefusedCall:
    """Return what the log is to say of a refused call, without the arguments: they come with the record of it."""
    return RefusedCall(
        turn=task.turn, index=task.index, tool=state.call.tool, error=type(refused).__name__, message=why
    )


def _words(task: ExecuteTask) -> str:
    """Return what a rule or a tool said each time: the text of the last attempt's ``RetryLater``; else nothing.

    Lambda gives an error to the workflow as JSON, which Step Functions may have cut.
    """
    found = _SAID.match(task.cause or "") if task.given_up == RetryLater.__name__ else None
    return in_utf8(json.loads(found[1], strict=False)) if found else ""
