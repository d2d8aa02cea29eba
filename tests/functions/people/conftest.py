"""An execution that waits for a task token."""

from collections.abc import Iterator

import pytest

from tests.functions.cloud import Cloud
from tests.functions.people.waiting import Waiting, create_workflow


@pytest.fixture(scope="module")
def workflow(cloud: Cloud) -> str:
    return create_workflow()


@pytest.fixture
def waiting(workflow: str) -> Iterator[Waiting]:
    waiting = Waiting.begin(workflow)
    yield waiting
    waiting.stop()
