"""Every edge of the state machine, taken by real handlers on moto."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.contracts.notice import binding_shown
from ballast.errors import BallastError
from functions.lifecycle.admit import Admit
from localcloud.clock import VirtualClock
from localcloud.cloud import Execution, LocalCloud
from localcloud.converse.source import CallableModel, ModelError, Reply, said, turns_taken
from tests.support.tables_in_memory import Tables
from tests.workflow.breaks import broken, broken_approval, died, doubted, down, down_for_good, out_of_memory
from tests.workflow.edges import Edge, edges_of, edges_taken, load_definition, states_of
from tests.workflow.playbook.tools.counter import value_of

PLAYBOOK = Path(__file__).parent / "playbook"
STATE_BYTES = 8 * 1024
#: Every case's ceiling fits into the windows at once.
ROOMY = dict.fromkeys(("AccountHourUsd", "AccountDayUsd", "TenantHourUsd", "TenantDayUsd"), "1000")


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": "same", "name": tool, "input": arguments}}


Content = list[dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """One run: what the model says turn by turn, what goes wrong, and how it has to end."""

    name: str
    says: list[Content | str] = field(default_factory=list)
    status: str = "answered"
    by: str | None = "agent"
    intent: str | None = None
    limits: Mapping[str, int] | None = None
    breaks: Mapping[str, Callable[[dict[str, Any]], None]] = field(default_factory=dict)
    answers: tuple[dict[str, Any] | None, ...] = ()
    counter: int = 0


BACK = {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "Look again."}

CASES = [
    Case("answered", says=["Done."]),
    Case("a call", says=[[call("read", name="a call")], "Done."]),
    Case("not admitted", limits={"turns": 5}, status="refused", by=None),
    Case("admission is broken", breaks={"AdmitFunction": broken}, status="FAILED", by=None),
    Case("settling is broken", says=["Done."], breaks={"SettleFunction": broken}, status="FAILED", by=None),
    Case("hand-over to the fallback", says=["content_filtered"], intent="count", by="fallback"),
    Case("the model hangs", says=["hang"], intent="count", limits={"deadline_s": 2}, by="fallback"),
    Case("the planner is broken", breaks={"AgentFunction": broken}, intent="count", by="fallback"),
    Case(
        "half done",
        says=[
            [call("raise_by", name="half done", by=3)],
            [call("raise_by", name="half done", by=4)],
            "content_filtered",
        ],
        intent="count",
        by="fallback",
        counter=0,
    ),
    Case(
        "a person answers",
        says=["guardrail_intervened"],
        answers=({"decision": {"kind": "answer", "text": "By hand."}},),
        by="human",
    ),
    Case(
        "a person calls a tool and hands back",
        says=["max_tokens", "Now I know."],
        answers=(
            {
                "decision": {
                    "kind": "call_tools",
                    "calls": [
                        {"tool": "raise_by", "arguments": {"name": "a person calls a tool and hands back", "by": 2}}
                    ],
                }
            },
        ),
        counter=2,
    ),
    Case(
        "a person adds budget",
        says=["guardrail_intervened", "Done."],
        answers=({"decision": BACK | {"add_budget_microusd": 1_000}},),
    ),
    Case(
        "no window has room for the budget",
        says=["guardrail_intervened"],
        answers=(
            {"decision": BACK | {"add_budget_microusd": 10**12}},
            {"decision": {"kind": "answer", "text": "By hand."}},
        ),
        by="human",
    ),
    Case("nobody answers", says=["guardrail_intervened"], status="unanswered", by=None),
    Case(
        "nobody can be told",
        says=["guardrail_intervened"],
        breaks={"OpenEscalationFunction": broken},
        status="FAILED",
        by=None,
    ),
    Case(
        "approved",
        says=[[call("raise_by", name="approved", by=100)], "Done."],
        answers=({"approve": True},),
        counter=100,
    ),
    Case(
        "approved after the deadline",
        says=[[call("raise_by", name="approved after the deadline", by=100)], "Done."],
        limits={"deadline_s": 6},
        answers=({"approve": True, "wait_s": 6.2},),
        counter=100,
    ),
    Case(
        "rejected",
        says=[[call("raise_by", name="rejected", by=100)], "Done."],
        answers=({"approve": False},),
        counter=0,
    ),
    Case("approval unanswered", says=[[call("raise_by", name="approval unanswered", by=100)], "Done."], counter=0),
    Case(
        "changed and approved",
        says=[[call("raise_by", name="changed and approved", by=100)], "Done."],
        answers=({"approve": True, "arguments": {"name": "changed and approved", "by": 7}, "then": {"approve": True}},),
        counter=7,
    ),
    Case(
        "approved once parked",
        says=[[call("raise_patiently", name="approved once parked", by=3)], "Done."],
        answers=(None, {"approve": True}),
        counter=3,
    ),
    Case("parked in vain", says=[[call("raise_patiently", name="parked in vain", by=3)], "Done."], counter=0),
    Case(
        "nobody approves and another planner goes on",
        says=[[call("raise_or_give_up", name="nobody approves and another planner goes on", by=3)]],
        intent="count",
        by="fallback",
    ),
    Case(
        "the executor is broken",
        says=[[call("raise_by", name="the executor is broken", by=1)]],
        breaks={"ExecutorFunction": broken},
        answers=({"decision": {"kind": "answer", "text": "By hand."}},),
        by="human",
    ),
    # The retries take the agent's time, so the script answers. Nobody is asked.
    Case(
        "a read is out of retries",
        says=[[call("read", name="x")], "Done."],
        intent="count",
        breaks={"ExecutorFunction": down},
        by="fallback",
    ),
    Case(
        "a write that was never begun is out of retries",
        says=[[call("raise_by", name="a write that was never begun is out of retries", by=1)], "Done."],
        intent="count",
        breaks={"ExecutorFunction": down},
        by="fallback",
    ),
    Case(
        "an effect is unknown",
        says=[[call("raise_by", name="an effect is unknown", by=1)]],
        breaks={"ExecutorFunction": doubted},
        answers=({"decision": {"kind": "answer", "text": "By hand."}},),
        by="human",
    ),
    # Nobody tries a defect again, so the agent has time for its answer.
    Case(
        "a read dies under another name",
        says=[[call("read", name="x")], "Done."],
        breaks={"ExecutorFunction": died},
    ),
    Case(
        "a write dies under another name before it is begun",
        says=[[call("raise_by", name="a write dies under another name before it is begun", by=1)], "Done."],
        breaks={"ExecutorFunction": died},
        counter=0,
    ),
    Case(
        "a read is out of memory",
        says=[[call("read", name="x")], "Done."],
        intent="count",
        breaks={"ExecutorFunction": out_of_memory},
        by="fallback",
    ),
    Case(
        "a call cannot be settled",
        says=[[call("read", name="x")]],
        breaks={"ExecutorFunction": down_for_good},
        answers=({"decision": {"kind": "answer", "text": "By hand."}},),
        by="human",
    ),
    Case(
        "the model hangs, nothing was written, and there is no fallback",
        says=["hang"],
        limits={"deadline_s": 2},
        answers=({"decision": {"kind": "answer", "text": "By hand."}},),
        by="human",
    ),
    Case(
        "asks the requester",
        says=[[call("ask_requester", question="Which counter?")], "This one."],
        answers=({"decision": {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "This."}},),
    ),
    Case(
        "the requester is silent",
        says=[[call("ask_requester", question="Which counter?")]],
        intent="count",
        by="fallback",
    ),
    # As it would be after some 1,300 turns: more calls are proposed than there is room for (`_fill`).
    Case("the history is full", says=[[call("read", name="x")]], status="FAILED", by=None),
    Case("a loop", says=[[call("read", name="a loop")]] * 9, intent="count", by="fallback"),
    Case("three reads", says=[*([call("read", name=f"three reads {number}")] for number in range(3)), "Done."]),
    Case("two reads at once", says=[[call("read", name="one"), call("read", name="two")], "Done."]),
    Case(
        "nobody can be asked for an approval",
        says=[[call("raise_by", name="nobody can be asked for an approval", by=100)]],
        breaks={"OpenEscalationFunction": broken_approval},
        answers=({"decision": {"kind": "answer", "text": "By hand."}},),
        by="human",
    ),
]


def among_several(case: Case) -> Case:
    """Return the case with its first call as the second of two: they are executed by the Map."""
    name = f"{case.name}, among several"
    says, answers = json.loads(json.dumps([case.says, case.answers]).replace(case.name, name))
    several = [call("read", name="beside it"), *says[0]]
    return replace(case, name=name, says=[several, *says[1:]], answers=tuple(answers))


CASES += [
    among_several(case)
    for case in CASES
    if case.name
    in (
        "approved",
        "approval unanswered",
        "approved once parked",
        "the executor is broken",
        "an effect is unknown",
        "a write dies under another name before it is begun",
        "a call cannot be settled",
        "nobody can be asked for an approval",
    )
]


def model(cases: Mapping[str, Case]) -> CallableModel:
    """Return a model that plays the case whose name the request has."""

    def answer(request: Mapping[str, Any], model_id: str) -> Reply:
        case = cases[request["messages"][0]["content"][0]["text"]]
        step = case.says[turns_taken(request)]
        if step == "hang":
            raise ModelError("ModelTimeoutException", "never", wait_s=60)
        if isinstance(step, list):
            return said(step, "tool_use", request)
        if step in ("content_filtered", "guardrail_intervened", "max_tokens"):
            return said([{"text": "…"}], step, request)
        return said([{"text": step}], "end_turn", request)

    return CallableModel(answer)


@dataclass
class Played:
    """What came of a case."""

    execution: Execution
    taken: set[Edge]
    state_bytes: int
    counter: int
    counted: list[tuple[int, int]]
    entered: list[str]


class People:
    """Answers each escalation that is opened, as soon as the run waits for it."""

    def __init__(self, cloud: LocalCloud, clock: VirtualClock, cases: Mapping[str, Case]) -> None:
        self._cloud, self._clock = cloud, clock
        self._left = {
            RunRequest(request_id=case.name.replace(" ", "-"), text=case.name).run_id: list(case.answers)
            for case in cases.values()
        }

    def after(self, function: str, payload: dict[str, Any], result: Any) -> None:
        left = self._left.get(payload.get("run_id", ""), [])
        if function == "OpenEscalationFunction" and left:
            said = left.pop(0)
            if said is None:  # nobody looks
                return
            answer = {"escalation_id": result["escalation_id"], "by": "ann", **said}
            wait_s, then = answer.pop("wait_s", 0.1), answer.pop("then", None)

            def act() -> None:
                self._clock.pause(wait_s)
                self._cloud.invoke("AnswerEscalationFunction", answer)
                if then is not None:  # another person looks, too
                    log = self._cloud.events(payload["run_id"])
                    bound = next(one.body["binding"]["sha256"] for one in log if one.name == "call.approval_needed")
                    seen = {"binding": binding_shown(bound, answer["arguments"]), "by": "lee"}
                    self._cloud.invoke(
                        "AnswerEscalationFunction", {**seen, "escalation_id": answer["escalation_id"], **then}
                    )

            self._clock.thread(act, "a person")


@pytest.fixture(scope="module")
def played() -> Iterator[dict[str, Played]]:
    """All cases, side by side in one local cloud, on virtual time: how long the machine takes plays no part."""
    cases = {case.name: case for case in CASES}
    clock = VirtualClock()
    with LocalCloud(playbook=PLAYBOOK, model=model(cases), clock=clock, parameters=ROOMY, dynamodb=Tables()) as cloud:
        requests = {
            name: RunRequest(
                request_id=name.replace(" ", "-"),
                text=name,
                intent=case.intent,
                context={"name": name},
                limits=dict(case.limits) if case.limits else None,
            )
            for name, case in cases.items()
        }
        breaks = {requests[name].run_id: case.breaks for name, case in cases.items()}

        def break_it(function: str, payload: dict[str, Any]) -> None:
            run_id = payload.get("run_id") or RunRequest.model_validate_json(_json(payload["request"])).run_id
            breaks.get(run_id, {}).get(function, lambda _: None)(payload)

        cloud.before_invoke.append(_except_intake(break_it))
        cloud.after_invoke.append(People(cloud, clock, cases).after)
        full = requests["the history is full"].run_id
        cloud.after_invoke.append(
            lambda _function, payload, result: _fill(result) if payload.get("run_id") == full else None
        )
        for request in requests.values():
            cloud.start(request)
        definition = load_definition()
        yield {name: _played(cloud, request, definition) for name, request in requests.items()}


def _json(value: Any) -> str:
    return json.dumps(value)


def _fill(result: Any) -> None:
    if result.get("kind") == "call_tools":
        result["calls"] = list(range(1, 501))


def _except_intake(hook: Callable[[str, dict[str, Any]], None]) -> Callable[[str, dict[str, Any]], None]:
    quiet = ("StartFunction", "AnswerEscalationFunction")
    return lambda function, payload: None if function in quiet or "detail" in payload else hook(function, payload)


def _played(cloud: LocalCloud, request: RunRequest, definition: dict[str, Any]) -> Played:
    execution = cloud.wait(request.run_id, 10 * 24 * 3600)
    history = cloud.history(request.run_id)
    entered = [event["stateEnteredEventDetails"] for event in history if "stateEnteredEventDetails" in event]
    inputs = [details.get("input", "") for details in entered]
    return Played(
        execution=execution,
        taken=edges_taken(history, definition),
        state_bytes=max(map(len, inputs[1:]), default=0),
        counted=[
            (json.loads(event["taskScheduledEventDetails"]["parameters"])["Payload"]["history"], event["id"] - 2)
            for event in history
            if "'history'" in str(event.get("taskScheduledEventDetails")).replace('"', "'")
        ],
        entered=[details["name"] for details in entered],
        counter=value_of(cloud.session.client("dynamodb"), cloud.physical_id("OrdersTable"), request.text),
    )


def test_the_workflow_counts_its_history(played: dict[str, Played]) -> None:
    """Each Plan is told how many events there were before it: never fewer, and exactly so many as a rule."""
    counted = [pair for run in played.values() for pair in run.counted]

    assert len(counted) > 40
    assert not [pair for pair in counted if pair[0] < pair[1]]
    assert sum(told == real for told, real in counted) > 0.8 * len(counted)


def test_a_run_of_single_calls_is_counted_to_the_event(played: dict[str, Played]) -> None:
    """The Map's Catch, and a question that could not be sent, count more events than there were."""
    breaks = {case.name for case in CASES if "OpenEscalationFunction" in case.breaks}
    single = {
        name: run.counted
        for name, run in played.items()
        if name not in breaks and "ExecuteCalls" not in run.entered and run.execution.status == "SUCCEEDED"
    }

    assert len(single) > 25
    assert {name: [told for told, real in counted if told != real] for name, counted in single.items()} == {
        name: [] for name in single
    }


def test_a_turn_with_one_call_is_three_transitions(played: dict[str, Played]) -> None:
    assert played["three reads"].entered == [
        "Admit",
        *["Plan", "Decide", "Execute"] * 3,
        *["Plan", "Decide", "Settle", "Ended", "Done"],
    ]


def test_several_calls_go_through_the_map(played: dict[str, Played]) -> None:
    assert played["two reads at once"].entered[1:6] == ["Plan", "Decide", "ExecuteCalls", "ExecuteEach", "ExecuteEach"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_run_ends_in_the_outcome_that_its_case_names(case: Case, played: dict[str, Played]) -> None:
    run = played[case.name]

    if case.status == "FAILED":
        assert run.execution.status == "FAILED"
        assert run.execution.error == "BallastFailed"
    else:
        assert run.execution.status == "SUCCEEDED", run.execution
        assert run.execution.output["status"] == case.status
        assert run.execution.output.get("by") == case.by
    assert run.counter == case.counter


def test_every_edge_of_the_definition_is_taken_by_a_run(played: dict[str, Played]) -> None:
    taken = set().union(*(run.taken for run in played.values()))

    assert edges_of(load_definition()) - taken == set()


def test_no_run_takes_an_edge_that_the_definition_does_not_have(played: dict[str, Played]) -> None:
    taken = set().union(*(run.taken for run in played.values()))

    assert taken - edges_of(load_definition()) == set()


def test_the_state_stays_small_after_admission(played: dict[str, Played]) -> None:
    assert max(run.state_bytes for run in played.values()) < STATE_BYTES


def test_every_error_that_the_definition_names_is_one_of_ballasts() -> None:
    names = {error.__name__ for error in _tree(BallastError)}
    matched = {
        name for state in _tasks() for rule in (*state["Retry"], *state["Catch"]) for name in rule["ErrorEquals"]
    }

    assert {name for name in matched if not name.startswith(("States.", "Lambda.", "Sandbox.", "Runtime."))} <= names


def test_admission_is_told_all_that_it_takes_beside_the_request_and_no_order_of_an_operator() -> None:
    payload = states_of(load_definition())["Admit"]["Arguments"]["Payload"]

    assert set(re.findall(r"'(\w+)':", payload)) == {"request", *Admit.model_fields}


def test_every_task_has_a_timeout_a_retry_and_a_way_out() -> None:
    for state in _tasks():
        assert "TimeoutSeconds" in state
        assert state["Retry"]
        assert state["Catch"]


def _tree(error: type[BaseException]) -> Iterator[type[BaseException]]:
    yield error
    for child in error.__subclasses__():
        yield from _tree(child)


def _tasks() -> list[Mapping[str, Any]]:
    return [state for state in states_of(load_definition()).values() if state["Type"] == "Task"]
