"""The engine: stops, timeouts, tokens, refusals, and what it keeps. Another test compares states with moto's."""

import json
import threading
from typing import Any

import pytest

from localcloud.clock import Signal, VirtualClock
from localcloud.stepfunctions.engine import Engine, Run, TokenRefused
from localcloud.stepfunctions.states import MAX_HISTORY, Execution, check
from tests.workflow.test_states_as_moto_has_them import EACH, asks, task


class World:
    """An engine whose functions pause as long as their payload says, or keep the token that it holds."""

    def __init__(self, kept: int = 200) -> None:
        self.clock = VirtualClock()
        self.ended: list[Run] = []
        self.tokens: list[str] = []
        self.at_once = self.most = 0
        self._lock = threading.Lock()
        self._done: dict[str, Signal] = {}
        self.engine = Engine(self.invoke, self.clock, self._end, kept)

    def invoke(
        self,
        function: str,
        payload: bytes,
        role_arn: str | None = None,
        within_s: float | None = None,
        waiting: Any = None,
    ) -> tuple[bytes, str | None]:
        from localcloud.sandbox import run

        given = json.loads(payload)
        if "task_token" in given:
            self.tokens.append(given["task_token"])
            return b"{}", None

        def work() -> bytes:
            with self._lock:
                self.at_once += 1
                self.most = max(self.most, self.at_once)
            self.clock.pause(given.get("takes_s", 0))
            with self._lock:
                self.at_once -= 1
            return b'"done"'

        return run(work, 900, print, self.clock, within_s=within_s, waiting=waiting), None

    def _end(self, run: Run) -> None:
        self.ended.append(run)
        self._done[run.execution.name].set()

    def begin(self, states: dict[str, Any], state_input: Any = None, name: str = "e", **machine: Any) -> Execution:
        definition = {"QueryLanguage": "JSONata", "StartAt": "A", "States": states} | machine
        execution = Execution(f"arn:{name}", name, state_input or {})
        self._done[name] = self.clock.signal()
        self.engine.begin(execution, json.dumps(definition), "arn:machine", "arn:role")
        return execution

    def play(self, states: dict[str, Any], state_input: Any = None, name: str = "e", **machine: Any) -> Execution:
        execution = self.begin(states, state_input, name, **machine)
        assert self._done[name].wait(10**7)
        return execution


@pytest.fixture
def world() -> World:
    return World()


def test_a_task_is_cut_at_its_timeout_and_the_function_goes_on(world: World) -> None:
    ended = world.play({"A": task(TimeoutSeconds=5)}, {"takes_s": 60})

    assert (ended.status, ended.error, world.clock.monotonic()) == ("FAILED", "States.Timeout", 5)
    assert world.at_once == 1


def test_a_state_machines_own_timeout_ends_the_execution(world: World) -> None:
    ended = world.play({"A": task()}, {"takes_s": 60}, TimeoutSeconds=7)

    assert (ended.status, world.clock.monotonic()) == ("TIMED_OUT", 7)
    assert world.engine.history("arn:e")[-1]["type"] == "ExecutionTimedOut"


@pytest.mark.parametrize("states", [{"A": task()}, {"A": asks()}, {"A": {"Type": "Wait", "Seconds": 60, "End": True}}])
def test_a_stop_ends_whatever_it_waits_for_at_once(world: World, states: dict[str, Any]) -> None:
    def stop() -> None:
        world.clock.pause(3)
        world.engine.stop("arn:e", "Mine", "because")

    world.clock.thread(stop, "an operator")
    ended = world.play(states, {"takes_s": 60})

    assert (ended.status, ended.error, ended.cause) == ("ABORTED", "Mine", "because")
    assert world.clock.monotonic() == 3
    assert world.engine.history("arn:e")[-1]["executionAbortedEventDetails"] == {"error": "Mine", "cause": "because"}
    world.engine.stop("arn:e")  # a second one changes nothing
    assert ended.error == "Mine"


def test_a_stop_ends_items_side_by_side(world: World) -> None:
    def stop() -> None:
        world.clock.pause(3)
        world.engine.stop("arn:e")

    world.clock.thread(stop, "an operator")
    each = EACH | {"MaxConcurrency": 3, "ItemSelector": {"takes_s": 60}}
    ended = world.play({"A": each}, {"items": [1, 2, 3]})

    assert (ended.status, world.clock.monotonic()) == ("ABORTED", 3)


@pytest.mark.parametrize(("at_once", "most", "takes_s"), [(1, 1, 60), (2, 2, 30), (0, 6, 10), (40, 6, 10)])
def test_so_many_items_run_at_once_as_the_map_says(world: World, at_once: int, most: int, takes_s: int) -> None:
    each = EACH | {"MaxConcurrency": at_once, "ItemSelector": {"takes_s": 10}}

    ended = world.play({"A": each}, {"items": list(range(6))})

    assert ended.output == [{"ExecutedVersion": "$LATEST", "Payload": "done", "StatusCode": 200} for _ in range(6)]
    assert (world.most, world.clock.monotonic()) == (most, takes_s)


def test_a_token_takes_one_answer_and_none_after_its_task(world: World) -> None:
    execution = world.begin({"A": asks()})
    world.clock.pause(1)
    [token] = world.tokens

    assert world.engine.waits(token) == "arn:machine"
    world.engine.answer(token, lambda: "first")
    with pytest.raises(TokenRefused, match="is over"):
        world.engine.answer(token, lambda: "second")
    world.clock.pause(1)

    assert execution.output == "first"
    assert world.engine.waits(token) is None
    with pytest.raises(TokenRefused, match="is over"):
        world.engine.answer(token, lambda: "third")
    with pytest.raises(TokenRefused, match="no such task"):
        world.engine.answer("made up", lambda: "fourth")


def test_an_endless_loop_ends_with_its_history(world: World) -> None:
    states = {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}}

    ended = world.play(states)

    assert (ended.status, ended.error) == ("FAILED", "States.Runtime")
    assert len(world.engine.history("arn:e")) == MAX_HISTORY


def test_histories_of_the_newest_executions_are_kept_and_outcomes_of_all() -> None:
    world = World(kept=2)

    ended = [world.play({"A": {"Type": "Succeed"}}, name=f"e{number}") for number in range(4)]

    assert [len(world.engine.history(one.arn)) for one in ended] == [0, 0, 4, 4]
    assert {one.status for one in ended} == {"SUCCEEDED"}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"Type": "Parallel", "Branches": [], "End": True}, "A: a state of type Parallel is not supported here"),
        (task(Resource="arn:aws:states:::sqs:sendMessage"), "A: the resource arn:aws:states:::sqs:sendMessage"),
    ],
)
def test_what_is_not_played_here_is_refused_by_name(state: dict[str, Any], words: str) -> None:
    inner = {"Type": "Map", "ItemProcessor": {"StartAt": "A", "States": {"A": state}}}

    for states in ({"A": state}, {"M": inner}):
        with pytest.raises(NotImplementedError, match=words):
            check({"QueryLanguage": "JSONata", "StartAt": "A", "States": states})
    with pytest.raises(NotImplementedError, match="JSONata"):
        check({"StartAt": "A", "States": {}})


def test_a_defect_of_the_interpreter_fails_the_execution_and_leaves_nobody_waiting(world: World) -> None:
    ended = world.play({"A": {"Type": "Pass", "Next": "Nowhere"}})

    assert (ended.status, ended.error) == ("FAILED", "States.Runtime")


def test_of_older_executions_nothing_is_kept_and_their_tokens_are_over() -> None:
    world = World(kept=1)
    world.begin({"A": asks()}, name="e0")
    world.clock.pause(1)
    [token] = world.tokens
    world.engine.answer(token, lambda: "yes")
    assert world._done["e0"].wait(10**7)
    for number in range(1, 4):
        world.play({"A": {"Type": "Succeed"}}, name=f"e{number}")

    assert set(world.engine._runs) == {"arn:e3"}
    assert world.engine._tasks == {}
    assert world.engine.stop("arn:e0") is None
    assert world.engine.history("arn:e0") == []
    assert world.engine.knows(token)
    assert world.engine.waits(token) is None
    with pytest.raises(TokenRefused) as refused:
        world.engine.answer(token, lambda: "again")
    assert refused.value.over
