"""Which limit, if any, forbids the next model call. Checked before the call. Pure."""

from ballast.contracts import ExitReason
from ballast.folds import Opening, Usage


def limit_reached(opened: Opening, used: Usage, *, new_turn: bool, now_ms: int) -> ExitReason | None:
    """Return the reason to hand over instead of calling the model, or None.

    The limit of tool calls is not among them: it is checked against what a completion proposes,
    before any of it is executed, so that the last allowed call may still be answered with.
    ``new_turn`` is false for another attempt at a turn that ``used`` counts already.
    """
    limits = opened.limits
    if now_ms >= opened.agent_until_ms:
        return ExitReason.DEADLINE
    if new_turn and used.turns >= limits.turns:
        return ExitReason.TURN_LIMIT
    if used.charged_microusd >= opened.cost_ceiling_microusd:
        return ExitReason.COST_LIMIT
    return None
