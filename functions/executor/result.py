"""How large a result may be before it is recorded and the model reads it. Pure."""

from dataclasses import replace

from ballast.contracts.wire import canonical, sha256
from ballast.log.events import LeftOut
from ballast.playbook import Effect
from ballast.validation import too_large
from functions.executor.attempt import Attempt
from functions.executor.call_outcome import CallOutcome
from functions.executor.undo import with_undo


def fitted(attempt: Attempt, outcome: CallOutcome) -> CallOutcome:
    """Return ``outcome``, or what stands for it where its result is too large or too deep.

    A read has failed then: nothing is lost. A write has happened, so its record stays, with the undo that its
    whole result makes; the result itself is left out.
    """
    if outcome.status != "ok":
        return outcome
    tool, result = attempt.tool, outcome.result
    problem = too_large(result, max_bytes=tool.limits.result_bytes, max_depth=tool.limits.depth)
    if problem is None:
        return outcome
    if tool.effect is Effect.READ:
        return CallOutcome("failed", message=f"The result is {problem}. Ask for less.")
    text = canonical(result)
    left_out = LeftOut(bytes=len(text), sha256=sha256(text))
    message = f"It was done. Its result is left out: {problem}."
    done = with_undo(attempt, outcome)
    if done.message is not None:
        message = f"{message} {done.message}"
    return replace(done, result=None, left_out=left_out, message=message, notice=message)
