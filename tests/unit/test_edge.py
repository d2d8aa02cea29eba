"""An exception leaves a handler without sensitive values, under the name that the workflow matches."""

import io
import json
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from ballast.edge import MAX_CHARS, guarded, masked_error, note
from ballast.errors import ApprovalRequired, EffectUnknown, NotAdmitted, RetryLater
from ballast.masking import MASK, Finder, Secret
from ballast.runtime import Runtime
from localcloud.sandbox import SandboxEnded

CARD = "4111 1111 1111 1111"
FINDER = Finder.of([Secret(CARD)])


class Awkward(Exception):
    """Takes what no other exception takes, and says something else than its arguments."""

    def __init__(self, one: str, *, two: str) -> None:
        super().__init__(one)
        self.two = two

    def __str__(self) -> str:
        return f"awkward: {self.two}"


class Slotted(Exception):
    __slots__ = ("card",)

    def __init__(self, card: str) -> None:
        self.card = card

    def __str__(self) -> str:
        return self.card


class Card(BaseModel):
    number: int


def _invalid() -> Exception:
    try:
        Card.model_validate({"number": CARD})
    except ValidationError as problem:
        return problem
    raise AssertionError


def _noted(problem: Exception) -> Exception:
    problem.add_note(f"with {CARD}")
    return problem


def _caused(problem: Exception, cause: BaseException) -> Exception:
    problem.__cause__ = cause
    return problem


def _within(problem: Exception, context: BaseException) -> Exception:
    problem.__context__ = context
    problem.__suppress_context__ = True
    return problem


PROBLEMS: list[Callable[[], BaseException]] = [
    lambda: ValueError(f"no {CARD}"),
    lambda: KeyError(CARD),
    lambda: KeyError({"card": CARD}),
    lambda: OSError(2, "no such file", CARD),
    lambda: UnicodeDecodeError("utf-8", CARD.encode(), 0, 1, CARD),
    lambda: json.JSONDecodeError("bad", CARD, 0),
    lambda: ClientError({"Error": {"Code": "X", "Message": CARD}}, "PutItem"),
    lambda: StopIteration(CARD),
    lambda: SystemExit(CARD),
    lambda: Awkward("x", two=CARD),
    lambda: Awkward(CARD, two="x"),
    lambda: Slotted(CARD),
    _invalid,
    lambda: ExceptionGroup("several", [ValueError(CARD), KeyError("x")]),
    lambda: ApprovalRequired(f"keep_card with {CARD}"),
    lambda: EffectUnknown(f"{CARD}?"),
    lambda: NotAdmitted(CARD, opens_at="2026-03-01"),
    lambda: _noted(ValueError("x")),
    lambda: _caused(RetryLater("again"), ValueError(CARD)),
    lambda: _caused(RetryLater("again"), _caused(ValueError("x"), KeyError(CARD))),
    lambda: _within(RetryLater("again"), ValueError(json.dumps({"card": CARD}))),
    lambda: _caused(RetryLater("again"), ExceptionGroup("several", [ValueError(CARD)])),
    lambda: ValueError("4111-1111-1111-1111"),
]


@pytest.mark.parametrize("made", PROBLEMS, ids=[str(number) for number in range(len(PROBLEMS))])
def test_an_error_is_masked_with_its_causes_and_keeps_its_name(made: Callable[[], BaseException]) -> None:
    problem = made()
    printed = "".join(traceback.format_exception(problem))

    hidden = raised_by_a_handler(problem)

    told = "".join(traceback.format_exception(hidden)) + str(hidden) + repr(hidden) + str(vars(hidden))
    assert "4111" not in told
    assert (MASK in told) == ("4111" in printed)
    assert type(hidden).__name__ == type(problem).__name__
    assert isinstance(hidden, Exception) == isinstance(problem, Exception)
    assert "test_edge" in "".join(traceback.format_tb(hidden.__traceback__))


@pytest.mark.parametrize("kind", [ApprovalRequired, EffectUnknown, RetryLater, OSError, ClientError, Awkward])
def test_who_catches_the_class_catches_what_is_masked(kind: type[Exception]) -> None:
    made = kind.__new__(kind)
    made.args = (CARD,)
    made.__dict__ |= {"two": CARD, "response": {}}

    assert isinstance(raised_by_a_handler(made), kind)


@pytest.mark.parametrize("problem", [ValueError("x"), KeyError("y"), SandboxEnded("z"), NotAdmitted("a", opens_at="b")])
def test_an_error_without_a_secret_is_the_very_same(problem: BaseException) -> None:
    assert raised_by_a_handler(problem) is problem


def test_an_error_that_caused_itself_comes_to_an_end() -> None:
    one, two = ValueError(CARD), KeyError(CARD)
    one.__cause__, two.__cause__ = two, one

    assert str(masked_error(one, FINDER.masked)) == MASK


# Backslashes do not count: each writer of escapes has its own number of them.
@given(st.text(min_size=4, max_size=40).filter(lambda text: len(set(text.replace("\\", "").strip())) > 3))
def test_any_value_in_any_message_is_masked(value: str) -> None:
    assume(Secret(value).is_searched)  # not a word of which every message is full
    finder = Finder.of([Secret(value)])

    for problem in (ValueError(f"<{value}>"), KeyError(value), ValueError({"a": [value]}), KeyError(json.dumps(value))):
        assert MASK in str(masked_error(problem, finder.masked))


@pytest.mark.parametrize("before", range(MAX_CHARS - 22, MAX_CHARS + 1))
def test_a_long_text_is_masked_before_it_is_cut(before: int) -> None:
    hidden = raised_by_a_handler(_caused(RetryLater("x" * before + CARD + "y" * 100), ValueError("x" * before + CARD)))

    for said in (str(hidden), str(hidden.__cause__)):
        assert "4" not in said
        assert "1" not in said
        assert len(said) <= MAX_CHARS
    assert isinstance(hidden, RetryLater)


def test_what_pydantic_quotes_is_left_out_also_where_nothing_is_known_to_be_sensitive() -> None:
    street = "-".join(["Haupt", "strasse"])  # the traceback has the lines of this file
    with pytest.raises(ValidationError) as raised:
        Card.model_validate({"number": street})

    hidden = raised_by_a_handler(_caused(RetryLater(f"no: {raised.value}"), raised.value))

    told = "".join(traceback.format_exception(hidden))
    assert street in str(raised.value)
    assert street not in told
    assert "valid integer" in told


@pytest.mark.parametrize("made", PROBLEMS, ids=[str(number) for number in range(len(PROBLEMS))])
def test_an_error_that_became_an_outcome_is_printed_as_masked_as_one_that_is_raised(
    made: Callable[[], BaseException],
) -> None:
    problem = made()

    printed = printed_of(problem)

    assert "4111" not in printed
    assert json.loads(printed)["error"] == type(problem).__name__


def test_nor_is_printed_what_pydantic_quotes() -> None:
    street = "-".join(["Haupt", "strasse"])
    with pytest.raises(ValidationError) as raised:
        Card.model_validate({"number": street})

    assert street not in printed_of(raised.value)


def printed_of(problem: BaseException) -> str:
    """Return what a guarded handler prints that notes ``problem``."""

    @guarded
    def lambda_handler(event: Any, context: Any, *, runtime: Runtime) -> None:
        note(problem)

    printed = io.StringIO()
    runtime = Runtime({}, stdout=printed)
    runtime.mask_by(lambda text, _: FINDER.masked(text))
    lambda_handler({}, None, runtime=runtime)
    return printed.getvalue()


def raised_by_a_handler(problem: BaseException) -> BaseException:
    """Return what a guarded handler raises that raises ``problem``."""

    @guarded
    def lambda_handler(event: Any, context: Any, *, runtime: Runtime) -> None:
        raise problem

    runtime = Runtime({})
    runtime.mask_by(lambda text, _: FINDER.masked(text))
    with pytest.raises(BaseException) as raised:  # noqa: PT011  whatever it is
        lambda_handler({}, None, runtime=runtime)
    return raised.value
