"""The log of the run that is played: its clock, and the comparison of each event as it is written.

An event that a handler writes is compared at once, so a replay ends at the first difference. It also infers what left
no event of its own: a process that died. There are three signs::

    a key that the record lacks, and the record goes on            the process died before it wrote that
    the recorded event names another invocation                    likewise: the next process wrote it
    nothing is recorded that this invocation would have written    it died, or the execution was stopped
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ballast.contracts import RunRequest
from ballast.contracts.task import LAST_TURN
from ballast.contracts.wire import canonical
from ballast.errors import ProcessEnds
from ballast.log.event import Event, order
from ballast.log.events import RunEnded, RunMoveSettled, RunOpened, RunRefused, RunSettled
from ballast.log.keys import Key
from ballast.log.run_log import RunLog, Unreadable
from ballast.log.vouching import EVIDENCE, vouched_keys, vouching
from ballast.masking import MASK
from ballast.run import Run
from localcloud.clock import NOON
from localcloud.replay.compare import LATER, OF_SEALED, cause_of, first_difference, has_sealed, with_readings
from localcloud.replay.lane import Difference
from localcloud.replay.recorded import RecordedRun, is_of_the_end, is_persons

#: Why a field is not checked: sealed values are masked, and pages of the HTTP API lack the events' other attributes.
SEALED, NO_ATTRIBUTES = "sealed", "no attributes"
#: Of the evidence, what covers those attributes. Its keys are compared all the same.
_DIGESTS = ("sha256", "events", "marks")
#: A process that dies at the same key again and again did not die: the key is the difference.
_DEATHS = 3


class Died(ProcessEnds):
    """The process of a function is gone, as the record shows. ``error`` is how Lambda reports it."""

    def __init__(self, error: str = "Lambda.Unknown") -> None:
        super().__init__(error)
        self.error = error


class Diverged(ProcessEnds):
    """The replay has met a difference, and ends."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(str(difference))
        self.difference = difference


class RecordEnds(ProcessEnds):
    """The record ends here: the run was still open when it was exported."""


class Playing:
    """The state of one replay.

    run       the events so far
    now       the time
    checked   keys that handlers wrote as they are recorded
    put_in    keys that were put in as they are recorded
    is_sealed whether a value of the record is masked
    """

    def __init__(self, recorded: RecordedRun) -> None:
        self.recorded = recorded
        self.run = Run([])
        self.now: datetime = NOON
        self.checked: list[str] = []
        self.put_in: list[str] = []
        self.unchecked: dict[str, str] = {}
        self.notes: dict[str, None] = {}
        #: What is another one now than when the run was recorded, by the names in ``made_of``.
        self.made_otherwise: tuple[str, ...] = ()
        #: Keys of events that a process wrote after it was given up, or after another one had answered.
        self.late: set[str] = {event.seq for event in recorded.events if event.name == RunMoveSettled.NAME}
        self.late |= recorded.beside
        self._deaths: Counter[str] = Counter()
        #: How often a process has died before it wrote a key.
        self.died: Counter[str] = Counter()
        self._unknown: dict[str, Difference] = {}
        self._left = {event.seq: event for event in recorded.events}
        self._ended = next((event for event in recorded.events if event.name == RunEnded.NAME), None)
        self._vouched = frozenset(vouched_keys(self._ended)) if self._ended is not None else frozenset()
        self.is_sealed = has_sealed(iter(recorded.events))

    # What is left of the record

    def ahead(self, holds: Callable[[Event], bool]) -> Event | None:
        """Return the first recorded event for which ``holds`` that was not written yet."""
        return next((event for event in self._left.values() if holds(event)), None)

    @property
    def left(self) -> Sequence[Event]:
        """The recorded events that were not written yet, in the order of the work."""
        return tuple(self._left.values())

    @property
    def only_the_end_is_left(self) -> bool:
        """Whether nothing but the run's ending is left of the record."""
        late = ("escalation.announced", *self.late)
        return all(is_of_the_end(one) or one.seq in late or one.name in late for one in self._left.values())

    def is_late(self, event: Event) -> bool:
        """Whether a process wrote ``event`` after the run had ended, for nobody: the ending does not vouch for it."""
        ended = self._ended
        if ended is None or ended.seq not in self._left:
            return False
        return event.turn < ended.turn and event.at > ended.at and event.seq not in self._vouched

    def note(self, text: str) -> None:
        """Note something that was inferred."""
        self.notes[text] = None

    def die(self, seq: str, why: str, made: Any = None) -> ProcessEnds:
        """Return the death of the process that is about to write ``seq``; a difference if it never gets further."""
        self._deaths[seq] += 1
        key = Key.of(seq)
        if not self._left and key.turn == LAST_TURN and self._is_cut_after_its_ending:
            return RecordEnds("the record ends here: the run had ended, and was not settled yet")
        name = key.name
        self._unknown.setdefault(seq, Difference(seq, "", None, made, f"{why}; decided by {cause_of(name)}"))
        if self._deaths[seq] > _DEATHS or not self._left:
            return Diverged(self.first_of(self._unknown[seq]))
        self.note(f"a process died before {seq}")
        self.died[seq] += 1
        return Died()

    @property
    def _is_cut_after_its_ending(self) -> bool:
        """Whether the record has the run's ending, and not yet the settlement, which comes last."""
        return self._ended is not None and self.recorded.events.fact(RunSettled) is None

    def first_of(self, difference: Difference) -> Difference:
        """Return the first difference: if a key that the record lacks was to be written before, nobody died there."""
        return next(iter(self._unknown.values()), difference)

    # The clock

    def clock(self) -> datetime:
        """Return the time."""
        return self.now

    def time_of(self, event: Event) -> datetime:
        """Return the time at which a recorded event was written, on this clock."""
        return datetime.fromisoformat(event.at)

    def agent_until_ms(self, turn: int) -> int:
        """Return until when the agent had time in the record as it was before ``turn``, on this clock."""
        return self.run.opening.agent_until_ms

    def wait_until(self, event: Event) -> None:
        """Let it be the time at which ``event`` was written."""
        self.now = self.time_of(event)
        self.put_due(event.at, besides=event.seq)

    def put_due(self, at: str, *, besides: str = "") -> None:
        """Put in the late events, and those of operators, that were written by that time."""
        for seq in sorted(self.late & self._left.keys()):
            if seq in self._left and self._left[seq].at <= at and seq != besides:
                if Key.of(seq).name != RunMoveSettled.NAME:
                    self.note(f"{seq} came late")
                self.put(self._left[seq])

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    # Events

    def put(self, event: Event) -> Event:
        """Put an event in as it is recorded: it came from outside."""
        self._left.pop(event.seq, None)
        if self.run.event(event.seq) is None:
            self.run = self.run.with_event(event)
            self.put_in.append(event.seq)
            self.now = max(self.now, self.time_of(event))
            self.put_due(event.at, besides=event.seq)
        return event

    def written(
        self, run_id: str, seq: str, body: Mapping[str, Any], index: Mapping[str, str], covers: Sequence[Event] | None
    ) -> Event:
        """Take an event that a handler writes; return it, or the one that is there."""
        there = self.run.event(seq) if self.run else None
        if there is not None:
            return there
        made = json.loads(canonical(dict(body)))
        recorded = self._left.get(seq)
        if recorded is None:
            self._check_another_is_recorded(seq, made)
            raise self.die(seq, "the record has no such event", made)
        if "invocation" in recorded.body and recorded.body["invocation"] != made.get("invocation"):
            raise self.die(seq, f"the record says that the invocation {recorded.body['invocation']} wrote it", made)
        if self.is_late(recorded):  # the workflow had given this process up, and another one, or this one, went on
            self.late.add(seq)
            raise Died()
        made = self._inputs(recorded, with_readings(recorded.name, made, recorded.body))
        event = Event(run_id=run_id, seq=seq, at=recorded.at, body=made).with_stored(dict(recorded.stored))
        if covers is not None:
            event = self._with_evidence(event, recorded, covers)
        if (skipped := self._skipped(recorded)) is not None:
            raise Diverged(self.first_of(_missing(skipped)))
        if (difference := first_difference(event, recorded)) is not None:
            raise Diverged(self.first_of(difference))
        del self._left[seq]
        self.run = self.run.with_event(event)
        self.checked.append(seq)
        self.wait_until(recorded)
        return event

    def _check_another_is_recorded(self, seq: str, made: dict[str, Any]) -> None:
        """Raise ``Diverged`` if the record has another admission, or another end of the call that begins or ends."""
        key = Key.of(seq)
        others = {"call.settled": "refused", "call.intended": "refused", "call.refused": "settled"}
        name = f"{key.turn:04d}.call.{key.index}.{others[key.name]}" if key.name in others else ""
        if key.name in (RunOpened.NAME, RunRefused.NAME):
            name = (RunRefused if key.name == RunOpened.NAME else RunOpened).key()
        if (end := self._left.get(name)) is None:
            return
        said = f" ({made['message']})" if key.name == RunRefused.NAME and made.get("message") else ""
        why = f"the replay wrote {seq} instead{said}; decided by {cause_of(end.name)}"
        raise Diverged(self.first_of(Difference(end.seq, "", end.shown, made, why)))

    def _skipped(self, recorded: Event) -> Event | None:
        """Return an event of the same call that comes before this one and was not written."""
        if recorded.name.partition(".")[0] != "call":
            return None
        same = (one for one in self.left if one.name.startswith("call.") and one.index == recorded.index)
        of_the_turn = (one for one in same if one.turn == recorded.turn and not is_persons(one))
        return next((one for one in of_the_turn if order(one) < order(recorded)), None)

    def _inputs(self, recorded: Event, made: dict[str, Any]) -> dict[str, Any]:
        """Return the body with what cannot be computed from the record as it is recorded."""
        if recorded.name == "run.opened":
            made = self._as_made_of(recorded.body.get("made_of"), made)
        if recorded.body.get("usage_disbelieved") and recorded.name == "model.responded":
            told = ("usage_disbelieved", "cost_microusd", "cache_saved_microusd")
            made = made | {name: recorded.body[name] for name in told if name in recorded.body}
        for name in LATER.get(recorded.name, ()):
            if name not in recorded.body:  # a version before the field wrote the record
                made = {field: value for field, value in made.items() if field != name}
        if not self.is_sealed:
            return made
        for name in OF_SEALED.get(recorded.name, ()):
            if name in made and name in recorded.body and made[name] != recorded.body[name]:
                made = made | {name: recorded.body[name]}
                self.unchecked[f"{recorded.seq} {name}"] = SEALED
        return made

    def _as_made_of(self, recorded: Any, made: dict[str, Any]) -> dict[str, Any]:
        """Return the opening as made of what ran then; keep where that is something else now."""
        now = made.pop("made_of", {})
        if not isinstance(recorded, Mapping):
            return made
        self.note_made_of(recorded, now)
        return made | {"made_of": recorded}

    def note_made_of(self, recorded: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Note what ran in the record and is another one now."""
        apart = (name for name in {*recorded, *now} if recorded.get(name) != now.get(name))
        self.made_otherwise = tuple(sorted(apart))

    def _covered(self, recorded: Event, covers: Sequence[Event]) -> list[Event]:
        """Return the events that the ending had read: what others wrote at that moment, it may have missed."""
        known = set(vouched_keys(recorded))
        apart = ("escalation.announced", "run.announced", "run.replied", "model.responded", "model.failed")
        return [event for event in covers if event.seq in known or event.name not in apart]

    def digest_of(self, request: RunRequest, computed: str) -> str:
        """Return the digest of a request: of a masked one, only the record has it."""
        first = self.recorded.events.fact(RunOpened) or self.recorded.events.fact(RunRefused)
        told = first.request_sha256 if first is not None else None
        if told is None or request.run_id != self.recorded.run_id or MASK not in request.model_dump_json():
            return computed
        self.unchecked[f"{RunOpened.key()} request_sha256"] = SEALED
        return told

    def _with_evidence(self, event: Event, recorded: Event, covers: Sequence[Event]) -> Event:
        """Return the ending with its evidence; where the record lacks attributes, with the digests that it has."""
        made = vouching(event, self._covered(recorded, covers), [])
        told = recorded.body.get(EVIDENCE)
        if not self.recorded.lacks_attributes or not isinstance(told, Mapping):
            return made
        self.unchecked[f"{recorded.seq} {EVIDENCE}"] = NO_ATTRIBUTES
        digests = {name: told[name] for name in _DIGESTS if name in told}
        return made.model_copy(update={"body": made.body | {EVIDENCE: made.body[EVIDENCE] | digests}})

    def missing(self) -> Difference | None:
        """Return the first event that the record has and nobody wrote; None if there is none."""
        event = next(iter(self._left.values()), None)
        return None if event is None else self.first_of(_missing(event))


def _missing(event: Event) -> Difference:
    why = f"the replay did not write it; decided by {cause_of(event.name)}"
    return Difference(event.seq, "", event.shown, None, why)


class ReplayedLog(RunLog):
    """The log of whichever run is played. Every function of the machine has the same."""

    def __init__(self) -> None:
        """There is no table, and no bucket."""
        self.playing: Playing
        self._seal = self._signatures = None

    @property
    def _run(self) -> Run:
        return self.playing.run

    def write(
        self,
        run_id: str,
        seq: str,
        body: Mapping[str, Any],
        *,
        index: Mapping[str, str] | None = None,
        covers: Sequence[Event] | None = None,
    ) -> Event:
        return self.playing.written(run_id, seq, body, index or {}, covers)

    def read(self, run_id: str) -> Run:
        return self._run

    def follow(self, run_id: str, turn: int) -> Run:
        return self._run

    def read_turn(self, run_id: str, turn: int) -> Run:
        return Run((*self._run.turn(0).events, *self._run.turn(turn).events))

    def goes_on_after(self, run_id: str, turn: int) -> bool:
        return any(number > turn for number in self._run.turns)

    def has_ended(self, run_id: str) -> bool:
        return self._run.has_ended

    def read_keys(
        self, keys: Sequence[tuple[str, str]], unreadable: list[Unreadable] | None = None
    ) -> dict[tuple[str, str], Event]:
        found = {key: self._run.event(key[1]) for key in keys}
        return {key: event for key, event in found.items() if event is not None}

    def read_all(self, run_id: str) -> tuple[Run, tuple[Unreadable, ...]]:
        return self._run, ()

    def unsigned(self, run_id: str) -> tuple[Event, ...]:
        return ()

    def disbelieve(self, event: Event) -> None:
        """Nothing is forged here: what a record has was believed when it was written."""

    def _learned(self, run_id: str, body: Any) -> frozenset[Any]:
        return frozenset()

    def masked(self, text: str, event: Any = None) -> str:
        return text
