"""A tool's schema for the model, and the record of its result."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from ballast.errors import PlaybookInvalid, SchemaViolation
from ballast.playbook import Approval, Read, Tool, ToolContext, Write, fallback, tool


class Args(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    order_id: str = Field(description="The order's number.")
    amount: Decimal = Decimal("1.50")


class Receipt(BaseModel):
    on: date
    amount: Decimal


def made(returns: Any, result: Any = None) -> Tool:
    def pay(args: Args, ctx: ToolContext) -> Any:
        """Pay an order.

        At most once.
        """
        return result

    pay.__annotations__["return"] = returns
    return tool(effect=Write())(pay)


def test_the_model_reads_the_docstring_and_the_schema_of_the_arguments() -> None:
    spec = made(str).spec["toolSpec"]

    assert spec["name"] == "pay"
    assert spec["description"] == "Pay an order.\n\nAt most once."
    assert spec["inputSchema"]["json"]["required"] == ["order_id"]
    assert spec["inputSchema"]["json"]["additionalProperties"] is False
    assert spec["inputSchema"]["json"]["properties"]["order_id"]["description"] == "The order's number."


def test_a_call_has_the_arguments_as_json() -> None:
    call = made(str).call(order_id="O-1")

    assert (call.tool, call.arguments, call.call_id) == ("pay", {"order_id": "O-1", "amount": "1.50"}, "")


@pytest.mark.parametrize(
    "arguments", [{}, {"order_id": 1}, {"order_id": "O-1", "more": 1}, {"order_id": "O", "amount": "x"}]
)
def test_a_call_with_wrong_arguments_is_refused_by_the_tool_s_name(arguments: dict[str, Any]) -> None:
    with pytest.raises(SchemaViolation, match=r"^pay: "):
        made(str).call(**arguments)


@pytest.mark.parametrize(
    ("returns", "result", "recorded"),
    [
        (str, "ok", "ok"),
        (None, None, None),
        (dict[str, Any], {"a": Decimal("1.10")}, {"a": "1.10"}),
        (Receipt, Receipt(on=date(2026, 11, 1), amount=Decimal("1.10")), {"on": "2026-11-01", "amount": "1.10"}),
        (list[Receipt], [], []),
    ],
)
def test_a_result_is_recorded_as_json(returns: Any, result: Any, recorded: Any) -> None:
    assert made(returns).dump(result) == recorded


@pytest.mark.parametrize(
    ("returns", "result"),
    [(str, 1), (Receipt, {"on": "soon"}), (float, float("nan")), (Any, object())],
)
def test_a_result_that_the_log_could_not_hold_fails_in_the_tool(returns: Any, result: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        made(returns).dump(result)


class Holds(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    back: Callable[[], str]


def test_a_model_that_cannot_be_a_json_schema_is_refused_when_it_is_loaded() -> None:
    def call_back(args: Holds, ctx: ToolContext) -> str:
        """Call back."""
        return args.back()

    with pytest.raises(
        PlaybookInvalid, match=r"call_back .*Holds cannot become a JSON schema: .*Use types that JSON has"
    ):
        tool(effect=Read())(call_back)


@pytest.mark.parametrize("returns", [Callable[[], str], Holds, list[Holds]], ids=str)
def test_a_return_type_that_cannot_be_json_is_refused_when_it_is_loaded(returns: Any) -> None:
    with pytest.raises(PlaybookInvalid, match=r"Tool pay .*its return type cannot be JSON"):
        made(returns)


@pytest.mark.parametrize(
    ("effect", "more", "taint"),
    [
        (Write(), {}, "approve"),
        (Read(), {}, "allow"),
        (Read(outward=True), {}, "approve"),
        (Read(outward=True), {"taint": "refuse"}, "refuse"),
        (Read(outward=True), {"taint": "allow"}, "allow"),
        (Write(), {"taint": "allow"}, "allow"),
    ],
)
def test_a_read_that_leaves_the_house_has_the_taint_of_a_write(
    effect: Read | Write, more: dict[str, Any], taint: str
) -> None:
    def open_page(args: Args, ctx: ToolContext) -> str:
        """Open a page."""
        return ""

    assert tool(effect=effect, **more)(open_page).taint == taint


async def awaited(*_: Any) -> Any:
    return None


def stepped(*_: Any) -> Iterator[None]:
    yield


async def streamed(*_: Any) -> AsyncIterator[None]:
    yield


class Awaited:
    async def __call__(self, *_: Any) -> Any:
        return None


class Inherited(Awaited):
    async def rule(self, *_: Any) -> Any:
        return None


def plainly(*_: Any) -> Any:
    return None


NOT_PLAIN = [awaited, stepped, streamed, Awaited(), Inherited(), Inherited().rule, functools.partial(awaited, 1)]
RULES = (
    *("validate", "approval.if_", "approval.precondition", "cost_microusd"),
    *("effect.moves", "effect.moves_key", "effect.undo_arguments", "effect.verify"),
)


def declared(rule: str, function: Any) -> Tool:
    def pay(args: Args, ctx: ToolContext) -> str:
        """Pay an order."""
        return ""

    said, _, field = rule.rpartition(".")
    beside: dict[str, Any] = {"moves_key": {"moves": plainly}, "undo_arguments": {"undo": "x"}}.get(field, {})
    match said:
        case "effect":
            return tool(effect=Write(**beside, **{field: function}))(pay)
        case "approval":
            return tool(effect=Write(), approval=Approval(**{"if_": None, field: function}))(pay)
        case _:
            return tool(effect=Write(), **{field: function})(pay)  # type: ignore[arg-type]


@pytest.mark.parametrize("function", NOT_PLAIN)
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_nobody_would_run_is_refused_when_it_is_loaded(rule: str, function: Any) -> None:
    with pytest.raises(PlaybookInvalid, match=f"Tool pay .*: {rule} must be a plain function"):
        declared(rule, function)


@pytest.mark.parametrize("rule", RULES)
def test_any_other_is_taken(rule: str) -> None:
    for function in (lambda a, b: None, functools.partial(plainly, 1) if rule != "validate" else lambda a, b, c: None):
        assert declared(rule, function).name == "pay"


async def awaited_tool(args: Args, ctx: ToolContext) -> str:
    """Pay."""
    return ""


def stepped_tool(args: Args, ctx: ToolContext) -> Iterator[str]:
    """Pay."""
    yield ""


async def streamed_tool(args: Args, ctx: ToolContext) -> AsyncIterator[str]:
    """Pay."""
    yield ""


@pytest.mark.parametrize("function", [awaited_tool, stepped_tool, streamed_tool])
def test_so_is_a_tool_that_nobody_would_run(function: Any) -> None:
    with pytest.raises(PlaybookInvalid, match="must be written"):
        tool(effect=Read())(function)


@pytest.mark.parametrize("function", [awaited, streamed, plainly])
def test_a_script_that_does_not_go_step_by_step_is_refused(function: Any) -> None:
    with pytest.raises(PlaybookInvalid, match="must be a generator"):
        fallback(intent="pay")(function)
