"""Tools that believe the wrong answer, or none, of a service outside of AWS or of AWS itself; honest siblings."""

import http.client
import json
from threading import Timer
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError, ConnectionClosedError
from pydantic import BaseModel, ConfigDict

from ballast.playbook import Approval, CallLimits, Read, RunSoFar, ToolContext, ToolFailed, Write, tool

from ..box import Box, Count, add_once
from ..double import address

_LIMITS = CallLimits(timeout_s=5)
DONE = Count(count=1)


class Booked(BaseModel):
    """A payment, by its key."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    key: str


def _asked(ctx: ToolContext, method: str, path: str = "/book") -> tuple[int, Any]:
    """Return the status of an answer, and its JSON."""
    host, port = address()
    connection = http.client.HTTPConnection(host, port, timeout=ctx.timeout_s)
    try:
        connection.request(method, path, headers={"Idempotency-Key": ctx.idempotency_key})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read() or b"null")
    finally:
        connection.close()


def _must(ctx: ToolContext, method: str, path: str = "/book") -> Any:
    status, said = _asked(ctx, method, path)
    if status != 200:
        raise RuntimeError(f"The service answered {status}.")
    return said


def _book(ctx: ToolContext) -> Booked:
    return Booked(key=_must(ctx, "POST")["key"])


def _found(args: Any, ctx: ToolContext) -> Booked | None:
    status, said = _asked(ctx, "GET", f"/book/{ctx.idempotency_key}")
    if status not in (200, 404):
        raise RuntimeError(f"The service answered {status}.")
    return Booked(key=said["key"]) if status == 200 else None


@tool(
    effect=Write(honours_key=True, verify=_found, undo="void", undo_arguments=lambda args, booked: booked),
    limits=_LIMITS,
)
def fair_booked(args: Box, ctx: ToolContext) -> Booked:
    """Book a payment. What is refused is so; the rest is doubt."""
    status, said = _asked(ctx, "POST")
    if status in (400, 402, 403, 404, 410, 422, 429):
        raise ToolFailed(f"The service answered {status}.")
    if status != 200:
        raise RuntimeError(f"The service answered {status}.")
    return Booked(key=said["key"])


@tool(effect=Write(), offered=False, limits=_LIMITS)
def void(args: Booked, ctx: ToolContext) -> Count:
    """Void a payment, which stays in the book."""
    _must(ctx, "POST", f"/book/{args.key}")
    return DONE


@tool(effect=Write(honours_key=True, undo="undo_looked", undo_arguments=lambda args, booked: booked), limits=_LIMITS)
def with_undo_looked(args: Box, ctx: ToolContext) -> Booked:
    """Book a payment."""
    return _book(ctx)


@tool(effect=Write(), offered=False, limits=_LIMITS)
def undo_looked(args: Booked, ctx: ToolContext) -> Count:
    """Look at a payment, and leave it."""
    _must(ctx, "GET", f"/book/{args.key}")
    return DONE


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def half_as_failure(args: Box, ctx: ToolContext) -> Booked:
    """Book a payment. Half of an answer is a failure."""
    try:
        return _book(ctx)
    except http.client.IncompleteRead as problem:
        raise ToolFailed("Nothing was paid.") from problem


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def nonsense_as_failure(args: Box, ctx: ToolContext) -> Booked:
    """Book a payment. An answer that is no JSON is a failure."""
    try:
        return _book(ctx)
    except ValueError as problem:
        raise ToolFailed("Nothing was paid.") from problem


def _found_in_json(args: Any, ctx: ToolContext) -> Booked | None:
    try:
        return _found(args, ctx)
    except ValueError:
        return None


@tool(effect=Write(verify=_found_in_json), limits=_LIMITS)
def verify_of_nonsense(args: Box, ctx: ToolContext) -> Booked:
    """Book a payment. It looks for it, and takes a page of a proxy for none."""
    return _book(ctx)


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def conflict_as_failure(args: Box, ctx: ToolContext) -> Booked:
    """Book a payment. A conflict, which may be with its own first attempt, is a failure."""
    status, said = _asked(ctx, "POST")
    if status == 409:
        raise ToolFailed("Nothing was paid.")
    if status != 200:
        raise RuntimeError(f"The service answered {status}.")
    return Booked(key=said["key"])


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def below_500_as_done(args: Box, ctx: ToolContext) -> Count:
    """Book a payment. Every status below 500 is done."""
    if (status := _asked(ctx, "POST")[0]) >= 500:
        raise RuntimeError(f"The service answered {status}.")
    return DONE


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def missing_after_a_step(args: Box, ctx: ToolContext) -> Booked:
    """Book a payment, and void it. What cannot be voided is a failure of both."""
    booked = _book(ctx)
    status, _ = _asked(ctx, "POST", f"/book/{booked.key}")
    if status == 404:
        raise ToolFailed("Nothing was paid.")
    if status != 200:
        raise RuntimeError(f"The service answered {status}.")
    return booked


@tool(effect=Write(honours_key=True))
def closed_as_failure(args: Box, ctx: ToolContext) -> Count:
    """Add once. A connection that is closed is a failure."""
    try:
        return add_once(ctx, 1, "a")
    except ConnectionClosedError as problem:
        raise ToolFailed("Nothing was added.") from problem


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def booked_by_a_timer(args: Box, ctx: ToolContext) -> Count:
    """Add once, and book a payment in half a minute."""
    Timer(30, _must, (ctx, "POST", "/book")).start()
    return add_once(ctx, 1, "a")


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def fair_timer(args: Box, ctx: ToolContext) -> Booked:
    """Book a payment. A timer that is cancelled does nothing."""
    timer = Timer(30, _must, (ctx, "POST", "/book"))
    timer.start()
    try:
        return _book(ctx)
    finally:
        timer.cancel()


def _by_chance(args: Box, request: Any, run: RunSoFar) -> bool:
    return bool(run.done("fair_booked")) and uuid4().int == 0


@tool(effect=Write(honours_key=True), approval=Approval(if_=_by_chance))
def approval_by_its_run(args: Box, ctx: ToolContext) -> Count:
    """Add once. Who has booked is asked by chance."""
    return add_once(ctx, 1, "a")


def _without_key(args: Box, request: Any, run: RunSoFar) -> bool:
    return any(one.result["key"] == "" for one in run.done("fair_booked"))


@tool(effect=Write(honours_key=True), approval=Approval(if_=_without_key))
def fair_approval_by_its_run(args: Box, ctx: ToolContext) -> Count:
    """Add once. Who has booked under no key is asked."""
    return add_once(ctx, 1, "a")


@tool(effect=Write(honours_key=True))
def key_of_the_last_twenty(args: Box, ctx: ToolContext) -> Count:
    """Add, unless this was one of the last twenty calls."""
    client, table, key = ctx.client("dynamodb"), ctx.environ["BOX_TABLE"], {"id": {"S": "a"}}
    item = client.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
    known, count = item.get("known", {"L": []})["L"], int(item["count"]["N"])
    if {"S": ctx.idempotency_key} in known:
        return DONE
    client.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET #count = :new, known = :known",
        ConditionExpression="#count = :old",
        ExpressionAttributeNames={"#count": "count"},
        ExpressionAttributeValues={
            ":new": {"N": f"{count + 1}"},
            ":old": {"N": f"{count}"},
            ":known": {"L": [*known, {"S": ctx.idempotency_key}][-20:]},
        },
    )
    return DONE


def _among_the_first(args: Any, ctx: ToolContext) -> Booked | None:
    keys = [one["key"] for one in _must(ctx, "GET")["items"][:20]]
    return Booked(key=ctx.idempotency_key) if ctx.idempotency_key in keys else None


@tool(effect=Write(verify=_among_the_first), limits=_LIMITS)
def verify_among_the_first(args: Box, ctx: ToolContext) -> Booked:
    """Book a payment. It looks for it among the first twenty."""
    return _book(ctx)


@tool(effect=Read(), limits=_LIMITS)
def booked_on_a_page(args: Box, ctx: ToolContext) -> int:
    """Count the payments of the first page."""
    return len(_must(ctx, "GET")["items"])


@tool(effect=Read(), limits=_LIMITS)
def fair_booked_on_pages(args: Box, ctx: ToolContext) -> int:
    """Count the payments of all pages."""
    count, page = 0, "/book"
    while True:
        found = _must(ctx, "GET", page)
        count += len(found["items"])
        if not found["next"]:
            return count
        count, page = 0, "/book?page=all"


class Order(Box):
    """A standing order of an amount."""

    amount: int = 5


def _order(args: Order, ctx: ToolContext, *, fair: bool) -> Count:
    client, table, name = ctx.client("dynamodb"), ctx.environ["BOX_TABLE"], f"order {args.id}"
    item = {"id": {"S": name}, "amount": {"N": f"{args.amount}"}}
    marker, new = {"id": {"S": ctx.idempotency_key}}, {"ConditionExpression": "attribute_not_exists(id)"}
    try:
        client.transact_write_items(
            TransactItems=[{"Put": {"TableName": table, "Item": one, **new}} for one in (marker, item)]
        )
    except ClientError as problem:
        codes = {one["Code"] for one in problem.response.get("CancellationReasons", ())}
        if not codes or not codes <= {"None", "ConditionalCheckFailed"}:
            raise
        if fair:
            found = client.get_item(TableName=table, Key={"id": {"S": name}}, ConsistentRead=True)["Item"]
            if found["amount"] != item["amount"]:
                raise ToolFailed("There is an order of another amount.") from problem
    return DONE


@tool(effect=Write(honours_key=True))
def order_of_any_amount(args: Order, ctx: ToolContext) -> Count:
    """Set a standing order. One of another amount is as good."""
    return _order(args, ctx, fair=False)


@tool(effect=Write(honours_key=True))
def fair_order(args: Order, ctx: ToolContext) -> Count:
    """Set a standing order."""
    return _order(args, ctx, fair=True)


class Letter(BaseModel):
    """A letter, by the id that the queue has given it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    message: str


@tool(effect=Write())
def fair_letter_by_its_id(args: Box, ctx: ToolContext) -> Letter:
    """Send a letter, and return the queue's id of it."""
    given = {"MessageBody": "Come.", "MessageGroupId": "one", "MessageDeduplicationId": ctx.idempotency_key}
    sent = ctx.client("sqs").send_message(QueueUrl=ctx.environ["LETTERS"], **given)
    return Letter(message=sent["MessageId"])
