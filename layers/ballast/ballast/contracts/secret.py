"""Sensitive values inside JSON: replaced by a mask, or by something to find them again with. Pure.

A sensitive value of four characters or more is replaced wherever it occurs, also inside a longer text; a
shorter one only where it is the whole text, since "42" occurs everywhere. A number counts as its text.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

#: As Powertools' data masking writes it.
MASK = "*****"
#: Where a body keeps what its tokens stand for.
SEALED = "$sealed"
_SHORTEST_INSIDE = 4


def masked(value: Any, secrets: Iterable[str]) -> Any:
    """Return JSON ``value`` with every secret masked."""
    found = tuple(sorted(set(secrets)))
    return _replaced(value, found, lambda _: MASK, lambda _: MASK) if found else value


def sealed(value: Any, tokens: Mapping[str, str]) -> Any:
    """Return JSON ``value`` with every secret (the keys of ``tokens``) replaced by its token.

    ``masked`` of the value is ``without_tokens`` of what is returned, so a digest may cover either.
    """
    found = tuple(sorted(tokens))
    return _replaced(value, found, lambda secret: tokens[secret], lambda secret: {SEALED: tokens[secret]})


def occurring(value: Any, secrets: Iterable[str]) -> tuple[str, ...]:
    """Return those secrets that ``sealed`` would replace, sorted."""
    met: set[str] = set()

    def meet(secret: str) -> str:
        met.add(secret)
        return MASK

    found = tuple(sorted(set(secrets)))
    if found:
        _replaced(value, found, meet, meet)
    return tuple(sorted(met))


def without_tokens(value: Any, tokens: Sequence[str]) -> Any:
    """Return what ``sealed`` made with each token masked."""
    return _unsealed(value, dict.fromkeys(tokens, MASK), lambda _: MASK)


def opened(value: Any, secrets: Mapping[str, str]) -> Any:
    """Return what ``sealed`` made with each token (the keys of ``secrets``) as it was before."""
    return _unsealed(value, secrets, _number)


def _number(text: str) -> Any:
    """Return a whole value that was no text: a number, in JSON or not."""
    import json

    return json.loads(text)


def _replaced(
    value: Any, secrets: tuple[str, ...], inside: Callable[[str], str], whole_number: Callable[[str], Any]
) -> Any:
    if isinstance(value, str):
        if value in secrets:
            return inside(value)
        pattern = _pattern(secrets)
        return pattern.sub(lambda match: inside(match[0]), value) if pattern else value
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return whole_number(str(value)) if str(value) in secrets else value
    if isinstance(value, Mapping):
        return {
            _replaced(key, secrets, inside, whole_number): _replaced(inner, secrets, inside, whole_number)
            for key, inner in value.items()
        }
    return [_replaced(inner, secrets, inside, whole_number) for inner in value]


@lru_cache(maxsize=256)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    """Return what finds secrets inside a text, the longest first: one may be a part of another."""
    long = sorted((one for one in secrets if len(one) >= _SHORTEST_INSIDE), key=lambda one: (-len(one), one))
    return re.compile("|".join(map(re.escape, long))) if long else None


def _unsealed(value: Any, by_token: Mapping[str, str], number: Callable[[str], Any]) -> Any:
    if isinstance(value, str):
        return _tokens(tuple(sorted(by_token))).sub(lambda match: by_token[match[0]], value) if by_token else value
    if isinstance(value, Mapping):
        if set(value) == {SEALED} and value[SEALED] in by_token:
            return number(by_token[value[SEALED]])
        return {_unsealed(key, by_token, number): _unsealed(inner, by_token, number) for key, inner in value.items()}
    return [_unsealed(inner, by_token, number) for inner in value] if isinstance(value, list | tuple) else value


@lru_cache(maxsize=256)
def _tokens(tokens: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, tokens)))
