"""What a tool may declare about its effect, and what it means where it says nothing."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from ballast.contracts import RunRequest
from ballast.errors import PlaybookInvalid
from ballast.playbook import Breaker, Effect, OnRollback, Playbook, Repeat, Tool, ToolContext, tool
from ballast.playbook.agent import AgentConfig, Intent


class Args(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def made(effect: Effect = Effect.WRITE, *, name: str = "pay", **declared: Any) -> Tool:
    def pay(args: Args, ctx: ToolContext) -> None:
        """Pay."""

    pay.__name__ = name
    return tool(effect=effect, **declared)(pay)


def playbook(*tools: Tool) -> Playbook:
    agent = AgentConfig(name="tester", model="m", instructions="Pay.")
    return Playbook(Path(), agent, {one.name: one for one in tools}, {})


def test_a_write_acts_once_and_a_read_as_often_as_it_is_called() -> None:
    assert made(Effect.WRITE).policy.repeat is Repeat.ONCE
    assert made(Effect.READ).policy.repeat is Repeat.ALLOW
    assert made(repeat="ask").policy.repeat is Repeat.ASK


def test_a_breaker_is_a_name_or_has_numbers_of_its_own() -> None:
    assert made(breaker="bank").policy.breaker == Breaker("bank", failures=5, recovery_s=30)
    assert made(breaker=Breaker("bank", failures=1)).policy.breaker == Breaker("bank", failures=1)


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"repeat": "twice"}, r"repeat must be one of once, allow, ask, not 'twice'"),
        ({"on_rollback": "ignore"}, r"on_rollback must be one of undo, keep, freeze, not 'ignore'"),
        ({"on_rollback": "undo"}, r'on_rollback="undo" needs undo='),
        ({"timeout_s": 0}, r"timeout_s must be more than 0 and at most 50"),
        ({"timeout_s": 60}, r"timeout_s must be more than 0 and at most 50, not 60"),
        ({"breaker": "the bank"}, r"breaker needs a name"),
        ({"breaker": Breaker("bank", failures=0)}, r"at least 1 failure"),
    ],
)
def test_a_declaration_that_means_nothing_is_refused(declared: dict[str, Any], says: str) -> None:
    with pytest.raises(PlaybookInvalid, match=says):
        made(**declared)


@pytest.mark.parametrize("declared", [{"verify": lambda *_: None}, {"honours_key": True}, {"on_rollback": "keep"}])
def test_a_read_declares_nothing_about_an_effect(declared: dict[str, Any]) -> None:
    with pytest.raises(PlaybookInvalid, match="about the effect of a write"):
        made(Effect.READ, **declared)


# The rollback

CANCEL = made(name="cancel", honours_key=True)
VERIFIED = made(name="cancel", verify=lambda *_: None)
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
    pay = made(**declared)

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
