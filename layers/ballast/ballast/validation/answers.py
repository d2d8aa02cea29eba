"""Checks of a final answer: its size, its intent's schema, and amounts and ids that do not occur in the run. Pure.

Only unambiguous values count: amounts with a currency, and ids by the playbook's patterns. A date, "2 days" or "30 %"
is never refused. An amount may also be the sum or the difference of two known amounts, such as the rest of a payment. A
third term would let nearly any number through.
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

from ballast.contracts import Answer
from ballast.contracts.wire import text_or_length, utf8_size
from ballast.validation.index import Index
from ballast.validation.numbers import numbers
from ballast.validation.schema import Schema, complaints_of, why_no_object
from ballast.validation.sources import Source
from ballast.validation.values import Kind, Leaf, SearchValue
from ballast.validation.words import normalize
from ballast.values import dataclass

#: The most bytes of an answer, text and data as JSON in UTF-8: more than anybody reads, and small enough for an event.
ANSWER_BYTES = 64 * 1024
_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*?)\n?```\Z", re.DOTALL)
#: The most complaints, and their sizes.
_MAX_COMPLAINTS, _MAX_CHARS = 6, 60
#: The newest amounts that may be terms of a sum; with more of them nearly any number would be one.
_TERMS = 400


@dataclass(frozen=True)
class CheckedAnswer:
    """An answer as it would be sent, and the complaints against it."""

    answer: Answer
    complaints: tuple[str, ...] = ()


def answer_too_large(answer: Answer) -> str | None:
    """Return the complaint about an answer's size, None if it fits."""
    size = utf8_size([answer.text, answer.data])
    return None if size <= ANSWER_BYTES else f"it has {size} bytes; at most {ANSWER_BYTES} are allowed"


def fit_schema(answer: Answer, schema: Schema | None) -> CheckedAnswer:
    """Return the answer with ``data`` as ``schema`` requires it, read from its text if it has none.

    The new text is then the data's field ``text``, if there is one.
    """
    if schema is None:
        return CheckedAnswer(answer)
    data: Any = answer.data
    if data is None:
        fenced = _FENCE.match(answer.text.strip())
        text = fenced.group(1) if fenced else answer.text.strip()
        problem = why_no_object(text)
        if problem is not None:
            return CheckedAnswer(answer, (f"it must be one JSON object and nothing else: {problem}",))
        data = json.loads(text)
        own = data.get("text")
        answer = answer.model_copy(update={"data": data, "text": own if isinstance(own, str) and own.strip() else text})
    return CheckedAnswer(answer, _few(complaints_of(data, schema)))


def unknown_values(
    answer: Answer, sources: Sequence[Source], own_words: Sequence[str], ids: Sequence[str]
) -> tuple[str, ...]:
    """Return the answer's amounts and ids that do not occur in the run.

    ``own_words``: texts of the playbook, whose instructions may name an amount. ``ids``: regular expressions.
    """
    said = [answer.text, *(text for text in _texts(answer.data))]
    known = [leaf for source in sources for leaf in source.leaves]
    return _few([*_amounts(said, known, own_words), *_ids(said, known, ids)])


def _amounts(said: Sequence[str], known: Sequence[Leaf], own_words: Sequence[str]) -> Iterator[str]:
    named = [(text, one) for text in map(normalize, said) for one in numbers(text) if one.currency and one.certain]
    if not named:
        return
    everything = [one for leaf in (*known, *map(Leaf, own_words)) for one in leaf.named]
    values = {abs(one.value) for one in everything}
    money = dict.fromkeys(abs(one.value) for one in reversed(everything) if one.money)
    newest = [*islice(money, _TERMS)]
    unknown = {value: not _of_two(value, newest, money) for value in {abs(one.value) for _, one in named} - values}
    for text, one in named:
        if unknown.get(abs(one.value)):
            yield f"the amount {text_or_length(text[one.start : one.end].strip(), _MAX_CHARS)}"


def _of_two(value: Decimal, newest: Sequence[Decimal], money: Collection[Decimal]) -> bool:
    """Return whether the value is the sum or the difference of two known amounts, one of them among the newest."""
    return any(value - one in money or value + one in money or one - value in money for one in newest)


def _ids(said: Sequence[str], known: Sequence[Leaf], ids: Sequence[str]) -> Iterator[str]:
    index = Index(known)
    for found in dict.fromkeys(match.group() for text in said for one in ids for match in re.finditer(one, text)):
        if found and not index.holds(SearchValue.of(found, Kind.TEXT)):
            yield text_or_length(found, _MAX_CHARS)


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list):
        for inner in data.values() if isinstance(data, dict) else data:
            yield from _texts(inner)


def _few(complaints: Iterator[str] | Sequence[str]) -> tuple[str, ...]:
    found = list(dict.fromkeys(complaints))
    more = len(found) - _MAX_COMPLAINTS
    return (*found[:_MAX_COMPLAINTS], *([f"and {more} more"] if more > 0 else []))
