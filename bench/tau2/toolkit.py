"""A tau2 domain's toolkits as tools of a playbook: same names, same texts, same schemas, same code.

What tau2 does not say of its tools, the domain's playbook adds: how a dead attempt at a write is resolved
(under its key, by asking with tau2's own reads, or by a person), and whether the same call may act twice.
"""

import types
from collections.abc import Callable, Collection, Mapping
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, JsonValue, create_model

from ballast.playbook import Read, Tool, ToolContext, ToolFailed, Write, tool
from bench.tau2.downstream import DOWNSTREAMS, Downstream, Refused
from bench.tau2.environments import domain_module, toolkits

CLOSED = ConfigDict(extra="forbid", frozen=True)

#: ``ask("get_order_details", order_id=…)``: one of tau2's own reads. Raises ``ToolFailed``.
Ask = Callable[..., Any]
#: From what may be asked and the call's arguments to what shows that the effect is there, or None.
Verify = Callable[[Ask, Any], JsonValue]


def domain_tools(
    domain: str,
    *,
    honours_key: Collection[str] = (),
    verify: Mapping[str, Verify] | None = None,
    repeatable: Callable[[str], bool] = lambda requestor: False,
) -> dict[str, Tool]:
    """Return every tool that ``domain`` has, by name: the agent's, and those in the customer's own hands.

    honours_key  the writes that are sent with their idempotency key
    verify       how those are asked after that can be asked after; the other writes can not
    repeatable   whether the writes of that requestor may act again with the same arguments

    Raises ``ImportError`` without tau2.
    """
    made: dict[str, Tool] = {}
    for requestor, toolkit in toolkits(domain_module(domain).get_environment()).items():
        for name, theirs in toolkit.get_tools().items():
            # tau2's ``generic`` and ``think`` change nothing: reads.
            effect: Read | Write = Read()
            if toolkit.tool_type(name).value == "write":
                effect = Write(
                    verify=_asking(domain, (verify or {}).get(name)),
                    honours_key=name in honours_key,
                    repeat="allow" if repeatable(requestor) else "once",
                )
            made[name] = _as_ballast_tool(domain, theirs, effect)
    return made


def _as_ballast_tool(domain: str, made: Any, effect: Read | Write) -> Tool:
    """Wrap one ``tau2.environment.tool.Tool``."""

    def call(args: BaseModel, ctx: ToolContext) -> JsonValue:
        return _requested(_downstream(domain, ctx), made.name, args.model_dump(), _key_of(effect, ctx))

    call.__name__ = call.__qualname__ = made.name
    call.__doc__ = "\n\n".join(text for text in (made.short_desc, made.long_desc) if text)
    call.__annotations__ = {"args": closed_model(made.name, made.params), "ctx": ToolContext, "return": JsonValue}
    return tool(effect=effect)(call)


def _key_of(effect: Read | Write, ctx: ToolContext) -> str | None:
    return ctx.idempotency_key if isinstance(effect, Write) and effect.honours_key else None


def _asking(domain: str, verify: Verify | None) -> Callable[[Any, ToolContext], JsonValue] | None:
    if verify is None:
        return None

    def asked(args: BaseModel, ctx: ToolContext) -> JsonValue:
        try:
            return verify(lambda name, **of: _requested(_downstream(domain, ctx), name, of, None), args)
        except ToolFailed:
            return None  # what it is about is not there, so nothing happened to it

    return asked


def _downstream(domain: str, ctx: ToolContext) -> Downstream:
    task_id = ctx.request.context.get("task_id")
    return DOWNSTREAMS.of(ctx.run_id, domain, None if task_id is None else str(task_id))


def _requested(downstream: Downstream, name: str, arguments: Mapping[str, Any], key: str | None) -> JsonValue:
    try:
        answer: JsonValue = downstream.request(name, arguments, key=key)
        return answer
    except Refused as refused:
        raise ToolFailed(str(refused)) from refused


def closed_model(name: str, model: type[BaseModel]) -> type[BaseModel]:
    """Return ``model`` again, closed and frozen all the way down."""
    fields: dict[str, Any] = {key: (_closed(field.annotation), field) for key, field in model.model_fields.items()}
    return create_model(name, __config__=CLOSED, **fields)


def _closed(annotation: Any) -> Any:
    """Close each model inside a type; ``FlightInfo | dict``, which tau2 writes for "as JSON", is FlightInfo."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return closed_model(annotation.__name__, annotation)
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        if any(isinstance(one, type) and issubclass(one, BaseModel) for one in inner):
            inner = tuple(one for one in inner if one is not dict)
        return Union[tuple(_closed(one) for one in inner)]  # noqa: UP007  built at run time
    if origin in (list, tuple):
        return origin[tuple(_closed(one) for one in inner)]
    return annotation
