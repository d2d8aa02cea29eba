"""Every write of the playbook: once per key, whatever happens to its attempts."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from ballast.errors import RetryLater, SettingInvalid
from ballast.playbook import Playbook, ToolFailed
from playbook.records.refund import refund_id_of
from tests.functions.playbook.desk import ENVIRON, Desk

Write = tuple[str, dict[str, Any]]

EMPTY = {"email": None, "address": None, "marketing_consent": None, "notes": None}
WRITES: list[Write] = [
    ("cancel_order", {"order_id": "O-1002"}),
    ("reinstate_order", {"order_id": "O-1005"}),
    ("refund_order", {"order_id": "O-1003", "amount_usd": "10.00", "reason": "damaged"}),
    ("cancel_refund", {"refund_id": refund_id_of("store/O-1010")}),
    ("update_customer", {"customer_id": "C-1001", "phone": "+1 555 0999"}),
    (
        "restore_customer",
        {"customer_id": "C-1001", "previous": EMPTY | {"phone": ""}, "written": EMPTY | {"phone": "+1 555 0101"}},
    ),
]
#: Of these, a second call is a second effect; the others find their work done.
REPEATABLE = {"refund_order", "update_customer"}


@pytest.fixture(params=WRITES, ids=[name for name, _ in WRITES])
def write(request: pytest.FixtureRequest) -> Write:
    found: Write = request.param
    return found


class Client:
    """DynamoDB, with something in the way of a transaction."""

    def __init__(
        self,
        real: Any,
        before: Callable[[], object] = lambda: None,
        instead: Exception | None = None,
        after: Exception | None = None,
    ) -> None:
        self._real, self._before, self._instead, self._after = real, before, instead, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def transact_write_items(self, **request: Any) -> Any:
        self._before()
        if self._instead:
            raise self._instead
        answer = self._real.transact_write_items(**request)
        if self._after:
            raise self._after
        return answer


def cancelled(desk: Desk, codes: Sequence[str]) -> Exception:
    """Return the error of a transaction that DynamoDB cancelled for those reasons."""
    error: Exception = desk.client.exceptions.TransactionCanceledException(
        {
            "Error": {"Code": "TransactionCanceledException", "Message": f"[{', '.join(codes)}]"},
            "CancellationReasons": [{"Code": code} for code in codes],
        },
        "TransactWriteItems",
    )
    return error


def test_all_writes_are_tried_here(playbook: Playbook) -> None:
    assert {name for name, _ in WRITES} == {tool.name for tool in playbook.tools.values() if tool.effect == "write"}


def test_the_same_key_has_one_effect_and_one_result(desk: Desk, write: Write) -> None:
    tool, arguments = write
    before = desk.records()
    first = desk.run(tool, **arguments)
    between = desk.records()

    second = desk.run(tool, **arguments)

    assert second == first
    assert desk.records() == between != before


def test_another_key_has_another_effect_or_fails_cleanly(desk: Desk, write: Write) -> None:
    tool, arguments = write
    desk.run(tool, key="k1", **arguments)
    between = desk.records()

    if tool in REPEATABLE:
        desk.run(tool, key="k2", **arguments)
        assert desk.records() != between
    else:
        with pytest.raises(ToolFailed):
            desk.run(tool, key="k2", **arguments)
        assert desk.records() == between


def test_an_attempt_that_dies_after_its_effect_is_completed_by_the_next(desk: Desk, write: Write) -> None:
    tool, arguments = write
    dies = Client(desk.client, after=EndpointConnectionError(endpoint_url="https://dynamodb"))
    with pytest.raises(EndpointConnectionError):
        desk.through(dies).run(tool, **arguments)
    between = desk.records()

    result = desk.run(tool, **arguments)

    assert desk.records() == between
    assert result == desk.run(tool, **arguments)


def test_an_attempt_that_dies_before_its_effect_leaves_nothing(desk: Desk, write: Write) -> None:
    tool, arguments = write
    before = [desk.items(name) for name in ("customers", "orders", "refunds")]
    dies = Client(desk.client, instead=EndpointConnectionError(endpoint_url="https://dynamodb"))

    with pytest.raises(EndpointConnectionError):
        desk.through(dies).run(tool, **arguments)

    assert [desk.items(name) for name in ("customers", "orders", "refunds")] == before


def test_of_two_attempts_side_by_side_one_acts_and_both_answer_alike(desk: Desk, write: Write) -> None:
    tool, arguments = write
    answers: list[Any] = []
    overtaken = Client(desk.client, before=lambda: answers.append(desk.run(tool, **arguments)))

    late = desk.through(overtaken).run(tool, **arguments)

    assert [late] == answers
    between = desk.records()
    assert desk.run(tool, **arguments) == late
    assert desk.records() == between


def test_a_record_that_changes_at_the_same_moment_is_not_written_over(desk: Desk, write: Write) -> None:
    tool, arguments = write
    overtaken = Client(desk.client, before=lambda: desk.run(tool, key="somebody-else", **arguments))

    with pytest.raises(ToolFailed):
        desk.through(overtaken).run(tool, key="k1", **arguments)

    assert not any("k1" in key for name in ("customers", "orders", "refunds") for key in desk.items(name))


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_transaction_in_the_way_means_retry_later(desk: Desk, code: str) -> None:
    before = desk.records()
    blocked = Client(desk.client, instead=cancelled(desk, ["None", code]))

    with pytest.raises(RetryLater, match="nothing was written"):
        desk.through(blocked).run("cancel_order", order_id="O-1002")

    assert desk.records() == before


def test_a_throttle_is_no_outcome_of_the_business(desk: Desk) -> None:
    throttle = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "TransactWriteItems")

    with pytest.raises(ClientError, match="ThrottlingException"):
        desk.through(Client(desk.client, instead=throttle)).run("cancel_order", order_id="O-1002")


def test_a_transaction_that_can_never_succeed_is_a_defect(desk: Desk) -> None:
    broken = Client(desk.client, instead=cancelled(desk, ["None", "ValidationError"]))

    with pytest.raises(desk.client.exceptions.TransactionCanceledException):
        desk.through(broken).run("cancel_order", order_id="O-1002")


def test_a_table_that_is_not_in_the_environment_is_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(ENVIRON, "ORDERS_TABLE")

    with pytest.raises(SettingInvalid, match=r"ORDERS_TABLE.*template\.yaml"):
        desk.run("look_up_order", order_id="O-1002")
