"""Results of ``verify``, and how often it is called."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from ballast.errors import RetryLater
from ballast.playbook import Tool, ToolFailed, Write, tool
from functions.executor.downstream import InDoubt, NothingDone, found
from functions.executor.record import CallOutcome
from tests.functions.executor.provider import Desk, PaymentsSdkError, Provider, SpeechlessError, desk


class _Nothing(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


@pytest.fixture(scope="module")
def payments() -> Iterator[Desk]:
    with desk() as opened:
        yield opened


def returning(kind: Any) -> Tool:
    def act(args: Any, ctx: Any) -> Any:
        """Act."""

    act.__annotations__ = {"args": _Nothing, "ctx": Any, "return": kind}
    made: Tool = tool(effect=Write())(act)
    return made


def said(kind: Any, value: Any) -> Any:
    return found(returning(kind), lambda: value, str)


def assert_is_no_answer(came: Any, why: str) -> None:
    assert isinstance(came, InDoubt)
    assert came.answered
    assert why in came.message


@pytest.mark.parametrize("kind", [None, str, list[str], dict[str, str], bool, int])
@pytest.mark.parametrize("value", [0, 0.0, "", b"", [], (), {}, set()])
def test_an_empty_answer_is_no_effect(kind: Any, value: Any) -> None:
    assert_is_no_answer(said(kind, value), "verify of act returned")


@pytest.mark.parametrize("kind", [None, str, list[str], dict[str, str]])
def test_false_is_no_where_it_can_be_no_result(kind: Any) -> None:
    assert said(kind, False) is None
    assert said(kind, None) is None


def test_false_of_a_tool_that_may_return_it_is_told_by_name() -> None:
    assert_is_no_answer(said(bool, False), "verify of act returned False")
    assert said(bool, True) == CallOutcome("ok", result=True)


@pytest.mark.parametrize("error", [RetryLater, ToolFailed, PaymentsSdkError])
def test_whatever_verify_raises_is_cut_before_it_is_recorded(error: type[Exception]) -> None:
    def raises() -> str:
        raise error("away " * 1_000)

    came = found(returning(str), raises, lambda text: text[:500])

    assert isinstance(came, InDoubt | NothingDone)
    assert len(came.message) == 500


@pytest.mark.sampled
@pytest.mark.parametrize("error", [lambda: PaymentsSdkError("away"), KeyError, SpeechlessError, ConnectionError])
@pytest.mark.parametrize("tool_name", ["pay_verified", "pay_both"])
@pytest.mark.parametrize(("away", "asks"), [(1, False), (2, False), (30, True)])
def test_verify_is_asked_again_whatever_it_raises(
    payments: Desk, error: Any, tool_name: str, away: int, asks: bool
) -> None:
    # Its request arrives late, and nothing but verify can tell of it.
    provider = Provider(payments.clock, error, 1.0, by_key=True, fails=9, verify_fails=away)

    ended = payments.play(tool_name, provider)

    assert not ended.wrong
    assert (ended.escalated is not None) is asks
