"""The build. Where this machine cannot build, the tests are skipped with the reason; ARTIFACTS=required fails them."""

import os

import pytest

from tests.artifacts.build import Build, BuildFailed, Tools, Unavailable
from tests.artifacts.cache import Cache, cache_root


@pytest.fixture(scope="session")
def tools() -> Tools:
    return Tools(Cache(cache_root(os.environ)))


@pytest.fixture(scope="session")
def build(tools: Tools) -> Build:
    try:
        return tools.build()
    except Unavailable as problem:
        message = f"NO ARTIFACTS: {problem} What is deployed was NOT tested."
        if os.environ.get("ARTIFACTS") == "required":
            pytest.fail(message)
        pytest.skip(message)
    except BuildFailed as problem:
        pytest.fail(str(problem), pytrace=False)
