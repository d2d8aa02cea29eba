"""Our interpreter against moto's: the same executions have the same histories and the same ends.

Each case runs on both, with the same scripted functions. Compared of each event: its type, the state,
the event before it, input, output, error and assigned variables. If moto is known to differ from AWS, a test of our
own states what AWS does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from localcloud.clock import VirtualClock
from localcloud.stepfunctions.engine import Engine, Run
from localcloud.stepfunctions.states import Execution, StateFailed
from tests.support.motos_interpreter import motos_interpreter, play
from tests.support.sampling import sampled
from tests.workflow.edges import edges_of, edges_taken, load_definition

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:"
FUNCTIONS = ("Admit", "Extend", "Agent", "Fallback", "Rollback", "Executor", "OpenEscalation", "Settle")


@dataclass
class Says:
    """What a function says: a result or an error; ``answer`` or ``fails`` is sent for its task token at once."""

    result: Any = None
    error: str | None = None
    answer: Any = None
    fails: str | None = None


@dataclass(frozen=True)
class Case:
    """An execution: its machine, its input, and what each function says, call by call (the last for good)."""

    name: str
    input: Any = field(default_factory=dict)
    states: Mapping[str, Any] | None = None
    says: Mapping[str, list[Says]] = field(default_factory=dict)


def task(function: str = "work", **more: Any) -> dict[str, Any]:
    arguments = {"FunctionName": ARN + function, "Payload": "{% $states.input %}"}
    return {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": arguments, "End": True} | more


def asks(**more: Any) -> dict[str, Any]:
    arguments = {"FunctionName": ARN + "work", "Payload": {"task_token": "{% $states.context.Task.Token %}"}}
    return task(Resource="arn:aws:states:::lambda:invoke.waitForTaskToken", Arguments=arguments) | more


OK, BOOM = Says({"a": 1}), Says(error="Boom")
EACH = {
    "Type": "Map",
    "Items": "{% $states.input.items %}",
    "ItemSelector": {"n": "{% $states.context.Map.Item.Value %}", "at": "{% $states.context.Map.Item.Index %}"},
    "MaxConcurrency": 1,
    "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "One", "States": {"One": task()}},
    "End": True,
}
SMALL = [
    Case("passes on", {"x": [1, {"y": None}]}, {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Succeed"}}),
    Case(
        "assigns and uses what it assigned",
        {"x": 2},
        {
            "A": {"Type": "Pass", "Assign": {"n": "{% $states.input.x %}", "m": {"k": "v"}}, "Next": "B"},
            "B": {"Type": "Pass", "Assign": {"n": "{% $n + 1 %}"}, "Next": "C"},
            "C": {"Type": "Succeed", "Output": "{% {'n': $n, 'm': $m} %}"},
        },
    ),
    Case("invokes", {"x": 1}, {"A": task()}, {"work": [OK]}),
    Case("takes an output", {}, {"A": task(Output="{% $states.result.Payload.a %}")}, {"work": [OK]}),
    Case("fails for good", {}, {"A": task()}, {"work": [BOOM]}),
    Case(
        "is caught by its name",
        {},
        {
            "A": task(Catch=[{"ErrorEquals": ["Boom"], "Output": "{% $states.errorOutput.Error %}", "Next": "B"}]),
            "B": {"Type": "Succeed"},
        },
        {"work": [BOOM]},
    ),
    Case(
        "is caught with all others",
        {},
        {
            "A": task(
                Catch=[
                    {"ErrorEquals": ["Other"], "Next": "B"},
                    {
                        "ErrorEquals": ["States.ALL"],
                        "Assign": {"e": "{% $states.errorOutput.Error %}"},
                        "Output": {"k": 1},
                        "Next": "B",
                    },
                ]
            ),
            "B": {"Type": "Succeed", "Output": "{% $e %}"},
        },
        {"work": [BOOM]},
    ),
    Case(
        "is tried again",
        {},
        {"A": task(Retry=[{"ErrorEquals": ["Boom"], "MaxAttempts": 2, "IntervalSeconds": 1}])},
        {"work": [BOOM, BOOM, OK]},
    ),
    Case(
        "is tried again in vain",
        {},
        {"A": task(Retry=[{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}])},
        {"work": [BOOM]},
    ),
    Case(
        "has two retriers",
        {},
        {
            "A": task(
                Retry=[
                    {"ErrorEquals": ["Boom"], "MaxAttempts": 1},
                    {"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 1},
                ]
            )
        },
        {"work": [BOOM, Says(error="Other"), BOOM]},
    ),
    Case(
        "chooses",
        {"x": 5},
        {
            "A": {
                "Type": "Choice",
                "Choices": [
                    {"Condition": "{% $states.input.x > 6 %}", "Next": "B"},
                    {"Condition": "{% $states.input.x > 4 %}", "Next": "C"},
                ],
                "Default": "B",
            },
            "B": {"Type": "Succeed"},
            "C": {"Type": "Succeed", "Output": "chosen"},
        },
    ),
    Case(
        "fails by itself",
        {"x": 1},
        {"A": {"Type": "Fail", "Error": "Mine", "Cause": "{% 'x is ' & $states.input.x %}"}},
    ),
    Case("has a query that gives nothing", {}, {"A": {"Type": "Pass", "Output": "{% $nothing %}", "End": True}}),
    Case("maps", {"items": [3, 4]}, {"A": EACH}, {"work": [OK]}),
    Case("maps nothing", {"items": []}, {"A": EACH}),
    Case("has an item that fails", {"items": [3, 4]}, {"A": EACH}, {"work": [OK, BOOM]}),
    Case(
        "catches an item that fails",
        {"items": [3, 4]},
        {
            "A": EACH
            | {"Catch": [{"ErrorEquals": ["Boom"], "Output": "{% $states.errorOutput.Error %}", "Next": "B"}]},
            "B": {"Type": "Succeed"},
        },
        {"work": [BOOM]},
    ),
    Case("waits for an answer", {}, {"A": asks()}, {"work": [Says({}, answer={"yes": 1})]}),
    Case("waits and hears of a failure", {}, {"A": asks()}, {"work": [Says({}, fails="Denied")]}),
    Case("cannot even ask", {}, {"A": asks()}, {"work": [BOOM]}),
]
ADMITTED = Says(
    {"run_id": "run-1", "agent_until_ms": 9 * 10**12, "deadline_ms": 9 * 10**12}
    | {f"{what}_timeout_s": 60 for what in ("escalation", "approval", "park", "requester")}
)


def decides(kind: str, **more: Any) -> Says:
    return Says({"kind": kind, "calls": [], "parallel": False} | more)


def person(**decision: Any) -> Says:
    answer = {"decision": {"kind": "answer", "calls": [], "parallel": False} | decision}
    return Says({}, answer=answer | {"agent_until_ms": 9 * 10**12, "deadline_ms": 9 * 10**12})


ONE, CALLS, ANSWER = decides("call_tools", calls=[1]), decides("call_tools", calls=[1, 2]), decides("answer")
TOO_MANY = decides("call_tools", calls=list(range(1, 501)))
TO_PERSON, TO_FALLBACK = decides("hand_over", to="human", reason="r"), decides("hand_over", to="fallback", reason="r")
DONE = Says({"status": "answered", "agent_until_ms": 1, "deadline_ms": 1})
USUAL = {"Admit": [ADMITTED], "Settle": [DONE], "Executor": [DONE], "Agent": [CALLS, ANSWER], "Fallback": [ANSWER]}
AGENT = [
    Case("an agent answers", {"request": {}}, None, USUAL),
    Case("is not admitted", {"request": {}}, None, {"Admit": [Says(error="NotAdmitted")]}),
    Case("admission is broken", {"request": {}}, None, {"Admit": [BOOM]}),
    Case("switches the planner", {"request": {}}, None, USUAL | {"Agent": [TO_FALLBACK]}),
    Case("has a broken planner", {"request": {}}, None, USUAL | {"Agent": [BOOM], "Rollback": [TO_FALLBACK]}),
    Case("asks people", {"request": {}}, None, USUAL | {"Agent": [TO_PERSON], "OpenEscalation": [person()]}),
    Case(
        "gets a budget",
        {"request": {}},
        None,
        USUAL
        | {
            "Extend": [Says({})],
            "Agent": [TO_PERSON, ANSWER],
            "OpenEscalation": [person(kind="hand_over", to="agent", adds_budget=True)],
        },
    ),
    Case(
        "gets no budget",
        {"request": {}},
        None,
        USUAL
        | {
            "Extend": [Says(error="WindowFull")],
            "Agent": [TO_PERSON],
            "OpenEscalation": [person(kind="hand_over", to="agent", adds_budget=True), person()],
        },
    ),
    Case(
        "can tell nobody",
        {"request": {}},
        None,
        USUAL | {"Agent": [TO_PERSON], "OpenEscalation": [BOOM], "Settle": [Says({"status": "failed"})]},
    ),
    Case(
        "asks for an approval",
        {"request": {}},
        None,
        USUAL
        | {"Executor": [Says(error="ApprovalRequired"), DONE], "OpenEscalation": [Says({}, answer={"approve": True})]},
    ),
    Case(
        "an effect is unknown",
        {"request": {}},
        None,
        USUAL | {"Executor": [Says(error="EffectUnknown")], "OpenEscalation": [person()]},
    ),
    Case(
        "asks the requester",
        {"request": {}},
        None,
        USUAL
        | {
            "Agent": [decides("hand_over", to="requester", reason="r"), ANSWER],
            "OpenEscalation": [person(kind="hand_over", to="agent")],
        },
    ),
    Case("settling is broken", {"request": {}}, None, USUAL | {"Settle": [BOOM]}),
    Case("makes ten calls, one a turn", {"request": {}}, None, USUAL | {"Agent": [ONE] * 10 + [ANSWER]}),
    Case(
        "asks for an approval of the only call",
        {"request": {}},
        None,
        USUAL
        | {
            "Agent": [ONE, ANSWER],
            "Executor": [Says(error="ApprovalRequired"), Says(error="ApprovalParked"), DONE],
            "OpenEscalation": [Says({}, answer={"approve": True})],
        },
    ),
    Case(
        "can ask nobody for an approval of the only call",
        {"request": {}},
        None,
        USUAL | {"Agent": [ONE], "Executor": [Says(error="ApprovalRequired")], "OpenEscalation": [BOOM, person()]},
    ),
    Case(
        "the only call's effect is unknown",
        {"request": {}},
        None,
        USUAL | {"Agent": [ONE], "Executor": [Says(error="EffectUnknown")], "OpenEscalation": [person()]},
    ),
    Case(
        "gives the only call up",
        {"request": {}},
        None,
        USUAL | {"Agent": [ONE, ANSWER], "Executor": [BOOM, DONE]},
    ),
    Case(
        "cannot settle the only call",
        {"request": {}},
        None,
        USUAL | {"Agent": [ONE], "Executor": [BOOM, Says(error="EffectUnknown")], "OpenEscalation": [person()]},
    ),
    Case("has no room for so many calls", {"request": {}}, None, USUAL | {"Agent": [TOO_MANY]}),
    Case(
        "counts what is tried again",
        {"request": {}},
        None,
        USUAL
        | {"Admit": [Says(error="RetryLater"), *USUAL["Admit"]], "Agent": [Says(error="RetryLater"), CALLS, ANSWER]},
    ),
]
CASES = [*sampled(SMALL, SMALL[::4]), *AGENT]


def definition_of(case: Case) -> dict[str, Any]:
    if case.states is not None:
        return {"QueryLanguage": "JSONata", "StartAt": "A", "States": dict(case.states)}
    text = re.sub(r"\$\{(\w+)FunctionArn\}", lambda found: ARN + found[1], json.dumps(load_definition()))
    text = text.replace("${Partition}", "aws")
    made: dict[str, Any] = json.loads(text)
    return made


class Functions:
    """Functions that say what a case has them say. ``answered`` answers a task token, or fails its task."""

    def __init__(self, case: Case) -> None:
        self._left = {name: list(said) for name, said in case.says.items()}
        self.answered: Callable[[str, Says], None] = lambda token, says: None

    def __call__(self, function: str, payload: bytes, *_: Any, **__: Any) -> tuple[bytes, str | None]:
        left = self._left[function.removeprefix(ARN)]
        says = left.pop(0) if len(left) > 1 else left[0]
        given = json.loads(payload)
        if says.error is not None:
            # Without blanks, as moto writes it.
            return b'{"errorType":"%s","errorMessage":"m"}' % says.error.encode(), "Unhandled"
        if says.answer is not None or says.fails is not None:
            self.answered(given["task_token"], says)
        return json.dumps(says.result).encode(), None


def ours(case: Case) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    clock, functions = VirtualClock(), Functions(case)
    done = clock.signal()
    engine = Engine(functions, clock, lambda run: done.set())

    def answered(token: str, says: Says) -> None:
        def fail() -> Any:
            raise StateFailed(says.fails or "", "")

        engine.answer(token, fail if says.fails else lambda: says.answer)

    functions.answered = answered
    run: Run = engine.begin(Execution("arn:e", "e", case.input), json.dumps(definition_of(case)), "arn:m", "arn:r")
    assert done.wait(86_400)
    ended = run.execution
    described = {"status": ended.status, "error": ended.error, "cause": ended.cause}
    if ended.status == "SUCCEEDED":
        described["output"] = ended.output
    return described, engine.history("arn:e")


@pytest.fixture(scope="module")
def motos() -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
    current: list[Functions] = []
    played = {}

    def invoke(*about: Any, **more: Any) -> tuple[bytes, str | None]:
        return current[-1](*about, **more)

    with motos_interpreter(invoke) as client:

        def answered(token: str, says: Says) -> None:
            if says.fails:
                client.send_task_failure(taskToken=token, error=says.fails, cause="")
            else:
                client.send_task_success(taskToken=token, output=json.dumps(says.answer))

        for case in CASES:
            current.append(Functions(case))
            current[-1].answered = answered
            described, events = play(client, definition_of(case), case.input)
            shown = {name: described.get(name) for name in ("status", "error", "cause")}
            if "output" in described:
                shown["output"] = _read(described["output"])  # moto gives a text as it is
            played[case.name] = shown, events
    return played


#: What both say of an event; the rest (roles, regions, whether something was truncated) only Step Functions knows.
COMPARED = ("name", "index", "input", "output", "error", "length", "assignedVariables", "resource", "resourceType")


def outline(events: list[dict[str, Any]]) -> list[Any]:
    rows = []
    for event in events:
        details = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
        shown = {name: _read(details[name]) for name in COMPARED if details.get(name) is not None}
        # Which event comes before those of a Map itself depends on the order of its threads.
        before = None if event["type"].startswith("Map") else event["previousEventId"]
        rows.append((event["id"], before, event["type"], shown))
    return rows


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _read(inner) for name, inner in value.items()}
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_execution_goes_as_in_motos_interpreter(case: Case, motos: Any) -> None:
    described, events = ours(case)
    expected, theirs = motos[case.name]

    assert outline(events) == outline(theirs)
    assert described["status"] == expected["status"]
    assert described["error"] == expected["error"]
    assert described.get("output") == expected.get("output")


def test_the_cases_take_the_edges_of_the_real_workflow_that_need_no_timeout(motos: Any) -> None:
    definition = load_definition()
    taken = {edge for case in AGENT for edge in edges_taken(motos[case.name][1], definition)}

    left = edges_of(definition) - taken
    assert {(state, why) for state, why, _ in left} <= {
        ("Plan", "catch 0"),
        ("AskApproval", "catch 0"),
        ("AskApprovalForEach", "catch 0"),
        ("AskRequester", "catch 0"),
        ("Escalate", "catch 0"),
        # ``test_workflow`` takes the rest of the Map's.
        ("ExecuteEach", "catch 1"),
        ("ExecuteEach", "catch 2"),
        ("ExecuteEach", "catch 3"),
        ("GiveUpEach", "end"),
        ("GiveUpEach", "catch 0"),
    }


def test_ten_calls_one_a_turn_are_36_transitions_in_both(motos: Any) -> None:
    (case,) = (case for case in AGENT if case.name == "makes ten calls, one a turn")

    for _, events in (ours(case), motos[case.name]):
        assert sum(event["type"].endswith("StateEntered") for event in events) == 36


def test_output_and_assign_see_the_variables_as_they_were() -> None:
    """As the developer guide says ("Assign field"): the next state is the first to see a new value. moto differs."""
    states = {
        "A": {"Type": "Pass", "Assign": {"n": 1}, "Next": "B"},
        "B": {"Type": "Pass", "Assign": {"n": 2, "m": "{% $n %}"}, "Output": "{% $n %}", "Next": "C"},
        "C": {"Type": "Succeed", "Output": "{% [$states.input, $n, $m] %}"},
    }

    assert ours(Case("c", {}, states))[0]["output"] == [1, 2, 1]


def test_a_query_that_gives_nothing_can_be_caught_by_its_name() -> None:
    """As the developer guide says ("Error names"). moto fails the execution."""
    states = {
        "A": task(
            Output="{% $states.result.nothing %}", Catch=[{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "B"}]
        ),
        "B": {"Type": "Succeed"},
    }

    described, events = ours(Case("c", {}, states, {"work": [OK]}))

    assert described["status"] == "SUCCEEDED"
    assert [event["type"] for event in events if "Evaluation" in event["type"]] == ["EvaluationFailed"]
