"""Tables' streams: each write is reported, by moto and in its place, and a mapping's filter decides who gets it."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from localcloud.clock import VirtualClock
from localcloud.event_sources import Streams, StreamSource, filters_of
from localcloud.functions import Function, Functions
from localcloud.moto_seams.dynamodb import deployed, stream_records_go_to
from localcloud.moto_seams.imports import import_moto
from localcloud.template import TemplateInvalid
from tests.support.tables_in_memory import Tables

ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/watched/stream/2026"
TOUCHED = '{"eventName": ["MODIFY", "REMOVE"]}'


@pytest.fixture(params=["moto", "memory"])
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """Yield what is told of writes, with two tables: ``watched`` has a stream, ``other`` has none."""
    import_moto()
    told: list[tuple[Any, ...]] = []
    with mock_aws(), stream_records_go_to(lambda *record: told.append(record)):
        for name, more in (("watched", {"StreamSpecification": STREAM}), ("other", {})):
            client().create_table(
                TableName=name,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                **more,
            )
        if request.param == "memory":
            tables = Tables()
            tables.take(deployed("123456789012", "eu-west-1"), lambda *record: told.append(record))
            monkeypatch.setattr(sys.modules[__name__], "client", lambda: tables)
        yield told


STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
KEY = {"id": {"S": "a"}}


def client() -> Any:
    """Return a client of DynamoDB."""
    return boto3.client("dynamodb", "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")


def test_each_write_to_a_table_with_a_stream_is_told_with_both_images(written: list[tuple[Any, ...]]) -> None:
    for table in ("watched", "other"):
        client().put_item(TableName=table, Item=KEY | {"n": {"N": "1"}})
        client().put_item(TableName=table, Item=KEY | {"n": {"N": "2"}})
        with suppress(ClientError):
            client().delete_item(TableName=table, Key=KEY, ConditionExpression="attribute_not_exists(n)")
        client().delete_item(TableName=table, Key=KEY)

    one, two = (KEY | {"n": {"N": number}} for number in "12")
    assert written == [
        ("watched", "INSERT", KEY, None, one),
        ("watched", "MODIFY", KEY, one, two),
        ("watched", "REMOVE", KEY, two, None),
    ]


def source(*filters: str) -> StreamSource:
    """Return a mapping with these filters."""
    function = Function("F", "f", "arn", "a.b", {}, "role", 3, 128)
    return StreamSource(ARN, function, 10, filters)


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ((), "INSERT MODIFY REMOVE"),
        ((TOUCHED,), "MODIFY REMOVE"),
        (('{"eventSource": ["aws:dynamodb"]}',), "INSERT MODIFY REMOVE"),
    ],
)
def test_what_no_filter_can_want_is_dropped_before_a_record_is_made(filters: tuple[str, ...], wanted: str) -> None:
    made = source(*filters)

    assert [name for name in ("INSERT", "MODIFY", "REMOVE") if made.may_want(name)] == wanted.split()


def test_an_untouched_table_leaves_nothing_behind() -> None:
    streams = Streams([source(TOUCHED)], Functions({}, lambda _: None, [], []), VirtualClock())  # type: ignore[arg-type, return-value]

    streams.written("watched", "INSERT", KEY, None, KEY)
    streams.written("another", "MODIFY", KEY, KEY, KEY)

    assert streams.deliver() == 0


@pytest.mark.parametrize("pattern", ["", "no JSON", "[]", "7", None])
def test_a_filter_that_is_no_pattern_is_named(pattern: Any) -> None:
    import_moto()

    with pytest.raises(TemplateInvalid, match="Watch: filter 1 cannot be used"):
        filters_of("Watch", {"FilterCriteria": {"Filters": [{"Pattern": pattern}]}})
