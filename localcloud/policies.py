"""Whether IAM policies grant an access. Pure.

An explicit Deny wins, then an Allow, else nothing is granted. Conditions are held to what is known of a request; a key
that is not known here is taken to hold, since a right statement must not be refused for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from localcloud.access import Access

#: What holds for every request here, in small letters.
_EVERY = {"aws:securetransport": ("true",), "aws:principaltype": ("AssumedRole",)}
_SET = re.compile(r"^(ForAllValues|ForAnyValue):", re.IGNORECASE)


def grants(documents: Iterable[Mapping[str, Any]], access: Access) -> bool:
    """Say whether the policies in ``documents`` together grant ``access``."""
    granted = False
    for statement in (one for document in documents for one in _listed(document.get("Statement", []))):
        if _concerns(statement, access):
            if statement.get("Effect") == "Deny":
                return False
            granted = True
    return granted


def _concerns(statement: Mapping[str, Any], access: Access) -> bool:
    return (
        _element(statement, "Action", access.action, ignore_case=True)
        and (not access.names_its_resource or _element(statement, "Resource", access.resource, ignore_case=False))
        and _conditions_hold(statement.get("Condition", {}), dict(access.context))
    )


def _element(statement: Mapping[str, Any], name: str, value: str, *, ignore_case: bool) -> bool:
    if f"Not{name}" in statement:
        return not any(_fits(one, value, ignore_case) for one in _listed(statement[f"Not{name}"]))
    return any(_fits(one, value, ignore_case) for one in _listed(statement.get(name, "*")))


def _fits(pattern: Any, value: str, ignore_case: bool) -> bool:
    return _compiled(str(pattern), ignore_case).fullmatch(value) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    text = "".join({"*": ".*", "?": "."}.get(char) or re.escape(char) for char in pattern)
    return re.compile(text, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _conditions_hold(conditions: Mapping[str, Any], context: Mapping[str, Sequence[str]]) -> bool:
    known = _EVERY | {key.lower(): tuple(values) for key, values in context.items()}
    return all(
        _holds(operator, [str(one) for one in _listed(wanted)], known[key.lower()])
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
        if key.lower() in known
    )


def _holds(operator: str, wanted: Sequence[str], actual: Sequence[str]) -> bool:
    """Say whether a condition holds for the values that its key has in the request; none: the key is not there."""
    of_set = _SET.match(operator)
    name = _SET.sub("", operator)
    if name.lower() == "null":
        return (not actual) == (wanted[0].lower() == "true")
    if name.lower().endswith("ifexists"):
        if not actual:
            return True
        name = name[: -len("ifexists")]
    compare = _operator(name)
    if compare is None:
        return True
    negative = "not" in name.lower()

    def fits(value: str) -> bool:
        return compare(wanted, value)

    if of_set is None:
        # A key of several values without a set operator: by IAM's guide no single value is compared, so nothing fits.
        return negative if len(actual) != 1 else fits(actual[0])
    if of_set[1].lower() == "forallvalues":
        return all(map(fits, actual))
    return any(map(fits, actual))


def _operator(name: str) -> Callable[[Sequence[str], str], bool] | None:
    kind = name.lower()
    if kind in ("stringequals", "arnequals", "bool", "numericequals"):
        pattern = kind == "arnequals"
        return lambda wanted, value: any(_fits(one, value, False) if pattern else one == value for one in wanted)
    if kind in ("stringequalsignorecase",):
        return lambda wanted, value: value.lower() in {one.lower() for one in wanted}
    if kind in ("stringlike", "arnlike"):
        return lambda wanted, value: any(_fits(one, value, False) for one in wanted)
    if kind in ("stringnotequals", "arnnotequals"):
        return lambda wanted, value: value not in wanted
    if kind in ("stringnotlike", "arnnotlike"):
        return lambda wanted, value: not any(_fits(one, value, False) for one in wanted)
    return None


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def missing(documents: Sequence[Mapping[str, Any]], accesses: Iterable[Access]) -> Iterator[Access]:
    """Yield those of ``accesses`` that the policies do not grant."""
    yield from (access for access in accesses if not grants(documents, access))
