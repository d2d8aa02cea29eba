"""Begin a case in the middle of its scenario, so that the part before the fault is played once for all cases.

::

    recorded   ──1──2──3──4──▶ …        before each invocation: what the stores hold, and what came of it
    a case of invocation 3
               ──·──·──3──▶ …           1 and 2 are answered from the record, then the stores are put in place

The workflow, the queues and the people are played from the start in any case: only handlers are skipped.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from localcloud.converse.source import Reply
from tests.faults.plan import Plan
from tests.faults.stores import Queues, Stores
from tests.faults.wire import Asked, Invocation
from tests.faults.world import InvokeFailed, World


@dataclass(frozen=True)
class Step:
    """One recorded invocation: the world before it, and what it did to the world's moving parts."""

    invocation: Invocation
    stores: Stores
    wire: Mapping[str, Any]
    before: datetime
    chance: Any
    after: datetime
    outcome: Any
    asked: tuple[Asked, ...]
    events: tuple[Any, ...]
    queues: Queues


class Recording(Plan):
    """Nothing goes wrong; what there is to go wrong is written down.

    steps       the invocations
    turns       the model's turns, each with the number of the invocation that asked for it
    deliveries  of queues and rules, in order
    answers     how many people gave
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.turns, self.deliveries, self.answers = dict[int, int](), list[str](), 0

    def invoking(self, world: World, invocation: Invocation, run: Callable[[], Any]) -> Any:
        stores, wire, before, chance = Stores(), world.wire.copied(), world.clock.now, random.getstate()
        asked, events = len(world.wire.states.asked), len(world.waiting_events)
        try:
            outcome = run()
        except InvokeFailed as failed:
            outcome = failed
        step = Step(
            invocation=invocation,
            stores=stores,
            wire=wire,
            before=before,
            chance=chance,
            after=world.clock.now,
            outcome=outcome,
            asked=tuple(world.wire.states.asked[asked:]),
            events=tuple(world.waiting_events[events:]),
            queues=Queues(),
        )
        self.steps.append(step)
        return _given(outcome)

    def replying(self, world: World, turn: int, reply: Reply) -> Reply:
        self.turns.setdefault(turn, len(world.invocations))
        return reply

    def delivering(self, world: World, number: int, what: str, deliver: Callable[[], None]) -> None:
        self.deliveries.append(what)
        deliver()

    def answering(self, world: World, number: int, answer: Callable[..., None]) -> None:
        self.answers += 1
        answer()


class From(Plan):
    """Answer what comes before invocation ``number`` from the record; from there on it is ``plan``."""

    goes_on = True

    def __init__(self, steps: list[Step], number: int, plan: Plan) -> None:
        self._steps, self._number, self._plan = steps, number, plan

    def invoking(self, world: World, invocation: Invocation, run: Callable[[], Any]) -> Any:
        step = self._steps[invocation.number - 1]
        same = (step.invocation.function, step.invocation.state) == (invocation.function, invocation.state)
        assert same, "the run without a fault does not come out the same"
        if invocation.number < self._number:
            world.clock.now = step.after
            for asked in step.asked:
                world.wire.states.answer(*asked)
            world.waiting_events += step.events
            step.queues.restore()
            invocation.requests += step.invocation.requests
            return _given(step.outcome)
        step.stores.restore()
        world.wire.restore(step.wire)
        world.clock.now = step.before
        random.setstate(step.chance)
        world.plan = self._plan
        return self._plan.invoking(world, invocation, run)


def _given(outcome: Any) -> Any:
    if isinstance(outcome, InvokeFailed):
        raise copy(outcome)
    return outcome
