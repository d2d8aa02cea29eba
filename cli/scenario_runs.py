"""Play a scenario in a local cloud of its own, and compare its ending with what it expects."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ballast.contracts import Answer, Planner
from ballast.contracts.timeline import Timeline
from ballast.errors import BallastError, InvalidInput
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
    from localcloud.converse import Bedrock, Source
    from localcloud.scenarios.people import People


@dataclass(frozen=True)
class Played:
    """A scenario that has run: its timeline, what was not as expected, and what else its author should know."""

    scenario: Scenario
    timeline: Timeline
    wrong: list[str]
    notes: list[str] = field(default_factory=list)


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
    source = source_of(scenario, model)
    stack = stack_of(scenario, source, playbook=playbook, enforce_iam=enforce_iam)
    with stack as cloud, doubled(cloud, scenario.tools):
        if output is not None:
            cloud.printed.append(output)
        responder = ScriptedResponder(cloud, scenario.answers)
        made = run_and_follow(
            cloud,
            scenario.request,
            responder,
            screen=screen,
            saved_runs=saved_runs,
            title=f"{title} {scenario.name}",
            requested_by=scenario.by,
            within_s=longest_s(scenario, source, playbook),
        )
        wrong = unmet_of(scenario, made, cloud, playbook, responder.people)
        return Played(scenario, made, wrong, _unreached(source, made))


def longest_s(scenario: Scenario, source: "Source | Bedrock", playbook: Path | None) -> float:
    """Return the real seconds within which a run of the scenario must end. A model that is no script takes its time."""
    if isinstance(source, ScriptModel):
        return scenario.longest_s()
    request = scenario.request
    loaded = load_playbook(playbook or PLAYBOOK)
    agent = loaded.agents.get(request.agent or "", loaded.agent)
    limits = agent.limits_for(request.intent)
    asked = request.limits.deadline_s if request.limits is not None else None
    return scenario.longest_s(min(limits.deadline_s, asked or limits.deadline_s))


def _unreached(source: "Source | Bedrock", made: Timeline) -> list[str]:
    """Return a note if the agent ended the run and its script has steps that were never said.

    Where somebody else ended it, the rest of the script is what the agent had no time for.
    """
    left = source.left_over() if isinstance(source, ScriptModel) and made.by == Planner.AGENT else []
    if not left:
        return []
    steps = ", ".join(f"turns.{number}" for number in left)
    return [
        f"script.yaml: the agent had answered before {steps}: {'it was' if len(left) == 1 else 'they were'} not used"
    ]


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


def source_of(scenario: Scenario, model: str | None = None) -> "Source | Bedrock":
    """Return the model of a scenario, or ``model`` in its place. Raises ``InvalidInput`` for one that is none."""
    spec = model or scenario.model
    return ScriptModel.read(scenario.script) if spec is None else model_source(spec)


def stack_of(
    scenario: Scenario, source: "Source | Bedrock", *, playbook: Path | None = None, enforce_iam: bool = True
) -> AbstractContextManager["LocalCloud"]:
    """Return a local cloud for a scenario, whose agent asks ``source``."""
    return local_stack(
        source,
        playbook=playbook,
        seed=scenario.seed,
        size=None if playbook else SMALL_STORE,
        clock=WallClock(sleep=shortened),
        parameters=scenario.parameters,
        enforce_iam=enforce_iam,
    )


def stored_item(cloud: "LocalCloud", table: str, key: dict[str, str], where: str) -> dict[str, Any] | None:
    """Return an item of a table in ``cloud``; None if there is none. Raises ``InvalidInput``; ``where`` names it."""
    from botocore.exceptions import ClientError

    try:
        return cloud.table(table).get(key)
    except KeyError:
        raise InvalidInput(
            f"{where} names the table {table}, which is not in business.yaml. Write its logical id."
        ) from None
    except (BallastError, ClientError) as problem:
        raise InvalidInput(
            f"{where}: {table} has no such key as {', '.join(key)} ({problem}). Write each attribute of its KeySchema."
        ) from None


def unmet_of(
    scenario: Scenario, made: Timeline, cloud: "LocalCloud", playbook: Path | None, people: "People"
) -> list[str]:
    """Return what of a run in ``cloud`` is not as the scenario says, one sentence each: its people, and its ending.

    people  who answered it. An answer that was not needed is a person who was not asked
    """

    def read(table: str, key: dict[str, str]) -> dict[str, Any] | None:
        return stored_item(cloud, table, key, f"{scenario.script.parent / 'scenario.yaml'}: expect.store")

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

    return [*people.unmet(), *unmet(scenario, made, read, moved=moved, made_up=made_up_values, data=data)]
