"""Tools that write where they may only read, or wait too long, only after an error. Honest siblings."""

import tempfile
import threading
import time
from dataclasses import replace
from functools import lru_cache
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from ballast.playbook import Approval, CallLimits, Read, ToolContext, Write, tool

from ..box import Box, Count, add, add_once, count
from ..double import address
from .outside import PAID, _asked, _paid, _pay

_LIMITS = CallLimits(timeout_s=5)


def _count_or_note(args: Any, ctx: ToolContext) -> int:
    try:
        return count(ctx, args.id)
    except ClientError:
        add(ctx, "errors")
        raise


@tool(effect=Read())
def read_noted_on_error(args: Box, ctx: ToolContext) -> Count:
    """Read, and count the errors."""
    return Count(count=_count_or_note(args, ctx))


@tool(effect=Read())
def read_kept_on_error(args: Box, ctx: ToolContext) -> Count:
    """Read, and keep the last error in a file."""
    try:
        return Count(count=count(ctx, args.id))
    except ClientError as problem:
        (Path(tempfile.gettempdir()) / "certify-last-error").write_text(str(problem))
        raise


@tool(effect=Write(honours_key=True), approval=Approval(if_=None, precondition=_count_or_note))
def precondition_noted_on_error(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


def _paid_or_told(args: Any, ctx: ToolContext) -> Count | None:
    try:
        return _paid(args, ctx)
    except OSError:
        _asked("POST", "/told", replace(ctx, idempotency_key=f"{ctx.idempotency_key} told"))
        raise


@tool(effect=Write(verify=_paid_or_told), limits=_LIMITS)
def verify_told_on_error(args: Box, ctx: ToolContext) -> Count:
    """Pay. Where its verify finds out nothing, it pays so that somebody knows."""
    return _pay(ctx)


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def time_after_error(args: Box, ctx: ToolContext) -> Count:
    """Pay, and try again after a while."""
    try:
        return _pay(ctx)
    except OSError:
        time.sleep(30)
        return _pay(ctx)


@tool(effect=Write(honours_key=True), limits=CallLimits(timeout_s=0.4))
def time_of_an_event(args: Box, ctx: ToolContext) -> Count:
    """Pay, and try again after a while."""
    try:
        return _pay(ctx)
    except OSError:
        threading.Event().wait(0.5)
        return _pay(ctx)


def _paid_in_the_end(args: Any, ctx: ToolContext) -> Count | None:
    connection = HTTPConnection(*address())
    try:
        connection.request("GET", f"/paid/{ctx.idempotency_key}")
        return {200: PAID, 404: None}[connection.getresponse().status]
    finally:
        connection.close()


@tool(effect=Write(verify=_paid_in_the_end), limits=_LIMITS)
def time_of_a_look(args: Box, ctx: ToolContext) -> Count:
    """Pay. Its verify waits for ever."""
    return _pay(ctx)


@tool(effect=Read(), limits=_LIMITS)
def time_of_a_client(args: Box, ctx: ToolContext) -> Count:
    """Read, and wait for five minutes."""
    client = ctx.client("dynamodb", Config(read_timeout=300), variant="patient")
    found = client.get_item(TableName=ctx.environ["BOX_TABLE"], Key={"id": {"S": args.id}}, ConsistentRead=True)
    return Count(count=int(found["Item"]["count"]["N"]))


@tool(effect=Read(), limits=_LIMITS)
def fair_time_of_its_own(args: Box, ctx: ToolContext) -> Count:
    """Read, with times of its clients below its own, and try again after a moment."""
    client = ctx.client("dynamodb", Config(read_timeout=3, connect_timeout=2), variant="short")
    found = client.get_item(TableName=ctx.environ["BOX_TABLE"], Key={"id": {"S": args.id}}, ConsistentRead=True)
    for wait_s in (1, 2, None):
        connection = HTTPConnection(*address(), timeout=3)
        try:
            connection.request("GET", "/")
            if connection.getresponse().status != 200:
                raise RuntimeError("The service has not answered.")
            break
        except OSError:
            if wait_s is None:
                raise
            time.sleep(wait_s)
        finally:
            connection.close()
    return Count(count=int(found["Item"]["count"]["N"]))


@lru_cache
def _status(host: str, port: int, path: str, etag: str = "") -> int:
    connection = HTTPConnection(host, port, timeout=4)
    try:
        connection.request("GET", path, headers={"If-None-Match": etag} if etag else {})
        return connection.getresponse().status
    finally:
        connection.close()


@tool(
    effect=Write(honours_key=True),
    approval=Approval(if_=None, precondition=lambda args, ctx: _status(*address(), f"/{args.id}")),
    limits=_LIMITS,
)
def precondition_of_an_answer(args: Box, ctx: ToolContext) -> Count:
    """Add. Its precondition remembers what a service has answered."""
    return add_once(ctx, 1, args.id)


_TAGS: dict[str, str] = {}


@tool(effect=Read(), limits=_LIMITS)
def fair_validator(args: Box, ctx: ToolContext) -> bool:
    """Ask each time whether what it knows is as it was."""
    status = _status.__wrapped__(*address(), f"/{args.id}", _TAGS.get(args.id, ""))
    if status not in (200, 304):
        raise RuntimeError(f"The service answered {status}.")
    _TAGS[args.id] = '"1"'
    return True
