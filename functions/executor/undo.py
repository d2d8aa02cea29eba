"""The undo of a call, named before the effect and made from its result, in the form that its own tool reads. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ballast.contracts import ToolCall
from ballast.contracts.said import said
from ballast.edge import note
from ballast.playbook.defect import ends_the_process
from functions.executor.attempt import Attempt
from functions.executor.call_outcome import CallOutcome


def planned_undo(attempt: Attempt) -> ToolCall | None:
    """Return what is known of the undo before the effect: at least its name."""
    tool = attempt.tool
    if tool.undo is None:
        return None
    if tool.undo_arguments:
        return ToolCall(tool=tool.undo, arguments={})
    arguments = _own(attempt)
    try:
        return _undo(attempt, arguments)
    except BaseException as defect:
        if ends_the_process(defect):
            raise
        # Its outcome says so.
        return ToolCall(tool=tool.undo, arguments=arguments)


def with_undo(attempt: Attempt, outcome: CallOutcome) -> CallOutcome:
    """Return the outcome with the undo of what happened, to be recorded with it."""
    tool = attempt.tool
    if outcome.undo_made:
        return outcome
    if tool.undo is None or outcome.status != "ok":
        return replace(outcome, undo_made=True)
    make = tool.undo_arguments or (lambda _args, _result: _own(attempt))
    try:
        undo = _undo(attempt, dict(make(attempt.args, outcome.result)))
        return replace(outcome, undo=undo, undo_made=True)
    except BaseException as defect:
        if ends_the_process(defect):
            raise
        note(defect)
        # The effect stands and must be recorded. What was intended as its undo will be refused, and a person looks.
        message = f"Its undo {tool.undo} could not be made: {type(defect).__name__}: {said(defect)}"
        return replace(outcome, undo_made=True, message=attempt.cut(message))


def _own(attempt: Attempt) -> dict[str, Any]:
    """Return the call's own arguments, in their form."""
    return attempt.tool.form.write(attempt.args)


def _undo(attempt: Attempt, arguments: Mapping[str, Any]) -> ToolCall:
    """Return the call of the undo. Raises ``SchemaViolation`` where its tool does not take these arguments."""
    undo = attempt.playbook.tools[str(attempt.tool.undo)]
    call = undo.call(**arguments)
    return call.model_copy(update={"call_id": call.call_id})  # the log has said so from the first, though it is empty
