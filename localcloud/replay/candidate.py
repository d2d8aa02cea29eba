"""A candidate lane: one thing is changed, and the rest of a run is played as the record has it, as far as that holds.

An input of the record is used only where the same is asked for::

    a model's reply    the request that would be sent is the recorded one, but for the bound of its output
    a tool's outcome   the same call (tool, canonical arguments) after the same writes of the run
    a person's answer  the person is asked at the same place of the record, and answered in the candidate's time
    a process's death  the baseline met it there, and nothing has differed before

Anything else was never recorded. The run ends there, as ``Ending`` says: it is known until there, and not after.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ballast.contracts import HandOver
from ballast.contracts.wire import canonical
from ballast.errors import ProcessEnds
from ballast.log.event import Event, order
from ballast.log.events import (
    ApprovalAnswered,
    ApprovalNeeded,
    ApprovalRequested,
    CallIntended,
    CallRefused,
    EscalationAnswered,
    EscalationOpened,
    ModelRequested,
    ModelResponded,
    PlanDecided,
    RunOpened,
    RunRefused,
)
from ballast.log.vouching import vouching
from localcloud.replay.compare import Body, cause_of, first_difference, with_readings
from localcloud.replay.lane import Difference, Ending, Inferred
from localcloud.replay.oracle import Hurry
from localcloud.replay.playing import Died, Playing
from localcloud.replay.recorded import RecordedRun

#: Fields that no model and no person reads: money, versions, and digests over all of it.
HARMLESS = frozenset(
    {
        "limits",
        "reached",
        "lease",
        "made_of",
        "agent_until_ms",
        "deadline_ms",
        "price_version",
        "cost_microusd",
        "cache_saved_microusd",
        "reserved_microusd",
        "input_tokens_bound",
        "gen_ai.request.max_tokens",
        "prompt_sha256",
        "evidence",
        "spent_microusd",
        "leased_microusd",
        "charged_microusd",
        "returned_microusd",
        "beyond_microusd",
        "approval",
        "binding",
        "policy",
    }
)
#: By kind of event: fields that say what the run does next.
_STEERS: Mapping[str, tuple[str, ...]] = {
    "model.responded": ("decision",),
    "plan.decided": ("decision",),
    "call.settled": ("status", "result", "message", "notice"),
    "call.intended": ("arguments", "tool"),
    "call.refused": ("error", "message"),
    "escalation.opened": ("reason", "kind"),
}


class CandidateEnds(ProcessEnds):
    """The record has nothing for what the candidate asks: what is known of the run ends here.

    seq    the event after which nothing is known
    waits  whether the run waits for a person who was never asked
    """

    def __init__(self, ending: Ending, seq: str, why: str, *, waits: bool = False) -> None:
        super().__init__(why)
        self.ending, self.seq, self.why, self.waits = ending, seq, why, waits


class CandidatePlaying(Playing):
    """The log of a run that is played in a candidate lane.

    apart   whether the run does something else than the record: from then on events have no counterpart
    first   the first event that differs at all; ``parted``: the one with which the run comes apart
    unlike  events that differ in what a model or a person may read
    asked   attempts that a real model answered
    slack_microusd  what it may have cost more, where the record does not say how a prompt would have been cached
    """

    def __init__(self, recorded: RecordedRun, inferred: Inferred) -> None:
        super().__init__(recorded)
        self.apart = False
        self.first: Difference | None = None
        self.parted: Difference | None = None
        self.unlike: set[str] = set()
        self.slack_microusd = 0
        self.asked = 0
        self._inferred, self._due = inferred, Counter(inferred.deaths)
        #: By how much its clock is before the record's: what people are not waited for.
        self.saved = timedelta()

    # The clock

    def time_of(self, event: Event) -> datetime:
        """Return the time at which a recorded event would have been written."""
        return super().time_of(event) - self.saved

    def agent_until_ms(self, turn: int) -> int:
        """Return until when the agent had time in the record as it was before ``turn``, on this clock."""
        return self.recorded.events.before(turn).opening.agent_until_ms - _ms(self.saved)

    def more_time_ms(self, turn: int) -> int:
        """Return how much more time the agent has in ``turn`` than it had in the record; less than 0 if it has less."""
        return self.run.opening.agent_until_ms - self.agent_until_ms(turn)

    def _renewed_otherwise(self, body: Mapping[str, Any]) -> Body:
        """Return the deadlines of an answer as the candidate's limits, and its clock, give them."""
        opened = self.recorded.opened
        if opened is None:
            return {}
        then, now = opened.limits, self.run.opening.limits
        later_s = now.deadline_s - int(then["deadline_s"])
        reserve_s = now.fallback_reserve_s - int(then.get("fallback_reserve_s", now.fallback_reserve_s))
        moved_ms = {"deadline_ms": later_s * 1000, "agent_until_ms": (later_s - reserve_s) * 1000}
        told = {name: body[name] for name in moved_ms if isinstance(body.get(name), int)}
        return {name: ms + moved_ms[name] - _ms(self.saved) for name, ms in told.items()}

    def _asked_until(self, recorded: Event, made: Mapping[str, Any]) -> Body:
        """Return until when people may answer what they are asked here."""
        kind = "approval" if recorded.name == ApprovalRequested.NAME else recorded.body.get("kind")
        then_s = self._inferred.waits.get((str(kind), recorded.turn, recorded.index or 0, recorded.round or 1))
        told = recorded.body.get("answer_by")
        if then_s is None or not isinstance(told, str):
            return {}
        now = datetime.fromisoformat(str(made["answer_by"])) - self.now
        until = datetime.fromisoformat(told) - self.saved + now - timedelta(seconds=then_s)
        return {"answer_by": until.isoformat()}

    # Events

    def ahead(self, holds: Callable[[Event], bool]) -> Event | None:
        """Return the first recorded event for which ``holds`` that is still to come; None once the run is apart."""
        return None if self.apart else super().ahead(holds)

    @property
    def left(self) -> Sequence[Event]:
        """The recorded events that are still to come; none once the run is apart."""
        return () if self.apart else super().left

    def written(
        self, run_id: str, seq: str, body: Mapping[str, Any], index: Mapping[str, str], covers: Sequence[Event] | None
    ) -> Event:
        """Take an event that a handler writes; return it, or the one that is there."""
        there = self.run.event(seq) if self.run else None
        if there is not None:
            return there
        if not self.apart and self._due[seq] > 0:
            self._due[seq] -= 1
            raise Died
        made = _json(body)
        recorded = None if self.apart else self._left.get(seq)
        if recorded is None:
            return self._anew(run_id, seq, made, covers)
        if "invocation" in recorded.body:
            made["invocation"] = recorded.body["invocation"]
        made = self._inputs(recorded, self._with_readings(recorded, made))
        event = Event(run_id=run_id, seq=seq, at=recorded.at, body=made).with_stored(dict(recorded.stored))
        if covers is not None:
            event = self._with_evidence(event, recorded, covers)
        self._skip_to(recorded)
        self._compare(event, recorded)
        del self._left[seq]
        self.run = self.run.with_event(event)
        self.checked.append(seq)
        self.wait_until(recorded)
        return event

    def _anew(self, run_id: str, seq: str, made: Body, covers: Sequence[Event] | None) -> Event:
        event = Event(run_id=run_id, seq=seq, at=self.now.isoformat(), body=made)
        self._come_apart(event, None)
        if covers is not None:
            event = vouching(event, covers, [])
        self.run = self.run.with_event(event)
        return event

    def part_at(self, seq: str, why: str) -> None:
        """Let the run do something else from that key on, which the record may have."""
        known = self.recorded.by_seq.get(seq)
        difference = Difference(seq, "", known.shown if known is not None else None, None, why)
        self.first, self.parted = self.first or difference, self.parted or difference
        self.apart = True

    def go_apart(self, event: Event, why: str) -> None:
        """From this event on the run does something else, although the record may have one under that key."""
        known = self.recorded.by_seq.get(event.seq)
        if not self.asked:
            self.parted = Difference(event.seq, "", known.shown if known is not None else None, event.shown, why)
        self.apart = True

    def _come_apart(self, event: Event, recorded: Event | None) -> None:
        """From this event on the run does something else."""
        was = recorded.shown if recorded is not None else None
        difference = Difference(event.seq, "", was, event.shown, _words(event))
        self.first, self.parted = self.first or difference, self.parted or difference
        self.apart = True

    def _part(self, difference: Difference) -> None:
        self.first = self.first or difference

    def _compare(self, event: Event, recorded: Event) -> None:
        difference = first_difference(event, recorded)
        if difference is None:
            return
        self._part(difference)
        names = {*event.body, *recorded.body}
        apart = {name for name in names if event.shown.get(name) != recorded.shown.get(name)}
        if not apart <= HARMLESS:
            self.unlike.add(event.seq)
        if apart.intersection(_STEERS.get(event.name, ())):
            self._come_apart(event, recorded)

    def _skip_to(self, recorded: Event) -> None:
        """Leave out what the record has of the same call before that event: people were asked, and are not now."""
        if not recorded.name.startswith("call."):
            return
        place = (recorded.turn, recorded.index)
        skipped = [
            one
            for one in self.left
            if one.name.startswith("call.") and (one.turn, one.index) == place and order(one) < order(recorded)
        ]
        for one in skipped:
            del self._left[one.seq]
            self._part(Difference(one.seq, "", one.shown, None, f"nobody is asked to approve in turn {one.turn}"))
        if skipped:
            self.saved += self.time_of(skipped[-1]) - self.time_of(skipped[0])

    def _with_readings(self, recorded: Event, made: Body) -> Body:
        """Return the body with the readings of the clock; a changed deadline is as much later or sooner."""
        read = with_readings(recorded.name, made, recorded.body)
        if recorded.name == ApprovalAnswered.NAME:
            return read | self._renewed_otherwise(recorded.body)
        if recorded.name in (ApprovalRequested.NAME, EscalationOpened.NAME) and "answer_by" in made:
            return read | self._asked_until(recorded, made)
        if recorded.name != "run.opened" or made.get("limits") == recorded.body.get("limits"):
            return read
        then, now = recorded.body["limits"], made["limits"]
        later = (now["deadline_s"] - then["deadline_s"]) * 1000
        reserve = _reserve_ms(now) - _reserve_ms(then)
        moved = {"deadline_ms": later, "agent_until_ms": later - reserve}
        if not any(moved.values()):
            return read | {name: recorded.body[name] for name in moved if name in recorded.body}
        hurried = Hurry.of(RunOpened.model_validate(recorded.body), recorded.at) is not None
        if hurried or not all(name in recorded.body for name in moved):
            return made  # the caller still waits as long as before
        return made | {name: recorded.body[name] + by for name, by in moved.items()}

    def _inputs(self, recorded: Event, made: Body) -> Body:
        if made.get("price_version") != recorded.body.get("price_version"):
            return made  # another price: what a sealed text's size gave is not the record's
        return super()._inputs(recorded, made)

    def put(self, event: Event) -> Event:
        """Put an event in as it is recorded. An approval is bound to what the people are asked here.

        The deadlines that an answer renews are the candidate's.
        """
        seq = event.seq
        if event.name in (ApprovalAnswered.NAME, EscalationAnswered.NAME):
            event = event.model_copy(update={"body": event.body | self._renewed_otherwise(event.body)})
        if event.name in ("call.approval_answered", "call.approval_given") and event.body.get("binding"):
            asked = self.run.fact(ApprovalNeeded, event.turn, event.index, event.round)
            bound = (asked.binding or {}).get("sha256") if asked is not None else None
            if bound is not None and bound != event.body["binding"]:
                event = event.model_copy(update={"body": event.body | {"binding": bound}})
        self._left.pop(seq, None)
        return super().put(event)

    def missing(self) -> Difference | None:
        """Return the difference that counts: where the run comes apart, else the first one."""
        return self.parted or self.first


def _words(event: Event) -> str:
    """Return what the candidate does at an event that the record does not have so."""
    fact = event.fact
    where = f"turn {event.turn}"
    match fact:
        case ModelResponded() | PlanDecided():
            decided = fact.decision
            if isinstance(decided, HandOver):
                return (
                    f"the {fact.planner.value if isinstance(fact, PlanDecided) else 'agent'} hands over in {where}: "
                    + (f"{decided.reason}")
                )
            return f"another decision in {where}: {decided.kind}"
        case ModelRequested():
            return f"the model is asked in {where}"
        case CallRefused():
            return f"a call is refused in {where}: {fact.error}"
        case ApprovalNeeded():
            return f"a person must approve a call in {where}: {'; '.join(fact.why)}"
        case RunRefused():
            return f"the request is refused: {fact.reason}"
        case CallIntended():
            return f"a call is made in {where} that was not"
    return f"{event.name} in {where}; decided by {cause_of(event.name)}"


def _ms(time: timedelta) -> int:
    return time // timedelta(milliseconds=1)


def _reserve_ms(limits: Mapping[str, Any]) -> int:
    """Return the part of a run's whole time that is not the agent's: ``deadline`` of ``functions.lifecycle.admit``."""
    reserve_s, whole_s = int(limits["fallback_reserve_s"]), int(limits["deadline_s"])
    return min(reserve_s * 1000, whole_s * 1000 // 2 // 1000 * 1000)


def _json(body: Mapping[str, Any]) -> Body:
    made: Body = json.loads(canonical(dict(body)))
    return made
