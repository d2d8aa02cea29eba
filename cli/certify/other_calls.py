"""Other calls than the one that is certified: keys that are nearly its own, and what they did, which must stay."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from decimal import Decimal
from random import Random
from typing import Any

from cli.certify.rig import Seen, differences

#: The place of ``seen`` for what was sent to other services.
ELSEWHERE = "sent elsewhere"
#: The place of ``seen`` for what the doubles tell.
OUTSIDE = "seen outside"
#: Keys of quite other runs that are tried where nothing shows that the whole key is used.
_MOST_DRAWN = 48

# Keys


def next_call(key: str) -> str:
    """Return the key of the next call of the same turn."""
    head, dot, index = key.rpartition(".")
    return f"{head}{dot}{int(index) + 1}" if index.isdigit() else f"{key}2"


def near_keys(key: str) -> Iterator[str]:
    """Yield keys of other calls that are nearly the same: of the same turn, of another turn, of other runs."""
    run, dot, rest = key.partition(".")
    turn, dot_2, index = rest.partition(".")
    yield next_call(key)
    yield f"{key}1"
    if turn.isdigit():
        yield f"{run}{dot}{int(turn) + 1:0{len(turn)}}{dot_2}{index}"
    yield _with_other(key, 0)
    yield _with_other(key, len(run) // 2)
    yield _with_other(key, max(0, len(run) - 1))
    if key.swapcase() != key:
        yield key.swapcase()


def many_keys(key: str) -> Iterator[str]:
    """Yield near keys, keys that differ in one character at each place, and keys of quite other runs."""
    yield from near_keys(key)
    for at in range(len(key)):
        if key[at] != ".":
            yield _with_other(key, at)
    drawn = Random(key)  # noqa: S311 - the same keys each time
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    run, dot, rest = key.partition(".")
    for _ in range(_MOST_DRAWN):
        yield f"{run[:4]}{''.join(drawn.choices(letters, k=max(1, len(run) - 4)))}{dot}{rest}"


def keys_of_runs(key: str, count: int) -> list[str]:
    """Return keys of as many other runs, each for the same call."""
    _, dot, rest = key.partition(".")
    return [f"run-{number:024d}{dot}{rest}" for number in range(count)]


def _with_other(key: str, at: int) -> str:
    """Return the key with another character of the same kind at one place."""
    one = key[at]
    other = ("1" if one == "0" else "0") if one.isdigit() else ("b" if one == "a" else "a") if one.isalpha() else "x"
    return f"{key[:at]}{other}{key[at + 1 :]}"


#: What a text may have that differs with a key: a word in which there is a digit.
_VARIES = re.compile(r"[0-9A-Za-z+/=_-]*[0-9][0-9A-Za-z+/=_-]*")


def new_texts(before: Seen, now: Seen) -> set[str]:
    """Return the names of what is new now, and its attributes, each as a text."""
    found = set()
    for place, items in now.items():
        for name in items.keys() - before.get(place, {}).keys():
            item = items[name]
            found.add(f"{place} {name}")
            if isinstance(item, dict):
                found |= {f"{at} {one}" for at, one in item.items()}
    return found


def room_for_keys(made: Sequence[Set[str]]) -> tuple[int, str] | None:
    """Return how many keys can be told apart by what calls under different keys have left, at most, and an example.

    ``made``: the new texts of each call (``new_texts``). Texts that are alike but for their numbers and hashes are
    taken together, and what varies most of them counts. None if nothing tells the calls apart.
    """
    alike: dict[str, list[str]] = {}
    for texts in made:
        for text in texts:
            alike.setdefault(_VARIES.sub("", text), []).append(text)
    rooms = [(_room(texts), texts[0]) for texts in alike.values() if len(texts) > len(made) // 2]
    return max((one for one in rooms if one[0] > 1), default=None)


def _room(texts: Sequence[str]) -> int:
    """Return how many texts there can be like these, by the digits, hexadecimals or letters that vary in them."""
    room = 1
    for parts in zip(*map(_VARIES.findall, texts), strict=False):
        if len(set(parts)) > 1:
            signs = set("".join(parts).lower())
            kinds = 10 if signs <= set("0123456789") else 16 if signs <= set("0123456789abcdef") else 36
            room *= kinds ** max(map(len, parts))
    return room


# What was sent

#: Parameters that name the place to which something is sent.
_PLACES = re.compile(r"(Url|Arn|Bucket|FunctionName|TableName|StreamName|Source|DetailType|EventBusName)$")


def names_of(sent: str) -> set[str]:
    """Return what may name a thing that was sent elsewhere (see ``Rig.seen``), such as the key of an object."""
    given = sent.partition(" ")[2]
    with suppress(ValueError):
        params = json.loads(given)
        return set(texts_in({at: one for at, one in params.items() if not _PLACES.search(at)}))
    return {given}


def named_in(texts: Sequence[str], names: Set[str]) -> bool:
    """Whether one of the names stands in one of the texts, not as a part of another word."""
    words = [re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])") for name in names]
    return any(word.search(text) for word in words for text in texts)


def texts_in(value: Any) -> Iterator[str]:
    """Yield the texts and whole numbers in a value of JSON."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from texts_in(one)
    elif isinstance(value, str | int) and value not in ("", True, False):
        yield str(value)


# What another call has done


def taken_away(done: Seen, both: Seen, now: Seen, undone: Seen, traces: frozenset[str]) -> str:
    """Return what the other call did and the undo has changed. ``undone``: after the undo without the other call."""
    for place in both:
        if place == ELSEWHERE:
            continue
        for name in {*both[place], *done.get(place, {})}:
            four = [seen.get(place, {}).get(name) for seen in (done, both, now, undone)]
            if _lost(four, traces):
                shown = [{place: {name: one}} for one in (four[1], four[2])]
                return differences(*shown)
    return ""


def _lost(four: Sequence[Any], traces: frozenset[str]) -> bool:
    """Whether what has changed from ``done`` to ``both`` was changed once more, other than by the undo's own amount.

    ``four``: done, both, after the undo, and after the undo without the other call.
    """
    done, both, now, undone = four
    if both == done or now == both:
        return False
    if both is None or now is None:
        return True
    if isinstance(both, dict) and isinstance(now, dict):
        if set(both) == {"N"}:
            return _lost([_number(one) for one in four], traces)
        parts = [one if isinstance(one, dict) else {} for one in (done, undone)]
        return any(
            _lost([parts[0].get(name), both.get(name), now.get(name), parts[1].get(name)], traces)
            for name in {*both, *parts[0]} - traces
        )
    if isinstance(both, list) and isinstance(now, list):
        had = done if isinstance(done, list) else []
        return any(one not in now for one in both if one not in had)
    if _is_number(both) and _is_number(now):
        return bool(now - both != (undone or 0) - (done or 0)) if _is_number(undone or 0) else True
    if isinstance(both, str) and isinstance(now, str):
        with suppress(ValueError):
            inside = [json.loads(one) if isinstance(one, str) else one for one in four]
            if isinstance(inside[1], dict | list):
                return _lost(inside, traces)
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _number(value: Any) -> Any:
    return Decimal(value["N"]) if isinstance(value, dict) and "N" in value else value
