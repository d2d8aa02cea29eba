"""The people of a scenario: their answers, given in order, and what became of each.

::

    an escalation ─▶ the next answer ─┬─ accepted, no more needed ─▶ the run goes on
                                      ├─ accepted, others must approve ─▶ the next answer, for the same escalation
                                      ├─ refused, as it must be ─▶ the next answer, for the same escalation
                                      └─ refused otherwise ─▶ NotAccepted
    no answer left ─┬─▶ whoever answers whenever they are asked
                    └─▶ NoAnswerLeft      the run ends, and answers are left ─▶ unmet

Whoever plays a scenario asks here what was wrong with its answers: an approval that is never asked for is as wrong as
an effect that never happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import count, pairwise
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, JsonValue

from ballast.contracts.wire import Name, Wire
from ballast.errors import BallastError, InvalidInput
from ballast.log.event import Event, order
from ballast.log.events import ApprovalAnswered, ApprovalGiven, ApprovalNeeded, EscalationAnswered
from ballast.money.moves import units
from ballast.playbook import load_playbook

if TYPE_CHECKING:
    from ballast.contracts import RunRequest
    from ballast.contracts.timeline import Call
    from localcloud.cloud import LocalCloud
    from localcloud.functions import FunctionError


def _decision(value: Any) -> Any:
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(
            'must be an object: {kind: answer, text: "…"}, {kind: hand_over, to: agent, reason: guidance, '
            'guidance: "…"}, or {kind: call_tools, calls: [{tool: NAME, arguments: {…}}]}'
        )
    return value


def _amount(value: Any) -> Any:
    try:
        return Decimal(value) if isinstance(value, str) else _whole(value)
    except (ArithmeticError, TypeError):
        raise ValueError('must be a text or a whole number, such as "0.05", without a currency') from None


def _whole(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        raise TypeError
    return value


Amount = Annotated[Decimal, BeforeValidator(_amount), Field(ge=0, strict=False)]


#: What a scenario says about an answer; the rest is what the person says.
_OF_THE_SCENARIO = ("refused", "if_asked", "whenever_asked", "tool", "moves_at_most")


class Answer(Wire):
    """A person's answer: the payload of AnswerEscalation without the escalation's id.

    decision  {kind: answer, text: …}, {kind: hand_over, to: agent, reason: guidance, guidance: …}, or {kind:
              call_tools, calls: [{tool: …, arguments: {…}}]}
    approve   whether a call may be made; or the writes that may happen: yes to a call of theirs as long as the run has
              made fewer of them than are named, else no. With a ``decision``, too, the one that fits what is asked is
              given
    moves_at_most  yes to a call only as long as the money that the run has moved, with this call's, is no more than
                   this, else no
    tool      it is an answer about a call of this tool, and waits until one is asked about
    refused   this person must not be let answer; the next one answers the same escalation
    if_asked  the run need not ask for it. Every other answer must be used, or the run is not as expected
    whenever_asked  answers whatever the others do not, as often as the run asks and for as many people as it needs, as
                    a member of the group that may. The run need not ask
    """

    by: str
    decision: Annotated[dict[str, JsonValue] | None, BeforeValidator(_decision)] = None
    approve: bool | tuple[Name, ...] | None = None
    moves_at_most: Amount | None = None
    tool: Name | None = None
    comment: str = ""
    arguments: dict[str, JsonValue] | None = None
    groups: tuple[Name, ...] = ()
    refused: bool = False
    if_asked: bool = False
    whenever_asked: bool = False

    @property
    def as_sent(self) -> dict[str, Any]:
        """The answer as AnswerEscalation takes it, but for the escalation's id."""
        return self.model_dump(mode="json", exclude_none=True, exclude=set(_OF_THE_SCENARIO))


class NoAnswerLeft(InvalidInput):
    """The run waits for a person, and the scenario has no answer for that."""


class NotAccepted(InvalidInput):
    """An answer was refused that should be accepted. ``problem``: as AnswerEscalation says it."""

    def __init__(self, said: str, problem: FunctionError) -> None:
        super().__init__(said)
        self.problem = problem


class People:
    """Gives ``answers``, as scenario.yaml has them, one after the other.

    wrong  the answers that were accepted and should have been refused, one sentence each
    """

    def __init__(self, cloud: LocalCloud, answers: Iterable[Mapping[str, Any]]) -> None:
        self._cloud = cloud
        told = list(enumerate(answers))
        self._answers = [(number, given) for number, given in told if not given.get("whenever_asked")]
        self._always = [(number, given) for number, given in told if given.get("whenever_asked")]
        self._verdicts: dict[str, bool] = {}
        self._amounts: dict[str, int] = {}
        self._asked, self._why_more = False, ""
        self.wrong: list[str] = []

    @property
    def left(self) -> bool:
        """Whether there is another answer."""
        return bool(self._answers)

    def answer(self, message: dict[str, Any]) -> bool:
        """Give the next answer to an escalation; return whether it needs no other.

        After a change of the call's arguments ``message`` has what people see then.
        Raises ``NoAnswerLeft`` and ``NotAccepted``.
        """
        from localcloud.functions import FunctionError

        self._asked = True
        number, given = self._next(message)
        answer = {"escalation_id": message["escalation_id"], **given}
        if message.get("changed_by"):  # whoever comes next has looked at the changed call
            answer.setdefault("binding", message["binding"])
        refused = answer.get("refused", False)
        answer = {name: value for name, value in answer.items() if name not in _OF_THE_SCENARIO}
        if "approve" in answer and "decision" in answer:  # it has one for each kind of escalation
            del answer["decision" if message["kind"] == "approval" else "approve"]
        if answer.get("approve"):
            answer["approve"] = self._may_happen(message, given)
        who = f"people.{number}: the answer of {given.get('by', 'nobody')}"
        try:
            taken = self._cloud.invoke("AnswerEscalationFunction", answer)
        except FunctionError as problem:
            if refused and problem.name == "MayNotAnswer":
                self._why_more = f" after people.{number} was refused"
                return False
            hint = " If it must be, write `refused: true`." if problem.name == "MayNotAnswer" else ""
            said = f"{who} was refused: {problem.name}: {problem.message}{hint}"
            raise NotAccepted(said, problem) from None
        if refused:
            self.wrong.append(f"{who} was accepted, and should have been refused (refused: true)")
        needed = taken.get("still_needed") or 0
        self._why_more = self._needing(needed, number, given) if needed else ""
        if needed and "arguments" in given:
            shown = self._cloud.escalations().get(message["escalation_id"])
            message |= {} if shown is None else shown.model_dump(mode="json")
        return not needed

    def _next(self, message: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        """Take out the next answer that fits; those before it may go unused. Raises ``NoAnswerLeft``."""
        for at, (number, given) in enumerate(self._answers):
            if _is_of_another_tool(given, message):
                continue
            if not (given.get("if_asked") and _does_not_fit(given, message)):
                del self._answers[at]
                return number, given
        for number, given in self._always:
            if not _does_not_fit(given, message):
                return number, _anybody(given, self._shown(message))
        group = f" of {message['approvers']}" if message.get("approvers") else ""
        barred = [
            f"people.{number} ({given.get('by')})" for number, given in self._answers if _may_not_give(given, message)
        ]
        passed = f" {' and '.join(barred)} may not give it." if barred else ""
        raise NoAnswerLeft(
            f"The run asks for a person{group} ({message['reason']}){self._why_anew(message)}{self._why_more}, and the "
            f"scenario has no answer left.{passed} Add one under `people:`.{self._in_doubt(message)}"
        )

    def _in_doubt(self, message: Mapping[str, Any]) -> str:
        """Return the calls whose effect is not known, each with what its last attempt in doubt said."""
        turns = self._cloud.events(message["run_id"]).timeline().turns
        calls = [call for turn in turns for call in turn.calls if call.doubts and call.outcome != "ok"]
        said = "; ".join(f"{call.tool}: {call.doubts[-1].message}" for call in calls)
        return f" In doubt: {said}" if said else ""

    def _why_anew(self, message: Mapping[str, Any]) -> str:
        """Return what made the approval of a call void, if it is asked for once more."""
        for turn in self._cloud.events(message["run_id"]).timeline().turns:
            for call in turn.calls:
                for before, now in pairwise(call.approvals):
                    if now.escalation_id == message["escalation_id"] and before.void:
                        return f" once more, since {', '.join(before.void)} had changed"
        return ""

    def _shown(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the escalation as it is now: who has approved meanwhile."""
        shown = self._cloud.escalations().get(message["escalation_id"])
        return message if shown is None else {**message, **shown.model_dump(mode="json")}

    def _may_happen(self, message: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
        """Whether this person approves a call: all of them, some writes, or up to a sum of money."""
        about, writes, at_most = message["escalation_id"], given["approve"], given.get("moves_at_most")
        if about not in self._verdicts:
            is_wanted = writes is True or self._is_one_of(message, writes)
            self._verdicts[about] = is_wanted and (at_most is None or self._moves(message) <= Decimal(at_most))
        return self._verdicts[about]

    def _is_one_of(self, message: Mapping[str, Any], writes: Sequence[str]) -> bool:
        """Whether a call is one of these writes, and the run has made, or been granted, fewer of them so far."""
        tool = _tool_of(message)
        made = self._cloud.events(message["run_id"]).timeline()
        so_far = sum(call.tool == tool and self._counts(call) for turn in made.turns for call in turn.calls)
        return so_far < list(writes).count(tool)

    def _moves(self, message: Mapping[str, Any]) -> Decimal:
        """Return the money that the run has moved, or been granted, and what the call moves that it asks about."""
        run, about = self._cloud.events(message["run_id"]), message["escalation_id"]
        moved = {(move.turn, move.index): move.micro for move in run.moves if move.counts}
        waiting = {
            (turn.turn, call.index): granted
            for turn in run.timeline().turns
            for call in turn.calls
            if call.outcome in ("open", "waiting") and (granted := self._granted(call)) is not None
        }
        self._amounts[about] = self._moved_by(message, run.request)
        return units(sum((waiting | moved).values()) + self._amounts[about])

    def _granted(self, call: Call) -> int | None:
        """Return the money of a call that somebody said yes to here; None for any other."""
        given = [one.escalation_id for one in call.approvals if self._verdicts.get(one.escalation_id)]
        return self._amounts.get(given[-1]) if given else None

    def _moved_by(self, message: Mapping[str, Any], request: RunRequest) -> int:
        """Return the micro-units that a call would move; 0 if its tool moves none, or cannot say how much."""
        call = (message.get("proposed_decision") or {}).get("calls", [{}])[0]
        tool = load_playbook(self._cloud.playbook).tools.get(_tool_of(message))
        if tool is None or tool.moves is None:
            return 0
        try:
            return tool.moves.micro(tool.name, tool.read(call.get("arguments")), request)
        except BallastError:
            return 0

    def _counts(self, call: Call) -> bool:
        """Whether a call has made its write, or is about to because somebody said yes to it here."""
        if call.outcome in ("open", "waiting"):
            return any(self._verdicts.get(one.escalation_id) for one in call.approvals)
        return call.effect == "write" and call.outcome == "ok" and call.repeats is None and call.undoes is None

    def _needing(self, needed: int, number: int, given: Mapping[str, Any]) -> str:
        did = "changed the arguments, so all approvals are needed anew" if "arguments" in given else "approved"
        more = f"{needed} more approval{'s' if needed > 1 else ''} of somebody else"
        return f": people.{number} ({given.get('by', 'nobody')}) {did}; {more} needed"

    def unmet(self) -> list[str]:
        """Return what was not as the answers say, one sentence each: at the end of a run."""
        left = [(number, given) for number, given in self._answers if not given.get("if_asked")]
        return [*self.wrong, *(self._unused(number, given) for number, given in left)]

    def _unused(self, number: int, given: Mapping[str, Any]) -> str:
        who = given.get("by", "nobody")
        asked = "the run asked nobody" if not self._asked else "the run asked nobody any more"
        if given.get("refused"):
            said = f"people.{number}: {asked}, so nobody knows whether {who} would be refused (refused: true)."
            return f"{said} Put it before an answer that is accepted"
        said = f"people.{number}: {asked}, so the answer of {who} was not needed."
        return f"{said} Is an approval lost? Where the run need not ask, write `if_asked: true`"


def recorded_answers(events: Iterable[Event]) -> Iterator[tuple[Event, Answer | None]]:
    """Yield each answer that people gave in a recorded run, with its event; None where nobody answered in time.

    A log has the group of those who approved a call together, and of nobody else. So everybody gets the group that was
    asked: they were let answer. Arguments that one of several people changed are those of the final answer, too.
    """
    needed: dict[tuple[int, int], ApprovalNeeded] = {}
    changed: set[tuple[int, int]] = set()
    for event in sorted(events, key=lambda one: (one.at, order(one))):
        fact, call = event.fact, (event.turn, event.index)
        if isinstance(fact, ApprovalNeeded):
            needed[call] = fact
        elif isinstance(fact, EscalationAnswered):
            decision: Any = fact.decision
            yield event, Answer(by=fact.by or "somebody", decision=decision.model_dump(mode="json"))
        elif isinstance(fact, ApprovalAnswered) and (fact.approve is None or fact.by is None):
            yield event, None
        elif isinstance(fact, ApprovalGiven | ApprovalAnswered):
            approve = isinstance(fact, ApprovalGiven) or bool(fact.approve)
            approvals = fact.approvals if isinstance(fact, ApprovalAnswered) and approve else ()
            asked, last = needed.get(call), approvals[-1] if approvals else None
            group = last.group if last is not None and last.group else asked.approvers if asked is not None else None
            changes = approve and fact.changes_arguments and call not in changed
            changed |= {call} if changes else set()
            yield (
                event,
                Answer(
                    by=last.by if last is not None else fact.by or "somebody",
                    approve=approve,
                    tool=asked.tool if asked is not None else None,
                    comment=last.comment if last is not None else fact.comment,
                    arguments=fact.arguments if changes else None,
                    groups=(group,) if group else (),
                ),
            )


def _does_not_fit(given: Mapping[str, Any], message: Mapping[str, Any]) -> bool:
    """Whether an answer is for something else than is asked, or this person may not give it: see ``if_asked``."""
    is_approval = message.get("kind") == "approval"
    if given.get("approve" if is_approval else "decision") is None:
        return True
    return _is_of_another_tool(given, message) or _may_not_give(given, message)


def _is_of_another_tool(given: Mapping[str, Any], message: Mapping[str, Any]) -> bool:
    """Whether an answer names a tool, and no call of that tool waits here."""
    return message.get("kind") == "approval" and given.get("tool") not in (None, _tool_of(message))


def _may_not_give(given: Mapping[str, Any], message: Mapping[str, Any]) -> bool:
    """Whether this person may not answer it: of no such group, or barred. Somebody ``whenever_asked`` always may."""
    if given.get("whenever_asked") or given.get("refused"):
        return False
    is_approval = message.get("kind") == "approval"
    group = message.get("approvers") if is_approval else None
    return given.get("by") in _barred(message) or (group is not None and group not in (given.get("groups") or ()))


def _barred(message: Mapping[str, Any]) -> tuple[str, ...]:
    """Return who may not answer, or has answered."""
    return (*(message.get("may_not_answer") or ()), *(message.get("approvals_given") or ()))


def _anybody(given: Mapping[str, Any], message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the answer as somebody gives it who may: of the group that is asked, and no one who is barred."""
    barred = _barred(message)
    by = next(one for one in _numbered(str(given.get("by", "somebody"))) if one not in barred)
    group = message.get("approvers")
    return {**given, "by": by, "groups": [*(given.get("groups") or ()), *([group] if group else ())]}


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in count(2))


def _tool_of(message: Mapping[str, Any]) -> str:
    """Return the tool whose call an approval is about."""
    calls = (message.get("proposed_decision") or {}).get("calls") or [{}]
    return str(calls[0].get("tool", ""))
