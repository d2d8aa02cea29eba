"""An effect happens once, or is known to be unknown. It is never blindly repeated.

::

    any attempt     run ─ returned ──────────────────────────▶ ok │ failed, where the tool says so
                        ├ nothing was done (it says so) ─────▶ try again; without a way to resolve: failed
                        └ any other error: in doubt ─ verify: it happened ▶ ok
                                                    ├ honours_key ───────▶ try again under the same key, TRIES times
                                                    ├ verify: not (yet) ─▶ wait for this attempt's lease, then resolve
                                                    └ neither ───────────▶ unknown
    resolve         an earlier attempt is dead, or ended in doubt; none is at work on it any more
                        honours_key ─▶ run again under the same key
                        verify ──────▶ happened: ok, not: run again; after RUNS that ended in doubt: did not happen
                        neither ─────▶ unknown
    give up         nobody tries it again
                        verify ──────▶ happened: ok, not: did not happen
                        else ────────▶ unknown

The lease is Powertools' record of an attempt in progress, as long as the Lambda lives: nobody resolves an
effect whose attempt may still be at work. It is taken before ``call.intended`` is written, so that an intent
in the log means that the tool itself was about to run.

One rule: "it did not happen" needs proof that every attempt that ran is over. What an attempt has sent may arrive until
its lease ends. So an attempt gives its lease back only where it knows its outcome, or says that it did nothing, or has
left ``call.doubted`` with the time at which the lease would have ended. Whoever asks ``verify``, or hears a refusal,
before each of these has passed believes what it finds, and never that nothing is there.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ballast.contracts.said import said
from ballast.errors import AttemptInProgress, ProcessEnds, RetryLater
from ballast.playbook import Tool
from functions.executor.attempt import Doubt
from functions.executor.call_outcome import CallOutcome
from functions.executor.circuit import CircuitOpen
from functions.executor.once import Once
from functions.executor.outcome import InDoubt, NotAsPromised, NothingDone, found, run_tool

#: So often a write is tried under its key: as often as the state Execute tries.
TRIES = 6
#: So many runs of a write with ``verify`` may end in doubt; where it did not happen then, the planner is told so.
RUNS = 2
#: So often ``verify`` may be asked in vain, whatever runs came before; then it is unknown.
DOUBTS = 3
#: How the log begins what it says of such a question.
_NOT_ASKED = "Whether it happened could not be asked."


class _Waits(ProcessEnds):
    """Leave the attempt in progress until its lease is over. No ``Exception``: Powertools would forget the attempt."""


class _TooEarly(Exception):
    """An attempt before this one may still have its effect. This one has done nothing, and gives its lease back."""


class _Again(Exception):
    """To be tried again at once: this attempt did nothing, or its doubt is in the log. It gives its lease back."""


@dataclass(frozen=True)
class Write:
    """One write to carry out.

    intend   records the intent and says whether it is this attempt's own: nobody was here before. ``NothingDone``
             where it is too late for it
    run      the tool, with its breaker and its timeout
    begun    says whether ``run`` has come to the tool itself
    now_ms   when this attempt began, milliseconds since 1970
    verify   asks whether the effect happened, None where the tool cannot tell
    fit      makes of an outcome what can be recorded: a result may be too large
    cut      makes what an error says short enough for it
    kept, unkept  make JSON of an outcome, with what is sensitive closed, and read it again
    doubts   reads the attempts before this one that ended in doubt, in their order; once the lease is held
    doubt    records that this one did: (message, ran, gives_back), the last where it gives its lease back; or,
             with a fourth word, that it "begins" or has "done" nothing
    nothing  reads what the last attempt before this one said, where each of them said that nothing was done; else None
    """

    tool: Tool
    intend: Callable[[], bool]
    run: Callable[[], Any]
    begun: Callable[[], bool]
    now_ms: int
    verify: Callable[[], Any] | None
    fit: Callable[[CallOutcome], CallOutcome]
    cut: Callable[[str], str]
    kept: Callable[[CallOutcome], dict[str, Any]]
    unkept: Callable[[dict[str, Any]], CallOutcome]
    doubts: Callable[[], Sequence[Doubt]]
    doubt: Callable[..., None]
    nothing: Callable[[], str | None]

    def carried_out(self, once: Once, key: str, lambda_context: Any) -> CallOutcome:
        """Carry it out at most once under ``key`` and return its outcome.

        Raises ``AttemptInProgress`` while another attempt may be at work, ``RetryLater`` where to try again.
        """
        return self._leased(once, key, self._attempted, lambda_context)

    def given_up(
        self, once: Once, key: str, intended: Callable[[], bool], why: str, lambda_context: Any
    ) -> CallOutcome:
        """Return what is known of it, and never run it again: its last attempt has ended, without an outcome.

        ``intended`` reads whether there is an intention; the lease is held then, so nobody writes one meanwhile. Raises
        ``AttemptInProgress`` while what another attempt has sent may still arrive.
        """
        return self._leased(once, key, lambda: self.fit(self._left(intended, why)), lambda_context)

    def _leased(self, once: Once, key: str, outcome: Callable[[], CallOutcome], lambda_context: Any) -> CallOutcome:
        try:
            return self.unkept(once.run(key, lambda: self._held(outcome), lambda_context))
        except (_Waits, _TooEarly) as waits:
            raise AttemptInProgress(f"{key}: whether it happened cannot be told yet. {waits}") from waits
        except _Again as again:
            raise RetryLater(str(again)) from again

    def _held(self, outcome: Callable[[], CallOutcome]) -> dict[str, Any]:
        """Return what is to be kept. An error that nobody foresaw gives no lease back once the tool has begun."""
        try:
            return self.kept(outcome())
        except (_TooEarly, _Again):
            raise
        except Exception as problem:
            if not self.begun():
                raise
            raise _Waits(self.cut(said(problem))) from problem

    def _left(self, intended: Callable[[], bool], why: str) -> CallOutcome:
        if not intended():
            return CallOutcome("failed", message=f"{why} It was not begun: nothing was done.")
        nothing = self.nothing()
        if nothing is not None:
            return CallOutcome("failed", message=f"{_sentence(nothing)} Nothing was done. {why}")
        if self.verify is None:
            return _unknown(why)
        try:
            happened = self._asked(ran="")
        except _Waits as waits:  # it may be asked again sooner than that: this attempt runs nothing
            raise _TooEarly(str(waits)) from waits
        return happened or CallOutcome("failed", message=f"{why} It did not happen.", defect=True)

    def _attempted(self) -> CallOutcome:
        try:
            is_first = self.intend()
        except NothingDone as too_late:
            return CallOutcome("failed", message=str(too_late))
        return self.fit(self._first() if is_first else self._resolved())

    def _first(self) -> CallOutcome:
        try:
            return self._run(clean=True)
        except CircuitOpen as rested:
            return CallOutcome("failed", message=str(rested))

    def _resolved(self) -> CallOutcome:
        """Resolve what earlier attempts left behind. Nobody is at work on it any more."""
        policy, name = self.tool.policy, self.tool.name
        if not policy.resolvable:
            return _unknown(f"An attempt at {name} ended without a record, and nothing tells what it did.")
        if not (policy.honours_key and self._runs < TRIES):
            if self.verify is None:
                return _unknown(f"{_sentence(self._last)} It was tried {TRIES} times under its key.")
            happened = self._asked(ran="")
            if happened is not None:
                return happened
            if self._runs >= RUNS:
                return CallOutcome("failed", message=f"{_sentence(self._last)} It did not happen.", defect=True)
        clean = self.nothing() is not None
        if clean:  # so far; if this attempt dies, nobody can say so any more
            self.doubt("It is tried again.", False, False, "begins")
        try:
            outcome = self._run(clean=clean)
        except CircuitOpen as rested:  # the earlier attempt may have had its effect
            raise _Again(str(rested)) from rested
        return self._final(outcome) if outcome.status == "failed" else outcome

    def _run(self, *, clean: bool) -> CallOutcome:
        """Run the tool. ``clean``: whether no attempt before this one can have done anything."""
        try:
            return run_tool(self.tool, self.run, self.cut)
        except NothingDone as nothing:
            told = self.cut(str(nothing))
            if not self.tool.policy.resolvable:
                return CallOutcome("failed", message=f"{told} It may be called again.")
            if clean:
                with suppress(Exception):  # it is unknown then, if no later attempt tells
                    self.doubt(told, False, False, "done")
            raise _Again(told) from nothing
        except NotAsPromised as odd:
            problem, returned = str(odd), True
        except InDoubt as doubt:
            problem, returned = str(doubt), False
        # Out of the handlers: what ``verify`` raises is not to be taken for a consequence of the tool's error.
        if returned:
            return self._found_at_once() or _unknown(problem)
        return self._in_doubt(problem)

    def _in_doubt(self, problem: str) -> CallOutcome:
        """Return what is known of a run that ended with ``problem``; raise where that is to be found out later."""
        policy = self.tool.policy
        if not policy.resolvable:
            return _unknown(problem)
        if policy.honours_key and self._runs + 1 < TRIES:
            happened = self._found_at_once()
            if happened is not None:
                return happened
            if self._note(problem, ran=True, gives_back=True):
                raise _Again(problem)
            raise _Waits(problem)
        if self.verify is None:
            return _unknown(f"{_sentence(problem)} It was tried {TRIES} times under its key.")
        happened = self._asked(ran=problem)
        if happened is not None:
            return happened
        self._note(problem, ran=True)
        raise _Waits(problem)

    def _final(self, failed: CallOutcome) -> CallOutcome:
        """Return ``failed``, what a tool says after an earlier attempt at the same call, once that is the last word.

        The refusal may be the earlier attempt's own doing: its request is under way, or has arrived. ``verify`` knows,
        where there is one. Under a key the tool is asked again when every attempt that ran is over; who honours it
        answers as the first time then.
        """
        happened = self._found_at_once()
        if happened is not None:
            return happened
        if not self._all_over:
            self._note(failed.message or "", ran=False)
            raise _Waits(failed.message or "")
        return failed

    def _asked(self, *, ran: str) -> CallOutcome | None:
        """Return what ``verify`` finds, None where nothing. ``ran`` is the error of a run of this attempt.

        Where this attempt ran nothing, None is proof: it is asked when every attempt that ran is over. Where it cannot
        be asked the attempt waits, or the effect is unknown.
        """
        if self.verify is None:
            return None
        if not ran and not self._all_over:
            raise _TooEarly(f"What {self.tool.name} has sent may still arrive.")
        try:
            return found(self.tool, self.verify, self.cut)
        except NothingDone as later:
            problem = str(later)
        except InDoubt as doubt:
            problem = str(doubt)
        except NotAsPromised as odd:  # it answers, and not as it should: it will not answer otherwise
            return _unknown(f"Whether it happened could not be verified. {odd}")
        if sum(not doubt.ran and doubt.message.startswith(_NOT_ASKED) for doubt in self.doubts()) + 1 >= DOUBTS:
            return _unknown(f"Whether it happened could not be verified. {problem}")
        self._note(ran or f"{_NOT_ASKED} {problem}", ran=bool(ran))
        raise _Waits(problem)

    def _found_at_once(self) -> CallOutcome | None:
        """Return what ``verify`` finds, None where it finds nothing or cannot tell: it is asked again then."""
        if self.verify is None:
            return None
        try:
            return found(self.tool, self.verify, self.cut)
        except (InDoubt, NothingDone, NotAsPromised):
            return None

    def _note(self, problem: str, *, ran: bool, gives_back: bool = False) -> bool:
        """Record the doubt, and say whether it is recorded: where it is not, the lease must hold."""
        try:
            self.doubt(problem, ran, gives_back)
        except Exception:
            return False
        return True

    @property
    def _all_over(self) -> bool:
        """Whether nothing that an attempt before this one has sent can still arrive."""
        return all(doubt.until_ms <= self.now_ms for doubt in self.doubts() if doubt.ran)

    @property
    def _runs(self) -> int:
        return sum(doubt.ran for doubt in self.doubts())

    @property
    def _last(self) -> str:
        return next(doubt.message for doubt in reversed(self.doubts()) if doubt.ran)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _unknown(message: str) -> CallOutcome:
    return CallOutcome("unknown", message=message)
