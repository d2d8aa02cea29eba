"""A throttled table may leave keys of a batch unread: then the reader raises and does not use half of the answer."""

from dataclasses import replace
from typing import Any

import pytest

from ballast.breaker_reader import Breakers
from ballast.errors import RetryLater
from ballast.money.windows import WindowLimits
from ballast.runtime import Runtime
from ballast.table import Table
from functions.breaker.api import LastDay
from functions.breaker.trip import BurnRate


class LeavesUnread:
    """A session whose DynamoDB reads nothing that it was asked for, as it may under load."""

    def client(self, _service: str, **_: Any) -> Any:
        return self

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's
        return {"Responses": {}, "UnprocessedKeys": RequestItems}


@pytest.fixture
def runtime() -> Runtime:
    session: Any = LeavesUnread()
    return Runtime({}, session=session)


@pytest.fixture
def table(runtime: Runtime) -> Table:
    return replace(Table.of(runtime, "budgets", "BUDGETS_TABLE"), sleep=lambda _: None)


def test_an_unread_breaker_is_none_that_is_closed(table: Table, runtime: Runtime) -> None:
    with pytest.raises(RetryLater, match="BUDGETS_TABLE"):
        Breakers(table, runtime).current_mode("acme", run_id="run-1")


def test_unread_windows_are_none_that_are_empty(table: Table, runtime: Runtime) -> None:
    with pytest.raises(RetryLater, match="BUDGETS_TABLE"):
        BurnRate(table, WindowLimits(1, 1, 1), runtime).asks()


def test_the_windows_of_a_day_are_shown_whole_or_not_at_all(table: Table, runtime: Runtime) -> None:
    limits = WindowLimits(1, 1, 1)

    with pytest.raises(RetryLater, match="BUDGETS_TABLE"):
        LastDay(table, (limits, limits), runtime).budget("acme")
