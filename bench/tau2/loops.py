"""``python -m bench.tau2.loops``: loop detection on tau2's gold plans, which no threshold was tuned on.

Every one of them is right, so each signal is a false alarm. A call that would be answered from the log is made for
real as well: the recorded answer must be the real one.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ballast.contracts import ToolCall
from ballast.folds.loops import Rung, detect
from ballast.log.event import Event
from ballast.playbook import load_playbook
from ballast.run import Run
from bench.tau2.environments import DOMAINS
from bench.tau2.gold import CallOutcome, GoldPlan, gold_plans, play_directly
from bench.transcripts import executed

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Alarms:
    """What the ladder would have done in the gold plans of a domain.

    rungs    signals by the rung that they lead to
    answers  calls that the log would have answered, and ``wrong``: those whose real answer was another
    """

    plans: int
    calls: int
    rungs: Counter[Rung]
    answers: int
    wrong: int


def alarms(domain: str, plans: Sequence[GoldPlan]) -> Alarms:
    """Play ``plans`` on tau2 alone and fold what was done."""
    effects = {name: made.effect.value for name, made in load_playbook(FOLDER / domain).tools.items()}
    calls = answers = wrong = 0
    rungs: Counter[Rung] = Counter()
    for plan in plans:
        _, outcomes = play_directly(plan)
        signs = detect(Run.of(tuple(_log(plan, outcomes, effects)))).signals
        calls += len(outcomes)
        rungs.update(sign.rung for sign in signs.values())
        given = [(turn, sign.same_as[0]) for (turn, _), sign in signs.items() if sign.answer]
        answers += len(given)
        wrong += sum(outcomes[turn - 1] != outcomes[earlier - 1] for turn, earlier in given)
    return Alarms(len(plans), calls, rungs, answers, wrong)


def _log(plan: GoldPlan, outcomes: Sequence[CallOutcome], effects: dict[str, str]) -> Iterator[Event]:
    for turn, (call, made) in enumerate(zip(plan.calls, outcomes, strict=True), start=1):
        proposed = ToolCall(tool=call.tool, arguments=dict(call.arguments))
        outcome = {"status": made.status, "result": made.value, "message": str(made.value)}
        yield from executed(turn, proposed, effects[call.tool], outcome)


def main() -> int:
    """Print a line a domain. Returns 1 where a tool would be forbidden or an answer is wrong, 2 without tau2."""
    try:
        found = {domain: alarms(domain, gold_plans(domain)) for domain in DOMAINS}
    except ImportError as missing:
        print(f"{missing}. Install tau2: pip install --no-deps -r requirements/tau2.txt", file=sys.stderr)
        return 2
    for domain, one in found.items():
        print(
            f"{domain}: {one.plans} plans, {one.calls} calls; noticed {one.rungs[Rung.NOTICE]} "
            f"(answered from the log {one.answers}, wrongly {one.wrong}), forbidden {one.rungs[Rung.FORBID]}"
        )
    return int(any(one.wrong or one.rungs[Rung.FORBID] for one in found.values()))


if __name__ == "__main__":
    sys.exit(main())
