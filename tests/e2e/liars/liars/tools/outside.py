"""Tools of a service outside of AWS: some take an error for an answer that nothing is there. Honest siblings."""

from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

from ballast.errors import RetryLater
from ballast.playbook import CallLimits, Read, ToolContext, ToolFailed, Write, tool

from ..box import Box, Count, add_once
from ..double import address

_LIMITS = CallLimits(timeout_s=5)
PAID = Count(count=1)


def _asked(method: str, path: str, ctx: ToolContext) -> int:
    """Return the status of an answer."""
    host, port = address()
    connection = HTTPConnection(host, port, timeout=ctx.timeout_s)
    try:
        connection.request(method, path, headers={"Idempotency-Key": ctx.idempotency_key})
        return connection.getresponse().status
    finally:
        connection.close()


def _pay(ctx: ToolContext, path: str = "/") -> Count:
    if (status := _asked("POST", path, ctx)) != 200:
        raise RuntimeError(f"The service answered {status}.")
    return PAID


def _paid(args: Any, ctx: ToolContext) -> Count | None:
    status = _asked("GET", f"/paid/{ctx.idempotency_key}", ctx)
    if status not in (200, 404):
        raise RuntimeError(f"The service answered {status}.")
    return PAID if status == 200 else None


def _paid_by_status(args: Any, ctx: ToolContext) -> Count | None:
    return PAID if _asked("GET", f"/paid/{ctx.idempotency_key}", ctx) == 200 else None


def _paid_if_reached(args: Any, ctx: ToolContext) -> Count | None:
    try:
        return _paid(args, ctx)
    except OSError:
        return None


@tool(effect=Write(verify=_paid_by_status), limits=_LIMITS)
def verify_of_a_status(args: Box, ctx: ToolContext) -> Count:
    """Pay. It looks for the payment and takes every error for none."""
    return _pay(ctx)


@tool(effect=Write(verify=_paid_if_reached), limits=_LIMITS)
def verify_where_reached(args: Box, ctx: ToolContext) -> Count:
    """Pay. It looks for the payment and takes an outage for none."""
    return _pay(ctx)


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def key_looked_up_outside(args: Box, ctx: ToolContext) -> Count:
    """Pay once by a look-up that takes an error for no; what is refused then is called a failure."""
    if _asked("GET", f"/paid/{ctx.idempotency_key}", ctx) == 200:
        return PAID
    if _asked("POST", "/strict", ctx) == 409:
        raise ToolFailed("The service has refused it.")
    return PAID


@tool(effect=Read(), limits=_LIMITS)
def read_of_a_status(args: Box, ctx: ToolContext) -> bool:
    """Say whether a payment is there that is not."""
    return _asked("GET", "/paid/none", ctx) == 200


@tool(effect=Read(), limits=_LIMITS)
def fair_read_outside(args: Box, ctx: ToolContext) -> bool:
    """Say whether a payment is there that is not."""
    return _paid(args, ctx) is not None


@tool(effect=Write(verify=_paid), limits=_LIMITS)
def fair_verify_outside(args: Box, ctx: ToolContext) -> Count:
    """Pay."""
    return _pay(ctx)


@tool(effect=Write(honours_key=True, verify=_paid), limits=_LIMITS)
def fair_strict(args: Box, ctx: ToolContext) -> Count:
    """Pay. A second attempt is answered with 409: that is doubt, and verify finds the payment."""
    return _pay(ctx, "/strict")


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def strict_without_verify(args: Box, ctx: ToolContext) -> Count:
    """Pay. A second attempt is answered with 409, and nothing finds the payment."""
    return _pay(ctx, "/strict")


# Errors of a request that acts


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def failed_outside(args: Box, ctx: ToolContext) -> Count:
    """Pay. It takes every error of the service for a refusal."""
    if (status := _asked("POST", "/", ctx)) != 200:
        raise ToolFailed(f"The service answered {status}; nothing was paid.")
    return PAID


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def cut_outside(args: Box, ctx: ToolContext) -> Count:
    """Pay. It takes the error of a gateway for a busy service."""
    status = _asked("POST", "/", ctx)
    if status in (502, 503, 504):
        raise RetryLater(f"The service answered {status}; nothing was paid.")
    if status != 200:
        raise RuntimeError(f"The service answered {status}.")
    return PAID


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def half_refused_outside(args: Box, ctx: ToolContext) -> Count:
    """Pay, and tell of it. A refusal of the second is told as one of both."""
    _pay(ctx)
    if (status := _asked("POST", "/told", ctx)) == 403:
        raise ToolFailed("The service has refused it.")
    if status != 200:
        raise RuntimeError(f"The service answered {status}.")
    return PAID


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def refused_after_a_put(args: Box, ctx: ToolContext) -> Count:
    """Put it in a table, then pay. A refused payment leaves what was put."""
    add_once(ctx, 0, args.id)
    if (status := _asked("POST", "/", ctx)) == 403:
        raise ToolFailed("The service has refused it.")
    if status != 200:
        raise RuntimeError(f"The service answered {status}.")
    return PAID


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def fair_refusal_outside(args: Box, ctx: ToolContext) -> Count:
    """Pay. What the service refuses or is too busy for is so; the rest is doubt."""
    status = _asked("POST", "/", ctx)
    if status in (403, 422):
        raise ToolFailed(f"The service answered {status}.")
    if status == 429:
        raise RetryLater("The service is busy.")
    if status != 200:
        raise RuntimeError(f"The service answered {status}.")
    return PAID


# Over a connection that is kept, as a client at module level keeps it

_KEPT: list[HTTPConnection] = []


def _kept(timeout_s: float | None = None) -> HTTPConnection:
    """Return the connection to the service, made once."""
    host, port = address()
    if not _KEPT or _KEPT[0].port != port:
        _KEPT[:] = [HTTPConnection(host, port)]
    _KEPT[0].timeout = timeout_s
    if _KEPT[0].sock is not None:
        _KEPT[0].sock.settimeout(timeout_s)
    return _KEPT[0]


def _pay_over(connection: HTTPConnection, key: str) -> Count:
    try:
        connection.request("POST", "/", headers={"Idempotency-Key": key})
        answer = connection.getresponse()
        answer.read()
    except OSError:
        connection.close()
        raise
    if answer.status != 200:
        raise RuntimeError(f"The service answered {answer.status}.")
    return PAID


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def kept_without_time(args: Box, ctx: ToolContext) -> Count:
    """Pay, and wait for ever."""
    return _pay_over(_kept(), ctx.idempotency_key)


@tool(effect=Write(honours_key=True), limits=_LIMITS)
def fair_kept(args: Box, ctx: ToolContext) -> Count:
    """Pay."""
    return _pay_over(_kept(ctx.timeout_s), ctx.idempotency_key)


# In another thread

_POOL = ThreadPoolExecutor(2)


def _paid_by_a_pool(args: Any, ctx: ToolContext) -> Count | None:
    return _POOL.submit(_paid_if_reached, args, ctx).result()


@tool(effect=Write(verify=_paid_by_a_pool), limits=_LIMITS)
def verify_by_a_pool(args: Box, ctx: ToolContext) -> Count:
    """Pay. A thread looks for the payment and takes an outage for none."""
    return _pay(ctx)


@tool(effect=Write(verify=lambda args, ctx: _POOL.submit(_paid, args, ctx).result()), limits=_LIMITS)
def fair_verify_by_a_pool(args: Box, ctx: ToolContext) -> Count:
    """Pay. A thread looks for the payment."""
    return _pay(ctx)
