"""Play gold plans through the whole of Ballast, and compare the results with those of tau2 alone."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from ballast.contracts import RunRequest
from ballast.run import Run
from bench.tau2.downstream import DOWNSTREAMS
from bench.tau2.environments import Tau2Environment, hashes, toolkits, unmet
from bench.tau2.gold import CallOutcome, GoldModel, GoldPlan, play_directly
from localcloud.cloud import Execution, LocalCloud
from localcloud.converse import ConverseServer

FOLDER = Path(__file__).resolve().parent
#: Seconds after which a run is taken for stuck; one that went to a person waits much longer.
RUN_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Outcome:
    """What came of one task.

    calls, failed  gold calls, and how many of them tau2 itself refuses
    differences    what is not as tau2 has it; empty where the task passed
    transitions    of the state machine
    seconds        from the request to the run's end
    """

    domain: str
    task_id: str
    calls: int
    failed: int
    hash_equal: bool
    differences: tuple[str, ...]
    transitions: int
    seconds: float


@contextmanager
def desk(domain: str, plans: Iterable[GoldPlan]) -> Iterator[LocalCloud]:
    """A local cloud with ``domain``'s playbook, and a model that knows ``plans``."""
    with (
        ConverseServer(GoldModel(plans)) as model,
        LocalCloud(playbook=FOLDER / domain, model_endpoint_url=model.url) as cloud,
    ):
        yield cloud


def play(cloud: LocalCloud, plan: GoldPlan) -> Outcome:
    """Play ``plan`` as one run and compare: each call's outcome, the run's ending, the database's hash."""
    gold, expected = play_directly(plan)
    request = RunRequest(
        request_id=f"{plan.domain}-{sha256(plan.task_id.encode()).hexdigest()[:16]}",
        agent=plan.domain,
        text=plan.text,
        context={"task_id": plan.task_id},
    )
    started = perf_counter()
    run_id = cloud.start(request)
    differences: list[str] = []
    try:
        differences += _ending(cloud.wait(run_id, RUN_TIMEOUT_S))
    except TimeoutError as stuck:
        differences.append(str(stuck))
        cloud.stop(run_id)
    seconds = perf_counter() - started
    reached = DOWNSTREAMS.take(run_id, plan.domain, plan.task_id)
    made = tuple(
        CallOutcome(state.status, state.result if state.status == "ok" else state.message)
        for state in Run.of(cloud.events(run_id)).calls
    )
    differences += _calls(plan, expected, made)
    hash_equal = hashes(gold) == hashes(reached)
    if not hash_equal:
        differences.append(f"the database differs: {where(gold, reached)}")
    differences += [f"tau2's own assertion does not hold: {one}" for one in unmet(reached, plan.task_id, plan.domain)]
    return Outcome(
        domain=plan.domain,
        task_id=plan.task_id,
        calls=len(expected),
        failed=sum(outcome.status == "failed" for outcome in expected),
        hash_equal=hash_equal,
        differences=tuple(differences),
        transitions=len(cloud.transitions(run_id)),
        seconds=seconds,
    )


def _ending(execution: Execution) -> Iterator[str]:
    if execution.status != "SUCCEEDED":
        yield f"the execution ended {execution.status}: {execution.error} {execution.cause}"
    elif (execution.output["status"], execution.output.get("by")) != ("answered", "agent"):
        yield f"the run ended {execution.output}"


def _calls(plan: GoldPlan, expected: tuple[CallOutcome, ...], made: tuple[CallOutcome, ...]) -> Iterator[str]:
    if len(made) != len(expected):
        yield f"{len(made)} calls instead of {len(expected)}"
    for position, (call, gold, real) in enumerate(zip(plan.calls, expected, made, strict=False), start=1):
        if gold != real:
            yield f"call {position}, {call.tool}: {_short(real)} instead of {_short(gold)}"


def _short(outcome: CallOutcome) -> str:
    return f"{outcome.status} {outcome.value!r}"[:120]


def where(gold: Tau2Environment, reached: Tau2Environment) -> str:
    """Return the first few places at which the databases differ, with both values."""
    found: list[str] = []
    for requestor, toolkit in toolkits(gold).items():
        name = "db" if requestor == "assistant" else f"{requestor}_db"
        theirs = toolkits(reached)[requestor].db.model_dump()
        found += islice(_apart(toolkit.db.model_dump(), theirs, name), 4)
    return "; ".join([*found[:3], "…"] if len(found) > 3 else found)


def _apart(gold: Any, reached: Any, path: str) -> Iterator[str]:
    if gold == reached:
        return
    if isinstance(gold, dict) and isinstance(reached, dict):
        for key in gold | reached:
            yield from _apart(gold.get(key), reached.get(key), f"{path}.{key}")
    elif isinstance(gold, list) and isinstance(reached, list) and len(gold) == len(reached):
        for position, (one, other) in enumerate(zip(gold, reached, strict=True)):
            yield from _apart(one, other, f"{path}[{position}]")
    else:
        yield f"{path} is {reached!r:.60} instead of {gold!r:.60}"
