"""The days that a text names, in the spellings of people: "May 24", "24th of May 2026", "24.05.", "5/24". Pure.

``05/06`` is the fifth of June and the sixth of May: a text that says it names both.
"""

import re
from collections.abc import Iterator
from datetime import date

#: Year (None where the text says none), month and day.
Day = tuple[int | None, int, int]

_MONTHS = (
    "jan", "feb", "mar|mär", "apr", "may|mai", "jun", "jul", "aug", "sep", "oct|okt", "nov", "dec|dez",
)  # fmt: skip
_MONTH = rf"(?P<month>(?:{'|'.join(_MONTHS)})[^\W\d_]{{0,6}})\.?"
_DAY, _YEAR = r"(?P<day>[0-3]?[0-9])(?:st|nd|rd|th|\.)?", r"(?:,?\s(?P<year>(?:19|20)[0-9]{2}))?"
_SPELLINGS = (
    re.compile(rf"(?<![^\W_]){_MONTH}\s(?:the\s)?{_DAY}{_YEAR}(?![^\W_])"),
    re.compile(rf"(?<![^\W_]){_DAY}\s(?:of\s)?{_MONTH}{_YEAR}(?![^\W_])"),
    re.compile(r"(?<![\w./-])(?P<year>(?:19|20)[0-9]{2})-(?P<month>[01][0-9])-(?P<day>[0-3][0-9])(?![0-9-])"),
)
_NUMERIC = re.compile(r"(?<![\w./-])([0-3]?[0-9])([./])([0-3]?[0-9])(?:\2((?:19|20)?[0-9]{2})?)?(?![\w/])")
_ISO = re.compile(r"((?:19|20)[0-9]{2})-([01][0-9])-([0-3][0-9])", re.ASCII)

_HALF_A_YEAR = 183


def days_in(evened: str) -> Iterator[Day]:
    """Yield the days that an evened text names."""
    for spelling in _SPELLINGS:
        for found in spelling.finditer(evened):
            year, month = found["year"], found["month"]
            number = int(month) if month.isdigit() else _month(month)
            yield int(year) if year else None, number, int(found["day"])
    for one, _, other, year in _NUMERIC.findall(evened):
        full = int(year) + (0 if len(year) == 4 else 2000) if year else None
        yield full, int(one), int(other)
        yield full, int(other), int(one)


def is_nearest(day: date, on: date) -> bool:
    """Say whether who names month and day without a year on ``on`` means ``day``: this year's, or the next to come.

    Or last year's, where that is at most six months ago.
    """
    if day.year == on.year:
        return True
    if day.year == on.year + 1:
        return (day.month, day.day) < (on.month, on.day)
    return day.year == on.year - 1 and (on - day).days <= _HALF_A_YEAR


def _month(name: str) -> int:
    return next(at for at, start in enumerate(_MONTHS, start=1) if name.startswith(tuple(start.split("|"))))


def day_of(value: object) -> tuple[int, int, int] | None:
    """Return the day that a value is; None where it is something else, or a day with a time."""
    found = _ISO.fullmatch(str(value))
    if found is None:
        return None
    try:
        day = date(*map(int, found.groups()))
    except ValueError:
        return None
    return day.year, day.month, day.day
