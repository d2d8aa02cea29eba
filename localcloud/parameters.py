"""The template's parameters and ``Rules``, checked before anything is deployed. Pure.

moto takes any text for any parameter and fails later; CloudFormation refuses invalid ones before it creates anything.
Also refused here: an expression that its function cannot use (``[z-a]``), which no change set can detect.
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
    """Return what is wrong, one sentence per problem that names the parameter; empty if all are valid.

    declared  the template's ``Parameters``
    given     values by name; the others have their defaults
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
    """Return ``NAME=VALUE`` words as values by name. Raises ``ValueError`` that lists all problems."""
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
    """Return why the function that reads the setting cannot use the text; its name is the parameter's."""
    from ballast.http.identity import why_unusable

    return why_unusable(_WORD.sub("_", name).lower(), text)


def _wrong_part(parameter: Mapping[str, Any], kind: str, text: str) -> str | None:
    number: Decimal | None = None
    if kind == "Number":
        number = _number(text)
        if number is None:
            return f"{text[:40]!r} is not a number"
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
    """Return whether the whole value matches the pattern; one that Python cannot read is left to CloudFormation.

    Its classes (``\\s``, ``\\w``) are ASCII.
    """
    try:
        return re.fullmatch(pattern, text, re.ASCII) is not None
    except re.error:
        return True


def broken(template: Mapping[str, Any], parameters: Mapping[str, str]) -> list[str]:
    """Return the assertions of the template's ``Rules`` that ``parameters`` violate; the others have defaults."""
    known = {name: str(one["Default"]) for name, one in template.get("Parameters", {}).items() if "Default" in one}
    known |= parameters
    return [
        f"{name}: {assertion.get('AssertDescription', 'does not hold.')}"
        for name, rule in template.get("Rules", {}).items()
        if "RuleCondition" not in rule or _holds(rule["RuleCondition"], known)
        for assertion in rule["Assertions"]
        if not _holds(assertion["Assert"], known)
    ]


def _holds(condition: Any, known: Mapping[str, str]) -> bool:
    ((function, parts),) = condition.items()
    if function == "Fn::Equals":
        first, second = (_value(part, known) for part in parts)
        return bool(first == second)
    if function == "Fn::Contains":
        return _value(parts[1], known) in [_value(part, known) for part in parts[0]]
    if function == "Fn::Not":
        return not _holds(parts[0], known)
    if function in ("Fn::And", "Fn::Or"):
        return (all if function == "Fn::And" else any)(_holds(part, known) for part in parts)
    raise NotImplementedError(f"{function} in a rule of the template is not supported here")


def _value(part: Any, known: Mapping[str, str]) -> Any:
    return known[part["Ref"]] if isinstance(part, dict) else part
