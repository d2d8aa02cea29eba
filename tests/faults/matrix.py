"""The cases, derived: from the requests, deliveries, answers and turns that were seen in a run without faults, and
from the Retry and Catch of ``agent.asl.yaml``. Nothing is listed by hand but the kinds of faults.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

from ballast.contracts.decision import STOP_REASONS
from tests.faults import kinds
from tests.faults.oversize import LONG_REQUESTS, OVERSIZE, LongRequest, Oversize
from tests.faults.plan import Plan
from tests.faults.play import Played, how_it_ended, play
from tests.faults.replay import Recording
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.wire import Invocation, Request
from tests.faults.world import World
from tests.workflow.edges import states_of

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
    """A scenario as it goes and ends without a fault."""

    played: Played
    seen: Recording
    definition: Mapping[str, Any]
    ended: str


def all_cases(world: World, *, times: int = 2) -> list[tuple[Recorded, list[Case]]]:
    """Return the cases of every scenario, with the scenario's record; each request in ``times`` places."""
    recorded = [record(world, scenario) for scenario in SCENARIOS]
    novelty = Novelty(recorded, times)
    return [(one, derive(one, novelty)) for one in recorded]


def record(world: World, scenario: Scenario) -> Recorded:
    """Play it without a fault."""
    seen = Recording()
    played = play(world, scenario, seen)
    return Recorded(played, seen, world.definition, how_it_ended(world, played))


#: Where faults may come out otherwise: the function, the state that invokes it, what it asked for so far, and the
#: scenario's name where that one is not like the others there.
Place = tuple[str, str, tuple[str, ...], str]


class Novelty:
    """Which requests and invocations are worth the faults: each place ``times`` times, far apart.

    A handler that has asked for the same things so far is at the same line. The same request in a tenth run teaches
    nothing new, and takes as long as the first.
    """

    def __init__(self, recorded: Sequence[Recorded], times: int) -> None:
        places: dict[Place, list[tuple[int, int]]] = {}
        for one in recorded:
            for invocation in one.played.invocations:
                for number in range(len(invocation.requests) + 1):
                    place = _place(one.played.scenario, invocation, number)
                    places.setdefault(place, []).append((id(invocation), number))
        self._chosen = {where for found in places.values() for where in _spread(found, times)}
        self._seen: set[tuple[str, ...]] = set()
        self._turns: Counter[tuple[str, str]] = Counter()

    def of(self, invocation: Invocation, request: int) -> bool:
        """Say whether its request number so is one of the chosen; 0 for the invocation itself."""
        return (id(invocation), request) in self._chosen

    def first(self, *what: str) -> bool:
        """Say whether this is asked for the first time."""
        new = what not in self._seen
        self._seen.add(what)
        return new

    def errors(self, function: str, service: str) -> Sequence[tuple[str, int]]:
        """Return what the service says at the function's next request: each in its turn, and a model's all at once."""
        every = kinds.errors_of(service)
        if service == "bedrock-runtime":
            return every
        turn = self._turns[function, service] = self._turns[function, service] + 1
        return every[turn % len(every) :][:1]


def _place(scenario: Scenario, invocation: Invocation, request: int) -> Place:
    """Return the place of a request; the whole invocation (0) is told by all that it asks for."""
    # The same one several times in a row is a loop, as over the values of an event that are sealed.
    asked = tuple(label for label, _ in groupby(one.label for one in invocation.requests[: request or None]))
    what = asked if request else ("the whole", *asked)
    return invocation.function, invocation.state, what, _own(scenario, invocation)


def _own(scenario: Scenario, invocation: Invocation) -> str:
    """Return the scenario's name where it is not like the others there: what looks the same may come out otherwise."""
    acted_on = scenario.operator is not None and invocation.state == scenario.operator.state
    declared = bool(scenario.policies) and invocation.state in ("Execute", "ExecuteEach")
    return scenario.name if acted_on or declared else ""


def _spread(places: Sequence[tuple[int, int]], times: int) -> list[tuple[int, int]]:
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
        for request in invocation.requests:
            if novelty.of(invocation, request.number):
                cases += _at_request(scenario, invocation, request, novelty)
        if novelty.of(invocation, 0):
            cases += _at_invocation(scenario, invocation, states.get(invocation.state, {}), novelty)
            cases += _outages(scenario, invocation)
    for number, what in enumerate(recorded.seen.deliveries, start=1):
        for kind, late in (("delivered twice", False), ("delivered late again", True)):
            cases.append(Case(scenario, kind, f"{what} {number}", 0, partial(kinds.DeliveredTwice, number, late=late)))
    for number in range(1, recorded.seen.answers + 1):
        for how in ("twice", "otherwise", "at length", "late", "never"):
            cases.append(Case(scenario, f"answered {how}", f"answer {number}", 0, partial(kinds.Answered, number, how)))
        cases.append(Case(scenario, "answered in vain", f"answer {number}", 0, partial(kinds.AnsweredInVain, number)))
    made: Callable[[], Plan]
    for what, longer in LONG_REQUESTS.items():
        if novelty.first("a long request", scenario.comes, what):
            made = partial(LongRequest, longer)
            cases.append(Case(scenario, "oversize", f"the request: {what}", 0, made, survivable=False))
    for turn, asked_by in sorted(recorded.seen.turns.items()):
        for reason in sorted(STOP_REASONS):
            made = partial(kinds.ModelSays, turn, partial(_stopped, reason))
            cases.append(Case(scenario, "stop reason", f"turn {turn}: {reason}", asked_by, made))
        for what, swell in OVERSIZE.items():
            made = partial(Oversize, turn, swell)
            cases.append(Case(scenario, "oversize", f"turn {turn}: {what}", asked_by, made))
    return cases


def _stopped(reason: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**body, "stopReason": reason}


def _at_request(scenario: Scenario, invocation: Invocation, request: Request, novelty: Novelty) -> Iterator[Case]:
    where, at = f"{_name(invocation)} {request.number} {request.label}", (invocation.number, request.number)
    made: Callable[[], Plan]
    simple: Sequence[tuple[str, Callable[..., Plan]]] = (
        ("dies before", kinds.DiesBefore),
        ("dies after", kinds.DiesAfter),
        ("answer lost", kinds.AnswerLostForGood),
        ("overtaken", kinds.Overtaken),
        ("finishes late", kinds.FinishesLate),
    )
    for kind, plan in simple:
        yield Case(scenario, kind, where, invocation.number, partial(plan, *at))
    if request.changes_something:
        yield Case(scenario, "answer lost, sent again", where, invocation.number, partial(kinds.AnswerLost, *at))
        yield Case(scenario, "finishes between", where, invocation.number, partial(kinds.FinishesBetween, *at))
        yield Case(scenario, "times out", where, invocation.number, partial(kinds.TimesOut, *at))
        made = partial(kinds.DiesForGood, *at)
        yield Case(scenario, "dies after, for good", where, invocation.number, made, survivable=False)
    for code, status in novelty.errors(invocation.function, request.service):
        made = partial(kinds.ServiceSays, *at, code, status)
        yield Case(scenario, "service error", f"{where}: {code}", invocation.number, made)
    if invocation.function == "OpenEscalationFunction" and scenario.answers:
        yield Case(scenario, "answered early", where, invocation.number, partial(kinds.AnsweredEarly, *at))
        made = partial(kinds.AnsweredEarly, *at, dies=True)
        yield Case(scenario, "answered early, asked again", where, invocation.number, made)
        made = partial(kinds.AnsweredBetween, *at)
        yield Case(scenario, "answered between two attempts", where, invocation.number, made)
        made = partial(kinds.AnsweredBetween, *at, attempts=3)
        yield Case(scenario, "answered between two attempts", f"{where}, after three", invocation.number, made)


def _at_invocation(
    scenario: Scenario, invocation: Invocation, state: Mapping[str, Any], novelty: Novelty
) -> Iterator[Case]:
    where, number = _name(invocation), invocation.number
    made: Callable[[], Plan]
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
