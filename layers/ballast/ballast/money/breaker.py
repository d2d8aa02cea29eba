"""The spend breaker as a value: its mode, reason and times. Pure.

There is one breaker for everyone, and one for each tenant for which a mode was set; the stricter one applies.
A breaker has a trip for each cause (an alarm's name, the burn rate), and the mode that a person set::

              trip                             its time is over
    ┌────────┐ ──────▶ ┌──────┐ ─────────────────────────────────▶ ┌───────────┐
    │ closed │         │ open │ ◀──── trip, in a stricter mode ─── │ half-open │ one run in twenty passes
    └────────┘         └──────┘                                    └───────────┘
        ▲                  │ the cause is over: closes when its time is over    │
        └──────────────────┴────────────────────────────────────────────────────┘ the cause is over
        ▲
        └── `--mode normal` by a person, from any state; a cause that persists trips it again

A person's mode applies until it is reset (`--mode normal`) or its `--for` is over. Of a person's mode and the trips,
the strictest applies. `--mode normal --for 60` keeps the breaker closed for an hour, whatever the alarms ask for; the
ceilings of runs and windows still apply.

An open breaker stays open for some time even if the cause ends at once. Otherwise a metric near its threshold would
switch models every minute. A breaker may be half-open for a long time: while its alarm rings it stays half-open, and
the runs that pass give the alarm's metric new data.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from ballast.contracts.wire import Name, Wire
from ballast.values import dataclass

#: The shortest time for which a trip keeps the breaker open.
OPEN_FOR = timedelta(minutes=10)
#: Percentage of runs that pass a half-open breaker.
PROBE_PERCENT = 5

Who = Annotated[str, Field(min_length=1, max_length=256)]
Why = Annotated[str, Field(max_length=500)]
State = Literal["closed", "open", "half_open"]


class Mode(StrEnum):
    """The breaker's modes, from everything allowed to nothing allowed."""

    NORMAL = "normal"
    CHEAPER = "cheaper"  # the playbook's cheaper model instead of its model
    FALLBACK_ONLY = "fallback_only"  # no model: rollback, fallback, people
    STOPPED = "stopped"  # no new runs; running ones wait for a person

    @property
    def level(self) -> int:
        """Its strictness, from 0: the value of the metric ``BreakerMode``."""
        return list(Mode).index(self)


class ByHand(Wire):
    """The mode that a person set. ``until`` None: until a person resets it."""

    mode: Mode
    since: AwareDatetime
    by: Who
    reason: Why
    until: AwareDatetime | None = None


class Trip(Wire):
    """A trip by one cause. No run passes before ``half_open_at``. ``over``: the cause has ended."""

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
    """The mode that applies at a moment, and its reason.

    tenant  the breaker's tenant; None for everyone's
    since, by, reason  when, by whom or what, and why it was set; None if the breaker is closed
    until   when a person's mode ends, or when a trip becomes (or became) half-open
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
    """Return the strictest mode of ``breakers`` at ``now``.

    run_id  the run that asks; some runs pass a half-open breaker
    passed  when a person let this run pass: modes from before that time do not stop it
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
    """Return whether the run passes a half-open breaker: the same in all functions; each trip picks other runs."""
    digest = hashlib.sha256(f"{since.isoformat() if since else ''}\0{run_id}".encode()).digest()
    return int.from_bytes(digest[:4]) % 100 < PROBE_PERCENT


def set_by_hand(
    breaker: Breaker, mode: Mode, *, by: str, reason: str, now: datetime, duration: timedelta | None = None
) -> Breaker:
    """Return the breaker with a person's mode. Normal without a ``duration`` removes the old mode and all trips."""
    if mode is Mode.NORMAL and duration is None:
        return breaker.model_copy(update={"hand": None, "trips": {}})
    until = None if duration is None else now + duration
    hand = ByHand(mode=mode, since=now, by=by, reason=reason, until=until)
    return breaker.model_copy(update={"hand": hand})


def tripped(breaker: Breaker, cause: str, mode: Mode, *, reason: str, now: datetime) -> Breaker:
    """Return the breaker after ``cause`` asked for ``mode``; the same object if nothing changes."""
    known = breaker.trips.get(cause)
    fresh = Trip(mode=mode, since=now, reason=reason, half_open_at=now + OPEN_FOR)
    if known is None or _closed(known, now) or mode.level > known.mode.level:
        return _with(breaker, cause, fresh, now)
    if known.over:  # the cause came back before the trip's time was over
        return _with(breaker, cause, known.model_copy(update={"over": False, "half_open_at": now + OPEN_FOR}), now)
    if mode.level < known.mode.level and now >= known.half_open_at:
        return _with(breaker, cause, fresh, now)
    return breaker


def relieved(breaker: Breaker, cause: str, *, now: datetime) -> Breaker:
    """Return the breaker after ``cause`` ended; the same object if nothing changes."""
    known = breaker.trips.get(cause)
    if known is None or known.over:
        return breaker
    return _with(breaker, cause, known.model_copy(update={"over": True}), now)


def _with(breaker: Breaker, cause: str, trip: Trip, now: datetime) -> Breaker:
    """Return the breaker with that trip and without closed ones."""
    trips = {**breaker.trips, cause: trip}
    left = {name: one for name, one in trips.items() if not _closed(one, now)}
    return breaker.model_copy(update={"trips": left})
