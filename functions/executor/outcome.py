"""Run a tool and turn whatever it does into an outcome as JSON."""

from pydantic import BaseModel, ValidationError

from ballast.contracts.wire import complaints
from ballast.errors import RetryLater, SettingInvalid
from ballast.log.aws_errors import consequences
from ballast.playbook import Effect, Tool, ToolContext, ToolFailed
from functions.executor.attempt import Outcome


def run_tool(tool: Tool, args: BaseModel, context: ToolContext) -> Outcome:
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
