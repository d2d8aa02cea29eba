"""How large a result may be before it is recorded and the model reads it. Pure."""

from ballast.contracts.wire import canonical, sha256
from ballast.playbook import Effect
from ballast.validation import too_large
from functions.executor.attempt import Attempt, Outcome
from functions.executor.undo import undo_of


def fitted(attempt: Attempt, outcome: Outcome) -> Outcome:
    """Return ``outcome``, or what stands for it where its result is too large or too deep.

    A read has failed then: nothing is lost. A write has happened, so its record stays, with the undo that its
    whole result makes; the result itself is left out.
    """
    if outcome["status"] != "ok":
        return outcome
    tool, result = attempt.tool, outcome["result"]
    problem = too_large(result, max_bytes=tool.result_bytes, max_depth=tool.depth)
    if problem is None:
        return outcome
    if tool.effect is Effect.READ:
        return {"status": "failed", "message": f"The result is {problem}. Ask for less."}
    text = canonical(result)
    left_out = {"bytes": len(text), "sha256": sha256(text)}
    message = f"It was done. Its result is left out: {problem}."
    undo = undo_of(attempt, outcome)
    if "message" in undo:
        message = f"{message} {undo['message']}"
    return outcome | undo | {"result": None, "left_out": left_out, "message": message, "notice": message}
