"""How Python writes a value of its own types: in a traceback, in a model's repr, in a message that a tool made. Pure.

====================  ===================================================================
date, datetime        ``datetime.date(1990, 5, 17)``, ``year=1990, month=5, day=17``
time, timedelta       ``datetime.time(10, 30)``, ``datetime.timedelta(seconds=5400)``, ``1:30:00``
Decimal, enum         ``Decimal('7.5')``, ``1000`` for ``1E+3``, ``<Card.GOLD: 'g'>``, ``Card.GOLD``
bytes, secrets        ``b'…'``, hexadecimal, base64, the text; what a ``SecretStr`` holds
UUID, addresses       without dashes, as a number, shortened and in full
anything else         ``str`` and ``repr``
====================  ===================================================================
"""

import base64
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from itertools import permutations
from typing import Any
from uuid import UUID

from pydantic import NameEmail, SecretBytes, SecretStr

_PLAIN = (str, int, float)
_NETWORK = (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)
#: A number with more digits is not written out.
_MOST_DIGITS = 100
#: Of a set with more members its own order alone is known.
_MOST_OF_A_SET = 5
_DURATION = re.compile(
    r"(?P<sign>[-+]?)P(?:(?P<weeks>[0-9]{1,9})W)?(?:(?P<days>[0-9]{1,9}(?:\.[0-9]{1,9})?)D)?"
    r"(?:T(?:(?P<hours>[0-9]{1,9}(?:\.[0-9]{1,9})?)H)?(?:(?P<minutes>[0-9]{1,9}(?:\.[0-9]{1,9})?)M)?"
    r"(?:(?P<seconds>[0-9]{1,12}(?:\.[0-9]{1,9})?)S)?)?"
)


def as_python_writes(value: Any) -> Iterator[str]:
    """Yield the texts that Python makes of a value that a model holds; a text is yielded as it is."""
    if isinstance(value, Enum):
        yield from (f"{type(value).__name__}.{value.name}", value.name)
        yield from as_python_writes(value.value)
    elif isinstance(value, _PLAIN):
        yield str.__str__(value) if isinstance(value, str) else str(value)
    elif isinstance(value, SecretStr | SecretBytes):
        yield from as_python_writes(value.get_secret_value())
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
        # The same set has another order where it was made in another one.
        yield from (f"{{{', '.join(way)}}}" for way in permutations(map(repr, value)))
    if not isinstance(value, _PLAIN) or isinstance(value, Enum):
        yield from (str(value), repr(value))


def _of_bytes(value: bytes) -> Iterator[str]:
    yield from (value.hex(), base64.b64encode(value).decode(), base64.urlsafe_b64encode(value).decode())
    yield value.decode("utf-8", "backslashreplace")


def days_written(day: tuple[int, int, int]) -> Iterator[str]:
    """Yield how Python writes the numbers of a date."""
    year, month, number = day
    yield f"{year}, {month}, {number}"
    yield f"year={year}, month={month}, day={number}"
    yield f"'year': {year}, 'month': {month}, 'day': {number}"
    yield f"tm_year={year}, tm_mon={month}, tm_mday={number}"


def clocks_written(clock: tuple[int, int, int | None]) -> Iterator[str]:
    """Yield how Python writes the numbers of a time of day."""
    hour, minute, second = clock
    yield f"time({hour}, {minute}" + (f", {second}" if second else "")
    yield f"hour={hour}, minute={minute}" + (f", second={second}" if second else "")


def moment_of(text: str) -> datetime | None:
    """Return the moment that a text in ISO 8601 names; None where it names none. Without an offset it is UTC."""
    try:
        made = datetime.fromisoformat(text) if len(text) > len("1990-05-17") else None
    except ValueError:
        return None
    return made if made is None or made.tzinfo else made.replace(tzinfo=UTC)


def moments_written(moment: datetime) -> Iterator[str]:
    """Yield how Python writes the numbers of a moment: as it is, and in UTC."""
    for one in _in_zones(moment):
        yield repr(one.replace(tzinfo=None, fold=0)).partition("(")[2].removesuffix(")")


def _in_zones(moment: datetime) -> Iterator[datetime]:
    yield moment
    try:
        yield moment.astimezone(UTC)
    except OverflowError:  # the first or the last day that there is
        return


def other_zones(moment: datetime) -> Iterator[datetime]:
    """Yield the moment in UTC where it is in another zone."""
    yield from (one for one in _in_zones(moment) if one.utcoffset() != moment.utcoffset())


def duration_of(text: str) -> timedelta | None:
    """Return the duration that a text in ISO 8601 names; None where it names none."""
    found = _DURATION.fullmatch(text)
    if found is None or text[-1] in "PT":
        return None
    parts = {name: float(said) for name, said in found.groupdict().items() if said and name != "sign"}
    try:
        made = timedelta(**parts)
    except OverflowError:
        return None
    return -made if found["sign"] == "-" else made


def durations_written(duration: timedelta) -> Iterator[str]:
    """Yield how Python writes a duration."""
    yield str(duration)
    yield repr(duration).partition("(")[2].removesuffix(")")
