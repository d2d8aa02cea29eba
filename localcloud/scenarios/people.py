"""The people of a scenario: their answers, given in order, and what became of each.

::

    an escalation ─▶ the next answer ─┬─ accepted, no more needed ─▶ the run goes on
                                      ├─ accepted, others must approve ─▶ the next answer, for the same escalation
                                      ├─ refused, as it must be ─▶ the next answer, for the same escalation
                                      └─ refused otherwise ─▶ NotAccepted
    no answer left ─▶ NoAnswerLeft        the run ends, and answers are left ─▶ unmet

Whoever plays a scenario asks here what was wrong with its answers: an approval that is never asked for is as wrong as
an effect that never happens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, JsonValue

from ballast.contracts.wire import Name, Wire
from ballast.errors import InvalidInput

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud
    from localcloud.functions import FunctionError


def _decision(value: Any) -> Any:
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(
            'must be an object: {kind: answer, text: "…"}, {kind: hand_over, to: agent, reason: guidance, '
            'guidance: "…"}, or {kind: call_tools, calls: [{tool: NAME, arguments: {…}}]}'
        )
    return value


class Answer(Wire):
    """A person's answer: the payload of AnswerEscalation without the escalation's id.

    decision  {kind: answer, text: …}, {kind: hand_over, to: agent, reason: guidance, guidance: …}, or {kind:
              call_tools, calls: [{tool: …, arguments: {…}}]}
    approve   whether a call may be made. With a ``decision``, too, the one that fits what is asked is given
    refused   this person must not be let answer; the next one answers the same escalation
    if_asked  the run need not ask for it. Every other answer must be used, or the run is not as expected
    """

    by: str
    decision: Annotated[dict[str, JsonValue] | None, BeforeValidator(_decision)] = None
    approve: bool | None = None
    comment: str = ""
    arguments: dict[str, JsonValue] | None = None
    groups: tuple[Name, ...] = ()
    refused: bool = False
    if_asked: bool = False


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
        self._answers = deque(enumerate(answers))
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
        while self._answers and _does_not_fit(self._answers[0][1], message):
            self._answers.popleft()
        if not self._answers:
            raise NoAnswerLeft(
                f"The run asks for a person ({message['reason']}){self._why_more}, and the scenario has no answer "
                "left. Add one under `people:`."
            )
        number, given = self._answers.popleft()
        answer = {"escalation_id": message["escalation_id"], **given}
        if message.get("changed_by"):  # whoever comes next has looked at the changed call
            answer.setdefault("binding", message["binding"])
        refused = answer.pop("refused", False)
        answer.pop("if_asked", None)
        if "approve" in answer and "decision" in answer:  # it has one for each kind of escalation
            del answer["decision" if message["kind"] == "approval" else "approve"]
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


def _does_not_fit(given: Mapping[str, Any], message: Mapping[str, Any]) -> bool:
    """Whether an answer is for a run that asks something else than this one does: only of one that is ``if_asked``."""
    wanted = "approve" if message.get("kind") == "approval" else "decision"
    return bool(given.get("if_asked")) and given.get(wanted) is None
