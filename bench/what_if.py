"""Predictions of ``ballast what-if`` against real runs, on tau2's own tools (``make tau2``).

    python -m bench.what_if [--runs 50] [--domains airline retail telecom]

Plays the gold plans of each domain, then predicts what a change would have done to each run, then plays every plan
again with the change made, tools and all. A prediction that is exact must be equal: cost, turns, calls, writes, and
the answer. A run that would wait for a person is compared up to there, in its cost too. Bounds must hold. What was
predicted to be saved must be saved within 1 %. Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from ballast.folds.loops import ladder
from ballast.log.event import Event
from ballast.log.exported import ExportedRun
from ballast.run import Run
from bench.replay import DOMAINS, HERE, tau2
from localcloud.moto_seams.replaced import replaced
from localcloud.replay.lane import Lane
from localcloud.replay.rules import Rules
from localcloud.replay.what_if import Compared, Result, Told, compared

_CARD = "anthropic.claude-haiku-4-5-20251001-v1:0"
_TWICE = {"version": "twice", "valid_from": "2026-01-31", "input": 2_000_000, "output": 10_000_000}
_TWICE |= {"cache_read": 200_000, "cache_write_5m": 2_500_000, "cache_write_1h": 4_000_000}


@dataclass(frozen=True)
class Change:
    """A change: of agent.yaml, of the prices, of the thresholds."""

    name: str
    agent: Mapping[str, Any] = field(default_factory=dict)
    prices: Mapping[str, Any] | None = None
    loops: Mapping[str, Any] = field(default_factory=dict)


CHANGES = (
    Change("turns=3", {"limits.turns": 3}),
    Change("turns=6", {"limits.turns": 6}),
    Change("tool_calls=4", {"limits.tool_calls": 4}),
    Change("calls_per_tool=1", {"limits.calls_per_tool": 1}),
    Change("refused_calls=0", {"limits.refused_calls": 0}),
    Change("tokens_per_run=40000", {"limits.tokens_per_run": 40_000}),
    Change("cost=$0.03", {"limits.cost_microusd": 30_000}),
    Change("prices x 2", prices=_TWICE),
    Change("prices x 2, cost=$0.05", {"limits.cost_microusd": 50_000}, prices=_TWICE),
    Change("loops: same call 9/10", loops={"same_call": {"notice": 9, "forbid": 10}}),
    Change("loops: same result 2/2", loops={"unchanged_result": {"notice": 2, "forbid": 2}}),
)


def played(domain: str, runs: int, playbook: Path | None = None) -> list[tuple[str, str, list[Event]]]:
    """Play the gold plans."""
    return [
        (run_id, title, [event.as_shown for event in events]) for run_id, title, events in tau2(domain, runs, playbook)
    ]


def predicted(domain: str, recorded: list[Any], change: Change, folder: Path) -> list[Compared]:
    """Return what the change would have done, without a tool or a model."""
    baseline = Lane.baseline(HERE / "tau2" / domain)
    cards = None
    if change.prices is not None:
        cards = folder / "prices.yaml"
        cards.write_text(yaml.safe_dump({"models": {_CARD: {"prices": [change.prices]}}}), encoding="utf-8")
    rules = Rules.model_validate({"loops": change.loops}, strict=False)
    candidate = replace(
        baseline, changes=change.agent, cards=cards, rules=rules.model_dump(mode="json"), goes_on=True, name=change.name
    )
    runs = (ExportedRun(run_id, tuple(events), title) for run_id, title, events in recorded)
    return list(compared(baseline, candidate, runs, workers=1))


def in_truth(domain: str, runs: int, change: Change, folder: Path) -> dict[str, Told]:
    """Play every plan again with the change made."""
    playbook = folder / domain
    shutil.copytree(HERE / "tau2" / domain, playbook)
    file = playbook / "agent.yaml"
    agent = yaml.safe_load(file.read_text(encoding="utf-8"))
    for path, value in change.agent.items():
        section, _, name = path.rpartition(".")
        agent[section][name] = value
    file.write_text(yaml.safe_dump(agent), encoding="utf-8")
    if change.prices is not None:
        cards = {"models": {_CARD: {"prices": [change.prices]}}}
        (playbook / "models.yaml").write_text(yaml.safe_dump(cards), encoding="utf-8")
    rules = Rules.model_validate({"loops": change.loops}, strict=False)
    with ExitStack() as stack:
        stack.enter_context(replaced(ladder, "THRESHOLDS", rules.thresholds))
        return {run_id: Told.of(Run(events)) for run_id, _, events in played(domain, runs, playbook)}


def wrong(one: Compared, real: Told) -> str | None:
    """Return in what a prediction is wrong; None if it holds."""
    said = one.candidate
    if one.result is Result.NOT_CONCLUDED:
        return f"not concluded: {one.why}"
    if not one.low <= real.cost_microusd <= one.high:
        return f"cost {real.cost_microusd} is not within {one.low} to {one.high}"
    if not one.result.is_exact:
        return None if real.writes[: len(said.writes)] == said.writes else "other writes"
    names = ["turns", "calls", "refused", "people", "writes"]
    names += [] if one.waits else ["status", "by", "answer", "cost_microusd"]
    apart = [name for name in names if getattr(said, name) != getattr(real, name)]
    return f"{one.result}: {', '.join(f'{n} {getattr(said, n)} {getattr(real, n)}' for n in apart)}" if apart else None


def measured(domain: str, runs: int) -> Iterator[tuple[str, Counter[str]]]:
    """Yield the counts of each change."""
    recorded = played(domain, runs)
    for change in CHANGES:
        counts: Counter[str] = Counter()
        with TemporaryDirectory() as made:
            found = predicted(domain, recorded, change, Path(made))
            real = in_truth(domain, runs, change, Path(made))
        for one in found:
            problem = wrong(one, real[one.run_id])
            counts["runs"] += 1
            counts[one.result] += 1
            counts["wrong"] += problem is not None
            if problem is not None:
                print(f"  {domain} {change.name}: {one.run_id} {one.source}: {problem}"[:400], file=sys.stderr)
            if one.low == one.high:
                counts["saved"] += one.recorded.cost_microusd - one.low
                counts["really saved"] += one.recorded.cost_microusd - real[one.run_id].cost_microusd
        yield change.name, counts


def main(arguments: list[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.what_if", description=__doc__)
    parser.add_argument("--runs", type=int, default=50, metavar="N", help="plans of a domain (%(default)s)")
    parser.add_argument("--domains", nargs="+", default=DOMAINS, choices=DOMAINS, help="(all)")
    options = parser.parse_args(arguments)
    results = [one.value for one in Result]
    head = "".join(f"{name.split(' ')[0]:>10}" for name in results)
    print(f"{'':10}{'':26}{'runs':>6}{head}{'wrong':>8}{'saved $':>12}{'really $':>12}")
    fails = False
    for domain in options.domains:
        for name, counts in measured(domain, options.runs):
            saved, really = counts["saved"], counts["really saved"]
            fails |= bool(counts["wrong"]) or abs(saved - really) * 100 > abs(really)
            shown = "".join(f"{counts[one]:>10}" for one in results)
            money = f"{saved / 1_000_000:>12.6f}{really / 1_000_000:>12.6f}"
            print(f"{domain:10}{name:26}{counts['runs']:>6}{shown}{counts['wrong']:>8}{money}", flush=True)
    return int(fails)


if __name__ == "__main__":
    sys.exit(main())
