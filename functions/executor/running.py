"""A tool with its arguments, its context, its downstream's circuit and its time: ready to run."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ballast.edge import note
from ballast.playbook import Tool, ToolContext, ToolFailed
from functions.executor.circuit import Circuits
from functions.executor.outcome import NothingDone, said_by_tool
from functions.executor.timeout import TimedOut, within


@dataclass(frozen=True)
class Running:
    """One attempt's run of a tool. ``context.timeout_s`` is its time."""

    tool: Tool
    args: BaseModel
    context: ToolContext
    circuits: Circuits

    def run(self) -> Any:
        """Run the tool, unless its downstream's circuit is open. Raises what the tool raises, and ``TimedOut``."""
        return self.circuits.call(self.tool.circuit, self._begun)

    def _begun(self) -> Any:
        self.context.bill.begun = True
        return self._bounded(self.tool)

    def verify(self) -> Any:
        """Ask the tool whether its effect happened: the result, or None. The circuit has no say in it."""
        return self._bounded(self.tool.policy.verify)

    def _bounded(self, function: Any) -> Any:
        try:
            return within(self.context.timeout_s, lambda: said_by_tool(lambda: function(self.args, self.context)))
        except (ToolFailed, NothingDone, TimedOut):
            raise  # the tool's own word, or its time
        except Exception as problem:
            note(problem)  # it becomes an outcome, which has its text alone
            raise
