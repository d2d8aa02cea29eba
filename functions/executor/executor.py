"""Execute one proposed call: through the gate, at most once, recorded.

::

    settled or refused already? ─yes─▶ nothing to do
        │no
        ▼
    gate ─refused─▶ call.refused
        ▼
    approval needed? ─not answered─▶ ApprovalRequired (the workflow asks the people)
        │             └rejected, or nobody answered─▶ call.settled denied
        ▼
    call.intended (key, undo) ─▶ the tool, once ─▶ call.settled ok │ failed │ unknown (a person looks)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from ballast.contracts import Event, ExecuteTask, ToolCall
from ballast.contracts.event import call_seq
from ballast.contracts.wire import complaints
from ballast.errors import ApprovalRequired, CallRefused, EffectUnknown, InvalidInput, RetryLater, SettingInvalid
from ballast.folds import CallState, find_call, opening
from ballast.log import RunLog
from ballast.log.aws_errors import consequences
from ballast.playbook import Effect, Playbook, Tool, ToolContext, ToolFailed
from functions.executor.gate import admit_call
from functions.executor.once import Once


@dataclass(frozen=True)
class Executor:
    """The only part that acts."""

    log: RunLog
    once: Once
    playbook: Playbook
    clock: Callable[[], datetime]
    environ: Mapping[str, str]
    client: Callable[[str], Any]

    def execute(self, task: ExecuteTask, events: tuple[Event, ...], lambda_context: Any) -> str:
        """Execute the call of ``task`` and return its status; ``events`` are the opening and those of the turn.

        Raises ``InvalidInput`` where nobody proposed such a call, ``ApprovalRequired`` where a
        person must be asked first, ``AttemptInProgress`` and ``RetryLater`` where to try again.
        """
        state = find_call(events, task.turn, task.index)
        if state is None:
            raise InvalidInput(f"{task.run_id}: turn {task.turn} has no call {task.index}; nothing was executed.")
        if state.status == "unknown":
            raise EffectUnknown(f"{task.run_id} turn {task.turn} call {task.index}: {state.message}")
        if state.ended:
            return state.status
        try:
            tool, args = admit_call(self.playbook, state.call, opening(events).request, state.planner)
        except CallRefused as refused:
            return self._refuse(task, state, refused)
        denial = self._denial(events, task, state, tool, args)
        if denial is not None:
            settled = self._settle(task, tool, {"status": "denied", "message": denial, "undo": None})
            return str(settled["status"])
        return self._act(events, task, state, tool, args, lambda_context)

    def _refuse(self, task: ExecuteTask, state: CallState, refused: CallRefused) -> str:
        body = {
            "tool": state.call.tool,
            "arguments": state.call.arguments,
            "error": type(refused).__name__,
            "message": str(refused),
        }
        self.log.append(task.run_id, call_seq(task.turn, task.index, "refused"), body)
        return "refused"

    def _denial(
        self, events: tuple[Event, ...], task: ExecuteTask, state: CallState, tool: Tool, args: BaseModel
    ) -> str | None:
        """Return why the call is denied, or None where it may act. Raises ``ApprovalRequired``."""
        if tool.approve_if is None or state.status == "intended":
            return None
        if not tool.approve_if(args, opening(events).request) or state.approval is True:
            return None
        if state.approval is False:
            return f"A person rejected it. {state.message}".strip()
        if task.unanswered:
            return "It needs a person's approval, and nobody answered in time."
        raise ApprovalRequired(f"{tool.name} needs a person's approval.")

    def _act(
        self,
        events: tuple[Event, ...],
        task: ExecuteTask,
        state: CallState,
        tool: Tool,
        args: BaseModel,
        lambda_context: Any,
    ) -> str:
        key = f"{task.run_id}.{task.turn:04d}.{task.index}"
        context = ToolContext(
            run_id=task.run_id,
            turn=task.turn,
            index=task.index,
            idempotency_key=key,
            request=opening(events).request,
            now=self.clock(),
            environ=self.environ,
            client=self.client,
        )
        self.log.append(
            task.run_id,
            call_seq(task.turn, task.index, "intended"),
            {
                "tool": tool.name,
                "arguments": state.call.arguments,
                "effect": tool.effect,
                "planner": state.planner,
                "idempotency_key": key,
                "undo": _planned_undo(tool, args),
            },
        )
        started = self.clock()
        outcome = self._outcome(tool, args, context, lambda_context)
        latency_ms = max(0, int((self.clock() - started).total_seconds() * 1000))
        settled = self._settle(task, tool, outcome | _undo(tool, args, outcome) | {"latency_ms": latency_ms})
        if settled["status"] == "unknown":
            raise EffectUnknown(f"{key}: {settled['message']}")
        return str(settled["status"])

    def _outcome(self, tool: Tool, args: BaseModel, context: ToolContext, lambda_context: Any) -> dict[str, Any]:
        """Run the tool, a write at most once, and return its outcome as JSON."""
        if tool.effect is Effect.READ:
            return _run(tool, args, context)
        return self.once.run(context.idempotency_key, lambda: _run(tool, args, context), lambda_context)

    def _settle(self, task: ExecuteTask, tool: Tool, outcome: dict[str, Any]) -> dict[str, Any]:
        """Record ``outcome`` and return what is recorded: the earlier one where another attempt was first."""
        seq = call_seq(task.turn, task.index, "settled")
        return self.log.append(task.run_id, seq, {"tool": tool.name, **outcome}).body


def _run(tool: Tool, args: BaseModel, context: ToolContext) -> dict[str, Any]:
    """Run the tool and return its outcome as JSON, ``ToolFailed`` and defects included.

    A defect is an outcome, and no exception, so that ``Once`` keeps it and nothing runs twice.
    Raises ``RetryLater`` for an outage behind the tool: another attempt has the same key.
    """
    # Nobody can say how far a broken write came; a read did nothing, so the planner may go on.
    lost = "failed" if tool.effect is Effect.READ else "unknown"
    try:
        with consequences(f"What the tool {tool.name} uses"):
            result = tool(args, context)
    except ToolFailed as failed:
        return {"status": "failed", "message": str(failed)}
    except (RetryLater, SettingInvalid):
        raise
    except Exception as defect:
        return {"status": lost, "message": f"{tool.name} broke: {type(defect).__name__}: {defect}"[:500]}
    try:
        return {"status": "ok", "result": tool.dump(result)}
    except (ValueError, RecursionError) as problem:
        # A write has happened, but what came back is not what the tool promised.
        why = complaints(problem) if isinstance(problem, ValidationError) else str(problem)
        return {"status": lost, "message": f"The result is not what {tool.name} promises: {why}."}


def _planned_undo(tool: Tool, args: BaseModel) -> dict[str, Any] | None:
    """Return what is known of the undo before the effect: at least its name."""
    if tool.undo is None:
        return None
    arguments = {} if tool.undo_arguments else args.model_dump(mode="json")
    return {"tool": tool.undo, "arguments": arguments}


def _undo(tool: Tool, args: BaseModel, outcome: dict[str, Any]) -> dict[str, Any]:
    """Return the undo of what happened, to be recorded with its outcome."""
    if tool.undo is None or outcome["status"] != "ok":
        return {"undo": None}
    make = tool.undo_arguments or (lambda args, _: args.model_dump(mode="json"))
    try:
        undo = ToolCall(tool=tool.undo, arguments=dict(make(args, outcome["result"])))
        return {"undo": undo.model_dump(mode="json")}
    except Exception as defect:
        # The effect stands and must be recorded. What was intended as its undo will be refused, and a person looks.
        message = f"Its undo {tool.undo} could not be made: {type(defect).__name__}: {defect}"[:500]
        return {"undo": None, "message": message}
