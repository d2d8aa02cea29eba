"""An interpreter of Amazon States Language (JSONata only) for the local cloud and the fault matrix.

It has what ``agent.asl.yaml`` and its like use (``lambda:invoke`` with and without a task token, Choice, Map, Pass,
Wait, Succeed, Fail, Retry, Catch, Assign) and refuses the rest by name, before anything runs. The caller supplies the
environment as ``Tasks``: functions, tokens, time. A test runs the same executions on moto's interpreter and compares
histories and outputs.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from localcloud.moto_seams.jsonata import QueryFailed, evaluate

#: The most bytes of a state's input or output.
MAX_STATE_BYTES = 256 * 1024
#: The number of events that ends an execution of a STANDARD state machine.
MAX_HISTORY = 25_000
#: Seconds that a task without ``TimeoutSeconds`` may take.
NO_TIMEOUT_S = 99_999_999
#: Errors that end the execution whatever its Catch says.
_TERMINAL = ("States.DataLimitExceeded", "States.Runtime")
_INVOKE = "arn:aws:states:::lambda:invoke"
_TOKEN = ".waitForTaskToken"  # noqa: S105
_KNOWN = ("Choice", "Fail", "Map", "Pass", "Succeed", "Task", "Wait")


class StateFailed(Exception):
    """A state failed, under the name by which Retry and Catch know it."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error, self.cause = error, cause


class Stopped(Exception):
    """The execution was stopped or timed out; ``status`` says which."""


class Tasks(Protocol):
    """The environment of an execution. Each method may raise ``Stopped``."""

    def now(self) -> datetime:
        """Return the time."""

    def invoke(self, function_arn: str, payload: Any, state: str, timeout_s: float) -> Any:
        """Return the function's result, or raise ``StateFailed``: ``States.Timeout`` after ``timeout_s``."""

    def token(self, execution: Execution) -> str:
        """Return a new task token."""

    def wait(self, token: str, timeout_s: float) -> Any:
        """Wait for the token's answer and return it, or raise ``StateFailed``. The token is then used up."""

    def answered(self, token: str) -> Any:
        """Return the token's answer, or None if it has none yet. The token is then used up."""

    def entered(self, state: str) -> None:
        """Note that a state begins."""

    def pause(self, seconds: float) -> None:
        """Let time pass, before a retry or in a Wait."""

    def side_by_side(self, work: Sequence[Callable[[], Any]], at_once: int) -> list[Any]:
        """Return all results, in order; raise the first ``StateFailed``. ``at_once``: 0 means no limit."""


class History:
    """The events of one execution, as GetExecutionHistory returns them."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self.events: list[dict[str, Any]] = []

    def add(self, type_: str, previous: int, **details: Any) -> int:
        """Append an event and return its id. ``details``: one key, e.g. ``stateEnteredEventDetails``."""
        with self._lock:
            number = len(self.events) + 1
            event = {"id": number, "previousEventId": previous, "timestamp": self._now(), "type": type_}
            self.events.append(event | details)
        return number


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
    history: History | None = None


class Interpreter:
    """Runs executions of one definition, which ``check`` has passed.

    ``draw`` returns the factor of a wait with jitter, 0 to 1. By default every wait is the longest.
    """

    def __init__(self, definition: Mapping[str, Any], tasks: Tasks, draw: Callable[[], float] = lambda: 1.0) -> None:
        self._definition, self._tasks, self._draw = definition, tasks, draw

    def run(self, execution: Execution) -> None:
        """Run ``execution`` to its end, and write its history."""
        history = execution.history = execution.history or History(self._tasks.now)
        history.add("ExecutionStarted", 0, executionStartedEventDetails={"input": _text(execution.input)})
        # The first state has no event before it, as on AWS.
        branch = _Branch(self._tasks, execution, history, 0, self._draw)
        try:
            execution.output = branch.states(self._definition, execution.input, {})
        except Stopped:
            kind = "ExecutionTimedOut" if execution.status == "TIMED_OUT" else "ExecutionAborted"
            details = {"error": execution.error, "cause": execution.cause}
            key = f"{kind[0].lower()}{kind[1:]}EventDetails"
            history.add(kind, branch.last, **{key: {name: text for name, text in details.items() if text is not None}})
        except StateFailed as failed:
            execution.status, execution.error, execution.cause = "FAILED", failed.error, failed.cause
            details = {"error": failed.error, "cause": failed.cause}
            history.add("ExecutionFailed", branch.last, executionFailedEventDetails=details)
        else:
            execution.status = "SUCCEEDED"
            details = {"output": _text(execution.output)}
            history.add("ExecutionSucceeded", branch.last, executionSucceededEventDetails=details)


def check(definition: Mapping[str, Any]) -> None:
    """Raise ``NotImplementedError`` for a definition that this interpreter does not support."""
    if definition.get("QueryLanguage") != "JSONata":
        raise NotImplementedError("only QueryLanguage: JSONata is supported here")
    for name, state in _states(definition):
        if state["Type"] not in _KNOWN:
            raise NotImplementedError(f"{name}: a state of type {state['Type']} is not supported here")
        resource = str(state.get("Resource", ""))
        if state["Type"] == "Task" and resource.removesuffix(_TOKEN) != _INVOKE:
            raise NotImplementedError(f"{name}: the resource {resource} is not supported here, only {_INVOKE}")


def _states(machine: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from _states(state["ItemProcessor"])


class _Branch:
    """The sequence of states of an execution or of one Map iteration. ``last`` is its latest event."""

    def __init__(
        self, tasks: Tasks, execution: Execution, history: History, last: int, draw: Callable[[], float]
    ) -> None:
        self._tasks, self._execution, self._history, self.last, self._draw = tasks, execution, history, last, draw
        #: Set if another iteration of the same Map failed.
        self.given_up = False

    def states(
        self, machine: Mapping[str, Any], state_input: Any, variables: dict[str, Any], item: Mapping[str, Any] = {}
    ) -> Any:
        """Run the states from ``StartAt`` on and return the last one's output."""
        name: str | None = machine["StartAt"]
        while name is not None:
            self._go_on()
            state = machine["States"][name]
            self._execution.visited.append(name)
            self._note(
                f"{state['Type']}StateEntered", stateEnteredEventDetails={"name": name, "input": _text(state_input)}
            )
            self._tasks.entered(name)
            step = _State(name, state, state_input, variables, self._context(name, item))
            state_input, name, assigned = self._step(step)
            self._check_size(state_input)
            if state["Type"] != "Fail":
                exited: dict[str, Any] = {"name": step.name, "output": _text(state_input)}
                if assigned:
                    exited["assignedVariables"] = {key: _text(value) for key, value in assigned.items()}
                self._note(f"{state['Type']}StateExited", stateExitedEventDetails=exited)
        return state_input

    def _go_on(self) -> None:
        if self._execution.status != "RUNNING" or self.given_up:
            raise Stopped
        if len(self._history.events) >= MAX_HISTORY - 1:
            raise StateFailed("States.Runtime", f"The execution reached the maximum number of {MAX_HISTORY} events.")

    def _note(self, type_: str, **details: Any) -> None:
        self.last = self._history.add(type_, self.last, **details)

    def _context(self, name: str, item: Mapping[str, Any]) -> dict[str, Any]:
        execution, now = self._execution, self._tasks.now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        about = {"Id": execution.arn, "Name": execution.name, "Input": execution.input}
        state = {"Name": name, "EnteredTime": now, "RetryCount": 0}
        return {"Execution": about, "State": state, **({"Map": {"Item": item}} if item else {})}

    def _check_size(self, value: Any) -> None:
        size = len(_text(value))
        if len(self._execution.visited) > 1:
            self._execution.largest = max(self._execution.largest, size)
        if size > MAX_STATE_BYTES:
            raise StateFailed("States.DataLimitExceeded", f"The state returned a result of {size} bytes.")

    def _step(self, step: _State) -> tuple[Any, str | None, Mapping[str, Any]]:
        """Run one state; return its output, the next state's name and the variables that it assigned."""
        if step.state["Type"] in ("Task", "Map"):
            return self._trying(step, self._task if step.state["Type"] == "Task" else self._map)
        try:
            return self._at_once(step)
        except StateFailed as failed:
            self._note_evaluation(step, failed)
            raise

    def _at_once(self, step: _State) -> tuple[Any, str | None, Mapping[str, Any]]:
        match step.state["Type"]:
            case "Choice":
                return step.input, step.choice(), {}
            case "Wait":
                self._tasks.pause(float(step.value(step.state["Seconds"])))
                return step.leave(step.input)
            case "Fail":
                raise StateFailed(step.value(step.state["Error"]), str(step.value(step.state["Cause"])))
            case _:
                return step.leave(step.input)

    def _note_evaluation(self, step: _State, failed: StateFailed) -> None:
        if failed.error == "States.QueryEvaluationError":
            details = {"error": failed.error, "cause": failed.cause, "state": step.name}
            self._note("EvaluationFailed", evaluationFailedEventDetails=details)

    def _trying(self, step: _State, work: Callable[[_State], Any]) -> tuple[Any, str | None, Mapping[str, Any]]:
        """Run ``work``; on an error, repeat it as Retry says or continue as Catch says."""
        tried: dict[int, int] = {}
        while True:
            try:
                step.states["result"] = work(step)
                self._check_size(step.states["result"])
                return step.leave(step.states["result"])
            except StateFailed as failed:
                self._go_on()
                self._note_evaluation(step, failed)
                wait_s = _retried(step.state.get("Retry", ()), failed.error, tried, self._draw)
                if wait_s is None:
                    return step.caught(failed)
                self._tasks.pause(wait_s)
                self._go_on()
                step.states["context"]["State"]["RetryCount"] += 1

    def _task(self, step: _State) -> Any:
        waits = step.state["Resource"].endswith(_TOKEN)
        kind = {"resourceType": "lambda", "resource": f"invoke{_TOKEN}" if waits else "invoke"}
        started = self._tasks.now()
        timeout_s = float(step.value(step.state.get("TimeoutSeconds", NO_TIMEOUT_S)))
        if waits:
            step.states["context"]["Task"] = {"Token": self._tasks.token(self._execution)}
        arguments = step.value(step.state["Arguments"])
        self._note("TaskScheduled", taskScheduledEventDetails=kind | {"parameters": _text(arguments)})
        self._note("TaskStarted", taskStartedEventDetails=kind)
        try:
            result = self._invoke(step, arguments, timeout_s, started, kind if waits else None)
        except StateFailed as failed:
            if failed.error == "States.Timeout":
                self._note("TaskTimedOut", taskTimedOutEventDetails=kind | {"error": failed.error})
            elif failed.error != "States.QueryEvaluationError":
                about = {"error": failed.error, "cause": failed.cause}
                self._note("TaskFailed", taskFailedEventDetails=kind | about)
            raise
        self._note("TaskSucceeded", taskSucceededEventDetails=kind | {"output": _text(result)})
        return result

    def _invoke(
        self, step: _State, arguments: Mapping[str, Any], timeout_s: float, started: datetime, submits: Any
    ) -> Any:
        token = step.states["context"]["Task"]["Token"] if submits else None
        try:
            result = self._tasks.invoke(arguments["FunctionName"], arguments.get("Payload", {}), step.name, timeout_s)
            left_s = timeout_s - (self._tasks.now() - started).total_seconds()
            if left_s < 0:
                raise StateFailed("States.Timeout")
        except StateFailed:
            # If the token was answered already, the function's own result does not matter.
            early = self._tasks.answered(token) if token else None
            if early is None:
                raise
            return early
        made = {"ExecutedVersion": "$LATEST", "Payload": result, "StatusCode": 200}
        if token is None:
            return made
        self._note("TaskSubmitted", taskSubmittedEventDetails=submits | {"output": _text(made)})
        return self._tasks.wait(token, left_s)

    def _map(self, step: _State) -> list[Any]:
        items = step.value(step.state["Items"])
        at_once = int(step.value(step.state.get("MaxConcurrency", 0)))
        self._note("MapStateStarted", mapStateStartedEventDetails={"length": len(items)})
        started = self.last
        branches = [_Branch(self._tasks, self._execution, self._history, 0, self._draw) for _ in items]

        def iterate(index: int, item: Any) -> Any:
            branch, about = branches[index], {"Index": index, "Value": item}
            iteration = {"name": step.name, "index": index}
            if branch.given_up:
                raise Stopped
            branch.last = self._history.add("MapIterationStarted", started, mapIterationStartedEventDetails=iteration)
            within = step.iteration(about)
            try:
                selected = within.value(step.state["ItemSelector"]) if "ItemSelector" in step.state else item
                output = branch.states(step.state["ItemProcessor"], selected, dict(step.variables), about)
            except StateFailed:
                self._history.add("MapIterationFailed", branch.last, mapIterationFailedEventDetails=iteration)
                for other in branches:
                    other.given_up = True
                raise
            branch.last = self._history.add(
                "MapIterationSucceeded", branch.last, mapIterationSucceededEventDetails=iteration
            )
            return output

        work = [lambda index=index, item=item: iterate(index, item) for index, item in enumerate(items)]
        try:
            outputs = self._tasks.side_by_side(work, at_once)
        except StateFailed:
            self.last = self._history.add("MapStateFailed", max([started, *(branch.last for branch in branches)]))
            raise
        self.last = max([started, *(branch.last for branch in branches)])
        self._note("MapStateSucceeded")
        return outputs


class _State:
    """One state and the values that its expressions may refer to."""

    def __init__(
        self, name: str, state: Mapping[str, Any], state_input: Any, variables: dict[str, Any], context: dict[str, Any]
    ) -> None:
        self.name, self.state, self.input, self.variables = name, state, state_input, variables
        self.states: dict[str, Any] = {"input": state_input, "context": context, "result": None, "errorOutput": None}

    def iteration(self, item: Mapping[str, Any]) -> _State:
        """Return this state as seen by the selector of one Map item."""
        return _State(
            self.name, self.state, self.input, self.variables, self.states["context"] | {"Map": {"Item": item}}
        )

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
        if "Default" not in self.state:
            raise StateFailed("States.NoChoiceMatched", f"No choice of {self.name} matched.")
        return str(self.state["Default"])

    def leave(self, otherwise: Any) -> tuple[Any, str | None, Mapping[str, Any]]:
        """Assign; return the output (``otherwise`` by default), the next state and the assigned variables."""
        return self._leave(self.state, otherwise)

    def caught(self, failed: StateFailed) -> tuple[Any, str | None, Mapping[str, Any]]:
        """Continue as the matching Catch says, or raise ``failed``."""
        for catcher in self.state.get("Catch", ()):
            if _fits(catcher["ErrorEquals"], failed.error):
                self.states["errorOutput"] = {"Error": failed.error, "Cause": failed.cause}
                return self._leave(catcher, self.states["errorOutput"])
        raise failed

    def _leave(self, rules: Mapping[str, Any], otherwise: Any) -> tuple[Any, str | None, Mapping[str, Any]]:
        # Both see the variables as they were before.
        output = self.value(rules["Output"]) if "Output" in rules else otherwise
        assigned: Mapping[str, Any] = self.value(rules.get("Assign", {}))
        self.variables.update(assigned)
        return output, rules.get("Next"), assigned


def _fits(names: Sequence[str], error: str) -> bool:
    if error in names:
        return True
    task_failed = "States.TaskFailed" in names and error != "States.Timeout"
    return ("States.ALL" in names or task_failed) and error not in _TERMINAL


def _retried(
    retriers: Sequence[Mapping[str, Any]], error: str, tried: dict[int, int], draw: Callable[[], float]
) -> float | None:
    """Return the seconds until the next attempt; None if there is none."""
    for position, rule in enumerate(retriers):
        if _fits(rule["ErrorEquals"], error):
            done = tried.get(position, 0)
            if done >= rule.get("MaxAttempts", 3):
                return None
            tried[position] = done + 1
            wait_s = rule.get("IntervalSeconds", 1) * rule.get("BackoffRate", 2.0) ** done
            wait_s = float(min(wait_s, rule.get("MaxDelaySeconds", wait_s)))
            return wait_s * draw() if rule.get("JitterStrategy") == "FULL" else wait_s
    return None


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
