"""moto and the tables in memory, both empty at the start of each test."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from tests.functions.tables.both import Both


@pytest.fixture(scope="module")
def both_of_file() -> Iterator[Both]:
    # To make a client takes longer than most tests do.
    with mock_aws():
        yield Both()


@pytest.fixture
def both(both_of_file: Both) -> Both:
    both_of_file.empty()
    return both_of_file
