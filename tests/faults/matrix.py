"""The cases, derived: from the requests, deliveries, answers and turns that were seen in a run without faults, and
from the Retry and Catch of ``agent.asl.yaml``. Nothing is listed by hand but the kinds of faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ballast.contracts.exit_reason import STOP_REASONS
from tests.faults import kinds
from tests.faults.oversize import OVERSIZE, Oversize
from tests.faults.plan import Plan
from tests.faults.play import Played, play
from tests.faults.replay import Recording
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.wire import Invocation, Request
from tests.faults.world import World
from tests.statemachine.edges import states_of

#: An outage that the retries outlast, and one that they do not.
SHORT_S, LONG_S = 8, 900


@dataclass(frozen=True)
class Case:
    """One fault in one scenario.

    kind        of fault
    where       where it is injected, in words
    begins_at   the invocation up to which it is like the run without a fault; 0 where it never is
    make        makes its plan
    survivable  it happens once and passes: the workflow may not fail of it
    """

    scenario: Scenario
    kind: str
    where: str
    begins_at: int
    make: Callable[[], Plan] = field(compare=False)
    survivable: bool = True

    @property
    def name(self) -> str:
        """What it is called in the report; ``python -m tests.faults --case NAME`` plays it alone."""
        return f"{self.scenario.name} / {self.kind} / {self.where}"


@dataclass(frozen=True)
class Recorded:
    """A scenario as it goes without a fault."""

    played: Played
    seen: Recording
    definition: Mapping[str, Any]


def all_cases(world: World, *, times: int = 2) -> list[tuple[Recorded, list[Case]]]:
    """Return the cases of every scenario, with the scenario's record; each shape of invocation in ``times`` places."""
    recorded = [record(world, scenario) for scenario in SCENARIOS]
    novelty = Novelty(recorded, times)
    return [(one, derive(one, novelty)) for one in recorded]


def record(world: World, scenario: Scenario) -> Recorded:
    """Play it without a fault."""
    seen = Recording()
    return Recorded(play(world, scenario, seen), seen, world.definition)


#: What an invocation asks for: the function, the state that invokes it, its requests.
Shape = tuple[str, str, tuple[str, ...]]


class Novelty:
    """Which invocations are worth the faults: each shape in ``times`` of the places where it is seen, far apart.

    The same requests of the same handler in a tenth place teach nothing new, and take as long as the first.
    """

    def __init__(self, recorded: Sequence[Recorded], times: int) -> None:
        places: dict[Shape, list[int]] = {}
        for one in recorded:
            for invocation in one.played.invocations:
                places.setdefault(shape_of(invocation), []).append(id(invocation))
        self._chosen = {place for found in places.values() for place in _spread(found, times)}
        self._seen: set[tuple[str, ...]] = set()

    def of(self, invocation: Invocation) -> bool:
        """Say whether it is one of the chosen."""
        return id(invocation) in self._chosen

    def first(self, *what: str) -> bool:
        """Say whether this is asked for the first time."""
        new = what not in self._seen
        self._seen.add(what)
        return new


def shape_of(invocation: Invocation) -> Shape:
    """Return the shape of an invocation."""
    return invocation.function, invocation.state, tuple(request.label for request in invocation.requests)


def _spread(places: Sequence[int], times: int) -> list[int]:
    """Return at most ``times`` of the places, the first and the last among them."""
    if len(places) <= times:
        return list(places)
    step = (len(places) - 1) / max(1, times - 1)
    return [places[round(at * step)] for at in range(times)]


def derive(recorded: Recorded, novelty: Novelty) -> list[Case]:
    """Return the cases of a scenario."""
    scenario = recorded.played.scenario
    states = states_of(recorded.definition)
    cases: list[Case] = []
    for invocation in recorded.played.invocations:
        if not novelty.of(invocation):
            continue
        for request in invocation.requests:
            cases += _at_request(scenario, invocation, request)
        cases += _at_invocation(scenario, invocation, states.get(invocation.state, {}), novelty)
        cases += _outages(scenario, invocation)
    for number, what in enumerate(recorded.seen.deliveries, start=1):
        for kind, late in (("delivered twice", False), ("delivered late again", True)):
            cases.append(Case(scenario, kind, f"{what} {number}", 0, partial(kinds.DeliveredTwice, number, late=late)))
    for number in range(1, recorded.seen.answers + 1):
        for how in ("twice", "otherwise", "late", "never"):
            cases.append(Case(scenario, f"answered {how}", f"answer {number}", 0, partial(kinds.Answered, number, how)))
    for turn in sorted(recorded.seen.turns):
        for reason in sorted(STOP_REASONS):
            made = partial(kinds.ModelSays, turn, partial(_stopped, reason))
            cases.append(Case(scenario, "stop reason", f"turn {turn}: {reason}", 0, made))
        for what, swell in OVERSIZE.items():
            made = partial(Oversize, turn, swell)
            cases.append(Case(scenario, "oversize", f"turn {turn}: {what}", 0, made))
    return cases


def _stopped(reason: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**body, "stopReason": reason}


def _at_request(scenario: Scenario, invocation: Invocation, request: Request) -> Iterator[Case]:
    where, at = f"{_name(invocation)} {request.number} {request.label}", (invocation.number, request.number)
    simple: Sequence[tuple[str, Callable[..., Plan]]] = (
        ("dies before", kinds.DiesBefore),
        ("dies after", kinds.DiesAfter),
        ("answer lost, sent again", kinds.AnswerLost),
        ("answer lost", kinds.AnswerLostForGood),
        ("overtaken", kinds.Overtaken),
        ("finishes late", kinds.FinishesLate),
    )
    for kind, plan in simple:
        yield Case(scenario, kind, where, invocation.number, partial(plan, *at))
    if request.changes_something:
        yield Case(scenario, "times out", where, invocation.number, partial(kinds.TimesOut, *at))
    for code, status in kinds.errors_of(request.service):
        made = partial(kinds.ServiceSays, *at, code, status)
        yield Case(scenario, "service error", f"{where}: {code}", invocation.number, made)
    if invocation.function == "OpenEscalationFunction" and scenario.answers:
        yield Case(scenario, "answered early", where, invocation.number, partial(kinds.AnsweredEarly, *at))
        made = partial(kinds.AnsweredEarly, *at, dies=True)
        yield Case(scenario, "answered early, asked again", where, invocation.number, made)


def _at_invocation(
    scenario: Scenario, invocation: Invocation, state: Mapping[str, Any], novelty: Novelty
) -> Iterator[Case]:
    where, number = _name(invocation), invocation.number
    names = [name for rule in state.get("Retry", ()) for name in rule["ErrorEquals"]]
    lambdas = [name for name in names if name.startswith(("Lambda.", "Sandbox.", "Runtime."))]
    whole = novelty.first("every error that the Retry names", invocation.state)
    for error in lambdas if whole and lambdas else ["Lambda.ServiceException"]:
        made = partial(kinds.NotInvoked, number, error)
        yield Case(scenario, "Lambda fails", f"{where}: {error}", number, made)
    attempts = max((rule.get("MaxAttempts", 3) for rule in state.get("Retry", ()) if lambdas[:1]), default=0)
    if attempts:
        made = partial(kinds.NotInvoked, number, "Lambda.ServiceException", attempts + 1)
        yield Case(scenario, "Lambda fails, all retries", where, number, made, survivable=False)
        made = partial(kinds.NotInvoked, number, "Broken")
        yield Case(scenario, "a defect", where, number, made, survivable=False)
    yield Case(scenario, "result lost", where, number, partial(kinds.ResultLost, number))
    yield Case(scenario, "invoked twice", where, number, partial(kinds.InvokedTwice, number))
    yield Case(scenario, "invoked late again", where, number, partial(kinds.InvokedLateAgain, number))
    made = partial(kinds.InvokedLateAgain, number, at_end=True)
    yield Case(scenario, "invoked again at the end", where, number, made)


def _outages(scenario: Scenario, invocation: Invocation) -> Iterator[Case]:
    first: dict[str, int] = {}
    for request in invocation.requests:
        first.setdefault(request.service, request.number)
    for service, number in first.items():
        for seconds in (SHORT_S, LONG_S):
            where = f"{_name(invocation)}: {service}, {seconds} s"
            made = partial(kinds.Outage, invocation.number, number, seconds)
            yield Case(scenario, "outage", where, invocation.number, made, survivable=seconds == SHORT_S)


def _name(invocation: Invocation) -> str:
    return f"{invocation.number} {invocation.function.removesuffix('Function')} ({invocation.state})"
