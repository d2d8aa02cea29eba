"""Fallbacks: the ``@fallback`` decorator, and the replay of a script over the run's log.

A fallback is a generator function of the request, for a task with a known solution. Each ``yield`` proposes a tool call
and returns the call's result, or raises ``CallFailed``. The return value (a string, an ``Answer`` or a ``HandOver``)
ends the run or passes it on. The script is replayed from the log at every step, so it must be a pure function of the
request and the results: no clock, no randomness, no I/O.
"""

import inspect
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Planner, RunRequest, ToolCall
from ballast.contracts.wire import canonical
from ballast.edge import note
from ballast.errors import PlaybookInvalid
from ballast.folds.calls import CallState
from ballast.masking import error_text
from ballast.playbook.rules import ends_the_process, error_place
from ballast.run import Run
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.playbook.load import Playbook

Script = Generator[ToolCall, Any, str | Answer | HandOver]


class CallFailed(Exception):
    """Raised in a fallback at its ``yield`` if the call was refused, denied or failed."""

    def __init__(self, tool: str, status: str, message: str) -> None:
        ended = {"failed": "failed", "unknown": "may or may not have happened"}.get(status, f"was {status}")
        super().__init__(f"{tool} {ended}: {message}")
        self.tool, self.status, self.message = tool, status, message


class GiveUp(Exception):
    """Raised by a fallback that cannot help: a person takes over and reads its text."""


@dataclass(frozen=True)
class Fallback:
    """A script and the intents that it handles."""

    intents: tuple[str, ...]
    function: Callable[[RunRequest], Script]

    def __call__(self, request: RunRequest) -> Script:
        """Start the script."""
        return self.function(request)


def fallback(*, intent: str | Sequence[str]) -> Callable[[Callable[[RunRequest], Script]], Fallback]:
    """Make ``function`` the fallback for an intent, or for each of several. Raises ``PlaybookInvalid``."""

    def decorate(function: Callable[[RunRequest], Script]) -> Fallback:
        if isinstance(function, Fallback):
            both = ", ".join(f'"{name}"' for name in (*function.intents, *_intents(function.function, intent)))
            raise PlaybookInvalid(
                f"Fallback {_name(function.function)} is decorated twice. Write one decorator: "
                f"@fallback(intent=[{both}])."
            )
        intents = _intents(function, intent)
        if not inspect.isgeneratorfunction(function):
            raise PlaybookInvalid(
                f"Fallback {_name(function)} must be a generator: `yield` each tool call and `return` the answer."
            )
        try:
            inspect.signature(function, follow_wrapped=False).bind(None)
        except TypeError:
            called = getattr(function, "__name__", "script")
            raise PlaybookInvalid(
                f"Fallback {_name(function)} must be written `def {called}(request: RunRequest)`."
            ) from None
        return Fallback(intents=intents, function=function)

    return decorate


def _name(function: Any) -> str:
    """Return a function's name and module; anything can be decorated."""
    module = getattr(function, "__module__", "?")
    return f"{getattr(function, '__name__', None) or type(function).__name__} ({module})"


def _intents(function: Any, said: Any) -> tuple[str, ...]:
    intents = (said,) if isinstance(said, str) else tuple(said) if isinstance(said, list | tuple) else ()
    if not intents or not all(isinstance(name, str) and name for name in intents):
        raise PlaybookInvalid(
            f"Fallback {_name(function)}: intent is {said!r}. Write the name of an intent of agent.yaml, or a list of "
            'names: @fallback(intent=["access", "other"]).'
        )
    if len(set(intents)) < len(intents):
        raise PlaybookInvalid(f"Fallback {_name(function)}: intent names one twice in {list(intents)}. Name it once.")
    return intents


#: More calls than this are a loop; no other limit stops a script.
MAX_CALLS = 100


class Diverged(Exception):
    """The script proposed another call than before, so it is not a pure function of the log."""


def next_decision(
    playbook: "Playbook", script: Fallback, request: RunRequest, run: Run
) -> tuple[CallTools | Answer | HandOver, str | None]:
    """Return the script's next decision, and a note for people or None.

    Any error of the script becomes a hand-over to a person.
    """
    # A call that was proposed and never started is proposed again.
    outcomes = [state for state in run.calls if state.planner is Planner.FALLBACK and state.status != "proposed"]
    try:
        return _replay(playbook, script, request, outcomes), None
    except GiveUp as given_up:
        return HandOver(to=Planner.PERSON, reason=ExitReason.FALLBACK_GAVE_UP), error_text(given_up)
    except CallFailed as failed:
        return HandOver(to=Planner.PERSON, reason=ExitReason.FALLBACK_GAVE_UP), error_text(failed)
    except BaseException as defect:
        if ends_the_process(defect):
            raise
        note(defect)
        where = error_place(defect, script.function)
        what = f"{script.function.__qualname__} failed{where and f' in {where}'}"
        what = f"{what}: {type(defect).__name__}: {error_text(defect)}"
        return HandOver(to=Planner.PERSON, reason=ExitReason.FALLBACK_FAILED), what


def _replay(
    playbook: "Playbook", script: Fallback, request: RunRequest, outcomes: Sequence[CallState]
) -> CallTools | Answer | HandOver:
    running = script(request)
    try:
        proposed = _proposed(next(running))
        for state in outcomes:
            if proposed != state.call:
                raise Diverged(f"replayed {state.call.tool}, but the script now asks for {proposed.tool}")
            proposed = _proposed(_resume(playbook, running, state))
    except StopIteration as end:
        return final_decision(end.value)
    finally:
        running.close()
    if len(outcomes) >= MAX_CALLS:
        raise OverflowError(f"asks for more than {MAX_CALLS} calls")
    return CallTools(calls=(proposed,))


def _proposed(value: Any) -> ToolCall:
    if not isinstance(value, ToolCall):
        raise TypeError(f"yielded {type(value).__name__}; yield a tool's .call(…)")
    return value


def _resume(playbook: "Playbook", running: Any, state: CallState) -> Any:
    if state.status == "intended":
        # It was started and its outcome was not recorded; a second attempt might be a second effect.
        return running.throw(
            CallFailed(state.call.tool, "unknown", "It was started, and nobody knows whether it happened.")
        )
    if state.status != "ok":
        return running.throw(CallFailed(state.call.tool, state.status, state.message))
    # Read as JSON, as it was recorded: then a strict model accepts a date or an amount as text.
    try:
        result = playbook.tools[state.call.tool].result.validate_json(canonical(state.result))
    except ValidationError:
        if state.result is None and state.message:  # it was too large to be recorded
            return running.throw(CallFailed(state.call.tool, "ok", state.message))
        raise
    return running.send(result)


def final_decision(value: Any) -> Answer | HandOver:
    """Return what a script's return value says. Raises ``ValueError`` or ``TypeError`` for one that says nothing."""
    if isinstance(value, HandOver) and value.to is Planner.FALLBACK:
        raise ValueError("returned a hand-over to itself")
    if isinstance(value, Answer | HandOver):
        return value
    if isinstance(value, str) and value:
        return Answer(text=value)
    raise TypeError(f"returned {type(value).__name__}; return a text, an Answer or a HandOver")
