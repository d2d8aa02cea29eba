"""Settings of every test: hypothesis is repeatable and has no deadline."""

import gc
import signal
import threading
from collections.abc import Generator

import pytest
from hypothesis import settings

# Other examples on each run: pytest --hypothesis-profile=default
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("ci")


def pytest_configure() -> None:
    """Let Ctrl-C mean the same to what the tests start, whoever started the tests: a shell's `&` has it ignored."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Look for garbage less often: botocore's and moto's models are large, and live as long as the tests do."""
    _tidy()
    gc.set_threshold(20_000, 5, 1)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """After a file, when its clouds are closed, let go of what they kept."""
    result = yield
    if nextitem is None or nextitem.path != item.path:
        _tidy()
    return result


def _tidy() -> None:
    gc.collect()
    gc.freeze()  # what is alive now lives on: do not look at it again
    gc.collect()  # for its count of what is old: where many are old, Python puts off looking at them
