"""Similarity: nearly the same search, writes about the same things, the same class of error. Pure."""

import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any

from ballast.contracts import ToolCall
from ballast.contracts.wire import canonical
from ballast.folds.calls import same
from ballast.regex import regex
from ballast.values import dataclass

#: Words that do not change a search. Prepositions, question words and negations do: "to", "when", "not".
_SMALL = "a an the of for is are was were be i me my we our you your it its this that these those please do does did"
_STOP_WORDS = frozenset([*_SMALL.split(), "there", "have", "has", "about"])
#: A small edit: at most so many words differ, each at least so similar (difflib's ratio).
_EDITED_WORDS, _ALIKE = 2, 0.8
#: A search with added words is nearly the same if they are at most this part of it.
_ADDED = 0.2
_CLASS_CHARS = 120
_DIGIT = regex(r"\d")
#: From the first letter or digit to the last: "o-1001", "don't", "c" of "c++".
_WORD = regex(r"\w(?:\S*\w)?")
_QUOTED = regex(r"'[^']*'|\"[^\"]*\"")
#: Longer words are compared for equality: difflib would take too long.
_LONGEST_WORD = 400
_NAME_PARTS = regex(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


#: Last words of field names: the field holds text, or it names a thing.
_HOLDS_TEXT = _set(
    "text txt content contents body message msg note notes comment comments remark remarks description summary "
    "reason explanation reply answer title subject heading headline caption addition paragraph sentence line "
    "lines entry snippet markdown html json data draft words value instruction instructions prompt feedback "
    "review details"
)
_SAYS_WHICH = _set(
    "id ids key keys name names path file filename folder directory dir url uri link to cc bcc from recipient "
    "recipients email mail phone address number no nr ref reference sku user username member customer person owner "
    "account assignee channel room queue table column row cell sheet page section day date time month year tag label "
    "status state type kind category city country language locale currency unit branch repo repository host tenant"
)
#: Scripts without spaces: so many characters are a text of several words.
_UNSPACED = regex(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]{6}")
#: A name (of a person, a street, a folder) has at most so many words.
_WORDS_OF_A_NAME = 6
#: A thing named in one word: without the punctuation of code or prose, and short.
_A_NAME = regex(r"(?:https?://\S+|[\w.:/#@+~\\-]{1,80})")


@dataclass(frozen=True)
class Search:
    """A call with free text: its significant words as a set, and the rest of the call."""

    words: frozenset[str]
    rest: str

    def resembles(self, other: "Search") -> bool:
        """Return whether the two differ only in word order, stop words, small edits or a small addition.

        Words with digits name things: they must be equal.
        """
        if self.rest != other.rest:
            return False
        mine, others = self.words - other.words, other.words - self.words
        if any(_DIGIT.search(word) for word in mine | others):
            return False
        if not mine or not others:
            return len(mine | others) <= _ADDED * len(self.words | other.words)
        return len(mine) == len(others) <= _EDITED_WORDS and _edited(mine, others)


def _edited(some: frozenset[str], others: frozenset[str]) -> bool:
    if any(len(word) > _LONGEST_WORD for word in some | others):
        return False
    left = set(others)
    for word in sorted(some):
        match = next((one for one in sorted(left) if SequenceMatcher(None, word, one).ratio() >= _ALIKE), None)
        if match is None:
            return False
        left.remove(match)
    return True


def search_of(call: ToolCall) -> Search | None:
    """Return the call as a search; None if no argument is free text (two words or more)."""
    if not isinstance(call.arguments, Mapping):
        return None
    words: set[str] = set()
    rest: dict[str, Any] = {}
    for name, value in call.arguments.items():
        found = _words(value) if isinstance(value, str) else frozenset()
        if sum(not _DIGIT.search(word) for word in found) >= 1 and len(str(value).split()) > 1:
            words |= found
            rest[name] = "…"
        else:
            rest[name] = same(value)
    return Search(frozenset(words), canonical([call.tool, rest])) if words else None


def target_of(
    call: ToolCall,
    *,
    ids: Collection[str] = (),
    marked: Collection[str] = (),
    free: Collection[str] = (),
    chosen: Collection[str] = (),
    amounts: Collection[str] = (),
    says_how_much: Callable[[str], bool] = lambda _: False,
    spelled: Callable[[str, Any], Any] = lambda _, value: same(value),
) -> Search | None:
    """Return what a call is about (``rest``) and its words; None if it has neither texts nor ids.

    It is about its ``ids`` and all values but its texts, as a set, wherever they stand. A text is a value that the tool
    marks as ``free``, that stands in a field with such a name (``body``, ``note_text``), or that has several words or
    is code; not a value ``chosen`` from the author's list. ``marked`` values are in ``ids`` or ``amounts`` already.
    ``spelled`` maps all spellings of a value to one; it gets the field's name. Beside ids, an amount (by its mark, or
    by a name that ``says_how_much``) is one of the words: another amount says something new about the same things.
    """
    about, texts, words = set(), set(), {f"={amount}" for amount in amounts}
    for name, value in _values(call.arguments, ""):
        if str(value) in marked:
            continue
        if isinstance(value, str) and (value in free or (value not in chosen and _is_text(name, value))):
            texts.add(canonical([name, "…"]))
            words |= _words(value)
        elif ids and value is not None and says_how_much(name):
            words.add(f"{name}={spelled(name, value)}")
        else:
            about.add(canonical([name, spelled(name, value)]))
    if not (texts or ids):
        return None
    return Search(frozenset(words), canonical([call.tool, sorted(ids), sorted(about | (set() if ids else texts))]))


def _values(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield each value of JSON with its field's name."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _values(inner, str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _values(inner, name)
    else:
        yield name, value


def _is_text(name: str, value: str) -> bool:
    if _head(name) in _HOLDS_TEXT:
        return True
    several = len(value.split())
    if several > 1 or _head(name) in _SAYS_WHICH:
        least = _WORDS_OF_A_NAME if _head(name) in _SAYS_WHICH else 1
        return several > least and any(not _DIGIT.search(word) for word in _words(value))
    return _UNSPACED.search(value) is not None or (value != "" and _A_NAME.fullmatch(value) is None)


def _head(name: str) -> str:
    return next((part.lower() for part in reversed(_NAME_PARTS.findall(name[:100]))), "")


def _words(text: str) -> frozenset[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return frozenset(_singular(word) for word in _WORD.findall(plain) if word not in _STOP_WORDS)


def _singular(word: str) -> str:
    plural = len(word) > 3 and word.endswith("s") and not word.endswith("ss") and word.isalpha()
    return word[:-1] if plural else word


def error_class(error: str, message: str) -> str:
    """Return an error's name and message without the names and numbers in it."""
    masked = _QUOTED.sub("#", message[: 4 * _CLASS_CHARS])
    words = ("#" if _DIGIT.search(word) else word for word in masked.casefold().split())
    return f"{error}: {' '.join(words)[:_CLASS_CHARS]}"
