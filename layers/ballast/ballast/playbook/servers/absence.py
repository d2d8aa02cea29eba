"""The proof, in a read's answer, that a thing is not there. Pure.

It has one form: the list or the object where the thing would be is there and is empty, or its very member is
null or false, and nothing beside it speaks of an error, of a part that is missing, or of more. Any other answer leaves
it open.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ballast.contracts.wire import text_or_length
from ballast.playbook.servers.values import leaves_of, plain_name

#: Texts that say no, or nothing.
_NO = frozenset(("false", "no", "n", "off"))
_NOTHING = _NO | frozenset(("", "0", "none", "null", "nil", "n/a", "-", "ok", "success"))
#: Parts of names under which an answer tells an error, or that it lacks a part.
_TROUBLE = re.compile(
    r"error|exception|fail(?:ed|ure)|warning|incomplete|partial|truncated|timedout|degraded|unavailable"
    r"|^(?:faults?|err|errcode|errmsg|errno)$"
)
#: Names whose number tells an error as HTTP does, and those whose text may tell one.
_CODES = frozenset(("status", "statuscode", "code", "httpstatus", "httpcode", "httpstatuscode"))
_TEXTS = frozenset(("status", "state", "message", "msg", "detail", "reason"))
_BAD = re.compile(
    r"\b(?:errors?|exceptions?|fail(?:s|ed|ing|ures?)?|timed[ -]?out|timeout|unavailable|unreachable|is down|are down"
    r"|try again|try later|partial(?:ly)?|incomplete|truncated|denied|forbidden|unauthorized|next page"
    r"|more (?:results|items|pages|entries))\b",
    re.IGNORECASE,
)
#: Names whose "no" says that something is missing, or did not go well.
_WHOLE = re.compile(
    r"(?:is)?(?:complete|completed|last|lastpage|done|finished|exhaustive|ok|success|successful|succeeded)"
)
#: Names under which a list says that it goes on in another page.
_GOES_ON = re.compile(
    r"(?:x|has|is)?(?:more|next|next(?:page|results?|items)|more(?:results|items|pages))(?:available)?"
)
_NEXT = re.compile(
    r"(?:x|odata)?next(?:results?|records?|sync)?(?:page|set|batch)?(?:no|num|number|index)?"
    r"(?:token|cursor|link|url|uri|href|marker|offset|key|start)?"
    r"|lastevaluatedkey|continue|continuation(?:token)?|bookmark|pagetoken|scroll(?:id)?"
)
_CURSOR = re.compile(r"(?:x|end|last|page|paging)?cursor|(?:cursors?|paging|pagination|page|pageinfo)\.(?:after|end)")
#: Names of numbers that are 0 where a list is empty, and 1 where it has no other page.
_TOTAL = re.compile(
    r"(?:x|xwp)?(?:totals?|total(?:count|results?|items?|records?|elements?|hits?|size|number)"
    r"|(?:results?|items?|records?|hits?|match)?count|numfound|numresults|nbhits|found|matched|recordsfiltered|offset"
    r"|skip)"
)
_PAGES = re.compile(r"(?:x|xwp)?(?:total|num|numberof)?pages?(?:total|count|number|no)?|(?:x|xwp)?(?:current|last)page")
#: Objects that tell of the list beside them; a total elsewhere may be that of shards, or of a quota.
_OF_THE_LIST = re.compile(r"meta|pag(?:e|ing|ination)|info|summary|search|result|response|hits")


def why_open(answer: Any, path: Sequence[str]) -> str:
    """Return why an answer in which nothing is at ``path`` does not say so, as the end of "the read …"; "" if it does.

    Nothing is also false, an empty list, or an empty object.
    """
    if wrong := _why_no_place(answer, path):
        return wrong
    around: list[int] = []
    inside = answer
    for step in path:
        around.append(id(inside))
        inside = inside.get(step) if isinstance(inside, Mapping) else None
    return next(_troubles(answer, around), "") if isinstance(answer, Mapping) else ""


def why_troubled(beside: Mapping[str, Any]) -> str:
    """Return why what is said beside an answer, as in its headers, leaves it open; "" if nothing does."""
    return next(_troubles(beside, ()), "")


def why_no_summary(text: str, wanted: Sequence[Any]) -> str:
    """Return why a text is not that of an answer in which nothing is, as the end of "the read …"; "" if it may be.

    ``wanted``: the values that were asked for. A text that names one of them, or a number, must say no.
    """
    if _BAD.search(text):
        return "was answered with a text that speaks of an error, or of more"
    if re.search(r"\b(?:no|not|none|nothing|empty|zero|0)\b(?![.:]?\d)", text, re.IGNORECASE):
        return ""
    asked = {one for value in wanted for _, _, one in leaves_of(value) if one.strip()}
    if re.search(r"[1-9]", text) or any(one in text for one in asked):
        return "was answered with a text beside it, which may name what was looked for"
    return ""


def says_nothing(value: Any) -> bool:
    """Say whether JSON has no value but null, false, 0, and texts that say as little."""
    return all(text.strip().lower() in _NOTHING for _, _, text in leaves_of(value))


def _why_no_place(value: Any, path: Sequence[str]) -> str:
    """Return why the place of what was looked for is not there, or not empty; "" if it is both."""
    if value is None and path:
        return "was answered with null"
    for number, step in enumerate(path):
        here = f"/{'/'.join(path[: number + 1])}"
        last, of_items = number == len(path) - 1, number + 1 < len(path) and path[number + 1].isdigit()
        if isinstance(value, Mapping) and step not in value:
            if number and not value and (last or step.isdigit()):
                return ""
            return f"was answered without {here}, which an answer that knows of nothing has as null or empty"
        if isinstance(value, list):
            if not value:
                return ""
            if int(step) >= len(value):
                return "was answered with other items"
            value = value[int(step)]
            if last:
                return "was answered with an item that has nothing in it"
        else:
            value = value[step]
        if value is None:
            near = last or number == len(path) - 2 or of_items
            return "" if near else f"was answered with null at {here}"
    return ""


def _troubles(value: Mapping[str, Any], around: Sequence[int], parent: str = "", of_list: bool = True) -> Iterator[str]:
    """Yield what an object says of an error, of a missing part, or of more; items of a list say it of themselves.

    around   the objects on the way to the place of what was looked for
    of_list  whether its numbers are those of the list that was asked for
    """
    names = [(plain_name(str(name)), text_or_length(str(name), 40), one) for name, one in value.items()]
    ends = any(_GOES_ON.fullmatch(name) and _is_no(one) for name, _, one in names)
    for name, shown, one in names:
        says = not says_nothing(one)
        goes_on = any(form.fullmatch(name) for form in (_GOES_ON, _NEXT)) or (
            not ends and any(map(_CURSOR.fullmatch, (name, f"{parent}.{name}")))
        )
        if says and (_TROUBLE.search(name) or (name in _TEXTS and isinstance(one, str) and _BAD.search(one))):
            yield f"was answered with {shown!r} beside it, which speaks of an error or of a missing part"
        elif (name in _CODES and 400 <= _number(one) <= 599) or (_WHOLE.fullmatch(name) and _is_no(one)):
            yield f"was answered with {shown}: {text_or_length(str(one), 40)}"
        elif says and goes_on:
            yield f"was answered with one page of several ({shown})"
        elif of_list and (
            (_TOTAL.fullmatch(name) and _number(one) > 0) or (_PAGES.fullmatch(name) and _number(one) > 1)
        ):
            yield f"was answered with one page of several ({shown}: {_number(one)})"
        elif isinstance(one, Mapping):
            inner = id(one) in around or (of_list and _OF_THE_LIST.search(name) is not None)
            yield from _troubles(one, around, name, inner)


def _is_no(value: Any) -> bool:
    return value is False or (isinstance(value, str) and value.strip().lower() in _NO)


def _number(value: Any) -> float:
    """Return a number, also as digits, or as the ``value`` of an object; -1 for anything else."""
    if isinstance(value, Mapping):
        value = value.get("value")
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20:
        return int(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else -1
