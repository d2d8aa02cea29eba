"""Loop detection for this playbook: signals to record with a decision, and notices for the model. Pure.

``ballast.folds.loops`` holds the signals and the ladder; the executor applies the signals recorded with a decision.
"""

from collections.abc import Mapping
from enum import Enum
from functools import partial
from typing import Any

from ballast.contracts import Answer, CallTools, HandOver, ToolCall
from ballast.errors import whatever_it_raises
from ballast.folds.calls import same
from ballast.folds.loops import Loops, Search, Signal, as_recorded, detect, detect_proposed, target_of
from ballast.log.events import LoopSignal
from ballast.log.keys import Key
from ballast.metrics import metric_line, usd
from ballast.playbook import Effect, Playbook
from ballast.run import Run
from ballast.validation import FreeText, Grounded, Kind, leaves
from ballast.validation.amounts import names_amount
from ballast.validation.taint import wanted_of
from ballast.validation.values import SearchValue

#: Name under which a run remembers the calls that the detector has read.
_LOOPS = "loops"


def detected_loops(run: Run, playbook: Playbook) -> Loops:
    """Return the loops in the run. ``Rung.LOOP``: the agent calls a tool again that the ladder has forbidden."""
    polled, target = _polled(playbook), partial(_target, playbook)
    return detect(run, polled=polled, same=playbook.identity, target=target, remember=(_LOOPS, polled))


def loop_signals(
    run: Run, turn: int, decision: CallTools | Answer | HandOver, playbook: Playbook
) -> tuple[LoopSignal, ...]:
    """Return the signals to record with the decision of ``turn``; ``run`` is the run before it."""
    if not isinstance(decision, CallTools):
        return ()
    polled, target = _polled(playbook), partial(_target, playbook)
    return as_recorded(
        detect_proposed(
            run, turn, decision.calls, polled=polled, same=playbook.identity, target=target, remember=(_LOOPS, polled)
        )
    )


def loop_notices(loops: Loops, run: Run) -> Mapping[int, Signal]:
    """Return the signals at the calls of the newest completion, by position; the calls' outcomes are known."""
    if run.prompt.after is None:
        return {}
    turn = Key.of(run.prompt.after).turn
    return {index: sign for (at, index), sign in loops.signals.items() if at == turn}


def loop_stopped_line(run: Run) -> str:
    """Return the metric line of the newest hand-over for ``loop``."""
    return metric_line({"LoopsStopped": 1, "SavedUsd": usd(run.stopped_loops[-1].saved_microusd)})


def _target(playbook: Playbook, call: ToolCall) -> Search | None:
    """Return the target of a write and its words: its tool, its grounded ids, and every other value but texts.

    Ids are the values with a ``Grounded`` mark that are not amounts, compared as a set: neither spelling nor order
    counts. Each value without a mark is part of the target as well (a day, a line, a tag), except texts and amounts:
    those are the words.
    """
    tool = playbook.tools.get(call.tool)
    if tool is None or tool.effect is not Effect.WRITE:
        return None
    args = arguments = None
    with whatever_it_raises():  # an author's validator may raise; or the tool's form has changed since the call
        args = tool.form.read(call.arguments)
        arguments = tool.form.comparable(args)
    if args is None:
        return target_of(call)
    marked = [found for found in leaves(type(args), args, Grounded) if found.mark is not None]
    wanted = [wanted_of(found) for found in marked]
    ids = {one.spelling_key for one in wanted if Kind.AMOUNT not in one.kinds}
    texts = list(leaves(type(args), args, FreeText))
    return target_of(
        call.model_copy(update={"arguments": arguments}),
        ids=ids,
        marked={_as_sent(found.value) for found in marked} if ids else (),
        free={str(found.value) for found in texts if found.mark is not None},
        chosen={_as_sent(found.value) for found in texts if found.chosen},
        amounts={one.spelling_key for one in wanted if Kind.AMOUNT in one.kinds} if ids else (),
        says_how_much=names_amount,
        spelled=_spelled,
    )


def _as_sent(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value)


def _spelled(name: str, value: Any) -> Any:
    return same(value) if value is None or isinstance(value, bool) else SearchValue.of(value, field=name).spelling_key


def _polled(playbook: Playbook) -> frozenset[str]:
    return frozenset(name for name, made in playbook.tools.items() if made.policy.polled)
