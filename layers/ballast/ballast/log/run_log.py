"""Append to and read the log of a run. The log is the run's whole state."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field

from ballast.aws_errors import consequences, readable
from ballast.contracts.wire import canonical
from ballast.errors import AnswerUnsigned, LogCorrupt
from ballast.log.codec import MOST_BYTES, decode, encode, kept_beside, payload_of
from ballast.log.event import GARBLED, Event, order
from ballast.log.events import Fact, RunEnded, RunOpened
from ballast.log.evidence import vouching
from ballast.log.seal import Seal, shown, split
from ballast.log.signature import Signatures
from ballast.masking import SEALED, Finder, Secret, sent
from ballast.run import Run
from ballast.runtime import Runtime, Settings
from ballast.table import Condition, Item, Put, Query, Table, absent, at_least, begins_with, equals
from ballast.values import dataclass

FactT = TypeVar("FactT", bound=Fact)
_FORGED = (
    "it claims to be a person's and is not signed; somebody forged or changed it. "
    "See UnsignedAnswersAlarm in docs/operating.md."
)
#: The longest execution (``TimeoutSeconds`` in statemachine/agent.asl.yaml), including waits for people.
LONGEST_RUN_DAYS = 40
#: Openings that a process keeps; a warm function serves a few runs at a time.
_KEPT_OPENINGS = 64
#: Events (a few KB each) of followed runs that a process keeps.
_FOLLOWED_EVENTS = 4_000


@dataclass(frozen=True)
class Unreadable:
    """An event in the log that cannot be read: it cannot be decoded, or does not match its digest.

    at      the time in the item; untrusted
    why     what is wrong with it
    beside  the item's other attributes, such as those of indexes
    """

    run_id: str
    seq: str
    at: str
    why: str
    beside: Mapping[str, str]


def _said(problem: Exception) -> str:
    """Return what is wrong, without the values: only Ballast's own error texts are sure not to quote them."""
    return str(problem) if isinstance(problem, ValueError | LogCorrupt) else type(problem).__name__


def _of_run(run_id: str, within: Condition | None = None, limit: int | None = None) -> Query:
    its_events = equals("run_id", run_id)
    return Query(its_events if within is None else its_events & within, consistent=True, limit=limit)


def _outlives_a_run(days: int) -> int:
    if days != 0 and days <= LONGEST_RUN_DAYS:
        raise ValueError(f"must be 0 or more than {LONGEST_RUN_DAYS}")
    return days


class LogSettings(Settings):
    """The settings of every function that uses the log.

    run_log_table   the table
    payload_bucket  the bucket of large bodies
    retention_days  after this many days DynamoDB's TTL removes an event; 0 keeps it for ever. 1 to 40 are refused:
                    a run may wait for people for 40 days, and needs its opening afterwards
    """

    run_log_table: Annotated[str, Field(min_length=1)]
    payload_bucket: Annotated[str, Field(min_length=1)]
    retention_days: Annotated[int, AfterValidator(_outlives_a_run)] = 0

    def expires_at(self, now: datetime) -> int | None:
        """Return when TTL removes an item that is written ``now``, in seconds of Unix time; None if never."""
        return int(now.timestamp()) + self.retention_days * 86_400 if self.retention_days else None


class RunLog:
    """The log, with the rights of one function.

    An event is written once under its deterministic key and never changed. The condition of
    the write makes a retried append a no-op that returns the recorded event::

        append 0003.call.1.settled ── written ──▶ returned
        (crash, retry)
        append 0003.call.1.settled ── exists ───▶ the first one is returned

    Threads may share a log, as the invocations of a local cloud do.
    """

    def __init__(
        self,
        table: Table,
        s3: Any,
        settings: LogSettings,
        clock: Callable[[], datetime],
        seal: Seal | None = None,
        signatures: Signatures | None = None,
    ) -> None:
        self._table = table
        self._s3 = s3
        self._settings = settings
        self._clock = clock
        self._seal = seal
        self._signatures = signatures
        self._openings: dict[str, tuple[Event, ...]] = {}
        self._secrets: dict[str, frozenset[Secret]] = {}
        self._unsigned: dict[str, dict[str, Event]] = {}
        self._followed: dict[str, tuple[Run, int]] = {}
        self._lock = threading.Lock()  # for what is read and then changed: _secrets, _unsigned, _followed

    @classmethod
    def of(cls, runtime: Runtime, seal: Seal | None = None, signatures: Signatures | None = None) -> RunLog:
        """Build the log of ``runtime``'s function.

        Without ``seal``, sensitive values of its events are masked. Without ``signatures``, people's answers are not
        verified: that is enough for functions that show or propose, but not for functions that act.
        """
        settings = LogSettings.of(runtime)
        table = Table.of(runtime, settings.run_log_table, "RUN_LOG_TABLE")
        made = cls(table, runtime.lazy("s3"), settings, runtime.clock, seal, signatures)
        if seal is not None:
            runtime.mask_by(made.masked)
        return made

    def record(self, run_id: str, fact: FactT) -> FactT:
        """Record ``fact`` and return the recorded one: the earlier fact of its kind and position, if there is one.

        Raises as ``append`` does.
        """
        recorded = self.append(run_id, fact).fact
        assert isinstance(recorded, type(fact))
        return recorded

    def append(
        self,
        run_id: str,
        fact: Fact,
        *,
        index: Mapping[str, str] | None = None,
        covers: Sequence[Event] | None = None,
    ) -> Event:
        """Record a fact and return the recorded event: the earlier one under its key, if there is one.

        ``index``: the attributes by which ``RunIndex`` finds it; the event's own digest does not cover them. With
        ``covers`` the event vouches for these events and for itself (``ballast.log.evidence``); only for writers
        without a seal. Raises ``RetryLater`` on throttles, ``SettingInvalid`` if the table is missing, and
        ``AnswerUnsigned`` if an unsigned event under the key claims to be a person's.
        """
        return self.write(run_id, fact.seq, fact.body, index=index, covers=covers)

    def write(
        self,
        run_id: str,
        seq: str,
        body: Mapping[str, Any],
        *,
        index: Mapping[str, str] | None = None,
        covers: Sequence[Event] | None = None,
    ) -> Event:
        """Record any body under any key, as ``append`` does for facts."""
        return self._written(run_id, seq, body, index, covers)[0]

    def claim(self, run_id: str, fact: Fact, *, index: Mapping[str, str] | None = None) -> tuple[Event, bool]:
        """Record a fact as ``append`` does; return the recorded event, and whether it is this fact of this caller.

        After a lost reply of the table it is not known to be.
        """
        return self._written(run_id, fact.seq, fact.body, index, None)

    def _written(
        self,
        run_id: str,
        seq: str,
        body: Mapping[str, Any],
        index: Mapping[str, str] | None,
        covers: Sequence[Event] | None,
    ) -> tuple[Event, bool]:
        now = self._clock()
        # Return the event as a later read would: JSON, without tuples and enums.
        event = Event(run_id=run_id, seq=seq, at=now.isoformat(), body=json.loads(canonical(dict(body))))
        written = event.body
        if self._seal is not None:
            event, written = self._seal.close(event, self._learned(run_id, event.body))
        beside: Item = dict(index or {})
        if (expires_at := self._settings.expires_at(now)) is not None:
            beside["expires_at"] = expires_at
        if self._signatures is not None:
            beside |= self._signatures.sign(event, written)
        event = event.with_stored(kept_beside(beside, written.get(SEALED, {})))
        if covers is not None:
            event = vouching(event, covers, [one.seq for one in self.unsigned(run_id)])
            written = event.body
        item, payload = encode(event, written)
        item |= beside
        key = payload_of(item)
        if payload is not None and key is not None:
            with consequences(f"Bucket {self._settings.payload_bucket} (PAYLOAD_BUCKET)"):
                self._s3.put_object(Bucket=self._settings.payload_bucket, Key=key, Body=payload)
        nobody_was_here_before = absent("run_id")
        answer = self._table.write(Put(item, nobody_was_here_before), show=True)
        if answer.written:
            return event, True
        assert answer.item is not None
        return self._decoded(answer.item), False

    def read(self, run_id: str) -> Run:
        """Return the run with all its events; without events if there is no such run.

        Strongly consistent. Unsigned answers of people are left out, see ``unsigned``.
        Raises ``LogCorrupt`` if a digest does not match.
        """
        self._unsigned.pop(run_id, None)
        return Run(self._query(run_id), self.unsigned(run_id))

    def follow(self, run_id: str, turn: int) -> Run:
        """Return the run as ``read`` does, for work at ``turn``; of a run known to this process, read new turns only.

        Events never change, and a turn is over when work on the next one begins. So the query starts at the turn that
        this process last worked at, and its size does not grow with the run. It misses events that an abandoned attempt
        recorded later in an earlier turn: that attempt's calls stay in doubt, its reservations stay charged, and it can
        spend nothing more, see ``goes_on_after``. Functions that settle, vouch for or show a run read all of it.
        Raises the errors of ``read``.
        """
        with self._lock:
            known, began = self._followed.pop(run_id, (None, 0))
        if known is None:
            run = self.read(run_id)
        else:
            found = self._query(run_id, at_least("seq", f"{min(began, turn):04d}."))
            new = [event for event in found if known.event(event.seq) is None]
            unsigned = self.unsigned(run_id)
            run = known.with_event(*new, unsigned=unsigned) if new or unsigned != known.unsigned else known
        if len(run) <= _FOLLOWED_EVENTS:
            with self._lock:
                self._followed[run_id] = run, turn  # the newest is last
                while sum(len(kept) for kept, _ in self._followed.values()) > _FOLLOWED_EVENTS:
                    self._followed.pop(next(iter(self._followed)))
        return run

    def read_all(self, run_id: str) -> tuple[Run, tuple[Unreadable, ...]]:
        """Return the run as far as it can be read, and its unreadable events: for functions that only show a run."""
        unreadable: list[Unreadable] = []
        self._unsigned.pop(run_id, None)
        items = self._table.all(_of_run(run_id))
        return Run(self._in_order(items, unreadable), self.unsigned(run_id)), tuple(unreadable)

    def examine(self, run_id: str) -> tuple[Run, dict[str, str]]:
        """Return the run as far as it can be read, and the error of each unreadable event, by key."""
        events, unreadable = self.read_all(run_id)
        forged = {event.seq: _FORGED for event in self.unsigned(run_id)}
        return events, forged | {one.seq: one.why for one in unreadable}

    def read_turn(self, run_id: str, turn: int) -> Run:
        """Return the run's opening and the events of one turn: enough to execute a call.

        The size of the read does not grow with the run. The opening never changes, so it is read once.
        """
        opening = self._openings.get(run_id) or self._query(run_id, begins_with("seq", RunOpened.key()))
        if len(self._openings) >= _KEPT_OPENINGS:
            self._openings.clear()
        self._openings[run_id] = opening
        found = self._query(run_id, begins_with("seq", f"{turn:04d}."))
        return Run(opening + found, self.unsigned(run_id))

    def goes_on_after(self, run_id: str, turn: int) -> bool:
        """Return whether the run has ended or is at a later turn, by one small, strongly consistent read.

        Call it after reserving money in ``turn`` and before spending it. If it returns False, every later reader sees
        the reservation, also one that uses ``follow``: its query starts at this turn or before.
        """
        later = at_least("seq", f"{turn + 1:04d}.")
        return self._table.count(_of_run(run_id, later, limit=1)) > 0

    def has_ended(self, run_id: str) -> bool:
        """Return whether the run's ending is recorded, by one small, strongly consistent read."""
        its_ending = begins_with("seq", RunEnded.key())
        return self._table.count(_of_run(run_id, its_ending, limit=1)) > 0

    def read_keys(
        self, keys: Sequence[tuple[str, str]], unreadable: list[Unreadable] | None = None
    ) -> dict[tuple[str, str], Event]:
        """Return the events under these (run id, seq), by key; missing ones are left out. Strongly consistent.

        Events that cannot be read are added to ``unreadable`` if it is given, and otherwise raise ``LogCorrupt``.
        Raises ``RetryLater`` if DynamoDB repeatedly leaves keys unread.
        """
        found = self._table.batch_get([{"run_id": run_id, "seq": seq} for run_id, seq in keys])
        return {(event.run_id, event.seq): event for event in self._in_order(found, unreadable)}

    def read_turns(
        self, run_id: str, from_turn: int, events: int, unreadable: list[Unreadable] | None = None
    ) -> tuple[tuple[Event, ...], bool]:
        """Return whole turns from ``from_turn`` on with at least ``events`` events, and whether there are more.

        In the order of the work. The rest of a long run is not read. ``unreadable``: see ``read_keys``.
        """
        items: list[Item] = []
        # Keys that Ballast never writes may sort before the first turn; return them too.
        query = _of_run(run_id, at_least("seq", f"{from_turn:04d}." if from_turn else "\x00"), limit=events + 1)
        while True:
            page = self._table.page(query)
            items += page.items
            if page.after is None:
                return self._in_order(items, unreadable), False
            # The newest turn may be incomplete.
            whole = [item for item in items if item["seq"][:4] != items[-1]["seq"][:4]]
            if len(whole) >= events:
                return self._in_order(whole, unreadable), True
            query = replace(query, after=page.after)

    def _query(self, run_id: str, within: Condition | None = None) -> tuple[Event, ...]:
        return self._in_order(self._table.all(_of_run(run_id, within)))

    def _in_order(self, items: Iterable[Item], unreadable: list[Unreadable] | None = None) -> tuple[Event, ...]:
        """Return the events of ``items``; an unreadable one raises ``LogCorrupt`` or is added to ``unreadable``."""
        events = []
        for item in items:
            try:
                events.append(self._believed(item))
            except LogCorrupt as problem:
                if unreadable is None:
                    raise
                why = str(problem).partition(": ")[2]
                at = str(item.get("at", ""))
                beside = kept_beside(item, {})
                unreadable.append(Unreadable(item["run_id"], item["seq"], at, why, beside))
        return tuple(sorted(filter(None, events), key=order))

    def _believed(self, item: Item) -> Event | None:
        """Return the event; None if it claims to be a person's and is not signed."""
        try:
            event = self._decoded(item)
        except AnswerUnsigned as unsigned:
            self._set_apart(unsigned.event)
            return None
        with self._lock:
            self._unsigned.get(event.run_id, {}).pop(event.seq, None)
        return event

    def unsigned(self, run_id: str) -> tuple[Event, ...]:
        """Return the unsigned events of the run that claim to be a person's, from this process's last read."""
        with self._lock:
            return tuple(sorted(self._unsigned.get(run_id, {}).values(), key=order))

    def disbelieve(self, event: Event) -> None:
        """Report a forged event in the place of a person's answer, and add it to ``unsigned``."""
        self._set_apart(event)
        if self._signatures is not None:
            self._signatures.report(event, "it says that nobody answered, and the executor did not write that")

    def _set_apart(self, event: Event) -> None:
        with self._lock:
            if len(self._unsigned) >= _KEPT_OPENINGS and event.run_id not in self._unsigned:
                self._unsigned.clear()
            self._unsigned.setdefault(event.run_id, {})[event.seq] = event

    def _decoded(self, item: Item) -> Event:
        """Return the event of ``item``. Raises ``LogCorrupt``, which names the event, for any defect.

        Every writer of the log can put any item there, and no reader may crash because of it.
        """
        where = f"{item['run_id']} {item['seq']}"
        try:
            key = payload_of(item)
            stored = decode(item, None if key is None else self._payload(key))
            body, tokens = split(stored.body)
            event = stored.model_copy(update={"body": shown(body, tokens)}).with_stored(kept_beside(item, tokens))
            digest = event.digest
        except GARBLED as problem:
            raise LogCorrupt(f"{where}: cannot be decoded: {_said(problem)}.") from None
        if digest != item.get("digest"):
            raise LogCorrupt(f"{where}: the content does not match its digest; somebody changed the log.")
        if self._signatures is not None and not self._signatures.hold(stored, item):
            raise AnswerUnsigned(f"{where}: {_FORGED}", event=event)
        if self._seal is not None and self._seal.opens and tokens:
            try:
                event = self._seal.open(event, body, tokens)
                self._learned(event.run_id, event.body)
            except (LogCorrupt, *GARBLED) as problem:
                raise LogCorrupt(f"{where}: a sealed value cannot be opened: {_said(problem)}.") from None
        return event

    def kept(self, run_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return ``body`` with sensitive values sealed, to keep it outside the log."""
        return body if self._seal is None else self._seal.closed(run_id, body, self._learned(run_id, body))

    def unkept(self, run_id: str, kept: dict[str, Any]) -> dict[str, Any]:
        """Return the body that ``kept`` sealed."""
        body, tokens = split(kept)
        return self._seal.opened(run_id, body, tokens) if self._seal is not None and tokens else body

    def shown(self, run_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return ``body`` with sensitive values masked, as in an event appended to that run now."""
        return body if self._seal is None else self._seal.shown(body, self._learned(run_id, body))

    def cut(self, run_id: str, text: str, *, most: int, beside: Any = None) -> str:
        """Return at most ``most`` characters of a text to record, without splitting a sensitive value.

        ``beside``: other data of the run with sensitive values, in the form of an event's body.
        """
        known = self._learned(run_id, beside)
        return (Finder.of(known) if self._seal is None else self._seal.finder(known)).cut(text, most)

    def masked(self, text: str, event: Any = None) -> str:
        """Return ``text`` with the sensitive values of all runs read here, and of ``event``, masked."""
        if self._seal is None:
            return text
        known = self._seal.secrets(sent(event)) if event is not None else frozenset()
        with self._lock:
            known = known.union(*self._secrets.values())
        return self._seal.finder(known).masked(text)

    def _learned(self, run_id: str, body: Any) -> frozenset[Secret]:
        """Return the run's known sensitive values, including those in ``body``."""
        found = self._seal.secrets(body) if self._seal is not None else frozenset()
        with self._lock:
            if len(self._secrets) >= _KEPT_OPENINGS and run_id not in self._secrets:
                self._secrets.clear()
            known = self._secrets.get(run_id, frozenset()) | found
            if known:
                self._secrets[run_id] = known
        return known

    def _payload(self, key: str) -> bytes:
        """Return the object in S3 under ``key``. Raises ``ValueError`` if it is missing or access is denied."""
        where = f"s3://{self._settings.payload_bucket}/{key}"
        with consequences(f"Bucket {self._settings.payload_bucket} (PAYLOAD_BUCKET)"):
            found = readable(self._s3, self._settings.payload_bucket, key)
            if found is None:
                raise ValueError(f"its content is gone, or there is no right to read it: {where}")
            if found.get("ContentLength", 0) > MOST_BYTES:
                raise ValueError(f"its content has more than {MOST_BYTES} bytes: {where}")
            payload: bytes = found["Body"].read()
        return payload
