"""Whether the agent goes round in circles: what the planner records about it, tells it, and reports. Pure.

The executor obeys what is recorded with a decision; the ladder itself is ``ballast.folds.despair``.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ballast.contracts import Answer, CallTools, Event, HandOver, ToolCall
from ballast.contracts.wire import canonical
from ballast.errors import whatever_it_raises
from ballast.folds import Prompt, saved
from ballast.folds.despair import Despair, Sign, despair, recorded, target_of, verdicts
from ballast.metrics import metric_line, usd
from ballast.playbook import Effect, Playbook, Tool
from ballast.validation import Grounded, Kind, leaves
from ballast.validation.marks import Found


def circles(events: Sequence[Event], playbook: Playbook) -> Despair:
    """Return what the log says about circles. ``Rung.LOOP``: told, forbidden the tool, and the agent still goes on."""
    return despair(events, polled=_polled(playbook), same=playbook.identity, target=partial(_target, playbook))


def verdict(
    events: Sequence[Event], turn: int, decision: CallTools | Answer | HandOver, playbook: Playbook
) -> dict[str, Any]:
    """Return what is recorded with the decision of ``turn``; ``events`` is the log before it. Nothing, as a rule."""
    if not isinstance(decision, CallTools):
        return {}
    polled, target = _polled(playbook), partial(_target, playbook)
    found = recorded(verdicts(events, turn, decision.calls, polled=polled, same=playbook.identity, target=target))
    return {"despair": found} if found else {}


def noticed(found: Despair, prompt: Prompt) -> Mapping[int, Sign]:
    """Return the signals at the calls that ``prompt`` ends with, now that their outcomes are known, by position."""
    if prompt.after is None:
        return {}
    turn = int(prompt.after[:4])
    return {index: sign for (at, index), sign in found.signs.items() if at == turn}


def loop_stopped(events: Sequence[Event]) -> str:
    """Return the line that reports the newest hand-over for ``loop``."""
    return metric_line({"LoopsStopped": 1, "SavedUsd": usd(saved(events)[-1].saved_microusd)})


def _target(playbook: Playbook, call: ToolCall) -> str | None:
    """Return what a write is about: its tool and the ids that it must be grounded in, else all but its free text."""
    tool = playbook.tools.get(call.tool)
    if tool is None or tool.effect is not Effect.WRITE:
        return None
    ids = sorted({f"{found.path}={found.value}" for found in _grounded(tool, call) if not _is_amount(found)})
    return canonical([call.tool, ids]) if ids else target_of(call)


def _grounded(tool: Tool, call: ToolCall) -> Iterator[Found]:
    """Yield the arguments that must be grounded, as the tool would get them: "1" of a Decimal is a number."""
    made: Any = call.arguments
    with whatever_it_raises():  # in a validator of the author's: it stays as it was sent
        made = tool.arguments.model_validate_json(canonical(made))
    return leaves(tool.arguments, made, Grounded)


def _is_amount(found: Found) -> bool:
    kind = found.mark.kind if isinstance(found.mark, Grounded) else None
    return kind is Kind.AMOUNT or (kind is None and not isinstance(found.value, str))


def _polled(playbook: Playbook) -> frozenset[str]:
    return frozenset(name for name, made in playbook.tools.items() if made.policy.polled)
