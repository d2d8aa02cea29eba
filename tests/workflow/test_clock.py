"""The local cloud's clocks: virtual time passes only while all threads wait, in order, and never for nothing."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud import clock as clocks
from localcloud.clock import NOON, StandsStill, VirtualClock, WallClock, as_clock


def test_a_pause_takes_no_real_time_and_moves_all_that_tells_the_time() -> None:
    clock = VirtualClock()

    clock.pause(10 * 24 * 3600)

    assert clock.monotonic() == 864_000
    assert clock() == NOON + timedelta(days=10)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6))
def test_threads_wake_in_the_order_of_their_times(pauses: list[int]) -> None:
    clock, woke = VirtualClock(), []
    done = [clock.signal() for _ in pauses]

    def sleeper(number: int, seconds: int) -> Callable[[], None]:
        def sleep() -> None:
            clock.pause(seconds)
            woke.append((clock.monotonic(), number))
            done[number].set()

        return sleep

    for number, seconds in enumerate(pauses):
        clock.thread(sleeper(number, seconds), f"sleeper {number}")
    for signal in done:
        assert signal.wait(1_000)

    assert [at for at, _ in woke] == sorted(map(float, pauses))
    assert {number: at for at, number in woke} == dict(enumerate(map(float, pauses)))


def test_time_stands_still_while_a_thread_works() -> None:
    clock, go, worked = VirtualClock(), threading.Event(), []

    def work() -> None:
        go.wait(60)  # something that the clock does not know of
        worked.append(clock.monotonic())

    thread = clock.thread(work, "works")
    threading.Timer(0.2, go.set).start()
    clock.pause(3_600)

    assert worked == [0]
    assert clock.monotonic() == 3_600
    thread.join(60)


def test_a_thread_that_the_machine_starts_late_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "_LOOK_S", 0.001)
    clock, go, worked = VirtualClock(), threading.Event(), []
    sleeper = clock.thread(lambda: clock.pause(7_200), "looks for threads that died")
    start = threading.Thread.start

    def late(thread: threading.Thread) -> None:
        time.sleep(0.1)
        start(thread)

    def work() -> None:
        go.wait(60)
        worked.append(clock.monotonic())

    with monkeypatch.context() as slow:
        slow.setattr(threading.Thread, "start", late)
        thread = clock.thread(work, "works")
    threading.Timer(0.1, go.set).start()
    clock.pause(3_600)

    assert worked == [0]
    thread.join(60)
    clock.pause(7_200)
    sleeper.join(60)


def test_a_signal_ends_a_wait_at_the_moment_at_which_it_is_set() -> None:
    clock = VirtualClock()
    signal = clock.signal()

    def set_it() -> None:
        clock.pause(5)
        signal.set()

    clock.thread(set_it, "sets it")

    assert signal.wait(60)
    assert clock.monotonic() == 5
    assert signal.wait(60)  # it stays set
    assert clock.monotonic() == 5


def test_a_wait_without_a_signal_ends_at_its_timeout() -> None:
    clock = VirtualClock()

    assert not clock.signal().wait(7)
    assert clock.monotonic() == 7


def test_a_pause_ends_with_the_signal_that_it_names() -> None:
    clock = VirtualClock()
    stop = clock.signal()
    clock.thread(stop.set, "stops")

    clock.pause(60, until=stop)

    assert clock.monotonic() == 0


def test_whoever_waits_for_ever_is_told_that_nothing_is_due() -> None:
    with pytest.raises(StandsStill, match="everybody waits, and nothing is due"):
        VirtualClock().signal().wait()


def test_a_thread_that_does_not_come_back_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "_STUCK_S", 0.3)
    clock, go = VirtualClock(), threading.Event()
    thread = clock.thread(lambda: go.wait(60) and None, "hangs for real")

    with pytest.raises(StandsStill, match="have not come back: hangs for real"):
        clock.pause(1)

    go.set()
    thread.join(60)


def test_a_thread_that_died_is_waited_for_no_longer() -> None:
    clock = VirtualClock()
    foreign = threading.Thread(target=lambda: clock.pause(1))  # the clock learns of it when it waits
    foreign.start()

    clock.pause(5)
    foreign.join(60)
    clock.pause(5)

    assert clock.monotonic() == 10


def test_the_wall_clock_waits_in_real_time_or_as_it_is_told() -> None:
    started, slept, stop = time.monotonic(), [], threading.Event()

    WallClock().pause(0.05)
    assert time.monotonic() - started >= 0.05
    WallClock(sleep=slept.append).pause(3_600)
    assert slept == [3_600]
    stop.set()
    WallClock().pause(3_600, until=stop)


def test_what_a_shortened_wait_skips_counts_as_passed_once_for_all_that_wait() -> None:
    both_wait = threading.Barrier(2)
    clock = WallClock(now=lambda: NOON, sleep=lambda _: (both_wait.wait(60), None)[1])

    pauses = [clock.thread(lambda: clock.pause(60), f"retry {number}") for number in (1, 2)]
    for thread in pauses:
        thread.join(60)

    assert clock() == NOON + timedelta(seconds=60)


def test_a_function_that_tells_the_time_is_a_wall_clock_that_tells_it() -> None:
    virtual = VirtualClock()

    assert as_clock(virtual) is virtual
    assert as_clock(lambda: NOON)() == NOON


class Lingers(threading.Thread):
    """A thread that Python says is alive when its work is done."""

    def run(self) -> None:
        super().run()
        time.sleep(0.1)


@pytest.mark.parametrize("ends_first", [True, False])
def test_time_does_not_pass_for_a_signal_that_its_thread_did_not_set(
    monkeypatch: pytest.MonkeyPatch, ends_first: bool
) -> None:
    monkeypatch.setattr(threading, "Thread", Lingers)
    clock = VirtualClock()
    thread = clock.thread(lambda: None if ends_first else time.sleep(0.05), "dies")
    if ends_first:
        time.sleep(0.02)

    assert not clock.signal().wait_for(thread, 3_600)

    assert not thread.is_alive()
    assert clock.monotonic() == 0
