"""The spend breaker as a value: which mode holds, since when, why, and until when. Pure.

There is one for everyone and one for each tenant that ever had one; of the two the stricter holds.
What tripped it is kept cause by cause (an alarm's name, a burn rate), beside what a person set::

              trip                             its time is over
    ┌────────┐ ──────▶ ┌──────┐ ─────────────────────────────────▶ ┌───────────┐
    │ closed │         │ open │ ◀──── trip, in a stricter mode ─── │ half-open │ one run in twenty passes
    └────────┘         └──────┘                                    └───────────┘
        ▲                  │ the cause is over: closes when its time is over    │
        └──────────────────┴────────────────────────────────────────────────────┘ the cause is over
        ▲
        └── `--mode normal` by a person, from anywhere; what is still the case trips it again

    a person's mode holds until it is taken back (`--mode normal`) or its `--for` is over; beside what
    tripped by itself, the stricter holds. `--mode normal --for 60` keeps it closed for so long,
    whatever trips: the ceilings of runs and windows hold all the same.

Once open it stays so for a time, also where the cause ends at once, so that a figure that trembles
about its threshold does not switch models every minute. Half-open it may stay for long: an alarm
that rings on is no news, and the runs that pass show the alarm how it would be.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from ballast.contracts.wire import Name, Wire

#: So long a trip holds at least.
OPEN_FOR = timedelta(minutes=10)
#: Of the runs that a half-open breaker would stop, so many in a hundred pass.
PROBE_PERCENT = 5

Who = Annotated[str, Field(min_length=1, max_length=256)]
Why = Annotated[str, Field(max_length=500)]
State = Literal["closed", "open", "half_open"]


class Mode(StrEnum):
    """What the breaker lets through, from everything to nothing."""

    NORMAL = "normal"
    CHEAPER = "cheaper"  # the playbook's cheaper model instead of its model
    FALLBACK_ONLY = "fallback_only"  # no model: rollback, fallback, people
    STOPPED = "stopped"  # no new runs; those there are wait for a person

    @property
    def level(self) -> int:
        """How strict it is, from 0: what the metric ``BreakerMode`` shows."""
        return list(Mode).index(self)


class ByHand(Wire):
    """What a person set. ``until`` None: until it is taken back."""

    mode: Mode
    since: AwareDatetime
    by: Who
    reason: Why
    until: AwareDatetime | None = None


class Trip(Wire):
    """What one cause brought about. ``half_open_at``: not before then it lets anything through; ``over``: it ended."""

    mode: Mode
    since: AwareDatetime
    reason: Why
    half_open_at: AwareDatetime
    over: bool = False


class Breaker(Wire):
    """One breaker. ``tenant`` None: everyone's. ``trips`` by their cause; ``version`` counts its changes."""

    tenant: Name | None = None
    hand: ByHand | None = None
    trips: Mapping[str, Trip] = Field(default_factory=dict)
    version: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class CurrentMode:
    """What holds at a moment, and the reason for it.

    tenant  whose breaker it is; None for everyone's
    since, by, reason  of what holds; None where nothing does
    until   when a person's mode ends, or a trip becomes half-open (or became)
    """

    mode: Mode = Mode.NORMAL
    state: State = "closed"
    tenant: str | None = None
    since: datetime | None = None
    by: str | None = None
    reason: str | None = None
    until: datetime | None = None


def current_mode(
    breakers: Iterable[Breaker], now: datetime, *, run_id: str | None = None, passed: datetime | None = None
) -> CurrentMode:
    """Return the strictest of what ``breakers`` hold at ``now``.

    run_id  for this run, which may be among those that a half-open breaker lets pass
    passed  a person let this run pass whatever held at that time
    """
    held = [one for breaker in breakers for one in _held(breaker, now)]
    stops = [
        one
        for one in held
        if not (passed is not None and one.since is not None and one.since <= passed)
        if not (run_id is not None and one.state == "half_open" and is_probe(run_id, one.since))
    ]
    # The first of equals: everyone's before a tenant's, a person's before an alarm's.
    return max(stops, key=lambda one: (one.mode.level, one.state == "open"), default=CurrentMode())


def _held(breaker: Breaker, now: datetime) -> list[CurrentMode]:
    found = []
    hand = breaker.hand
    if hand is not None and (hand.until is None or now < hand.until):
        found.append(CurrentMode(hand.mode, "open", breaker.tenant, hand.since, hand.by, hand.reason, hand.until))
        if hand.mode is Mode.NORMAL:
            return [CurrentMode(Mode.NORMAL, "closed", breaker.tenant, hand.since, hand.by, hand.reason, hand.until)]
    for cause, trip in sorted(breaker.trips.items()):
        if not _closed(trip, now):
            state: State = "half_open" if now >= trip.half_open_at else "open"
            found.append(
                CurrentMode(trip.mode, state, breaker.tenant, trip.since, cause, trip.reason, trip.half_open_at)
            )
    return found


def _closed(trip: Trip, now: datetime) -> bool:
    return trip.over and now >= trip.half_open_at


def is_probe(run_id: str, since: datetime | None) -> bool:
    """Say whether the run is of those that pass a half-open breaker: the same for all who ask, and others each time."""
    digest = hashlib.sha256(f"{since.isoformat() if since else ''}\0{run_id}".encode()).digest()
    return int.from_bytes(digest[:4]) % 100 < PROBE_PERCENT


def set_by_hand(
    breaker: Breaker, mode: Mode, *, by: str, reason: str, now: datetime, duration: timedelta | None = None
) -> Breaker:
    """Return the breaker as a person sets it. Normal without a ``duration`` takes everything back."""
    if mode is Mode.NORMAL and duration is None:
        return breaker.model_copy(update={"hand": None, "trips": {}})
    until = None if duration is None else now + duration
    hand = ByHand(mode=mode, since=now, by=by, reason=reason, until=until)
    return breaker.model_copy(update={"hand": hand})


def tripped(breaker: Breaker, cause: str, mode: Mode, *, reason: str, now: datetime) -> Breaker:
    """Return the breaker after ``cause`` asked for ``mode``; the same one where that is no news."""
    known = breaker.trips.get(cause)
    fresh = Trip(mode=mode, since=now, reason=reason, half_open_at=now + OPEN_FOR)
    if known is None or _closed(known, now) or mode.level > known.mode.level:
        return _with(breaker, cause, fresh, now)
    if known.over:  # it came back before its time was over
        return _with(breaker, cause, known.model_copy(update={"over": False, "half_open_at": now + OPEN_FOR}), now)
    if mode.level < known.mode.level and now >= known.half_open_at:
        return _with(breaker, cause, fresh, now)
    return breaker


def relieved(breaker: Breaker, cause: str, *, now: datetime) -> Breaker:
    """Return the breaker after ``cause`` ended; the same one where that is no news."""
    known = breaker.trips.get(cause)
    if known is None or known.over:
        return breaker
    return _with(breaker, cause, known.model_copy(update={"over": True}), now)


def _with(breaker: Breaker, cause: str, trip: Trip, now: datetime) -> Breaker:
    """Return it with that trip and without those that are closed."""
    trips = {**breaker.trips, cause: trip}
    left = {name: one for name, one in trips.items() if not _closed(one, now)}
    return breaker.model_copy(update={"trips": left})
