"""Words of a text, compared regardless of their spelling. Pure.

A text becomes tokens: runs of digits, runs of letters, single ideographs. Case, full-width forms, digits of other
scripts and invisible characters are normalized; letters that only look alike (Latin a, Cyrillic а) are not, because
they can disguise another value.

Characters between two words separate or join them: "O-1001—thanks" and "O-1001.Thanks" name O-1001, "O-1001-2",
"O-1001.pdf" and "photo_O-1001" do not. A long code (an IBAN, a tracking number) may be grouped.
"""

import re
import unicodedata
from array import array
from collections.abc import Sequence
from typing import Any

from ballast.masking import UNSEEN, dashes
from ballast.regex import regex
from ballast.values import dataclass

#: Scripts without spaces between words: each character is a token.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
#: Marks that change the letter or digit before them.
_MARKS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"
_TOKEN = regex(rf"(?P<d>[0-9]+)|(?P<i>[{_UNSPACED}])|(?P<w>(?:[^\W\d_{_UNSPACED}]|[{_MARKS}])+)")
#: Below this code point: Latin, Greek, Cyrillic. Letters of other scripts separate a number as a space does.
_CASED = 0x0530

#: A dash that separates words even without spaces. ``dashes`` reduces all dashes to three.
BREAKS = "\u2014"
DASHES = f"\u2013{BREAKS}-"
#: Between two tokens without a space, these join them to one word.
_JOINERS = frozenset(DASHES + "_.@") - frozenset(BREAKS)
#: A hyphen in an id, but a dash beside a word of this many letters.
EN_DASH, WORD = "\u2013", 3
#: The same for a regular expression's brackets.
DASH_CLASS = re.escape(DASHES)
HYPHEN_CLASS = re.escape(DASHES.translate(dict.fromkeys(map(ord, BREAKS))))
#: Joiners between digits as well: decimals, dates, times, fractions.
_NUMBER_JOINERS = frozenset(",:/'’" + BREAKS)
#: Interchangeable separators inside an id: O-1001, O 1001, O.1001, O1001.
_ID_GAP = regex(rf"[ \t]?[{DASH_CLASS}_/#:]?[ \t]?|\.")
#: The same between two groups of digits, where a dot or a comma would make another number.
_DIGITS_GAP = regex(rf"[ \t{DASH_CLASS}_]")
#: Interchangeable separators between the words of a text, such as the lines of an address.
_TEXT_GAP = regex(rf"[\s{DASH_CLASS}_.,/#:;'’()&]{{1,4}}")
#: A full stop without a space after it, and the first word of the next sentence.
_GLUE = regex(r"(?<=[^\W_])\.(?=([^\W\d_]+)(?:[\s,;:!?'’\")\]]|$))")
#: Words that end a file name or a domain, and so do not begin a sentence.
_NAMES_END = (
    "com org net info biz app dev shop store online site cloud page blog example test local "
    "jpg jpeg png gif svg pdf doc docx xls xlsx csv txt zip html htm xml json yaml eml msg mov heic bak exe"
)
_ENDINGS = frozenset(_NAMES_END.split())
#: Words that say what a value is ("order-O-1002", "no.O-1002"), and words that go on after one ("O-1002-it came"). None
#: of them is a part of a value; a hyphen beside any other word may join the two (photo-O-1002, SKU-100-blue).
_KINDS = (
    "order orders number reference tracking invoice ticket case code customer refund return parcel payment cancel "
    "bestellung rechnung auftrag commande facture pedido factura ordine"
)
_BEFORE_VALUES = f"{_KINDS} no nr num id ref is are was for about and my of"
_AFTER_VALUES = (
    "it its is was and but or that this these those which please thanks thank because then they the my we you not when "
    "who has have had came come arrived for from with also here there und aber et mais y pero"
)
_WORD_BEGINS = rf"(?<![^\s(\[\"'“‘«:;,{re.escape(DASHES.rstrip('-'))}])"
_HYPHEN_BEFORE = regex(rf"{_WORD_BEGINS}((?i:{_BEFORE_VALUES.replace(' ', '|')}))[-.](?=[^\W\d_]{{0,6}}[-_]?[0-9])")
_KIND = "|".join(f"[{word[0]}{word[0].upper()}]{word[1:]}" for word in _KINDS.split())
_HYPHEN_AFTER = regex(rf"(?<=[0-9])-(?=(?:{_AFTER_VALUES.replace(' ', '|')}|{_KIND})(?:[\s,;:.!?]|$))")
#: The same words glued to a value that begins with a capital: orderO-1002.
_GLUED_BEFORE = regex(rf"{_WORD_BEGINS}({_KIND})(?=[A-Z]{{1,6}}[-_]?[0-9])")
#: Invisible characters between a word and a value: a soft hyphen, a zero-width space.
_UNSEEN_BESIDE = regex(
    rf"(?<=[^\W\d_]{{{WORD}}})[{UNSEEN}]+(?=[^\W\d_]{{0,6}}[-_$€£¥]?[0-9])|(?<=[0-9])[{UNSEEN}]+(?=[^\W\d_]{{{WORD}}})"
)
#: A range of ids: O-1002–O-1004.
_RANGE = regex(r"(?<![^\s(\[,;:])([^\W\d_]{1,8}[-_ ]?)([0-9]{1,18})\u2013(?=\1[0-9])")
#: Separators of a long code's groups, and the number of letters and digits of a code.
_CODE_GAP = regex(rf"[ \u00a0.{DASH_CLASS}]?")
_IBAN = regex(r"[a-z]{2}[0-9]{2}[a-z0-9]{11,30}", re.ASCII)
_CODE_LENGTHS, _CODE_DIGITS, _CODE_WORD = range(10, 41), 6, 4


def normalize(text: str, *, case: bool = False) -> str:
    """Return ``text`` without differences of case, width and invisible characters.

    ``case`` keeps the case, as for the path of a web address.
    """
    if text.isascii():
        return text if case else text.lower()
    folded = unicodedata.normalize("NFKC", dashes(text))
    folded = folded if case else unicodedata.normalize("NFKC", folded.casefold())
    return "".join(_normalize_char(char) for char in folded)


def _normalize_char(char: str) -> str:
    if char < "\x80":
        return char
    category = unicodedata.category(char)
    if category == "Cf" or "\ufe00" <= char <= "\ufe0f":
        return ""
    return str(unicodedata.decimal(char)) if category == "Nd" else char


def begins_sentence(word: str) -> bool:
    """Return whether a word right after a full stop begins a sentence: capitalized, and not the end of a name."""
    return word[:1].isupper() and word[1:] == word[1:].lower() and word.lower() not in _ENDINGS


def ends_address(word: str) -> bool:
    """Return whether that word may be the end of a domain: two letters are a country."""
    return len(word) == 2 or not begins_sentence(word)


def split_sentences(text: str) -> str:
    """Return ``text`` with a space after each full stop before a new sentence: "O-1001.Thanks"."""
    if "." not in text:
        return text
    return _GLUE.sub(lambda stop: ". " if begins_sentence(stop.group(1)) else ".", text)


def split_from_values(text: str) -> str:
    """Return ``text`` with a space between a value and a word joined by a hyphen, a full stop or nothing.

    ``text`` has been through ``dashes``.
    """
    text = _GLUED_BEFORE.sub(r"\1 ", split_at_invisible(text))
    if "-" in text or "." in text:
        text = _HYPHEN_AFTER.sub(" - ", _HYPHEN_BEFORE.sub(r"\1 ", text))
    return _RANGE.sub(r"\1\2 ", text) if EN_DASH in text else text


def split_at_invisible(text: str) -> str:
    """Return ``text`` with a space for invisible characters between a word of three or more letters and a value."""
    return text if text.isascii() else _UNSEEN_BESIDE.sub(" ", text)


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a normalized text.

    kind  d: digits, w: letters, i: an ideograph
    gap   the characters between it and the token before it; "" if they touch
    """

    text: str
    kind: str
    gap: str


def tokens(normalized: str) -> tuple[Token, ...]:
    """Return the tokens of a normalized text."""
    found, end = [], 0
    for match in _TOKEN.finditer(normalized):
        found.append(Token(match.group(), match.lastgroup or "", normalized[end : match.start()]))
        end = match.end()
    return tuple(found)


def spelling_key(words: tuple[Token, ...]) -> str:
    """Return a key that is equal for the spellings of one value: O-1001, "o 1001" and o1001, but not O-10-01."""
    made = ""
    for at, token in enumerate(words):
        before = words[at - 1] if at else token
        if token.kind == before.kind == "d" and at:
            made += "-" if _DIGITS_GAP.fullmatch(token.gap) else token.gap
        elif at and (token.kind == before.kind or not (_ID_GAP.fullmatch(token.gap) or _TEXT_GAP.fullmatch(token.gap))):
            made += " " if _TEXT_GAP.fullmatch(token.gap) else token.gap
        made += token.text
    return made


def long_code(wanted: tuple[Token, ...]) -> str:
    """Return the letters and digits of a long code, such as an IBAN; "" for other words."""
    code = "".join(token.text for token in wanted)
    if len(code) not in _CODE_LENGTHS or not code.isascii():
        return ""
    is_iban = _is_iban(code)
    if not is_iban and sum(map(str.isdigit, code)) < max(_CODE_DIGITS, len(code) / 2):
        return ""
    if not all(_CODE_GAP.fullmatch(token.gap) for token in wanted[1:]):
        return ""
    return code if is_iban or all(token.kind == "d" or len(token.text) <= _CODE_WORD for token in wanted) else ""


def _is_iban(code: str) -> bool:
    """Return whether the code has an IBAN's check digits; some IBANs contain long words."""
    moved = code[4:] + code[:4]
    return _IBAN.fullmatch(code) is not None and int("".join(str(int(char, 36)) for char in moved)) % 97 == 1


def code_occurs(code: str, text: tuple[Token, ...]) -> bool:
    """Return whether a whole long code occurs in ``text``, however it is grouped there."""
    for start, first in enumerate(text):
        if not code.startswith(first.text) or (start and not _ends_code(text[start - 1], first)):
            continue
        written, end = first.text, start + 1
        while len(written) < len(code) and end < len(text) and _CODE_GAP.fullmatch(text[end].gap):
            written += text[end].text
            end += 1
            if not code.startswith(written):
                break
        if written == code and (end == len(text) or _ends_code(text[end - 1], text[end])):
            return True
    return False


def _ends_code(left: Token, right: Token) -> bool:
    """Return whether a code ends between two neighbours; digits in a further group may belong to a longer one."""
    return _separated(left, right) and not (left.kind == right.kind == "d" and _CODE_GAP.fullmatch(right.gap))


def occurs(wanted: tuple[Token, ...], text: tuple[Token, ...]) -> bool:
    """Return whether ``wanted`` occurs in ``text``, whole and not as a part of a longer word or number.

    All positions are compared at once, with one bit for each token of ``wanted``, so repeating a word thousands of
    times does not slow it down.
    """
    if not wanted:
        return False
    first, last, reached = wanted[0].text, 1 << (len(wanted) - 1), 0
    pattern = None
    for at, token in enumerate(text):
        if reached:
            pattern = pattern or _Pattern(wanted)
            reached = (reached << 1) & pattern.follows(token)
        elif token.text != first:
            continue
        if token.text == first and (at == 0 or _separated(text[at - 1], token)):
            reached |= 1
        if reached & last and (at + 1 == len(text) or _separated(token, text[at + 1])):
            return True
    return False


class _Pattern:
    """The tokens of ``wanted`` that a token of a text may be, as bits: by its word and its gap."""

    def __init__(self, wanted: tuple[Token, ...]) -> None:
        self._same_gap: dict[tuple[str, str], int] = {}
        spaced = _is_spaced(wanted)
        # By word, for tokens that match with another gap as well: between words, between digits, or inside an id.
        self._other_gap: dict[re.Pattern[str], dict[str, int]] = {_TEXT_GAP: {}, _DIGITS_GAP: {}, _ID_GAP: {}}
        for at, mine in enumerate(wanted[1:], start=1):
            bit = 1 << at
            self._same_gap[mine.text, mine.gap] = self._same_gap.get((mine.text, mine.gap), 0) | bit
            if (gaps := _gap_rule(wanted, at, spaced=spaced)) is not None:
                self._other_gap[gaps][mine.text] = self._other_gap[gaps].get(mine.text, 0) | bit

    def follows(self, token: Token) -> int:
        """Return the bits of the tokens after the first that ``token`` may be."""
        bits = self._same_gap.get((token.text, token.gap), 0)
        for gaps, by_word in self._other_gap.items():
            if token.text in by_word and gaps.fullmatch(token.gap):
                bits |= by_word[token.text]
        return bits


def _separated(left: Token, right: Token) -> bool:
    """Return whether a word ends between two neighbours."""
    gap = right.gap
    if gap == "":
        return "i" in (left.kind, right.kind) or (left.kind != right.kind and _joins_numbers(left, right))
    if len(gap) > 1:
        return True
    if gap == EN_DASH and any(token.kind == "w" and len(token.text) >= WORD for token in (left, right)):
        return True
    return gap not in _JOINERS and not (gap in _NUMBER_JOINERS and left.kind == right.kind == "d")


def _joins_numbers(left: Token, right: Token) -> bool:
    """Return whether one of two touching tokens is a word of a script that writes words next to numbers: O-1001을."""
    return any(token.kind == "w" and ord(token.text[0]) >= _CASED for token in (left, right))


def _is_spaced(wanted: tuple[Token, ...]) -> bool:
    return any(char.isspace() for token in wanted[1:] for char in token.gap)


def _gap_rule(wanted: tuple[Token, ...], at: int, *, spaced: bool) -> re.Pattern[str] | None:
    """Return the rule for other gaps before that token: in a text, in an id, or between digits; None for none."""
    mine = wanted[at]
    if spaced:
        return _TEXT_GAP if mine.gap != "" else None
    if mine.kind == wanted[at - 1].kind == "d":
        return _DIGITS_GAP if _DIGITS_GAP.fullmatch(mine.gap) else None
    return _ID_GAP


def _fits(mine: Token, theirs: Token, gaps: re.Pattern[str] | None) -> bool:
    return mine.gap == theirs.gap or (gaps is not None and gaps.fullmatch(theirs.gap) is not None)


class Words:
    """The words of several texts in one sequence, and the positions of runs of them.

    Runs are named by doubling: a run of 2n words is a pair of runs of n, so naming all runs of a length takes one pass.
    A run of any other length is identified by its first and last parts, which overlap.
    """

    def __init__(self, texts: Sequence[tuple[Token, ...]]) -> None:
        self._tokens = [token for text in texts for token in text]
        self._owners = array("l", (at for at, text in enumerate(texts) for _ in text))
        names: dict[Any, int] = {}
        self._names = [names]
        self._runs = [array("l", (names.setdefault(token.text, len(names)) for token in self._tokens))]
        self._places: dict[int, tuple[dict[tuple[int, int], int], Sequence[int]]] = {}
        self._codes: dict[int, dict[str, list[int]]] = {}
        neighbours = range(1, len(self._tokens))
        parts = [self._is_first(at) or _separated(self._tokens[at - 1], self._tokens[at]) for at in neighbours]
        self._begins, self._ends = [True, *parts], [*parts, True]

    def owners(self, wanted: tuple[Token, ...]) -> set[int]:
        """Return the texts that contain these words, whole."""
        key = self._key(wanted) if wanted and self._tokens else None
        if key is None:
            return set()
        size = len(wanted)
        newest, earlier = self._of_size(size)
        spaced = _is_spaced(wanted)
        rules = [_gap_rule(wanted, at, spaced=spaced) for at in range(1, size)]
        found: set[int] = set()
        at = newest.get(key, -1)
        while at >= 0:
            owner = self._owners[at]
            theirs = self._tokens[at + 1 : at + size] if owner not in found else ()
            if owner not in found and all(map(_fits, wanted[1:], theirs, rules)):
                found.add(owner)
            at = earlier[at]
        return found

    def owners_of_code(self, code: str) -> list[int]:
        """Return the texts that contain a long code, in any grouping."""
        size = len(code)
        if size not in self._codes:
            made = self._codes[size] = {}
            for start, owner in enumerate(self._owners):
                if (written := self._code_at(start, size)) is not None:
                    made.setdefault(written, []).append(owner)
        return self._codes[size].get(code, [])

    def _code_at(self, start: int, size: int) -> str | None:
        """Return the whole code of that length that begins at a word; None if there is none."""
        tokens = self._tokens
        if not self._is_first(start) and not _ends_code(tokens[start - 1], tokens[start]):
            return None
        written, end = tokens[start].text, start + 1
        while len(written) < size and not self._is_first(end) and _CODE_GAP.fullmatch(tokens[end].gap):
            written += tokens[end].text
            end += 1
        whole = len(written) == size and (self._is_first(end) or _ends_code(tokens[end - 1], tokens[end]))
        return written if whole else None

    def _is_first(self, at: int) -> bool:
        """Return whether a text begins here, or the last one ends."""
        return at in (0, len(self._owners)) or self._owners[at - 1] != self._owners[at]

    def _key(self, wanted: tuple[Token, ...]) -> tuple[int, int] | None:
        """Return the names of a run's first and last parts; None if no text has one of them."""
        row = [self._names[0].get(token.text, -1) for token in wanted]
        half = 1
        while -1 not in row and 2 * half <= len(wanted):
            names = self._level((2 * half).bit_length() - 1)
            row = [names.get(pair, -1) for pair in zip(row, row[half:], strict=False)]
            half *= 2
        return None if -1 in row else (row[0], row[-1])

    def _level(self, level: int) -> dict[Any, int]:
        while len(self._runs) <= level:
            half, runs = 2 ** (len(self._runs) - 1), self._runs[-1]
            names: dict[Any, int] = {}
            pairs = zip(runs, runs[half:], strict=False)
            self._runs.append(array("l", (names.setdefault(pair, len(names)) for pair in pairs)))
            self._names.append(names)
        return self._names[level]

    def _of_size(self, size: int) -> tuple[dict[tuple[int, int], int], Sequence[int]]:
        """Return the newest position of each run of that length, by key, and for each position the one before it."""
        if size not in self._places:
            level = size.bit_length() - 1
            runs, shift = self._runs[level], size - 2**level
            newest: dict[tuple[int, int], int] = {}
            earlier = array("l", [-1]) * len(self._tokens)
            for at in range(len(self._tokens) - size + 1):
                end = at + size - 1
                if self._begins[at] and self._ends[end] and self._owners[at] == self._owners[end]:
                    key = runs[at], runs[at + shift]
                    earlier[at] = newest.get(key, -1)
                    newest[key] = at
            self._places[size] = newest, earlier
        return self._places[size]
