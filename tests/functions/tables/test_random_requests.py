"""Random requests in random order: moto and the tables in memory answer alike and hold the same.

The requests have the forms that the functions and Powertools send, and a few that only DynamoDB's reference has.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.functions.tables.both import Both, Request, answered, n, s
from tests.support.sampling import examples

NAMES = ("run-log", "budgets", "escalations", "idempotency")

few = st.sampled_from
texts = few(["a", "b", "ab", "é", "b0"])
numbers = st.integers(-3, 120).map(str)
moments = few(["2026-03-01T12", "2026-03-01T13", "2026-03-02T00"])
ranges = st.tuples(moments, moments).map(lambda ends: {":since": s(min(ends)), ":until": s(max(ends))})


keys = {
    "run-log": st.builds(lambda a, b: {"run_id": s(a), "seq": s(b)}, texts, texts),
    "budgets": st.builds(lambda a, b: {"account": s(a), "window": s(b)}, texts, texts),
    "escalations": st.builds(lambda a: {"escalation_id": s(a)}, texts),
    "idempotency": st.builds(lambda a: {"id": s(a)}, texts),
}
more = {
    "run-log": st.fixed_dictionaries(
        {"at": moments.map(s), "body": st.binary(max_size=3).map(lambda value: {"B": value})},
        optional={
            "tenant": texts.map(s),
            "outcome": texts.map(s),
            "flag": st.booleans().map(lambda value: {"BOOL": value}),
        },
    ),
    "budgets": st.fixed_dictionaries(
        {"status": few(["held", "settled"]).map(s), "leased_microusd": numbers.map(n)},
        optional={
            "held": few(["s1", "s2"]).map(s),
            "look_at": moments.map(s),
            "runs": numbers.map(n),
            "parts": st.dictionaries(few(["0000", "0001"]), numbers.map(lambda x: {"M": {"microusd": n(x)}})).map(
                lambda value: {"M": value}
            ),
            "version": numbers.map(n),
        },
    ),
    "escalations": st.fixed_dictionaries(
        {"status": few(["open", "answered"]).map(s), "kind": few(["approval", "question"]).map(s)},
        optional={
            "opened_at": moments.map(s),
            "due": few(["yes", "no"]).map(s),
            "due_at": moments.map(s),
            "tenant": texts.map(s),
            "answers": numbers.map(n),
            "given": st.lists(texts.map(s), max_size=2).map(lambda value: {"L": value}),
        },
    ),
    "idempotency": st.fixed_dictionaries(
        {"status": few(["INPROGRESS", "COMPLETED"]).map(s), "expiration": numbers.map(n)},
        optional={
            "in_progress_expiration": numbers.map(n),
            "data": texts.map(s),
            "state": few(["open", "half_open"]).map(s),
        },
    ),
}


def put(table: str, condition: str | None = None, values: Any = None, **extra: Any) -> st.SearchStrategy[Request]:
    """Return puts into a table, under a condition with the given values."""

    def made(key: dict[str, Any], attributes: dict[str, Any], given: dict[str, Any]) -> Request:
        request = {"TableName": table, "Item": key | attributes, **extra}
        if condition is not None:
            request["ConditionExpression"] = condition
        if given:
            request["ExpressionAttributeValues"] = given
        return "put_item", request

    return st.builds(made, keys[table], more[table], st.fixed_dictionaries(values or {}))


def change(table: str, text: str, values: Any = None, condition: str = "", **extra: Any) -> st.SearchStrategy[Request]:
    """Return updates of a table."""

    def made(key: dict[str, Any], given: dict[str, Any]) -> Request:
        request = {"TableName": table, "Key": key, "UpdateExpression": text, **extra}
        request |= {"ConditionExpression": condition} if condition else {}
        return "update_item", request | ({"ExpressionAttributeValues": given} if given else {})

    return st.builds(made, keys[table], st.fixed_dictionaries(values or {}))


def paged(method: str, table: str, values: Any, **extra: Any) -> st.SearchStrategy[Request]:
    """Return queries or scans with and without a limit and a start key, forwards and backwards."""
    index = extra.get("IndexName", "")
    start = more[table].map(lambda item: {name: item.get(name, s("b")) for name in INDEXES.get(index, ())})
    options: dict[str, Any] = {"Limit": st.integers(1, 3)}
    if method == "query":
        options["ScanIndexForward"] = st.booleans()
    if not index:
        options["ExclusiveStartKey"] = keys[table]
    elif index in INDEXES:
        options["ExclusiveStartKey"] = st.builds(lambda one, other: one | other, keys[table], start)

    def made(given: dict[str, Any], chosen: dict[str, Any]) -> Request:
        start_key = chosen.get("ExclusiveStartKey")
        if start_key and method == "query":
            # A start key is of the partition that is asked for.
            chosen["ExclusiveStartKey"] = start_key | {extra["hash_key"]: next(iter(given.values()))}
        request = {"TableName": table} | ({"ExpressionAttributeValues": given} if given else {})
        return method, request | chosen | {name: value for name, value in extra.items() if name != "hash_key"}

    chosen = st.fixed_dictionaries({}, optional=options)
    return st.builds(made, values if isinstance(values, st.SearchStrategy) else st.fixed_dictionaries(values), chosen)


def query(table: str, text: str, values: Any, hash_key: str = "run_id", **extra: Any) -> st.SearchStrategy[Request]:
    """Return queries."""
    return paged("query", table, values, KeyConditionExpression=text, hash_key=hash_key, **extra)


INDEXES = {"by_tenant": ("tenant", "at"), "by_look": ("held", "look_at"), "by_status": ("status", "opened_at")}
STATUS = {"ExpressionAttributeNames": {"#status": "status"}}
OLD = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
POWERTOOLS = (
    "attribute_not_exists(#id) OR #expiry < :now OR (#status = :inprogress AND attribute_exists(#in_progress_expiry) "
    "AND #in_progress_expiry < :now_in_millis)"
)
CIRCUIT = (
    "(#state = :open AND attribute_not_exists(#owner) AND #expiry = :expected) "
    "OR (#state = :half_open AND #expiry <= :now)"
)
WRITES: list[st.SearchStrategy[Request]] = [
    put("run-log"),
    put("run-log", "attribute_not_exists(run_id)", **OLD),
    put("budgets"),
    put("budgets", "version = :seen", {":seen": numbers.map(n)}),
    put("escalations"),
    put("idempotency"),
    put(
        "idempotency",
        POWERTOOLS,
        {":now": numbers.map(n), ":inprogress": st.just(s("INPROGRESS")), ":now_in_millis": numbers.map(n)},
        ExpressionAttributeNames={
            "#id": "id",
            "#expiry": "expiration",
            "#status": "status",
            "#in_progress_expiry": "in_progress_expiration",
        },
        **OLD,
    ),
    put(
        "idempotency",
        CIRCUIT,
        {
            ":open": st.just(s("open")),
            ":half_open": st.just(s("half_open")),
            ":expected": numbers.map(n),
            ":now": numbers.map(n),
        },
        ExpressionAttributeNames={"#state": "state", "#owner": "data", "#expiry": "expiration"},
    ),
    change(
        "budgets",
        "SET look_at = :until",
        {":until": moments.map(s), ":shard": few(["s1", "s2"]).map(s)},
        "held = :shard",
    ),
    change(
        "budgets",
        "SET #status = :settled REMOVE held, look_at",
        {":settled": st.just(s("settled")), ":held": st.just(s("held")), ":leased": numbers.map(n)},
        "#status = :held AND leased_microusd = :leased",
        **STATUS,
    ),
    change(
        "budgets",
        "ADD #count :amount",
        {":amount": numbers.map(n), ":room": numbers.map(n)},
        "attribute_not_exists(#count) OR #count <= :room",
        ExpressionAttributeNames={"#count": "runs"},
    ),
    change(
        "budgets",
        "SET parts.#turn = :part ADD leased_microusd :amount",
        {":part": numbers.map(lambda x: {"M": {"microusd": n(x)}}), ":amount": numbers.map(n)},
        "attribute_exists(parts) AND attribute_not_exists(parts.#turn)",
        ExpressionAttributeNames={"#turn": "0001"},
    ),
    change(
        "escalations",
        "SET answers = :answers, given = :given, #status = :answered REMOVE due, due_at",
        {
            ":answers": numbers.map(n),
            ":given": st.just({"L": [s("x")]}),
            ":answered": st.just(s("answered")),
            ":open": st.just(s("open")),
            ":before": numbers.map(n),
        },
        "#status = :open AND answers = :before",
        ReturnValues="ALL_NEW",
        **STATUS,
    ),
    change(
        "escalations",
        "SET #status = :answered ADD attempts :one REMOVE due, due_at",
        {":answered": st.just(s("answered")), ":one": st.just(n(1)), ":open": st.just(s("open")), ":sha": texts.map(s)},
        "#status = :open OR answer_sha256 = :sha",
        ReturnValues="ALL_NEW",
        **STATUS,
    ),
    change("escalations", "SET opened_at = if_not_exists(opened_at, :now)", {":now": moments.map(s)}),
    change(
        "escalations",
        "ADD attempts :one",
        {":one": st.just(n(1))},
        "attribute_exists(escalation_id)",
        ReturnValues="UPDATED_NEW",
    ),
    change("escalations", "REMOVE due, due_at"),
]
FORMS: list[st.SearchStrategy[Request]] = [
    query("run-log", "run_id = :run", {":run": texts.map(s)}, ConsistentRead=True),
    query("run-log", "run_id = :run AND seq >= :begin", {":run": texts.map(s), ":begin": texts.map(s)}),
    query("run-log", "run_id = :run AND begins_with(seq, :begin)", {":run": texts.map(s), ":begin": texts.map(s)}),
    query("run-log", "run_id = :run", {":run": texts.map(s)}, Select="COUNT"),
    query(
        "run-log",
        "#key = :key AND #at BETWEEN :since AND :until",
        st.builds(lambda key, ends: {":key": s(key)} | ends, texts, ranges),
        hash_key="tenant",
        IndexName="by_tenant",
        ExpressionAttributeNames={"#key": "tenant", "#at": "at"},
    ),
    query(
        "budgets",
        "held = :shard AND look_at <= :until",
        {":shard": few(["s1", "s2"]).map(s), ":until": moments.map(s)},
        hash_key="held",
        IndexName="by_look",
    ),
    query(
        "escalations",
        "#status = :open",
        {":open": st.just(s("open")), ":question": st.just(s("question")), ":tenant": texts.map(s)},
        hash_key="status",
        IndexName="by_status",
        FilterExpression="#kind <> :question AND #tenant = :tenant",
        ProjectionExpression="#kind, escalation_id",
        ExpressionAttributeNames={"#status": "status", "#kind": "kind", "#tenant": "tenant"},
    ),
    *(
        st.builds(lambda key, table=table: ("get_item", {"TableName": table, "Key": key}), keys[table])
        for table in NAMES
    ),
    *(
        st.builds(lambda key, table=table: ("delete_item", {"TableName": table, "Key": key}), keys[table])
        for table in NAMES
    ),
    st.lists(keys["budgets"], min_size=1, max_size=3, unique_by=str).map(
        lambda wanted: ("batch_get_item", {"RequestItems": {"budgets": {"Keys": wanted, "ConsistentRead": True}}})
    ),
    paged("scan", "budgets", {}),
    paged("scan", "budgets", {":least": numbers.map(n)}, FilterExpression="leased_microusd >= :least"),
    st.builds(
        lambda ids, attributes: (
            "batch_write_item",
            {"RequestItems": {"idempotency": [put_of(ids[0] | attributes), delete_of(ids[1])]}},
        ),
        st.lists(keys["idempotency"], min_size=2, max_size=2, unique_by=str),
        more["idempotency"],
    ),
    st.builds(
        lambda method, key, returned: (
            method,
            {"TableName": "budgets", "ReturnValues": returned}
            | ({"Item": key} if method == "put_item" else {"Key": key}),
        ),
        few(["put_item", "delete_item"]),
        keys["budgets"],
        few(["NONE", "ALL_OLD"]),
    ),
    *(
        change(
            "budgets", "SET runs = :runs", {":runs": numbers.map(n)}, "attribute_exists(runs)", ReturnValues=old, **OLD
        )
        for old in ("ALL_OLD", "UPDATED_OLD")
    ),
]
KINDS = {"put_item": "Put", "update_item": "Update", "delete_item": "Delete", "check": "ConditionCheck"}


def put_of(item: dict[str, Any]) -> dict[str, Any]:
    """Return a batch's put."""
    return {"PutRequest": {"Item": item}}


def delete_of(key: dict[str, Any]) -> dict[str, Any]:
    """Return a batch's delete."""
    return {"DeleteRequest": {"Key": key}}


def under_condition(method: str) -> st.SearchStrategy[Request]:
    """Return deletes or checks of a lease."""
    return st.builds(
        lambda key, leased, on_failure: (
            method,
            {
                "TableName": "budgets",
                "Key": key,
                "ConditionExpression": "leased_microusd > :leased",
                "ExpressionAttributeValues": {":leased": n(leased)},
                **on_failure,
            },
        ),
        keys["budgets"],
        numbers,
        few([{}, OLD]),
    )


WRITES.append(under_condition("delete_item"))


def transaction(made: list[Request]) -> Request:
    """Return the writes as one request."""
    items = [
        {KINDS[method]: {name: value for name, value in request.items() if name != "ReturnValues"}}
        for method, request in made
    ]
    return "transact_write_items", {"TransactItems": items}


transactions = st.lists(st.one_of(*WRITES, under_condition("check")), min_size=1, max_size=4).map(transaction)


def answers_of(both: Both, request: Request) -> tuple[Any, Any]:
    """Return the answers of both."""
    ours, theirs = answered(both.memory, request), answered(both.moto, request)
    if isinstance(ours, dict) and "LastEvaluatedKey" in ours and "LastEvaluatedKey" not in theirs:
        # DynamoDB says where to go on whenever it stopped at the limit, also at the last item; moto does not then.
        method, parameters = request
        following = getattr(both.memory, method)(**parameters | {"ExclusiveStartKey": ours.pop("LastEvaluatedKey")})
        assert following["ScannedCount"] == 0
    return ours, theirs


@given(st.lists(st.one_of(*WRITES, *FORMS, transactions, transactions), min_size=4, max_size=16))
@settings(max_examples=examples(12, 30))
def test_requests_have_the_same_answers_and_leave_the_same_items(both_of_file: Both, requests: list[Request]) -> None:
    both_of_file.empty()

    for request in requests:
        ours, theirs = answers_of(both_of_file, request)
        assert ours == theirs, request

    both_of_file.items()
