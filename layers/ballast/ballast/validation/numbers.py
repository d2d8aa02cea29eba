"""The numbers that a text names, whoever wrote them. Pure.

``1,234.50``, ``1.234,50``, ``1'234.50``, ``1 234,50`` and ``$1234.5`` are one number. Three digits after the only
separator are thousands (``40,000`` is no forty), for no money has three decimals. What is a part of something
else (``O-1001``, ``2026-11-25``, ``10:30``, ``40%``, ``5k``) is no number at all.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from ballast.validation.spelling import BREAKS, DASH_CLASS, DASHES, EN_DASH, WORD

_RUN = re.compile(r"[0-9]+(?:[.,'’ ][0-9]+)*")
#: More digits than this are a code, and no amount or count.
_MAX_DIGITS = 18
#: Currencies as people write them. Pounds are not among them: five pounds may be a weight.
_SIGN = r"[$€£¥₩₹₽₺₫₱₪₦฿¢]"
_CODES = "usd|eur|gbp|chf|jpy|cny|inr|brl|cad|aud|nzd|sek|nok|dkk|pln|czk|mxn|kr"
_WORDS = rf"(?:{_CODES}|dollars?|euros?|francs?|yen|rupees?|bucks)"
#: A letter that may not touch a number. Those of other scripts may: 退款40元, 40원.
_LETTER = r"[a-z_\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u052f]"
_BEFORE = re.compile(rf"(?:(?:(?<!{_LETTER})[a-z]{{1,3}})?{_SIGN}|(?<!{_LETTER})(?:{_CODES}|rs\.?))\s?$")
_AFTER = re.compile(rf"\s?{_SIGN}|[ -]?{_WORDS}(?!{_LETTER})")
_NO_NUMBER_AFTER = re.compile(
    rf"\s?%|{_LETTER}|(?![{BREAKS}][^0-9])(?!{EN_DASH}[^\W\d_]{{{WORD}}})[{DASH_CLASS}/:@][^\W_]"
    rf"|\s(?:thousand|millions?|mio|mrd|billions?|lakh|crore|dozen|percent)(?!{_LETTER})"
)
#: A word, and no part of a code, right before a dash.
_AFTER_WORD = re.compile(rf"(?<![^\s(\[])[^\W\d_]{{{WORD},}}$")


@dataclass(frozen=True, slots=True)
class Named:
    """A number that a text names.

    value     its value
    money     whether it is written as money is: with a currency, or with two decimals
    currency  whether a currency stands at it
    start, end  where, in the evened text
    """

    value: Decimal
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
    value = _value(text[start:end])
    before = _BEFORE.search(text, max(0, start - 8), start)
    after = _AFTER.match(text, end)
    begin = before.start() if before else start
    sign = _sign_before(text, begin, currency=before is not None or after is not None)
    if value is None or sign is None or (after is None and _NO_NUMBER_AFTER.match(text, end)):
        return None
    currency = before is not None or after is not None
    decimals = re.search(r"[.,][0-9]{2}$", text[start:end]) is not None
    return Named(sign * value, currency or decimals, currency, begin, after.end() if after else end)


def _sign_before(text: str, start: int, *, currency: bool) -> int | None:
    """Return 1 or -1 by what stands before a number, None where it is a part of something else.

    ``currency``: one stands at it, so that a hyphen behind a word is a dash: "what I paid-$84.50".
    """
    before, further = text[start - 1 : start], text[start - 2 : start - 1]
    if not before or before.isspace():
        return 1
    if before.isalnum() or before in "_@":
        return 1 if before >= "\u0e00" and not before.isdigit() else None
    if before in BREAKS:
        return None if further.isdigit() else 1
    if (before == EN_DASH or (before == "-" and currency)) and _AFTER_WORD.search(text, max(0, start - 40), start - 1):
        return 1
    if before in DASHES:
        return None if further.isalnum() else -1
    if before in ".,'’":
        return None if before == "." or further.isdigit() else 1
    if before in ":/":
        return None if further.isdigit() else 1
    return 1


def _value(text: str) -> Decimal | None:
    """Return what digits with their separators mean; None where they are no number."""
    parts, marks = re.split(r"[.,'’ ]", text), re.findall(r"[.,'’ ]", text)
    if not marks:
        return Decimal(text)
    last, before = marks[-1], set(marks[:-1])
    if before <= {last} and _grouped(parts):
        return Decimal("".join(parts))
    if last in ".," and (not before or (len(before) == 1 and last not in before and _grouped(parts[:-1]))):
        return Decimal("".join(parts[:-1]) + "." + parts[-1])
    return None


def _grouped(parts: list[str]) -> bool:
    """Say whether the parts are thousands, or lakhs and crores: 1,234,567 and 12,34,567."""
    head, *middle, tail = parts
    western = len(head) <= 3 and all(len(one) == 3 for one in middle)
    indian = len(head) <= 2 and all(len(one) == 2 for one in middle)
    return len(tail) == 3 and head[0] != "0" and (western or indian)
