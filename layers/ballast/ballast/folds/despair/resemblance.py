"""What counts as nearly the same search, and as the same class of error. Pure."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from ballast.contracts import ToolCall
from ballast.contracts.wire import canonical
from ballast.folds.sameness import same

#: Words that say nothing about what is searched. No prepositions, questions or negations: "to", "when", "not" do.
_SMALL = "a an the of for is are was were be i me my we our you your it its this that these those please do does did"
_STOP_WORDS = frozenset([*_SMALL.split(), "there", "have", "has", "about"])
#: Small edits: so many words may differ, each so much alike (difflib's ratio).
_EDITED_WORDS, _ALIKE = 2, 0.8
#: A search with words added is nearly the same where they are at most this part of it.
_ADDED = 0.2
_CLASS_CHARS = 120
_DIGIT = re.compile(r"\d")
#: From letter to letter: "o-1001", "don't", "c++" without its signs.
_WORD = re.compile(r"\w(?:\S*\w)?")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


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
            rest[name] = same(value)
    return Search(frozenset(words), canonical([call.tool, rest])) if words else None


def target_of(call: ToolCall) -> str | None:
    """Return what a call is about, whatever its free text says; None where it has no free text."""
    search = search_of(call)
    return None if search is None else search.rest


def _words(text: str) -> frozenset[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return frozenset(_singular(word) for word in _WORD.findall(plain) if word not in _STOP_WORDS)


def _singular(word: str) -> str:
    plural = len(word) > 3 and word.endswith("s") and not word.endswith("ss") and word.isalpha()
    return word[:-1] if plural else word


def error_class(error: str, message: str) -> str:
    """Return what stays the same of an error when only names and numbers in it change."""
    masked = _QUOTED.sub("#", message[: 4 * _CLASS_CHARS])
    words = ("#" if _DIGIT.search(word) else word for word in masked.casefold().split())
    return f"{error}: {' '.join(words)[:_CLASS_CHARS]}"
