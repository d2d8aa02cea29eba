"""Play a scenario in a local cloud of its own, and compare its ending with what it expects."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ballast.contracts import Answer
from ballast.contracts.timeline import Timeline
from ballast.errors import InvalidInput
from ballast.log.events import RunEnded
from ballast.money.moves import units
from ballast.playbook import load_playbook
from ballast.playbook.gate import made_up
from ballast.playbook.load import playbook_in
from cli.follow import run_and_follow
from cli.function_output import FunctionOutput
from cli.local_stack import SMALL_STORE, local_stack, shortened
from cli.responders import ScriptedResponder
from cli.saved_runs import SavedRuns
from cli.screen import Screen
from localcloud.clock import WallClock
from localcloud.cloud import PLAYBOOK
from localcloud.converse import ScriptModel, model_source
from localcloud.scenarios import Scenario, find, unmet
from localcloud.scenarios import names as names_in
from localcloud.scenarios.doubles import doubled

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud


@dataclass(frozen=True)
class Played:
    """A scenario that has run: its timeline, and what was not as expected."""

    scenario: Scenario
    timeline: Timeline
    wrong: list[str]


def play(
    scenario: Scenario,
    *,
    screen: Screen,
    saved_runs: SavedRuns,
    enforce_iam: bool = True,
    playbook: Path | None = None,
    model: str | None = None,
    title: str = "demo",
    output: FunctionOutput | None = None,
) -> Played:
    """Run one scenario and compare its ending.

    playbook  whose scenario it is; None: the support desk's
    model     as `ballast run --model` has it, in place of the scenario's
    output    takes what functions and tools print
    """
    stack = stack_of(scenario, playbook=playbook, model=model, enforce_iam=enforce_iam)
    with stack as cloud, doubled(cloud, scenario.tools):
        if output is not None:
            cloud.printed.append(output)
        answers = [answer.model_dump(mode="json", exclude_none=True) for answer in scenario.people]
        responder = ScriptedResponder(cloud, answers)
        made = run_and_follow(
            cloud,
            scenario.request,
            responder,
            screen=screen,
            saved_runs=saved_runs,
            title=f"{title} {scenario.name}",
            requested_by=scenario.by,
        )
        scripted = model is None and scenario.model is None  # another model may ask for other things
        left = responder.left_over() if scripted else []
        return Played(scenario, made, responder.wrong + left + unmet_of(scenario, made, cloud, playbook))


def place_and_names(path: str | None, names: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the folder and the scenarios that were typed: in a project's folder its path may be left out."""
    if path is None or Path(path).exists() or not (playbook_in(Path()) / "agent.yaml").is_file():
        return path, list(names)
    return ".", [path, *names]


def find_all(wanted: Sequence[str], folder: Path) -> dict[str, Scenario | InvalidInput]:
    """Return each scenario once, or why it cannot be read. Raises ``InvalidInput`` for a name that is no scenario."""
    found: dict[str, Scenario | InvalidInput] = {}
    known = names_in(folder)
    for name in wanted:
        try:
            found[name] = find(name, folder)
        except InvalidInput as problem:
            if name not in known:
                raise
            found[name] = problem
    return found


def stack_of(
    scenario: Scenario, *, playbook: Path | None = None, model: str | None = None, enforce_iam: bool = True
) -> AbstractContextManager["LocalCloud"]:
    """Return a local cloud for a scenario. Raises ``InvalidInput`` for a model that is none."""
    spec = model or scenario.model
    return local_stack(
        ScriptModel.read(scenario.script) if spec is None else model_source(spec),
        playbook=playbook,
        seed=scenario.seed,
        size=None if playbook else SMALL_STORE,
        clock=WallClock(sleep=shortened),
        parameters=scenario.parameters,
        enforce_iam=enforce_iam,
    )


def unmet_of(scenario: Scenario, made: Timeline, cloud: "LocalCloud", playbook: Path | None) -> list[str]:
    """Return what of a run in ``cloud`` is not as the scenario expects, one sentence each."""

    def read(table: str, key: dict[str, str]) -> dict[str, Any] | None:
        try:
            found = cloud.table(table)
        except KeyError:
            raise InvalidInput(
                f"{scenario.script.parent / 'scenario.yaml'}: expect.store names the table {table}, which is not in "
                "business.yaml. Write its logical id."
            ) from None
        return found.get(key)

    def moved() -> Decimal:
        return units(sum(move.micro for move in cloud.events(made.run_id).moves if move.counts))

    def answer() -> Answer | None:
        run = cloud.events(made.run_id)
        ended = run.fact(RunEnded)
        proposed = run.turn(ended.answer_turn).proposal if ended is not None and ended.answer_turn else None
        decision = None if proposed is None else proposed.decision
        return decision if isinstance(decision, Answer) else None

    def made_up_values() -> tuple[str, ...]:
        run, found = cloud.events(made.run_id), answer()
        if found is None:
            return ()
        return made_up(run, load_playbook(playbook or PLAYBOOK), made.turns[-1].turn, found)

    def data() -> Any:
        found = answer()
        return None if found is None else found.data

    return unmet(scenario, made, read, moved=moved, made_up=made_up_values, data=data)
