"""Play one case, with the protocol or without it, and compare the result with the gold plan's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from ballast.contracts import RunRequest, ToolCall
from ballast.errors import RetryLater
from ballast.playbook import Effect, Tool
from ballast.run import Run
from bench.tau2.cases import BadLine, Case, Fault, ServiceError
from bench.tau2.downstream import DOWNSTREAMS, Refused
from bench.tau2.environments import Tau2Environment, alike, fresh_environment
from bench.tau2.gold import CallOutcome, GoldCall, GoldPlan, play_directly
from bench.tau2.memory import Functions
from bench.tau2.play import where
from bench.tau2.workflow import Escalated, call_of, executed

EQUAL, UNKNOWN, WRONG = "equal", "unknown", "wrong"


@dataclass(frozen=True)
class Verdict:
    """What came of a case.

    means   how a dead attempt at the call is resolved: read, key, verify, person
    came    equal: the databases are as after the gold plan; unknown: the effect was marked unknown and escalated,
            and they are so after a person has looked; wrong: neither
    told    whether every write ended as on tau2 alone, ok or failed: what the agent was told of it is true
    why     what is wrong
    """

    case: Case
    means: str
    came: str
    told: bool
    why: str = ""


@dataclass(frozen=True)
class Gold:
    """A plan, what tau2 alone makes of it, and the tools of its playbook."""

    plan: GoldPlan
    environment: Tau2Environment
    outcomes: tuple[CallOutcome, ...]
    tools: Mapping[str, Tool]

    @classmethod
    def of(cls, plan: GoldPlan, tools: Mapping[str, Tool]) -> "Gold":
        """Play ``plan`` on tau2 alone."""
        return cls(plan, *play_directly(plan), tools)

    def means(self, position: int) -> str:
        """Return how a dead attempt at that call is resolved."""
        tool = self.tools[self.plan.calls[position - 1].tool]
        if tool.effect is Effect.READ:
            return "read"
        return "key" if tool.policy.honours_key else "verify" if tool.policy.verify else "person"

    def after(self, calls: int) -> Tau2Environment:
        """Return tau2's environment after the plan's first ``calls`` calls."""
        return play_directly(replace(self.plan, calls=self.plan.calls[:calls]))[0]

    def told(self, statuses: Mapping[int, str]) -> bool:
        """Say whether the writes ended as on tau2 alone; ``statuses`` by position, of the calls that ended.

        A read that timed out is told as that: it did nothing, and the agent may read again.
        """
        writes = {at: status for at, status in statuses.items() if self.means(at) != "read"}
        return all(self.outcomes[at - 1].status == status for at, status in writes.items())


class Protocol:
    """Plays a case through the executor, as the workflow does; a person answers what is escalated."""

    def __init__(self, functions: Functions, gold: Gold, case: Case, *, wraps: bool = False) -> None:
        functions.renew()
        self._functions, self._gold, self._case = functions, gold, case
        context: dict[str, Any] = {"task_id": case.task_id}
        request_id = sha256(case.name.encode()).hexdigest()
        request = RunRequest(request_id=request_id, agent=case.domain, text=gold.plan.text, context=context)
        self._line = BadLine(fresh_environment(case.domain, case.task_id), wraps=wraps)
        DOWNSTREAMS.put(request.run_id, self._line)
        self._run_id, self._turn, self._why = functions.admit(request), 0, ""
        self._turns: dict[int, int] = {}
        #: What happened, for a person who replays the case.
        self.heard: list[str] = []

    def verdict(self) -> Verdict:
        """Play the case."""
        try:
            came = EQUAL
            for position, call in enumerate(self._gold.plan.calls, start=1):
                escalated = self._made(position, call)
                if escalated is not None:
                    came = UNKNOWN if self._person(escalated, position) else WRONG
                    if came == WRONG:
                        break
            if came != WRONG and not alike(self._gold.environment, self._line.environment):
                came, self._why = WRONG, where(self._gold.environment, self._line.environment)
            told = self._gold.told(self._statuses())
            return Verdict(self._case, self._gold.means(self._case.position), came, told, self._why)
        finally:
            DOWNSTREAMS.take(self._run_id, self._case.domain, self._case.task_id)

    def _made(self, position: int, call: GoldCall) -> Escalated | None:
        """Let the agent propose a call and execute it, with the case's fault if this is its call."""
        self._turn += 1
        self._turns[self._turn] = position
        self._functions.propose(self._run_id, self._turn, _proposed(call))
        if position == self._case.position and self._case.fault is not Fault.DUPLICATE:
            self._line.spoil(self._case.fault, self._delivered_again)
        outcome = executed(self._invoked, self._functions.clock.wait_s, run_id=self._run_id, turn=self._turn)
        if position == self._case.position and self._case.fault is Fault.DUPLICATE:
            self._delivered_again()
        return outcome if isinstance(outcome, Escalated) else None

    def _invoked(self, **more: Any) -> str:
        at = f"+{(self._functions.clock.now.timestamp()) % 3600:.0f} s, turn {self._turn}: the executor"
        try:
            status = self._functions.execute(call_of(self._run_id, self._turn), **more)
        except BaseException as problem:
            self.heard.append(f"{at} raised {type(problem).__name__}: {problem}")
            raise
        self.heard.append(f"{at} returned {status}")
        return status

    def _delivered_again(self) -> None:
        """Deliver the event once more; whoever delivers twice does not care what comes of it."""
        self.heard.append("the event is delivered again")
        try:
            self._invoked()
        except Exception as problem:
            self.heard.append(f"nobody waits for {type(problem).__name__}")

    def _person(self, escalated: Escalated, position: int) -> bool:
        """Let a person look at tau2's databases and answer. False where nothing was escalated that is unknown."""
        message = self._functions.escalate(escalated.payload)
        unknown = [state for state in Run.of(self._functions.events(self._run_id)).calls if state.status == "unknown"]
        self._turn += 1
        if message is None or message["reason"] != "effect_unknown" or not unknown:
            self._why = f"{escalated.error} at call {position}, and nobody was told that an effect is unknown"
            return False
        self.heard.append(f"people were told: {message['reason']}: {unknown[0].message}")
        decision = decided(self._gold, position, self._line.environment)
        if decision is None:
            self._why = f"call {position} happened more than once, or in part"
            return False
        self._functions.answered(self._run_id, self._turn, decision)
        if decision["kind"] == "hand_over":
            return True
        self._turns[self._turn] = position
        return executed(self._invoked, self._functions.clock.wait_s, run_id=self._run_id, turn=self._turn) == "ok"

    def _statuses(self) -> dict[int, str]:
        """Return how the calls ended, by position; what is unknown was never told."""
        ended = (state for state in Run.of(self._functions.events(self._run_id)).calls if state.status != "unknown")
        return {self._turns[state.turn]: state.status for state in ended}


def decided(gold: Gold, position: int, environment: Tau2Environment) -> dict[str, Any] | None:
    """Return what a person decides who looks at the databases after that call: to go on, or to make it again.

    None where it happened more than once, or in part: nothing puts that right.
    """
    if alike(gold.after(position), environment):
        return {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "It was done. Go on."}
    if not alike(gold.after(position - 1), environment):
        return None
    call = _proposed(gold.plan.calls[position - 1])
    return {"kind": "call_tools", "calls": [call.model_dump(mode="json")]}


def naively(gold: Gold, case: Case, *, wraps: bool = False) -> Verdict:
    """Play the case without the protocol: the tool is called whenever the event comes, retried as the workflow does."""
    line = BadLine(fresh_environment(case.domain, case.task_id), wraps=wraps)
    statuses: dict[int, str] = {}
    for position, call in enumerate(gold.plan.calls, start=1):
        deliver = _bare(line, call)
        if position == case.position and case.fault is not Fault.DUPLICATE:
            line.spoil(case.fault, deliver)
        outcome = executed(deliver, lambda _: None, run_id="run-naive", turn=position)
        statuses[position] = outcome if isinstance(outcome, str) else "failed"
        if position == case.position and case.fault is Fault.DUPLICATE:
            deliver()
    same = alike(gold.environment, line.environment)
    return Verdict(case, gold.means(case.position), EQUAL if same else WRONG, gold.told(statuses))


def _bare(line: BadLine, call: GoldCall) -> Callable[[], str]:
    def deliver() -> str:
        try:
            line.request(call.tool, call.arguments)
        except Refused:
            return "failed"
        except (TimeoutError, ServiceError) as late:
            raise RetryLater(str(late)) from late
        return "ok"

    return deliver


def _proposed(call: GoldCall) -> ToolCall:
    arguments: dict[str, Any] = dict(call.arguments)
    return ToolCall(tool=call.tool, arguments=arguments)
