"""Rules of a tool and fallbacks, as they may be written: anything that can be called with what it is given."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, Optional

import pytest
from pydantic import BaseModel, ConfigDict

from ballast.contracts import RunRequest
from ballast.errors import PlaybookInvalid
from ballast.folds.usage import Usage
from ballast.playbook import Approval, RunSoFar, Tool, ToolContext, Write, fallback, tool

RUN, REQUEST = RunSoFar((), Usage()), RunRequest(request_id="r-1", text="Pay.")


class Args(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def with_rule(rule: Any) -> Tool:
    def pay(args: Args, ctx: ToolContext) -> str:
        """Pay."""
        return ""

    return tool(effect=Write(), validate=rule, approval=Approval(if_=rule) if callable(rule) else None)(pay)


def said(*given: object, **named: object) -> str:
    """Return which of the rule's own values were replaced by the run."""
    return f"{'run' if RUN in given[2:] else 'alone'} {sorted(named.items())}".replace(" []", "")


class Rules:
    def bound(self, args: Any, request: Any) -> str:
        return said(args, request)

    def bound_with_run(self, args: Any, request: Any, run: RunSoFar) -> str:
        return said(args, request, run)

    def __call__(self, args: Any, request: Any, most: int = 3) -> str:
        return said(args, request, most)


def own_keyword(args: Any, request: Any, run: RunSoFar, *, most: int = 3) -> str:
    return said(args, request, run, most=most)


def run_by_annotation(args: Any, request: Any, history: Optional["RunSoFar"] = None) -> str:
    return said(args, request, history)


def run_by_name(args: Any, request: Any, run: Any = None) -> str:
    return said(args, request, run)


def most_by_default(args: Any, request: Any, most: int = 3) -> str:
    return said(args, request, most)


def passing_on(function: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(function)
    def passed_on(*given: Any, **named: Any) -> str:
        return function(*given, **named)

    return passed_on


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (functools.partial(said, most=3), "alone [('most', 3)]"),
        (functools.partial(Rules().bound_with_run, run=None), "alone"),
        (functools.partial(own_keyword, most=4), "run [('most', 4)]"),
        (functools.partial(Rules.bound_with_run, None), "run"),
        (said, "alone"),
        (lambda args, request, history: "run" if history is RUN else "", "run"),
        (Rules().bound, "alone"),
        (Rules().bound_with_run, "run"),
        (Rules(), "alone"),
        (own_keyword, "run [('most', 3)]"),
        (run_by_annotation, "run"),
        (run_by_name, "run"),
        (most_by_default, "alone"),
        (passing_on(own_keyword), "run [('most', 3)]"),
        (passing_on(most_by_default), "alone"),
    ],
)
def test_a_rule_gets_the_run_where_it_means_it_and_keeps_its_own_defaults(rule: Any, told: str) -> None:
    made = with_rule(rule)

    assert made.complaint(Args(), REQUEST, lambda: RUN) == told
    assert made.approval.why("pay", Args(), REQUEST, lambda: RUN) == told


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (lambda args: None, r"validate is called with \(args, request\), and takes \(args\)\. "),
        (lambda args, request, run, more: None, r"validate is called with \(args, request, run\), and takes "),
        (lambda args, request, *, run: None, r"called with \(args, request\), and takes \(args, request, \*, run\)"),
        (functools.partial(run_by_name, request=1), r"is called with \(args, request\), and takes "),
        ("no_function", r"validate must be a function of \(args, request\), not 'no_function'"),
    ],
)
def test_a_rule_that_cannot_be_called_so_is_refused_with_what_it_is_called_with(rule: Any, says: str) -> None:
    with pytest.raises(PlaybookInvalid, match=says):
        with_rule(rule)


def test_a_fallback_may_have_defaults_of_its_own() -> None:
    def answered(request: RunRequest, *, limit: int = 3) -> Iterator[Any]:
        yield limit

    assert fallback(intent="a")(answered).function is answered

    def of_two(request: RunRequest, limit: int) -> Iterator[Any]:
        yield limit

    with pytest.raises(PlaybookInvalid, match=r"Fallback of_two .* must be written"):
        fallback(intent="a")(of_two)
