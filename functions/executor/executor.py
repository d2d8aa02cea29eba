"""Execution of one proposed call: gate, rules, effect, record.

::

    settled or refused before? ─yes─▶ nothing to do
        │no
        ▼
    gate ─refused─▶ call.refused
        ▼
    RULES, in order ─▶ call.refused │ call.settled denied, or an earlier result │ ApprovalRequired (people are asked)
        ▼
    call.intended (key, undo) ─▶ the tool, once ─▶ call.settled ok │ failed │ unknown (a person looks)
                                               └▶ call.doubted (the tool is run again, or verify is asked)

``effect.Effects.carry_out`` is the last step. This module has the steps before it, and settles or refuses every call
that does not get there.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, NoReturn

from ballast.contracts import ExecuteTask, Planner
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
    RuleViolation,
    SettingInvalid,
)
from ballast.folds.calls import CallState
from ballast.log.events import CallRefused as RefusedCall
from ballast.log.events import ModelResponded
from ballast.log.run_log import RunLog
from ballast.masking import error_text, in_utf8
from ballast.metrics import metric_line
from ballast.on_behalf import RequesterTokens
from ballast.playbook import Effect, Playbook, Tool, ToolContext
from ballast.playbook.agents import in_charge
from ballast.playbook.gate import admit_call
from ballast.run import Run
from ballast.values import dataclass
from functions.executor.approval import approved
from functions.executor.attempt import Attempt, History, ProposedCall, in_form
from functions.executor.effect import MESSAGE_CHARS, Effects
from functions.executor.moves import MovesStore, Moving, reserved, settled_by_own_record
from functions.executor.record import CallEnd, CallOutcome, Recorded, effect_key
from functions.executor.rules import charge, grounded, not_looping, not_repeated, scripted, within_ceiling
from functions.executor.undo import claimed, recorded_undo

#: A rule before the effect. It returns None to let the call go on, or the outcome of a call that does not act.
#: It may raise a ``CallRefused``, or ``ApprovalRequired`` where a person must be asked first.
Rule = Callable[[Attempt], CallOutcome | None]
#: The rules after the gate. People are asked after the rules that may still refuse, so that they see the final call.
RULES: tuple[Rule, ...] = (
    recorded_undo,
    scripted,
    not_looping,
    not_repeated,
    grounded,
    within_ceiling,
    reserved,
    approved,
    claimed,
)
#: Most characters that are recorded of an error of the playbook. A refusal has its own limit, ``MESSAGE_CHARS``.
_ERROR_CHARS = 500
#: The error's text at the beginning of Lambda's report of it.
_ERROR_TEXT = re.compile(r'\s*\{\s*"errorMessage"\s*:\s*("(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\["\\/bfnrt])*")')


@dataclass(frozen=True)
class Executor:
    """Executes proposed calls."""

    log: RunLog
    effects: Effects
    recorded: Recorded
    playbook: Playbook
    moves: MovesStore
    emit: Callable[[str], None]
    clock: Callable[[], datetime]
    environ: Mapping[str, str]
    client: Callable[[str], Any]
    tokens: Callable[[], RequesterTokens]

    def execute(self, task: ExecuteTask, history: History, lambda_context: Any) -> str:
        """Execute the call of ``task`` and return its status.

        Raises ``InvalidInput`` for a call that nobody proposed, ``ApprovalRequired`` or ``ApprovalParked`` where a
        person must be asked first, ``EffectUnknown``, and ``AttemptInProgress`` or ``RetryLater`` to be tried again.
        """
        state = history.call(task.turn, task.index)
        if state is None:
            return self._refuse_unsigned(task, history)
        if state.status == "unknown":
            raise EffectUnknown(f"{task.run_id} turn {task.turn} call {task.index}: {state.message}")
        call = ProposedCall(task, state, history, self.playbook.tools.get(state.call.tool), lambda_context)
        if state.ended:
            self._settle_by_own_record(call)
            return state.status
        if task.given_up is not None:
            return self._given_up(call, task.given_up)
        moving = Moving(self.moves, self.playbook, lambda_context.aws_request_id)
        try:
            attempt = self._admitted(call, moving)
            outcome = next((ended for rule in RULES if (ended := rule(attempt)) is not None), None)
        except CallRefused as refused:
            moving.release(task, state.call.tool)
            return self._refuse(call, refused)
        except Exception:  # people are asked, or the task is tried again: no money moves now
            moving.release(task, state.call.tool)
            raise
        if outcome is not None:
            moving.release(task, state.call.tool)
            return self._settle(call, attempt, outcome)
        return self.effects.carry_out(attempt, lambda_context)

    def _admitted(self, call: ProposedCall, moving: Moving) -> Attempt:
        """Pass the call through the gate and return the attempt at it. Raises ``CallRefused``."""
        task, state, history = call.task, call.state, call.history
        responded = history.turn.newest(ModelResponded)
        tool, args = admit_call(
            self._playbook_of(call),
            state.call,
            history.opening.request,
            state.planner,
            partial(history.so_far, task),
            by_operator=history.turn.decided_by_operator(task.turn),
            changed=state.proposed is not None,
            unasked=responded.refused_hand_over if responded is not None else None,
        )
        context = ToolContext(
            run_id=task.run_id,
            turn=task.turn,
            index=task.index,
            idempotency_key=effect_key(task.run_id, call.at),
            request=history.opening.request,
            now=self.clock(),
            environ=self.environ,
            client=self.client,
            requester=history.opening.requested_by,
            token=partial(self._token, task.run_id, history.opening.requested_by),
        )
        state = in_form(tool, args, state)
        return Attempt(
            task=task,
            state=state,
            tool=tool,
            args=args,
            history=history,
            playbook=self.playbook,
            context=context,
            moving=moving,
            recorded=self.recorded,
            append=partial(self.log.append, task.run_id),
            disbelieve=self.log.disbelieve,
            cut=partial(self._cut, replace(call, state=state)),
        )

    def _token(self, run_id: str, requester: str | None, name: str) -> str:
        """Return the requester's token, as it is now: a call may come hours after its request."""
        return self.tokens().open(run_id, requester, name, self.clock())

    def _playbook_of(self, call: ProposedCall) -> Playbook:
        """Return the playbook of the agent that proposed the call. Raises ``RuleViolation`` if nobody was in charge.

        A person's call is bound to the agent in charge where there is one: its intent may narrow what is written.
        """
        planner = call.state.planner
        if not self.playbook.others or planner not in (Planner.AGENT, Planner.PERSON):
            return self.playbook
        try:
            return in_charge(self.playbook, call.history.run, call.task.turn)
        except RuleViolation:
            if planner is Planner.PERSON:
                return self.playbook
            raise

    # Calls that do not act

    def _settle(self, call: ProposedCall, attempt: Attempt, outcome: CallOutcome) -> str:
        """Record a rule's outcome of the call and return its status."""
        if outcome.status != "ok" and call.begun_as_a_write:
            return self._lost(call, outcome.message or "")
        settled = self.effects.bounded(outcome, call.task.run_id, attempt.state.call).settled(
            call.at, attempt.tool.name
        )
        if attempt.tool.effect is Effect.READ or call.begun_as_a_write:  # the log says that this repeat has begun
            return self.log.record(call.task.run_id, settled).status
        return self._end_unbegun(call, settled)

    def _refuse(self, call: ProposedCall, refused: CallRefused) -> str:
        """Record the refusal, of a write under its lease, and return the call's status."""
        why = self._cut(call, error_text(refused), MESSAGE_CHARS)
        if call.begun_as_a_write:
            return self._lost(call, why)
        task, name = call.task, call.state.call.tool
        if isinstance(refused, MoveRefused):
            self.emit(metric_line({"MovesRefused": 1}, fields={"run_id": task.run_id, "tool": name}))
        refusal = _refusal(task, call.state, refused, why)
        if call.tool is not None and call.tool.effect is Effect.WRITE:
            return self._end_unbegun(call, refusal)
        return self.effects.ended_unbegun(task, call.state.call, call.tool, refusal)

    def _refuse_unsigned(self, task: ExecuteTask, history: History) -> str:
        """Refuse a call that is in the log as a person's decision without their signature; return its status."""
        state = Run((*history.turn, *history.unsigned)).call(task.turn, task.index)
        if state is None:
            raise InvalidInput(f"{task.run_id}: turn {task.turn} has no call {task.index}; nothing was executed.")
        if state.ended:
            return state.status
        unsigned = NotSigned("The log says that a person decided on this call, without that person's signature.")
        call = ProposedCall(task, state, history, self.playbook.tools.get(state.call.tool), None)
        if call.begun_as_a_write:
            return self._lost(call, str(unsigned))
        # Without the signature no attempt passes the gate, so no lease is needed.
        return self.effects.ended_unbegun(task, state.call, call.tool, _refusal(task, state, unsigned, str(unsigned)))

    def _end_unbegun(self, call: ProposedCall, call_end: CallEnd) -> str:
        status = self.effects.end_unbegun(call, call_end)
        if status is None:
            key = effect_key(call.task.run_id, call.at)
            raise AttemptInProgress(f"{key}: another attempt began the call while its rules ran here; try again.")
        return status

    def _lost(self, call: ProposedCall, why: str) -> NoReturn:
        """Settle a write as unknown that passed the rules before, was begun, and does not pass them now."""
        run_id, at = call.task.run_id, call.at
        lost = CallOutcome.without_effect("unknown", f"It was begun, and is not allowed any more: {why}")
        done = self.recorded.find(run_id, at)
        if done is not None:  # without its cost, the log charges the reservation of the intention
            lost = replace(lost, cost_microusd=done.cost_microusd)
        raise EffectUnknown(self.log.record(run_id, lost.settled(at, call.state.call.tool)).message)

    def _settle_by_own_record(self, call: ProposedCall) -> None:
        """Settle the moves of a call whose attempt wrote its record and died before it settled them."""
        if call.tool is not None and (call.tool.moves is not None or self.playbook.is_undo(call.tool.name)):
            settled_by_own_record(self.moves, self.recorded, call.task.run_id, call.at)

    # Calls that are not tried again

    def _given_up(self, call: ProposedCall, by: str) -> str:
        """Settle a call that is not tried again and return its status: failed where it did nothing.

        ``by``: the error of its last attempt. Raises ``EffectUnknown`` for a write that may have acted,
        ``AttemptInProgress`` while an attempt may be at work.
        """
        name, why = call.state.call.tool, f"It did not end ({by}), and is not tried again."
        if call.begun_as_a_write or (call.tool is not None and call.tool.effect is Effect.WRITE):
            return self._given_up_as_a_write(call, why)
        if by in (RetryLater.__name__, SettingInvalid.__name__):
            try:  # once more: for an outcome, or for the text of its error
                return self.execute(call.task.model_copy(update={"given_up": None}), call.history, call.context)
            except (RetryLater, ApprovalRequired, ApprovalParked) as last:
                why = error_text(last)
        why = self._cut(call, f"{name}: {why}")
        outcome = CallOutcome("failed", message=f"{why} Nothing was done.", defect=True)
        return self.log.record(call.task.run_id, outcome.settled(call.at, name)).status

    def _given_up_as_a_write(self, call: ProposedCall, why: str) -> str:
        if call.tool is not None and not call.begun_as_a_write:
            unbegun = self.effects.end_unbegun(call, self._unbegun(call, call.tool, why))
            if unbegun is not None:
                return unbegun
            call = replace(call, state=call.history.call(*call.at) or call.state)
            if call.state.ended:
                return self.execute(call.task, call.history, call.context)
        try:
            attempt = self._admitted(call, Moving(self.moves, self.playbook, call.context.aws_request_id))
            charge(attempt, reserved_here=False)  # raises now, before the lease, where the tool cannot tell its cost
        except CallRefused as refused:
            return self._refuse(call, refused)
        words = _words(call.task)
        last_error = self._cut(call, words) if words else ""
        given_up = f"{call.state.call.tool}: {why}"
        return self.effects.carry_out(attempt, call.context, given_up=given_up, last_error=last_error)

    def _unbegun(self, call: ProposedCall, tool: Tool, why: str) -> CallEnd:
        """Return the end of a write that no attempt has begun. No rule runs here: the rule may be what is down."""
        message, words = f"{tool.name}: {why} It was not begun: nothing was done.", _words(call.task)
        failed = CallOutcome.without_effect("failed", message)
        if words:  # last, since truncation drops the end; as a defect, since a rule's text is not trusted
            message = self._cut(call, f"{message} Its last error: {words}")
            failed = replace(failed, message=message, defect=True)
        if tool.cost_microusd is not None:
            failed = replace(failed, cost_microusd=0)
        return failed.settled(call.at, tool.name)

    def _cut(self, call: ProposedCall, text: str, most: int = _ERROR_CHARS) -> str:
        """Return at most ``most`` characters of an error's text, without a part of a sensitive value."""
        return self.log.cut(call.task.run_id, text, most=most, beside=call.state.call.model_dump(mode="json"))


def _refusal(task: ExecuteTask, state: CallState, refused: CallRefused, why: str) -> RefusedCall:
    """Return the log's event of a refused call, without the arguments, which ``Effects.ended_unbegun`` adds."""
    about = {"sourceless": refused.arguments} if refused.arguments else {}
    return RefusedCall(
        turn=task.turn, index=task.index, tool=state.call.tool, error=type(refused).__name__, message=why, **about
    )


def _words(task: ExecuteTask) -> str:
    """Return the text of the last attempt's ``RetryLater``, which a rule or a tool raised; "" for any other error.

    Lambda hands an error to the workflow as JSON, which Step Functions may have cut.
    """
    found = _ERROR_TEXT.match(task.cause or "") if task.given_up == RetryLater.__name__ else None
    return in_utf8(json.loads(found[1], strict=False)) if found else ""
