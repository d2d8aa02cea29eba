"""The old form of ``@tool`` is refused, and the error shows the new form."""

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from ballast import playbook
from ballast.errors import PlaybookInvalid
from ballast.playbook import Approval, CallLimits, Circuit, Effect, Read, Tool, ToolContext, Write, load_playbook, tool
from ballast.playbook.old_declaration import PLACES
from tests.unit.playbook_api.written import TOOL, tool_with, written

#: As an old playbook does, which no type checker sees.
FORMER: Any = tool
BREAKER: Any = playbook.Breaker  # type: ignore[attr-defined]
ROOT = Path(__file__).parents[3]


class Args(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: Decimal = Decimal(1)


def rule(*_: Any) -> bool:
    return True


def pay(args: Args, ctx: ToolContext) -> None:
    """Pay."""


def told(**passed: Any) -> str:
    """Return what the author of ``pay`` is told."""
    with pytest.raises(PlaybookInvalid) as refused:
        FORMER(**passed)(pay)
    return str(refused.value)


def pasted(text: str) -> Tool:
    """Return the tool that the declaration in ``text`` makes."""
    declaration = text.split("\n\n")[1].removeprefix("@")
    names = {"Approval": Approval, "CallLimits": CallLimits, "Circuit": Circuit, "Read": Read, "Write": Write}
    made: Callable[[Any], Tool] = eval(declaration, names | {"tool": tool, "rule": rule, "find_refund": rule})
    return made(pay)


#: A former argument, what else it needs, what the declaration says now, and the values that the tool has then.
KEYWORDS: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"undo": "cancel"}, '@tool(effect=Write(undo="cancel"))', {"effect": Write(undo="cancel")}),
    (
        {"undo_arguments": rule, "undo": "cancel"},
        '@tool(effect=Write(undo="cancel", undo_arguments=rule))',
        {"effect": Write(undo="cancel", undo_arguments=rule)},
    ),
    (
        {"undo_gives_back": True, "undo": "cancel", "moves": rule},
        '@tool(effect=Write(undo="cancel", undo_gives_back=True, moves=rule))',
        {"effect": Write(undo="cancel", undo_gives_back=True, moves=rule)},
    ),
    ({"verify": rule}, "@tool(effect=Write(verify=rule))", {"effect": Write(verify=rule)}),
    ({"honours_key": True}, "@tool(effect=Write(honours_key=True))", {"effect": Write(honours_key=True)}),
    ({"repeat": "ask"}, '@tool(effect=Write(repeat="ask"))', {"effect": Write(repeat="ask")}),
    ({"on_rollback": "keep"}, '@tool(effect=Write(on_rollback="keep"))', {"effect": Write(on_rollback="keep")}),
    ({"moves": rule}, "@tool(effect=Write(moves=rule))", {"effect": Write(moves=rule)}),
    (
        {"moves_key": rule, "moves": rule},
        "@tool(effect=Write(moves=rule, moves_key=rule))",
        {"effect": Write(moves=rule, moves_key=rule)},
    ),
    ({"outward": True, "effect": Effect.READ}, "@tool(effect=Read(outward=True))", {"effect": Read(outward=True)}),
    ({"approve_if": rule}, "@tool(effect=Write(), approval=Approval(if_=rule))", {"approval": Approval(if_=rule)}),
    (
        {"approvals": 2},
        "@tool(effect=Write(), approval=Approval(if_=None, people=2))",
        {"approval": Approval(if_=None, people=2)},
    ),
    (
        {"approvers": "finance", "approve_if": rule},
        '@tool(effect=Write(), approval=Approval(if_=rule, approvers="finance"))',
        {"approval": Approval(if_=rule, approvers="finance")},
    ),
    (
        {"on_unanswered": "park", "approve_if": rule},
        '@tool(effect=Write(), approval=Approval(if_=rule, on_unanswered="park"))',
        {"approval": Approval(if_=rule, on_unanswered="park")},
    ),
    (
        {"precondition": rule, "approve_if": rule},
        "@tool(effect=Write(), approval=Approval(if_=rule, precondition=rule))",
        {"approval": Approval(if_=rule, precondition=rule)},
    ),
    ({"timeout_s": 20}, "@tool(effect=Write(), limits=CallLimits(timeout_s=20))", {"limits": CallLimits(timeout_s=20)}),
    (
        {"argument_bytes": 40},
        "@tool(effect=Write(), limits=CallLimits(argument_bytes=40))",
        {"limits": CallLimits(argument_bytes=40)},
    ),
    (
        {"result_bytes": 40},
        "@tool(effect=Write(), limits=CallLimits(result_bytes=40))",
        {"limits": CallLimits(result_bytes=40)},
    ),
    ({"depth": 4}, "@tool(effect=Write(), limits=CallLimits(depth=4))", {"limits": CallLimits(depth=4)}),
    ({"breaker": "bank"}, '@tool(effect=Write(), circuit=Circuit("bank"))', {"circuit": Circuit("bank")}),
    (
        {"breaker": BREAKER("bank", failures=2)},
        '@tool(effect=Write(), circuit=Circuit("bank", failures=2))',
        {"circuit": Circuit("bank", failures=2)},
    ),
]


@pytest.mark.parametrize(("former", "now", "values"), KEYWORDS, ids=[next(iter(one[0])) for one in KEYWORDS])
def test_each_former_argument_is_shown_in_its_new_place(
    former: dict[str, Any], now: str, values: dict[str, Any]
) -> None:
    text = told(**{"effect": Effect.WRITE} | former)

    assert text.startswith(
        "Tool pay (tests.unit.playbook_api.test_old_declaration) uses the old form of @tool. Import "
    )
    assert text.split("\n\n")[1].strip() == now
    assert pasted(text) == tool(**{"effect": Write()} | values)(pay)


def test_every_former_argument_is_among_them() -> None:
    assert {next(iter(one[0])) for one in KEYWORDS} == PLACES.keys()


@pytest.mark.parametrize(("effect", "now"), [(Effect.READ, "Read()"), (Effect.WRITE, "Write()")])
def test_the_former_effect_alone_is_shown_as_a_value(effect: Effect, now: str) -> None:
    assert f"Import {now[:-2]} from ballast.playbook and replace it with:\n\n@tool(effect={now})\n" in told(
        effect=effect
    )


def test_what_stays_an_argument_is_repeated() -> None:
    text = told(effect=Effect.READ, validate=rule, taint="refuse", untrusted=True, offered=False, cost_microusd=5)

    assert '@tool(effect=Read(), validate=rule, taint="refuse", untrusted=True, offered=False, cost_microusd=5)' in text


def test_a_former_argument_beside_a_value_becomes_a_part_of_it() -> None:
    text = told(effect=Write(undo="cancel"), honours_key=True, approval=Approval(if_=rule), approvals=2)

    assert '@tool(effect=Write(undo="cancel", honours_key=True), approval=Approval(if_=rule, people=2))' in text


@pytest.mark.parametrize(
    ("passed", "says"),
    [
        ({"effect": Effect.READ, "verify": rule, "moves": rule}, "Left out: verify, moves; only a write has that"),
        ({"effect": Effect.WRITE, "outward": True}, "Left out: outward; a write has the taint of one already."),
    ],
)
def test_what_has_no_place_any_more_is_named(passed: dict[str, Any], says: str) -> None:
    text = told(**passed)

    assert says in text
    assert pasted(text).name == "pay"


def test_the_decorator_s_own_words_are_quoted() -> None:
    with pytest.raises(PlaybookInvalid) as refused:

        @FORMER(
            effect=Effect.WRITE,
            undo="cancel",
            undo_arguments=lambda args, result: {"payment_id": result["payment_id"]},
            approve_if=lambda args, _: args.amount > 100,
            timeout_s=20,
            breaker=BREAKER("bank", failures=2),
        )
        def pay_out(args: Args, ctx: ToolContext) -> dict[str, str]:
            """Pay."""
            return {}

    assert str(refused.value).partition("with:\n\n")[2] == (
        "@tool(\n"
        '    effect=Write(undo="cancel", undo_arguments=lambda args, result: {"payment_id": result["payment_id"]}),\n'
        "    approval=Approval(if_=lambda args, _: args.amount > 100),\n"
        "    limits=CallLimits(timeout_s=20),\n"
        '    circuit=Circuit("bank", failures=2),\n'
        ")\n"
    )


def test_a_lambda_whose_source_nobody_has_stands_without_its_body() -> None:
    text = told(effect=Effect.WRITE, approve_if=lambda args, request: True)

    assert "approval=Approval(if_=lambda args, request: ...)" in text


OLD = TOOL.replace("import Read, ToolContext, Write", "import Breaker, Effect, ToolContext").replace(
    "Read()", "Effect.READ"
)


def test_a_former_playbook_is_refused_by_the_file_with_what_to_write(tmp_path: Path) -> None:
    old = OLD.replace("Effect.READ", 'Effect.READ, timeout_s=5, breaker=Breaker("shop")')
    folder = written(tmp_path / "desk_of_a_test", {"tools/look_up.py": old})

    with pytest.raises(PlaybookInvalid) as refused:
        load_playbook(folder)

    text = str(refused.value)
    assert text.startswith(f"{folder / 'tools/look_up.py'}, line 10: Tool look_up (desk_of_a_test.tools.look_up) uses ")
    assert "Import CallLimits, Circuit, Read from ballast.playbook and replace it with:" in text
    now = '@tool(effect=Read(), limits=CallLimits(timeout_s=5), circuit=Circuit("shop"))'
    assert text.endswith(f"\n\n{now}\n")

    mended = TOOL.replace("import Read,", "import CallLimits, Circuit, Read,").replace("@tool(effect=Read())", now)
    written(folder, {"tools/look_up.py": mended})
    assert load_playbook(folder).tools["look_up"].limits.timeout_s == 5


def test_a_read_that_declares_an_effect_is_named_by_file_and_word(tmp_path: Path) -> None:
    folder = written(tmp_path / "desk_of_a_test", tool_with("Read())", "Read(verify=print))"))

    with pytest.raises(PlaybookInvalid, match=r"look_up\.py, line 10: .*Read.*unexpected keyword argument 'verify'"):
        load_playbook(folder)


def test_no_other_name_is_answered() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Braker'"):
        _ = playbook.Braker  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", ["README.md", "docs/adding-a-tool.md"])
def test_what_the_pages_show_can_be_pasted(page: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    shown = [block[block.index("@tool(") :].partition("\n)\n")[0] + "\n)" for block in blocks if "@tool(" in block]

    assert shown
    for declaration in shown:
        assert pasted(f"\n\n{declaration}").effect is Effect.WRITE
