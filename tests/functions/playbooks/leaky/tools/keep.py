"""``keep`` breaks where ``at`` says, in the way that ``how`` says, and quotes its secret."""

import textwrap
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ballast.contracts import RunRequest
from ballast.playbook import Approval, Read, Sensitive, ToolContext, ToolFailed, Write, tool


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Told(_Closed):
    secret: Annotated[str, Sensitive]
    at: str
    how: str


class Kept(_Closed):
    note: str


class _Number(_Closed):
    n: int = Field(lt=10)
    of: "_Number | None" = None


def _wrapped(secret: str) -> None:
    try:
        _Number.model_validate({"n": secret})
    except ValidationError as problem:
        raise RuntimeError(f"cannot be read: {problem}") from problem


def _fail(error: Exception) -> None:
    raise error


WAYS: dict[str, Callable[[str], Any]] = {
    "pydantic": lambda secret: _Number.model_validate({"n": secret}),
    "pydantic, deep": lambda secret: _Number.model_validate({"n": 1, "of": {"n": secret}}),
    "pydantic, whole": lambda secret: _Number.model_validate([secret]),
    "pydantic, wrapped": _wrapped,
    "int": int,
    "bytes": lambda secret: _fail(ValueError(secret.encode())),
    "across 500": lambda secret: _fail(ValueError("x" * 470 + secret + "y" * 2_000)),
    "across 500, barely": lambda secret: _fail(ValueError("x" * (470 - len(secret)) + secret + "y" * 2_000)),
    "across 500, said": lambda secret: _fail(ToolFailed("x" * 490 + secret + "y" * 2_000)),
    "across 4000": lambda secret: _fail(ValueError("x" * 3_970 + secret + "y" * 2_000)),
    "shortened": lambda secret: _fail(ValueError(textwrap.shorten(secret.replace(" ", ""), 30, placeholder="..."))),
    "abbreviated": lambda secret: _fail(ValueError(f"{secret[:12]}...{secret[-9:]}")),
    "repr": lambda secret: _fail(ValueError([secret])),
    "group": lambda secret: _fail(ExceptionGroup("several", [ValueError(secret)])),
}


def _break(args: Told, at: str) -> None:
    if args.at == at:
        WAYS[args.how](args.secret)


def _asks(args: Told, request: RunRequest) -> bool:
    _break(args, "approval.if_")
    return False


def _checks(args: Told, request: RunRequest) -> str | None:
    _break(args, "validate")
    return None


def _moves(args: Told, request: RunRequest) -> Decimal:
    _break(args, "moves")
    return Decimal(1)


def _key(args: Told, ctx: ToolContext) -> str:
    _break(args, "moves_key")
    return "c-1"


def _undo(args: Told, result: Any) -> dict[str, Any]:
    _break(args, "undo_arguments")
    return {"note": "x"}


def _found(args: Told, ctx: ToolContext) -> Kept | None:
    _break(args, "verify")
    return None


def _cost(args: Told, request: RunRequest) -> int:
    _break(args, "cost")
    return 1


def _rests_on(args: Told, ctx: ToolContext) -> str:
    _break(args, "precondition")
    return ""


@tool(
    effect=Write(undo="keep_not", undo_arguments=_undo, verify=_found, moves=_moves, moves_key=_key),
    approval=Approval(if_=_asks, precondition=_rests_on),
    validate=_checks,
    cost_microusd=_cost,
)
def keep(args: Told, ctx: ToolContext) -> Kept:
    """Keep a secret."""
    _break(args, "tool")
    if args.at == "verify":
        raise ValueError("broken")
    return Kept(note=_result(args)) if args.at != "result" else _result(args)


def _result(args: Told) -> Any:
    return {"note": {"n": args.secret}} if args.at == "result" else "kept"


@tool(effect=Write(honours_key=True))
def keep_not(args: Kept, ctx: ToolContext) -> Kept:
    """Undo it."""
    return args


@tool(effect=Read())
def look(args: Told, ctx: ToolContext) -> Kept:
    """Look at a secret."""
    _break(args, "read")
    return Kept(note="seen")
