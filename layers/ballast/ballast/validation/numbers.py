"""The numbers that a text names, each in every way that it can be read. Pure.

``1,234.50``, ``1.234,50``, ``1'234.50``, ``1 234,50`` and ``$1234.5`` are one number. What is ambiguous
(``1.234``) has both readings; what is a part of something else (``O-1001``, ``2026-11-25``, ``10:30``, ``40%``,
``5k``) is no number at all.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from ballast.validation.spelling import DASH_CLASS, DASHES

_RUN = re.compile(r"[0-9]+(?:[.,'’ ][0-9]+)*")
#: More digits than this are a code, and no amount or count.
_MAX_DIGITS = 18
#: Currencies as people write them. Pounds are not among them: five pounds may be a weight.
_SIGN = r"[$€£¥₩₹₽₺₫₱₪₦฿¢]"
_CODES = "usd|eur|gbp|chf|jpy|cny|inr|brl|cad|aud|nzd|sek|nok|dkk|pln|czk|mxn|kr"
_WORDS = rf"(?:{_CODES}|dollars?|euros?|francs?|yen|rupees?|bucks)"
_BEFORE = re.compile(rf"(?:(?:(?<![^\W_])[a-z]{{1,3}}\s?)?{_SIGN}|(?<![^\W_])(?:{_CODES}|rs\.?))\s?$")
_AFTER = re.compile(rf"\s?{_SIGN}|[ -]?{_WORDS}(?![^\W_])")
#: A letter of a script that writes no space between a number and its unit may follow: 40원.
_LETTER = r"[^\W\d_\u0530-\U0010ffff]"
_NO_NUMBER_AFTER = re.compile(
    rf"\s?%|{_LETTER}|[{DASH_CLASS}_/:@][^\W_]"
    r"|\s(?:thousand|millions?|mio|mrd|billions?|lakh|crore|dozen|percent)(?![^\W_])"
)


@dataclass(frozen=True, slots=True)
class Named:
    """A number that a text names.

    readings  its possible values
    money     whether it is written as money is: with a currency, or with two decimals
    currency  whether a currency stands at it
    start, end  where, in the evened text
    """

    readings: frozenset[Decimal]
    money: bool
    currency: bool
    start: int
    end: int


def numbers(evened: str) -> Iterator[Named]:
    """Yield the numbers that a text names; it was evened (``spelling.even``)."""
    for run in _RUN.finditer(evened):
        if evened[run.start() - 1 : run.start()] == "+":
            continue  # a phone number
        for start, end in _pieces(run):
            found = _named(evened, start, end)
            if found is not None:
                yield found


def _pieces(run: re.Match[str]) -> Iterator[tuple[int, int]]:
    """Yield the run whole where its spaces group thousands, else what stands between the spaces."""
    groups = run.group().split(" ")
    thousands = len(groups) > 1 and len(groups[0]) <= 3 and all(re.fullmatch(r"[0-9]{3}", one) for one in groups[1:-1])
    if thousands and re.fullmatch(r"[0-9]{3}(?:[.,][0-9]{1,2})?", groups[-1]) and groups[0].isdigit():
        yield run.span()
        return
    start = run.start()
    for group in groups:
        yield start, start + len(group)
        start += len(group) + 1


def _named(text: str, start: int, end: int) -> Named | None:
    if sum(char.isdigit() for char in text[start:end]) > _MAX_DIGITS:
        return None
    readings = _readings(text[start:end])
    before = _BEFORE.search(text, max(0, start - 8), start)
    after = _AFTER.match(text, end)
    begin = before.start() if before else start
    sign = _sign_before(text, begin)
    if not readings or sign is None or (after is None and _NO_NUMBER_AFTER.match(text, end)):
        return None
    currency = before is not None or after is not None
    decimals = re.search(r"[.,][0-9]{2}$", text[start:end]) is not None
    finish = after.end() if after else end
    return Named(frozenset(sign * value for value in readings), currency or decimals, currency, begin, finish)


def _sign_before(text: str, start: int) -> int | None:
    """Return 1 or -1 by what stands before a number, None where it is a part of something else."""
    before, further = text[start - 1 : start], text[start - 2 : start - 1]
    if not before or before.isspace():
        return 1
    if before.isalnum() or before in "_@":
        return 1 if before >= "\u0e00" and not before.isdigit() else None
    if before in DASHES:
        return None if further.isalnum() else -1
    if before in ".,'’":
        return None if before == "." or further.isdigit() else 1
    if before in ":/":
        return None if further.isdigit() else 1
    return 1


def _readings(text: str) -> frozenset[Decimal]:
    """Return what digits with their separators may mean."""
    parts = re.split(r"[.,'’ ]", text)
    marks = re.findall(r"[.,'’ ]", text)
    if not marks:
        return frozenset({Decimal(text)})
    last, grouping = marks[-1], set(marks[:-1])
    found: set[Decimal] = set()
    if last in ".," and (not grouping or (len(grouping) == 1 and last not in grouping and _grouped(parts[:-1]))):
        found.add(Decimal("".join(parts[:-1]) + "." + parts[-1]))
    if len(set(marks)) == 1 and _grouped(parts):
        found.add(Decimal("".join(parts)))
    return frozenset(found)


def _grouped(parts: list[str]) -> bool:
    """Say whether the parts are thousands, or lakhs and crores: 1,234,567 and 12,34,567."""
    head, *middle, tail = parts
    western = len(head) <= 3 and all(len(one) == 3 for one in middle)
    indian = len(head) <= 2 and all(len(one) == 2 for one in middle)
    return len(tail) == 3 and head[0] != "0" and (western or indian)
