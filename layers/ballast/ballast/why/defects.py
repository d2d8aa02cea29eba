"""Defects of the playbook's own fallback: every next run that comes to it meets them alike, so somebody has to act."""

from __future__ import annotations

from collections.abc import Iterator

from ballast.contracts import Planner
from ballast.contracts.timeline import Timeline
from ballast.why.words import named, tool

#: Errors of refused calls that follow from what the script proposed, and from no budget, person or earlier call.
_OF_THE_SCRIPT = (
    *("UnknownTool", "MalformedArguments", "SchemaViolation", "TooLarge", "RuleViolation", "Ungrounded", "Tainted"),
    "NotVouched",
)


def fallback_failed(made: Timeline) -> bool:
    """Whether the script itself raised an error."""
    return any(
        turn.pivot and turn.pivot.giver == Planner.FALLBACK and turn.pivot.reason == "fallback_failed"
        for turn in made.turns
    )


def mends(made: Timeline) -> Iterator[str]:
    """Yield what to mend in the fallback, since the next runs like this one will meet it alike."""
    script = f"the fallback's script for {named(made.intent, 60) or 'the intent'}"
    if fallback_failed(made):
        yield f"mend {script}: it fails alike for the next runs like this one"
    refused = {
        tool(call): None
        for turn in made.turns
        for call in turn.calls
        if turn.planner == Planner.FALLBACK and call.outcome == "refused" and call.error in _OF_THE_SCRIPT
    }
    for name in refused:
        yield f"mend {script}: its call of {name} was refused, and is refused alike for the next runs like this one"
