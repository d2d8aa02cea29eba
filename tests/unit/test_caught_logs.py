"""Caught logs: pytest gets those too of loggers that pass nothing on (``tests/conftest.py``)."""

import logging

import pytest

BEFORE = logging.getLogger("tests.caught.before")
BEFORE.propagate = False


@pytest.fixture
def made_in_a_fixture() -> logging.Logger:
    made = logging.getLogger("tests.caught.fixture")
    made.propagate = False
    return made


def test_loggers_of_their_own_and_others_are_caught(
    caplog: pytest.LogCaptureFixture, made_in_a_fixture: logging.Logger
) -> None:
    for logger in (BEFORE, made_in_a_fixture, logging.getLogger("tests.caught.usual")):
        logger.warning("from %s", logger.name)

    assert caplog.messages == [f"from tests.caught.{name}" for name in ("before", "fixture", "usual")]


def test_the_level_of_the_root_is_put_back(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("tests.caught.usual").debug("seen")

    assert caplog.messages == ["seen"]
    assert logging.getLogger().level == logging.WARNING
