"""Tools whose rules break in every way, and tools that are down for good."""

import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal

from botocore.exceptions import ClientError
from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator

from ballast.errors import RetryLater, SettingInvalid
from ballast.playbook import Approval, Read, ToolContext, ToolFailed, Write, tool
from ballast.validation import Sensitive

Where = Literal["nowhere", "field", "validate", "approval.if_", "precondition", "cost", "moves", "moves_key", "undo"]
Odd = Literal["Panic", "Mute", "group", "generator", "later", "busy"]
What = Literal["KeyError", "TypeError", "Speechless", "exit", "long", "secret", "Setting", "ToolFailed", Odd]
#: What a rule returns instead of raising; "" where it raises.
Returns = Literal["", "coroutine", "list", "bytes", "number", "generator", "true", "surrogate"]


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Panic(BaseException):
    """As a panic in Rust is (pyo3), or the timeout of a green thread: no ``Exception``."""


class Mute(BaseException):
    def __str__(self) -> str:
        raise Panic("no words")


class Busy(RetryLater):
    """A name that no workflow knows."""


def breaks(args: Any, where: Where) -> None:
    """Raise what the arguments want, where they want it."""
    if args.where == where:
        fail(args.what, args.pin)


def fail(what: What, pin: str) -> None:
    match what:
        case "KeyError":
            raise KeyError("boom")
        case "TypeError":
            raise TypeError("no way")
        case "Speechless":
            raise Speechless
        case "exit":
            sys.exit("so long")
        case "long":
            raise RuntimeError("начало" + "ж" * 200_000)
        case "secret":
            raise RuntimeError(f"the pin {pin} is wrong")
        case "Setting":
            raise SettingInvalid("NO_SUCH_TABLE is missing")
        case "ToolFailed":
            raise ToolFailed("the rule says no")
        case "Panic":
            raise Panic("called unwrap on None")
        case "Mute":
            raise Mute
        case "group":
            raise BaseExceptionGroup("two", [Panic("one"), KeyError("two")])
        case "generator":
            raise GeneratorExit
        case "later":
            raise RetryLater("The register is closed.")
        case "busy":
            raise Busy("The register is busy.")


async def _nothing() -> bool:
    return False


def odd(returns: Returns) -> Any:
    """Return what no rule may."""
    made: dict[str, Callable[[], Any]] = {
        "coroutine": _nothing,
        "list": lambda: ["no"],
        "bytes": lambda: b"no",
        "number": lambda: 1.5,
        "generator": lambda: (one for one in "no"),
        "true": lambda: True,
        "surrogate": lambda: "\ud800",
    }
    return made[returns]()


class Act(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    pin: Annotated[str, Sensitive()] = "4711-0815-99"
    where: Where = "nowhere"
    what: What = "KeyError"
    returns: Returns = ""
    touched: Annotated[int, AfterValidator(lambda n: n)] = 0

    @field_validator("touched")
    @classmethod
    def _no_thirteen(cls, touched: int) -> int:
        if touched == 13:
            raise KeyError("thirteen")
        if touched == 14:
            raise Panic("fourteen")
        if touched == 15:
            raise RetryLater("The register is closed.")
        return touched


class Acted(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    note: str


def _validate(args: Act, _: Any) -> Any:
    return _said(args, "validate", None)


def _approve(args: Act, _: Any) -> Any:
    return _said(args, "approval.if_", args.where == "precondition")


def _precondition(args: Act, _: ToolContext) -> Any:
    return _said(args, "precondition", {})


def _cost(args: Act, _: Any) -> Any:
    return _said(args, "cost", 10)


def _moves(args: Act, _: Any) -> Any:
    return _said(args, "moves", Decimal(1))


def _key(args: Act, _: ToolContext) -> Any:
    return _said(args, "moves_key", "C-1")


def _said(args: Act, where: Where, usual: Any) -> Any:
    if args.where == where and args.returns:
        return odd(args.returns)
    breaks(args, where)
    return usual


def _add(ctx: ToolContext) -> None:
    ctx.client("dynamodb").update_item(
        TableName=ctx.environ["NOTES_TABLE"],
        Key={"note_id": {"S": "n-1"}},
        UpdateExpression="ADD writes :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


@tool(
    effect=Write(moves=_moves, moves_key=_key),
    approval=Approval(if_=_approve, precondition=_precondition),
    validate=_validate,
    cost_microusd=_cost,
)
def act(args: Act, ctx: ToolContext) -> Acted:
    """Write, unless a rule breaks."""
    _add(ctx)
    return Acted(note="n-1")


@tool(effect=Read(), approval=Approval(if_=_approve, precondition=_precondition), validate=_validate)
def look(args: Act, ctx: ToolContext) -> Acted:
    """Read, unless a rule breaks."""
    return Acted(note="n-1")


class Down(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    how: Literal["later", "throttled", "lost", "failed", "long"] = "later"
    up_from: int = 99


def _attempts(ctx: ToolContext) -> int:
    made = ctx.client("dynamodb").update_item(
        TableName=ctx.environ["NOTES_TABLE"],
        Key={"note_id": {"S": f"marker#{ctx.idempotency_key}"}},
        UpdateExpression="ADD attempts :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
        ReturnValues="UPDATED_NEW",
    )
    return int(made["Attributes"]["attempts"]["N"])


def _down(args: Down, ctx: ToolContext) -> Acted:
    if _attempts(ctx) < args.up_from:
        match args.how:
            case "later":
                raise RetryLater("The provider has no room; nothing was done.")
            case "throttled":
                raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "GetItem")
            case "lost":
                raise TimeoutError("no answer")
            case "failed":
                raise ToolFailed("It is not configured here; nothing was sent.")
            case "long":
                raise RetryLater("ж" * 200_000)
    return Acted(note="n-1")


@tool(effect=Read())
def read_down(args: Down, ctx: ToolContext) -> Acted:
    """Read what is down."""
    return _down(args, ctx)


@tool(effect=Read())
def read_set(args: Down, ctx: ToolContext) -> Acted:
    """Read what the deployment must have set."""
    raise SettingInvalid("NOTES_TABLE is missing.")


@tool(effect=Write(honours_key=True))
def write_down(args: Down, ctx: ToolContext) -> Acted:
    """Write under a key what is down."""
    done = _down(args, ctx)
    _add(ctx)
    return done


@tool(effect=Write(verify=lambda args, ctx: None))
def write_verified(args: Down, ctx: ToolContext) -> Acted:
    """Write what can be asked after."""
    done = _down(args, ctx)
    _add(ctx)
    return done


@tool(effect=Write())
def write_plain(args: Down, ctx: ToolContext) -> Acted:
    """Write what nothing tells of."""
    done = _down(args, ctx)
    _add(ctx)
    return done


class Dear(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    microusd: int = 0
    usd: Decimal = Decimal(0)


@tool(
    effect=Write(moves=lambda args, _: args.usd),
    approval=Approval(if_=lambda *_: "somebody must look"),
    cost_microusd=lambda args, _: args.microusd,
)
def buy(args: Dear, ctx: ToolContext) -> Acted:
    """Buy; a person approves."""
    _add(ctx)
    return Acted(note="n-1")
