"""The run log on moto: its table, its bucket, and the means to break them."""

from collections.abc import Iterator

import pytest

from local.moto_seams.dynamodb import one_request_at_a_time
from tests.functions.log.broken import BrokenLog, log_on_moto


@pytest.fixture(scope="module")
def _moto() -> Iterator[BrokenLog]:
    with one_request_at_a_time(), log_on_moto() as made:
        yield made


@pytest.fixture
def aws(_moto: BrokenLog) -> BrokenLog:
    """One table and one bucket for a whole file; a run of its own for each test."""
    return _moto.for_another_run()
