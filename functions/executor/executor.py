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

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from ballast.contracts import ExecuteTask
from ballast.contracts.event import call_seq
from ballast.errors import CallRefused, EffectUnknown, InvalidInput, MoveRefused, NotSigned
from ballast.folds import CallState, decided_by_operator, find_call
from ballast.log import RunLog
from ballast.metrics import metric_line
from ballast.playbook import Effect, Playbook, ToolContext
from ballast.playbook.defect import ERROR_BYTES, said, shortened
from ballast.playbook.gate import admit_call
from functions.executor.approval import approved
from functions.executor.attempt import Attempt, Outcome, Step
from functions.executor.circuit import Circuits
from functions.executor.cost import charge, reserve_anew, within_ceiling
from functions.executor.despair import not_in_circles
from functions.executor.grounding import grounded
from functions.executor.history import History
from functions.executor.intent import intend
from functions.executor.moving import MovesStore, Moving, reserved, settled_by_the_log
from functions.executor.once import Once
from functions.executor.outcome import run_read
from functions.executor.protocol import Write
from functions.executor.repeat import not_repeated
from functions.executor.result import fitted
from functions.executor.running import Running
from functions.executor.timeout import seconds_for
from functions.executor.undo import undo_of

#: What a call must pass after the gate. A person is asked last, about what would really be done and can be paid.
RULES: tuple[Step, ...] = (
    not_in_circles,
    not_repeated,
    grounded,
    within_ceiling,
    reserved,
    approved,
)
#: An error may have so many bytes, also of a tool whose results must be smaller.
_LEAST_ERROR_BYTES = 500


@dataclass(frozen=True)
class Executor:
    """The only part that acts."""

    log: RunLog
    once: Once
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
            self._settle_moves(task, state.call.tool, history, retried=True)
            return state.status
        moving = Moving(self.moves, self.playbook, lambda_context.aws_request_id)
        try:
            attempt, outcome = self._checked(task, state, history, moving)
        except CallRefused as refused:
            moving.release(task, state.call.tool)
            return self._refuse(task, state, refused)
        except Exception:  # people are asked, or it is tried again: nothing moves now
            moving.release(task, state.call.tool)
            raise
        if outcome is not None:
            moving.release(task, state.call.tool)
            return str(self._settle(attempt, outcome)["status"])
        return self._act(attempt, lambda_context)

    def _checked(
        self, task: ExecuteTask, state: CallState, history: History, moving: Moving
    ) -> tuple[Attempt, Outcome | None]:
        """Return the call past the gate and what a rule settled it with; None where it may act."""
        run = partial(history.so_far, task)
        tool, args = admit_call(
            self.playbook,
            state.call,
            history.opening.request,
            state.planner,
            run,
            by_operator=decided_by_operator(history.turn, task.turn),
        )
        append = partial(self.log.append, task.run_id)
        context = self._context(task, history)
        attempt = Attempt(task, state, tool, args, history, self.playbook, context, moving, append)
        for rule in RULES:
            outcome = rule(attempt)
            if outcome is not None:
                return attempt, outcome
        return attempt, None

    def _refuse(self, task: ExecuteTask, state: CallState, refused: CallRefused) -> str:
        if state.status == "intended" and state.effect == Effect.WRITE:
            # It passed before, so the playbook was changed under it; what its earlier attempt did stays done.
            message = f"It was begun, and is not allowed any more: {said(refused)}"
            seq = call_seq(task.turn, task.index, "settled")
            lost = {"tool": state.call.tool, "status": "unknown", "message": message, "undo": None}
            raise EffectUnknown(str(self.log.append(task.run_id, seq, lost).body["message"]))
        if isinstance(refused, MoveRefused):
            self.emit(metric_line({"MovesRefused": 1}, fields={"run_id": task.run_id, "tool": state.call.tool}))
        body = {
            "tool": state.call.tool,
            "arguments": state.call.arguments,
            "error": type(refused).__name__,
            "message": said(refused),
        }
        self.log.append(task.run_id, call_seq(task.turn, task.index, "refused"), body)
        return "refused"

    def _refuse_unsigned(self, task: ExecuteTask, history: History) -> str:
        """Refuse a call that a person is said to have decided on, without their signature; return its status."""
        said = find_call((*history.turn, *history.unsigned), task.turn, task.index)
        if said is None:
            raise InvalidInput(f"{task.run_id}: turn {task.turn} has no call {task.index}; nothing was executed.")
        if said.ended:
            return said.status
        return self._refuse(task, said, NotSigned("A person is said to have decided on it, and has not signed that."))

    def _act(self, attempt: Attempt, lambda_context: Any) -> str:
        started = self.clock()
        outcome = self._outcome(attempt, lambda_context)
        latency_ms = max(0, int((self.clock() - started).total_seconds() * 1000))
        done = outcome | undo_of(attempt.tool, attempt.args, outcome) | {"latency_ms": latency_ms} | charge(attempt)
        settled = self._settle(attempt, done)
        attempt.moving.settle(attempt, str(settled["status"]))
        if settled["status"] == "ok":
            attempt.history.renew()
            self._settle_moves(attempt.task, attempt.tool.name, attempt.history)
        if settled["status"] == "unknown":
            raise EffectUnknown(f"{attempt.idempotency_key}: {settled['message']}")
        return str(settled["status"])

    def _outcome(self, attempt: Attempt, lambda_context: Any) -> Outcome:
        """Run the tool, a write at most once, and return its outcome as JSON."""
        tool, key, invocation = attempt.tool, attempt.idempotency_key, lambda_context.aws_request_id
        context = replace(attempt.context, timeout_s=seconds_for(tool.policy.timeout_s, lambda_context))
        running = Running(tool, attempt.args, context, self.circuits)
        if tool.effect is Effect.READ:
            outcome = None if intend(self.log, attempt, invocation) else reserve_anew(attempt, invocation)
            return outcome or fitted(attempt, run_read(tool, running.run))
        write = Write(
            tool=tool,
            intend=lambda: intend(self.log, attempt, invocation),
            run=running.run,
            verify=running.verify if tool.policy.verify else None,
            fit=partial(fitted, attempt),
            kept=lambda outcome: self.log.kept(attempt.task.run_id, {"tool": tool.name, **outcome}),
            unkept=partial(self.log.unkept, attempt.task.run_id),
            doubts=attempt.doubts,
            doubt=lambda message, ran: attempt.record_doubt(message, ran, invocation),
        )
        return write.carried_out(self.once, key, lambda_context)

    def _settle_moves(self, task: ExecuteTask, tool: str, history: History, *, retried: bool = False) -> None:
        settled_by_the_log(self.moves, self.playbook, tool, task.run_id, lambda: history.run, retried=retried)

    def _context(self, task: ExecuteTask, history: History) -> ToolContext:
        return ToolContext(
            run_id=task.run_id,
            turn=task.turn,
            index=task.index,
            idempotency_key=f"{task.run_id}.{task.turn:04d}.{task.index}",
            request=history.opening.request,
            now=self.clock(),
            environ=self.environ,
            client=self.client,
        )

    def _settle(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Record ``outcome`` and return what is recorded: the earlier one where another attempt was first."""
        if "message" in outcome:
            most = max(_LEAST_ERROR_BYTES, min(ERROR_BYTES, attempt.tool.result_bytes))
            outcome = outcome | {"message": shortened(outcome["message"], most)}
        seq = call_seq(attempt.task.turn, attempt.task.index, "settled")
        return self.log.append(attempt.task.run_id, seq, {"tool": attempt.tool.name, **outcome}).body
