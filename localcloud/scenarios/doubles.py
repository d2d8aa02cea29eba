"""Doubles of tools: outcomes of calls that the local store does not give, in place of a tool's own code.

::

    tools:
      - {tool: look_up_order, arguments: {order_id: O-7}, result: {status: paid}}
      - {tool: refund_order, fails: "The payment is too old.", times: 1}

Only the tool's function is replaced: the check of its arguments and its result, its rules, its circuit and its time
limit stay. A call that no double fits is made as usual.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from ballast.contracts.wire import Json, Name, Text, Wire
from ballast.errors import RetryLater
from ballast.playbook import ToolFailed
from localcloud.moto_seams.replaced import replaced

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud

_KINDS = ("result", "fails", "breaks", "not_done")


class Double(Wire):
    """The outcome of calls of one tool: exactly one of result, fails, breaks and not_done.

    arguments  those of the call that must be equal; {} for any call of the tool
    result     the tool returns it
    fails      the tool says no, in these words
    breaks     the tool ends with an unexpected error: a write's effect is in doubt
    not_done   the tool says that nothing was done and that the call may be tried again
    times      for how many calls; null: for all
    """

    tool: Name
    arguments: dict[str, Json] = Field(default_factory=dict)
    result: Json = None
    fails: Text | None = None
    breaks: Text | None = None
    not_done: Text | None = None
    times: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if len(self.model_fields_set.intersection(_KINDS)) != 1:
            raise ValueError(f"must have exactly one of {', '.join(_KINDS)}")
        return self

    def fits(self, tool: str, arguments: Any) -> bool:
        """Return whether this is a double of such a call."""
        return self.tool == tool and all(
            name in arguments and arguments[name] == value for name, value in self.arguments.items()
        )

    def end(self, tool: Any) -> Any:
        """Return what the tool returns, or raise what it raises."""
        if self.fails is not None:
            raise ToolFailed(self.fails)
        if self.not_done is not None:
            raise RetryLater(self.not_done)
        if self.breaks is not None:
            raise RuntimeError(self.breaks)
        try:
            return tool.result.validate_json(json.dumps(self.result))
        except ValidationError:
            return self.result  # the executor says that it is not what the tool promises


@contextmanager
def doubled(cloud: LocalCloud, doubles: Sequence[Double]) -> Iterator[None]:
    """Within the block, let the cloud's executor take the outcomes of ``doubles``: of each call the first that fits."""
    if not doubles:
        yield
        return
    left: list[list[Any]] = [[one, one.times] for one in doubles]
    lock = Lock()

    def next_of(tool: str, arguments: Any) -> Double | None:
        with lock:
            for pair in left:
                one, times = pair
                if times != 0 and one.fits(tool, arguments):
                    pair[1] = None if times is None else times - 1
                    return one  # type: ignore[no-any-return]
        return None

    downstreams = vars(cloud.module_of("ExecutorFunction"))["Downstreams"]
    real = vars(downstreams)["ready"]

    def ready(self: Any, tool: Any, args: Any, context: Any) -> Any:
        double = next_of(tool.name, tool.form.write(args))
        if double is not None:
            tool = replace(tool, function=lambda _args, _context: double.end(tool))
        return real(self, tool, args, context)

    with replaced(downstreams, "ready", ready):
        yield
