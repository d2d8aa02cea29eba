"""The table adapter: plain values in and out, a failed condition is a result, and unread keys are bounded."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ballast.errors import RetryLater, SettingInvalid
from ballast.table import (
    BATCH_ATTEMPTS,
    Answer,
    Condition,
    Put,
    Query,
    Table,
    Update,
    absent,
    at_least,
    at_most,
    begins_with,
    between,
    differs,
    equals,
    plain,
    present,
    wire,
)
from tests.functions.stack import client_error
from tests.support.tables_in_memory import Tables

KEY = {"account": "lease", "window": "run-1"}
HELD = KEY | {"status": "held", "leased_microusd": 500, "parts": {"0001": {"microusd": 500}}}


@pytest.fixture
def table() -> Table:
    return Table(Tables(), "budgets", "Table budgets (BUDGETS_TABLE)")


VALUES = {
    "text": "held",
    "whole": 10**37,
    "fraction": Decimal("0.1"),
    "bytes": b"\x00mac",
    "yes": True,
    "nothing": None,
    "list": ["a", 1, {"b": False}],
    "map": {"a": {"b": -1}},
}


def test_a_key_that_is_asked_for_twice_is_read_once(table: Table) -> None:
    table.write(Put(KEY | VALUES))
    others = [{"account": "lease", "window": f"run-{number % 60}"} for number in range(240)]

    found = table.batch_get([KEY, *others, dict(reversed(KEY.items()))])

    assert [one["window"] for one in found] == ["run-1"]


def test_an_item_comes_back_as_it_was_written(table: Table) -> None:
    table.write(Put(KEY | VALUES))

    found = table.get(KEY)

    assert found == KEY | VALUES
    assert [type(found[name]) for name in VALUES] == [type(value) for value in VALUES.values()]


@pytest.mark.parametrize("value", [0.5, {1, 2}, object()])
def test_a_value_of_another_type_is_not_written(table: Table, value: Any) -> None:
    with pytest.raises(TypeError, match="keep"):
        table.write(Put(KEY | {"microusd": value}))

    assert table.get(KEY) is None


def test_a_set_that_somebody_else_wrote_is_read_in_its_order() -> None:
    assert plain({"a": {"SS": ["y", "x"]}, "b": {"NS": ["2", "0.5"]}}) == {"a": ("y", "x"), "b": (2, Decimal("0.5"))}


# Conditions


def test_an_item_is_put_once_and_the_second_is_told_what_is_there(table: Table) -> None:
    nobody_leased_before = absent("account")

    assert table.write(Put(HELD, nobody_leased_before), show=True) == Answer(written=True)
    assert table.write(Put(KEY, nobody_leased_before), show=True) == Answer(written=False, item=HELD)
    assert table.write(Put(KEY, nobody_leased_before)) == Answer(written=False)
    assert table.get(KEY) == HELD


def test_an_update_is_shown_as_it_left_the_item(table: Table) -> None:
    table.write(Put(HELD))
    settled = Update(
        KEY,
        set={"status": "settled", "parts.0002": {"microusd": 1}},
        set_if_absent={"status": "held", "settled_at": "now"},
        remove=["leased_microusd"],
        add={"corrections": 1},
        only_if=equals("status", "held"),
    )
    with pytest.raises(ClientError, match="overlap"):  # an attribute in two clauses is the caller's defect
        table.write(settled)
    settled = Update(KEY, settled.set, {"settled_at": "now"}, settled.remove, settled.add, settled.only_if)

    answer = table.write(settled, show=True)

    after = KEY | {"status": "settled", "settled_at": "now", "corrections": 1}
    assert answer == Answer(written=True, item=after | {"parts": {"0001": {"microusd": 500}, "0002": {"microusd": 1}}})
    assert table.write(settled, show=True) == Answer(written=False)


HOLDS: list[tuple[Condition, str]] = [
    (absent("held"), "attribute_not_exists(#held)"),
    (present("parts.0001"), "attribute_exists(#parts.#_1)"),
    (equals("status", "held"), "#status = :v0"),
    (differs("status", "settled"), "#status <> :v0"),
    (at_most("leased_microusd", 500), "#leased_microusd <= :v0"),
    (at_least("leased_microusd", 500), "#leased_microusd >= :v0"),
    (between("leased_microusd", 1, 500), "#leased_microusd BETWEEN :v0 AND :v1"),
    (begins_with("status", "he"), "begins_with(#status, :v0)"),
    (
        absent("x") & present("held") & absent("y") | absent("z"),
        "(attribute_not_exists(#x) AND attribute_exists(#held) ",
    ),
    (equals("status", "no") | equals("status", "held"), "#status = :v0 OR #status = :v1"),
    (absent("held") & (absent("x") | present("y")), "attribute_not_exists(#held) AND (attribute_not_exists(#x) OR "),
    (absent("z") | (absent("x") & present("y")), "attribute_not_exists(#z) OR (attribute_not_exists(#x) AND "),
]


@pytest.mark.parametrize(("condition", "text"), HOLDS, ids=[str(at) for at in range(len(HOLDS))])
def test_a_condition_is_one_of_dynamodbs(table: Table, condition: Condition, text: str) -> None:
    table.write(Put(HELD))
    put = Put(HELD, condition)

    assert put.request("budgets")["ConditionExpression"].startswith(text)
    assert table.write(put).written
    assert not table.write(Put(HELD, condition & equals("status", "settled"))).written


# Reads


def test_what_is_read_is_whole_or_what_was_asked_for(table: Table) -> None:
    for number in range(3):
        table.write(Put({"account": "lease", "window": f"run-{number}", "status": "held", "at": number}))
    keys = [{"account": "lease", "window": f"run-{number}"} for number in (2, 0, 7)]

    assert {item["window"] for item in table.batch_get(keys)} == {"run-2", "run-0"}
    assert table.batch_get(keys[:1], only=["status"], consistent=False) == [{"status": "held"}]
    assert table.get(keys[0], only=["at", "status"]) == {"at": 2, "status": "held"}
    assert table.get(keys[2]) is None
    assert table.batch_get([]) == []


def test_a_query_is_read_to_its_end_or_page_by_page(table: Table) -> None:
    for number in range(7):
        table.write(Put({"account": "tenant", "window": f"{number}", "odd": number % 2}))
    query = Query(equals("account", "tenant") & at_least("window", "2"), consistent=True, limit=2)

    assert [item["window"] for item in table.all(query)] == list("23456")
    page = table.page(query)
    assert ([item["window"] for item in page.items], page.after) == (["2", "3"], {"account": "tenant", "window": "3"})
    assert table.count(query) == 2
    odd = Query(equals("account", "tenant"), having=equals("odd", 1), only=["window"], descending=True)
    assert table.all(odd) == [{"window": "5"}, {"window": "3"}, {"window": "1"}]


class Sent:
    """A client that remembers what it was sent."""

    def __init__(self, tables: Tables) -> None:
        self.requests: list[dict[str, Any]] = []
        self._tables = tables

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def ask(**request: Any) -> Any:
            self.requests.append(request)
            return getattr(self._tables, operation)(**request)

        return ask


def test_a_read_sees_every_write_before_it_unless_it_need_not(table: Table) -> None:
    client = Sent(table.client)
    sent = Table(client, "budgets", "t")

    sent.get(KEY)
    sent.batch_get([KEY])
    sent.page(Query(equals("account", "lease"), consistent=True))
    assert ["'ConsistentRead': True" in str(request) for request in client.requests] == [True, True, True]

    sent.batch_get([KEY], consistent=False)
    sent.page(Query(equals("account", "lease")))
    assert not any("ConsistentRead" in str(request) for request in client.requests[3:])


def test_many_keys_are_read_in_as_many_requests_as_dynamodb_wants(table: Table) -> None:
    client = Sent(table.client)
    keys = [{"account": "acme", "window": f"{number}"} for number in range(201)]
    for key in keys:
        table.write(Put(key))

    assert len(Table(client, "budgets", "t").batch_get(keys)) == 201
    assert [len(request["RequestItems"]["budgets"]["Keys"]) for request in client.requests] == [100, 100, 1]


class LeavesUnread:
    """A client that leaves everything unread so often, and then reads it."""

    def __init__(self, times: int, tables: Tables) -> None:
        self.left, self.asked, self._tables = times, 0, tables

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's
        self.asked += 1
        if self.asked <= self.left:
            return {"Responses": {}, "UnprocessedKeys": RequestItems}
        return dict(self._tables.batch_get_item(RequestItems=RequestItems))


def test_what_is_left_unread_is_asked_for_again_after_a_pause(table: Table) -> None:
    table.write(Put(HELD))
    slept: list[float] = []
    client = LeavesUnread(2, table.client)

    assert Table(client, "budgets", "t", lambda: 0.5, slept.append).batch_get([KEY]) == [HELD]
    assert (client.asked, slept) == (3, [0.025, 0.05])


def test_what_stays_unread_is_no_answer(table: Table) -> None:
    slept: list[float] = []
    client = LeavesUnread(100, table.client)

    with pytest.raises(RetryLater, match="BUDGETS_TABLE"):
        Table(client, "budgets", table.what, lambda: 1.0, slept.append).batch_get([KEY])

    assert (client.asked, slept) == (BATCH_ATTEMPTS, [0.05, 0.1, 0.2, 0.4])


# Errors


class Fails:
    """A client whose every request fails."""

    def __init__(self, code: str) -> None:
        self._code = code

    def __getattr__(self, _: str) -> Callable[..., Mapping[str, Any]]:
        def fail(**_: Any) -> Mapping[str, Any]:
            raise client_error(self._code)

        return fail


REQUESTS: list[Callable[[Table], Any]] = [
    lambda table: table.get(KEY),
    lambda table: table.batch_get([KEY]),
    lambda table: table.all(Query(equals("account", "lease"))),
    lambda table: table.count(Query(equals("account", "lease"))),
    lambda table: table.write(Put(HELD)),
    lambda table: table.write(Update(KEY, remove=["status"])),
    lambda table: table.transact([Put(HELD)]),
]
CONSEQUENCES = [
    ("ProvisionedThroughputExceededException", RetryLater),
    ("ResourceNotFoundException", SettingInvalid),
    ("AccessDeniedException", ClientError),
]


@pytest.mark.parametrize("ask", REQUESTS)
@pytest.mark.parametrize(("code", "consequence"), CONSEQUENCES)
def test_an_error_is_its_consequence(ask: Callable[[Table], Any], code: str, consequence: type[Exception]) -> None:
    with pytest.raises(consequence, match="BUDGETS_TABLE" if consequence is not ClientError else code):
        ask(Table(Fails(code), "budgets", "Table budgets (BUDGETS_TABLE)"))


# Several items at once


def test_a_transaction_writes_all_or_nothing_and_tells_whose_condition_failed(table: Table) -> None:
    window = {"account": "acme", "window": "day"}
    it_fits = absent("taken") | at_most("taken", 4)
    lease, claim = Put(HELD, absent("account")), Update(window, add={"taken": 5}, only_if=it_fits)

    assert table.transact([lease, claim]) == frozenset()
    assert table.transact([lease, claim]) == {0, 1}
    assert table.get(window) == window | {"taken": 5}


def test_changes_of_items_that_are_gone_are_left_out(table: Table) -> None:
    table.write(Put(HELD))
    settled = Update(KEY, set={"status": "settled"}, only_if=equals("status", "held"))
    windows = [
        Update({"account": "acme", "window": name}, add={"taken": -1}, only_if=present("account")) for name in "ab"
    ]
    table.write(Put({"account": "acme", "window": "b", "taken": 5}))

    assert table.transact_with(settled, windows)
    assert not table.transact_with(settled, windows)

    assert table.get({"account": "acme", "window": "b"}) == {"account": "acme", "window": "b", "taken": 4}
    assert table.get({"account": "acme", "window": "a"}) is None


def test_wire_and_plain_undo_each_other() -> None:
    assert plain(wire(VALUES)) == VALUES
