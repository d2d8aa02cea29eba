"""Settings of every test: hypothesis is repeatable and has no deadline."""

import gc
import logging
import signal
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from _pytest.assertion import rewrite
from _pytest.logging import catching_logs
from hypothesis import settings

from tests.support.sampling import FULL, covering, examples

# Other examples on each run: pytest --hypothesis-profile=default
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=examples(8, 60))
settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    """Share the rewriting of assertions among the workers, take Ctrl-C for what it is, and play all where asked to."""
    gc.disable()  # nearly all that a collection makes lives as long as the tests
    _rewrite_a_share(config)
    _heed_ctrl_c()
    _find_loggers_once()
    if FULL and config.option.markexpr == "not deep":
        config.option.markexpr = ""


def _rewrite_a_share(config: pytest.Config) -> None:
    """Write pytest's bytecode of this worker's share of the test files: in a fresh clone half of a collection's work.

    All workers begin at once and need all files; what another one has not written yet, a worker rewrites as usual.
    """
    worker, state = getattr(config, "workerinput", None), config.stash.get(rewrite.assertstate_key, None)
    if worker is None or state is None or sys.dont_write_bytecode:
        return
    number, workers = int(worker["workerid"].removeprefix("gw")), int(worker["workercount"])
    for source in sorted(Path(__file__).parent.rglob("test_*.py"))[number::workers]:
        folder = rewrite.get_cache_dir(source)
        bytecode = folder / f"{source.stem}{rewrite.PYC_TAIL}"
        if rewrite.try_makedirs(folder) and rewrite._read_pyc(source, bytecode) is None:
            digest, code = rewrite._rewrite_test(source, config)
            rewrite._write_pyc(state, code, digest, bytecode)


def _heed_ctrl_c() -> None:
    """Let Ctrl-C mean the same to what the tests start, whoever started the tests: a shell's `&` has it ignored."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _find_loggers_once() -> None:
    """Let pytest look through all loggers when there are new ones, not six times a test: moto has hundreds."""
    known = logging.getLogger().manager.loggerDict
    alone: list[logging.Logger] = []
    seen = -1

    def attach(self: catching_logs[logging.Handler]) -> logging.Handler:
        nonlocal alone, seen
        if len(known) != seen:
            loggers = [one for one in known.values() if isinstance(one, logging.Logger)]
            alone, seen = [one for one in loggers if not one.propagate], len(known)
        self.orig_level = logging.getLogger().level
        if self.level is not None:
            self.handler.setLevel(self.level)
            logging.getLogger().setLevel(min(self.orig_level, self.level))
        for logger in (logging.getLogger(), *alone):
            logger.addHandler(self.handler)
            self.attached_loggers.append(logger)
        return self.handler

    catching_logs.__enter__ = attach  # type: ignore[method-assign,assignment]


#: The folders with the longest files come first: at the end a worker that has nothing left waits for the other one.
#: One file of the artifacts comes before all, so that what the others need is built by then: two would wait for it.
_BUILDS = "tests/artifacts/test_files.py"
_ORDER = ("tests/e2e", "tests/artifacts", "tests/workflow", "tests/faults", "tests/template", "tests/functions")


@pytest.hookimpl(trylast=True)  # of what -k and -m have left
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sample the tests that are marked so, and begin with the files that take longest. Else the order stays."""
    if not FULL:
        _sample(config, items)
    ranks = {_BUILDS: -1} | {folder: rank for rank, folder in enumerate(_ORDER)}

    def rank(item: pytest.Item) -> int:
        file = item.nodeid.partition("::")[0]
        return next((ranks[name] for name in ranks if f"{file}/".startswith(f"{name}/")), len(ranks))

    items.sort(key=rank)


def _sample(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave cases of ``@pytest.mark.sampled(most)`` out, never one that is named on the command line."""
    if any("[" in name for name in config.args):
        return
    marked: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("sampled") and "callspec" in vars(item):
            marked.setdefault(item.nodeid.partition("[")[0], []).append(item)
    left_out: list[pytest.Item] = []
    for cases in marked.values():
        mark = cases[0].get_closest_marker("sampled")
        most = mark.args[0] if mark is not None and mark.args else None
        of_each = [vars(case)["callspec"].params.items() for case in cases]
        played = covering([{name: repr(value) for name, value in params} for params in of_each], most)
        left_out += [case for at, case in enumerate(cases) if at not in played]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


def pytest_collection_finish() -> None:
    """Look for garbage less often: botocore's and moto's models are large, and live as long as the tests do."""
    _tidy()
    gc.set_threshold(20_000, 5, 1)
    gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """After a file, when its clouds are closed, let go of what they kept. Unit tests open none."""
    result = yield
    if (nextitem is None or nextitem.path != item.path) and "tests/unit/" not in item.nodeid:
        _tidy()
    return result


def _tidy() -> None:
    gc.collect()
    gc.freeze()  # what is alive now lives on: do not look at it again
    gc.collect()  # for its count of what is old: where many are old, Python puts off looking at them
