"""Every function that a tool's declaration may hold, beside the tool's own, and the rules that they follow.

::

    it gets a context      verify, approval.precondition, moves_key        reads the store, and nothing that varies
    it gets values alone   approval.if_, validate, moves, cost_microusd,   follows from its arguments: no clock, chance,
                           undo_arguments                                  environment, file or memory
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from ballast.errors import ends_the_process
from ballast.folds.calls import CallState
from ballast.folds.usage import Usage
from ballast.playbook import RunSoFar, Tool, ToolContext
from ballast.playbook.rules import InWindow, MovedSoFar, wants_run
from cli.certify.rig import canonical_or_repr

Gets = Literal["context", "request", "result"]
_NOTHING = InWindow(Decimal(0), Decimal(0))


@dataclass(frozen=True)
class Declared:
    """One function of a declaration.

    name      as in certify's rules
    function  what the author wrote
    gets      beside the arguments: the context, the request (and the run so far), or the result
    moves     whether its tool moves money: then the run so far has amounts
    """

    name: str
    function: Callable[..., Any]
    gets: Gets
    moves: bool = False

    def ask(self, args: Any, context: ToolContext, result: Any = None, calls: tuple[CallState, ...] = ()) -> Any:
        """Return its answer for a call, asked of a run that has done nothing else than ``calls``."""
        if self.gets == "context":
            return self.function(args, context)
        if self.gets == "result":
            return self.function(args, result)
        windows = MovedSoFar(Decimal(0), _NOTHING, _NOTHING, _NOTHING) if self.moves else None
        run = RunSoFar(calls, Usage(), windows=windows)
        with_run = self.name in ("if_", "validate") and wants_run(self.function)
        return self.function(args, context.request, *([run] if with_run else []))

    def said(self, args: Any, context: ToolContext, result: Any = None, calls: tuple[CallState, ...] = ()) -> str:
        """Return its answer as text, or its error: a rule may refuse a call so."""
        try:
            return canonical_or_repr(self.ask(args, context, result, calls))
        except BaseException as problem:
            if ends_the_process(problem):
                raise
            return f"{type(problem).__name__}: {problem}"


def declared(tool: Tool) -> dict[str, Declared]:
    """Return the functions of a tool's declaration, by name."""
    moves, approval = tool.moves, tool.approval
    every: tuple[tuple[str, Any, Gets], ...] = (
        ("verify", tool.policy.verify, "context"),
        ("precondition", approval.precondition, "context"),
        ("moves_key", moves and moves.key, "context"),
        ("if_", approval.if_, "request"),
        ("validate", tool.validate, "request"),
        ("moves", moves and moves.amount, "request"),
        ("cost_microusd", tool.cost_microusd, "request"),
        ("undo_arguments", tool.undo_arguments, "result"),
    )
    return {name: Declared(name, one, gets, moves is not None) for name, one, gets in every if callable(one)}
