"""The thresholds of a candidate lane that no playbook's ``agent.yaml`` has, as ``--rules`` says them.

::

    tools:
      refund_order: {approval: {over: "50.00"}}    # or always, or never; by what the tool declares in moves=
    loops:
      same_call: {notice: 2, forbid: 3}            # forbid: null never forbids
    grounding: false                               # marks of arguments are not checked
    agent:
      limits.turns: 8                              # as --set

The file is read once; the lane holds it as plain JSON.
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from ballast.contracts import RunRequest
from ballast.contracts.wire import Name, Wire, complaints
from ballast.errors import InvalidInput
from ballast.folds.loops.ladder import THRESHOLDS, Kind
from ballast.money.amounts import MICRO
from ballast.playbook import Playbook, Tool
from ballast.yaml_files import parse_text

Count = Annotated[int, Field(ge=1, le=1_000)]


class Over(Wire):
    """A person is asked about a call that moves more than that, in the playbook's currency."""

    over: Annotated[Decimal, Field(ge=0, le=1_000_000_000, decimal_places=6, strict=False)]


class OfTool(Wire):
    """The thresholds of one tool."""

    approval: Literal["always", "never"] | Over


class Threshold(Wire):
    """The counts at which a loop of one kind is told to the model, and its tool is forbidden."""

    notice: Count
    forbid: Count | None = None

    @model_validator(mode="after")
    def _is_told_first(self) -> Self:
        if self.forbid is not None and self.forbid < self.notice:
            raise ValueError(f"forbid: {self.forbid} is below notice: {self.notice}; the model is told first")
        return self


class Rules(Wire):
    """What ``--rules`` changes.

    tools      by name
    loops      by the kind of the signal
    grounding  false: marks of arguments are not checked
    agent      fields of agent.yaml by their path
    """

    tools: dict[Name, OfTool] = Field(default_factory=dict)
    loops: dict[Kind, Threshold] = Field(default_factory=dict)
    grounding: bool = True
    agent: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Rules:
        """Return the rules of a file. Raises ``InvalidInput``, which names the field."""
        try:
            data = json.loads(parse_text(file.read_text(encoding="utf-8"), words=True))  # ``agent`` is agent.yaml's
        except OSError as problem:
            raise InvalidInput(f"--rules {file}: cannot be read ({problem.strerror}).") from None
        except ValueError as problem:
            raise InvalidInput(f"--rules {file}: {problem}") from None
        try:
            return cls.model_validate(data if data is not None else {}, strict=False)
        except ValidationError as problem:
            raise InvalidInput(f"--rules {file}: {complaints(problem)}.") from None

    def changed(self, playbook: Playbook) -> Playbook:
        """Return ``playbook`` with its tools' approvals as the rules say. Raises ``InvalidInput``."""
        tools = dict(playbook.tools)
        for name, rule in self.tools.items():
            if name not in tools:
                raise InvalidInput(f"--rules: tools.{name}: the playbook has no such tool. It has: {', '.join(tools)}.")
            tools[name] = _with_approval(tools[name], rule)
        return replace(playbook, tools=tools)

    @property
    def thresholds(self) -> dict[Kind, tuple[int, int | None]]:
        """The thresholds of all kinds of loops."""
        return THRESHOLDS | {kind: (one.notice, one.forbid) for kind, one in self.loops.items()}


def _with_approval(tool: Tool, rule: OfTool) -> Tool:
    said = rule.approval
    if isinstance(said, Over) and tool.moves is None:
        raise InvalidInput(
            f"--rules: tools.{tool.name}.approval.over: the tool declares no moves=; say always or never."
        )
    moves = tool.moves

    def asks(args: Any, request: RunRequest) -> str | bool:
        if not isinstance(said, Over):
            return said == "always"
        assert moves is not None
        return moves.micro(tool.name, args, request) > int(said.over * MICRO)

    return replace(tool, approval=replace(tool.approval, if_=asks))
