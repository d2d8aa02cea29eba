"""Numbers and dates in a text, by what they mean and not by how they are written. Pure.

======= =======================================================================================================
number  ``52345.60``: 52345.6, 52,345.60, 52.345,60, 52 345.60, 52'345.6
date    ``1990-05-17``: 17.05.1990, 17/5/90, 05/17/1990, 19900517, 17 May 1990, May 17th, 1990, 17. Mai 1990
time    ``1990-05-17T01:02:03``: 1990-05-17 01:02:03, 17.05.1990 1:02, 17 May 1990, 1:02 am; ``01:02:03``: 1:02 am
======= =======================================================================================================

A date that may be read in two ways (05/06/1990) is taken for both. A moment is also looked for in UTC, and in seconds
or milliseconds since 1970; a duration (``PT1H30M``) in seconds. ``written`` is how Python writes all these.
"""

import base64
import re
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from itertools import chain, permutations
from typing import Any
from uuid import UUID

from pydantic import NameEmail, SecretBytes, SecretStr

from ballast.regex import regex

_AS_THEY_ARE = (str, int, float)
_NETWORK = (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)
#: Longer numbers are not written out.
_MOST_DIGITS = 100
#: For larger sets only their current order is tried.
_MOST_OF_A_SET = 5
_DURATION = regex(
    r"(?P<sign>[-+]?)P(?:(?P<weeks>[0-9]{1,9})W)?(?:(?P<days>[0-9]{1,9}(?:\.[0-9]{1,9})?)D)?"
    r"(?:T(?:(?P<hours>[0-9]{1,9}(?:\.[0-9]{1,9})?)H)?(?:(?P<minutes>[0-9]{1,9}(?:\.[0-9]{1,9})?)M)?"
    r"(?:(?P<seconds>[0-9]{1,12}(?:\.[0-9]{1,9})?)S)?)?"
)


def python_texts(value: Any) -> Iterator[str]:
    """Yield the texts that Python makes of a model's value; a text is yielded unchanged."""
    if isinstance(value, Enum):
        yield from (f"{type(value).__name__}.{value.name}", value.name)
        yield from python_texts(value.value)
    elif isinstance(value, _AS_THEY_ARE):
        yield str.__str__(value) if isinstance(value, str) else str(value)
    elif isinstance(value, SecretStr | SecretBytes):
        yield from python_texts(value.get_secret_value())
        return
    elif isinstance(value, bytes | bytearray):
        yield from _of_bytes(bytes(value))
    elif isinstance(value, Decimal):
        yield str(value)
        if value.is_finite() and abs(value.adjusted()) <= _MOST_DIGITS:
            yield f"{value:f}"
    elif isinstance(value, date | time):
        yield value.isoformat()
    elif isinstance(value, UUID):
        yield from (value.hex, str(value.int))
    elif isinstance(value, _NETWORK):
        yield value.exploded
    elif isinstance(value, re.Pattern):
        yield str(value.pattern)
    elif isinstance(value, NameEmail):
        yield from (value.name, value.email)
    elif isinstance(value, set | frozenset) and len(value) <= _MOST_OF_A_SET:
        # Equal sets may have different orders.
        yield from (f"{{{', '.join(way)}}}" for way in permutations(map(repr, value)))
    if not isinstance(value, _AS_THEY_ARE) or isinstance(value, Enum):
        yield from (str(value), repr(value))


def _of_bytes(value: bytes) -> Iterator[str]:
    yield from (value.hex(), base64.b64encode(value).decode(), base64.urlsafe_b64encode(value).decode())
    yield value.decode("utf-8", "backslashreplace")


def python_dates(day: tuple[int, int, int]) -> Iterator[str]:
    """Yield Python's spellings of a date's numbers."""
    year, month, number = day
    yield f"{year}, {month}, {number}"
    yield f"year={year}, month={month}, day={number}"
    yield f"'year': {year}, 'month': {month}, 'day': {number}"
    yield f"tm_year={year}, tm_mon={month}, tm_mday={number}"


def python_times(clock: tuple[int, int, int | None]) -> Iterator[str]:
    """Yield Python's spellings of a time of day."""
    hour, minute, second = clock
    yield f"time({hour}, {minute}" + (f", {second}" if second else "")
    yield f"hour={hour}, minute={minute}" + (f", second={second}" if second else "")


def moment_of(text: str) -> datetime | None:
    """Return the moment of an ISO 8601 text; None for other texts. Without an offset it is UTC."""
    try:
        made = datetime.fromisoformat(text) if len(text) > len("1990-05-17") else None
    except ValueError:
        return None
    return made if made is None or made.tzinfo else made.replace(tzinfo=UTC)


def python_datetimes(moment: datetime) -> Iterator[str]:
    """Yield Python's spellings of a moment, in its own zone and in UTC."""
    for one in _in_zones(moment):
        yield repr(one.replace(tzinfo=None, fold=0)).partition("(")[2].removesuffix(")")


def _in_zones(moment: datetime) -> Iterator[datetime]:
    yield moment
    try:
        yield moment.astimezone(UTC)
    except OverflowError:  # the first or the last representable day
        return


def other_zones(moment: datetime) -> Iterator[datetime]:
    """Yield the moment in UTC if its zone is another one."""
    yield from (one for one in _in_zones(moment) if one.utcoffset() != moment.utcoffset())


def duration_of(text: str) -> timedelta | None:
    """Return the duration of an ISO 8601 text; None for other texts."""
    found = _DURATION.fullmatch(text)
    if found is None or text[-1] in "PT":
        return None
    parts = {name: float(said) for name, said in found.groupdict().items() if said and name != "sign"}
    try:
        made = timedelta(**parts)
    except OverflowError:
        return None
    return -made if found["sign"] == "-" else made


def python_durations(duration: timedelta) -> Iterator[str]:
    """Yield Python's spellings of a duration."""
    yield str(duration)
    yield repr(duration).partition("(")[2].removesuffix(")")


#: Shorter numbers are too common to search for.
_SHORTEST = 4
_NUMBER = regex(r"(?<![0-9])(?<![0-9][.,'’])[-\u2212]?[0-9][0-9.,'’_]*")
_SPACED = regex(
    r"(?<![0-9])(?<![0-9][.,'’])[-\u2212]?[0-9]{1,3}(?:[ \u00a0\u2007\u2009\u202f][0-9]{3})+(?:[.,][0-9]+)?(?![0-9])"
)
_PLAIN = regex(r"-?(0|[1-9][0-9]{0,39})(?:\.([0-9]{1,40}))?")

_MONTHS = (
    "january januar janvier enero gennaio jan janv ene gen",
    "february februar février fevrier febrero febbraio feb févr fevr",
    "march märz maerz mars marzo mar mär mrz",
    "april avril abril aprile apr avr abr",
    "may mai mayo maggio mag",
    "june juni juin junio giugno jun giu",
    "july juli juillet julio luglio jul juil lug",
    "august août aout agosto aug ago",
    "september septembre septiembre settembre sep sept set",
    "october oktober octobre octubre ottobre oct okt ott",
    "november novembre noviembre nov",
    "december dezember décembre decembre diciembre dicembre dec dez déc dic",
)
_MONTH = {name: number for number, names in enumerate(_MONTHS, 1) for name in names.split()}
_NAMED = "|".join(sorted(_MONTH, key=len, reverse=True))
_ORDINAL = r"(?:st|nd|rd|th|er|\.|º)?"
_YEAR = r"(?P<y>[0-9]{4}|'?[0-9]{2})(?![0-9])"
_DATES = tuple(
    regex(rf"(?<![0-9])(?:{one})", re.IGNORECASE)
    for one in (
        r"(?P<y>[0-9]{4})[-./](?P<a>[0-9]{1,2})[-./](?P<b>[0-9]{1,2})(?![0-9])",
        r"(?P<y>[0-9]{4})(?P<a>[0-9]{2})(?P<b>[0-9]{2})(?![0-9])",
        rf"(?P<a>[0-9]{{1,2}})(?P<by>\.\ |[-./ ])(?P<b>[0-9]{{1,2}})(?P=by){_YEAR}",
        rf"(?P<a>[0-9]{{1,2}}){_ORDINAL}[-./ ]?(?:de |of )?(?P<m>{_NAMED})(?![^\W\d_])\.?,?[-/ ]?(?:de |of )?{_YEAR}",
        rf"(?<!\w)(?P<m>{_NAMED})\.?[- ]?(?P<a>[0-9]{{1,2}}){_ORDINAL},?[- ]?(?:de |of )?{_YEAR}",
        rf"(?P<y>[0-9]{{4}})[-/ ](?P<m>{_NAMED})[-/ ](?P<a>[0-9]{{1,2}})(?![0-9])",
    )
)
_TIME = regex(
    r"(?:T|[ ,]{1,2}(?:at |um |à )?)(?P<h>[0-9]{1,2})[:.](?P<min>[0-9]{2})(?:[:.](?P<s>[0-9]{2})(?:[.,][0-9]+)?)?"
    r"(?: ?(?P<half>[ap])(?:m\b|\.m\.))?(?:Z| ?UTC\b| ?GMT\b| ?[ +-][0-9]{2}:?[0-9]{2})?",
    re.IGNORECASE,
)

_CLOCK = regex(
    r"(?<![0-9:.T])(?P<h>[0-9]{1,2}):(?P<min>[0-9]{2})(?::(?P<s>[0-9]{2})(?:[.,][0-9]{1,9})?)?"
    r"(?: ?(?P<half>[ap])(?:m\b|\.m\.))?(?![0-9:])(?:Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.IGNORECASE,
)

Day = tuple[int, int, int]
#: Hour, minute and second; the second is None if it is not given.
Clock = tuple[int, int, int | None]


class EquivalentForms:
    """Search for numbers, dates and times in texts, in any spelling."""

    def __init__(self, values: Iterable[str]) -> None:
        self._numbers: set[str] = set()
        self._dates: dict[Day, set[Clock | None]] = {}
        self._clocks: set[Clock] = set()
        #: Python's spellings of these dates, times and durations.
        self.written: set[str] = set()
        for value in values:
            self._learn_number(_plain_number(value))
            said = value.strip()
            self._learn_date(said)
            self._learn_moment(said)
            if (time := _CLOCK.fullmatch(said)) is not None:
                self._clocks.add(_clock(time))
                self.written.update(python_times(_clock(time)))
            if (duration := duration_of(said)) is not None:
                self.written.update(python_durations(duration))
                self._learn_number(_plain_number(f"{abs(duration.total_seconds()):.6f}"))
        # Times without seconds.
        self._minutes: set[tuple[Day | None, int, int]] = {
            (day, *one[:2]) for day, times in self._dates.items() for one in times if one is not None
        }
        self._minutes |= {(None, *one[:2]) for one in self._clocks}
        self._years = {f"{year % 100:02d}" for year, _, _ in self._dates}

    def _learn_number(self, number: str | None) -> None:
        if number is not None and len(number) >= _SHORTEST:
            self._numbers.add(number)

    def _learn_date(self, said: str) -> None:
        for start, end, day, clock in _dates(said):
            if (start, end) == (0, len(said)):
                midnight = {None} if clock is not None and clock[:2] == (0, 0) and not clock[2] else set()
                known = {clock} | midnight
                self._dates.setdefault(day, set()).update(known)
                self.written.update(python_dates(day) if None in known else ())

    def _learn_moment(self, said: str) -> None:
        moment = moment_of(said)
        if moment is None:
            return
        self.written.update(python_datetimes(moment))
        for other in other_zones(moment):
            clock = (other.hour, other.minute, other.second)
            self._dates.setdefault((other.year, other.month, other.day), set()).add(clock)
        for factor in (1, 1000):
            self._learn_number(_plain_number(f"{abs(moment.timestamp() * factor):.6f}"))
            self._learn_number(_plain_number(str(int(abs(moment.timestamp()) * factor))))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the spans of numbers and dates in ``text`` that equal one of the values."""
        found: list[tuple[int, int]] = []
        if self._numbers:
            for match in chain(_NUMBER.finditer(text), _SPACED.finditer(text)):
                said = match[0].rstrip(".,'’_")
                if any(one in self._numbers for one in _numbers(said)):
                    found.append((match.start(), match.start() + len(said)))
        if self._dates and any(year in text for year in self._years):
            found += [(start, end) for start, end, day, clock in _dates(text) if self._is_known(day, clock)]
        if self._clocks and ":" in text:
            clocks = ((match, _clock(match)) for match in _CLOCK.finditer(text))
            found += [match.span() for match, clock in clocks if self._has(None, self._clocks, clock)]
        return found

    def _is_known(self, day: Day, clock: Clock | None) -> bool:
        known = self._dates.get(day, set())
        return None in known if clock is None else self._has(day, known, clock)

    def _has(self, day: Day | None, known: Collection[Clock | None], clock: Clock) -> bool:
        """Return whether a time is one of these; without seconds, any time of its minute."""
        if clock[2] is None:
            return (day, *clock[:2]) in self._minutes
        return clock in known or (*clock[:2], None) in known


def _plain_number(text: str) -> str | None:
    """Return a number without insignificant zeros; None if the text is not a number."""
    match = _PLAIN.fullmatch(text)
    return None if match is None else _joined(match[1], match[2] or "")


def _joined(whole: str, fraction: str) -> str:
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def _numbers(said: str) -> Iterator[str]:
    """Yield the possible values of digits with points, commas and other separators."""
    digits = re.sub(r"[^0-9.,]", "", said)
    parts = re.split(r"[.,]", digits)
    if len(parts) == 1 or len(parts[-1]) == 3:
        yield "".join(parts)
    if len(parts) > 1:
        yield _joined("".join(parts[:-1]), parts[-1])


def _dates(text: str) -> Iterator[tuple[int, int, Day, Clock | None]]:
    """Yield each date with its span, alone and with a time after it."""
    for pattern in _DATES:
        for match in pattern.finditer(text):
            for day in _days(match):
                yield match.start(), match.end(), day, None
                time = _TIME.match(text, match.end())
                if time is not None:
                    yield match.start(), time.end(), day, _clock(time)


def _days(match: re.Match[str]) -> Iterator[Day]:
    said = match.groupdict()
    digits = said["y"].lstrip("'")
    years = (int(digits),) if len(digits) == 4 else (1900 + int(digits), 2000 + int(digits))
    first = int(said["a"])
    if said.get("m"):
        pairs = {(_MONTH[said["m"].lower()], first)}
    else:
        second = int(said["b"])
        pairs = {(first, second), (second, first)}
    for year in years:
        for month, day in pairs:
            if 1 <= month <= 12 and 1 <= day <= 31:
                yield year, month, day


def _clock(match: re.Match[str]) -> Clock:
    hour = int(match["h"])
    if match["half"]:
        hour = hour % 12 + (12 if match["half"].lower() == "p" else 0)
    return hour, int(match["min"]), int(match["s"]) if match["s"] else None
