"""Cases: what an eval plays. A case is a scenario; one of a recorded run is made from its log. Pure.

::

    scenario.yaml ──────────────────────────────────────▶ as it is written
    a run that people call right, or say nothing of ────▶ its request and people's answers; it must end so again
    a run that people call wrong ───────────────────────▶ the same, but it must not end so again

The store of a recorded run is the playbook's seeded one, not that of the run: nobody recorded it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ballast.contracts.timeline import Timeline
from ballast.contracts.wire import canonical, sha256
from ballast.errors import InvalidInput
from ballast.folds.feedback import verdict_of
from ballast.log.event import GARBLED
from ballast.masking import MASK, SEALED
from ballast.playbook import Playbook
from ballast.run import Run
from localcloud.scenarios import Scenario
from localcloud.scenarios.people import Answer, recorded_answers
from localcloud.scenarios.scenario import Expected, Judged, Unlike, written

#: The statuses that a scenario can expect.
_EXPECTED = ("answered", "unanswered", "refused", "failed")
#: Fields of a request that say how it came, not what is asked.
_OF_DELIVERY = ("reply_to", "when_full")


@dataclass(frozen=True)
class Case:
    """A case. ``replies``: the model in whose place nobody was named; "": the scenario's own script."""

    scenario: Scenario
    replies: str = ""

    @property
    def name(self) -> str:
        """Its name: the scenario's, or the run's id."""
        return self.scenario.name

    def sha256(self, judge: str) -> str:
        """Return the hash of what is asked and expected, by which judge; a description may change."""
        # Results of before have neither: how long it may take, and whether an answer may go unused.
        content = self.scenario.model_dump(mode="json", exclude={"name", "description", "model", "ends_within_s"})
        for answer in content["people"]:
            del answer["if_asked"]
            for later in ("tool", "whenever_asked", "moves_at_most"):
                if not answer[later]:
                    del answer[later]
        return sha256(canonical([content, judge if self.scenario.expect.judged else ""]))

    def sample(self, model: str, number: int, of: str) -> Scenario:
        """Return the scenario with a request id of its own for that model's sample in the eval ``of``.

        No run replaces another, nor that of an earlier eval.
        """
        told = hashlib.sha256(f"{self.name}\0{self.scenario.request.request_id}\0{model}".encode()).hexdigest()[:10]
        request_id = f"eval-{self.name[:60]}-{told}-{of}-{number}"
        request = self.scenario.request.model_copy(update={"request_id": request_id})
        return self.scenario.model_copy(update={"request": request})


def ceiling_microusd(scenario: Scenario, playbook: Playbook) -> int:
    """Return the most that one run of the scenario costs: its ceiling, and what people add.

    Raises ``InvalidInput`` for a request whose limits are wider than the playbook's.
    """
    request = scenario.request
    agent = playbook.agents.get(request.agent or "", playbook.agent)
    limits = agent.limits_for(request.intent).tightened(request.limits, by="request")
    added = [(one.decision or {}).get("add_budget_microusd", 0) for one in scenario.people]
    return limits.cost_microusd + sum(one for one in added if isinstance(one, int) and one > 0)


def of_run(run: Run, made: Timeline) -> Scenario:
    """Return a recorded run as a scenario. Raises ``InvalidInput``, which says why it cannot be one."""
    where = made.run_id
    run = Run([event.as_shown for event in run])
    try:
        request = run.request.model_copy(update=dict.fromkeys(_OF_DELIVERY))
        verdict = verdict_of(run.feedback)
        people = tuple(_answers(run, again=verdict != "wrong"))
    except GARBLED as problem:
        raise InvalidInput(f"{where}: its log cannot be read ({type(problem).__name__}), so it is no case.") from None
    if request.attachments:
        raise InvalidInput(f"{where}: its request has attachments, and their content is not in the log.")
    told = canonical([request.model_dump(mode="json"), [one.model_dump(mode="json") for one in people]])
    if SEALED in told or MASK in told:
        raise InvalidInput(
            f"{where}: its request or a person's answer has sealed values, so it cannot be asked again. "
            f"A test of it has stand-ins for them: ballast capture {where}."
        )
    if made.status not in _EXPECTED:
        raise InvalidInput(f"{where}: it is {made.status}, so nothing can be expected of its ending.")
    return Scenario(
        name=where,
        description=f"A recorded run{f' that people call {verdict}' if verdict else ''}.",
        request=request,
        people=people,
        expect=_not_again(run, made) if verdict == "wrong" else _again(made),
    )


def _again(made: Timeline) -> Expected:
    status: Any = made.status
    by: Any = made.by or None
    return Expected(
        status=status,
        by=by,
        degraded=made.degraded,
        reason=None,
        refused=None,
        failed=None,
        effects=tuple(written(made)),
    )


def _not_again(run: Run, made: Timeline) -> Expected:
    """Return that the run must not end so again. Without a write, its answer must be another."""
    status: Any = made.status
    by: Any = made.by or None
    effects = tuple(written(made))
    answer = made.answer if not effects and made.answer.strip() else None
    notes = [one.note for one in run.feedback if one.verdict == "wrong" and one.note.strip()]
    judged = None
    if notes:
        rubric = "People called an earlier answer wrong. The new one must not have the fault that they name: "
        known_wrong = (made.answer[:4_000],) if answer else ()
        judged = Judged(rubric=(rubric + " / ".join(notes))[:4_000], wrong=known_wrong)
    return Expected(
        status=None,
        degraded=None,
        reason=None,
        refused=None,
        failed=None,
        unlike=Unlike(status=status, by=by, effects=effects, answer=answer),
        judged=judged,
    )


def _answers(run: Run, *, again: bool) -> Iterator[Answer]:
    """Yield people's answers in their order, as a scenario has them.

    again  the run must end so again: then the first approval of a call must be asked for again. What else people said
           was for the way that the model took, or for what moved meanwhile
    """
    approved: set[tuple[int, int]] = set()
    for event, answer in recorded_answers(run):
        if answer is not None:
            call = (event.turn, event.index)
            free = not again or not answer.approve or call in approved
            approved |= {call} if answer.approve is not None else set()
            yield answer.model_copy(update={"tool": None, "if_asked": free})
