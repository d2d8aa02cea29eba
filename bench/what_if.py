"""Predictions of ``ballast what-if`` against real runs, on tau2's own tools (``make tau2``).

    python -m bench.what_if [--runs 50] [--domains airline retail telecom] [--only TEXT]

Plays gold plans of each domain, spread over all of its plans, then predicts what a change would have done to each run,
then plays every plan again with the change made, tools and all. A prediction that is exact must be equal: cost, turns,
calls, writes, and the answer. A run that would wait for a person is compared up to there, in its cost too. Bounds must
hold. What was predicted to be saved must be saved within 1 %. Exits with 1 otherwise.
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
from ballast.log.event import Event, order
from ballast.log.events import ApprovalRequested
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


#: Writes of each domain for which a person is asked, and look-ups whose argument must have been named before.
_ASKED = {
    "airline": ("cancel_reservation", "update_reservation_flights"),
    "retail": ("return_delivered_order_items", "modify_pending_order_items", "cancel_pending_order"),
    "telecom": ("refuel_data", "enable_roaming", "toggle_airplane_mode"),
}
_NAMED = {
    "airline": {"get_reservation_details": "reservation_id"},
    "retail": {"get_order_details": "order_id"},
    "telecom": {"refuel_data": "line_id", "enable_roaming": "line_id"},
}
_ASKS = """
from dataclasses import replace as _replace
from ballast.playbook import Approval as _Approval
for _name in {names!r}:
    globals()[_name] = _replace(globals()[_name], approval=_Approval(if_=lambda args, request: True))
"""
_MARKS = """
from dataclasses import replace as _replace
from typing import Annotated as _Annotated
from pydantic import create_model as _create_model
from ballast.playbook import Grounded as _Grounded
for _name, _field in {fields!r}.items():
    _of = globals()[_name].arguments
    _known = _of.model_fields[_field]
    _marked = _create_model(_of.__name__, __base__=_of, **{{_field: (_Annotated[str, _Grounded], _known)}})
    globals()[_name] = _replace(globals()[_name], arguments=_marked)
"""


@dataclass(frozen=True)
class Change:
    """A change, and under what the runs are recorded that it is made to.

    agent, prices, rules  the change: fields of agent.yaml, a price, what ``--rules`` says (``ASKED``: ``_ASKED``)
    before  fields of agent.yaml while recording. In truth the run has the desk's own, and the change
    asks    when people must approve ``_ASKED``: while recording ("before", and they approve), or in truth ("after")
    marks   whether arguments are marked while recording
    """

    name: str
    agent: Mapping[str, Any] = field(default_factory=dict)
    prices: Mapping[str, Any] | None = None
    rules: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)
    asks: str = ""
    marks: bool = False

    def rules_of(self, domain: str) -> Rules:
        """Return its ``--rules``."""
        approval = {"before": "never", "after": "always"}.get(self.asks)
        tools = {name: {"approval": approval} for name in _ASKED[domain]} if approval else {}
        return Rules.model_validate({**self.rules, "tools": tools}, strict=False)


def _loops(notice: int, forbid: int, *kinds: str) -> Mapping[str, Any]:
    return {"loops": {kind: {"notice": notice, "forbid": forbid} for kind in kinds}}


def _higher(name: str, before: int, after: int) -> Change:
    """Return a limit that is raised: what comes after the lower one was never recorded."""
    path = f"limits.{name}"
    return Change(f"{name} {before} -> {after}", {path: after}, before={path: before})


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
    Change("loops: same call 9/10", rules=_loops(9, 10, "same_call")),
    Change("loops: same result 2/2", rules=_loops(2, 2, "unchanged_result")),
    Change("loops: same error 1/1", rules=_loops(1, 1, "same_error")),
    Change("loops: calls alike 1/1", rules=_loops(1, 1, "same_call", "near_equal", "cycle")),
    Change("loops: writes 1/2", rules=_loops(1, 2, "write_spiral")),
    Change("approval: always", asks="after"),
    Change("approval: never any more", asks="before"),
    Change("grounding: off", rules={"grounding": False}, marks=True),
    _higher("turns", 3, 60),
    _higher("tool_calls", 2, 120),
    _higher("calls_per_tool", 1, 120),
    _higher("tokens_per_run", 40_000, 100_000_000),
    _higher("cost_microusd", 30_000, 5_000_000),
)


def played(
    domain: str, runs: int, playbook: Path | None = None, *, approves: bool = False
) -> list[tuple[str, str, list[Event]]]:
    """Play the gold plans."""
    made = tau2(domain, runs, playbook, approves=approves)
    return [(run_id, title, [event.as_shown for event in events]) for run_id, title, events in made]


def predicted(domain: str, desk: Path, recorded: list[Any], change: Change, folder: Path) -> list[Compared]:
    """Return what the change would have done to runs that were recorded at ``desk``, without a tool or a model."""
    baseline = Lane.baseline(desk)
    cards = None
    if change.prices is not None:
        cards = folder / "prices.yaml"
        cards.write_text(yaml.safe_dump({"models": {_CARD: {"prices": [change.prices]}}}), encoding="utf-8")
    rules = change.rules_of(domain).model_dump(mode="json")
    candidate = replace(baseline, changes=change.agent, cards=cards, rules=rules, goes_on=True, name=change.name)
    runs = (ExportedRun(run_id, tuple(events), title) for run_id, title, events in recorded)
    return list(compared(baseline, candidate, runs, workers=1))


def desk_of(domain: str, folder: Path, agent: Mapping[str, Any], code: str) -> Path:
    """Write the domain's playbook into ``folder`` with these fields of agent.yaml and more code of its tools."""
    made = folder / domain
    shutil.copytree(HERE / "tau2" / domain, made)
    file = made / "agent.yaml"
    fields = yaml.safe_load(file.read_text(encoding="utf-8"))
    for path, value in agent.items():
        section, _, name = path.rpartition(".")
        fields[section][name] = value
    file.write_text(yaml.safe_dump(fields), encoding="utf-8")
    with (made / "tools" / f"{domain}.py").open("a", encoding="utf-8") as tools:
        tools.write(code)
    return made


def recorded_for(
    domain: str, runs: int, change: Change, folder: Path
) -> tuple[Path, list[tuple[str, str, list[Event]]]]:
    """Record the plans under what the change says of ``before``; return the playbook and the runs."""
    code = _MARKS.format(fields=_NAMED[domain]) if change.marks else ""
    code += _ASKS.format(names=_ASKED[domain]) if change.asks == "before" else ""
    desk = desk_of(domain, folder, change.before, code)
    return desk, played(domain, runs, desk, approves=True)


def in_truth(domain: str, runs: int, change: Change, folder: Path) -> dict[str, Told]:
    """Play every plan again with the change made. A run counts up to where it waits for a person."""
    code = _ASKS.format(names=_ASKED[domain]) if change.asks == "after" else ""
    desk = desk_of(domain, folder, change.agent, code)
    if change.prices is not None:
        cards = {"models": {_CARD: {"prices": [change.prices]}}}
        (desk / "models.yaml").write_text(yaml.safe_dump(cards), encoding="utf-8")
    with ExitStack() as stack:
        stack.enter_context(replaced(ladder, "THRESHOLDS", change.rules_of(domain).thresholds))
        return {run_id: Told.of(_until_asked(Run(events))) for run_id, _, events in played(domain, runs, desk)}


def _until_asked(run: Run) -> Run:
    asked = next(iter(run.facts(ApprovalRequested)), None)
    if asked is None:
        return run
    last = order(run.by_seq[ApprovalRequested.key(asked.turn, asked.index, asked.round)])
    return run.only(lambda event: order(event) <= last)


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
    names += [] if one.waits else ["status", "by", "answer"]
    names += ["cost_microusd"] if one.low == one.high and not one.waits else []  # else it has bounds, which hold
    apart = [name for name in names if getattr(said, name) != getattr(real, name)]
    return f"{one.result}: {', '.join(f'{n} {getattr(said, n)} {getattr(real, n)}' for n in apart)}" if apart else None


def measured(domain: str, runs: int, only: str) -> Iterator[tuple[str, Counter[str]]]:
    """Yield the counts of each change whose name has ``only``."""
    plain: list[tuple[str, str, list[Event]]] = []
    for change in CHANGES:
        if only not in change.name:
            continue
        counts: Counter[str] = Counter()
        with TemporaryDirectory() as before, TemporaryDirectory() as after:
            desk, recorded = HERE / "tau2" / domain, plain
            if change.before or change.marks or change.asks == "before":
                desk, recorded = recorded_for(domain, runs, change, Path(before))
            elif not plain:
                recorded = plain = played(domain, runs)
            found = predicted(domain, desk, recorded, change, Path(after))
            real = in_truth(domain, runs, change, Path(after))
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
    parser.add_argument("--domains", nargs="+", action="extend", choices=DOMAINS, help="(all)")
    parser.add_argument("--only", default="", metavar="TEXT", help="changes whose name has it")
    options = parser.parse_args(arguments)
    results = [one.value for one in Result]
    head = "".join(f"{name.split(' ')[0]:>10}" for name in results)
    print(f"{'':10}{'':26}{'runs':>6}{head}{'wrong':>8}{'saved $':>12}{'really $':>12}")
    fails = False
    for domain in options.domains or DOMAINS:
        for name, counts in measured(domain, options.runs, options.only):
            saved, really = counts["saved"], counts["really saved"]
            fails |= bool(counts["wrong"]) or abs(saved - really) * 100 > abs(really)
            shown = "".join(f"{counts[one]:>10}" for one in results)
            money = f"{saved / 1_000_000:>12.6f}{really / 1_000_000:>12.6f}"
            print(f"{domain:10}{name:26}{counts['runs']:>6}{shown}{counts['wrong']:>8}{money}", flush=True)
    return int(fails)


if __name__ == "__main__":
    sys.exit(main())
