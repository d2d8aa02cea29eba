"""What counts as the same call, nearly the same search, and the same class of error. Pure.

Imports ``ballast.contracts`` only.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from ballast.contracts import ToolCall
from ballast.contracts.wire import canonical

#: Words that say nothing about what is searched. No prepositions, questions or negations: "to", "when", "not" do.
_SMALL = "a an the of for is are was were be i me my we our you your it its this that these those please do does did"
_STOP_WORDS = frozenset([*_SMALL.split(), "there", "have", "has", "about"])
#: From here on a float is no longer sure to be a whole number.
_EXACT = 2**53
#: Small edits: so many words may differ, each so much alike (difflib's ratio).
_EDITED_WORDS, _ALIKE = 2, 0.8
#: A search with words added is nearly the same where they are at most this part of it.
_ADDED = 0.2
_CLASS_CHARS = 120
_DIGIT = re.compile(r"\d")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def call_key(call: ToolCall) -> str:
    """Return a text that is equal for calls that ask the same.

    Neither the order of keys nor white space nor 1 for 1.0 nor the Unicode normal form makes another
    call of it; "1" for 1, true for 1 and capitals do.
    """
    return canonical([call.tool, _normal(call.arguments)])


def _normal(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(unicodedata.normalize("NFC", value).split())
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, Mapping):
        return {_normal(str(name)): _normal(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_normal(inner) for inner in value]
    return value


@dataclass(frozen=True)
class Search:
    """A call with free text in it: the words that matter, as a set, and all the rest of the call."""

    words: frozenset[str]
    rest: str

    def resembles(self, other: "Search") -> bool:
        """Say whether the two differ in word order, stop words, small edits or a small addition only.

        Words with digits in them are names of things: they must be the same.
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
    left = set(others)
    for word in sorted(some):
        match = next((one for one in sorted(left) if SequenceMatcher(None, word, one).ratio() >= _ALIKE), None)
        if match is None:
            return False
        left.remove(match)
    return True


def search_of(call: ToolCall) -> Search | None:
    """Return the call as a search, or None where no argument of it is free text: two words or more."""
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
            rest[name] = _normal(value)
    return Search(frozenset(words), canonical([call.tool, rest])) if words else None


def _words(text: str) -> frozenset[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    stripped = (word.strip(".,;:!?\"'()[]{}«»“”„’…") for word in plain.split())
    return frozenset(_singular(word) for word in stripped if word not in _STOP_WORDS and any(map(str.isalnum, word)))


def _singular(word: str) -> str:
    plural = len(word) > 3 and word.endswith("s") and not word.endswith("ss") and word.isalpha()
    return word[:-1] if plural else word


def error_class(error: str, message: str) -> str:
    """Return what stays the same of an error when only names and numbers in it change."""
    masked = _QUOTED.sub("#", message[: 4 * _CLASS_CHARS])
    words = ("#" if _DIGIT.search(word) else word for word in masked.casefold().split())
    return f"{error}: {' '.join(words)[:_CLASS_CHARS]}"
