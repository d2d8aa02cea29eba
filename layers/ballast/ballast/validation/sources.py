"""What a run knows, and who said it: a fold of its events. Pure.

============ ========== ==================================================================================
request      trusted    the request's text, unless the playbook says that nobody vouches for it
context      trusted    the facts that the caller vouches for
person       trusted    guidance, comments on an approval, calls that a person proposed
requester    as the text  replies to the agent's questions
0002.call.1  as the tool  the result of a call, or what it said when it failed
============ ========== ==================================================================================

The model's own words are no source. Neither is a value that comes back from a call that brought it:
who looks an invented id up has not learned it. The result of a call whose arguments were tainted is untrusted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from pydantic import BaseModel

from ballast.contracts import CallTools, Event, HandOver, Planner, RunRequest
from ballast.folds import CallState, calls, proposals
from ballast.validation.marks import Untrusted, has_mark, leaves
from ballast.validation.value import Leaf, Wanted


class Described(Protocol):
    """What must be known of a tool: its argument model, its return annotation, whether all it returns is untrusted."""

    @property
    def arguments(self) -> type[BaseModel]:
        """The model of its arguments."""

    @property
    def returns(self) -> Any:
        """Its return annotation."""

    @property
    def untrusted(self) -> bool:
        """Whether nobody vouches for anything that it returns."""


@dataclass(frozen=True)
class Source:
    """Texts and numbers of one origin.

    where    for people: request, context, person, requester, or the position of a call
    brought  the arguments that the call itself was made with, JSON
    """

    where: str
    trusted: bool
    leaves: tuple[Leaf, ...]
    brought: Any = None

    def holds(self, wanted: Wanted) -> bool:
        """Say whether the value occurs here, and was not brought here."""
        return _any(wanted, self.leaves) and not _any(wanted, json_leaves(self.brought))


def opening_sources(request: RunRequest, *, trust_text: bool = True) -> tuple[Source, ...]:
    """Return what a run knows from its beginning."""
    return (
        Source("request", trust_text, (Leaf(request.text),)),
        Source("context", True, json_leaves(request.context)),
    )


def run_sources(
    events: Sequence[Event], tools: Mapping[str, Described], *, before_turn: int, trust_text: bool = True
) -> tuple[Source, ...]:
    """Return what a run has learned before that turn, newest last. A tool that is not known is not trusted."""
    past = [event for event in events if event.turn < before_turn]
    return (*_people(past, trust_text), *_results(past, tools))


def json_leaves(value: Any) -> tuple[Leaf, ...]:
    """Return every text, number and key of JSON."""
    found: list[Leaf] = []
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            found.extend(Leaf(key) for key in one)
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
        elif one is not None and not isinstance(one, bool):
            found.append(Leaf.of(one))
    return tuple(found)


def _people(events: Sequence[Event], trust_text: bool) -> Iterator[Source]:
    for made in proposals(events).values():
        decision = made.decision
        if made.planner is Planner.HUMAN and isinstance(decision, CallTools):
            yield Source("person", True, json_leaves([call.arguments for call in decision.calls]))
        elif made.planner in (Planner.HUMAN, Planner.REQUESTER) and isinstance(decision, HandOver):
            is_person = made.planner is Planner.HUMAN
            yield Source("person" if is_person else "requester", is_person or trust_text, (Leaf(decision.guidance),))
    for event in events:
        if event.name == "call.approval_answered":
            yield Source("person", True, json_leaves(event.body.get("comment")))


def _results(events: Sequence[Event], tools: Mapping[str, Described]) -> Iterator[Source]:
    # A call without an intention got the result of an earlier one, which is a source already.
    marked = {name: has_mark(made.returns, Untrusted) for name, made in tools.items()}
    begun = {(event.turn, event.index): event for event in events if event.name == "call.intended"}
    for state in calls(events):
        intended = begun.get((state.turn, state.index))
        if intended is None or state.status not in ("ok", "failed"):
            continue
        tool = tools.get(state.call.tool)
        trusted = tool is not None and not tool.untrusted and not intended.body.get("tainted")
        where, brought = f"{state.turn:04d}.call.{state.index}", state.call.arguments
        ours, theirs = _split(state, tool, marked)
        if ours:
            yield Source(where, trusted, ours, brought)
        if theirs:
            yield Source(where, False, theirs, brought)


def _split(
    state: CallState, tool: Described | None, marked: Mapping[str, bool]
) -> tuple[tuple[Leaf, ...], tuple[Leaf, ...]]:
    """Return what a call returned, apart from what its tool marks as untrusted."""
    if state.status == "failed":
        return (Leaf(state.message),), ()
    if tool is None or not marked[state.call.tool]:
        return json_leaves(state.result), ()
    found = list(leaves(tool.returns, state.result, Untrusted))
    return (
        tuple(_leaf(one.value) for one in found if one.mark is None),
        tuple(_leaf(one.value) for one in found if one.mark is not None),
    )


def _leaf(value: Any) -> Leaf:
    return Leaf.of(value if isinstance(value, int | float | Decimal) else str(value))


def _any(wanted: Wanted, among: tuple[Leaf, ...]) -> bool:
    return any(wanted.occurs_in(leaf) for leaf in among)
