"""A tool's declared effect, approval, limits and circuit, and their defaults."""

import inspect
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from ballast.contracts import RunRequest
from ballast.errors import PlaybookInvalid
from ballast.playbook import (
    Approval,
    CallLimits,
    Circuit,
    OnRollback,
    Playbook,
    Read,
    Repeat,
    Tool,
    ToolContext,
    Write,
    tool,
)
from ballast.playbook.agent import AgentConfig, Intent

ROOT = Path(__file__).parents[3]


class Args(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def made(effect: Any = Write(), *, name: str = "pay", **declared: Any) -> Tool:  # noqa: B008  frozen
    def pay(args: Args, ctx: ToolContext) -> None:
        """Pay."""

    pay.__name__ = name
    return tool(effect=effect, **declared)(pay)


def yes(*_: Any) -> bool:
    return True


def playbook(*tools: Tool) -> Playbook:
    agent = AgentConfig(name="tester", model="m", instructions="Pay.")
    return Playbook(Path(), agent, {one.name: one for one in tools}, {})


def test_a_write_acts_once_and_a_read_as_often_as_it_is_called() -> None:
    assert made(Write()).policy.repeat is Repeat.ONCE
    assert made(Read()).policy.repeat is Repeat.ALLOW
    assert made(Write(repeat="ask")).policy.repeat is Repeat.ASK
    assert made(Read(repeat="ask")).policy.repeat is Repeat.ASK


def test_a_tool_keeps_the_values_of_its_declaration() -> None:
    approval = Approval(if_=yes, people=2, approvers="finance", on_unanswered="park", precondition=yes)
    limits = CallLimits(timeout_s=20, argument_bytes=100, result_bytes=200, depth=3)
    effect = Write(
        undo="cancel",
        undo_arguments=lambda *_: {},
        undo_gives_back=True,
        verify=yes,
        honours_key=True,
        repeat="allow",
        on_rollback="keep",
        moves=lambda *_: 1,
        moves_key=lambda *_: "C-1",
    )

    pay = made(effect, approval=approval, limits=limits, circuit=Circuit("bank", failures=1))

    assert (pay.approval, pay.limits, pay.circuit) == (approval, limits, Circuit("bank", failures=1, recovery_s=30))
    assert (pay.undo, pay.undo_arguments) == (effect.undo, effect.undo_arguments)
    assert (pay.policy.verify, pay.policy.honours_key) == (effect.verify, effect.honours_key)
    assert (pay.policy.repeat, pay.policy.on_rollback) == (effect.repeat, effect.on_rollback)
    assert pay.moves is not None
    assert (pay.moves.amount, pay.moves.key, pay.moves.back) == (effect.moves, effect.moves_key, True)


def test_a_tool_that_declares_no_more_has_the_usual_values() -> None:
    assert (made().approval.if_, made().approval.people) == (None, 1)
    assert (made().limits, made().circuit) == (CallLimits(), None)


@pytest.mark.parametrize(
    ("effect", "says"),
    [
        (Write, r"effect must be Read\(\) or Write\(…\), not <class"),
        ("write", r"effect must be Read\(\) or Write\(…\), not 'write'"),
        (Write(repeat="twice"), r"effect\.repeat must be one of once, allow, ask, not 'twice'"),  # type: ignore[arg-type]
        (Read(repeat="twice"), r"effect\.repeat must be one of once, allow, ask, not 'twice'"),  # type: ignore[arg-type]
        (
            Write(on_rollback="ignore"),  # type: ignore[arg-type]
            r"effect\.on_rollback must be one of undo, keep, freeze, not 'ignore'",
        ),
        (Write(on_rollback="undo"), r'on_rollback="undo" needs undo='),
        (Write(undo_arguments=lambda *_: {}), r"undo_arguments=… needs undo="),
        (Write(honours_key="no"), r"effect\.honours_key must be True or False, not 'no'"),  # type: ignore[arg-type]
        (Write(undo_gives_back=1), r"effect\.undo_gives_back must be True or False, not 1"),  # type: ignore[arg-type]
        (Read(outward="url"), r"effect\.outward must be True or False, not 'url'"),  # type: ignore[arg-type]
    ],
)
def test_an_effect_that_means_nothing_is_refused(effect: Any, says: str) -> None:
    with pytest.raises(PlaybookInvalid, match=says):
        made(effect)


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"limits": CallLimits(timeout_s=0)}, r"limits\.timeout_s must be more than 0 and at most 50"),
        ({"limits": CallLimits(timeout_s=60)}, r"limits\.timeout_s must be more than 0 and at most 50, not 60"),
        ({"limits": CallLimits(timeout_s=True)}, r"limits\.timeout_s must be more than 0"),
        ({"limits": CallLimits(depth=0)}, r"limits\.depth must be a whole number of 1 or more, not 0"),
        ({"limits": CallLimits(result_bytes=0.5)}, r"limits\.result_bytes must be a whole number of 1 or more"),  # type: ignore[arg-type]
        ({"limits": 20}, r"limits must be CallLimits\(timeout_s=…\), not 20"),
        ({"circuit": "bank"}, r"circuit must be Circuit\(\"<name of the downstream>\"\), not 'bank'"),
        ({"circuit": Circuit("the bank")}, r"circuit needs a name"),
        ({"circuit": Circuit("bank", failures=0)}, r"at least 1 failure"),
        ({"approval": yes}, r"approval must be Approval\(if_=…\), not <function"),
        ({"approval": Approval(if_=None)}, r"asks nobody\. Say when a person must approve"),
        ({"approval": Approval(if_=True)}, r"approval\.if_ must be a function .*, not True\. .*: True\."),  # type: ignore[arg-type]
        ({"approval": Approval(if_=yes, people=0)}, r"approval\.people must be 1 to 9 different people, not 0"),
        ({"approval": Approval(if_=yes, people=10)}, r"approval\.people must be 1 to 9 different people, not 10"),
        ({"approval": Approval(if_=yes, people="2")}, r"approval\.people must be 1 to 9 .*, not '2'"),  # type: ignore[arg-type]
        ({"approval": Approval(if_=yes, approvers="a, b")}, r"approval\.approvers must be the name of one group"),
        (
            {"approval": Approval(if_=yes, on_unanswered="wait")},  # type: ignore[arg-type]
            r"approval\.on_unanswered must be one of refuse, fallback, park, not 'wait'",
        ),
        ({"offered": "no"}, r"offered must be True or False, not 'no'"),
        ({"untrusted": None}, r"untrusted must be True or False, not None"),
    ],
)
def test_a_declaration_that_means_nothing_is_refused(declared: dict[str, Any], says: str) -> None:
    with pytest.raises(PlaybookInvalid, match=says):
        made(**declared)


@pytest.mark.parametrize("name", ["undo", "verify", "honours_key", "on_rollback", "moves", "moves_key"])
def test_a_read_declares_nothing_about_an_effect(name: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        Read(**{name: yes})


def test_an_approval_says_whether_the_tool_has_a_rule() -> None:
    with pytest.raises(TypeError, match="if_"):
        Approval(people=2)  # type: ignore[call-arg]


def test_what_a_tool_has_no_argument_for_is_named_with_what_it_has() -> None:
    with pytest.raises(TypeError, match=r"no argument 'aproval'\. It takes: effect, approval, limits, circuit"):
        made(aproval=Approval(if_=yes))


@pytest.mark.parametrize("value", [Read, Write, Approval, CallLimits, Circuit, tool])
def test_the_page_on_tools_names_every_field(value: Any) -> None:
    page = (ROOT / "docs" / "adding-a-tool.md").read_text(encoding="utf-8")
    names = set(inspect.signature(value).parameters) - {"old_arguments"}

    _, _, section = page.partition(f"## {value.__name__}\n" if value is not tool else "| argument of `@tool` |")
    section = section.partition("\n## ")[0]
    cells = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    said = re.findall(r"`([a-z_]+)`", " ".join(cells)) or re.findall(r"[a-z_]+(?=[,=])", section.partition("`:")[0])

    assert set(said) == names


# The rollback

CANCEL = made(Write(honours_key=True), name="cancel")
VERIFIED = made(Write(verify=lambda *_: None), name="cancel")
DOUBTFUL = made(name="cancel")


@pytest.mark.parametrize(
    ("undo", "declared", "does"),
    [
        (CANCEL, {"undo": "cancel"}, "undo"),
        (VERIFIED, {"undo": "cancel"}, "undo"),
        (CANCEL, {"undo": "cancel", "on_rollback": "undo"}, "undo"),
        (CANCEL, {"undo": "cancel", "on_rollback": "keep"}, "keep"),
        (CANCEL, {"undo": "cancel", "on_rollback": "freeze"}, "freeze"),
        (DOUBTFUL, {"undo": "cancel"}, "freeze"),  # nobody could tell what a dead undo did
        (CANCEL, {}, "freeze"),  # nobody said that it may stay
        (CANCEL, {"on_rollback": "keep"}, "keep"),
    ],
)
def test_what_a_rollback_does_about_an_effect(undo: Tool, declared: dict[str, Any], does: str) -> None:
    pay = made(Write(**declared))

    assert playbook(pay, undo).on_rollback(pay) is OnRollback(does)


@pytest.mark.parametrize(
    ("agent", "intent", "clean"),
    [(True, None, True), (True, False, False), (False, None, False), (False, True, True)],
)
def test_an_intent_may_say_otherwise_whether_its_fallback_starts_clean(
    agent: bool, intent: bool | None, clean: bool
) -> None:
    config = AgentConfig(
        name="tester",
        model="m",
        instructions="Pay.",
        fallback_starts_clean=agent,
        intents={"pay": Intent(fallback_starts_clean=intent)},
    )

    assert config.starts_clean("pay") is clean
    assert config.starts_clean("another") is config.starts_clean(None) is agent


# What the context gives


def test_the_key_goes_into_a_header_as_providers_expect_it() -> None:
    context = ToolContext(
        run_id="run-x",
        turn=1,
        index=2,
        idempotency_key="run-x.0001.2",
        request=RunRequest(request_id="r", agent="tester", text="Pay."),
        now=datetime(2026, 11, 25, tzinfo=UTC),
        environ={},
        client=lambda _: None,
    )

    assert context.idempotency_headers == {"Idempotency-Key": "run-x.0001.2"}
