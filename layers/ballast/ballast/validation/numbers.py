"""Numbers and days in a text, in people's spellings. Pure.

``1,234.50``, ``1.234,50``, ``1'234.50``, ``1 234,50`` and ``$1234.5`` are one number. Three digits after the only
separator are thousands (``40,000`` is not forty), because money has no three decimals. A part of something else
(``O-1001``, ``2026-11-25``, ``10:30``, ``40%``, ``5k``) is not a number. Days are ``May 24``, ``24th of May 2026``,
``24.05.`` or ``5/24``; ``05/06`` is both the fifth of June and the sixth of May.
"""

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from ballast.regex import regex
from ballast.validation.words import BREAKS, DASH_CLASS, DASHES, EN_DASH, WORD
from ballast.values import dataclass

_RUN = regex(r"[0-9]+(?:[.,'’ ][0-9]+)*")
#: More digits than this are a code, not an amount or a count.
_MAX_DIGITS = 18
#: Currencies as people write them. Not cents: 40¢ and 40 cents are numbers, and never the amount 40.
_SIGN = r"[$€£¥₩₹₽₺₫₱₪₦฿]"
_CODES = (
    "usd|eur|gbp|chf|jpy|cny|inr|brl|cad|aud|nzd|sek|nok|dkk|pln|czk|mxn|huf|hkd|sgd|krw|zar|ils|aed|thb|twd|uah|rub|kr"
    "|zł|zl|kč"
)
_WORDS = (
    rf"(?:{_CODES}|dollars?|euros?|francs?|franken|yen|yuan|rupees?|rupien|bucks|quid(?! pro quo)"
    r"|zlot[a-z]{1,2}|złot[a-zy]{1,2}|kron(?:a|or|er|e|en)|pesos?|reais|rubles?|forints?|shekels?)"
)
#: Letters that may not touch a number. Those of other scripts may: 退款40元, 40원.
_LETTER = r"[a-z_\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u052f]"
_BEFORE = regex(rf"(?:(?:(?<!{_LETTER})[a-z]{{1,3}})?{_SIGN}|(?<!{_LETTER})(?:{_CODES}|rs\.?))\s?$")
_WHOSE = r"(?:us|u\.s\.|american|canadian|australian|singapore|hong kong|new zealand|mexican|swiss)"
_AFTER = regex(rf"\s?(?:(?:us|ca|au|nz|hk|sg)?{_SIGN}|[원円元圆圓])|[ -]?(?:{_WHOSE}[ -])?{_WORDS}(?!{_LETTER})")
#: Pounds may be a weight: of something, that something weighs or has, or that somebody lost.
_POUNDS = regex(
    rf"[ -]?pounds?(?:(?P<money> sterling)|(?!\s+(?:of|heav(?:y|ier)|light(?:er)?|over ?weight|under ?weight|in weight"
    rf"|on (?:the|a|my|your) scales?|bag|bags|baggage|luggage|suitcases?|dumbbells?|weights?|parcels?|packages?)\b))"
    rf"(?!{_LETTER})"
)
_ABOUT = r"(?: (?:about|around|over|almost|nearly|another|only|just|some|at least|up to|more than|less than|roughly))?"
_WEIGHS = regex(
    r"(?:weigh|heav|gewicht|wieg|pesa)[^.!?]{0,24}$"
    r"|(?:bagg?age|luggage|suitcase|dumbbell|scales?|lift|carr(?:y|ie))(?:(?!cost|pa(?:y|id)|pric|refund|worth|fee|charg)"
    r"[^.!?,;:]){0,24}$"
    rf"|(?<![^\W_])(?:ha[sd]|have|having|los(?:t|es?|ing)|gain(?:s|ed|ing)?|put(?:s|ting)? on|shed|drop(?:s|ped|ping)?)"
    rf"{_ABOUT} $"
)
#: Spellings of zero cents: 40,- and 40.—
_NO_CENTS = regex(rf"[.,]\s?[{DASH_CLASS}]{{1,2}}(?![^\W_])")
#: A number on the other side of a currency.
_DIGIT_BEFORE, _DIGIT_AFTER = regex(r"[0-9] ?$"), regex(r" ?[0-9]")
_NO_NUMBER_AFTER = regex(
    rf"\s?%|{_LETTER}|(?![{BREAKS}][^0-9])(?!{EN_DASH}[^\W\d_]{{{WORD}}})[{DASH_CLASS}/:@][^\W_]"
    rf"|\s(?:thousand|millions?|mio|mrd|billions?|lakh|crore|dozen|percent)(?!{_LETTER})"
)
#: What may follow a price: $84.50/month, $84.50-and
_PER = regex(rf"/{_LETTER}|-{_LETTER}{{{WORD}}}")
#: The two ends of a range: $80–$84.50, 80–84.50 dollars. A hyphen stands in many codes; there it must look like money.
_PLAIN = r"[0-9]{1,9}(?:[.,][0-9]{3}){0,3}(?:[.,][0-9]{1,2})?"
_FROM = regex(
    rf"(?<![^\s(\[:=~])(?P<sign>(?:[a-z]{{0,3}}{_SIGN}|(?:{_CODES}))\s?)?{_PLAIN}"
    rf"(?P<after>\s?{_SIGN}|\s?(?:{_CODES}))?(?P<dash>[{DASH_CLASS}])$"
)
_TO = regex(
    rf"(?P<dash>[{DASH_CLASS}])(?P<sign>(?:[a-z]{{0,3}}{_SIGN}|(?:{_CODES}))\s?)?{_PLAIN}(?P<cents>(?<=[.,][0-9]{{2}}))?"
    rf"(?P<after>{_AFTER.pattern})?(?![^\W_]|[.,]?[{DASH_CLASS}/.,:][0-9])"
)
#: A word that is not part of a code, right before a dash or an amount.
_AFTER_WORD = regex(rf"(?<![^\s(\[])[^\W\d_]{{{WORD},}}$")


@dataclass(frozen=True, slots=True)
class TextNumber:
    """A number in a text.

    value     its value
    money     whether it is written like money: with a currency, or with two decimals
    currency  whether it has a currency
    start, end  its span in the normalized text
    certain   False: the currency is pounds, which may be a weight
    """

    value: Decimal
    money: bool
    currency: bool
    start: int
    end: int
    certain: bool = True


def numbers(normalized: str) -> Iterator[TextNumber]:
    """Yield the numbers in a normalized text (``words.normalize``)."""
    for run in _RUN.finditer(normalized):
        if normalized[run.start() - 1 : run.start()] == "+":
            continue  # a phone number
        for start, end in _pieces(run):
            found = _text_number(normalized, start, end)
            if found is not None:
                yield found


def _pieces(run: re.Match[str]) -> Iterator[tuple[int, int]]:
    """Yield the whole run if its spaces group thousands, else its parts between the spaces."""
    groups = run.group().split(" ")
    thousands = len(groups) > 1 and len(groups[0]) <= 3 and all(re.fullmatch(r"[0-9]{3}", one) for one in groups[1:-1])
    if thousands and re.fullmatch(r"[0-9]{3}(?:[.,][0-9]{1,2})?", groups[-1]) and groups[0].isdigit():
        yield run.span()
        return
    start = run.start()
    for group in groups:
        yield start, start + len(group)
        start += len(group) + 1


def _text_number(text: str, start: int, end: int) -> TextNumber | None:
    if sum(char.isdigit() for char in text[start:end]) > _MAX_DIGITS:
        return None
    value = _value(text[start:end])
    no_cents = _NO_CENTS.match(text, end)
    end_of_number, end = end, no_cents.end() if no_cents else end
    before, after = _currency(text, start, end)
    certain = before is not None or after is not None
    after = after or _pounds(text, start, end)
    currency = before is not None or after is not None
    decimals = re.search(r"[.,][0-9]{2}$", text[start:end_of_number]) is not None
    begin, end = before.start() if before else start, after.end() if after else end
    looks_like_money = before is not None or (decimals and currency)
    first, second = _range(text, begin, end, currency=currency, looks_like_money=looks_like_money)
    sign = 1 if first is not None else _sign_before(text, begin, currency=currency, glued=looks_like_money)
    goes_on = after is None and not second and _NO_NUMBER_AFTER.match(text, end)
    if value is None or sign is None or (goes_on and not (before and _PER.match(text, end))):
        return None
    certain, currency = certain or second or first is not None, currency or second or first is not None
    # A label before a range applies to both ends.
    return TextNumber(sign * value, currency or decimals, currency, begin if first is None else first, end, certain)


def _range(text: str, begin: int, end: int, *, currency: bool, looks_like_money: bool) -> tuple[int | None, bool]:
    """Return where the range begins that the amount ends (else None), and whether a range begins with it. One end has a
    currency."""
    first = _FROM.search(text, max(0, begin - 32), begin)
    if first and not (currency or first["sign"] or first["after"]):
        first = None
    if first and first["dash"] == "-" and not (looks_like_money or first["sign"]):
        first = None
    second = _TO.match(text, end)
    if second and not (currency or second["sign"] or second["after"]):
        second = None
    if second and second["dash"] == "-" and not (second["sign"] or second["cents"] is not None):
        second = None
    return first.start() if first else None, second is not None


def _currency(text: str, start: int, end: int) -> tuple[re.Match[str] | None, re.Match[str] | None]:
    """Return the currency before a number and the one after it, unless it may belong to another number.

    Between two numbers it belongs to the nearer one: "room 12 $40", "40€ 50€"; in "12 USD 40" to neither.
    """
    before, after = _BEFORE.search(text, max(0, start - 8), start), _AFTER.match(text, end)
    if before and (last := _DIGIT_BEFORE.search(text, max(0, before.start() - 2), before.start())):
        before = before if len(last.group()) - 1 > _gap(before.group()) else None
    if after and (following := _DIGIT_AFTER.match(text, after.end())):
        after = after if len(following.group()) - 1 > _gap(after.group()) else None
    return before, after


def _gap(currency: str) -> int:
    return len(currency) - len(currency.strip(" -"))


def _pounds(text: str, start: int, end: int) -> re.Match[str] | None:
    found = _POUNDS.match(text, end)
    if found is None or found["money"]:
        return found
    return None if _WEIGHS.search(text, max(0, start - 40), start) else found


def _sign_before(text: str, start: int, *, currency: bool, glued: bool) -> int | None:
    """Return 1 or -1 by the character before a number, None if the number is part of something else.

    ``currency``: it has one, so a hyphen after a word is a dash: "what I paid-$84.50". ``glued``: it looks like money,
    so a word may touch it: "refund84.50 dollars".
    """
    before, further = text[start - 1 : start], text[start - 2 : start - 1]
    if not before or before.isspace():
        return 1
    if glued and before.isalpha() and _AFTER_WORD.search(text, max(0, start - 40), start):
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
        return None if (before == "." and further != ".") or further.isdigit() else 1
    if before in ":/":
        return None if further.isdigit() else 1
    return 1


def _value(text: str) -> Decimal | None:
    """Return the value of digits with separators; None if they are not a number."""
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
    """Return whether the parts are thousands, or lakhs and crores: 1,234,567 and 12,34,567."""
    head, *middle, tail = parts
    western = len(head) <= 3 and all(len(one) == 3 for one in middle)
    indian = len(head) <= 2 and all(len(one) == 2 for one in middle)
    return len(tail) == 3 and head[0] != "0" and (western or indian)


#: Year (None if the text has none), month and day.
Day = tuple[int | None, int, int]

_MONTHS = (
    "jan", "feb", "mar|mär", "apr", "may|mai", "jun", "jul", "aug", "sep", "oct|okt", "nov", "dec|dez",
)  # fmt: skip
_MONTH = rf"(?P<month>(?:{'|'.join(_MONTHS)})[^\W\d_]{{0,6}})\.?"
_DAY, _YEAR = r"(?P<day>[0-3]?[0-9])(?:st|nd|rd|th|\.)?", r"(?:,?\s(?P<year>(?:19|20)[0-9]{2}))?"
_SPELLINGS = (
    regex(rf"(?<![^\W_]){_MONTH}\s(?:the\s)?{_DAY}{_YEAR}(?![^\W_])"),
    regex(rf"(?<![^\W_]){_DAY}\s(?:of\s)?{_MONTH}{_YEAR}(?![^\W_])"),
    regex(r"(?<![\w./-])(?P<year>(?:19|20)[0-9]{2})-(?P<month>[01][0-9])-(?P<day>[0-3][0-9])(?![0-9-])"),
)
_NUMERIC = regex(r"(?<![\w./-])([0-3]?[0-9])([./])([0-3]?[0-9])(?:\2((?:19|20)?[0-9]{2})?)?(?![\w/])")
_ISO = regex(r"((?:19|20)[0-9]{2})-([01][0-9])-([0-3][0-9])", re.ASCII)

_HALF_A_YEAR = 183


def days_in(normalized: str) -> Iterator[Day]:
    """Yield the days in a normalized text."""
    for spelling in _SPELLINGS:
        for found in spelling.finditer(normalized):
            year, month = found["year"], found["month"]
            number = int(month) if month.isdigit() else _month(month)
            yield int(year) if year else None, number, int(found["day"])
    for one, _, other, year in _NUMERIC.findall(normalized):
        full = int(year) + (0 if len(year) == 4 else 2000) if year else None
        yield full, int(one), int(other)
        yield full, int(other), int(one)


def is_nearest(day: date, on: date) -> bool:
    """Return whether a month and day without a year, written on ``on``, mean ``day``: this year's, the next to come, or
    last year's if it is at most six months ago.
    """
    if day.year == on.year:
        return True
    if day.year == on.year + 1:
        return (day.month, day.day) < (on.month, on.day)
    return day.year == on.year - 1 and (on - day).days <= _HALF_A_YEAR


def _month(name: str) -> int:
    return next(at for at, start in enumerate(_MONTHS, start=1) if name.startswith(tuple(start.split("|"))))


def day_of(value: object) -> tuple[int, int, int] | None:
    """Return a value that is a day; None for other values and for a day with a time."""
    found = _ISO.fullmatch(str(value))
    if found is None:
        return None
    try:
        day = date(*map(int, found.groups()))
    except ValueError:
        return None
    return day.year, day.month, day.day
