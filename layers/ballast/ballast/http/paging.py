"""Pages: their size in bytes, and the tokens that lead from one to the next.

A token holds the key of the last item of a page. It is opaque to the caller, checked when it comes back, and valid for
one query only. It grants nothing: the partition that is read comes from the caller's identity and the query, so a
forged token can only begin elsewhere in it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from ballast.contracts.wire import canonical, sha256
from ballast.http.problem import Problem, invalid

T = TypeVar("T")

#: Lambda's responses have at most 6 MB, headers included. A page is smaller, since its last item may be as large again.
PAGE_BYTES = 2_500_000


def sent_bytes(value: Any) -> int:
    """Return the bytes that ``value`` (JSON) takes in a function's response at most.

    The response holds it as a text within JSON: in ASCII, with each quote and backslash escaped once more.
    """
    text = json.dumps(value, separators=(",", ":"))
    return len(text) + text.count('"') + text.count("\\")


def fitting(items: Iterable[T], most: int, bytes_of: Callable[[T], int]) -> tuple[tuple[T, ...], int]:
    """Return the first of ``items``, ``most`` bytes together at most, and how many are left out."""
    kept: list[T] = []
    size = left_out = 0
    for item in items:
        size += bytes_of(item)
        if left_out or size > most:
            left_out += 1
        else:
            kept.append(item)
    return tuple(kept), left_out


def token(query: Mapping[str, str | None], key: Mapping[str, str]) -> str:
    """Return the token of the page that follows ``key``, for this query."""
    packed = canonical({"query": _digest(query), "key": dict(key)})
    return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def key_of(text: str, query: Mapping[str, str | None], form: Mapping[str, str]) -> dict[str, str]:
    """Return the key in a token; ``form`` has a pattern for each of its parts.

    Raises ``Problem`` (422) if the token is not valid, or belongs to another query.
    """
    try:
        held = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise _refused() from None
    match held:
        case {"query": str(asked), "key": dict(key)} if key.keys() == form.keys():
            if asked != _digest(query):
                raise invalid("next", "belongs to another query; leave it out to begin this one")
            if all(isinstance(key[part], str) and re.fullmatch(form[part], key[part]) for part in form):
                return key
    raise _refused()


def _refused() -> Problem:
    return invalid("next", "is not a token of this API; send the last page's `next`, or leave it out")


def _digest(query: Mapping[str, str | None]) -> str:
    return sha256(canonical(dict(query)))[:16]
