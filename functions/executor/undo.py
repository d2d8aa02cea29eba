"""The undo of a call, named before the effect and made from its result, in the form that its own tool reads. Pure."""

from collections.abc import Mapping
from typing import Any

from ballast.contracts import ToolCall
from ballast.contracts.said import said
from ballast.edge import note
from ballast.playbook.defect import ends_the_process
from functions.executor.attempt import Attempt, Outcome


def planned_undo(attempt: Attempt) -> dict[str, Any] | None:
    """Return what is known of the undo before the effect: at least its name."""
    tool = attempt.tool
    if tool.undo is None:
        return None
    if tool.undo_arguments:
        return {"tool": tool.undo, "arguments": {}}
    arguments = _own(attempt)
    try:
        return _call(_undo(attempt, arguments))
    except BaseException as defect:
        if ends_the_process(defect):
            raise
        # Its outcome says so.
        return {"tool": tool.undo, "arguments": arguments}


def undo_of(attempt: Attempt, outcome: Outcome) -> Outcome:
    """Return the undo of what happened, to be recorded with its outcome."""
    tool = attempt.tool
    if "undo" in outcome:
        return {}  # it was made of the whole result, before that was left out
    if tool.undo is None or outcome["status"] != "ok":
        return {"undo": None}
    make = tool.undo_arguments or (lambda _args, _result: _own(attempt))
    try:
        return {"undo": _call(_undo(attempt, dict(make(attempt.args, outcome["result"]))))}
    except BaseException as defect:
        if ends_the_process(defect):
            raise
        note(defect)
        # The effect stands and must be recorded. What was intended as its undo will be refused, and a person looks.
        message = f"Its undo {tool.undo} could not be made: {type(defect).__name__}: {said(defect)}"
        return {"undo": None, "message": attempt.cut(message)}


def _own(attempt: Attempt) -> dict[str, Any]:
    """Return the call's own arguments, in their form."""
    return attempt.tool.form.write(attempt.args)


def _undo(attempt: Attempt, arguments: Mapping[str, Any]) -> ToolCall:
    """Return the call of the undo. Raises ``SchemaViolation`` where its tool does not take these arguments."""
    undo = attempt.playbook.tools[str(attempt.tool.undo)]
    return undo.call(**arguments)


def _call(call: ToolCall) -> dict[str, Any]:
    return call.model_dump(mode="json")
