"""A tau2 domain's toolkit as tools of a playbook: same names, same texts, same schemas, same code."""

import types
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, JsonValue, create_model
from pydantic_core import to_jsonable_python

from ballast.playbook import Effect, Tool, ToolContext, ToolFailed, tool
from bench.tau2.environments import RUN_ENVIRONMENTS, domain_module

CLOSED = ConfigDict(extra="forbid", frozen=True)


def domain_tools(domain: str) -> dict[str, Tool]:
    """Return every tool that ``domain`` gives its agent, by name. Raises ``ImportError`` without tau2."""
    toolkit = domain_module(domain).get_environment().tools
    return {
        name: _as_ballast_tool(domain, made, writes=toolkit.tool_type(name).value == "write")
        for name, made in toolkit.get_tools().items()
    }


def _as_ballast_tool(domain: str, made: Any, *, writes: bool) -> Tool:
    """Wrap one ``tau2.environment.tool.Tool``. tau2's ``generic`` and ``think`` change nothing: reads."""

    def call(args: BaseModel, ctx: ToolContext) -> JsonValue:
        task_id = ctx.request.context.get("task_id")
        environment = RUN_ENVIRONMENTS.of(ctx.run_id, domain, None if task_id is None else str(task_id))
        try:
            result = environment.make_tool_call(made.name, **args.model_dump())
        except Exception as problem:
            # tau2's own loop hands every exception of a tool to the model as its result.
            raise ToolFailed(f"{problem}") from problem
        environment.sync_tools()
        answer: JsonValue = to_jsonable_python(result)
        return answer

    call.__name__ = call.__qualname__ = made.name
    call.__doc__ = "\n\n".join(text for text in (made.short_desc, made.long_desc) if text)
    call.__annotations__ = {"args": closed_model(made.name, made.params), "ctx": ToolContext, "return": JsonValue}
    return tool(effect=Effect.WRITE if writes else Effect.READ)(call)


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
