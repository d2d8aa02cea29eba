"""Replace sensitive values inside JSON by a mask, or by tokens that can be resolved. Pure.

::

    marked field   ─▶ always replaced, any value: 0, true, "ok", a long text
    anywhere else  ─▶ replaced in data (texts, arguments, results, a request's context), in every spelling,
                      if the value has four characters or more and is not a common word of JSON
    Ballast's own  ─▶ never: keys, numbers, names, statuses, times and ids of an event

``DATA`` lists the names of data in an event, ``_OURS`` Ballast's own; any other text is searched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from typing import Any

from ballast.masking.spellings import ValueSearch
from ballast.values import dataclass

#: The mask of Powertools' data masking.
MASK = "*****"
#: The key under which a body keeps the values of its tokens.
SEALED = "$sealed"
_SHORTEST_INSIDE = 4
#: Longer values are searched for everywhere. This is the length of three characters in JSON escapes.
_LONGEST_NAMED = 40
#: Values of four characters or more that are too common to search for.
_COMMON = frozenset({"true", "false", "null", "none", "None", "True", "False", "0000", "error", "failed"})

#: An event's names: everything under them is data, including keys and numbers.
DATA = frozenset({"arguments", "input", "result", "context", "data", "json", "precondition"})
#: An event's names: everything under them is the playbook's or Ballast's own.
_OURS_WHOLE = frozenset(
    {"tools", "system", "limits", "lease", "covers", "evidence", "sent_as", "on_behalf", "reached", "unlike"}
)
#: Names of texts that are Ballast's or the playbook's own. Readers rely on these texts, so they stay unchanged.
_OURS = frozenset(
    " ".join(
        (
            "account after agent answer_by approved_by approvers arguments_sha256 at attempt binding by call_id",
            "call_sha256 changed_by decided_by detail_type digest effect effects escalation_id event_id exit_reason",
            "from handed_over id idempotency_key intent",
            "invocation kind may_not_answer mode model moved on_rollback opens_at passed_over planner policy",
            "precondition_sha256 price_version prompt_sha256 proposed_by proposed_sha256 reason repeat",
            "repeat_of reply_to request_id request_sha256 requested_by role run_id seq service_tier sha256 shown",
            "signals signature status",
            "stop_reason tenant to toolUseId type unanswered window windows",
        )
    ).split()
)
#: Keys whose value may be a tool's name; any other value of theirs is an ordinary text.
_TOOL = ("tool", "name")
_PROGRAM = "gen_ai."


#: Sets of the secret values that a place may have.
Marked = tuple[frozenset[str], ...]


def _is_in(value: str, marked: Marked) -> bool:
    return any(value in some for some in marked)


@dataclass(frozen=True, order=True)
class Secret:
    """A sensitive value, as text.

    field  the name of the marked field; "" if unknown: then only the text is searched for
    tool   the field's tool; "" for a request's context
    here   whether it is replaced only at its field, whatever its length, because it may not be sensitive at all
    """

    value: str
    field: str = ""
    tool: str = ""
    here: bool = False

    @property
    def is_searched(self) -> bool:
        """Whether the value is also searched for outside its field."""
        return not self.here and len(self.value) >= _SHORTEST_INSIDE and self.value not in _COMMON


@dataclass(frozen=True)
class Finder:
    """A search for some secrets in events, other JSON and text.

    names  the playbook's own names (tools, fields, intents), unchanged as keys and in Ballast's own texts
    """

    secrets: frozenset[Secret]
    names: frozenset[str] = frozenset()
    _spelled: ValueSearch = field(init=False, repr=False, compare=False)
    _at: dict[str, dict[str | None, frozenset[str]]] = field(init=False, repr=False, compare=False)
    _short: dict[str, dict[int, frozenset[str]]] = field(init=False, repr=False, compare=False)
    _said: re.Pattern[str] | None = field(init=False, repr=False, compare=False)

    @classmethod
    def of(cls, secrets: Iterable[Secret], names: frozenset[str] = frozenset()) -> Finder:
        """Return the finder of these secrets, cached."""
        return _finder(frozenset(secrets), names)

    def __post_init__(self) -> None:
        at: dict[str, dict[str, set[str]]] = {}
        for secret in self.secrets:
            if secret.field:
                at.setdefault(secret.field, {}).setdefault(secret.tool, set()).add(secret.value)
        searched = {secret.value for secret in self.secrets if secret.is_searched}
        short = sorted({secret.field for secret in self.secrets if secret.field and not secret.is_searched})
        words = "|".join(map(re.escape, short))
        said = rf"(?:[\"'](?P<quoted>{words})\\{{0,8}}[\"']\s*[:=]|\b(?P<bare>{words})=)\s*(?:\\{{0,8}}[\"'])?"
        exactly = {value for value in searched if value.lower() in _COMMON}
        object.__setattr__(self, "_spelled", ValueSearch(searched - exactly, exactly=exactly))
        object.__setattr__(self, "_at", {name: _by_tool(values) for name, values in at.items()})
        object.__setattr__(self, "_short", {name: _by_length(at[name]) for name in short})
        object.__setattr__(self, "_said", re.compile(said) if short else None)

    def event(self, body: Any, put: Replacement) -> Any:
        """Return the body of an event with every secret replaced by ``put``."""
        return self._ours(body, "", "", put) if self.secrets else body

    def data(self, value: Any, put: Replacement) -> Any:
        """Return JSON that is data, with every secret replaced."""
        return self._data(value, "", None, put) if self.secrets else value

    def text(self, text: str, put: Callable[[str], str]) -> str:
        """Return a text with every secret in it replaced."""
        made, end = [], 0
        for start, stop in self._spans(text):
            if start < end:  # a match inside another one
                continue
            made += [text[end:start], put(text[start:stop])]
            end = stop
        return "".join(made) + text[end:] if made else text

    def masked(self, text: str) -> str:
        """Return a text with every secret masked."""
        return self.text(text, lambda _: MASK)

    def cut(self, text: str, most: int) -> str:
        """Return at most ``most`` characters of a text, without any part of a secret that the cut would split.

        A mask would not recognize the rest of a split secret.
        """
        if len(text) <= most:
            return text
        end = most - 1
        for start, stop in self._spans(text):
            if start < end < stop:
                end = start
        return f"{text[:end]}\u2026"

    def _spans(self, text: str) -> list[tuple[int, int]]:
        return sorted([*self._spelled.spans(text), *self._named(text)])

    def _ours(self, value: Any, key: str, tool: str, put: Replacement) -> Any:
        if isinstance(value, str):
            own = key in _OURS or key.startswith(_PROGRAM) or value in self.names
            return value if own else self.text(value, put.inside)
        if isinstance(value, Mapping):
            named = next((value[name] for name in _TOOL if isinstance(value.get(name), str)), "")
            return {
                name: self._data(inner, name, named if named in self.names else None, put)
                if name in DATA
                else inner
                if name in _OURS_WHOLE
                else self._ours(inner, name, named, put)
                for name, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._ours(inner, key, tool, put) for inner in value]
        return value

    def _data(self, value: Any, key: str, tool: str | None, put: Replacement, marked: Marked = ()) -> Any:
        """Replace secrets in data of ``tool`` (None: unknown). ``marked``: the secret values of the field ``key``."""
        if isinstance(value, Mapping):
            return {
                self._key(name, marked, put): self._data(inner, name, tool, put, self._with(marked, name, tool))
                for name, inner in value.items()
            }
        if isinstance(value, list | tuple):
            marked = self._with(marked, key, tool)
            return [self._data(inner, key, tool, put, marked) for inner in value]
        if value is None:
            return value
        marked = self._with(marked, key, tool)
        if isinstance(value, str):
            return put.inside(value) if value and _is_in(value, marked) else self.text(value, put.inside)
        text = as_text(value)
        if _is_in(text, marked) or (not isinstance(value, bool) and self._is_whole(text)):
            return put.whole(text)
        return value

    def _key(self, name: str, marked: Marked, put: Replacement) -> str:
        if _is_in(name, marked):
            return put.inside(name)
        return name if name in self.names else self.text(name, put.inside)

    def _with(self, marked: Marked, name: str, tool: str | None) -> Marked:
        """Return the sets of values at a place, with those of the field ``name`` added."""
        more = self._marked(name, tool)
        return (*marked, more) if more and not any(one is more for one in marked) else marked

    def _marked(self, name: str, tool: str | None) -> frozenset[str]:
        return self._at.get(name, {}).get(tool, frozenset())

    def _is_whole(self, text: str) -> bool:
        return len(text) >= _SHORTEST_INSIDE and self._spelled.spans(text) == [(0, len(text))]

    def _named(self, text: str) -> list[tuple[int, int]]:
        """Return the spans of short values after their field's name, as in JSON."""
        found = []
        for match in self._said.finditer(text) if self._said is not None else ():
            name = match["quoted"] or match["bare"]
            for length, spelt in self._short[name].items():
                end = match.end() + length
                if text[match.end() : end] in spelt and not text[end : end + 1].isalnum():
                    found.append((match.end(), end))
        return found


def _by_tool(values: Mapping[str, set[str]]) -> dict[str | None, frozenset[str]]:
    """Return a field's values by tool, and those of all tools at None."""
    return {None: frozenset().union(*values.values()), **{tool: frozenset(some) for tool, some in values.items()}}


def _by_length(values: Mapping[str, set[str]]) -> dict[int, frozenset[str]]:
    """Return a field's short values in Ballast's and JSON's spellings, by length, the longest first."""
    found: dict[int, set[str]] = {}
    for value in set().union(*values.values()):
        pythons = value.capitalize() if value in ("true", "false") else value
        for spelt in (value, pythons, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
            if 0 < len(spelt) <= _LONGEST_NAMED:
                found.setdefault(len(spelt), set()).add(spelt)
    return {length: frozenset(found[length]) for length in sorted(found, reverse=True)}


@dataclass(frozen=True)
class Replacement:
    """The replacements of a secret: ``inside`` a text, and of a ``whole`` value that is not a text."""

    inside: Callable[[str], str]
    whole: Callable[[str], Any]


_MASKED = Replacement(lambda _: MASK, lambda _: MASK)


@lru_cache(maxsize=128)
def _finder(secrets: frozenset[Secret], names: frozenset[str]) -> Finder:
    return Finder(secrets, names)


def as_text(value: Any) -> str:
    """Return a JSON leaf as the text by which secrets are compared: a text unchanged, a number as in JSON."""
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int else json.dumps(value)


def masked(body: Any, finder: Finder) -> Any:
    """Return the body of an event with every secret masked."""
    return finder.event(body, _MASKED)


def sealed(body: Any, finder: Finder, token: Callable[[str], str]) -> Any:
    """Return the body of an event with every secret replaced by the ``token`` of its spelling there.

    ``masked(body)`` equals ``without_tokens`` of the result, so a digest may cover either.
    """
    return finder.event(body, Replacement(token, lambda text: {SEALED: token(text)}))


def without_tokens(value: Any, tokens: Sequence[str]) -> Any:
    """Return the result of ``sealed`` with each token masked."""
    return _unsealed(value, dict.fromkeys(tokens, MASK), lambda _: MASK)


def unsealed(value: Any, secrets: Mapping[str, str]) -> Any:
    """Return the result of ``sealed`` with each token (the keys of ``secrets``) resolved."""
    return _unsealed(value, secrets, json.loads)


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
