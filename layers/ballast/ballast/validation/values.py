"""Values in texts: whether a value occurs in a text or in another value, in any spelling. Pure.

============ ===========================================================================================
amount       equal amounts of money: ``40 USD``, ``$40``, ``1.234,50 €`` and ``€1,234.50``; never 4 in 40, and
             never a house number or a count (``ballast.validation.amounts``)
number       equal numbers, whatever they count; a percentage also as ``15 %`` and ``15 percent``
email        equal addresses, without regard to case; never a part of a longer address
phone        equal digits with their country code, however they are grouped; 00 is a +
url          equal addresses, with or without http(s)://, its port, www. and the slash at the end; never a part of
             a longer one. The case of a path counts
text         the same words and digits in the same order, without regard to case and separators:
             O-1001, o1001, "O 1001"; never O-100 in O-1001. An IBAN or a tracking number also in groups
============ ===========================================================================================
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any

from ballast.masking import dashes
from ballast.regex import regex
from ballast.validation.amounts import (
    is_amount,
    may_be_amount,
    names_amount,
    names_count,
    names_percentage,
    percentages,
)
from ballast.validation.numbers import TextNumber, numbers
from ballast.validation.words import (
    BREAKS,
    DASH_CLASS,
    HYPHEN_CLASS,
    Token,
    code_occurs,
    ends_address,
    long_code,
    normalize,
    occurs,
    spelling_key,
    split_at_invisible,
    split_from_values,
    split_sentences,
    tokens,
)
from ballast.values import dataclass

#: Characters that no e-mail address or URL contains and that may be next to one: quotes, brackets, separating dashes.
_QUOTES = '"“”„‟«»‹›‘’‚`'
_NO_EMAIL = regex(rf"[\s<>()\[\]',;:|!?{_QUOTES}{BREAKS}\u2013…]+")
_NO_URL = regex(rf"[\s<>'|\\^{{}}{_QUOTES}{BREAKS}\u2013…]+")
_PATH = regex(r"[/?#]")
_SCHEME = regex(r"https?://", re.IGNORECASE)
_HOST = regex(r"(?:[\w-]{1,63}\.){1,12}[\w-]{2,63}(?::[0-9]{1,5})?(?=[/?#]|$)")
#: The end of a host without a path.
_AFTER_HOST = regex(r"(?<!:)[,;!](?=[^\W\d_])")
_MAX_URL = 2_048
_PHONE = regex(
    rf"(?<![^\W_])(?:(?<![{HYPHEN_CLASS}_.@/])|(?<=[{HYPHEN_CLASS}])(?=\+))(\+|00)?"
    rf"\(?[0-9](?:[ {DASH_CLASS}()./]{{0,3}}[0-9])+(?![^\W_]|[@_])"
)
#: A decimal as JSON's writers put it into a text.
_PROGRAMS_OWN = regex(r"-?[0-9]{1,18}\.[0-9]{1,18}", re.ASCII)
_INTEGER = regex(r"-?[0-9]{1,18}", re.ASCII)
#: Fewer digits are not a phone number.
_PHONE_DIGITS = 7
_PHONE_SHAPE = regex(rf"\+?[0-9 {DASH_CLASS}()./]+")
#: Numbers with more digits are not amounts and are not written out.
_MAX_ADJUSTED = 18


class Kind(StrEnum):
    """The way in which a field's values are compared."""

    AMOUNT = "amount"
    NUMBER = "number"
    EMAIL = "email"
    PHONE = "phone"
    URL = "url"
    TEXT = "text"


@dataclass(frozen=True)
class Leaf:
    """One text or number of a request, a context or a result, with its searchable parts.

    field  the name of its field, "" if there is none
    """

    value: str | int | Decimal
    field: str = ""

    @classmethod
    def of(cls, value: str | int | float | Decimal, field: str = "") -> "Leaf":
        """Return ``value`` as a leaf; a JSON fraction as its decimal."""
        return cls(Decimal(repr(value)) if isinstance(value, float) else value, field)

    @cached_property
    def normalized(self) -> str:
        """The text, normalized."""
        return normalize(str(self.value))

    @cached_property
    def _text(self) -> str:
        return dashes(str(self.value))

    @cached_property
    def spaced(self) -> str:
        """The normalized text, with a space for invisible characters between a word and a value. Spans of numbers refer
        to it."""
        return normalize(split_at_invisible(self._text))

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        """The words of the text; a number that is not one has no words."""
        return () if isinstance(self.value, Decimal) else tokens(normalize(split_sentences(self._text)))

    @cached_property
    def loose_tokens(self) -> tuple[Token, ...]:
        """The words of the text with glued values split off; empty if there are none."""
        if isinstance(self.value, Decimal):
            return ()
        loosened_text = split_from_values(self._text)
        return () if loosened_text == self._text else tokens(normalize(split_sentences(loosened_text)))

    @cached_property
    def named(self) -> tuple[TextNumber, ...]:
        """The numbers in the text, or the one number that it is: a program's own format has one reading."""
        if isinstance(self.value, str) and not _PROGRAMS_OWN.fullmatch(self.value):
            return tuple(numbers(self.spaced))
        value = Decimal(self.value)
        if not value.is_finite() or value.adjusted() > _MAX_ADJUSTED:
            return ()
        return (TextNumber(value, "." in str(self.value), False, 0, len(self.spaced)),)

    @cached_property
    def numbers(self) -> frozenset[Decimal]:
        """The values of the numbers in it."""
        return frozenset(named.value for named in self.named)

    @cached_property
    def amounts(self) -> frozenset[Decimal]:
        """The amounts of money in it: numbers with a currency, or the number of a field with a money name."""
        if names_amount(self.field) and self._is_number:
            return self.numbers
        return frozenset(one.value for one in self.named if is_amount(self.spaced, one))

    @cached_property
    def possible_amounts(self) -> frozenset[Decimal]:
        """The amounts, and numbers that may be meant as one: with decimals, or after a money word."""
        if names_count(self.field):
            return self.amounts
        if not self._is_number:
            return self.amounts | {one.value for one in self.named if may_be_amount(self.spaced, one)}
        is_one = self.field == "" and not isinstance(self.value, str)
        return self.amounts | {one.value for one in self.named if is_one or one.money}

    @cached_property
    def percentages(self) -> frozenset[Decimal]:
        """The percentages in it."""
        number = None if isinstance(self.value, str) else next(iter(self.numbers), None)
        return frozenset(percentages(self.normalized, self.field, number))

    @property
    def _is_number(self) -> bool:
        """Whether it is one number and nothing else."""
        if not isinstance(self.value, str) or _INTEGER.fullmatch(self.value):
            return True
        return len(self.named) == 1 and self.named[0].end - self.named[0].start == len(self.spaced.strip())

    @cached_property
    def emails(self) -> frozenset[str]:
        """The e-mail addresses in it."""
        return frozenset(_emails(self._text)) if "@" in self.normalized else frozenset()

    @cached_property
    def urls(self) -> frozenset[str]:
        """The web addresses in it, without scheme, www. and final slash."""
        return frozenset(_urls(self._text)) if "." in self.normalized or "://" in self.normalized else frozenset()

    @cached_property
    def hosts(self) -> frozenset[str]:
        """The hosts of the web and e-mail addresses in it."""
        mail = {address.rpartition("@")[2] for address in self.emails}
        return frozenset(mail | {_PATH.split(url, maxsplit=1)[0].rpartition("@")[2] for url in self.urls})

    @cached_property
    def phones(self) -> frozenset[str]:
        """The digits of everything in it that may be a phone number."""
        return frozenset(filter(None, (_digits(found.group()) for found in _PHONE.finditer(self.normalized))))

    @cached_property
    def longest(self) -> str:
        """The longest word of the text."""
        return max((token.text for token in self.tokens), key=len, default="")

    @cached_property
    def code(self) -> str:
        """The text as a long code, such as an IBAN; "" for other texts."""
        return long_code(self.tokens)

    @cached_property
    def compact(self) -> str:
        """The letters and digits of the text."""
        return "".join(char for char in self.normalized if char.isalnum())


def json_leaves(value: Any) -> tuple[Leaf, ...]:
    """Return every text, number and key of JSON."""
    found: list[Leaf] = []
    left = [("", value)]
    while left:
        name, one = left.pop()
        if isinstance(one, dict):
            found.extend(Leaf(key) for key in one)
            left.extend(one.items())
        elif isinstance(one, list):
            left.extend((name, inner) for inner in one)
        elif one is not None and not isinstance(one, bool):
            found.append(Leaf.of(one, name))
    return tuple(found)


@dataclass(frozen=True)
class SearchValue:
    """A value to search for. ``kinds``: the ways to compare it; one match is enough."""

    leaf: Leaf
    kinds: tuple[Kind, ...]

    @classmethod
    def of(cls, value: Any, kind: Kind | None = None, field: str = "") -> "SearchValue":
        """Return the search value; ``kind`` None derives it from the value and its field's name."""
        leaf = Leaf.of(value if isinstance(value, int | float | Decimal) else str(value), field)
        return cls(leaf, (kind,) if kind else _kinds_of(leaf))

    @property
    def amount(self) -> Decimal | None:
        """The value as an amount of money; None for other values."""
        return (
            next(iter(self.leaf.numbers), None) if Kind.AMOUNT in self.kinds and len(self.leaf.numbers) == 1 else None
        )

    @property
    def spelling_key(self) -> str:
        """A key that is equal for all spellings of the value."""
        kind, leaf = self.kinds[0], self.leaf
        if kind in (Kind.AMOUNT, Kind.NUMBER) and len(leaf.numbers) == 1:
            return str(next(iter(leaf.numbers)).normalize())
        made = {
            Kind.EMAIL: lambda: _address(leaf.normalized),
            Kind.URL: lambda: address_of_url(str(leaf.value)),
            Kind.PHONE: lambda: _digits(leaf.normalized),
        }.get(kind, lambda: leaf.code or spelling_key(leaf.tokens))()
        return made or leaf.normalized.strip()

    def sought(self, *, loose: bool = False) -> Iterator[tuple[str, Any]]:
        """Yield lookups other than words: the name of a set of a leaf, and the entry that it has if the value occurs.

        ``loose`` as in ``may_occur_in``.
        """
        leaf = self.leaf
        value = next(iter(leaf.numbers)) if len(leaf.numbers) == 1 else None
        for kind in self.kinds:
            if kind is Kind.EMAIL:
                yield "emails", _address(leaf.normalized)
            elif kind is Kind.URL:
                yield "urls", address_of_url(str(leaf.value))
            elif kind is Kind.PHONE:
                yield "phones", _digits(leaf.normalized)
            elif kind is not Kind.TEXT and value is not None:
                yield ("amounts" if kind is Kind.AMOUNT else "numbers"), value
                if kind is Kind.NUMBER and names_percentage(leaf.field):
                    yield "percentages", value
        if loose and {Kind.AMOUNT, Kind.NUMBER} & {*self.kinds}:
            yield from (("percentages", one) for one in leaf.numbers)
            if value is not None:
                yield "numbers", value

    def occurs_in(self, leaf: Leaf) -> bool:
        """Return whether the whole value occurs in ``leaf``."""
        return any(_OCCURS[kind](self.leaf, leaf) for kind in self.kinds)

    def may_occur_in(self, leaf: Leaf) -> bool:
        """Return whether the value may have been taken from ``leaf``: an amount also from a number of unknown
        meaning."""
        if self.occurs_in(leaf):
            return True
        if not {Kind.AMOUNT, Kind.NUMBER} & {*self.kinds}:
            return False
        return _number(self.leaf, leaf) or bool(self.leaf.numbers & leaf.percentages)


def _kinds_of(leaf: Leaf) -> tuple[Kind, ...]:
    if not isinstance(leaf.value, str):
        counts = names_count(leaf.field) or (isinstance(leaf.value, int) and not names_amount(leaf.field))
        return (Kind.NUMBER,) if counts else (Kind.AMOUNT,)
    text = leaf.normalized.strip()
    if set(_emails(text)) == {_address(text)}:
        return (Kind.EMAIL,)
    if len(leaf.named) == 1 and leaf.named[0].end - leaf.named[0].start == len(text):
        if names_amount(leaf.field):
            return (Kind.AMOUNT,)
        if leaf.named[0].money:
            return (Kind.AMOUNT, Kind.TEXT)
    if _PHONE_SHAPE.fullmatch(text) and len(_digits(text)) >= _PHONE_DIGITS:
        return (Kind.PHONE,) if text.startswith("+") else (Kind.PHONE, Kind.TEXT)
    if set(_urls(str(leaf.value).strip())) == {address_of_url(str(leaf.value))}:
        return (Kind.URL,) if _SCHEME.match(text) or text.startswith("www.") else (Kind.URL, Kind.TEXT)
    return (Kind.TEXT,)


# Each makes a cheap test first, because most texts do not contain the value.


def _amount(wanted: Leaf, leaf: Leaf) -> bool:
    return _number(wanted, leaf) and next(iter(wanted.numbers)) in leaf.amounts


def _number(wanted: Leaf, leaf: Leaf) -> bool:
    if len(wanted.numbers) != 1:
        return False
    [value] = wanted.numbers
    if names_percentage(wanted.field) and value in leaf.percentages:
        return True
    # However thousands are grouped, the last three digits before the decimals are together.
    ending = str(int(abs(value)))[-3:]
    return (not isinstance(leaf.value, str) or ending in leaf.normalized) and value in leaf.numbers


def _email(wanted: Leaf, leaf: Leaf) -> bool:
    address = _address(wanted.normalized)
    return address in leaf.normalized and address in leaf.emails


def _phone(wanted: Leaf, leaf: Leaf) -> bool:
    digits = _digits(wanted.normalized)
    return digits != "" and digits in leaf.phones


def _url(wanted: Leaf, leaf: Leaf) -> bool:
    address = address_of_url(str(wanted.value))
    host = _PATH.split(address, maxsplit=1)[0]
    return address != "" and (host in leaf.normalized or "xn--" in host) and address in leaf.urls


def _text(wanted: Leaf, leaf: Leaf) -> bool:
    named = wanted.longest != "" and wanted.longest in leaf.normalized
    if named and (occurs(wanted.tokens, leaf.tokens) or occurs(wanted.tokens, leaf.loose_tokens)):
        return True
    return wanted.code != "" and wanted.code in leaf.compact and code_occurs(wanted.code, leaf.tokens)


_OCCURS = {
    Kind.AMOUNT: _amount,
    Kind.NUMBER: _number,
    Kind.EMAIL: _email,
    Kind.PHONE: _phone,
    Kind.URL: _url,
    Kind.TEXT: _text,
}


def _emails(text: str) -> Iterator[str]:
    for word in _NO_EMAIL.split(text):
        if word.count("@") != 1 or word[0] == "@" or word[-1] == "@":
            continue
        address = word.strip(".!?*")
        yield _address(normalize(address))
        whole, _, sentence = address.rpartition(".")
        if not ends_address(sentence) and "." in whole.partition("@")[2]:
            yield _address(normalize(whole))


def _urls(text: str) -> Iterator[str]:
    for word in _NO_URL.split(text):
        if "." not in word and "://" not in word:
            continue
        scheme = _SCHEME.search(word)
        found = word[scheme.start() :] if scheme else word
        found = found.lstrip("([*_").rstrip(".,;:!?*_")
        if not found or len(found) > _MAX_URL:
            continue
        if "/" not in _SCHEME.sub("", found, count=1):
            found = _AFTER_HOST.split(found, maxsplit=1)[0]
        for closing, opening in ((")", "("), ("]", "[")):
            if opening not in found:
                found = found.partition(closing)[0]
        if not scheme and not _HOST.match(found):
            continue
        yield address_of_url(found)
        whole, _, sentence = found.rpartition(".")
        if not ends_address(sentence) and (scheme or _HOST.match(whole)) and "." in _SCHEME.sub("", whole):
            yield address_of_url(whole)


def address_of_url(text: str) -> str:
    """Return a web address for comparison: host normalized; path, query and fragment in their case."""
    scheme = _SCHEME.match(text.strip())
    address = normalize(_SCHEME.sub("", text.strip(), count=1), case=True)
    host = _PATH.split(address, maxsplit=1)[0]
    path = address[len(host) :]
    host = normalize(host)
    ports = (":443", ":80") if scheme is None else (":443",) if scheme.group()[4:5] in "sS" else (":80",)
    for port in ports:
        host = host.removesuffix(port)
    if host.startswith("www.") and "." in host[4:]:
        host = host[4:]
    return (_ascii(host) + path).rstrip("/")


def _ascii(host: str) -> str:
    """Return the host in its ASCII form: münchen.example is xn--mnchen-3ya.example."""
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host


def _address(text: str) -> str:
    return text.strip().strip(".!?*").removeprefix("mailto:")


def _digits(text: str) -> str:
    """Return the digits of a phone number without a leading + or 00; "" if there are too few."""
    digits = re.sub(r"[^0-9]", "", text)
    digits = digits.removeprefix("00") if text.strip().startswith("00") else digits
    return digits if len(digits) >= _PHONE_DIGITS else ""
