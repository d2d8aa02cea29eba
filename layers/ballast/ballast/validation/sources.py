"""The sources of a run: its texts and numbers, and who vouches for them. A fold of its events. Pure.

============ ========== ==================================================================================
request      trusted    the request's text, unless the playbook sets ``trust_text: false``
context      trusted    the request's context, for which the caller vouches
person       trusted    calls that one person proposed and another one approved
person       as words   guidance, an approver's comment, calls that a person proposed and nobody had to approve
requester    as words   replies to the agent's questions, if the text is trusted; a reviewer's reply counts as a
person's
0002.call.1  as the tool  the result of a call, or its failure message
files        untrusted  images and documents of the request or of a result; only a model reads them
============ ========== ==================================================================================

Words are trusted only to name a value: "cancel O-1002" and "never cancel O-1002" look alike. If others had named the
value before (untrusted text, a question of the agent, a call that people rejected), words settle nothing
(``ballast.validation.grounding``). The comment of a rejection is no source, nor is a refused call.

The model's own words are no source. Neither is a value in the result of a call that had it as an argument, or that is
merely computed from the arguments (``ballast.validation.computed``): looking up an invented id, or adding invented
amounts, teaches nothing.

A result is trusted no more than its arguments, marked or not. Once the run has read untrusted text, an argument that no
trusted source accounts for may come from it, whole, in pieces or in another form, and then the whole result is
untrusted (``ballast.validation.taint``). A failure message is untrusted if the tool returns or takes untrusted text, if
it is a tool from elsewhere, or if the failure is a defect, whose message may quote anything.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
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
from ballast.validation.taint import TextsRead
from ballast.validation.values import Leaf, SearchValue, json_leaves
from ballast.values import dataclass


class ToolTypes(Protocol):
    """The properties of a tool that sources depend on."""

    @property
    def arguments(self) -> type[BaseModel]:
        """Its argument model."""

    @property
    def returns(self) -> Any:
        """Its return annotation."""

    @property
    def untrusted(self) -> bool:
        """Whether all of its results are untrusted."""

    @property
    def foreign(self) -> bool:
        """Whether its words are a server's, errors included."""


@dataclass(frozen=True)
class Source:
    """Texts and numbers of one origin.

    where          for people: request, context, person, requester, or the position of a call
    own_arguments  the call's own arguments, JSON
    words          whether it is one person's words, which nobody else agreed to and which may be a "no"
    asked_about    for words: the values about which that person was asked for a yes or a no
    on             the day on which the run was opened, if known; a day without a year means the nearest to it
    file           whether it stands for files: they name no value here, and may hold any
    """

    where: str
    trusted: bool
    leaves: tuple[Leaf, ...]
    own_arguments: Any = None
    words: bool = False
    asked_about: tuple[Leaf, ...] = ()
    on: date | None = None
    file: bool = False

    def holds(self, wanted: SearchValue, *, loose: bool = False) -> bool:
        """Return whether the value occurs here, and is neither an argument nor computed from the arguments.

        ``loose``: it may have been taken from here.
        """
        return self.index.holds(wanted, loose=loose) and not self.arguments.explains(wanted)

    def was_named_before(self, wanted: SearchValue) -> bool:
        """Return whether the value was put to people before, so that their words may be a "no"."""
        return self._asked_about.holds(wanted, loose=True)

    def is_new(self, number: Decimal) -> bool:
        """Return whether a number of this source is neither an argument nor computed from the arguments."""
        return not self.arguments.explains_number(number)

    @cached_property
    def index(self) -> Index:
        """The index of the leaves."""
        return Index(self.leaves)

    @cached_property
    def _asked_about(self) -> Index:
        return Index(self.asked_about)

    @cached_property
    def arguments(self) -> CallInputs:
        """The call's arguments, and what follows from them."""
        return CallInputs.of(self.own_arguments)


#: What stands for a run's files, whose content no function but the agent reads.
_FILES = Source("files", False, (), file=True)


def opening_sources(request: RunRequest, *, trust_text: bool = True) -> tuple[Source, ...]:
    """Return the sources of a request."""
    return (
        Source("request", trust_text, (Leaf(request.text),)),
        Source("context", True, json_leaves(request.context)),
        *([_FILES] if request.attachments else ()),
    )


def run_sources(
    run: Run,
    tools: Mapping[str, ToolTypes],
    *,
    before_turn: int,
    trust_text: bool = True,
    opening: Sequence[Source] = (),
) -> tuple[Source, ...]:
    """Return the sources that a run has gained before that turn, newest last. Unknown tools are untrusted.

    ``opening``: the request's sources; arguments that they name carry no taint.
    """
    past, on = run.before(before_turn), _opened_on(run)
    people = [(turn, replace(source, on=on)) for turn, source in _people(past, trust_text)]
    return (*(source for _, source in people), *_results(past, tools, _TextsReadByTurn(opening, people, on), on))


def _opened_on(run: Run) -> date | None:
    """Return the day of the run's opening, or of its first event; None if it has no valid time."""
    first = run.by_seq.get(RunOpened.key(), run[0] if run else None)
    with suppress(ValueError):  # it may have been tampered with
        return None if first is None else datetime.fromisoformat(first.at).date()
    return None


def rejected_sources(run: Run, *, before_turn: int) -> tuple[Source, ...]:
    """Return people's words that vouch for nothing: rejections, and their refused calls.

    An answer may mention them.
    """
    past = run.before(before_turn)
    said = [answered.comment for answered in past.facts(ApprovalAnswered)]
    proposed = [state.call.arguments for state in past.calls if state.planner is Planner.PERSON]
    return (Source("person", False, json_leaves([*said, *proposed])),)


def _people(run: Run, trust_text: bool) -> Iterator[tuple[int, Source]]:
    asked_about, for_others = _AskedBefore(run), set(_for_the_requester(run))
    for state in run.calls:
        if state.planner is Planner.PERSON and (state.approval is True or state.effect is not None):
            leaves, words = json_leaves(state.call.arguments), state.approval is not True
            yield state.turn, Source("person", True, leaves, words=words, asked_about=asked_about.before(state.turn))
    for made in run.proposals.values():
        decision = made.decision
        if made.planner in (Planner.PERSON, Planner.REQUESTER) and isinstance(decision, HandOver):
            trusted = trust_text or made.planner is Planner.PERSON
            colleague = made.planner is Planner.PERSON or (trusted and made.turn in for_others)
            where = "person" if colleague else "requester"
            said, before = (Leaf(decision.guidance),), asked_about.before(made.turn)
            yield made.turn, Source(where, trusted, said, words=True, asked_about=before)
    for answered in run.facts(ApprovalAnswered):
        if answered.approve is True:
            leaves = json_leaves(answered.comment)
            yield (
                answered.turn,
                Source("person", True, leaves, words=True, asked_about=asked_about.before(answered.turn)),
            )


def _for_the_requester(run: Run) -> Iterator[int]:
    """Yield the turns in which a reviewer replied to the agent's question to the requester."""
    opened = run.fact(RunOpened)
    asked = opened.requested_by if opened is not None else None
    for answered in run.facts(EscalationAnswered):
        reviews = answered.role in ("reviewer", "operator")
        if reviews and not (asked and same_person(asked, str(answered.by))):
            yield answered.turn


class _AskedBefore:
    """Values that were put to people for a yes or a no: the agent's earlier questions, and rejected calls."""

    def __init__(self, run: Run) -> None:
        self._asked = [
            (made.turn, Leaf(made.decision.guidance))
            for made in run.proposals.values()
            if isinstance(made.decision, HandOver) and made.decision.to is Planner.REQUESTER
        ]
        no = [call.arguments for state in run.calls for call in run.rejected(state)]
        self._rejected = json_leaves(no)

    def before(self, turn: int) -> tuple[Leaf, ...]:
        return (*(leaf for asked, leaf in self._asked if asked < turn), *self._rejected)


class _TextsReadByTurn:
    """The texts that the run had read before each turn; calls of one turn do not read each other's results."""

    def __init__(self, opening: Sequence[Source], people: Sequence[tuple[int, Source]], on: date | None) -> None:
        self._texts_read = TextsRead(on=on)
        self._later = [*people]
        for source in opening:
            self._texts_read.add(source)

    def add(self, turn: int, source: Source) -> None:
        """Add the result of a call of that turn."""
        self._later.append((turn, source))

    def before(self, turn: int) -> TextsRead:
        """Return the texts read before that turn. Call it with ascending turns."""
        for said, source in self._later:
            if said < turn:
                self._texts_read.add(source)
        self._later = [(said, source) for said, source in self._later if said >= turn]
        return self._texts_read


def _results(
    run: Run,
    tools: Mapping[str, ToolTypes],
    told: _TextsReadByTurn,
    on: date | None,
) -> Iterator[Source]:
    # A call that was not started got the result of an earlier one, which is a source already.
    marked = {name: has_mark(made.returns, Untrusted) for name, made in tools.items()}
    for state in run.calls:
        if state.recorded_files:
            told.add(state.turn, _FILES)
            yield _FILES
        settled = run.fact(CallSettled, *state.position)
        begun = run.fact(CallIntended, *state.position) or (settled if settled and settled.effect else None)
        if begun is None or state.status not in ("ok", "failed"):
            continue
        tool = tools.get(state.call.tool)
        trusted = tool is not None and not tool.untrusted and not begun.tainted
        # A person vouches for a call that they approved or proposed.
        if tool is not None and trusted and state.approval is not True and state.planner is not Planner.PERSON:
            texts_read = told.before(state.turn)
            if texts_read.untrusted_text:
                made, switches = _arguments(tool, state)
                trusted = not texts_read.may_taint(made, switches=switches)
        where, own_arguments = f"{state.turn:04d}.call.{state.index}", state.call.arguments
        if state.status == "failed":
            vouched = tool is not None and not (marked[state.call.tool] or has_mark(tool.arguments, Untrusted))
            vouched = vouched and not (tool is None or tool.foreign or _is_defect(state, settled))
            sources = [Source(where, trusted and vouched, (Leaf(state.message),), own_arguments, on=on)]
        else:
            ours, theirs = _by_trust(state, tool, marked)
            sources = [
                Source(where, trusted, ours, own_arguments, on=on),
                Source(where, False, theirs, own_arguments, on=on),
            ]
        for source in sources:
            if source.leaves:
                told.add(state.turn, source)
                yield source


def _arguments(tool: ToolTypes, state: CallState) -> tuple[list[FieldValue], int]:
    """Return the arguments as the tool got them ("1" for a Decimal is a number), and the number of booleans among them.

    Arguments equal to their defaults are left out.
    """
    made: Any = state.call.arguments
    switches = sum(1 for _ in _booleans(made))
    with whatever_it_raises():  # an error in the author's validator
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
    """Return whether a failure is a defect and not a business outcome. Before 2026-11-28 only its text tells."""
    name, message = state.call.tool, state.message
    return (
        settled is None
        or settled.defect
        or message.startswith((f"{name} broke: ", f"{name}: ", f"The result is not what {name} promises"))
    )


def _by_trust(
    state: CallState, tool: ToolTypes | None, marked: Mapping[str, bool]
) -> tuple[tuple[Leaf, ...], tuple[Leaf, ...]]:
    """Return a call's result, split into trusted leaves and those that the tool marks as untrusted."""
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
