"""Check values of the template's parameters against their declarations, before anything is deployed. Pure.

moto takes any text for any parameter and fails elsewhere; CloudFormation refuses these before it creates anything. What
no change set can see is refused here as well: an expression that its function cannot use (``[z-a]``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

Declared = Mapping[str, Mapping[str, Any]]

_LISTS = ("CommaDelimitedList", "List<")
#: A number as CloudFormation takes one.
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_WORD = re.compile(r"(?<!^)(?=[A-Z])")


def complaints(declared: Declared, given: Mapping[str, str]) -> list[str]:
    """Return what is wrong, a sentence each that names the parameter; nothing where it can be deployed.

    declared  the template's ``Parameters``
    given     values by name; what is not given has its default
    """
    found = [
        f"the template has no parameter {name}; it has {', '.join(declared)}." for name in given if name not in declared
    ]
    missing = [name for name, one in declared.items() if "Default" not in one and name not in given]
    found += [f"{name}: has no default; give it a value." for name in missing]
    for name, text in given.items():
        if name in declared and (wrong := _wrong(declared[name], text) or _unusable(name, text)):
            about = declared[name].get("ConstraintDescription") or declared[name].get("Description")
            found.append(f"{name}={text[:80]}: {wrong}.{f' ({about})' if about else ''}")
    return found


def typed(declared: Declared, words: Sequence[str]) -> dict[str, str]:
    """Return ``NAME=VALUE`` words as values by name. Raises ``ValueError`` with all that is wrong."""
    given: dict[str, str] = {}
    wrong = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            wrong.append(f"{word[:80]!r}: write NAME=VALUE.")
        elif name in given:
            wrong.append(f"{name}: is given twice.")
        else:
            given[name] = value
    wrong += complaints(declared, given)
    if wrong:
        raise ValueError(" ".join(wrong))
    return given


def _wrong(parameter: Mapping[str, Any], text: str) -> str | None:
    kind = str(parameter.get("Type", "String"))
    parts = [part.strip() for part in text.split(",")] if kind.startswith(_LISTS) else [text]
    for part in parts:
        wrong = _wrong_part(parameter, "Number" if kind in ("Number", "List<Number>") else "String", part)
        if wrong is not None:
            return wrong
    return None


def _unusable(name: str, text: str) -> str | None:
    """Ask the function that reads it whether it could use the text; the setting is called as its parameter is."""
    from ballast.http.identity import why_unusable

    return why_unusable(_WORD.sub("_", name).lower(), text)


def _wrong_part(parameter: Mapping[str, Any], kind: str, text: str) -> str | None:
    number: Decimal | None = None
    if kind == "Number":
        number = _number(text)
        if number is None:
            return f"{text[:40]!r} is no number"
    allowed = [str(one) for one in parameter.get("AllowedValues", [])]
    same_number = number is not None and number in map(_number, allowed)
    if allowed and text not in allowed and not same_number:
        return f"may be {', '.join(allowed)}"
    pattern = parameter.get("AllowedPattern")
    if pattern is not None and not _fits(str(pattern), text):
        return f"does not fit {pattern if len(pattern) <= 100 else 'its pattern'}"
    for bound, size in (("Value", number), ("Length", Decimal(len(text)) if kind == "String" else None)):
        least, most = _number(str(parameter.get(f"Min{bound}"))), _number(str(parameter.get(f"Max{bound}")))
        what = "must be" if bound == "Value" else "must have a length of"
        if size is not None and least is not None and size < least:
            return f"{what} {least} or more"
        if size is not None and most is not None and size > most:
            return f"{what} {most} or less"
    return None


def _number(text: str) -> Decimal | None:
    if not _NUMBER.fullmatch(text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _fits(pattern: str, text: str) -> bool:
    """CloudFormation holds the whole value to the pattern; one that Python cannot read is left to CloudFormation.

    Its classes (``\\s``, ``\\w``) are of ASCII.
    """
    try:
        return re.fullmatch(pattern, text, re.ASCII) is not None
    except re.error:
        return True
