"""Replay recorded runs: how many come out the same, and how long it takes.

    python -m bench.replay [--runs DIR] [--seeds 500] [--workers 2]

Makes the runs that are not in DIR yet, exports them, and replays all of them by ``ballast replay``'s machine:

scenarios  the bundled scenarios, as ``ballast demo`` plays them
desk       seeded runs of the desk under a random mix of all faults (``tests/faults/desk.py``)
airline    the recorded airline transcripts, played with what the model and the customers said and the tools returned
tau2       the gold plans of tau2's desks, on tau2's own tools (``make tau2``)

The desk's runs are made by the real handlers on moto, the others in a local cloud. Exits with 1 where a run is not the
same.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from hashlib import sha256
from io import StringIO
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from ballast.contracts import RunRequest
from ballast.log import exported
from ballast.log.event import Event
from bench.caching import Conversation, recorded
from bench.transcripts import OUTCOMES
from localcloud.clock import VirtualClock
from localcloud.cloud import PLAYBOOK, LocalCloud
from localcloud.converse.source import CallableModel, Reply, said, turns_taken
from localcloud.replay.lane import Ending, Lane
from localcloud.replay.many import replayed, summary

HERE = Path(__file__).resolve().parent
DESK = HERE / "transcript_desk"
DOMAINS = ("airline", "retail", "telecom")
_ROOM = {f"{whose}{window}Usd": "1000000" for whose in ("Tenant", "Account") for window in ("Hour", "Day")}
_ROOM |= {"TenantRuns": "1000", "AccountRuns": "1000"}
#: Virtual seconds that a customer takes, and after which a run is taken for stuck.
_PERSON_S, _STUCK_S = 30, 36_000

Made = Iterator[tuple[str, str, Iterable[Event]]]


@dataclass(frozen=True)
class Corpus:
    """Recorded runs of one kind. ``make`` yields run id, title and events of each."""

    name: str
    lane: Lane
    make: Callable[[], Made]


def corpora(runs: int, seeds: int) -> Iterator[Corpus]:
    """Yield the corpora, each with at most ``runs`` runs; the desk's has ``seeds``."""
    yield Corpus("scenarios", Lane.baseline(PLAYBOOK), scenarios)
    asking = Lane("baseline", PLAYBOOK, changes={"ask_requester": True})  # as tests/faults/world.py has it
    yield Corpus("desk", asking, lambda: desk(range(seeds)))
    yield Corpus("airline", Lane.baseline(DESK), lambda: airline(runs))
    for domain in DOMAINS:
        yield Corpus(f"tau2-{domain}", Lane.baseline(HERE / "tau2" / domain), lambda domain=domain: tau2(domain, runs))  # type: ignore[misc]


def scenarios() -> Made:
    """Play the bundled scenarios."""
    from cli.saved_runs import SavedRuns
    from cli.scenario_runs import play
    from cli.screen import Screen
    from localcloud.scenarios import find, names

    with TemporaryDirectory() as folder:
        saved = SavedRuns(Path(folder))
        for name in names():
            with redirect_stdout(StringIO()):
                play(find(name), screen=Screen(), saved_runs=saved)
        for one in saved.recent(1_000):
            yield one.run_id, one.title, one.events


def desk(seeds: Iterable[int]) -> Made:
    """Play seeded runs of the desk under faults."""
    from tests.faults.desk import _Drawn
    from tests.faults.judge import shop_of
    from tests.faults.mix import Mix
    from tests.faults.play import play
    from tests.faults.world import world

    with world() as made:
        before = shop_of(made)
        for seed in seeds:
            draw = Random(seed)  # noqa: S311  no secret
            scenario = _Drawn(draw, before).scenario(seed)
            mix = Mix(draw)
            play(made, scenario, mix)
            events = made.events(scenario.run_id, opens=False)
            if events:
                yield scenario.run_id, f"seed {seed}: {'; '.join(mix.injected)}", events


def airline(runs: int) -> Made:
    """Play the recorded transcripts of the airline's desk."""
    said_by = {one.name: one for one in recorded(runs)}
    for one in said_by.values():
        _take(one)

    def reply(request: Mapping[str, Any], _: str) -> Reply:
        first = " ".join(block.get("text", "") for block in request["messages"][0]["content"])
        name = first.rpartition('"conversation": "')[2].partition('"')[0]
        steps, at = said_by[name].steps, turns_taken(request)
        content = steps[at].content if at < len(steps) else ({"text": "Done."},)
        calls = any("toolUse" in block for block in content)
        return said(content, "tool_use" if calls else "end_turn", request, latency_ms=900)

    with _cloud(DESK, CallableModel(reply)) as (cloud, clock):
        for name, one in said_by.items():
            request = RunRequest(request_id=f"airline-{name}", text=one.text, context={"conversation": name})
            run_id = cloud.start(request)
            _answered(cloud, clock, run_id, [step.reply for step in one.steps if step.reply is not None])
            yield run_id, f"airline {name}", cloud.events(run_id)


def _take(one: Conversation) -> None:
    turn = 1
    for step in one.steps:
        for index, outcome in enumerate(step.outcomes, start=1):
            OUTCOMES[one.name, turn, index] = outcome
        turn += 1 if step.reply is None else 2


def _answered(
    cloud: LocalCloud, clock: VirtualClock, run_id: str, replies: list[str], *, approves: bool = False
) -> None:
    """Let the customer reply until the run has ended; ``approves``: people approve what they are asked."""
    left, began = list(replies), clock.monotonic()
    while cloud.status(run_id) == "RUNNING" and clock.monotonic() - began < _STUCK_S:
        clock.pause(_PERSON_S)
        run = cloud.events(run_id)
        given = {event.body["escalation_id"] for event in run if event.name == "call.approval_answered"}
        for event in run if approves and cloud.status(run_id) == "RUNNING" else ():
            if event.name == "call.approval_requested" and event.body["escalation_id"] not in given:
                approval = {"escalation_id": event.body["escalation_id"], "by": "reviewer", "approve": True}
                cloud.invoke("AnswerEscalationFunction", approval)
        answered = {event.turn for event in run if event.name == "escalation.answered"}
        asked = [event for event in run if event.name == "escalation.opened" and event.turn not in answered]
        if asked and cloud.status(run_id) == "RUNNING":
            words = left.pop(0) if left else "Thank you, that is all."
            decision = {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": words}
            if asked[0].body.get("kind") != "question":
                decision = {"kind": "answer", "text": "A colleague has seen to it."}
            payload = {"escalation_id": asked[0].body["escalation_id"], "by": "customer", "decision": decision}
            cloud.invoke("AnswerEscalationFunction", payload)


def tau2(domain: str, runs: int, playbook: Path | None = None, *, approves: bool = False) -> Made:
    """Play gold plans of a domain of tau2, in its own playbook or another. Raises ``ImportError`` without tau2.

    Fewer ``runs`` than it has are spread over all of them. ``approves``: people approve whatever they are asked.
    """
    from bench.tau2.downstream import DOWNSTREAMS
    from bench.tau2.gold import GoldModel, gold_plans

    every = gold_plans(domain)
    plans = [every[at * len(every) // runs] for at in range(runs)] if runs < len(every) else every
    with _cloud(playbook or HERE / "tau2" / domain, GoldModel(plans)) as (cloud, clock):
        for plan in plans:
            name = f"{domain}-{sha256(plan.task_id.encode()).hexdigest()[:16]}"
            request = RunRequest(request_id=name, agent=domain, text=plan.text, context={"task_id": plan.task_id})
            run_id = cloud.start(request)
            _answered(cloud, clock, run_id, [], approves=approves)
            DOWNSTREAMS.take(run_id, domain, plan.task_id)
            yield run_id, f"tau2 {domain} {plan.task_id}", cloud.events(run_id)


class _cloud:  # noqa: N801  used as a function
    """A local cloud on virtual time, with tables in memory."""

    def __init__(self, playbook: Path, model: Any) -> None:
        from tests.support.tables_in_memory import Tables

        self._clock = VirtualClock()
        self._cloud = LocalCloud(playbook, model=model, clock=self._clock, parameters=_ROOM, dynamodb=Tables())

    def __enter__(self) -> tuple[LocalCloud, VirtualClock]:
        return self._cloud.__enter__(), self._clock

    def __exit__(self, *problem: Any) -> None:
        self._cloud.__exit__(*problem)


def made(corpus: Corpus, folder: Path) -> Path:
    """Return the file of a corpus, and make it if it is not there."""
    file = folder / f"{corpus.name}.jsonl"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        with part.open("w", encoding="utf-8") as out:
            for run_id, title, events in corpus.make():
                out.writelines(
                    f"{line}\n" for line in exported.write(run_id, [e.as_shown for e in events], title=title)
                )
        part.rename(file)
    return file


def main(arguments: list[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.replay", description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("replay-runs"), help="folder of the runs (%(default)s)")
    parser.add_argument("--most", type=int, default=1_000, metavar="N", help="runs of a corpus (%(default)s)")
    parser.add_argument("--seeds", type=int, default=500, metavar="N", help="runs of the desk (%(default)s)")
    parser.add_argument("--only", action="append", metavar="NAME", help="one corpus. May be repeated")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes (%(default)s)")
    options = parser.parse_args(arguments)
    total, whole = Counter[str](), 0.0
    print(f"{'':16}{'runs':>8}{'events':>10}{'same':>8}{'share':>9}{'seconds':>9}")
    for corpus in corpora(options.most, options.seeds):
        if options.only and corpus.name not in options.only:
            continue
        try:
            file = made(corpus, options.runs)
        except ImportError as problem:
            print(f"{corpus.name:16}not measured: {problem}")
            continue
        started = perf_counter()
        counts: Counter[str] = Counter()
        for row in replayed(corpus.lane, exported.read(file), summary, workers=options.workers):
            counts["runs"] += 1
            counts["events"] += row.events
            counts["same"] += row.ending is Ending.SAME
            if row.ending is not Ending.SAME:
                print(f"  {row.run_id} {row.source[:60]}: {row.ending} {row.difference or row.notes}", file=sys.stderr)
        seconds = perf_counter() - started
        total, whole = total + counts, whole + seconds
        print(_line(corpus.name, counts, seconds))
    print(_line("all", total, whole))
    return int(total["same"] != total["runs"])


def _line(name: str, counts: Counter[str], seconds: float) -> str:
    share = 100 * counts["same"] / counts["runs"] if counts["runs"] else 0.0
    return f"{name:16}{counts['runs']:8}{counts['events']:10}{counts['same']:8}{share:8.2f}%{seconds:9.1f}"


if __name__ == "__main__":
    sys.exit(main())
