"""What a run knows, and who said it: a fold of its events. Pure.

============ ========== ==================================================================================
request      trusted    the request's text, unless the playbook says that nobody vouches for it
context      trusted    the facts that the caller vouches for
person       trusted    calls that a person proposed and another one approved
person       as words   guidance, the comment of who approved, calls that a person proposed and nobody had to approve
requester    as words   replies to the agent's questions, as far as the text is trusted; a reviewer's are a person's
0002.call.1  as the tool  the result of a call, or what it said when it failed
============ ========== ==================================================================================

Words are trusted as far as they go: nobody can tell "cancel O-1002" from "never cancel O-1002". So they name a value,
and where others had named it (untrusted text, the agent in a question before, a call that people rejected) they settle
nothing (``ballast.validation.grounding``). The words of a rejection are no source, nor is a call that was not let
happen.

The model's own words are no source. Neither is a value that comes back from a call that brought it, or that is
merely computed from what the call brought (``ballast.validation.computed``): who looks an invented id up, or adds
invented amounts, has not learned anything.

A result is worth no more than the arguments that it was made of, marked or not: once the run has heard untrusted text,
an argument that nothing trusted accounts for may have come out of it, whole, in pieces or in another form, and all that
the call returns is untrusted (``ballast.validation.taint``). What a failure says is untrusted where the tool returns or
takes untrusted text, and where it was no outcome of the business but a defect: that quotes whatever there was.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Protocol

from pydantic import BaseModel

from ballast.contracts import HandOver, Planner, RunRequest
from ballast.contracts.person import same_person
from ballast.contracts.wire import canonical
from ballast.errors import whatever_it_raises
from ballast.folds.calls import CallState
from ballast.log.events import ApprovalAnswered, CallIntended, CallSettled, EscalationAnswered, RunOpened
from ballast.run import Run
from ballast.validation.computed import CallInputs
from ballast.validation.index import Index
from ballast.validation.marks import FieldValue, Grounded, Untrusted, has_mark, is_default, leaves, leaves_with_defaults
from ballast.validation.taint import Heard
from ballast.validation.values import Leaf, SearchValue, json_leaves


class ToolTypes(Protocol):
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
    words    whether it is somebody's word alone, which nobody else has agreed to and which may be a "no"
    raised   what others had named to people for them to say yes or no, of such words
    on       the day on which the run was opened, where it is known: what a day without a year is near to
    """

    where: str
    trusted: bool
    leaves: tuple[Leaf, ...]
    brought: Any = None
    words: bool = False
    raised: tuple[Leaf, ...] = ()
    on: date | None = None

    def holds(self, wanted: SearchValue, *, loose: bool = False) -> bool:
        """Say whether the value occurs here, and was not brought here nor computed from what was.

        ``loose``: it may have been taken from here.
        """
        return self.index.holds(wanted, loose=loose) and not self.arguments.explains(wanted)

    def was_named_before(self, wanted: SearchValue) -> bool:
        """Say whether the value was named to people before: what they say of it may be a "no"."""
        return self._raised.holds(wanted, loose=True)

    def is_new(self, number: Decimal) -> bool:
        """Say whether a number of this source was neither brought here nor computed from what was."""
        return not self.arguments.explains_number(number)

    @cached_property
    def index(self) -> Index:
        """Who holds a value among the leaves."""
        return Index(self.leaves)

    @cached_property
    def _raised(self) -> Index:
        return Index(self.raised)

    @cached_property
    def arguments(self) -> CallInputs:
        """What the call brought, and what follows from it."""
        return CallInputs.of(self.brought)


def opening_sources(request: RunRequest, *, trust_text: bool = True) -> tuple[Source, ...]:
    """Return what a run knows from its beginning."""
    return (
        Source("request", trust_text, (Leaf(request.text),)),
        Source("context", True, json_leaves(request.context)),
    )


def run_sources(
    run: Run,
    tools: Mapping[str, ToolTypes],
    *,
    before_turn: int,
    trust_text: bool = True,
    opening: Sequence[Source] = (),
) -> tuple[Source, ...]:
    """Return what a run has learned before that turn, newest last. A tool that is not known is not trusted.

    ``opening`` is what it knew from its beginning: arguments that are named there carry no taint.
    """
    past, on = run.before(before_turn), _opened_on(run)
    people = [(turn, replace(source, on=on)) for turn, source in _people(past, trust_text)]
    return (*(source for _, source in people), *_results(past, tools, _HeardByTurn(opening, people, on), on))


def _opened_on(run: Run) -> date | None:
    """Return the day of the run's opening, or of its first event; None where that says no time."""
    first = run.by_seq.get(RunOpened.key(), run[0] if run else None)
    with suppress(ValueError):  # somebody may have changed it
        return None if first is None else datetime.fromisoformat(first.at).date()
    return None


def rejected_sources(run: Run, *, before_turn: int) -> tuple[Source, ...]:
    """Return what people said that vouches for nothing: rejections, and calls of theirs that were not let happen.

    An answer may speak of it.
    """
    past = run.before(before_turn)
    said = [answered.comment for answered in past.facts(ApprovalAnswered)]
    proposed = [state.call.arguments for state in past.calls if state.planner is Planner.HUMAN]
    return (Source("person", False, json_leaves([*said, *proposed])),)


def _people(run: Run, trust_text: bool) -> Iterator[tuple[int, Source]]:
    raised, for_others = _AskedBefore(run), set(_for_the_requester(run))
    for state in run.calls:
        if state.planner is Planner.HUMAN and (state.approval is True or state.effect is not None):
            leaves, words = json_leaves(state.call.arguments), state.approval is not True
            yield state.turn, Source("person", True, leaves, words=words, raised=raised.before(state.turn))
    for made in run.proposals.values():
        decision = made.decision
        if made.planner in (Planner.HUMAN, Planner.REQUESTER) and isinstance(decision, HandOver):
            trusted = trust_text or made.planner is Planner.HUMAN
            colleague = made.planner is Planner.HUMAN or (trusted and made.turn in for_others)
            where = "person" if colleague else "requester"
            said, before = (Leaf(decision.guidance),), raised.before(made.turn)
            yield made.turn, Source(where, trusted, said, words=True, raised=before)
    for answered in run.facts(ApprovalAnswered):
        if answered.approve is True:
            leaves = json_leaves(answered.comment)
            yield answered.turn, Source("person", True, leaves, words=True, raised=raised.before(answered.turn))


def _for_the_requester(run: Run) -> Iterator[int]:
    """Yield the turns in which a reviewer replied to what the requester was asked."""
    opened = run.fact(RunOpened)
    asked = opened.requested_by if opened is not None else None
    for answered in run.facts(EscalationAnswered):
        reviews = answered.role in ("reviewer", "operator")
        if reviews and not (asked and same_person(asked, str(answered.by))):
            yield answered.turn


class _AskedBefore:
    """What was named to people for them to say yes or no: what the agent had asked by then, and what they rejected."""

    def __init__(self, run: Run) -> None:
        self._asked = [
            (made.turn, Leaf(made.decision.guidance))
            for made in run.proposals.values()
            if isinstance(made.decision, HandOver) and made.planner not in (Planner.HUMAN, Planner.REQUESTER)
        ]
        no = [call.arguments for state in run.calls for call in run.rejected(state)]
        self._rejected = json_leaves(no)

    def before(self, turn: int) -> tuple[Leaf, ...]:
        return (*(leaf for asked, leaf in self._asked if asked < turn), *self._rejected)


class _HeardByTurn:
    """What the run had heard before each turn: calls of one turn have not read each other's results."""

    def __init__(self, opening: Sequence[Source], people: Sequence[tuple[int, Source]], on: date | None) -> None:
        self._heard = Heard(on=on)
        self._later = [*people]
        for source in opening:
            self._heard.add(source)

    def add(self, turn: int, source: Source) -> None:
        """Take note of what a call of that turn said."""
        self._later.append((turn, source))

    def before(self, turn: int) -> Heard:
        """Return what was heard before that turn; turns are asked for in order."""
        for said, source in self._later:
            if said < turn:
                self._heard.add(source)
        self._later = [(said, source) for said, source in self._later if said >= turn]
        return self._heard


def _results(
    run: Run,
    tools: Mapping[str, ToolTypes],
    told: _HeardByTurn,
    on: date | None,
) -> Iterator[Source]:
    # A call without an intention got the result of an earlier one, which is a source already.
    marked = {name: has_mark(made.returns, Untrusted) for name, made in tools.items()}
    for state in run.calls:
        intended = run.fact(CallIntended, *state.position)
        if intended is None or state.status not in ("ok", "failed"):
            continue
        tool = tools.get(state.call.tool)
        trusted = tool is not None and not tool.untrusted and not intended.tainted
        # What a person approved or proposed they have vouched for.
        if tool is not None and trusted and state.approval is not True and state.planner is not Planner.HUMAN:
            heard = told.before(state.turn)
            if heard.untrusted_text:
                made, switches = _arguments(tool, state)
                trusted = not heard.may_taint(made, switches=switches)
        where, brought = f"{state.turn:04d}.call.{state.index}", state.call.arguments
        if state.status == "failed":
            vouched = tool is not None and not (marked[state.call.tool] or has_mark(tool.arguments, Untrusted))
            vouched = vouched and not _is_defect(state, run.fact(CallSettled, *state.position))
            sources = [Source(where, trusted and vouched, (Leaf(state.message),), brought, on=on)]
        else:
            ours, theirs = _by_trust(state, tool, marked)
            sources = [Source(where, trusted, ours, brought, on=on), Source(where, False, theirs, brought, on=on)]
        for source in sources:
            if source.leaves:
                told.add(state.turn, source)
                yield source


def _arguments(tool: ToolTypes, state: CallState) -> tuple[list[FieldValue], int]:
    """Return the arguments as the tool got them ("1" of a Decimal is a number), and how many booleans are among them.

    Those that say what the tool takes by default are left out.
    """
    made: Any = state.call.arguments
    switches = sum(1 for _ in _booleans(made))
    with whatever_it_raises():  # a validator of the author's
        made = tool.arguments.model_validate_json(canonical(made))
    return [
        found for found in leaves_with_defaults(tool.arguments, made, Grounded) if not is_default(tool.arguments, found)
    ], switches


def _booleans(value: Any) -> Iterator[bool]:
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, bool):
            yield one
        elif isinstance(one, dict | list):
            left.extend(one.values() if isinstance(one, dict) else one)


def _is_defect(state: CallState, settled: CallSettled | None) -> bool:
    """Say whether a failure was no outcome of the business. Before 2026-11-28 only its first words said so."""
    name, message = state.call.tool, state.message
    return (
        settled is None
        or settled.defect
        or message.startswith((f"{name} broke: ", f"{name}: ", f"The result is not what {name} promises"))
    )


def _by_trust(
    state: CallState, tool: ToolTypes | None, marked: Mapping[str, bool]
) -> tuple[tuple[Leaf, ...], tuple[Leaf, ...]]:
    """Return what a call returned, apart from what its tool marks as untrusted."""
    if tool is None or not marked[state.call.tool]:
        return json_leaves(state.result), ()
    found = list(leaves(tool.returns, state.result, Untrusted))
    return (
        tuple(_leaf(one) for one in found if one.mark is None),
        tuple(_leaf(one) for one in found if one.mark is not None),
    )


def _leaf(found: FieldValue) -> Leaf:
    value = found.value
    return Leaf.of(value if isinstance(value, int | float | Decimal) else str(value), found.field)
