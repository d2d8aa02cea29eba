"""Which limit, if any, forbids what comes next. Checked before it happens. Pure.

::

    before a call of the model   deadline, turns, refused calls, money, tokens     limit_reached, request.compose
    before a call of a tool      all calls, calls of one tool, repeated calls      calls_limit
"""

from collections.abc import Sequence

from ballast.contracts import ExitReason, Limits, ToolCall
from ballast.folds.opening import Opening
from ballast.folds.usage import Counts, Usage


def limit_reached(opened: Opening, used: Usage, made: Counts, *, new_turn: bool, now_ms: int) -> ExitReason | None:
    """Return the reason to hand over instead of calling the model, or None.

    The limits of tool calls are not among them: they are checked against what a completion proposes,
    before any of it is executed, so that the last allowed call may still be answered with.
    ``new_turn`` is false for another attempt at a turn that ``made`` counts already.
    """
    limits = opened.limits
    if now_ms >= opened.agent_until_ms:
        return ExitReason.DEADLINE
    if new_turn and made.turns >= limits.turns:
        return ExitReason.TURN_LIMIT
    if made.refused_calls > limits.refused_calls:
        return ExitReason.REFUSED_CALL_LIMIT
    if used.charged_microusd >= opened.cost_ceiling_microusd:
        return ExitReason.COST_LIMIT
    return None


def calls_limit(limits: Limits, made: Counts, proposed: Sequence[ToolCall]) -> ExitReason | None:
    """Return the reason not to execute any of the ``proposed`` calls, or None."""
    after = made.with_calls(proposed)
    if after.tool_calls > limits.tool_calls:
        return ExitReason.TOOL_CALL_LIMIT
    if max(after.calls.values(), default=0) > limits.calls_per_tool:
        return ExitReason.TOOL_LIMIT
    if after.repeated_calls > limits.repeated_calls:
        return ExitReason.REPEATED_CALL_LIMIT
    return None
