"""Compute the breaker's mode from the burn rate of all tenants together. Pure.

Each of the two windows has two thresholds, and the hour's pace is compared with the day's limit::

                                             cheaper                        fallback_only
    a window (hour, day) is spent to         80 %, before 80 % of its time  100 %
    the hour's pace is, of the day's limit   3 days' limits a day           6

Only charges of ended runs count. Leases of running ones do not: most runs spend far less than they lease.
"""

from datetime import datetime, timedelta

from ballast.money.amounts import dollars
from ballast.money.breaker import Mode
from ballast.money.windows import ends
from ballast.values import dataclass

_CHEAPER_PERCENT, _SPENT_PERCENT = 80, 100
_CHEAPER_PACE, _FALLBACK_PACE = 3, 6
#: The least elapsed time of an hour for its pace: in the first minutes a pace means nothing.
_PACE_AFTER = timedelta(minutes=10)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Burning:
    """The charges of ended runs in a window (``hour#…`` or ``day#…``), and its limit."""

    window: str
    spent_microusd: int
    limit_microusd: int

    @property
    def length(self) -> timedelta:
        """An hour or a day."""
        return _HOUR if self.window.startswith("hour#") else _DAY

    def elapsed(self, now: datetime) -> timedelta:
        """Return how much of the window has passed."""
        return min(self.length, max(timedelta(0), now - (ends(self.window) - self.length)))

    @property
    def name(self) -> str:
        """``hour`` or ``day``."""
        return "hour" if self.length == _HOUR else "day"


@dataclass(frozen=True)
class Ask:
    """A requested mode and its reason."""

    mode: Mode
    reason: str


def burning(hour: Burning, day: Burning, now: datetime) -> Ask | None:
    """Return the strictest mode that the burn rate asks for; None if it asks for none."""
    asks = [_used_up(day, now), _used_up(hour, now), _pace(hour, day, now)]
    return max((ask for ask in asks if ask is not None), key=lambda ask: ask.mode.level, default=None)


def _used_up(window: Burning, now: datetime) -> Ask | None:
    spent, limit = window.spent_microusd, window.limit_microusd
    if limit <= 0:
        return None
    why = f"${dollars(spent)} of the {window.name}'s ${dollars(limit)} are spent"
    if spent * 100 >= limit * _SPENT_PERCENT:
        return Ask(Mode.FALLBACK_ONLY, f"{why}.")
    elapsed = window.elapsed(now)
    is_early = elapsed * 100 < window.length * _CHEAPER_PERCENT
    if spent * 100 >= limit * _CHEAPER_PERCENT and is_early:
        return Ask(Mode.CHEAPER, f"{why}, and {elapsed * 100 // window.length} % of its time is over.")
    return None


def _pace(hour: Burning, day: Burning, now: datetime) -> Ask | None:
    if day.limit_microusd <= 0:
        return None
    elapsed = max(hour.elapsed(now), _PACE_AFTER)

    def at_least(pace: int) -> bool:
        # spent / elapsed >= pace * limit / day, without fractions
        seconds = elapsed // timedelta(seconds=1)
        return hour.spent_microusd * (_DAY // timedelta(seconds=1)) >= pace * day.limit_microusd * seconds

    for pace, mode in ((_FALLBACK_PACE, Mode.FALLBACK_ONLY), (_CHEAPER_PACE, Mode.CHEAPER)):
        if at_least(pace):
            spent, limit = dollars(hour.spent_microusd), dollars(day.limit_microusd)
            return Ask(mode, f"This hour spends {pace} times what the day's ${limit} are meant for (${spent} by now).")
    return None
