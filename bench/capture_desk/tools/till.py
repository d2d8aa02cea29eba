"""Prices, stock, refunds, cancellations and notes, computed from the arguments."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from ballast.contracts import RunRequest
from ballast.playbook import Approval, Read, RunSoFar, ToolContext, ToolFailed, Write, tool

PRICES = {"tent": Decimal("480.00"), "mat": Decimal("84.50"), "lamp": Decimal("40.00")}
LEFT = {"tent": 3, "mat": 12, "lamp": 5}
APPROVAL_ABOVE = Decimal("200.00")
MOST_REFUND = Decimal("400.00")
OPEN_ORDERS = ("O-1", "O-2", "O-3")
MOST_NOTE = 200


class Closed(BaseModel):
    """A value without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Article(Closed):
    """Which article."""

    article: str = Field(max_length=20)


class Price(Closed):
    """What it costs."""

    article: str
    price_usd: str


class Stock(Closed):
    """How many are left."""

    article: str
    left: int
    boxes: int


class Order(Closed):
    """Which order."""

    order_id: str = Field(pattern="^O-[0-9]{1,6}$")


class RefundOrder(Closed):
    """What to refund."""

    order_id: str = Field(pattern="^O-[0-9]{1,6}$")
    amount_usd: str = Field(pattern=r"^[0-9]{1,4}\.[0-9]{2}$")


class Done(Closed):
    """What was done."""

    order_id: str
    status: str


class Note(Closed):
    """A note to a customer."""

    to: str = Field(pattern="^[^@]+@[^@]+$")
    text: str = Field(max_length=MOST_NOTE)


class Sent(Closed):
    """A sent note."""

    to: str
    parts: int


@tool(effect=Read())
def price(args: Article, ctx: ToolContext) -> Price:
    """Say what an article costs."""
    if args.article not in PRICES:
        raise ToolFailed(f"There is no article {args.article}.")
    return Price(article=args.article, price_usd=str(PRICES[args.article]))


@tool(effect=Read())
def stock(args: Article, ctx: ToolContext) -> Stock:
    """Say how many of an article are left."""
    left = LEFT[args.article]
    return Stock(article=args.article, left=left, boxes=left // 2)


def _large(args: RefundOrder, request: RunRequest, run: RunSoFar) -> str | bool:
    return Decimal(args.amount_usd) > APPROVAL_ABOVE and "it is a large amount"


def _positive(args: RefundOrder, request: RunRequest) -> str | None:
    return None if Decimal(args.amount_usd) > 0 else "amount_usd must be above 0.00."


@tool(
    effect=Write(honours_key=True, moves=lambda args, _: Decimal(args.amount_usd), moves_key=lambda args, _: "C-1"),
    approval=Approval(if_=_large),
    validate=_positive,
)
def refund(args: RefundOrder, ctx: ToolContext) -> Done:
    """Refund an order."""
    if Decimal(args.amount_usd) > MOST_REFUND:
        raise ToolFailed("That is more than the till may refund.")
    return Done(order_id=args.order_id, status="refunded")


@tool(effect=Write(honours_key=True))
def cancel(args: Order, ctx: ToolContext) -> Done:
    """Cancel an order."""
    if args.order_id not in OPEN_ORDERS:
        raise ToolFailed(f"{args.order_id} is not open.")
    return Done(order_id=args.order_id, status="cancelled")


@tool(effect=Write(honours_key=True, repeat="allow"))
def send_note(args: Note, ctx: ToolContext) -> Sent:
    """Send a note to a customer."""
    return Sent(to=args.to, parts=len(args.text) // 100 + 1)
