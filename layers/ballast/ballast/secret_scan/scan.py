"""Find what looks like a secret in the values of a test: best effort. Pure.

A test is committed and read by many. A value that only looks like a secret costs a person a minute, one that is missed
costs a key: so what is in doubt is a secret.

::

    forms        keys and tokens by their prefixes, private keys, passwords in URLs; random characters without a word
    words        password, contraseña, пароль, 密码, …: a random or quoted word near it, any value straight after it
    names        all values beneath a field that is named so; pairs of a name and a value, such as headers

Each text is read in all of its ``readings``.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from ballast.masking import MASK, SEALED
from ballast.secret_scan.readings import meant_by, readings, without_spaces
from ballast.secret_scan.words import (
    AMBIGUOUS,
    DIGITS,
    FORMS,
    MARKS,
    PAIR_NAMES,
    PAIR_VALUES,
    SQUEEZED,
    SURE,
    WEAK,
    counts_tokens,
    is_prose,
    is_secret_name,
    marked,
    stands_for_nothing,
    tells_about,
)

_LINK = (
    r"(?:is|was|are|be|been|being|as|has|have|had|will|should|must|now|still|set|changed|reset|updated|ist|war|lautet|"
    r"heisst|est|es|e|sara|sera|eto|\u044d\u0442\u043e|to|auf|:|=|->|=>)"
)
#: Whose it is: "for her account", "of A-1002".
_WHOSE = r"(?:,[^,.;]{1,40},)?(?:\s+(?:for|of|fur|von|de|pour|del|voor|para)\s+\S+(?:\s\w+)?)?"
_SEPARATOR = r"(?::+=?|=+>?|[|\u2192\u21d2\u27a1\u00bb\ua789\u02d0\u2236]+|-{1,2}>|(?<=\s)[-~]+(?=\s)|>)"
_STRAIGHT = re.compile(
    rf"[{MARKS}][\w-]{{0,24}}[\"'*_\]]*{_WHOSE}\s*(?:\([^)]{{0,60}}\)\s*)?(?:(?:is|was|ist|est|es)\s*)?"
    rf"(?:{_SEPARATOR}\s*)+(?:(?i:bearer|basic|digest)\s+)?(?P<quote>[\"'(<\[{{*_]*)(?P<value>[^\s\"'<>,;|]+)"
)
_SAID = re.compile(
    rf"[{SURE}{DIGITS}]\w{{0,3}}[\"'*]*{_WHOSE}(?:\s+{_LINK}){{1,5}}\s+[\"']?(?P<value>[^\s\"'<>,;]{{4,}}?)[\"']?"
    r"(?=[.!?,;)]*(?:\s*$|\n|[,;.!?](?:\s|$)|\s+(?:and|und|et|y|thanks|please|danke|but|for)\b))",
    re.IGNORECASE,
)
_ADJACENT = re.compile(
    rf"{SURE}\s+[\"']?(?:(?=\w*[0-9])(?=\w*[A-Za-z])[A-Za-z0-9]{{5,}}|[0-9]{{4,12}}(?=[\s.,;!?\"']|$))"
)
_QUOTED = re.compile(r"(?<![\w\"'])([\"'])(?P<value>[^\s\"']{4,64})\1(?!\s*:)")
_NUMBER = re.compile(
    rf"{DIGITS}\W+(?:(?:is|was|ist|est|es|it|that|number|code|nr|no|nummer|to|set|as|the|her|his|my|your|card|account|changed|"
    r"(?:of|for|on|von|fur)\s+\S+)\W+){0,6}"
    r"(?P<value>[0-9]{3,10}|[0-9]{2,4}(?:[ -][0-9]{2,4}){1,2})(?![\w.-]*[0-9])|"
    rf"(?<![\w.#-])(?P<before>[0-9]{{4,8}})(?:\s+(?:is|as|ist|for|als|est)\s+|\s*[(\[]\s*)(?:\w+\s+){{0,2}}{DIGITS}",
    re.IGNORECASE,
)
#: Words around a secret's word that are looked at: after it, and before it.
_AFTER, _AFTER_WEAK, _BEFORE, _QUOTED_WITHIN = 14, 4, 6, 60
_ENDS = re.compile(r"[.!?](?:\s|$)|\n\s*\n")

#: Characters that are looked at together.
_WINDOW, _OVERLAP = 4_000, 400

# Words that look random.
_EDGE = "\"'`*<>()[]{},;:.!?_|~\u00ab\u00bb"
_PIECE = re.compile(r"[\s<>\"'`|,;(){}\[\]=]+")
_HONEST = re.compile(
    r"(?i)[#]?[a-z]{1,5}[-_#]?[0-9]+|[0-9]+[a-z]{1,3}|[$\u20ac\u00a3]?[0-9][0-9.,]*(?:%|[a-z]{1,3})?|[0-9][0-9:./,tz+-]*z?|"
    r"[^\s@]+@[^\s@]+\.[a-z]{2,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|run-[a-z0-9]{16,32}[\w.:-]*|[a-z]+#[0-9][0-9:t-]*|stand-in\S*|sealed-\S*|"
    r"[a-z]{2,24}[-_:.](?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})|"
    r"[0-9A-HJKMNP-TV-Z]{26}|(?:tooluse|toolu|call|script)[_-][\w-]+|arn:[\w:/.+*-]+"
)
#: JSON, or what is left of it: its parts are looked at, not the whole.
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.\w+")
_STRUCTURE = re.compile(r"[{}]|[\"'][:,]|[:,]\"")
_LETTER_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SPLIT = re.compile(r"[-_./:,'\u2019]+")
_HEX = re.compile(r"(?:0x)?[0-9a-f-]+|(?:0x)?[0-9A-F-]+")
_CLASSES = re.compile(r"[a-z]+|[A-Z]+|[0-9]+|[^a-zA-Z0-9]+")
_LONG = re.compile(r"[A-Za-z0-9+/_=.~-]{20,}")
#: Bits for each character, below which a word repeats itself.
_RANDOM = 2.3
_PLAIN, _MIXED, _STRONG = range(3)


def secrets_in(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the place of each value that looks like a secret, and what it looks like."""
    if isinstance(value, Mapping):
        paired = _paired(value)
        outer = path.rpartition(".")[2]
        for name, inner in value.items():
            place = f"{path}.{name}" if path else str(name)
            yield from _in_text(str(name), f"{place} (its name)")
            if name in paired:
                yield from _beneath(inner, place, paired[name])
            elif is_secret_name(str(name)):
                yield from _beneath(inner, place, str(name))
            elif isinstance(inner, str) and is_secret_name(f"{outer}_{name}"):  # such as api: {key: …}
                yield from _beneath(inner, place, f"{outer}_{name}")
            else:
                yield from secrets_in(inner, place)
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            before, place = value[at - 1] if at else None, f"{path}.{at}" if path else str(at)
            if isinstance(before, str) and isinstance(inner, str) and _is_a_secrets_name(before):
                yield from _beneath(inner, place, before)
            else:
                yield from secrets_in(inner, place)
    elif isinstance(value, str):
        yield from _in_text(value, path)


def _is_a_secrets_name(text: str) -> bool:
    return len(text) <= 40 and len(text.split()) <= 3 and re.search(r"[.!]", text) is None and is_secret_name(text)


def _paired(value: Mapping[Any, Any]) -> dict[Any, str]:
    """Return the fields of a name-and-value pair that hold a secret, each with the name."""
    for name, inner in value.items():
        if str(name).lower() in PAIR_NAMES and isinstance(inner, str):
            asks = inner.rstrip().endswith(("?", ":")) and any(
                SURE in one or DIGITS in one for one in map(marked, readings(inner))
            )
            if asks or _is_a_secrets_name(inner):
                return {one: inner for one in value if str(one).lower() in PAIR_VALUES}
    return {}


def _beneath(value: Any, path: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield every value at any depth beneath a field with a secret's name."""
    if isinstance(value, Mapping):
        for inner_name, inner in value.items():
            yield from _in_text(str(inner_name), f"{path}.{inner_name} (its name)")
            if inner_name != SEALED:
                yield from _beneath(inner, f"{path}.{inner_name}", name)
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            yield from _beneath(inner, f"{path}.{at}", name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if not tells_about(name) and not counts_tokens(name):
            yield path, f"the value of a field {name}"
    elif isinstance(value, str) and not (MASK in value or stands_for_nothing(value)):
        if not tells_about(name) or _look(value.strip()) > _PLAIN:
            yield path, f"the value of a field {name}"
        else:
            yield from _in_text(value, path)


# Texts


def _in_text(text: str, path: str) -> Iterator[tuple[str, str]]:
    inside = _json_in(text)
    if inside is not None:
        yield from secrets_in(inside, path)
        return
    if kind := next(filter(None, map(_kind_of, _windows(text))), ""):
        yield path, kind


def _windows(text: str) -> Iterator[str]:
    """Yield the text; of a long one overlapping parts, so that the time grows with its length and no faster."""
    for at in range(0, max(1, len(text) - _OVERLAP), _WINDOW - _OVERLAP):
        yield text[at : at + _WINDOW]


@lru_cache(1024)
def _kind_of(text: str) -> str:
    """Return what a text holds that looks like a secret; "" if nothing does."""
    for reading in readings(text):
        if kind := _form_in(reading) or _beside_a_word(reading) or _random_in_text(reading):
            return kind
    return "a token with spaces in it" if SQUEEZED.search(without_spaces(text)) else ""


def _json_in(text: str) -> Any:
    if text.lstrip()[:1] in ("{", "["):
        try:
            read = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return read if isinstance(read, dict | list) else None
    return None


def _form_in(text: str) -> str | None:
    """Return which form of a key or token is in the text."""
    for name, form in FORMS:
        if form.search(text):
            return name
    for found in AMBIGUOUS.finditer(text):
        if _look(found[1]) > _PLAIN or len(max(re.split(r"[-_.]", found[1]), key=len)) > 20:
            return "an API key"
    return None


def _random_in_text(text: str) -> str | None:
    """Return how characters in the text look random, without any word for a secret."""
    if any(_is_random_alone(one) for found in _LONG.finditer(text) for one in _parts_of_url(found[0])):
        return "a long random text"
    if any(_is_a_password_alone(word) for word in text.split()):
        return "a random word of letters, digits and signs"
    return None


def _parts_of_url(word: str) -> list[str]:
    """Return the parts of an address or a path that has several; else the word."""
    parts = re.split(r"[/=]", word)
    return parts if len(parts) > 3 or (any(len(one) > 20 for one in parts) and "." in word) else [word, *parts]


def _is_random_alone(word: str) -> bool:
    word = word.strip("=.-_~/")
    if (
        len(word) < 20
        or _HONEST.fullmatch(word)
        or _HEX.fullmatch(word)
        or _is_a_name(word)
        or _entropy(word) < 3
        or meant_by(word)
    ):
        return False
    classes = _CLASSES.findall(re.sub(r"[^A-Za-z0-9]", "", word))
    kinds = sum(re.search(kind, word) is not None for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    # Letters of both cases alone: an identifier in camelCase changes less often.
    return (kinds == 3 and len(classes) >= 7) or (len(word) >= 32 and len(classes) >= (10 if kinds == 2 else 99))


def _is_a_password_alone(word: str) -> bool:
    word = word.strip(_EDGE + "=")
    if not 8 <= len(word) <= 64 or "://" in word or _HONEST.fullmatch(word) or meant_by(word):
        return False
    kinds = all(re.search(kind, word) for kind in ("[a-z]", "[A-Z]", "[0-9]", r"[!#$%^&*+=?@~]"))
    return kinds and len(_CLASSES.findall(word)) >= 6 and re.search(r"[?&]\w+=", word) is None


def _beside_a_word(text: str) -> str | None:
    text = marked(text)
    if not any(one in text for one in MARKS):
        return None
    for found in _STRAIGHT.finditer(text):
        weak = found[0].startswith(WEAK)
        if found[0].startswith(DIGITS) and not re.search("[0-9]", found["value"]):
            continue
        if _is_a_value(found["value"], weak=weak, quoted=found["quote"][-1:] in ("'", '"')):
            return "a value straight after a secret's word"
    if any(_is_a_value(found["value"], weak=False) for found in _SAID.finditer(text)):
        return "a value after a secret's word"
    if _NUMBER.search(text) or _ADJACENT.search(text):
        return "a number or a random word straight after a secret's word"
    for mark in re.finditer(f"[{MARKS}]", text):
        after, before = text[mark.end() : mark.end() + 400], text[max(0, mark.start() - 200) : mark.start()]
        sentence, until = _ENDS.split(after, maxsplit=1)[0], _ENDS.split(before)[-1]
        if mark[0] == WEAK:
            if _random_in(sentence.split()[:_AFTER_WEAK], _STRONG):
                return "a random word after a word for access"
            continue
        if _random_in(after.split()[:_AFTER], _STRONG) or _random_in(before.split()[-_BEFORE:], _STRONG):
            return "a random word beside a secret's word"
        if _random_in(sentence.split()[:_AFTER], _MIXED) or _random_in(until.split()[-_BEFORE:], _MIXED):
            return "a random word beside a secret's word"
        if any(
            _is_a_value(one["value"], weak=False) and not _HONEST.fullmatch(one["value"])
            for one in _QUOTED.finditer(sentence[:_QUOTED_WITHIN])
        ):
            return "a quoted word beside a secret's word"
    return None


def _is_a_value(word: str, *, weak: bool, quoted: bool = False) -> bool:
    """Return whether a word in the place of a value is one, and no placeholder and no sentence that goes on."""
    word = word.rstrip(".,!?)]}>*_`")
    if weak:
        return _look(word) == _STRONG
    if len(word) < 3 or any(one in word for one in MARKS) or MASK in word or stands_for_nothing(word):
        return False
    return quoted or not (is_prose(word) or "://" in word or _ADDRESS.fullmatch(word))


def _random_in(words: list[str], least: int) -> bool:
    for typed in words:
        word = typed.partition("?")[2] if "://" in typed else typed
        whole = () if _STRUCTURE.search(word) else (word,)
        for piece in (*whole, *_PIECE.split(word), *(re.split(r"[:/&?=]", word) if whole else ())):
            if not any(one in piece for one in MARKS) and _look(piece) >= least:
                return True
    return False


def looks_random(text: str) -> bool:
    """Return whether a word has several kinds of characters and little order, as passwords and keys have."""
    return _look(text) > _PLAIN


def _look(word: str) -> int:
    """Return how random a word looks, as it may beside a secret's word: _PLAIN, _MIXED or _STRONG."""
    word = word.strip(_EDGE)
    if len(word) < 6 or _HONEST.fullmatch(word) or _is_a_name(word) or _entropy(word) < _RANDOM:
        return _PLAIN
    has = {kind: re.search(kind, word) is not None for kind in ("[a-z]", "[A-Z]", "[0-9]", r"[^A-Za-z0-9_.:/-]")}
    signs = has.pop(r"[^A-Za-z0-9_.:/-]")
    if not any(has.values()):
        return _PLAIN
    if has["[0-9]"] and has["[a-z]"] + has["[A-Z]"] + signs >= 2:
        return _STRONG
    letters = has["[a-z]"] or has["[A-Z]"]
    return _MIXED if (has["[0-9]"] and (letters or signs)) or (letters and _is_odd(word)) else _PLAIN


def _is_odd(word: str) -> bool:
    """Return whether letters alone are no word: they change their case too often, or have no vowel."""
    if re.search(r"[^A-Za-z]", word):
        return False
    parts = _LETTER_PART.findall(word)
    return (len(parts) >= 3 and len(word) < 3 * len(parts)) or (
        len(word) > 5 and re.search(r"(?i)[aeiouy]", word) is None
    )


def _is_a_name(word: str) -> bool:
    """Return whether all parts of a word are ordinary words or numbers: order_1001, docs/playbook.md, ORD-2024-17."""
    mixed = 0
    for part in filter(None, _SPLIT.split(word)):
        if part.isdigit():
            continue
        if re.fullmatch(r"[A-Za-z]{1,4}[0-9]+|[A-Za-z]{3,}[0-9]|v[0-9]+", part):
            mixed += 1
        elif not re.fullmatch(r"[A-Za-z]{1,24}", part) or _is_odd(part):
            return False
    return mixed <= 1 and not (mixed and _SPLIT.search(word) is None)


def _entropy(text: str) -> float:
    counts = Counter(text).values()
    return -sum(one / len(text) * math.log2(one / len(text)) for one in counts)
