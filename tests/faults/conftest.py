"""One world for all tests of this folder that run in the same process."""

from collections.abc import Iterator

import pytest

from tests.faults.judge import shop_of
from tests.faults.shop import Shop
from tests.faults.world import World
from tests.faults.world import world as made_world


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with made_world() as made:
        yield made


@pytest.fixture(scope="module")
def before(world: World) -> Shop:
    return shop_of(world)
