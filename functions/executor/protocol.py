"""An effect happens once, or is known to be unknown. It is never blindly repeated.

::

    first attempt   run ─ returned ──────────────────────────▶ ok │ failed
                        ├ nothing was done (it says so) ─────▶ try again; without a way to resolve: failed
                        ├ outage, timeout ─ honours_key ─────▶ try again under the same key
                        │                 ├ verify: happened ▶ ok
                        │                 │        not (yet) ▶ wait for this attempt's lease, then resolve
                        │                 └ neither ─────────▶ unknown
                        └ defect ── verify: happened ────────▶ ok, not: failed; without verify: unknown
    next attempt    the first is dead, or its answer was lost
                        honours_key ─▶ run again under the same key
                        verify ──────▶ happened: ok, not: run
                        neither ─────▶ unknown

The lease is Powertools' record of an attempt in progress, as long as the Lambda lives: nobody resolves an
effect whose attempt may still be at work. It is taken before ``call.intended`` is written, so that an intent
in the log means that the tool itself was about to run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ballast.errors import AttemptInProgress, RetryLater
from ballast.playbook import Tool
from functions.executor.attempt import Outcome
from functions.executor.circuit import CircuitOpen
from functions.executor.once import Once
from functions.executor.outcome import Broken, Lost, NotAsPromised, NothingDone, found, run_tool


class _InDoubt(BaseException):
    """Leave the attempt in progress until its lease is over. No ``Exception``: Powertools would forget the attempt."""


@dataclass(frozen=True)
class Write:
    """One write to carry out.

    intend   records the intent and says whether it is this attempt's own: nobody was here before. ``NothingDone``
             where it is too late for it
    run      the tool, with its breaker and its timeout
    verify   asks whether the effect happened, None where the tool cannot tell
    fit      makes of an outcome what can be recorded: a result may be too large
    kept, unkept  close what is sensitive in an outcome before it is kept, and open it again
    """

    tool: Tool
    intend: Callable[[], bool]
    run: Callable[[], Any]
    verify: Callable[[], Any] | None
    fit: Callable[[Outcome], Outcome]
    kept: Callable[[Outcome], Outcome]
    unkept: Callable[[Outcome], Outcome]

    def carried_out(self, once: Once, key: str, lambda_context: Any) -> Outcome:
        """Carry it out at most once under ``key`` and return its outcome.

        Raises ``AttemptInProgress`` while another attempt may be at work, ``RetryLater`` where to try again.
        """
        try:
            return self.unkept(once.run(key, lambda: self.kept(self._attempted()), lambda_context))
        except _InDoubt as doubt:
            raise AttemptInProgress(f"{key}: whether it happened cannot be told yet. {doubt}") from doubt

    def _attempted(self) -> Outcome:
        try:
            is_first = self.intend()
        except NothingDone as too_late:
            return {"status": "failed", "message": str(too_late)}
        return self.fit(self._first() if is_first else self._resolved())

    def _first(self) -> Outcome:
        try:
            return self._run()
        except CircuitOpen as rested:
            return {"status": "failed", "message": str(rested)}

    def _resolved(self) -> Outcome:
        """Resolve what an earlier attempt left behind."""
        name = self.tool.name
        try:
            if self.tool.policy.honours_key:
                return self._run()
            if self.verify is None:
                return _unknown(f"An attempt at {name} ended without a record, and nothing tells what it did.")
            return self._happened() or self._run()
        except CircuitOpen as rested:  # the earlier attempt may have had its effect
            raise RetryLater(str(rested)) from rested

    def _run(self) -> Outcome:
        try:
            return run_tool(self.tool, self.run)
        except NothingDone as nothing:
            if self.tool.policy.resolvable:
                raise RetryLater(str(nothing)) from nothing
            return {"status": "failed", "message": f"{nothing} It may be called again."}
        except Lost as lost:
            if self.tool.policy.honours_key:
                raise RetryLater(str(lost)) from lost
            happened = self._happened()
            if happened is None and self.verify is not None:
                raise _InDoubt(str(lost)) from lost
            return happened or _unknown(str(lost))
        except Broken as broken:
            if self.verify is None:
                return _unknown(str(broken))
            return self._happened() or {"status": "failed", "message": f"{broken} It did not happen.", "defect": True}
        except NotAsPromised as odd:
            return self._happened() or _unknown(str(odd))

    def _happened(self) -> Outcome | None:
        """Return the outcome of what happened, as ``verify`` says, or None where nothing did or nobody can tell."""
        if self.verify is None:
            return None
        try:
            return found(self.tool, self.verify)
        except (Lost, NothingDone) as outage:
            raise _InDoubt(str(outage)) from outage
        except (Broken, NotAsPromised) as problem:
            return _unknown(f"Whether it happened could not be verified. {problem}")


def _unknown(message: str) -> Outcome:
    return {"status": "unknown", "message": message}
