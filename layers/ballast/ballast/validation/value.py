"""Whether a value occurs in a text or in another value, whatever the spelling. Pure.

============ ===========================================================================================
amount       equal numbers: ``40.00``, ``40``, ``$40``, ``1.234,50`` and ``1,234.50``; never 4 in 40
email        equal addresses, without regard to case; never a part of a longer address
phone        equal digits with their country code, however they are grouped; 00 is a +
text         the same words and digits in the same order, without regard to case and separators:
             O-1001, o1001, "O 1001"; never O-100 in O-1001
============ ===========================================================================================
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any

from ballast.validation.numbers import Named, numbers
from ballast.validation.spelling import DASH_CLASS, Token, even, occurs, tokens

_EMAIL = re.compile(r"[^\s@<>()\[\]\"',;:|]+@[^\s@<>()\[\]\"',;:|]+")
_PHONE = re.compile(
    rf"(?<![^\W_])(?<![{DASH_CLASS}_.@/])(\+|00)?\(?[0-9](?:[ {DASH_CLASS}()./]{{0,3}}[0-9])+(?![^\W_]|[@_])"
)
#: How JSON's writers put a decimal into a text.
_PROGRAMS_OWN = re.compile(r"-?[0-9]{1,18}\.[0-9]{1,18}", re.ASCII)
#: Fewer digits are no phone number.
_PHONE_DIGITS = 7
_PHONE_SHAPE = re.compile(rf"\+?[0-9 {DASH_CLASS}()./]+")


class Kind(StrEnum):
    """How values of a field are compared."""

    AMOUNT = "amount"
    EMAIL = "email"
    PHONE = "phone"
    TEXT = "text"


@dataclass(frozen=True)
class Leaf:
    """One text or number of a request, a context or a result, and what it can be searched for."""

    value: str | int | Decimal

    @classmethod
    def of(cls, value: str | int | float | Decimal) -> "Leaf":
        """Return ``value`` as a leaf; JSON's fractions as the decimals that they were written as."""
        return cls(Decimal(repr(value)) if isinstance(value, float) else value)

    @cached_property
    def evened(self) -> str:
        """The text, evened."""
        return even(str(self.value))

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        """The words of the text; a number that is none has no words."""
        return () if isinstance(self.value, Decimal) else tokens(self.evened)

    @cached_property
    def named(self) -> tuple[Named, ...]:
        """The numbers that the text names, or the one that it is: a program's own format has one reading."""
        if isinstance(self.value, str) and not _PROGRAMS_OWN.fullmatch(self.value):
            return tuple(numbers(self.evened))
        return (Named(Decimal(self.value), "." in str(self.value), False, 0, len(self.evened)),)

    @cached_property
    def numbers(self) -> frozenset[Decimal]:
        """The values of the numbers in it."""
        return frozenset(named.value for named in self.named)

    @cached_property
    def emails(self) -> frozenset[str]:
        """The e-mail addresses in it."""
        return (
            frozenset(_address(found) for found in _EMAIL.findall(self.evened)) if "@" in self.evened else frozenset()
        )

    @cached_property
    def phones(self) -> frozenset[str]:
        """The digits of everything in it that may be a phone number."""
        return frozenset(filter(None, (_digits(found.group()) for found in _PHONE.finditer(self.evened))))


@dataclass(frozen=True)
class Wanted:
    """A value that must occur somewhere. ``kinds``: it occurs where one of these says so."""

    leaf: Leaf
    kinds: tuple[Kind, ...]

    @classmethod
    def of(cls, value: Any, kind: Kind | None = None) -> "Wanted":
        """Return what to look for; ``kind`` None tells it by the value."""
        leaf = Leaf.of(value if isinstance(value, int | float | Decimal) else str(value))
        return cls(leaf, (kind,) if kind else _kinds(leaf))

    def occurs_in(self, leaf: Leaf) -> bool:
        """Say whether the value stands in ``leaf``, whole."""
        return any(_OCCURS[kind](self.leaf, leaf) for kind in self.kinds)


def _kinds(leaf: Leaf) -> tuple[Kind, ...]:
    if not isinstance(leaf.value, str):
        return (Kind.AMOUNT,)
    text = leaf.evened.strip()
    if _EMAIL.fullmatch(text):
        return (Kind.EMAIL,)
    if len(leaf.named) == 1 and leaf.named[0].money and leaf.named[0].end - leaf.named[0].start == len(text):
        return (Kind.AMOUNT, Kind.TEXT)
    if _PHONE_SHAPE.fullmatch(text) and len(_digits(text)) >= _PHONE_DIGITS:
        return (Kind.PHONE,) if text.startswith("+") else (Kind.PHONE, Kind.TEXT)
    return (Kind.TEXT,)


# Each asks the cheap question first: nearly every text does not hold what is wanted in any spelling.


def _amount(wanted: Leaf, leaf: Leaf) -> bool:
    if len(wanted.numbers) != 1:
        return False
    [value] = wanted.numbers
    # However the thousands are grouped, the last three digits before the decimals stand together.
    ending = str(int(abs(value)))[-3:]
    return (not isinstance(leaf.value, str) or ending in leaf.evened) and value in leaf.numbers


def _email(wanted: Leaf, leaf: Leaf) -> bool:
    address = _address(wanted.evened)
    return address in leaf.evened and address in leaf.emails


def _phone(wanted: Leaf, leaf: Leaf) -> bool:
    digits = _digits(wanted.evened)
    return digits != "" and digits in leaf.phones


def _text(wanted: Leaf, leaf: Leaf) -> bool:
    longest = max((token.text for token in wanted.tokens), key=len, default="")
    return longest != "" and longest in leaf.evened and occurs(wanted.tokens, leaf.tokens)


_OCCURS = {Kind.AMOUNT: _amount, Kind.EMAIL: _email, Kind.PHONE: _phone, Kind.TEXT: _text}


def _address(text: str) -> str:
    return text.strip().strip(".!?*").removeprefix("mailto:")


def _digits(text: str) -> str:
    """Return the digits of a phone number, "" where they are too few; the + and the 00 before them do not count."""
    digits = re.sub(r"[^0-9]", "", text)
    digits = digits.removeprefix("00") if text.strip().startswith("00") else digits
    return digits if len(digits) >= _PHONE_DIGITS else ""
