"""Pay at a provider: in every way in which a tool can, or cannot, tell what became of a payment."""

from collections.abc import Callable
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from ballast.playbook import Approval, Circuit, ToolContext, Write, tool


class Provider(Protocol):
    """The provider behind a client that may fail."""

    def pay(self, invoice: str, key: str) -> str:
        """Pay and return the receipt."""

    def find(self, key: str) -> str | None:
        """Return the receipt of the payment under ``key``, None where there is none."""


#: What a test puts here.
PROVIDERS: list[Provider] = []


class Pay(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    invoice: str


def _pay(args: Pay, ctx: ToolContext) -> str:
    return PROVIDERS[-1].pay(args.invoice, ctx.idempotency_key)


def _find(args: Pay, ctx: ToolContext) -> str | None:
    return PROVIDERS[-1].find(ctx.idempotency_key)


#: Leaves the provider alone after one error.
_STRICT = Circuit("provider", failures=1, recovery_s=600)


@tool(effect=Write())
def pay(args: Pay, ctx: ToolContext) -> str:
    """Pay; nothing can tell what became of it."""
    return _pay(args, ctx)


@tool(effect=Write(honours_key=True))
def pay_by_key(args: Pay, ctx: ToolContext) -> str:
    """Pay once under a key."""
    return _pay(args, ctx)


@tool(effect=Write(verify=_find))
def pay_verified(args: Pay, ctx: ToolContext) -> str:
    """Pay; the provider can be asked about it."""
    return _pay(args, ctx)


@tool(effect=Write(verify=_find, honours_key=True))
def pay_both(args: Pay, ctx: ToolContext) -> str:
    """Pay once under a key; the provider can be asked about it as well."""
    return _pay(args, ctx)


@tool(effect=Write(), circuit=_STRICT)
def pay_guarded(args: Pay, ctx: ToolContext) -> str:
    """Pay, unless the provider is left alone; nothing can tell what became of it."""
    return _pay(args, ctx)


@tool(effect=Write(verify=_find), circuit=_STRICT)
def pay_verified_guarded(args: Pay, ctx: ToolContext) -> str:
    """Pay, unless the provider is left alone; it can be asked about it."""
    return _pay(args, ctx)


@tool(effect=Write(honours_key=True), circuit=_STRICT)
def pay_by_key_guarded(args: Pay, ctx: ToolContext) -> str:
    """Pay once under a key, unless the provider is left alone."""
    return _pay(args, ctx)


@tool(effect=Write(verify=_find, honours_key=True), circuit=_STRICT)
def pay_both_guarded(args: Pay, ctx: ToolContext) -> str:
    """Pay once under a key, unless the provider is left alone; it can be asked about it as well."""
    return _pay(args, ctx)


#: What a test says instead of a rule, by ``validate``, ``approval.if_`` and ``cost``.
RULES: dict[str, Callable[..., Any]] = {}


def _validate(args: Pay, request: Any) -> str | None:
    said: str | None = RULES["validate"](args) if "validate" in RULES else None
    return said


def _asks(args: Pay, request: Any) -> bool:
    return bool(RULES["approval.if_"](args)) if "approval.if_" in RULES else False


def _cost(args: Pay, request: Any) -> int:
    return int(RULES["cost"](args)) if "cost" in RULES else 1000


@tool(effect=Write(), approval=Approval(if_=_asks), validate=_validate, cost_microusd=_cost)
def pay_ruled(args: Pay, ctx: ToolContext) -> str:
    """Pay where the rules let it; nothing can tell what became of it."""
    return _pay(args, ctx)


@tool(effect=Write(verify=_find), approval=Approval(if_=_asks), validate=_validate, cost_microusd=_cost)
def pay_ruled_verified(args: Pay, ctx: ToolContext) -> str:
    """Pay where the rules let it; the provider can be asked about it."""
    return _pay(args, ctx)


@tool(
    effect=Write(verify=_find, honours_key=True),
    approval=Approval(if_=_asks),
    validate=_validate,
    cost_microusd=_cost,
)
def pay_ruled_both(args: Pay, ctx: ToolContext) -> str:
    """Pay once under a key where the rules let it; the provider can be asked about it as well."""
    return _pay(args, ctx)
