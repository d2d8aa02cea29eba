"""Record what people say of a run that is over. Nothing acts on it; it selects runs.

::

    the run has ended ─ the requester or a reviewer? ─ the same words again? ─▶ what is recorded
                                                        └ other words ─▶ 9999.run.feedback, 9999.run.2.feedback …
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ballast.contracts.person import same_person
from ballast.contracts.wire import parse
from ballast.errors import InvalidInput, LogCorrupt, MayNotAnswer, RetryLater
from ballast.folds.feedback import Verdict, feedback_in, feedback_of
from ballast.http.identity import Caller
from ballast.http.problem import Problem, conflict
from ballast.log.event import GARBLED
from ballast.log.events import RunFeedback
from ballast.log.run_index import by_outcome
from ballast.log.run_log import RunLog
from ballast.run import Run
from ballast.runtime import Runtime
from ballast.values import dataclass
from functions.people.answer import Answers
from functions.people.contract import PersonsFeedback

#: Most entries of feedback a run: each person may change their mind so often, and everybody together. The last ones are
#: kept for operators: no requester, and no tenant's reviewers, take all the room.
EACH, MOST, FOR_OPERATORS = 5, 50, 10
#: Others may write so many entries while one is written.
_AT_ONCE = 20


@dataclass(frozen=True)
class FeedbackTaker:
    """Takes feedback, each person's words in an entry of their own."""

    log: RunLog

    @classmethod
    def of(cls, runtime: Runtime) -> FeedbackTaker:
        """Return the taker of ``runtime``'s function. A note's sensitive values are sealed, as an answer's are."""
        return cls(runtime.get(Answers.of).log)

    def take(self, run: Run, verdict: Verdict, note: str, caller: Caller) -> RunFeedback:
        """Record the caller's words and return what is recorded. The same words again are harmless.

        Raises ``InvalidInput`` for a note with a secret, ``MayNotAnswer``, ``Problem`` (409) for a run that goes on or
        has too many entries, and ``RetryLater``.
        """
        _check_rights(run, caller)
        if not run.has_ended:
            raise conflict(
                "Run goes on",
                f"{run.run_id} has not ended. Say whether it did right once GET /runs/{run.run_id} shows it.",
            )
        wanted = {"verdict": verdict, "by": caller.principal, "role": caller.role, "note": note}
        if note:
            from ballast.secret_scan import check_note  # compiles many expressions, and most runs have no note

            check_note(note, "note")
        for one in feedback_in(run):
            if same_person(one.by, caller.principal) and (one.verdict, one.note) == (verdict, note):
                return RunFeedback(number=one.number, **wanted)
        entries = [event for event in run if event.name == RunFeedback.NAME]
        before = [one.by for one in map(feedback_of, entries) if one is not None]
        first = max((event.index for event in entries), default=0) + 1
        index = by_outcome(run.request.tenant, f"feedback.{verdict}")
        for number in range(first, first + _AT_ONCE):
            # What others wrote in the meantime takes its room as well.
            _check_room(run.run_id, number, before, caller)
            said = RunFeedback(number=number, **wanted)
            try:
                event, is_mine = self.log.claim(run.run_id, said, index=index)
                recorded = event.fact
            except LogCorrupt:
                continue  # a garbled entry has the key
            same = isinstance(recorded, RunFeedback) and {**recorded.body, "number": 0} == {**said.body, "number": 0}
            if isinstance(recorded, RunFeedback) and (is_mine or same):
                return recorded
            if isinstance(recorded, RunFeedback):
                before.append(recorded.by)
        raise RetryLater(f"{run.run_id}: others write at the same moment; try again.")


def taken_by_iam(event: Mapping[str, Any], runtime: Runtime) -> dict[str, Any]:
    """Record the feedback in ``event`` (a ``PersonsFeedback``) and return it. The invoker is an operator.

    Raises ``InvalidInput`` for an unknown run, or one that takes none.
    """
    said = parse(PersonsFeedback, event, what="Feedback")
    taker = runtime.get(FeedbackTaker.of)
    run = taker.log.read(said.run_id)
    if not run:
        raise InvalidInput(f"run_id: there is no run {said.run_id}.")
    try:
        taken = taker.take(run, said.verdict, said.note, Caller(said.by, None, "operator"))
    except Problem as problem:
        raise InvalidInput(problem.details.detail) from None
    return {"run_id": said.run_id, "verdict": taken.verdict, "note": taken.note, "by": taken.by, "role": taken.role}


def _check_room(run_id: str, number: int, before: Sequence[str], caller: Caller) -> None:
    """Raise ``Problem`` (409) if an entry of this number is one too many. ``before``: who wrote those before it."""
    own = sum(same_person(by, caller.principal) for by in before)
    most = MOST if caller.role == "operator" else MOST - FOR_OPERATORS
    if own < EACH and number <= most:
        return
    had = f"{own} entries of yours" if own >= EACH else f"{number - 1} entries of feedback"
    raise conflict(
        "Too much feedback",
        f"{run_id} has {had} already; no more are taken. Ask another reviewer, or an operator, to say it.",
    )


def _check_rights(run: Run, caller: Caller) -> None:
    try:
        tenant, requester = run.request.tenant, run.opening.requested_by
    except GARBLED:
        tenant, requester = run.request.tenant, None
    if caller.reviews(tenant):
        return
    if requester is not None and caller.sees(tenant) and same_person(requester, caller.principal):
        return
    raise MayNotAnswer(f"{run.run_id}: only the person who asked for this run, or a reviewer, may say how it went.")
