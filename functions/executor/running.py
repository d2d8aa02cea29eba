"""A tool with its arguments, its context, its downstream's breaker and its time: ready to run."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ballast.playbook import Tool, ToolContext
from functions.executor.circuit import Circuits
from functions.executor.outcome import said_by_tool
from functions.executor.timeout import within


@dataclass(frozen=True)
class Running:
    """One attempt's run of a tool. ``context.timeout_s`` is its time."""

    tool: Tool
    args: BaseModel
    context: ToolContext
    circuits: Circuits

    def run(self) -> Any:
        """Run the tool, unless its downstream's circuit is open. Raises what the tool raises, and ``TimedOut``."""
        return self.circuits.call(self.tool.policy.breaker, self._begun)

    def _begun(self) -> Any:
        self.context.bill.begun = True
        return self._bounded(self.tool)

    def verify(self) -> Any:
        """Ask the tool whether its effect happened: the result, or None. The circuit has no say in it."""
        return self._bounded(self.tool.policy.verify)

    def _bounded(self, function: Any) -> Any:
        return within(self.context.timeout_s, lambda: said_by_tool(lambda: function(self.args, self.context)))
