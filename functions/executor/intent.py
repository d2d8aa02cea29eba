"""What is written before a tool runs: its key, its undo, and what a rollback would do about it."""

from typing import Any

from ballast.errors import RunEnded
from ballast.log.events import CallIntended
from ballast.log.run_log import RunLog
from ballast.playbook import Effect
from functions.executor.approval import consumed
from functions.executor.attempt import Attempt
from functions.executor.grounding import provenance
from functions.executor.outcome import NothingDone
from functions.executor.undo import planned_undo


def intend(log: RunLog, attempt: Attempt, invocation: str) -> bool:
    """Record that the call is about to be executed, and say whether nobody recorded that before.

    ``invocation`` tells this attempt from every other one. Raises ``NothingDone`` where the run was cut meanwhile:
    its ending says what became of its effects, and no other one may follow.
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
    if first and tool.effect is Effect.WRITE and log.has_ended(task.run_id):
        raise NothingDone("The run has ended; nothing was done.")
    return first
