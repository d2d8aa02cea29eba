"""What counts as nearly the same search, and as the same class of error. Pure."""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from ballast.contracts import ToolCall
from ballast.contracts.wire import canonical
from ballast.folds.calls import same

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
#: Longer words are compared whole: nobody misspells them, and difflib takes long.
_LONGEST_WORD = 400
_NAME_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


#: What the last word of a field's name says: it holds words, or it says which thing.
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
#: Written without spaces, so that a text of more than some signs has words.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]{6}")
#: The name of somebody, a street or a folder has so many words at most.
_WORDS_OF_A_NAME = 6
#: What names a thing in one word: no sign in it that only code or prose has, and not as long as those.
_A_NAME = re.compile(r"(?:https?://\S+|[\w.:/#@+~\\-]{1,80})")


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
    """Return what a call is about, and the words that it says of it; None where nothing of it is only said.

    What it is about are ``ids`` and all values but its texts, as a set, without their places. A text is what the tool
    says is ``free``, what stands in a field that is named as one (``body``, ``note_text``), several words, and code;
    not what is ``chosen`` from a list of the author's. ``marked`` values are in ``ids`` already, or in ``amounts``.
    ``spelled`` makes one of the spellings of a value; it gets the field's name. Beside ids an amount, by its mark or
    by a name that ``says_how_much``, is one of the words: another one says something else about the same things.
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
    """Yield each value of JSON with the name that it stands under."""
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
    """Return what stays the same of an error when only names and numbers in it change."""
    masked = _QUOTED.sub("#", message[: 4 * _CLASS_CHARS])
    words = ("#" if _DIGIT.search(word) else word for word in masked.casefold().split())
    return f"{error}: {' '.join(words)[:_CLASS_CHARS]}"
