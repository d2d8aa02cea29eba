"""Whether the agent goes round in circles: what the planner records about it, tells it, and reports. Pure.

The executor obeys what is recorded with a decision; the ladder itself is ``ballast.folds.loops``.
"""

from collections.abc import Mapping
from enum import Enum
from functools import partial
from typing import Any

from ballast.contracts import Answer, CallTools, HandOver, ToolCall
from ballast.errors import whatever_it_raises
from ballast.folds.loops import Despair, Search, Sign, despair, recorded, target_of, verdicts
from ballast.folds.sameness import same
from ballast.log.events import LoopSignal
from ballast.log.keys import Key
from ballast.metrics import metric_line, usd
from ballast.playbook import Effect, Playbook
from ballast.run import Run
from ballast.validation import FreeText, Grounded, Kind, leaves
from ballast.validation.amounts import names_amount
from ballast.validation.taint import wanted_of
from ballast.validation.values import SearchValue

#: Under this name a run keeps what was seen of its calls.
_LOOPS = "loops"


def circles(run: Run, playbook: Playbook) -> Despair:
    """Return what the log says about circles. ``Rung.LOOP``: told, forbidden the tool, and the agent still goes on."""
    return despair(
        run, polled=_polled(playbook), same=playbook.identity, target=partial(_target, playbook), remember=_LOOPS
    )


def verdict(run: Run, turn: int, decision: CallTools | Answer | HandOver, playbook: Playbook) -> tuple[LoopSignal, ...]:
    """Return the signals that are recorded with the decision of ``turn``; ``run`` is the run before it."""
    if not isinstance(decision, CallTools):
        return ()
    polled, target = _polled(playbook), partial(_target, playbook)
    return recorded(
        verdicts(
            run, turn, decision.calls, polled=polled, same=playbook.identity, target=target, remember=(_LOOPS, polled)
        )
    )


def noticed(found: Despair, run: Run) -> Mapping[int, Sign]:
    """Return the signals at the calls of the newest completion, now that their outcomes are known, by position."""
    if run.prompt.after is None:
        return {}
    turn = Key.of(run.prompt.after).turn
    return {index: sign for (at, index), sign in found.signs.items() if at == turn}


def loop_stopped(run: Run) -> str:
    """Return the line that reports the newest hand-over for ``loop``."""
    return metric_line({"LoopsStopped": 1, "SavedUsd": usd(run.stopped_loops[-1].saved_microusd)})


def _target(playbook: Playbook, call: ToolCall) -> Search | None:
    """Return what a write is about, and in which words: its tool, the ids that it must be grounded in, all but texts.

    Ids are the values with a mark that are no amounts, as a set: neither their spelling nor their order counts. Beside
    them, and without a mark, each value says which thing is meant (a day, a line, a tag), unless it is a text or an
    amount: those are what is said.
    """
    tool = playbook.tools.get(call.tool)
    if tool is None or tool.effect is not Effect.WRITE:
        return None
    args = arguments = None
    with whatever_it_raises():  # in a validator of the author's; or the tool was another one when it was called
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
