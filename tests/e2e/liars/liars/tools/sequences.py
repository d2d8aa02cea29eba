"""Tools that are honest at once and alone, and lie after a time, after another call, or under another key.

Each liar has a sibling whose name begins with ``fair``, which does the same honestly.
"""

import hashlib
import json
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict

from ballast.errors import RetryLater
from ballast.playbook import Approval, Change, Read, ToolContext, ToolFailed, Write, tool

from ..box import Box, Count, add, add_once, count, part


class To(BaseModel):
    """A box and a number."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    to: int


DONE = Count(count=11)


def _item(ctx: ToolContext, name: str, *, strong: bool = True) -> dict[str, Any] | None:
    client, table = ctx.client("dynamodb"), ctx.environ["BOX_TABLE"]
    found: dict[str, Any] = client.get_item(TableName=table, Key={"id": {"S": name}}, ConsistentRead=strong)
    return found.get("Item")


def _put(ctx: ToolContext, name: str, **more: Any) -> dict[str, Any]:
    return {"Put": {"TableName": ctx.environ["BOX_TABLE"], "Item": {"id": {"S": name}, **more}}}


def _both(ctx: ToolContext, *writes: dict[str, Any]) -> Count:
    ctx.client("dynamodb").transact_write_items(TransactItems=list(writes))
    return DONE


def _stamp(ctx: ToolContext, seconds: int = 0) -> dict[str, str]:
    return {"N": str(int(ctx.now.timestamp()) + seconds)}


def _age(item: dict[str, Any] | None, ctx: ToolContext) -> float:
    return float("inf") if item is None else ctx.now.timestamp() - float(item["at"]["N"])


def marked(ctx: ToolContext, box: str, mark: str, **more: Any) -> Count:
    """Add one unless it is marked."""
    if _item(ctx, mark):
        return DONE
    once = _put(ctx, mark, **more)
    once["Put"]["ConditionExpression"] = "attribute_not_exists(id)"
    return _both(ctx, once, {"Update": part(ctx, box, count=1)})


# Time


@tool(effect=Write(honours_key=True))
def key_for_two_minutes(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    mark = f"window {ctx.idempotency_key}"
    if _age(_item(ctx, mark), ctx) < 120:
        return DONE
    return _both(ctx, _put(ctx, mark, at=_stamp(ctx)), {"Update": part(ctx, args.id, count=1)})


@tool(effect=Write(honours_key=True))
def key_expires(args: Box, ctx: ToolContext) -> Count:
    """Add. DynamoDB deletes the marker after a week."""
    return marked(ctx, args.id, f"expires {ctx.idempotency_key}", expires=_stamp(ctx, 7 * 86400))


@tool(effect=Write(honours_key=True))
def fair_key_expires(args: Box, ctx: ToolContext) -> Count:
    """Add. DynamoDB deletes the marker when no run can live any more."""
    return marked(ctx, args.id, f"fair {ctx.idempotency_key}", expires=_stamp(ctx, 45 * 86400))


def _recent(args: Any, ctx: ToolContext) -> Count | None:
    return DONE if _age(_item(ctx, f"recent {ctx.idempotency_key}"), ctx) < 60 else None


@tool(effect=Write(verify=_recent))
def verify_for_a_minute(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return _both(ctx, _put(ctx, f"recent {ctx.idempotency_key}", at=_stamp(ctx)))


@tool(effect=Write(verify=lambda args, ctx: DONE if _item(ctx, f"ever {ctx.idempotency_key}") else None))
def fair_verify(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return _both(ctx, _put(ctx, f"ever {ctx.idempotency_key}", at=_stamp(ctx)))


def _box(args: Any, _: Any) -> dict[str, Any]:
    return {"id": args.id}


@tool(effect=Write(honours_key=True, undo="undo_early", undo_arguments=_box))
def with_undo_early(args: Box, ctx: ToolContext) -> Count:
    """Add."""

    def attempt() -> Change[Count]:
        since = _put(ctx, f"marker# since {args.id}", at=_stamp(ctx))
        return Change(DONE, [since, {"Update": part(ctx, args.id, count=1)}], "no")

    return ctx.write_once(table=ctx.environ["BOX_TABLE"], key="id", result=Count, attempt=attempt)


@tool(effect=Write(honours_key=True), offered=False)
def undo_early(args: Box, ctx: ToolContext) -> Count:
    """Take back, within five minutes."""
    if _age(_item(ctx, f"marker# since {args.id}"), ctx) > 300:
        raise ToolFailed("Too late.")
    return add_once(ctx, -1, args.id)


# Another call in between


def _last_is(ctx: ToolContext, name: str) -> bool:
    return ((_item(ctx, name) or {}).get("key") or {}).get("S") == ctx.idempotency_key


def _add_with_key(ctx: ToolContext, name: str) -> Count:
    ctx.client("dynamodb").update_item(
        TableName=ctx.environ["BOX_TABLE"],
        Key={"id": {"S": name}},
        UpdateExpression="ADD #c :one SET #k = :k",
        ExpressionAttributeNames={"#c": "count", "#k": "key"},
        ExpressionAttributeValues={":one": {"N": "1"}, ":k": {"S": ctx.idempotency_key}},
        ConditionExpression="attribute_not_exists(#k) OR #k <> :k",
    )
    return DONE


@tool(effect=Write(honours_key=True))
def key_of_the_last(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return DONE if _last_is(ctx, "last") else _add_with_key(ctx, "last")


@tool(effect=Write(honours_key=True))
def key_of_the_last_five(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    before = (_item(ctx, "five") or {}).get("key", {"S": ""})["S"].split()
    if ctx.idempotency_key in before:
        return DONE
    keys = " ".join([*before, ctx.idempotency_key][-5:])
    return _both(ctx, _put(ctx, "five", key={"S": keys}), {"Update": part(ctx, args.id, count=1)})


@tool(effect=Write(verify=lambda args, ctx: DONE if _last_is(ctx, "verified") else None))
def verify_of_the_last(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return _add_with_key(ctx, "verified")


def _set(ctx: ToolContext, name: str, number: int) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": ctx.environ["BOX_TABLE"],
            "Key": {"id": {"S": name}},
            "UpdateExpression": "SET #c = :c",
            "ExpressionAttributeNames": {"#c": "count"},
            "ExpressionAttributeValues": {":c": {"N": str(number)}},
        }
    }


def _once(ctx: ToolContext, result: Count, *writes: dict[str, Any]) -> Count:
    return ctx.write_once(
        table=ctx.environ["BOX_TABLE"], key="id", result=Count, attempt=lambda: Change(result, writes, "no")
    )


@tool(
    effect=Write(honours_key=True, undo="undo_to_then", undo_arguments=lambda a, r: {"id": a.id, "to": r["count"] - 1})
)
def with_undo_to_then(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True), offered=False)
def undo_to_then(args: To, ctx: ToolContext) -> Count:
    """Set the number that was."""
    return _once(ctx, Count(count=args.to), _set(ctx, args.id, args.to))


@tool(effect=Write(honours_key=True, undo="undo_to_kept", undo_arguments=_box))
def with_undo_to_kept(args: Box, ctx: ToolContext) -> Count:
    """Add, and keep the box as it was."""
    was = count(ctx, args.id)
    kept = _put(ctx, f"marker# kept {args.id}", count={"N": str(was)})
    return _once(ctx, Count(count=was + 1), {"Update": part(ctx, args.id, count=1)}, kept)


@tool(effect=Write(honours_key=True), offered=False)
def undo_to_kept(args: Box, ctx: ToolContext) -> Count:
    """Set the number that is kept."""
    was = count(ctx, f"marker# kept {args.id}")
    return _once(ctx, Count(count=was), _set(ctx, args.id, was))


@tool(effect=Write(honours_key=True, undo="fair_undo", undo_arguments=_box))
def fair_with_undo(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True), offered=False)
def fair_undo(args: Box, ctx: ToolContext) -> Count:
    """Take back."""
    return add_once(ctx, -1, args.id)


# Other keys


@tool(effect=Write(honours_key=True))
def key_by_arguments(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return marked(ctx, args.id, f"by arguments {args.id}")


@tool(effect=Write(honours_key=True))
def key_cut(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return marked(ctx, args.id, f"cut {ctx.idempotency_key[:20]}")


@tool(effect=Write(honours_key=True))
def key_without_its_run(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return marked(ctx, args.id, f"end {ctx.idempotency_key[-14:]}")


@tool(effect=Write(honours_key=True))
def key_in_buckets(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    bucket = int(hashlib.sha256(ctx.idempotency_key.encode()).hexdigest(), 16) % 64
    return marked(ctx, args.id, f"bucket {bucket}")


@tool(effect=Write(honours_key=True))
def key_in_many_buckets(args: Box, ctx: ToolContext) -> Count:
    """Add. Of some hundred calls two have the same number."""
    return marked(ctx, args.id, f"crc {zlib.crc32(ctx.idempotency_key.encode()) & 0xFFFF}")


@tool(effect=Write(honours_key=True))
def key_lowered(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return marked(ctx, args.id, f"lower {ctx.idempotency_key.lower()}")


@tool(effect=Write(honours_key=True))
def key_and_arguments(args: Box, ctx: ToolContext) -> Count:
    """Add once for the arguments, and keep each key."""
    mark = _put(ctx, f"each {ctx.idempotency_key}")
    if _item(ctx, f"each {args.id}"):
        return _both(ctx, mark)
    return _both(ctx, mark, _put(ctx, f"each {args.id}"), {"Update": part(ctx, args.id, count=1)})


def _by_end(args: Any, ctx: ToolContext) -> Count | None:
    return DONE if _item(ctx, f"ends {ctx.idempotency_key[-14:]}") else None


@tool(effect=Write(verify=_by_end))
def verify_without_its_run(args: Box, ctx: ToolContext) -> Count:
    """Put."""
    return _both(ctx, _put(ctx, f"ends {ctx.idempotency_key[-14:]}", key={"S": ctx.idempotency_key}))


@tool(effect=Write(honours_key=True))
def fair_key_hashed(args: Box, ctx: ToolContext) -> Count:
    """Add. A hash of the whole key is as good as the key."""
    digest = hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()[:16]
    return marked(ctx, args.id, f"hash {digest}", at=_stamp(ctx), number={"N": str(len(digest))})


@tool(effect=Write(honours_key=True))
def fair_state(args: Box, ctx: ToolContext) -> Count:
    """Close a box, which is closed whoever did it, and once by each call."""
    return _once(ctx, DONE, _put(ctx, f"closed {args.id}"))


@tool(effect=Write(honours_key=True))
def key_of_a_state(args: Box, ctx: ToolContext) -> Count:
    """Set a limit. To set it twice is once, unless another has set it in between."""
    return _both(ctx, {"Update": _set(ctx, f"limit {args.id}", 500)["Update"]})


@tool(effect=Write(honours_key=True))
def key_of_a_deletion(args: Box, ctx: ToolContext) -> Count:
    """Delete a box, also one that another has made anew."""
    ctx.client("dynamodb").delete_item(TableName=ctx.environ["BOX_TABLE"], Key={"id": {"S": "b"}})
    return DONE


# Preconditions


@tool(effect=Write(honours_key=True), approval=Approval(if_=None, precondition=lambda a, ctx: ctx.now.isoformat()))
def precondition_of_the_clock(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True), approval=Approval(if_=None, precondition=lambda a, ctx: str(uuid.uuid4())))
def precondition_by_chance(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True, moves=lambda a, r: 1, moves_key=lambda a, ctx: f"{ctx.now:%H}"))
def moves_key_of_the_hour(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True), approval=Approval(if_=None, precondition=lambda a, ctx: count(ctx, a.id)))
def fair_precondition(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


# Reads that are not strongly consistent


def _read_eventually(args: Any, ctx: ToolContext) -> Count | None:
    return DONE if _item(ctx, f"eventual {ctx.idempotency_key}", strong=False) else None


@tool(effect=Write(verify=_read_eventually))
def verify_eventually(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return _both(ctx, _put(ctx, f"eventual {ctx.idempotency_key}"))


@tool(effect=Write(honours_key=True))
def key_eventually(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    mark = f"look {ctx.idempotency_key}"
    if _item(ctx, mark, strong=False):
        return DONE
    return _both(ctx, _put(ctx, mark), {"Update": part(ctx, args.id, count=1)})


def _by_owner(args: Any, ctx: ToolContext) -> Count | None:
    found = ctx.client("dynamodb").query(
        TableName=ctx.environ["BOX_TABLE"],
        IndexName="by-key",
        KeyConditionExpression="#k = :k",
        ExpressionAttributeNames={"#k": "key"},
        ExpressionAttributeValues={":k": {"S": ctx.idempotency_key}},
    )
    return DONE if found["Items"] else None


@tool(effect=Write(verify=_by_owner))
def verify_by_index(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return _both(ctx, _put(ctx, f"indexed {uuid.uuid4()}", key={"S": ctx.idempotency_key}))


@tool(effect=Write(honours_key=True))
def fair_key_eventually(args: Box, ctx: ToolContext) -> Count:
    """Add. An old answer does no harm: the transaction looks once more."""
    mark = f"fair look {ctx.idempotency_key}"
    if _item(ctx, mark, strong=False):
        return DONE
    put = _put(ctx, mark)
    put["Put"]["ConditionExpression"] = "attribute_not_exists(id)"
    try:
        return _both(ctx, put, {"Update": part(ctx, args.id, count=1)})
    except ClientError:
        if _item(ctx, mark):
            return DONE
        raise


# AWS


@tool(effect=Write(honours_key=True))
def condition_of_its_own(args: Box, ctx: ToolContext) -> Count:
    """Put once. What botocore sends again fails by the first one."""
    client = ctx.client("dynamodb")
    put = _put(ctx, f"own {ctx.idempotency_key}")["Put"]
    if _item(ctx, f"own {ctx.idempotency_key}"):
        return DONE
    try:
        client.put_item(**put, ConditionExpression="attribute_not_exists(id)")
    except client.exceptions.ConditionalCheckFailedException:
        raise ToolFailed("It is there already.") from None
    return DONE


@tool(effect=Write(honours_key=True))
def fair_condition(args: Box, ctx: ToolContext) -> Count:
    """Put once."""
    client = ctx.client("dynamodb")
    put = _put(ctx, f"fair own {ctx.idempotency_key}")["Put"]
    with suppress(client.exceptions.ConditionalCheckFailedException):  # its name is the call's own: it was this call
        client.put_item(**put, ConditionExpression="attribute_not_exists(id)")
    return DONE


@tool(effect=Write(verify=lambda args, ctx: DONE if count(ctx, f"twice {ctx.idempotency_key}") else None))
def added_by_a_retry(args: Box, ctx: ToolContext) -> Count:
    """Add. botocore sends it again after an error of AWS."""
    add(ctx, f"twice {ctx.idempotency_key}")
    return DONE


@tool(effect=Write(honours_key=True))
def failure_as_nothing(args: Box, ctx: ToolContext) -> Count:
    """Put. An error within AWS says nothing of the effect."""
    try:
        ctx.client("dynamodb").put_item(**_put(ctx, f"failed {ctx.idempotency_key}")["Put"])
    except ClientError as problem:
        if problem.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise ToolFailed("The table has failed; nothing was done.") from None
        raise
    return DONE


@tool(effect=Write(honours_key=True))
def fair_throttle(args: Box, ctx: ToolContext) -> Count:
    """Put. After a throttle it looks whether the try before it has put it."""
    name = f"fair throttled {ctx.idempotency_key}"
    try:
        ctx.client("dynamodb").put_item(**_put(ctx, name)["Put"])
    except ClientError as problem:
        if "Thrott" not in problem.response["Error"]["Code"] or _item(ctx, name):
            raise
        raise RetryLater("The table is busy; nothing was done.") from None
    return DONE


@tool(effect=Write(honours_key=True))
def throttle_as_nothing(args: Box, ctx: ToolContext) -> Count:
    """Put. A throttle says nothing of the try before it."""
    try:
        ctx.client("dynamodb").put_item(**_put(ctx, f"throttled {ctx.idempotency_key}")["Put"])
    except ClientError as problem:
        if "Throughput" in problem.response["Error"]["Code"]:
            raise RetryLater("The table is busy; nothing was done.") from None
        raise
    return DONE


@tool(effect=Write(honours_key=True))
def denial_as_nothing(args: Box, ctx: ToolContext) -> Count:
    """Put twice. A denial of the second says nothing of the first."""
    client = ctx.client("dynamodb")
    client.put_item(**_put(ctx, f"one {ctx.idempotency_key}")["Put"])
    try:
        client.put_item(**_put(ctx, f"two {ctx.idempotency_key}")["Put"])
    except ClientError as problem:
        if problem.response["Error"]["Code"] == "AccessDeniedException":
            raise ToolFailed("I may not do this; nothing was done.") from None
        raise
    return DONE


@tool(effect=Write(honours_key=True))
def fair_denial(args: Box, ctx: ToolContext) -> Count:
    """Put twice. Only a denial of the first is a refusal, and only while no attempt has put it."""
    client, name = ctx.client("dynamodb"), f"fair one {ctx.idempotency_key}"
    try:
        client.put_item(**_put(ctx, name)["Put"])
    except ClientError as problem:
        if problem.response["Error"]["Code"] != "AccessDeniedException" or _item(ctx, name):
            raise
        raise ToolFailed("I may not do this; nothing was done.") from None
    client.put_item(**_put(ctx, f"fair two {ctx.idempotency_key}")["Put"])
    return DONE


def batch(ctx: ToolContext, name: str) -> dict[str, Any]:
    items = [_put(ctx, f"{name} {number} {ctx.idempotency_key}")["Put"]["Item"] for number in range(2)]
    return {ctx.environ["BOX_TABLE"]: [{"PutRequest": {"Item": item}} for item in items]}


@tool(effect=Write(honours_key=True))
def batch_half_read(args: Box, ctx: ToolContext) -> Count:
    """Put two. It does not look what was left."""
    ctx.client("dynamodb").batch_write_item(RequestItems=batch(ctx, "batch"))
    return DONE


@tool(effect=Write(honours_key=True))
def fair_batch(args: Box, ctx: ToolContext) -> Count:
    """Put two, and what was left again."""
    left = batch(ctx, "fair batch")
    while left:
        left = ctx.client("dynamodb").batch_write_item(RequestItems=left).get("UnprocessedItems")
    return DONE


# Answers that do not say what is there


def _or_nothing(args: Any, ctx: ToolContext) -> Count | None:
    try:
        return DONE if _item(ctx, f"swallowed {ctx.idempotency_key}") else None
    except Exception:
        return None


@tool(effect=Write(verify=_or_nothing))
def verify_swallows(args: Box, ctx: ToolContext) -> Count:
    """Put. An error of the look-up is no answer."""
    return _both(ctx, _put(ctx, f"swallowed {ctx.idempotency_key}"))


def _or_nothing_in_threads(args: Any, ctx: ToolContext) -> Count | None:
    with ThreadPoolExecutor(2) as pool:
        return next(pool.map(lambda one: _or_nothing(one, ctx), [args]))


@tool(effect=Write(verify=_or_nothing_in_threads))
def verify_swallows_in_threads(args: Box, ctx: ToolContext) -> Count:
    """Put. An error of the look-up, in another thread, is no answer."""
    return _both(ctx, _put(ctx, f"swallowed {ctx.idempotency_key}"))


@tool(effect=Write(honours_key=True))
def key_swallows(args: Box, ctx: ToolContext) -> Count:
    """Add. An error of the look-up is no answer."""
    mark, there = f"key swallowed {ctx.idempotency_key}", None
    with suppress(ClientError):
        there = _item(ctx, mark)
    return DONE if there else _both(ctx, _put(ctx, mark), {"Update": part(ctx, args.id, count=1)})


@tool(effect=Read())
def read_swallows(args: Box, ctx: ToolContext) -> list[str]:
    """Say whether there is a box of a name that is not there."""
    try:
        return [args.id] if _item(ctx, f"no {args.id}") else []
    except Exception:
        return []


@tool(effect=Read())
def fair_read(args: Box, ctx: ToolContext) -> list[str]:
    """Say whether there is a box, from a table or another one."""
    try:
        return [args.id] if _item(ctx, args.id, strong=False) else []
    except ClientError:
        return [args.id] if _item(ctx, args.id) else []


def _scan(ctx: ToolContext, name: str) -> dict[str, Any]:
    client = ctx.client("dynamodb")
    wanted = {"FilterExpression": "id = :i", "ExpressionAttributeValues": {":i": {"S": name}}}
    return {"scan": client.scan, "TableName": ctx.environ["BOX_TABLE"], "ConsistentRead": True, **wanted}


def _first_page(args: Any, ctx: ToolContext) -> Count | None:
    asked = _scan(ctx, f"page {ctx.idempotency_key}")
    return DONE if asked.pop("scan")(**asked)["Items"] else None


@tool(effect=Write(verify=_first_page))
def verify_first_page(args: Box, ctx: ToolContext) -> Count:
    """Put. It may stand on the second page."""
    return _both(ctx, _put(ctx, f"page {ctx.idempotency_key}"))


def _every_page(args: Any, ctx: ToolContext) -> Count | None:
    asked = _scan(ctx, f"fair page {ctx.idempotency_key}")
    scan = asked.pop("scan")
    while True:
        found = scan(**asked)
        if found["Items"]:
            return DONE
        if "LastEvaluatedKey" not in found:
            return None
        asked["ExclusiveStartKey"] = found["LastEvaluatedKey"]


@tool(effect=Write(verify=_every_page))
def fair_verify_page(args: Box, ctx: ToolContext) -> Count:
    """Put."""
    return _both(ctx, _put(ctx, f"fair page {ctx.idempotency_key}"))


@tool(effect=Read())
def read_first_page(args: Box, ctx: ToolContext) -> int:
    """Count the boxes."""
    return len(ctx.client("dynamodb").scan(TableName=ctx.environ["BOX_TABLE"])["Items"])


@tool(effect=Read())
def fair_read_pages(args: Box, ctx: ToolContext) -> int:
    """Count the boxes."""
    pages = ctx.client("dynamodb").get_paginator("scan").paginate(TableName=ctx.environ["BOX_TABLE"])
    return sum(len(page["Items"]) for page in pages)


# While others are at work


@tool(effect=Write(honours_key=True))
def key_looked_up_first(args: Box, ctx: ToolContext) -> Count:
    """Add, unless the mark was there a moment ago."""
    mark = f"looked up {ctx.idempotency_key}"
    return DONE if _item(ctx, mark) else _both(ctx, _put(ctx, mark), {"Update": part(ctx, args.id, count=1)})


@tool(effect=Write(honours_key=True))
def whole_item_put_back(args: Box, ctx: ToolContext) -> Count:
    """Add, and put the box back as it was read."""

    def attempt() -> Change[Count]:
        item = {**(_item(ctx, "labelled") or {"id": {"S": "labelled"}, "count": {"N": "0"}})}
        item["count"] = {"N": str(int(item["count"]["N"]) + 1)}
        return Change(DONE, [{"Put": {"TableName": ctx.environ["BOX_TABLE"], "Item": item}}], "no")

    return ctx.write_once(table=ctx.environ["BOX_TABLE"], key="id", result=Count, attempt=attempt)


@tool(effect=Write(honours_key=True))
def fair_whole_item(args: Box, ctx: ToolContext) -> Count:
    """Add, and put the box back if it is still as it was read."""

    def attempt() -> Change[Count]:
        item = {**(_item(ctx, "labelled") or {"id": {"S": "labelled"}, "count": {"N": "0"}})}
        was, item["count"] = item["count"], {"N": str(int(item["count"]["N"]) + 1)}
        put = {
            "TableName": ctx.environ["BOX_TABLE"],
            "Item": item,
            "ConditionExpression": "#c = :was",
            "ExpressionAttributeNames": {"#c": "count"},
            "ExpressionAttributeValues": {":was": was},
        }
        return Change(DONE, [{"Put": put}], "The box has changed.")

    return ctx.write_once(table=ctx.environ["BOX_TABLE"], key="id", result=Count, attempt=attempt)


class Was(BaseModel):
    """A box as it was."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    was: str


@tool(effect=Write(honours_key=True, undo="undo_by_snapshot", undo_arguments=lambda a, r: {"was": r["was"]}))
def with_undo_by_snapshot(args: Box, ctx: ToolContext) -> Was:
    """Empty the box, and say what it was."""
    if (done := ctx.written_once(table=ctx.environ["BOX_TABLE"], key="id", result=Was)) is not None:
        return done
    item = _item(ctx, "labelled 2") or {}
    if item.get("count") == {"N": "0"}:
        raise ToolFailed("It is empty already.")
    return ctx.write_once(
        table=ctx.environ["BOX_TABLE"],
        key="id",
        result=Was,
        attempt=lambda: Change(Was(was=json.dumps(item)), [_set(ctx, "labelled 2", 0)], "no"),
    )


@tool(effect=Write(honours_key=True), offered=False)
def undo_by_snapshot(args: Was, ctx: ToolContext) -> Count:
    """Put the box back as it was."""
    item = json.loads(args.was)
    return _once(ctx, DONE, {"Put": {"TableName": ctx.environ["BOX_TABLE"], "Item": item}})
