"""One attempt at one call: what the steps of the executor hand on to each other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from ballast.contracts import Event, ExecuteTask, Planner, RunRequest
from ballast.folds import CallState
from ballast.playbook import Playbook, Tool, ToolContext
from ballast.validation import Grounding, ground, opening_sources, run_sources
from functions.executor.history import History

#: The body of ``call.settled`` as a step makes it: {"status", "result" or "message", …}.
Outcome = dict[str, Any]
#: A person is a source themself, and an undo was made of what has happened: neither needs to find its values.
_NEED_NO_GROUND = (Planner.HUMAN, Planner.ROLLBACK)


@dataclass(frozen=True)
class Attempt:
    """A call that has passed the gate.

    task      its coordinates
    state     what the log says of it so far
    tool, args  what would be executed
    history   the run that the rules look at
    context   what the tool itself gets besides its arguments
    append    writes an event of this run to the log; the first one under its key stands
    """

    task: ExecuteTask
    state: CallState
    tool: Tool
    args: BaseModel
    history: History
    playbook: Playbook
    context: ToolContext
    append: Callable[[str, Mapping[str, Any]], Event]

    @property
    def request(self) -> RunRequest:
        """The run's request."""
        return self.history.opening.request

    @cached_property
    def grounding(self) -> Grounding:
        """Where the values of its arguments come from; read only as far as they ask for it.

        Those without a mark are looked at where untrusted text could do harm by them.
        """
        unmarked = self.tool.taint != "allow" and self.playbook.hears_untrusted
        if self.state.planner in _NEED_NO_GROUND or not (self.tool.grounds or unmarked):
            return Grounding()
        trust_text, tools = self.playbook.agent.trust_text, self.playbook.tools
        opening = opening_sources(self.request, trust_text=trust_text)
        return ground(
            self.args,
            opening,
            lambda: run_sources(
                self.history.run, tools, before_turn=self.task.turn, trust_text=trust_text, opening=opening
            ),
            unmarked=unmarked,
        )

    @property
    def now(self) -> datetime:
        """The time of this attempt, UTC."""
        return self.context.now

    @cached_property
    def cost_microusd(self) -> int | None:
        """What it may cost at most, None where nothing. Raises ``RuleViolation`` where the tool cannot say.

        What an earlier attempt has reserved stands, whatever the tool would say now.
        """
        here = (self.task.turn, self.task.index)
        for event in self.history.turn:
            if event.name == "call.intended" and (event.turn, event.index) == here:
                reserved: int | None = event.body.get("reserved_microusd")
                return reserved
        return self.tool.worst_cost(self.args, self.request)

    @property
    def idempotency_key(self) -> str:
        """The effect's identity: run, turn, position. The same for every attempt at this call."""
        return self.context.idempotency_key

    def record(self, seq: str, body: Mapping[str, Any]) -> Event:
        """Append to the log and return what is recorded, which the history has from then on."""
        event = self.append(seq, body)
        self.history.add(event)
        return event


#: A rule before the effect: None lets the call go on, an outcome settles it without executing anything.
#: It may raise a ``CallRefused``, or ``ApprovalRequired`` where a person must be asked first.
Step = Callable[[Attempt], Outcome | None]
