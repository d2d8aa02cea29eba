"""The rules about answers that do not say what is there, or what was done: errors, and pages.

::

    errors    a Read; verify after the effect; A ─ A again: each look-up gets no answer, 500, a throttle, a denial,
              of AWS or of another service
              a Write: of each request to another service that may change something the answer is lost, cut or no JSON
              after its effect, or has a status that says nothing of that; or the request is refused
    pages     the same, where AWS answers an empty page that names a next one, or one item a page; and where another
              service answers half of a list and names a next page
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ballast.contracts.wire import canonical
from ballast.playbook import Effect
from ballast.playbook.servers.tools import RemoteCall
from cli.certify.aws_answers import OUTAGES, Play, Played, aws_answers
from cli.certify.aws_pages import MADE_UP, PAGINGS, Paging, aws_pages
from cli.certify.declared import Declared, declared
from cli.certify.http_answers import NONSENSE, SO_ALREADY, OutsidePlay, after_effects, http_answers, outages, refusals
from cli.certify.http_pages import PAGED, HttpPaged, http_pages
from cli.certify.report import Finding
from cli.certify.rig import End, canonical_or_repr, differences
from cli.certify.sequences import Broken, Honest

_T = TypeVar("_T")

#: Most look-ups of a call that get no answer; the first ones.
_MOST_REQUESTS = 6
_LATER_S = 97.0
_UNREAD = "Let the error pass: what could not be read may be there. Only an answer of its store says that it is not."
_NOT_SURE = (
    "ToolFailed and RetryLater say that nothing was done. A server's 5xx says nothing of that, and an error of a later "
    "request nothing of those before it: look for the effect first, undo it, or let the error pass, which is doubt."
)
_NOT_DONE = (
    "Return a result only for an answer that says that it was done, such as 2xx. Raise ToolFailed for a refusal of the "
    "first request, and let any other status pass as an error."
)
_READ_ALL = (
    "Read on while the answer names a next page (client.get_paginator does), also after an empty one; ask again for "
    "UnprocessedKeys. An item under its table's own key needs no page."
)


class Answers:
    """Both rules for one call. ``findings`` may be read once."""

    def __init__(self, honest: Honest) -> None:
        self._h, self._rig, self._sample, self._tool = honest, honest.rig, honest.sample, honest.sample.tool
        self._is_read = self._tool.effect is Effect.READ
        self._honours = not self._is_read and self._tool.policy.honours_key

    def findings(self) -> Iterator[Finding]:
        """Try both, up to the first that is broken; yield what each says."""
        for rule, tried in (("errors", self._errors), ("pages", self._pages)):
            name, scenario = self._tool.name, self._sample.scenario
            try:
                tried()
            except Broken as problem:
                yield Finding(name, rule, "broken", scenario, problem.seen, problem.remedy)
                return
            yield Finding(name, rule, "held", scenario)

    def _begin(self) -> None:
        self._rig.fresh(self._sample.before)
        self._rig.attempt(self._sample)

    @contextmanager
    def _playing(self, play: Play | OutsidePlay) -> Iterator[Played]:
        playing = http_answers(play) if isinstance(play, OutsidePlay) else aws_answers(play, self._rig.executed)
        with self._rig.under(play), playing as played:
            yield played

    # Errors

    def _errors(self) -> None:
        if self._is_read:
            self._read_in(self._h.end)
            return
        for name, rule in declared(self._tool).items():
            if rule.gets == "context" and name != "verify":
                self._asked_in(rule)
        if self._h.ask is not None:
            self._verify_in()
        if self._honours:
            self._again_in()
        self._acted_in()

    def _plays(self, end: End, *, looks: bool) -> Iterator[Play | OutsidePlay]:
        """Yield the outages at each of an attempt's requests that look something up.

        ``looks``: it does nothing but look something up, so each request outside of AWS does; else GET and HEAD do.
        """
        outside = [name.removeprefix("outside.") for name in end.requests if name.startswith("outside.")]
        asked = [name for name in end.requests if not name.startswith("outside.")]
        at = [number for number, name in enumerate(asked) if name not in end.changes][:_MOST_REQUESTS]
        yield from (Play(number, kind) for number in at for kind in OUTAGES)
        at = [number for number, name in enumerate(outside) if looks or name in ("GET", "HEAD")][:_MOST_REQUESTS]
        yield from (play for number in at for play in outages(number))

    def _read_in(self, honest: End) -> None:
        for play in self._plays(honest, looks=True):
            self._rig.fresh(self._sample.before)
            with self._playing(play) as played:
                end = self._rig.attempt(self._sample)
            if not played.times or end.how not in ("ok", "failed"):
                continue
            if end.how == "ok" and _as_if_read(
                play, played, canonical_or_repr(end.said), canonical_or_repr(honest.said)
            ):
                raise Broken(f"{play}, and it returned {_short(end)} as if it had read that.", _UNREAD)
            if end.how == "failed" and end.said == honest.said and not _tells(play):
                raise Broken(f"{play}, and it said {_short(end)} as if it had read that.", _UNREAD)

    def _asked_in(self, rule: Declared) -> None:
        self._rig.fresh(self._sample.before)
        fact, honest = self._rig.ask(rule.name, rule.function, self._sample)
        for play in self._plays(honest, looks=True):
            with self._playing(play) as played:
                said, end = self._rig.ask(rule.name, rule.function, self._sample)
            if not played.times or end.how != "ok":
                continue
            told = canonical_or_repr(said)
            if _as_if_read(play, played, told, canonical_or_repr(fact)):
                raise Broken(f"{play}, and its {rule.name} returned {told[:100]} as if it had read that.", _UNREAD)

    def _verify_in(self) -> None:
        assert self._h.ask is not None
        assert self._tool.policy.verify is not None
        self._begin()
        _, honest = self._rig.ask("verify", self._tool.policy.verify, self._sample)
        for play in self._plays(honest, looks=True):
            with self._playing(play) as played:
                said = self._h.ask()
            if not played.times or said.problem.startswith("raised"):
                continue
            if NONSENSE in canonical_or_repr(said.result):
                continue
            if said.problem or not said.found or canonical(said.result) != canonical(self._h.end.result):
                what = said.problem or (f"found {said.result!r}" if said.found else "found nothing")
                raise Broken(f"{play} when verify looked for the effect, which is there; and it {what}.", _UNREAD)

    def _again_in(self) -> None:
        self._begin()
        again = self._rig.attempt(self._sample, later_s=_LATER_S, draw=1)
        for play in self._plays(again, looks=False):
            self._begin()
            stood = self._rig.seen()
            with self._playing(play) as played:
                end = self._rig.attempt(self._sample, later_s=_LATER_S, draw=1)
            if not played.times:
                continue
            when = f"{play} of a second attempt under its key"
            if second := differences(stood, self._rig.seen()):
                raise Broken(f"{when}, which had a second effect: {second}.", _UNREAD)
            if end.how == "failed" or (end.how == "ok" and end.said != self._h.end.said):
                raise Broken(f"{when}, which said {_short(end)}, and the first one had its effect.", _UNREAD)

    def _acted_in(self) -> None:
        """Let each request outside of AWS that may change something get an error. Of AWS, ``aws`` does."""
        call = self._tool.function
        believed = call.declared.refusals if isinstance(call, RemoteCall) else ()  # the declaration answers for them
        for play in self._after_effects():
            if play.kind == "answered" and play.status in believed:
                continue
            self._rig.fresh(self._sample.before)
            with self._playing(play) as played:
                end = self._rig.attempt(self._sample)
            if not played.times:
                continue
            now = self._rig.seen()
            if end.how in ("failed", "again") and (done := differences(self._h.base, now)):
                raise Broken(f"{play}. It said that nothing was done ({_short(end)}), and yet: {done}.", _NOT_SURE)
            so_already = play.kind == "refused" and play.status in SO_ALREADY
            if end.how == "ok" and not so_already and (other := differences(self._h.done, now)):
                raise Broken(f"{play}. It returned a result, and this differs: {other}.", _NOT_DONE)

    def _after_effects(self) -> Iterator[OutsidePlay]:
        """Yield what becomes of each such request after its effect, and refusals of it."""
        end, number, changes = self._h.end, -1, 0
        acting: list[tuple[int, bool]] = []
        for name in end.requests:
            outside = name.startswith("outside.")
            number += outside
            if name in end.changes or (outside and name.removeprefix("outside.") not in ("GET", "HEAD")):
                if outside and number < _MOST_REQUESTS:
                    acting.append((number, changes > 0))
                changes += 1
        for place, (at, later) in enumerate(acting):
            yield from after_effects(place, len(acting), at=at, keyed=self._honours)
            yield from refusals(place, len(acting), at=at, later=later)

    # Pages

    def _pages(self) -> None:
        for kind, when in PAGINGS.items():
            self._rig.fresh(self._sample.before)
            end = self._paged(kind, lambda: self._rig.attempt(self._sample))
            if end is not None:
                self._same(end, when)
                if other := differences(self._h.done, self._rig.seen()):
                    raise Broken(f"{when}, it had another effect: {other}.", _READ_ALL)
            if self._is_read or (self._h.ask is None and not self._honours):
                continue
            self._begin()
            stood = self._rig.seen()
            if self._h.ask is not None:
                said = self._paged(kind, self._h.ask)
                if said is not None and (said.problem or not said.found):
                    raise Broken(f"{when}, verify {said.problem or 'found nothing'} after the effect.", _READ_ALL)
            if self._honours:
                end = self._paged(kind, lambda: self._rig.attempt(self._sample, later_s=_LATER_S, draw=1))
                if second := differences(stood, self._rig.seen()):
                    raise Broken(f"{when}, a second attempt under its key had a second effect: {second}.", _READ_ALL)
                if end is not None and not self._h.ends_by_verify(end, _LATER_S):
                    self._same(end, when)

        self._pages_outside()

    def _pages_outside(self) -> None:
        """The same for lists of services outside of AWS."""
        if self._is_read:
            self._rig.fresh(self._sample.before)
            end, paged = self._paged_outside(lambda: self._rig.attempt(self._sample))
            other = end.how == "ok" and end.said != self._h.end.said
            relays = isinstance(self._tool.function, RemoteCall)
            if other and not relays and paged.misled(canonical_or_repr(end.said)):
                raise Broken(f"{PAGED}, it said {_short(end)} and not {_short(self._h.end)}.", _READ_ALL)
            return
        self._begin()
        stood = self._rig.seen()
        if self._h.ask is not None:
            said, paged = self._paged_outside(self._h.ask)
            if not said.found and not said.problem and paged.misled(""):
                raise Broken(f"{PAGED}, verify found nothing after the effect.", _READ_ALL)
        if self._honours:
            _, paged = self._paged_outside(lambda: self._rig.attempt(self._sample, later_s=_LATER_S, draw=1))
            if paged.misled("") and (second := differences(stood, self._rig.seen())):
                raise Broken(f"{PAGED}, a second attempt under its key had a second effect: {second}.", _READ_ALL)

    def _paged_outside(self, run: Callable[[], _T]) -> tuple[_T, HttpPaged]:
        with self._rig.under(PAGED), http_pages() as paged:
            return run(), paged

    def _paged(self, kind: Paging, run: Callable[[], _T]) -> _T | None:
        """Return what comes of it where AWS answers in pages; None if it asks for nothing that comes in pages."""
        with self._rig.under(PAGINGS[kind]), aws_pages(kind, self._rig.keys_of_table) as played:
            came = run()
        return came if played.times else None

    def _same(self, end: End, when: str) -> None:
        if end.said != self._h.end.said and MADE_UP not in canonical_or_repr(end.said[1]):  # a cursor that it passes on
            raise Broken(f"{when}, it said {_short(end)} and not {_short(self._h.end)}.", _READ_ALL)


def _tells(play: Play | OutsidePlay) -> bool:
    return isinstance(play, OutsidePlay) and play.tells


def _as_if_read(play: Play | OutsidePlay, played: Played, said: str, honest: str) -> bool:
    """Whether what was said rests on an answer that did not come. One that is passed on as it came does not."""
    if _tells(play):
        return said != honest and NONSENSE not in said
    return said != honest or not played.answered_since


def _short(end: End) -> str:
    text = f"{end.how} {canonical_or_repr(end.said[1])}"
    return text if len(text) <= 120 else f"{text[:119]}…"
