"""A transaction that conflicts with another is retried, within bounds and with jitter; a lasting failure is raised."""

from collections.abc import Sequence
from typing import Any

import pytest

from ballast.errors import RetryLater, SettingInvalid
from ballast.table import TRANSACTION_ATTEMPTS, Put, Table
from tests.functions.stack import client_error
from tests.support.dynamodb_client import TransactionCanceledException

CONFLICT, FAILED, THROTTLED = "TransactionConflict", "ConditionalCheckFailed", "ThrottlingError"
TWO = [Put({"id": "one"}), Put({"id": "other"})]


class Answers:
    """A client that gives these answers, one after the other: nothing, codes of a cancellation, or an error."""

    def __init__(self, *answers: Sequence[str] | Exception | None) -> None:
        self.left, self.sent = list(answers), 0

    def transact_write_items(self, *, TransactItems: list[Any]) -> None:  # noqa: N803
        self.sent += 1
        answer = self.left.pop(0) if self.left else [CONFLICT, "None"]
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            reasons: Any = {
                "Error": {"Code": "TransactionCanceledException"},
                "CancellationReasons": [{"Code": code} for code in answer],
            }
            raise TransactionCanceledException(reasons, "TransactWriteItems")


def written(client: Answers, *, random: float = 0.5) -> tuple[frozenset[int], list[float]]:
    """Write two items; return whose conditions failed, and the pauses."""
    slept: list[float] = []
    failed = Table(client, "t", "Table t", lambda: random, slept.append).transact(TWO)
    return failed, slept


def test_what_is_written_at_once_does_not_wait() -> None:
    assert written(Answers(None)) == (frozenset(), [])


@pytest.mark.parametrize("code", [CONFLICT, THROTTLED, "ProvisionedThroughputExceeded"])
def test_what_passes_by_itself_is_tried_again(code: str) -> None:
    assert written(Answers(["None", code], [code, "None"], None)) == (frozenset(), [0.025, 0.05])


@pytest.mark.parametrize(
    "code", ["TransactionConflictException", "ThrottlingException", "TransactionInProgressException"]
)
def test_a_call_that_is_refused_as_a_whole_is_tried_again(code: str) -> None:
    assert written(Answers(client_error(code), None)) == (frozenset(), [0.025])


def test_pauses_grow_up_to_a_bound_and_the_tries_end() -> None:
    client = Answers()

    with pytest.raises(RetryLater, match="Table t"):
        written(client)

    assert client.sent == TRANSACTION_ATTEMPTS
    slept: list[float] = []
    with pytest.raises(RetryLater):
        Table(Answers(), "t", "Table t", lambda: 1.0, slept.append).transact(TWO)
    assert slept == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_two_who_met_wait_for_different_times() -> None:
    assert written(Answers([CONFLICT], None), random=0.1)[1] != written(Answers([CONFLICT], None), random=0.9)[1]


def test_failed_conditions_are_told_item_by_item() -> None:
    assert written(Answers(["None", FAILED]))[0] == {1}
    assert written(Answers([FAILED, FAILED]))[0] == {0, 1}


def test_nothing_is_concluded_while_the_first_item_is_in_another_transaction() -> None:
    """It may be about to be written by an earlier attempt of ours."""
    assert written(Answers([CONFLICT, FAILED], [FAILED, FAILED]))[0] == {0, 1}
    assert written(Answers([FAILED, CONFLICT]))[0] == {0}


def test_a_defect_is_no_conflict() -> None:
    with pytest.raises(TransactionCanceledException):
        written(Answers(["ValidationError", "None"]))


def test_a_missing_table_is_named() -> None:
    with pytest.raises(SettingInvalid, match="Table t"):
        written(Answers(client_error("ResourceNotFoundException")))
