"""Limits of a run, and its share of the execution's history, which Step Functions ends at 25,000 events.

The workflow counts events (``$history`` in ``agent.asl.yaml``: every visited state and every retry) and passes the
number to each planner. Later planners need room as well, so each planner has its own limit::

    0 ────────────────────────────── 22,000 ─────────── 24,300 ──────── 24,800 ───── 25,000
      the agent, with what it wrote  │ rollback, fallback │ people again  │ Settle, the end
      still to be undone             └ history_limit      └ history_limit └ EndOfHistory: failed
"""

from typing import Annotated

from pydantic import Field

from ballast.contracts.wire import Wire
from ballast.errors import InvalidInput

Count = Annotated[int, Field(ge=1)]
#: Bytes of a run's files together at most: a request to Bedrock has 20 MB, in which they are a third longer.
MOST_ATTACHED_BYTES = 12 * 1024 * 1024


class LimitsPatch(Wire):
    """Changes to limits. An absent limit does not change."""

    turns: Annotated[int, Field(ge=1, le=5_000)] | None = None
    tool_calls: Annotated[int, Field(ge=0, le=50_000)] | None = None
    calls_per_tool: Annotated[int, Field(ge=0, le=50_000)] | None = None
    refused_calls: Annotated[int, Field(ge=0, le=50_000)] | None = None
    repeated_calls: Annotated[int, Field(ge=0, le=50_000)] | None = None
    tokens_per_turn: Count | None = None
    input_tokens_per_turn: Count | None = None
    tokens_per_run: Count | None = None
    cost_microusd: Annotated[int, Field(ge=0)] | None = None
    deadline_s: Annotated[int, Field(ge=1, le=30 * 24 * 3600)] | None = None
    attachments: Annotated[int, Field(ge=0, le=50_000)] | None = None
    attachment_bytes: Annotated[int, Field(ge=0, le=MOST_ATTACHED_BYTES)] | None = None


class Limits(Wire):
    """All limits of a run. ``decision.LIMITS`` has the exit reason of each; those of attachments end no run.

    turns            model turns of the agent; other planners' turns are bounded by the workflow
    tool_calls       proposed calls, refused ones included
    calls_per_tool   proposed calls of any one tool
    refused_calls    calls that the executor refused; above this number the agent is not asked again
    repeated_calls   proposed calls that repeat an earlier call
    tokens_per_turn  most output tokens of one completion (``maxTokens``)
    input_tokens_per_turn  tokens of one prompt, as estimated
    tokens_per_run   tokens of all prompts and completions, cached or not
    cost_microusd    spent and reserved, in millionths of a US dollar
    deadline_s       seconds from admission to the answer
    fallback_reserve_s  the part of the deadline that only the deterministic planners may use
    attachments      images and documents of the run, those of tool results included
    attachment_bytes their bytes together
    """

    turns: Annotated[int, Field(ge=1, le=5_000)] = 12
    tool_calls: Annotated[int, Field(ge=0, le=50_000)] = 24
    calls_per_tool: Annotated[int, Field(ge=0, le=50_000)] = 12
    refused_calls: Annotated[int, Field(ge=0, le=50_000)] = 8
    repeated_calls: Annotated[int, Field(ge=0, le=50_000)] = 6
    tokens_per_turn: Count = 2_048
    input_tokens_per_turn: Count = 150_000
    tokens_per_run: Count = 1_000_000
    cost_microusd: Annotated[int, Field(ge=0)] = 250_000
    deadline_s: Annotated[int, Field(ge=1, le=30 * 24 * 3600)] = 120
    fallback_reserve_s: Annotated[int, Field(ge=0)] = 10
    attachments: Annotated[int, Field(ge=0, le=50_000)] = 5
    attachment_bytes: Annotated[int, Field(ge=0, le=MOST_ATTACHED_BYTES)] = 10_485_760

    def tightened(self, patch: LimitsPatch | None, *, by: str) -> "Limits":
        """Return these limits with ``patch`` applied.

        Raises ``InvalidInput`` if the patch would loosen one. ``by`` names the patch's author in the error.
        """
        if patch is None:
            return self
        wanted = patch.model_dump(exclude_none=True)
        for name, value in wanted.items():
            ceiling = getattr(self, name)
            if value > ceiling:
                raise InvalidInput(
                    f"{by}: limits.{name} is {value}, above the ceiling of {ceiling}. "
                    f"Limits may only be tightened: send {ceiling} or less, or leave it out."
                )
        return self.model_copy(update=wanted)


#: Events after which the agent stops proposing, and after which the planners that follow it stop.
AGENT_STOPS, SCRIPTS_STOP = 22_000, 24_300
#: Events of a turn without its calls: Plan with its retries, Decide, the Map.
TURN = 26
#: Events of a call at most: three rounds of approval, or retries of every kind, of Execute and of GiveUp.
#: ``agent.asl.yaml`` has the same number.
CALL = 150
#: Events of a turn that undoes one effect, with a retry or two.
UNDO = 20
#: Events of a turn with one call, and of a call among several, without any retry.
USUAL_TURN, USUAL_CALL = 12, 7


class HistoryUsed(Wire):
    """The events of the execution's history so far, and the number of effects that may need an undo."""

    events: int = 0
    to_undo: int = 0

    def agent_has_room(self, calls: int = 1) -> bool:
        """Return whether the history has room for an agent's turn with ``calls`` calls and for all later planners."""
        return self.events + TURN + CALL * calls + UNDO * self.to_undo <= AGENT_STOPS

    def script_has_room(self, calls: int = 1) -> bool:
        """Return whether the history has room for another turn of the rollback or the fallback."""
        return self.events + TURN + CALL * calls <= SCRIPTS_STOP


#: A run cannot reach limits above these, so a playbook with such limits is refused.
MOST_TURNS, MOST_CALLS = AGENT_STOPS // USUAL_TURN, AGENT_STOPS // USUAL_CALL
