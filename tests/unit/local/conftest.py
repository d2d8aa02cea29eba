"""A local cloud of the stand-in stack: one for a test file, since to open it takes longer than most tests do."""

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local.clock import WallClock
from local.cloud import Execution, LocalCloud
from tests.unit.local.stand_in.handlers import Bench

TEMPLATE = Path(__file__).parent / "stand_in" / "template.yaml"
_NAMES = (f"run-{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def slept() -> list[float]:
    return []


@pytest.fixture(scope="module")
def cloud(slept: list[float]) -> Iterator[LocalCloud]:
    with LocalCloud(template=TEMPLATE, playbook=TEMPLATE.parent, clock=WallClock(sleep=slept.append)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def bench() -> type[Bench]:
    for kept in (Bench.tokens, Bench.attempts, Bench.events, Bench.after_the_hang, Bench.batches, Bench.responses):
        kept.clear()
    return Bench


@pytest.fixture
def run(cloud: LocalCloud) -> Any:
    """Start the stand-in's state machine with an input and return its ended execution."""

    def start_and_wait(wait_s: float = 10, name: str | None = None, **given: Any) -> Execution:
        name = name or next(_NAMES)
        begin(cloud, name, given)
        return cloud.wait(name, wait_s)

    return start_and_wait


def begin(cloud: LocalCloud, name: str, given: dict[str, Any]) -> str:
    """Start an execution and do not wait for it."""
    states = cloud.session.client("stepfunctions")
    states.start_execution(stateMachineArn=cloud.physical_id("AgentStateMachine"), name=name, input=json.dumps(given))
    return name


def eventually(holds: Callable[[], object], within_s: float = 5.0) -> None:
    """Wait until ``holds()``."""
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, "it did not come true in time"
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
