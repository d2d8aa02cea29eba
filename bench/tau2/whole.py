"""Play a case through the whole state machine: the template in the local cloud, a scripted model, no waiting."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from ballast.contracts import Planner, RunRequest
from ballast.playbook import load_playbook
from ballast.run import Run
from bench.tau2.cases import BadLine, Case, Fault
from bench.tau2.downstream import DOWNSTREAMS
from bench.tau2.environments import alike, fresh_environment
from bench.tau2.gold import GoldModel
from bench.tau2.judge import EQUAL, UNKNOWN, WRONG, Gold, Verdict, decided
from bench.tau2.memory import Clock, virtual_time
from bench.tau2.play import where
from bench.tau2.player import FOLDER, plans_of
from bench.tau2.workflow import call_of
from localcloud.clock import WallClock
from localcloud.cloud import FunctionError, LocalCloud
from localcloud.converse import ConverseServer

#: Real seconds after which a run is taken for stuck.
STUCK_S = 60.0
_EXECUTOR = "ExecutorFunction"


def play_whole(wanted: Sequence[Case]) -> Iterator[Verdict]:
    """Play cases, domain by domain, and yield what comes of each. One local cloud at a time."""
    for domain in dict.fromkeys(case.domain for case in wanted):
        tools = load_playbook(FOLDER / domain).tools
        here = [case for case in wanted if case.domain == domain]
        with _cloud(FOLDER / domain, here) as cloud:
            for case in here:
                yield _Run(cloud, Gold.of(plans_of(domain)[case.task_id], tools), case).verdict()


@contextmanager
def _cloud(playbook: Path, wanted: Sequence[Case]) -> Iterator[LocalCloud]:
    clock = Clock()
    plans = {case.task_id: plans_of(case.domain)[case.task_id] for case in wanted}
    with (
        virtual_time(clock),
        ConverseServer(GoldModel(plans.values())) as model,
        LocalCloud(playbook, model.url, clock=WallClock(now=clock, sleep=clock.wait_s)) as cloud,
    ):
        yield cloud


class _Run:
    """One case as one run. Its first call is its first turn, and so on: the model makes one a turn."""

    def __init__(self, cloud: LocalCloud, gold: Gold, case: Case) -> None:
        self._cloud, self._gold, self._case = cloud, gold, case
        request_id = sha256(case.name.encode()).hexdigest()
        context: dict[str, Any] = {"task_id": case.task_id}
        self._request = RunRequest(request_id=request_id, agent=case.domain, text=gold.plan.text, context=context)
        self._event = call_of(self._request.run_id, case.position)
        self._line = BadLine(fresh_environment(case.domain, case.task_id))
        self._struck = False

    def verdict(self) -> Verdict:
        run_id = self._request.run_id
        DOWNSTREAMS.put(run_id, self._line)
        self._cloud.before_invoke.append(self._spoil)
        self._cloud.after_invoke.append(self._afterwards)
        try:
            self._cloud.start(self._request)
            came, why = self._came(run_id)
            if came != WRONG and not alike(self._gold.environment, self._line.environment):
                came, why = WRONG, where(self._gold.environment, self._line.environment)
            means, told = self._gold.means(self._case.position), self._gold.told(self._statuses(run_id))
            return Verdict(self._case, means, came, told, why)
        finally:
            self._cloud.before_invoke.remove(self._spoil)
            self._cloud.after_invoke.remove(self._afterwards)
            DOWNSTREAMS.take(run_id, self._case.domain, self._case.task_id)

    def _came(self, run_id: str) -> tuple[str, str]:
        came, until = EQUAL, time.monotonic() + STUCK_S
        while self._cloud.status(run_id) == "RUNNING":
            if time.monotonic() > until:
                self._cloud.stop(run_id)
                return WRONG, "the run is stuck"
            opened = [event for event in self._cloud.events(run_id) if event.name == "escalation.opened"]
            if opened and came == EQUAL:
                came = UNKNOWN
                wrong = self._answered(run_id, opened[0].body)
                if wrong:
                    self._cloud.stop(run_id)
                    return WRONG, wrong
            time.sleep(0.02)
        execution = self._cloud.wait(run_id, STUCK_S)
        if execution.status != "SUCCEEDED" or execution.output["status"] != "answered":
            return WRONG, f"the run ended {execution.status} {execution.output or execution.error}"
        return came, ""

    def _answered(self, run_id: str, opened: Mapping[str, Any]) -> str:
        """Let a person look and answer; return what is wrong."""
        unknown = [state for state in Run.of(self._cloud.events(run_id)).calls if state.status == "unknown"]
        if opened["reason"] != "effect_unknown" or not unknown:
            return f"escalated for {opened['reason']}, and no effect is unknown"
        decision = decided(self._gold, self._case.position, self._line.environment)
        if decision is None:
            return f"call {self._case.position} happened more than once, or in part"
        answer = {"escalation_id": opened["escalation_id"], "by": "ann", "decision": decision}
        self._cloud.invoke("AnswerEscalationFunction", answer)
        return ""

    def _statuses(self, run_id: str) -> dict[int, str]:
        """Return how the calls ended, by position. A person made the one that was unknown."""
        states = Run.of(self._cloud.events(run_id)).calls
        agents = [state for state in states if state.planner is Planner.AGENT]
        ended = {at: state.status for at, state in enumerate(agents, start=1) if state.status != "unknown"}
        again = [state.status for state in states if state.planner is Planner.PERSON]
        return ended | ({self._case.position: again[0]} if again else {})

    # The fault

    def _spoil(self, function: str, event: Mapping[str, Any]) -> None:
        if function == _EXECUTOR and self._is_due(event) and self._case.fault is not Fault.DUPLICATE:
            self._struck = True
            self._line.spoil(self._case.fault, self._deliver_again)

    def _afterwards(self, function: str, event: Mapping[str, Any], _: Any) -> None:
        if function == _EXECUTOR and self._is_due(event) and self._case.fault is Fault.DUPLICATE:
            self._struck = True
            self._deliver_again()

    def _is_due(self, event: Mapping[str, Any]) -> bool:
        return not self._struck and {name: event.get(name) for name in self._event} == self._event

    def _deliver_again(self) -> None:
        try:
            self._cloud.invoke(_EXECUTOR, self._event)
        except FunctionError:
            return  # whoever delivers twice does not care what comes of it
