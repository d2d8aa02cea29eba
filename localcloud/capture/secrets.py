"""Find what looks like a secret in the values of a test. Pure.

A test is committed and read by many, so a value that only looks like a secret is refused as well: leave it out of the
run, or mark its field as sensitive.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

#: Forms of keys and tokens, each with its name.
_FORMS = tuple(
    (name, re.compile(form))
    for name, form in (
        ("a private key", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY"),
        ("an AWS access key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
        ("a JSON Web Token", r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.?[A-Za-z0-9_-]*"),
        ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"),
        ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{16,}"),
        ("a Slack token", r"\bxox[a-z]-[A-Za-z0-9-]{10,}"),
        ("a payment provider's key", r"\b(?:sk|rk|pk|whsec)_(?:live|test)?_?[A-Za-z0-9]{16,}"),
        ("a Google key", r"\bAIza[A-Za-z0-9_-]{30,}"),
        ("an API key", r"\bsk-[A-Za-z0-9_-]{16,}"),
        ("a package registry's token", r"\b(?:npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{30,})"),
        ("a mail service's key", r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
        ("a password in a URL", r"[a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/@]{3,}@"),
        ("a bearer token", r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9._~+/-]{16,}=*"),
    )
)
_WORD = (
    r"pass(?:word|wd|phrase|code)s?|pwd|kennwort|passwort|secrets?|tokens?|api[ _-]?keys?|access[ _-]?keys?|"
    r"client[ _-]?secret|private[ _-]?key|credentials?|authori[sz]ation|otp|pin[ _-]?code|session[ _-]?id|cookie"
)
_BESIDE = re.compile(
    rf"(?i)(?<![a-z])(?:{_WORD})(?![a-z])[\"'`]?\s*(?:(?:is|was|are|ist|lautet|to)\b|[:=]|->)*\s*[\"'`]?"
    r"(?P<value>[^\s\"'`,;]{6,})"
)
_FIELD = re.compile(
    r"(?i)(?:^|[_.-])(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|"
    r"authorization|otp|cookie)$"
)
#: Letters of camelCase begin a word.
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
#: Bits for each character, above which a text of several kinds of characters reads as random.
_RANDOM = 2.5


def secrets_in(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the place of each value that looks like a secret, and what it looks like."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            place = f"{path}.{name}" if path else str(name)
            yield from _in_text(str(name), f"{place} (its name)")
            if isinstance(inner, str | int) and not isinstance(inner, bool) and _is_secret_field(str(name), str(inner)):
                yield place, f"the value of a field {name}"
            else:
                yield from secrets_in(inner, place)
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            yield from secrets_in(inner, f"{path}.{at}")
    elif isinstance(value, str):
        yield from _in_text(value, path)


def _in_text(text: str, path: str) -> Iterator[tuple[str, str]]:
    plain = "".join(one for one in unicodedata.normalize("NFKC", text) if unicodedata.category(one) != "Cf")
    for name, form in _FORMS:
        if form.search(plain):
            yield path, name
            return
    for found in _BESIDE.finditer(plain):
        if looks_random(found["value"].rstrip(".!?)")):
            yield path, f"a secret beside the word {found[0].split()[0].strip(':=')}"
            return


def _is_secret_field(name: str, value: str) -> bool:
    written = _CAMEL.sub("_", name)
    return _FIELD.search(written) is not None and value.strip("* ") != "" and not value.startswith("stand-in")


def looks_random(text: str) -> bool:
    """Return whether a word has several kinds of characters and little order, as passwords and keys have."""
    if len(text) < 6:
        return False
    kinds = (
        any(one.isdigit() for one in text),
        any(one.islower() for one in text),
        any(one.isupper() for one in text[1:]),
        any(not one.isalnum() and one not in "-_." for one in text),
    )
    return sum(kinds) >= 2 and _entropy(text) >= _RANDOM - 0.2


def _entropy(text: str) -> float:
    counts = Counter(text).values()
    return -sum(one / len(text) * math.log2(one / len(text)) for one in counts)
