"""Play one scenario with one plan, from its request until nothing is left to do."""

from __future__ import annotations

from dataclasses import dataclass

from ballast.log.events import RunRefused
from ballast.run import Run
from localcloud.converse.script import ScriptModel
from localcloud.stepfunctions.states import Execution
from tests.faults.people import Outside
from tests.faults.plan import Plan
from tests.faults.scenarios import Scenario
from tests.faults.wire import Invocation
from tests.faults.world import World


@dataclass(frozen=True)
class Played:
    """A scenario that was played. The world still holds what came of it."""

    scenario: Scenario
    execution: Execution | None
    invocations: tuple[Invocation, ...]
    refused: tuple[str, ...]


def play(world: World, scenario: Scenario, plan: Plan | None = None) -> Played:
    """Play it, and return what was seen on the way."""
    plan = plan or Plan()
    world.declare(scenario.policies, scenario.agents)
    world.renew(ScriptModel.of(scenario.says, scenario.name) if scenario.says else None, plan)
    outside = Outside(world, scenario)
    world.people, world.at_state = outside.act, outside.at_state
    outside.start()
    world.settle_down()
    world.plan.ending(world)  # a case that began in the middle has put its own plan there
    world.settle_down()
    if scenario.sweeps or world.left_behind or world.plan.goes_on:
        world.housekeeping()
        world.redrive()
    execution = next(iter(world.executions), None)
    return Played(scenario, execution, tuple(world.invocations), tuple(outside.refused))


def how_it_ended(world: World, played: Played) -> str:
    """Return the ending in words, e.g. ``answered by agent``."""
    end = Run.of(world.events(played.scenario.run_id)).ending
    if end is None:
        return "not started" if played.execution is None else f"{played.execution.status} without a log"
    if isinstance(end, RunRefused):
        return "refused"
    return " by ".join(filter(None, (end.status, end.by)))
