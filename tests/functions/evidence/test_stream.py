"""The log's stream: touched events are reported, and new ones are copied."""

import json
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from ballast.errors import SettingInvalid
from tests.functions.cloud import client
from tests.functions.stack import Stack

OLD = {"at": {"S": "then"}, "body": {"S": '{"card":"4111"}'}, "same": {"S": "x"}}
Body = dict[str, Any]


def record(how: str, *, new: Body | None = None, old: Body | None = None, **more: Any) -> Body:
    """Return a record of the stream."""
    keys = {"run_id": {"S": "run-a"}, "seq": {"S": "0001.call.1.settled"}}
    images = {name: keys | image for name, image in (("OldImage", old), ("NewImage", new)) if image is not None}
    return {"eventName": how, "dynamodb": {"Keys": keys, **images}, **more}


def told(stack: Stack, *records: Any) -> list[Body]:
    """Let the stream deliver the records and return the lines that were written."""
    stack.invoke("touched", {"Records": list(records)})
    return [line for line in stack.lines() if "LogTouched" in line]


def test_a_change_names_the_event_what_differs_and_what_to_type_and_no_content(stack: Stack) -> None:
    (line,) = told(stack, record("MODIFY", old=OLD, new=OLD | {"at": {"S": "now"}, "body": {"S": "{}"}}))

    assert (line["run_id"], line["seq"], line["how"]) == ("run-a", "0001.call.1.settled", "MODIFY")
    assert line["changed"] == "at, body"
    assert line["do"] == "ballast --stack ballast-test verify run-a"
    assert "4111" not in json.dumps(line)


def test_a_deletion_is_told_of_unless_it_is_ttls(stack: Stack) -> None:
    ttl = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}

    lines = told(
        stack,
        record("REMOVE", old=OLD),
        record("REMOVE", old=OLD, userIdentity=ttl),
        record("REMOVE", old=OLD, userIdentity=None),
        record("REMOVE", old=OLD, userIdentity={"type": "Service", "principalId": "other"}),
        record("INSERT", new=OLD),
    )

    assert [line["how"] for line in lines] == ["REMOVE"] * 3


@pytest.mark.parametrize("garbled", [{}, None, "x", {"eventName": "MODIFY", "dynamodb": None}])
def test_a_record_that_cannot_be_read_counts(stack: Stack, garbled: Any) -> None:
    assert len(told(stack, garbled)) == 1


@pytest.fixture
def copies(stack: Stack) -> Any:
    """Return what reads the copies, by key."""
    s3, where = client("s3"), {"LocationConstraint": "eu-west-1"}
    if "copies" not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket="copies", CreateBucketConfiguration=where)

    def read() -> dict[str, bytes]:
        found = s3.list_objects_v2(Bucket="copies").get("Contents", [])
        return {one["Key"]: s3.get_object(Bucket="copies", Key=one["Key"])["Body"].read() for one in found}

    yield read
    for one in read():
        s3.delete_object(Bucket="copies", Key=one)


def copy(stack: Stack, *records: Body) -> None:
    """Let the stream deliver the records to the copier."""
    stack.invoke("copy", {"Records": list(records)})


def test_what_is_added_is_copied_as_it_was_written(stack: Stack, copies: Any) -> None:
    copy(stack, record("INSERT", new=OLD), record("MODIFY", old=OLD, new={}), record("REMOVE", old=OLD))

    ((key, content),) = copies().items()
    assert key == "run-a/0001.call.1.settled.json"
    assert json.loads(content)["body"] == OLD["body"]


def test_the_first_copy_stays(stack: Stack, copies: Any) -> None:
    copy(stack, record("INSERT", new=OLD))
    copy(stack, record("INSERT", new=OLD), record("INSERT", new={"body": {"S": "forged"}}))

    (content,) = copies().values()
    assert json.loads(content)["body"] == OLD["body"]


def test_a_payload_is_copied_with_the_event_that_points_to_it(stack: Stack, copies: Any) -> None:
    client("s3").put_object(Bucket="payloads", Key="payloads/abc", Body=b"large")

    copy(stack, record("INSERT", new={"payload": {"S": "payloads/abc"}}))

    assert copies().keys() == {"payloads/abc", "run-a/0001.call.1.settled.json"}
    assert copies()["payloads/abc"] == b"large"


def test_an_event_whose_payload_is_gone_is_copied_and_reported(stack: Stack, copies: Any) -> None:
    copy(stack, record("INSERT", new={"payload": {"S": "payloads/gone"}}))

    assert [line["seq"] for line in stack.lines() if "LogCopiesFailed" in line] == ["0001.call.1.settled"]
    assert copies().keys() == {"run-a/0001.call.1.settled.json"}


def test_what_cannot_be_copied_is_reported_and_comes_again(stack: Stack) -> None:
    stack.environs["copy"]["LOG_COPY_BUCKET"] = "there-is-none"

    with pytest.raises(SettingInvalid):
        copy(stack, record("INSERT", new=OLD))

    assert [line["seq"] for line in stack.lines() if "LogCopiesFailed" in line] == ["0001.call.1.settled"]


ODD: dict[str, Body] = {
    "payload a number": {"payload": {"N": "1"}},
    "payload null": {"payload": {"NULL": True}},
    "payload nothing": {"payload": {"S": ""}},
    "payload elsewhere": {"payload": {"S": "elsewhere/x"}},
    "payload above": {"payload": {"S": "payloads/../x"}},
    "payload not there": {"payload": {"S": "payloads/gone"}},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_item_is_copied_as_it_is_and_reported_and_holds_up_no_other(
    stack: Stack, copies: Any, odd: Body
) -> None:
    before, behind = keyed("run-a", "0001"), keyed("run-a", "0003")

    copy(stack, before, keyed("run-a", "0002", **odd), behind)

    assert copies().keys() == {f"run-a/{seq}.json" for seq in ("0001", "0002", "0003")}
    assert json.loads(copies()["run-a/0002.json"])["payload"] == odd["payload"]
    assert [line["seq"] for line in stack.lines() if "LogCopiesFailed" in line] == ["0002"]


def test_a_key_that_is_too_long_for_s3_is_copied_under_its_hash(stack: Stack, copies: Any) -> None:
    copy(stack, keyed("r" * 1_500, "0001"), keyed("run-a", "0002"))

    odd, plain = sorted(copies())
    assert odd.startswith("odd/")
    assert json.loads(copies()[odd])["run_id"]["S"] == "r" * 1_500
    assert plain == "run-a/0002.json"


@pytest.mark.parametrize(
    "record", [{}, {"dynamodb": {}}, {"dynamodb": {"Keys": None, "NewImage": {"run_id": {"S": 1}}}}]
)
def test_a_record_of_another_shape_holds_up_no_other(stack: Stack, copies: Any, record: Body) -> None:
    copy(stack, {"eventName": "INSERT", "dynamodb": {"NewImage": {}}} | record, keyed("run-a", "0002"))

    assert copies().keys() == {"run-a/0002.json"}


def test_s3_that_denies_a_payload_holds_up_no_other(stack: Stack, copies: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Any, operation: str, asked: Any) -> Any:
        if operation == "GetObject" and asked["Bucket"] == "payloads":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "s3:ListBucket"}}, operation)
        return real(self, operation, asked)

    real = BaseClient._make_api_call  # type: ignore[attr-defined]
    monkeypatch.setattr(BaseClient, "_make_api_call", denied)

    copy(stack, keyed("run-a", "0001", payload={"S": "payloads/abc"}), keyed("run-a", "0002"))

    assert copies().keys() == {"run-a/0001.json", "run-a/0002.json"}
    assert ["gone, or there is no right" in line["why"] for line in stack.lines() if "LogCopiesFailed" in line] == [
        True
    ]


def keyed(run_id: str, seq: str, **more: Any) -> Body:
    """Return a record of an item that was added."""
    keys = {"run_id": {"S": run_id}, "seq": {"S": seq}}
    return {"eventName": "INSERT", "dynamodb": {"Keys": keys, "NewImage": keys | more}}
