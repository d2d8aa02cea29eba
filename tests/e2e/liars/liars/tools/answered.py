"""Tools that believe the wrong answer, or none, of a service outside of AWS or of AWS itself; honest siblings."""

import http.client
import json
from typing import Any

from botocore.exceptions import ConnectionClosedError
from pydantic import BaseModel, ConfigDict

from ballast.playbook import CallLimits, ToolContext, ToolFailed, Write, tool

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
