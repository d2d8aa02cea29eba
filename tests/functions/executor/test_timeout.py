"""A tool is stopped at its timeout: while it works, and neither before nor afterwards."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from functions.executor.downstream import TimedOut, within


@pytest.fixture
def _switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_switching_often")
def test_a_tool_that_ends_at_its_timeout_is_told_to_stop_in_its_own_work_or_not_at_all() -> None:
    """pytest reports a thread that ended with an error, and one that Python could not start or end."""
    came: Counter[str] = Counter()
    over = threading.Event()

    def works(seconds: float) -> str:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass
        return "in time"

    def others() -> None:
        """Take the number of each thread that has just ended."""
        while not over.is_set():
            thread = threading.Thread(target=len, args=("",))
            thread.start()
            thread.join()

    busy = [threading.Thread(target=others) for _ in range(2)]
    for thread in busy:
        thread.start()
    for attempt in range(1_000):
        seconds = 0.0004 + 0.00001 * (attempt % 20)
        try:
            came[within(0.0005, lambda seconds=seconds: works(seconds))] += 1
        except TimedOut:
            came["too late"] += 1
    over.set()
    for thread in busy:
        thread.join()

    assert came["in time"] + came["too late"] == 1_000
    assert came["too late"] > 0


def test_a_tool_that_has_not_begun_when_it_is_given_up_never_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    began, go, ended = [], threading.Event(), threading.Event()
    run = threading.Thread.run

    def late(thread: threading.Thread) -> None:
        try:
            go.wait(60)
            run(thread)
        finally:
            ended.set()

    monkeypatch.setattr(threading.Thread, "run", late)
    with pytest.raises(TimedOut, match=r"longer than 0\.01 s"):
        within(0.01, lambda: began.append(1))

    go.set()
    assert ended.wait(60)
    assert began == []
