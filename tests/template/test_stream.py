"""The log's stream: the records that reach the watching and the copying function."""

from typing import Any

import pytest

from localcloud.moto_seams.events import matches
from localcloud.moto_seams.imports import import_moto
from tests.template import rendered
from tests.template.alarms import watched

TEMPLATE = rendered.written()
TTL = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
OTHER = TTL | {"principalId": "other.amazonaws.com"}


def reaches(mapping: str, record: dict[str, Any]) -> bool:
    """Say whether the mapping's filters let the record through."""
    import_moto()
    filters = TEMPLATE["Resources"][mapping]["Properties"]["FilterCriteria"]["Filters"]
    return any(matches(one["Pattern"], record) for one in filters)


@pytest.mark.parametrize(
    ("record", "watched", "copied"),
    [
        ({"eventName": "INSERT"}, False, True),
        ({"eventName": "MODIFY"}, True, False),
        ({"eventName": "MODIFY", "userIdentity": TTL}, True, False),
        ({"eventName": "REMOVE"}, True, False),
        ({"eventName": "REMOVE", "userIdentity": None}, True, False),
        ({"eventName": "REMOVE", "userIdentity": TTL}, False, False),
        (
            {"eventName": "REMOVE", "userIdentity": {"type": "Service", "principalId": "other.amazonaws.com"}},
            True,
            False,
        ),
    ],
)
def test_only_what_touches_an_event_is_watched_and_only_what_adds_one_is_copied(
    record: dict[str, Any], watched: bool, copied: bool
) -> None:
    assert (reaches("LogTouchedSource", record), reaches("LogCopySource", record)) == (watched, copied)


def test_both_read_the_logs_stream_from_its_beginning_and_put_aside_what_keeps_failing() -> None:
    for mapping in ("LogTouchedSource", "LogCopySource"):
        properties = TEMPLATE["Resources"][mapping]["Properties"]
        assert properties["EventSourceArn"] == {"Fn::GetAtt": ["RunLogTable", "StreamArn"]}
        assert properties["StartingPosition"] == "TRIM_HORIZON"
        assert properties["BisectBatchOnFunctionError"]
        assert 0 < properties["MaximumRetryAttempts"] <= 1_000
        # So much before the stream forgets it that somebody can still fetch it.
        assert 3_600 <= properties["MaximumRecordAgeInSeconds"] <= 12 * 3_600
        aside = properties["DestinationConfig"]["OnFailure"]["Destination"]
        assert aside == {"Fn::GetAtt": ["UnreadStreamQueue", "Arn"]}


def test_what_is_put_aside_is_somebodys_ticket() -> None:
    (queue,) = watched("UnreadStreamAlarm")

    assert queue["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["UnreadStreamQueue", "QueueName"]}}]


def test_the_stream_has_what_was_there_and_what_is_there_now() -> None:
    table = TEMPLATE["Resources"]["RunLogTable"]["Properties"]

    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}


def test_an_alarm_of_each_kind_of_evidence_wakes_somebody() -> None:
    rule = TEMPLATE["Resources"]["PageSomeoneAlarm"]["Properties"]["AlarmRule"]["Fn::Sub"]

    assert "${LogTouchedAlarm}" in rule
    assert "${LogsUnfitAlarm}" in rule
