"""A file's tests share the cloud; each has a stack of its own on it, and the model's endpoint to itself."""

from collections.abc import Generator, Iterator

import pytest
from moto import mock_aws

from localcloud.moto_seams.imports import import_moto
from localcloud.moto_seams.interpreter import starts_one_at_a_time
from localcloud.moto_seams.kms import no_key_pairs_for_secret_keys
from localcloud.moto_seams.requests import methods_looked_up_once
from tests.functions.cloud import MOTO, SESSION, Cloud
from tests.functions.endpoint import Endpoint
from tests.functions.moves import PURSE
from tests.functions.stack import Stack
from tests.functions.tables.forms import WATCH
from tests.functions.writes import WRITES

# Before the session's first client.
SESSION.events.register("before-parameter-build.dynamodb", WATCH)


@pytest.fixture(scope="session", autouse=True)
def no_form_of_request_is_new() -> Iterator[None]:
    """Let the tables in memory have no form of request that is not compared with moto's."""
    yield
    WATCH.refuse_new()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def cloud(endpoint: Endpoint) -> Iterator[Cloud]:
    import_moto()
    with mock_aws(config=MOTO), methods_looked_up_once(), no_key_pairs_for_secret_keys(), starts_one_at_a_time():
        yield Cloud(model_url=endpoint.url)


@pytest.fixture
def stack(cloud: Cloud) -> Stack:
    return Stack(cloud)


@pytest.fixture
def writes(stack: Stack) -> Stack:
    """Return the stack with the playbook ``writes``."""
    for environ in stack.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = str(WRITES)
    return stack


@pytest.fixture
def purse(stack: Stack) -> Stack:
    """Return the stack with the playbook ``purse``."""
    for environ in stack.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = str(PURSE)
    return stack


@pytest.fixture
def model(stack: Stack, endpoint: Endpoint) -> Iterator[Endpoint]:
    endpoint.renew()
    yield endpoint
    endpoint.over.set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Let no test pass whose agent made a request that Bedrock refuses."""
    result = yield
    asked = getattr(item, "funcargs", {}).get("model")
    if isinstance(asked, Endpoint):
        assert asked.refusals == []
    return result
