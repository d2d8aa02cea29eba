"""The undo of a call, named before the effect and made from its result. Pure."""

from typing import Any

from pydantic import BaseModel

from ballast.contracts import ToolCall
from ballast.edge import note
from ballast.playbook import Tool
from ballast.playbook.defect import described
from functions.executor.attempt import Outcome


def planned_undo(tool: Tool, args: BaseModel) -> dict[str, Any] | None:
    """Return what is known of the undo before the effect: at least its name."""
    if tool.undo is None:
        return None
    arguments = {} if tool.undo_arguments else args.model_dump(mode="json")
    return {"tool": tool.undo, "arguments": arguments}


def undo_of(tool: Tool, args: BaseModel, outcome: Outcome) -> Outcome:
    """Return the undo of what happened, to be recorded with its outcome."""
    if "undo" in outcome:
        return {}  # it was made of the whole result, before that was left out
    if tool.undo is None or outcome["status"] != "ok":
        return {"undo": None}
    make = tool.undo_arguments or (lambda args, _: args.model_dump(mode="json"))
    try:
        undo = ToolCall(tool=tool.undo, arguments=dict(make(args, outcome["result"])))
        return {"undo": undo.model_dump(mode="json")}
    except Exception as defect:
        note(defect)
        # The effect stands and must be recorded. What was intended as its undo will be refused, and a person looks.
        message = f"Its undo {tool.undo} could not be made: {described(defect, make)}"
        return {"undo": None, "message": message}
