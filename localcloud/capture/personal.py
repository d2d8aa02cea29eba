"""Card numbers, IBANs, international phone numbers and e-mail addresses in a text, in every spelling. Pure.

::

    IBAN de75-5121-0800-1245-1261-99 BIC SSKMDEMM       de75-5121-0800-1245-1261-99
    card ４５３９ 1488.0343/6467 12/27                   ４５３９ 1488.0343/6467
    mia (at) acme (dot) com, 0049 170 1234567           both
    2026-11-30 13:45:20, 4539.00 1488.00, O-4539148803  nothing

A text is read as the masker of sealed values reads it: escapes, invisible characters and full width do not matter. A
number begins and ends where a group does. Of the ends that are possible, the longest with valid check digits is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from ballast.masking import decoded

Kind = Literal["e-mail", "IBAN", "card", "phone"]


@dataclass(frozen=True)
class Personal:
    """A personal value. start, end: its place in the text; shown: how it is written; value: what all spellings share"""

    kind: Kind
    start: int
    end: int
    shown: str
    value: str


def luhn(digits: str) -> int:
    """Return the check digit that follows ``digits``."""
    total = 0
    for at, one in enumerate(reversed(digits)):
        twice = int(one) * (2 if at % 2 == 0 else 1)
        total += twice - 9 if twice > 9 else twice
    return -total % 10


def iban_check(country: str, account: str) -> str:
    """Return the two check digits of an IBAN (ISO 7064, mod 97-10)."""
    number = "".join(str(int(one, 36)) for one in f"{account}{country}00")
    return f"{98 - int(number) % 97:02d}"


def personal_in(text: str) -> list[Personal]:
    """Return the personal values in a text, in order and without overlaps."""
    spelling = decoded(text, plus="+")
    seen, found = spelling.text, list[Personal]()
    taken = [False] * len(seen)
    looks: tuple[tuple[Kind, Callable[[str], Iterator[tuple[int, int, str]]]], ...] = (
        ("e-mail", _emails),
        ("IBAN", _ibans),
        ("card", _cards),
        ("phone", _phones),
    )
    for kind, look in looks:
        for start, end, value in look(seen):
            if not any(taken[start:end]):
                taken[start:end] = [True] * (end - start)
                found.append(Personal(kind, *spelling.span(start, end), seen[start:end], value))
    return sorted(found, key=lambda one: one.start)


# E-mail addresses

_AT = r"(?:\s{0,2}@\s{0,2}|\s{0,2}[(\[{<]\s?(?:at|a|ät|@)\s?[)\]}>]\s{0,2}| at (?=[\w-]+(?: dot [\w-]+)+))"
_DOT = r"(?:\x20?[.。]|\s{0,2}[(\[{<]\s?(?:dot|\.)\s?[)\]}>]\s{0,2}| dot )"
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_EMAIL = re.compile(
    rf"(?i)(?<![\w.%+-])(?:\"[^\"\n]{{1,64}}\"|[\w%+'-](?:[\w.%+'-]|{_DOT}(?=\w)){{0,100}}){_AT}(?:{_LABEL}{_DOT}){{1,8}}(?=[^\W\d_]{{2}}){_LABEL}"
)


def _emails(text: str) -> Iterator[tuple[int, int, str]]:
    for found in _EMAIL.finditer(text):
        value = re.sub(_DOT, ".", re.sub(_AT, "@", found[0].lower(), count=1))
        yield found.start(), found.end(), value


# Groups of letters and digits

#: What may stand between the groups of a number; at most four signs.
_GAP = re.compile(r"[\s\-./_·:,'()|+]{1,4}")
_GROUP = re.compile(r"[0-9A-Za-z]+")
#: The longest number of each kind, and so the most groups that are looked at.
_MOST_IBAN, _MOST_CARD = 34, 19


@dataclass(frozen=True)
class _Group:
    """A group of letters and digits. gap: what stands before it, None where no number can go on"""

    start: int
    chars: str
    gap: str | None

    @property
    def end(self) -> int:
        return self.start + len(self.chars)


def _groups(text: str) -> list[_Group]:
    made: list[_Group] = []
    for found in _GROUP.finditer(text):
        between = text[made[-1].end : found.start()] if made else ""
        made.append(_Group(found.start(), found[0], between if made and _GAP.fullmatch(between) else None))
    return made


# IBANs

_LENGTHS = {
    country: int(length)
    for length, countries in re.findall(
        r"(\d+)((?: [A-Z]{2})+)",
        "15 NO 16 BE 18 DK FI FK FO GL NL SD 19 MK SI 20 AT BA EE KZ LT LU MN XK 21 CH HR LI LV "
        "22 BG BH CR DE GB GE IE ME RS VA 23 AE GI IL IQ OM SO TL 24 AD CZ ES MD PK RO SA SE SK TN VG 25 LY PT ST "
        "26 IS TR 27 BI DJ FR GR IT MC MR SM 28 AL AZ BY CY DO GT HU LB NI PL SV 29 BR EG PS QA UA 30 JO KW MU YE "
        "31 MT SC 32 LC 33 RU",
    )
    for country in countries.split()
}
_LEAST_IBAN = 15
_BEGINS = re.compile(r"(?:[A-Z]{3,20}?)??(?P<iban>[A-Z]{2}[0-9]{2}[0-9A-Z]*|[A-Z]{1,2}[0-9]?)$")


def _ibans(text: str) -> Iterator[tuple[int, int, str]]:
    groups, after = _groups(text), 0
    for at, group in enumerate(groups):
        begins = _BEGINS.match(group.chars.upper())
        start = group.start + (begins.start("iban") if begins else 0)
        if begins is None or start < after:
            continue
        if (found := _iban_from(groups, at, start)) is not None:
            after, value = found
            yield start, after, value


def _iban_from(groups: list[_Group], at: int, start: int) -> tuple[int, str] | None:
    """Return the end and the value of the IBAN that begins there: of its country's length, else the longest."""
    chars, places, ends = "", list[int](), list[int]()
    for group in groups[at:]:
        if chars and group.gap is None:
            break
        skipped = max(0, start - group.start)
        chars += group.chars[skipped:].upper()
        places += range(group.start + skipped, group.end)
        ends.append(len(chars))
        if len(chars) >= _MOST_IBAN:
            break
    if not re.match(r"[A-Z]{2}[0-9]{2}", chars):
        return None
    known = _LENGTHS.get(chars[:2], 0)
    for length in (known, *reversed(ends)):
        if _LEAST_IBAN <= length <= min(len(chars), _MOST_IBAN) and _is_iban(chars[:length]):
            return places[length - 1] + 1, chars[:length]
    return None


def _is_iban(text: str) -> bool:
    return iban_check(text[:2], text[4:]) == text[2:4]


# Card numbers

_LEAST_CARD = 13
#: How the numbers of card networks begin, with their lengths. Times since 1970, and dates that begin with the year, do
#: not begin so.
_ISSUED = re.compile(
    r"4[0-9]{12,18}|[56][0-9]{15,18}|3[47][0-9]{13}|30[0-5][0-9]{11}|3[689][0-9]{12,17}|35[0-9]{14,17}|"
    r"2(?:2[0-9]|[3-6][0-9]|7[01]|720)[0-9]{13}[0-9]?|8[126][0-9]{14,17}|9(?:792|860)[0-9]{12}|1[0-9]{14}"
)


#: What a card is called. Glued to a number it is no part of it; other letters with a sign behind them begin an id.
_CARD = r"(?:card|karte|visa|master|maestro|amex|american express|diners|credit|debit|pan|cc|cvc)[a-z]{0,8}"
_GLUED = re.compile(rf"(?i){_CARD}(?=[0-9])")
_ID = re.compile(rf"(?i)(?<![^\W\d_])(?!{_CARD}[_-])[^\W\d_]+[_-]$")
_NAMED = re.compile(rf"(?i){_CARD}\W{{0,4}}(?:[^\W\d_]{{1,12}}\W{{1,3}}){{0,3}}$")
#: In one block fewer digits than this may as well be an article's, a parcel's or a time's.
_LEAST_BLOCK = 15


def _cards(text: str) -> Iterator[tuple[int, int, str]]:
    groups, after = _groups(text), 0
    for at, group in enumerate(groups):
        glued = _GLUED.match(group.chars)
        first = group if glued is None else _Group(group.start + glued.end(), group.chars[glued.end() :], None)
        if first.start < after or not first.chars.isdigit() or _ID.search(text[max(0, first.start - 40) : first.start]):
            continue
        run = [first]
        for following in groups[at + 1 : at + _MOST_CARD]:
            if following.gap is None or not following.chars.isdigit():
                break
            run.append(following)
        if (found := _card_of(run)) is None:
            continue
        is_short_block = len(found[1]) == len(first.chars) < _LEAST_BLOCK
        if not is_short_block or _NAMED.search(text[max(0, first.start - 60) : first.start]):
            after, value = found
            yield first.start, after, value


def _card_of(run: list[_Group]) -> tuple[int, str] | None:
    """Return the end and the value of the longest card number that these groups begin with."""
    for length in range(len(run), 0, -1):
        digits = "".join(one.chars for one in run[:length])
        if _LEAST_CARD <= len(digits) <= _MOST_CARD and _is_written_as_one(run[:length]) and _is_card(digits):
            return run[length - 1].end, digits
    return None


def _is_written_as_one(groups: list[_Group]) -> bool:
    """Whether groups are of one number: not a date with a time, not a list of amounts, not one with thousands."""
    sizes = [len(one.chars) for one in groups]
    signs = {"".join((one.gap or "").split()) for one in groups[1:]} - {""}
    lists = any(one.gap is not None and re.search(r"[,:]\s|\s,", one.gap) for one in groups[1:])
    alike = all(size == sizes[0] for size in sizes[:-1]) and (len(sizes) == 1 or sizes[-1] <= max(sizes[0], 7))
    # A group that is long enough for a card ends there: a code or a date follows.
    lists = lists or (len(sizes) > 1 and max(sizes) >= _LEAST_CARD)
    return not lists and (alike or min(sizes) >= 3) and (len(signs) <= 1 or sizes[0] >= 4)


def _is_card(digits: str) -> bool:
    return bool(_ISSUED.fullmatch(digits)) and len(set(digits)) > 2 and luhn(digits[:-1]) == int(digits[-1])


# Phone numbers

_MOST_PHONE = 15
#: Digits that are enough for every country: what follows and is not written like them is something else.
_ENOUGH = 10
_PREFIX = re.compile(r"(?<![0-9+])\+{1,2}\s?(?:\(?0{2}\)?\s?)?\(?(?=[1-9])|(?<![\w+.,:/-])(?P<zeros>00)\s?\(?(?=[1-9])")
#: The codes of countries (ITU E.164), each with what a number behind it looks like. North America's have ten digits.
_COUNTRY = re.compile(
    r"(?P<code>1)[2-9][0-9]{9}|(?P<code7>7)[0-9]{10}|(?P<code39>39)[0-9]{6,11}|"
    r"(?P<code2>2[07]|3[0-46]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58])(?P<zero2>0?)[1-9][0-9]{5,12}|"
    r"(?P<code3>2[1-69][0-9]|3[578][0-9]|42[0-9]|5[09][0-9]|6[789][0-9]|8[0578][0-9]|9[679][0-9])"
    r"(?P<zero3>0?)[1-9][0-9]{4,11}"
)
_DIGITS = re.compile(r"[0-9]+")
#: A space within a line.
_SPACE = r"[^\S\n\r\v\f\x1c-\x1e\x85\u2028\u2029]"
#: What may stand between two groups; a zero in brackets is not dialled.
_BETWEEN = re.compile(rf"{_SPACE}?\({_SPACE}?0{_SPACE}?\){_SPACE}?|(?:{_SPACE}|[()\]./·_-]){{1,3}}")
_DATE = re.compile(r"(?:19|20)[0-9]{2}-[01][0-9]-[0-3][0-9](?![0-9])")
#: An amount, a date, a time, or a count with its unit.
_NO_GROUP = re.compile(
    r"[0-9]+(?P<sign>[.,])[0-9]{2}(?![0-9])|[0-9]{1,2}(?P<between>[./-])[0-9]{1,2}(?P=between)[0-9]{2,4}|"
    r"[0-9]{1,2}:[0-9]{2}|[0-9]+\s?[€$£¥%]"
)
_WORD = re.compile(r"[0-9]+\s?[^\W\d_]")
_AMOUNT = re.compile(r"[^.]*\.[0-9]{2}")


def _phones(text: str) -> Iterator[tuple[int, int, str]]:
    after = 0
    for begins in _PREFIX.finditer(text):
        if (
            begins.start() >= after
            and (found := _phone_from(text, begins.end(), is_strict=bool(begins["zeros"]))) is not None
        ):
            after, digits = found
            is_amount = _AMOUNT.fullmatch(text[begins.start() : after]) or re.match(r"[.,][0-9]{2}\b", text[after:])
            if not is_amount:
                yield begins.start(), after, digits


def country_of(digits: str) -> str:
    """Return the country's code that the digits of a phone number begin with; "" if they are no phone number's."""
    found = _COUNTRY.fullmatch(digits)
    groups = found.groupdict() if found is not None else {}
    return next((value for name, value in groups.items() if name.startswith("code") and value), "")


def _phone_from(text: str, at: int, *, is_strict: bool) -> tuple[int, str] | None:
    """Return the end and the digits of the phone number whose first group is there: whole groups of one line."""
    digits, signs, first, found = "", "", "", None
    while (group := _DIGITS.match(text, at)) is not None and len(digits) + len(group[0]) <= _MOST_PHONE:
        first = first or group[0]
        digits += group[0]
        code = country_of(digits)  # in whole in the first group; a zero that is not dialled may follow it
        if code and first.startswith(code) and not (is_strict and digits[len(code)] == "0"):
            found = group.end(), digits
        between = _BETWEEN.match(text, group.end())
        if between is None or _is_no_group(text, between, signs, len(digits) if found is not None else 0):
            break
        signs, at = signs + "".join(between[0].split()), between.end()
    return found


def _is_no_group(text: str, between: re.Match[str], signs: str, digits: int) -> bool:
    """Whether an amount, a date, a time or a count follows ``digits`` that may be a number; 0: they are none yet."""
    at = between.end()
    if not digits or _DATE.match(text, at):
        return bool(_DATE.match(text, at))
    enough, other = digits >= _ENOUGH, _NO_GROUP.match(text, at)
    if other is not None and ((enough and between[0].isspace()) or not {other["sign"], other["between"]} & {*signs}):
        return True
    return enough and bool({*between[0]} & {*"(./·-"} - {*signs} or _WORD.match(text, at))


def spelled(as_it_was: str, made: str) -> str:
    """Return ``made`` with the case of the letters, and the spaces and signs between characters, as they were."""
    left: Iterator[str] = iter(made)
    parts = [_cased(next(left, ""), one) if one.isalnum() else one for one in as_it_was]
    return "".join(parts) + "".join(left)


def _cased(made: str, as_it_was: str) -> str:
    return made.lower() if as_it_was.islower() else made
