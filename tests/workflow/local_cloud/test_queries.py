"""The seam for queries answers as moto does without it. No cloud is open here: it would have the seam in place."""

import itertools
import random
from typing import Any

import boto3
import pytest

from localcloud.moto_seams.dynamodb import queries_look_at_one_key
from localcloud.moto_seams.imports import import_moto
from localcloud.moto_seams.replaced import replaced
from localcloud.sessions import REGION


def ask_all(client: Any, with_range: bool) -> list[Any]:
    """Ask a table of few hash keys and its indexes in every way that a query has, page by page."""
    rng = random.Random(7)
    answers: list[Any] = []
    for index, key, within in (
        (None, "h", "r" if with_range else None),
        ("by_group", "g", "r"),
        ("by_mark", "m", None),
    ):
        for value in ("0", "none"):
            for forward, limit, filtered, by_range in itertools.product((True, False), (None, 3), (0, 1), (0, 1)):
                values = {":k": {"S": value}, ":n": {"N": str(rng.randrange(9))}, ":r": {"S": str(rng.randrange(30))}}
                asked: dict[str, Any] = {"TableName": "asked", "ScanIndexForward": forward}
                asked |= {"IndexName": index} if index else {}
                asked |= {"Limit": limit} if limit else {}
                asked |= {"FilterExpression": "n > :n"} if filtered else {}
                ranged = by_range and within
                asked["KeyConditionExpression"] = f"{key} = :k" + (f" AND {within} > :r" if ranged else "")
                used = [":k"] + [":n"] * filtered + ([":r"] if ranged else [])
                asked["ExpressionAttributeValues"] = {name: values[name] for name in used}
                for _ in range(40):
                    reply = client.query(**asked)
                    answers.append([reply.get(part) for part in ("Items", "Count", "ScannedCount", "LastEvaluatedKey")])
                    if not (last := reply.get("LastEvaluatedKey")):
                        break
                    asked["ExclusiveStartKey"] = last
    return answers


@pytest.mark.sampled(1)
@pytest.mark.parametrize("with_range", [True, False])
def test_a_query_of_one_key_answers_what_motos_own_does(with_range: bool) -> None:
    import_moto()
    from moto import mock_aws
    from moto.dynamodb.models.table import Table

    rng = random.Random(11)
    text = {"AttributeType": "S"}
    schema = [{"AttributeName": "h", "KeyType": "HASH"}, {"AttributeName": "r", "KeyType": "RANGE"}]
    group = [{"AttributeName": "g", "KeyType": "HASH"}, {"AttributeName": "r", "KeyType": "RANGE"}]
    mark = [{"AttributeName": "m", "KeyType": "HASH"}]
    looked_at: list[int] = []

    def all_items(self: Table) -> Any:
        found = before(self)
        looked_at.append(len(found))
        return found

    with mock_aws(), replaced(Table, "all_items", all_items) as before:
        client = boto3.client("dynamodb", REGION, aws_access_key_id="a", aws_secret_access_key="b")
        client.create_table(
            TableName="asked",
            KeySchema=schema[: 1 + with_range],
            AttributeDefinitions=[{"AttributeName": name, **text} for name in ("h", "r", "g", "m")],
            BillingMode="PAY_PER_REQUEST",
            GlobalSecondaryIndexes=[
                {"IndexName": name, "KeySchema": keys, "Projection": {"ProjectionType": kind}}
                for name, keys, kind in (("by_group", group, "ALL"), ("by_mark", mark, "KEYS_ONLY"))
            ],
        )
        for number in range(60):
            names = {"h": rng.randrange(3) if with_range else number % 5, "r": rng.randrange(30), "g": rng.randrange(3)}
            item = {name: {"S": str(value)} for name, value in names.items()} | {"n": {"N": str(rng.randrange(9))}}
            client.put_item(TableName="asked", Item=item | ({"m": {"S": str(number % 3)}} if number % 2 else {}))

        expected = ask_all(client, with_range)
        everything = max(looked_at)
        looked_at.clear()
        with queries_look_at_one_key():
            found = ask_all(client, with_range)

    assert found == expected
    assert any(items for items, *_ in found)
    assert 0 < max(looked_at) < everything
