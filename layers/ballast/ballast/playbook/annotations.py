"""What a tool's function says of itself by its annotations: the argument model and what it returns."""

import inspect
import typing
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from ballast.errors import PlaybookInvalid
from ballast.playbook.defect import plain
from ballast.validation import lost_marks


def annotations(function: Callable[..., Any], where: str) -> tuple[type[BaseModel], Any, TypeAdapter[Any]]:
    """Return the argument model, the return annotation and what checks it. Raises ``PlaybookInvalid``."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as problem:
        raise PlaybookInvalid(f"{where}: an annotation cannot be resolved: {problem}.") from None
    parameters = inspect.signature(function).parameters.values()
    model = next((hints.get(one.name) for one in parameters), None)
    two = len(parameters) == 2 and all(one.kind is one.POSITIONAL_OR_KEYWORD for one in parameters)
    if not (two and plain(function) and isinstance(model, type) and issubclass(model, BaseModel)):
        raise PlaybookInvalid(f"{where} must be written `def {function.__name__}(args: Model, ctx: ToolContext)`.")
    if model.model_config.get("extra") != "forbid" or not model.model_config.get("frozen"):
        raise PlaybookInvalid(
            f"{where}: {model.__name__} must be closed and frozen: "
            'model_config = ConfigDict(extra="forbid", frozen=True).'
        )
    if "return" not in hints:
        raise PlaybookInvalid(f"{where} must annotate what it returns: a pydantic model or a JSON type.")
    try:
        result: TypeAdapter[Any] = TypeAdapter(hints["return"])
        result.json_schema(mode="serialization")
    except (PydanticUserError, PydanticUndefinedAnnotation) as problem:
        raise PlaybookInvalid(f"{where}: its return type cannot be JSON: {problem.message}.") from None
    for what, annotation in (("argument", model), ("result's field", hints["return"])):
        lost = lost_marks(annotation)
        if lost:
            raise PlaybookInvalid(
                f"{where}: the mark on the {what} {', '.join(sorted(set(lost)))} would say nothing. Put the mark on "
                "the field of a pydantic model, dataclass, TypedDict or NamedTuple that is written as it is declared."
            )
    return model, hints["return"], result


def takes_run(rule: Callable[..., Any] | None, where: str) -> bool:
    """Say whether a tool's rule has a third parameter, the run so far. Raises ``PlaybookInvalid``."""
    if rule is None:
        return False
    count = len(inspect.signature(rule).parameters)
    if count not in (2, 3):
        raise PlaybookInvalid(f"{where}: validate must take (args, request) or (args, request, run).")
    return count == 3
