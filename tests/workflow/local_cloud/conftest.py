"""A local cloud of the stand-in stack, one for each test file, because opening it is slow."""

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from localcloud.clock import VirtualClock
from localcloud.cloud import Execution, LocalCloud
from tests.workflow.local_cloud.stand_in.handlers import Bench

TEMPLATE = Path(__file__).parent / "stand_in" / "template.yaml"
_NAMES = (f"run-{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(scope="module")
def cloud(clock: VirtualClock) -> Iterator[LocalCloud]:
    # Its functions try what their roles would not allow; test_principals.py is about those.
    with LocalCloud(template=TEMPLATE, playbook=TEMPLATE.parent, enforce_iam=False, clock=clock) as opened:
        yield opened


@pytest.fixture(autouse=True)
def bench(request: pytest.FixtureRequest) -> type[Bench]:
    Bench.now, Bench.pause = time.monotonic, time.sleep
    if "clock" in request.fixturenames:
        clock = request.getfixturevalue("clock")
        Bench.now, Bench.pause = clock.monotonic, clock.pause
    for kept in (
        Bench.tokens,
        Bench.attempts,
        Bench.events,
        Bench.at,
        Bench.after_the_hang,
        Bench.batches,
        Bench.responses,
    ):
        kept.clear()
    return Bench


@pytest.fixture
def run(cloud: LocalCloud) -> Any:
    """Start the stand-in's state machine with an input and return its ended execution."""

    def start_and_wait(wait_s: float = 3_600, name: str | None = None, **given: Any) -> Execution:
        name = name or next(_NAMES)
        begin(cloud, name, given)
        return cloud.wait(name, wait_s)

    return start_and_wait


def begin(cloud: LocalCloud, name: str, given: dict[str, Any]) -> str:
    """Start an execution and do not wait for it."""
    states = cloud.session.client("stepfunctions")
    states.start_execution(stateMachineArn=cloud.physical_id("AgentStateMachine"), name=name, input=json.dumps(given))
    return name


def eventually(holds: Callable[[], object]) -> None:
    """Wait until ``holds()``: a minute of real time at most. A virtual clock stands still meanwhile."""
    until = time.monotonic() + 600
    while not holds():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.005)


@contextmanager
def threads_switching_often() -> Iterator[None]:
    """Let threads take turns as often as they can, so that a race is lost."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
