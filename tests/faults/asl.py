"""A small, single-threaded interpreter of ``agent.asl.yaml``: Amazon States Language, JSONata only.

It has what the file uses (``lambda:invoke`` with and without a task token, Choice, Map, Pass, Succeed, Fail,
Retry, Catch, Assign) and refuses the rest by name. ``test_interpreter.py`` holds it to moto's: the
same runs visit the same states and end with the same output.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from local.moto_seams.jsonata import QueryFailed, evaluate
from tests.faults.clock import Clock

#: What Step Functions takes as a state's input or output.
MAX_STATE_BYTES = 256 * 1024
#: They end the execution whatever its Catch says.
_TERMINAL = ("States.DataLimitExceeded", "States.Runtime")
_INVOKE = "arn:aws:states:::lambda:invoke"


class StateFailed(Exception):
    """A state failed, under the name by which Retry and Catch know it."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error, self.cause = error, cause


class Tasks(Protocol):
    """What an execution needs of the world."""

    def invoke(self, function_arn: str, payload: Any, state: str) -> Any:
        """Return what the function returned, or raise ``StateFailed``."""

    def token(self, execution: Execution) -> str:
        """Return a new task token."""

    def wait(self, token: str, timeout_s: float) -> Any:
        """Return what the token was answered with, or raise ``StateFailed``. The token is over then."""

    def answered(self, token: str) -> Any:
        """Return what the token was answered with so far, else None. The token is over then."""

    def entered(self, state: str) -> None:
        """A state begins."""


@dataclass
class Execution:
    """One run of the state machine.

    status   RUNNING, then SUCCEEDED, FAILED, ABORTED or TIMED_OUT
    visited  the states, in the order in which they were entered
    largest  bytes of the largest state after the first
    """

    arn: str
    name: str
    input: Any
    status: str = "RUNNING"
    output: Any = None
    error: str | None = None
    cause: str | None = None
    visited: list[str] = field(default_factory=list)
    largest: int = 0
    tokens: int = 0


class Aborted(Exception):
    """The execution was stopped from outside."""


class Interpreter:
    """Runs executions of one definition."""

    def __init__(self, definition: Mapping[str, Any], tasks: Tasks, clock: Clock) -> None:
        if definition.get("QueryLanguage") != "JSONata":
            raise NotImplementedError("only JSONata")
        self._definition, self._tasks, self._clock = definition, tasks, clock

    def run(self, execution: Execution) -> None:
        """Run ``execution`` to its end."""
        try:
            execution.output = _Run(self._tasks, self._clock, execution).states(self._definition, execution.input, {})
            execution.status = "SUCCEEDED"
        except Aborted:
            execution.status = "ABORTED"
        except StateFailed as failed:
            execution.status, execution.error, execution.cause = "FAILED", failed.error, failed.cause


class _Run:
    def __init__(self, tasks: Tasks, clock: Clock, execution: Execution) -> None:
        self._tasks, self._clock, self._execution = tasks, clock, execution

    def states(
        self, machine: Mapping[str, Any], state_input: Any, variables: dict[str, Any], item: Mapping[str, Any] = {}
    ) -> Any:
        """Run a state machine, or one iteration of a Map, and return its output."""
        name: str | None = machine["StartAt"]
        while name is not None:
            if self._execution.status != "RUNNING":
                raise Aborted
            state = machine["States"][name]
            self._execution.visited.append(name)
            self._tasks.entered(name)
            step = _State(name, state, state_input, variables, self._context(name, item))
            state_input, name = self._step(step)
            self._check_size(state_input)
        return state_input

    def _context(self, name: str, item: Mapping[str, Any]) -> dict[str, Any]:
        execution, now = self._execution, self._clock.now.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        about = {"Id": execution.arn, "Name": execution.name, "Input": execution.input}
        state = {"Name": name, "EnteredTime": now}
        return {"Execution": about, "State": state, **({"Map": {"Item": item}} if item else {})}

    def _check_size(self, value: Any) -> None:
        size = len(json.dumps(value))
        if len(self._execution.visited) > 1:
            self._execution.largest = max(self._execution.largest, size)
        if size > MAX_STATE_BYTES:
            raise StateFailed("States.DataLimitExceeded", f"{size} bytes")

    def _step(self, step: _State) -> tuple[Any, str | None]:
        """Run one state; return its output and the next state's name."""
        match step.state["Type"]:
            case "Choice":
                return step.input, step.choice()
            case "Pass":
                return step.leave(step.input)
            case "Succeed":
                return step.leave(step.input)
            case "Fail":
                raise StateFailed(step.value(step.state["Error"]), str(step.value(step.state["Cause"])))
            case "Task":
                return self._trying(step, lambda: self._task(step))
            case "Map":
                return self._trying(step, lambda: self._map(step))
            case other:
                raise NotImplementedError(f"{step.name}: {other}")

    def _trying(self, step: _State, work: Callable[[], Any]) -> tuple[Any, str | None]:
        """Do ``work``, again where a Retry says so, else as a Catch says."""
        tried: dict[int, int] = {}
        while True:
            try:
                step.states["result"] = work()
                self._check_size(step.states["result"])
                return step.leave(step.states["result"])
            except StateFailed as failed:
                if self._execution.status != "RUNNING":
                    raise Aborted from None
                wait_s = _retried(step.state.get("Retry", ()), failed.error, tried)
                if wait_s is None:
                    return step.caught(failed)
                self._clock.advance(wait_s)

    def _task(self, step: _State) -> Any:
        resource, waits = step.state["Resource"], step.state["Resource"].endswith(".waitForTaskToken")
        if resource.removesuffix(".waitForTaskToken") != _INVOKE:
            raise NotImplementedError(f"{step.name}: {resource}")
        started = self._clock.now
        timeout_s = float(step.value(step.state["TimeoutSeconds"]))
        if waits:
            step.states["context"]["Task"] = {"Token": self._tasks.token(self._execution)}
        arguments = step.value(step.state["Arguments"])
        try:
            result = self._tasks.invoke(arguments["FunctionName"], arguments.get("Payload", {}), step.name)
            left_s = timeout_s - (self._clock.now - started).total_seconds()
            if left_s < 0:
                raise StateFailed("States.Timeout")
        except StateFailed:
            # Whoever has the token may have answered already; then it does not matter what the function did.
            early = self._tasks.answered(step.states["context"]["Task"]["Token"]) if waits else None
            if early is None:
                raise
            return early
        if waits:
            return self._tasks.wait(step.states["context"]["Task"]["Token"], left_s)
        return {"ExecutedVersion": "$LATEST", "Payload": result, "StatusCode": 200}

    def _map(self, step: _State) -> list[Any]:
        """One iteration after the other: what runs side by side on AWS has to come out the same in any order."""
        outputs = []
        for index, item in enumerate(step.value(step.state["Items"])):
            about = {"Index": index, "Value": item}
            step.states["context"]["Map"] = {"Item": about}
            selected = step.value(step.state["ItemSelector"]) if "ItemSelector" in step.state else item
            outputs.append(self.states(step.state["ItemProcessor"], selected, dict(step.variables), about))
        return outputs


class _State:
    """One state with what its expressions may refer to."""

    def __init__(
        self, name: str, state: Mapping[str, Any], state_input: Any, variables: dict[str, Any], context: dict[str, Any]
    ) -> None:
        self.name, self.state, self.input, self.variables = name, state, state_input, variables
        self.states: dict[str, Any] = {"input": state_input, "context": context, "result": None, "errorOutput": None}

    def value(self, template: Any) -> Any:
        """Return ``template`` with its ``{% … %}`` evaluated."""
        if isinstance(template, str) and template.startswith("{%") and template.endswith("%}"):
            try:
                return evaluate(template[2:-2], self.variables, self.states)
            except QueryFailed as problem:
                raise StateFailed("States.QueryEvaluationError", str(problem)) from None
        if isinstance(template, Mapping):
            return {name: self.value(inner) for name, inner in template.items()}
        if isinstance(template, list):
            return [self.value(inner) for inner in template]
        return template

    def choice(self) -> str:
        """Return the next state of a Choice."""
        for rule in self.state["Choices"]:
            if self.value(rule["Condition"]) is True:
                return str(rule["Next"])
        return str(self.state["Default"])

    def leave(self, otherwise: Any) -> tuple[Any, str | None]:
        """Assign, and return the output (``otherwise`` where none is written) and the next state."""
        return self._leave(self.state, otherwise)

    def caught(self, failed: StateFailed) -> tuple[Any, str | None]:
        """Return output and next state of the Catch that fits, or raise ``failed``."""
        for catcher in self.state.get("Catch", ()):
            if _fits(catcher["ErrorEquals"], failed.error):
                self.states["errorOutput"] = {"Error": failed.error, "Cause": failed.cause}
                return self._leave(catcher, self.states["errorOutput"])
        raise failed

    def _leave(self, rules: Mapping[str, Any], otherwise: Any) -> tuple[Any, str | None]:
        # Both see the variables as they were.
        output = self.value(rules["Output"]) if "Output" in rules else otherwise
        assigned = self.value(rules.get("Assign", {}))
        self.variables.update(assigned)
        return output, rules.get("Next")


def _fits(names: Sequence[str], error: str) -> bool:
    if error in names:
        return True
    task_failed = "States.TaskFailed" in names and error != "States.Timeout"
    return ("States.ALL" in names or task_failed) and error not in _TERMINAL


def _retried(retriers: Sequence[Mapping[str, Any]], error: str, tried: dict[int, int]) -> float | None:
    """Return after how many seconds to try again, None where not. A jitter is not drawn: the longest wait is waited."""
    for position, rule in enumerate(retriers):
        if _fits(rule["ErrorEquals"], error):
            done = tried.get(position, 0)
            if done >= rule.get("MaxAttempts", 3):
                return None
            tried[position] = done + 1
            wait_s = rule.get("IntervalSeconds", 1) * rule.get("BackoffRate", 2.0) ** done
            return float(min(wait_s, rule.get("MaxDelaySeconds", wait_s)))
    return None
