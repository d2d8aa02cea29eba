"""Errors of the log: an item that somebody changed, and AWS without an answer."""

import zlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from ballast.aws_errors import RETRYABLE_CODES, consequences
from ballast.errors import LogCorrupt, RetryLater, SettingInvalid
from ballast.log.run_log import RunLog
from ballast.runtime import Runtime
from tests.functions.log.broken import BUCKET, BrokenLog
from tests.functions.log.test_append_and_read import NOISE

SEQ, OTHER = "0001.call.1.settled", "0002.call.1.settled"
SMALL, MIDDLE, LARGE = 10, 20_000, 200_000
PACKED = zlib.compress(b'{"status":"failed"}')
Tamper = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]

TAMPERED: list[tuple[str, int, Tamper]] = [
    ("another body", SMALL, lambda item, _: item | {"body": {"S": '{"status":"failed"}'}}),
    ("one more field", SMALL, lambda item, _: item | {"body": {"S": item["body"]["S"].replace("{", '{"a":1,', 1)}}),
    ("no JSON", SMALL, lambda item, _: item | {"body": {"S": "{"}}),
    ("a list", SMALL, lambda item, _: item | {"body": {"S": "[]"}}),
    ("no body", SMALL, lambda item, _: {key: item[key] for key in item if key != "body"}),
    ("no digest", SMALL, lambda item, _: {key: item[key] for key in item if key != "digest"}),
    ("no time", SMALL, lambda item, _: {key: item[key] for key in item if key != "at"}),
    ("another's digest", SMALL, lambda item, other: item | {"digest": other["digest"]}),
    ("another's body and digest", SMALL, lambda item, other: other | {"seq": item["seq"]}),
    ("another's content", MIDDLE, lambda item, other: item | {"packed": other["packed"]}),
    ("other content", MIDDLE, lambda item, _: item | {"packed": {"B": PACKED}}),
    ("half of its content", MIDDLE, lambda item, _: item | {"packed": {"B": item["packed"]["B"][:100]}}),
    ("another's pointer", LARGE, lambda item, other: item | {"payload": other["payload"]}),
    ("a pointer to nothing", LARGE, lambda item, _: item | {"payload": {"S": "payloads/nothing"}}),
]


@pytest.mark.parametrize(("size", "tamper"), [case[1:] for case in TAMPERED], ids=[case[0] for case in TAMPERED])
def test_an_item_that_somebody_touched_is_named(aws: BrokenLog, size: int, tamper: Tamper) -> None:
    aws.log.write(aws.run_id, SEQ, {"status": "ok", "text": NOISE[:size]})
    aws.log.write(aws.run_id, OTHER, {"status": "ok", "text": NOISE[size : 2 * size]})
    aws.store(tamper(aws.item(SEQ), aws.item(OTHER)))

    with pytest.raises(LogCorrupt, match=f"{aws.run_id} {SEQ}: "):
        aws.log.read(aws.run_id)


@pytest.mark.parametrize("content", [PACKED, b"", b"garbage"])
def test_a_payload_that_somebody_replaced_in_s3_is_named(aws: BrokenLog, content: bytes) -> None:
    aws.log.write(aws.run_id, SEQ, {"text": NOISE[:LARGE]})
    aws.s3.put_object(Bucket=BUCKET, Key=aws.item(SEQ)["payload"]["S"], Body=content)

    with pytest.raises(LogCorrupt, match=f"{aws.run_id} {SEQ}: "):
        aws.log.read(aws.run_id)


def test_a_payload_that_is_gone_is_named_with_the_place_where_it_was(aws: BrokenLog) -> None:
    aws.log.write(aws.run_id, SEQ, {"text": NOISE[LARGE : 2 * LARGE]})
    key = aws.item(SEQ)["payload"]["S"]
    aws.s3.delete_object(Bucket=BUCKET, Key=key)

    with pytest.raises(LogCorrupt, match=f"{aws.run_id} {SEQ}: .*s3://{BUCKET}/{key}"):
        aws.log.read(aws.run_id)


def test_an_append_that_meets_a_touched_item_does_not_pass_it_on(aws: BrokenLog) -> None:
    aws.log.write(aws.run_id, SEQ, {"status": "ok"})
    aws.store(aws.item(SEQ) | {"body": {"S": '{"status":"failed"}'}})

    with pytest.raises(LogCorrupt, match=SEQ):
        aws.log.write(aws.run_id, SEQ, {"status": "ok"})


def test_an_entry_under_a_key_that_is_none_of_ours_is_named(aws: BrokenLog) -> None:
    aws.log.write(aws.run_id, SEQ, {"status": "ok"})
    aws.store(aws.item(SEQ) | {"seq": {"S": "a note of mine"}})

    with pytest.raises(LogCorrupt, match="a note of mine"):
        aws.log.read(aws.run_id)


def test_a_missing_table_is_named_with_its_variable_and_what_to_do(aws: BrokenLog) -> None:
    log = aws.with_environ(RUN_LOG_TABLE="no-such-table").log
    remedy = r"Table no-such-table \(RUN_LOG_TABLE\) does not exist .*Deploy the stack"

    with pytest.raises(SettingInvalid, match=remedy):
        log.write(aws.run_id, SEQ, {"status": "ok"})
    with pytest.raises(SettingInvalid, match=remedy):
        log.read(aws.run_id)


def test_a_missing_bucket_is_named_and_nothing_is_half_written(aws: BrokenLog) -> None:
    log = aws.with_environ(PAYLOAD_BUCKET="no-such-bucket").log

    with pytest.raises(SettingInvalid, match=r"Bucket no-such-bucket \(PAYLOAD_BUCKET\) does not exist .*Deploy"):
        log.write(aws.run_id, SEQ, {"text": NOISE[:LARGE]})

    assert aws.log.read(aws.run_id) == ()


def test_a_short_event_needs_no_bucket(aws: BrokenLog) -> None:
    appended = aws.with_environ(PAYLOAD_BUCKET="no-such-bucket").log.write(aws.run_id, SEQ, {"status": "ok"})

    assert aws.log.read(aws.run_id) == (appended,)


def test_a_throttled_table_says_that_it_may_be_tried_again(aws: BrokenLog) -> None:
    log = aws.failing("dynamodb", "ProvisionedThroughputExceededException").log

    with pytest.raises(RetryLater, match=r"RUN_LOG_TABLE\): Provisioned\w+Exception; nothing was done"):
        log.write(aws.run_id, SEQ, {"status": "ok"})
    with pytest.raises(RetryLater, match="Provisioned"):
        log.read(aws.run_id)


@pytest.mark.parametrize("code", sorted(RETRYABLE_CODES))
def test_each_throttle_and_outage_means_try_again(code: str) -> None:
    with pytest.raises(RetryLater, match=f"^Table x: {code}; nothing was done"), consequences("Table x"):
        raise ClientError({"Error": {"Code": code}}, "PutItem")


@pytest.mark.parametrize(
    "broken",
    [
        EndpointConnectionError(endpoint_url="https://x"),
        ConnectTimeoutError(endpoint_url="https://x"),
        ReadTimeoutError(endpoint_url="https://x"),
        ConnectionClosedError(endpoint_url="https://x"),
    ],
    ids=lambda broken: type(broken).__name__,
)
def test_a_broken_connection_means_try_again(broken: Exception) -> None:
    with pytest.raises(RetryLater, match=r"^Table x: "), consequences("Table x"):
        raise broken


def test_a_throttled_bucket_says_that_it_may_be_tried_again(aws: BrokenLog) -> None:
    log = aws.failing("s3", "SlowDown", 503).log

    with pytest.raises(RetryLater, match=r"PAYLOAD_BUCKET\): SlowDown"):
        log.write(aws.run_id, SEQ, {"text": NOISE[:LARGE]})


def test_an_error_that_no_retry_mends_passes_as_it_is(aws: BrokenLog) -> None:
    log = aws.failing("dynamodb", "AccessDeniedException").log

    with pytest.raises(Exception, match="AccessDeniedException") as passed:
        log.write(aws.run_id, SEQ, {"status": "ok"})

    assert not isinstance(passed.value, RetryLater)


@pytest.mark.parametrize("name", ["RUN_LOG_TABLE", "PAYLOAD_BUCKET"])
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_a_setting_that_is_missing_is_named_by_its_variable(aws: BrokenLog, name: str, value: str | None) -> None:
    environ = {key: known for key, known in aws.environ.items() if key != name}
    if value is not None:
        environ[name] = value

    with pytest.raises(SettingInvalid, match=rf"Environment variable missing or wrong: {name}\..*template\.yaml"):
        RunLog.of(Runtime(environ))


@pytest.mark.parametrize("days", ["-1", "a week", "1.5", "", "1", "7", "40"])
def test_a_retention_that_is_no_number_of_days_is_refused(aws: BrokenLog, days: str) -> None:
    """A negative one would have DynamoDB remove each event as it is written; a short one while the run waits."""
    with pytest.raises(SettingInvalid, match="RETENTION_DAYS"):
        RunLog.of(Runtime(aws.environ | {"RETENTION_DAYS": days}))
