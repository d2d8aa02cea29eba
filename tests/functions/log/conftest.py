"""The run log: its table, its bucket, and the means to break them."""

from collections.abc import Iterator

import pytest

from tests.functions.log.broken import BrokenLog, log_of_a_file


@pytest.fixture(scope="module")
def _moto() -> Iterator[BrokenLog]:
    with log_of_a_file() as made:
        yield made


@pytest.fixture
def aws(_moto: BrokenLog) -> BrokenLog:
    """One table and one bucket for a whole file; a run of its own for each test."""
    return _moto.for_another_run()
